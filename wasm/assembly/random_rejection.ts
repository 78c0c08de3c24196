/** Distributions that are sampled by rejection, as PyTorch's Distributions.h does it, draw by draw. */

import { Engine, nextDouble, nextNormal } from "./random_engine";

/** ln(k!) for whole k >= 0. */
function logFactorial(k: f64): f64 {
  let x = k + 1.0;
  let product = 1.0;
  while (x < 15.0) {
    product *= x;
    x += 1.0;
  }
  const y = 1.0 / (x * x);
  const tail = (1.0 / 12 - y * (1.0 / 360 - y * (1.0 / 1260 - y * (1.0 / 1680)))) / x;
  return (x - 0.5) * Math.log(x) - x + 0.9189385332046727 + tail - Math.log(product);
}

export function poisson(e: Engine, lambda: f64): f64 {
  if (lambda >= 10) {
    // Transformed rejection (Hörmann 1993).
    const slam = Math.sqrt(lambda);
    const loglam = Math.log(lambda);
    const b = 0.931 + 2.53 * slam;
    const a = -0.059 + 0.02483 * b;
    const invalpha = 1.1239 + 1.1328 / (b - 3.4);
    const vr = 0.9277 - 3.6224 / (b - 2);
    while (true) {
      const u = nextDouble(e) - 0.5;
      const v = nextDouble(e);
      const us = 0.5 - Math.abs(u);
      const k = Math.floor(((2 * a) / us + b) * u + lambda + 0.43);
      if (us >= 0.07 && v <= vr) return k;
      if (k < 0 || (us < 0.013 && v > us)) continue;
      if (Math.log(v) + Math.log(invalpha) - Math.log(a / (us * us) + b) <= -lambda + k * loglam - logFactorial(k)) return k;
    }
  }
  if (!(lambda > 0)) return lambda == 0 ? 0 : NaN;
  const limit = Math.exp(-lambda);
  let k: f64 = 0;
  let product: f64 = 1;
  while (true) {
    product *= nextDouble(e);
    if (product <= limit) return k;
    k += 1;
  }
}

export function binomial(e: Engine, count: f64, p: f64): f64 {
  if (count <= 0 || p <= 0) return 0;
  if (p >= 1) return count;
  if (p <= 0.5) return count * p >= 10 ? binomialByRejection(e, count, p) : binomialByInversion(e, count, p);
  if (p != p) return NaN;
  const q = 1.0 - p;
  return count - (count * q >= 10 ? binomialByRejection(e, count, q) : binomialByInversion(e, count, q));
}

/** Counts how many geometric waiting times fit. */
function binomialByInversion(e: Engine, count: f64, p: f64): f64 {
  const logq = Math.log1p(-p);
  let sum: f64 = 0;
  let n: f64 = 0;
  while (true) {
    sum += Math.ceil(Math.log(nextDouble(e)) / logq);
    if (sum > count) return n;
    n += 1;
  }
}

const TAILS: StaticArray<f64> = [
  0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509, 0.0166446911898211, 0.0138761288230707,
  0.0118967099458917, 0.010411265261972, 0.00925546218271273, 0.00833056343336287,
];

function stirlingTail(k: f64): f64 {
  if (k < 10) return unchecked(TAILS[<i32>k]);
  const x = (k + 1) * (k + 1);
  return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / x) / x) / (k + 1);
}

/** Hörmann's BTRS. */
function binomialByRejection(e: Engine, count: f64, p: f64): f64 {
  const deviation = Math.sqrt(count * p * (1 - p));
  const b = 1.15 + 2.53 * deviation;
  const a = -0.0873 + 0.0248 * b + 0.01 * p;
  const c = count * p + 0.5;
  const vr = 0.92 - 4.2 / b;
  const r = p / (1 - p);
  const alpha = (2.83 + 5.1 / b) * deviation;
  const m = Math.floor((count + 1) * p);
  while (true) {
    const u = nextDouble(e) - 0.5;
    let v = nextDouble(e);
    const us = 0.5 - Math.abs(u);
    const k = Math.floor(((2 * a) / us + b) * u + c);
    if (k < 0 || k > count) continue;
    if (us >= 0.07 && v <= vr) return k;
    v = Math.log((v * alpha) / (a / (us * us) + b));
    const bound =
      (m + 0.5) * Math.log((m + 1) / (r * (count - m + 1))) +
      (count + 1) * Math.log((count - m + 1) / (count - k + 1)) +
      (k + 0.5) * Math.log((r * (count - k + 1)) / (k + 1)) +
      stirlingTail(m) +
      stirlingTail(count - m) -
      stirlingTail(k) -
      stirlingTail(count - k);
    if (v <= bound) return k;
  }
}

/** Marsaglia and Tsang (2000), boosted for alpha below 1. */
export function gamma(e: Engine, alpha: f64): f64 {
  let scale: f64 = 1;
  if (alpha < 1) {
    if (alpha == 0) return 0;
    scale *= Math.pow(1 - nextDouble(e), 1.0 / alpha);
    alpha += 1.0;
  }
  const d = alpha - 1.0 / 3.0;
  const c = 1.0 / Math.sqrt(9.0 * d);
  while (true) {
    let x: f64;
    let y: f64;
    do {
      x = nextNormal(e);
      y = 1.0 + c * x;
    } while (y <= 0);
    const v = y * y * y;
    const u = 1 - nextDouble(e);
    const xx = x * x;
    // PyTorch writes this constant in float32.
    if (u < 1.0 - <f64>(<f32>0.0331) * xx * xx) return scale * d * v;
    if (Math.log(u) < 0.5 * xx + d * (1.0 - v + Math.log(v))) return scale * d * v;
  }
}
