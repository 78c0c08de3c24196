/** Where bytes are read from, piece by piece: memory, blobs, files, the network. */

import { RuntimeError } from "../core/errors.ts";

/** Bytes of a known number that can be read in parts. */
export interface ByteSource {
  readonly size: number;
  /** Bytes [from, to), all of them; the range has been checked against `size`. */
  read(from: number, to: number): Promise<Uint8Array>;
  close?(): Promise<void>;
}

/** Files by path; there are none in browsers. */
export interface FileSystem {
  open(path: string): Promise<ByteSource>;
  /** Writes all parts, or leaves what was there before: nobody ever sees a half-written file. */
  writeAtomic(path: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void>;
}

let system: FileSystem | null = null;

/** @internal The entry for Node calls it. */
export function setFileSystem(files: FileSystem): void {
  system = files;
}

/** @internal */
export function fileSystem(what: string): FileSystem {
  if (system === null) {
    throw new RuntimeError(
      `${what}: there are no files here; pass bytes, a Blob, a Response or a URL, or use io.save for the bytes`,
    );
  }
  return system;
}

/** What can be read: bytes, a Blob (or File), a Response, a path (Node), a URL (by ranges where the server has them). */
export type Readable = Uint8Array | ArrayBuffer | Blob | Response | URL | string | ByteSource;

/** @internal */
export async function openSource(what: string, from: Readable): Promise<ByteSource> {
  if (from instanceof Uint8Array) return memory(from);
  if (from instanceof ArrayBuffer) return memory(new Uint8Array(from));
  if (from instanceof Blob) return blob(from);
  if (from instanceof Response) return response(from);
  if (from instanceof URL) return from.protocol === "file:" ? fileSystem(what).open(pathOf(from)) : remote(from);
  if (typeof from === "string") return /^(https?|blob|data):/.test(from) ? remote(from) : fileSystem(what).open(from);
  if (typeof from === "object" && from !== null && typeof from.read === "function") return from;
  throw new TypeError(`${what}: expected bytes, a Blob, a Response, a path or a URL, got ${typeof from}`);
}

/** @internal */
export function pathOf(url: URL): string {
  return decodeURIComponent(url.pathname).replace(/^\/([A-Za-z]:)/, "$1");
}

/** @internal */
export function memory(bytes: Uint8Array): ByteSource {
  return { size: bytes.length, read: (from, to) => Promise.resolve(bytes.subarray(from, to)) };
}

function blob(from: Blob): ByteSource {
  return { size: from.size, read: async (a, b) => new Uint8Array(await from.slice(a, b).arrayBuffer()) };
}

async function response(from: Response): Promise<ByteSource> {
  if (!from.ok) throw new RuntimeError(`reading ${from.url}: the server answered ${from.status} ${from.statusText}`);
  return blob(await from.blob());
}

async function remote(url: URL | string): Promise<ByteSource> {
  const ask = (from: number, to: number): Promise<Response> => fetch(url, { headers: { Range: `bytes=${from}-${to - 1}` } });
  const first = await ask(0, 8);
  const total = /\/(\d+)$/.exec(first.headers.get("content-range") ?? "");
  if (first.status !== 206 || total === null) return response(first.status === 416 ? await fetch(url) : first);
  await first.body?.cancel();
  return {
    size: Number(total[1]),
    async read(from, to) {
      if (from === to) return new Uint8Array(0);
      const part = await ask(from, to);
      if (part.status !== 206)
        throw new RuntimeError(`reading ${String(url)}: the server answered ${part.status} to a range request`);
      return new Uint8Array(await part.arrayBuffer());
    },
  };
}
