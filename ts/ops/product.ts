/** The kernel behind all matrix products, for use in forwards: no autograd here. */

import type { DType } from "../core/dtype.ts";
import { matmulTf32 } from "../core/settings.ts";
import { broadcastStrides, numelOf, type Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { alias, empty, intern, run } from "../engine/run.ts";
import type { MatmulSpec } from "../kernel/spec.ts";

const spec = (dtype: DType, bias: boolean): MatmulSpec => intern({ kind: "matmul", dtype, bias });

/** a [B, m, k] @ b [B, k, n] * alpha (+ bias, of any shape that broadcasts to the result). */
export function product(a: Tensor, b: Tensor, bias: Tensor | null, alpha: number): Tensor {
  const [batch, m, k] = a.shape as [number, number, number];
  const shape = [batch, m, b.shape[2]!];
  if (numelOf(shape) === 0) return empty(shape, a.dtype, a.device);
  if (k === 0) return bias === null ? a.new_zeros(shape) : bias.expand(shape).clone();
  const out = empty(shape, a.dtype, a.device);
  const inputs = bias === null ? [a, b] : [a, b, spread(bias, shape)];
  run(spec(a.dtype, bias !== null), inputs, [out], { alpha, beta: 0, tf32: matmulTf32() });
  return out;
}

/** bias, read as if it had the result's shape. */
function spread(bias: Tensor, shape: Shape): Tensor {
  return alias(bias, shape, broadcastStrides(bias.shape, bias._strides, shape), bias._offset);
}

/** One matrix as a batch of one, transposed if asked. */
export function oneBatch(t: Tensor, transposed = false): Tensor {
  const [r, c] = t.shape as [number, number];
  const [sr, sc] = t._strides as [number, number];
  return transposed ? alias(t, [1, c, r], [0, sc, sr], t._offset) : alias(t, [1, r, c], [0, sr, sc], t._offset);
}

/** [1, m, n] → [m, n], over the same memory. */
export function dropBatch(t: Tensor): Tensor {
  return alias(t, t.shape.slice(1), t._strides.slice(1), t._offset);
}
