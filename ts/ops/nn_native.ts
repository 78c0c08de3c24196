/** Ops of torch.nn.functional that `torch` has as well. */

import type { DType } from "../core/dtype.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Op } from "../engine/define.ts";
import type { Args } from "../engine/signature.ts";
import { root } from "./functional/softmax.ts";

type SoftmaxOp = Op<[input: Tensor, ...Args<[{ dim: number }, { dtype?: DType | null }]>], Tensor, "method">;

export const softmax: SoftmaxOp = root.softmax;
export const log_softmax: SoftmaxOp = root.log_softmax;
export { celu, rrelu, selu, threshold } from "./functional/activation.ts";
export { bilinear } from "./functional/bilinear.ts";
export { conv_tbc } from "./functional/conv_tbc.ts";
export { cosine_similarity, pairwise_distance } from "./functional/distance.ts";
export { alpha_dropout, dropout, feature_alpha_dropout } from "./functional/dropout.ts";
export { group_norm, layer_norm, rms_norm } from "./functional/normalization.ts";
export { constant_pad_nd } from "./functional/padding.ts";
export { pdist } from "./functional/pdist.ts";
export {
  adaptive_avg_pool1d,
  adaptive_max_pool1d,
  avg_pool1d,
  max_pool1d,
  max_pool2d,
  max_pool3d,
} from "./functional/pooling.ts";
export { channel_shuffle, pixel_shuffle, pixel_unshuffle } from "./functional/vision.ts";
export { native_batch_norm, native_layer_norm } from "./functional/normalization.ts";
export { conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d } from "./functional/conv.ts";
