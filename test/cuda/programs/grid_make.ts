/** What the grid of kernels is made of: inputs that are the same on every device, and cases. */

import * as torch from "kindling";
import type { DType, Tensor } from "kindling";

/** The same numbers every time, from -2 to 2: a few bits each, so that float16 and bfloat16 hold them exactly. */
function numbers(size: number, seed: number): Float32Array {
  const out = new Float32Array(size);
  let state = (seed * 2654435761 + 12345) >>> 0;
  for (let i = 0; i < size; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    out[i] = ((state >>> 24) - 128) / 64;
  }
  return out;
}

/** Makes inputs on one device, each from the next seed. */
export class Maker {
  #seed = 1;
  constructor(readonly device: string) {}

  /** Floats from -2 to 2. */
  float(shape: readonly number[], dtype: DType = torch.float32): Tensor {
    const size = shape.reduce((n, s) => n * s, 1);
    const flat = torch.tensor(numbers(size, this.#seed++), { device: "cpu" });
    return flat
      .view(...shape)
      .to(dtype)
      .to(this.device);
  }
  /** Floats from 0.03 to 2. */
  positive(shape: readonly number[], dtype: DType = torch.float32): Tensor {
    return this.float(shape, dtype).abs().add(0.03125);
  }
  /** Whole numbers from 0 to below. */
  whole(shape: readonly number[], below: number, dtype: DType = torch.int64): Tensor {
    const size = shape.reduce((n, s) => n * s, 1);
    const list = Array.from(numbers(size, this.#seed++), (x) => Math.floor(((x + 2) / 4) * below));
    return torch
      .tensor(list, { dtype: torch.int64, device: "cpu" })
      .view(...shape)
      .to(dtype)
      .to(this.device);
  }
  /** Wants gradients. */
  leaf(shape: readonly number[], dtype: DType = torch.float32): Tensor {
    return this.float(shape, dtype).requires_grad_();
  }
}

export interface GridCase {
  readonly kind: string;
  readonly name: string;
  /** Results, of which each must be what the cpu gets. */
  readonly run: (make: Maker) => readonly Tensor[] | Promise<readonly Tensor[]>;
  /** Relative; from the results' dtypes unless given. */
  readonly tolerance?: number;
  /** What must be true of results that no other device repeats (random numbers); then nothing is compared. */
  readonly holds?: (values: readonly number[]) => boolean;
}

/** A result and its gradients with respect to `leaves`. */
export function withGradients(out: Tensor, leaves: readonly Tensor[], make: Maker): Tensor[] {
  const g = make.float(out.shape, out.dtype);
  return [out.detach(), ...(torch.autograd.grad(out, leaves, { grad_outputs: g }) as Tensor[])];
}

export const FLOATS: readonly DType[] = [torch.float32, torch.float16, torch.bfloat16, torch.float64];
export const HALVES: readonly DType[] = [torch.float32, torch.float16, torch.bfloat16];
