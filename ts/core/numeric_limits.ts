/** What numbers of each dtype can be: `torch.finfo`, `torch.iinfo`, PyTorch's second names of dtypes, and constants. */

import {
  bfloat16,
  bool,
  complex128,
  complex64,
  DType,
  float16,
  float32,
  float64,
  get_default_dtype,
  int16,
  int32,
  int64,
} from "./dtype.ts";

export {
  complex128 as cdouble,
  complex64 as cfloat,
  float16 as half,
  float32 as float,
  float64 as double,
  int16 as short,
  int32 as int,
  int64 as long,
};

export const pi = Math.PI;
export const e = Math.E;
export const inf = Infinity;
export const nan = NaN;
/** As an index: a new dimension of size 1. */
export const newaxis = null;

export interface FloatInfo {
  readonly bits: number;
  /** The dtype's name; of a complex one, that of its parts. */
  readonly dtype: string;
  /** The difference between 1 and the next larger number. */
  readonly eps: number;
  readonly max: number;
  readonly min: number;
  /** The power of ten to which decimal digits are kept. */
  readonly resolution: number;
  /** The smallest positive number with all of its digits. */
  readonly smallest_normal: number;
  readonly tiny: number;
}

/** By dtype: digits of the mantissa, the leading one included, the largest exponent, and the decimal digits that are kept. */
const FORMATS = new Map<DType, readonly [digits: number, exponent: number, decimals: number]>([
  [float16, [11, 15, 3]],
  [bfloat16, [8, 127, 2]],
  [float32, [24, 127, 6]],
  [float64, [53, 1023, 15]],
]);

/** Limits of a floating type (the default one where none is given); of a complex type, those of its parts. Throws TypeError for others. */
export function finfo(type: DType = get_default_dtype()): FloatInfo {
  const format = type instanceof DType ? FORMATS.get(type.real) : undefined;
  if (format === undefined) {
    throw new TypeError(`torch.finfo() requires a floating point input type, got ${String(type)}. Use torch.iinfo for integers`);
  }
  const [digits, exponent, decimals] = format;
  const eps = 2 ** (1 - digits);
  const max = (2 - eps) * 2 ** exponent;
  const smallest_normal = 2 ** (1 - exponent);
  const { itemsize, name } = type.real;
  return {
    bits: itemsize * 8,
    dtype: name,
    eps,
    max,
    min: -max,
    resolution: Number(`1e-${decimals}`),
    smallest_normal,
    tiny: smallest_normal,
  };
}

export interface IntegerInfo {
  readonly bits: number;
  readonly dtype: string;
  /** A bigint for int64, whose limits no number holds. */
  readonly max: number | bigint;
  readonly min: number | bigint;
}

/** Limits of an integer type. Throws TypeError for others. */
export function iinfo(type: DType): IntegerInfo {
  if (!(type instanceof DType) || type.differentiable) {
    throw new TypeError(`torch.iinfo() requires an integer input type, got ${String(type)}. Use torch.finfo for floating types`);
  }
  if (type === bool) throw new TypeError("torch.bool is not supported by torch.iinfo");
  const bits = type.itemsize * 8;
  const top = 2n ** BigInt(type.is_signed ? bits - 1 : bits);
  const exact = (x: bigint): number | bigint => (type === int64 ? x : Number(x));
  return { bits, dtype: type.name, max: exact(top - 1n), min: exact(type.is_signed ? -top : 0n) };
}
