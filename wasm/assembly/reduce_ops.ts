/**
 * What the reductions do with elements. A state is one value of S (f64 for floating elements, i64 for integers) that elements of
 * type T fold into, a block at a time: `v<T>` and `s<T>` combine two vectors or two values. Every block is folded in its own
 * type by several independent accumulators, and blocks meet in S: short sums stay exact enough, long ones lose nothing more.
 */

@final export class FoldSum {
  @inline identity<T>(): T { return <T>0; }
  @inline v<T>(a: v128, b: v128): v128 { return v128.add<T>(a, b); }
  @inline s<T>(a: T, b: T): T { return <T>(a + b); }
}
@final export class FoldProd {
  @inline identity<T>(): T { return <T>1; }
  @inline v<T>(a: v128, b: v128): v128 { return v128.mul<T>(a, b); }
  @inline s<T>(a: T, b: T): T { return <T>(a * b); }
}
/** NaN wins. */
@final export class FoldMax {
  @inline identity<T>(): T { return isFloat<T>() ? <T>-Infinity : sizeof<T>() == 4 ? <T>i32.MIN_VALUE : <T>i64.MIN_VALUE; }
  @inline v<T>(a: v128, b: v128): v128 {
    return sizeof<T>() == 8 && isInteger<T>() ? v128.bitselect(a, b, v128.gt<T>(a, b)) : v128.max<T>(a, b);
  }
  @inline s<T>(a: T, b: T): T { return max<T>(a, b); }
}
@final export class FoldMin {
  @inline identity<T>(): T { return isFloat<T>() ? <T>Infinity : sizeof<T>() == 4 ? <T>i32.MAX_VALUE : <T>i64.MAX_VALUE; }
  @inline v<T>(a: v128, b: v128): v128 {
    return sizeof<T>() == 8 && isInteger<T>() ? v128.bitselect(b, a, v128.gt<T>(a, b)) : v128.min<T>(a, b);
  }
  @inline s<T>(a: T, b: T): T { return min<T>(a, b); }
}

/** All lanes of a vector in one value, by halves: vectors fold extremes without the branches that scalars need for NaN. */
@inline function lanesFolded<T, O>(v: v128): T {
  const op = changetype<O>(0);
  const pair = op.v<T>(v, i64x2.shuffle(v, v, 1, 0));
  if (sizeof<T>() == 8) return v128.extract_lane<T>(pair, 0);
  return v128.extract_lane<T>(op.v<T>(pair, i32x4.shuffle(pair, pair, 1, 0, 3, 2)), 0);
}

/** All of x[0..n) in one value. */
export function foldBlock<T, O>(x: usize, n: i32): T {
  const op = changetype<O>(0);
  let result = op.identity<T>();
  let bytes = n << alignof<T>();
  if (bytes >= 128) {
    let a0 = v128.load(x);
    let a1 = v128.load(x, 16);
    let a2 = v128.load(x, 32);
    let a3 = v128.load(x, 48);
    let a4 = v128.load(x, 64);
    let a5 = v128.load(x, 80);
    let a6 = v128.load(x, 96);
    let a7 = v128.load(x, 112);
    for (x += 128, bytes -= 128; bytes >= 128; x += 128, bytes -= 128) {
      a0 = op.v<T>(a0, v128.load(x));
      a1 = op.v<T>(a1, v128.load(x, 16));
      a2 = op.v<T>(a2, v128.load(x, 32));
      a3 = op.v<T>(a3, v128.load(x, 48));
      a4 = op.v<T>(a4, v128.load(x, 64));
      a5 = op.v<T>(a5, v128.load(x, 80));
      a6 = op.v<T>(a6, v128.load(x, 96));
      a7 = op.v<T>(a7, v128.load(x, 112));
    }
    a0 = op.v<T>(op.v<T>(a0, a1), op.v<T>(a2, a3));
    a4 = op.v<T>(op.v<T>(a4, a5), op.v<T>(a6, a7));
    result = lanesFolded<T, O>(op.v<T>(a0, a4));
  }
  if (bytes >= 16) {
    let a = v128.load(x);
    for (x += 16, bytes -= 16; bytes >= 16; x += 16, bytes -= 16) a = op.v<T>(a, v128.load(x));
    const folded = lanesFolded<T, O>(a);
    result = n < 128 >> alignof<T>() ? folded : op.s<T>(result, folded);
  }
  for (; bytes > 0; x += sizeof<T>(), bytes -= sizeof<T>()) result = op.s<T>(result, load<T>(x));
  return result;
}

/** into[i] = into[i] combined with x[i]. */
export function foldColumns<T, O>(into: usize, x: usize, n: i32): void {
  const op = changetype<O>(0);
  let bytes = n << alignof<T>();
  for (; bytes >= 64; bytes -= 64, into += 64, x += 64) {
    v128.store(into, op.v<T>(v128.load(into), v128.load(x)));
    v128.store(into, op.v<T>(v128.load(into, 16), v128.load(x, 16)), 16);
    v128.store(into, op.v<T>(v128.load(into, 32), v128.load(x, 32)), 32);
    v128.store(into, op.v<T>(v128.load(into, 48), v128.load(x, 48)), 48);
  }
  for (; bytes > 0; bytes -= sizeof<T>(), into += sizeof<T>(), x += sizeof<T>()) {
    store<T>(into, op.s<T>(load<T>(into), load<T>(x)));
  }
}

/** into[i] = into[i] combined with four rows `step` bytes apart. */
export function foldFourRows<T, O>(into: usize, x: usize, step: usize, n: i32): void {
  const op = changetype<O>(0);
  let y = x + step;
  let z = y + step;
  let w = z + step;
  let bytes = n << alignof<T>();
  for (; bytes >= 32; bytes -= 32, into += 32, x += 32, y += 32, z += 32, w += 32) {
    const a = op.v<T>(op.v<T>(v128.load(x), v128.load(y)), op.v<T>(v128.load(z), v128.load(w)));
    const b = op.v<T>(op.v<T>(v128.load(x, 16), v128.load(y, 16)), op.v<T>(v128.load(z, 16), v128.load(w, 16)));
    v128.store(into, op.v<T>(v128.load(into), a));
    v128.store(into, op.v<T>(v128.load(into, 16), b), 16);
  }
  for (; bytes > 0; bytes -= sizeof<T>(), into += sizeof<T>(), x += sizeof<T>(), y += sizeof<T>(), z += sizeof<T>(), w += sizeof<T>()) {
    const four = op.s<T>(op.s<T>(load<T>(x), load<T>(y)), op.s<T>(load<T>(z), load<T>(w)));
    store<T>(into, op.s<T>(load<T>(into), four));
  }
}

/** states[i] = states[i] combined with block[i], and block[i] starts anew. */
export function drain<T, S, O>(states: usize, block: usize, n: i32): void {
  const op = changetype<O>(0);
  if (isFloat<T>() && sizeof<T>() == 4) {
    const fresh = v128.splat<T>(op.identity<T>());
    for (; n >= 4; n -= 4, states += 32, block += 16) {
      const v = v128.load(block);
      v128.store(states, op.v<f64>(v128.load(states), f64x2.promote_low_f32x4(v)));
      v128.store(states, op.v<f64>(v128.load(states, 16), f64x2.promote_low_f32x4(i64x2.shuffle(v, v, 1, 1))), 16);
      v128.store(block, fresh);
    }
  }
  for (const end = states + (<usize>n << 3); states < end; states += 8, block += sizeof<T>()) {
    store<S>(states, op.s<S>(load<S>(states), <S>load<T>(block)));
    store<T>(block, op.identity<T>());
  }
}

/** Whether x beats the best so far: NaN beats all but NaN, equals do not. */
@inline export function beats<S>(x: S, best: S, least: bool): bool {
  if (isFloat<S>() && x != x) return best == best;
  return least ? x < best : x > best;
}

/** The first place in x[0..n) that holds `value`, which is there; a NaN stands for any. */
function find<T>(x: usize, n: i32, value: T): i32 {
  const lanes = 16 >> alignof<T>();
  const wanted = v128.splat<T>(value);
  const any = value != value;
  let i = 0;
  for (; i + lanes <= n; i += lanes) {
    const v = v128.load(x + (<usize>i << alignof<T>()));
    if (v128.any_true(any ? v128.ne<T>(v, v) : v128.eq<T>(v, wanted))) break;
  }
  for (; i < n - 1; i++) {
    const y = load<T>(x + (<usize>i << alignof<T>()));
    if (any ? y != y : y == value) break;
  }
  return i;
}

/** The extreme of x[0..n) and its position, `first` being that of x[0]; into { value, position }. Position -1: none yet. */
export function extreme<T, S>(state: usize, x: usize, n: i32, first: i64, least: bool): void {
  const candidate = least ? foldBlock<T, FoldMin>(x, n) : foldBlock<T, FoldMax>(x, n);
  if (load<i64>(state, 8) >= 0 && !beats<S>(<S>candidate, load<S>(state), least)) return;
  const at = find<T>(x, n, candidate);
  store<S>(state, <S>load<T>(x + (<usize>at << alignof<T>()))); // a zero may have another sign
  store<i64>(state, first + at, 8);
}

/** The same for every column: x[i] is at position `position` of column i. */
export function extremeColumns<T, S>(values: usize, positions: usize, x: usize, n: i32, position: i64, least: bool): void {
  for (let i = 0; i < n; i++, values += 8, positions += 8, x += sizeof<T>()) {
    const value = <S>load<T>(x);
    if (load<i64>(positions) < 0 || beats<S>(value, load<S>(values), least)) {
      store<S>(values, value);
      store<i64>(positions, position);
    }
  }
}

/** The same for 32-bit elements in vectors, with values of T and positions of 32 bits; `x` is not the first row. */
export function extremeColumns32<T>(values: usize, positions: usize, x: usize, n: i32, position: i32, least: bool): void {
  const at = i32x4.splat(position);
  let i = 0;
  for (; i + 4 <= n; i += 4, values += 16, positions += 16, x += 16) {
    const best = v128.load(values);
    const v = v128.load(x);
    let better = least ? v128.lt<T>(v, best) : v128.gt<T>(v, best);
    if (isFloat<T>()) better = v128.or(better, v128.andnot(v128.eq<T>(best, best), v128.eq<T>(v, v)));
    v128.store(values, v128.bitselect(v, best, better));
    v128.store(positions, v128.bitselect(at, v128.load(positions), better));
  }
  for (; i < n; i++, values += 4, positions += 4, x += 4) {
    if (beats<T>(load<T>(x), load<T>(values), least)) {
      store<T>(values, load<T>(x));
      store<i32>(positions, position);
    }
  }
}

/** Merges mean, M2 and count of two parts (Chan, Golub and LeVeque) into the first. */
export function mergeMoments(means: usize, squares: usize, count: f64, mean: f64, square: f64, more: f64): void {
  if (count == 0) {
    store<f64>(means, mean);
    store<f64>(squares, square);
    return;
  }
  const delta = mean - load<f64>(means);
  const share = more / (count + more);
  store<f64>(means, load<f64>(means) + delta * share);
  store<f64>(squares, load<f64>(squares) + square + delta * delta * count * share);
}

/** Adds x[0..n) to a mean and an M2 over `count` elements: two passes over the block, which is in the first-level cache. */
export function moments<T>(means: usize, squares: usize, count: f64, x: usize, n: i32): void {
  let s0: f64 = 0;
  let s1: f64 = 0;
  let s2: f64 = 0;
  let s3: f64 = 0;
  let i = 0;
  for (; i + 4 <= n; i += 4) {
    const p = x + (<usize>i << alignof<T>());
    s0 += <f64>load<T>(p);
    s1 += <f64>load<T>(p, sizeof<T>());
    s2 += <f64>load<T>(p, 2 * sizeof<T>());
    s3 += <f64>load<T>(p, 3 * sizeof<T>());
  }
  for (; i < n; i++) s0 += <f64>load<T>(x + (<usize>i << alignof<T>()));
  const mean = (s0 + s1 + (s2 + s3)) / <f64>n;
  let q0: f64 = 0;
  let q1: f64 = 0;
  let q2: f64 = 0;
  let q3: f64 = 0;
  for (i = 0; i + 4 <= n; i += 4) {
    const p = x + (<usize>i << alignof<T>());
    const d0 = <f64>load<T>(p) - mean;
    const d1 = <f64>load<T>(p, sizeof<T>()) - mean;
    const d2 = <f64>load<T>(p, 2 * sizeof<T>()) - mean;
    const d3 = <f64>load<T>(p, 3 * sizeof<T>()) - mean;
    q0 += d0 * d0;
    q1 += d1 * d1;
    q2 += d2 * d2;
    q3 += d3 * d3;
  }
  for (; i < n; i++) {
    const d = <f64>load<T>(x + (<usize>i << alignof<T>())) - mean;
    q0 += d * d;
  }
  mergeMoments(means, squares, count, mean, q0 + q1 + (q2 + q3), n);
}

/** Welford's update of every column's mean and M2 with its `count`-th element. */
export function momentColumns<T>(means: usize, squares: usize, x: usize, n: i32, count: f64): void {
  const share = 1 / count;
  for (let i = 0; i < n; i++, means += 8, squares += 8, x += sizeof<T>()) {
    const value = <f64>load<T>(x);
    const mean = load<f64>(means);
    const delta = value - mean;
    const next = mean + delta * share;
    store<f64>(means, next);
    store<f64>(squares, load<f64>(squares) + delta * (value - next));
  }
}
