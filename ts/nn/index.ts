/** torch.nn. */

export * as functional from "../ops/functional/index.ts";
export * as init from "./init.ts";
export * as utils from "./utils/index.ts";
export { Module } from "./module.ts";
export type { BackwardHook, BackwardPreHook, ForwardArgs, ForwardHook, ForwardPreHook, ForwardResult } from "./module.ts";
export type { RemovableHandle } from "./hooks.ts";
export { Buffer, Parameter } from "./parameter.ts";
export type { IncompatibleKeys, StateDict } from "./state.ts";
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
