/** The k least, the k-th least, the median and the most frequent element of rows, without sorting more than is needed. */

import { fillKeys, NAN32, NAN64 } from "./sort_keys";
import { itemSize, keyOf, placeOf, sortItems } from "./sort_items";
import { nthElement, partialSort, quickSelect, unstableSort } from "./sort_partial";
import { fillItems, histogramsOf, isWide, Job, workOf, writeItems, writeOne } from "./sort_rows";

/** Kept in step with MODES of wasm/device/lower/sort.ts. */
namespace Mode {
  export const topk: i32 = 1;
  export const kthvalue: i32 = 2;
  export const median: i32 = 3;
  export const mode: i32 = 4;
}

export function select_rows(params: usize, task: u32, scratch: usize): void {
  const job = changetype<Job>(params);
  if (isWide(job.code)) selectAll<u64>(job, task, scratch);
  else selectAll<u32>(job, task, scratch);
}

@inline function nanKey<K>(): K {
  return sizeof<K>() == 4 ? <K>NAN32 : <K>NAN64;
}

@inline function at<K>(keys: usize, i: i32): K {
  return load<K>(keys + <usize>i * sizeof<K>());
}

function selectAll<K>(job: Job, task: u32, scratch: usize): void {
  const n = job.n;
  const work = workOf(job, task, scratch);
  const histograms = histogramsOf(scratch);
  const room = work + <usize>n * itemSize<K>() * 2;
  const end = min(job.rows, (<i32>task + 1) * job.rowsPerTask);
  for (let r = <i32>task * job.rowsPerTask; r < end; r++) {
    const row = job.from + <usize>r * n * job.itemsize;
    switch (job.mode) {
      case Mode.topk: {
        fillItems<K>(job, row, work, room);
        leastItems<K>(work, n, job.k, job.sorted != 0);
        const out = <usize>r * job.k;
        writeItems<K>(job, row, work, job.k, job.values + out * job.itemsize, job.places + (out << 3));
        break;
      }
      case Mode.kthvalue: {
        fillItems<K>(job, row, work, room);
        quickSelect<K>(work, job.k - 1, n);
        writeOne(job, row, placeOf<K>(work + <usize>(job.k - 1) * itemSize<K>()), r);
        break;
      }
      case Mode.median: {
        fillKeys<K>(job.code, false, row, n, work);
        writeOne(job, row, medianOf<K>(job, work, work + <usize>n * sizeof<K>(), histograms), r);
        break;
      }
      default: writeOne(job, row, modeOf<K>(job, row, work, histograms), r);
    }
  }
}

/** The first `k` items, by the algorithm that PyTorch would choose. */
function leastItems<K>(items: usize, n: i32, k: i32, sorted: bool): void {
  if (k == 0) return;
  if (<i64>k * 64 <= n) return partialSort<K>(items, k, n);
  nthElement<K>(items, k - 1, n);
  if (sorted) unstableSort<K>(items, k - 1);
}

const DIGIT: i32 = 11;
const BINS: i32 = 1 << DIGIT;

/** How many keys are less than the one that `kthKey` found last: in scratch, after the histogram. */
const LESS: i32 = BINS * 4;

/** The key with `k` others before it in order, digit by digit from the top; `other` has room for all keys. */
function kthKey<K>(keys: usize, other: usize, n: i32, k: i32, histogram: usize): K {
  let from = keys;
  let less = 0;
  let shift = <i32>sizeof<K>() * 8 - DIGIT;
  let bits = DIGIT;
  while (true) {
    const mask = <K>((1 << bits) - 1);
    memory.fill(histogram, 0, <usize>BINS << 2);
    for (let i = 0; i < n; i++) {
      const bin = histogram + (<usize>((at<K>(from, i) >> <K>shift) & mask) << 2);
      store<i32>(bin, load<i32>(bin) + 1);
    }
    let digit = 0;
    let count = load<i32>(histogram);
    while (count <= k) {
      k -= count;
      less += count;
      digit++;
      count = load<i32>(histogram + (<usize>digit << 2));
    }
    // The candidates left are those with this digit.
    if (count < n) {
      let to = other;
      for (let i = 0; i < n; i++) {
        const key = at<K>(from, i);
        store<K>(to, key);
        to += <i32>((key >> <K>shift) & mask) == digit ? sizeof<K>() : 0;
      }
      from = other;
      n = count;
    }
    if (shift == 0 || n == 1) break;
    bits = min(DIGIT, shift);
    shift -= bits;
  }
  store<i32>(histogram + LESS, less);
  return load<K>(from);
}

/** The place of the element that a stable sort would put at `k`. */
function placeOfKth<K>(keys: usize, other: usize, n: i32, k: i32, histogram: usize): i32 {
  const kth = kthKey<K>(keys, other, n, k, histogram);
  let equals = k - load<i32>(histogram + LESS);
  let i = 0;
  while (true) {
    if (at<K>(keys, i) == kth && equals-- == 0) return i;
    i++;
  }
}

/** The lower median. The first NaN is it, unless they do not count; where there is nothing else it is a NaN anyway. */
function medianOf<K>(job: Job, keys: usize, other: usize, histogram: usize): i32 {
  const n = job.n;
  let nans = 0;
  if (isFloatCode(job.code)) {
    for (let i = 0; i < n; i++) {
      if (at<K>(keys, i) != nanKey<K>()) continue;
      if (!job.ignoreNan) return i;
      nans++;
    }
  }
  if (nans == n) return 0;
  return placeOfKth<K>(keys, other, n, (n - nans - 1) / 2, histogram);
}

@inline function isFloatCode(code: i32): bool {
  return code >= 6;
}

/** The last place of the longest run of equals, the least on ties. No NaN equals another. */
function modeOf<K>(job: Job, row: usize, items: usize, histograms: usize): i32 {
  const n = job.n;
  const other = items + <usize>n * itemSize<K>();
  fillItems<K>(job, row, items, other + <usize>n * itemSize<K>());
  const sorted = sortItems<K>(items, other, n, histograms);
  const last = sorted + <usize>(n - 1) * itemSize<K>();
  const nan = isFloatCode(job.code) ? nanKey<K>() : <K>0;
  let best = 0;
  let place = 0;
  let run = 0;
  for (let item = sorted; item <= last; item += itemSize<K>()) {
    run++;
    const key = keyOf<K>(item);
    if (item < last && key == keyOf<K>(item + itemSize<K>()) && !(isFloatCode(job.code) && key == nan)) continue;
    if (run > best) {
      best = run;
      place = placeOf<K>(item);
    }
    run = 0;
  }
  return place;
}
