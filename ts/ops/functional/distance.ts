/** torch.nn.functional: distances, similarities and normalisation of vectors. */

import { promote_types } from "../../core/dtype.ts";
import { broadcastShapes, normalizeDim } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, type Op } from "../../engine/define.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { vectorNorm } from "../norms.ts";
import { checkFloating } from "./shared.ts";

type NormalizeOp = Op<[input: Tensor, ...Args<[{ p?: number }, { dim?: number }, { eps?: number }]>], Tensor>;
export const normalize: NormalizeOp = composite(
  "normalize",
  "input, p=2.0, dim=1, eps=1e-12",
  { doc: "input / max(‖input‖ₚ, eps) along dim.", method: false },
  (input: Tensor, p: number, dim: number, eps: number) => {
    const d = normalizeDim("normalize", dim, input.ndim);
    return input.div(vectorNorm(input, Number(p), input.ndim === 0 ? [] : [d], input.ndim > 0).clamp_min(eps));
  },
);

type CosineOp = Op<[x1: Tensor, x2: Tensor, ...Args<[{ dim?: number }, { eps?: number }]>], Tensor>;
export const cosine_similarity: CosineOp = composite(
  "cosine_similarity",
  "x1, x2, dim=1, eps=1e-08",
  { doc: "x1 · x2 / (max(‖x1‖, eps) max(‖x2‖, eps)) along dim.", method: false },
  (x1: Tensor, x2: Tensor, dim: number, eps: number) => {
    checkTensor("cosine_similarity", "x1", x1);
    checkTensor("cosine_similarity", "x2", x2);
    const shape = broadcastShapes("cosine_similarity", x1.shape, x2.shape);
    const dtype = promote_types(x1.dtype, x2.dtype);
    checkFloating("cosine_similarity", dtype);
    const [a, b] = [x1.to(dtype).expand(shape), x2.to(dtype).expand(shape)];
    const dims = shape.length === 0 ? [] : [normalizeDim("cosine_similarity", dim, shape.length)];
    const unit = (t: Tensor): Tensor => t.div(vectorNorm(t, 2, dims, dims.length > 0).clamp_min(eps));
    return unit(a)
      .mul(unit(b))
      .sum(dims.length === 0 ? null : dims);
  },
);

type PairwiseOp = Op<[x1: Tensor, x2: Tensor, ...Args<[{ p?: number }, { eps?: number }, { keepdim?: boolean }]>], Tensor>;
export const pairwise_distance: PairwiseOp = composite(
  "pairwise_distance",
  "x1, x2, p=2.0, eps=1e-06, keepdim=False",
  { doc: "‖x1 - x2 + eps‖ₚ along the last dimension.", method: false },
  (x1: Tensor, x2: Tensor, p: number, eps: number, keepdim: boolean) => {
    const difference = x1.sub(x2).add(eps);
    return vectorNorm(difference, Number(p), difference.ndim === 0 ? [] : [difference.ndim - 1], keepdim);
  },
);
