/** The greater and the lesser of two, and keeping values within bounds. */

import { RuntimeError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { pointwise, type GradRule, type Values } from "../engine/pointwise.ts";
import type { Args } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";
import type { Expr } from "../kernel/expr.ts";
import type { Operand } from "./arithmetic.ts";

const both = ["input", "other"];
type PairOp = Op<[input: Tensor, ...Args<[{ other: Tensor }]>], Tensor, "method">;

/** Where both are equal, each gets half of the gradient. */
function halved(name: "lt" | "gt", mine: "input" | "other"): GradRule {
  const theirs = mine === "input" ? "other" : "input";
  return [
    both,
    (g, values) => {
      const a = values[mine] as Tensor;
      const b = values[theirs] as Tensor;
      return g.where(a.ne(b), g.div(2)).masked_fill(a[name](b), 0);
    },
  ];
}

export const maximum: PairOp = pointwise("maximum", "input, other", {
  doc: "The greater of both; NaN where one is NaN.",
  tensors: both,
  expr: ({ input, other }) => e.maximum(input!, other!),
  grad: { input: halved("lt", "input"), other: halved("lt", "other") },
});

export const minimum: PairOp = pointwise("minimum", "input, other", {
  doc: "The lesser of both; NaN where one is NaN.",
  tensors: both,
  expr: ({ input, other }) => e.minimum(input!, other!),
  grad: { input: halved("gt", "input"), other: halved("gt", "other") },
});

/** On ties, and where other is NaN, the gradient goes to the input. */
function chosen(name: "ge" | "le", own: boolean): GradRule {
  return [
    both,
    (g, { input, other }) => {
      const [a, b] = [input as Tensor, other as Tensor];
      const first = a[name](b).logical_or(b.isnan());
      return g.masked_fill(own ? first.logical_not() : first, 0);
    },
  ];
}

export const fmax: PairOp = pointwise("fmax", "input, other", {
  doc: "The greater of both; NaN only where both are.",
  tensors: both,
  expr: ({ input, other }) => e.fmax(input!, other!),
  grad: { input: chosen("ge", true), other: chosen("ge", false) },
});

export const fmin: PairOp = pointwise("fmin", "input, other", {
  doc: "The lesser of both; NaN only where both are.",
  tensors: both,
  expr: ({ input, other }) => e.fmin(input!, other!),
  grad: { input: chosen("le", true), other: chosen("le", false) },
});

type BoundOp<N extends "min" | "max"> = Op<[input: Tensor, ...Args<[{ [K in N]: Operand }]>], Tensor, "method" | "inplace">;

/** The gradient passes where the value stays; what replaced it gets the rest. */
function boundGrads(bound: string, within: "ge" | "le", beyond: "lt" | "gt"): Record<string, GradRule> {
  const saves = ["input", bound];
  return {
    input: [saves, (g, values) => g.where((values.input as Tensor)[within](values[bound] as Operand), 0)],
    [bound]: [saves, (g, values) => g.where((values.input as Tensor)[beyond](values[bound] as Operand), 0)],
  };
}

export const clamp_min: BoundOp<"min"> = pointwise("clamp_min", "input, min", {
  doc: "max(input, min).",
  inplace: true,
  tensors: ["input", "min"],
  expr: ({ input, min }) => e.maximum(input!, min!),
  grad: boundGrads("min", "ge", "lt"),
});

export const clamp_max: BoundOp<"max"> = pointwise("clamp_max", "input, max", {
  doc: "min(input, max).",
  inplace: true,
  tensors: ["input", "max"],
  expr: ({ input, max }) => e.minimum(input!, max!),
  grad: boundGrads("max", "le", "gt"),
});

interface Bounds {
  readonly input: Tensor;
  readonly min: Operand;
  readonly max: Operand;
}

const exceeds = (a: Operand, b: Operand): Operand =>
  a instanceof Tensor ? a.gt(b) : b instanceof Tensor ? b.lt(a) : Number(a) > Number(b);

const clampBoth: Op<[input: Tensor, min: Operand, max: Operand], Tensor> = pointwise("clamp", "input, min, max", {
  doc: "min(max(input, min), max).",
  method: false,
  tensors: ["input", "min", "max"],
  expr: ({ input, min, max }) => bounded(input!, min!, max!),
  grad: {
    input: [
      ["input", "min", "max"],
      (g, values: Values) => {
        const { input, min, max } = values as unknown as Bounds;
        return g.where(input.ge(min).logical_and(input.le(max)), 0);
      },
    ],
    min: [
      ["input", "min", "max"],
      (g, values: Values) => {
        const { input, min, max } = values as unknown as Bounds;
        return g.where(input.lt(min).logical_and(exceeds(max, min) as Tensor), 0);
      },
    ],
    max: [
      ["input", "min", "max"],
      (g, values: Values) => {
        const { input, min, max } = values as unknown as Bounds;
        return g.where(input.gt(max).logical_or(exceeds(min, max) as Tensor), 0);
      },
    ],
  },
});

const bounded = (x: Expr, min: Expr, max: Expr): Expr => e.minimum(e.maximum(x, min), max);

type ClampOp = Op<[input: Tensor, ...Args<[{ min?: Operand | null }, { max?: Operand | null }]>], Tensor, "method" | "inplace">;

export const clamp: ClampOp = composite(
  "clamp",
  "input, min=None, max=None",
  {
    doc: "input kept within [min, max]; max wins where min is greater.",
    inplace: true,
  },
  (input: Tensor, min: Operand | null, max: Operand | null) => {
    if (min === null && max === null) throw new RuntimeError("clamp: at least one of 'min' or 'max' must not be None");
    if (max === null) return clamp_min(input, min!);
    if (min === null) return clamp_max(input, max);
    return clampBoth(input, min, max);
  },
);
