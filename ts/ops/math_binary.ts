/** Functions of two numbers, elementwise. */

import { Category, float64, FloatScalar, int32, type DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, named, type Op } from "../engine/define.ts";
import { pointwise, type Values } from "../engine/pointwise.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";
import type { Expr } from "../kernel/expr.ts";
import { pow, type BinaryOp, type Operand } from "./arithmetic.ts";
import { xTimesLog } from "./unary.ts";

const both = ["input", "other"];
type TensorPairOp = Op<[input: Tensor, ...Args<[{ other: Tensor }]>], Tensor, "method" | "inplace">;
type PlainPairOp = Op<[input: Tensor, ...Args<[{ other: Tensor }]>], Tensor, "method">;

interface Pair {
  readonly input: Tensor;
  readonly other: Tensor;
  readonly out: Tensor;
}
const pair = (values: Values): Pair => values as unknown as Pair;

function checkFloating(name: string): (values: Values, dtype: DType) => void {
  return (_values, dtype) => {
    if (dtype.category < Category.floating) throw new RuntimeError(`${name}: only floating types are supported, got ${dtype}`);
  };
}

function checkIntegral(name: string): (values: Values, dtype: DType) => void {
  return (_values, dtype) => {
    if (dtype.category !== Category.integral) throw new RuntimeError(`${name}: only integral types are supported, got ${dtype}`);
  };
}

export const atan2: TensorPairOp = pointwise("atan2", "input, other", {
  doc: "The angle of the point (other, input), in (-pi, pi].",
  inplace: true,
  tensors: both,
  dtype: "float",
  expr: ({ input, other }) => e.atan2(input!, other!),
  grad: {
    input: [both, (g, v) => g.mul(pair(v).other.div(norm2(v)))],
    other: [both, (g, v) => g.mul(pair(v).input.neg().div(norm2(v)))],
  },
});

function norm2(values: Values): Tensor {
  const { input, other } = pair(values);
  return input.mul(input).add(other.mul(other));
}

export const hypot: TensorPairOp = pointwise("hypot", "input, other", {
  doc: "sqrt(input² + other²).",
  inplace: true,
  tensors: both,
  check: checkFloating("hypot"),
  expr: ({ input, other }) => e.hypot(input!, other!),
  grad: {
    input: [["input", "out"], (g, v) => g.mul(pair(v).input.div(pair(v).out))],
    other: [["other", "out"], (g, v) => g.mul(pair(v).other.div(pair(v).out))],
  },
});

export const nextafter: TensorPairOp = pointwise("nextafter", "input, other", {
  doc: "The next representable value from input towards other.",
  inplace: true,
  tensors: both,
  widen: false,
  check: checkFloating("nextafter"),
  expr: ({ input, other }) => e.nextafter(input!, other!),
});

export const ldexp: BinaryOp = composite(
  "ldexp",
  "input, other",
  { doc: "input * 2^other.", inplace: true, tensors: ["other"] },
  (input: Tensor, other: Operand) => {
    checkTensor("ldexp", "input", input);
    return input.mul(pow(new FloatScalar(2), other));
  },
);

/** log(b^x + b^y) without overflow. */
function logAdd(x: Expr, y: Expr, exp: (x: Expr) => Expr, log1p: (x: Expr) => Expr): Expr {
  const sum = e.add(e.maximum(x, y), log1p(exp(e.neg(e.abs(e.sub(x, y))))));
  return e.where(e.and(e.eq(x, y), e.isinf(x)), x, sum);
}

export const logaddexp: PlainPairOp = pointwise("logaddexp", "input, other", {
  doc: "log(e^input + e^other), without overflow.",
  tensors: both,
  check: checkFloating("logaddexp"),
  expr: ({ input, other }) => logAdd(input!, other!, e.exp, e.log1p),
  grad: {
    input: [both, (g, v) => g.div(pair(v).other.sub(pair(v).input).exp().add(1))],
    other: [both, (g, v) => g.div(pair(v).input.sub(pair(v).other).exp().add(1))],
  },
});

export const logaddexp2: PlainPairOp = pointwise("logaddexp2", "input, other", {
  doc: "log2(2^input + 2^other), without overflow.",
  tensors: both,
  check: checkFloating("logaddexp2"),
  expr: ({ input, other }) => logAdd(input!, other!, e.exp2, (x) => e.mul(e.log1p(x), Math.LOG2E)),
  grad: {
    input: [both, (g, v) => g.div(pair(v).other.sub(pair(v).input).exp2().add(1))],
    other: [both, (g, v) => g.div(pair(v).input.sub(pair(v).other).exp2().add(1))],
  },
});

type XlogyOp = Op<[input: Operand, ...Args<[{ other: Operand }]>], Tensor, "method" | "inplace">;

export const xlogy: XlogyOp = pointwise("xlogy", "input, other", {
  doc: "input * log(other), 0 where input is 0.",
  inplace: true,
  tensors: both,
  dtype: "float",
  expr: ({ input, other }) => xTimesLog(input!, other!, e.log),
  grad: {
    input: [
      both,
      (g, { input, other }) => {
        const x = input as Tensor;
        if (!(other instanceof Tensor)) {
          const slope = Math.log(Number(other));
          return Number(other) > 0 ? g.mul(slope) : g.mul(slope).masked_fill(x.eq(0), 0);
        }
        return g.mul(other.log()).masked_fill(x.eq(0).logical_and(other.le(0)), 0);
      },
    ],
    other: [both, (g, { input, other }) => g.mul(input).div(other as Tensor)],
  },
});

export const igamma: TensorPairOp = pointwise("igamma", "input, other", {
  doc: "The regularised lower incomplete gamma function P(input, other).",
  inplace: true,
  tensors: both,
  check: checkFloating("igamma"),
  expr: ({ input, other }) => e.igamma(input!, other!),
  grad: { other: [both, (g, v) => g.mul(gammaDensity(v))] },
});

export const igammac: TensorPairOp = pointwise("igammac", "input, other", {
  doc: "The regularised upper incomplete gamma function Q(input, other) = 1 - P.",
  inplace: true,
  tensors: both,
  check: checkFloating("igammac"),
  expr: ({ input, other }) => e.igammac(input!, other!),
  grad: { other: [both, (g, v) => g.mul(gammaDensity(v)).neg()] },
});

function gammaDensity(values: Values): Tensor {
  const { input, other } = pair(values);
  return input.sub(1).mul(other.log()).sub(other).sub(input.lgamma()).exp();
}

export const gcd: TensorPairOp = pointwise("gcd", "input, other", {
  doc: "The greatest common divisor.",
  inplace: true,
  tensors: both,
  check: checkIntegral("gcd"),
  expr: ({ input, other }) => e.gcd(input!, other!),
});

export const lcm: TensorPairOp = pointwise("lcm", "input, other", {
  doc: "The least common multiple; 0 where one is 0.",
  inplace: true,
  tensors: both,
  check: checkIntegral("lcm"),
  expr({ input, other }) {
    const common = e.gcd(input!, other!);
    return e.where(e.eq(common, 0), 0, e.abs(e.mul(e.div(input!, common), other!)));
  },
});

/** 2^k for whole |k| < 1024, exactly: the product of the powers that k's bits name. */
function powerOfTwo(k: Expr): Expr {
  const magnitude = e.abs(k);
  let power: Expr = e.constant(1, float64);
  for (let bit = 0; bit < 10; bit++) {
    const isSet = e.ne(e.bitwise_and(magnitude, 1 << bit), 0);
    power = e.mul(power, e.where(isSet, e.constant(2 ** (1 << bit), float64), e.constant(1, float64)));
  }
  return e.where(e.lt(k, 0), e.reciprocal(power), power);
}

/** x = mantissa * 2^exponent with 0.5 <= |mantissa| < 1. */
function decompose(input: Expr): { mantissa: Expr; exponent: Expr } {
  const given = e.cast(input, float64);
  // Subnormal float64 values are lifted first: their reciprocals would overflow.
  const tiny = e.lt(e.abs(given), 2 ** -1000);
  const x = e.where(tiny, e.mul(given, 2 ** 100), given);
  const plain = e.and(e.ne(x, 0), e.lt(e.abs(x), Infinity));
  const guess = e.cast(e.where(plain, e.add(e.floor(e.log2(e.abs(x))), 1), e.constant(0, float64)), int32);
  const m = e.mul(x, powerOfTwo(e.neg(guess)));
  // The logarithm may round across a power of two.
  const over = e.and(plain, e.ge(e.abs(m), 1));
  const under = e.and(plain, e.lt(e.abs(m), 0.5));
  const mantissa = e.where(over, e.mul(m, 0.5), e.where(under, e.mul(m, 2), m));
  const exponent = e.where(over, e.add(guess, 1), e.where(under, e.sub(guess, 1), guess));
  const zero = e.constant(0, int32);
  return {
    mantissa: e.cast(e.where(plain, mantissa, x), input.dtype),
    exponent: e.where(plain, e.where(tiny, e.sub(exponent, 100), exponent), zero),
  };
}

const exponentOf: Op<[input: Tensor], Tensor> = pointwise("frexp", "input", {
  doc: "The exponent of frexp.",
  method: false,
  expr: ({ input }) => decompose(input!).exponent,
});

const mantissaOf: Op<[input: Tensor, exponent: Tensor], Tensor> = pointwise("frexp", "input, exponent", {
  doc: "The mantissa of frexp.",
  method: false,
  tensors: ["input", "exponent"],
  dtype: (_promoted, { input }) => (input as Tensor).dtype,
  check: () => undefined,
  expr: ({ input }) => decompose(input!).mantissa,
  grad: { input: [["exponent"], (g, { exponent }) => g.div(pow(new FloatScalar(2), exponent as Tensor))] },
});

type FrexpOp = Op<[input: Tensor], Tensor[] & { readonly mantissa: Tensor; readonly exponent: Tensor }, "method">;

export const frexp: FrexpOp = composite(
  "frexp",
  "input",
  {
    doc: "Mantissa in [0.5, 1) and whole exponent, so that input = mantissa * 2^exponent.",
  },
  (input: Tensor) => {
    if (!input.dtype.is_floating_point) throw new RuntimeError(`frexp: only floating types are supported, got ${input.dtype}`);
    const exponent = exponentOf(input);
    return named(["mantissa", "exponent"], [mantissaOf(input, exponent), exponent]);
  },
);
