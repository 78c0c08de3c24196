/** Parts and conjugates of complex numbers, as far as real tensors have them. */

import { Category, get_default_dtype } from "../core/dtype.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { pointwise } from "../engine/pointwise.ts";
import { e } from "../kernel/builder.ts";
import type { UnaryOp } from "./arithmetic.ts";
import { zeros_like } from "./creation.ts";

type PartOp = Op<[input: Tensor], Tensor, "method">;

const itself = (input: Tensor): Tensor => input;

export const conj: PartOp = composite("conj", "input", { doc: "The complex conjugate; a real input itself." }, itself);
export const conj_physical: UnaryOp = composite(
  "conj_physical",
  "input",
  { doc: "The complex conjugate, computed at once; a real input itself.", inplace: true },
  itself,
);
export const resolve_conj: PartOp = composite(
  "resolve_conj",
  "input",
  { doc: "input with a pending conjugation carried out." },
  itself,
);
export const resolve_neg: PartOp = composite(
  "resolve_neg",
  "input",
  { doc: "input with a pending negation carried out." },
  itself,
);
export const angle: PartOp = pointwise("angle", "input", {
  doc: "The angle in the complex plane: pi for negative real numbers, else 0; NaN stays NaN.",
  dtype: (promoted) => (promoted.category < Category.floating ? get_default_dtype() : promoted),
  expr: ({ input }) => e.where(e.isnan(input!), input!, e.where(e.lt(input!, 0), e.constant(Math.PI, input!.dtype), 0)),
  grad: { input: [[], (g) => zeros_like(g)] },
});
