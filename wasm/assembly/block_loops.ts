/**
 * The loops of the block machine, written once and instantiated for every operation. An operation is a class with no state whose
 * methods are inlined: `v<T>` works on a SIMD vector of lanes T, `s<T>` on one element (see block_arith.ts).
 */

import { Lane } from "./block_rows";

/** Up to 15 bytes as a vector, without touching what lies behind them. */
function loadTail(p: usize, bytes: i32): v128 {
  if (bytes < 8) return v128.load32_zero(p);
  const v = v128.load64_zero(p);
  return bytes < 12 ? v : v128.load_lane<i32>(p, v, 2, 8);
}

function storeTail(p: usize, v: v128, bytes: i32): void {
  if (bytes < 8) {
    v128.store_lane<i32>(p, v, 0);
    return;
  }
  v128.store_lane<i64>(p, v, 0);
  if (bytes >= 12) v128.store_lane<i32>(p, v, 2, 8);
}

/** d[i] = O(a[i]), in vectors; four in flight hide the latency of long polynomials. */
export function vector1<T, O>(d: usize, a: usize, n: i32): void {
  const op = changetype<O>(0);
  let bytes = n << alignof<T>();
  for (; bytes >= 64; bytes -= 64) {
    const x0 = op.v<T>(v128.load(a));
    const x1 = op.v<T>(v128.load(a, 16));
    const x2 = op.v<T>(v128.load(a, 32));
    const x3 = op.v<T>(v128.load(a, 48));
    v128.store(d, x0);
    v128.store(d, x1, 16);
    v128.store(d, x2, 32);
    v128.store(d, x3, 48);
    a += 64;
    d += 64;
  }
  for (; bytes >= 16; bytes -= 16) {
    v128.store(d, op.v<T>(v128.load(a)));
    a += 16;
    d += 16;
  }
  if (bytes > 0) storeTail(d, op.v<T>(loadTail(a, bytes)), bytes);
}

export function vector2<T, O>(d: usize, a: usize, b: usize, n: i32): void {
  const op = changetype<O>(0);
  let bytes = n << alignof<T>();
  for (; bytes >= 64; bytes -= 64) {
    const x0 = op.v<T>(v128.load(a), v128.load(b));
    const x1 = op.v<T>(v128.load(a, 16), v128.load(b, 16));
    const x2 = op.v<T>(v128.load(a, 32), v128.load(b, 32));
    const x3 = op.v<T>(v128.load(a, 48), v128.load(b, 48));
    v128.store(d, x0);
    v128.store(d, x1, 16);
    v128.store(d, x2, 32);
    v128.store(d, x3, 48);
    a += 64;
    b += 64;
    d += 64;
  }
  for (; bytes >= 16; bytes -= 16) {
    v128.store(d, op.v<T>(v128.load(a), v128.load(b)));
    a += 16;
    b += 16;
    d += 16;
  }
  if (bytes > 0) storeTail(d, op.v<T>(loadTail(a, bytes), loadTail(b, bytes)), bytes);
}

export function vector3<T, O>(d: usize, a: usize, b: usize, c: usize, n: i32): void {
  const op = changetype<O>(0);
  let bytes = n << alignof<T>();
  for (; bytes >= 64; bytes -= 64) {
    const x0 = op.v<T>(v128.load(a), v128.load(b), v128.load(c));
    const x1 = op.v<T>(v128.load(a, 16), v128.load(b, 16), v128.load(c, 16));
    const x2 = op.v<T>(v128.load(a, 32), v128.load(b, 32), v128.load(c, 32));
    const x3 = op.v<T>(v128.load(a, 48), v128.load(b, 48), v128.load(c, 48));
    v128.store(d, x0);
    v128.store(d, x1, 16);
    v128.store(d, x2, 32);
    v128.store(d, x3, 48);
    a += 64;
    b += 64;
    c += 64;
    d += 64;
  }
  for (; bytes >= 16; bytes -= 16) {
    v128.store(d, op.v<T>(v128.load(a), v128.load(b), v128.load(c)));
    a += 16;
    b += 16;
    c += 16;
    d += 16;
  }
  if (bytes > 0) storeTail(d, op.v<T>(loadTail(a, bytes), loadTail(b, bytes), loadTail(c, bytes)), bytes);
}

/** d[i] = O(a[i]), element by element, from type A to type D. */
export function scalar1<D, A, O>(d: usize, a: usize, n: i32): void {
  const op = changetype<O>(0);
  for (const end = a + (<usize>n << alignof<A>()); a < end; a += sizeof<A>(), d += sizeof<D>()) {
    store<D>(d, <D>op.s<A>(load<A>(a)));
  }
}

export function scalar2<D, A, O>(d: usize, a: usize, b: usize, n: i32): void {
  const op = changetype<O>(0);
  for (const end = a + (<usize>n << alignof<A>()); a < end; a += sizeof<A>(), b += sizeof<A>(), d += sizeof<D>()) {
    store<D>(d, <D>op.s<A>(load<A>(a), load<A>(b)));
  }
}

/** An operation that is written for f64, on elements of type A. */
export function widened1<A, O>(d: usize, a: usize, n: i32): void {
  const op = changetype<O>(0);
  for (const end = a + (<usize>n << alignof<A>()); a < end; a += sizeof<A>(), d += sizeof<A>()) {
    store<A>(d, <A>op.s<f64>(<f64>load<A>(a)));
  }
}

export function widened2<A, O>(d: usize, a: usize, b: usize, n: i32): void {
  const op = changetype<O>(0);
  for (const end = a + (<usize>n << alignof<A>()); a < end; a += sizeof<A>(), b += sizeof<A>(), d += sizeof<A>()) {
    store<A>(d, <A>op.s<A>(<f64>load<A>(a), <f64>load<A>(b)));
  }
}

// Which lanes an operation has, and by which loop. The lane is the arguments' type.

/** All four types in vectors. */
export function vectors1<O>(lane: i32, d: usize, a: usize, n: i32): void {
  if (lane == Lane.f32) vector1<f32, O>(d, a, n);
  else if (lane == Lane.f64) vector1<f64, O>(d, a, n);
  else if (lane == Lane.i32) vector1<i32, O>(d, a, n);
  else vector1<i64, O>(d, a, n);
}

export function vectors2<O>(lane: i32, d: usize, a: usize, b: usize, n: i32): void {
  if (lane == Lane.f32) vector2<f32, O>(d, a, b, n);
  else if (lane == Lane.f64) vector2<f64, O>(d, a, b, n);
  else if (lane == Lane.i32) vector2<i32, O>(d, a, b, n);
  else vector2<i64, O>(d, a, b, n);
}

export function vectors3<O>(lane: i32, d: usize, a: usize, b: usize, c: usize, n: i32): void {
  if (lane == Lane.f32) vector3<f32, O>(d, a, b, c, n);
  else if (lane == Lane.f64) vector3<f64, O>(d, a, b, c, n);
  else if (lane == Lane.i32) vector3<i32, O>(d, a, b, c, n);
  else vector3<i64, O>(d, a, b, c, n);
}

/** All four types, element by element. */
export function scalars2<O>(lane: i32, d: usize, a: usize, b: usize, n: i32): void {
  if (lane == Lane.f32) scalar2<f32, f32, O>(d, a, b, n);
  else if (lane == Lane.f64) scalar2<f64, f64, O>(d, a, b, n);
  else if (lane == Lane.i32) scalar2<i32, i32, O>(d, a, b, n);
  else scalar2<i64, i64, O>(d, a, b, n);
}

/** Floating types in vectors. */
export function floats1<O>(lane: i32, d: usize, a: usize, n: i32): void {
  if (lane == Lane.f32) vector1<f32, O>(d, a, n);
  else vector1<f64, O>(d, a, n);
}

export function floats2<O>(lane: i32, d: usize, a: usize, b: usize, n: i32): void {
  if (lane == Lane.f32) vector2<f32, O>(d, a, b, n);
  else vector2<f64, O>(d, a, b, n);
}

/** Integer types in vectors. */
export function integers1<O>(lane: i32, d: usize, a: usize, n: i32): void {
  if (lane == Lane.i32) vector1<i32, O>(d, a, n);
  else vector1<i64, O>(d, a, n);
}

export function integers2<O>(lane: i32, d: usize, a: usize, b: usize, n: i32): void {
  if (lane == Lane.i32) vector2<i32, O>(d, a, b, n);
  else vector2<i64, O>(d, a, b, n);
}

export function integerScalars2<O>(lane: i32, d: usize, a: usize, b: usize, n: i32): void {
  if (lane == Lane.i32) scalar2<i32, i32, O>(d, a, b, n);
  else scalar2<i64, i64, O>(d, a, b, n);
}

/** Floating functions of one f64 implementation. */
export function precise1<O>(lane: i32, d: usize, a: usize, n: i32): void {
  if (lane == Lane.f32) widened1<f32, O>(d, a, n);
  else widened1<f64, O>(d, a, n);
}

export function precise2<O>(lane: i32, d: usize, a: usize, b: usize, n: i32): void {
  if (lane == Lane.f32) widened2<f32, O>(d, a, b, n);
  else widened2<f64, O>(d, a, b, n);
}

/** Floating functions with a SIMD version for f32 (V) and an f64 one (S). */
export function mixed1<V, S>(lane: i32, d: usize, a: usize, n: i32): void {
  if (lane == Lane.f32) vector1<f32, V>(d, a, n);
  else widened1<f64, S>(d, a, n);
}

/** Predicates: the result is a block of i32 holding 0 or 1. Types of that width go in vectors. */
export function predicate1<O>(lane: i32, d: usize, a: usize, n: i32): void {
  if (lane == Lane.f32) vector1<f32, O>(d, a, n);
  else if (lane == Lane.f64) scalar1<i32, f64, O>(d, a, n);
  else if (lane == Lane.i32) vector1<i32, O>(d, a, n);
  else scalar1<i32, i64, O>(d, a, n);
}

export function predicate2<O>(lane: i32, d: usize, a: usize, b: usize, n: i32): void {
  if (lane == Lane.f32) vector2<f32, O>(d, a, b, n);
  else if (lane == Lane.f64) scalar2<i32, f64, O>(d, a, b, n);
  else if (lane == Lane.i32) vector2<i32, O>(d, a, b, n);
  else scalar2<i32, i64, O>(d, a, b, n);
}
