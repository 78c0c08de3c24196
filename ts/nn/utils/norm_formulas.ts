/** What both forms of weight_norm and of spectral_norm compute. */

import { no_grad } from "../../core/grad_mode.ts";
import type { Tensor } from "../../core/tensor.ts";
import { F } from "../layer.ts";
import type { Module } from "../module.ts";
import { ConvTranspose1d, ConvTranspose2d, ConvTranspose3d } from "../modules/conv.ts";

/** The norm over all dimensions but one, which stay as ones; over all of them where `dim` is -1. */
export function norm_except_dim(v: Tensor, dim: number): Tensor {
  if (dim === -1) return v.mul(v).sum().sqrt();
  const others = v.shape.map((_, d) => d).filter((d) => d !== (dim < 0 ? dim + v.ndim : dim));
  return v.mul(v).sum(others, true).sqrt();
}

/** The dimension of a weight that counts the outputs. */
export function outputDim(module: Module): number {
  return [ConvTranspose1d, ConvTranspose2d, ConvTranspose3d].some((kind) => module instanceof kind) ? 1 : 0;
}

/** A weight as a matrix, a row for each index of `dim`. */
export function asMatrix(weight: Tensor, dim: number): Tensor {
  return (dim === 0 ? weight : weight.movedim(dim, 0)).flatten(1);
}

/** Steps of the power method: `u` and `v` come nearer to the singular vectors of the greatest singular value. */
export function powerMethod(matrix: Tensor, u: Tensor, v: Tensor, steps: number, eps: number): void {
  no_grad(() => {
    const unit = (x: Tensor): Tensor => F.normalize(x, { dim: 0, eps }) as Tensor;
    for (let i = 0; i < steps; i++) {
      u.copy_(unit(matrix.mv(v)));
      v.copy_(unit(matrix.t().mv(u)));
    }
  });
}
