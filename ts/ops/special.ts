/** torch.special. */

import { Tensor } from "../core/tensor.ts";
import type { Op } from "../engine/define.ts";
import { pointwise, type GradRule, type Values } from "../engine/pointwise.ts";
import type { Args } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";
import type { Expr } from "../kernel/expr.ts";
import type { Operand, UnaryOp } from "./arithmetic.ts";
import { where } from "./compare.ts";
import { ofInput, unary, xTimesLog } from "./unary.ts";

export * from "./special_bessel.ts";
export * from "./special_polynomials.ts";
export * from "./special_recurrences.ts";
export { digamma, digamma as psi, erf, erfc, erfinv, exp2, expm1, log1p, logit, polygamma, round, sinc } from "./math.ts";
export { sigmoid as expit, lgamma as gammaln, mvlgamma as multigammaln } from "./math.ts";
export { log_softmax, softmax } from "./functional/softmax.ts";
export { logsumexp } from "./reduction.ts";
export { igamma as gammainc, igammac as gammaincc, xlogy } from "./math_binary.ts";

type SpecialOp = Op<[input: Tensor], Tensor>;

function special(name: string, doc: string, expr: (x: Expr) => Expr, input?: GradRule): SpecialOp {
  return pointwise(name, "input", {
    doc,
    method: false,
    dtype: "float",
    expr: ({ input: x }) => expr(x!),
    ...(input === undefined ? {} : { grad: { input } }),
  });
}

export const i0: UnaryOp = unary(
  "i0",
  "The modified Bessel function of the first kind of order 0.",
  e.i0,
  ofInput((g, x) => g.mul(i1(x))),
);

const tensorOf = (x: unknown): Tensor => x as Tensor;

/** Slopes whose formula divides by the argument: at 0 (and NaN, as in PyTorch) they are 1/2. */
function besselGrad(slope: (x: Tensor, quotient: Tensor, y: Tensor) => Tensor): GradRule {
  return [
    ["input", "out"],
    (g, values: Values) => {
      const [x, y] = [tensorOf(values.input), tensorOf(values.out)];
      const regular = x.abs().gt(0);
      const safe = where(regular, x, 1);
      return g.mul(where(regular, slope(safe, y.div(safe), y), 0.5));
    },
  ];
}

export const i1: SpecialOp = special(
  "i1",
  "The modified Bessel function of the first kind of order 1.",
  e.i1,
  besselGrad((x, quotient) => i0(x).sub(quotient)),
);
export const i0e: SpecialOp = special("i0e", "e^-|input| i0(input).", e.i0e, [
  ["input", "out"],
  (g, { input, out }) => g.mul(i1e(tensorOf(input)).sub(tensorOf(input).sgn().mul(tensorOf(out)))),
]);
export const i1e: SpecialOp = special(
  "i1e",
  "e^-|input| i1(input).",
  e.i1e,
  besselGrad((x, quotient, y) => i0e(x).sub(y.mul(x.sgn())).sub(quotient)),
);

const ROOT_TWO_PI = Math.sqrt(2 * Math.PI);

export const ndtr: SpecialOp = special(
  "ndtr",
  "The cumulative distribution function of the standard normal distribution.",
  (x) => e.mul(e.erfc(e.mul(x, -Math.SQRT1_2)), 0.5),
  ofInput((g, x) =>
    g.mul(
      x
        .square()
        .mul(-0.5)
        .exp()
        .mul(1 / ROOT_TWO_PI),
    ),
  ),
);
export const ndtri: SpecialOp = special("ndtri", "The inverse of ndtr.", e.ndtri, [
  ["out"],
  (g, { out }) => g.mul(tensorOf(out).square().mul(0.5).exp().mul(ROOT_TWO_PI)),
]);
export const erfcx: SpecialOp = special("erfcx", "e^(input²) erfc(input).", e.erfcx, [
  ["input", "out"],
  (g, { input, out }) =>
    g.mul(
      tensorOf(out)
        .mul(tensorOf(input))
        .mul(2)
        .sub(2 / Math.sqrt(Math.PI)),
    ),
]);
/** In steps of the input's own precision, which the formula of the gradient counts on. */
function logNdtr(x: Expr): Expr {
  const t = e.mul(x, Math.SQRT1_2);
  const below = e.sub(e.log(e.mul(e.erfcx(e.neg(t)), 0.5)), e.mul(t, t));
  return e.where(e.lt(x, -1), below, e.log1p(e.mul(e.erfc(t), -0.5)));
}

export const log_ndtr: SpecialOp = special("log_ndtr", "log(ndtr(input)), without underflow.", logNdtr, [
  ["input", "out"],
  // The density over the distribution: PyTorch's formula, which far below zero loses digits where out is large.
  (g, { input, out }) => {
    const exponent = tensorOf(out).add(tensorOf(input).square().mul(0.5));
    return g.mul(1 / ROOT_TWO_PI).mul(exponent.neg().exp());
  },
]);
export const entr: SpecialOp = special(
  "entr",
  "-input * log(input), 0 at 0 and -infinity below.",
  (x) => {
    const above = e.neg(e.mul(x, e.log(x)));
    const rest = e.where(e.eq(x, 0), e.constant(0, x.dtype), e.constant(-Infinity, x.dtype));
    return e.where(e.isnan(x), x, e.where(e.gt(x, 0), above, rest));
  },
  ofInput((g, x) => g.mul(x.log().neg().sub(1))),
);

type PairOp = Op<[input: Operand, ...Args<[{ other: Operand }]>], Tensor>;
const both = ["input", "other"];

export const xlog1py: PairOp = pointwise("xlog1py", "input, other", {
  doc: "input * log1p(other), 0 where input is 0.",
  method: false,
  tensors: both,
  dtype: "float",
  expr: ({ input, other }) => xTimesLog(input!, other!, e.log1p),
  grad: {
    input: [
      both,
      (g, { input, other }) => {
        const x = tensorOf(input);
        if (other instanceof Tensor) {
          return g.mul(other.log1p()).masked_fill(x.eq(0).logical_and(other.le(-1)), 0);
        }
        const slope = g.mul(Math.log1p(Number(other)));
        return Number(other) > -1 ? slope : slope.masked_fill(x.eq(0), 0);
      },
    ],
    other: [both, (g, { input, other }) => g.mul(input).div(tensorOf(other).add(1))],
  },
});

export const zeta: PairOp = pointwise("zeta", "input, other", {
  doc: "The Hurwitz zeta function: the sum of (k + other)^-input over k >= 0.",
  method: false,
  tensors: both,
  dtype: "float",
  expr: ({ input, other }) => e.zeta(input!, other!),
  // The first argument's derivative is not known, to PyTorch either.
  grad: {
    other: [
      ["input", "other"],
      (g, { input, other }): Tensor =>
        g.mul(
          zeta(input instanceof Tensor ? input.add(1) : Number(input) + 1, other)
            .mul(input)
            .neg(),
        ),
    ],
  },
});

export const modified_bessel_i0: SpecialOp = special(
  "modified_bessel_i0",
  "The modified Bessel function of the first kind of order 0.",
  e.i0,
);
export const modified_bessel_i1: SpecialOp = special(
  "modified_bessel_i1",
  "The modified Bessel function of the first kind of order 1.",
  e.i1,
);

export const spherical_bessel_j0: SpecialOp = special("spherical_bessel_j0", "sin(input) / input, 1 at 0.", (x) =>
  e.where(e.eq(x, 0), e.constant(1, x.dtype), e.where(e.isinf(x), e.constant(0, x.dtype), e.div(e.sin(x), x))),
);
