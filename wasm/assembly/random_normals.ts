/**
 * Box-Muller on groups of 16 uniforms in place: 8 radii and 8 angles become 16 normals. The float32 form is the one of PyTorch's
 * AVX2 code (Cephes polynomials), so that it agrees to the last bits.
 */

import { Brain, Code, get, Half, put } from "./element";

@unmanaged
class Job {
  at: usize;
  /** Groups of 16 in all and per task. */
  groups: i32;
  perTask: i32;
  code: i32;
  mean: f64;
  std: f64;
}

export function random_normals(params: usize, task: u32, scratch: usize): void {
  const job = changetype<Job>(params);
  const first = <i32>task * job.perTask;
  const groups = min(job.perTask, job.groups - first);
  switch (job.code) {
    case Code.float32: return normals32(job.at + (<usize>first << 6), groups, <f32>job.mean, <f32>job.std);
    case Code.float64: return normals64(job.at + (<usize>first << 7), groups, job.mean, job.std);
    case Code.float16: return narrowNormals<Half>(job.at + (<usize>first << 5), groups, <f32>job.mean, <f32>job.std);
    case Code.bfloat16: return narrowNormals<Brain>(job.at + (<usize>first << 5), groups, <f32>job.mean, <f32>job.std);
  }
}

function normals64(p: usize, groups: i32, mean: f64, std: f64): void {
  for (let g = 0; g < groups; g++, p += 128) {
    for (let j: usize = p; j < p + 64; j += 8) {
      const radius = Math.sqrt(-2.0 * Math.log(1.0 - load<f64>(j)));
      const theta = 2.0 * Math.PI * load<f64>(j, 64);
      store<f64>(j, radius * Math.cos(theta) * std + mean);
      store<f64>(j, radius * Math.sin(theta) * std + mean, 64);
    }
  }
}

/** Every step is rounded to the narrow type, as PyTorch's scalar code does. */
function narrowNormals<T>(p: usize, groups: i32, mean: f32, std: f32): void {
  for (let g = 0; g < groups; g++, p += 32) {
    for (let j: usize = p; j < p + 16; j += 2) {
      const u1: f32 = <f32>1 - get<T, f32>(j);
      const log = rounded<T>(j, <f32>Math.log(u1));
      const radius = rounded<T>(j, <f32>Math.sqrt(rounded<T>(j, -2 * log)));
      const theta = rounded<T>(j, <f32>(2.0 * Math.PI * get<T, f64>(j + 16)));
      const c = rounded<T>(j, rounded<T>(j, radius * rounded<T>(j, <f32>Math.cos(theta))) * std);
      const s = rounded<T>(j, rounded<T>(j, radius * rounded<T>(j, <f32>Math.sin(theta))) * std);
      put<T, f32>(j, c + mean);
      put<T, f32>(j + 16, s + mean);
    }
  }
}

/** `j` is an address that is about to be written anyway. */
@inline function rounded<T>(j: usize, x: f32): f32 {
  put<T, f32>(j, x);
  return get<T, f32>(j);
}

@inline function splat(x: f32): v128 {
  return f32x4.splat(x);
}

/** a * b + c */
@inline function madd(a: v128, b: v128, c: v128): v128 {
  return f32x4.add(f32x4.mul(a, b), c);
}

/** Natural logarithm of normal numbers in (0, 1]. */
@inline function log4(v: v128): v128 {
  let e = f32x4.convert_i32x4_s(i32x4.sub(i32x4.shr_u(v, 23), i32x4.splat(126)));
  let x = v128.or(v128.and(v, i32x4.splat(0x007fffff)), splat(0.5));
  const small = f32x4.lt(x, splat(0.707106781186547524));
  const extra = v128.and(x, small);
  x = f32x4.add(f32x4.sub(x, splat(1)), extra);
  e = f32x4.sub(e, v128.and(splat(1), small));
  const z = f32x4.mul(x, x);
  let y = madd(splat(7.0376836292e-2), x, splat(-1.151461031e-1));
  y = madd(y, x, splat(1.167699874e-1));
  y = madd(y, x, splat(-1.2420140846e-1));
  y = madd(y, x, splat(1.4249322787e-1));
  y = madd(y, x, splat(-1.6668057665e-1));
  y = madd(y, x, splat(2.0000714765e-1));
  y = madd(y, x, splat(-2.4999993993e-1));
  y = madd(y, x, splat(3.3333331174e-1));
  y = f32x4.mul(f32x4.mul(y, x), z);
  y = madd(e, splat(-2.12194440e-4), y);
  y = f32x4.sub(y, f32x4.mul(z, splat(0.5)));
  return madd(e, splat(0.693359375), f32x4.add(x, y));
}

function normals32(p: usize, groups: i32, mean: f32, std: f32): void {
  const m = splat(mean);
  const s = splat(std);
  for (let g = 0; g < groups; g++, p += 64) {
    pair(p, m, s);
    pair(p + 16, m, s);
  }
}

/** Four radii at `p` and their angles 32 bytes on. */
@inline function pair(p: usize, mean: v128, std: v128): void {
  const log = log4(f32x4.sub(splat(1), v128.load(p)));
  const radius = f32x4.mul(f32x4.sqrt(f32x4.mul(splat(-2), log)), std);

  // Sine and cosine of an angle in [0, 2 pi): octants, then a polynomial each, exchanged and signed by octant.
  const theta = f32x4.mul(v128.load(p, 32), splat(<f32>(2.0 * Math.PI)));
  let j = i32x4.trunc_sat_f32x4_s(f32x4.mul(theta, splat(1.27323954473516)));
  j = v128.and(i32x4.add(j, i32x4.splat(1)), i32x4.splat(~1));
  const y = f32x4.convert_i32x4_s(j);
  let x = madd(y, splat(-0.78515625), theta);
  x = madd(y, splat(-2.4187564849853515625e-4), x);
  x = madd(y, splat(-3.77489497744594108e-8), x);
  const z = f32x4.mul(x, x);
  let c = madd(splat(2.443315711809948e-5), z, splat(-1.388731625493765e-3));
  c = madd(c, z, splat(4.166664568298827e-2));
  c = f32x4.mul(f32x4.mul(c, z), z);
  c = f32x4.add(f32x4.sub(c, f32x4.mul(z, splat(0.5))), splat(1));
  let d = madd(splat(-1.9515295891e-4), z, splat(8.3321608736e-3));
  d = madd(d, z, splat(-1.6666654611e-1));
  d = madd(f32x4.mul(d, z), x, x);
  const straight = i32x4.eq(v128.and(j, i32x4.splat(2)), i32x4.splat(0));
  const sinSign = i32x4.shl(v128.and(j, i32x4.splat(4)), 29);
  const cosSign = i32x4.shl(v128.andnot(i32x4.splat(4), i32x4.sub(j, i32x4.splat(2))), 29);
  const cos = v128.xor(v128.bitselect(c, d, straight), cosSign);
  const sin = v128.xor(v128.bitselect(d, c, straight), sinSign);
  v128.store(p, madd(radius, cos, mean));
  v128.store(p, madd(radius, sin, mean), 32);
}
