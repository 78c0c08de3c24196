/** torch.nn.modules.module: hooks on every module, which run before the module's own. */

import { shared, type ForwardHookOptions, type Hooks, type RemovableHandle } from "./hooks.ts";
import type {
  BackwardHook,
  BackwardPreHook,
  ForwardHook,
  ForwardHookWithKwargs,
  ForwardPreHook,
  ForwardPreHookWithKwargs,
  Module,
} from "./module.ts";

const hooks = shared as unknown as Hooks<Module>;

export function register_module_forward_pre_hook(hook: ForwardPreHook): RemovableHandle;
export function register_module_forward_pre_hook(hook: ForwardPreHookWithKwargs, options: { with_kwargs: true }): RemovableHandle;
export function register_module_forward_pre_hook(
  hook: ForwardPreHook | ForwardPreHookWithKwargs,
  options: ForwardHookOptions = {},
): RemovableHandle {
  return hooks.add("forwardPre", hook, options);
}
export function register_module_forward_hook(
  hook: ForwardHook,
  options?: { with_kwargs?: false; always_call?: boolean },
): RemovableHandle;
export function register_module_forward_hook(
  hook: ForwardHookWithKwargs,
  options: { with_kwargs: true; always_call?: boolean },
): RemovableHandle;
export function register_module_forward_hook(
  hook: ForwardHook | ForwardHookWithKwargs,
  options: ForwardHookOptions = {},
): RemovableHandle {
  return hooks.add("forward", hook, options);
}
export function register_module_full_backward_pre_hook(hook: BackwardPreHook): RemovableHandle {
  return hooks.add("backwardPre", hook);
}
export function register_module_full_backward_hook(hook: BackwardHook): RemovableHandle {
  return hooks.add("backward", hook);
}
