/** What the readers of files share: the errors of a file that is not what it says it is, and reading that checks the size first. */

import { ValueError } from "../core/errors.ts";
import type { ByteSource } from "./source.ts";

/** The file is damaged, hostile, or of another format. */
export class FileFormatError extends ValueError {
  override name = "FileFormatError";
}

/** A pickle that asks for something else than tensors and plain containers, or that is damaged. */
export class UnpicklingError extends FileFormatError {
  override name = "UnpicklingError";
}

/** Bytes are missing at the end. */
export class Truncated extends FileFormatError {}

/** Bytes [from, to), all of them. */
export async function readExactly(source: ByteSource, from: number, to: number, what: string): Promise<Uint8Array> {
  if (!(from >= 0 && from <= to && to <= source.size)) {
    throw new Truncated(`${what}: bytes ${from} to ${to} are wanted, but the file has ${source.size}`);
  }
  if (from === to) return new Uint8Array(0);
  const bytes = await source.read(from, to);
  if (bytes.length !== to - from)
    throw new Truncated(`${what}: ${to - from} bytes were expected at ${from}, got ${bytes.length}`);
  // Node's Buffers are Uint8Arrays whose slice() is no copy.
  return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

/** Read at once from a source, so that large tensors do not lie in memory twice. */
const PIECE = 1 << 24;

export function* pieces(from: number, to: number): Generator<[from: number, to: number]> {
  for (let at = from; at < to; at += PIECE) yield [at, Math.min(to, at + PIECE)];
}

/** First bytes that are read of what tells its length only as it is parsed. */
const WINDOW = 1 << 16;

/** Parses what begins at `from`: `parse` throws `Truncated` where it needs more bytes than it got, and is called again with more. */
export async function parseGrowing<T>(
  source: ByteSource,
  from: number,
  what: string,
  parse: (bytes: Uint8Array) => T,
): Promise<T> {
  for (let length = WINDOW; ; length *= 8) {
    const to = Math.min(source.size, from + length);
    const bytes = await readExactly(source, from, to, what);
    try {
      return parse(bytes);
    } catch (error) {
      if (!(error instanceof Truncated) || to === source.size) throw error;
    }
  }
}

/** Reverses the bytes of every element, in place. */
export function swapBytes(bytes: Uint8Array, itemsize: number): Uint8Array {
  for (let at = 0; at + itemsize <= bytes.length; at += itemsize) bytes.subarray(at, at + itemsize).reverse();
  return bytes;
}

/** All parts as one. */
export async function joined(parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<Uint8Array<ArrayBuffer>> {
  const list: Uint8Array[] = [];
  for await (const part of parts) list.push(part);
  return concat(list);
}

export function concat(list: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(list.reduce((n, p) => n + p.length, 0));
  let at = 0;
  for (const part of list) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** A property of its own, whatever its name (`__proto__`, too). */
export function setOwn(target: object, key: string, value: unknown): void {
  Object.defineProperty(target, key, { value, enumerable: true, configurable: true, writable: true });
}

/** A value of a JSON text, for an error. */
export function shown(value: unknown): string {
  try {
    return String(JSON.stringify(value)).slice(0, 80);
  } catch {
    return "a value nested too deeply to be shown";
  }
}
