/** The CUDA device. */

import type { CudaDeviceLike, CudaDeviceProperties, CudaGraphLike, CudaStats, KernelTime } from "../../ts/core/accelerators.ts";
import type { Buffer } from "../../ts/core/device.ts";
import { RuntimeError } from "../../ts/core/errors.ts";
import type { KernelSpec } from "../../ts/kernel/spec.ts";
import { GpuDevice, type Run } from "../device.ts";
import type { Collector } from "../memory.ts";
import type { AllocatorStats, NativeDevice } from "./addon.ts";
import type { CudaBackend } from "./backend.ts";
import { guarded, guardedAsync } from "./errors.ts";
import { LibraryChoices, type LibraryQueue, withLibraries } from "./libraries.ts";
import { CudaLibraryQueue } from "./library_queue.ts";
import type { CudaMemory } from "./memory.ts";
import { Profile } from "./profile.ts";

/** What a replay would repeat with the values that it was captured with. */
function onlyOnce(spec: KernelSpec): string | null {
  if (spec.kind === "random")
    return "random numbers would be the same at every replay; draw them outside, into a tensor that the graph reads";
  if ((spec.kind === "optimizer" && spec.op !== "sgd") || (spec.kind === "update" && !spec.repeats))
    return "the optimizer's step number would not rise; take the step outside the graph";
  return null;
}

export class CudaDevice extends GpuDevice implements CudaDeviceLike {
  readonly #backend: CudaBackend;
  readonly #native: NativeDevice;
  readonly #libraries: LibraryQueue;
  readonly #choices: LibraryChoices;

  constructor(native: NativeDevice, backend: CudaBackend, collector: Collector) {
    super("cuda", backend, collector, native.info.index);
    this.#backend = backend;
    this.#native = native;
    this.#libraries = new CudaLibraryQueue(native, backend);
    this.#choices = new LibraryChoices(this.#libraries);
  }

  /** @internal For measuring what it costs. */
  get backend(): CudaBackend {
    return this.#backend;
  }

  get lost(): boolean {
    return this.#backend.lost !== null;
  }

  get properties(): CudaDeviceProperties {
    const { name, capability, totalMemory, multiprocessors, maxThreadsPerBlock, l2Bytes, uuid } = this.#native.info;
    return {
      name,
      major: capability[0],
      minor: capability[1],
      total_memory: totalMemory,
      multi_processor_count: multiprocessors,
      max_threads_per_block: maxThreadsPerBlock,
      L2_cache_size: l2Bytes,
      uuid,
    };
  }

  stats(): CudaStats {
    const { launches, submits, copies, graphLaunches } = this.#native.stats();
    const { compiled, units, cached } = this.#backend.programs.stats;
    return {
      launches,
      submits,
      copies,
      graph_launches: graphLaunches,
      kernels_compiled: compiled,
      units,
      kernels_cached: cached,
    };
  }

  allocatorStats(): AllocatorStats {
    return guarded(() => this.#native.memoryStats());
  }
  resetPeakStats(): void {
    guarded(() => this.#native.resetPeakStats());
  }
  memGetInfo(): readonly [free: number, total: number] {
    return guarded(() => this.#native.memGetInfo());
  }
  emptyCache(): void {
    // Commands that are still here may use memory that has fallen free.
    this.#backend.queue.submitNow();
    this.memoryStats();
    guarded(() => this.#native.emptyCache());
  }

  synchronizeSync(): void {
    this.#backend.checkUsable();
    this.#backend.synchronizeSync();
    this.throwComplaints();
  }

  get idle(): boolean {
    this.#backend.queue.flush();
    return guarded(() => this.#native.idle());
  }

  protected override lower(spec: KernelSpec): Run {
    const run = withLibraries(spec, this.context, super.lower(spec), this.#libraries, this.#choices);
    const why = onlyOnce(spec);
    if (why === null) return run;
    return (inputs, outputs, params) => {
      if (this.#backend.capturing) throw new RuntimeError(`cuda: while a graph is captured, ${why}`);
      run(inputs, outputs, params);
    };
  }

  exchange(a: Buffer, b: Buffer): void {
    this.swap(a, b);
  }

  /** What a graph touches stays where it is. */
  override pack(groups: readonly (readonly Buffer[])[]): Buffer[][] | null {
    const pinned = (b: Buffer): boolean => (this.checkLive(b).memory as CudaMemory).pins > 0;
    return this.capturing || groups.some((group) => group.some(pinned)) ? null : super.pack(groups);
  }

  // Events.
  createEvent(timing: boolean): number {
    return guarded(() => this.#native.createEvent(timing));
  }
  destroyEvent(event: number): void {
    if (!this.lost) guarded(() => this.#native.destroyEvent(event));
  }
  recordEvent(event: number): void {
    this.#backend.checkUsable();
    this.#backend.queue.command((c) => c.record(event));
    this.#backend.queue.flush();
  }
  queryEvent(event: number): boolean {
    this.#backend.queue.submitNow();
    return guarded(() => this.#native.queryEvent(event));
  }
  async synchronizeEvent(event: number): Promise<void> {
    await this.#backend.queue.submitted();
    await guardedAsync(this.#native.synchronizeEvent(event));
  }
  synchronizeEventSync(event: number): void {
    this.#backend.queue.submitNow();
    guarded(() => this.#native.synchronizeEventSync(event));
  }
  elapsed(start: number, end: number): number {
    this.#backend.queue.submitNow();
    return guarded(() => this.#native.elapsed(start, end));
  }
  /** What comes later on this device waits for an event of `other`. */
  waitEvent(other: CudaDeviceLike, event: number): void {
    const device = other as CudaDevice;
    device.#backend.queue.submitNow();
    this.#backend.queue.submitNow();
    guarded(() => this.#native.waitEvent(device.#native, event));
  }

  // Graphs.
  get capturing(): boolean {
    return this.#backend.capturing;
  }
  beginCapture(): void {
    this.#backend.checkUsable();
    if (this.#backend.capturing) throw new RuntimeError("cuda: a graph is being captured already");
    this.#backend.beginCapture();
  }
  /** While a graph is captured: what `work` asks for is carried out, not captured. */
  outsideCapture(work: () => void): void {
    this.#backend.queue.outside(work);
  }
  abortCapture(): void {
    this.#backend.abortCapture();
  }
  endCapture(): CudaGraphLike {
    if (!this.#backend.capturing) throw new RuntimeError("cuda: no graph is being captured");
    return new CudaGraph(this.#backend, this.#native, this.#backend.endCapture());
  }

  async profile(fn: () => unknown): Promise<KernelTime[]> {
    const { queue } = this.#backend;
    if (queue.observer !== null) throw new RuntimeError("cuda: profiling is going on already");
    await this.synchronize();
    const profile = new Profile(this.#native);
    queue.observer = profile;
    try {
      await fn();
      await this.synchronize();
    } finally {
      queue.observer = null;
    }
    return profile.times();
  }

  /** Ends the device at once; its tensors are lost. */
  close(): void {
    this.#backend.queue.close();
    this.#native.close();
  }
}

class CudaGraph implements CudaGraphLike {
  readonly #backend: CudaBackend;
  readonly #native: NativeDevice;
  #graph: number | null;
  readonly #pinned: readonly CudaMemory[];

  constructor(backend: CudaBackend, native: NativeDevice, { graph, pinned }: { graph: number; pinned: readonly CudaMemory[] }) {
    this.#backend = backend;
    this.#native = native;
    this.#graph = graph;
    this.#pinned = pinned;
  }

  replay(): void {
    const graph = this.#graph;
    if (graph === null) throw new RuntimeError("cuda: the graph was reset; capture it anew");
    this.#backend.checkUsable();
    this.#backend.queue.submitNow();
    guarded(() => this.#native.launchGraph(graph));
  }

  reset(): void {
    if (this.#graph === null) return;
    this.#backend.queue.submitNow();
    this.#backend.destroyGraph(this.#graph, this.#pinned);
    this.#graph = null;
  }
}
