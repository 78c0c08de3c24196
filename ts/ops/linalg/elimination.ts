/**
 * Factorisations by elimination, of one matrix: LU with partial pivoting and Cholesky, as LAPACK has them (pivots from 1, info is 0 or the
 * place of the first failure, from 1), and triangular systems.
 */

import { addRows, divideRow, dot, sizeAt, swapRows, zeros, type Numbers } from "./numbers.ts";

/** Columns that are eliminated before the rest of the matrix follows. */
const PANEL = 32;

/** `a`, m x n, becomes L (below the diagonal, its own being ones) and U; row i was exchanged with row pivots[i] - 1. */
export function factorLU(a: Numbers, m: number, n: number, pivots: Int32Array, pivot: boolean): number {
  let info = 0;
  const k = Math.min(m, n);
  for (let start = 0; start < k; start += PANEL) {
    const end = Math.min(start + PANEL, k);
    for (let j = start; j < end; j++) {
      let best = j;
      if (pivot) for (let i = j + 1; i < m; i++) if (sizeAt(a, i * n + j) > sizeAt(a, best * n + j)) best = i;
      pivots[j] = best + 1;
      const [x, y] = [a.re[best * n + j], a.im === null ? 0 : a.im[best * n + j]];
      if (x === 0 && y === 0) {
        if (info === 0) info = j + 1;
        if (pivot) continue;
      }
      swapRows(a, n, j, best);
      divideRow(a, (j + 1) * n + j, n, m - j - 1, x, y);
      for (let i = j + 1; i < m; i++) addRows(a, i * n + j + 1, end - j - 1, a, i * n + j, 1, 1, a, j * n + j + 1, n, -1);
    }
    // What lies to the right of the panel follows, a row at a time.
    for (let i = start + 1; i < m; i++) {
      addRows(a, i * n + end, n - end, a, i * n + start, 1, Math.min(i, end) - start, a, start * n + end, n, -1);
    }
  }
  return info;
}

/** What a system's matrix is: itself, its transpose or its adjoint. */
export type Turn = "" | "T" | "H";

/** Solves op(T) X = B for the triangle T of `a`, n x n; `b`, n x r, becomes X. `upper` says where T is stored. */
export function solveTriangle(a: Numbers, n: number, b: Numbers, r: number, upper: boolean, unit: boolean, turn: Turn): void {
  const [row, column] = turn === "" ? [n, 1] : [1, n];
  const backwards = upper === (turn === "");
  // As many columns at a time as stay in the cache.
  const strip = Math.max(64, Math.floor(2 ** 16 / Math.max(n, 1)));
  for (let left = 0; left < r; left += strip) {
    const many = Math.min(strip, r - left);
    for (let step = 0; step < n; step++) {
      const i = backwards ? n - 1 - step : step;
      const from = backwards ? i + 1 : 0;
      const count = backwards ? n - i - 1 : i;
      addRows(b, i * r + left, many, a, i * row + from * column, column, count, b, from * r + left, r, -1, turn === "H");
      if (unit) continue;
      const y = a.im === null ? 0 : a.im[i * n + i];
      divideRow(b, i * r + left, 1, many, a.re[i * n + i], turn === "H" ? -y : y);
    }
  }
}

/** Solves A X = B (or with A's transpose or adjoint) by A's LU. */
export function solveLU(lu: Numbers, n: number, pivots: Int32Array, b: Numbers, r: number, turn: Turn): void {
  if (turn !== "") {
    solveTriangle(lu, n, b, r, true, false, turn);
    solveTriangle(lu, n, b, r, false, true, turn);
    for (let i = n - 1; i >= 0; i--) swapRows(b, r, i, pivots[i] - 1);
  } else {
    for (let i = 0; i < n; i++) swapRows(b, r, i, pivots[i] - 1);
    solveTriangle(lu, n, b, r, false, true, "");
    solveTriangle(lu, n, b, r, true, false, "");
  }
}

/** The lower triangle of `a` becomes L with L L^H = A; the upper one is not read, and becomes zero. */
export function factorCholesky(a: Numbers, n: number): number {
  let info = 0;
  const { re, im } = a;
  for (let start = 0; start < n && info === 0; start += PANEL) {
    const end = Math.min(start + PANEL, n);
    for (let i = start; i < n && info === 0; i++) {
      for (let j = start; j < Math.min(i + 1, end); j++) {
        const [x, y] = dot(a, i * n + start, a, j * n + start, j - start, true);
        re[i * n + j] -= x;
        if (im !== null) im[i * n + j] -= y;
        if (j < i) divideRow(a, i * n + j, 1, 1, re[j * n + j], 0);
        else if (re[i * n + i] > 0) {
          re[i * n + i] = Math.sqrt(re[i * n + i]);
          if (im !== null) im[i * n + i] = 0;
        } else info = i + 1;
      }
    }
    if (info !== 0 || end === n) continue;
    // The rest minus the panel times its adjoint, which lies in rows here.
    const [many, wide] = [end - start, n - end];
    const across = zeros(many * wide, im !== null);
    for (let i = end; i < n; i++) {
      for (let p = start; p < end; p++) {
        across.re[(p - start) * wide + i - end] = re[i * n + p];
        if (im !== null) across.im![(p - start) * wide + i - end] = -im[i * n + p];
      }
    }
    for (let i = end; i < n; i++) addRows(a, i * n + end, i - end + 1, a, i * n + start, 1, many, across, 0, wide, -1);
  }
  for (let i = 0; i < n; i++) {
    re.fill(0, i * n + i + 1, (i + 1) * n);
    im?.fill(0, i * n + i + 1, (i + 1) * n);
  }
  return info;
}
