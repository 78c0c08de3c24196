/** What functions of one number are written with. */

import type { Tensor } from "../core/tensor.ts";
import { pointwise, type GradRule } from "../engine/pointwise.ts";
import { e } from "../kernel/builder.ts";
import type { Expr } from "../kernel/expr.ts";
import type { UnaryOp } from "./arithmetic.ts";

type Formula = (g: Tensor, input: Tensor) => Tensor;

/** A gradient in terms of the input. */
export const ofInput = (formula: Formula): GradRule => [["input"], (g, { input }) => formula(g, input as Tensor)];
/** A gradient in terms of the result. */
export const ofResult = (formula: Formula): GradRule => [["out"], (g, { out }) => formula(g, out as Tensor)];
/** A function that gives integers a floating result. */
export function unary(name: string, doc: string, expr: (x: Expr) => Expr, input?: GradRule): UnaryOp {
  return pointwise(name, "input", {
    doc,
    inplace: true,
    dtype: "float",
    expr: ({ input: x }) => expr(x!),
    ...(input === undefined ? {} : { grad: { input } }),
  });
}

/** x * log(y) is 0 where x is, whatever y; NaN where y is. */
export function xTimesLog(x: Expr, y: Expr, log: (y: Expr) => Expr): Expr {
  return e.where(e.isnan(y), y, e.where(e.eq(x, 0), 0, e.mul(x, log(y))));
}
