/** Constants and run-time scalars as values of a dtype, on the host: rounded or wrapped as the device would. */

import type { DType } from "../../ts/core/dtype.ts";
import { RuntimeError } from "../../ts/core/errors.ts";
import type { DTypeLayout } from "../context.ts";

const f32 = new Float32Array(1);
const i32 = new Int32Array(f32.buffer);

/** The nearest float16, ties to even. */
function roundHalf(x: number): number {
  x = Math.fround(x);
  const magnitude = Math.abs(x);
  if (!(magnitude < 65520)) return Number.isNaN(x) || magnitude === Infinity ? x : x * Infinity;
  // The quotient by the unit in the last place has at most 24 bits, so that adding 2^52 rounds it to a whole number.
  f32[0] = magnitude;
  const unit = 2 ** (Math.max((i32[0]! >> 23) - 127, -14) - 10);
  const whole = magnitude / unit + 2 ** 52 - 2 ** 52;
  return x < 0 || Object.is(x, -0) ? -whole * unit : whole * unit;
}

function roundBrain(x: number): number {
  f32[0] = x;
  if (x === x) i32[0] = (i32[0]! + 0x7fff + ((i32[0]! >>> 16) & 1)) & 0xffff0000;
  return f32[0]!;
}

function wrap(x: number, dtype: DType): number {
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

const LEAST = -(2n ** 63n);

/**
 * What `value` is as an element of `dtype` in a register of the layout's type. Throws RuntimeError for int64 numbers that do not fit where int64
 * lives as int32.
 */
export function hostValue(value: number | bigint, dtype: DType, layout: Pick<DTypeLayout, "value">): number | bigint {
  switch (layout.value) {
    case "f64":
      return Number(value);
    case "f32":
      if (dtype.name === "float16") return roundHalf(Number(value));
      return dtype.name === "bfloat16" ? roundBrain(Math.fround(Number(value))) : Math.fround(Number(value));
    case "i64":
      return typeof value === "bigint" ? BigInt.asIntN(64, value) : Number.isFinite(value) ? BigInt(Math.trunc(value)) : LEAST;
    default: {
      if (dtype.name !== "int64") return wrap(typeof value === "bigint" ? Number(BigInt.asIntN(32, value)) : value, dtype);
      const whole = Number.isNaN(value) ? -(2 ** 31) : Math.trunc(Number(value));
      if (whole !== (whole | 0)) {
        throw new RuntimeError(
          `the int64 number ${value} does not fit: this device keeps int64 as int32, within [-2147483648, 2147483647]; use the cpu for it`,
        );
      }
      return whole | 0;
    }
  }
}
