/** Pure arithmetic on shapes and strides. Strides count elements, not bytes. */

import { IndexError, RuntimeError } from "./errors.ts";

export type Shape = readonly number[];

export function numelOf(shape: Shape): number {
  let n = 1;
  for (let i = 0; i < shape.length; i++) n *= shape[i]!;
  return n;
}

export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length);
  let s = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    strides[i] = s;
    s *= Math.max(shape[i]!, 1);
  }
  return strides;
}

/** Row-major without gaps. Strides of size-1 dimensions are free, and empty tensors are always contiguous. */
export function isContiguous(shape: Shape, strides: Shape): boolean {
  let s = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    const n = shape[i]!;
    if (n === 0) return true;
    if (n !== 1) {
      if (strides[i] !== s) return false;
      s *= n;
    }
  }
  return true;
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a === b) return true;
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

export function formatShape(shape: Shape): string {
  return `[${shape.join(", ")}]`;
}

/** The common shape of two, by NumPy's rule. */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a;
  const n = Math.max(a.length, b.length);
  const out = new Array<number>(n);
  for (let i = 0; i < n; i++) {
    const x = i < n - a.length ? 1 : a[i - n + a.length]!;
    const y = i < n - b.length ? 1 : b[i - n + b.length]!;
    if (x !== y && x !== 1 && y !== 1) {
      throw new RuntimeError(`${op}: shapes ${formatShape(a)} and ${formatShape(b)} do not broadcast (dim ${i}: ${x} vs ${y})`);
    }
    out[i] = x === 1 ? y : x;
  }
  return out;
}

/** Strides with which a tensor of `shape` is read as if it had `target`'s shape (0 where it repeats). */
export function broadcastStrides(shape: Shape, strides: Shape, target: Shape): Shape {
  if (sameShape(shape, target)) return strides;
  const pad = target.length - shape.length;
  const out = new Array<number>(target.length);
  for (let i = 0; i < target.length; i++) {
    out[i] = i < pad || (shape[i - pad] === 1 && target[i] !== 1) ? 0 : strides[i - pad]!;
  }
  return out;
}

/** A dim counted from the end when negative; a 0-d tensor takes 0 and -1. */
export function normalizeDim(op: string, dim: number, ndim: number): number {
  const n = Math.max(ndim, 1);
  if (!Number.isInteger(dim) || dim < -n || dim >= n) {
    throw new IndexError(`${op}: dimension out of range (expected to be in [${-n}, ${n - 1}], but got ${String(dim)})`);
  }
  return dim < 0 ? dim + n : dim;
}

/** Several dims, normalised; null, undefined or [] means all. Repeats are an error. */
export function normalizeDims(op: string, dim: number | readonly number[] | null | undefined, ndim: number): number[] {
  if (dim === null || dim === undefined || (typeof dim !== "number" && dim.length === 0)) {
    return Array.from({ length: ndim }, (_, i) => i);
  }
  if (typeof dim !== "number" && !Array.isArray(dim)) {
    throw new TypeError(`${op}: dim must be a whole number or a list of them, got ${String(dim)}`);
  }
  const dims = (typeof dim === "number" ? [dim] : dim).map((d) => normalizeDim(op, d, ndim));
  for (let i = 0; i < dims.length; i++) {
    if (dims.indexOf(dims[i]!) !== i) {
      throw new RuntimeError(`${op}: dim ${dims[i]} appears multiple times in the list of dims`);
    }
  }
  return ndim === 0 ? [] : dims;
}

/** Resolves one -1 in a requested shape. */
export function inferShape(op: string, shape: Shape, numel: number): Shape {
  const at = shape.indexOf(-1);
  for (let i = 0; i < shape.length; i++) {
    const d = shape[i]!;
    if (!Number.isInteger(d) || d < -1 || (d === -1 && i !== at)) {
      throw new RuntimeError(`${op}: invalid shape ${formatShape(shape)} (at most one dimension may be -1)`);
    }
  }
  if (at < 0) {
    if (numelOf(shape) !== numel) {
      throw new RuntimeError(`${op}: shape ${formatShape(shape)} is invalid for input of size ${numel}`);
    }
    return shape;
  }
  const rest = shape.reduce((p, d, i) => (i === at ? p : p * d), 1);
  if (rest === 0) {
    throw new RuntimeError(
      `${op}: cannot reshape tensor of ${numel} elements into shape ${formatShape(shape)} because the unspecified dimension size -1 can be any value and is ambiguous`,
    );
  }
  if (numel % rest !== 0) {
    throw new RuntimeError(`${op}: shape ${formatShape(shape)} is invalid for input of size ${numel}`);
  }
  return shape.map((d, i) => (i === at ? numel / rest : d));
}

/** Strides that view the same memory under a new shape, or null when that needs a copy. */
export function viewStrides(shape: Shape, strides: Shape, target: Shape): number[] | null {
  if (numelOf(shape) === 0) return contiguousStrides(target);
  const out = new Array<number>(target.length);
  let t = target.length - 1;
  let chunkBase = shape.length > 0 ? strides[shape.length - 1]! : 1;
  let chunk = 1;
  let viewChunk = 1;
  for (let i = shape.length - 1; i >= 0; i--) {
    chunk *= shape[i]!;
    if (i === 0 || (shape[i - 1] !== 1 && strides[i - 1] !== chunk * chunkBase)) {
      while (t >= 0 && (viewChunk < chunk || target[t] === 1)) {
        out[t] = viewChunk * chunkBase;
        viewChunk *= target[t]!;
        t--;
      }
      if (viewChunk !== chunk) return null;
      if (i > 0) {
        chunkBase = strides[i - 1]!;
        chunk = 1;
        viewChunk = 1;
      }
    }
  }
  while (t >= 0) {
    out[t] = chunkBase;
    t--;
  }
  return out;
}
