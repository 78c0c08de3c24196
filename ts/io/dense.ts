/** The elements of a tensor as bytes. */

import type { Tensor } from "../core/tensor.ts";
import { pieces } from "./format.ts";

/** In row-major order, piece by piece. */
export async function* denseBytes(tensor: Tensor): AsyncGenerator<Uint8Array> {
  const dense = tensor.detach().contiguous();
  const { itemsize } = dense.dtype;
  if (dense.numel() === 0) return;
  const buffer = dense._storage.materialize();
  const start = dense._offset * itemsize;
  for (const [from, to] of pieces(start, start + dense.numel() * itemsize))
    yield await dense.device.read(buffer, from, to - from);
}
