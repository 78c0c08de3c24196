/** Plans the gradient of an embedding table (wasm/cpp/embedding.cpp). */

import { taskCount, type FloatKind, type Launcher } from "./launcher.ts";

export interface EmbeddingGrad {
  dtype: FloatKind;
  /** Gradient rows, count x dim, and their i64 indices; indices out of range are passed over. */
  dy: number;
  index: number;
  /** vocabulary x dim, overwritten. */
  dw: number;
  count: number;
  dim: number;
  vocabulary: number;
  /** This row gets no gradient. */
  paddingIndex?: number;
  scaleByFrequency?: boolean;
}

export function embeddingGrad(launcher: Launcher, p: EmbeddingGrad): void {
  if (p.vocabulary * p.dim === 0) return;
  const tasks = Math.min(taskCount((p.count + p.vocabulary) * p.dim, 32768, 16), p.vocabulary);
  const w = launcher.params(9);
  w.i32(p.dy).i32(p.index).i32(p.dw).i32(p.count).i32(p.dim).i32(p.vocabulary);
  w.i32(tasks)
    .i32(p.paddingIndex ?? -1)
    .i32(p.scaleByFrequency ? 1 : 0);
  launcher.launch(`embedding_grad_${p.dtype}`, w.ptr, tasks);
}
