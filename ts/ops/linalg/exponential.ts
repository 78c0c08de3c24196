/** The exponential of one matrix: scaling and squaring around Padé's approximant of order 13 (Higham 2005). */

import { factorLU, solveLU } from "./elimination.ts";
import { copyOf, multiply, scaleAll, zeros, type Numbers } from "./numbers.ts";

const PADE = [
  64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600, 670442572800,
  33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
];
/** The 1-norm up to which the approximant is exact to rounding. */
const RADIUS = 5.371920351148152;

export function exponential(given: Numbers, n: number): Numbers {
  const complex = given.im !== null;
  let norm = 0;
  for (let j = 0; j < n; j++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += Math.hypot(given.re[i * n + j], given.im?.[i * n + j] ?? 0);
    norm = Number.isNaN(sum) ? NaN : Math.max(norm, sum);
  }
  if (!Number.isFinite(norm)) {
    const none = zeros(n * n, complex);
    none.re.fill(NaN);
    none.im?.fill(NaN);
    return none;
  }
  const squarings = Math.max(0, Math.ceil(Math.log2(norm / RADIUS)));
  const a = copyOf(given);
  scaleAll(a, 2 ** -squarings);
  const times = (x: Numbers, y: Numbers): Numbers => multiply(x, y, n, n, n);
  const a2 = times(a, a);
  const a4 = times(a2, a2);
  const a6 = times(a4, a2);
  /** c0 I + c1 A^2 + c2 A^4 + c3 A^6, onto `to`. */
  const combine = (to: Numbers, c0: number, c1: number, c2: number, c3: number): Numbers => {
    const plane = (x: Float64Array, p: Float64Array, q: Float64Array, r: Float64Array): void => {
      for (let i = 0; i < x.length; i++) x[i] += c1 * p[i] + c2 * q[i] + c3 * r[i];
    };
    plane(to.re, a2.re, a4.re, a6.re);
    if (to.im !== null) plane(to.im, a2.im!, a4.im!, a6.im!);
    for (let i = 0; i < n; i++) to.re[i * n + i] += c0;
    return to;
  };
  const high = (from: number): Numbers =>
    times(a6, combine(zeros(n * n, complex), 0, PADE[from], PADE[from + 2], PADE[from + 4]));
  const odd = times(a, combine(high(9), PADE[1], PADE[3], PADE[5], PADE[7]));
  const even = combine(high(8), PADE[0], PADE[2], PADE[4], PADE[6]);
  const plus = (sign: number): Numbers => ({
    re: even.re.map((x, i) => x + sign * odd.re[i]),
    im: even.im === null ? null : even.im.map((x, i) => x + sign * odd.im![i]),
  });
  let out = plus(1);
  const denominator = plus(-1);
  const pivots = new Int32Array(n);
  factorLU(denominator, n, n, pivots, true);
  solveLU(denominator, n, pivots, out, n, "");
  for (let i = 0; i < squarings; i++) out = times(out, out);
  return out;
}
