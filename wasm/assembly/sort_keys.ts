/**
 * Order-preserving keys: unsigned integers (u64 for 8-byte types, u32 for the rest) that compare as the elements do. NaN has the
 * greatest key of all, zeros of both signs have the same. For descending order keys are inverted, which keeps equals in place.
 */

import { brainToFloat, Code, halfToFloat } from "./element";

/** The key of every NaN, in ascending order. */
export const NAN32: u32 = 0xffffffff;
export const NAN64: u64 = 0xffffffffffffffff;

@inline function floatKey(x: f32): u32 {
  if (x != x) return NAN32;
  // Adding zero turns -0 to +0.
  const bits = reinterpret<i32>(x + <f32>0);
  return bits ^ ((bits >> 31) | 0x80000000);
}

@inline function doubleKey(x: f64): u64 {
  if (x != x) return NAN64;
  const bits = reinterpret<i64>(x + 0.0);
  return bits ^ ((bits >> 63) | 0x8000000000000000);
}

@inline function integerKeys<T>(from: usize, n: i32, to: usize, flip: u32): void {
  for (let i = 0; i < n; i++) {
    const x = <u32>(<i32>load<T>(from + <usize>i * sizeof<T>()));
    store<u32>(to + (<usize>i << 2), x ^ (isSigned<T>() ? 0x80000000 : 0) ^ flip);
  }
}

@inline function narrowFloatKeys(half: bool, from: usize, n: i32, to: usize, flip: u32): void {
  for (let i = 0; i < n; i++) {
    const bits = load<u16>(from + (<usize>i << 1));
    store<u32>(to + (<usize>i << 2), floatKey(half ? halfToFloat(bits) : brainToFloat(bits)) ^ flip);
  }
}

function floatKeys(from: usize, n: i32, to: usize, flip: u32): void {
  const high = i32x4.splat(0x80000000);
  const flips = i32x4.splat(flip);
  const end = from + (<usize>n << 2);
  for (; from + 16 <= end; from += 16, to += 16) {
    const x = f32x4.add(v128.load(from), f32x4.splat(0));
    const key = v128.xor(x, v128.or(i32x4.shr_s(x, 31), high));
    v128.store(to, v128.xor(v128.or(key, f32x4.ne(x, x)), flips));
  }
  for (; from < end; from += 4, to += 4) store<u32>(to, floatKey(load<f32>(from)) ^ flip);
}

/** The keys of `n` dense elements. K must be the key type of the dtype. */
export function fillKeys<K>(code: i32, descending: bool, from: usize, n: i32, to: usize): void {
  if (sizeof<K>() == 8) {
    const flip: u64 = descending ? 0xffffffffffffffff : 0;
    for (let i: usize = 0, size = <usize>n << 3; i < size; i += 8) {
      const key = code == Code.float64 ? doubleKey(load<f64>(from + i)) : load<u64>(from + i) ^ 0x8000000000000000;
      store<u64>(to + i, key ^ flip);
    }
    return;
  }
  const flip: u32 = descending ? 0xffffffff : 0;
  switch (code) {
    case Code.int8: return integerKeys<i8>(from, n, to, flip);
    case Code.int16: return integerKeys<i16>(from, n, to, flip);
    case Code.int32: return integerKeys<i32>(from, n, to, flip);
    case Code.float16: return narrowFloatKeys(true, from, n, to, flip);
    case Code.bfloat16: return narrowFloatKeys(false, from, n, to, flip);
    case Code.float32: return floatKeys(from, n, to, flip);
    default: return integerKeys<u8>(from, n, to, flip);
  }
}
