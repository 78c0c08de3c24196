/**
 * Sorting of items: a key and the place it came from, each of type K (u32 or u64), the place first. As all places differ and items
 * start in their order, any correct algorithm gives the same, stable order.
 */

const RUN: i32 = 12;
/** Below this many items a merge sort is quicker than clearing and summing histograms. */
const LEAST_RADIX32: i32 = 700;
const LEAST_RADIX64: i32 = 3000;

const DIGIT: i32 = 11;
const BINS: i32 = 1 << DIGIT;
/** Scratch that `sortItems` needs for histograms, of 6 digits at most. */
export const HISTOGRAMS: i32 = BINS * 4 * 6;

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

function mergeSort<K>(a: usize, b: usize, n: i32): usize {
  for (let i = 0; i < n; i += RUN) insertionSort<K>(a + <usize>i * itemSize<K>(), min(RUN, n - i));
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
    const left = ordered<K>(x, y);
    move<K>(to, left ? x : y);
    to += itemSize<K>();
    if (left) x += itemSize<K>();
    else y += itemSize<K>();
  }
  if (x < middle) memory.copy(to, x, middle - x);
  else if (y < end) memory.copy(to, y, end - y);
}

/** Least significant digit first; digits that all keys share are left out. */
function radixSort<K>(a: usize, b: usize, n: i32, histograms: usize): usize {
  const digits = (<i32>sizeof<K>() * 8 + DIGIT - 1) / DIGIT;
  memory.fill(histograms, 0, <usize>(digits * BINS) << 2);
  const end = a + <usize>n * itemSize<K>();
  for (let item = a; item < end; item += itemSize<K>()) {
    const key = keyOf<K>(item);
    for (let d = 0; d < digits; d++) {
      const bin = histograms + (<usize>(d * BINS + <i32>((key >> <K>(d * DIGIT)) & <K>(BINS - 1))) << 2);
      store<i32>(bin, load<i32>(bin) + 1);
    }
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
      const count = load<u32>(bin);
      store<u32>(bin, at);
      at += count * <u32>itemSize<K>();
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
