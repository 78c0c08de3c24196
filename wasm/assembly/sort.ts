/** Whole rows in order. */

import { itemSize, sortItems } from "./sort_items";
import { fillItems, histogramsOf, isWide, Job, workOf, writeItems } from "./sort_rows";

export function sort_rows(params: usize, task: u32, scratch: usize): void {
  const job = changetype<Job>(params);
  if (isWide(job.code)) sortAll<u64>(job, task, scratch);
  else sortAll<u32>(job, task, scratch);
}

function sortAll<K>(job: Job, task: u32, scratch: usize): void {
  const n = job.n;
  const items = workOf(job, task, scratch);
  const other = items + <usize>n * itemSize<K>();
  const room = other + <usize>n * itemSize<K>();
  const end = min(job.rows, (<i32>task + 1) * job.rowsPerTask);
  for (let r = <i32>task * job.rowsPerTask; r < end; r++) {
    const row = job.from + <usize>r * n * job.itemsize;
    fillItems<K>(job, row, items, room);
    const sorted = sortItems<K>(items, other, n, histogramsOf(scratch));
    const out = <usize>r * n;
    writeItems<K>(job, row, sorted, n, job.values + out * job.itemsize, job.places + (out << 3));
  }
}
