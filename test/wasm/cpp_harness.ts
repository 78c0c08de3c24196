/** A bare linear memory with the C++ kernels on it: runs their planners with no device around them. */

import { readFileSync } from "node:fs";
import { ParamWriter, type ParamHeap } from "../../wasm/device/params.ts";
import type { Launcher } from "../../wasm/device/cpp/launcher.ts";

type Kernel = (params: number, task: number, scratch: number) => void;
export type Variant = "simd" | "relaxed";
export type NumberArray = Float32Array | Float64Array | Int32Array | BigInt64Array | Uint8Array;

const STACK_TOP = 1 << 20;
const SCRATCH = 2 << 20;
const SCRATCH_BYTES = 4 << 20;
const HEAP = SCRATCH + SCRATCH_BYTES;

export function kernelFile(variant: Variant): URL {
  const folder = process.env.KINDLING_WASM
    ? new URL(process.env.KINDLING_WASM, "file:///")
    : new URL("../../build/wasm/", import.meta.url);
  return new URL(`kernels_cpp.${variant}.wasm`, folder);
}

/** The variants that this engine can compile. */
export function variants(): Variant[] {
  return (["simd", "relaxed"] as const).filter((v) => WebAssembly.validate(readFileSync(kernelFile(v))));
}

export class Harness implements Launcher {
  readonly memory = new WebAssembly.Memory({ initial: 4096, maximum: 65536, shared: true });
  readonly heap: ParamHeap & { u8: Uint8Array };
  readonly kernels: Record<string, Kernel>;
  #top = HEAP;
  /** Tasks run in this order: results must not depend on it. */
  reversed = false;

  constructor(variant: Variant) {
    const module = new WebAssembly.Module(readFileSync(kernelFile(variant)));
    const exports = new WebAssembly.Instance(module, { env: { memory: this.memory } }).exports;
    (exports.__stack_pointer as WebAssembly.Global).value = STACK_TOP;
    this.kernels = exports as unknown as Record<string, Kernel>;
    const b = this.memory.buffer;
    this.heap = {
      u8: new Uint8Array(b),
      i32: new Int32Array(b),
      u32: new Uint32Array(b),
      i64: new BigInt64Array(b),
      f32: new Float32Array(b),
      f64: new Float64Array(b),
    };
  }

  /** Frees everything. */
  clear(): void {
    this.#top = HEAP;
  }

  /** Frees what was taken since `workspace` returned `ptr`. */
  rewind(ptr: number): void {
    this.#top = ptr;
  }

  workspace(nbytes: number): number {
    const ptr = this.#top;
    this.#top = (this.#top + nbytes + 63) & ~63;
    if (this.#top > this.memory.buffer.byteLength) throw new RangeError("harness memory is full");
    return ptr;
  }

  params(words: number): ParamWriter {
    return new ParamWriter(this.heap).reset(this.workspace(words * 4), words);
  }

  launch(kernel: string, params: number, tasks: number): void {
    const run = this.kernels[kernel];
    if (!run) throw new Error(`no kernel ${kernel}`);
    for (let i = 0; i < tasks; i++) run(params, this.reversed ? tasks - 1 - i : i, SCRATCH);
  }

  /** Copies an array into the memory and returns its address. */
  put(values: NumberArray): number {
    const ptr = this.workspace(values.byteLength);
    this.heap.u8.set(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), ptr);
    return ptr;
  }
  f32(ptr: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, ptr, length);
  }
  f64(ptr: number, length: number): Float64Array {
    return new Float64Array(this.memory.buffer, ptr, length);
  }
  i32(ptr: number, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, ptr, length);
  }
  i64(ptr: number, length: number): BigInt64Array {
    return new BigInt64Array(this.memory.buffer, ptr, length);
  }
}

/** A small deterministic generator (mulberry32): values in [-1, 1). */
export function randoms(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return (((t ^ (t >>> 14)) >>> 0) / 4294967296) * 2 - 1;
  };
}

export function randomF32(length: number, seed: number, scale = 1): Float32Array {
  const next = randoms(seed);
  return Float32Array.from({ length }, () => next() * scale);
}

export function randomF64(length: number, seed: number, scale = 1): Float64Array {
  const next = randoms(seed);
  return Float64Array.from({ length }, () => next() * scale);
}

/** Largest |actual - expected| / (1 + |expected|); NaN must meet NaN and infinities must agree. */
export function worstError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Infinity;
  let worst = 0;
  for (let i = 0; i < actual.length; i++) {
    const a = actual[i]!;
    const e = expected[i]!;
    if (Object.is(a, e) || a === e) continue;
    const error = Math.abs(a - e) / (1 + Math.abs(e));
    if (!(error <= worst)) worst = Number.isNaN(error) ? Infinity : error;
  }
  return worst;
}
