/** Ops of torch.nn.functional that `torch` has as well. */

import type { DType } from "../core/dtype.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Op } from "../engine/define.ts";
import type { Args } from "../engine/signature.ts";
import { root } from "./functional/softmax.ts";

type SoftmaxOp = Op<[input: Tensor, ...Args<[{ dim: number }, { dtype?: DType | null }]>], Tensor, "method">;

export const softmax: SoftmaxOp = root.softmax;
export const log_softmax: SoftmaxOp = root.log_softmax;
export { constant_pad_nd } from "./functional/padding.ts";
export { native_batch_norm, native_layer_norm } from "./functional/normalization.ts";
export { conv1d, conv2d, conv3d, conv_transpose1d, conv_transpose2d, conv_transpose3d } from "./functional/conv.ts";
