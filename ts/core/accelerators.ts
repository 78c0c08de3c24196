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

/** What the entry for Node knows of CUDA. Nothing here waits: the driver answers at once. */
export interface CudaFactory {
  /** Why this machine has no CUDA: what is missing, where it was looked for, what to do. Null where it has. */
  why(): string | null;
  /** What the addon found of NVIDIA's libraries; null where there is no addon. */
  probe(): CudaProbe | null;
  deviceCount(): number;
  /** Starts a device. Throws a RuntimeError with the reason. */
  open(index: number): CudaDeviceLike;
}

export interface CudaLibrary {
  /** The path or soname that it was opened by, or null. */
  readonly path: string | null;
  readonly version: string | null;
  /** Everything that was tried, in order. */
  readonly searched: readonly string[];
  /** Why it cannot be used. */
  readonly error: string | null;
}

export interface CudaProbe {
  readonly driver: CudaLibrary;
  readonly nvrtc: CudaLibrary;
  readonly cublasLt: CudaLibrary;
  readonly cudnn: CudaLibrary;
}

/** As `torch.cuda.get_device_properties` names it. */
export interface CudaDeviceProperties {
  readonly name: string;
  /** Compute capability. */
  readonly major: number;
  readonly minor: number;
  /** Bytes. */
  readonly total_memory: number;
  readonly multi_processor_count: number;
  readonly max_threads_per_block: number;
  /** Bytes. */
  readonly L2_cache_size: number;
  readonly uuid: string;
}

export interface CudaStats {
  /** Kernel launches handed to the driver so far, those of replayed graphs not counted. */
  readonly launches: number;
  /** Calls of the addon that carried commands. */
  readonly submits: number;
  readonly copies: number;
  readonly graph_launches: number;
  readonly kernels_compiled: number;
  /** Compilation units that they were compiled in. */
  readonly units: number;
  /** Kernels found on disk. */
  readonly kernels_cached: number;
}

/** Bytes and counts of the caching allocator. */
export interface CudaAllocatorStats {
  readonly allocatedBytes: number;
  readonly peakAllocatedBytes: number;
  readonly reservedBytes: number;
  readonly peakReservedBytes: number;
  readonly blocks: number;
  readonly allocations: number;
  readonly slabs: number;
  readonly retries: number;
  readonly failures: number;
}

export interface CudaGraphLike {
  replay(): void;
  /** Lets go of the graph and its memory. */
  reset(): void;
}

/** The CUDA device as the face sees it. */
export interface CudaDeviceLike extends Device {
  readonly lost: boolean;
  readonly properties: CudaDeviceProperties;
  readonly capturing: boolean;
  /** Whether everything asked for so far has been carried out. */
  readonly idle: boolean;
  stats(): CudaStats;
  allocatorStats(): CudaAllocatorStats;
  resetPeakStats(): void;
  memGetInfo(): readonly [free: number, total: number];
  emptyCache(): void;
  synchronizeSync(): void;
  createEvent(timing: boolean): number;
  destroyEvent(event: number): void;
  recordEvent(event: number): void;
  queryEvent(event: number): boolean;
  synchronizeEvent(event: number): Promise<void>;
  synchronizeEventSync(event: number): void;
  /** Milliseconds between two recorded events. */
  elapsed(start: number, end: number): number;
  waitEvent(other: CudaDeviceLike, event: number): void;
  beginCapture(): void;
  /** While a graph is captured: what `work` asks for is carried out, not captured. */
  outsideCapture(work: () => void): void;
  endCapture(): CudaGraphLike;
  abortCapture(): void;
  profile(fn: () => unknown): Promise<KernelTime[]>;
  close(): void;
}
