/** The cpu device: WebAssembly kernels on one linear memory. Everything it does is done when the call returns. */

import type { Buffer, Device, DeviceCaps, Kernel, MemoryStats, View } from "../../ts/core/device.ts";
import { NotImplementedError, RuntimeError } from "../../ts/core/errors.ts";
import type { KernelKind, KernelSpec } from "../../ts/kernel/spec.ts";
import { Allocator, type CpuBuffer } from "./allocator.ts";
import type { Block } from "./blocks.ts";
import type { ComposingContext, LoweredRun, ComposedLowering } from "./context.ts";
import { lowerings } from "./lower/index.ts";
import { LinearMemory, MAIN_SCRATCH, PARAMS_BASE, PARAMS_END } from "./memory.ts";
import {
  type KernelFunction,
  type Kernels,
  type Modules,
  type Variant,
  chooseVariant,
  compileModules,
  instantiate,
} from "./modules.ts";
import { ParamWriter } from "./params.ts";
import type { Platform } from "./platform.ts";
import { Pool } from "./pool.ts";
import { specKey } from "../../ts/kernel/spec_key.ts";

export interface CpuOptions {
  /** Threads that kernels may use, the calling one included. Default: KINDLING_NUM_THREADS, or what the machine has. */
  readonly threads?: number;
  /** Most bytes of linear memory. Default: KINDLING_MEMORY_LIMIT (bytes, or with KiB, MiB, GiB), or 4 GiB. */
  readonly memoryLimit?: number;
}

/** A lowered spec of whatever kind. */
type Run = (inputs: readonly View[], outputs: readonly View[], params: never) => void;

class CpuKernel implements Kernel {
  constructor(
    readonly device: CpuDevice,
    readonly run: Run,
  ) {}
}

interface KernelEntry {
  readonly id: number;
  readonly call: KernelFunction;
}

export class CpuDevice implements Device {
  readonly type = "cpu";
  readonly index = 0;
  readonly caps: DeviceCaps = {
    float64: true,
    int64: true,
    subnormals: true,
    readSync: true,
    maxMapInputs: 16,
    maxMapBuffers: Infinity,
    maxMapOps: 64,
  };
  readonly variant: Variant;
  readonly #memory: LinearMemory;
  readonly #allocator: Allocator;
  readonly #platform: Platform;
  readonly #kernels: Kernels;
  readonly #entries = new Map<string, KernelEntry>();
  readonly #pool: Pool;
  readonly #context: Context;
  readonly #bySpec = new WeakMap<KernelSpec, CpuKernel>();
  readonly #byKey = new Map<string, CpuKernel>();

  /** @internal Use createCpuDevice. */
  constructor(platform: Platform, variant: Variant, modules: Modules, memory: LinearMemory, threads: number) {
    this.variant = variant;
    this.#platform = platform;
    this.#memory = memory;
    this.#allocator = new Allocator(memory, platform);
    const kernels = (this.#kernels = instantiate(modules, memory.memory, null));
    kernels.names.forEach((name, id) => this.#entries.set(name, { id, call: kernels.functions[id]! }));
    const permanent = (nbytes: number): number => this.#allocator.permanent(nbytes);
    this.#pool = new Pool({ platform, memory, modules, kernels, threads, permanent });
    this.#context = new Context(this, memory, this.#allocator, (kernel, params, tasks) => this.#launch(kernel, params, tasks));
  }

  get threads(): number {
    return this.#pool.threads;
  }
  set threads(n: number) {
    if (!Number.isInteger(n) || n < 1) throw new RuntimeError(`set_num_threads: expected a positive whole number, got ${n}`);
    this.#pool.threads = n;
  }
  /** Worker threads that have booted so far. */
  get workersReady(): number {
    return this.#pool.ready;
  }
  /** Garbage collections that memory pressure has caused so far. */
  get collections(): number {
    return this.#allocator.collections;
  }

  alloc(nbytes: number): CpuBuffer {
    return this.#allocator.alloc(this, nbytes);
  }

  free(buffer: Buffer): void {
    this.#allocator.free(buffer as CpuBuffer);
  }

  write(buffer: Buffer, byteOffset: number, bytes: Uint8Array): void {
    this.#memory.u8.set(bytes, this.#range("write", buffer, byteOffset, bytes.length));
  }

  async read(buffer: Buffer, byteOffset: number, nbytes: number): Promise<Uint8Array> {
    return this.readSync(buffer, byteOffset, nbytes);
  }

  readSync(buffer: Buffer, byteOffset: number, nbytes: number): Uint8Array {
    const start = this.#range("read", buffer, byteOffset, nbytes);
    return this.#memory.u8.slice(start, start + nbytes); // a copy, and not of shared memory
  }

  prepare(spec: KernelSpec): CpuKernel {
    let kernel = this.#bySpec.get(spec);
    if (kernel === undefined) {
      const key = specKey(spec);
      kernel = this.#byKey.get(key);
      if (kernel === undefined) {
        const lowering = lowerings[spec.kind] as ComposedLowering<KernelKind>;
        kernel = new CpuKernel(this, lowering(spec, this.#context));
        this.#byKey.set(key, kernel);
      }
      this.#bySpec.set(spec, kernel);
    }
    return kernel;
  }

  run(kernel: Kernel, inputs: readonly View[], outputs: readonly View[], params: unknown): void {
    try {
      (kernel as CpuKernel).run(inputs, outputs, params as never);
    } finally {
      this.#context.endRun();
    }
  }

  async synchronize(): Promise<void> {}

  memoryStats(): MemoryStats {
    this.#allocator.collect(); // what is dead does not count
    return this.#allocator.stats();
  }

  /**
   * Awaited between steps where garbage of the current job cannot be collected (browsers): lets the job end, so that what it held can
   * die, then frees what died. Does nothing while memory is plentiful.
   */
  async relieve(): Promise<void> {
    if (this.#platform.collect || !this.#allocator.pressed) return;
    await this.#platform.macrotask();
    this.#allocator.collect();
  }

  /** Runs independent multiply-adds in registers (benchmarks measure the ceiling with it); `out` takes 64 bytes of result. */
  peak(out: Buffer, iterations: number): void {
    const params = this.#context.params(2);
    params.i32(baseOf(out));
    params.i32(iterations);
    this.#launch("peak_madd_f32", params.ptr, 1);
    this.#context.endRun();
  }

  /** Ends the worker threads. The device goes on, on one thread. */
  close(): void {
    this.#pool.terminate();
  }

  #range(what: string, buffer: Buffer, byteOffset: number, nbytes: number): number {
    if (byteOffset < 0 || nbytes < 0 || byteOffset + nbytes > buffer.nbytes) {
      throw new RuntimeError(`cpu: ${what} of ${nbytes} bytes at ${byteOffset} of a buffer of ${buffer.nbytes} bytes`);
    }
    return baseOf(buffer) + byteOffset;
  }

  #launch(name: string, params: number, tasks: number): void {
    const entry = this.#entries.get(name);
    if (entry === undefined) throw new NotImplementedError(`cpu: there is no kernel ${name}`);
    try {
      if (tasks === 1) entry.call(params, 0, MAIN_SCRATCH);
      else if (tasks > 1) this.#pool.run(entry.id, entry.call, params, tasks, MAIN_SCRATCH);
    } catch (error) {
      this.#kernels.resetStack();
      if (error instanceof WebAssembly.RuntimeError) throw new RuntimeError(`cpu: kernel ${name} failed: ${error.message}`);
      throw error;
    }
  }
}

function baseOf(buffer: Buffer): number {
  const { ptr } = buffer as CpuBuffer;
  if (ptr === 0) throw new RuntimeError("cpu: a buffer was used after it was freed");
  return ptr;
}

/** Workspace up to this comes from the arena of the parameter blocks. */
const SMALL_WORKSPACE = 64 << 10;

/** What lowerings see. Parameter blocks and workspace last until the end of the run. */
class Context implements ComposingContext {
  readonly #device: CpuDevice;
  readonly #allocator: Allocator;
  /** Writers and blocks of workspace of the current run. */
  readonly #writers: ParamWriter[] = [];
  #writersUsed = 0;
  /** Where the next parameter block or small workspace goes. */
  #arenaAt = PARAMS_BASE;
  #workspaces: Block[] = [];

  constructor(
    device: CpuDevice,
    readonly heap: LinearMemory,
    allocator: Allocator,
    readonly launch: (kernel: string, params: number, tasks: number) => void,
  ) {
    this.#device = device;
    this.#allocator = allocator;
  }

  lower<K extends KernelKind>(spec: Extract<KernelSpec, { kind: K }>): LoweredRun<K> {
    return this.#device.prepare(spec).run as LoweredRun<K>;
  }

  address(view: View): number {
    return baseOf(view.buffer) + view.offset * view.dtype.itemsize;
  }

  params(words: number): ParamWriter {
    let writer = this.#writers[this.#writersUsed];
    if (writer === undefined) this.#writers.push((writer = new ParamWriter(this.heap)));
    this.#writersUsed++;
    const at = (this.#arenaAt + 15) & -16;
    if (at + words * 4 > PARAMS_END) return writer.reset(this.workspace(words * 4), words);
    this.#arenaAt = at + words * 4;
    return writer.reset(at, words);
  }

  workspace(nbytes: number): number {
    const at = (this.#arenaAt + 63) & -64;
    if (nbytes <= SMALL_WORKSPACE && at + nbytes <= PARAMS_END) {
      this.#arenaAt = at + nbytes;
      return at;
    }
    const block = this.#allocator.reserve(nbytes);
    this.#workspaces.push(block);
    return block.ptr;
  }

  permanent(nbytes: number): number {
    return this.#allocator.permanent(nbytes);
  }

  endRun(): void {
    this.#arenaAt = PARAMS_BASE;
    this.#writersUsed = 0;
    if (this.#workspaces.length > 0) {
      for (const block of this.#workspaces) this.#allocator.release(block);
      this.#workspaces.length = 0;
    }
  }
}

export async function createCpuDevice(platform: Platform, options: CpuOptions = {}): Promise<CpuDevice> {
  const variant = chooseVariant(platform);
  const limit = options.memoryLimit ?? parseBytes(platform.setting("KINDLING_MEMORY_LIMIT"));
  const threads = options.threads ?? parseThreads(platform.setting("KINDLING_NUM_THREADS")) ?? platform.concurrency;
  const modules = await compileModules(platform, variant);
  return new CpuDevice(platform, variant, modules, new LinearMemory(limit), Math.max(1, threads));
}

function parseThreads(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  if (!/^[1-9]\d*$/.test(text)) throw new RuntimeError(`KINDLING_NUM_THREADS is "${text}"; expected a positive whole number`);
  return Number(text);
}

function parseBytes(text: string | undefined): number | undefined {
  if (text === undefined || text === "") return undefined;
  const match = /^(\d+(?:\.\d+)?)\s*(|KiB|MiB|GiB)$/.exec(text);
  if (!match) throw new RuntimeError(`KINDLING_MEMORY_LIMIT is "${text}"; expected bytes, or a number with KiB, MiB or GiB`);
  return Number(match[1]) * 1024 ** ["", "KiB", "MiB", "GiB"].indexOf(match[2]!);
}
