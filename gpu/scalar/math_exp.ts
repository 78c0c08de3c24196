/**
 * Exponentials and hyperbolic functions. For f32: the polynomials are our own minimax fits (weighted for relative error); arguments are
 * reduced as is usual for these functions (Muller, "Elementary Functions").
 */

import type { V } from "../builder.ts";
import { elementary, float, func, horner, isZero, like, opaque, power2, scale, upper, withSign } from "./basics.ts";

const LOG2E = 1.44269504;
/** ln 2 in two parts; the first has few enough bits that its products with exponents are exact. */
export const LN2_HIGH = 0.693359375;
export const LN2_LOW = -2.1219444e-4;

interface Reduced {
  /** The nearest multiple of ln 2, and what is left. */
  readonly n: V;
  readonly r: V;
}

function lessLn2(x: V): Reduced {
  const n = x.mul(LOG2E).round();
  return { n, r: n.fma(-LN2_LOW, opaque(n.fma(-LN2_HIGH, x))) };
}

/** e^r - 1 for |r| <= ln 2 / 2. */
function expm1Near(r: V): V {
  const p = horner(r, 0.00139506289, 0.00836896989, 0.0416662022, 0.166665182, 0.5);
  return r.mul(r).fma(p, r);
}

export const exp = elementary("exp", (_, x) => {
  const { n, r } = lessLn2(x!.max(-104).min(89));
  return x!.isNan().select(x!, scale(expm1Near(r).add(1), n.convert("i32")));
});

/** e^x of f32 for -87 <= x <= 88. */
export function expNormal(x: V): V {
  const { n, r } = lessLn2(x);
  return expm1Near(r)
    .add(1)
    .mul(power2(n.convert("i32")));
}

/** e^x / 2 for x >= 0: as far as sinh and cosh go. */
function halfExp(x: V): V {
  const { n, r } = lessLn2(x.min(91));
  return scale(expm1Near(r).add(1), n.convert("i32").sub(1));
}

/** 2^r for |r| <= 1 / 2. */
export function exp2Near(r: V): V {
  return horner(r, 0.000154758964, 0.00134002836, 0.00961800572, 0.055503279, 0.240226507, 0.693147182, 1);
}

export const exp2 = elementary("exp2", (_, x) => {
  const y = x!.max(-151).min(129);
  const n = y.round();
  return x!.isNan().select(x!, scale(exp2Near(y.sub(n)), n.convert("i32")));
});

export const expm1 = elementary("expm1", (b, x) => {
  const { n, r } = lessLn2(x!.max(-18).min(89));
  const near = expm1Near(r);
  // Half of the result, since 2^128 would not do.
  const half = float(n.convert("i32").add(126).shl(23));
  const far = near.fma(half, half.sub(0.5)).mul(2);
  const y = n.eq(0).select(near, x!.gt(89).select(b.f32(Infinity), far));
  return isZero(x!).or(x!.isNan()).select(x!, y);
});

export const sigmoid = func("sigmoid", 1, (b, x) => {
  const z = exp(b, x!.abs().neg());
  const y = x!.lt(0).select(z, like(z, 1)).div(z.add(1));
  return x!.isNan().select(x!, y);
});

export const tanh = elementary("tanh", (b, x) => {
  const a = x!.abs();
  const z = x!.mul(x!);
  const p = horner(z, 0.00223106099, -0.00826708786, 0.0217344388, -0.0539524741, 0.133332476, -0.333333313);
  const near = p.mul(z).fma(x!, x!);
  const y = expNormal(a.min(10).mul(2));
  const far = b.f32(1).sub(b.f32(2).div(y.add(1)));
  return x!.isNan().or(a.lt(0.6)).select(near, withSign(far, x!));
});

export const sinh = elementary("sinh", (b, x) => {
  const a = x!.abs();
  const z = x!.mul(x!);
  const near = horner(z, 2.81743974e-6, 0.000198360663, 0.00833335053, 0.166666672).mul(z).fma(x!, x!);
  const half = halfExp(a);
  const far = half.sub(b.f32(0.25).div(half));
  return x!.isNan().or(a.lt(1)).select(near, withSign(far, x!));
});

export const cosh = elementary("cosh", (b, x) => {
  const half = halfExp(x!.abs());
  return x!.isNan().select(x!, half.add(b.f32(0.25).div(half)));
});

/** e^(-x²), whose exponent is split so that rounding x² does no harm. */
export const gauss = func("gauss", 1, (b, x) => {
  const high = upper(x!);
  const low = x!.sub(high);
  return exp(b, high.mul(high).neg()).mul(exp(b, low.mul(x!.add(high)).neg()));
});
