/** The devices that are ready, by name. Entries register them; nothing here knows a concrete one. */

import type { Device, DeviceType } from "../core/device.ts";
import { RuntimeError } from "../core/errors.ts";
import { describe } from "../engine/signature.ts";

const devices = new Map<string, Device>();
/** How devices that are not started at import are started, by type. */
const starters = new Map<string, () => Promise<Device>>();
/** How devices that need no waiting are started when they are first named, by type. They throw what is missing. */
const openers = new Map<string, (index: number | null) => Device>();
/** Why a device that exists in name is not there: what is missing and what to do. */
const reasons = new Map<string, string>([
  ["webgpu", "call `await torch.accelerator()` or `await torch.webgpu.init()` first"],
  ["cuda", "CUDA works in Node only; in browsers the GPU is reached through webgpu"],
]);

/** @internal */
export function registerDevice(device: Device): void {
  devices.set(`${device.type}:${device.index}`, device);
}

/** @internal A device that is started when it is asked for. */
export function registerStarter(type: DeviceType, start: () => Promise<Device>): void {
  starters.set(type, start);
}

/** @internal A device that is started when it is named; `index` is null where the name has none. */
export function registerOpener(type: DeviceType, open: (index: number | null) => Device): void {
  openers.set(type, open);
  registerStarter(type, async () => open(null));
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
  if (typeof device !== "string") {
    if (typeof device === "object" && device !== null && typeof device.alloc === "function") return device;
    throw new TypeError(`device must be a name ("cpu", "cuda:0") or the device of a tensor, not ${describe(device)}`);
  }
  const [type, index, ...more] = device.split(":") as [string, string?, ...string[]];
  const open = openers.get(type);
  if (open !== undefined && more.length === 0 && (index === undefined || /^\d+$/.test(index))) {
    try {
      return open(index === undefined ? null : Number(index));
    } catch (error) {
      throw new RuntimeError(notAvailable(device, error instanceof Error ? error.message : String(error)), { cause: error });
    }
  }
  const found = devices.get(index === undefined ? `${type}:0` : device);
  if (found !== undefined) return found;
  const why = reasons.get(type);
  throw new RuntimeError(
    why === undefined
      ? `Invalid device string: '${device}'. Expected one of cpu, webgpu, cuda, optionally with an index.`
      : notAvailable(device, why),
  );
}

/** The device of this name, "cuda:1", also as ("cuda", 1). Throws where it is not available. */
export function device(type: Device | string, index: number | null = null): Device {
  return resolveDevice(typeof type === "string" && index !== null ? `${type}:${index}` : type);
}

const notAvailable = (device: string, why: string): string =>
  `Device '${device}' is not available: ${why}. Ready devices: ${[...devices.keys()].join(", ")}`;

let defaultDevice = "cpu";
export function get_default_device(): Device {
  return resolveDevice(defaultDevice);
}
export function set_default_device(device: Device | string): void {
  const d = resolveDevice(device);
  defaultDevice = `${d.type}:${d.index}`;
}
