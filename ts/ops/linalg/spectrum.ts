/** Eigenvalues of one Hermitian matrix, by a real tridiagonal one. */

import {
  addRows,
  allFinite,
  length,
  put,
  realNumbers,
  rotate,
  scaleRow,
  slice,
  transpose,
  zeros,
  type Numbers,
} from "./numbers.ts";
import { applyQ, reflection } from "./reflections.ts";

/** C, n x width, becomes H_0 ... H_{n-2} C, the vector of H_k lying in column k of `a`, n x n, from row k + 1 on. */
export function applyShifted(a: Numbers, n: number, taus: Numbers, c: Numbers, width: number, unit = false): void {
  if (n < 2) return;
  const below = zeros((n - 1) * (n - 1), a.im !== null);
  for (let r = 0; r + 1 < n; r++) put(below, r * (n - 1), slice(a, (r + 1) * n, (r + 2) * n - 1));
  applyQ(below, n - 1, n - 1, taus, slice(c, width, n * width), width, false, unit);
}

/** To real tridiagonal form by reflections from both sides: `a`'s lower triangle becomes their vectors. */
function tridiagonal(a: Numbers, n: number): { d: Float64Array; e: Float64Array; taus: Numbers } {
  const { re, im } = a;
  const d = new Float64Array(n);
  const e = new Float64Array(n);
  const taus = zeros(Math.max(n - 1, 0), im !== null);
  const v = zeros(n, im !== null);
  const w = zeros(n, im !== null);
  /** conj(w), conj(v): the rows of what is subtracted; and v, w: their factors. */
  const rows = zeros(2 * n, im !== null);
  const factors = zeros(2 * n, im !== null);
  for (let k = 0; k + 1 < n; k++) {
    const head = (k + 1) * n + k;
    const found = reflection(re[head], im === null ? 0 : im[head], length(a, head + n, n, n - k - 2));
    if (found === null) {
      e[k] = re[head];
      continue;
    }
    scaleRow(a, head + n, n, n - k - 2, ...found.scale);
    v.re[k + 1] = 1;
    if (v.im !== null) v.im[k + 1] = 0;
    for (let i = k + 2; i < n; i++) {
      v.re[i] = re[i * n + k];
      if (im !== null) v.im![i] = im[i * n + k];
    }
    e[k] = found.beta;
    const [tr, ti] = found.tau;
    taus.re[k] = tr;
    if (taus.im !== null) taus.im[k] = ti;
    // A - v w^H - w v^H with x = tau A v and w = x - (tau x^H v / 2) v, on the lower triangle.
    hermitianTimes(a, n, k + 1, v, w);
    scaleRow(w, k + 1, 1, n - k - 1, tr, ti);
    let along = 0;
    let across = 0;
    for (let i = k + 1; i < n; i++) {
      along += w.re[i] * v.re[i];
      if (w.im !== null) {
        along += w.im[i] * v.im![i];
        across += w.re[i] * v.im![i] - w.im[i] * v.re[i];
      }
    }
    const alpha = zeros(1, im !== null);
    alpha.re[0] = -0.5 * (tr * along - ti * across);
    if (alpha.im !== null) alpha.im[0] = -0.5 * (tr * across + ti * along);
    addRows(w, k + 1, n - k - 1, alpha, 0, 1, 1, v, k + 1, n, 1);
    for (let i = k + 1; i < n; i++) {
      rows.re[i] = factors.re[2 * i + 1] = w.re[i];
      rows.re[n + i] = factors.re[2 * i] = v.re[i];
      if (im === null) continue;
      rows.im![i] = -(factors.im![2 * i + 1] = w.im![i]);
      rows.im![n + i] = -(factors.im![2 * i] = v.im![i]);
    }
    for (let i = k + 1; i < n; i++) addRows(a, i * n + k + 1, i - k, factors, 2 * i, 1, 2, rows, k + 1, n, -1);
  }
  for (let i = 0; i < n; i++) d[i] = re[i * n + i];
  return { d, e, taus };
}

/** w = A v for rows and columns from `from` on of the Hermitian A in a lower triangle. */
function hermitianTimes(a: Numbers, n: number, from: number, v: Numbers, w: Numbers): void {
  w.re.fill(0);
  w.im?.fill(0);
  /** Adds sign * (x and, below the diagonal, turn * its transpose) v to w. */
  const add = (to: Float64Array, x: Float64Array, y: Float64Array, sign: number, turn: number): void => {
    for (let i = from; i < n; i++) {
      const row = i * n;
      const above = turn * sign * y[i];
      let sum = turn === 1 ? x[row + i] * y[i] : 0;
      for (let j = from; j < i; j++) {
        sum += x[row + j] * y[j];
        to[j] += x[row + j] * above;
      }
      to[i] += sign * sum;
    }
  };
  add(w.re, a.re, v.re, 1, 1);
  if (a.im === null) return;
  add(w.im!, a.re, v.im!, 1, 1);
  add(w.im!, a.im, v.re, 1, -1);
  add(w.re, a.im, v.im!, -1, -1);
}

/** Implicit QL with Wilkinson's shifts; rows of z follow. Returns 0, or where it did not converge. */
function implicitQL(d: Float64Array, e: Float64Array, z: Float64Array | null): number {
  const n = d.length;
  for (let l = 0; l < n; l++) {
    for (let turn = 0; ; turn++) {
      let m = l;
      while (m + 1 < n && Math.abs(e[m]) > Number.EPSILON * (Math.abs(d[m]) + Math.abs(d[m + 1]))) m++;
      if (m === l) break;
      if (turn === 100) return l + 1;
      let g = (d[l + 1] - d[l]) / (2 * e[l]);
      let r = Math.hypot(g, 1);
      g = d[m] - d[l] + e[l] / (g + (g >= 0 ? r : -r));
      let [s, c, p] = [1, 1, 0];
      let i = m - 1;
      for (; i >= l; i--) {
        const f = s * e[i];
        const b = c * e[i];
        r = Math.hypot(f, g);
        e[i + 1] = r;
        if (r === 0) {
          d[i + 1] -= p;
          e[m] = 0;
          break;
        }
        s = f / r;
        c = g / r;
        g = d[i + 1] - p;
        r = (d[i] - g) * s + 2 * c * b;
        p = s * r;
        d[i + 1] = g + p;
        g = c * r - b;
        if (z !== null) rotate(z, n, i, i + 1, c, s);
      }
      if (r === 0 && i >= l) continue;
      d[l] -= p;
      e[l] = g;
      e[m] = 0;
    }
  }
  return 0;
}

export interface Spectrum {
  /** Ascending. */
  readonly values: Float64Array;
  /** An eigenvector in each column. */
  readonly vectors: Numbers | null;
  readonly info: number;
}

/** Rows of the real `z`, n x n, in this order, as the columns of what is as complex as wanted. */
export function columnsInOrder(z: Float64Array, n: number, order: readonly number[], complex: boolean): Numbers {
  const rows = new Float64Array(n * n);
  order.forEach((from, to) => rows.set(z.subarray(from * n, (from + 1) * n), to * n));
  const { re } = transpose(realNumbers(rows), n, n);
  return { re, im: complex ? new Float64Array(n * n) : null };
}

/** Of the Hermitian matrix in the lower triangle of `a`, which is used up; what its diagonal has imaginary does not count. */
export function hermitianSpectrum(a: Numbers, n: number, vectors: boolean): Spectrum {
  for (let i = 0; i < n; i++) {
    a.re.fill(0, i * n + i + 1, (i + 1) * n);
    a.im?.fill(0, i * n + i, (i + 1) * n);
  }
  if (!allFinite(a)) return { values: new Float64Array(n), vectors: zeros(n * n, a.im !== null), info: n };
  // A power of two near the largest: nothing overflows on the way.
  let largest = 0;
  for (const plane of [a.re, a.im]) if (plane !== null) for (const x of plane) largest = Math.max(largest, Math.abs(x));
  const scale = largest > 1e100 || largest < 1e-100 ? 2 ** Math.max(Math.floor(Math.log2(largest || 1)), -1000) : 1;
  if (scale !== 1) for (const plane of [a.re, a.im]) plane?.forEach((x, i) => (plane[i] = x / scale));
  const { d, e, taus } = tridiagonal(a, n);
  const z = vectors ? new Float64Array(n * n) : null;
  if (z !== null) for (let i = 0; i < n; i++) z[i * n + i] = 1;
  const info = implicitQL(d, e, z);
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => d[i] - d[j]);
  const values = Float64Array.from(order, (i) => d[i] * scale);
  if (z === null) return { values, vectors: null, info };
  const out = columnsInOrder(z, n, order, a.im !== null);
  applyShifted(a, n, taus, out, n);
  return { values, vectors: out, info };
}
