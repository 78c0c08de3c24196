/** torch.nn.modules, as far as it holds what torch.nn does not. */

export * as module from "./global_hooks.ts";
