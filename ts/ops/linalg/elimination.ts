/**
 * Factorisations by elimination, of one matrix in row-major float64: LU with partial pivoting, Cholesky, and LDL with
 * Bunch and Kaufman's pivoting, as LAPACK has them (pivots from 1, info is 0 or the place of the first failure, from 1).
 */

import { addRows } from "./reflections.ts";

function swapRows(a: Float64Array, width: number, i: number, j: number): void {
  for (let c = 0; c < width; c++) {
    const x = a[i * width + c];
    a[i * width + c] = a[j * width + c];
    a[j * width + c] = x;
  }
}

/** rows[i] -= factor * rows[j] */
function subtractRow(a: Float64Array, width: number, i: number, j: number, factor: number): void {
  const at = i * width;
  const other = j * width;
  for (let c = 0; c < width; c++) a[at + c] -= factor * a[other + c];
}

/** Columns that are eliminated before the rest of the matrix follows. */
const PANEL = 32;

/** `a`, m x n, becomes L (below the diagonal, its own being ones) and U; row i was exchanged with row pivots[i] - 1. */
export function factorLU(a: Float64Array, m: number, n: number, pivots: Int32Array, pivot: boolean): number {
  let info = 0;
  const k = Math.min(m, n);
  for (let start = 0; start < k; start += PANEL) {
    const end = Math.min(start + PANEL, k);
    for (let j = start; j < end; j++) {
      let best = j;
      if (pivot) for (let i = j + 1; i < m; i++) if (Math.abs(a[i * n + j]) > Math.abs(a[best * n + j])) best = i;
      pivots[j] = best + 1;
      const head = a[best * n + j];
      if (head === 0) {
        if (info === 0) info = j + 1;
        if (pivot) continue;
      }
      if (best !== j) swapRows(a, n, j, best);
      for (let i = j + 1; i < m; i++) {
        const at = i * n;
        const factor = (a[at + j] /= head);
        for (let c = j + 1; c < end; c++) a[at + c] -= factor * a[j * n + c];
      }
    }
    // What lies to the right of the panel follows, a row at a time.
    for (let i = start + 1; i < m; i++) {
      addRows(a, i * n + end, n - end, a, i * n + start, 1, Math.min(i, end) - start, a, start * n + end, n, -1);
    }
  }
  return info;
}

/** Solves op(T) X = B for the triangle T of `a`, n x n; `b`, n x r, becomes X. `upper` says where T is stored; op is its transpose or not. */
export function solveTriangle(
  a: Float64Array,
  n: number,
  b: Float64Array,
  r: number,
  upper: boolean,
  unit: boolean,
  transposed: boolean,
): void {
  const [row, column] = transposed ? [1, n] : [n, 1];
  const backwards = upper !== transposed;
  for (let step = 0; step < n; step++) {
    const i = backwards ? n - 1 - step : step;
    const from = backwards ? i + 1 : 0;
    addRows(b, i * r, r, a, i * row + from * column, column, backwards ? n - i - 1 : i, b, from * r, r, -1);
    if (!unit) {
      const head = a[i * n + i];
      for (let c = 0; c < r; c++) b[i * r + c] /= head;
    }
  }
}

/** Solves A X = B (or with A's transpose) by A's LU. */
export function solveLU(lu: Float64Array, n: number, pivots: Int32Array, b: Float64Array, r: number, transposed: boolean): void {
  if (transposed) {
    solveTriangle(lu, n, b, r, true, false, true);
    solveTriangle(lu, n, b, r, false, true, true);
    for (let i = n - 1; i >= 0; i--) if (pivots[i] !== i + 1) swapRows(b, r, i, pivots[i] - 1);
  } else {
    for (let i = 0; i < n; i++) if (pivots[i] !== i + 1) swapRows(b, r, i, pivots[i] - 1);
    solveTriangle(lu, n, b, r, false, true, false);
    solveTriangle(lu, n, b, r, true, false, false);
  }
}

/** The lower triangle of `a` becomes L with L L^T = A; the upper one is not read, and becomes zero. */
export function factorCholesky(a: Float64Array, n: number): number {
  let info = 0;
  for (let i = 0; i < n && info === 0; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j];
      for (let k = 0; k < j; k++) sum -= a[i * n + k] * a[j * n + k];
      if (j < i) a[i * n + j] = sum / a[j * n + j];
      else if (sum > 0) a[i * n + i] = Math.sqrt(sum);
      else info = i + 1;
    }
  }
  for (let i = 0; i < n; i++) a.fill(0, i * n + i + 1, (i + 1) * n);
  return info;
}

const ALPHA = (1 + Math.sqrt(17)) / 8;

/**
 * The lower triangle of the symmetric `a` becomes L below the blocks of D, whose blocks of one row have a positive pivot, and those of
 * two rows the same negative one twice.
 */
export function factorLDL(a: Float64Array, n: number, pivots: Int32Array): number {
  let info = 0;
  const at = (i: number, j: number): number => a[i * n + j];
  const swap = (i: number, j: number, k: number, l: number): void => {
    const x = a[i * n + j];
    a[i * n + j] = a[k * n + l];
    a[k * n + l] = x;
  };
  for (let k = 0; k < n;) {
    let [step, p] = [1, k];
    const head = Math.abs(at(k, k));
    let [below, largest] = [k, 0];
    for (let i = k + 1; i < n; i++) {
      if (Math.abs(at(i, k)) > largest) {
        largest = Math.abs(at(i, k));
        below = i;
      }
    }
    const singular = Math.max(head, largest) === 0 || Number.isNaN(head);
    if (singular) {
      if (info === 0) info = k + 1;
    } else if (head < ALPHA * largest) {
      let across = 0;
      for (let j = k; j < below; j++) across = Math.max(across, Math.abs(at(below, j)));
      for (let i = below + 1; i < n; i++) across = Math.max(across, Math.abs(at(i, below)));
      if (head < ALPHA * largest * (largest / across)) {
        p = below;
        if (Math.abs(at(below, below)) < ALPHA * across) step = 2;
      }
    }
    const last = k + step - 1;
    if (p !== last) {
      for (let i = p + 1; i < n; i++) swap(i, last, i, p);
      for (let i = last + 1; i < p; i++) swap(i, last, p, i);
      swap(last, last, p, p);
      if (step === 2) swap(k + 1, k, p, k);
    }
    if (step === 1 && !singular) {
      const inverse = 1 / at(k, k);
      for (let i = k + 1; i < n; i++) {
        const factor = inverse * at(i, k);
        for (let j = k + 1; j <= i; j++) a[i * n + j] -= factor * at(j, k);
      }
      for (let i = k + 1; i < n; i++) a[i * n + k] *= inverse;
    } else if (step === 2) {
      const [off, low, high] = [at(k + 1, k), at(k + 1, k + 1) / at(k + 1, k), at(k, k) / at(k + 1, k)];
      const scale = 1 / (low * high - 1) / off;
      for (let j = k + 2; j < n; j++) {
        const first = scale * (low * at(j, k) - at(j, k + 1));
        const second = scale * (high * at(j, k + 1) - at(j, k));
        for (let i = j; i < n; i++) a[i * n + j] -= at(i, k) * first + at(i, k + 1) * second;
        a[j * n + k] = first;
        a[j * n + k + 1] = second;
      }
    }
    pivots.fill(step === 1 ? p + 1 : -(p + 1), k, k + step);
    k += step;
  }
  for (let i = 0; i < n; i++) a.fill(0, i * n + i + 1, (i + 1) * n);
  return info;
}

/** Solves A X = B by A's LDL; `b`, n x r, becomes X. */
export function solveLDL(a: Float64Array, n: number, pivots: Int32Array, b: Float64Array, r: number): void {
  const exchange = (i: number, j: number): void => {
    if (i !== j) swapRows(b, r, i, j);
  };
  for (let k = 0; k < n;) {
    if (pivots[k] > 0) {
      exchange(k, pivots[k] - 1);
      for (let i = k + 1; i < n; i++) subtractRow(b, r, i, k, a[i * n + k]);
      for (let c = 0; c < r; c++) b[k * r + c] /= a[k * n + k];
      k++;
      continue;
    }
    exchange(k + 1, -pivots[k] - 1);
    for (let i = k + 2; i < n; i++) {
      subtractRow(b, r, i, k, a[i * n + k]);
      subtractRow(b, r, i, k + 1, a[i * n + k + 1]);
    }
    const off = a[(k + 1) * n + k];
    const [high, low] = [a[k * n + k] / off, a[(k + 1) * n + k + 1] / off];
    const determinant = high * low - 1;
    for (let c = 0; c < r; c++) {
      const [x, y] = [b[k * r + c] / off, b[(k + 1) * r + c] / off];
      b[k * r + c] = (low * x - y) / determinant;
      b[(k + 1) * r + c] = (high * y - x) / determinant;
    }
    k += 2;
  }
  for (let k = n - 1; k >= 0;) {
    const step = pivots[k] > 0 ? 1 : 2;
    const p = Math.abs(pivots[k]) - 1;
    for (let j = k; j > k - step; j--) for (let i = k + 1; i < n; i++) subtractRow(b, r, j, i, a[i * n + j]);
    exchange(k, p);
    k -= step;
  }
}
