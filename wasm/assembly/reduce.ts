/**
 * Reductions: an expression is computed block by block (block_machine.ts) and folded. Two ways to walk: `rows`, where what is
 * folded together lies together, and `columns`, where it lies apart and many results grow side by side. Long folds are cut into
 * segments by shape only; their states meet in order in `reduce_finish`, so that the number of threads never shows.
 *
 * The walk's elements are [rows][reduced] or [outer][reduced][inner]. A run's parameters are those of the machine; its fifth word
 * points to the fields that the constants below name.
 */

import { begin, block, inPlace, inputCount, register } from "./block_machine";
import { brainBits, halfBits } from "./block_convert";
import { BLOCK, Fold, Lane } from "./block_rows";
import {
  FoldMax, FoldMin, FoldProd, FoldSum, beats, drain, extreme, extremeColumns, extremeColumns32, foldBlock, foldColumns, foldFourRows, mergeMoments, momentColumns,
  moments,
} from "./reduce_ops";

enum Field {
  fold = 0,
  lane = 4,
  /** Register that holds the expression's value. */
  result = 8,
  /** Results in all. */
  kept = 12,
  /** Elements per result. */
  reduced = 16,
  /** Results that lie side by side; 0 walks rows. */
  inner = 20,
  segments = 24,
  /** Elements of one result in a segment. */
  length = 28,
  /** Rows, or strips of columns, and how many make a task (with one segment). */
  units = 32,
  unitsPerTask = 36,
  /** States between the two kernels, [segments][kept] of 8 bytes each: first and second word. */
  firsts = 40,
  seconds = 44,
  /** Where results go: address and dtype code. */
  out0 = 48,
  dtype0 = 52,
  out1 = 56,
  dtype1 = 60,
  /** Where the scratch area is free. */
  scratch = 64,
}

/** Blocks of columns that are summed in their own type before they join the states. */
const DRAIN_EVERY = 32;

let fields: usize = 0;

@inline function field(at: Field): i32 {
  return load<i32>(fields + at);
}
@inline function isFloating(): bool {
  return field(Field.lane) <= Lane.f64;
}
@inline function isSimple(fold: i32): bool {
  return fold <= Fold.all;
}

/** Bits of the state that folding starts from. */
function initial(): u64 {
  const fold = field(Field.fold);
  if (fold == Fold.any) return 0;
  if (fold == Fold.all) return 1;
  if (isFloating()) {
    if (fold == Fold.prod) return reinterpret<u64>(<f64>1);
    if (fold == Fold.max) return reinterpret<u64>(-Infinity);
    return fold == Fold.min ? reinterpret<u64>(Infinity) : 0;
  }
  if (fold == Fold.prod) return 1;
  if (fold == Fold.max) return i64.MIN_VALUE;
  return fold == Fold.min ? i64.MAX_VALUE : 0;
}

function foldRow<T, S>(state: usize, x: usize, n: i32, from: i32): void {
  const fold = field(Field.fold);
  if (fold == Fold.sum) store<S>(state, load<S>(state) + <S>foldBlock<T, FoldSum>(x, n));
  else if (fold == Fold.prod) store<S>(state, load<S>(state) * <S>foldBlock<T, FoldProd>(x, n));
  else if (fold == Fold.max || fold == Fold.any) store<S>(state, max<S>(load<S>(state), <S>foldBlock<T, FoldMax>(x, n)));
  else if (fold == Fold.min || fold == Fold.all) store<S>(state, min<S>(load<S>(state), <S>foldBlock<T, FoldMin>(x, n)));
  else if (fold == Fold.welford) moments<T>(state, state + 8, <f64>from, x, n);
  else extreme<T, S>(state, x, n, from, fold == Fold.argmin || fold == Fold.min_arg);
}

/** Folds x[0..n), elements `from`... of one result (of the segment's, for welford). */
function foldIntoRow(state: usize, x: usize, n: i32, from: i32): void {
  const lane = field(Field.lane);
  if (lane == Lane.f32) foldRow<f32, f64>(state, x, n, from);
  else if (lane == Lane.f64) foldRow<f64, f64>(state, x, n, from);
  else if (lane == Lane.i32) foldRow<i32, i64>(state, x, n, from);
  else foldRow<i64, i64>(state, x, n, from);
}

@inline function reset(state: usize): void {
  store<u64>(state, initial());
  store<i64>(state, isSimple(field(Field.fold)) || field(Field.fold) == Fold.welford ? 0 : -1, 8);
}

/** A finished segment's state goes to the outputs when it is the only one. */
function keep(result: u32, segment: u32, first: usize, second: usize): void {
  if (field(Field.segments) == 1) {
    finish(result, first, second);
    return;
  }
  const at = (segment * field(Field.kept) + result) << 3;
  store<u64>(field(Field.firsts) + at, load<u64>(first));
  if (!isSimple(field(Field.fold))) store<u64>(field(Field.seconds) + at, load<u64>(second));
}

function finish(result: u32, first: usize, second: usize): void {
  const fold = field(Field.fold);
  if (fold == Fold.argmax || fold == Fold.argmin) {
    store<i64>(field(Field.out0) + (result << 3), load<i64>(second));
    return;
  }
  put(field(Field.out0), field(Field.dtype0), result, first);
  if (fold == Fold.welford) put(field(Field.out1), field(Field.dtype1), result, second);
  else if (fold == Fold.max_arg || fold == Fold.min_arg) store<i64>(field(Field.out1) + (result << 3), load<i64>(second));
}

/** Stores a state's value as a dtype (codes of ts/core/dtype.ts). */
function put(out: usize, dtype: i32, i: u32, state: usize): void {
  const x = isFloating() ? load<f64>(state) : <f64>load<i64>(state);
  const whole = isFloating() ? <i64>x : load<i64>(state);
  switch (dtype) {
    case 9:
      store<f64>(out + (i << 3), x);
      break;
    case 8:
      store<f32>(out + (i << 2), <f32>x);
      break;
    case 7:
      store<u16>(out + (i << 1), brainBits(<f32>x));
      break;
    case 6:
      store<u16>(out + (i << 1), halfBits(<f32>x));
      break;
    case 5:
      store<i64>(out + (i << 3), whole);
      break;
    case 4:
      store<i32>(out + (i << 2), <i32>whole);
      break;
    case 3:
      store<i16>(out + (i << 1), <i16>whole);
      break;
    case 0:
      store<u8>(out + i, u8(whole != 0));
      break;
    default:
      store<u8>(out + i, <u8>whole);
  }
}

/** Results that lie in rows of consecutive elements. */
export function reduce_rows(params: usize, task: u32, scratch: usize): void {
  fields = load<u32>(params, 16);
  const length = field(Field.reduced);
  const result = field(Field.result);
  const state = scratch + field(Field.scratch);
  begin(params, scratch, BLOCK);
  if (field(Field.segments) > 1) {
    const segments = field(Field.segments);
    const row = task / segments;
    const segment = task - row * segments;
    const start = segment * field(Field.length);
    const end = min<u32>(start + field(Field.length), length);
    // Positions count from the row's start, welford's elements from the segment's.
    const origin = field(Field.fold) == Fold.welford ? start : 0;
    reset(state);
    for (let r = start; r < end; r += BLOCK) {
      const n = min<u32>(BLOCK, end - r);
      block(row * length + r, n);
      foldIntoRow(state, register(result), n, r - origin);
    }
    keep(row, segment, state, state + 8);
    return;
  }
  const first = task * field(Field.unitsPerTask);
  const last = min<u32>(first + field(Field.unitsPerTask), field(Field.units));
  const lane = field(Field.lane);
  const width = lane == Lane.f32 || lane == Lane.i32 ? 4 : 8;
  if (length <= BLOCK / 2) {
    // Several short rows to a block.
    const rows = BLOCK / max<i32>(length, 1);
    for (let row = first; row < last; row += rows) {
      const count = min<u32>(rows, last - row);
      if (length > 0) block(row * length, count * length);
      let x = register(result);
      for (let i: u32 = 0; i < count; i++, x += length * width) {
        reset(state);
        if (length > 0) foldIntoRow(state, x, length, 0);
        finish(row + i, state, state + 8);
      }
    }
    return;
  }
  // Values that need no computing are folded in longer runs: blocks are only as long as registers are.
  const most = inputCount() == 1 && inPlace(result) && field(Field.fold) != Fold.welford ? 4 * BLOCK : BLOCK;
  for (let row = first; row < last; row++) {
    reset(state);
    for (let r: i32 = 0; r < length; r += most) {
      const n = min<i32>(most, length - r);
      block(row * length + r, n);
      foldIntoRow(state, register(result), n, r);
    }
    finish(row, state, state + 8);
  }
}

function fillBits(p: usize, bits: u64, n: i32): void {
  for (const end = p + (<usize>n << 3); p < end; p += 8) store<u64>(p, bits);
}

/** Folds rows [start, end) of the reduced dims of one strip by sum, prod, max or min. */
function foldStrip<T, S, O>(
  base: u32, stride: u32, start: i32, end: i32, width: i32, states: usize, accumulators: usize,
): void {
  const op = changetype<O>(0);
  // Narrow strips: several rows to a block, each with accumulators of its own until the end.
  const rows = min<i32>(max<i32>(width == stride ? BLOCK / width : 1, 1), end - start);
  const wide = rows * width;
  fillBits(states, initial(), wide);
  for (let i = 0; i < wide; i++) store<T>(accumulators + (<usize>i << alignof<T>()), op.identity<T>());
  const result = field(Field.result);
  let blocks = 0;
  let r = start;
  if (rows == 1 && inPlace(result)) {
    // Values that need no computing: four rows at a time, so that accumulators are loaded and stored a quarter as often.
    const step = <usize>stride << alignof<T>();
    block(base + r * stride, width);
    for (let x = register(result); r + 4 <= end; r += 4, x += 4 * step) {
      foldFourRows<T, O>(accumulators, x, step, width);
      if (++blocks == DRAIN_EVERY) {
        drain<T, S, O>(states, accumulators, wide);
        blocks = 0;
      }
    }
  }
  for (; r < end; r += rows) {
    const n = min<i32>(rows, end - r) * width;
    block(base + r * stride, n);
    foldColumns<T, O>(accumulators, register(result), n);
    if (++blocks == DRAIN_EVERY) {
      drain<T, S, O>(states, accumulators, wide);
      blocks = 0;
    }
  }
  drain<T, S, O>(states, accumulators, wide);
  for (let i = width; i < wide; i++) {
    const into = states + (<usize>(i % width) << 3);
    store<S>(into, op.s<S>(load<S>(into), load<S>(states + (<usize>i << 3))));
  }
}

/** The same for folds whose state has two words. */
function pairStrip<T, S>(base: u32, stride: u32, start: i32, end: i32, width: i32, firsts: usize, seconds: usize): void {
  const fold = field(Field.fold);
  const result = field(Field.result);
  const rows = max<i32>(width == stride ? BLOCK / width : 1, 1);
  fillBits(firsts, 0, width);
  fillBits(seconds, fold == Fold.welford ? 0 : -1, width);
  for (let r = start; r < end; r += rows) {
    const count = min<i32>(rows, end - r);
    block(base + r * stride, count * width);
    let x = register(result);
    for (let i = 0; i < count; i++, x += <usize>width << alignof<T>()) {
      if (fold == Fold.welford) momentColumns<T>(firsts, seconds, x, width, r + i - start + 1);
      else extremeColumns<T, S>(firsts, seconds, x, width, r + i, fold == Fold.argmin || fold == Fold.min_arg);
    }
  }
}

/** pairStrip for extremes of 32-bit elements. */
function extremeStrip<T, S>(base: u32, stride: u32, start: i32, end: i32, width: i32, firsts: usize, seconds: usize): void {
  const fold = field(Field.fold);
  const least = fold == Fold.argmin || fold == Fold.min_arg;
  const result = field(Field.result);
  const rows = max<i32>(width == stride ? BLOCK / width : 1, 1);
  const values = seconds + BLOCK * 8;
  const positions = values + BLOCK * 4;
  for (let r = start; r < end; r += rows) {
    const count = min<i32>(rows, end - r);
    block(base + r * stride, count * width);
    let x = register(result);
    for (let i = 0; i < count; i++, x += <usize>width << 2) {
      if (r + i > start) extremeColumns32<T>(values, positions, x, width, r + i, least);
      else {
        memory.copy(values, x, <usize>width << 2);
        for (let k = 0; k < width; k++) store<i32>(positions + (<usize>k << 2), r);
      }
    }
  }
  for (let i = 0; i < width; i++) {
    store<S>(firsts + (<usize>i << 3), <S>load<T>(values + (<usize>i << 2)));
    store<i64>(seconds + (<usize>i << 3), load<i32>(positions + (<usize>i << 2)));
  }
}

function strip<T, S>(base: u32, stride: u32, start: i32, end: i32, width: i32, states: usize): void {
  const fold = field(Field.fold);
  const more = states + BLOCK * 8;
  if (fold == Fold.sum) foldStrip<T, S, FoldSum>(base, stride, start, end, width, states, more);
  else if (fold == Fold.prod) foldStrip<T, S, FoldProd>(base, stride, start, end, width, states, more);
  else if (fold == Fold.max || fold == Fold.any) foldStrip<T, S, FoldMax>(base, stride, start, end, width, states, more);
  else if (fold == Fold.min || fold == Fold.all) foldStrip<T, S, FoldMin>(base, stride, start, end, width, states, more);
  else if (sizeof<T>() == 4 && fold != Fold.welford) extremeStrip<T, S>(base, stride, start, end, width, states, more);
  else pairStrip<T, S>(base, stride, start, end, width, states, more);
}

/** Results that lie side by side, with what each folds a whole row of them apart. */
export function reduce_columns(params: usize, task: u32, scratch: usize): void {
  fields = load<u32>(params, 16);
  const inner = field(Field.inner);
  const reduced = field(Field.reduced);
  const segments = field(Field.segments);
  const strips = (inner + BLOCK - 1) / BLOCK;
  const states = scratch + field(Field.scratch);
  begin(params, scratch, BLOCK);
  const segment = segments > 1 ? task % segments : 0;
  const start = segment * field(Field.length);
  const end = min<i32>(start + field(Field.length), reduced);
  const first = segments > 1 ? task / segments : task * field(Field.unitsPerTask);
  const last = min<u32>(first + field(Field.unitsPerTask), field(Field.units));
  const lane = field(Field.lane);
  for (let unit = first; unit < last; unit++) {
    const outer = unit / strips;
    const column = (unit - outer * strips) * BLOCK;
    const width = min<i32>(BLOCK, inner - column);
    const base = outer * reduced * inner + column;
    if (lane == Lane.f32) strip<f32, f64>(base, inner, start, end, width, states);
    else if (lane == Lane.f64) strip<f64, f64>(base, inner, start, end, width, states);
    else if (lane == Lane.i32) strip<i32, i64>(base, inner, start, end, width, states);
    else strip<i64, i64>(base, inner, start, end, width, states);
    if (segments > 1 && isSimple(field(Field.fold))) {
      const result = segment * field(Field.kept) + outer * inner + column;
      memory.copy(field(Field.firsts) + (result << 3), states, width << 3);
      continue;
    }
    for (let i = 0; i < width; i++) {
      const at = states + (<usize>i << 3);
      keep(outer * inner + column + i, segment, at, at + BLOCK * 8);
    }
  }
}

/** Merges the segments of each result, in order. */
export function reduce_finish(params: usize, task: u32, scratch: usize): void {
  fields = load<u32>(params, 16);
  const kept = field(Field.kept);
  const first = task * BLOCK;
  const last = min<u32>(first + BLOCK, kept);
  if (isFloating() && field(Field.fold) == Fold.sum) {
    // The most frequent: many results at a time.
    const bytes = (last - first) << 3;
    memory.fill(scratch, 0, bytes);
    for (let segment = 0; segment < field(Field.segments); segment++) {
      const from = field(Field.firsts) + ((segment * kept + first) << 3);
      foldColumns<f64, FoldSum>(scratch, from, last - first);
    }
    for (let result = first; result < last; result++) finish(result, scratch + ((result - first) << 3), scratch);
    return;
  }
  for (let result = first; result < last; result++) {
    if (isFloating()) mergeSegments<f64>(scratch, result);
    else mergeSegments<i64>(scratch, result);
    finish(result, scratch, scratch + 8);
  }
}

function mergeSegments<S>(state: usize, result: u32): void {
  const fold = field(Field.fold);
  const kept = field(Field.kept);
  const least = fold == Fold.argmin || fold == Fold.min_arg;
  reset(state);
  for (let segment = 0; segment < field(Field.segments); segment++) {
    const at = (segment * kept + result) << 3;
    const x = load<S>(field(Field.firsts) + at);
    if (fold == Fold.sum) store<S>(state, load<S>(state) + x);
    else if (fold == Fold.prod) store<S>(state, load<S>(state) * x);
    else if (fold == Fold.max || fold == Fold.any) store<S>(state, max<S>(load<S>(state), x));
    else if (fold == Fold.min || fold == Fold.all) store<S>(state, min<S>(load<S>(state), x));
    else if (fold == Fold.welford) {
      const start = segment * field(Field.length);
      const count = min<i32>(field(Field.length), field(Field.reduced) - start);
      mergeMoments(state, state + 8, <f64>start, <f64>x, load<f64>(field(Field.seconds) + at), <f64>count);
    } else if (load<i64>(state, 8) < 0 || beats<S>(x, load<S>(state), least)) {
      store<S>(state, x);
      store<i64>(state, load<i64>(field(Field.seconds) + at), 8);
    }
  }
}
