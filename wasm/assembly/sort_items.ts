/**
 * Sorting of items: a key and the place it came from, each of type K (u32 or u64), the place first. As all places differ and items
 * start in their order, any correct algorithm gives the same, stable order.
 */

/** Items sorted at once before merging. */
const RUN: i32 = 4;
/** Below this many items a merge sort is quicker than clearing and summing histograms. */
const LEAST_RADIX32: i32 = 56;
const LEAST_RADIX64: i32 = 120;

const DIGIT: i32 = 8;
const BINS: i32 = 1 << DIGIT;
/** Scratch that `sortItems` needs for histograms, of 8 digits at most (and the selection for one of 2048 bins and a number). */
export const HISTOGRAMS: i32 = BINS * 4 * 8 + 64;

@inline export function itemSize<K>(): usize {
  return sizeof<K>() * 2;
}
@inline export function placeOf<K>(item: usize): i32 {
  return load<i32>(item);
}
@inline export function keyOf<K>(item: usize): K {
  return load<K>(item, sizeof<K>());
}
@inline export function putItem<K>(item: usize, key: K, place: i32): void {
  store<K>(item, <K>place);
  store<K>(item, key, sizeof<K>());
}
@inline function move<K>(to: usize, from: usize): void {
  if (sizeof<K>() == 4) store<u64>(to, load<u64>(from));
  else v128.store(to, v128.load(from));
}
/** Whether `a` may stay before `b`, which came later. */
@inline function ordered<K>(a: usize, b: usize): bool {
  // With 4-byte keys the whole item is one number with the key on top.
  return sizeof<K>() == 4 ? load<u64>(a) <= load<u64>(b) : keyOf<u64>(a) <= keyOf<u64>(b);
}

/** Sorts `n` items at `a`, with room for as many at `b`; returns where they end up, `a` or `b`. */
export function sortItems<K>(a: usize, b: usize, n: i32, histograms: usize): usize {
  if (n >= (sizeof<K>() == 4 ? LEAST_RADIX32 : LEAST_RADIX64)) return radixSort<K>(a, b, n, histograms);
  return mergeSort<K>(a, b, n);
}

function insertionSort<K>(a: usize, n: i32): void {
  const end = a + <usize>n * itemSize<K>();
  for (let i = a + itemSize<K>(); i < end; i += itemSize<K>()) {
    const key = keyOf<K>(i);
    const place = placeOf<K>(i);
    let j = i;
    while (j > a && keyOf<K>(j - itemSize<K>()) > key) {
      move<K>(j, j - itemSize<K>());
      j -= itemSize<K>();
    }
    putItem<K>(j, key, place);
  }
}

/** Four items of 4-byte keys: a sorting network without branches, which random data would mispredict. */
@inline function sortFour(a: usize): void {
  const w = load<u64>(a);
  const x = load<u64>(a, 8);
  const y = load<u64>(a, 16);
  const z = load<u64>(a, 24);
  const low = min(w, x);
  const lowHigh = max(w, x);
  const highLow = min(y, z);
  const high = max(y, z);
  const second = max(low, highLow);
  const third = min(lowHigh, high);
  store<u64>(a, min(low, highLow));
  store<u64>(a, min(second, third), 8);
  store<u64>(a, max(second, third), 16);
  store<u64>(a, max(lowHigh, high), 24);
}

function mergeSort<K>(a: usize, b: usize, n: i32): usize {
  let i = 0;
  if (sizeof<K>() == 4) for (; i + RUN <= n; i += RUN) sortFour(a + <usize>i * itemSize<K>());
  for (; i < n; i += RUN) insertionSort<K>(a + <usize>i * itemSize<K>(), min(RUN, n - i));
  let from = a;
  let to = b;
  for (let width = RUN; width < n; width *= 2) {
    for (let i = 0; i < n; i += 2 * width) {
      const middle = min(i + width, n);
      const end = min(i + 2 * width, n);
      merge<K>(
        from + <usize>i * itemSize<K>(),
        from + <usize>middle * itemSize<K>(),
        from + <usize>end * itemSize<K>(),
        to + <usize>i * itemSize<K>(),
      );
    }
    const swap = from;
    from = to;
    to = swap;
  }
  return from;
}

/** [x, y) and [y, end) → `to` */
@inline function merge<K>(x: usize, middle: usize, end: usize, to: usize): void {
  let y = middle;
  while (x < middle && y < end) {
    const left = <usize>ordered<K>(x, y);
    move<K>(to, select(x, y, left != 0));
    to += itemSize<K>();
    x += left * itemSize<K>();
    y += (1 - left) * itemSize<K>();
  }
  for (; x < middle; x += itemSize<K>(), to += itemSize<K>()) move<K>(to, x);
  for (; y < end; y += itemSize<K>(), to += itemSize<K>()) move<K>(to, y);
}

/** Counts the four digits of a key, or of half a key, each in a histogram of its own. */
@inline function countDigits(key: u32, histograms: usize): void {
  count(histograms + ((key & 255) << 2));
  count(histograms + (((key >> 8) & 255) << 2) + (BINS << 2));
  count(histograms + (((key >> 16) & 255) << 2) + 2 * (BINS << 2));
  count(histograms + ((key >> 24) << 2) + 3 * (BINS << 2));
}
@inline function count(bin: usize): void {
  store<i32>(bin, load<i32>(bin) + 1);
}

/** Least significant digit first; digits that all keys share are left out. */
function radixSort<K>(a: usize, b: usize, n: i32, histograms: usize): usize {
  const digits = <i32>sizeof<K>() * 8 / DIGIT;
  memory.fill(histograms, 0, <usize>(digits * BINS) << 2);
  const end = a + <usize>n * itemSize<K>();
  for (let item = a; item < end; item += itemSize<K>()) {
    countDigits(load<u32>(item, sizeof<K>()), histograms);
    if (sizeof<K>() == 8) countDigits(load<u32>(item, 12), histograms + 4 * (BINS << 2));
  }
  let from = a;
  let to = b;
  for (let d = 0; d < digits; d++) {
    const bins = histograms + (<usize>(d * BINS) << 2);
    const shift = <K>(d * DIGIT);
    const first = <usize>((keyOf<K>(from) >> shift) & <K>(BINS - 1)) << 2;
    if (load<i32>(bins + first) == n) continue;
    // Counts become the addresses of the bins.
    let at = <u32>to;
    for (let bin = bins; bin < bins + (BINS << 2); bin += 4) {
      const items = load<u32>(bin);
      store<u32>(bin, at);
      at += items * <u32>itemSize<K>();
    }
    const stop = from + <usize>n * itemSize<K>();
    for (let item = from; item < stop; item += itemSize<K>()) {
      const bin = bins + (<usize>((keyOf<K>(item) >> shift) & <K>(BINS - 1)) << 2);
      const place = load<u32>(bin);
      store<u32>(bin, place + <u32>itemSize<K>());
      move<K>(place, item);
    }
    const swap = from;
    from = to;
    to = swap;
  }
  return from;
}
