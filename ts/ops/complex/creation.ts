/** New complex tensors: the real op's, in the dtype of the parts. */

import { Complex, DType } from "../../core/dtype.ts";
import { Tensor } from "../../core/tensor.ts";
import { complexRule, joined, part, viewAsComplex } from "../../engine/complex.ts";
import { registry } from "../install.ts";
import { callBound } from "./numbers.ts";

type Call = (...args: unknown[]) => Tensor;

/** Arguments of the real op: a complex dtype becomes that of its parts, a complex tensor its real parts. */
function realArguments(args: readonly unknown[]): unknown[] {
  return args.map((x) => (x instanceof DType ? x.real : x instanceof Tensor && x.dtype.is_complex ? part(x, 0).detach() : x));
}

/** Whether the result is to be real: a real dtype that was asked for stands. */
const staysReal = (args: readonly unknown[]): boolean => args.some((x) => x instanceof DType && !x.is_complex);

/** `z`, which asks for a gradient where the real op's result did. */
const leafLike = (real: Tensor, z: Tensor): Tensor => (real.requires_grad ? z.requires_grad_() : z);

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
    const out = callBound(name, realArguments(given));
    return staysReal(given) ? out : leafLike(out, joined(out.detach(), null));
  });
}

for (const name of ["full", "full_like", "new_full"]) {
  complexRule(name, (...given: unknown[]) => {
    const at = registry.get(name)!.info.signature.names.indexOf("fill_value");
    const value = given[at];
    const args = realArguments(given);
    if (staysReal(given)) return callBound(name, args);
    const [re, im] = (value instanceof Complex ? [value.re, value.im] : [Number(value), 0]).map((v) =>
      callBound(name, args.with(at, v)),
    ) as [Tensor, Tensor];
    const type = re.dtype.complex.real; // whole numbers fill integers
    return leafLike(re, joined(re.to(type).detach(), im.to(type).detach()));
  });
}

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
    const pairs = callBound(name, realArguments([[...size, 2], ...rest]));
    const parts = name === "randn" ? pairs.detach().mul(Math.SQRT1_2) : pairs.detach();
    return leafLike(pairs, viewAsComplex(parts.contiguous()));
  });
}
for (const name of ["rand_like", "randn_like"]) {
  complexRule(name, (input: Tensor, dtype: DType | null, device: unknown, requires_grad: boolean, generator: unknown) => {
    const draw = registry.get(name.slice(0, -"_like".length)) as unknown as Call;
    const place = device ?? input.device;
    return draw([...input.shape], { dtype: dtype ?? input.dtype, device: place, requires_grad, generator });
  });
}
