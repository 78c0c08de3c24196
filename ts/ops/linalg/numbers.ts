/**
 * The numbers of matrices on the host, row-major in float64, real or complex. All factorisations are written once for both: what is long is
 * done on rows by the functions here, and those of complex rows are a few of real ones.
 */

/** Of one matrix or a batch; `im` is null where all are real. */
export interface Numbers {
  readonly re: Float64Array;
  readonly im: Float64Array | null;
}

export function zeros(count: number, complex: boolean): Numbers {
  return { re: new Float64Array(count), im: complex ? new Float64Array(count) : null };
}

/** From `from` up to `to`: a view of the memory. */
export function slice({ re, im }: Numbers, from: number, to: number): Numbers {
  return { re: re.subarray(from, to), im: im === null ? null : im.subarray(from, to) };
}

/** Matrix `index` of a batch of matrices of `size` elements each: a view of the memory. */
export const partOf = (all: Numbers, index: number, size: number): Numbers => slice(all, index * size, (index + 1) * size);

export function copyOf({ re, im }: Numbers): Numbers {
  return { re: re.slice(), im: im === null ? null : im.slice() };
}

/** `from`'s numbers from `at` on. Real ones may go to a complex place. */
export function put(to: Numbers, at: number, from: Numbers): void {
  to.re.set(from.re, at);
  if (to.im === null) return;
  if (from.im === null) to.im.fill(0, at, at + from.re.length);
  else to.im.set(from.im, at);
}

export const realNumbers = (re: Float64Array): Numbers => ({ re, im: null });

/** The identity, m x n. */
export function identityOf(m: number, n: number, complex: boolean): Numbers {
  const out = zeros(m * n, complex);
  for (let i = 0; i < Math.min(m, n); i++) out.re[i * n + i] = 1;
  return out;
}

export function allFinite({ re, im }: Numbers): boolean {
  for (const x of re) if (!Number.isFinite(x)) return false;
  if (im !== null) for (const x of im) if (!Number.isFinite(x)) return false;
  return true;
}

export function scaleAll({ re, im }: Numbers, by: number): void {
  for (let i = 0; i < re.length; i++) re[i] *= by;
  if (im !== null) for (let i = 0; i < im.length; i++) im[i] *= by;
}

/**
 * c += sign * sum over p of a_p b_p, c and b_p being rows of `width` real numbers. a_p is a[at + p * step], b_p begins at from + p * stride.
 * Four rows at once, so that c is read and written a quarter as often: the inner loop of everything.
 */
export function addRealRows(
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
  sign: number,
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
  for (; p + 2 <= count; p += 2) {
    const w = sign * a[at + p * step];
    const x = sign * a[at + (p + 1) * step];
    const d = from + p * stride;
    const e = d + stride;
    for (let j = 0; j < width; j++) c[to + j] += w * b[d + j] + x * b[e + j];
  }
  if (p === count) return;
  const w = sign * a[at + p * step];
  const d = from + p * stride;
  for (let j = 0; j < width; j++) c[to + j] += w * b[d + j];
}

/** The same for numbers of any kind; `conjugate`: by the conjugates of a. What is complex is added to what is complex. */
export function addRows(
  c: Numbers,
  to: number,
  width: number,
  a: Numbers,
  at: number,
  step: number,
  count: number,
  b: Numbers,
  from: number,
  stride: number,
  sign: 1 | -1,
  conjugate = false,
): void {
  addRealRows(c.re, to, width, a.re, at, step, count, b.re, from, stride, sign);
  if (c.im === null) return;
  const turn = conjugate ? -sign : sign;
  if (b.im !== null) addRealRows(c.im, to, width, a.re, at, step, count, b.im, from, stride, sign);
  if (a.im === null) return;
  addRealRows(c.im, to, width, a.im, at, step, count, b.re, from, stride, turn);
  if (b.im !== null) addRealRows(c.re, to, width, a.im, at, step, count, b.im, from, stride, -turn);
}

/** a b: m x k by k x n, or with `adjoint` a^H b, where a is k x m. */
export function multiply(a: Numbers, b: Numbers, m: number, k: number, n: number, adjoint = false): Numbers {
  const c = zeros(m * n, a.im !== null || b.im !== null);
  const [row, step] = adjoint ? [1, m] : [k, 1];
  // As many columns at a time as stay in the cache while all rows of a pass by.
  const block = 128;
  for (let from = 0; from < n; from += block) {
    const width = Math.min(block, n - from);
    for (let i = 0; i < m; i++) addRows(c, i * n + from, width, a, i * row, step, k, b, from, n, 1, adjoint);
  }
  return c;
}

/** The transposed matrix, n x m, of a, m x n; `conjugate`: its adjoint. */
export function transpose({ re, im }: Numbers, m: number, n: number, conjugate = false): Numbers {
  const turned = (a: Float64Array, sign: number): Float64Array => {
    const b = new Float64Array(m * n);
    for (let i = 0; i < m; i++) for (let j = 0; j < n; j++) b[j * m + i] = sign * a[i * n + j];
    return b;
  };
  return { re: turned(re, 1), im: im === null ? null : turned(im, conjugate ? -1 : 1) };
}

/** count numbers from `at` on, `step` apart, times x + iy. */
export function scaleRow({ re, im }: Numbers, at: number, step: number, count: number, x: number, y: number): void {
  for (let k = 0, i = at; k < count; k++, i += step) {
    const p = re[i];
    if (im === null) {
      re[i] = p * x;
      continue;
    }
    const q = im[i];
    re[i] = p * x - q * y;
    im[i] = p * y + q * x;
  }
}

/** (a + ib) / (c + id) by Smith's way, which neither overflows nor vanishes where the quotient does not. */
export function quotient(a: number, b: number, c: number, d: number): readonly [re: number, im: number] {
  if (d === 0) return [a / c, b / c];
  if (Math.abs(c) >= Math.abs(d)) {
    const ratio = d / c;
    const by = c + d * ratio;
    return [(a + b * ratio) / by, (b - a * ratio) / by];
  }
  const ratio = c / d;
  const by = c * ratio + d;
  return [(a * ratio + b) / by, (b * ratio - a) / by];
}

/** count numbers from `at` on, divided by x + iy. */
export function divideRow(a: Numbers, at: number, step: number, count: number, x: number, y: number): void {
  const { re, im } = a;
  for (let k = 0, i = at; k < count; k++, i += step) {
    if (im === null) re[i] /= x;
    else [re[i], im[i]] = quotient(re[i], im[i], x, y);
  }
}

/** What LAPACK calls cabs1. */
export const sizeAt = ({ re, im }: Numbers, i: number): number => Math.abs(re[i]) + (im === null ? 0 : Math.abs(im[i]));

/** The length of x[from], x[from + step], ... (count of them), safe from overflow. */
export function length({ re, im }: Numbers, from: number, step: number, count: number): number {
  let [scale, sum] = [0, 1];
  const add = (x: number): void => {
    const size = Math.abs(x);
    if (size === 0) return;
    if (scale < size) {
      sum = 1 + sum * (scale / size) ** 2;
      scale = size;
    } else sum += (size / scale) ** 2;
  };
  let plain = 0;
  for (let k = 0, i = from; k < count; k++, i += step) plain += re[i] * re[i] + (im === null ? 0 : im[i] * im[i]);
  // Far from both ends of the range there is nothing to be careful about.
  if (plain > 1e-200 && plain < 1e200) return Math.sqrt(plain);
  for (let k = 0, i = from; k < count; k++, i += step) {
    add(re[i]);
    if (im !== null) add(im[i]);
  }
  return scale * Math.sqrt(sum);
}

export function swapRows(a: Numbers, width: number, i: number, j: number): void {
  if (i === j) return;
  for (const plane of [a.re, a.im]) {
    if (plane === null) continue;
    const row = plane.slice(i * width, (i + 1) * width);
    plane.copyWithin(i * width, j * width, (j + 1) * width);
    plane.set(row, j * width);
  }
}

/** Turns the real rows i and j by the angle whose cosine and sine are c and s. */
export function rotate(z: Float64Array, width: number, i: number, j: number, c: number, s: number): void {
  const p = i * width;
  const q = j * width;
  for (let k = 0; k < width; k++) {
    const x = z[p + k];
    const y = z[q + k];
    z[p + k] = c * x - s * y;
    z[q + k] = s * x + c * y;
  }
}

/** sum over k < count of a[i + k] b[j + k], or by the conjugates of b. */
export function dot(
  a: Numbers,
  i: number,
  b: Numbers,
  j: number,
  count: number,
  conjugate: boolean,
): readonly [re: number, im: number] {
  const real = (x: Float64Array, y: Float64Array): number => {
    let [p, q] = [0, 0];
    let k = 0;
    // Two sums: one alone would wait for itself.
    for (; k + 2 <= count; k += 2) {
      p += x[i + k] * y[j + k];
      q += x[i + k + 1] * y[j + k + 1];
    }
    return k < count ? p + q + x[i + k] * y[j + k] : p + q;
  };
  if (a.im === null || b.im === null) return [real(a.re, b.re), 0];
  const turn = conjugate ? -1 : 1;
  return [real(a.re, b.re) - turn * real(a.im, b.im), real(a.im, b.re) + turn * real(a.re, b.im)];
}
