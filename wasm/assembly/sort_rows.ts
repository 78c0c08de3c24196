/** What the sorting kernels share: rows of a dense tensor, and the memory to work on them. */

import { Code } from "./element";
import { fillKeys } from "./sort_keys";
import { HISTOGRAMS, itemSize, placeOf, putItem } from "./sort_items";

@unmanaged
export class Job {
  mode: i32;
  code: i32;
  itemsize: i32;
  from: usize;
  values: usize;
  places: usize;
  rows: i32;
  n: i32;
  rowsPerTask: i32;
  /** Elements of a row of output. */
  k: i32;
  descending: i32;
  ignoreNan: i32;
  /** Whether what topk finds is put in order. */
  sorted: i32;
  /** Work memory of `workBytes` per task, or 0 where scratch is enough. */
  work: usize;
  workBytes: usize;
}

@inline export function histogramsOf(scratch: usize): usize {
  return scratch;
}
@inline export function workOf(job: Job, task: u32, scratch: usize): usize {
  return job.work ? job.work + <usize>task * job.workBytes : scratch + HISTOGRAMS;
}
@inline export function isWide(code: i32): bool {
  return code == Code.int64 || code == Code.float64;
}

/** Keys are made in pieces that fit the first-level cache. */
const PIECE: i32 = 512;

/** The row's items, in their order. `room` is memory for PIECE keys. */
export function fillItems<K>(job: Job, row: usize, items: usize, room: usize): void {
  for (let done = 0; done < job.n; done += PIECE) {
    const m = min(PIECE, job.n - done);
    fillKeys<K>(job.code, job.descending != 0, row + <usize>done * job.itemsize, m, room);
    for (let i = 0; i < m; i++) {
      putItem<K>(items, load<K>(room + <usize>i * sizeof<K>()), done + i);
      items += itemSize<K>();
    }
  }
}

/** Writes `n` items' elements and places. */
export function writeItems<K>(job: Job, row: usize, items: usize, n: i32, values: usize, places: usize): void {
  switch (job.itemsize) {
    case 1: return writeAs<u8, K>(row, items, n, values, places);
    case 2: return writeAs<u16, K>(row, items, n, values, places);
    case 4: return writeAs<u32, K>(row, items, n, values, places);
    default: return writeAs<u64, K>(row, items, n, values, places);
  }
}

@inline function writeAs<T, K>(row: usize, items: usize, n: i32, values: usize, places: usize): void {
  for (let i = 0; i < n; i++) {
    const place = placeOf<K>(items);
    store<i64>(places + (<usize>i << 3), place);
    store<T>(values + <usize>i * sizeof<T>(), load<T>(row + <usize>place * sizeof<T>()));
    items += itemSize<K>();
  }
}

/** One element and its place. */
export function writeOne(job: Job, row: usize, place: i32, output: i32): void {
  memory.copy(job.values + <usize>output * job.itemsize, row + <usize>place * job.itemsize, job.itemsize);
  store<i64>(job.places + (<usize>output << 3), place);
}
