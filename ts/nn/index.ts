/** torch.nn. */

export * as functional from "../ops/functional/index.ts";
export * as init from "./init.ts";
export * as modules from "./modules.ts";
export * as utils from "./utils/index.ts";
export { Module } from "./module.ts";
export type {
  BackwardHook,
  BackwardPreHook,
  ForwardArgs,
  ForwardHook,
  ForwardHookWithKwargs,
  ForwardPreHook,
  ForwardPreHookWithKwargs,
  ForwardResult,
  LoadStateDictPostHook,
  LoadStateDictPreHook,
  StateDictHook,
  StateDictPreHook,
} from "./module.ts";
export { deepcopy } from "./copy.ts";
export type { RemovableHandle } from "./hooks.ts";
export { Buffer, Parameter, UninitializedBuffer, UninitializedParameter } from "./parameter.ts";
export type { IncompatibleKeys, LocalMetadata, StateDict } from "./state.ts";
export * from "./containers.ts";
export * from "./modules/activation.ts";
export * from "./modules/adaptive_softmax.ts";
export { MultiheadAttention } from "./modules/attention.ts";
export * from "./modules/conv.ts";
export * from "./modules/embedding.ts";
export * from "./modules/linear.ts";
export * from "./modules/loss.ts";
export * from "./modules/norm.ts";
export * from "./modules/rnn.ts";
export * from "./modules/shape.ts";
export * from "./modules/transformer.ts";
