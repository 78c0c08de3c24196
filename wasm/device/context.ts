/**
 * What the lowerings (one file per KernelSpec kind) get from the cpu device: addresses, parameter blocks, workspace, launches.
 */

import type { View } from "../../ts/core/device.ts";
import type { KernelKind, KernelSpec, ParamsOf } from "../../ts/kernel/spec.ts";
import type { ParamWriter } from "./params.ts";

/** Every kernel of both modules: `name(params, task, scratch)`, with task in [0, tasks) and a per-thread scratch area. */
export type KernelName = string;

/** Bytes of per-thread scratch that every kernel may use freely. */
export const SCRATCH_BYTES = 4 << 20;

export interface CpuContext {
  /** Typed views of the one linear memory, refreshed when it grows: read them anew for every use. */
  readonly heap: {
    readonly u8: Uint8Array;
    readonly i32: Int32Array;
    readonly u32: Uint32Array;
    readonly i64: BigInt64Array;
    readonly f32: Float32Array;
    readonly f64: Float64Array;
  };
  /** Byte address of a view's first element. */
  address(view: View): number;
  /** A fresh 16-byte aligned parameter block of at most `words` 32-bit words, valid until the end of the current run. */
  params(words: number): ParamWriter;
  /** Temporary memory, 64-byte aligned, given back at the end of the current run. */
  workspace(nbytes: number): number;
  /** Memory that lives as long as the device: programs, tables. */
  permanent(nbytes: number): number;
  /** Runs all tasks (on the pool when there are several and threads to run them) and returns when they are done. */
  launch(kernel: KernelName, params: number, tasks: number): void;
}

/** For lowerings that are built on others: a conversion by `map` around a product, say. */
export interface ComposingContext extends CpuContext {
  /** Another spec, prepared. */
  lower<K extends KernelKind>(spec: Extract<KernelSpec, { kind: K }>): LoweredRun<K>;
}

export type LoweredRun<K extends KernelKind> = (inputs: readonly View[], outputs: readonly View[], params: ParamsOf[K]) => void;

/** How a spec kind runs on the cpu: `prepare` looks at structure once, what it returns runs many times. */
export type Lowering<K extends KernelKind> = (spec: Extract<KernelSpec, { kind: K }>, context: CpuContext) => LoweredRun<K>;

export type ComposedLowering<K extends KernelKind> = (
  spec: Extract<KernelSpec, { kind: K }>,
  context: ComposingContext,
) => LoweredRun<K>;
