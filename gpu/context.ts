/**
 * What a kernel (one file per KernelSpec kind in gpu/kernels) gets from a GPU device, whichever it is: how dtypes live there, capabilities,
 * temporary memory, launches. WebGPU, CUDA and the interpreter implement it.
 */

import type { DType } from "../ts/core/dtype.ts";
import type { View } from "../ts/core/device.ts";
import type { KernelKind, KernelSpec, ParamsOf } from "../ts/kernel/spec.ts";
import type { Elem, Program, ScalarType } from "./ir.ts";

/** What kernels may branch on. */
export interface GpuCaps {
  /** Buffers of f16 elements exist; without, float16 lives as rounded f32. */
  readonly f16: boolean;
  /** Sizes that a subgroup may have, or null where there are no subgroup operations. */
  readonly subgroups: { readonly min: number; readonly max: number } | null;
  readonly maxStorageBuffers: number;
  /** Bytes of workgroup memory. */
  readonly maxWorkgroupStorage: number;
  /** Threads of a workgroup. */
  readonly maxWorkgroupSize: number;
  /** Bytes of one buffer. */
  readonly maxBufferSize: number;
  /** int64 and float64 in full; without, int64 lives as i32 and float64 does not exist. */
  readonly wide: boolean;
  /** What matrix units multiply, in subgroups of 32 threads; null: there are none. */
  readonly matrix: { readonly f16: boolean; readonly bf16: boolean; readonly tf32: boolean } | null;
  /** Copies from buffers to workgroup memory that go on while threads compute. */
  readonly asyncCopy: boolean;
  /** Processors that workgroups are spread over; null: not known. */
  readonly processors: number | null;
}

/** How a dtype lives on the device. */
export interface DTypeLayout {
  readonly elem: Elem;
  /** Type in registers. */
  readonly value: ScalarType;
}

/** Memory that lasts until the end of the current run. */
export interface Temporary {
  readonly temporary: true;
  readonly elem: Elem;
  /** Elements. */
  readonly size: number;
}

/** What a launch binds to a buffer parameter: the whole buffer of a view (its offset goes in as a scalar), or a temporary. */
export type Bindable = View | Temporary;

export interface Launch {
  /** In the order of the program's buffers. */
  readonly buffers: readonly Bindable[];
  /** By name; `grid_threads` is filled in. i64 params take bigints. */
  readonly params: Readonly<Record<string, number | bigint>>;
  /** Workgroups. 0: nothing is launched. More than the target's limit per dimension are folded. */
  readonly groups: number;
  /** Multiply-adds of all workgroups, where they are many times as many as threads. Targets may cut a launch that takes too long. */
  readonly work?: number;
  /**
   * Where a buffer is both read and written: "elementwise" says that every thread reads an element before it alone writes it, so both may
   * be one binding. Default "copy": what is read is copied first.
   */
  readonly aliasing?: "elementwise" | "copy";
}

export interface GpuContext {
  readonly caps: GpuCaps;
  /** Throws NotImplementedError for what does not exist here (float64 on WebGPU). */
  layout(dtype: DType): DTypeLayout;
  /** Uninitialised (poisoned by the interpreter). */
  temporary(size: number, elem: Elem): Temporary;
  /** The program of this name and structure, built once. `key` must contain everything that the builder looks at. */
  program(key: string, build: () => Program): Program;
  launch(program: Program, launch: Launch): void;
  /** Copies `size` elements between buffers of the same element type. Offsets count elements. */
  copy(from: Bindable, fromOffset: number, to: Bindable, toOffset: number, size: number): void;
  /** Fills `size` elements with zeros. */
  zero(to: Bindable, offset: number, size: number): void;
  /**
   * Two u32 atomics that a kernel sets when it meets bad data: `exchange(1, value)`, then `max(0, code)` with the code that this call returns.
   * The next await that reads from the device throws what `error` makes of the value.
   */
  complaint(error: (value: number) => Error): { readonly buffer: Bindable; readonly code: number };
  /** Equal for what lies in the same memory, and so can share a binding. */
  memoryOf(bindable: Bindable): object;
  /** Another spec, prepared: for kernels that are made of others. */
  lower<K extends KernelKind>(spec: Extract<KernelSpec, { kind: K }>): LoweredRun<K>;
  /** The memory of a temporary as a contiguous view, for `lower`. */
  view(temporary: Temporary, dtype: DType, shape: readonly number[]): View;
}

export type LoweredRun<K extends KernelKind> = (inputs: readonly View[], outputs: readonly View[], params: ParamsOf[K]) => void;

/** How a spec kind runs on a GPU: `prepare` looks at structure once, what it returns runs many times. */
export type GpuLowering<K extends KernelKind> = (spec: Extract<KernelSpec, { kind: K }>, context: GpuContext) => LoweredRun<K>;
