/** Functions on four f32 that need f64 on the way: sine and cosine, powers, remainders. */

import { fma } from "./math_f32";
import { fmodOf, pow64 } from "./math_f64";

@inline function c(x: f32): v128 {
  return f32x4.splat(x);
}
@inline function d(x: f64): v128 {
  return f64x2.splat(x);
}
/** The upper two of four f32, widened. */
@inline function upper(x: v128): v128 {
  return f64x2.promote_low_f32x4(i64x2.shuffle(x, x, 1, 1));
}
@inline function joined(low: v128, high: v128): v128 {
  return i64x2.shuffle(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
}
@inline function evenWords(low: v128, high: v128): v128 {
  return i32x4.shuffle(low, high, 0, 2, 4, 6);
}

/** Adding it leaves a number's nearest integer in the low bits. */
const MAGIC: f64 = 6755399441055744;
/** pi / 2 in two parts: products of the first with numbers below 2^28 are exact. */
const HALF_PI_HIGH: f64 = 1.57079631090164184570;
const HALF_PI_LOW: f64 = 1.58932547735281966916e-8;
/** Arguments from here on go to the f64 functions. */
export const FAR: f32 = 1048576;

@inline function lessQuarters(x: v128, shifted: v128): v128 {
  const n = f64x2.sub(shifted, d(MAGIC));
  return f64x2.sub(f64x2.sub(x, f64x2.mul(n, d(HALF_PI_HIGH))), f64x2.mul(n, d(HALF_PI_LOW)));
}

@inline function shiftedQuarters(x: v128): v128 {
  return f64x2.add(f64x2.mul(x, d(0.63661977236758134308)), d(MAGIC));
}
/** x less its nearest multiple of pi / 2, for |x| < FAR. */
@inline export function reduced(x: v128): v128 {
  const low = f64x2.promote_low_f32x4(x);
  const high = upper(x);
  return joined(lessQuarters(low, shiftedQuarters(low)), lessQuarters(high, shiftedQuarters(high)));
}
/** Which multiple that is. */
@inline export function reducedQuarters(x: v128): v128 {
  return evenWords(shiftedQuarters(f64x2.promote_low_f32x4(x)), shiftedQuarters(upper(x)));
}

function sineFar(x: v128): v128 {
  const a = f32x4.splat(<f32>NativeMath.sin(<f64>f32x4.extract_lane(x, 0)));
  const b = f32x4.replace_lane(a, 1, <f32>NativeMath.sin(<f64>f32x4.extract_lane(x, 1)));
  const e = f32x4.replace_lane(b, 2, <f32>NativeMath.sin(<f64>f32x4.extract_lane(x, 2)));
  return f32x4.replace_lane(e, 3, <f32>NativeMath.sin(<f64>f32x4.extract_lane(x, 3)));
}
function cosineFar(x: v128): v128 {
  const a = f32x4.splat(<f32>NativeMath.cos(<f64>f32x4.extract_lane(x, 0)));
  const b = f32x4.replace_lane(a, 1, <f32>NativeMath.cos(<f64>f32x4.extract_lane(x, 1)));
  const e = f32x4.replace_lane(b, 2, <f32>NativeMath.cos(<f64>f32x4.extract_lane(x, 2)));
  return f32x4.replace_lane(e, 3, <f32>NativeMath.cos(<f64>f32x4.extract_lane(x, 3)));
}

/** sin(x + quarters * pi / 2) */
@inline function sine(x: v128, quarters: i32): v128 {
  const r = reduced(x);
  const n = i32x4.add(reducedQuarters(x), i32x4.splat(quarters));
  const z = f32x4.mul(r, r);
  let s = fma(c(-0.000195166547), z, c(0.00833217334));
  s = fma(s, z, c(-0.166666552));
  s = fma(f32x4.mul(s, z), r, r);
  let k = fma(c(2.44377279e-5), z, c(-0.00138873619));
  k = fma(k, z, c(0.0416666456));
  k = fma(k, z, c(-0.5));
  k = fma(k, z, c(1));
  const odd = i32x4.ne(v128.and(n, i32x4.splat(1)), i32x4.splat(0));
  const negative = i32x4.shl(v128.and(n, i32x4.splat(2)), 30);
  return v128.xor(v128.bitselect(k, s, odd), negative);
}

@final export class Sin {
  @inline v<T>(x: v128): v128 {
    if (v128.any_true(f32x4.ge(f32x4.abs(x), c(FAR)))) return sineFar(x);
    // The reduction has no negative zero.
    return v128.bitselect(x, sine(x, 0), f32x4.eq(x, c(0)));
  }
}
@final export class Cos {
  @inline v<T>(x: v128): v128 {
    if (v128.any_true(f32x4.ge(f32x4.abs(x), c(FAR)))) return cosineFar(x);
    return sine(x, 1);
  }
}

function powFar(x: v128, y: v128): v128 {
  const a = f32x4.splat(<f32>pow64(<f64>f32x4.extract_lane(x, 0), <f64>f32x4.extract_lane(y, 0)));
  const b = f32x4.replace_lane(a, 1, <f32>pow64(<f64>f32x4.extract_lane(x, 1), <f64>f32x4.extract_lane(y, 1)));
  const e = f32x4.replace_lane(b, 2, <f32>pow64(<f64>f32x4.extract_lane(x, 2), <f64>f32x4.extract_lane(y, 2)));
  return f32x4.replace_lane(e, 3, <f32>pow64(<f64>f32x4.extract_lane(x, 3), <f64>f32x4.extract_lane(y, 3)));
}

/** 2^(y log2 x) for finite positive x, in f64: log2 by the series of atanh. */
@inline function powWide(x: v128, y: v128): v128 {
  // Exponent and mantissa in [sqrt(1/2), sqrt(2)); values of f32 are all normal in f64.
  const high = i64x2.shr_s(i64x2.sub(x, i64x2.splat(0x3fe6a09e667f3bcd)), 52);
  const m = i64x2.sub(x, i64x2.shl(high, 52));
  const e = f64x2.sub(i64x2.add(high, i64x2.splat(0x4338000000000000)), d(MAGIC));
  const s = f64x2.div(f64x2.sub(m, d(1)), f64x2.add(m, d(1)));
  const z = f64x2.mul(s, s);
  let p = f64x2.add(f64x2.mul(d(0.24055274270796784), z), d(0.2616537626442927));
  p = f64x2.add(f64x2.mul(p, z), d(0.3206094736563082));
  p = f64x2.add(f64x2.mul(p, z), d(0.4121985043061631));
  p = f64x2.add(f64x2.mul(p, z), d(0.5770780166226007));
  p = f64x2.add(f64x2.mul(p, z), d(0.9617966939253473));
  p = f64x2.add(f64x2.mul(p, z), d(2.8853900817779268));
  let t = f64x2.mul(y, f64x2.add(f64x2.mul(p, s), e));
  t = f64x2.pmax(f64x2.pmin(t, d(200)), d(-200));
  const shifted = f64x2.add(t, d(MAGIC));
  const r = f64x2.sub(t, f64x2.sub(shifted, d(MAGIC)));
  let q = f64x2.add(f64x2.mul(d(1.531645887628552e-5), r), d(0.00015469731637074435));
  q = f64x2.add(f64x2.mul(q, r), d(0.0013333422658215726));
  q = f64x2.add(f64x2.mul(q, r), d(0.009618025604235926));
  q = f64x2.add(f64x2.mul(q, r), d(0.05550410976092214));
  q = f64x2.add(f64x2.mul(q, r), d(0.24022651213582902));
  q = f64x2.add(f64x2.mul(q, r), d(0.693147180535032));
  q = f64x2.add(f64x2.mul(q, r), d(1));
  return i64x2.add(q, i64x2.shl(shifted, 52));
}

@final export class Pow {
  @inline v<T>(x: v128, y: v128): v128 {
    // Zeros, Inf, NaN and huge exponents have rules of their own.
    const a = f32x4.abs(x);
    const usual = v128.and(
      v128.and(f32x4.gt(a, c(0)), f32x4.lt(a, c(Infinity))),
      f32x4.lt(f32x4.abs(y), c(1e9)),
    );
    if (!i32x4.all_true(usual)) return powFar(x, y);
    const low = powWide(f64x2.promote_low_f32x4(a), f64x2.promote_low_f32x4(y));
    const high = powWide(upper(a), upper(y));
    const size = joined(low, high);
    // Negative bases: odd exponents keep the sign, broken ones have no result.
    const negative = f32x4.lt(x, c(0));
    const half = f32x4.mul(y, c(0.5));
    const whole = f32x4.eq(y, f32x4.trunc(y));
    const odd = v128.andnot(whole, f32x4.eq(half, f32x4.trunc(half)));
    const signed = v128.xor(size, v128.and(v128.and(negative, odd), c(-0.0)));
    return v128.bitselect(c(NaN), signed, v128.andnot(negative, whole));
  }
}

function fmodFar(x: v128, y: v128): v128 {
  const a = f32x4.splat(fmodOf<f32>(f32x4.extract_lane(x, 0), f32x4.extract_lane(y, 0)));
  const b = f32x4.replace_lane(a, 1, fmodOf<f32>(f32x4.extract_lane(x, 1), f32x4.extract_lane(y, 1)));
  const e = f32x4.replace_lane(b, 2, fmodOf<f32>(f32x4.extract_lane(x, 2), f32x4.extract_lane(y, 2)));
  return f32x4.replace_lane(e, 3, fmodOf<f32>(f32x4.extract_lane(x, 3), f32x4.extract_lane(y, 3)));
}
/** x - trunc(x / y) * y for x >= 0 and y > 0 with a quotient below 2^28: exact but for a quotient that rounded up. */
@inline function restWide(x: v128, y: v128): v128 {
  const r = f64x2.sub(x, f64x2.mul(f64x2.trunc(f64x2.div(x, y)), y));
  return f64x2.add(r, v128.and(y, f64x2.lt(r, d(0))));
}
@inline function fmod4(x: v128, y: v128): v128 {
  const a = f32x4.abs(x);
  const b = f32x4.abs(y);
  const usual = v128.and(f32x4.lt(a, f32x4.mul(b, c(268435456))), f32x4.lt(b, c(Infinity)));
  if (!i32x4.all_true(v128.and(usual, f32x4.lt(a, c(Infinity))))) return fmodFar(x, y);
  const r = joined(
    restWide(f64x2.promote_low_f32x4(a), f64x2.promote_low_f32x4(b)),
    restWide(upper(a), upper(b)),
  );
  return v128.or(r, v128.and(x, c(-0.0)));
}
/** Where a remainder has not the divisor's sign. */
@inline function misplaced(mod: v128, y: v128): v128 {
  return v128.and(f32x4.ne(mod, c(0)), v128.xor(f32x4.lt(y, c(0)), f32x4.lt(mod, c(0))));
}

@final export class FmodFloat {
  @inline v<T>(x: v128, y: v128): v128 { return fmod4(x, y); }
}
@final export class RemainderFloat {
  @inline v<T>(x: v128, y: v128): v128 {
    const mod = fmod4(x, y);
    return f32x4.add(mod, v128.and(y, misplaced(mod, y)));
  }
}
/** As FloorDivide in block_arith.ts. */
@final export class FloorDivideFloat {
  @inline v<T>(x: v128, y: v128): v128 {
    const mod = fmod4(x, y);
    const plain = f32x4.div(x, y);
    let quotient = f32x4.div(f32x4.sub(x, mod), y);
    quotient = f32x4.sub(quotient, v128.and(c(1), misplaced(mod, y)));
    let whole = f32x4.floor(quotient);
    whole = f32x4.add(whole, v128.and(c(1), f32x4.gt(f32x4.sub(quotient, whole), c(0.5))));
    whole = v128.bitselect(v128.and(plain, c(-0.0)), whole, f32x4.eq(quotient, c(0)));
    return v128.bitselect(plain, whole, f32x4.eq(y, c(0)));
  }
}
