/** Strided views: copying a block's elements out of one, or into one. */

/** Copies `n` elements that lie `stride` bytes apart to consecutive ones. */
export function collect<T>(d: usize, a: usize, stride: i32, n: i32): void {
  if (stride == sizeof<T>()) {
    let bytes = n << alignof<T>();
    for (; bytes >= 16; bytes -= 16, d += 16, a += 16) v128.store(d, v128.load(a));
    for (; bytes > 0; bytes -= sizeof<T>(), d += sizeof<T>(), a += sizeof<T>()) store<T>(d, load<T>(a));
  } else if (stride == 0) {
    fill<T>(d, load<T>(a), n);
  } else {
    for (; n >= 4; n -= 4, d += 4 * sizeof<T>()) {
      store<T>(d, load<T>(a));
      a += stride;
      store<T>(d, load<T>(a), sizeof<T>());
      a += stride;
      store<T>(d, load<T>(a), 2 * sizeof<T>());
      a += stride;
      store<T>(d, load<T>(a), 3 * sizeof<T>());
      a += stride;
    }
    for (; n > 0; n--, d += sizeof<T>(), a += stride) store<T>(d, load<T>(a));
  }
}

/** The mirror: consecutive elements to places `stride` bytes apart. */
export function spread<T>(d: usize, stride: i32, a: usize, n: i32): void {
  if (stride == sizeof<T>()) collect<T>(d, a, sizeof<T>(), n);
  else for (; n > 0; n--, d += stride, a += sizeof<T>()) store<T>(d, load<T>(a));
}

/** `n` elements of one value. */
export function fill<T>(d: usize, x: T, n: i32): void {
  const v = v128.splat<T>(x);
  let bytes = n << alignof<T>();
  for (; bytes >= 16; bytes -= 16, d += 16) v128.store(d, v);
  for (; bytes > 0; bytes -= sizeof<T>(), d += sizeof<T>()) store<T>(d, x);
}

/** `n` elements of 2^shift bytes, all equal to the one at `a`. */
export function splat(d: usize, a: usize, shift: i32, n: i32): void {
  if (shift == 2) fill<u32>(d, load<u32>(a), n);
  else if (shift == 3) fill<u64>(d, load<u64>(a), n);
  else if (shift == 0) fill<u8>(d, load<u8>(a), n);
  else fill<u16>(d, load<u16>(a), n);
}

/**
 * Moves elements [position, position + n) of a view, in row-major order of `sizes`, to (or with `out` from) the block at `block`.
 * `coordinates` is room for the odometer.
 */
export function transfer(
  block: usize, view: usize, strides: usize, sizes: usize, rank: i32, shift: i32,
  position: u32, n: i32, out: bool, coordinates: usize,
): void {
  let rest = position;
  for (let k = rank - 1; k >= 0; k--) {
    const size = load<u32>(sizes + (k << 2));
    const q = rest / size;
    const c = rest - q * size;
    store<u32>(coordinates + (k << 2), c);
    view += c * load<i32>(strides + (k << 2));
    rest = q;
  }
  const inner = (rank - 1) << 2;
  const size = load<i32>(sizes + inner);
  const stride = load<i32>(strides + inner);
  let at = load<i32>(coordinates + inner);
  while (true) {
    const run = min<i32>(size - at, n);
    if (out) {
      if (shift == 2) spread<u32>(view, stride, block, run);
      else if (shift == 3) spread<u64>(view, stride, block, run);
      else if (shift == 0) spread<u8>(view, stride, block, run);
      else spread<u16>(view, stride, block, run);
    } else {
      if (shift == 2) collect<u32>(block, view, stride, run);
      else if (shift == 3) collect<u64>(block, view, stride, run);
      else if (shift == 0) collect<u8>(block, view, stride, run);
      else collect<u16>(block, view, stride, run);
    }
    n -= run;
    if (n == 0) return;
    block += <usize>run << shift;
    // The next row: back to the start of this one, and carry.
    view -= at * stride;
    at = 0;
    for (let k = inner - 4; k >= 0; k -= 4) {
      const c = load<i32>(coordinates + k) + 1;
      view += load<i32>(strides + k);
      if (c < load<i32>(sizes + k)) {
        store<i32>(coordinates + k, c);
        break;
      }
      view -= c * load<i32>(strides + k);
      store<i32>(coordinates + k, 0);
    }
  }
}

/** d[i] = (position + i) / inner % size, as i64: indices along one dimension. */
export function indices(d: usize, position: u32, inner: u32, size: u32, n: i32): void {
  let value = position / inner % size;
  let left = inner - position % inner;
  for (const end = d + (<usize>n << 3); d < end; d += 8) {
    store<i64>(d, value);
    if (--left == 0) {
      left = inner;
      if (++value == size) value = 0;
    }
  }
}
