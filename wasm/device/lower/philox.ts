/**
 * Philox4x32-10 on the cpu: the streams of GPU devices, word for word as gpu/scalar/philox.ts lays them out, for generators that ask for them.
 * Whole numbers and uniform ones are the same bit for bit, others up to the rounding of logarithms and the like.
 */

import type { View } from "../../../ts/core/device.ts";
import { type DType, float32, float64, int64 } from "../../../ts/core/dtype.ts";
import { numelOf } from "../../../ts/core/shape.ts";
import type { GeneratorState, RandomParams, RandomSpec } from "../../../ts/kernel/spec.ts";
import type { ComposingContext } from "../context.ts";
import { type Bits, exponential, normals, openUniform, uniform, uniformDouble } from "./philox_numbers.ts";
import { binomial, gamma, poisson } from "./philox_rejection.ts";
import { contiguous, copy, temporary } from "./temporary.ts";

type Distribution = RandomSpec["distribution"];

/** The high word of a product of words. */
export function multiplyHigh(a: number, b: number): number {
  const [al, ah, bl, bh] = [a & 0xffff, a >>> 16, b & 0xffff, b >>> 16];
  const middle = ah * bl + ((al * bl) >>> 16);
  const other = al * bh + (middle & 0xffff);
  return ah * bh + Math.floor(middle / 65536) + Math.floor(other / 65536);
}

/** The four words of block number `block` from the generator's offset on. */
function blockOf(state: GeneratorState, offset: number, block: number, round: number, out: Uint32Array): void {
  const at = offset + block;
  let [x, y, z, w] = [at % 2 ** 32, Math.floor(at / 2 ** 32), round, 0];
  let k0 = Number(BigInt.asUintN(32, state.seed));
  let k1 = Number(BigInt.asUintN(32, state.seed >> 32n));
  for (let i = 0; i < 10; i++) {
    const [p1, p0] = [multiplyHigh(0xcd9e8d57, z), multiplyHigh(0xd2511f53, x)];
    [x, y, z, w] = [(p1 ^ y ^ k0) >>> 0, Math.imul(z, 0xcd9e8d57) >>> 0, (p0 ^ w ^ k1) >>> 0, Math.imul(x, 0xd2511f53) >>> 0];
    k0 = (k0 + 0x9e3779b9) >>> 0;
    k1 = (k1 + 0xbb67ae85) >>> 0;
  }
  out[0] = x;
  out[1] = y;
  out[2] = z;
  out[3] = w;
}

/** Fills `out`, whose generator is a Philox one. */
export function drawPhilox(
  context: ComposingContext,
  { distribution, dtype }: RandomSpec,
  inputs: readonly View[],
  out: View,
  params: RandomParams,
): void {
  const { device } = out.buffer;
  const wide = distribution === "random_int" && !fitsWord(params);
  const made = wide || distribution === "randperm" ? int64 : float64;
  const n = numelOf(out.shape);
  const target = temporary(context, device, made, [n]);
  const real = dtype === float64 ? float64 : float32;
  const reads = inputs.map((view) => contiguous(context, view, isRejection(distribution) ? real : float32));
  const valuesOf = (view: View): Float32Array | Float64Array => {
    const at = context.address(view);
    return view.dtype === float64 ? context.heap.f64.subarray(at >>> 3) : context.heap.f32.subarray(at >>> 2);
  };
  const at = context.address(target);
  const [arguments_, state] = [reads.map(valuesOf), params.generator];
  const { offset } = state;
  state.offset = offset + (isRejection(distribution) ? n : Math.ceil(n / 4));
  const block = (i: number, round: number, words: Uint32Array): void => blockOf(state, offset, i, round, words);
  if (made === int64) {
    const values = context.heap.i64.subarray(at >>> 3, (at >>> 3) + n);
    if (wide) drawLong(values, params, block);
    else permute(values, block);
  } else {
    const values = context.heap.f64.subarray(at >>> 3, (at >>> 3) + n);
    if (isRejection(distribution)) reject(distribution, values, arguments_, real === float64, block);
    else drawFours(distribution, dtype, values, params, arguments_[0] ?? null, block);
  }
  copy(context, target, { ...out, shape: [n], strides: [1] });
}

type Block = (i: number, round: number, words: Uint32Array) => void;
const REJECTION: ReadonlySet<Distribution> = new Set<Distribution>(["poisson", "binomial", "standard_gamma"]);
const isRejection = (d: Distribution): boolean => REJECTION.has(d);
const fitsWord = ({ a, b }: RandomParams): boolean => BigInt(a) >= -(2n ** 31n) && BigInt(b) <= 2n ** 31n;

/** Element by element, each with blocks of its own. */
function reject(
  distribution: Distribution,
  values: Float64Array,
  [first, second]: readonly (Float32Array | Float64Array)[],
  double: boolean,
  block: Block,
): void {
  const [high, low] = [new Uint32Array(4), new Uint32Array(4)];
  for (let i = 0; i < values.length; i++) {
    const draw = (round: number): Bits[] => {
      block(i, round, high);
      if (double) block(i, round + 129, low);
      return Array.from(high, (h, j) => ({ high: h, low: double ? low[j]! : null }));
    };
    const x = first![i]!;
    values[i] =
      distribution === "poisson"
        ? poisson(x, draw, double)
        : distribution === "binomial"
          ? binomial(x, second![i]!, draw, double)
          : gamma(x, draw);
  }
}

/** Blocks of four elements. */
function drawFours(
  distribution: Distribution,
  dtype: DType,
  values: Float64Array,
  params: RandomParams,
  probabilities: ArrayLike<number> | null,
  block: Block,
): void {
  const double = dtype === float64;
  const four = fourOf(distribution, dtype, params, probabilities);
  const [words, more] = [new Uint32Array(4), new Uint32Array(4)];
  const needsMore = distribution === "random_int" || (double && distribution !== "bernoulli");
  const result = new Float64Array(4);
  for (let i = 0; i < values.length; i += 4) {
    block(i >>> 2, 0, words);
    if (needsMore) block(i >>> 2, 1, more);
    four(words, more, i, result);
    values.set(i + 4 <= values.length ? result : result.subarray(0, values.length - i), i);
  }
}

type Four = (words: Uint32Array, more: Uint32Array, first: number, out: Float64Array) => void;

function fourOf(distribution: Distribution, dtype: DType, params: RandomParams, probabilities: ArrayLike<number> | null): Four {
  const double = dtype === float64;
  const bits = (words: Uint32Array, more: Uint32Array, i: number): Bits => ({ high: words[i]!, low: double ? more[i]! : null });
  const each =
    (f: (bits: Bits) => number): Four =>
    (words, more, _, out) => {
      for (let i = 0; i < 4; i++) out[i] = f(bits(words, more, i));
    };
  const pairs =
    (f: (z: number) => number): Four =>
    (words, more, _, out) => {
      for (let i = 0; i < 4; i += 2) {
        const [x, y] = normals(bits(words, more, i), bits(words, more, i + 1));
        out[i] = f(x);
        out[i + 1] = f(y);
      }
    };
  switch (distribution) {
    case "uniform": {
      const round = rounding(dtype);
      const [from, to] = [round(Number(params.a)), round(Number(params.b))];
      const single = (x: number): number => (double ? x : Math.fround(x));
      const width = single(to - from);
      const steps = dtype.itemsize === 4 ? 24 : dtype.name === "float16" ? 11 : 8;
      return each(({ high, low }) => {
        const u = low === null ? uniform(high, steps) : uniformDouble(high, low);
        const x = round(single(single(u * width) + from));
        return x < to ? x : from;
      });
    }
    case "random_int": {
      const base = Number(params.a);
      const range = Number(BigInt.asUintN(32, BigInt(params.b) - BigInt(params.a)));
      return (words, more, _, out) => {
        for (let i = 0; i < 4; i++) {
          const high = more[i]!;
          // The high word of (high, low) * range / 2^32; a range of 2^32 is 0.
          const low = multiplyHigh(words[i]!, range);
          const carry = (Math.imul(high, range) >>> 0) + low >= 2 ** 32 ? 1 : 0;
          const value = range === 0 ? high : multiplyHigh(high, range) + carry;
          out[i] = ((value | 0) + base) | 0;
        }
      };
    }
    case "bernoulli": {
      const p = Number(params.a);
      const limit = Math.min(Math.ceil(p * 2 ** 32), 2 ** 32 - 1);
      return (words, _, first, out) => {
        for (let i = 0; i < 4; i++) {
          const hit = probabilities === null ? words[i]! < limit || p >= 1 : uniform(words[i]!) < (probabilities[first + i] ?? 0);
          out[i] = hit ? 1 : 0;
        }
      };
    }
    default:
      return continuous(distribution, Number(params.a), Number(params.b), each, pairs);
  }
}

function continuous(
  distribution: Distribution,
  a: number,
  b: number,
  each: (f: (bits: Bits) => number) => Four,
  pairs: (f: (z: number) => number) => Four,
): Four {
  switch (distribution) {
    case "normal":
      return pairs((z) => z * b + a);
    case "log_normal":
      return pairs((z) => Math.exp(z * b + a));
    case "exponential":
      return each((w) => exponential(w) / a);
    case "geometric":
      return each((w) => Math.max(1, Math.ceil(exponential(w) / -Math.log1p(-a))));
    default:
      return each((w) => Math.tan(Math.PI * (openUniform(w) - 0.5)) * b + a);
  }
}

/** Whole numbers from ranges of more than 32 bits. */
function drawLong(values: BigInt64Array, { a, b }: RandomParams, block: Block): void {
  const base = BigInt(a);
  const range = BigInt.asIntN(64, BigInt(b) - base);
  const [low, high] = [new Uint32Array(4), new Uint32Array(4)];
  for (let i = 0; i < values.length; i += 4) {
    block(i >>> 2, 0, low);
    block(i >>> 2, 1, high);
    for (let j = 0; j < 4 && i + j < values.length; j++) {
      const word = (BigInt(high[j]!) << 32n) | BigInt(low[j]!);
      const positive = word & (2n ** 63n - 1n);
      values[i + j] = BigInt.asIntN(64, (range > 0n ? positive % range : range === 0n ? word : positive) + base);
    }
  }
}

/** The order of random keys; equal ones stay in order. */
function permute(values: BigInt64Array, block: Block): void {
  const keys = new Int32Array(values.length);
  const words = new Uint32Array(4);
  for (let i = 0; i < keys.length; i += 4) {
    block(i >>> 2, 1, words);
    for (let j = 0; j < 4 && i + j < keys.length; j++) keys[i + j] = words[j]! ^ 0x80000000;
  }
  const order = Uint32Array.from(keys, (_, i) => i).sort((i, j) => keys[i]! - keys[j]! || i - j);
  order.forEach((place, i) => (values[i] = BigInt(place)));
}

/** To the numbers of a floating dtype, ties to even. */
function rounding(dtype: DType): (x: number) => number {
  if (dtype === float64) return (x) => x;
  if (dtype.itemsize === 4) return Math.fround;
  const [digits, least] = dtype.name === "float16" ? [10, -14] : [7, -126];
  return (x) => {
    if (x === 0) return x;
    const exponent = Math.max(Math.floor(Math.log2(Math.abs(x))), least);
    const unit = 2 ** (exponent - digits);
    const whole = Math.round(x / unit);
    const even = Math.abs(x / unit - Math.trunc(x / unit)) === 0.5 ? 2 * Math.round(x / unit / 2) : whole;
    return even * unit;
  };
}
