/** The two ends of a batch within the graph: where vmap's dimension is hidden, and where it is shown again. */

import type { BatchLevel } from "../core/batch_mode.ts";
import { needsGraph, Tensor } from "../core/tensor.ts";
import { hide, strideOf, withoutLevel } from "./hidden.ts";
import { record } from "./node.ts";

/** All examples: the level's dimension comes first. What is the same for all is shown that many times. */
export function reveal(t: Tensor, level: BatchLevel): Tensor {
  const stride = strideOf(t, level);
  const out = new Tensor(t.dtype, [level.size, ...t.shape], [stride ?? 0, ...t._strides], t._offset, t._storage);
  out._batch = stride === null ? t._batch : withoutLevel(t, level);
  if (needsGraph(t)) record("RemoveBatchDim", [t], [out], ([g]) => [conceal(g!, level)], null, level);
  return out;
}

/** One example: `dim` becomes the level's hidden dimension. */
export function conceal(t: Tensor, level: BatchLevel, dim = 0): Tensor {
  const out = new Tensor(t.dtype, t.shape.toSpliced(dim, 1), t._strides.toSpliced(dim, 1), t._offset, t._storage);
  out._batch = hide(t._batch, { level, stride: t._strides[dim]! });
  if (needsGraph(t)) record("AddBatchDim", [t], [out], ([g]) => [moveFirst(reveal(g!, level), dim)], null);
  return out;
}

/** The first dimension to place `dim`. */
function moveFirst(t: Tensor, dim: number): Tensor {
  return dim === 0 ? t : t.movedim(0, dim);
}
