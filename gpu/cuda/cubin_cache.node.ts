/**
 * Compiled kernels on disk. A folder per target (architecture, NVRTC, prelude); in it `<unit>.cubin`, which begins with the hash of the rest, and
 * one small file per kernel that names its unit. Files are written under other names first, so that no reader sees half of one.
 */

import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join } from "node:path";
import type { CubinCache } from "./programs.ts";

const HASH_BYTES = 32;
/** Bytes of all units of a target; beyond that the oldest go. */
const MOST_BYTES = 512 << 20;

const sha256 = (data: string | Uint8Array): Buffer => createHash("sha256").update(data).digest();

/** Where the system wants caches. */
export function cacheFolder(): string {
  return process.env.KINDLING_CACHE_DIR ?? join(process.env.XDG_CACHE_HOME ?? join(homedir(), ".cache"), "kindling");
}

export function diskCache(target: string): CubinCache {
  const folder = join(cacheFolder(), "cubin", sha256(target).toString("hex").slice(0, 24));
  let written = 0;
  const write = (name: string, data: string | Uint8Array): void => {
    const temporary = join(folder, `${name}.${process.pid}.${written++}.tmp`);
    writeFileSync(temporary, data);
    renameSync(temporary, join(folder, name));
  };
  return {
    unitOf(kernel) {
      try {
        const unit = readFileSync(join(folder, `${kernel}.unit`), "utf8");
        return /^[0-9a-f]+$/.test(unit) ? unit : null;
      } catch {
        return null;
      }
    },
    load(unit) {
      try {
        const bytes = readFileSync(join(folder, `${unit}.cubin`));
        const cubin = bytes.subarray(HASH_BYTES);
        return sha256(cubin).equals(bytes.subarray(0, HASH_BYTES)) ? cubin : null;
      } catch {
        return null;
      }
    },
    store(kernels, cubin) {
      try {
        mkdirSync(folder, { recursive: true });
        const hash = sha256(cubin);
        const unit = hash.toString("hex").slice(0, 24);
        write(`${unit}.cubin`, Buffer.concat([hash, cubin]));
        for (const kernel of kernels) write(`${kernel}.unit`, unit);
        if (written % 64 === 1) prune(folder);
      } catch {
        // A read-only or full disk: kernels are compiled at every start.
      }
    },
  };
}

function prune(folder: string): void {
  const units = readdirSync(folder)
    .filter((name) => name.endsWith(".cubin"))
    .map((name) => ({ path: join(folder, name), ...pick(statSync(join(folder, name))) }))
    .sort((a, b) => b.time - a.time);
  let bytes = 0;
  for (const { path, size } of units) {
    bytes += size;
    // Names of kernels that lead to a unit which is gone are overwritten when these are compiled anew.
    if (bytes > MOST_BYTES) rmSync(path, { force: true });
  }
}

const pick = ({ size, mtimeMs }: { size: number; mtimeMs: number }): { size: number; time: number } => ({ size, time: mtimeMs });
