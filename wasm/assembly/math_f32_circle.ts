/** Tangent, the inverse circular and the hyperbolic functions on four f32 at once; see math_f32.ts. */

import { fma, halfExp } from "./math_f32";
import { FAR, reduced, reducedQuarters } from "./math_f32_wide";

@inline function c(x: f32): v128 {
  return f32x4.splat(x);
}
@inline function signOf(x: v128): v128 {
  return v128.and(x, c(-0.0));
}

/** pi / 2, in two parts where what is subtracted from it cancels. */
const HALF_PI: f32 = 1.57079637;
const HALF_PI_LOW: f32 = -4.37113883e-8;

function tangentFar(x: v128): v128 {
  const a = f32x4.splat(<f32>NativeMath.tan(<f64>f32x4.extract_lane(x, 0)));
  const b = f32x4.replace_lane(a, 1, <f32>NativeMath.tan(<f64>f32x4.extract_lane(x, 1)));
  const e = f32x4.replace_lane(b, 2, <f32>NativeMath.tan(<f64>f32x4.extract_lane(x, 2)));
  return f32x4.replace_lane(e, 3, <f32>NativeMath.tan(<f64>f32x4.extract_lane(x, 3)));
}

@final export class Tan {
  @inline v<T>(x: v128): v128 {
    if (v128.any_true(f32x4.ge(f32x4.abs(x), c(FAR)))) return tangentFar(x);
    const r = reduced(x);
    const odd = i32x4.ne(v128.and(reducedQuarters(x), i32x4.splat(1)), i32x4.splat(0));
    const z = f32x4.mul(r, r);
    let s = fma(c(2.71823728e-6), z, c(-0.000198393274));
    s = fma(s, z, c(0.00833332911));
    s = fma(s, z, c(-0.166666672));
    s = fma(f32x4.mul(s, z), r, r);
    let k = fma(c(2.44377279e-5), z, c(-0.00138873619));
    k = fma(k, z, c(0.0416666456));
    k = fma(k, z, c(-0.5));
    k = fma(k, z, c(1));
    const y = f32x4.div(v128.bitselect(f32x4.neg(k), s, odd), v128.bitselect(s, k, odd));
    return v128.bitselect(x, y, f32x4.eq(x, c(0)));
  }
}

/** atan(t) for 0 <= t <= 1. */
@inline function atanNear(t: v128): v128 {
  const z = f32x4.mul(t, t);
  let p = fma(c(-0.00179359387), z, c(0.0109144812));
  p = fma(p, z, c(-0.031177612));
  p = fma(p, z, c(0.0579573587));
  p = fma(p, z, c(-0.0840343684));
  p = fma(p, z, c(0.109521814));
  p = fma(p, z, c(-0.142642409));
  p = fma(p, z, c(0.199985489));
  p = fma(p, z, c(-0.333332986));
  return fma(f32x4.mul(p, z), t, t);
}
@inline function lessFromHalfPi(p: v128): v128 {
  return f32x4.add(f32x4.sub(c(HALF_PI), p), c(HALF_PI_LOW));
}

@final export class Atan {
  @inline v<T>(x: v128): v128 {
    const sign = signOf(x);
    const a = v128.xor(x, sign);
    const beyond = f32x4.gt(a, c(1));
    const p = atanNear(v128.bitselect(f32x4.div(c(1), a), a, beyond));
    return v128.or(v128.bitselect(lessFromHalfPi(p), p, beyond), sign);
  }
}
@final export class Atan2 {
  @inline v<T>(y: v128, x: v128): v128 {
    const a = f32x4.abs(y);
    const b = f32x4.abs(x);
    const low = f32x4.min(a, b);
    const high = f32x4.max(a, b);
    let t = f32x4.div(low, high);
    // Two zeros count as 0 / 1, two Inf as 1 / 1.
    t = v128.bitselect(c(0), t, f32x4.eq(high, c(0)));
    t = v128.bitselect(c(1), t, f32x4.eq(low, c(Infinity)));
    let p = atanNear(t);
    p = v128.bitselect(lessFromHalfPi(p), p, f32x4.gt(a, b));
    const left = i32x4.shr_s(x, 31);
    p = v128.bitselect(f32x4.add(f32x4.sub(c(2 * HALF_PI), p), c(2 * HALF_PI_LOW)), p, left);
    return v128.bitselect(v128.or(p, signOf(y)), p, f32x4.eq(p, p));
  }
}

/** asin(s) / s - 1 for z = s² <= 1 / 4. */
@inline function asinTail(z: v128): v128 {
  let p = fma(c(0.0375781581), z, c(0.0143938055));
  p = fma(p, z, c(0.0318198204));
  p = fma(p, z, c(0.0445154719));
  p = fma(p, z, c(0.0750051215));
  p = fma(p, z, c(0.166666597));
  return f32x4.mul(p, z);
}
@final export class Asin {
  @inline v<T>(x: v128): v128 {
    const sign = signOf(x);
    const a = v128.xor(x, sign);
    const far = f32x4.gt(a, c(0.5));
    const z = v128.bitselect(f32x4.mul(f32x4.sub(c(1), a), c(0.5)), f32x4.mul(a, a), far);
    const s = v128.bitselect(f32x4.sqrt(z), a, far);
    const r = fma(asinTail(z), s, s);
    return v128.or(v128.bitselect(lessFromHalfPi(f32x4.add(r, r)), r, far), sign);
  }
}
@final export class Acos {
  @inline v<T>(x: v128): v128 {
    const sign = signOf(x);
    const a = v128.xor(x, sign);
    const far = f32x4.gt(a, c(0.5));
    const z = v128.bitselect(f32x4.mul(f32x4.sub(c(1), a), c(0.5)), f32x4.mul(a, a), far);
    const s = v128.bitselect(f32x4.sqrt(z), v128.or(a, sign), far);
    const r = fma(asinTail(z), s, s);
    const twice = f32x4.add(r, r);
    const left = f32x4.add(f32x4.sub(c(2 * HALF_PI), twice), c(2 * HALF_PI_LOW));
    return v128.bitselect(v128.bitselect(left, twice, f32x4.lt(x, c(0))), lessFromHalfPi(r), far);
  }
}

@final export class Sinh {
  @inline v<T>(x: v128): v128 {
    const sign = signOf(x);
    const a = v128.xor(x, sign);
    const z = f32x4.mul(x, x);
    let p = fma(c(2.81743974e-6), z, c(0.000198360663));
    p = fma(p, z, c(0.00833335053));
    p = fma(p, z, c(0.166666672));
    const near = fma(f32x4.mul(p, z), x, x);
    const half = halfExp(a);
    const far = f32x4.sub(half, f32x4.div(c(0.25), half));
    return v128.bitselect(near, v128.or(far, sign), f32x4.lt(a, c(1)));
  }
}
@final export class Cosh {
  @inline v<T>(x: v128): v128 {
    const half = halfExp(f32x4.abs(x));
    return f32x4.add(half, f32x4.div(c(0.25), half));
  }
}
