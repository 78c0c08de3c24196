/** The contract between the engine and a device. Three devices, one contract. */

import type { DType } from "./dtype.ts";

export type DeviceType = "cpu" | "webgpu" | "cuda";

/** What kernels and the engine may branch on, never a device's name. */
export interface DeviceCaps {
  readonly float64: boolean;
  readonly int64: boolean;
  /** Whether subnormal floats count like others; elsewhere they may be taken for zero. */
  readonly subnormals: boolean;
  /** Whether memory can be read without waiting for a promise. */
  readonly readSync: boolean;
  /** Most leaf inputs that one map kernel takes. */
  readonly maxMapInputs: number;
  /** Most inputs and outputs together; more than maxMapInputs. */
  readonly maxMapBuffers: number;
  /** Most scalar ops fused into one map kernel. */
  readonly maxMapOps: number;
}

/**
 * Device memory. The device frees it when nothing refers to this object any more, or at `free`.
 * @internal
 */
export interface Buffer {
  readonly device: Device;
  /** As the host would keep them; see Device.alloc. */
  readonly nbytes: number;
  /** Deferred maps that will still read these bytes; an in-place write must then write to a copy. Kept by ts/engine. */
  readers: number;
}

/** A strided window onto a buffer: how kernels see a tensor. Offset and strides count elements. */
export interface View {
  readonly buffer: Buffer;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly offset: number;
}

/** A prepared kernel: opaque to the engine, made by `prepare` from a spec's structure and cached by it. */
export interface Kernel {
  readonly device: Device;
}

export interface Device {
  readonly type: DeviceType;
  readonly index: number;
  readonly caps: DeviceCaps;
  /**
   * Uninitialised memory for elements of `dtype`. Here, in `Buffer.nbytes` and in the offsets of `write` and `read` bytes are counted in the
   * host's layout of that dtype; the device may keep the elements in another one (WebGPU: int64 as i32). Throws OutOfMemoryError.
   */
  alloc(nbytes: number, dtype: DType): Buffer;
  /** Gives memory back at once; the buffer must not be used again. */
  free(buffer: Buffer): void;
  /**
   * New buffers with the same contents; those of one group lie in one memory, and as many groups together as fit, so that one kernel can
   * reach them all. The old ones are left to the caller. Null where they cannot be moved. Absent where there is nothing to gain.
   */
  pack?(groups: readonly (readonly Buffer[])[]): Buffer[][] | null;
  /** Swaps the memories of two buffers of one size and dtype. Absent where nobody knows a memory but by its buffer. */
  exchange?(a: Buffer, b: Buffer): void;
  write(buffer: Buffer, byteOffset: number, bytes: Uint8Array): void;
  read(buffer: Buffer, byteOffset: number, nbytes: number): Promise<Uint8Array>;
  readSync?(buffer: Buffer, byteOffset: number, nbytes: number): Uint8Array;
  /** Compiles a spec's structure (KernelSpec of ts/kernel; opaque here so that core stays a leaf). */
  prepare(spec: unknown): Kernel;
  /** Enqueues. `params` is the spec kind's run-time record (sizes, scalars). */
  run(kernel: Kernel, inputs: readonly View[], outputs: readonly View[], params: unknown): void;
  synchronize(): Promise<void>;
  /** Threads that kernels may use, where the device has such a choice. */
  threads?: number;
  /** A moment between two steps of a program, where memory of dead tensors can be looked for (and the event loop turns, when it must). */
  relieve?(): Promise<void>;
  /** Bytes in use, reserved and so on. */
  memoryStats(): MemoryStats;
  /** Whether it is gone for good (a GPU that was reset): every use throws. */
  readonly lost?: boolean;
  /** Set where other devices should be chosen before it: a GPU that is emulated in software. */
  readonly emulated?: boolean;
}

export interface MemoryStats {
  /** Bytes in live buffers. */
  allocated_bytes: number;
  /** Bytes taken from the system. */
  reserved_bytes: number;
  /** Most bytes ever live. */
  peak_bytes: number;
  /** Live buffers. */
  buffers: number;
}
