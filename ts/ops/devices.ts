/** The devices that are ready, by name. Entries register them; nothing here knows a concrete one. */

import type { Device, DeviceType } from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";

const devices = new Map<string, Device>();
/** How devices that are not started at import are started, by type. */
const starters = new Map<string, () => Promise<Device>>();
/** Why a device that exists in name is not there: what is missing and what to do. */
const reasons = new Map<string, string>([
  ["webgpu", "call `await torch.accelerator()` or `await torch.webgpu.init()` first"],
  ["cuda", "no CUDA addon is loaded in this build"],
]);

/** @internal */
export function registerDevice(device: Device): void {
  devices.set(`${device.type}:${device.index}`, device);
}

/** @internal A device that is started when it is asked for. */
export function registerStarter(type: DeviceType, start: () => Promise<Device>): void {
  starters.set(type, start);
}

/** @internal The device of this type, started if it is not there or was lost; null where it cannot be. */
export async function startDevice(type: DeviceType): Promise<Device | null> {
  const ready = devices.get(`${type}:0`);
  if (ready !== undefined && ready.lost !== true) return ready;
  const start = starters.get(type);
  if (start === undefined) return null;
  try {
    return await start();
  } catch (error) {
    reasons.set(type, error instanceof Error ? error.message : String(error));
    return null;
  }
}

/** A device object from its name ("cpu", "cuda:1") or itself. */
export function resolveDevice(device: Device | string): Device {
  if (typeof device !== "string") return device;
  const found = devices.get(device.includes(":") ? device : `${device}:0`);
  if (found !== undefined) return found;
  const type = device.split(":")[0]!;
  const why = reasons.get(type);
  throw new RuntimeError(
    why === undefined
      ? `Invalid device string: '${device}'. Expected one of cpu, webgpu, cuda, optionally with an index.`
      : `Device '${device}' is not available: ${why}. Ready devices: ${[...devices.keys()].join(", ")}`,
  );
}

let defaultDevice = "cpu";
export function get_default_device(): Device {
  return resolveDevice(defaultDevice);
}
export function set_default_device(device: Device | string): void {
  const d = resolveDevice(device);
  defaultDevice = `${d.type}:${d.index}`;
}
