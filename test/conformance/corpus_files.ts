/** Corpora in files: a directory, or one packed file made of it. */

import { readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { brotliCompressSync, brotliDecompressSync, constants } from "node:zlib";
import { unpack, type Corpus } from "./corpus.ts";

export function openCorpus(path: string): Corpus {
  return statSync(path).isDirectory() ? { bytes: (name) => readFileSync(join(path, name)) } : unpack(readPack(path));
}

function readPack(path: string): Uint8Array {
  return brotliDecompressSync(readFileSync(path));
}

/** The files of a corpus in a directory, as `unpack` takes them. */
function joinFiles(directory: string): Uint8Array {
  const names = readdirSync(directory)
    .filter((name) => /\.(json|safetensors|pt|npy|npz)$/.test(name))
    .sort();
  const contents = names.map((name) => readFileSync(join(directory, name)));
  const header = Buffer.from(JSON.stringify(names.map((name, i) => [name, contents[i].length])));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  return Buffer.concat([length, header, ...contents]);
}

/** A corpus, a directory or a packed file, as `unpack` takes it. */
export function readWhole(path: string): Uint8Array {
  return statSync(path).isDirectory() ? joinFiles(path) : readPack(path);
}

/** Packs a directory (with brotli); returns the number of bytes written. */
export function writePack(directory: string, file: string): number {
  const all = joinFiles(directory);
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
