/** GGUF, the files of llama.cpp and its kin: metadata and tensors, of which the quantised ones become floats. */

import type { Device } from "../core/device.ts";
import { float32, type DType } from "../core/dtype.ts";
import { NotImplementedError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import { empty } from "../engine/run.ts";
import { get_default_device, resolveDevice } from "../ops/devices.ts";
import { FileFormatError, parseGrowing, readExactly, setOwn, Truncated } from "./format.ts";
import { GGUF_TYPES, type GgufType } from "./gguf_types.ts";
import { whole } from "./pickle.ts";
import { openSource, type ByteSource, type Readable } from "./source.ts";

export type GgufValue = number | bigint | boolean | string | readonly GgufValue[];

export interface GgufTensorInfo {
  readonly name: string;
  /** As GGUF calls it: F32, Q4_K, ... */
  readonly type: string;
  /** As PyTorch counts dimensions: the last one is that of neighbours in memory. */
  readonly shape: readonly number[];
  /** Bytes of the file [begin, end). */
  readonly begin: number;
  readonly end: number;
}

export interface GgufHeader {
  readonly version: number;
  readonly metadata: Readonly<Record<string, GgufValue>>;
  readonly tensors: readonly GgufTensorInfo[];
}

export interface GgufLoadOptions {
  device?: Device | string | null;
}

const MAGIC = 0x46554747; // GGUF
const MOST_DIMS = 8;
const MOST_NESTING = 4;

class Cursor {
  at = 0;
  readonly data: DataView;
  constructor(
    private readonly bytes: Uint8Array,
    /** Bytes of the whole file. */
    readonly size: number,
  ) {
    this.data = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  }
  take(n: number): number {
    const from = this.at;
    if (from + n > this.size) throw new FileFormatError(`gguf: ${n} bytes at ${from} reach beyond the file of ${this.size}`);
    if (from + n > this.bytes.length) throw new Truncated("gguf: the header is cut off");
    this.at += n;
    return from;
  }
  u32(): number {
    return this.data.getUint32(this.take(4), true);
  }
  u64(): number {
    const n = this.data.getBigUint64(this.take(8), true);
    if (n > BigInt(Number.MAX_SAFE_INTEGER)) throw new FileFormatError(`gguf: a number of ${n} at ${this.at - 8}`);
    return Number(n);
  }
  /** A number of things that take at least `each` bytes. */
  count(what: string, each: number): number {
    const n = this.u64();
    if (n * each > this.size - this.at)
      throw new FileFormatError(`gguf: ${n} ${what} do not fit into the ${this.size} bytes of the file`);
    return n;
  }
  string(): string {
    const n = this.count("bytes of text", 1);
    const from = this.take(n);
    return new TextDecoder("utf-8", { ignoreBOM: true }).decode(this.bytes.subarray(from, from + n));
  }
}

/** Types of metadata by their number: bytes, and how one is read. */
const VALUES: readonly (readonly [bytes: number, read: (c: Cursor, depth: number) => GgufValue])[] = [
  [1, (c) => c.data.getUint8(c.take(1))],
  [1, (c) => c.data.getInt8(c.take(1))],
  [2, (c) => c.data.getUint16(c.take(2), true)],
  [2, (c) => c.data.getInt16(c.take(2), true)],
  [4, (c) => c.u32()],
  [4, (c) => c.data.getInt32(c.take(4), true)],
  [4, (c) => c.data.getFloat32(c.take(4), true)],
  [1, (c) => c.data.getUint8(c.take(1)) !== 0],
  [8, (c) => c.string()],
  [12, readList],
  [8, (c) => whole(c.data.getBigUint64(c.take(8), true))],
  [8, (c) => whole(c.data.getBigInt64(c.take(8), true))],
  [8, (c) => c.data.getFloat64(c.take(8), true)],
];

function valueType(c: Cursor): (typeof VALUES)[number] {
  const type = c.u32();
  const found = VALUES[type];
  if (found === undefined) throw new FileFormatError(`gguf: unknown type ${type} of a value at ${c.at - 4}`);
  return found;
}

function readList(c: Cursor, depth: number): GgufValue {
  if (depth >= MOST_NESTING) throw new FileFormatError(`gguf: lists nested more than ${MOST_NESTING} levels deep`);
  const [bytes, read] = valueType(c);
  const n = c.count("items of a list", bytes);
  const list: GgufValue[] = [];
  for (let i = 0; i < n; i++) list.push(read(c, depth + 1));
  return list;
}

/** Parses and checks a header; `size` is that of the whole file. */
export function parseGguf(bytes: Uint8Array, size: number): GgufHeader {
  const c = new Cursor(bytes, size);
  if (size < 24 || c.u32() !== MAGIC) throw new FileFormatError("gguf: this is no GGUF file: it does not begin with GGUF");
  const version = c.u32();
  if (version !== 2 && version !== 3) {
    const swapped = version > 0xffff;
    throw new FileFormatError(`gguf: version ${swapped ? "of a big-endian file" : version}; expected 2 or 3, little-endian`);
  }
  const tensorCount = c.count("tensors", 24);
  const metadataCount = c.count("entries of metadata", 13);
  const metadata: Record<string, GgufValue> = {};
  for (let i = 0; i < metadataCount; i++) {
    const key = c.string();
    if (Object.hasOwn(metadata, key)) throw new FileFormatError(`gguf: '${key}' is there twice`);
    const [, read] = valueType(c);
    setOwn(metadata, key, read(c, 0));
  }
  const infos: { name: string; shape: number[]; type: number; offset: number }[] = [];
  for (let i = 0; i < tensorCount; i++) {
    const name = c.string();
    const dims = c.u32();
    if (dims > MOST_DIMS) throw new FileFormatError(`gguf: tensor '${name}' has ${dims} dimensions`);
    const shape = Array.from({ length: dims }, () => c.u64()).reverse();
    infos.push({ name, shape, type: c.u32(), offset: c.u64() });
  }
  const alignment = metadata["general.alignment"] ?? 32;
  if (typeof alignment !== "number" || !(alignment >= 1 && alignment <= 1 << 20) || alignment % 1 !== 0) {
    throw new FileFormatError(`gguf: general.alignment is ${String(alignment)}`);
  }
  const start = Math.ceil(c.at / alignment) * alignment;
  const tensors = infos.map((info) => place(info, start, size));
  if (new Set(tensors.map((t) => t.name)).size !== tensors.length) throw new FileFormatError("gguf: two tensors have one name");
  // Tensors that share bytes are how a small file claims to hold many.
  const order = [...tensors].sort((a, b) => a.begin - b.begin || a.end - b.end);
  for (let i = 1; i < order.length; i++) {
    if (order[i]!.begin < order[i - 1]!.end) throw new FileFormatError(`gguf: tensor '${order[i]!.name}' overlaps another one`);
  }
  return { version, metadata, tensors };
}

function place(
  { name, shape, type, offset }: { name: string; shape: number[]; type: number; offset: number },
  start: number,
  size: number,
): GgufTensorInfo {
  const found = GGUF_TYPES[type];
  if (found === undefined) throw new FileFormatError(`gguf: tensor '${name}' is of the unknown type ${type}`);
  const numel = shape.reduce((n, d) => n * d, 1);
  if (!Number.isSafeInteger(numel) || (shape.at(-1) ?? 1) % found.block !== 0) {
    throw new FileFormatError(
      `gguf: tensor '${name}' of shape [${shape.join(", ")}] does not consist of ${found.name}'s blocks of ${found.block}`,
    );
  }
  const begin = start + offset;
  const end = begin + (numel / found.block) * found.bytes;
  if (end > size) throw new FileFormatError(`gguf: tensor '${name}' takes bytes ${begin} to ${end}, but the file has ${size}`);
  return { name, type: found.name, shape, begin, end };
}

/** An opened GGUF file: its header has been read and checked, tensors are read when they are asked for. */
export class GgufFile {
  private readonly infos: ReadonlyMap<string, GgufTensorInfo>;
  /** @internal Use `open_gguf`. */
  constructor(
    private readonly source: ByteSource,
    private readonly header: GgufHeader,
    private readonly device: Device,
  ) {
    this.infos = new Map(header.tensors.map((info) => [info.name, info]));
  }

  /** Names in the order of the file. */
  keys(): string[] {
    return [...this.infos.keys()];
  }
  get version(): number {
    return this.header.version;
  }
  get metadata(): Readonly<Record<string, GgufValue>> {
    return this.header.metadata;
  }
  /** Shape and type without reading the tensor. */
  get_info(name: string): GgufTensorInfo {
    const info = this.infos.get(name);
    if (info === undefined) throw new FileFormatError(`gguf: the file does not contain tensor '${name}'`);
    return info;
  }

  /** Reads one tensor. Quantised ones become float32, all others have their own type. */
  async get_tensor(name: string): Promise<Tensor> {
    const { type, shape, begin, end } = this.get_info(name);
    const format = GGUF_TYPES.find((t): t is GgufType => t?.name === type)!;
    if (format.dtype === null && format.decode === null) {
      throw new NotImplementedError(`gguf: tensor '${name}' is of type ${type}, which is not read`);
    }
    const dtype: DType = format.dtype ?? float32;
    const out = empty([...shape], dtype, this.device);
    // Whole blocks, so that large tensors do not lie in memory twice.
    const step = Math.max(1, Math.floor((1 << 22) / format.bytes)) * format.bytes;
    let written = 0;
    for (let at = begin; at < end; at += step) {
      const raw = await readExactly(this.source, at, Math.min(end, at + step), `gguf: tensor '${name}'`);
      const bytes = format.decode === null ? raw : new Uint8Array(decoded(format, raw).buffer);
      this.device.write(out._storage.buffer!, written, bytes);
      written += bytes.length;
    }
    return out;
  }

  async close(): Promise<void> {
    await this.source.close?.();
  }
  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }
}

function decoded({ block, bytes, decode }: GgufType, raw: Uint8Array): Float32Array<ArrayBuffer> {
  const blocks = raw.length / bytes;
  const out = new Float32Array(blocks * block);
  const data = new DataView(raw.buffer, raw.byteOffset, raw.length);
  for (let i = 0; i < blocks; i++) decode!(data, i * bytes, out, i * block);
  return out;
}

/** Opens a GGUF file, Blob or URL (by ranges where the server has them); only what is asked for is read. Close it after use. */
export async function open_gguf(from: Readable, { device = null }: GgufLoadOptions = {}): Promise<GgufFile> {
  const source = await openSource("open_gguf", from);
  try {
    const header = await parseGrowing(source, 0, "gguf", (bytes) => parseGguf(bytes, source.size));
    return new GgufFile(source, header, device === null ? get_default_device() : resolveDevice(device));
  } catch (error) {
    await source.close?.();
    throw error;
  }
}

/** All tensors of a GGUF file, by name, and its metadata. */
export async function load_gguf(
  from: Readable,
  options: GgufLoadOptions = {},
): Promise<{ tensors: Record<string, Tensor>; metadata: Readonly<Record<string, GgufValue>> }> {
  const file = await open_gguf(from, options);
  try {
    const tensors: Record<string, Tensor> = {};
    for (const name of file.keys()) setOwn(tensors, name, await file.get_tensor(name));
    return { tensors, metadata: file.metadata };
  } finally {
    await file.close();
  }
}
