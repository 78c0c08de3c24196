/** Sums, products, quotients, powers: elementwise arithmetic on two tensors or a tensor and a number. */

import {
  Category,
  type Complex,
  float64,
  get_default_dtype,
  int64,
  isScalar,
  scalarCategory,
  type DType,
  type Scalar,
} from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { pointwise, type GradRule, type Values } from "../engine/pointwise.ts";
import type { Args } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";
import type { Expr } from "../kernel/expr.ts";
import { zeros_like } from "./creation.ts";
import { somewhere } from "./domain.ts";

/** A tensor, or a number in its place. */
export type Operand = Tensor | Scalar | Complex;
export type UnaryOp = Op<[input: Tensor], Tensor, "method" | "inplace">;
export type BinaryOp = Op<[input: Tensor, ...Args<[{ other: Operand }]>], Tensor, "method" | "inplace">;
type AddOp = Op<[input: Tensor, ...Args<[{ other: Operand }], { alpha?: Scalar }>], Tensor, "method" | "inplace">;

const both = ["input", "other"];
const isFloating = (x: unknown): boolean => isScalar(x) && scalarCategory(x) === Category.floating;
const isBool = (x: unknown): boolean => (x instanceof Tensor ? x.dtype.category === Category.bool : typeof x === "boolean");

function checkAlpha(name: string, { alpha }: Values, dtype: DType): void {
  if (isFloating(alpha) && dtype.category < Category.floating) {
    throw new RuntimeError(
      `${name}: for integral input tensors, argument alpha must not be a floating point number, got ${alpha}`,
    );
  }
  if (typeof alpha === "boolean" && dtype.category !== Category.bool) {
    throw new RuntimeError(`${name}: boolean alpha only supported for boolean results`);
  }
}

function checkSub(name: string, values: Values, dtype: DType): void {
  if (isBool(values.input) || isBool(values.other)) {
    throw new RuntimeError(
      `${name}: subtraction with a bool tensor is not supported. Use bitwise_xor() or logical_xor() to compare, or convert the tensor first.`,
    );
  }
  checkAlpha(name, values, dtype);
}

const isOne = ({ alpha }: Values): string => (alpha === 1 ? "" : "alpha");
const scaled = (g: Tensor, { alpha }: Values): Tensor => (alpha === 1 ? g : g.mul(alpha));

export const add: AddOp = pointwise("add", "input, other, *, alpha=1", {
  doc: "input + alpha * other.",
  inplace: true,
  tensors: both,
  scalars: ["alpha"],
  check: (values, dtype) => checkAlpha("add", values, dtype),
  variant: isOne,
  expr: ({ input, other, alpha }, p) => (p.alpha === 1 ? e.add(input!, other!) : e.madd(other!, alpha!, input!)),
  grad: {
    input: [[], (g) => g],
    other: [[], scaled],
  },
});

export const sub: AddOp = pointwise("sub", "input, other, *, alpha=1", {
  doc: "input - alpha * other.",
  inplace: true,
  tensors: both,
  scalars: ["alpha"],
  check: (values, dtype) => checkSub("sub", values, dtype),
  variant: isOne,
  expr: ({ input, other, alpha }, p) => (p.alpha === 1 ? e.sub(input!, other!) : e.sub(input!, e.mul(other!, alpha!))),
  grad: {
    input: [[], (g) => g],
    other: [[], (g, p) => scaled(g, p).neg()],
  },
});

type RsubOp = Op<[input: Tensor, ...Args<[{ other: Operand }], { alpha?: Scalar }>], Tensor>;

export const rsub: RsubOp = pointwise("rsub", "input, other, *, alpha=1", {
  doc: "other - alpha * input.",
  method: false,
  tensors: both,
  scalars: ["alpha"],
  check: (values, dtype) => checkSub("rsub", values, dtype),
  variant: isOne,
  expr: ({ input, other, alpha }, p) => (p.alpha === 1 ? e.sub(other!, input!) : e.sub(other!, e.mul(input!, alpha!))),
  grad: {
    input: [[], (g, p) => scaled(g, p).neg()],
    other: [[], (g) => g],
  },
});

export const mul: BinaryOp = pointwise("mul", "input, other", {
  doc: "input * other.",
  inplace: true,
  tensors: both,
  expr: ({ input, other }) => e.mul(input!, other!),
  grad: {
    input: [["other"], (g, { other }) => g.mul(other)],
    other: [["input"], (g, { input }) => g.mul(input)],
  },
});

export type RoundingMode = "trunc" | "floor" | null;
type DivOp = Op<[input: Tensor, ...Args<[{ other: Operand }], { rounding_mode?: RoundingMode }>], Tensor, "method" | "inplace">;

/** Whole numbers have no quotient by zero, and truth values none at all. */
function checkDivisor(name: string, { input, other }: Values, dtype: DType): void {
  if (dtype.category >= Category.floating) return;
  if (dtype.category === Category.bool) {
    throw new RuntimeError(`${name}: not implemented for '${dtype}'; convert the tensors to an integer or floating type`);
  }
  // What is empty divides nothing.
  if ([input, other].some((x) => x instanceof Tensor && x.numel() === 0)) return;
  if (other instanceof Tensor ? somewhere(other, (x) => x.eq(0)) : onCpu(input) && Number(other) === 0) {
    throw new RuntimeError(`${name}: ZeroDivisionError: integer division by zero`);
  }
}
const onCpu = (x: unknown): boolean => x instanceof Tensor && x.is_cpu;

function checkDiv(values: Values, dtype: DType): void {
  const { rounding_mode } = values;
  if (rounding_mode !== null && rounding_mode !== "trunc" && rounding_mode !== "floor") {
    throw new RuntimeError(
      `div: expected rounding_mode to be one of null, "trunc", or "floor" but found ${JSON.stringify(rounding_mode)}`,
    );
  }
  if (rounding_mode !== null) checkDivisor("div", values, dtype);
}

/** The derivative of a quotient by its divisor. */
const quotientGrad = (g: Tensor, { input, other }: Values): Tensor => g.neg().mul(over(input, other).div(other as Tensor));
/** a / b where a may be a number. */
const over = (a: Operand, b: Operand): Tensor => (a instanceof Tensor ? a.div(b) : (b as Tensor).reciprocal().mul(a));

export const div: DivOp = pointwise("div", "input, other, *, rounding_mode=None", {
  doc: 'input / other; rounding_mode "trunc" rounds towards zero, "floor" down. Integers give floats unless rounded. Rounded integers by zero: RuntimeError on cpu, on other devices anything.',
  inplace: true,
  tensors: both,
  dtype: (promoted, { rounding_mode }) => (rounding_mode === null ? toFloat(promoted) : promoted),
  check: checkDiv,
  expr({ input, other }, { rounding_mode }, dtype) {
    if (rounding_mode === "floor") return e.floor_divide(input!, other!);
    const q = e.div(input!, other!);
    return rounding_mode === "trunc" && dtype.is_floating_point ? e.trunc(q) : q;
  },
  grad: {
    input: [["other"], (g, { other, rounding_mode }) => (rounding_mode === null ? g.div(other) : zeros_like(g))],
    other: [["input", "other"], (g, values) => (values.rounding_mode === null ? quotientGrad(g, values) : zeros_like(g))],
  },
});

export const true_divide: BinaryOp = pointwise("true_divide", "input, other", {
  doc: "input / other, in a floating type.",
  inplace: true,
  tensors: both,
  dtype: "float",
  expr: ({ input, other }) => e.div(input!, other!),
  grad: {
    input: [["other"], (g, { other }) => g.div(other)],
    other: [["input", "other"], quotientGrad],
  },
});

export const floor_divide: BinaryOp = pointwise("floor_divide", "input, other", {
  doc: "input / other rounded down, in the type of the arguments. Integers by zero: RuntimeError on cpu, on other devices anything.",
  inplace: true,
  tensors: both,
  check: (values, dtype) => checkDivisor("floor_divide", values, dtype),
  expr: ({ input, other }) => e.floor_divide(input!, other!),
});

/** d/d(divisor) of what a division leaves is minus its rounded quotient. */
const restGrad = (mode: "floor" | "trunc"): GradRule => [
  ["input", "other"],
  (g, { input, other }) => {
    const quotient = input instanceof Tensor ? input : (other as Tensor).new_full([], input as Scalar);
    return g.neg().mul(quotient.div(other as Tensor, { rounding_mode: mode }));
  },
];

export const remainder: BinaryOp = pointwise("remainder", "input, other", {
  doc: "input modulo other, with other's sign, as Python's %. Integers by zero: RuntimeError on cpu, on other devices anything.",
  inplace: true,
  tensors: both,
  check: (values, dtype) => checkDivisor("remainder", values, dtype),
  expr({ input, other }, _, dtype) {
    const rest = e.remainder(input!, other!);
    if (!dtype.is_floating_point) return rest;
    // As in PyTorch, a quotient beyond the type's range leaves no number.
    const overflows = e.and(e.isinf(e.div(input!, other!)), e.lt(e.abs(input!), Infinity));
    return e.where(overflows, e.constant(NaN, dtype), rest);
  },
  grad: { input: [[], (g) => g], other: restGrad("floor") },
});

export const fmod: BinaryOp = pointwise("fmod", "input, other", {
  doc: "input modulo other, with input's sign, as C's fmod. Integers by zero: RuntimeError on cpu, on other devices anything.",
  inplace: true,
  tensors: both,
  check: (values, dtype) => checkDivisor("fmod", values, dtype),
  expr: ({ input, other }) => e.fmod(input!, other!),
  grad: { input: [[], (g) => g], other: restGrad("trunc") },
});

type PowOp = Op<[input: Operand, ...Args<[{ exponent: Operand }]>], Tensor, "method" | "inplace">;

/** A power whose exponent is a number is a product where that is exact or usual. */
function powExpr(x: Expr, y: Expr, exponent: unknown): Expr {
  switch (isScalar(exponent) ? Number(exponent) : null) {
    case 0.5:
      return x.dtype.is_floating_point ? e.sqrt(x) : e.pow(x, y);
    case 1:
      return x;
    case 2:
      return e.mul(x, x);
    case 3:
      return e.mul(e.mul(x, x), x);
    case -0.5:
      return x.dtype.is_floating_point ? e.rsqrt(x) : e.pow(x, y);
    case -1:
      return e.reciprocal(x);
    case -2:
      return e.reciprocal(e.mul(x, x));
    default:
      return e.pow(x, y);
  }
}

const special = new Set([0.5, 1, 2, 3, -0.5, -1, -2]);

function powInputGrad(g: Tensor, { input, exponent }: Values): Tensor {
  const x = input as Tensor;
  if (exponent instanceof Tensor) {
    const slope = exponent.mul(x.pow(exponent.sub(1)));
    return g.mul(slope).masked_fill(exponent.eq(0), 0);
  }
  const n = Number(exponent);
  if (n === 0) return zeros_like(g);
  return g.mul(n === 1 ? 1 : n === 2 ? x.mul(2) : x.pow(n - 1).mul(n));
}

function powExponentGrad(g: Tensor, { input, exponent, out }: Values): Tensor {
  const y = exponent as Tensor;
  const result = out as Tensor;
  if (!(input instanceof Tensor)) {
    const base = Number(input);
    const slope = g.mul(result.mul(Math.log(base)));
    return base === 0 ? slope.masked_fill(y.ge(0), 0) : slope;
  }
  const x = input.to(result.dtype);
  // 0^y is flat for y >= 0, where the product below would be 0 * -inf.
  return g.mul(result.mul(x.log())).masked_fill(x.eq(0).logical_and(y.ge(0)), 0);
}

export const pow: PowOp = pointwise("pow", "input, exponent", {
  doc: "input to the power of exponent.",
  inplace: true,
  tensors: ["input", "exponent"],
  variant: ({ exponent }) => (isScalar(exponent) && special.has(Number(exponent)) ? String(Number(exponent)) : ""),
  check({ exponent }, dtype) {
    if (dtype.category < Category.floating && isScalar(exponent) && Number(exponent) < 0) {
      throw new RuntimeError(`pow: integers to negative integer powers are not allowed, got exponent ${exponent}`);
    }
  },
  expr: ({ input, exponent }, p, dtype) =>
    dtype.category === Category.bool ? e.or(input!, e.not(exponent!)) : powExpr(input!, exponent!, p.exponent),
  grad: {
    input: [["input", "exponent"], powInputGrad],
    exponent: [["input", "exponent", "out"], powExponentGrad],
  },
});

export const float_power: PowOp = composite(
  "float_power",
  "input, exponent",
  {
    doc: "input to the power of exponent, in float64.",
    inplace: true,
    tensors: ["input", "exponent"],
  },
  (input: Operand, exponent: Operand) => {
    const wide = (x: Operand): Operand => (x instanceof Tensor ? x.to(float64) : x);
    return pow(wide(input), wide(exponent));
  },
);

const zero: GradRule = [[], (g) => zeros_like(g)];

export const neg: UnaryOp = pointwise("neg", "input", {
  doc: "-input.",
  inplace: true,
  check({ input }) {
    if (isBool(input)) throw new RuntimeError("neg: negation is not supported on a bool tensor. Use logical_not() instead.");
  },
  expr: ({ input }) => e.neg(input!),
  grad: { input: [[], (g) => g.neg()] },
});

export const positive: Op<[input: Tensor], Tensor, "method"> = composite(
  "positive",
  "input",
  {
    doc: "input itself.",
  },
  (input: Tensor) => {
    if (isBool(input)) throw new RuntimeError("positive: the + operator is not supported on a bool tensor");
    return input;
  },
);

export const reciprocal: UnaryOp = pointwise("reciprocal", "input", {
  doc: "1 / input.",
  inplace: true,
  dtype: "float",
  expr: ({ input }) => e.reciprocal(input!),
  grad: { input: [["out"], (g, { out }) => g.neg().mul((out as Tensor).mul(out))] },
});

export const square: UnaryOp = pointwise("square", "input", {
  doc: "input².",
  inplace: true,
  dtype: (promoted) => (promoted.category === Category.bool ? int64 : promoted),
  expr: ({ input }) => e.mul(input!, input!),
  grad: { input: [["input"], (g, { input }) => g.mul((input as Tensor).mul(2))] },
});

export const abs: UnaryOp = pointwise("abs", "input", {
  doc: "|input|; its derivative at 0 is 0.",
  inplace: true,
  expr: ({ input }) => e.abs(input!),
  grad: { input: [["input"], (g, { input }) => g.mul((input as Tensor).sgn())] },
});

export const sign: UnaryOp = pointwise("sign", "input", {
  doc: "-1, 0 or 1 by input's sign.",
  inplace: true,
  expr: ({ input }, _, dtype) => signOf(input!, dtype),
  grad: { input: zero },
});

export const sgn: UnaryOp = pointwise("sgn", "input", {
  doc: "sign, of complex numbers too.",
  inplace: true,
  expr: ({ input }, _, dtype) => signOf(input!, dtype),
  grad: { input: zero },
});

/** NaN has sign 0 in PyTorch. */
function signOf(x: Expr, dtype: DType): Expr {
  if (dtype.category === Category.bool) return x;
  return dtype.is_floating_point ? e.where(e.isnan(x), 0, e.sign(x)) : e.sign(x);
}

type AddcOp = Op<
  [input: Tensor, ...Args<[{ tensor1: Tensor }, { tensor2: Tensor }], { value?: Scalar }>],
  Tensor,
  "method" | "inplace"
>;
const three = ["input", "tensor1", "tensor2"];

function checkValue(name: string, { value }: Values, dtype: DType): void {
  if (isFloating(value) && dtype.category < Category.floating) {
    throw new RuntimeError(
      `${name}: for integral input tensors, argument value must not be a floating point number, got ${value}`,
    );
  }
}

export const addcmul: AddcOp = pointwise("addcmul", "input, tensor1, tensor2, *, value=1", {
  doc: "input + value * tensor1 * tensor2.",
  kinds: { input: "tensor", tensor1: "tensor", tensor2: "tensor" },
  inplace: true,
  tensors: three,
  scalars: ["value"],
  check: (values, dtype) => checkValue("addcmul", values, dtype),
  expr: ({ input, tensor1, tensor2, value }) => e.add(input!, e.mul(e.mul(value!, tensor1!), tensor2!)),
  grad: {
    input: [[], (g) => g],
    tensor1: [["tensor2"], (g, { tensor2, value }) => g.mul((tensor2 as Tensor).mul(value))],
    tensor2: [["tensor1"], (g, { tensor1, value }) => g.mul((tensor1 as Tensor).mul(value))],
  },
});

export const addcdiv: AddcOp = pointwise("addcdiv", "input, tensor1, tensor2, *, value=1", {
  doc: "input + value * tensor1 / tensor2.",
  kinds: { input: "tensor", tensor1: "tensor", tensor2: "tensor" },
  inplace: true,
  tensors: three,
  scalars: ["value"],
  check({ tensor1, tensor2 }) {
    if ([tensor1, tensor2].every((t) => t instanceof Tensor && !t.dtype.is_floating_point)) {
      throw new RuntimeError(
        "addcdiv: integer division with addcdiv is not supported; convert tensor1 and tensor2 to a floating type, or use div with a rounding_mode",
      );
    }
  },
  expr: ({ input, tensor1, tensor2, value }) => e.add(input!, e.div(e.mul(value!, tensor1!), tensor2!)),
  grad: {
    input: [[], (g) => g],
    tensor1: [["tensor2"], (g, { tensor2, value }) => g.mul((tensor2 as Tensor).reciprocal().mul(value))],
    tensor2: [
      ["tensor1", "tensor2"],
      (g, { tensor1, tensor2, value }) => g.neg().mul((tensor1 as Tensor).mul(value).div((tensor2 as Tensor).mul(tensor2))),
    ],
  },
});

type LerpOp = Op<[input: Tensor, ...Args<[{ end: Tensor }, { weight: Operand }]>], Tensor, "method" | "inplace">;

const complement = (weight: Operand): Operand => (weight instanceof Tensor ? rsub(weight, 1) : 1 - Number(weight));

export const lerp: LerpOp = pointwise("lerp", "input, end, weight", {
  doc: "input + weight * (end - input).",
  inplace: true,
  tensors: ["input", "end", "weight"],
  check({ input, end, weight }) {
    const type = (input as Tensor).dtype;
    for (const [name, t] of [
      ["end", end],
      ["weight", weight],
    ] as const) {
      if (t instanceof Tensor && t.dtype !== type) {
        throw new RuntimeError(`lerp: expected dtype ${type} for \`${name}\` but got dtype ${t.dtype}`);
      }
    }
  },
  // From the nearer end, so that weights 0 and 1 give the ends exactly.
  expr({ input, end, weight }) {
    const step = e.sub(end!, input!);
    const near = e.add(input!, e.mul(weight!, step));
    const far = e.sub(end!, e.mul(step, e.sub(1, weight!)));
    return e.where(e.lt(e.abs(weight!), 0.5), near, far);
  },
  grad: {
    input: [["weight"], (g, { weight }) => g.mul(complement(weight as Operand))],
    end: [["weight"], (g, { weight }) => g.mul(weight)],
    weight: [["input", "end"], (g, { input, end }) => g.mul((end as Tensor).sub(input))],
  },
});

export const copysign: BinaryOp = pointwise("copysign", "input, other", {
  doc: "|input| with other's sign.",
  inplace: true,
  tensors: both,
  dtype: "float",
  expr: ({ input, other }) => e.copysign(input!, other!),
  grad: {
    input: [["input", "out"], (g, { input, out }) => g.mul((out as Tensor).div(input).masked_fill((input as Tensor).eq(0), 0))],
    other: zero,
  },
});

export const heaviside: Op<[input: Tensor, ...Args<[{ values: Tensor }]>], Tensor, "method" | "inplace"> = pointwise(
  "heaviside",
  "input, values",
  {
    doc: "0 below zero, 1 above, values at zero.",
    inplace: true,
    tensors: ["input", "values"],
    check({ input, values }) {
      const [a, b] = [(input as Tensor).dtype, (values as Tensor).dtype];
      if (a !== b) throw new RuntimeError(`heaviside: tensors of different dtypes are not supported, got ${a} and ${b}`);
    },
    expr: ({ input, values }, _, dtype) => e.where(e.eq(input!, 0), values!, e.cast(e.gt(input!, 0), dtype)),
  },
);

function toFloat(dtype: DType): DType {
  return dtype.is_floating_point ? dtype : get_default_dtype();
}
