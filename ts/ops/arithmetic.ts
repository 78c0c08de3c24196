/** Sums, products, quotients, powers: elementwise arithmetic on two tensors or a tensor and a number. */

import { Category, type Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Op } from "../engine/define.ts";
import { pointwise } from "../engine/pointwise.ts";
import type { Args } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";

/** A tensor, or a number in its place. */
export type Operand = Tensor | Scalar;
export type UnaryOp = Op<[input: Tensor], Tensor, "method" | "inplace">;
export type BinaryOp = Op<[input: Tensor, ...Args<[{ other: Operand }]>], Tensor, "method" | "inplace">;
type AddOp = Op<[input: Tensor, ...Args<[{ other: Operand }], { alpha?: Scalar }>], Tensor, "method" | "inplace">;

const both = ["input", "other"];

function checkAlpha(name: string) {
  return ({ alpha }: { alpha?: Scalar }, dtype: { category: Category }): void => {
    if (typeof alpha === "number" && !Number.isInteger(alpha) && dtype.category < Category.floating) {
      throw new RuntimeError(`${name}: for integral input tensors, argument alpha must not be a floating point number, got ${alpha}`);
    }
    if (typeof alpha === "boolean" && dtype.category !== Category.bool) {
      throw new RuntimeError(`${name}: boolean alpha only supported for boolean results`);
    }
  };
}

export const add: AddOp = pointwise("add", "input, other, *, alpha=1", {
  doc: "input + alpha * other.",
  inplace: true,
  tensors: both,
  scalars: ["alpha"],
  check: checkAlpha("add"),
  variant: ({ alpha }) => (alpha === 1 ? "" : "alpha"),
  expr: ({ input, other, alpha }, p) => (p.alpha === 1 ? e.add(input, other) : e.madd(other, alpha, input)),
  grad: {
    input: [[], (g) => g],
    other: [[], (g, { alpha }) => (alpha === 1 ? g : g.mul(alpha as number))],
  },
});

export const mul: BinaryOp = pointwise("mul", "input, other", {
  doc: "input * other.",
  inplace: true,
  tensors: both,
  expr: ({ input, other }) => e.mul(input, other),
  grad: {
    input: [["other"], (g, { other }) => g.mul(other)],
    other: [["input"], (g, { input }) => g.mul(input)],
  },
});
