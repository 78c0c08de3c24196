/**
 * From programs to functions on the device: CUDA C++ text, compiled by NVRTC in units of several kernels, kept on disk. A function is known
 * at once and ready later; commands that use it wait in the queue.
 */

import { RuntimeError } from "../../ts/core/errors.ts";
import type { Program } from "../ir.ts";
import { CUDA_PRELUDE, type CudaKernel, toCuda } from "../lower/cuda.ts";
import type { Compiled, NativeDevice } from "./addon.ts";
import { isAddonError, translate } from "./errors.ts";

/** Compiled units on disk; a unit holds the kernels that were compiled together. */
export interface CubinCache {
  /** The unit that holds a kernel of this name. */
  unitOf(kernel: string): string | null;
  /** Its CUBIN, or null where it is missing or damaged. */
  load(unit: string): Uint8Array | null;
  /** Never throws: a cache that cannot be written is none. */
  store(kernels: readonly string[], cubin: Uint8Array): void;
}

/** Kernels of one unit, at most: what the first one waits for. */
const MOST_IN_UNIT = 64;

export class CudaFunction {
  /** The addon's number; -1 until it is ready. */
  id = -1;
  error: Error | null = null;
  /** While it is being compiled: resolves, and never rejects, when it is settled. */
  ready: Promise<void> | null = null;

  constructor(
    readonly program: Program,
    readonly kernel: CudaKernel,
    /** Buffers of the program that are arguments: those that are no aliases of others. */
    readonly bound: readonly number[],
  ) {}

  get settled(): boolean {
    return this.id >= 0 || this.error !== null;
  }
}

export class Programs {
  readonly #native: NativeDevice;
  readonly #options: readonly string[];
  readonly #cache: CubinCache | null;
  readonly #byProgram = new WeakMap<Program, Map<string, CudaFunction>>();
  /** By kernel name, which contains a hash of the text. */
  readonly #byName = new Map<string, CudaFunction>();
  readonly #modules = new Map<string, number>();
  /** Kernels compiled, units that they were compiled in, kernels found on disk. */
  readonly stats = { compiled: 0, units: 0, cached: 0 };

  constructor(native: NativeDevice, options: readonly string[], cache: CubinCache | null) {
    this.#native = native;
    this.#options = options;
    this.#cache = cache;
  }

  get(program: Program, aliases: readonly number[]): CudaFunction {
    let known = this.#byProgram.get(program);
    if (known === undefined) this.#byProgram.set(program, (known = new Map<string, CudaFunction>()));
    const key = aliases.every((a, i) => a === i) ? "" : aliases.join();
    let fn = known.get(key);
    if (fn === undefined) known.set(key, (fn = this.#make(program, aliases)));
    return fn;
  }

  #make(program: Program, aliases: readonly number[]): CudaFunction {
    const kernel = toCuda(program, aliases);
    const { sharedPerBlockOptin: shared, maxThreadsPerBlock: threads } = this.#native.info;
    if (kernel.dynamicShared > shared || kernel.threads > threads) {
      throw new RuntimeError(
        `cuda: the kernel ${program.name} needs ${kernel.threads} threads and ${kernel.dynamicShared} bytes of shared memory in a block; this device's limits are ${threads} and ${shared}`,
      );
    }
    const same = this.#byName.get(kernel.name);
    if (same !== undefined) return same;
    const bound = aliases.map((_, i) => i).filter((i) => aliases[i] === i);
    const fn = new CudaFunction(program, kernel, bound);
    this.#byName.set(kernel.name, fn);
    this.#findOnDisk(fn);
    return fn;
  }

  #findOnDisk(fn: CudaFunction): void {
    const cache = this.#cache;
    const unit = cache?.unitOf(fn.kernel.name) ?? null;
    if (cache === null || unit === null) return;
    try {
      let module = this.#modules.get(unit);
      if (module === undefined) {
        const cubin = cache.load(unit);
        if (cubin === null) return;
        this.#modules.set(unit, (module = this.#native.loadModule(cubin)));
      }
      this.#resolve(fn, module);
      this.stats.cached++;
    } catch (error) {
      // What is on disk does not serve; it is compiled anew. A device that is gone says so at its next use.
      if (!isAddonError(error)) throw error;
    }
  }

  /** Compiles those that nobody has begun to compile. Resolves, and never rejects, when all of `functions` are settled. */
  async compile(functions: Iterable<CudaFunction>): Promise<void> {
    const open = [...functions].filter((fn) => !fn.settled);
    for (const unit of unitsOf(open.filter((fn) => fn.ready === null))) {
      const ready = this.#compileUnit(unit);
      for (const fn of unit) fn.ready = ready;
    }
    await Promise.all(open.map(({ ready }) => ready ?? Promise.resolve()));
  }

  async #compileUnit(unit: readonly CudaFunction[]): Promise<void> {
    try {
      this.#loaded(unit, await this.#native.compile(textOf(unit), this.#options));
    } catch (error) {
      if (unit.length === 1) this.#failed(unit[0]!, error);
      // The text of one spoils all: by itself, each shows whether it was that one.
      else for (const fn of unit) await this.#compileUnit([fn]);
    }
  }

  /** The same while everything waits, and whatever is being compiled elsewhere. */
  compileNow(functions: Iterable<CudaFunction>): void {
    for (const unit of unitsOf([...functions].filter((fn) => !fn.settled))) this.#compileUnitNow(unit);
  }

  #compileUnitNow(unit: readonly CudaFunction[]): void {
    try {
      this.#loaded(unit, this.#native.compileSync(textOf(unit), this.#options));
    } catch (error) {
      if (unit.length === 1) this.#failed(unit[0]!, error);
      else for (const fn of unit) this.#compileUnitNow([fn]);
    }
  }

  #loaded(unit: readonly CudaFunction[], { cubin }: Compiled): void {
    // Meanwhile another call may have made some of them.
    const open = unit.filter((fn) => !fn.settled);
    if (open.length === 0) return;
    const module = this.#native.loadModule(cubin);
    for (const fn of open) this.#resolve(fn, module);
    this.stats.compiled += unit.length;
    this.stats.units++;
    this.#cache?.store(
      unit.map((fn) => fn.kernel.name),
      cubin,
    );
  }

  #resolve(fn: CudaFunction, module: number): void {
    const { name, threads, dynamicShared } = fn.kernel;
    fn.id = this.#native.getFunction(module, name, threads, dynamicShared);
  }

  #failed(fn: CudaFunction, error: unknown): void {
    if (fn.settled) return;
    const { message } = translate(error);
    fn.error = new RuntimeError(`cuda: the kernel ${fn.program.name} could not be compiled: ${message}`, { cause: error });
  }
}

function unitsOf(functions: Iterable<CudaFunction>): CudaFunction[][] {
  const units: CudaFunction[][] = [];
  for (const fn of new Set(functions)) {
    const last = units.at(-1);
    if (last !== undefined && last.length < MOST_IN_UNIT) last.push(fn);
    else units.push([fn]);
  }
  return units;
}

const textOf = (unit: readonly CudaFunction[]): string => [CUDA_PRELUDE, ...unit.map((fn) => fn.kernel.text)].join("\n");
