/** The oracle: evaluates scalar expressions one element at a time, in plain JavaScript, slowly. */

import * as dtypes from "../../ts/core/dtype.ts";
import type { DType } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { Expr, ScalarOp } from "../../ts/kernel/expr.ts";
import type { ReduceOp } from "../../ts/kernel/spec.ts";
import { rounded, type Value } from "./context.ts";

const big = (x: Value): bigint => (typeof x === "bigint" ? x : BigInt(x));
const f32 = new Float32Array(1);
const u32 = new Uint32Array(f32.buffer);
const f64 = new Float64Array(1);
const u64 = new BigUint64Array(f64.buffer);

/** Truncates, x / 0 is 0. */
const quotient = (a: bigint, b: bigint): bigint => (b === 0n ? 0n : a / b);
const rest = (a: bigint, b: bigint): bigint => (b === 0n ? 0n : a % b);

function floorDivide(a: number, b: number): number {
  if (b === 0) return a / b;
  const mod = a % b;
  let div = (a - mod) / b;
  if (mod !== 0 && b < 0 !== mod < 0) div -= 1;
  if (div === 0) return a / b < 0 || Object.is(a / b, -0) ? -0 : 0;
  const whole = Math.floor(div);
  return div - whole > 0.5 ? whole + 1 : whole;
}
function remainder(a: number, b: number): number {
  const mod = a % b;
  return mod !== 0 && b < 0 !== mod < 0 ? mod + b : mod;
}
function roundEven(x: number): number {
  const low = Math.floor(x);
  const d = x - low;
  if (!Number.isFinite(x) || d === 0) return x;
  const r = d < 0.5 || (d === 0.5 && low % 2 === 0) ? low : low + 1;
  return r === 0 && x < 0 ? -0 : r;
}
export function power(a: number, b: number): number {
  if (a === 1 || b === 0 || (a === -1 && Math.abs(b) === Infinity)) return 1;
  return a ** b;
}
function nextAfter(dtype: DType, a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return NaN;
  if (a === b) return b;
  if (dtype === dtypes.float64) {
    if (a === 0) return b > 0 ? Number.MIN_VALUE : -Number.MIN_VALUE;
    f64[0] = a;
    u64[0]! += a < b === a > 0 ? 1n : -1n;
    return f64[0];
  }
  if (a === 0) return b > 0 ? 2 ** -149 : -(2 ** -149);
  f32[0] = a;
  u32[0]! += a < b === a > 0 ? 1 : -1;
  return f32[0];
}
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a > 3) return Math.sign(x) * (1 - erfcTail(a));
  // The series with positive terms: 2 / sqrt(pi) * exp(-x^2) * sum of 2^n x^(2n+1) / (2n+1)!!
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return Number.isNaN(x) ? NaN : (2 / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
/** erfc of 1 and more, by its continued fraction. */
function erfcTail(x: number): number {
  if (x > 30) return 0;
  let f = x;
  for (let n = 300; n >= 1; n--) f = x + n / 2 / f;
  return Math.exp(-x * x) / f / Math.sqrt(Math.PI);
}

/** a * b + c of float64 numbers, rounded once. */
function productPlus(a: number, b: number, c: number): number {
  const upper = (x: number): number => x * 134217729 - (x * 134217729 - x);
  const [x, y] = [upper(a), upper(b)];
  const rest = x * y - a * b + x * (b - y) + (a - x) * y + (a - x) * (b - y);
  const sum = a * b + c;
  const added = sum - a * b;
  const tail = c - added + (a * b - (sum - added)) + rest;
  return sum + (Number.isNaN(tail) ? 0 : tail);
}

type Fn = (dtype: DType, ...args: number[]) => number;
const not = (): Fn => () => {
  throw new Error("checked against tables, not here");
};

/** Floating arguments. */
const FLOATS: { readonly [K in ScalarOp]?: Fn } = {
  neg: (_, a) => -a!,
  abs: (_, a) => Math.abs(a!),
  sign: (_, a) => (Number.isNaN(a!) ? NaN : Math.sign(a!)),
  add: (_, a, b) => a! + b!,
  sub: (_, a, b) => a! - b!,
  mul: (_, a, b) => a! * b!,
  div: (_, a, b) => a! / b!,
  floor_divide: (d, a, b) => {
    // In float32 every step is rounded.
    if (d === dtypes.float64 || b === 0) return floorDivide(a!, b!);
    const mod = a! % b!;
    let div = Math.fround(Math.fround(a! - mod) / b!);
    if (mod !== 0 && b! < 0 !== mod < 0) div -= 1;
    if (div === 0) return a! / b! < 0 || Object.is(a! / b!, -0) ? -0 : 0;
    const whole = Math.floor(div);
    return div - whole > 0.5 ? whole + 1 : whole;
  },
  remainder: (_, a, b) => remainder(a!, b!),
  fmod: (_, a, b) => a! % b!,
  madd: (d, a, b, c) => (d === dtypes.float64 ? a! * b! : Math.fround(a! * b!)) + c!,
  fma: (d, a, b, c) => (d === dtypes.float64 ? productPlus(a!, b!, c!) : a! * b! + c!),
  pow: (_, a, b) => power(a!, b!),
  reciprocal: (_, a) => 1 / a!,
  sqrt: (_, a) => Math.sqrt(a!),
  rsqrt: (_, a) => 1 / Math.sqrt(a!),
  floor: (_, a) => Math.floor(a!),
  ceil: (_, a) => Math.ceil(a!),
  round: (_, a) => roundEven(a!),
  trunc: (_, a) => Math.trunc(a!),
  maximum: (_, a, b) => Math.max(a!, b!),
  minimum: (_, a, b) => Math.min(a!, b!),
  fmax: (_, a, b) => (Number.isNaN(a!) ? b! : Number.isNaN(b!) ? a! : Math.max(a!, b!)),
  fmin: (_, a, b) => (Number.isNaN(a!) ? b! : Number.isNaN(b!) ? a! : Math.min(a!, b!)),
  isnan: (_, a) => Number(Number.isNaN(a!)),
  isinf: (_, a) => Number(Math.abs(a!) === Infinity),
  signbit: (_, a) => Number(a! < 0 || Object.is(a!, -0)),
  exp: (_, a) => Math.exp(a!),
  exp2: (_, a) => 2 ** a!,
  expm1: (_, a) => Math.expm1(a!),
  log: (_, a) => Math.log(a!),
  log2: (_, a) => Math.log2(a!),
  log10: (_, a) => Math.log10(a!),
  log1p: (_, a) => Math.log1p(a!),
  sin: (_, a) => Math.sin(a!),
  cos: (_, a) => Math.cos(a!),
  tan: (_, a) => Math.tan(a!),
  asin: (_, a) => Math.asin(a!),
  acos: (_, a) => Math.acos(a!),
  atan: (_, a) => Math.atan(a!),
  atan2: (_, a, b) => Math.atan2(a!, b!),
  sinh: (_, a) => Math.sinh(a!),
  cosh: (_, a) => Math.cosh(a!),
  tanh: (_, a) => Math.tanh(a!),
  asinh: (_, a) => Math.asinh(a!),
  acosh: (_, a) => Math.acosh(a!),
  atanh: (_, a) => Math.atanh(a!),
  sigmoid: (_, a) => 1 / (1 + Math.exp(-a!)),
  erf: (_, a) => erf(a!),
  erfc: (_, a) => (a! > 1 ? erfcTail(a!) : 1 - erf(a!)),
  hypot: (_, a, b) => Math.hypot(a!, b!),
  copysign: (_, a, b) => (b! < 0 || Object.is(b!, -0) ? -Math.abs(a!) : Math.abs(a!)),
  nextafter: (d, a, b) => nextAfter(d, a!, b!),
  erfinv: not(),
  lgamma: not(),
  digamma: not(),
  polygamma: not(),
  zeta: not(),
  igamma: not(),
  igammac: not(),
  i0: not(),
  i0e: not(),
  i1: not(),
  i1e: not(),
  ndtri: not(),
  log_ndtr: not(),
  erfcx: not(),
  gelu: not(),
  gelu_slope: not(),
};

/** Integer arguments, as exact whole numbers; `bits` is the dtype's width. */
const INTEGERS: { readonly [K in ScalarOp]?: (bits: number, ...args: bigint[]) => bigint } = {
  neg: (_, a) => -a!,
  abs: (_, a) => (a! < 0n ? -a! : a!),
  sign: (_, a) => (a! > 0n ? 1n : a! < 0n ? -1n : 0n),
  add: (_, a, b) => a! + b!,
  sub: (_, a, b) => a! - b!,
  mul: (_, a, b) => a! * b!,
  madd: (_, a, b, c) => a! * b! + c!,
  div: (_, a, b) => quotient(a!, b!),
  floor_divide: (_, a, b) => quotient(a!, b!) - (rest(a!, b!) !== 0n && a! < 0n !== b! < 0n ? 1n : 0n),
  remainder: (_, a, b) => rest(a!, b!) + (rest(a!, b!) !== 0n && a! < 0n !== b! < 0n ? b! : 0n),
  fmod: (_, a, b) => rest(a!, b!),
  pow: (_, a, b) => {
    if (b! < 0n) return a === 1n ? 1n : a === -1n ? (b! % 2n === 0n ? 1n : -1n) : 0n;
    let result = 1n;
    for (let e = b!, base = a!; e > 0n; e >>= 1n, base = BigInt.asIntN(64, base * base)) {
      if (e & 1n) result = BigInt.asIntN(64, result * base);
    }
    return result;
  },
  floor: (_, a) => a!,
  ceil: (_, a) => a!,
  round: (_, a) => a!,
  trunc: (_, a) => a!,
  maximum: (_, a, b) => (a! > b! ? a! : b!),
  minimum: (_, a, b) => (a! < b! ? a! : b!),
  fmax: (_, a, b) => (a! > b! ? a! : b!),
  fmin: (_, a, b) => (a! < b! ? a! : b!),
  isnan: () => 0n,
  isinf: () => 0n,
  signbit: (_, a) => (a! < 0n ? 1n : 0n),
  bitwise_and: (_, a, b) => a! & b!,
  bitwise_or: (_, a, b) => a! | b!,
  bitwise_xor: (_, a, b) => a! ^ b!,
  bitwise_not: (bits, a) => (bits === 1 ? 1n - a! : ~a!),
  shift_left: (bits, a, b) => (b! < 0n || b! >= BigInt(bits) ? 0n : a! << b!),
  shift_right: (bits, a, b) => a! >> (b! < 0n || b! >= BigInt(bits) ? 64n : b!),
  gcd: (_, a, b) => {
    let [x, y] = [a! < 0n ? -a! : a!, b! < 0n ? -b! : b!];
    while (y !== 0n) [x, y] = [y, x % y];
    return x;
  },
};

const COMPARE: { readonly [K in ScalarOp]?: (a: Value, b: Value) => boolean } = {
  eq: (a, b) => a === b,
  ne: (a, b) => a !== b,
  lt: (a, b) => a < b,
  le: (a, b) => a <= b,
  gt: (a, b) => a > b,
  ge: (a, b) => a >= b,
};

/** One element's surroundings. */
export interface Element {
  readonly inputs: readonly Value[];
  readonly scalars: readonly Value[];
  readonly shape: readonly number[];
  readonly linear: number;
}

export function castTo(x: Value, dtype: DType): Value {
  if (dtype === dtypes.bool) return Number(x) !== 0 ? 1 : 0;
  if (dtype.is_floating_point) return rounded(dtype, dtype === dtypes.float64 ? Number(x) : Math.fround(Number(x)));
  if (typeof x === "number") {
    const bits = dtype.itemsize === 8 ? 63 : 31;
    if (!(Math.abs(x) < 2 ** bits)) return rounded(dtype, -(2n ** BigInt(bits)));
  }
  return rounded(dtype, typeof x === "number" ? Math.trunc(x) : x);
}

export function evaluate(x: Expr, at: Element): Value {
  switch (x.kind) {
    case "load":
      return at.inputs[x.input]!;
    case "scalar":
      return castTo(at.scalars[x.slot]!, x.dtype);
    case "const":
      return castTo(x.value, x.dtype);
    case "index": {
      if (x.dim === "linear") return castTo(at.linear, x.dtype);
      const d = at.shape.length - 1 - x.dim;
      return castTo(Math.floor(at.linear / numelOf(at.shape.slice(d + 1))) % at.shape[d]!, x.dtype);
    }
    case "cast":
      return castTo(evaluate(x.arg, at), x.dtype);
    case "op": {
      const args = x.args.map((a) => evaluate(a, at));
      if (x.op === "where") return Number(args[0]) !== 0 ? args[1]! : args[2]!;
      const compare = COMPARE[x.op];
      if (compare) return Number(compare(args[0]!, args[1]!));
      const type = x.args[0]!.dtype;
      if (type.is_floating_point) {
        const result = FLOATS[x.op]!(type, ...args.map(Number));
        return rounded(x.dtype, x.dtype === dtypes.float64 ? result : Math.fround(result));
      }
      const bits = type === dtypes.bool ? 1 : type.itemsize * 8;
      const result = INTEGERS[x.op]!(bits, ...args.map(big));
      return x.dtype === dtypes.bool ? Number(result !== 0n) : rounded(x.dtype, BigInt.asIntN(64, result));
    }
  }
}

/** Folds values the plain way: [first output, second output]. */
export function fold(op: ReduceOp, values: readonly Value[]): [Value, Value?] {
  const isBig = typeof values[0] === "bigint";
  switch (op) {
    case "sum":
      return [isBig ? values.reduce((a, b) => big(a) + big(b), 0n) : kahan(values.map(Number))];
    case "prod":
      return [
        isBig
          ? values.reduce((a, b) => BigInt.asIntN(64, big(a) * big(b)), 1n)
          : values.reduce((a, b) => Number(a) * Number(b), 1),
      ];
    case "any":
      return [Number(values.some((x) => Number(x) !== 0))];
    case "all":
      return [Number(values.every((x) => Number(x) !== 0))];
    case "welford": {
      const mean = kahan(values.map(Number)) / values.length;
      return [mean, kahan(values.map((x) => (Number(x) - mean) ** 2))];
    }
    default: {
      const least = op === "min" || op === "argmin" || op === "min_arg";
      let best = 0;
      for (let i = 1; i < values.length; i++) {
        const [x, b] = [values[i]!, values[best]!];
        if (Number.isNaN(b)) break;
        if (Number.isNaN(x) || (least ? x < b : x > b)) best = i;
      }
      if (op === "argmax" || op === "argmin") return [BigInt(best)];
      return [values[best]!, BigInt(best)];
    }
  }
}

function kahan(values: readonly number[]): number {
  let sum = 0;
  let lost = 0;
  for (const x of values) {
    const t = sum + x;
    lost += Math.abs(sum) >= Math.abs(x) ? sum - t + x : x - t + sum;
    sum = t;
  }
  return Number.isFinite(lost) ? sum + lost : sum;
}
