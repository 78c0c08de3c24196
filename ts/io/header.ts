/** The header of a safetensors file, every claim of which is checked against the size of the file before anything is allocated. */

import { FileFormatError, shown } from "./format.ts";

/** The file is not what it says it is. */
export class SafetensorError extends FileFormatError {
  override name = "SafetensorError";
}

export interface TensorInfo {
  readonly name: string;
  /** As the file spells it: F32, BF16, ... */
  readonly dtype: string;
  readonly shape: readonly number[];
  /** Bytes of the file [begin, end). */
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly metadata: Readonly<Record<string, string>> | null;
  /** In the order of the data. */
  readonly tensors: readonly TensorInfo[];
}

/** As much as safetensors itself allows. */
export const MAX_HEADER = 100_000_000;

/** Bytes of one element; some of these types can be skipped over but not loaded. */
const ITEM_BYTES: Readonly<Record<string, number>> = {
  BOOL: 1,
  U8: 1,
  I8: 1,
  F8_E5M2: 1,
  F8_E4M3: 1,
  I16: 2,
  U16: 2,
  F16: 2,
  BF16: 2,
  I32: 4,
  U32: 4,
  F32: 4,
  I64: 8,
  U64: 8,
  F64: 8,
  C64: 8,
};

/** The header's length from the first 8 bytes of a file of `size` bytes. */
export function headerLength(first: Uint8Array, size: number): number {
  if (size < 8 || first.length < 8)
    throw new SafetensorError(`header too small: the file has ${size} bytes, fewer than the 8 of the header's length`);
  const length = new DataView(first.buffer, first.byteOffset, 8).getBigUint64(0, true);
  if (length > BigInt(MAX_HEADER))
    throw new SafetensorError(`header too large: it claims ${length} bytes; at most ${MAX_HEADER} are allowed`);
  if (Number(length) > size - 8) {
    throw new SafetensorError(`invalid header length: it claims ${length} bytes, but the file has only ${size - 8} after it`);
  }
  return Number(length);
}

/** Parses and checks a header; `size` is that of the whole file. */
export function parseHeader(bytes: Uint8Array, size: number): Header {
  const entries = Object.entries(parseObject(bytes));
  const start = 8 + bytes.length;
  let metadata: Record<string, string> | null = null;
  const tensors: TensorInfo[] = [];
  for (const [name, value] of entries) {
    if (name === "__metadata__") metadata = checkMetadata(value);
    else tensors.push(checkEntry(name, value, start, size));
  }
  tensors.sort((a, b) => a.begin - b.begin || a.end - b.end);
  let at = start;
  for (const { name, begin, end } of tensors) {
    if (begin < at) throw new SafetensorError(`tensor '${name}': its bytes overlap those of another tensor`);
    if (begin > at) throw new SafetensorError(`tensor '${name}': ${begin - at} bytes before it belong to no tensor`);
    at = end;
  }
  if (at !== size) throw new SafetensorError(`incomplete header: ${size - at} bytes at the end of the file belong to no tensor`);
  return { metadata, tensors };
}

function parseObject(bytes: Uint8Array): object {
  if (bytes[0] !== 0x7b) throw new SafetensorError("invalid header: it does not start with '{'");
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new SafetensorError("invalid header: it is not UTF-8");
  }
  try {
    return JSON.parse(text) as object;
  } catch (error) {
    throw new SafetensorError(`invalid header: it is not JSON (${(error as Error).message})`);
  }
}

function checkMetadata(value: unknown): Record<string, string> {
  const valid =
    typeof value === "object" &&
    value !== null &&
    !Array.isArray(value) &&
    Object.values(value).every((v) => typeof v === "string");
  if (!valid) throw new SafetensorError("invalid header: __metadata__ is not a map from text to text");
  return value as Record<string, string>;
}

export const isCount = (x: unknown): x is number => Number.isSafeInteger(x) && (x as number) >= 0;

function checkEntry(name: string, value: unknown, start: number, size: number): TensorInfo {
  const fail = (what: string): never => {
    throw new SafetensorError(`tensor '${name}': ${what}`);
  };
  if (typeof value !== "object" || value === null) return fail("its entry is not an object");
  const { dtype, shape, data_offsets: offsets } = value as Record<string, unknown>;
  if (typeof dtype !== "string" || !Object.hasOwn(ITEM_BYTES, dtype)) return fail(`unknown dtype ${shown(dtype)}`);
  if (!Array.isArray(shape) || !shape.every(isCount)) return fail(`invalid shape ${shown(shape)}`);
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    return fail(`invalid data_offsets ${shown(offsets)}`);
  }
  const [from, to] = offsets as [number, number];
  if (from > to) return fail(`data_offsets [${from}, ${to}] run backwards`);
  if (to > size - start) return fail(`data_offsets [${from}, ${to}] reach beyond the ${size - start} bytes of data`);
  const bytes = shape.reduce<number>((n, d) => n * (d as number), ITEM_BYTES[dtype]!);
  if (bytes !== to - from) {
    return fail(
      `${dtype} of shape [${shape.join(", ")}] takes ${bytes} bytes, but data_offsets [${from}, ${to}] hold ${to - from}`,
    );
  }
  return { name, dtype, shape: shape as number[], begin: start + from, end: start + to };
}

/** A header as bytes, length and padding included, and the tensors in the order in which their data follow. */
export function writeHeader<T extends { name: string; dtype: string; shape: readonly number[] }>(
  tensors: readonly T[],
  metadata: Readonly<Record<string, string>> | null,
): { bytes: Uint8Array; order: T[] } {
  // Wide types first, so that every tensor is aligned; then by name, so that equal tensors make equal files.
  const order = [...tensors].sort((a, b) => ITEM_BYTES[b.dtype]! - ITEM_BYTES[a.dtype]! || (a.name < b.name ? -1 : 1));
  const entries: [string, unknown][] = metadata === null ? [] : [["__metadata__", checkMetadata(metadata)]];
  let at = 0;
  for (const { name, dtype, shape } of order) {
    if (name === "__metadata__") throw new SafetensorError("a tensor cannot be called __metadata__");
    const end = at + shape.reduce((n, d) => n * d, ITEM_BYTES[dtype]!);
    entries.push([name, { dtype, shape, data_offsets: [at, end] }]);
    at = end;
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(entries)));
  const length = Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(8 + length).fill(0x20);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(length), true);
  bytes.set(json, 8);
  return { bytes, order };
}
