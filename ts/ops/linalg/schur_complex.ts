/** Eigenvalues and eigenvectors of one complex Hessenberg matrix by QR steps with Wilkinson's shifts. */

import { multiply, quotient, sizeAt, transpose, zeros, type Numbers } from "./numbers.ts";

type Z = readonly [re: number, im: number];

function squareRoot([a, b]: Z): Z {
  const size = Math.hypot(a, b);
  if (size === 0) return [0, 0];
  const t = Math.sqrt((Math.abs(a) + size) / 2);
  if (a >= 0) return [t, b / (2 * t)];
  return [Math.abs(b) / (2 * t), b < 0 ? -t : t];
}

/** The eigenvalue of h's block in rows i - 1 and i that is nearer to its last element. */
function shiftOf({ re, im }: Numbers, n: number, i: number): Z {
  const at = (r: number, c: number): Z => [re[r * n + c], im![r * n + c]];
  const [a, b, c, d] = [at(i - 1, i - 1), at(i - 1, i), at(i, i - 1), at(i, i)];
  const half: Z = [(a[0] - d[0]) / 2, (a[1] - d[1]) / 2];
  const product: Z = [b[0] * c[0] - b[1] * c[1], b[0] * c[1] + b[1] * c[0]];
  if (product[0] === 0 && product[1] === 0) return d;
  const root = squareRoot([half[0] ** 2 - half[1] ** 2 + product[0], 2 * half[0] * half[1] + product[1]]);
  const sign = half[0] * root[0] + half[1] * root[1] < 0 ? -1 : 1;
  const [x, y] = quotient(product[0], product[1], half[0] + sign * root[0], half[1] + sign * root[1]);
  return [d[0] - x, d[1] - y];
}

/** (x, y) becomes (c x + s y, -conj(s) x + c y) for count pairs of numbers `step` apart, from places i and j on. */
function turn({ re, im }: Numbers, i: number, j: number, step: number, count: number, c: number, [sr, si]: Z): void {
  const p = im!;
  for (let k = 0; k < count; k++, i += step, j += step) {
    const [a, b, x, y] = [re[i], p[i], re[j], p[j]];
    re[i] = c * a + sr * x - si * y;
    p[i] = c * b + sr * y + si * x;
    re[j] = c * x - sr * a - si * b;
    p[j] = c * y - sr * b + si * a;
  }
}

/** `h` becomes triangular, `values` its diagonal, and Q's columns (from that of A = Q H Q^H) eigenvectors of A. Returns 0, or where it did not converge. */
export function complexSchur(h: Numbers, Q: Numbers | null, n: number, values: Numbers): number {
  const { re, im } = h as { re: Float64Array; im: Float64Array };
  const move = (i: number, [x, y]: Z, sign: number): void => {
    re[i * n + i] += sign * x;
    im[i * n + i] += sign * y;
  };
  // Q's transpose follows: rows lie together.
  const z = Q === null ? null : transpose(Q, n, n);
  const turns: [number, Z][] = [];
  let steps = 0;
  for (let end = n - 1; end > 0;) {
    let first = end;
    for (; first > 0; first--) {
      const near = sizeAt(h, first * n + first) + sizeAt(h, (first - 1) * n + first - 1);
      if (sizeAt(h, first * n + first - 1) <= Number.EPSILON * near || sizeAt(h, first * n + first - 1) < 1e-300) break;
    }
    if (first > 0) re[first * n + first - 1] = im[first * n + first - 1] = 0;
    if (first === end) {
      end--;
      steps = 0;
      continue;
    }
    if (++steps > 100) return end + 1;
    const shift: Z =
      steps % 10 === 0 ? [sizeAt(h, end * n + end - 1) + re[end * n + end], im[end * n + end]] : shiftOf(h, n, end);
    for (let i = first; i <= end; i++) move(i, shift, -1);
    // Without vectors nobody asks for what lies outside of the active block.
    const [top, right] = Q === null ? [first, end + 1] : [0, n];
    for (let k = first + 1; k <= end; k++) {
      const [f, g] = [(k - 1) * n + k - 1, k * n + k - 1];
      const [sizeF, sizeG] = [Math.hypot(re[f], im[f]), Math.hypot(re[g], im[g])];
      const r = Math.hypot(sizeF, sizeG);
      const [c, s]: [number, Z] =
        r === 0
          ? [1, [0, 0]]
          : sizeF === 0
            ? [0, [re[g] / sizeG, -im[g] / sizeG]]
            : [
                sizeF / r,
                [
                  ((re[f] / sizeF) * re[g] + (im[f] / sizeF) * im[g]) / r,
                  ((im[f] / sizeF) * re[g] - (re[f] / sizeF) * im[g]) / r,
                ],
              ];
      turns[k] = [c, s];
      turn(h, f, g, 1, right - k + 1, c, s);
      re[g] = im[g] = 0;
    }
    for (let k = first + 1; k <= end; k++) {
      const [c, s] = turns[k];
      const conjugate: Z = [s[0], -s[1]];
      turn(h, top * n + k - 1, top * n + k, n, k + 1 - top, c, conjugate);
      if (z !== null) turn(z, (k - 1) * n, k * n, 1, n, c, conjugate);
    }
    for (let i = first; i <= end; i++) move(i, shift, 1);
  }
  for (let i = 0; i < n; i++) {
    values.re[i] = re[i * n + i];
    values.im![i] = im[i * n + i];
  }
  if (Q !== null) {
    const turned = multiply(transpose(z!, n, n), triangularVectors(h, n), n, n, n);
    Q.re.set(turned.re);
    Q.im!.set(turned.im!);
  }
  return 0;
}

/** Eigenvectors of the upper triangular `t`, in columns. */
function triangularVectors(t: Numbers, n: number): Numbers {
  const { re, im } = t as { re: Float64Array; im: Float64Array };
  let norm = 0;
  for (let i = 0; i < n * n; i++) norm = Math.max(norm, sizeAt(t, i));
  const least = Math.max(Number.EPSILON * norm, 1e-290);
  const out = zeros(n * n, true);
  const [x, y] = [new Float64Array(n), new Float64Array(n)];
  for (let k = 0; k < n; k++) {
    x.fill(0);
    y.fill(0);
    x[k] = 1;
    for (let i = k - 1; i >= 0; i--) {
      let [a, b] = [0, 0];
      for (let j = i + 1; j <= k; j++) {
        const at = i * n + j;
        a -= re[at] * x[j] - im[at] * y[j];
        b -= re[at] * y[j] + im[at] * x[j];
      }
      let [c, d] = [re[i * n + i] - re[k * n + k], im[i * n + i] - im[k * n + k]];
      if (Math.abs(c) + Math.abs(d) < least) [c, d] = [least, 0];
      [x[i], y[i]] = quotient(a, b, c, d);
      const size = Math.abs(x[i]) + Math.abs(y[i]);
      if (size < 1e100) continue;
      for (let j = i; j <= k; j++) {
        x[j] /= size;
        y[j] /= size;
      }
    }
    for (let i = 0; i <= k; i++) {
      out.re[i * n + k] = x[i];
      out.im![i * n + k] = y[i];
    }
  }
  return out;
}
