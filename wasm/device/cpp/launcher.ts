/** What the planners of C++ kernels need of the device; `CpuContext` is one, and so is a test's bare memory. */

import type { ParamWriter } from "../params.ts";

export interface Launcher {
  /** A parameter block of at most `words` 32-bit words, good until the launched work is done. */
  params(words: number): ParamWriter;
  /** Temporary memory, 64-byte aligned. */
  workspace(nbytes: number): number;
  /** Runs tasks [0, tasks) of a kernel and returns when all are done. */
  launch(kernel: string, params: number, tasks: number): void;
}

export type FloatKind = "f32" | "f64";

export const ELEMENT_BYTES = { f32: 4, f64: 8, i32: 4, i64: 8 } as const;

export function ceilDiv(a: number, b: number): number {
  return Math.floor((a + b - 1) / b);
}

export function roundUp(value: number, multiple: number): number {
  return ceilDiv(value, multiple) * multiple;
}

/** Size of the blocks when `length` is cut evenly into blocks of at most `limit`, each a multiple of `multiple`. */
export function evenBlock(length: number, limit: number, multiple: number): number {
  if (length <= 0) return multiple;
  return roundUp(ceilDiv(length, ceilDiv(length, limit)), multiple);
}

/** How many tasks to cut `items` into, each of at least `least` items; depends on shapes only, never on threads. */
export function taskCount(items: number, least: number, most = 64): number {
  return Math.max(1, Math.min(most, items, Math.floor(items / Math.max(1, least))));
}
