/** QR by Householder's reflections, of one matrix in row-major float64, in LAPACK's form: H_i = I - tau_i v_i v_i^T, v_i = (0, ..., 0, 1, ...). */

/** rows × columns of `c` from row `top` on: C -= tau v (v^T C), v being column `i` of `a` (width `n`) with 1 at row `i`. */
function reflect(
  a: Float64Array,
  n: number,
  m: number,
  i: number,
  tau: number,
  c: Float64Array,
  width: number,
  from: number,
): void {
  if (tau === 0) return;
  const sums = c.slice(i * width + from, (i + 1) * width);
  addRows(sums, 0, sums.length, a, (i + 1) * n + i, n, m - i - 1, c, (i + 1) * width + from, width, 1);
  for (let r = i; r < m; r++) {
    const v = r === i ? tau : tau * a[r * n + i];
    const at = r * width + from;
    if (v !== 0) for (let k = 0; k < sums.length; k++) c[at + k] -= v * sums[k];
  }
}

/** The length of x[from], x[from + step], ... (count of them), safe from overflow. */
function length(x: Float64Array, from: number, step: number, count: number): number {
  let [scale, sum] = [0, 1];
  for (let i = 0; i < count; i++) {
    const size = Math.abs(x[from + i * step]);
    if (size === 0) continue;
    if (scale < size) {
      sum = 1 + sum * (scale / size) ** 2;
      scale = size;
    } else sum += (size / scale) ** 2;
  }
  return scale * Math.sqrt(sum);
}

/** `a`, m x n, becomes R and, below its diagonal, the vectors of the reflections; returns their factors tau. */
export function factorQR(a: Float64Array, m: number, n: number): Float64Array {
  const taus = new Float64Array(Math.min(m, n));
  for (let i = 0; i < taus.length; i++) {
    const rest = length(a, (i + 1) * n + i, n, m - i - 1);
    if (rest === 0) continue;
    const head = a[i * n + i];
    const beta = -Math.sign(head || 1) * Math.hypot(head, rest);
    const tau = (beta - head) / beta;
    for (let r = i + 1; r < m; r++) a[r * n + i] /= head - beta;
    reflect(a, n, m, i, tau, a, n, i + 1);
    a[i * n + i] = beta;
    taus[i] = tau;
  }
  return taus;
}

/** C, m x width, becomes H_1 H_2 ... H_k C, or with `transposed` H_k ... H_1 C; the vectors are in `a`, m x n. */
export function applyQ(
  a: Float64Array,
  m: number,
  n: number,
  taus: Float64Array,
  c: Float64Array,
  width: number,
  transposed: boolean,
): void {
  const k = taus.length;
  for (let s = 0; s < k; s++) {
    const i = transposed ? s : k - 1 - s;
    reflect(a, n, m, i, taus[i], c, width, 0);
  }
}

/** The first `columns` columns of Q = H_1 H_2 ... H_k. */
export function formQ(a: Float64Array, m: number, n: number, taus: Float64Array, columns: number): Float64Array {
  const q = new Float64Array(m * columns);
  for (let i = 0; i < Math.min(m, columns); i++) q[i * columns + i] = 1;
  // Reflection i leaves what is left of column i as it is: zeros and ones.
  for (let i = taus.length - 1; i >= 0; i--) reflect(a, n, m, i, taus[i], q, columns, Math.min(i, columns));
  return q;
}

/** b, n x m, of a, m x n. */
export function transpose(a: Float64Array, m: number, n: number): Float64Array {
  const b = new Float64Array(m * n);
  for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) b[j * m + i] = a[i * n + j];
  return b;
}

/**
 * The inner loop of everything: c += sign * sum over p of a_p b_p, c and b_p being rows of `width` numbers. a_p is a[at + p * step],
 * b_p begins at from + p * stride. Four rows at once, so that c is read and written a quarter as often.
 */
export function addRows(
  c: Float64Array,
  to: number,
  width: number,
  a: Float64Array,
  at: number,
  step: number,
  count: number,
  b: Float64Array,
  from: number,
  stride: number,
  sign: 1 | -1,
): void {
  let p = 0;
  for (; p + 4 <= count; p += 4) {
    const w = sign * a[at + p * step];
    const x = sign * a[at + (p + 1) * step];
    const y = sign * a[at + (p + 2) * step];
    const z = sign * a[at + (p + 3) * step];
    const d = from + p * stride;
    const e = d + stride;
    const f = e + stride;
    const g = f + stride;
    for (let j = 0; j < width; j++) c[to + j] += w * b[d + j] + x * b[e + j] + y * b[f + j] + z * b[g + j];
  }
  for (; p < count; p++) {
    const w = sign * a[at + p * step];
    const d = from + p * stride;
    for (let j = 0; j < width; j++) c[to + j] += w * b[d + j];
  }
}

/** a b: m x k by k x n. */
export function multiply(a: Float64Array, b: Float64Array, m: number, k: number, n: number): Float64Array {
  const c = new Float64Array(m * n);
  for (let i = 0; i < m; i++) addRows(c, i * n, n, a, i * k, 1, k, b, 0, n, 1);
  return c;
}
