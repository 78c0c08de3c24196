/** From the addon to a device: what is there, what is missing, what kernels may use. */

import type { CudaFactory } from "../../ts/core/accelerators.ts";
import { RuntimeError } from "../../ts/core/errors.ts";
import type { GpuCaps } from "../context.ts";
import { CUDA_PRELUDE } from "../lower/cuda.ts";
import type { Collector } from "../memory.ts";
import { ADDON_ABI, type Addon, type DeviceInfo, type LibraryProbe, type Probe, type SearchOptions } from "./addon.ts";
import { CudaBackend } from "./backend.ts";
import { CudaDevice } from "./device.ts";
import { translate } from "./errors.ts";
import { type CubinCache, Programs } from "./programs.ts";

/** What the CUDA device needs of the system that it runs on. */
export interface CudaPlatform {
  /** The addon, or why there is none: what was looked for, and what to do. */
  addon(): { readonly addon: Addon } | { readonly missing: string };
  /** A setting by the name of its environment variable. */
  setting(name: string): string | undefined;
  /** Compiled kernels on disk. `target`: everything but the kernels' texts that they depend on. */
  cache(target: string): CubinCache | null;
  readonly collector: Collector;
}

/** A buffer's elements are counted in 32 bits, and no buffer needs more bytes than that many doubles. */
const MOST_BUFFER_BYTES = 2 ** 35;
const LEAST_CAPABILITY = 70;

function searchOptions(platform: CudaPlatform): SearchOptions {
  const directories = (platform.setting("KINDLING_CUDA_LIB_DIRS") ?? "").split(":").filter((folder) => folder !== "");
  return { directories, only: platform.setting("KINDLING_CUDA_LIB_ONLY") === "1" };
}

function bytesSetting(platform: CudaPlatform, name: string): number | undefined {
  const text = platform.setting(name);
  if (text === undefined || text === "") return undefined;
  const bytes = Number(text);
  if (!(bytes > 0)) throw new RuntimeError(`${name} is "${text}"; expected a positive number of bytes`);
  return bytes;
}

export function capsOf({ capability, maxThreadsPerBlock, multiprocessors, sharedPerBlockOptin }: DeviceInfo): GpuCaps {
  const modern = capability[0] >= 8;
  return {
    f16: true,
    subgroups: { min: 32, max: 32 },
    maxStorageBuffers: 64,
    maxWorkgroupStorage: sharedPerBlockOptin,
    maxWorkgroupSize: maxThreadsPerBlock,
    maxBufferSize: MOST_BUFFER_BYTES,
    wide: true,
    matrix: modern ? { f16: true, bf16: true, tf32: true } : null,
    asyncCopy: modern,
    processors: multiprocessors,
  };
}

/** The addon's words, and where it looked. */
const missing = (what: string, { error, searched }: LibraryProbe): string =>
  `${error ?? `${what} was not found`}${searched.length > 0 ? `. Looked for ${searched.join("; ")}` : ""}`;

/** Why there is no CUDA on this machine; null where there is. */
function whyNot(probe: Probe): string | null {
  if (probe.driver.path === null || probe.driver.error !== null) {
    return `there is no NVIDIA driver: ${missing("libcuda", probe.driver)}`;
  }
  if (probe.devices.length === 0) return `the driver (${probe.driver.path}) sees no device`;
  if (probe.nvrtc.path === null || probe.nvrtc.error !== null) {
    return `there is no NVRTC, which compiles the kernels: ${missing("libnvrtc", probe.nvrtc)}. KINDLING_CUDA_LIB_DIRS names further folders`;
  }
  return null;
}

export function cudaFactory(platform: CudaPlatform): CudaFactory {
  let found: { readonly addon: Addon; readonly probe: Probe } | { readonly why: string } | null = null;

  const look = (): { readonly addon: Addon; readonly probe: Probe } | { readonly why: string } => {
    if (found !== null) return found;
    const loaded = platform.addon();
    if ("missing" in loaded) return (found = { why: loaded.missing });
    const { addon } = loaded;
    if (addon.abi !== ADDON_ABI) {
      return (found = {
        why: `the addon speaks version ${addon.abi} of its contract, this library ${ADDON_ABI}; install both anew`,
      });
    }
    const probe = addon.probe(searchOptions(platform));
    const why = whyNot(probe);
    return (found = why === null ? { addon, probe } : { why });
  };

  return {
    why: () => {
      const state = look();
      return "why" in state ? state.why : null;
    },
    probe: () => {
      const loaded = platform.addon();
      return "missing" in loaded ? null : loaded.addon.probe(searchOptions(platform));
    },
    deviceCount: () => {
      const state = look();
      return "why" in state ? 0 : state.probe.devices.length;
    },
    open(index) {
      const state = look();
      if ("why" in state) throw new RuntimeError(`cuda: ${state.why}`);
      const { addon, probe } = state;
      const info = probe.devices[index];
      if (info === undefined) {
        throw new RuntimeError(
          `cuda: there is no device cuda:${index}; this machine has ${probe.devices.length} (from cuda:0 on)`,
        );
      }
      const [major, minor] = info.capability;
      if (major * 10 + minor < LEAST_CAPABILITY) {
        throw new RuntimeError(`cuda: ${info.name} has compute capability ${major}.${minor}; 7.0 or newer is needed`);
      }
      return openDevice(platform, addon, probe, index);
    },
  };
}

function openDevice(platform: CudaPlatform, addon: Addon, probe: Probe, index: number): CudaDevice {
  const memoryLimit = bytesSetting(platform, "KINDLING_CUDA_MEMORY_LIMIT");
  let device: CudaDevice | null = null;
  let backend: CudaBackend | null = null;
  try {
    const native = addon.open(index, {
      ...(memoryLimit === undefined ? {} : { memoryLimit }),
      exactAllocations: platform.setting("KINDLING_CUDA_ALLOCATOR") === "exact",
      reclaim: () => {
        // Idle memory goes back to the driver only after what still uses it has been handed over.
        backend?.queue.submitNow();
        device?.memoryStats();
      },
    });
    const arch = architecture(native.info.capability, probe.nvrtcArchitectures);
    const target = [arch, probe.nvrtc.path, probe.nvrtc.version, CUDA_PRELUDE].join("\n");
    const programs = new Programs(
      native,
      [`--gpu-architecture=${arch}`, "--std=c++17", "-default-device"],
      platform.cache(target),
    );
    backend = new CudaBackend(native, programs, capsOf(native.info), () => platform.collector.macrotask());
    return (device = new CudaDevice(native, backend, platform.collector));
  } catch (error) {
    throw translate(error);
  }
}

/** The device's own code where NVRTC knows it, else PTX of the newest one that it knows, which the driver translates. */
function architecture([major, minor]: readonly [number, number], known: readonly number[]): string {
  const own = major * 10 + minor;
  if (known.length === 0 || known.includes(own)) return `sm_${own}`;
  const older = known.filter((arch) => arch < own);
  if (older.length === 0)
    throw new RuntimeError(
      `cuda: this NVRTC compiles for compute capabilities ${known.join(", ")}, not for ${own}; install another one`,
    );
  return `compute_${Math.max(...older)}`;
}
