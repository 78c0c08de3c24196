/** Eigenvalues and eigenvectors of one real Hessenberg matrix by double QR steps (Francis 1961), with LAPACK's shifts and tests, which give its order of eigenvalues. */

import { multiply, quotient, realNumbers, transpose, type Numbers } from "./numbers.ts";

/**
 * `h` becomes triangular but for blocks of two rows, and the columns of Q (from that of A = Q H Q^T) eigenvectors of A, of a pair its first one's real
 * and imaginary part. Returns 0, or where it did not converge.
 */
export function realSchur(h: Float64Array, Q: Float64Array | null, size: number, values: Numbers): number {
  // Q's transpose follows: rows lie together.
  const z = Q === null ? null : transpose(realNumbers(Q), size, size).re;
  const re = values.re;
  const im = values.im!;
  let norm = 0;
  for (let i = 0; i < size; i++) for (let j = Math.max(i - 1, 0); j < size; j++) norm += Math.abs(h[i * size + j]);
  let steps = 0;
  for (let n = size - 1; n >= 0;) {
    let l = n;
    while (l > 0 && !negligible(h, size, l)) l--;
    if (l > 0) h[l * size + l - 1] = 0;
    if (l === n) {
      re[n] = h[n * size + n];
      im[n] = 0;
      n--;
      steps = 0;
      continue;
    }
    if (l === n - 1) {
      splitPair(h, z, size, n, re, im);
      n -= 2;
      steps = 0;
      continue;
    }
    if (++steps > 100) return n + 1;
    doubleStep(h, z, size, l, n, shiftsOf(h, size, l, n, steps));
  }
  if (Q !== null) {
    vectorsOf(h, size, re, im, norm);
    Q.set(multiply(transpose(realNumbers(z!), size, size), realNumbers(h), size, size, size).re);
  }
  return 0;
}

/** Whether h's element before the diagonal of row k counts as zero (Ahues and Tisseur 1997). */
function negligible(h: Float64Array, size: number, k: number): boolean {
  const at = (i: number, j: number): number => Math.abs(h[i * size + j]);
  const below = at(k, k - 1);
  if (below <= Number.MIN_VALUE) return true;
  let near = at(k - 1, k - 1) + at(k, k);
  if (near === 0) near = (k >= 2 ? at(k - 1, k - 2) : 0) + (k + 1 < size ? at(k + 1, k) : 0);
  if (below > Number.EPSILON * near) return false;
  const apart = Math.abs(h[(k - 1) * size + k - 1] - h[k * size + k]);
  const [more, less] = [Math.max(below, at(k - 1, k)), Math.min(below, at(k - 1, k))];
  const [far, close] = [Math.max(at(k, k), apart), Math.min(at(k, k), apart)];
  const sum = more + far;
  return less * (more / sum) <= Math.max(1e-300, Number.EPSILON * (close * (far / sum)));
}

/** Two numbers that are equal and real, or conjugate: (re, ±im). */
interface Shifts {
  readonly re: number;
  readonly im: number;
}

/** The eigenvalues of the last two rows, or where these are real the one nearer to the end, twice; every tenth time something else. */
function shiftsOf(h: Float64Array, size: number, l: number, n: number, steps: number): Shifts {
  const at = (i: number, j: number): number => h[i * size + j];
  let [a, b, c, d] = [at(n - 1, n - 1), at(n - 1, n), at(n, n - 1), at(n, n)];
  if (steps % 10 === 0) {
    const [first, second] = steps % 20 === 0 ? [c, at(n - 1, n - 2)] : [at(l + 1, l), at(l + 2, l + 1)];
    c = Math.abs(first) + Math.abs(second);
    a = 0.75 * c + (steps % 20 === 0 ? d : at(l, l));
    b = -0.4375 * c;
    d = a;
  }
  const s = Math.abs(a) + Math.abs(b) + Math.abs(c) + Math.abs(d);
  if (s === 0) return { re: 0, im: 0 };
  [a, b, c, d] = [a / s, b / s, c / s, d / s];
  const middle = (a + d) / 2;
  const determinant = (a - middle) * (d - middle) - b * c;
  const root = Math.sqrt(Math.abs(determinant));
  if (determinant >= 0) return { re: middle * s, im: root * s };
  const [first, second] = [middle + root, middle - root];
  return { re: (Math.abs(first - d) <= Math.abs(second - d) ? first : second) * s, im: 0 };
}

/** Two eigenvalues from the block in rows n - 1 and n, which a rotation makes triangular where they are real. */
function splitPair(h: Float64Array, z: Float64Array | null, size: number, n: number, re: Float64Array, im: Float64Array): void {
  const [up, low] = [(n - 1) * size, n * size];
  const w = h[low + n - 1] * h[up + n];
  let p = (h[up + n - 1] - h[low + n]) / 2;
  let q = p * p + w;
  let root = Math.sqrt(Math.abs(q));
  const x = h[low + n];
  if (q < 0) {
    re[n - 1] = re[n] = x + p;
    im[n - 1] = root;
    im[n] = -root;
    return;
  }
  root = p >= 0 ? p + root : p - root;
  re[n - 1] = x + root;
  re[n] = root === 0 ? re[n - 1] : x - w / root;
  im[n - 1] = im[n] = 0;
  const below = h[low + n - 1];
  const s = Math.abs(below) + Math.abs(root);
  p = below / s;
  q = root / s;
  const r = Math.hypot(p, q);
  p /= r;
  q /= r;
  const rows = (a: Float64Array, from: number): void => {
    for (let j = from; j < size; j++) {
      const t = a[up + j];
      a[up + j] = q * t + p * a[low + j];
      a[low + j] = q * a[low + j] - p * t;
    }
  };
  rows(h, n - 1);
  if (z !== null) rows(z, 0);
  for (let i = 0; i <= n; i++) {
    const t = h[i * size + n - 1];
    h[i * size + n - 1] = q * t + p * h[i * size + n];
    h[i * size + n] = q * h[i * size + n] - p * t;
  }
}

/** One double step on rows l..n. */
function doubleStep(h: Float64Array, z: Float64Array | null, size: number, l: number, n: number, shifts: Shifts): void {
  const at = (i: number, j: number): number => h[i * size + j];
  let [p, q, r, x] = [0, 0, 0, 0];
  let m = n - 2;
  for (; m >= l; m--) {
    const own = at(m, m) - shifts.re;
    const s = Math.abs(own) + Math.abs(shifts.im) + Math.abs(at(m + 1, m));
    const below = at(m + 1, m) / s;
    p = below * at(m, m + 1) + own * (own / s) + shifts.im * (shifts.im / s);
    q = below * (at(m, m) + at(m + 1, m + 1) - 2 * shifts.re);
    r = below * at(m + 2, m + 1);
    const sum = Math.abs(p) + Math.abs(q) + Math.abs(r);
    [p, q, r] = [p / sum, q / sum, r / sum];
    if (m === l) break;
    const near = Math.abs(at(m - 1, m - 1)) + Math.abs(at(m, m)) + Math.abs(at(m + 1, m + 1));
    if (Math.abs(at(m, m - 1)) * (Math.abs(q) + Math.abs(r)) <= Number.EPSILON * Math.abs(p) * near) break;
  }
  for (let i = m + 2; i <= n; i++) {
    h[i * size + i - 2] = 0;
    if (i > m + 2) h[i * size + i - 3] = 0;
  }
  // Without vectors nobody asks for what lies outside of the active block.
  const [top, right] = z === null ? [l, n + 1] : [0, size];
  for (let k = m; k < n; k++) {
    const inner = k !== n - 1;
    if (k !== m) {
      p = at(k, k - 1);
      q = at(k + 1, k - 1);
      r = inner ? at(k + 2, k - 1) : 0;
      x = Math.abs(p) + Math.abs(q) + Math.abs(r);
      if (x === 0) continue;
      [p, q, r] = [p / x, q / x, r / x];
    }
    const s = p < 0 ? -Math.hypot(p, q, r) : Math.hypot(p, q, r);
    if (s === 0) continue;
    if (k !== m) h[k * size + k - 1] = -s * x;
    else if (l !== m) h[k * size + k - 1] *= -1;
    p += s;
    x = p / s;
    q /= p;
    r /= p;
    // Of the last step's two rows the second stands for a third one, with the factor zero.
    const far = inner ? 2 : 1;
    reflectThree(h, k * size + k, size, far * size, 1, right - k, x, q, r);
    reflectThree(h, top * size + k, 1, far, size, Math.min(n, k + 3) + 1 - top, x, q, r);
    if (z !== null) reflectThree(z, k * size, size, far * size, 1, size, x, q, r);
  }
}

/** Each of count triples (at, at + second, at + third), `step` apart: less t (1, q, r) times its product with (1, q, r). */
function reflectThree(
  a: Float64Array,
  at: number,
  second: number,
  third: number,
  step: number,
  count: number,
  t: number,
  q: number,
  r: number,
): void {
  for (let c = 0, i = at; c < count; c++, i += step) {
    const along = t * (a[i] + q * a[i + second] + r * a[i + third]);
    a[i] -= along;
    a[i + second] -= along * q;
    a[i + third] -= along * r;
  }
}

/** Back substitution in the triangle: columns of `h` become its eigenvectors. */
function vectorsOf(h: Float64Array, size: number, re: Float64Array, im: Float64Array, norm: number): void {
  const at = (i: number, j: number): number => h[i * size + j];
  const least = Number.EPSILON * (norm || 1);
  /** The vector that is being found, and its imaginary part. */
  const [x, y] = [new Float64Array(size), new Float64Array(size)];
  const sum = (i: number, from: number, to: number, v: Float64Array): number => {
    let total = 0;
    for (let j = from, row = i * size; j <= to; j++) total += h[row + j] * v[j];
    return total;
  };
  const rescale = (from: number, to: number): void => {
    const by = Math.max(Math.abs(x[from]), Math.abs(y[from]));
    if (by < 1e100) return;
    for (let j = from; j <= to; j++) {
      x[j] /= by;
      y[j] /= by;
    }
  };
  for (let n = size - 1; n >= 0; n--) {
    const [p, q] = [re[n], im[n]];
    x.fill(0);
    y.fill(0);
    if (q === 0) {
      let l = n;
      let [below, rest] = [0, 0];
      x[n] = 1;
      for (let i = n - 1; i >= 0; i--) {
        const w = at(i, i) - p;
        const r = sum(i, l, n, x);
        if (im[i] < 0) {
          below = w;
          rest = r;
          continue;
        }
        l = i;
        if (im[i] === 0) x[i] = -r / (w === 0 ? least : w);
        else {
          const [a, b] = [at(i, i + 1), at(i + 1, i)];
          const t = (a * rest - below * r) / ((re[i] - p) ** 2 + im[i] ** 2);
          x[i] = t;
          x[i + 1] = Math.abs(a) > Math.abs(below) ? (-r - w * t) / a : (-rest - b * t) / below;
        }
        rescale(i, n);
      }
      for (let i = 0; i < size; i++) h[i * size + n] = x[i];
      continue;
    }
    let l = n - 1;
    const set = (i: number, [a, b]: readonly [number, number]): void => {
      x[i] = a;
      y[i] = b;
    };
    if (Math.abs(at(n, n - 1)) > Math.abs(at(n - 1, n))) {
      set(n - 1, [q / at(n, n - 1), -(at(n, n) - p) / at(n, n - 1)]);
    } else set(n - 1, quotient(0, -at(n - 1, n), at(n - 1, n - 1) - p, q));
    set(n, [0, 1]);
    let [below, r, s] = [0, 0, 0];
    for (let i = n - 2; i >= 0; i--) {
      const ra = sum(i, l, n, x);
      const sa = sum(i, l, n, y);
      const w = at(i, i) - p;
      if (im[i] < 0) {
        [below, r, s] = [w, ra, sa];
        continue;
      }
      l = i;
      if (im[i] === 0) set(i, quotient(-ra, -sa, w, q));
      else {
        const [a, b] = [at(i, i + 1), at(i + 1, i)];
        let vr = (re[i] - p) ** 2 + im[i] ** 2 - q * q;
        const vi = (re[i] - p) * 2 * q;
        if (vr === 0 && vi === 0) vr = least * (Math.abs(w) + Math.abs(q) + Math.abs(a) + Math.abs(b) + Math.abs(below));
        set(i, quotient(a * r - below * ra + q * sa, a * s - below * sa - q * ra, vr, vi));
        if (Math.abs(a) > Math.abs(below) + Math.abs(q)) {
          set(i + 1, [(-ra - w * x[i] + q * y[i]) / a, (-sa - w * y[i] - q * x[i]) / a]);
        } else set(i + 1, quotient(-r - b * x[i], -s - b * y[i], below, q));
      }
      rescale(i, n);
    }
    for (let i = 0; i < size; i++) {
      h[i * size + n - 1] = x[i];
      h[i * size + n] = y[i];
    }
    n--;
  }
}
