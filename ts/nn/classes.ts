/** All classes of torch.nn. */

export { Buffer, Parameter, UninitializedBuffer, UninitializedParameter } from "./parameter.ts";
export { Module } from "./module.ts";
export * from "./containers.ts";
export * from "./modules/activation.ts";
export * from "./modules/adaptive_softmax.ts";
export { MultiheadAttention, NonDynamicallyQuantizableLinear } from "./modules/attention.ts";
export { Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d, type PaddingMode } from "./modules/conv.ts";
export * from "./modules/embedding.ts";
export * from "./modules/lazy.ts";
export * from "./modules/linear.ts";
export * from "./modules/loss.ts";
export {
  BatchNorm1d,
  BatchNorm2d,
  BatchNorm3d,
  GroupNorm,
  InstanceNorm1d,
  InstanceNorm2d,
  InstanceNorm3d,
  LayerNorm,
  LocalResponseNorm,
  RMSNorm,
} from "./modules/norm.ts";
export * from "./modules/rnn.ts";
export * from "./modules/shape.ts";
export * from "./modules/transformer.ts";
