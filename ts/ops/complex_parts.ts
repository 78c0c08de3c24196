/** Parts, conjugates and pairs: what is particular to complex numbers. */

import { Category, type DType, get_default_dtype } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import { complexRule, joined, part, viewAsComplex, viewAsReal } from "../engine/complex.ts";
import { composite, type Op } from "../engine/define.ts";
import { pointwise } from "../engine/pointwise.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";
import type { UnaryOp } from "./arithmetic.ts";
import { where } from "./compare.ts";
import { zeros_like } from "./creation.ts";

type PartOp = Op<[input: Tensor], Tensor, "method">;
type PartFn = Op<[input: Tensor], Tensor>;

const itself = (input: Tensor): Tensor => input;
const conjugate = (z: Tensor): Tensor => joined(part(z, 0), part(z, 1).neg());

export const conj: PartOp = composite("conj", "input", { doc: "The complex conjugate; a real input itself." }, itself);
export const conj_physical: UnaryOp = composite(
  "conj_physical",
  "input",
  { doc: "The complex conjugate, computed at once; a real input itself.", inplace: true },
  itself,
);
for (const name of ["conj", "conj_physical"]) complexRule(name, conjugate);

export const resolve_conj: PartOp = composite(
  "resolve_conj",
  "input",
  { doc: "input with a pending conjugation carried out: here conjugates are computed at once." },
  itself,
);
export const resolve_neg: PartOp = composite(
  "resolve_neg",
  "input",
  { doc: "input with a pending negation carried out: here negation is computed at once." },
  itself,
);

export const real: PartFn = composite(
  "real",
  "input",
  { doc: "The real parts, a view; a real input itself.", method: false },
  itself,
);
complexRule("real", (z: Tensor) => part(z, 0));
export const imag: PartFn = composite(
  "imag",
  "input",
  { doc: "The imaginary parts, a view.", method: false },
  (input: Tensor) => {
    throw new RuntimeError(`imag: is not implemented for tensors with non-complex dtypes, got ${input.dtype}`);
  },
);
complexRule("imag", (z: Tensor) => part(z, 1));

export const angle: PartOp = pointwise("angle", "input", {
  doc: "The angle in the complex plane; of real numbers pi where they are negative, else 0; NaN stays NaN.",
  dtype: (promoted) => (promoted.category < Category.floating ? get_default_dtype() : promoted),
  expr: ({ input }) => e.where(e.isnan(input!), input!, e.where(e.lt(input!, 0), e.constant(Math.PI, input!.dtype), 0)),
  grad: { input: [[], (g) => zeros_like(g)] },
});
complexRule("angle", (z: Tensor) => {
  const [re, im] = [part(z, 0), part(z, 1)];
  // At 0 the gradient is 0.
  const zero = re.eq(0).logical_and(im.eq(0));
  return where(zero, im.mul(0), im.atan2(where(zero, 1, re)));
});

export const view_as_real: PartFn = composite(
  "view_as_real",
  "input",
  { doc: "A complex tensor's memory as [..., 2] reals.", method: false },
  (input: Tensor) => {
    throw new RuntimeError(`view_as_real is only supported for complex tensors, got ${input.dtype}`);
  },
);
complexRule("view_as_real", viewAsReal);
export const view_as_complex: PartFn = composite(
  "view_as_complex",
  "input",
  {
    doc: "The memory of [..., 2] reals as complex numbers. The last stride must be 1, the others and the offset even.",
    method: false,
  },
  (input: Tensor) => {
    if (input.dtype.itemsize < 4 || !input.dtype.is_floating_point) {
      throw new RuntimeError(`view_as_complex is only supported for float32 and float64 tensors, got ${input.dtype}`);
    }
    return viewAsComplex(input);
  },
);
complexRule("view_as_complex", (z: Tensor) => {
  throw new RuntimeError(`view_as_complex is only supported for float32 and float64 tensors, got ${z.dtype}`);
});

function checkParts(name: string, a: Tensor, b: Tensor): DType {
  checkTensor(name, "first", a);
  checkTensor(name, "second", b);
  if (a.dtype !== b.dtype) throw new RuntimeError(`${name}: expected both parts of one dtype, got ${a.dtype} and ${b.dtype}`);
  if (!a.dtype.is_floating_point || a.dtype.itemsize < 4) {
    throw new RuntimeError(`${name}: expected both inputs to be Float or Double tensors, got ${a.dtype}`);
  }
  return a.dtype;
}

type JoinOp<A extends string, B extends string> = Op<[first: Tensor, ...Args<[{ [K in B]: Tensor }]>], Tensor> & {
  readonly _first?: A;
};
export const complex: JoinOp<"real", "imag"> = composite(
  "complex",
  "real, imag",
  { doc: "Complex numbers of these real and imaginary parts.", method: false },
  (re: Tensor, im: Tensor) => {
    checkParts("complex", re, im);
    return joined(re, im);
  },
);
export const polar: JoinOp<"abs", "angle"> = composite(
  "polar",
  "abs, angle",
  { doc: "Complex numbers of these absolute values and angles.", method: false },
  (abs: Tensor, angle_: Tensor) => {
    checkParts("polar", abs, angle_);
    return joined(abs.mul(angle_.cos()), abs.mul(angle_.sin()));
  },
);
