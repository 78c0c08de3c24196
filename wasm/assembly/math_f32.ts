/**
 * Floating functions on four f32 at once, within two units in the last place over the whole range. The polynomials are our own
 * minimax fits (weighted for relative error); arguments are reduced as is usual for these functions (Muller, "Elementary
 * Functions"). Special values come out of the arithmetic where they can, and are selected in the end where they cannot.
 */

@inline function c(x: f32): v128 {
  return f32x4.splat(x);
}
/** a * b + c, rounded once where the machine can. */
@inline export function fma(a: v128, b: v128, add: v128): v128 {
  if (KINDLING_RELAXED) return f32x4.relaxed_madd(a, b, add);
  return f32x4.add(f32x4.mul(a, b), add);
}
/** add - a * b */
@inline function fnma(a: v128, b: v128, add: v128): v128 {
  if (KINDLING_RELAXED) return f32x4.relaxed_nmadd(a, b, add);
  return f32x4.sub(add, f32x4.mul(a, b));
}

/** Adding it leaves a number's nearest integer in the low bits. */
const MAGIC: f32 = 12582912;
const LOG2E: f32 = 1.44269504;
/** ln 2 in two parts; the first has few enough bits that its products with exponents are exact. */
const LN2_HIGH: f32 = 0.693359375;
const LN2_LOW: f32 = -2.12194440e-4;
const TINY: f32 = 1.17549435e-38;

/** 2^n, for n in the low bits of `shifted` = n + MAGIC and a normal result. */
@inline function power(shifted: v128): v128 {
  return i32x4.add(i32x4.shl(shifted, 23), i32x4.splat(0x3f800000));
}
/** x * 2^n for any n from -250 to 254: rounds once, also into the subnormals, and overflows to Inf. */
@inline function scale(x: v128, shifted: v128): v128 {
  const n = i32x4.sub(shifted, i32x4.splat(0x4b400000));
  const half = i32x4.shr_s(n, 1);
  const first = i32x4.shl(i32x4.add(half, i32x4.splat(127)), 23);
  const second = i32x4.shl(i32x4.add(i32x4.sub(n, half), i32x4.splat(127)), 23);
  return f32x4.mul(f32x4.mul(x, first), second);
}
/** e^r - 1 for |r| <= ln 2 / 2. */
@inline function expm1Near(r: v128): v128 {
  let p = fma(c(0.00139506289), r, c(0.00836896989));
  p = fma(p, r, c(0.0416662022));
  p = fma(p, r, c(0.166665182));
  p = fma(p, r, c(0.5));
  return fma(f32x4.mul(r, r), p, r);
}
/** x less its multiple of ln 2. */
@inline function lessLn2(x: v128, n: v128): v128 {
  return fnma(n, c(LN2_LOW), fnma(n, c(LN2_HIGH), x));
}

@inline function exp4(x: v128): v128 {
  // (pmin and pmax let NaN in their first argument through.)
  x = f32x4.pmax(f32x4.pmin(x, c(89)), c(-104));
  const shifted = fma(x, c(LOG2E), c(MAGIC));
  const r = lessLn2(x, f32x4.sub(shifted, c(MAGIC)));
  return scale(f32x4.add(expm1Near(r), c(1)), shifted);
}
/** e^x / 2 for x >= 0: as far as sinh and cosh go. */
@inline export function halfExp(x: v128): v128 {
  x = f32x4.pmin(x, c(91));
  const shifted = fma(x, c(LOG2E), c(MAGIC));
  const r = lessLn2(x, f32x4.sub(shifted, c(MAGIC)));
  return scale(f32x4.add(expm1Near(r), c(1)), i32x4.sub(shifted, i32x4.splat(1)));
}
/** e^x for -87 <= x <= 88. */
@inline function expNormal(x: v128): v128 {
  const shifted = fma(x, c(LOG2E), c(MAGIC));
  const r = lessLn2(x, f32x4.sub(shifted, c(MAGIC)));
  return f32x4.mul(f32x4.add(expm1Near(r), c(1)), power(shifted));
}

@final export class Exp {
  @inline v<T>(x: v128): v128 { return exp4(x); }
}
@final export class Exp2 {
  @inline v<T>(x: v128): v128 {
    x = f32x4.pmax(f32x4.pmin(x, c(129)), c(-151));
    const shifted = f32x4.add(x, c(MAGIC));
    const r = f32x4.sub(x, f32x4.sub(shifted, c(MAGIC)));
    let p = fma(c(0.000154758964), r, c(0.00134002836));
    p = fma(p, r, c(0.00961800572));
    p = fma(p, r, c(0.055503279));
    p = fma(p, r, c(0.240226507));
    p = fma(p, r, c(0.693147182));
    return scale(fma(p, r, c(1)), shifted);
  }
}
@final export class Expm1 {
  @inline v<T>(x: v128): v128 {
    const y = f32x4.pmax(f32x4.pmin(x, c(89)), c(-18));
    const shifted = fma(y, c(LOG2E), c(MAGIC));
    const near = expm1Near(lessLn2(y, f32x4.sub(shifted, c(MAGIC))));
    // Half of the result, since 2^128 would not do.
    const half = i32x4.add(i32x4.shl(shifted, 23), i32x4.splat(0x3f000000));
    const far = fma(near, half, f32x4.sub(half, c(0.5)));
    return v128.bitselect(near, f32x4.add(far, far), i32x4.eq(shifted, i32x4.splat(0x4b400000)));
  }
}

/** What of log(1 + f), for sqrt(1/2) - 1 <= f <= sqrt(2) - 1, comes after f - f² / 2. */
@inline function logTail(f: v128): v128 {
  let p = fma(c(0.0691696405), f, c(-0.117919132));
  p = fma(p, f, c(0.118734017));
  p = fma(p, f, c(-0.123840444));
  p = fma(p, f, c(0.142185658));
  p = fma(p, f, c(-0.166692644));
  p = fma(p, f, c(0.20002231));
  p = fma(p, f, c(-0.249999866));
  p = fma(p, f, c(0.333333105));
  return f32x4.mul(f32x4.mul(p, f), f32x4.mul(f, f));
}
/** Exponent of x as an integer, such that the mantissa lies around 1. */
@inline function exponent(x: v128): v128 {
  return i32x4.shr_s(i32x4.sub(x, i32x4.splat(0x3f3504f3)), 23);
}
/** Subnormal numbers times 2^23. */
@inline function lifted(x: v128, small: v128): v128 {
  return v128.bitselect(f32x4.mul(x, c(8388608)), x, small);
}
/** Logarithms of 0, of Inf and of what has none. */
@inline function logSpecial(y: v128, x: v128): v128 {
  y = v128.bitselect(y, x, f32x4.lt(x, c(Infinity))); // Inf and NaN stay
  y = v128.bitselect(y, c(NaN), v128.not(f32x4.lt(x, c(0))));
  return v128.bitselect(c(-Infinity), y, f32x4.eq(x, c(0)));
}
@inline function log4(x: v128, mode: i32): v128 {
  const small = f32x4.lt(x, c(TINY));
  const bits = lifted(x, small);
  const e = exponent(bits);
  const f = f32x4.sub(i32x4.sub(bits, i32x4.shl(e, 23)), c(1));
  const n = f32x4.sub(f32x4.convert_i32x4_s(e), v128.and(small, c(23)));
  const tail = fnma(f32x4.mul(f, f), c(0.5), logTail(f));
  let y: v128;
  if (mode == 0) {
    y = f32x4.add(f, fma(n, c(LN2_LOW), tail));
    y = fma(n, c(LN2_HIGH), y);
  } else if (mode == 2) {
    // log2(e) = 1 + 0.4427
    y = fma(tail, c(0.44269504), f32x4.mul(f, c(0.44269504)));
    y = f32x4.add(f32x4.add(y, tail), f);
    y = f32x4.add(y, n);
  } else {
    // log10(e) and log10(2), each in two parts
    y = fma(f, c(7.00731903e-4), f32x4.mul(tail, c(7.00731903e-4)));
    y = fma(n, c(2.48745663e-4), y);
    y = fma(tail, c(0.43359375), y);
    y = fma(f, c(0.43359375), y);
    y = fma(n, c(0.30078125), y);
  }
  return logSpecial(y, x);
}

@final export class Log {
  @inline v<T>(x: v128): v128 { return log4(x, 0); }
}
@final export class Log2 {
  @inline v<T>(x: v128): v128 { return log4(x, 2); }
}
@final export class Log10 {
  @inline v<T>(x: v128): v128 { return log4(x, 10); }
}
@final export class Log1p {
  @inline v<T>(x: v128): v128 {
    const u = f32x4.add(x, c(1));
    const lost = f32x4.sub(x, f32x4.sub(u, c(1)));
    const e = exponent(u);
    // (What is lost of the largest numbers is 0; their power need only be finite.)
    const power = i32x4.shl(i32x4.sub(i32x4.splat(127), i32x4.min_s(e, i32x4.splat(126))), 23);
    const f = fma(lost, power, f32x4.sub(i32x4.sub(u, i32x4.shl(e, 23)), c(1)));
    const n = f32x4.convert_i32x4_s(e);
    const tail = fnma(f32x4.mul(f, f), c(0.5), logTail(f));
    const y = fma(n, c(LN2_HIGH), f32x4.add(f, fma(n, c(LN2_LOW), tail)));
    return v128.bitselect(x, logSpecial(y, u), f32x4.eq(x, c(0))); // keeps -0
  }
}

/** e^x for x <= 0, rounded hardly more than once: what follows adds errors of its own. */
@inline function expSharp(x: v128): v128 {
  x = f32x4.pmax(x, c(-104));
  const shifted = fma(x, c(LOG2E), c(MAGIC));
  const n = f32x4.sub(shifted, c(MAGIC));
  const high = fnma(n, c(LN2_HIGH), x);
  const low = f32x4.mul(n, c(-LN2_LOW));
  const r = f32x4.add(high, low);
  const lost = f32x4.add(f32x4.sub(high, r), low);
  let p = fma(c(0.00139506289), r, c(0.00836896989));
  p = fma(p, r, c(0.0416662022));
  p = fma(p, r, c(0.166665182));
  p = fma(p, r, c(0.5));
  p = fma(f32x4.mul(r, r), p, lost);
  const near = f32x4.add(c(1), r);
  const rest = f32x4.add(f32x4.sub(c(1), near), r);
  return scale(f32x4.add(near, f32x4.add(p, rest)), shifted);
}

@final export class Sigmoid {
  @inline v<T>(x: v128): v128 {
    const z = expSharp(v128.or(x, c(-0.0)));
    const negative = f32x4.lt(x, c(0));
    const below = f32x4.add(c(1), z);
    const q = f32x4.div(v128.bitselect(z, c(1), negative), below);
    // What rounding 1 + z took away matters, to first order; 1 / (1 + z) is q or 1 - q.
    const lost = f32x4.sub(z, f32x4.sub(below, c(1)));
    const share = v128.bitselect(f32x4.sub(c(1), q), q, negative);
    const y = fnma(q, f32x4.mul(lost, share), q);
    return v128.bitselect(y, x, f32x4.eq(x, x));
  }
}
@final export class Tanh {
  @inline v<T>(x: v128): v128 {
    const sign = v128.and(x, c(-0.0));
    const a = v128.xor(x, sign);
    const z = f32x4.mul(x, x);
    let p = fma(c(0.00223106099), z, c(-0.00826708786));
    p = fma(p, z, c(0.0217344388));
    p = fma(p, z, c(-0.0539524741));
    p = fma(p, z, c(0.133332476));
    p = fma(p, z, c(-0.333333313));
    const near = fma(f32x4.mul(p, z), x, x);
    const y = expNormal(f32x4.pmin(f32x4.add(a, a), c(20)));
    const far = f32x4.sub(c(1), f32x4.div(c(2), f32x4.add(y, c(1))));
    return v128.bitselect(near, v128.or(far, sign), f32x4.lt(a, c(0.6)));
  }
}
@final export class Erf {
  @inline v<T>(x: v128): v128 {
    const sign = v128.and(x, c(-0.0));
    const a = v128.xor(x, sign);
    const z = f32x4.mul(x, x);
    let p = fma(c(-9.68013683e-6), z, c(0.000112705449));
    p = fma(p, z, c(-0.000848471129));
    p = fma(p, z, c(0.00522107491));
    p = fma(p, z, c(-0.0268654451));
    p = fma(p, z, c(0.112837829));
    p = fma(p, z, c(-0.376126379));
    p = fma(p, z, c(0.128379166));
    const near = fma(p, x, x);
    // From 1 on: 1 - e^q, with a polynomial for the logarithm of erfc.
    const b = f32x4.pmin(a, c(4));
    let q = fma(c(0.000186777615), b, c(-0.00295188278));
    q = fma(q, b, c(0.0218563359));
    q = fma(q, b, c(-0.103148013));
    q = fma(q, b, c(-0.638093531));
    q = fma(q, b, c(-1.12712252));
    q = fma(q, b, c(-0.000332682335));
    const far = f32x4.sub(c(1), expNormal(q));
    return v128.bitselect(near, v128.or(far, sign), f32x4.lt(a, c(1)));
  }
}
