/** Constants and run-time scalars as values of a dtype: rounded or wrapped, then bits in the dtype's compute type. */

import type { DType } from "../../../ts/core/dtype.ts";

const f64 = new Float64Array(1);
const f32 = new Float32Array(f64.buffer);
const i32 = new Int32Array(f64.buffer);
const i64 = new BigInt64Array(f64.buffer);
const u64 = new BigUint64Array(f64.buffer);

/** Rounds to the nearest float16, ties to even. */
function roundHalf(x: number): number {
  x = Math.fround(x);
  const magnitude = Math.abs(x);
  if (!(magnitude < 65520)) return magnitude === Infinity || magnitude !== magnitude ? x : x * Infinity;
  // Adding and taking away 2^(e + 13) of float64's 52 bits leaves the 11 that float16 has; below 2^-14 they thin out.
  const exponent = Math.max(Math.floor(Math.log2(magnitude)), -14);
  const unit = 2 ** (exponent - 10);
  const q = magnitude / unit;
  const whole = Math.floor(q);
  const rest = q - whole;
  const rounded = rest > 0.5 || (rest === 0.5 && whole % 2 === 1) ? whole + 1 : whole;
  return Math.sign(x) < 0 || Object.is(x, -0) ? -rounded * unit : rounded * unit;
}

function roundBrain(x: number): number {
  f32[0] = x;
  if (x === x) i32[0] = (i32[0]! + 0x7fff + ((i32[0]! >>> 16) & 1)) & 0xffff0000;
  return f32[0]!;
}

/** A number as the nearest value of a floating dtype narrower than float64. */
export function roundTo(x: number, dtype: DType): number {
  if (dtype.name === "float16") return roundHalf(x);
  return dtype.name === "bfloat16" ? roundBrain(Math.fround(x)) : Math.fround(x);
}

/** A number as a value of a dtype that is computed in i32. */
export function wrapTo(x: number, dtype: DType): number {
  switch (dtype.name) {
    case "bool":
      return x !== 0 ? 1 : 0;
    case "uint8":
      return x & 0xff;
    case "int8":
      return (x << 24) >> 24;
    case "int16":
      return (x << 16) >> 16;
    default:
      return x | 0;
  }
}

/** A whole number from what a scalar slot or a constant holds. */
export function toBigInt(x: number | bigint): bigint {
  if (typeof x === "bigint") return x;
  return Number.isFinite(x) ? BigInt(Math.trunc(x)) : -(2n ** 63n);
}

/** The 64 bits that a uniform register is filled from. */
export function constantBits(x: number | bigint, dtype: DType): bigint {
  u64[0] = 0n;
  switch (dtype.compute) {
    case "f64":
      f64[0] = Number(x);
      break;
    case "f32":
      f32[0] = roundTo(Number(x), dtype);
      break;
    case "i64":
      i64[0] = BigInt.asIntN(64, toBigInt(x));
      break;
    case "i32":
      i32[0] = wrapTo(typeof x === "bigint" ? Number(BigInt.asIntN(32, x)) : x, dtype);
      break;
  }
  return u64[0];
}
