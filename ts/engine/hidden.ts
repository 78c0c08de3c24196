/** Geometry of batched tensors: hidden dimensions shown in front of the others, and hidden again. No autograd. */

import { joinLevels, type BatchLevel, type BatchLevels, type HiddenDim } from "../core/batch_mode.ts";
import { Tensor } from "../core/tensor.ts";

const NONE: BatchLevels = [];

/** The levels of which some tensor has a batch, outer ones first. */
export function levelsOf(tensors: readonly (Tensor | null)[]): BatchLevels {
  let levels = NONE;
  for (const t of tensors) if (t !== null && t._batch !== null) levels = joinLevels(levels, levelsIn(t._batch));
  return levels;
}

const levelsIn = (batch: readonly HiddenDim[]): BatchLevels => batch.map(({ level }) => level);

/** @internal */
export const sizesOf = (levels: BatchLevels): number[] => levels.map(({ size }) => size);

/** The tensor without the hidden dimension of `level`, over the same memory. */
export function withoutLevel(t: Tensor, level: BatchLevel): readonly HiddenDim[] | null {
  const rest = t._batch!.filter((hidden) => hidden.level !== level);
  return rest.length === 0 ? null : rest;
}

export function strideOf(t: Tensor, level: BatchLevel): number | null {
  return t._batch?.find((hidden) => hidden.level === level)?.stride ?? null;
}

/** With one more hidden dimension. */
export function hide(batch: readonly HiddenDim[] | null, hidden: HiddenDim): readonly HiddenDim[] {
  return [...(batch ?? []), hidden].sort((a, b) => a.level.order - b.level.order);
}

/**
 * All of the memory: a dimension for each of `levels`, then `t`'s, padded to `rank`, so that it broadcasts as an example would. A level whose
 * batch `t` does not have is a dimension of size 1, or repeats it where `spread`.
 */
export function wholeOf(t: Tensor, levels: BatchLevels, rank: number, spread = false): Tensor {
  if (t._batch === null && t.ndim <= rank && !spread) return t;
  const shape: number[] = [];
  const strides: number[] = [];
  for (const level of levels) {
    const stride = strideOf(t, level);
    shape.push(stride === null && !spread ? 1 : level.size);
    strides.push(stride ?? 0);
  }
  for (let d = t.ndim; d < rank; d++) {
    shape.push(1);
    strides.push(0);
  }
  return new Tensor(t.dtype, [...shape, ...t.shape], [...strides, ...t._strides], t._offset, t._storage);
}

/** One example of a tensor whose first dimensions are those of `levels`. */
export function exampleOf(whole: Tensor, levels: BatchLevels): Tensor {
  const n = levels.length;
  const out = new Tensor(whole.dtype, whole.shape.slice(n), whole._strides.slice(n), whole._offset, whole._storage);
  if (n > 0) out._batch = levels.map((level, i) => ({ level, stride: whole._strides[i]! }));
  return out;
}

/** What `fn` makes of the whole memory of `inputs`, whose examples broadcast to `rank` dimensions; its result's first are the levels'. */
export function onWhole(
  inputs: readonly Tensor[],
  fn: (whole: Tensor[], levels: BatchLevels) => Tensor,
  rank = Math.max(0, ...inputs.map((t) => t.ndim)),
): Tensor {
  const levels = levelsOf(inputs);
  return exampleOf(
    fn(
      inputs.map((t) => wholeOf(t, levels, rank)),
      levels,
    ),
    levels,
  );
}
