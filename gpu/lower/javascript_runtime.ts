/** Functions that interpreted programs call. */

import type { MathName } from "../ir.ts";

import {
  BF16_VALUES,
  F16_VALUES,
  InterpretError,
  noteFlight,
  noteInitialised,
  noteRead,
  noteWrite,
  roundEven,
  toBF16,
  toF16,
} from "./interpret_memory.ts";
import { roundTf32 } from "./interpret_matrix.ts";

const { fround } = Math;

// Views of the same eight bytes, for bitcasts.
const f64 = new Float64Array(1);
const i64 = new BigInt64Array(f64.buffer);
const f32 = new Float32Array(f64.buffer);
const i32 = new Int32Array(f64.buffer);
const u32 = new Uint32Array(f64.buffer);

/** a * b + c with one rounding: the sum in double, nudged to odd where it was inexact so that the second rounding cannot err. */
function fma(a: number, b: number, c: number): number {
  const product = a * b; // exact
  const sum = product + c;
  if (!Number.isFinite(sum)) return fround(sum);
  const part = sum - product;
  const error = product - (sum - part) + (c - part);
  if (error === 0) return fround(sum);
  f64[0] = sum;
  if ((i64[0]! & 1n) === 0n) i64[0] = i64[0]! + (error > 0 === sum > 0 ? 1n : -1n);
  return fround(f64[0]);
}

function ones32(x: number): number {
  let n = 0;
  for (let rest = x >>> 0; rest !== 0; rest &= rest - 1) n++;
  return n;
}
const high = (x: bigint): number => Number(BigInt.asUintN(32, x >> 32n));
const low = (x: bigint): number => Number(BigInt.asUintN(32, x));

/** int64 to f32 with one rounding: bits that a double cannot hold count as one sticky bit. */
function longToSingle(x: bigint): number {
  const sticky = x & 0x7ffn;
  const size = x < 0n ? -x : x;
  return fround(Number(size < 1n << 53n || sticky === 0n ? x : (x & ~0x7ffn) | 0x800n));
}

function saturate(x: number, least: number, most: number, unknown: number): number {
  if (x !== x) return unknown;
  return x <= least ? least : x >= most ? most : Math.trunc(x) + 0;
}

function saturateLong(x: number, unknown: bigint): bigint {
  if (x !== x) return unknown;
  if (x >= 2 ** 63) return 2n ** 63n - 1n;
  return x <= -(2 ** 63) ? -(2n ** 63n) : BigInt(Math.trunc(x));
}

/** C's pow: unlike JavaScript's, 1 to any power is 1, and so is -1 to an infinite one. */
function pow(x: number, y: number): number {
  return x === 1 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y;
}

const MATH: { readonly [N in MathName]: (x: number, y: number) => number } = {
  exp: Math.exp,
  exp2: (x) => pow(2, x),
  expm1: Math.expm1,
  log: Math.log,
  log2: Math.log2,
  log10: Math.log10,
  log1p: Math.log1p,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  atan2: Math.atan2,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  pow: pow,
  fmod: (x, y) => x % y,
  hypot: Math.hypot,
};

export type Outside = (place: number, index: number) => never;

/** @param hostile What is unspecified comes out as what hurts most. */
export function makeRuntime(hostile: boolean, outside: Outside, outsideShared: Outside): Readonly<Record<string, unknown>> {
  return {
    fround,
    imul: Math.imul,
    abs: Math.abs,
    min: Math.min,
    max: Math.max,
    /** Of a NaN and a number, the number. */
    minIgnoring: (a: number, b: number): number => (a !== a ? b : b !== b || a < b ? a : b),
    maxIgnoring: (a: number, b: number): number => (a !== a ? b : b !== b || a > b ? a : b),
    sqrt: Math.sqrt,
    floor: Math.floor,
    ceil: Math.ceil,
    trunc: Math.trunc,
    round: roundEven,
    pow: Math.pow,
    log2: Math.log2,
    clz32: Math.clz32,
    ones32,
    clz64: (x: bigint): bigint => BigInt(high(x) !== 0 ? Math.clz32(high(x)) : 32 + Math.clz32(low(x))),
    ones64: (x: bigint): bigint => BigInt(ones32(high(x)) + ones32(low(x))),
    asIntN: BigInt.asIntN,
    asUintN: BigInt.asUintN,
    fma,
    longToSingle,
    saturate_i32: (x: number): number => saturate(x, -(2 ** 31), 2 ** 31 - 1, hostile ? 0xdeadbeef | 0 : 0),
    saturate_u32: (x: number): number => saturate(x, 0, 2 ** 32 - 1, hostile ? 0xdeadbeef : 0),
    saturate_i64: (x: number): bigint => saturateLong(x, hostile ? -0x21524111deadbeefn : 0n),
    bits_f32_i32: (x: number): number => ((f32[0] = x), i32[0]!),
    bits_f32_u32: (x: number): number => ((f32[0] = x), u32[0]!),
    bits_i32_f32: (x: number): number => ((i32[0] = x), f32[0]!),
    bits_u32_f32: (x: number): number => ((u32[0] = x), f32[0]!),
    bits_i32_u32: (x: number): number => x >>> 0,
    bits_u32_i32: (x: number): number => x | 0,
    bits_f64_i64: (x: number): bigint => ((f64[0] = x), i64[0]!),
    bits_i64_f64: (x: bigint): number => ((i64[0] = x), f64[0]!),
    shift(count: number, bits: number): number {
      if (count >= bits) throw new InterpretError(`shift by ${count} of a value of ${bits} bits`);
      return count;
    },
    positive(step: number): number {
      if (step <= 0) throw new InterpretError(`a for loop steps by ${step}`);
      return step;
    },
    /** The next counter of a loop; one that wraps around would start again. */
    next(i: number, to: number, most: number): number {
      if (i > most && i - 2 ** 32 < to) throw new InterpretError(`the counter of a for loop to ${to} passes ${most}`);
      return i;
    },
    endless(): never {
      throw new InterpretError("a while loop does not end");
    },
    outside,
    outsideShared,
    noteRead,
    noteWrite,
    noteInitialised,
    noteFlight,
    roundTf32,
    packF16: (x: number, y: number): number => (toF16(x) | (toF16(y) << 16)) >>> 0,
    packBF16: (x: number, y: number): number => (toBF16(x) | (toBF16(y) << 16)) >>> 0,
    aligned(index: number, to: number): void {
      if (index % to !== 0) throw new InterpretError(`word ${index} is not at a multiple of ${to}`);
    },
    toF16,
    toBF16,
    F16_VALUES,
    BF16_VALUES,
    ...Object.fromEntries(Object.entries(MATH).map(([name, f]) => [`math_${name}`, f])),
  };
}
