/**
 * The map kernel for views that disagree about which dim lies closest together (a transposed operand): blocks are tiles of the last
 * two dims, so that every cache line is fetched once and used whole.
 */

import { begin, compute, inputCount, Mode, register, shiftOf, viewAt, viewCount } from "./block_machine";
import { BLOCK, TILE_COLUMNS, TILE_ROWS } from "./block_rows";
import { collect, spread } from "./block_views";

/** Elements [rows][columns] of a view, whose rows are closest together, into consecutive ones. */
function collectColumns<T>(d: usize, a: usize, rowStride: i32, columnStride: i32, rows: i32, columns: i32): void {
  const row = columns << alignof<T>();
  for (let column = 0; column < columns; column++, a += columnStride, d += sizeof<T>()) {
    let from = a;
    let to = d;
    for (let r = 0; r < rows; r++, from += rowStride, to += row) store<T>(to, load<T>(from));
  }
}

/** The same for 32-bit elements whose columns are consecutive, by transposing four by four. */
function transpose32(d: usize, a: usize, columnStride: i32, rows: i32, columns: i32): void {
  const row = columns << 2;
  for (; columns >= 4; columns -= 4, a += columnStride << 2, d += 16) {
    const b = a + columnStride;
    const c = b + columnStride;
    const e = c + columnStride;
    let to = d;
    let r = 0;
    for (; r + 4 <= rows; r += 4, to += row << 2) {
      const at = <usize>r << 2;
      const v0 = v128.load(a + at);
      const v1 = v128.load(b + at);
      const v2 = v128.load(c + at);
      const v3 = v128.load(e + at);
      const low01 = i32x4.shuffle(v0, v1, 0, 4, 1, 5);
      const high01 = i32x4.shuffle(v0, v1, 2, 6, 3, 7);
      const low23 = i32x4.shuffle(v2, v3, 0, 4, 1, 5);
      const high23 = i32x4.shuffle(v2, v3, 2, 6, 3, 7);
      v128.store(to, i64x2.shuffle(low01, low23, 0, 2));
      v128.store(to + row, i64x2.shuffle(low01, low23, 1, 3));
      v128.store(to + (row << 1), i64x2.shuffle(high01, high23, 0, 2));
      v128.store(to + row * 3, i64x2.shuffle(high01, high23, 1, 3));
    }
    for (; r < rows; r++, to += row) {
      const at = <usize>r << 2;
      store<u32>(to, load<u32>(a + at));
      store<u32>(to, load<u32>(b + at), 4);
      store<u32>(to, load<u32>(c + at), 8);
      store<u32>(to, load<u32>(e + at), 12);
    }
  }
  for (; columns > 0; columns--, a += columnStride, d += 4) {
    for (let r = 0; r < rows; r++) store<u32>(d + r * row, load<u32>(a + (<usize>r << 2)));
  }
}

function fetch<T>(d: usize, a: usize, rowStride: i32, columnStride: i32, rows: i32, columns: i32): void {
  if (abs<i32>(rowStride) < abs<i32>(columnStride) && rowStride != 0) {
    if (sizeof<T>() == 4 && rowStride == 4) transpose32(d, a, columnStride, rows, columns);
    else collectColumns<T>(d, a, rowStride, columnStride, rows, columns);
  } else {
    for (let r = 0; r < rows; r++, a += rowStride, d += columns << alignof<T>()) collect<T>(d, a, columnStride, columns);
  }
}

function put<T>(d: usize, rowStride: i32, columnStride: i32, a: usize, rows: i32, columns: i32): void {
  for (let r = 0; r < rows; r++, d += rowStride, a += columns << alignof<T>()) spread<T>(d, columnStride, a, columns);
}

/** One task computes a range of tiles. Every view is strided or single. */
export function map_tiles(params: usize, task: u32, scratch: usize): void {
  const chunk = load<u32>(params, 8);
  begin(params, scratch, BLOCK);
  const rank = load<i32>(params, 12);
  const count = viewCount();
  const inputs = inputCount();
  const sizes = viewAt(count);
  const height = load<u32>(sizes + ((rank - 2) << 2));
  const width = load<u32>(sizes + ((rank - 1) << 2));
  const down = (height + TILE_ROWS - 1) / TILE_ROWS;
  const across = (width + TILE_COLUMNS - 1) / TILE_COLUMNS;
  let tiles = down * across;
  for (let k = 0; k < rank - 2; k++) tiles *= load<u32>(sizes + (k << 2));
  const end = min<u32>((task + 1) * chunk, tiles);
  for (let tile = task * chunk; tile < end; tile++) {
    const line = tile / across;
    const column = (tile - line * across) * TILE_COLUMNS;
    const plane = line / down;
    const row = (line - plane * down) * TILE_ROWS;
    const rows = min<u32>(TILE_ROWS, height - row);
    const columns = min<u32>(TILE_COLUMNS, width - column);
    for (let i = 0; i < count; i++) {
      if (i == inputs) compute(rows * columns);
      const view = viewAt(i);
      if (load<i32>(view, 4) == Mode.single) continue;
      const rowStride = load<i32>(view + 8 + ((rank - 2) << 2));
      const columnStride = load<i32>(view + 8 + ((rank - 1) << 2));
      let at = load<u32>(view) + row * rowStride + column * columnStride;
      let rest = plane;
      for (let k = rank - 3; k >= 0; k--) {
        const size = load<u32>(sizes + (k << 2));
        const q = rest / size;
        at += (rest - q * size) * load<i32>(view + 8 + (k << 2));
        rest = q;
      }
      const shift = shiftOf(i);
      const r = register(i);
      if (i < inputs) {
        if (shift == 2) fetch<u32>(r, at, rowStride, columnStride, rows, columns);
        else if (shift == 3) fetch<u64>(r, at, rowStride, columnStride, rows, columns);
        else if (shift == 0) fetch<u8>(r, at, rowStride, columnStride, rows, columns);
        else fetch<u16>(r, at, rowStride, columnStride, rows, columns);
      } else if (shift == 2) put<u32>(at, rowStride, columnStride, r, rows, columns);
      else if (shift == 3) put<u64>(at, rowStride, columnStride, r, rows, columns);
      else if (shift == 0) put<u8>(at, rowStride, columnStride, r, rows, columns);
      else put<u16>(at, rowStride, columnStride, r, rows, columns);
    }
  }
}
