/** `torch.autograd.graph`: what happens to tensors that are saved for backward. */

import type { Tensor } from "../core/tensor.ts";
import { savedTensorsHooks } from "../engine/node.ts";

/**
 * Runs `fn`; every tensor that its ops save for backward is stored as what `pack_hook` makes of it, and given back by `unpack_hook`.
 * `fn` must not be asynchronous.
 */
export function saved_tensors_hooks<T, P>(pack_hook: (tensor: Tensor) => P, unpack_hook: (packed: P) => Tensor, fn: () => T): T {
  savedTensorsHooks.push({ pack: pack_hook, unpack: unpack_hook as (packed: never) => Tensor });
  try {
    return fn();
  } finally {
    savedTensorsHooks.pop();
  }
}
