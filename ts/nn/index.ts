/** torch.nn. */

import * as classes from "./classes.ts";

// Bundlers rename classes where names meet; modules are printed, and errors speak, by the names under which they are exported.
for (const [name, value] of Object.entries(classes)) {
  if (typeof value === "function") Object.defineProperty(value, "name", { value: name, configurable: true });
}

export * from "./classes.ts";
export * as attention from "./attention.ts";
export * as functional from "../ops/functional/index.ts";
export * as init from "./init.ts";
export * as modules from "./modules.ts";
export * as utils from "./utils/index.ts";
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
export type { IncompatibleKeys, LocalMetadata, StateDict } from "./state.ts";
