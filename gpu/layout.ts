/** How dtypes lie in device memory, and the way there and back for the host's bytes. */

import type { DType, DTypeName } from "../ts/core/dtype.ts";
import { NotImplementedError, RuntimeError } from "../ts/core/errors.ts";
import type { DTypeLayout, GpuCaps } from "./context.ts";
import { ELEM_BYTES, VALUE_OF, type Elem } from "./ir.ts";

/** Targets with 64-bit and sub-word types keep everything as the host does. */
const NATURAL: Readonly<Record<DTypeName, Elem>> = {
  bool: "u8",
  uint8: "u8",
  int8: "i8",
  int16: "i16",
  int32: "i32",
  int64: "i64",
  float16: "f16",
  bfloat16: "bf16",
  float32: "f32",
  float64: "f64",
};
/** Targets that store 32-bit words only: sub-word stores of neighbouring threads would race. */
const WORDS: Readonly<Record<DTypeName, Elem | null>> = {
  bool: "i32",
  uint8: "i32",
  int8: "i32",
  int16: "i32",
  int32: "i32",
  int64: "i32",
  float16: "f32",
  bfloat16: "f32",
  float32: "f32",
  float64: null,
};

/** Layouts of all dtypes on a device. `name` is the device's, for messages. */
export function layoutsOf(name: string, caps: GpuCaps): (dtype: DType) => DTypeLayout {
  const layouts: DTypeLayout[] = [];
  return (dtype) => {
    let layout = layouts[dtype.code];
    if (layout === undefined) {
      let elem = caps.wide ? NATURAL[dtype.name] : WORDS[dtype.name];
      if (dtype.name === "float16" && caps.f16) elem = "f16";
      if (elem === null) {
        throw new NotImplementedError(
          `${name}: ${dtype} does not exist on this device; use float32 there (x.to(torch.float32)), or keep ${dtype} on the cpu`,
        );
      }
      layouts[dtype.code] = layout = { elem, value: VALUE_OF[elem] };
    }
    return layout;
  };
}

/** Bytes that the device needs for so many elements: whole words, and no empty memory. */
export function deviceBytes(size: number, elem: Elem): number {
  return Math.max(4, Math.ceil((size * ELEM_BYTES[elem]) / 4) * 4);
}

/** Whether the device keeps this dtype's bytes just as the host does. */
export function sameAsHost(dtype: DType, elem: Elem): boolean {
  return elem === NATURAL[dtype.name] || (dtype.name === "bool" && elem === "u8");
}

type HostArray = Uint8Array | Int8Array | Int16Array | Uint16Array | Int32Array;

/** The host's elements of a dtype that the device keeps as i32 or f32; bytes at odd addresses are moved first. */
function hostArray(dtype: DType, bytes: Uint8Array): HostArray {
  const aligned = bytes.byteOffset % dtype.itemsize === 0 ? bytes : bytes.slice();
  const { buffer, byteOffset } = aligned;
  const length = bytes.length / dtype.itemsize;
  switch (dtype.name) {
    case "bool":
    case "uint8":
      return new Uint8Array(buffer, byteOffset, length);
    case "int8":
      return new Int8Array(buffer, byteOffset, length);
    case "int16":
      return new Int16Array(buffer, byteOffset, length);
    case "float16":
    case "bfloat16":
      return new Uint16Array(buffer, byteOffset, length);
    case "int64":
      return new Int32Array(buffer, byteOffset - (byteOffset % 4), length * 2); // low word, high word
    default:
      throw new NotImplementedError(`no conversion for ${dtype}`);
  }
}

/** The host's bytes of whole elements in the device's layout (the same array where there is nothing to do). */
export function toDevice(name: string, dtype: DType, elem: Elem, bytes: Uint8Array): Uint8Array {
  if (sameAsHost(dtype, elem)) return bytes;
  const from = hostArray(dtype, bytes);
  const size = bytes.length / dtype.itemsize;
  if (elem === "f32") {
    const out = new Uint32Array(size);
    if (dtype.name === "bfloat16") for (let i = 0; i < size; i++) out[i] = from[i]! << 16;
    else for (let i = 0; i < size; i++) out[i] = halfToSingle(from[i]!);
    return new Uint8Array(out.buffer);
  }
  const out = new Int32Array(size);
  if (dtype.name === "int64") {
    for (let i = 0; i < size; i++) {
      const low = from[2 * i]!;
      const high = from[2 * i + 1]!;
      if (high !== low >> 31) {
        const value = (BigInt(high) << 32n) | BigInt(low >>> 0);
        throw new RuntimeError(
          `${name}: the int64 value ${value} does not fit: integers are 32 bits wide on this device (-2^31 to 2^31 - 1). Keep this tensor on the cpu, or use float32`,
        );
      }
      out[i] = low;
    }
  } else out.set(from);
  return new Uint8Array(out.buffer);
}

/** The way back. `bytes` are whole elements in the device's layout, aligned to 4; the result is memory of its own or `bytes` itself. */
export function toHost(dtype: DType, elem: Elem, bytes: Uint8Array): Uint8Array {
  if (sameAsHost(dtype, elem)) return bytes;
  const size = bytes.length / ELEM_BYTES[elem];
  const words = new Int32Array(bytes.buffer, bytes.byteOffset, size);
  const out = new Uint8Array(size * dtype.itemsize);
  if (elem === "f32") {
    const halves = new Uint16Array(out.buffer);
    const convert = dtype.name === "bfloat16" ? singleToBfloat16 : singleToHalf;
    for (let i = 0; i < size; i++) halves[i] = convert(words[i]!);
  } else if (dtype.name === "int64") {
    const pairs = new Int32Array(out.buffer);
    for (let i = 0; i < size; i++) {
      const low = words[i]!;
      pairs[2 * i] = low;
      pairs[2 * i + 1] = low >> 31;
    }
  } else if (dtype.itemsize === 2) new Int16Array(out.buffer).set(words);
  else out.set(words);
  return out;
}

// Bits of floating-point numbers, as integers.

function halfToSingle(half: number): number {
  const sign = (half & 0x8000) << 16;
  const exponent = (half >> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return sign | 0x7f800000 | (fraction << 13);
  if (exponent !== 0) return sign | ((exponent + 112) << 23) | (fraction << 13);
  if (fraction === 0) return sign;
  const shift = Math.clz32(fraction) - 21; // to where the hidden bit is
  return sign | ((113 - shift) << 23) | (((fraction << shift) & 1023) << 13);
}

function singleToHalf(bits: number): number {
  const sign = (bits >>> 16) & 0x8000;
  const magnitude = bits & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00; // 65520 and more
  if (magnitude >= 0x38800000) return sign | ((magnitude - 0x38000000 + 0xfff + ((magnitude >> 13) & 1)) >> 13);
  // Subnormal: the fraction with its hidden bit, moved down and rounded to even.
  const shift = 126 - (magnitude >> 23);
  if (shift > 24) return sign;
  const fraction = (magnitude & 0x7fffff) | 0x800000;
  const down = fraction >> shift;
  const rest = fraction & ((1 << shift) - 1);
  const half = 1 << (shift - 1);
  return sign | (down + (rest > half || (rest === half && (down & 1) === 1) ? 1 : 0));
}

function singleToBfloat16(bits: number): number {
  if ((bits & 0x7fffffff) > 0x7f800000) return 0x7fc0;
  return ((bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16) & 0xffff;
}
