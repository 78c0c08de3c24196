/** The exponential of one matrix in row-major float64: scaling and squaring around Padé's approximant of order 13 (Higham 2005). */

import { factorLU, solveLU } from "./elimination.ts";
import { multiply } from "./reflections.ts";

const PADE = [
  64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000, 10559470521600, 670442572800,
  33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
];
/** The 1-norm up to which the approximant is exact to rounding. */
const RADIUS = 5.371920351148152;

export function exponential(given: Float64Array, n: number): Float64Array {
  let norm = 0;
  for (let j = 0; j < n; j++) {
    let sum = 0;
    for (let i = 0; i < n; i++) sum += Math.abs(given[i * n + j]);
    norm = Number.isNaN(sum) ? NaN : Math.max(norm, sum);
  }
  if (!Number.isFinite(norm)) return new Float64Array(n * n).fill(NaN);
  const squarings = Math.max(0, Math.ceil(Math.log2(norm / RADIUS)));
  const a = given.map((x) => x / 2 ** squarings);
  const times = (x: Float64Array, y: Float64Array): Float64Array => multiply(x, y, n, n, n);
  const a2 = times(a, a);
  const a4 = times(a2, a2);
  const a6 = times(a4, a2);
  /** c0 I + c1 A^2 + c2 A^4 + c3 A^6, onto `to`. */
  const combine = (to: Float64Array, c0: number, c1: number, c2: number, c3: number): Float64Array => {
    for (let i = 0; i < to.length; i++) to[i] += c1 * a2[i] + c2 * a4[i] + c3 * a6[i];
    for (let i = 0; i < n; i++) to[i * n + i] += c0;
    return to;
  };
  const high = (from: number): Float64Array =>
    times(a6, combine(new Float64Array(n * n), 0, PADE[from], PADE[from + 2], PADE[from + 4]));
  const odd = times(a, combine(high(9), PADE[1], PADE[3], PADE[5], PADE[7]));
  const even = combine(high(8), PADE[0], PADE[2], PADE[4], PADE[6]);
  let out: Float64Array = even.map((x, i) => x + odd[i]);
  const denominator = even.map((x, i) => x - odd[i]);
  const pivots = new Int32Array(n);
  factorLU(denominator, n, n, pivots, true);
  solveLU(denominator, n, pivots, out, n, false);
  for (let i = 0; i < squarings; i++) out = times(out, out);
  return out;
}
