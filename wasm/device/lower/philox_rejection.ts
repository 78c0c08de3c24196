/** Poisson, binomial and gamma numbers by the formulas of gpu/scalar/rejection.ts, which says whose they are. */

import { type Bits, exponential, normals, uniformOf } from "./philox_numbers.ts";

/** The four words of an element's block number `round`. */
export type Draw = (round: number) => readonly Bits[];

const MOST_ROUNDS = 128;
const MOST_INVERTED = 110;
const leastOf = (double: boolean): number => (double ? 2 ** -54 : 2 ** -25);

/** x log(x / mean) + mean - x. */
function deviance(x: number, mean: number): number {
  const d = (x - mean) / mean;
  if (Math.abs(d) >= 0.1) return mean * (x === 0 ? 1 : (d + 1) * Math.log1p(d) - d);
  // (1 + d) log(1 + d) - d cancels near 0.
  let series = 0;
  for (let i = 13; i >= 0; i--) series = series * d + (i % 2 === 0 ? 1 : -1) / ((i + 1) * (i + 2));
  return mean * d * d * series;
}

/** log(k!) - (k log k - k). */
function stirling(k: number): number {
  if (k < 0.5) return 0;
  const inverse = 1 / k;
  const ii = inverse * inverse;
  const tail = inverse * (ii * (ii * (ii * (-1 / 1680) + 1 / 1260) - 1 / 360) + 1 / 12);
  return Math.log(k) * 0.5 + 0.9189385332046727 + tail;
}

/** The least k at which the running sum of probabilities exceeds u. */
function invert(u: number, p0: number, ratio: (k: number) => number, most: number): number {
  let [k, p, rest] = [0, p0, u];
  while (rest >= p && k < most) {
    rest -= p;
    k++;
    p *= ratio(k);
  }
  return k;
}

/** What `attempt` accepts of the words of one block after the other; null asks for the next. */
function rounds(draw: Draw, otherwise: number, attempt: (words: readonly Bits[]) => number | null): number {
  for (let round = 0; round <= MOST_ROUNDS; round++) {
    const value = attempt(draw(round));
    if (value !== null) return value;
  }
  return otherwise;
}

export function poisson(mean: number, draw: Draw, double: boolean): number {
  if (mean === 0) return 0;
  if (!(mean > 0)) return NaN;
  if (mean < 10) return invert(uniformOf(draw(0)[0]!), Math.exp(-mean), (k) => mean / k, MOST_INVERTED);
  const least = leastOf(double);
  const width = Math.sqrt(mean) * 2.53 + 0.931;
  const a = width * 0.02483 - 0.059;
  const logAlpha = Math.log(1.1328 / (width - 3.4) + 1.1239);
  const sure = 0.9277 - 3.6224 / (width - 2);
  return rounds(draw, Math.round(mean), ([first, second]) => {
    const u = uniformOf(first!) - 0.5;
    const v = uniformOf(second!);
    const us = Math.max(0.5 - Math.abs(u), least);
    const k = Math.floor(((2 * a) / us + width) * u + mean + 0.43);
    if (us >= 0.07 && v <= sure) return k;
    if (k < 0 || (us < 0.013 && v > us)) return null;
    const left = Math.log(Math.max(v, least / 2)) + logAlpha - Math.log(a / (us * us) + width);
    return left <= -(deviance(k, mean) + stirling(k)) ? k : null;
  });
}

export function binomial(count: number, probability: number, draw: Draw, double: boolean): number {
  if (Number.isNaN(probability) || Number.isNaN(count)) return NaN;
  const flipped = probability > 0.5;
  const p = flipped ? 1 - probability : probability;
  const drawn = count > 0 && p > 0 ? binomialOf(count, p, draw, leastOf(double)) : 0;
  return flipped ? Math.max(count, 0) - drawn : drawn;
}

function binomialOf(count: number, p: number, draw: Draw, least: number): number {
  const mean = count * p;
  if (mean < 10) {
    const odds = p / (1 - p);
    const ratio = (k: number): number => (odds * (count - k + 1)) / k;
    return invert(uniformOf(draw(0)[0]!), Math.exp(count * Math.log1p(-p)), ratio, Math.min(count, MOST_INVERTED));
  }
  const q = 1 - p;
  const deviation = Math.sqrt(mean * q);
  const width = deviation * 2.53 + 1.15;
  const a = width * 0.0248 - 0.0873 + p * 0.01;
  const sure = 0.92 - 4.2 / width;
  const alpha = (5.1 / width + 2.83) * deviation;
  const mode = Math.floor((count + 1) * p);
  const logp = (k: number): number => {
    const rest = count - k;
    return -(stirling(k) + stirling(rest) + deviance(k, mean) + deviance(rest, count * q));
  };
  const most = logp(mode);
  return rounds(draw, mode, ([first, second]) => {
    const u = uniformOf(first!) - 0.5;
    const v = uniformOf(second!);
    const us = Math.max(0.5 - Math.abs(u), least);
    const k = Math.floor(((2 * a) / us + width) * u + mean + 0.5);
    if (k < 0 || k > count) return null;
    if (us >= 0.07 && v <= sure) return k;
    return Math.log((Math.max(v, least / 2) * alpha) / (a / (us * us) + width)) <= logp(k) - most ? k : null;
  });
}

export function gamma(shape: number, draw: Draw): number {
  if (Number.isNaN(shape) || shape < 0) return NaN;
  if (shape === 0) return 0;
  const d = (shape < 1 ? shape + 1 : shape) - 1 / 3;
  const c = 1 / Math.sqrt(9 * d);
  return rounds(draw, 0, (words) => {
    const [x] = normals(words[0]!, words[1]!);
    const y = c * x + 1;
    if (y <= 0) return null;
    const v = y * y * y;
    if (!(-exponential(words[2]!) < 0.5 * x * x + d * (1 - v + Math.log(v)))) return null;
    // A gamma number of shape a is one of shape a + 1 times u^(1 / a).
    return d * v * (shape < 1 ? Math.exp(-exponential(words[3]!) / shape) : 1);
  });
}
