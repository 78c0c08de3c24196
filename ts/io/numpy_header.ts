/** The header of a .npy file: a dict in Python's words, of which only what NumPy itself writes is understood. */

import { NotImplementedError } from "../core/errors.ts";
import { FileFormatError, Truncated } from "./format.ts";

/** NumPy's types that arrays here may have. */
export const NUMPY_TYPES = {
  bool: { code: "b1", itemsize: 1 },
  int8: { code: "i1", itemsize: 1 },
  int16: { code: "i2", itemsize: 2 },
  int32: { code: "i4", itemsize: 4 },
  int64: { code: "i8", itemsize: 8 },
  uint8: { code: "u1", itemsize: 1 },
  uint16: { code: "u2", itemsize: 2 },
  uint32: { code: "u4", itemsize: 4 },
  uint64: { code: "u8", itemsize: 8 },
  float16: { code: "f2", itemsize: 2 },
  float32: { code: "f4", itemsize: 4 },
  float64: { code: "f8", itemsize: 8 },
  complex64: { code: "c8", itemsize: 8 },
  complex128: { code: "c16", itemsize: 16 },
} as const;
export type NumpyType = keyof typeof NUMPY_TYPES;

export interface NpyHeader {
  readonly dtype: NumpyType;
  readonly descr: string;
  readonly little: boolean;
  readonly fortran_order: boolean;
  readonly shape: readonly number[];
  /** Where the data begin, and how many bytes they have. */
  readonly start: number;
  readonly nbytes: number;
}

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY
const MOST_HEADER = 1 << 20;

function bad(what: string): never {
  throw new FileFormatError(`npy: ${what}`);
}

/** Parses a header; `size` is that of the whole file. */
export function parseNpy(bytes: Uint8Array, size: number): NpyHeader {
  if (MAGIC.some((byte, i) => bytes[i] !== byte)) bad("this is no .npy file: it does not begin with \\x93NUMPY");
  if (bytes.length < 12) throw new Truncated("npy: the file is cut off");
  const [major] = [bytes[6]!, bytes[7]!];
  if (major < 1 || major > 3) bad(`version ${major}.${bytes[7]}; expected 1.0, 2.0 or 3.0`);
  const data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const [length, begin] = major === 1 ? [data.getUint16(8, true), 10] : [data.getUint32(8, true), 12];
  if (length > MOST_HEADER || begin + length > size) bad(`a header of ${length} bytes in a file of ${size}`);
  if (begin + length > bytes.length) throw new Truncated("npy: the header is cut off");
  const text = new TextDecoder(major === 3 ? "utf-8" : "latin1").decode(bytes.subarray(begin, begin + length));
  const { descr, fortran_order, shape } = parseDict(text);
  const [little, dtype] = typeOf(descr);
  const start = begin + length;
  const nbytes = shape.reduce((n, d) => n * d, NUMPY_TYPES[dtype].itemsize);
  if (nbytes > size - start) {
    bad(`${descr} of shape (${shape.join(", ")}) takes ${nbytes} bytes, but the file has ${Math.max(0, size - start)}`);
  }
  return { dtype, descr, little, fortran_order, shape, start, nbytes };
}

function typeOf(descr: string): [little: boolean, dtype: NumpyType] {
  const [, order, code] = /^([<>|=])?(\w+)$/.exec(descr) ?? [];
  const found = (Object.keys(NUMPY_TYPES) as NumpyType[]).find((name) => NUMPY_TYPES[name].code === code);
  if (found !== undefined) return [order !== ">", found];
  if (code === "O") bad("an array of objects is a pickle, which is not read");
  const kinds: Record<string, string> = { S: "bytes", a: "bytes", U: "text", V: "records", M: "dates", m: "times", f: "floats" };
  const kind = kinds[code?.[0] ?? ""];
  if (kind !== undefined) throw new NotImplementedError(`npy: an array of ${kind} (${descr}); expected numbers or booleans`);
  return bad(`unknown descr '${descr.slice(0, 40)}'`);
}

/** `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }` */
function parseDict(text: string): { descr: string; fortran_order: boolean; shape: number[] } {
  let rest = text.trim();
  const eat = (token: RegExp): RegExpExecArray | null => {
    const found = token.exec(rest);
    if (found !== null) rest = rest.slice(found[0].length).trimStart();
    return found;
  };
  const values = new Map<string, unknown>();
  if (eat(/^\{/) === null) bad("the header is no dict");
  while (eat(/^\}/) === null) {
    const key = eat(/^(['"])(descr|fortran_order|shape)\1/)?.[2];
    if (key === undefined || values.has(key) || eat(/^:/) === null)
      bad("the header has other keys than descr, fortran_order, shape");
    values.set(key, parseValue(key, eat));
    if (eat(/^,/) === null && !rest.startsWith("}")) bad("the header is damaged");
  }
  if (rest !== "" || values.size !== 3) bad("the header is damaged");
  return Object.fromEntries(values) as { descr: string; fortran_order: boolean; shape: number[] };
}

function parseValue(key: string, eat: (token: RegExp) => RegExpExecArray | null): unknown {
  if (key === "descr") {
    const found = eat(/^(['"])([^'"\\]{1,40})\1/);
    if (found !== null) return found[2];
    if (eat(/^\[/) !== null) throw new NotImplementedError("npy: an array of records; expected numbers or booleans");
    return bad("descr is no text");
  }
  if (key === "fortran_order") {
    const found = eat(/^(True|False)\b/);
    return found === null ? bad("fortran_order is neither True nor False") : found[1] === "True";
  }
  const found = eat(/^\(((?:\s*\d{1,16}L?\s*,)*\s*(?:\d{1,16}L?)?)\s*\)/);
  const parts = (found?.[1] ?? "x").split(",").map((part) => part.trim());
  if (parts.at(-1) === "") parts.pop();
  const shape = parts.map((part) => parseInt(part, 10));
  if (shape.length > 64 || !shape.every(Number.isSafeInteger)) return bad("the shape is no tuple of whole numbers");
  return shape;
}

/** A header, padded so that the data are aligned to 64 bytes. */
export function writeNpy(dtype: NumpyType, shape: readonly number[]): Uint8Array {
  const { code, itemsize } = NUMPY_TYPES[dtype];
  const descr = `${itemsize === 1 ? "|" : "<"}${code}`;
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(", ");
  const text = `{'descr': '${descr}', 'fortran_order': False, 'shape': (${tuple}), }`;
  const long = text.length + 64 > 0xffff;
  const begin = long ? 12 : 10;
  const length = Math.ceil((begin + text.length + 1) / 64) * 64 - begin;
  const bytes = new Uint8Array(begin + length).fill(0x20);
  bytes.set(MAGIC);
  bytes.set([long ? 2 : 1, 0], 6);
  const data = new DataView(bytes.buffer);
  if (long) data.setUint32(8, length, true);
  else data.setUint16(8, length, true);
  bytes.set(new TextEncoder().encode(text), begin);
  bytes[begin + length - 1] = 0x0a;
  return bytes;
}
