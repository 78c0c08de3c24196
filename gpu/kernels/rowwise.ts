/** rowwise: softmax, losses and normalisations over contiguous rows. */

import type { View } from "../../ts/core/device.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { RowwiseParams, RowwiseSpec } from "../../ts/kernel/spec.ts";
import type { GpuContext, GpuLowering } from "../context.ts";
import { batchNorm, batchNormBackward, batchNormStats } from "./rowwise_channel.ts";
import { crossEntropy, crossEntropyBackward } from "./rowwise_loss.ts";
import { groupNorm, groupNormBackward, layerNorm, layerNormBackward, rmsNorm, rmsNormBackward } from "./rowwise_norm.ts";
import { softmax, softmaxBackward } from "./rowwise_softmax.ts";

type Op = (context: GpuContext, inputs: readonly View[], outputs: readonly View[], params: RowwiseParams) => void;

const ops: Readonly<Record<RowwiseSpec["op"], Op>> = {
  softmax: (context, inputs, outputs) => softmax(context, inputs, outputs, false),
  log_softmax: (context, inputs, outputs) => softmax(context, inputs, outputs, true),
  softmax_backward: (context, inputs, outputs) => softmaxBackward(context, inputs, outputs, false),
  log_softmax_backward: (context, inputs, outputs) => softmaxBackward(context, inputs, outputs, true),
  layer_norm: (context, inputs, outputs, { eps }) => layerNorm(context, inputs, outputs, eps),
  layer_norm_backward: layerNormBackward,
  rms_norm: (context, inputs, outputs, { eps }) => rmsNorm(context, inputs, outputs, eps),
  rms_norm_backward: rmsNormBackward,
  batch_norm_stats: batchNormStats,
  batch_norm: batchNorm,
  batch_norm_backward: batchNormBackward,
  group_norm: groupNorm,
  group_norm_backward: groupNormBackward,
  cross_entropy: crossEntropy,
  cross_entropy_backward: crossEntropyBackward,
};

/** Their results are sums over rows: zero where there are none. */
const SUMS: ReadonlySet<RowwiseSpec["op"]> = new Set([
  "layer_norm_backward",
  "rms_norm_backward",
  "batch_norm_backward",
  "group_norm_backward",
]);

export const lowerRowwise: GpuLowering<"rowwise"> = (spec, context) => {
  const run = ops[spec.op];
  context.layout(spec.dtype);
  return (inputs, outputs, params) => {
    if (SUMS.has(spec.op) && numelOf(inputs[0]!.shape) === 0) {
      for (const view of outputs) context.zero(view, view.offset, numelOf(view.shape));
    } else run(context, inputs, outputs, params);
  };
};
