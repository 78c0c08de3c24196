/** The kernel behind all matrix products, for use in forwards: no autograd here. */

import type { BatchLevels } from "../core/batch_mode.ts";
import type { DType } from "../core/dtype.ts";
import { matmulTf32 } from "../core/settings.ts";
import { broadcastStrides, contiguousStrides, numelOf, type Shape } from "../core/shape.ts";
import { BatchedAccess, type Tensor } from "../core/tensor.ts";
import { exampleOf, levelsOf, wholeOf } from "../engine/hidden.ts";
import { alias, contiguous, empty, intern, run } from "../engine/run.ts";
import type { MatmulSpec } from "../kernel/spec.ts";

const spec = (dtype: DType, bias: boolean): MatmulSpec => intern({ kind: "matmul", dtype, bias });

/** a [B, m, k] @ b [B, k, n] * alpha (+ bias, of any shape that broadcasts to the result). */
export function product(a: Tensor, b: Tensor, bias: Tensor | null, alpha: number): Tensor {
  const levels = levelsOf([a, b, bias]);
  if (levels.length > 0) return batchedProduct(a, b, bias, alpha, levels);
  const [batch, m, k] = a.shape as [number, number, number];
  const shape = [batch, m, b.shape[2]!];
  if (numelOf(shape) === 0) return empty(shape, a.dtype, a.device);
  if (k === 0) return bias === null ? a.new_zeros(shape) : bias.expand(shape).clone();
  const out = empty(shape, a.dtype, a.device);
  const inputs = bias === null ? [a, b] : [a, b, spread(bias, shape)];
  run(spec(a.dtype, bias !== null), inputs, [out], { alpha, beta: 0, tf32: matmulTf32() });
  return out;
}

/** The same for batches of vmap: their examples become rows where one matrix is multiplied by all, else they join the batch. */
function batchedProduct(a: Tensor, b: Tensor, bias: Tensor | null, alpha: number, levels: BatchLevels): Tensor {
  if (bias?._batch != null) return product(a, b, null, alpha).add(bias);
  const sizes = levels.map((level) => level.size);
  const [batch, m, k] = a.shape as [number, number, number];
  const n = b.shape[2]!;
  const count = numelOf(sizes);
  if (b._batch === null && batch === 1) {
    const rows = contiguous(wholeOf(a, levels, 3, true));
    const out = product(
      alias(rows, [1, count * m, k], [0, k, 1], rows._offset),
      b,
      bias === null || m === 1 ? bias : flatBias(bias, m, n),
      alpha,
    );
    const [, row, column] = out._strides as [number, number, number];
    const strides = sizes.map((_, i) => numelOf(sizes.slice(i + 1)) * m * row);
    return exampleOf(alias(out, [...sizes, 1, m, n], [...strides, 0, row, column], out._offset), levels);
  }
  const flat = (t: Tensor): Tensor => {
    const whole = wholeOf(t, levels, 3, true);
    const [, r, c] = t.shape as [number, number, number];
    const [first, ...rest] = whole._strides;
    // One level over single matrices needs no copy; nor do matrices side by side.
    if (levels.length === 1 && batch === 1) return alias(whole, [count, r, c], [first!, rest[1]!, rest[2]!], whole._offset);
    const dense = contiguous(whole);
    return alias(dense, [count * batch, r, c], [r * c, c, 1], dense._offset);
  };
  const out = contiguous(product(flat(a), flat(b), bias, alpha));
  const shape = [...sizes, batch, m, n];
  return exampleOf(alias(out, shape, contiguousStrides(shape), out._offset), levels);
}

/** A bias of an example's result, for results whose rows are those of many: only what is the same in all rows is one. */
function flatBias(bias: Tensor, m: number, n: number): Tensor {
  if (bias.ndim < 2 || bias.shape.slice(0, -1).every((s) => s === 1)) return bias.reshape([-1]).expand([n]);
  throw new BatchedAccess(`internal: a bias of shape [${bias.shape.join(", ")}] for ${m} rows`);
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
