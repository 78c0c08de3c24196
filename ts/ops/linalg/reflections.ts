/**
 * QR by Householder's reflections, of one matrix, in LAPACK's form: H_i = I - tau_i v_i v_i^H, v_i = (0, ..., 0, 1, ...). Several of
 * them at once are I - V T V^H with a triangle T (Schreiber and Van Loan 1989), so that most of the work is products of matrices.
 */

import { addRows, identityOf, length, partOf, quotient, scaleRow, zeros, type Numbers } from "./numbers.ts";

/** Reflections that are applied together. */
const PANEL = 32;
/** Columns that they are applied to before the next ones. */
const STRIP = 128;

/** What reflects x = (head, ...rest): beta with H^H x = (beta, 0, ...), tau, and what the rest is to be multiplied by to become v's. */
export interface Reflection {
  readonly beta: number;
  readonly tau: readonly [re: number, im: number];
  readonly scale: readonly [re: number, im: number];
}

/** Null: x is (real, 0, ...) already. `rest` is the length of what comes after the head. */
export function reflection(re: number, im: number, rest: number): Reflection | null {
  if (rest === 0 && im === 0) return null;
  const beta = -Math.sign(re || 1) * Math.hypot(re, im, rest);
  return { beta, tau: [(beta - re) / beta, -im / beta], scale: quotient(1, 0, re - beta, im) };
}

/** C -= conj(tau) v (v^H C) for columns from..to of C, m x width; v is column `i` of `a` (width `n`), 1 at row `i`. */
function reflect(
  a: Numbers,
  n: number,
  m: number,
  i: number,
  taus: Numbers,
  c: Numbers,
  width: number,
  from: number,
  to: number,
): void {
  const many = to - from;
  if (many <= 0) return;
  const t = partOf(taus, i, 1);
  const sums = zeros(many, c.im !== null);
  const v = zeros(m - i, a.im !== null);
  v.re[0] = 1;
  for (let r = i + 1; r < m; r++) {
    v.re[r - i] = a.re[r * n + i];
    if (v.im !== null) v.im[r - i] = a.im![r * n + i];
  }
  addRows(sums, 0, many, v, 0, 1, m - i, c, i * width + from, width, 1, true);
  scaleRow(sums, 0, 1, many, t.re[0], t.im === null ? 0 : -t.im[0]);
  for (let r = i; r < m; r++) addRows(c, r * width + from, many, v, r - i, 1, 1, sums, 0, many, -1);
}

/** V's columns start..end as a matrix of their own, (m - start) x (end - start), with their ones and zeros. */
function vectors(a: Numbers, m: number, n: number, start: number, end: number): Numbers {
  const many = end - start;
  const v = zeros((m - start) * many, a.im !== null);
  for (let r = start; r < m; r++) {
    for (let j = start; j < Math.min(end, r); j++) {
      v.re[(r - start) * many + j - start] = a.re[r * n + j];
      if (v.im !== null) v.im[(r - start) * many + j - start] = a.im![r * n + j];
    }
    if (r < end) v.re[(r - start) * many + r - start] = 1;
  }
  return v;
}

/** T of H_1 ... H_k = I - V T V^H. */
function triangleOf(v: Numbers, rows: number, k: number, taus: Numbers, start: number): Numbers {
  const t = zeros(k * k, v.im !== null);
  const gram = zeros(k * k, v.im !== null);
  for (let i = 0; i < k; i++) addRows(gram, i * k, k, v, i, k, rows, v, 0, k, 1, true);
  for (let i = 0; i < k; i++) {
    const [x, y] = [taus.re[start + i], taus.im === null ? 0 : taus.im[start + i]];
    t.re[i * k + i] = x;
    if (t.im !== null) t.im[i * k + i] = y;
    for (let r = 0; r < i; r++) addRows(t, r * k + i, 1, t, r * k + r, 1, i - r, gram, r * k + i, k, -1);
    // Above there is now minus the product; T's factor is tau of the column.
    scaleRow(t, i, k, i, x, y);
  }
  return t;
}

/** C = (I - V T V^H) C, or with `adjoint` by its adjoint, for columns from..width of C; V's rows are those of C from `start` on. */
function applyBlock(
  v: Numbers,
  t: Numbers,
  rows: number,
  k: number,
  start: number,
  c: Numbers,
  width: number,
  from: number,
  adjoint: boolean,
): void {
  const w = zeros(k * STRIP, c.im !== null);
  const turned = zeros(k * STRIP, c.im !== null);
  for (let left = from; left < width; left += STRIP) {
    const many = Math.min(STRIP, width - left);
    for (const x of [w.re, w.im, turned.re, turned.im]) x?.fill(0);
    for (let i = 0; i < k; i++)
      addRows(w, i * STRIP, many, v, i * k + i, k, rows - i, c, (start + i) * width + left, width, 1, true);
    for (let i = 0; i < k; i++) {
      if (adjoint) addRows(turned, i * STRIP, many, t, i, k, i + 1, w, 0, STRIP, 1, true);
      else addRows(turned, i * STRIP, many, t, i * k + i, 1, k - i, w, i * STRIP, STRIP, 1);
    }
    for (let r = 0; r < rows; r++) {
      addRows(c, (start + r) * width + left, many, v, r * k, 1, Math.min(r + 1, k), turned, 0, STRIP, -1);
    }
  }
}

/** `a`, m x n, becomes R and, below its diagonal, the vectors of the reflections; returns their factors tau. */
export function factorQR(a: Numbers, m: number, n: number): Numbers {
  const k = Math.min(m, n);
  const taus = zeros(k, a.im !== null);
  for (let start = 0; start < k; start += PANEL) {
    const end = Math.min(start + PANEL, k);
    for (let i = start; i < end; i++) {
      const head = i * n + i;
      const found = reflection(a.re[head], a.im === null ? 0 : a.im[head], length(a, head + n, n, m - i - 1));
      if (found === null) continue;
      scaleRow(a, head + n, n, m - i - 1, ...found.scale);
      taus.re[i] = found.tau[0];
      if (taus.im !== null) taus.im[i] = found.tau[1];
      reflect(a, n, m, i, taus, a, n, i + 1, end < n && end === k ? n : end);
      a.re[head] = found.beta;
      if (a.im !== null) a.im[head] = 0;
    }
    if (end < k) {
      const v = vectors(a, m, n, start, end);
      applyBlock(v, triangleOf(v, m - start, end - start, taus, start), m - start, end - start, start, a, n, end, true);
    }
  }
  return taus;
}

/** C, m x width, becomes H_1 H_2 ... H_k C, or with `adjoint` H_k^H ... H_1^H C; the vectors are in `a`, m x n. */
export function applyQ(
  a: Numbers,
  m: number,
  n: number,
  taus: Numbers,
  c: Numbers,
  width: number,
  adjoint: boolean,
  unit = false,
): void {
  const k = taus.re.length;
  const blocks = Math.ceil(k / PANEL);
  for (let s = 0; s < blocks; s++) {
    const start = (adjoint ? s : blocks - 1 - s) * PANEL;
    const end = Math.min(start + PANEL, k);
    const v = vectors(a, m, n, start, end);
    const t = triangleOf(v, m - start, end - start, taus, start);
    // Of an identity, what lies to the left is still zeros and ones.
    applyBlock(v, t, m - start, end - start, start, c, width, unit ? Math.min(start, width) : 0, adjoint);
  }
}

/** The first `columns` columns of Q = H_1 H_2 ... H_k. */
export function formQ(a: Numbers, m: number, n: number, taus: Numbers, columns: number): Numbers {
  const q = identityOf(m, columns, a.im !== null);
  applyQ(a, m, n, taus, q, columns, false, true);
  return q;
}
