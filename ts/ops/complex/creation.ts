/** New complex tensors: the real op's, in the dtype of the parts. */

import { Complex, complex64, type DType } from "../../core/dtype.ts";
import { Tensor } from "../../core/tensor.ts";
import { complexRule, joined, part, viewAsComplex } from "../../engine/complex.ts";
import { registry } from "../install.ts";
import { callBound } from "./numbers.ts";

type Call = (...args: unknown[]) => Tensor;

/** Arguments in the signature's order: a complex dtype becomes that of its parts, a complex tensor its real parts. */
function realArguments(args: readonly unknown[]): { args: unknown[]; dtype: DType | null } {
  let dtype: DType | null = null;
  const real = args.map((x) => {
    if ((x as DType | null)?.is_complex === true && !(x instanceof Tensor)) return (dtype = x as DType).real;
    return x;
  });
  return { args: real, dtype };
}

for (const name of [
  "zeros",
  "ones",
  "empty",
  "eye",
  "arange",
  "linspace",
  "logspace",
  "zeros_like",
  "ones_like",
  "empty_like",
  "new_zeros",
  "new_ones",
  "new_empty",
]) {
  complexRule(name, (...given: unknown[]) => {
    const first = given[0];
    const { args, dtype } = realArguments(given);
    const like = first instanceof Tensor && first.dtype.is_complex;
    if (like) args[0] = part(first, 0).detach();
    const asked = given.some(
      (x) => (x as { is_floating_point?: unknown; itemsize?: unknown } | null)?.itemsize !== undefined && !(x instanceof Tensor),
    );
    const out = callBound(name, args);
    // A real dtype that was asked for stands.
    return dtype === null && (!like || asked) ? out : finish(out, given);
  });
}
const finish = (out: Tensor, given: readonly unknown[]): Tensor => {
  const wants = out.requires_grad;
  const z = joined(out.detach(), null);
  void given;
  return wants ? z.requires_grad_() : z;
};

for (const name of ["full", "full_like", "new_full"]) {
  complexRule(name, (...given: unknown[]) => {
    const at = registry.get(name)!.info.signature.names.indexOf("fill_value");
    const value = given[at];
    const { args } = realArguments(given);
    const first = args[0];
    if (first instanceof Tensor && first.dtype.is_complex) args[0] = part(first, 0).detach();
    const dtypeAt = registry.get(name)!.info.signature.names.indexOf("dtype");
    const given_ = given[dtypeAt] as DType | null;
    if (given_ !== null && given_ !== undefined && !given_.is_complex) return callBound(name, args);
    const [re, im] = value instanceof Complex ? [value.re, value.im] : [Number(value), 0];
    const of = (v: number): Tensor => {
      const own = [...args];
      own[at] = v;
      return callBound(name, own);
    };
    const real = of(re);
    const floating = real.dtype.is_floating_point ? real : real.to(complex64.real);
    return finishParts(floating.detach(), of(im).to(floating.dtype).detach(), real.requires_grad);
  });
}
const finishParts = (re: Tensor, im: Tensor, wants: boolean): Tensor =>
  wants ? joined(re, im).requires_grad_() : joined(re, im);

const filled = (x: Tensor, v: number | Tensor): Tensor => (registry.get("fill") as unknown as Call)(x, v);
complexRule("fill", (input: Tensor, value: unknown) => {
  const [re, im] =
    value instanceof Complex
      ? [value.re, value.im]
      : value instanceof Tensor && value.dtype.is_complex
        ? [part(value, 0), part(value, 1)]
        : [value, 0];
  return joined(filled(part(input, 0), re as number), filled(part(input, 1), im as number));
});

/** Draws of pairs: PyTorch draws the parts one after the other. */
for (const name of ["rand", "randn"]) {
  complexRule(name, (size: readonly number[], ...rest: unknown[]) => {
    const { args } = realArguments([[...size, 2], ...rest]);
    const pairs = callBound(name, args);
    const wants = pairs.requires_grad;
    const parts = name === "randn" ? pairs.detach().mul(Math.SQRT1_2) : pairs.detach();
    const z = viewAsComplex(parts.contiguous());
    return wants ? z.requires_grad_() : z;
  });
}
for (const name of ["rand_like", "randn_like"]) {
  complexRule(name, (input: Tensor, dtype: DType | null, ...rest: unknown[]) => {
    void rest;
    const type = dtype ?? input.dtype;
    return (registry.get(name.slice(0, -5)) as unknown as Call)([...input.shape], { dtype: type, device: input.device });
  });
}
