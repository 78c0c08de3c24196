/** Ops that no accelerator has kernels for: refused there, or computed by the cpu where the user has asked for it (`torch.backends.fallback`). */

import type { Device } from "../core/device.ts";
import { NotImplementedError } from "../core/errors.ts";
import { settings } from "../core/settings.ts";

/** By op: arguments that were read from accelerators. */
const counts = new Map<string, number>();

/** @internal To be called before an op reads the values of a tensor on `device` to compute with them. Throws NotImplementedError. */
export function computesOnHost(op: string, device: Device): void {
  if (device.type === "cpu") return;
  if (!settings.fallback) {
    const how = device.caps.readSync ? "" : ", and put what reads values in `await torch.blocking(() => ...)`";
    throw new NotImplementedError(
      `${op}: there are no kernels for it on ${device.type}. Compute it on the cpu (x.to("cpu")), or have that done for you: set torch.backends.fallback.enabled = true${how}`,
    );
  }
  const before = counts.get(op) ?? 0;
  counts.set(op, before + 1);
  if (before > 0) return;
  console.warn(
    `${op}: there are no kernels for it on ${device.type}, so the cpu computes it (torch.backends.fallback.enabled): it waits for the device, and values go there and back. This is said once for each op.`,
  );
}

/** @internal */
export function fallbackCounts(): ReadonlyMap<string, number> {
  return counts;
}
