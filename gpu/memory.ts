/**
 * Buffers of GPU devices and when their memory comes back: at `free`, or when nothing in JavaScript refers to the buffer any more, also within
 * one synchronous loop. Under pressure (bytes, or sheer number of buffers) garbage is collected and the memory of dead buffers given back.
 */

import type { Buffer, Device, MemoryStats } from "../ts/core/device.ts";
import type { DType } from "../ts/core/dtype.ts";
import type { Elem } from "./ir.ts";

/** Device memory as a backend knows it: one object per allocation. */
export interface GpuMemory {
  /** A multiple of 4, at least what was asked for. */
  readonly bytes: number;
}

/** What a device needs of its surroundings to find out which buffers are dead; the platforms of the cpu device have it. */
export interface Collector {
  /** Collects garbage now, so that every WeakRef to a dead object is empty afterwards. Absent where a program cannot ask for it. */
  collect?(): void;
  /** The same for objects that have not lived long: cheaper, and enough most of the time. */
  collectYoung?(): void;
  /** Lets go of the targets of WeakRefs made or read in the current job. */
  releaseKept?(): void;
  /** Where there is no `collect`: makes the collector run sooner. */
  collectEarlier?(bytes: number): void;
  /** Resolves in a later macrotask. */
  macrotask(): Promise<void>;
}

/** Memory that several buffers lie in, one after another. */
export interface SharedMemory {
  readonly memory: GpuMemory;
  /** Buffers that lie in it. */
  live: number;
}

/** A buffer's part of shared memory. */
export class GpuRange implements GpuMemory {
  constructor(
    readonly shared: SharedMemory,
    readonly bytes: number,
    /** Where it begins: elements of the buffer. */
    readonly first: number,
  ) {
    shared.live++;
  }
}

interface Entry {
  readonly owner: WeakRef<GpuBuffer>;
  memory: GpuMemory;
}

export class GpuBuffer implements Buffer {
  readers = 0;
  /** @internal Somebody else's memory, which must stay where it is. */
  foreign = false;
  /** @internal Null once freed. */
  entry: Entry | null = null;
  /** @internal */
  constructor(
    readonly device: Device,
    readonly nbytes: number,
    readonly dtype: DType,
    /** How the elements lie on the device. */
    readonly elem: Elem,
    public memory: GpuMemory,
    /** The part of `memory` that is the buffer's, where that is not all of it. */
    public range: GpuRange | null = null,
  ) {}
}

/** How many bytes may be allocated (net of explicit frees) before garbage is collected. */
const LEAST_PRESSURE = 64 << 20;
const MOST_PRESSURE = 1 << 30;
/** What a buffer counts at least: objects of the GPU's driver are dear, however small. */
const LEAST_WEIGHT = 16 << 10;
/** Share of the time that collecting may take before it is done less often. */
const MOST_COLLECT_SHARE = 0.05;
/** So many dead buffers may be kept by the language's rule that a new WeakRef's target lives until the job ends. */
const MOST_KEPT = 4096;

export class LiveBuffers {
  readonly #collector: Collector;
  readonly #release: (memory: GpuMemory) => void;
  readonly #entries = new Set<Entry>();
  readonly #canary: FinalizationRegistry<null>;
  #bytes = 0;
  #peak = 0;
  /** Bytes of live buffers, small ones counted as `LEAST_WEIGHT`. */
  #weight = 0;
  #weightAfterSweep = 0;
  #threshold = LEAST_PRESSURE;
  #sweptAt = performance.now();
  #lastCost = 0;
  #kept = 0;
  #collections = 0;

  constructor(collector: Collector, release: (memory: GpuMemory) => void) {
    this.#collector = collector;
    this.#release = release;
    const self = new WeakRef(this);
    // An object that dies at every natural collection: a good moment to see what else died.
    this.#canary = new FinalizationRegistry(() => {
      const live = self.deref();
      if (live === undefined) return;
      live.sweep();
      live.#plantCanary();
    });
    this.#plantCanary();
  }

  add(buffer: GpuBuffer): void {
    const memory = buffer.range ?? buffer.memory;
    buffer.entry = { owner: new WeakRef(buffer), memory };
    this.#entries.add(buffer.entry);
    this.#bytes += memory.bytes;
    this.#weight += Math.max(memory.bytes, LEAST_WEIGHT);
    if (this.#bytes > this.#peak) this.#peak = this.#bytes;
    if (++this.#kept === MOST_KEPT) {
      this.#kept = 0;
      this.#collector.releaseKept?.();
    }
  }

  /** Each gets the other's memory. */
  exchange(a: GpuBuffer, b: GpuBuffer): void {
    [a.memory, b.memory] = [b.memory, a.memory];
    [a.range, b.range] = [b.range, a.range];
    [a.entry!.memory, b.entry!.memory] = [b.entry!.memory, a.entry!.memory];
  }

  /** Gives the memory back now. False when that has been done. */
  free(buffer: GpuBuffer): boolean {
    const { entry } = buffer;
    if (entry === null) return false;
    buffer.entry = null;
    this.#drop(entry);
    return true;
  }

  /** Before an allocation: collects garbage when much may have died. */
  makeRoom(): void {
    if (this.#weight - this.#weightAfterSweep > this.#limit()) this.#relieve();
  }

  /** Whether dead buffers may hold much memory: a good time to wait for a macrotask and `collect`. */
  get pressed(): boolean {
    return this.#weight - this.#weightAfterSweep > this.#limit() / 2;
  }
  /** Garbage is found only in jobs after the one that made it. */
  get mustWait(): boolean {
    return this.#collector.collect === undefined;
  }

  sweep(): void {
    for (const entry of this.#entries) if (entry.owner.deref() === undefined) this.#drop(entry);
    this.#weightAfterSweep = this.#weight;
  }

  collect(): void {
    const start = performance.now();
    if (this.#collector.collect) this.#collector.collect();
    else this.#collector.collectEarlier?.(this.#weight - this.#weightAfterSweep);
    this.sweep();
    this.#tune(start);
  }

  stats(reserved: number): MemoryStats {
    return {
      allocated_bytes: this.#bytes,
      reserved_bytes: reserved,
      peak_bytes: this.#peak,
      buffers: this.#entries.size,
    };
  }
  /** Collections that memory pressure has caused so far. */
  get collections(): number {
    return this.#collections;
  }

  #relieve(): void {
    const { collectYoung } = this.#collector;
    if (collectYoung === undefined) return this.collect();
    const start = performance.now();
    const before = this.#weightAfterSweep;
    collectYoung();
    this.sweep();
    if (this.#weight - before < this.#threshold / 4) this.#tune(start);
    else this.collect();
  }

  #limit(): number {
    return Math.max(this.#threshold, this.#weightAfterSweep / 2);
  }

  #tune(start: number): void {
    const now = performance.now();
    this.#collections++;
    const cost = now - start;
    const share = Math.min(cost, this.#lastCost) / Math.max(now - this.#sweptAt, 1e-3);
    if (share > MOST_COLLECT_SHARE) this.#threshold = Math.min(MOST_PRESSURE, this.#threshold * 1.5);
    else if (share < MOST_COLLECT_SHARE / 8) this.#threshold = Math.max(LEAST_PRESSURE, this.#threshold / 1.25);
    this.#lastCost = cost;
    this.#sweptAt = now;
  }

  #drop(entry: Entry): void {
    this.#entries.delete(entry);
    this.#bytes -= entry.memory.bytes;
    this.#weight -= Math.max(entry.memory.bytes, LEAST_WEIGHT);
    this.#release(entry.memory);
  }

  #plantCanary(): void {
    this.#canary.register({}, null);
  }
}
