/** Questions about the machine: which device is best, how many threads, how much memory. */

import type { DeviceType, MemoryStats } from "./core/device.ts";
import { RuntimeError } from "./core/errors.ts";
import { resolveDevice, startDevice } from "./ops/devices.ts";

/** Best first. */
const PREFERENCE: readonly DeviceType[] = ["cuda", "webgpu", "cpu"];

/**
 * The name of the best device of this machine, made ready: "cuda", "webgpu" or "cpu". In Node a WebGPU adapter that is emulated in
 * software is made ready, too, but not chosen: the cpu is faster.
 */
export async function accelerator(): Promise<DeviceType> {
  for (const type of PREFERENCE) {
    const device = await startDevice(type);
    if (device !== null && device.emulated !== true) return type;
  }
  return "cpu";
}

/** Threads that the cpu device's kernels use. Results do not depend on it. */
export function get_num_threads(): number {
  return resolveDevice("cpu").threads ?? 1;
}
export function set_num_threads(threads: number): void {
  if (!Number.isInteger(threads) || threads < 1) {
    throw new RuntimeError(`set_num_threads: expected a positive whole number, got ${threads}`);
  }
  resolveDevice("cpu").threads = threads;
}

/** Bytes in live tensors, bytes taken from the system, the peak. */
export function memory_stats(device = "cpu"): MemoryStats {
  return resolveDevice(device).memoryStats();
}
