/**
 * Where indexed reads and writes go: for every position of an iteration space, an address in the indexed tensor (base + strides +
 * index values x index strides) and one in the other tensor, which runs along. All strides are in bytes.
 */

@unmanaged
export class Positions {
  /** Positions in all. */
  count: i32;
  perTask: i32;
  ndim: i32;
  /** Number of index tensors. */
  indices: i32;
  /** Whether negative indices count from the end. */
  wrap: i32;
  /** First element of the indexed tensor and of the other one. */
  indexed: usize;
  other: usize;
  /** Every position stands for a row of so many elements; distance of neighbours in either tensor. */
  row: i32;
  indexedStep: i32;
  otherStep: i32;
  itemsize: i32;
  /** One i32 per task: the first position with a bad index, or -1. */
  failures: usize;
  /** Where `gather_positions` puts its addresses. */
  indexedOut: usize;
  otherOut: usize;
  // Then: shape, strides of the indexed tensor, strides of the other tensor [ndim each], and for each index tensor an Index.
}

/** Followed by its strides [ndim]. */
@unmanaged
class Index {
  address: usize;
  /** Extent and stride of the dimension that it addresses. */
  size: i32;
  stride: i32;
}

/** Positions handled at a time. */
export const BLOCK: i32 = 1024;
/** Bytes of scratch for the coordinates of `fill`. */
export const COORDS: i32 = 256;

@inline function at(array: usize, i: i32): i32 {
  return load<i32>(array + (<usize>i << 2));
}

/**
 * Addresses of positions [start, start + n): u32 arrays `a` (indexed tensor) and `b` (other). Returns the number, counted from
 * `start`, of the first position with an index out of range, or -1.
 */
export function fill(p: Positions, start: i32, n: i32, a: usize, b: usize, coords: usize): i32 {
  const ndim = p.ndim;
  const shape = changetype<usize>(p) + offsetof<Positions>();
  const indexedStrides = shape + (<usize>ndim << 2);
  const otherStrides = indexedStrides + (<usize>ndim << 2);
  const indices = otherStrides + (<usize>ndim << 2);
  const last = ndim - 1;
  const inner = ndim > 0 ? at(shape, last) : 1;
  const indexedInner = ndim > 0 ? at(indexedStrides, last) : 0;
  const otherInner = ndim > 0 ? at(otherStrides, last) : 0;

  let rest = start;
  for (let d = last; d >= 0; d--) {
    const size = at(shape, d);
    store<i32>(coords + (<usize>d << 2), rest % size);
    rest /= size;
  }

  let bad = -1;
  let done = 0;
  while (done < n) {
    // A run of positions that differ in the last dimension only.
    let x = p.indexed;
    let y = p.other;
    for (let d = 0; d < ndim; d++) {
      const c = at(coords, d);
      x += c * at(indexedStrides, d);
      y += c * at(otherStrides, d);
    }
    const first = ndim > 0 ? at(coords, last) : 0;
    const run = min(inner - first, n - done);
    const to = a + (<usize>done << 2);
    const along = b + (<usize>done << 2);
    for (let j: usize = 0, size = <usize>run << 2; j < size; j += 4) {
      store<u32>(to + j, x);
      store<u32>(along + j, y);
      x += indexedInner;
      y += otherInner;
    }
    let index = indices;
    for (let k = 0; k < p.indices; k++) {
      const ruin = addIndices(changetype<Index>(index), p, coords, run, to);
      if (ruin >= 0 && (bad < 0 || done + ruin < bad)) bad = done + ruin;
      index += offsetof<Index>() + (<usize>ndim << 2);
    }
    done += run;
    if (ndim > 0) {
      let d = last;
      let c = first + run;
      while (c == at(shape, d) && d > 0) {
        store<i32>(coords + (<usize>d << 2), 0);
        d--;
        c = at(coords, d) + 1;
      }
      store<i32>(coords + (<usize>d << 2), c);
    }
  }
  return bad;
}

/** Adds what one index tensor contributes to the addresses of one run. */
@inline function addIndices(index: Index, p: Positions, coords: usize, run: i32, to: usize): i32 {
  const strides = changetype<usize>(index) + offsetof<Index>();
  const ndim = p.ndim;
  let from = index.address;
  for (let d = 0; d < ndim; d++) from += at(coords, d) * at(strides, d);
  const step = ndim > 0 ? at(strides, ndim - 1) : 0;
  const size = <i64>index.size;
  const stride = index.stride;
  let bad = -1;
  for (let j = 0; j < run; j++) {
    let i = load<i64>(from);
    if (<u64>i >= <u64>size) {
      if (i < 0 && p.wrap) i += size;
      if (<u64>i >= <u64>size) {
        if (bad < 0) bad = j;
        i = 0;
      }
    }
    const slot = to + (<usize>j << 2);
    store<u32>(slot, load<u32>(slot) + <u32>i * stride);
    from += step;
  }
  return bad;
}

/** Only the addresses, into arrays of their own: what a scatter checks before it writes anything. */
export function gather_positions(params: usize, task: u32, scratch: usize): void {
  const p = changetype<Positions>(params);
  const start = <i32>task * p.perTask;
  const n = min(p.perTask, p.count - start);
  const skip = <usize>start << 2;
  const bad = fill(p, start, n, p.indexedOut + skip, p.otherOut + skip, scratch);
  store<i32>(p.failures + (<usize>task << 2), bad < 0 ? -1 : start + bad);
}
