/** Indexed reads. Also the strided copy: with no index tensor at all. */

import { BLOCK, COORDS, fill, Positions } from "./gather_positions";

export function gather(params: usize, task: u32, scratch: usize): void {
  const p = changetype<Positions>(params);
  const a = scratch + COORDS;
  const b = a + (BLOCK << 2);
  const end = min(p.count, (<i32>task + 1) * p.perTask);
  let failure = -1;
  for (let start = <i32>task * p.perTask; start < end; start += BLOCK) {
    const n = min(BLOCK, end - start);
    const bad = fill(p, start, n, a, b, scratch);
    if (bad >= 0) {
      failure = start + bad;
      break;
    }
    if (p.row == 1) copyElements(p.itemsize, a, b, n);
    else copyRows(p, a, b, n);
  }
  store<i32>(p.failures + (<usize>task << 2), failure);
}

function copyElements(itemsize: i32, from: usize, to: usize, n: i32): void {
  switch (itemsize) {
    case 1: return move<u8>(from, to, n);
    case 2: return move<u16>(from, to, n);
    case 4: return move<u32>(from, to, n);
    default: return move<u64>(from, to, n);
  }
}

@inline function move<T>(from: usize, to: usize, n: i32): void {
  for (const end = from + (<usize>n << 2); from < end; from += 4, to += 4) {
    store<T>(load<u32>(to), load<T>(load<u32>(from)));
  }
}

function copyRows(p: Positions, from: usize, to: usize, n: i32): void {
  if (p.indexedStep != p.itemsize || p.otherStep != p.itemsize) {
    switch (p.itemsize) {
      case 1: return copyTiles<u8>(p, from, to, n);
      case 2: return copyTiles<u16>(p, from, to, n);
      case 4: return copyTiles<u32>(p, from, to, n);
      default: return copyTiles<u64>(p, from, to, n);
    }
  }
  const bytes = <usize>p.row * p.itemsize;
  for (const end = from + (<usize>n << 2); from < end; from += 4, to += 4) copyBytes(load<u32>(to), load<u32>(from), bytes);
}

/**
 * Rows with gaps, some columns of all rows at a time: in a transposition neighbouring rows share the cache lines that one row jumps
 * through.
 */
function copyTiles<T>(p: Positions, from: usize, to: usize, n: i32): void {
  const tile: i32 = 64 / sizeof<T>();
  const end = from + (<usize>n << 2);
  for (let c = 0; c < p.row; c += tile) {
    const columns = min(tile, p.row - c);
    let y = to;
    for (let x = from; x < end; x += 4, y += 4) {
      copyStrided<T>(load<u32>(x) + c * p.indexedStep, p.indexedStep, load<u32>(y) + c * p.otherStep, p.otherStep, columns);
    }
  }
}

/** memory.copy costs a call out of the engine's compiled code; short rows are quicker by hand. */
@inline export function copyBytes(to: usize, from: usize, bytes: usize): void {
  if (bytes > 512) {
    memory.copy(to, from, bytes);
    return;
  }
  let i: usize = 0;
  for (; i + 16 <= bytes; i += 16) v128.store(to + i, v128.load(from + i));
  for (; i + 4 <= bytes; i += 4) store<u32>(to + i, load<u32>(from + i));
  for (; i < bytes; i++) store<u8>(to + i, load<u8>(from + i));
}

@inline export function copyStrided<T>(from: usize, fromStep: i32, to: usize, toStep: i32, n: i32): void {
  for (let i = 0; i < n; i++) {
    store<T>(to, load<T>(from));
    from += fromStep;
    to += toStep;
  }
}
