/** Where bytes come from, and packages that are only loaded when they are needed. */

import type * as fileSystem from "node:fs";
import type * as promises from "node:fs/promises";
import * as torch from "../../torch.ts";

/** Bytes, a Blob (or File), a Response, a path (Node), a URL, or a uint8 tensor [N]. */
export type BytesSource = Uint8Array | ArrayBuffer | Blob | Response | URL | string | torch.Tensor;

interface NodeProcess {
  getBuiltinModule?<T>(name: string): T | undefined;
}
/** One of Node's own modules at once, for what has to be there when a constructor returns; RuntimeError where there is no Node. */
export function builtin<T>(what: string, name: string): T {
  const found = (globalThis as { process?: NodeProcess }).process?.getBuiltinModule?.<T>(name);
  if (found === undefined)
    throw new torch.RuntimeError(`${what}: there are no files here; pass what a browser has: Files, Blobs or URLs`);
  return found;
}

/** All bytes of a source. */
export async function readBytes(what: string, from: BytesSource): Promise<Uint8Array> {
  if (from instanceof Uint8Array) return from;
  if (from instanceof ArrayBuffer) return new Uint8Array(from);
  if (from instanceof torch.Tensor) {
    if (from.dtype !== torch.uint8 || from.ndim !== 1) {
      throw new TypeError(`${what}: expected a 1-dimensional uint8 tensor, got ${from.dtype.name} [${from.shape.join(", ")}]`);
    }
    return (await from.data()) as Uint8Array;
  }
  if (from instanceof Blob) return new Uint8Array(await from.arrayBuffer());
  if (from instanceof Response) {
    if (!from.ok)
      throw new torch.RuntimeError(`${what}: reading ${from.url}: the server answered ${from.status} ${from.statusText}`);
    return new Uint8Array(await from.arrayBuffer());
  }
  const isFile = from instanceof URL ? from.protocol === "file:" : typeof from === "string" && !/^(https?|blob|data):/.test(from);
  if (!isFile && (typeof from === "string" || from instanceof URL)) return readBytes(what, await fetch(from));
  if (isFile) return builtin<typeof promises>(what, "node:fs/promises").readFile(from as string | URL);
  throw new TypeError(`${what}: expected bytes, a Blob, a Response, a path or a URL, got ${typeof from}`);
}

/** Text of a source, part by part. */
export async function* readText(what: string, from: BytesSource): AsyncGenerator<string, void, undefined> {
  let body: ReadableStream<Uint8Array> | null = null;
  if (from instanceof Blob) body = from.stream();
  else if (from instanceof Response) body = from.ok ? from.body : null;
  else if (typeof from === "string" && /^(https?|blob|data):/.test(from)) body = (await fetch(from)).body;
  else if (typeof from === "string" || (from instanceof URL && from.protocol === "file:")) {
    const { createReadStream } = builtin<typeof fileSystem>(what, "node:fs");
    yield* createReadStream(from, { encoding: "utf8" }) as AsyncIterable<string>;
    return;
  }
  const decoder = new TextDecoder();
  if (body === null) {
    yield decoder.decode(await readBytes(what, from));
    return;
  }
  const reader = body.getReader();
  try {
    for (let next = await reader.read(); !next.done; next = await reader.read())
      yield decoder.decode(next.value, { stream: true });
    yield decoder.decode();
  } finally {
    await reader.cancel();
  }
}

/** What a package exports; RuntimeError, with what to do, where it is not installed. */
export async function optional<T>(what: string, name: string, load: () => Promise<T>): Promise<T> {
  try {
    return await load();
  } catch (error) {
    throw new torch.RuntimeError(
      `${what} needs the package "${name}", which could not be loaded: npm install ${name} (${(error as Error).message})`,
    );
  }
}
