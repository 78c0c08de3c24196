/**
 * Indexed writes, over addresses that `gather_positions` has checked. Tasks own disjoint parts of the destination (a range of columns
 * of every row, or a range of one dimension that no index moves), and each goes through its positions in row-major order: so
 * repeated indices meet in the same order whatever the number of threads.
 */

import { Brain, Code, get, Half, put } from "./element";
import { copyBytes, copyStrided } from "./gather";

@unmanaged
class Job {
  /** u32 addresses of all positions. */
  to: usize;
  from: usize;
  /** The positions are [outer, size, inner]; a task takes `perTask` of `size`. */
  outer: i32;
  size: i32;
  inner: i32;
  perTask: i32;
  /** Elements of a row, of which a task takes `rowPerTask`; there are `rowTasks` such pieces. */
  row: i32;
  rowPerTask: i32;
  rowTasks: i32;
  /** Bytes between neighbours of a row. */
  toStep: i32;
  fromStep: i32;
  itemsize: i32;
  code: i32;
  op: i32;
}

namespace Op {
  export const set: i32 = 0;
  export const add: i32 = 1;
  export const mul: i32 = 2;
  export const amax: i32 = 3;
  export const amin: i32 = 4;
}

export function scatter(params: usize, task: u32, scratch: usize): void {
  const job = changetype<Job>(params);
  const piece = <i32>task / job.rowTasks;
  const column = (<i32>task % job.rowTasks) * job.rowPerTask;
  const columns = min(job.rowPerTask, job.row - column);
  const first = piece * job.perTask;
  const n = min(job.perTask, job.size - first) * job.inner;
  for (let o = 0; o < job.outer; o++) {
    const skip = (<usize>o * job.size + first) * job.inner * 4;
    apply(job, job.to + skip, job.from + skip, n, column, columns);
  }
}

function apply(job: Job, to: usize, from: usize, n: i32, column: i32, columns: i32): void {
  if (job.op == Op.set) return assign(job, to, from, n, column, columns);
  switch (job.code) {
    case Code.bool: return update<bool, i32>(job, to, from, n, column, columns);
    case Code.uint8: return update<u8, i32>(job, to, from, n, column, columns);
    case Code.int8: return update<i8, i32>(job, to, from, n, column, columns);
    case Code.int16: return update<i16, i32>(job, to, from, n, column, columns);
    case Code.int32: return update<i32, i32>(job, to, from, n, column, columns);
    case Code.int64: return update<i64, i64>(job, to, from, n, column, columns);
    case Code.float16: return update<Half, f32>(job, to, from, n, column, columns);
    case Code.bfloat16: return update<Brain, f32>(job, to, from, n, column, columns);
    case Code.float32: return update<f32, f32>(job, to, from, n, column, columns);
    case Code.float64: return update<f64, f64>(job, to, from, n, column, columns);
  }
}

function assign(job: Job, to: usize, from: usize, n: i32, column: i32, columns: i32): void {
  const x = column * job.toStep;
  const y = column * job.fromStep;
  const dense = job.toStep == job.itemsize && job.fromStep == job.itemsize;
  for (const end = from + (<usize>n << 2); from < end; from += 4, to += 4) {
    const t = load<u32>(to) + x;
    const f = load<u32>(from) + y;
    if (dense && columns > 1) copyBytes(t, f, <usize>columns * job.itemsize);
    else {
      switch (job.itemsize) {
        case 1: copyStrided<u8>(f, job.fromStep, t, job.toStep, columns); break;
        case 2: copyStrided<u16>(f, job.fromStep, t, job.toStep, columns); break;
        case 4: copyStrided<u32>(f, job.fromStep, t, job.toStep, columns); break;
        default: copyStrided<u64>(f, job.fromStep, t, job.toStep, columns);
      }
    }
  }
}

function update<T, C>(job: Job, to: usize, from: usize, n: i32, column: i32, columns: i32): void {
  // `op` is a constant in each call, so that every loop holds one operation only.
  switch (job.op) {
    case Op.add: {
      if (isFloat<T>() && columns > 3 && job.toStep == sizeof<T>() && job.fromStep == sizeof<T>()) {
        return addRows<T>(to, from, n, column, columns);
      }
      return combineAll<T, C>(Op.add, job, to, from, n, column, columns);
    }
    case Op.mul: return combineAll<T, C>(Op.mul, job, to, from, n, column, columns);
    case Op.amax: return combineAll<T, C>(Op.amax, job, to, from, n, column, columns);
    case Op.amin: return combineAll<T, C>(Op.amin, job, to, from, n, column, columns);
  }
}

@inline function combineAll<T, C>(op: i32, job: Job, to: usize, from: usize, n: i32, column: i32, columns: i32): void {
  const toStep = job.toStep;
  const fromStep = job.fromStep;
  const x = column * toStep;
  const y = column * fromStep;
  for (const end = from + (<usize>n << 2); from < end; from += 4, to += 4) {
    let t = load<u32>(to) + x;
    let f = load<u32>(from) + y;
    for (let c = 0; c < columns; c++) {
      put<T, C>(t, combine<C>(op, get<T, C>(t), get<T, C>(f)));
      t += toStep;
      f += fromStep;
    }
  }
}

@inline function combine<C>(op: i32, x: C, y: C): C {
  if (op == Op.add) return <C>(x + y);
  if (op == Op.mul) return <C>(x * y);
  // A NaN on either side stays.
  if (op == Op.amax) return x > y || x != x ? x : y;
  return x < y || x != x ? x : y;
}

/** Dense rows of float32 or float64: the gradient of an embedding. */
function addRows<T>(to: usize, from: usize, n: i32, column: i32, columns: i32): void {
  const skip = <usize>column * sizeof<T>();
  const bytes = <usize>columns * sizeof<T>();
  for (const end = from + (<usize>n << 2); from < end; from += 4, to += 4) {
    const t = <usize>load<u32>(to) + skip;
    const f = <usize>load<u32>(from) + skip;
    let i: usize = 0;
    for (; i + 16 <= bytes; i += 16) v128.store(t + i, v128.add<T>(v128.load(t + i), v128.load(f + i)));
    for (; i < bytes; i += sizeof<T>()) store<T>(t + i, load<T>(t + i) + load<T>(f + i));
  }
}
