/** Which devices this browser has, in words for the page. */

import * as torch from "kindling";
import type { DeviceName, DeviceState, Environment } from "./protocol.ts";

/** The part of WebGPU's types that is needed here. */
interface Gpu {
  requestAdapter(): Promise<{ readonly info?: Readonly<Record<string, unknown>> } | null>;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** The adapter's name as the browser tells it, or why there is none. */
async function adapter(): Promise<{ name: string } | { missing: string }> {
  const { gpu } = navigator as Navigator & { gpu?: Gpu };
  if (gpu === undefined) {
    return { missing: globalThis.isSecureContext ? "this browser has no WebGPU" : "WebGPU needs https or localhost" };
  }
  const found = await gpu.requestAdapter();
  if (found === null) return { missing: "the browser offers no adapter (is hardware acceleration switched off?)" };
  const { vendor, architecture, description } = found.info ?? {};
  const parts = [description, vendor, architecture].filter((part) => typeof part === "string" && part !== "");
  return { name: String(parts[0] ?? "unnamed adapter") + (parts.length > 1 ? ` (${parts.slice(1).join(", ")})` : "") };
}

async function webgpu(best: DeviceName, failure: string | undefined): Promise<DeviceState> {
  const state = (available: boolean, detail: string): DeviceState => ({ name: "webgpu", available, detail });
  try {
    const found = await adapter();
    if ("missing" in found) return state(false, found.missing);
    if (best === "webgpu") return state(true, found.name);
    return state(false, failure ?? `the adapter ${found.name} is there, but Kindling could not use it`);
  } catch (error) {
    return state(false, messageOf(error));
  }
}

export async function environment(): Promise<Environment> {
  let best: DeviceName = "cpu";
  let failure: string | undefined;
  try {
    best = await torch.accelerator();
  } catch (error) {
    failure = messageOf(error);
  }
  const threads = torch.get_num_threads();
  const isolated = globalThis.crossOriginIsolated;
  const cpu: DeviceState = { name: "cpu", available: true, detail: `${threads} ${threads === 1 ? "thread" : "threads"}` };
  return {
    devices: [cpu, await webgpu(best, failure)],
    best,
    isolated,
    threads,
    maxThreads: isolated ? Math.max(1, navigator.hardwareConcurrency) : 1,
  };
}
