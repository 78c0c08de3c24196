/** Whether a result is the corpus's: integers, shapes and types exactly, floats within PyTorch's own tolerance and noise. */

import { elements, type Numbers, type Stored } from "./safetensors.ts";

/** Tolerances allowed where PyTorch's own error is small: the corpus's constant k. */
export const K = 2;

const TOLERANCE: Readonly<Record<string, readonly [absolute: number, relative: number]>> = {
  float64: [1e-7, 1e-7],
  float32: [1e-5, 1.3e-6],
  float16: [1e-5, 1e-3],
  bfloat16: [1e-5, 1.6e-2],
};

export interface Closeness {
  /** PyTorch's own error, in tolerances. */
  readonly noise?: number;
  /** In place of the type's own tolerance, for values that drift. */
  readonly tolerance?: readonly [absolute: number, relative: number];
  /** Bit for bit, but for the sign of zero. */
  readonly exact?: boolean;
}

/** The mismatch in words, or null. */
export function compareTensors(got: Stored, want: Stored, close: Closeness = {}): string | null {
  if (got.dtype !== want.dtype) return `dtype ${got.dtype}, want ${want.dtype}`;
  if (!sameShape(got.shape, want.shape)) return `shape [${got.shape.join(", ")}], want [${want.shape.join(", ")}]`;
  if (got.data.length !== elements(got.shape)) {
    return `${got.data.length} values for shape [${got.shape.join(", ")}]`;
  }
  const tolerance = TOLERANCE[want.dtype];
  if (tolerance === undefined || close.exact === true) return compareExactly(got.data, want.data, want.shape);
  return compareFloats(got.data, want.data, want.shape, close.tolerance ?? tolerance, close);
}

export function sameShape(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((d, i) => d === b[i]);
}

function compareExactly(got: Numbers, want: Numbers, shape: readonly number[]): string | null {
  let wrong = 0;
  let first = -1;
  for (let i = 0; i < want.length; i++) {
    // A library may hand out 64-bit integers as numbers; equal values then still compare equal.
    if (got[i] === want[i] || (typeof got[i] !== typeof want[i] && BigInt(got[i]) === BigInt(want[i]))) continue;
    if (Number.isNaN(got[i]) && Number.isNaN(want[i])) continue;
    if (wrong++ === 0) first = i;
  }
  if (wrong === 0) return null;
  return `${wrong} of ${want.length} values differ, first at ${position(first, shape)}: got ${got[first]}, want ${want[first]}`;
}

function compareFloats(
  got: Numbers,
  want: Numbers,
  shape: readonly number[],
  [absolute, relative]: readonly [number, number],
  { noise = 0 }: Closeness,
): string | null {
  let worst = 0;
  let at = -1;
  for (let i = 0; i < want.length; i++) {
    const g = Number(got[i]);
    const w = Number(want[i]);
    if (g === w) continue;
    const error = errorInTolerances(g, w, absolute, relative);
    if (error > worst) {
      worst = error;
      at = i;
    }
  }
  const allowed = Math.max(K, K * noise);
  if (worst <= allowed) return null;
  const size = worst === Infinity ? "" : `max error ${shortNumber(worst)} tolerances (${shortNumber(allowed)} allowed) `;
  return `${size}at ${position(at, shape)}: got ${got[at]}, want ${want[at]}`;
}

/** Infinity for what no tolerance covers: NaN against a number, unlike infinities. */
export function errorInTolerances(got: number, want: number, absolute: number, relative: number): number {
  if (got === want || (Number.isNaN(got) && Number.isNaN(want))) return 0;
  if (!Number.isFinite(got) || !Number.isFinite(want)) return Infinity;
  return Math.abs(got - want) / (absolute + relative * Math.abs(want));
}

/** Two plain numbers; `tolerance` defaults to that of float64. */
export function compareNumbers(got: number, want: number, tolerance = TOLERANCE.float64): string | null {
  const error = errorInTolerances(got, want, tolerance[0], tolerance[1]);
  return error <= K ? null : `got ${got}, want ${want} (${shortNumber(error)} tolerances)`;
}

function shortNumber(x: number): string {
  return Number(x.toPrecision(3)).toString();
}

function position(index: number, shape: readonly number[]): string {
  const at: number[] = [];
  for (let d = shape.length - 1; d >= 0; d--) {
    at.unshift(index % shape[d]);
    index = Math.floor(index / shape[d]);
  }
  return `[${at.join(", ")}]`;
}
