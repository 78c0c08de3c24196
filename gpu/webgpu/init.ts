/** From navigator.gpu (or Dawn) to a device: adapter, limits, features. */

import type { AcceleratorFactory, WebGpuOptions } from "../../ts/core/accelerators.ts";
import { RuntimeError } from "../../ts/core/errors.ts";
import type { GpuCaps } from "../context.ts";
import type { Collector } from "../memory.ts";
import { WebGpuBackend } from "./backend.ts";
import { WebGpuDevice } from "./device.ts";

/** What the WebGPU device needs of the system that it runs on. */
export interface WebGpuPlatform {
  /** The entry into WebGPU. Throws a RuntimeError that says what is missing and what to do. */
  gpu(): Promise<GPU>;
  /** False where there cannot be an adapter, without a look that costs time and prints warnings. Not asked when a program insists. */
  plausible?(): boolean;
  /** What to try where there is no adapter. */
  readonly adapterAdvice: string;
  /** A setting by the name of its environment variable. */
  setting(name: string): string | undefined;
  /** Whether adapters that are emulated in software come unasked for: programs should then rather use the cpu. */
  readonly emulates: boolean;
  readonly collector: Collector;
  /**
   * Sleeps for so many milliseconds. Present where waiting for the GPU is a busy loop, as in Dawn's package for Node, which would take a
   * processor from an emulated GPU.
   */
  rest?(ms: number): void;
}

export type { WebGpuOptions };

/** Limits that kernels make use of. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension",
  "maxUniformBufferBindingSize",
] as const satisfies readonly (keyof GPUSupportedLimits)[];
const FEATURES = ["shader-f16", "subgroups", "timestamp-query"] as const;

export async function requestAdapter(platform: WebGpuPlatform, options: WebGpuOptions): Promise<GPUAdapter> {
  const gpu = await platform.gpu();
  const { power_preference: wanted = "high-performance" } = options;
  const adapter = (await gpu.requestAdapter({ powerPreference: wanted })) ?? (await gpu.requestAdapter());
  if (adapter === null) {
    throw new RuntimeError(
      `webgpu: there is no adapter (asked for powerPreference "${wanted}", then for any). ${platform.adapterAdvice}`,
    );
  }
  return adapter;
}

export async function createWebGpuDevice(platform: WebGpuPlatform, options: WebGpuOptions = {}): Promise<WebGpuDevice> {
  const minimal = (options.limits ?? platform.setting("KINDLING_WEBGPU_LIMITS") ?? "maximal") === "minimal";
  let device = options.device ?? null;
  let info: GPUAdapterInfo | null;
  if (device === null) {
    const adapter = await requestAdapter(platform, options);
    info = adapter.info;
    device = await requestDevice(adapter, minimal);
  } else info = (device as { adapterInfo?: GPUAdapterInfo }).adapterInfo ?? null;

  const limit = options.memory_limit ?? parseBytes(platform.setting("KINDLING_WEBGPU_MEMORY_LIMIT"));
  let made: WebGpuDevice | null = null;
  const backend = new WebGpuBackend(device, capsOf(device, info, minimal), {
    memoryLimit: limit ?? Infinity,
    turn: () => platform.collector.macrotask(),
    rest: platform.rest ?? null,
    reclaim: () => void made?.memoryStats(),
  });
  const emulated = platform.emulates && info?.isFallbackAdapter === true;
  return (made = new WebGpuDevice(
    backend,
    device,
    platform.collector,
    info === null ? "unknown" : describeAdapter(info),
    emulated,
  ));
}

async function requestDevice(adapter: GPUAdapter, minimal: boolean): Promise<GPUDevice> {
  const requiredLimits: Record<string, number> = {};
  const requiredFeatures: GPUFeatureName[] = [];
  if (!minimal) {
    for (const name of LIMITS) {
      const limit = adapter.limits[name];
      if (limit !== undefined) requiredLimits[name] = limit;
    }
    requiredLimits.minUniformBufferOffsetAlignment = adapter.limits.minUniformBufferOffsetAlignment;
  }
  // Of use for tests, too, and without influence on kernels.
  for (const name of FEATURES)
    if (adapter.features.has(name) && (!minimal || name === "timestamp-query")) requiredFeatures.push(name);
  try {
    return await adapter.requestDevice({ label: "kindling", requiredLimits, requiredFeatures });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new RuntimeError(`webgpu: the adapter (${describeAdapter(adapter.info)}) gives no device: ${why}`);
  }
}

export function describeAdapter(info: GPUAdapterInfo): string {
  return [info.vendor, info.architecture, info.description].filter(Boolean).join(" ") || "unnamed";
}

function capsOf({ limits, features }: GPUDevice, info: GPUAdapterInfo | null, minimal: boolean): GpuCaps {
  const { subgroupMinSize: min, subgroupMaxSize: max } = (info ?? {}) as { subgroupMinSize?: number; subgroupMaxSize?: number };
  const subgroups = !minimal && features.has("subgroups") && min !== undefined && max !== undefined && min >= 4;
  return {
    f16: !minimal && features.has("shader-f16"),
    subgroups: subgroups ? { min, max } : null,
    maxStorageBuffers: limits.maxStorageBuffersPerShaderStage,
    maxWorkgroupStorage: limits.maxComputeWorkgroupStorageSize,
    maxWorkgroupSize: Math.min(limits.maxComputeInvocationsPerWorkgroup, limits.maxComputeWorkgroupSizeX),
    maxBufferSize: Math.min(limits.maxBufferSize, limits.maxStorageBufferBindingSize),
    wide: false,
    matrix: null,
    asyncCopy: false,
    processors: null,
  };
}

function parseBytes(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  const bytes = Number(text);
  if (!(bytes > 0)) throw new RuntimeError(`KINDLING_WEBGPU_MEMORY_LIMIT is "${text}"; expected a positive number of bytes`);
  return bytes;
}

export function webGpuFactory(platform: WebGpuPlatform): AcceleratorFactory<WebGpuDevice, WebGpuOptions> {
  return {
    available: async () => {
      try {
        await requestAdapter(platform, {});
        return true;
      } catch {
        return false;
      }
    },
    plausible: () => platform.plausible?.() ?? true,
    create: (options) => createWebGpuDevice(platform, options),
  };
}
