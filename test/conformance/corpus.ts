/** Where a corpus lies: a directory, or one packed file made of it. */

import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { SafeTensors } from "./safetensors.ts";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [key: string]: Json;
}

export interface Corpus {
  bytes(name: string): Uint8Array;
}

export function openCorpus(path: string): Corpus {
  return statSync(path).isDirectory() ? { bytes: (name) => readFileSync(join(path, name)) } : openPack(readFileSync(path));
}

export function readJson<T>(corpus: Corpus, name: string): T {
  return JSON.parse(new TextDecoder().decode(corpus.bytes(name))) as T;
}

/** The tensors of a manifest; none where it names no file. */
export function readTensors(corpus: Corpus, name: string | undefined): SafeTensors {
  return new SafeTensors(name === undefined ? new TextEncoder().encode("\x02\0\0\0\0\0\0\0{}") : corpus.bytes(name));
}

/** A pack is brotli over: 4 bytes of header length, a JSON list of [name, bytes], the files one after the other. */
export function openPack(packed: Uint8Array): Corpus {
  const all = brotliDecompressSync(packed);
  const length = all.readUInt32LE(0);
  const files = new Map<string, Uint8Array>();
  let at = 4 + length;
  for (const [name, size] of JSON.parse(all.toString("utf8", 4, at)) as [string, number][]) {
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

/** Packs the json and safetensors files of a directory; returns the number of bytes written. */
export function writePack(directory: string, file: string): number {
  const names = readdirSync(directory)
    .filter((name) => /\.(json|safetensors)$/.test(name))
    .sort();
  const contents = names.map((name) => readFileSync(join(directory, name)));
  const header = Buffer.from(JSON.stringify(names.map((name, i) => [name, contents[i].length])));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const all = Buffer.concat([length, header, ...contents]);
  const packed = brotliCompressSync(all, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 11,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: all.length,
    },
  });
  writeFileSync(file, packed);
  return packed.length;
}
