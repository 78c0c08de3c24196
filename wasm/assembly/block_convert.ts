/** Conversions between stored and computed types. PyTorch's rules on the CPU, see `cast` in ts/kernel/expr.ts. */

import { Lane } from "./block_rows";

/** Truncates; what does not fit gives the least integer, as the x86 instruction does. */
@inline function toI32(x: f64): i32 {
  return abs<f64>(x) < 2147483648.0 ? <i32>x : i32.MIN_VALUE;
}
@inline function toI64(x: f64): i64 {
  return abs<f64>(x) < 9223372036854775808.0 ? <i64>x : i64.MIN_VALUE;
}

@inline function convert<D, S>(x: S): D {
  if (isFloat<S>() && isInteger<D>()) return sizeof<D>() == 4 ? <D>toI32(<f64>x) : <D>toI64(<f64>x);
  return <D>x;
}

function convertBlock<D, S>(d: usize, a: usize, n: i32): void {
  for (const end = a + (<usize>n << alignof<S>()); a < end; a += sizeof<S>(), d += sizeof<D>()) {
    store<D>(d, convert<D, S>(load<S>(a)));
  }
}

export function to<D>(lane: i32, d: usize, a: usize, n: i32): void {
  if (lane == Lane.f32) convertBlock<D, f32>(d, a, n);
  else if (lane == Lane.f64) convertBlock<D, f64>(d, a, n);
  else if (lane == Lane.i32) convertBlock<D, i32>(d, a, n);
  else convertBlock<D, i64>(d, a, n);
}

/** Stored as S, computed with as D: a plain widening or narrowing. */
export function widen<D, S>(d: usize, a: usize, n: i32): void {
  for (const end = a + (<usize>n << alignof<S>()); a < end; a += sizeof<S>(), d += sizeof<D>()) {
    store<D>(d, <D>load<S>(a));
  }
}

@final export class NonZero {
  @inline v<T>(x: v128): v128 { return v128.and(v128.ne<T>(x, v128.splat<T>(<T>0)), i32x4.splat(1)); }
  @inline s<T>(x: T): i32 { return i32(x != 0); }
}
@final export class WrapU8 {
  @inline v<T>(x: v128): v128 { return v128.and(x, i32x4.splat(255)); }
}
@final export class WrapI8 {
  @inline v<T>(x: v128): v128 { return i32x4.shr_s(i32x4.shl(x, 24), 24); }
}
@final export class WrapI16 {
  @inline v<T>(x: v128): v128 { return i32x4.shr_s(i32x4.shl(x, 16), 16); }
}

export function loadBool(d: usize, a: usize, n: i32): void {
  for (let i = 0; i < n; i++) store<i32>(d + (<usize>i << 2), i32(load<u8>(a + i) != 0));
}

// Half precision, four at a time in the low halves of 32-bit lanes.

/** float16 bits → f32. Multiplying by 2^112 moves the exponent, and makes subnormals normal. */
@inline function halfToFloat(h: v128): v128 {
  const magnitude = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13);
  const scaled = f32x4.mul(magnitude, f32x4.splat(reinterpret<f32>(0x77800000)));
  // Exponent 31 is Inf and NaN.
  const special = i32x4.gt_s(magnitude, i32x4.splat(0x0f7fffff));
  const wide = v128.or(scaled, v128.and(special, i32x4.splat(0x7f800000)));
  return v128.or(wide, i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16));
}

/** f32 → float16 bits, to nearest even. */
@inline function floatToHalf(x: v128): v128 {
  const sign = i32x4.shr_u(v128.and(x, i32x4.splat(0x80000000)), 16);
  const magnitude = v128.and(x, i32x4.splat(0x7fffffff));
  // Normal results: rebias the exponent and round the 13 bits that go.
  const odd = v128.and(i32x4.shr_u(magnitude, 13), i32x4.splat(1));
  const normal = i32x4.shr_u(i32x4.add(i32x4.add(magnitude, i32x4.splat(0xc8000fff)), odd), 13);
  // Subnormal results: adding 0.5 leaves the rounded bits at the bottom of the mantissa.
  const small = i32x4.sub(f32x4.add(magnitude, f32x4.splat(0.5)), i32x4.splat(0x3f000000));
  let h = v128.bitselect(small, normal, i32x4.lt_s(magnitude, i32x4.splat(0x38800000)));
  // From 65520 on: Inf. NaN keeps being one.
  h = v128.bitselect(i32x4.splat(0x7c00), h, i32x4.gt_s(magnitude, i32x4.splat(0x477fefff)));
  h = v128.bitselect(i32x4.splat(0x7e00), h, i32x4.gt_s(magnitude, i32x4.splat(0x7f800000)));
  return v128.or(h, sign);
}

/** f32 → the nearest bfloat16, still as f32 bits. */
@inline function toBrain(x: v128): v128 {
  const odd = v128.and(i32x4.shr_u(x, 16), i32x4.splat(1));
  const rounded = i32x4.add(i32x4.add(x, i32x4.splat(0x7fff)), odd);
  const kept = v128.bitselect(rounded, i32x4.splat(0x7fc00000), f32x4.eq(x, x));
  return v128.and(kept, i32x4.splat(0xffff0000));
}

@final export class RoundF16 {
  @inline v<T>(x: v128): v128 { return halfToFloat(floatToHalf(x)); }
}
@final export class RoundBF16 {
  @inline v<T>(x: v128): v128 { return toBrain(x); }
}
@final export class LoadF16 {
  @inline widen(h: v128): v128 { return halfToFloat(h); }
}
@final export class LoadBF16 {
  @inline widen(h: v128): v128 { return i32x4.shl(h, 16); }
}
@final export class StoreF16 {
  @inline narrow(x: v128): v128 { return floatToHalf(x); }
}
@final export class StoreBF16 {
  @inline narrow(x: v128): v128 { return i32x4.shr_u(toBrain(x), 16); }
}

export function loadHalves<O>(d: usize, a: usize, n: i32): void {
  const op = changetype<O>(0);
  for (; n >= 4; n -= 4, a += 8, d += 16) v128.store(d, op.widen(v128.load_ext<u16>(a)));
  for (; n > 0; n--, a += 2, d += 4) store<f32>(d, f32x4.extract_lane(op.widen(i32x4.splat(load<u16>(a))), 0));
}

export function storeHalves<O>(d: usize, a: usize, n: i32): void {
  const op = changetype<O>(0);
  for (; n >= 4; n -= 4, a += 16, d += 8) {
    const h = op.narrow(v128.load(a));
    v128.store_lane<i64>(d, i16x8.narrow_i32x4_u(h, h), 0);
  }
  for (; n > 0; n--, a += 4, d += 2) store<u16>(d, i32x4.extract_lane(op.narrow(f32x4.splat(load<f32>(a))), 0));
}

/** One number as float16 or bfloat16 bits. */
export function halfBits(x: f32): u16 {
  return <u16>i32x4.extract_lane(floatToHalf(f32x4.splat(x)), 0);
}
export function brainBits(x: f32): u16 {
  return <u16>(i32x4.extract_lane(toBrain(f32x4.splat(x)), 0) >> 16);
}

/** where(condition, a, b) for 64-bit values; see block_arith.ts for the narrow ones. */
export function where64(d: usize, condition: usize, a: usize, b: usize, n: i32): void {
  for (let i = 0; i < n; i++) {
    const at = <usize>i << 3;
    store<u64>(d + at, load<i32>(condition + (<usize>i << 2)) != 0 ? load<u64>(a + at) : load<u64>(b + at));
  }
}

/** Elements of 2^shift bytes, as they are. */
export function copy(shift: i32, d: usize, a: usize, n: i32): void {
  memory.copy(d, a, <usize>n << shift);
}
