/** Whole files as bytes, for formats that are read elsewhere. */

import { readExactly } from "./format.ts";
import { openSource, type Readable } from "./source.ts";
import { writeTo, type Writable } from "./torch_save.ts";

/** All bytes of what can be read: bytes, a Blob, a Response, a path (Node) or a URL. */
export async function read_bytes(from: Readable): Promise<Uint8Array> {
  const source = await openSource("read_bytes", from);
  try {
    return await readExactly(source, 0, source.size, "read_bytes");
  } finally {
    await source.close?.();
  }
}

/** Writes bytes to a path (Node), a file URL or a stream; a file appears whole, or not at all. */
export async function write_bytes(to: Writable, bytes: Uint8Array): Promise<void> {
  await writeTo(
    "write_bytes",
    to,
    (async function* () {
      yield bytes;
    })(),
  );
}
