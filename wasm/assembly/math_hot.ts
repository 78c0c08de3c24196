/**
 * The most used functions once more, on sixteen elements in lockstep: engines materialise a vector constant with several instructions
 * at every use, which then costs more than the arithmetic; here four vectors share each, and it comes from memory.
 */

import { Exp, fma } from "./math_f32";
import { erf64 } from "./math_special";
import { vector1 } from "./block_loops";

@inline function c(x: f32): v128 {
  return f32x4.splat(x);
}
@inline function fnma(a: v128, b: v128, add: v128): v128 {
  if (KINDLING_RELAXED) return f32x4.relaxed_nmadd(a, b, add);
  return f32x4.sub(add, f32x4.mul(a, b));
}

/**
 * Constants of the block functions below, four times each: a load from memory is one instruction where a vector literal is four.
 * held(i) is the i-th.
 */
const HELD: usize = memory.data<f32>([
  1.44269504, 1.44269504, 1.44269504, 1.44269504, // 0
  12582912.0, 12582912.0, 12582912.0, 12582912.0, // 1
  0.693359375, 0.693359375, 0.693359375, 0.693359375, // 2
  -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, -2.12194440e-4, // 3
  0.00836896989, 0.00836896989, 0.00836896989, 0.00836896989, // 4
  0.00139506289, 0.00139506289, 0.00139506289, 0.00139506289, // 5
  0.0416662022, 0.0416662022, 0.0416662022, 0.0416662022, // 6
  0.166665182, 0.166665182, 0.166665182, 0.166665182, // 7
  0.5, 0.5, 0.5, 0.5, // 8
  1.0, 1.0, 1.0, 1.0, // 9
  5.5, 5.5, 5.5, 5.5, // 10
  -5.5, -5.5, -5.5, -5.5, // 11
  -1.50599509e-12, -1.50599509e-12, -1.50599509e-12, -1.50599509e-12, // 12
  3.06119935e-10, 3.06119935e-10, 3.06119935e-10, 3.06119935e-10, // 13
  -4.64265106e-08, -4.64265106e-08, -4.64265106e-08, -4.64265106e-08, // 14
  -2.51575625e-06, -2.51575625e-06, -2.51575625e-06, -2.51575625e-06, // 15
  -6.49646099e-05, -6.49646099e-05, -6.49646099e-05, -6.49646099e-05, // 16
  -0.000522304385, -0.000522304385, -0.000522304385, -0.000522304385, // 17
  -0.00569080701, -0.00569080701, -0.00569080701, -0.00569080701, // 18
  -9.1037947e-07, -9.1037947e-07, -9.1037947e-07, -9.1037947e-07, // 19
  -2.66717561e-05, -2.66717561e-05, -2.66717561e-05, -2.66717561e-05, // 20
  -0.000420706754, -0.000420706754, -0.000420706754, -0.000420706754, // 21
  -0.00368666463, -0.00368666463, -0.00368666463, -0.00368666463, // 22
  -0.0142647391, -0.0142647391, -0.0142647391, -0.0142647391, // 23
  0.0, 0.0, 0.0, 0.0, // 24
], 16);
@inline function held(i: usize): v128 {
  return v128.load(HELD + (i << 4));
}

/** e^x; vectors beyond the normal results take the careful way. */
export function expBlock(d: usize, a: usize, n: i32): void {
  const exact = changetype<Exp>(0);
  let left = n;
  for (; left >= 16; left -= 16, a += 64, d += 64) {
    const x0 = v128.load(a);
    const x1 = v128.load(a, 16);
    const x2 = v128.load(a, 32);
    const x3 = v128.load(a, 48);
    // (Sizes of floats are ordered as integers; NaN is greatest.)
    const far = i32x4.max_s(i32x4.max_s(f32x4.abs(x0), f32x4.abs(x1)), i32x4.max_s(f32x4.abs(x2), f32x4.abs(x3)));
    if (v128.any_true(i32x4.gt_s(far, i32x4.splat(0x42ae0000)))) { // 87
      v128.store(d, exact.v<f32>(x0));
      v128.store(d, exact.v<f32>(x1), 16);
      v128.store(d, exact.v<f32>(x2), 32);
      v128.store(d, exact.v<f32>(x3), 48);
      continue;
    }
    const log2e = held(0);
    const magic = held(1);
    const s0 = fma(x0, log2e, magic);
    const s1 = fma(x1, log2e, magic);
    const s2 = fma(x2, log2e, magic);
    const s3 = fma(x3, log2e, magic);
    const n0 = f32x4.sub(s0, magic);
    const n1 = f32x4.sub(s1, magic);
    const n2 = f32x4.sub(s2, magic);
    const n3 = f32x4.sub(s3, magic);
    const high = held(2);
    const low = held(3);
    const r0 = fnma(n0, low, fnma(n0, high, x0));
    const r1 = fnma(n1, low, fnma(n1, high, x1));
    const r2 = fnma(n2, low, fnma(n2, high, x2));
    const r3 = fnma(n3, low, fnma(n3, high, x3));
    let k = held(4);
    let l = held(5);
    let p0 = fma(r0, l, k);
    let p1 = fma(r1, l, k);
    let p2 = fma(r2, l, k);
    let p3 = fma(r3, l, k);
    k = held(6);
    p0 = fma(p0, r0, k);
    p1 = fma(p1, r1, k);
    p2 = fma(p2, r2, k);
    p3 = fma(p3, r3, k);
    k = held(7);
    p0 = fma(p0, r0, k);
    p1 = fma(p1, r1, k);
    p2 = fma(p2, r2, k);
    p3 = fma(p3, r3, k);
    k = held(8);
    p0 = fma(p0, r0, k);
    p1 = fma(p1, r1, k);
    p2 = fma(p2, r2, k);
    p3 = fma(p3, r3, k);
    p0 = fma(f32x4.mul(r0, r0), p0, r0);
    p1 = fma(f32x4.mul(r1, r1), p1, r1);
    p2 = fma(f32x4.mul(r2, r2), p2, r2);
    p3 = fma(f32x4.mul(r3, r3), p3, r3);
    k = held(9);
    p0 = f32x4.add(p0, k);
    p1 = f32x4.add(p1, k);
    p2 = f32x4.add(p2, k);
    p3 = f32x4.add(p3, k);
    v128.store(d, i32x4.add(p0, i32x4.shl(s0, 23)));
    v128.store(d, i32x4.add(p1, i32x4.shl(s1, 23)), 16);
    v128.store(d, i32x4.add(p2, i32x4.shl(s2, 23)), 32);
    v128.store(d, i32x4.add(p3, i32x4.shl(s3, 23)), 48);
  }
  if (left > 0) vector1<f32, Exp>(d, a, left);
}

/** The normal distribution's cdf, to an absolute error of 2e-7: a rational approximation; exactly 0 where the cdf is below that. */
@inline function cdf(x: v128): v128 {
  const y = f32x4.pmax(f32x4.pmin(x, c(5.5)), c(-5.5));
  const z = f32x4.mul(y, y);
  let p = fma(z, c(-1.50599509e-12), c(3.06119935e-10));
  p = fma(p, z, c(-4.64265106e-08));
  p = fma(p, z, c(-2.51575625e-06));
  p = fma(p, z, c(-6.49646099e-05));
  p = fma(p, z, c(-0.000522304385));
  p = fma(p, z, c(-0.00569080701));
  let q = fma(z, c(-9.1037947e-07), c(-2.66717561e-05));
  q = fma(q, z, c(-0.000420706754));
  q = fma(q, z, c(-0.00368666463));
  q = fma(q, z, c(-0.0142647391));
  p = f32x4.pmax(f32x4.pmin(f32x4.add(f32x4.div(f32x4.mul(p, y), q), c(0.5)), c(1)), c(0));
  return v128.and(p, f32x4.gt(x, c(-5.5)));
}

@final export class Gelu {
  @inline v<T>(x: v128): v128 { return f32x4.mul(x, cdf(x)); }
}
@final export class Gelu64 {
  @inline s<T>(x: f64): f64 { return 0.5 * x * (1 + erf64(x * 0.70710678118654752440)); }
}
/** Its derivative: the cdf and x times the density. */
@final export class GeluSlope {
  @inline v<T>(x: v128): v128 {
    // Beyond 13 the density is no number of f32 that x could lift above the cdf's rounding.
    const y = f32x4.pmax(f32x4.pmin(x, c(13)), c(-13));
    const shifted = fma(f32x4.mul(y, y), c(-0.721347520), c(12582912));
    const n = f32x4.sub(shifted, c(12582912));
    const r = fnma(n, c(-2.12194440e-4), fnma(n, c(0.693359375), f32x4.mul(f32x4.mul(y, c(-0.5)), y)));
    let e = fma(c(0.00139506289), r, c(0.00836896989));
    e = fma(e, r, c(0.0416662022));
    e = fma(e, r, c(0.166665182));
    e = fma(e, r, c(0.5));
    e = f32x4.add(fma(f32x4.mul(r, r), e, r), c(1));
    const density = v128.and(i32x4.add(e, i32x4.shl(shifted, 23)), f32x4.lt(f32x4.abs(x), c(13)));
    return fma(f32x4.mul(x, c(0.398942280)), density, cdf(x)); // NaN at the infinities, as in PyTorch
  }
}
@final export class GeluSlope64 {
  @inline s<T>(x: f64): f64 {
    return 0.5 * (1 + erf64(x * 0.70710678118654752440)) + x * 0.39894228040143267794 * NativeMath.exp(-0.5 * x * x);
  }
}

/** x times the normal distribution's cdf at x. */
export function geluBlock(d: usize, a: usize, n: i32): void {
  let left = n;
  for (; left >= 16; left -= 16, a += 64, d += 64) {
    const x0 = v128.load(a);
    const x1 = v128.load(a, 16);
    const x2 = v128.load(a, 32);
    const x3 = v128.load(a, 48);
    let k = held(10);
    let l = held(11);
    const c0 = f32x4.pmax(f32x4.pmin(x0, k), l);
    const c1 = f32x4.pmax(f32x4.pmin(x1, k), l);
    const c2 = f32x4.pmax(f32x4.pmin(x2, k), l);
    const c3 = f32x4.pmax(f32x4.pmin(x3, k), l);
    const z0 = f32x4.mul(c0, c0);
    const z1 = f32x4.mul(c1, c1);
    const z2 = f32x4.mul(c2, c2);
    const z3 = f32x4.mul(c3, c3);
    k = held(12);
    l = held(13);
    let p0 = fma(z0, k, l);
    let p1 = fma(z1, k, l);
    let p2 = fma(z2, k, l);
    let p3 = fma(z3, k, l);
    k = held(14);
    p0 = fma(p0, z0, k);
    p1 = fma(p1, z1, k);
    p2 = fma(p2, z2, k);
    p3 = fma(p3, z3, k);
    k = held(15);
    p0 = fma(p0, z0, k);
    p1 = fma(p1, z1, k);
    p2 = fma(p2, z2, k);
    p3 = fma(p3, z3, k);
    k = held(16);
    p0 = fma(p0, z0, k);
    p1 = fma(p1, z1, k);
    p2 = fma(p2, z2, k);
    p3 = fma(p3, z3, k);
    k = held(17);
    p0 = fma(p0, z0, k);
    p1 = fma(p1, z1, k);
    p2 = fma(p2, z2, k);
    p3 = fma(p3, z3, k);
    k = held(18);
    p0 = fma(p0, z0, k);
    p1 = fma(p1, z1, k);
    p2 = fma(p2, z2, k);
    p3 = fma(p3, z3, k);
    k = held(19);
    l = held(20);
    let q0 = fma(z0, k, l);
    let q1 = fma(z1, k, l);
    let q2 = fma(z2, k, l);
    let q3 = fma(z3, k, l);
    k = held(21);
    q0 = fma(q0, z0, k);
    q1 = fma(q1, z1, k);
    q2 = fma(q2, z2, k);
    q3 = fma(q3, z3, k);
    k = held(22);
    q0 = fma(q0, z0, k);
    q1 = fma(q1, z1, k);
    q2 = fma(q2, z2, k);
    q3 = fma(q3, z3, k);
    k = held(23);
    q0 = fma(q0, z0, k);
    q1 = fma(q1, z1, k);
    q2 = fma(q2, z2, k);
    q3 = fma(q3, z3, k);
    k = held(8);
    p0 = f32x4.add(f32x4.div(f32x4.mul(p0, c0), q0), k);
    p1 = f32x4.add(f32x4.div(f32x4.mul(p1, c1), q1), k);
    p2 = f32x4.add(f32x4.div(f32x4.mul(p2, c2), q2), k);
    p3 = f32x4.add(f32x4.div(f32x4.mul(p3, c3), q3), k);
    k = held(9);
    l = held(24);
    p0 = f32x4.pmax(f32x4.pmin(p0, k), l);
    p1 = f32x4.pmax(f32x4.pmin(p1, k), l);
    p2 = f32x4.pmax(f32x4.pmin(p2, k), l);
    p3 = f32x4.pmax(f32x4.pmin(p3, k), l);
    k = held(11);
    v128.store(d, f32x4.mul(x0, v128.and(p0, f32x4.gt(x0, k))));
    v128.store(d, f32x4.mul(x1, v128.and(p1, f32x4.gt(x1, k))), 16);
    v128.store(d, f32x4.mul(x2, v128.and(p2, f32x4.gt(x2, k))), 32);
    v128.store(d, f32x4.mul(x3, v128.and(p3, f32x4.gt(x3, k))), 48);
  }
  if (left > 0) vector1<f32, Gelu>(d, a, left);
}
