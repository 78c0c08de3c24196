/**
 * How kernels read and write the elements of tensors. A storage type T is one of AssemblyScript's own, or a marker below where it
 * has none; values are computed with in a wider type C.
 */

/** Marks float16. The markers are never instantiated; their sizes tell them apart at compile time. */
@unmanaged
export class Half {
  private bits: u8;
}
/** Marks bfloat16. */
@unmanaged
export class Brain {
  private bits: u16;
}

/** DType.code of ts/core/dtype.ts. */
export namespace Code {
  export const bool: i32 = 0;
  export const uint8: i32 = 1;
  export const int8: i32 = 2;
  export const int16: i32 = 3;
  export const int32: i32 = 4;
  export const int64: i32 = 5;
  export const float16: i32 = 6;
  export const bfloat16: i32 = 7;
  export const float32: i32 = 8;
  export const float64: i32 = 9;
}

@inline export function bytesOf<T>(): usize {
  return isReference<T>() ? 2 : sizeof<T>();
}

@inline export function get<T, C>(address: usize): C {
  if (isReference<T>()) {
    return <C>(offsetof<T>() == offsetof<Half>() ? halfToFloat(load<u16>(address)) : brainToFloat(load<u16>(address)));
  } else if (isBoolean<T>()) {
    return <C>load<u8>(address);
  } else {
    return <C>load<T>(address);
  }
}

/** Integers wrap, floats round to nearest even, bool is `!= 0`. */
@inline export function put<T, C>(address: usize, value: C): void {
  if (isReference<T>()) {
    const f = <f32>value;
    store<u16>(address, offsetof<T>() == offsetof<Half>() ? floatToHalf(f) : floatToBrain(f));
  } else if (isBoolean<T>()) {
    store<u8>(address, <u8>(value != 0));
  } else if (isInteger<T>() && isFloat<C>()) {
    // Through i64, so that what is out of range wraps and never traps.
    store<T>(address, <T>toInt64(<f64>value));
  } else {
    store<T>(address, <T>value);
  }
}

/** Truncates; what does not fit gives the least int64, as the x86 instruction does. */
@inline function toInt64(x: f64): i64 {
  return abs<f64>(x) < 9223372036854775808.0 ? <i64>x : i64.MIN_VALUE;
}

export function halfToFloat(h: u16): f32 {
  const magnitude = <u32>(h & 0x7fff) << 13;
  const sign = <u32>(h & 0x8000) << 16;
  if ((h & 0x7c00) == 0x7c00) return reinterpret<f32>(sign | 0x7f800000 | magnitude);
  // Moving the exponent by a multiplication also normalises subnormals.
  return reinterpret<f32>(sign | reinterpret<u32>(reinterpret<f32>(magnitude) * reinterpret<f32>(0x77800000)));
}

export function floatToHalf(f: f32): u16 {
  const bits = reinterpret<u32>(f);
  const sign = (bits >> 16) & 0x8000;
  let x = bits & 0x7fffffff;
  if (x >= 0x47800000) return <u16>(sign | (x > 0x7f800000 ? 0x7e00 : 0x7c00));
  if (x < 0x38800000) {
    // The addition of 0.5 lets the hardware round the subnormal's bits into the low end of the mantissa.
    x = reinterpret<u32>(reinterpret<f32>(x) + 0.5) - 0x3f000000;
  } else {
    x = (x + 0xc8000fff + ((x >> 13) & 1)) >> 13;
  }
  return <u16>(sign | x);
}

@inline export function brainToFloat(b: u16): f32 {
  return reinterpret<f32>(<u32>b << 16);
}

@inline export function floatToBrain(f: f32): u16 {
  const bits = reinterpret<u32>(f);
  if ((bits & 0x7fffffff) > 0x7f800000) return <u16>((bits >> 16) | 0x40);
  return <u16>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Blocks: between a tensor of any type and an array of C.

@inline function readAs<T, C>(from: usize, step: i32, n: i32, to: usize): void {
  for (let i = 0; i < n; i++) {
    store<C>(to + (<usize>i * sizeof<C>()), get<T, C>(from));
    from += step;
  }
}

/** Reads `n` elements, `step` bytes apart, into the array `to`. */
export function readBlock<C>(code: i32, from: usize, step: i32, n: i32, to: usize): void {
  switch (code) {
    case Code.bool:
    case Code.uint8: return readAs<u8, C>(from, step, n, to);
    case Code.int8: return readAs<i8, C>(from, step, n, to);
    case Code.int16: return readAs<i16, C>(from, step, n, to);
    case Code.int32: return readAs<i32, C>(from, step, n, to);
    case Code.int64: return readAs<i64, C>(from, step, n, to);
    case Code.float16: return readAs<Half, C>(from, step, n, to);
    case Code.bfloat16: return readAs<Brain, C>(from, step, n, to);
    case Code.float32: return readAs<f32, C>(from, step, n, to);
    case Code.float64: return readAs<f64, C>(from, step, n, to);
  }
}

@inline function writeAs<T, C>(from: usize, n: i32, to: usize, step: i32): void {
  for (let i = 0; i < n; i++) {
    put<T, C>(to, load<C>(from + (<usize>i * sizeof<C>())));
    to += step;
  }
}

/** Writes the array `from` of `n` values as elements `step` bytes apart. */
export function writeBlock<C>(code: i32, from: usize, n: i32, to: usize, step: i32): void {
  switch (code) {
    case Code.bool: return writeAs<bool, C>(from, n, to, step);
    case Code.uint8: return writeAs<u8, C>(from, n, to, step);
    case Code.int8: return writeAs<i8, C>(from, n, to, step);
    case Code.int16: return writeAs<i16, C>(from, n, to, step);
    case Code.int32: return writeAs<i32, C>(from, n, to, step);
    case Code.int64: return writeAs<i64, C>(from, n, to, step);
    case Code.float16: return writeAs<Half, C>(from, n, to, step);
    case Code.bfloat16: return writeAs<Brain, C>(from, n, to, step);
    case Code.float32: return writeAs<f32, C>(from, n, to, step);
    case Code.float64: return writeAs<f64, C>(from, n, to, step);
  }
}
