/** Which devices this browser has, in words for the page. */

import * as torch from "kindling";
import type { DeviceState, Environment } from "./protocol.ts";

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error)).replace(/\.$/, "");

/** Why there can be no WebGPU here, in short, or null where there may be some. */
async function obstacle(): Promise<string | null> {
  const { gpu } = navigator as Navigator & { gpu?: { requestAdapter(): Promise<object | null> } };
  if (gpu === undefined) return globalThis.isSecureContext ? "this browser has no WebGPU" : "WebGPU needs https or localhost";
  if ((await gpu.requestAdapter()) === null) return "the browser offers no adapter (is hardware acceleration switched off?)";
  return null;
}

async function webgpu(): Promise<DeviceState> {
  try {
    const reason = await obstacle();
    if (reason !== null) return { name: "webgpu", available: false, detail: reason };
    await torch.webgpu.init();
    return { name: "webgpu", available: true, detail: torch.webgpu.get_device_name() };
  } catch (error) {
    return { name: "webgpu", available: false, detail: messageOf(error) };
  }
}

export async function environment(): Promise<Environment> {
  const threads = torch.get_num_threads();
  const isolated = globalThis.crossOriginIsolated;
  const cpu: DeviceState = { name: "cpu", available: true, detail: `${threads} ${threads === 1 ? "thread" : "threads"}` };
  return {
    devices: [cpu, await webgpu()],
    best: await torch.accelerator(),
    isolated,
    threads,
    maxThreads: isolated ? Math.max(1, navigator.hardwareConcurrency) : 1,
  };
}
