/** Eigenvalues and eigenvectors of one square matrix: balance, Hessenberg form, Schur form, and what is the same for real and complex ones. */

import { addRows, allFinite, copyOf, dot, identityOf, length, scaleRow, zeros, type Numbers } from "./numbers.ts";
import { reflection } from "./reflections.ts";
import { complexSchur } from "./schur_complex.ts";
import { realSchur } from "./schur.ts";
import { applyShifted } from "./spectrum.ts";

/** Scales rows and columns by powers of two until they are about as long (Parlett and Reinsch 1969); returns the columns' factors. */
function balance(a: Numbers, n: number): Float64Array {
  const factors = new Float64Array(n).fill(1);
  for (let again = true; again;) {
    again = false;
    for (let i = 0; i < n; i++) {
      let column = Math.hypot(length(a, i, n, i), length(a, (i + 1) * n + i, n, n - i - 1));
      let row = Math.hypot(length(a, i * n, 1, i), length(a, i * n + i + 1, 1, n - i - 1));
      if (column === 0 || row === 0) continue;
      let f = 1;
      const sum = column + row;
      while (column < row / 2 && f < 1e150) [f, column, row] = [2 * f, 2 * column, row / 2];
      while (column >= row * 2 && f > 1e-150) [f, column, row] = [f / 2, column / 2, row * 2];
      if (f === 1 || column + row >= 0.95 * sum) continue;
      again = true;
      factors[i] *= f;
      scaleRow(a, i * n, 1, n, 1 / f, 0);
      scaleRow(a, i, n, n, f, 0);
    }
  }
  return factors;
}

/** `a` becomes H of A = Q H Q^H; returns Q where it is wanted. */
function reduce(a: Numbers, n: number, vectors: boolean): Numbers | null {
  const complex = a.im !== null;
  const taus = zeros(Math.max(n - 1, 0), complex);
  const v = zeros(n, complex);
  for (let k = 0; k + 2 < n; k++) {
    const head = (k + 1) * n + k;
    const many = n - k - 1;
    const found = reflection(a.re[head], a.im === null ? 0 : a.im[head], length(a, head + n, n, many - 1));
    if (found === null) continue;
    scaleRow(a, head + n, n, many - 1, ...found.scale);
    const [tr, ti] = found.tau;
    taus.re[k] = tr;
    if (taus.im !== null) taus.im[k] = ti;
    v.re[k + 1] = 1;
    if (v.im !== null) v.im[k + 1] = 0;
    for (let i = k + 2; i < n; i++) {
      v.re[i] = a.re[i * n + k];
      if (v.im !== null) v.im[i] = a.im![i * n + k];
    }
    a.re[head] = found.beta;
    if (a.im !== null) a.im[head] = 0;
    // H^H A, then A H = A - (tau A v) v^H.
    const sums = zeros(many, complex);
    addRows(sums, 0, many, v, k + 1, 1, many, a, head + 1, n, 1, true);
    scaleRow(sums, 0, 1, many, tr, -ti);
    for (let i = k + 1; i < n; i++) addRows(a, i * n + k + 1, many, v, i, 1, 1, sums, 0, many, -1);
    const across = zeros(n, complex);
    for (let i = 0; i < n; i++) {
      const [x, y] = dot(a, i * n + k + 1, v, k + 1, many, false);
      across.re[i] = x;
      if (across.im !== null) across.im[i] = y;
    }
    scaleRow(across, 0, 1, n, tr, ti);
    const conjugate = copyOf(v);
    if (conjugate.im !== null) scaleAllBy(conjugate.im, -1);
    for (let i = 0; i < n; i++) addRows(a, i * n + k + 1, many, across, i, 1, 1, conjugate, k + 1, n, -1);
  }
  const Q = vectors ? identityOf(n, n, complex) : null;
  if (Q !== null) applyShifted(a, n, taus, Q, n);
  for (let i = 2; i < n; i++) {
    a.re.fill(0, i * n, i * n + i - 1);
    a.im?.fill(0, i * n, i * n + i - 1);
  }
  return Q;
}

function scaleAllBy(x: Float64Array, by: number): void {
  for (let i = 0; i < x.length; i++) x[i] *= by;
}

export interface Eigen {
  /** Complex. */
  readonly values: Numbers;
  /** An eigenvector in each column, complex: of length 1, the component that is largest being real. */
  readonly vectors: Numbers | null;
  readonly info: number;
}

/** Of `a`, n x n, which is used up. Complex eigenvalues of real matrices are in pairs, that with the positive imaginary part first. */
export function eigen(a: Numbers, n: number, vectors: boolean): Eigen {
  const values = zeros(n, true);
  if (!allFinite(a)) return { values, vectors: vectors ? zeros(n * n, true) : null, info: n };
  const factors = balance(a, n);
  const Q = reduce(a, n, vectors);
  const real = a.im === null;
  const info = real ? realSchur(a.re, Q?.re ?? null, n, values) : complexSchur(a, Q, n, values);
  if (Q === null || info !== 0) return { values, vectors: Q === null ? null : zeros(n * n, true), info };
  const out = zeros(n * n, true);
  for (let j = 0; j < n; j++) {
    // Real matrices have the real and imaginary parts of a pair's first vector in two columns.
    const pair = real && values.im![j] > 0;
    for (let i = 0; i < n; i++) {
      out.re[i * n + j] = Q.re[i * n + j] * factors[i];
      out.im![i * n + j] = (real ? (pair ? Q.re[i * n + j + 1] : 0) : Q.im![i * n + j]) * factors[i];
    }
    normalise(out, n, j);
    if (!pair) continue;
    for (let i = 0; i < n; i++) {
      out.re[i * n + j + 1] = out.re[i * n + j];
      out.im![i * n + j + 1] = -out.im![i * n + j];
    }
    j++;
  }
  return { values, vectors: out, info };
}

function normalise(x: Numbers, n: number, j: number): void {
  const size = length(x, j, n, n);
  if (size > 0) scaleRow(x, j, n, n, 1 / size, 0);
  let best = 0;
  let largest = -1;
  for (let i = 0; i < n; i++) {
    const square = x.re[i * n + j] ** 2 + x.im![i * n + j] ** 2;
    if (square > largest) [best, largest] = [i, square];
  }
  const [re, im] = [x.re[best * n + j], x.im![best * n + j]];
  if (im === 0) return;
  const by = Math.hypot(re, im);
  scaleRow(x, j, n, n, re / by, -im / by);
  x.im![best * n + j] = 0;
}
