/** Questions about the machine: which device is best, how many threads, how much memory. */

import type { DeviceType, MemoryStats } from "./core/device.ts";
import { RuntimeError } from "./core/errors.ts";
import { readyDevices, resolveDevice } from "./ops/devices.ts";

/** Best first. */
const PREFERENCE: readonly DeviceType[] = ["cuda", "webgpu", "cpu"];

/** The name of the best device of this machine, made ready. */
export async function accelerator(): Promise<DeviceType> {
  const ready = readyDevices();
  return PREFERENCE.find((type) => ready.some((d) => d.type === type))!;
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
