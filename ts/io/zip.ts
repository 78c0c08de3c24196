/** Zip archives: entries that are stored or deflated, by ranges of a source; archives are written in one pass. */

import { RuntimeError } from "../core/errors.ts";
import { concat, FileFormatError, joined, readExactly } from "./format.ts";
import type { ByteSource } from "./source.ts";

export interface ZipEntry {
  readonly name: string;
  readonly method: number;
  readonly crc: number;
  /** Bytes in the file. */
  readonly compressed: number;
  readonly size: number;
  readonly header: number;
  /** Where what follows it begins. */
  readonly limit: number;
}

export interface ZipReadOptions {
  /** Whether the checksum counts. */
  readonly crc?: boolean;
  /** Sees the first bytes of a deflated entry, and throws before the rest is inflated where they are not what they should be. */
  readonly begin?: (bytes: Uint8Array) => void;
}

const STORED = 0;
const DEFLATED = 8;
/** Deflate makes no more than this of one byte. */
const MOST_RATIO = 1032;

const LOCAL = 0x04034b50;
const CENTRAL = 0x02014b50;
const END = 0x06054b50;
const END64 = 0x06064b50;
const LOCATOR64 = 0x07064b50;
const DESCRIPTOR = 0x08074b50;
const MAX16 = 0xffff;
const MAX32 = 0xffffffff;

const view = (bytes: Uint8Array): DataView => new DataView(bytes.buffer, bytes.byteOffset, bytes.length);

function number64(data: DataView, at: number): number {
  const n = data.getBigUint64(at, true);
  if (n > BigInt(Number.MAX_SAFE_INTEGER)) throw new FileFormatError(`zip: a size or an offset of ${n} bytes`);
  return Number(n);
}

export async function isZip(source: ByteSource): Promise<boolean> {
  if (source.size < 22) return false;
  const magic = view(await readExactly(source, 0, 4, "zip")).getUint32(0, true);
  return magic === LOCAL || magic === END;
}

interface Directory {
  readonly offset: number;
  readonly size: number;
  readonly count: number;
}

async function findDirectory(source: ByteSource): Promise<Directory> {
  const start = Math.max(0, source.size - 22 - MAX16);
  const tail = await readExactly(source, start, source.size, "zip");
  const data = view(tail);
  let at = tail.length - 22;
  while (at >= 0 && !(data.getUint32(at, true) === END && at + 22 + data.getUint16(at + 20, true) <= tail.length)) at--;
  if (at < 0) throw new FileFormatError("zip: there is no end of central directory: the file is damaged, or cut off");
  let found: Directory = {
    count: data.getUint16(at + 10, true),
    size: data.getUint32(at + 12, true),
    offset: data.getUint32(at + 16, true),
  };
  let end = start + at;
  if (at >= 20 && data.getUint32(at - 20, true) === LOCATOR64) {
    end = number64(data, at - 12);
    const record = view(await readExactly(source, end, end + 56, "zip"));
    if (record.getUint32(0, true) !== END64) throw new FileFormatError("zip: its zip64 record is not where it should be");
    found = { count: number64(record, 32), size: number64(record, 40), offset: number64(record, 48) };
  }
  if (found.offset + found.size > end) {
    throw new FileFormatError(`zip: a directory of ${found.size} bytes at ${found.offset} reaches beyond ${end}`);
  }
  return found;
}

/** Sizes and offset of a directory's entry that do not fit 32 bits. */
function wide(extra: DataView, fields: number[]): number[] {
  for (let at = 0; at + 4 <= extra.byteLength;) {
    const [id, length] = [extra.getUint16(at, true), extra.getUint16(at + 2, true)];
    at += 4;
    if (id === 1) {
      let from = at;
      return fields.map((field) => {
        if (field !== MAX32) return field;
        if (from + 8 > Math.min(at + length, extra.byteLength)) throw new FileFormatError("zip: a zip64 field is too short");
        from += 8;
        return number64(extra, from - 8);
      });
    }
    at += length;
  }
  return fields;
}

/** An opened archive: its directory has been read and checked. */
export class ZipReader {
  private constructor(
    private readonly source: ByteSource,
    readonly entries: ReadonlyMap<string, ZipEntry>,
  ) {}

  static async open(source: ByteSource): Promise<ZipReader> {
    const { offset, size, count } = await findDirectory(source);
    if (count > size / 46) throw new FileFormatError(`zip: a directory of ${size} bytes cannot have ${count} entries`);
    const bytes = await readExactly(source, offset, offset + size, "zip");
    const data = view(bytes);
    const list: (Omit<ZipEntry, "limit"> & { least: number })[] = [];
    for (let at = 0; list.length < count;) {
      if (at + 46 > size || data.getUint32(at, true) !== CENTRAL) throw new FileFormatError("zip: its directory is damaged");
      const [names, extras, comment] = [28, 30, 32].map((o) => data.getUint16(at + o, true)) as [number, number, number];
      const next = at + 46 + names + extras + comment;
      if (next > size) throw new FileFormatError("zip: its directory is cut off");
      const name = new TextDecoder().decode(bytes.subarray(at + 46, at + 46 + names));
      if ((data.getUint16(at + 8, true) & 1) !== 0) throw new FileFormatError(`zip: entry '${name}' is encrypted`);
      const [entrySize, compressed, header] = wide(
        view(bytes.subarray(at + 46 + names, at + 46 + names + extras)),
        [24, 20, 42].map((o) => data.getUint32(at + o, true)),
      ) as [number, number, number];
      const method = data.getUint16(at + 10, true);
      list.push({
        name,
        method,
        crc: data.getUint32(at + 16, true),
        compressed,
        size: entrySize,
        header,
        least: 30 + names + compressed,
      });
      at = next;
    }
    // Entries that share bytes are how small archives claim to hold petabytes.
    list.sort((a, b) => a.header - b.header);
    const entries = new Map<string, ZipEntry>();
    list.forEach(({ least, ...entry }, i) => {
      const limit = list[i + 1]?.header ?? offset;
      if (entry.header + least > limit) throw new FileFormatError(`zip: entry '${entry.name}' overlaps what follows it`);
      if (entries.has(entry.name)) throw new FileFormatError(`zip: there are two entries '${entry.name}'`);
      check(entry);
      entries.set(entry.name, { ...entry, limit });
    });
    return new ZipReader(source, entries);
  }

  /** Where an entry's bytes, as stored, lie in the file. */
  async range(entry: ZipEntry): Promise<[from: number, to: number]> {
    const head = view(await readExactly(this.source, entry.header, entry.header + 30, "zip"));
    if (head.getUint32(0, true) !== LOCAL) throw new FileFormatError(`zip: entry '${entry.name}' is not where it should be`);
    const from = entry.header + 30 + head.getUint16(26, true) + head.getUint16(28, true);
    const to = from + entry.compressed;
    if (to > entry.limit) throw new FileFormatError(`zip: entry '${entry.name}' overlaps what follows it`);
    return [from, to];
  }

  /** An entry's contents. */
  async read(entry: ZipEntry, { crc = true, begin }: ZipReadOptions = {}): Promise<Uint8Array> {
    const [from, to] = await this.range(entry);
    const raw = await readExactly(this.source, from, to, `zip entry '${entry.name}'`);
    const bytes = entry.method === STORED ? raw : await inflate(raw, entry, begin);
    if (crc && crc32(bytes) !== entry.crc) throw new FileFormatError(`zip: the checksum of entry '${entry.name}' is wrong`);
    return bytes;
  }
}

export const isStored = (entry: ZipEntry): boolean => entry.method === STORED;

function check({ name, method, size, compressed }: Omit<ZipEntry, "limit">): void {
  if (method !== STORED && method !== DEFLATED) {
    throw new FileFormatError(`zip: entry '${name}' is compressed by method ${method}; only deflate is supported`);
  }
  if (method === STORED ? size !== compressed : size > compressed * MOST_RATIO + 64) {
    throw new FileFormatError(`zip: entry '${name}' claims ${size} bytes, but has ${compressed} in the file`);
  }
}

async function through(
  stream: GenericTransformStream,
  bytes: Uint8Array,
  most: number,
  begin?: (bytes: Uint8Array) => void,
): Promise<Uint8Array[]> {
  const writer = (stream.writable as WritableStream<Uint8Array>).getWriter();
  const written = writer.write(bytes).then(() => writer.close());
  written.catch(() => {}); // the reader gets the same error
  const reader = (stream.readable as ReadableStream<Uint8Array>).getReader();
  const parts: Uint8Array[] = [];
  for (let total = 0; ;) {
    const { done, value } = await reader.read();
    if (done) break;
    total += value.length;
    if (total > most) {
      await reader.cancel().catch(() => {});
      return [...parts, value];
    }
    try {
      if (parts.length === 0) begin?.(value);
    } catch (error) {
      await reader.cancel().catch(() => {});
      throw error;
    }
    parts.push(value);
  }
  await written;
  return parts;
}

async function inflate(raw: Uint8Array, { name, size }: ZipEntry, begin?: ZipReadOptions["begin"]): Promise<Uint8Array> {
  let parts: Uint8Array[];
  try {
    parts = await through(new DecompressionStream("deflate-raw"), raw, size, begin);
  } catch (error) {
    if (error instanceof RuntimeError || error instanceof FileFormatError) throw error;
    throw new FileFormatError(`zip: entry '${name}' cannot be inflated: ${(error as Error).message}`);
  }
  const length = parts.reduce((n, p) => n + p.length, 0);
  if (length !== size) {
    const got = length > size ? "more" : String(length);
    throw new FileFormatError(`zip: entry '${name}' claims ${size} bytes, but inflates to ${got}`);
  }
  return concat(parts);
}

/** Tables for a byte that is followed by none, one, two and three others. */
const CRC_TABLES = [new Int32Array(256), new Int32Array(256), new Int32Array(256), new Int32Array(256)] as const;
for (let n = 0; n < 256; n++) {
  let crc = n;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  CRC_TABLES[0][n] = crc;
}
for (const k of [1, 2, 3] as const) {
  for (let n = 0; n < 256; n++) {
    const crc = CRC_TABLES[k - 1]![n]!;
    CRC_TABLES[k][n] = CRC_TABLES[0][crc & 255]! ^ (crc >>> 8);
  }
}

/** The checksum of `bytes` after that of what came before. */
export function crc32(bytes: Uint8Array, before = 0): number {
  const [t0, t1, t2, t3] = CRC_TABLES;
  let crc = ~before;
  let i = 0;
  for (const end = bytes.length - 3; i < end; i += 4) {
    crc ^= bytes[i]! | (bytes[i + 1]! << 8) | (bytes[i + 2]! << 16) | (bytes[i + 3]! << 24);
    crc = t3[crc & 255]! ^ t2[(crc >>> 8) & 255]! ^ t1[(crc >>> 16) & 255]! ^ t0[crc >>> 24]!;
  }
  for (; i < bytes.length; i++) crc = t0[(crc ^ bytes[i]!) & 255]! ^ (crc >>> 8);
  return ~crc >>> 0;
}

export interface ZipContent {
  readonly name: string;
  /** Bytes, or their number and a way to get them piece by piece. */
  readonly bytes: Uint8Array | { readonly size: number; parts(): AsyncIterable<Uint8Array> };
}

export interface ZipWriteOptions {
  /** Entries begin at multiples of this, as PyTorch's do at those of 64. */
  readonly align?: number;
  readonly deflate?: boolean;
}

interface Written {
  readonly name: Uint8Array;
  readonly flags: number;
  readonly method: number;
  crc: number;
  readonly compressed: number;
  readonly size: number;
  readonly header: number;
}

/** The fields that local headers and the directory have in common. */
function common(data: DataView, at: number, { flags, method }: Written, crc: number, sizes: readonly number[]): void {
  data.setUint16(at, 45, true);
  data.setUint16(at + 2, flags, true);
  data.setUint16(at + 4, method, true);
  data.setUint16(at + 8, 0x21, true); // the first of January 1980: equal contents make equal files
  data.setUint32(at + 10, crc, true);
  sizes.forEach((n, i) => data.setUint32(at + 14 + 4 * i, Math.min(n, MAX32), true));
}

function zip64Extra(numbers: readonly number[]): Uint8Array {
  if (numbers.length === 0) return new Uint8Array(0);
  const data = new DataView(new ArrayBuffer(4 + 8 * numbers.length));
  data.setUint16(0, 1, true);
  data.setUint16(2, 8 * numbers.length, true);
  numbers.forEach((n, i) => data.setBigUint64(4 + 8 * i, BigInt(n), true));
  return new Uint8Array(data.buffer);
}

/** What brings data behind a header of `length` bytes to a multiple of `align`: PyTorch's extra field. */
function padding(length: number, align: number): Uint8Array {
  let pad = (align - (length % align)) % align;
  if (pad === 0) return new Uint8Array(0);
  if (pad < 4) pad += align;
  const data = new DataView(new ArrayBuffer(pad));
  data.setUint16(0, 0x4246, true);
  data.setUint16(2, pad - 4, true);
  return new Uint8Array(data.buffer);
}

function localHeader(entry: Written, align: number): Uint8Array {
  const streamed = (entry.flags & 8) !== 0;
  const sizes = [entry.compressed, entry.size];
  const extra = Math.max(...sizes) >= MAX32 ? zip64Extra([entry.size, entry.compressed]) : new Uint8Array(0);
  const pad = padding(entry.header + 30 + entry.name.length + extra.length, align);
  const head = new DataView(new ArrayBuffer(30));
  head.setUint32(0, LOCAL, true);
  common(head, 4, entry, streamed ? 0 : entry.crc, streamed && extra.length === 0 ? [0, 0] : sizes);
  head.setUint16(26, entry.name.length, true);
  head.setUint16(28, extra.length + pad.length, true);
  return concat([new Uint8Array(head.buffer), entry.name, extra, pad]);
}

/** What follows data whose checksum was not known before it. */
function descriptor({ crc, compressed, size }: Written): Uint8Array {
  const large = Math.max(compressed, size) >= MAX32;
  const data = new DataView(new ArrayBuffer(large ? 24 : 16));
  data.setUint32(0, DESCRIPTOR, true);
  data.setUint32(4, crc, true);
  if (large) {
    data.setBigUint64(8, BigInt(compressed), true);
    data.setBigUint64(16, BigInt(size), true);
  } else {
    data.setUint32(8, compressed, true);
    data.setUint32(12, size, true);
  }
  return new Uint8Array(data.buffer);
}

function directoryEntry(entry: Written): Uint8Array {
  const extra = zip64Extra([entry.size, entry.compressed, entry.header].filter((n) => n >= MAX32));
  const head = new DataView(new ArrayBuffer(46));
  head.setUint32(0, CENTRAL, true);
  head.setUint16(4, 45, true);
  common(head, 6, entry, entry.crc, [entry.compressed, entry.size]);
  head.setUint16(28, entry.name.length, true);
  head.setUint16(30, extra.length, true);
  head.setUint32(42, Math.min(entry.header, MAX32), true);
  return concat([new Uint8Array(head.buffer), entry.name, extra]);
}

function endOfDirectory(count: number, size: number, offset: number): Uint8Array {
  const parts: Uint8Array[] = [];
  if (count >= MAX16 || size >= MAX32 || offset >= MAX32) {
    const record = new DataView(new ArrayBuffer(76));
    record.setUint32(0, END64, true);
    record.setBigUint64(4, 44n, true);
    record.setUint16(12, 45, true);
    record.setUint16(14, 45, true);
    [count, count, size, offset].forEach((n, i) => record.setBigUint64(24 + 8 * i, BigInt(n), true));
    record.setUint32(56, LOCATOR64, true);
    record.setBigUint64(64, BigInt(offset + size), true);
    record.setUint32(72, 1, true);
    parts.push(new Uint8Array(record.buffer));
  }
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, END, true);
  end.setUint16(8, Math.min(count, MAX16), true);
  end.setUint16(10, Math.min(count, MAX16), true);
  end.setUint32(12, Math.min(size, MAX32), true);
  end.setUint32(16, Math.min(offset, MAX32), true);
  return concat([...parts, new Uint8Array(end.buffer)]);
}

/** An archive, part by part. */
export async function* writeZip(
  contents: AsyncIterable<ZipContent> | Iterable<ZipContent>,
  { align = 1, deflate = false }: ZipWriteOptions = {},
): AsyncGenerator<Uint8Array> {
  const entries: Written[] = [];
  let at = 0;
  for await (const { name, bytes } of contents) {
    const plain = bytes instanceof Uint8Array ? bytes : deflate ? await joined(bytes.parts()) : null;
    const packed =
      plain !== null && deflate ? concat(await through(new CompressionStream("deflate-raw"), plain, Infinity)) : plain;
    const size = bytes instanceof Uint8Array ? bytes.length : bytes.size;
    const entry: Written = {
      name: new TextEncoder().encode(name),
      flags: 0x800 | (plain === null ? 8 : 0),
      method: deflate ? DEFLATED : STORED,
      crc: plain === null ? 0 : crc32(plain),
      compressed: packed?.length ?? size,
      size,
      header: at,
    };
    const head = localHeader(entry, align);
    yield head;
    at += head.length + entry.compressed;
    if (packed !== null) yield packed;
    else {
      for await (const part of (bytes as Exclude<ZipContent["bytes"], Uint8Array>).parts()) {
        entry.crc = crc32(part, entry.crc);
        yield part;
      }
      const tail = descriptor(entry);
      yield tail;
      at += tail.length;
    }
    entries.push(entry);
  }
  const directory = concat(entries.map(directoryEntry));
  yield directory;
  yield endOfDirectory(entries.length, directory.length, at);
}
