/**
 * Draws in the order in which PyTorch makes them on the CPU. The stream is sequential, so this is one task; only what is computed
 * from draws already made (random_normals) is shared out.
 */

import { brainToFloat, Code, floatToBrain, floatToHalf, halfToFloat, readBlock, writeBlock } from "./element";
import { Engine, next32, next64, nextDouble, nextNormal, toDouble, words } from "./random_engine";
import { binomial, gamma, poisson } from "./random_rejection";

@unmanaged
class Job {
  kind: i32;
  /** DType.code of the output, and of what is read. */
  code: i32;
  out: usize;
  n: i32;
  engine: Engine;
  first: usize;
  firstCode: i32;
  second: usize;
  secondCode: i32;
  itemsize: i32;
  /** 16 elements to follow a normal fill whose length is no multiple of 16. */
  tail: usize;
  private pad: i32;
  a: f64;
  b: f64;
  base: i64;
  /** Number of possible integers; 0 stands for 2^64. */
  range: u64;
}

/** Kept in step with KINDS of wasm/device/lower/random.ts. */
namespace Kind {
  export const uniform: i32 = 0;
  export const normal: i32 = 1;
  export const random_int: i32 = 2;
  export const bernoulli: i32 = 3;
  export const exponential: i32 = 4;
  export const geometric: i32 = 5;
  export const cauchy: i32 = 6;
  export const log_normal: i32 = 7;
  export const randperm: i32 = 8;
  export const poisson: i32 = 9;
  export const binomial: i32 = 10;
  export const standard_gamma: i32 = 11;
}

/** Values made at a time; scratch holds their raw words, then they themselves, then two blocks of parameters. */
const BLOCK: i32 = 2048;
const VALUES: i32 = BLOCK * 8 + 64;
const FIRST: i32 = VALUES + BLOCK * 8;
const SECOND: i32 = FIRST + BLOCK * 8;

export function random_draw(params: usize, task: u32, scratch: usize): void {
  const job = changetype<Job>(params);
  if (job.kind == Kind.uniform) uniform(job, job.out, job.n, job.a, job.b, scratch);
  else if (job.kind == Kind.normal && job.tail) {
    uniform(job, job.out, job.n, 0, 1, scratch);
    if (job.n & 15) uniform(job, job.tail, 16, 0, 1, scratch);
  } else if (job.kind == Kind.randperm) permutation(job, scratch);
  else if (job.kind == Kind.bernoulli && !job.first && job.itemsize != 2 && job.itemsize != 8) coins(job, scratch);
  else blocks(job, scratch);
}

/** [a, b) from as many random bits as the type's mantissa holds. */
function uniform(job: Job, out: usize, n: i32, a: f64, b: f64, scratch: usize): void {
  const code = job.code;
  const values = scratch + VALUES;
  for (let done = 0; done < n; done += BLOCK) {
    const m = min(BLOCK, n - done);
    const to = out + <usize>done * job.itemsize;
    if (code == Code.float64) {
      words(job.engine, scratch, m * 2);
      for (let i = 0; i < m; i++) {
        const x = toDouble(rotl(load<u64>(scratch + (<usize>i << 3)), 32));
        store<f64>(to + (<usize>i << 3), a == 0 ? x * b : fusedMultiplyAdd(x, b - a, a));
      }
      continue;
    }
    words(job.engine, scratch, m);
    if (code == Code.float32) floats(scratch, to, m, <f32>a, <f32>b);
    else {
      const bits: u32 = code == Code.float16 ? 11 : 8;
      const mask: u32 = (1 << bits) - 1;
      const start = narrow(code, a);
      const scale = narrow(code, narrow(code, b) - start) / <f64>(1 << bits);
      for (let i = 0; i < m; i++) {
        const x = <f64>(load<u32>(scratch + (<usize>i << 2)) & mask);
        store<f64>(values + (<usize>i << 3), x * scale + start);
      }
      writeBlock<f64>(code, values, m, to, job.itemsize);
    }
  }
}

/** x * y + z rounded once, as PyTorch's compilers fuse it: the product's and the sum's errors are found exactly and added. */
function fusedMultiplyAdd(x: f64, y: f64, z: f64): f64 {
  const split = 134217729.0; // 2^27 + 1
  const xs = x * split;
  const xHigh = xs - (xs - x);
  const xLow = x - xHigh;
  const ys = y * split;
  const yHigh = ys - (ys - y);
  const yLow = y - yHigh;
  const product = x * y;
  const productError = xHigh * yHigh - product + xHigh * yLow + xLow * yHigh + xLow * yLow;
  const sum = product + z;
  const part = sum - product;
  const sumError = product - (sum - part) + (z - part);
  return sum + (sumError + productError);
}

/** PyTorch holds the bounds, and their distance, in the type of the output. */
function narrow(code: i32, x: f64): f64 {
  return code == Code.float16 ? halfToFloat(floatToHalf(<f32>x)) : brainToFloat(floatToBrain(<f32>x));
}

/** One rounding only, as a fused multiply-add: 24-bit factors and their product are exact in double precision. */
function floats(from: usize, to: usize, n: i32, a: f32, b: f32): void {
  const mask = i32x4.splat(0xffffff);
  const end = from + (<usize>n << 2);
  if (a == 0 && b == 1) {
    const unit = f32x4.splat(5.9604644775390625e-8); // 2^-24
    for (; from + 16 <= end; from += 16, to += 16) {
      v128.store(to, f32x4.mul(f32x4.convert_i32x4_s(v128.and(v128.load(from), mask)), unit));
    }
  }
  const span = <f64>(b - a) * 5.9604644775390625e-8;
  const scale = f64x2.splat(span);
  const start = f64x2.splat(a);
  for (; from + 16 <= end; from += 16, to += 16) {
    const x = v128.and(v128.load(from), mask);
    const low = f64x2.add(f64x2.mul(f64x2.convert_low_i32x4_s(x), scale), start);
    const high = f64x2.convert_low_i32x4_s(v128.shuffle<i64>(x, x, 1, 0));
    const rest = f64x2.add(f64x2.mul(high, scale), start);
    v128.store(to, v128.shuffle<i64>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(rest), 0, 2));
  }
  for (; from < end; from += 4, to += 4) {
    store<f32>(to, <f32>(<f64>(load<u32>(from) & 0xffffff) * span + <f64>a));
  }
}

/** Bernoulli with one probability, into elements of 1 or 4 bytes: a comparison of 53-bit integers, four coins at a time. */
function coins(job: Job, scratch: usize): void {
  // x * 2^-53 < p for an integer x just where x < ceil(p * 2^53); at p = 1 that is true for all 53-bit x.
  const limit = <u64>Math.ceil(job.a * 9007199254740992.0);
  const highLimit = i32x4.splat(<i32>(limit >> 32));
  const lowLimit = i32x4.splat(<i32>limit);
  const one = job.code == Code.float32 ? i32x4.splat(0x3f800000) : i32x4.splat(1);
  const narrow = job.itemsize == 1;
  let out = job.out;
  for (let done = 0; done < job.n; done += BLOCK) {
    const m = min(BLOCK, job.n - done);
    words(job.engine, scratch, m * 2);
    const values = scratch + VALUES;
    for (let i = 0; i < m; i += 4) {
      const from = scratch + (<usize>i << 3);
      const x = v128.load(from);
      const y = v128.load(from, 16);
      const high = v128.and(v128.shuffle<i32>(x, y, 0, 2, 4, 6), i32x4.splat(0x1fffff));
      const low = v128.shuffle<i32>(x, y, 1, 3, 5, 7);
      const less = v128.or(
        i32x4.lt_s(high, highLimit),
        v128.and(i32x4.eq(high, highLimit), i32x4.lt_u(low, lowLimit)),
      );
      const coin = v128.and(less, one);
      if (narrow) {
        const bytes = i8x16.narrow_i16x8_u(i16x8.narrow_i32x4_u(coin, coin), coin);
        v128.store32_lane(values + i, bytes, 0);
      } else v128.store(values + (<usize>i << 2), coin);
    }
    const bytes = <usize>m * job.itemsize;
    memory.copy(out, values, bytes);
    out += bytes;
  }
}

/** Everything else: blocks of doubles (or integers), converted to the output's type as they are stored. */
function blocks(job: Job, scratch: usize): void {
  const values = scratch + VALUES;
  for (let done = 0; done < job.n; done += BLOCK) {
    const m = min(BLOCK, job.n - done);
    const to = job.out + <usize>done * job.itemsize;
    if (job.first) readParameters(job.first, job.firstCode, done, m, scratch + FIRST);
    if (job.second) readParameters(job.second, job.secondCode, done, m, scratch + SECOND);
    if (job.kind == Kind.random_int) {
      integers(job, m, scratch);
      writeBlock<i64>(job.code, values, m, to, job.itemsize);
    } else {
      doubles(job, m, scratch);
      writeBlock<f64>(job.code, values, m, to, job.itemsize);
    }
  }
}

function readParameters(from: usize, code: i32, done: i32, n: i32, to: usize): void {
  const size = code == Code.float64 ? 8 : code == Code.float32 ? 4 : 2;
  readBlock<f64>(code, from + <usize>done * size, size, n, to);
}

function integers(job: Job, n: i32, scratch: usize): void {
  const values = scratch + VALUES;
  const range = job.range;
  const base = job.base;
  if (range != 0 && range < 0x100000000) {
    words(job.engine, scratch, n);
    const modulus = <u32>range;
    for (let i = 0; i < n; i++) {
      store<i64>(values + (<usize>i << 3), <i64>(load<u32>(scratch + (<usize>i << 2)) % modulus) + base);
    }
    return;
  }
  for (let i = 0; i < n; i++) {
    const draw = next64(job.engine);
    store<i64>(values + (<usize>i << 3), <i64>(range ? draw % range : draw) + base);
  }
}

function doubles(job: Job, n: i32, scratch: usize): void {
  const e = job.engine;
  const a = job.a;
  const b = job.b;
  const first = scratch + FIRST;
  const second = scratch + SECOND;
  const inverse = 1.0 / Math.log1p(-a);
  let to = scratch + VALUES;
  for (let i = 0; i < n; i++, to += 8) {
    const at = <usize>i << 3;
    let value: f64 = 0;
    switch (job.kind) {
      case Kind.normal: value = nextNormal(e) * b + a; break;
      case Kind.log_normal: value = Math.exp(nextNormal(e) * b + a); break;
      case Kind.bernoulli: value = coin(job, e, job.first ? load<f64>(first + at) : a); break;
      case Kind.exponential: value = (-1.0 / a) * Math.log1p(-nextDouble(e)); break;
      case Kind.geometric: value = Math.ceil(Math.log(nextDouble(e)) * inverse); break;
      case Kind.cauchy: value = a + b * Math.tan(Math.PI * (nextDouble(e) - 0.5)); break;
      case Kind.poisson: value = poisson(e, load<f64>(first + at)); break;
      case Kind.binomial: value = binomial(e, load<f64>(first + at), load<f64>(second + at)); break;
      case Kind.standard_gamma: value = gamma(e, load<f64>(first + at)); break;
    }
    store<f64>(to, value);
  }
}

/** A tensor of float64 probabilities, like a scalar, is compared with 53 random bits, other tensors with 24. */
@inline function coin(job: Job, e: Engine, p: f64): f64 {
  if (job.first && job.firstCode != Code.float64) {
    return <f64>(<f64>(next32(e) & 0xffffff) * 5.9604644775390625e-8 < p);
  }
  return <f64>(nextDouble(e) < p);
}

/** Fisher-Yates from the front, on int64 in place (for other types in workspace: `first`). */
function permutation(job: Job, scratch: usize): void {
  const n = job.n;
  const p = job.first ? job.first : job.out;
  for (let i = 0; i < n; i++) store<i64>(p + (<usize>i << 3), i);
  for (let done = 0; done < n - 1; done += BLOCK) {
    const m = min(BLOCK, n - 1 - done);
    words(job.engine, scratch, m);
    for (let k = 0; k < m; k++) {
      const i = done + k;
      const x = p + (<usize>i << 3);
      const y = x + (<usize>(load<u32>(scratch + (<usize>k << 2)) % <u32>(n - i)) << 3);
      const value = load<i64>(x);
      store<i64>(x, load<i64>(y));
      store<i64>(y, value);
    }
  }
  if (job.first) writeBlock<i64>(job.code, p, n, job.out, job.itemsize);
}
