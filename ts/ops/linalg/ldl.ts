/** LDL by Bunch and Kaufman's pivoting, of one symmetric or Hermitian matrix, as LAPACK has it (sytrf and hetrf). */

import { addRows, divideRow, quotient, sizeAt, swapRows, zeros, type Numbers } from "./numbers.ts";

const ALPHA = (1 + Math.sqrt(17)) / 8;

type Z = readonly [re: number, im: number];
const at = ({ re, im }: Numbers, i: number): Z => [re[i], im === null ? 0 : im[i]];
const times = ([a, b]: Z, [c, d]: Z): Z => [a * c - b * d, a * d + b * c];
const minus = ([a, b]: Z, [c, d]: Z): Z => [a - c, b - d];
const over = ([a, b]: Z, [c, d]: Z): Z => quotient(a, b, c, d);

function set(a: Numbers, i: number, [x, y]: Z): void {
  a.re[i] = x;
  if (a.im !== null) a.im[i] = y;
}

/** (x, y) E^-1 for the block E = [a b'; b c] of D, b' being b or its conjugate; all of it over |b|, so that nothing overflows. */
function solveBlock(x: Z, y: Z, a: Z, b: Z, c: Z, conjugate: boolean): readonly [Z, Z] {
  const size: Z = [Math.hypot(...b), 0];
  const [p, q, r] = [over(a, size), over(b, size), over(c, size)];
  const turned: Z = conjugate ? [q[0], -q[1]] : q;
  const scale = times(minus(times(p, r), times(q, turned)), size);
  return [over(minus(times(x, r), times(y, q)), scale), over(minus(times(y, p), times(x, turned)), scale)];
}

/**
 * The lower triangle of the symmetric (Hermitian) `a` becomes L below the blocks of D, whose blocks of one row have a positive pivot, and
 * those of two rows the same negative one twice.
 */
export function factorLDL(a: Numbers, n: number, pivots: Int32Array, hermitian: boolean): number {
  let info = 0;
  const conjugate = hermitian && a.im !== null;
  const sign = conjugate ? -1 : 1;
  const head = (i: number): number => (conjugate ? Math.abs(a.re[i * n + i]) : sizeAt(a, i * n + i));
  const swap = (i: number, j: number, turn: 1 | -1): void => {
    const [x, y] = [at(a, i), at(a, j)];
    set(a, i, [y[0], turn * y[1]]);
    set(a, j, [x[0], turn * x[1]]);
  };
  // Rows of what L's new columns multiply.
  const across = zeros(2 * n, a.im !== null);
  if (conjugate) for (let i = 0; i < n; i++) a.im[i * n + i] = 0;
  for (let k = 0; k < n;) {
    let [step, p] = [1, k];
    let [below, largest] = [k, 0];
    for (let i = k + 1; i < n; i++) {
      if (sizeAt(a, i * n + k) > largest) {
        largest = sizeAt(a, i * n + k);
        below = i;
      }
    }
    const singular = Math.max(head(k), largest) === 0 || Number.isNaN(head(k));
    if (singular) {
      if (info === 0) info = k + 1;
    } else if (head(k) < ALPHA * largest) {
      let row = 0;
      for (let j = k; j < below; j++) row = Math.max(row, sizeAt(a, below * n + j));
      for (let i = below + 1; i < n; i++) row = Math.max(row, sizeAt(a, i * n + below));
      if (head(k) < ALPHA * largest * (largest / row)) {
        p = below;
        if (head(below) < ALPHA * row) step = 2;
      }
    }
    const last = k + step - 1;
    if (p !== last) {
      for (let i = p + 1; i < n; i++) swap(i * n + last, i * n + p, 1);
      for (let i = last + 1; i < p; i++) swap(i * n + last, p * n + i, sign);
      if (conjugate) a.im[p * n + last] *= -1;
      swap(last * n + last, p * n + p, 1);
      if (step === 2) swap((k + 1) * n + k, p * n + k, 1);
    }
    const next = k + step;
    if (!singular) {
      const [first, off, second] = [at(a, k * n + k), at(a, (k + 1) * n + k), at(a, (k + 1) * n + k + 1)];
      const columns: (readonly Z[])[] = [];
      for (let j = next; j < n; j++) {
        const x = at(a, j * n + k);
        const w = step === 1 ? [over(x, first)] : solveBlock(x, at(a, j * n + k + 1), first, off, second, conjugate);
        w.forEach((z, s) => set(across, s * n + j, [z[0], sign * z[1]]));
        columns.push(w);
      }
      for (let i = next; i < n; i++) addRows(a, i * n + next, i - next + 1, a, i * n + k, 1, step, across, next, n, -1);
      columns.forEach((w, j) => w.forEach((z, s) => set(a, (next + j) * n + k + s, z)));
      if (conjugate) for (let i = next; i < n; i++) a.im[i * n + i] = 0;
    }
    pivots.fill(step === 1 ? p + 1 : -(p + 1), k, next);
    k = next;
  }
  for (let i = 0; i < n; i++) {
    a.re.fill(0, i * n + i + 1, (i + 1) * n);
    a.im?.fill(0, i * n + i + 1, (i + 1) * n);
  }
  return info;
}

/** Solves A X = B by A's LDL; `b`, n x r, becomes X. */
export function solveLDL(a: Numbers, n: number, pivots: Int32Array, b: Numbers, r: number, hermitian: boolean): void {
  const conjugate = hermitian && a.im !== null;
  const diagonal = (i: number): Z => at(a, i * n + i);
  for (let k = 0; k < n;) {
    const step = pivots[k] > 0 ? 1 : 2;
    swapRows(b, r, k + step - 1, Math.abs(pivots[k]) - 1);
    for (let i = k + step; i < n; i++) addRows(b, i * r, r, a, i * n + k, 1, step, b, k * r, r, -1);
    if (step === 1) divideRow(b, k * r, 1, r, a.re[k * n + k], conjugate ? 0 : diagonal(k)[1]);
    else {
      const off = at(a, (k + 1) * n + k);
      // E X = B is X^T E^T = B^T.
      const [high, turned] = [diagonal(k), conjugate ? ([off[0], -off[1]] as const) : off];
      for (let c = 0; c < r; c++) {
        const [x, y] = solveBlock(at(b, k * r + c), at(b, (k + 1) * r + c), high, turned, diagonal(k + 1), conjugate);
        set(b, k * r + c, x);
        set(b, (k + 1) * r + c, y);
      }
    }
    k += step;
  }
  for (let k = n - 1; k >= 0;) {
    const step = pivots[k] > 0 ? 1 : 2;
    for (let j = k; j > k - step; j--) {
      addRows(b, j * r, r, a, (k + 1) * n + j, n, n - k - 1, b, (k + 1) * r, r, -1, conjugate);
    }
    swapRows(b, r, k, Math.abs(pivots[k]) - 1);
    k -= step;
  }
}
