/** Eigenvalues of symmetric matrices and singular values, of one matrix in row-major float64. */

import { factorQR, formQ, multiply, transpose } from "./reflections.ts";

/** Turns rows i and j by the angle whose cosine and sine are c and s. */
function rotate(z: Float64Array, width: number, i: number, j: number, c: number, s: number): void {
  const p = i * width;
  const q = j * width;
  for (let k = 0; k < width; k++) {
    const x = z[p + k];
    const y = z[q + k];
    z[p + k] = c * x - s * y;
    z[q + k] = s * x + c * y;
  }
}

/** To tridiagonal form by reflections from both sides: diagonal, subdiagonal, and (wanted: rows of) the product of the reflections. */
function tridiagonal(a: Float64Array, n: number, vectors: boolean): { d: Float64Array; e: Float64Array; z: Float64Array | null } {
  const d = new Float64Array(n);
  const e = new Float64Array(n);
  const taus = new Float64Array(n);
  const v = new Float64Array(n);
  const w = new Float64Array(n);
  for (let k = 0; k + 1 < n; k++) {
    let scale = 0;
    for (let i = k + 2; i < n; i++) scale = Math.max(scale, Math.abs(a[i * n + k]));
    const head = a[(k + 1) * n + k];
    if (scale === 0) {
      e[k] = head;
      continue;
    }
    let sum = 0;
    for (let i = k + 2; i < n; i++) sum += (a[i * n + k] / scale) ** 2;
    const beta = -Math.sign(head || 1) * Math.hypot(head, scale * Math.sqrt(sum));
    const tau = (beta - head) / beta;
    v[k + 1] = 1;
    for (let i = k + 2; i < n; i++) a[i * n + k] = v[i] = a[i * n + k] / (head - beta);
    e[k] = beta;
    taus[k] = tau;
    // A - v w^T - w v^T with w = tau (A v - (tau v^T A v / 2) v), on the lower triangle.
    w.fill(0, k + 1);
    for (let i = k + 1; i < n; i++) {
      let dot = a[i * n + i] * v[i];
      for (let j = k + 1; j < i; j++) {
        dot += a[i * n + j] * v[j];
        w[j] += a[i * n + j] * v[i];
      }
      w[i] += dot;
    }
    let along = 0;
    for (let i = k + 1; i < n; i++) along += w[i] * v[i];
    for (let i = k + 1; i < n; i++) w[i] = tau * (w[i] - 0.5 * tau * along * v[i]);
    for (let i = k + 1; i < n; i++) for (let j = k + 1; j <= i; j++) a[i * n + j] -= v[i] * w[j] + w[i] * v[j];
  }
  for (let i = 0; i < n; i++) d[i] = a[i * n + i];
  if (!vectors) return { d, e, z: null };
  const z = new Float64Array(n * n);
  for (let i = 0; i < n; i++) z[i * n + i] = 1;
  // Z^T = H_{n-2} ... H_0 applied to rows: row r of Z^T times H_k changes its columns from k + 1 on.
  for (let k = n - 2; k >= 0; k--) {
    const tau = taus[k];
    if (tau === 0) continue;
    for (let i = k + 2; i < n; i++) v[i] = a[i * n + k];
    for (let r = k + 1; r < n; r++) {
      let dot = z[r * n + k + 1];
      for (let j = k + 2; j < n; j++) dot += z[r * n + j] * v[j];
      dot *= tau;
      z[r * n + k + 1] -= dot;
      for (let j = k + 2; j < n; j++) z[r * n + j] -= dot * v[j];
    }
  }
  return { d, e, z };
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
  /** An eigenvector in each row. */
  readonly rows: Float64Array | null;
  readonly info: number;
}

/** Of the symmetric matrix in the lower triangle of `a`, which is used up. */
export function symmetricSpectrum(a: Float64Array, n: number, vectors: boolean): Spectrum {
  for (const x of a) if (!Number.isFinite(x)) return { values: new Float64Array(n), rows: new Float64Array(n * n), info: n };
  const { d, e, z } = tridiagonal(a, n, vectors);
  const info = implicitQL(d, e, z);
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => d[i] - d[j]);
  const values = Float64Array.from(order, (i) => d[i]);
  if (z === null) return { values, rows: null, info };
  const rows = new Float64Array(n * n);
  order.forEach((from, to) => rows.set(z.subarray(from * n, (from + 1) * n), to * n));
  return { values, rows, info };
}

/** Turns pairs of rows of `x` (count rows of `width`) until all are orthogonal; rows of z follow. */
function orthogonalise(x: Float64Array, count: number, width: number, z: Float64Array | null, zWidth: number): boolean {
  const dot = (i: number, j: number): number => {
    let sum = 0;
    for (let k = 0, p = i * width, q = j * width; k < width; k++) sum += x[p + k] * x[q + k];
    return sum;
  };
  const squares = new Float64Array(count);
  const tolerance = Number.EPSILON * Math.sqrt(width) * 0.5;
  for (let sweep = 0; sweep < 60; sweep++) {
    let turned = false;
    for (let i = 0; i < count; i++) squares[i] = dot(i, i);
    for (let i = 0; i + 1 < count; i++) {
      for (let j = i + 1; j < count; j++) {
        const off = dot(i, j);
        if (off === 0 || Math.abs(off) <= tolerance * Math.sqrt(squares[i] * squares[j])) continue;
        turned = true;
        const zeta = (squares[j] - squares[i]) / (2 * off);
        const t = 1 / (zeta >= 0 ? zeta + Math.hypot(1, zeta) : zeta - Math.hypot(1, zeta));
        const c = 1 / Math.sqrt(1 + t * t);
        const s = c * t;
        rotate(x, width, i, j, c, s);
        if (z !== null) rotate(z, zWidth, i, j, c, s);
        squares[i] -= t * off;
        squares[j] += t * off;
        // What cancellation has left of a square is measured anew.
        const smaller = squares[i] < squares[j] ? i : j;
        if (squares[smaller] < 1e-3 * Math.abs(t * off)) squares[smaller] = dot(smaller, smaller);
      }
    }
    if (!turned) return true;
  }
  return false;
}

/** Fills rows from..count with unit vectors orthogonal to all others. */
function complete(x: Float64Array, from: number, count: number, width: number): void {
  let axis = 0;
  for (let r = from; r < count; r++) {
    for (; axis < width; axis++) {
      const row = x.subarray(r * width, (r + 1) * width);
      row.fill(0);
      row[axis] = 1;
      for (let pass = 0; pass < 2; pass++) {
        for (let i = 0; i < r; i++) {
          let along = 0;
          for (let k = 0; k < width; k++) along += row[k] * x[i * width + k];
          for (let k = 0; k < width; k++) row[k] -= along * x[i * width + k];
        }
      }
      const size = Math.sqrt(row.reduce((s, v) => s + v * v, 0));
      if (size < 0.5 / Math.sqrt(width)) continue;
      for (let k = 0; k < width; k++) row[k] /= size;
      axis++;
      break;
    }
  }
}

export interface SingularValues {
  /** Descending. */
  readonly values: Float64Array;
  /** Left singular vectors as rows: m x m, or with `full` false min(m, n) x m. */
  readonly left: Float64Array | null;
  /** Right ones as rows: n x n, or min(m, n) x n. */
  readonly right: Float64Array | null;
  readonly info: number;
}

/** From this size on, eigenvectors of R R^T bring the rows near to where they are going. */
const DIRECT = 24;

/** By one-sided Jacobi rotations on the rows of R (of A = Q R): what is small is found as precisely as what is large. */
export function singularValues(given: Float64Array, m: number, n: number, vectors: boolean, full: boolean): SingularValues {
  if (m < n) {
    const { values, left, right, info } = singularValues(transpose(given, m, n), n, m, vectors, full);
    return { values, left: right, right: left, info };
  }
  let largest = 0;
  for (const x of given) {
    if (!Number.isFinite(x)) return { values: new Float64Array(n), left: null, right: null, info: n };
    largest = Math.max(largest, Math.abs(x));
  }
  // A power of two: exact, and squares neither overflow nor vanish.
  const scale = largest === 0 ? 1 : 2 ** Math.max(Math.floor(Math.log2(largest)), -1000);
  const a = given.map((x) => x / scale);
  const taus = factorQR(a, m, n);
  const many = full ? m : n;
  let z = vectors ? transpose(formQ(a, m, n, taus, many), m, many) : null;
  let r: Float64Array = new Float64Array(n * n);
  for (let i = 0; i < n; i++) r.set(a.subarray(i * n + i, (i + 1) * n), i * n + i);
  if (n > DIRECT) {
    const { rows, info } = symmetricSpectrum(multiply(r, transpose(r, n, n), n, n, n), n, true);
    if (info === 0) {
      r = multiply(rows!, r, n, n, n);
      if (z !== null) {
        const turned = multiply(rows!, z.subarray(0, n * m), n, n, m);
        z = z.slice();
        z.set(turned);
      }
    }
  }
  const converged = orthogonalise(r, n, n, z, m);
  const sizes = new Float64Array(n);
  for (let i = 0; i < n; i++) {
    let sum = 0;
    for (let k = 0; k < n; k++) sum += r[i * n + k] ** 2;
    sizes[i] = Math.sqrt(sum);
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => sizes[j] - sizes[i]);
  const values = Float64Array.from(order, (i) => sizes[i] * scale);
  const info = converged ? 0 : n;
  if (z === null) return { values, left: null, right: null, info };
  const left = z.slice();
  const right = new Float64Array(n * n);
  let rank = 0;
  order.forEach((from, to) => {
    left.set(z.subarray(from * m, (from + 1) * m), to * m);
    if (sizes[from] === 0) return;
    rank++;
    for (let k = 0; k < n; k++) right[to * n + k] = r[from * n + k] / sizes[from];
  });
  complete(right, rank, n, n);
  return { values, left, right, info };
}
