/** Between bytes, typed arrays and nested lists. */

import { bool, Complex, FloatScalar, int64, type DType, type Scalar } from "../core/dtype.ts";
import { ValueError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";

export type TypedArray = Float32Array | Float64Array | Int32Array | Int16Array | Int8Array | Uint8Array | BigInt64Array;

export type NestedNumbers = number | bigint | boolean | NestedNumbers[];
/** What `torch.tensor` takes. */
export type NestedData = Scalar | Complex | readonly NestedData[] | TypedArray;

const scratch = new DataView(new ArrayBuffer(8));

/** IEEE half → number. */
export function halfToNumber(h: number): number {
  const exponent = (h >> 10) & 31;
  const fraction = h & 1023;
  const sign = h & 0x8000 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

/** Number → IEEE half, rounding to nearest even (through float32, as PyTorch). */
export function numberToHalf(x: number): number {
  const f = Math.fround(x);
  scratch.setFloat32(0, f);
  const sign = (scratch.getUint32(0) >>> 16) & 0x8000;
  if (Number.isNaN(f)) return sign | 0x7e00;
  const a = Math.abs(f);
  if (a >= 65520) return sign | 0x7c00;
  if (a < 2 ** -14) return sign | roundEven(a * 2 ** 24);
  const exponent = Math.floor(Math.log2(a));
  const fixed = 2 ** exponent > a ? exponent - 1 : 2 ** (exponent + 1) <= a ? exponent + 1 : exponent;
  return sign + ((fixed + 15) << 10) + (roundEven((a / 2 ** fixed) * 1024) - 1024);
}

function roundEven(x: number): number {
  const r = Math.round(x);
  return r - x === 0.5 && r % 2 !== 0 ? r - 1 : r;
}

export function bfloat16ToNumber(b: number): number {
  scratch.setUint32(0, b << 16);
  return scratch.getFloat32(0);
}

export function numberToBfloat16(x: number): number {
  scratch.setFloat32(0, x);
  const bits = scratch.getUint32(0);
  if (Number.isNaN(x)) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}

/** A typed array of a tensor's bytes (a copy of its own). */
export function bytesToArray(dtype: DType, bytes: Uint8Array): TypedArray {
  const buffer = bytes.slice().buffer;
  switch (dtype.real.name) {
    case "bool":
    case "uint8":
      return new Uint8Array(buffer);
    case "int8":
      return new Int8Array(buffer);
    case "int16":
      return new Int16Array(buffer);
    case "int32":
      return new Int32Array(buffer);
    case "int64":
      return new BigInt64Array(buffer);
    case "float32":
      return new Float32Array(buffer);
    case "float64":
      return new Float64Array(buffer);
    case "float16":
      return Float32Array.from(new Uint16Array(buffer), halfToNumber);
    case "bfloat16":
      return Float32Array.from(new Uint16Array(buffer), bfloat16ToNumber);
  }
}

function bigToNumber(v: bigint): number | bigint {
  return v >= -9007199254740991n && v <= 9007199254740991n ? Number(v) : v;
}

/** Nested lists of `values` in `shape`; int64 beyond 2^53 stay bigint. */
export function nested(shape: Shape, dtype: DType, values: TypedArray): NestedNumbers {
  let at = 0;
  const build = (d: number): NestedNumbers => {
    if (d === shape.length) {
      if (dtype.is_complex) return new Complex(Number(values[at++]), Number(values[at++])) as unknown as NestedNumbers;
      const v = values[at++]!;
      if (dtype === bool) return v !== 0;
      return typeof v === "bigint" ? bigToNumber(v) : v;
    }
    return Array.from({ length: shape[d]! }, () => build(d + 1));
  };
  return build(0);
}

/** The bytes of `values` (numbers, booleans, bigints) stored as `dtype`. */
export function encode(dtype: DType, values: ArrayLike<Scalar>): Uint8Array {
  if (dtype.is_complex) return encode(dtype.real, Array.from(values, partsOf).flat());
  const n = values.length;
  const bytes = new Uint8Array(n * dtype.itemsize);
  const put = writer(dtype, bytes.buffer);
  for (let i = 0; i < n; i++) put(i, values[i]!);
  return bytes;
}

const partsOf = (x: unknown): Scalar[] => (x instanceof Complex ? [x.re, x.im] : [x as Scalar, 0]);

function toNumber(x: Scalar): number {
  return typeof x === "number" ? x : Number(x instanceof FloatScalar ? x.value : x);
}

function writer(dtype: DType, buffer: ArrayBuffer): (i: number, x: Scalar) => void {
  const into = (array: Exclude<TypedArray, BigInt64Array> | Uint16Array, convert: (x: number) => number = (x) => x) => {
    return (i: number, x: Scalar): void => {
      array[i] = convert(toNumber(x));
    };
  };
  switch (dtype.name) {
    case "bool":
      return into(new Uint8Array(buffer), (x) => (x !== 0 ? 1 : 0));
    case "uint8":
      return into(new Uint8Array(buffer), Math.trunc);
    case "int8":
      return into(new Int8Array(buffer), Math.trunc);
    case "int16":
      return into(new Int16Array(buffer), Math.trunc);
    case "int32":
      return into(new Int32Array(buffer), Math.trunc);
    case "float32":
      return into(new Float32Array(buffer));
    case "float64":
      return into(new Float64Array(buffer));
    case "float16":
      return into(new Uint16Array(buffer), numberToHalf);
    case "bfloat16":
      return into(new Uint16Array(buffer), numberToBfloat16);
    case "int64": {
      const array = new BigInt64Array(buffer);
      return (i, x) => {
        array[i] = typeof x === "bigint" ? x : BigInt(Math.trunc(finite(toNumber(x))));
      };
    }
  }
}

function finite(x: number): number {
  if (!Number.isFinite(x)) throw new ValueError(`cannot convert float ${x} to ${int64}`);
  return x;
}
