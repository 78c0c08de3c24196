/** torch.special: Chebyshev polynomials of all kinds, by their trigonometric and hyperbolic forms in float64. */

import { float64 } from "../core/dtype.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Op } from "../engine/define.ts";
import { pointwise } from "../engine/pointwise.ts";
import type { Args } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";
import type { Expr } from "../kernel/expr.ts";
import type { Operand } from "./arithmetic.ts";

type PolynomialOp = Op<[input: Operand, ...Args<[{ n: Operand }]>], Tensor>;

/** One polynomial: of degree n at the angle within [-1, 1], above 1, below -1 (times (-1)^n), at 1, at -1 (likewise). */
interface Kind {
  readonly inside: (n: Expr, angle: Expr) => Expr;
  readonly above: (n: Expr, angle: Expr) => Expr;
  readonly below: (n: Expr, angle: Expr) => Expr;
  readonly atOne: (n: Expr) => Expr;
  readonly atMinusOne: (n: Expr) => Expr;
}

const one = e.constant(1, float64);
const half = (x: Expr): Expr => e.mul(x, 0.5);
const plusHalf = (n: Expr, angle: Expr): Expr => e.mul(e.add(n, 0.5), angle);
const coshRatio = (n: Expr, a: Expr): Expr => e.div(e.cosh(plusHalf(n, a)), e.cosh(half(a)));
const sinhRatio = (n: Expr, a: Expr): Expr => e.div(e.sinh(plusHalf(n, a)), e.sinh(half(a)));
const sinhOverSinh = (n: Expr, a: Expr): Expr => e.div(e.sinh(e.mul(e.add(n, 1), a)), e.sinh(a));
const cosh = (n: Expr, a: Expr): Expr => e.cosh(e.mul(n, a));
const odd = (n: Expr): Expr => e.add(e.mul(n, 2), 1);
const unit = (): Expr => one;

const T: Kind = { inside: (n, a) => e.cos(e.mul(n, a)), above: cosh, below: cosh, atOne: unit, atMinusOne: unit };
const U: Kind = {
  inside: (n, a) => e.div(e.sin(e.mul(e.add(n, 1), a)), e.sin(a)),
  above: sinhOverSinh,
  below: sinhOverSinh,
  atOne: (n) => e.add(n, 1),
  atMinusOne: (n) => e.add(n, 1),
};
const V: Kind = {
  inside: (n, a) => e.div(e.cos(plusHalf(n, a)), e.cos(half(a))),
  above: coshRatio,
  below: sinhRatio,
  atOne: unit,
  atMinusOne: odd,
};
const W: Kind = {
  inside: (n, a) => e.div(e.sin(plusHalf(n, a)), e.sin(half(a))),
  above: sinhRatio,
  below: coshRatio,
  atOne: odd,
  atMinusOne: unit,
};

/** The value for n >= 1. */
function value({ inside, above, below, atOne, atMinusOne }: Kind, x: Expr, n: Expr): Expr {
  const angle = e.acos(x);
  const growth = e.acosh(e.abs(x));
  const sign = e.where(e.eq(e.remainder(n, 2), 0), one, e.constant(-1, float64));
  const outside = e.where(e.gt(x, 0), above(n, growth), e.mul(sign, below(n, growth)));
  const onEdge = e.where(e.gt(x, 0), atOne(n), e.mul(sign, atMinusOne(n)));
  const magnitude = e.abs(x);
  return e.where(e.eq(magnitude, 1), onEdge, e.where(e.gt(magnitude, 1), outside, inside(n, angle)));
}

function polynomial(name: string, doc: string, kind: Kind, shifted: boolean): PolynomialOp {
  return pointwise(name, "input, n", {
    doc: `${doc}; n is rounded towards 0, and negative n give 0.`,
    method: false,
    tensors: ["input", "n"],
    dtype: "float",
    expr({ input, n }, _, dtype) {
      const given = e.cast(input!, float64);
      const x = shifted ? e.sub(e.mul(given, 2), 1) : given;
      const degree = e.trunc(e.cast(n!, float64));
      const result = e.cast(value(kind, x, degree), dtype);
      // PyTorch's recurrence subtracts infinities as soon as the value two degrees before has overflowed.
      const before = e.cast(value(kind, x, e.sub(degree, 2)), dtype);
      const lost = e.and(e.ge(degree, 3), e.isinf(before));
      const regular = e.where(lost, e.constant(NaN, dtype), result);
      const known = e.where(e.eq(degree, 0), e.constant(1, dtype), regular);
      return e.where(e.and(e.ge(degree, 0), e.lt(degree, 2 ** 63)), known, e.constant(0, dtype));
    },
  });
}

const doc = (kind: string): string => `The Chebyshev polynomial of the ${kind} kind and degree n at input`;
const shiftedDoc = (kind: string): string => `The Chebyshev polynomial of the ${kind} kind and degree n at 2 input - 1`;

export const chebyshev_polynomial_t: PolynomialOp = polynomial("chebyshev_polynomial_t", doc("first"), T, false);
export const chebyshev_polynomial_u: PolynomialOp = polynomial("chebyshev_polynomial_u", doc("second"), U, false);
export const chebyshev_polynomial_v: PolynomialOp = polynomial("chebyshev_polynomial_v", doc("third"), V, false);
export const chebyshev_polynomial_w: PolynomialOp = polynomial("chebyshev_polynomial_w", doc("fourth"), W, false);
export const shifted_chebyshev_polynomial_t: PolynomialOp = polynomial(
  "shifted_chebyshev_polynomial_t",
  shiftedDoc("first"),
  T,
  true,
);
export const shifted_chebyshev_polynomial_u: PolynomialOp = polynomial(
  "shifted_chebyshev_polynomial_u",
  shiftedDoc("second"),
  U,
  true,
);
export const shifted_chebyshev_polynomial_v: PolynomialOp = polynomial(
  "shifted_chebyshev_polynomial_v",
  shiftedDoc("third"),
  V,
  true,
);
export const shifted_chebyshev_polynomial_w: PolynomialOp = polynomial(
  "shifted_chebyshev_polynomial_w",
  shiftedDoc("fourth"),
  W,
  true,
);
