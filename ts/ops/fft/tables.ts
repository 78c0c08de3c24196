/** Roots of unity: computed in float64, kept on each device in the type that transforms use them in. */

import type { Device } from "../../core/device.ts";
import type { DType } from "../../core/dtype.ts";
import type { Tensor } from "../../core/tensor.ts";
import { keep } from "../../engine/memory.ts";
import { tensor } from "../creation.ts";

/** 1 for the inverse transform, -1 for the forward one: the sign of the exponent. */
export type Sign = 1 | -1;

/** How many numbers a device keeps; beyond, those longest unused go. */
const CAPACITY = 1 << 23;

interface Store {
  readonly tables: Map<string, Tensor>;
  size: number;
}
const stores = new WeakMap<Device, Store>();

function cached(device: Device, dtype: DType, key: string, shape: readonly number[], make: () => Float64Array): Tensor {
  let store = stores.get(device);
  if (store === undefined) stores.set(device, (store = { tables: new Map(), size: 0 }));
  const full = `${dtype.code}/${key}`;
  const known = store.tables.get(full);
  if (known !== undefined && !known._storage.disposed) {
    store.tables.delete(full);
    store.tables.set(full, known);
    return known;
  }
  const table = keep(tensor(make(), { dtype, device }).view(...shape));
  store.tables.set(full, table);
  store.size += table.numel();
  for (const [old, t] of store.tables) {
    if (store.size <= CAPACITY || old === full) break;
    store.tables.delete(old);
    t._storage.kept = false;
    store.size -= t.numel();
  }
  return table;
}

/** e^(i sign 2π k / n) of whole k, by the octant, so that multiples of a quarter turn are exact. */
function root(k: number, n: number, sign: Sign): readonly [number, number] {
  const at = 8 * (k % n);
  const octant = Math.floor(at / n);
  const past = at - octant * n;
  const angle = ((Math.PI / 4) * (octant % 2 === 0 ? past : n - past)) / n;
  const [near, far] = [Math.cos(angle), Math.sin(angle)];
  const [c, s] = [
    [near, far],
    [far, near],
    [-far, near],
    [-near, far],
    [-near, -far],
    [-far, -near],
    [far, -near],
    [near, -far],
  ][octant] as [number, number];
  return [c, sign * s];
}

/** The matrix [2n, 2n] that takes n real parts over n imaginary ones to those of their transform. */
export function matrixOf(n: number, sign: Sign, dtype: DType, device: Device): Tensor {
  return cached(device, dtype, `matrix/${n}/${sign}`, [2 * n, 2 * n], () => {
    const out = new Float64Array(4 * n * n);
    for (let k = 0; k < n; k++) {
      for (let j = 0; j < n; j++) {
        const [c, s] = root(j * k, n, sign);
        out[k * 2 * n + j] = out[(n + k) * 2 * n + n + j] = c;
        out[k * 2 * n + n + j] = -s;
        out[(n + k) * 2 * n + j] = s;
      }
    }
    return out;
  });
}

export interface Factors {
  readonly re: Tensor;
  readonly im: Tensor;
}

function factors(
  device: Device,
  dtype: DType,
  key: string,
  shape: readonly number[],
  make: (which: 0 | 1) => Float64Array,
): Factors {
  const of = (which: 0 | 1): Tensor => cached(device, dtype, `${key}/${which}`, shape, () => make(which));
  return { re: of(0), im: of(1) };
}

/** [rows, columns, 1]: between transforms over rows and over columns. */
export function twiddles(rows: number, columns: number, sign: Sign, dtype: DType, device: Device): Factors {
  return factors(device, dtype, `twiddle/${rows}/${columns}/${sign}`, [rows, columns, 1], (which) => {
    const out = new Float64Array(rows * columns);
    for (let k = 0; k < rows; k++) {
      for (let j = 0; j < columns; j++) out[k * columns + j] = root(j * k, rows * columns, sign)[which];
    }
    return out;
  });
}

/** e^(i sign π j² / n), the square taken modulo 2n so that it stays exact. */
const chirpAt = (j: number, n: number, sign: Sign): readonly [number, number] => {
  const square = Number((BigInt(j) * BigInt(j)) % BigInt(2 * n));
  return root(square, 2 * n, sign);
};

/** [n, 1]. */
export function chirp(n: number, sign: Sign, dtype: DType, device: Device): Factors {
  return factors(device, dtype, `chirp/${n}/${sign}`, [n, 1], (which) =>
    Float64Array.from({ length: n }, (_, j) => chirpAt(j, n, sign)[which]),
  );
}

/** [m, 1]: the transform of the opposite chirp around 0, over m, a power of two: what to multiply with to convolve with that chirp. */
export function chirpSpectrum(n: number, m: number, sign: Sign, dtype: DType, device: Device): Factors {
  let made: readonly [Float64Array, Float64Array] | null = null;
  return factors(device, dtype, `spectrum/${n}/${m}/${sign}`, [m, 1], (which) => {
    if (made === null) {
      const [re, im] = [new Float64Array(m), new Float64Array(m)];
      for (let j = 0; j < n; j++) {
        const [c, s] = chirpAt(j, n, sign === 1 ? -1 : 1);
        re[j] = re[(m - j) % m] = c / m;
        im[j] = im[(m - j) % m] = s / m;
      }
      made = hostTransform(re, im);
    }
    return made[which];
  });
}

/**
 * What half of a Hermitian spectrum of n numbers counts for: the other half adds the conjugates of all but the first number, and the middle one
 * where there is one, which makes twice the real part.
 */
export function weightsOfHalf(n: number, dtype: DType, device: Device): Tensor {
  const size = Math.floor(n / 2) + 1;
  return cached(device, dtype, `half/${n}`, [size], () =>
    Float64Array.from({ length: size }, (_, k) => (k === 0 || 2 * k === n ? 1 : 2)),
  );
}

/** The forward transform of a power of two of numbers, on the host. */
function hostTransform(re: Float64Array, im: Float64Array): readonly [Float64Array, Float64Array] {
  const n = re.length;
  if (n === 1) return [re, im];
  const half = n / 2;
  const pick = (x: Float64Array, odd: number): Float64Array => Float64Array.from({ length: half }, (_, j) => x[2 * j + odd]!);
  const [a, b] = hostTransform(pick(re, 0), pick(im, 0));
  const [p, q] = hostTransform(pick(re, 1), pick(im, 1));
  const [x, y] = [new Float64Array(n), new Float64Array(n)];
  for (let k = 0; k < half; k++) {
    const [c, s] = root(k, n, -1);
    const [u, v] = [c * p[k]! - s * q[k]!, c * q[k]! + s * p[k]!];
    x[k] = a[k]! + u;
    y[k] = b[k]! + v;
    x[k + half] = a[k]! - u;
    y[k + half] = b[k]! - v;
  }
  return [x, y];
}
