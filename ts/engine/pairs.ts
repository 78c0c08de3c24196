/**
 * Complex tensors: pairs (re, im) side by side in the memory of a real storage. Shape, strides and offset of a complex tensor count pairs. Here is
 * the geometry; engine/complex.ts adds gradients.
 */

import { int64, type DType } from "../core/dtype.ts";
import { broadcastShapes } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { e } from "../kernel/builder.ts";
import { index, load } from "../kernel/expr.ts";
import { deferMap, makeTemplate, type Template } from "./fusion.ts";

/** The same memory in another type, which counts strides in other units: `per` of the new for one of the old. */
function recast(
  t: Tensor,
  dtype: DType,
  shape: readonly number[],
  strides: readonly number[],
  offset: number,
  per: number,
): Tensor {
  const out = new Tensor(dtype, shape, strides, offset, t._storage);
  if (t._batch !== null) out._batch = t._batch.map((hidden) => ({ ...hidden, stride: Math.floor(hidden.stride * per) }));
  return out;
}

/** The same memory as [..., 2] reals. */
export function pairsOf(t: Tensor): Tensor {
  return recast(t, t.dtype.real, [...t.shape, 2], [...t._strides.map((s) => 2 * s), 1], 2 * t._offset, 2);
}

/** [..., 2] reals, the last stride 1, the others and the offset even, as complex numbers. */
export function complexOf(pairs: Tensor): Tensor {
  const last = pairs.ndim - 1;
  const strides = pairs._strides.slice(0, last).map((s) => Math.floor(s / 2));
  return recast(pairs, pairs.dtype.complex, pairs.shape.slice(0, last), strides, pairs._offset / 2, 0.5);
}

/** All real (0) or imaginary (1) parts. */
export function partOf(t: Tensor, part: 0 | 1): Tensor {
  const strides = t._strides.map((s) => 2 * s);
  return recast(t, t.dtype.real, t.shape, strides, 2 * t._offset + part, 2);
}

const templates = new Map<string, Template>();

function interleaving(dtype: DType, re: boolean, im: boolean): Template {
  const key = `${dtype.code}/${re}/${im}`;
  let template = templates.get(key);
  if (template === undefined) {
    const zero = e.constant(0, dtype);
    const second = e.ne(e.bitwise_and(index("linear", int64), e.constant(1, int64)), 0);
    const a = re ? load(0, dtype) : zero;
    const b = im ? load(re ? 1 : 0, dtype) : zero;
    templates.set(key, (template = makeTemplate(e.where(second, b, a), (re ? 1 : 0) + (im ? 1 : 0), 0)));
  }
  return template;
}

/** New complex numbers of these parts (of one real dtype; null: zeros), broadcast to each other. Deferred. */
export function paired(re: Tensor | null, im: Tensor | null): Tensor {
  const parts = [re, im].filter((t) => t !== null);
  const { dtype, device } = parts[0]!;
  const shape = parts.map((t) => t.shape).reduce((a, b) => broadcastShapes("complex", a, b));
  const rows = parts.map((t) => recast(t, t.dtype, [...t.shape, 1], [...t._strides, 1], t._offset, 1));
  const pairs = deferMap(interleaving(dtype, re !== null, im !== null), rows, [], [...shape, 2], device);
  return complexOf(pairs);
}
