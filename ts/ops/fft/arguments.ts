/** What transforms are asked for: types, dimensions, sizes, norms. */

import { float32, float64, get_default_dtype, type DType } from "../../core/dtype.ts";
import { IndexError, RuntimeError } from "../../core/errors.ts";
import { formatShape, normalizeDim } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { part } from "../../engine/complex.ts";
import { checkTensor } from "../../engine/signature.ts";
import { constant_pad_nd } from "../functional/padding.ts";
import type { Parts } from "./transform.ts";

export type Norm = "backward" | "ortho" | "forward" | null;
export type Sizes = number | readonly number[] | null;

/** The real type of the parts that a transform of x is computed in. */
function partType(op: string, x: Tensor): DType {
  if (x.dtype.is_complex) return x.dtype.real;
  if (!x.dtype.is_floating_point) return get_default_dtype();
  if (x.dtype === float32 || x.dtype === float64) return x.dtype;
  throw new RuntimeError(`${op}: Unsupported dtype ${x.dtype}; convert the input to float32 or float64`);
}

export function partsOf(op: string, x: unknown): Parts {
  checkTensor(op, "input", x);
  const type = partType(op, x);
  return x.dtype.is_complex ? { re: part(x, 0), im: part(x, 1) } : { re: x.to(type), im: null };
}

export function realOf(op: string, x: unknown): Parts {
  checkTensor(op, "input", x);
  if (x.dtype.is_complex) throw new RuntimeError(`${op}: expects a real input tensor, but got ${x.dtype}`);
  return partsOf(op, x);
}

export function dimOf(op: string, dim: number, ndim: number): number {
  if (ndim === 0) throw new IndexError(`${op}: Dimension specified as ${dim} but tensor has no dimensions`);
  return normalizeDim(op, dim, ndim);
}

/** The number of points of a transform. */
export function checkPoints(op: string, n: number): number {
  if (!Number.isInteger(n) || n < 1) throw new RuntimeError(`${op}: Invalid number of data points (${n}) specified`);
  return n;
}

export interface Plan {
  readonly dims: readonly number[];
  /** In the order of dims; -1: as the input is. */
  readonly sizes: readonly number[];
}

/** The dimensions to transform, and their sizes. */
export function planOf(op: string, { shape }: Tensor, s: Sizes, dim: Sizes): Plan {
  const ndim = shape.length;
  const asked = typeof s === "number" ? [s] : s;
  const given = typeof dim === "number" ? [dim] : dim;
  const dims = given?.map((d) => dimOf(op, d, ndim)) ?? null;
  if (dims !== null && new Set(dims).size < dims.length) {
    throw new RuntimeError(`${op}: FFT dims must be unique, got [${given!.join(", ")}] of ${ndim} dimensions`);
  }
  if (asked === null) {
    const own = dims ?? shape.map((_, d) => d);
    return { dims: own, sizes: own.map(() => -1) };
  }
  if (dims !== null && dims.length !== asked.length) {
    throw new RuntimeError(
      `${op}: When given, dim and shape arguments must have the same length, got ${dims.length} and ${asked.length}`,
    );
  }
  if (asked.length > ndim) {
    throw new RuntimeError(`${op}: Got shape with ${asked.length} values but input tensor only has ${ndim} dimensions.`);
  }
  for (const n of asked) if (n !== -1) checkPoints(op, n);
  return { dims: dims ?? asked.map((_, i) => ndim - asked.length + i), sizes: asked };
}

/** Cut off or filled up with zeros at the end of dim. */
export function resized({ re, im }: Parts, dim: number, n: number): Parts {
  const size = re.shape[dim]!;
  if (n === size) return { re, im };
  const pads = new Array<number>(2 * (re.ndim - dim)).fill(0);
  pads[pads.length - 1] = n - size;
  const fit = (t: Tensor): Tensor => (n < size ? t.narrow(dim, 0, n) : constant_pad_nd(t, pads));
  return { re: fit(re), im: im === null ? null : fit(im) };
}

/** What to multiply the result of a transform over `points` numbers with. */
export function scaleOf(op: string, norm: Norm, points: number, forward: boolean): number {
  switch (norm ?? "backward") {
    case "backward":
      return forward ? 1 : 1 / points;
    case "forward":
      return forward ? 1 / points : 1;
    case "ortho":
      return 1 / Math.sqrt(points);
    default:
      throw new RuntimeError(`${op}: Invalid normalization mode: "${norm}"; expected "backward", "ortho" or "forward"`);
  }
}

/** At least one dimension: what halves a spectrum must know which. */
export function lastOf(op: string, { dims }: Plan, { shape }: Tensor): number {
  if (dims.length === 0)
    throw new RuntimeError(`${op}: must transform at least one axis, got an input of shape ${formatShape(shape)}`);
  return dims.at(-1)!;
}
