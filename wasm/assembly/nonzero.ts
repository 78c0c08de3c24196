/** Counts and positions of non-zero elements of dense tensors. Only bits matter: a float's sign is masked away, and NaN counts. */

@unmanaged
class Job {
  from: usize;
  n: i32;
  perTask: i32;
  itemsize: i32;
  /** Whether the top bit of an element is a sign that does not count. */
  signed: i32;
  /** Per task: how many there are; where a task's first one is written. */
  counts: usize;
  starts: usize;
  /** int64 [count, ndim] */
  to: usize;
  ndim: i32;
  // Then: shape [ndim].
}

/** One bit per element of 16 bytes at `p`. */
@inline function bits<T>(p: usize, keep: v128): u32 {
  return i8x16.bitmask(v128.ne<T>(v128.and(v128.load(p), keep), i64x2.splat(0)));
}

/** `bits` has as many equal bits per element as it has bytes: one of them each. */
@inline function onePerElement<T>(): u32 {
  return sizeof<T>() == 1 ? 0xffff : sizeof<T>() == 2 ? 0x5555 : sizeof<T>() == 4 ? 0x1111 : 0x0101;
}

/** The bits of an element that count. */
@inline function kept<T>(signed: i32): T {
  return signed ? <T>(<T>-1 >>> 1) : <T>-1;
}

@inline function isSet<T>(p: usize, keep: T): bool {
  return (load<T>(p) & keep) != 0;
}

export function nonzero_count(params: usize, task: u32, scratch: usize): void {
  const job = changetype<Job>(params);
  const first = <i32>task * job.perTask;
  const n = min(job.perTask, job.n - first);
  const from = job.from + <usize>first * job.itemsize;
  let count = 0;
  switch (job.itemsize) {
    case 1: count = countOf<u8>(from, n, job.signed); break;
    case 2: count = countOf<u16>(from, n, job.signed); break;
    case 4: count = countOf<u32>(from, n, job.signed); break;
    default: count = countOf<u64>(from, n, job.signed);
  }
  store<i32>(job.counts + (<usize>task << 2), count);
}

@inline function countOf<T>(from: usize, n: i32, signed: i32): i32 {
  const keep = v128.splat<T>(kept<T>(signed));
  const end = from + <usize>n * sizeof<T>();
  let count = 0;
  for (; from + 64 <= end; from += 64) {
    count += popcnt(bits<T>(from, keep) | (bits<T>(from + 16, keep) << 16));
    count += popcnt(bits<T>(from + 32, keep) | (bits<T>(from + 48, keep) << 16));
  }
  count /= sizeof<T>();
  for (; from < end; from += sizeof<T>()) count += i32(isSet<T>(from, kept<T>(signed)));
  return count;
}

export function nonzero_write(params: usize, task: u32, scratch: usize): void {
  const job = changetype<Job>(params);
  switch (job.itemsize) {
    case 1: return write<u8>(job, task, scratch);
    case 2: return write<u16>(job, task, scratch);
    case 4: return write<u32>(job, task, scratch);
    default: return write<u64>(job, task, scratch);
  }
}

function write<T>(job: Job, task: u32, scratch: usize): void {
  const first = <i32>task * job.perTask;
  const n = min(job.perTask, job.n - first);
  const start = <usize>load<i32>(job.starts + (<usize>task << 2));
  const keep = v128.splat<T>(kept<T>(job.signed));
  const from = job.from + <usize>first * sizeof<T>();
  const lanes: i32 = 16 / sizeof<T>();
  let to = job.to + ((start * job.ndim) << 3);
  // The row of the last dim that was met last: where it starts. None yet.
  store<i32>(scratch, -1);
  let i = 0;
  for (; i + lanes <= n; i += lanes) {
    let mask = bits<T>(from + <usize>i * sizeof<T>(), keep) & onePerElement<T>();
    while (mask) {
      to = coordinates(job, first + i + <i32>(ctz(mask) / sizeof<T>()), to, scratch);
      mask &= mask - 1;
    }
  }
  for (; i < n; i++) {
    if (isSet<T>(from + <usize>i * sizeof<T>(), kept<T>(job.signed))) to = coordinates(job, first + i, to, scratch);
  }
}

/** Writes the coordinates of element `i`. Those of its row are kept in scratch, as the next one is often in the same row. */
@inline function coordinates(job: Job, i: i32, to: usize, scratch: usize): usize {
  const ndim = job.ndim;
  if (ndim == 1) {
    store<i64>(to, i);
    return to + 8;
  }
  const last = <usize>(ndim - 1) << 2;
  const shape = changetype<usize>(job) + offsetof<Job>();
  const inner = load<i32>(shape + last);
  let row = load<i32>(scratch);
  if (row < 0 || i - row >= inner) {
    let rest = i / inner;
    row = rest * inner;
    store<i32>(scratch, row);
    for (let d = last; d > 0; d -= 4) {
      const size = load<i32>(shape + d - 4);
      store<i32>(scratch + d, rest % size);
      rest /= size;
    }
  }
  for (let d: usize = 4; d <= last; d += 4) {
    store<i64>(to, load<i32>(scratch + d));
    to += 8;
  }
  store<i64>(to, i - row);
  return to + 8;
}
