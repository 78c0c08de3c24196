/** Where values would go in sorted sequences. */

import { Brain, Code, get, Half } from "./element";

@unmanaged
class Job {
  code: i32;
  sequence: usize;
  values: usize;
  to: usize;
  /** Elements of a sequence; distance of sequences in bytes, 0 where all rows share one. */
  n: i32;
  sequenceStep: i32;
  /** Values per row. */
  m: i32;
  /** Values in all and per task. */
  count: i32;
  perTask: i32;
  right: i32;
}

export function sort_search(params: usize, task: u32, scratch: usize): void {
  const job = changetype<Job>(params);
  const start = <i32>task * job.perTask;
  const end = min(job.count, start + job.perTask);
  switch (job.code) {
    case Code.bool:
    case Code.uint8: return search<u8, i32>(job, start, end, 1);
    case Code.int8: return search<i8, i32>(job, start, end, 1);
    case Code.int16: return search<i16, i32>(job, start, end, 2);
    case Code.int32: return search<i32, i32>(job, start, end, 4);
    case Code.int64: return search<i64, i64>(job, start, end, 8);
    case Code.float16: return search<Half, f32>(job, start, end, 2);
    case Code.bfloat16: return search<Brain, f32>(job, start, end, 2);
    case Code.float32: return search<f32, f32>(job, start, end, 4);
    case Code.float64: return search<f64, f64>(job, start, end, 8);
  }
}

@inline function search<T, C>(job: Job, start: i32, end: i32, size: usize): void {
  const right = job.right;
  for (let i = start; i < end; i++) {
    const sequence = job.sequence + (i / job.m) * job.sequenceStep;
    const value = get<T, C>(job.values + <usize>i * size);
    let low = 0;
    let high = job.n;
    while (low < high) {
      const middle = (low + high) >> 1;
      const x = get<T, C>(sequence + <usize>middle * size);
      // Written with negations, as PyTorch does, which decides where NaN goes.
      if (right ? !(x > value) : !(x >= value)) low = middle + 1;
      else high = middle;
    }
    store<i64>(job.to + (<usize>i << 3), low);
  }
}
