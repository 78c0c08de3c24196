/** GGUF's types of tensors by their number: the size of their blocks, and what the numbers in a block are. */

import { bfloat16, float16, float32, float64, int16, int32, int64, int8, type DType } from "../core/dtype.ts";

type Decode = (data: DataView, at: number, out: Float32Array, to: number) => void;

export interface GgufType {
  readonly name: string;
  /** Elements in a block, and its bytes. */
  readonly block: number;
  readonly bytes: number;
  /** The type that holds the bytes as they are; null for quantised ones. */
  readonly dtype: DType | null;
  readonly decode: Decode | null;
}

/** A float16's value. */
export function half(data: DataView, at: number): number {
  const bits = data.getUint16(at, true);
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  if (exponent === 31) return fraction === 0 ? sign * Infinity : NaN;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}

const f = Math.fround;

/** 32 numbers: a scale, 32 signed bytes. */
const q8_0: Decode = (data, at, out, to) => {
  const d = half(data, at);
  for (let i = 0; i < 32; i++) out[to + i] = d * data.getInt8(at + 2 + i);
};

/** 32 numbers: a scale, then 16 bytes whose low halves are the first 16 numbers and whose high halves the others, less 8. */
const q4_0: Decode = (data, at, out, to) => {
  const d = half(data, at);
  for (let i = 0; i < 16; i++) {
    const q = data.getUint8(at + 2 + i);
    out[to + i] = d * ((q & 15) - 8);
    out[to + 16 + i] = d * ((q >> 4) - 8);
  }
};

/** As Q4_0, with a least value in place of the 8. */
const q4_1: Decode = (data, at, out, to) => {
  const [d, m] = [half(data, at), half(data, at + 2)];
  for (let i = 0; i < 16; i++) {
    const q = data.getUint8(at + 4 + i);
    out[to + i] = f(d * (q & 15)) + m;
    out[to + 16 + i] = f(d * (q >> 4)) + m;
  }
};

/** The 6-bit scale and minimum of part j of 8, from 12 bytes: the upper 2 bits of the last four are those of the first eight bytes. */
function scaleAndMin(data: DataView, at: number, j: number): [scale: number, min: number] {
  const byte = (i: number): number => data.getUint8(at + i);
  if (j < 4) return [byte(j) & 63, byte(j + 4) & 63];
  return [(byte(j + 4) & 15) | ((byte(j - 4) >> 6) << 4), (byte(j + 4) >> 4) | ((byte(j) >> 6) << 4)];
}

/** 256 numbers in 8 parts of 32: two scales for the parts' scales and minima, these in 6 bits each, and 4 bits a number. */
const q4_k: Decode = (data, at, out, to) => {
  const [d, least] = [half(data, at), half(data, at + 2)];
  for (let j = 0; j < 8; j++) {
    const [scale, min] = scaleAndMin(data, at + 4, j);
    const [a, b] = [f(d * scale), f(least * min)];
    const from = at + 16 + 32 * (j >> 1);
    const shift = j % 2 === 0 ? 0 : 4;
    for (let i = 0; i < 32; i++) out[to + 32 * j + i] = f(a * ((data.getUint8(from + i) >> shift) & 15)) - b;
  }
};

/** As Q4_K, with a fifth bit for each number in 32 bytes of their own. */
const q5_k: Decode = (data, at, out, to) => {
  const [d, least] = [half(data, at), half(data, at + 2)];
  for (let j = 0; j < 8; j++) {
    const [scale, min] = scaleAndMin(data, at + 4, j);
    const [a, b] = [f(d * scale), f(least * min)];
    const from = at + 48 + 32 * (j >> 1);
    const shift = j % 2 === 0 ? 0 : 4;
    for (let i = 0; i < 32; i++) {
      const fifth = (data.getUint8(at + 16 + i) >> j) & 1;
      out[to + 32 * j + i] = f(a * (((data.getUint8(from + i) >> shift) & 15) | (fifth << 4))) - b;
    }
  }
};

/** 256 numbers in 16 parts of 16: 4 low bits, 2 high bits, less 32; a signed byte as each part's scale, and one scale for all at the end. */
const q6_k: Decode = (data, at, out, to) => {
  const d = half(data, at + 208);
  for (let i = 0; i < 256; i++) {
    const [side, quarter, l] = [i >> 7, (i >> 5) & 3, i & 31];
    const low = data.getUint8(at + 64 * side + 32 * (quarter & 1) + l) >> (quarter < 2 ? 0 : 4);
    const high = data.getUint8(at + 128 + 32 * side + l) >> (2 * quarter);
    const scale = data.getInt8(at + 192 + (i >> 4));
    out[to + i] = f(d * scale) * (((low & 15) | ((high & 3) << 4)) - 32);
  }
};

const plain = (name: string, dtype: DType): GgufType => ({ name, block: 1, bytes: dtype.itemsize, dtype, decode: null });
const quantised = (name: string, block: number, bytes: number, decode: Decode | null = null): GgufType => ({
  name,
  block,
  bytes,
  dtype: null,
  decode,
});

/** Types without `decode` can be listed, but not read. */
export const GGUF_TYPES: readonly (GgufType | undefined)[] = Object.assign(new Array<GgufType | undefined>(31).fill(undefined), {
  0: plain("F32", float32),
  1: plain("F16", float16),
  2: quantised("Q4_0", 32, 18, q4_0),
  3: quantised("Q4_1", 32, 20, q4_1),
  6: quantised("Q5_0", 32, 22),
  7: quantised("Q5_1", 32, 24),
  8: quantised("Q8_0", 32, 34, q8_0),
  9: quantised("Q8_1", 32, 36),
  10: quantised("Q2_K", 256, 84),
  11: quantised("Q3_K", 256, 110),
  12: quantised("Q4_K", 256, 144, q4_k),
  13: quantised("Q5_K", 256, 176, q5_k),
  14: quantised("Q6_K", 256, 210, q6_k),
  15: quantised("Q8_K", 256, 292),
  24: plain("I8", int8),
  25: plain("I16", int16),
  26: plain("I32", int32),
  27: plain("I64", int64),
  28: plain("F64", float64),
  30: plain("BF16", bfloat16),
});
