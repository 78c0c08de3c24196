/** Ops that move, pick or add up complex numbers: the same for real and imaginary parts. */

import { Complex, type DType, isScalar } from "../../core/dtype.ts";
import { RuntimeError } from "../../core/errors.ts";
import { Tensor } from "../../core/tensor.ts";
import { complexRule, joined, part } from "../../engine/complex.ts";
import { registry } from "../install.ts";
import { zeros_like } from "../creation.ts";
import { callBound, complexType, type Operand } from "./numbers.ts";

type Call = (...args: unknown[]) => unknown;

const valueOf = (x: unknown, which: 0 | 1, dtype: DType): unknown => {
  if (Array.isArray(x)) return x.map((y) => valueOf(y, which, dtype));
  if (x instanceof Complex) return which === 0 ? x.re : x.im;
  if (x instanceof Tensor) {
    if (x.dtype.is_complex) return part(x, which).to(dtype.real);
    return which === 0 ? x.to(dtype.real) : zeros_like(x, { dtype: dtype.real });
  }
  return isScalar(x) && which === 1 ? 0 : x;
};
const flat = (x: unknown): Operand[] => (Array.isArray(x) ? x.flatMap(flat) : [x as Operand]);

/** `values`: places of the arguments that are numbers of the result; all else is handed on as it is. `own`: the first one must be complex itself. */
function partwise(name: string, values: readonly number[] = [0], own = false): void {
  complexRule(name, function (this: Call, ...args: unknown[]) {
    args.forEach((x, i) => {
      if (values.includes(i) || !(x instanceof Complex || (x instanceof Tensor && x.dtype.is_complex))) return;
      throw new RuntimeError(`${name}: argument ${i + 1} must be real, got ${x instanceof Tensor ? x.dtype : x}`);
    });
    if (own && !(args[0] as Tensor).dtype.is_complex) {
      throw new RuntimeError(`${name}: a complex value cannot be converted to ${(args[0] as Tensor).dtype}`);
    }
    const dtype = complexType(
      name,
      values.flatMap((i) => flat(args[i])).filter((x) => x !== null && x !== undefined),
    );
    // By the op itself, which need not be a public one, but for arguments that have to be named.
    const named = registry.get(name)?.info.signature;
    const call = (own: unknown[]): Tensor =>
      named !== undefined && named.positional < named.names.length ? callBound(name, own) : (this(...own) as Tensor);
    const [re, im] = ([0, 1] as const).map((which) =>
      call(
        args.map((x, i) =>
          values.includes(i) ? valueOf(x, which, dtype) : (x as DType | null)?.is_complex === true ? (x as DType).real : x,
        ),
      ),
    );
    return joined(re!, im!);
  });
}

for (const name of [
  "sum",
  "mean",
  "nansum",
  "cumsum",
  "sum_to_size",
  "trace",
  "flip",
  "roll",
  "repeat",
  "tile",
  "take",
  "gather",
])
  partwise(name);
for (const name of [
  "index_select",
  "masked_select",
  "take_along_dim",
  "tril",
  "triu",
  "diag",
  "diag_embed",
  "repeat_interleave",
  "unfold",
])
  partwise(name);
for (const name of ["cat", "stack", "index", "__getitem__"]) partwise(name);
partwise("constant_pad_nd", [0, 2]);
partwise("masked_fill", [0, 2], true);
partwise("masked_scatter", [0, 2], true);
partwise("copy", [0, 1]);
partwise("im2col");
partwise("col2im");
partwise("index_put", [0, 2]);
partwise("put", [0, 2]);
partwise("index_add", [0, 3]);
partwise("index_copy", [0, 3]);
partwise("index_fill", [0, 3]);
partwise("scatter", [0, 3]);
partwise("scatter_add", [0, 3]);
for (const name of ["slice_scatter", "select_scatter", "diagonal_scatter"]) partwise(name, [0, 1]);

complexRule("vector_norm", function (this: Call, x: Tensor, ...rest: unknown[]) {
  // The primitive has three more arguments, the public function a dtype to be named.
  const dtype = (rest[3] as DType | null | undefined)?.real;
  return this(x.abs(), ...rest.slice(0, 3), ...(dtype === undefined ? [] : [{ dtype }]));
});
complexRule("where", (first: Tensor, second: Operand | null, third: Operand | null) => {
  // The method has the tensor first, the function the condition.
  const method =
    first.dtype.is_complex || (second instanceof Tensor && second.dtype.name === "bool" && first.dtype.name !== "bool");
  const [condition, x, y] = method ? [second as Tensor, first as Operand, third] : [first, second, third];
  const where = registry.get("where") as unknown as Call;
  if (x === null || y === null) return where(condition);
  const dtype = complexType("where", [x, y]);
  const [re, im] = ([0, 1] as const).map((which) => where(condition, valueOf(x, which, dtype), valueOf(y, which, dtype)));
  return joined(re as Tensor, im as Tensor);
});
