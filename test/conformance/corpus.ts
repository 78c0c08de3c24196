/** What a corpus is, wherever its files lie. */

import { SafeTensors } from "./safetensors.ts";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

export interface Corpus {
  bytes(name: string): Uint8Array;
}

export function readJson<T>(corpus: Corpus, name: string): T {
  return JSON.parse(new TextDecoder().decode(corpus.bytes(name))) as T;
}

/** The tensors of a manifest; none where it names no file. */
export function readTensors(corpus: Corpus, name: string | undefined): SafeTensors {
  return new SafeTensors(name === undefined ? new TextEncoder().encode("\x02\0\0\0\0\0\0\0{}") : corpus.bytes(name));
}

/** The files in: 4 bytes of header length, a JSON list of [name, bytes], the files one after the other. */
export function unpack(all: Uint8Array): Corpus {
  const length = new DataView(all.buffer, all.byteOffset).getUint32(0, true);
  const files = new Map<string, Uint8Array>();
  let at = 4 + length;
  for (const [name, size] of JSON.parse(new TextDecoder().decode(all.subarray(4, at))) as [string, number][]) {
    files.set(name, all.subarray(at, at + size));
    at += size;
  }
  return {
    bytes(name) {
      const found = files.get(name);
      if (found === undefined) throw new Error(`the packed corpus has no file ${name}`);
      return found;
    },
  };
}
