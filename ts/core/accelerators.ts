/** Devices that take time to start and may be missing: how the face asks for them, and what they offer beyond the contract of all devices. */

import type { Buffer, Device } from "./device.ts";
import type { DType } from "./dtype.ts";

/** How a device is started. Entries provide it. */
export interface AcceleratorFactory<D extends Device, Options> {
  /** Whether this machine has such a device. Starts nothing that lasts; does not throw. */
  available(): Promise<boolean>;
  /** Whether it is worth trying: a quick look. */
  plausible(): boolean;
  /** Starts one. Throws a RuntimeError that says what is missing and what to do. */
  create(options: Options): Promise<D>;
}

export interface WebGpuOptions {
  /** An own GPUDevice to work on, with the limits and features that it was made with. Default: a new one, with all that the adapter has. */
  readonly device?: GPUDevice | null;
  /** Which adapter where there are several. Default: "high-performance". */
  readonly power_preference?: "high-performance" | "low-power";
  /**
   * "maximal" (default): all that the adapter has. "minimal": what every WebGPU device has, and no optional features; to test that a
   * program works everywhere. The environment variable KINDLING_WEBGPU_LIMITS sets the default.
   */
  readonly limits?: "maximal" | "minimal";
  /** Most bytes of device memory to take. Default: the environment variable KINDLING_WEBGPU_MEMORY_LIMIT (bytes), or no limit. */
  readonly memory_limit?: number | null;
}

export interface WebGpuStats {
  /** Kernel launches submitted so far. */
  readonly dispatches: number;
  /** Submissions to the GPU's queue. */
  readonly submits: number;
  /** Compute passes. */
  readonly passes: number;
  /** Pipelines compiled. */
  readonly pipelines: number;
}

export interface KernelTime {
  /** The kernel's name. */
  readonly name: string;
  /** Milliseconds on the GPU. */
  readonly ms: number;
}

/** The WebGPU device as the face sees it. */
export interface WebGpuDeviceLike extends Device {
  readonly gpu: GPUDevice;
  readonly lost: boolean;
  /** The adapter, in words. */
  readonly description: string;
  stats(): WebGpuStats;
  /** Submits what has been recorded; resolves when that is done (not when it has been carried out). */
  flush(): Promise<void>;
  profile(fn: () => unknown): Promise<KernelTime[]>;
  /** The GPUBuffer that holds a buffer's elements, from element `first` on, as the device keeps them, after everything so far has been submitted. */
  nativeBuffer(buffer: Buffer): Promise<{ buffer: GPUBuffer; first: number; elementBytes: number }>;
  /** A buffer over somebody else's GPUBuffer, which is neither copied nor ever destroyed. */
  adoptNative(buffer: GPUBuffer, dtype: DType): { buffer: Buffer; elementBytes: number };
  destroy(): void;
}
