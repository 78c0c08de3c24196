/** Files in Node. */

import { randomBytes } from "node:crypto";
import { open, rename, rm } from "node:fs/promises";
import { setFileSystem, type ByteSource } from "./source.ts";

async function openFile(path: string): Promise<ByteSource> {
  const file = await open(path, "r");
  const { size } = await file.stat();
  return {
    size,
    async read(from, to) {
      const bytes = new Uint8Array(to - from);
      let at = 0;
      while (at < bytes.length) {
        const { bytesRead } = await file.read(bytes, at, bytes.length - at, from + at);
        if (bytesRead === 0) break; // it has been cut since; the caller sees that bytes are missing
        at += bytesRead;
      }
      return bytes.subarray(0, at);
    },
    close: () => file.close(),
  };
}

async function writeAtomic(path: string, parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void> {
  const temporary = `${path}.${randomBytes(6).toString("hex")}.tmp`;
  const file = await open(temporary, "wx");
  try {
    try {
      for await (const part of parts) {
        for (let at = 0; at < part.length;) at += (await file.write(part, at)).bytesWritten;
      }
      await file.sync();
    } finally {
      await file.close();
    }
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
}

setFileSystem({ open: openFile, writeAtomic });
