/** `torch.autograd.graph`: what happens to tensors that are saved for backward. */

import { RuntimeError } from "../core/errors.ts";
import type { Device } from "../core/device.ts";
import type { Tensor } from "../core/tensor.ts";
import { savedTensorsHooks } from "../engine/node.ts";

/** Why hooks may not be set now, or null. */
let forbidden: string | null = null;

/**
 * Runs `fn`; every tensor that its ops save for backward is stored as what `pack_hook` makes of it, and given back by `unpack_hook`.
 * `fn` must not be asynchronous.
 */
export function saved_tensors_hooks<T, P>(pack_hook: (tensor: Tensor) => P, unpack_hook: (packed: P) => Tensor, fn: () => T): T {
  if (forbidden !== null) throw new RuntimeError(forbidden);
  savedTensorsHooks.push({ pack: pack_hook, unpack: unpack_hook as (packed: never) => Tensor });
  try {
    return fn();
  } finally {
    savedTensorsHooks.pop();
  }
}

/** Runs `fn`, in which `saved_tensors_hooks` throws a RuntimeError of this message. `fn` must not be asynchronous. */
export function disable_saved_tensors_hooks<T>(error_message: string, fn: () => T): T {
  const before = forbidden;
  forbidden = error_message;
  try {
    return fn();
  } finally {
    forbidden = before;
  }
}

/**
 * Runs `fn`; what its ops save for backward lies in the cpu's memory until backward wants it. For devices that are read without waiting (cuda);
 * RuntimeError on others. `fn` must not be asynchronous.
 */
export function save_on_cpu<T>(fn: () => T): T {
  interface Packed {
    readonly device: Device;
    readonly value: Tensor;
  }
  const pack = (tensor: Tensor): Packed => ({ device: tensor.device, value: tensor.detach().to("cpu") });
  return saved_tensors_hooks(pack, ({ device, value }) => value.to(device), fn);
}

/** Says that these tensors' memory was written to by other means: a backward that saved them then throws. */
export function increment_version(tensor: Tensor | readonly Tensor[]): void {
  for (const t of Array.isArray(tensor) ? (tensor as readonly Tensor[]) : [tensor as Tensor]) t._storage.version++;
}
