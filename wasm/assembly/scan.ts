/**
 * Running sums, products, extrema along one dimension. All types are computed in f64 or i64, block by block. A line of memory is
 * scanned on its own; where the scanned dimension is not the one that lies dense in memory, a bundle of neighbouring lines advances
 * together, so that memory is still read and written in order.
 */

import { Code, readBlock, writeBlock } from "./element";

@unmanaged
class Job {
  op: i32;
  /** Whether to compute in f64. */
  float: i32;
  fromCode: i32;
  toCode: i32;
  from: usize;
  to: usize;
  /** int64 positions (cummax, cummin), or 0. */
  positions: usize;
  /** Scanned elements, and the bytes between neighbours in each tensor. */
  n: i32;
  fromStep: i32;
  toStep: i32;
  positionStep: i32;
  /** Lines in a bundle dimension (1: none), their distances, and how many go together. */
  width: i32;
  fromWide: i32;
  toWide: i32;
  positionWide: i32;
  together: i32;
  /** Units of work: lines or bundles. */
  units: i32;
  perTask: i32;
  /** Other dims: sizes, then strides in each tensor. */
  ndim: i32;
}

/** Kept in step with OPS of wasm/device/lower/scan.ts. */
namespace Op {
  export const cumsum: i32 = 0;
  export const cumprod: i32 = 1;
  export const cummax: i32 = 2;
  export const cummin: i32 = 3;
  export const logcumsumexp: i32 = 4;
}

const BLOCK: i32 = 1024;
const POSITIONS: i32 = BLOCK * 8;
const TOTALS: i32 = POSITIONS + BLOCK * 8;
const TOTAL_POSITIONS: i32 = TOTALS + BLOCK * 8;

export function scan(params: usize, task: u32, scratch: usize): void {
  const job = changetype<Job>(params);
  const end = min(job.units, (<i32>task + 1) * job.perTask);
  const pieces = (job.width + job.together - 1) / job.together;
  for (let unit = <i32>task * job.perTask; unit < end; unit++) {
    let from = job.from;
    let to = job.to;
    let positions = job.positions;
    const sizes = params + offsetof<Job>();
    const bytes = <usize>job.ndim << 2;
    let rest = unit / pieces;
    for (let d = job.ndim - 1; d >= 0; d--) {
      const size = sizes + (<usize>d << 2);
      const c = rest % load<i32>(size);
      rest /= load<i32>(size);
      from += c * load<i32>(size + bytes);
      to += c * load<i32>(size + bytes * 2);
      positions += c * load<i32>(size + bytes * 3);
    }
    if (job.width == 1) {
      if (job.op == Op.cumsum && job.fromCode == Code.float32 && job.toCode == Code.float32 && job.fromStep == 4 && job.toStep == 4) {
        sumFloats(from, to, job.n);
      } else if (job.float) line<f64>(job, from, to, positions, scratch);
      else line<i64>(job, from, to, positions, scratch);
    } else {
      const first = (unit % pieces) * job.together;
      const width = min(job.together, job.width - first);
      from += first * job.fromWide;
      to += first * job.toWide;
      positions += first * job.positionWide;
      if (job.float) bundle<f64>(job, from, to, positions, width, scratch);
      else bundle<i64>(job, from, to, positions, width, scratch);
    }
  }
}

/** The commonest case. Sums of four at a time shorten the chain of dependent additions. */
function sumFloats(from: usize, to: usize, n: i32): void {
  let total: f64 = 0;
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const a = <f64>load<f32>(from);
    const b = a + <f64>load<f32>(from, 4);
    const c = b + <f64>load<f32>(from, 8);
    const d = c + <f64>load<f32>(from, 12);
    store<f32>(to, <f32>(total + a));
    store<f32>(to, <f32>(total + b), 4);
    store<f32>(to, <f32>(total + c), 8);
    total += d;
    store<f32>(to, <f32>total, 12);
    from += 16;
    to += 16;
  }
  for (; i < n; i++) {
    total += <f64>load<f32>(from);
    store<f32>(to, <f32>total);
    from += 4;
    to += 4;
  }
}

@inline function identity<C>(op: i32): C {
  if (op == Op.cumprod) return <C>1;
  if (op == Op.logcumsumexp) return <C>(-Infinity);
  return <C>0;
}

function line<C>(job: Job, from: usize, to: usize, positions: usize, scratch: usize): void {
  let total = identity<C>(job.op);
  store<i64>(scratch + TOTAL_POSITIONS, 0);
  for (let done = 0; done < job.n; done += BLOCK) {
    const m = min(BLOCK, job.n - done);
    readBlock<C>(job.fromCode, from + <usize>done * job.fromStep, job.fromStep, m, scratch);
    if (done == 0 && job.positions) total = load<C>(scratch);
    switch (job.op) {
      case Op.cumsum: total = fold<C>(Op.cumsum, scratch, m, total); break;
      case Op.cumprod: total = fold<C>(Op.cumprod, scratch, m, total); break;
      case Op.logcumsumexp: total = fold<C>(Op.logcumsumexp, scratch, m, total); break;
      case Op.cummax: total = extremes<C>(true, scratch, done, m, total); break;
      default: total = extremes<C>(false, scratch, done, m, total);
    }
    writeBlock<C>(job.toCode, scratch, m, to + <usize>done * job.toStep, job.toStep);
    if (job.positions) {
      writeBlock<i64>(Code.int64, scratch + POSITIONS, m, positions + <usize>done * job.positionStep, job.positionStep);
    }
  }
}

@inline function fold<C>(op: i32, at: usize, n: i32, total: C): C {
  for (const end = at + <usize>n * sizeof<C>(); at < end; at += sizeof<C>()) {
    total = step<C>(op, total, load<C>(at));
    store<C>(at, total);
  }
  return total;
}

@inline function step<C>(op: i32, total: C, x: C): C {
  if (op == Op.cumsum) return <C>(total + x);
  if (op == Op.cumprod) return <C>(total * x);
  return <C>logAddExp(<f64>x, <f64>total);
}

function logAddExp(x: f64, y: f64): f64 {
  if (x != x || y != y) return NaN;
  const low = Math.min(x, y);
  const high = Math.max(x, y);
  // Equal infinities: their difference would be NaN.
  if (low == high && Math.abs(low) == Infinity) return x;
  return Math.log1p(Math.exp(low - high)) + high;
}

/** Whether `x`, coming later, takes the place of `best`: the last of equals does, and NaN is never given up but for another. */
@inline function replaces<C>(greatest: bool, x: C, best: C): bool {
  return x != x || (best == best && (greatest ? x >= best : x <= best));
}

@inline function extremes<C>(greatest: bool, scratch: usize, done: i32, n: i32, total: C): C {
  let where = load<i64>(scratch + TOTAL_POSITIONS);
  for (let i = 0; i < n; i++) {
    const at = scratch + <usize>i * sizeof<C>();
    const x = load<C>(at);
    if (replaces<C>(greatest, x, total)) {
      total = x;
      where = done + i;
    }
    store<C>(at, total);
    store<i64>(scratch + POSITIONS + (<usize>i << 3), where);
  }
  store<i64>(scratch + TOTAL_POSITIONS, where);
  return total;
}

/** `width` lines side by side, one element of each at a time. */
function bundle<C>(job: Job, from: usize, to: usize, positions: usize, width: i32, scratch: usize): void {
  const op = job.op;
  const totals = scratch + TOTALS;
  const wheres = scratch + TOTAL_POSITIONS;
  const dense = job.fromWide == 4 && job.toWide == 4;
  const floats = isFloat<C>() && op == Op.cumsum && dense && job.fromCode == Code.float32 && job.toCode == Code.float32;
  const initial = identity<C>(op);
  for (let j = 0; j < width; j++) store<C>(totals + <usize>j * sizeof<C>(), initial);
  for (let i = 0; i < job.n; i++) {
    if (floats) addFloats(from, to, totals, width);
    else {
      readBlock<C>(job.fromCode, from, job.fromWide, width, scratch);
      switch (op) {
        case Op.cumsum: advance<C>(Op.cumsum, totals, scratch, width); break;
        case Op.cumprod: advance<C>(Op.cumprod, totals, scratch, width); break;
        case Op.logcumsumexp: advance<C>(Op.logcumsumexp, totals, scratch, width); break;
        default: compete<C>(op == Op.cummax, i, totals, wheres, scratch, width);
      }
      writeBlock<C>(job.toCode, totals, width, to, job.toWide);
      if (job.positions) {
        writeBlock<i64>(Code.int64, wheres, width, positions, job.positionWide);
        positions += job.positionStep;
      }
    }
    from += job.fromStep;
    to += job.toStep;
  }
}

@inline function advance<C>(op: i32, totals: usize, values: usize, n: i32): void {
  for (const end = totals + <usize>n * sizeof<C>(); totals < end; totals += sizeof<C>(), values += sizeof<C>()) {
    store<C>(totals, step<C>(op, load<C>(totals), load<C>(values)));
  }
}

function compete<C>(greatest: bool, i: i32, totals: usize, wheres: usize, values: usize, n: i32): void {
  for (let j = 0; j < n; j++) {
    const at = <usize>j * sizeof<C>();
    const x = load<C>(values + at);
    if (i == 0 || replaces<C>(greatest, x, load<C>(totals + at))) {
      store<C>(totals + at, x);
      store<i64>(wheres + (<usize>j << 3), i);
    }
  }
}

function addFloats(from: usize, to: usize, totals: usize, n: i32): void {
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const x = v128.load(from);
    const low = f64x2.add(v128.load(totals), f64x2.promote_low_f32x4(x));
    const high = f64x2.add(v128.load(totals, 16), f64x2.promote_low_f32x4(v128.shuffle<i64>(x, x, 1, 0)));
    v128.store(totals, low);
    v128.store(totals, high, 16);
    v128.store(to, v128.shuffle<i64>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2));
    from += 16;
    to += 16;
    totals += 32;
  }
  for (; i < n; i++) {
    const total = load<f64>(totals) + <f64>load<f32>(from);
    store<f64>(totals, total);
    store<f32>(to, <f32>total);
    from += 4;
    to += 4;
    totals += 8;
  }
}
