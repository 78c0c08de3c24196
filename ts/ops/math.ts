/** Functions of one number, elementwise: rounding, exponentials, logarithms, trigonometry, and the usual special functions. */

import { Category, get_default_dtype } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { finfo } from "../core/numeric_limits.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { pointwise, type GradRule } from "../engine/pointwise.ts";
import type { Args } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";
import type { Expr } from "../kernel/expr.ts";
import type { UnaryOp } from "./arithmetic.ts";
import { arange, zeros_like } from "./creation.ts";
import { gate } from "./gates.ts";
import { ofInput, ofResult, unary } from "./unary.ts";

const flat: GradRule = [[], (g) => zeros_like(g)];

/** A function that leaves integers as they are. */
function rounding(name: string, doc: string, expr: (x: Expr) => Expr): UnaryOp {
  return pointwise(name, "input", {
    doc,
    inplace: true,
    expr: ({ input }, _, dtype) => (dtype.is_floating_point ? expr(input!) : input!),
    grad: { input: flat },
  });
}

export const floor: UnaryOp = rounding("floor", "The greatest whole number not above input.", e.floor);
export const ceil: UnaryOp = rounding("ceil", "The least whole number not below input.", e.ceil);
export const trunc: UnaryOp = rounding("trunc", "input rounded towards zero.", e.trunc);

type RoundOp = Op<[input: Tensor, options?: { decimals?: number }], Tensor, "method" | "inplace">;

/** Multiplies by the power of ten, rounds half to even, divides again. */
function roundTo(x: Expr, decimals: number): Expr {
  if (decimals === 0) return e.round(x);
  const unit = 10 ** Math.abs(decimals);
  return decimals > 0 ? e.div(e.round(e.mul(x, unit)), unit) : e.mul(e.round(e.div(x, unit)), unit);
}

export const round: RoundOp = pointwise("round", "input, *, decimals=0", {
  doc: "The nearest whole number, half to even; or the nearest multiple of 10^-decimals.",
  inplace: true,
  expr: ({ input }, { decimals }, dtype) => (dtype.is_floating_point ? roundTo(input!, Number(decimals)) : input!),
  grad: { input: flat },
});

export const frac: UnaryOp = pointwise("frac", "input", {
  doc: "input - trunc(input).",
  inplace: true,
  expr: ({ input }) => e.sub(input!, e.trunc(input!)),
  grad: { input: [[], (g) => g] },
});

export const exp: UnaryOp = unary(
  "exp",
  "e^input.",
  e.exp,
  ofResult((g, y) => g.mul(y)),
);
export const exp2: UnaryOp = unary(
  "exp2",
  "2^input.",
  e.exp2,
  ofResult((g, y) => g.mul(y.mul(Math.LN2))),
);
export const expm1: UnaryOp = unary(
  "expm1",
  "e^input - 1, precise near 0.",
  e.expm1,
  ofResult((g, y) => g.mul(y.add(1))),
);
export const log: UnaryOp = unary(
  "log",
  "The natural logarithm.",
  e.log,
  ofInput((g, x) => g.div(x)),
);
export const log2: UnaryOp = unary(
  "log2",
  "The logarithm to base 2.",
  e.log2,
  ofInput((g, x) => g.div(x.mul(Math.LN2))),
);
export const log10: UnaryOp = unary(
  "log10",
  "The logarithm to base 10.",
  e.log10,
  ofInput((g, x) => g.div(x.mul(Math.LN10))),
);
export const log1p: UnaryOp = unary(
  "log1p",
  "log(1 + input), precise near 0.",
  e.log1p,
  ofInput((g, x) => g.div(x.add(1))),
);
export const sqrt: UnaryOp = unary(
  "sqrt",
  "The square root.",
  e.sqrt,
  ofResult((g, y) => g.div(y.mul(2))),
);
export const rsqrt: UnaryOp = unary(
  "rsqrt",
  "1 / sqrt(input).",
  e.rsqrt,
  ofResult((g, y) => g.mul(y.pow(3)).mul(-0.5)),
);

export const sin: UnaryOp = unary(
  "sin",
  "The sine.",
  e.sin,
  ofInput((g, x) => g.mul(x.cos())),
);
export const cos: UnaryOp = unary(
  "cos",
  "The cosine.",
  e.cos,
  ofInput((g, x) => g.mul(x.sin().neg())),
);
export const tan: UnaryOp = unary(
  "tan",
  "The tangent.",
  e.tan,
  ofResult((g, y) => g.mul(y.square().add(1))),
);
export const asin: UnaryOp = unary(
  "asin",
  "The inverse sine.",
  e.asin,
  ofInput((g, x) => g.mul(oneMinusSquare(x).rsqrt())),
);
export const acos: UnaryOp = unary(
  "acos",
  "The inverse cosine.",
  e.acos,
  ofInput((g, x) => g.mul(oneMinusSquare(x).rsqrt().neg())),
);
export const atan: UnaryOp = unary(
  "atan",
  "The inverse tangent.",
  e.atan,
  ofInput((g, x) => g.div(x.square().add(1))),
);
export const sinh: UnaryOp = unary(
  "sinh",
  "The hyperbolic sine.",
  e.sinh,
  ofInput((g, x) => g.mul(x.cosh())),
);
export const cosh: UnaryOp = unary(
  "cosh",
  "The hyperbolic cosine.",
  e.cosh,
  ofInput((g, x) => g.mul(x.sinh())),
);
export const tanh: UnaryOp = unary(
  "tanh",
  "The hyperbolic tangent.",
  e.tanh,
  ofResult((g, y) => g.mul(oneMinusSquare(y))),
);
export const asinh: UnaryOp = unary(
  "asinh",
  "The inverse hyperbolic sine.",
  e.asinh,
  ofInput((g, x) => g.mul(x.square().add(1).rsqrt())),
);
export const acosh: UnaryOp = unary(
  "acosh",
  "The inverse hyperbolic cosine.",
  e.acosh,
  ofInput((g, x) => g.mul(x.square().sub(1).rsqrt())),
);
export const atanh: UnaryOp = unary(
  "atanh",
  "The inverse hyperbolic tangent.",
  e.atanh,
  ofInput((g, x) => g.div(oneMinusSquare(x))),
);

function oneMinusSquare(x: Tensor): Tensor {
  return x.square().neg().add(1);
}

export const sigmoid: UnaryOp = unary(
  "sigmoid",
  "1 / (1 + e^-input).",
  e.sigmoid,
  ofResult((g, y) => g.mul(y.mul(y.neg().add(1)))),
);

export const relu: UnaryOp = pointwise("relu", "input", {
  doc: "max(input, 0); its derivative at 0 is 0.",
  inplace: true,
  // maximum lets NaN through.
  expr: ({ input }) => e.maximum(input!, 0),
  grad: { input: ofResult((g, y) => gate(g, y, 0)) },
});

const TWO_OVER_ROOT_PI = 2 / Math.sqrt(Math.PI);

export const erf: UnaryOp = unary(
  "erf",
  "The error function.",
  e.erf,
  ofInput((g, x) => g.mul(x.square().neg().exp().mul(TWO_OVER_ROOT_PI))),
);
export const erfc: UnaryOp = unary(
  "erfc",
  "1 - erf(input), precise for large input.",
  e.erfc,
  ofInput((g, x) => g.mul(x.square().neg().exp().mul(-TWO_OVER_ROOT_PI))),
);
export const erfinv: UnaryOp = unary(
  "erfinv",
  "The inverse of erf.",
  e.erfinv,
  ofResult((g, y) =>
    g.mul(
      y
        .square()
        .exp()
        .mul(1 / TWO_OVER_ROOT_PI),
    ),
  ),
);
export const lgamma: UnaryOp = unary(
  "lgamma",
  "ln |gamma(input)|.",
  e.lgamma,
  ofInput((g, x) => g.mul(x.digamma())),
);
export const digamma: UnaryOp = unary(
  "digamma",
  "The derivative of lgamma.",
  e.digamma,
  ofInput((g, x) => g.mul(polygamma(1, x))),
);

type PolygammaOp = Op<[n: number, input: Tensor], Tensor>;

export const polygamma: PolygammaOp = pointwise("polygamma", "n, input", {
  doc: "The n-th derivative of digamma.",
  tensors: ["input"],
  dtype: "float",
  check({ n }) {
    if (!(Number(n) >= 0)) throw new RuntimeError(`polygamma: n must be at least 0, got ${n}`);
  },
  expr({ input }, { n }, dtype) {
    if (Number(n) === 0) return e.digamma(input!);
    return e.polygamma(e.constant(Number(n), dtype), input!);
  },
  grad: { input: [["input"], (g, { n, input }) => g.mul(polygamma(Number(n) + 1, input as Tensor))] },
});

export const deg2rad: UnaryOp = unary("deg2rad", "Degrees to radians.", (x) => e.mul(x, Math.PI / 180), [
  [],
  (g) => g.mul(Math.PI / 180),
]);
export const rad2deg: UnaryOp = unary("rad2deg", "Radians to degrees.", (x) => e.mul(x, 180 / Math.PI), [
  [],
  (g) => g.mul(180 / Math.PI),
]);

function sincExpr(x: Expr): Expr {
  const y = e.mul(x, Math.PI);
  return e.where(e.eq(x, 0), e.constant(1, x.dtype), e.div(e.sin(y), y));
}

export const sinc: UnaryOp = unary(
  "sinc",
  "sin(pi input) / (pi input), 1 at 0.",
  sincExpr,
  ofInput((g, x) => {
    const y = x.mul(Math.PI);
    const slope = y.mul(y.cos()).sub(y.sin()).div(y.mul(x));
    return g.mul(slope).masked_fill(y.mul(x).eq(0), 0);
  }),
);

type LogitOp = Op<[input: Tensor, ...Args<[{ eps?: number | null }]>], Tensor, "method" | "inplace">;

export const logit: LogitOp = pointwise("logit", "input, eps=None", {
  doc: "log(x / (1 - x)), where x is input clamped to [eps, 1 - eps] if eps is given.",
  inplace: true,
  dtype: "float",
  expr({ input }, { eps }) {
    let x = input!;
    if (eps !== null) {
      const low = Number(eps);
      x = e.where(e.lt(x, low), e.constant(low, x.dtype), e.where(e.gt(x, 1 - low), e.constant(1 - low, x.dtype), x));
    }
    return e.log(e.div(x, e.sub(1, x)));
  },
  grad: {
    input: [
      ["input"],
      (g, { input, eps }) => {
        const x = input as Tensor;
        const slope = g.div(x.mul(x.neg().add(1)));
        if (eps === null) return slope.masked_fill(x.lt(0).logical_or(x.gt(1)), NaN);
        const low = Number(eps);
        return slope.masked_fill(x.lt(low).logical_or(x.gt(1 - low)), 0);
      },
    ],
  },
});

type NanToNumOp = Op<
  [input: Tensor, ...Args<[{ nan?: number | null }, { posinf?: number | null }, { neginf?: number | null }]>],
  Tensor,
  "method" | "inplace"
>;

export const nan_to_num: NanToNumOp = pointwise("nan_to_num", "input, nan=None, posinf=None, neginf=None", {
  doc: "Replaces NaN by nan (0), infinities by posinf and neginf (the type's greatest and least finite values).",
  inplace: true,
  widen: false,
  expr({ input }, { nan, posinf, neginf }, dtype) {
    const x = input!;
    if (dtype.category < Category.floating) return x;
    const of = (v: unknown, otherwise: number): Expr => e.constant(v === null ? otherwise : Number(v), dtype);
    const finite = e.where(
      e.eq(x, Infinity),
      of(posinf, finfo(dtype).max),
      e.where(e.eq(x, -Infinity), of(neginf, -finfo(dtype).max), x),
    );
    return e.where(e.isnan(x), of(nan, 0), finite);
  },
  grad: { input: ofInput((g, x) => g.masked_fill(x.isfinite().logical_not(), 0)) },
});

type MvlgammaOp = Op<[input: Tensor, ...Args<[{ p: number }]>], Tensor, "method" | "inplace">;

export const mvlgamma: MvlgammaOp = composite(
  "mvlgamma",
  "input, p",
  {
    doc: "The logarithm of the multivariate gamma function of dimension p: p (p - 1) / 4 ln pi + the sum of lgamma(input - j / 2), j < p.",
    inplace: true,
    kinds: { p: "int" },
  },
  (input: Tensor, p: number) => {
    if (p < 1) throw new RuntimeError(`mvlgamma: p has to be greater than or equal to 1, got ${p}`);
    const x = input.dtype.differentiable ? input : input.to(get_default_dtype());
    const halves = arange(0, p / 2, 0.5, { dtype: x.dtype, device: x.device });
    return lgamma(x.unsqueeze(-1).sub(halves))
      .sum(-1)
      .add((p * (p - 1) * Math.log(Math.PI)) / 4);
  },
);
