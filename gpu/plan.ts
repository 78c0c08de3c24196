/** Choices from shapes and caps: how dimensions merge, how many workgroups, how wide. */

import type { View } from "../ts/core/device.ts";
import type { GpuCaps } from "./context.ts";

/** One iteration space and how several views walk it. */
export interface Walk {
  readonly shape: readonly number[];
  /** Per view, one stride per dim of `shape`. */
  readonly strides: readonly (readonly number[])[];
}

/**
 * Merges neighbouring dims that every view walks as one, and drops dims of size 1. `fixed`: this many trailing dims are merged only among
 * each other (the reduced dims of a reduction). The result has rank 0 for single elements.
 */
export function collapse(views: readonly View[], fixed = 0): Walk & { readonly fixed: number } {
  const first = views[0]!;
  const rank = first.shape.length;
  const shape: number[] = [];
  const strides: number[][] = views.map(() => []);
  let trailing = 0;
  for (let d = 0; d < rank; d++) {
    const n = first.shape[d]!;
    if (n === 1) continue;
    const inFixed = d >= rank - fixed;
    const last = shape.length - 1;
    const joins = last >= 0 && inFixed === trailing > 0 && views.every((v, i) => strides[i]![last] === v.strides[d]! * n);
    if (joins) {
      shape[last]! *= n;
      views.forEach((v, i) => (strides[i]![last] = v.strides[d]!));
    } else {
      shape.push(n);
      views.forEach((v, i) => strides[i]!.push(v.strides[d]!));
      if (inFixed) trailing++;
    }
  }
  return { shape, strides, fixed: trailing };
}

export const ceilDiv = (a: number, b: number): number => Math.ceil(a / b);

/** The usual workgroup: 256 threads where the device has them. */
export function workgroupSize(caps: GpuCaps, wanted = 256): number {
  return Math.min(wanted, caps.maxWorkgroupSize);
}

/** Threads for one row of n: a power of two, no more than elements (but 32 at least), no more than the device has. */
export function rowThreads(caps: GpuCaps, n: number, most = 256): number {
  const limit = workgroupSize(caps, most);
  let threads = 32;
  while (threads * 2 <= limit && threads < n) threads *= 2;
  return Math.min(threads, limit);
}

/** Workgroups of a grid-stride loop over n items: all at once, up to a bound that keeps every part of a GPU busy. */
export function gridGroups(n: number, workgroup: number, most = 65535): number {
  return Math.min(ceilDiv(n, workgroup), most);
}

/**
 * Whether threads are lanes of a CPU, whose subgroups are 4 wide: every thread, and above all every barrier, is a cost there, and workgroup
 * memory no gain. A thread of its own for each piece of work, with long loops, beats threads that meet.
 */
export function isNarrow({ subgroups }: GpuCaps): boolean {
  return subgroups !== null && subgroups.max <= 4;
}
