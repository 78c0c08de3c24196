/** Singular values of one matrix, by a real bidiagonal one (Golub and Kahan 1965, Golub and Reinsch 1970). */

import {
  addRows,
  allFinite,
  copyOf,
  dot,
  length,
  put,
  rotate,
  scaleAll,
  scaleRow,
  slice,
  transpose,
  zeros,
  type Numbers,
} from "./numbers.ts";
import { applyQ, reflection } from "./reflections.ts";
import { applyShifted, columnsInOrder } from "./spectrum.ts";

interface Bidiagonal {
  readonly d: Float64Array;
  /** Above the diagonal. */
  readonly e: Float64Array;
  readonly left: Numbers;
  readonly right: Numbers;
}

/** `a`, m x n with m >= n, becomes the vectors of the reflections from the left (columns) and from the right (rows, beside the diagonal). */
function bidiagonal(a: Numbers, m: number, n: number): Bidiagonal {
  const complex = a.im !== null;
  const [d, e] = [new Float64Array(n), new Float64Array(n)];
  const [left, right] = [zeros(n, complex), zeros(Math.max(n - 1, 0), complex)];
  const set = (to: Numbers, i: number, [x, y]: readonly [number, number]): void => {
    to.re[i] = x;
    if (to.im !== null) to.im[i] = y;
  };
  const at = (from: Numbers, i: number): readonly [number, number] => [from.re[i], from.im === null ? 0 : from.im[i]];
  /** In two columns the vector from the left and A times that from the right; in two rows what they multiply. */
  const factors = zeros(2 * m, complex);
  const rows = zeros(2 * n, complex);
  for (let k = 0; k < n; k++) {
    const head = k * n + k;
    const rest = n - k - 1;
    const fromLeft = reflection(...at(a, head), length(a, head + n, n, m - k - 1));
    for (const plane of [factors.re, factors.im, rows.re, rows.im]) plane?.fill(0);
    if (fromLeft === null) d[k] = a.re[head];
    else {
      scaleRow(a, head + n, n, m - k - 1, ...fromLeft.scale);
      d[k] = fromLeft.beta;
      set(left, k, fromLeft.tau);
      set(factors, 2 * k, [1, 0]);
      for (let i = k + 1; i < m; i++) set(factors, 2 * i, at(a, i * n + k));
      // conj(tau) v^H A
      addRows(rows, k + 1, rest, factors, 2 * k, 2, m - k, a, head + 1, n, 1, true);
      scaleRow(rows, k + 1, 1, rest, fromLeft.tau[0], -fromLeft.tau[1]);
      addRows(a, head + 1, rest, factors, 2 * k, 1, 1, rows, k + 1, n, -1);
    }
    if (rest === 0) continue;
    const [x, y] = at(a, head + 1);
    const fromRight = reflection(x, -y, length(a, head + 2, 1, rest - 1));
    if (fromRight === null) e[k] = x;
    else {
      e[k] = fromRight.beta;
      set(right, k, fromRight.tau);
      // The row's conjugate is what is reflected.
      if (a.im !== null) for (let j = 2; j <= rest; j++) a.im[head + j] *= -1;
      scaleRow(a, head + 2, 1, rest - 1, ...fromRight.scale);
      set(a, head + 1, [1, 0]);
      const u = slice(a, head + 1, head + 1 + rest);
      const along = dot(rows, k + 1, u, 0, rest, false);
      const correction = zeros(1, complex);
      set(correction, 0, along);
      for (let i = k + 1; i < m; i++) set(factors, 2 * i + 1, dot(a, i * n + k + 1, u, 0, rest, false));
      for (let i = k + 1; i < m; i++) addRows(factors, 2 * i + 1, 1, correction, 0, 1, 1, factors, 2 * i, 1, -1);
      scaleRow(factors, 2 * k + 3, 2, m - k - 1, ...fromRight.tau);
      for (let j = 0; j < rest; j++) set(rows, n + k + 1 + j, [u.re[j], u.im === null ? 0 : -u.im[j]]);
    }
    for (let i = k + 1; i < m; i++) addRows(a, i * n + k + 1, rest, factors, 2 * i, 1, 2, rows, k + 1, n, -1);
  }
  return { d, e, left, right };
}

/** Cosine, sine and length of (f, g). */
function turnOf(f: number, g: number): readonly [c: number, s: number, r: number] {
  const r = Math.hypot(f, g);
  return r === 0 ? [1, 0, 0] : [f / r, g / r, r];
}

/** The lesser singular value of [f g; 0 h]. */
function lesser(f: number, g: number, h: number): number {
  const [small, large] = [Math.min(Math.abs(f), Math.abs(h)), Math.max(Math.abs(f), Math.abs(h))];
  const off = Math.abs(g);
  if (small === 0) return 0;
  const [sum, difference] = [1 + small / large, (large - small) / large];
  if (off < large) {
    const square = (off / large) ** 2;
    return (2 * small) / (Math.sqrt(sum * sum + square) + Math.sqrt(difference * difference + square));
  }
  const ratio = large / off;
  if (ratio === 0) return (small * large) / off;
  return (2 * small * ratio) / (Math.hypot(1, sum * ratio) + Math.hypot(1, difference * ratio));
}

/**
 * QR steps until the upper bidiagonal matrix is diagonal; rows of x (left) and y (right) follow. Returns 0, or where it did not converge. As Demmel
 * and Kahan have it (1990): without shifts where these would cost digits of small values, and from the end where the larger ones are.
 */
function diagonalise(d: Float64Array, e: Float64Array, x: Float64Array | null, y: Float64Array | null): number {
  const n = d.length;
  const tolerance = 50 * Number.EPSILON;
  let bound = Math.abs(d[0]);
  for (let i = 1, mu = bound; i < n; i++) {
    mu = mu === 0 ? 0 : Math.abs(d[i]) * (mu / (mu + Math.abs(e[i - 1])));
    bound = Math.min(bound, mu);
  }
  const threshold = Math.max((tolerance * bound) / Math.sqrt(n), 6 * n * n * 2 ** -1022);
  let [from, to, down] = [-1, -1, true];
  let steps = 6 * n * n;
  for (let last = n - 1; last > 0;) {
    let first = last;
    let largest = Math.abs(d[last]);
    for (; first > 0; first--) {
      if (Math.abs(e[first - 1]) <= threshold) {
        e[first - 1] = 0;
        break;
      }
      largest = Math.max(largest, Math.abs(d[first - 1]), Math.abs(e[first - 1]));
    }
    if (first === last) {
      last--;
      continue;
    }
    if (steps-- === 0) return last + 1;
    // A new block goes from its larger end to the smaller one.
    if (first > to || last < from) down = Math.abs(d[first]) >= Math.abs(d[last]);
    [from, to] = [first, last];
    const many = last - first;
    const place = (i: number): number => (down ? first + i : last - i);
    const beside = (i: number): number => (down ? first + i : last - i - 1);
    if (Math.abs(e[beside(many - 1)]) <= tolerance * Math.abs(d[place(many)])) {
      e[beside(many - 1)] = 0;
      continue;
    }
    let mu = Math.abs(d[place(0)]);
    let least = mu;
    let split = false;
    for (let i = 0; i < many && !split; i++) {
      const off = Math.abs(e[beside(i)]);
      if (off <= tolerance * mu) {
        e[beside(i)] = 0;
        split = true;
      }
      mu = Math.abs(d[place(i + 1)]) * (mu / (mu + off));
      least = Math.min(least, mu);
    }
    if (split) continue;
    const head = Math.abs(d[place(0)]);
    let shift = 0;
    if (n * tolerance * (least / largest) > Math.max(Number.EPSILON / 2, 0.01 * tolerance)) {
      shift = lesser(d[place(many - 1)], e[beside(many - 1)], d[place(many)]);
      if (head > 0 && (shift / head) ** 2 < Number.EPSILON / 2) shift = 0;
    }
    // Upwards it is the transpose, from its end: left and right change places.
    const [left, right] = down ? [x, y] : [y, x];
    const turn = (z: Float64Array | null, i: number, c: number, s: number): void => {
      if (z !== null) rotate(z, n, place(i), place(i + 1), c, -s);
    };
    if (shift === 0) {
      let [cosine, before, sine] = [1, 1, 0];
      for (let i = 0; i < many; i++) {
        const [c, s, r] = turnOf(d[place(i)] * cosine, e[beside(i)]);
        cosine = c;
        if (i > 0) e[beside(i - 1)] = sine * r;
        [before, sine, d[place(i)]] = turnOf(before * r, d[place(i + 1)] * s);
        turn(right, i, c, s);
        turn(left, i, before, sine);
      }
      const h = d[place(many)] * cosine;
      d[place(many)] = h * before;
      e[beside(many - 1)] = h * sine;
    } else {
      const start = d[place(0)];
      let f = (head - shift) * (Math.sign(start || 1) + shift / start);
      let g = e[beside(0)];
      for (let i = 0; i < many; i++) {
        const [at, next, off] = [place(i), place(i + 1), beside(i)];
        const [c, s, r] = turnOf(f, g);
        if (i > 0) e[beside(i - 1)] = r;
        f = c * d[at] + s * e[off];
        e[off] = c * e[off] - s * d[at];
        g = s * d[next];
        d[next] *= c;
        turn(right, i, c, s);
        const [cosine, sine, size] = turnOf(f, g);
        d[at] = size;
        f = cosine * e[off] + sine * d[next];
        d[next] = cosine * d[next] - sine * e[off];
        if (i + 1 < many) {
          g = sine * e[beside(i + 1)];
          e[beside(i + 1)] *= cosine;
        }
        turn(left, i, cosine, sine);
      }
      e[beside(many - 1)] = f;
    }
    if (Math.abs(e[beside(many - 1)]) <= threshold) e[beside(many - 1)] = 0;
  }
  for (let i = 0; i < n; i++) {
    if (!(d[i] < 0)) continue;
    d[i] = -d[i];
    y?.subarray(i * n, (i + 1) * n).forEach((v, k, row) => (row[k] = -v));
  }
  return 0;
}

export interface SingularValues {
  /** Descending. */
  readonly values: Float64Array;
  /** U, m x m, or with `full` false m x min(m, n). */
  readonly U: Numbers | null;
  /** V^H, n x n, or min(m, n) x n. */
  readonly Vh: Numbers | null;
  readonly info: number;
}

export function singularValues(given: Numbers, m: number, n: number, vectors: boolean, full: boolean): SingularValues {
  const complex = given.im !== null;
  if (m < n) {
    const k = full ? n : m;
    const { values, U, Vh, info } = singularValues(transpose(given, m, n, true), n, m, vectors, full);
    if (U === null || Vh === null) return { values, U, Vh, info };
    return { values, U: transpose(Vh, m, m, true), Vh: transpose(U, n, k, true), info };
  }
  if (!allFinite(given)) return { values: new Float64Array(n), U: null, Vh: null, info: n };
  let largest = 0;
  for (const plane of [given.re, given.im]) if (plane !== null) for (const x of plane) largest = Math.max(largest, Math.abs(x));
  // A power of two: exact, and squares neither overflow nor vanish.
  const exponent = largest === 0 ? 0 : Math.max(Math.floor(Math.log2(largest)), -1000);
  const a = copyOf(given);
  scaleAll(a, 2 ** -exponent);
  const { d, e, left, right } = bidiagonal(a, m, n);
  const unit = (): Float64Array => Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0));
  const x = vectors ? unit() : null;
  const y = vectors ? unit() : null;
  const info = diagonalise(d, e, x, y);
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => d[j] - d[i]);
  const values = Float64Array.from(order, (i) => d[i] * 2 ** exponent);
  if (x === null || y === null) return { values, U: null, Vh: null, info };
  const columns = full ? m : n;
  const U = zeros(m * columns, complex);
  const inner = columnsInOrder(x, n, order, false);
  for (let i = 0; i < n; i++) put(U, i * columns, slice(inner, i * n, (i + 1) * n));
  for (let i = n; i < columns; i++) U.re[i * columns + i] = 1;
  applyQ(a, m, n, left, U, columns, false);
  const V = columnsInOrder(y, n, order, complex);
  applyShifted(transpose(slice(a, 0, n * n), n, n), n, right, V, n);
  return { values, U, Vh: transpose(V, n, n, true), info };
}
