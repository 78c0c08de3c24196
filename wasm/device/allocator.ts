/**
 * Buffers in linear memory. A buffer's memory is given back when `free` is called or when nothing in JavaScript refers to the buffer any
 * more, also within one synchronous loop: under byte pressure the allocator collects garbage and frees the blocks whose owners died.
 *
 * A large buffer owns a block, which holds a WeakRef to it. Small buffers are carved one after another from slabs: each refers to its Slab
 * object, and only the slab's block holds a WeakRef, so that a small allocation costs a bump of a pointer.
 */

import { OutOfMemoryError, RuntimeError } from "../../ts/core/errors.ts";
import type { Buffer, Device, MemoryStats } from "../../ts/core/device.ts";
import { type Block, BlockAllocator, GRANULE, roundToClass } from "./blocks.ts";
import { HEAP_BASE, type LinearMemory } from "./memory.ts";
import type { Platform } from "./platform.ts";

/** Buffers up to this size share slabs. */
const SMALL_BYTES = 8192;
/** Slabs by the size of what they hold, so that one scalar that lives on does not pin the place of large neighbours. */
const SLAB_GROUPS = [
  { most: 64, bytes: 16 << 10 },
  { most: 512, bytes: 16 << 10 },
  { most: 2048, bytes: 32 << 10 },
  { most: SMALL_BYTES, bytes: 64 << 10 },
] as const;

/** Memory grows by at least this. */
const GROWTH_BYTES = 16 << 20;
/** Permanent memory for small pieces is taken this much at a time. */
const SHELF_BYTES = 256 << 10;
/** How many bytes may be allocated (net of explicit frees) before garbage is collected. */
const LEAST_PRESSURE = 64 << 20;
/** Share of the time that collecting may take before it is done less often. */
const MOST_COLLECT_SHARE = 0.05;

/** So many dead buffers may be kept by the language's rule that a new WeakRef's target lives until the job ends. */
const MOST_KEPT = 4096;

class Slab {
  used = 0;
  /** Buffers carved and not freed explicitly. */
  live = 0;
  constructor(readonly block: Block) {}
}

export class CpuBuffer implements Buffer {
  readers = 0;
  /** @internal */
  constructor(
    readonly device: Device,
    readonly nbytes: number,
    /** Byte address; 0 once freed. */
    public ptr: number,
    /** @internal Keeps the slab's memory. */
    readonly home: Slab | Block,
  ) {}
}

export class Allocator {
  readonly #memory: LinearMemory;
  readonly #platform: Platform;
  readonly #blocks = new BlockAllocator(HEAP_BASE);
  readonly #slabs: (Slab | null)[] = SLAB_GROUPS.map(() => null);
  /** Bytes in blocks that are not free. */
  #live = 0;
  #peak = 0;
  #permanent = 0;
  /** What is left of the block that permanent memory comes from. */
  #shelfAt = 0;
  #shelfEnd = 0;
  #liveAfterSweep = 0;
  #threshold = LEAST_PRESSURE;
  #sweptAt = performance.now();
  /** Milliseconds; one slow collection on a busy machine is no reason to change anything. */
  #lastCost = 0;
  #collections = 0;
  /** WeakRefs made since their targets were last let go of. */
  #kept = 0;
  readonly #canary: FinalizationRegistry<null>;

  constructor(memory: LinearMemory, platform: Platform) {
    this.#memory = memory;
    this.#platform = platform;
    this.#blocks.extend(memory.bytes);
    // An object that dies at every natural collection: a good moment to see what else died.
    this.#canary = new FinalizationRegistry(() => {
      this.sweep();
      this.#plantCanary();
    });
    this.#plantCanary();
  }

  alloc(device: Device, nbytes: number): CpuBuffer {
    if (nbytes <= SMALL_BYTES && nbytes >= 0) return this.#allocSmall(device, nbytes);
    const block = this.#take(nbytes);
    const buffer = new CpuBuffer(device, nbytes, block.ptr, block);
    this.#own(block, buffer);
    return buffer;
  }

  free(buffer: CpuBuffer): void {
    const { ptr, home } = buffer;
    if (ptr === 0) throw new RuntimeError("cpu: a buffer was freed twice");
    buffer.ptr = 0;
    if (!(home instanceof Slab)) {
      this.#give(home);
      return;
    }
    home.live--;
    if (home.live === 0) {
      if (this.#slabs.includes(home)) home.used = 0;
      else this.#give(home.block);
    } else if (ptr + roundSmall(buffer.nbytes) === home.block.ptr + home.used) {
      home.used -= roundSmall(buffer.nbytes); // the one carved last: the next takes its place, still in the caches
    }
  }

  /** Memory without an owner: freed by `release`, or never. */
  reserve(nbytes: number): Block {
    return this.#take(nbytes);
  }
  release(block: Block): void {
    this.#give(block);
  }
  /** Memory that lives as long as the device; does not count as live. Small pieces share blocks, so as not to split the heap up. */
  permanent(nbytes: number): number {
    const size = roundSmall(nbytes);
    if (size > this.#shelfEnd - this.#shelfAt) {
      const large = size > SHELF_BYTES / 4;
      const block = this.#take(large ? size : SHELF_BYTES);
      this.#permanent += block.size;
      if (large) return block.ptr;
      this.#shelfAt = block.ptr;
      this.#shelfEnd = block.ptr + block.size;
    }
    this.#shelfAt += size;
    return this.#shelfAt - size;
  }

  /** Frees what dead buffers held. Finds all of them only after a collection. */
  sweep(): void {
    const dead: Block[] = [];
    for (const block of this.#blocks.blocks()) {
      if (block.owner !== null && block.owner.deref() === undefined) dead.push(block);
    }
    for (const block of dead) this.#give(block);
    this.#liveAfterSweep = this.#live;
  }

  /** Collects garbage (where the platform can) and sweeps. */
  collect(): void {
    const start = performance.now();
    if (this.#platform.collect) this.#platform.collect();
    else this.#platform.collectEarlier?.(this.#live - this.#liveAfterSweep);
    this.sweep();
    this.#tune(start);
  }

  /** Collects what should be enough to go on. */
  #relieve(): void {
    const { collectYoung } = this.#platform;
    if (collectYoung === undefined) return this.collect();
    const start = performance.now();
    const before = this.#liveAfterSweep;
    collectYoung();
    this.sweep();
    if (this.#live - before < this.#threshold / 4) this.#tune(start);
    else this.collect();
  }

  #tune(start: number): void {
    const now = performance.now();
    this.#collections++;
    // Collect less often where the JavaScript heap is large and collecting is slow.
    const cost = now - start;
    const share = Math.min(cost, this.#lastCost) / Math.max(now - this.#sweptAt, 1e-3);
    if (share > MOST_COLLECT_SHARE) {
      const most = Math.max(LEAST_PRESSURE, this.#memory.limit / 16);
      this.#threshold = Math.min(most, this.#threshold * 1.5);
    } else if (share < MOST_COLLECT_SHARE / 8) this.#threshold = Math.max(LEAST_PRESSURE, this.#threshold / 1.25);
    this.#lastCost = cost;
    this.#sweptAt = now;
  }

  /** Whether dead buffers may hold much memory: a good time to wait for `relieve`. */
  get pressed(): boolean {
    return this.#live - this.#liveAfterSweep > this.#pressureLimit() / 2;
  }

  stats(): MemoryStats {
    let buffers = 0;
    for (const block of this.#blocks.blocks()) {
      const owner = block.owner?.deref();
      if (owner instanceof Slab) buffers += owner.live;
      else if (owner !== undefined) buffers++;
    }
    return {
      allocated_bytes: this.#live - this.#permanent,
      reserved_bytes: this.#memory.bytes,
      peak_bytes: this.#peak - this.#permanent,
      buffers,
    };
  }

  /** Collections so far, for tests and tuning. */
  get collections(): number {
    return this.#collections;
  }

  #allocSmall(device: Device, nbytes: number): CpuBuffer {
    const size = roundSmall(nbytes);
    const group = size <= 64 ? 0 : size <= 512 ? 1 : size <= 2048 ? 2 : 3;
    let slab = this.#slabs[group]!;
    if (slab === null || slab.used + size > slab.block.size) {
      // The full slab is left to the buffers that refer to it; when they were all freed already, to nobody.
      const block = this.#take(SLAB_GROUPS[group]!.bytes);
      slab = new Slab(block);
      this.#own(block, slab);
      this.#slabs[group] = slab;
    }
    const ptr = slab.block.ptr + slab.used;
    slab.used += size;
    slab.live++;
    return new CpuBuffer(device, nbytes, ptr, slab);
  }

  #own(block: Block, owner: object): void {
    block.owner = new WeakRef(owner);
    if (++this.#kept === MOST_KEPT) {
      this.#kept = 0;
      this.#platform.releaseKept?.();
    }
  }

  #take(nbytes: number): Block {
    if (!(nbytes >= 0 && nbytes <= this.#memory.limit)) throw this.#outOfMemory(nbytes);
    if (this.#live - this.#liveAfterSweep > this.#pressureLimit()) this.#relieve();
    let block = this.#blocks.alloc(nbytes);
    if (block === null) {
      if (!this.#grow(nbytes)) {
        this.collect();
        if (this.#blocks.largestFree() < roundToClass(nbytes)) this.#grow(nbytes);
      }
      block = this.#blocks.alloc(nbytes);
      if (block === null) throw this.#outOfMemory(nbytes);
    }
    this.#live += block.size;
    if (this.#live > this.#peak) this.#peak = this.#live;
    return block;
  }

  #give(block: Block): void {
    this.#live -= block.size;
    this.#blocks.free(block);
  }

  #pressureLimit(): number {
    return Math.max(this.#threshold, this.#liveAfterSweep / 2);
  }

  /** Grows so that `nbytes` fit at the end. */
  #grow(nbytes: number): boolean {
    const { bytes, limit } = this.#memory;
    const needed = this.#blocks.end + roundToClass(nbytes) - this.#blocks.freeAtEnd;
    if (needed > limit) return false;
    const wished = Math.min(limit, Math.max(needed, bytes + Math.max(GROWTH_BYTES, bytes / 8)));
    if (!this.#memory.growTo(wished) && !this.#memory.growTo(needed)) return false;
    this.#blocks.extend(this.#memory.bytes);
    return true;
  }

  #outOfMemory(nbytes: number): OutOfMemoryError {
    const mib = (bytes: number): string => `${(bytes / (1 << 20)).toFixed(1)} MiB`;
    const growable = this.#blocks.freeAtEnd + this.#memory.limit - this.#blocks.end;
    const largest = Math.max(growable, this.#blocks.largestFree());
    return new OutOfMemoryError(
      `cpu: out of memory: tried to allocate ${mib(nbytes)} with ${mib(this.#live - this.#permanent)} in use, ` +
        `a limit of ${mib(this.#memory.limit - HEAP_BASE)} and at most ${mib(largest)} free in one piece`,
    );
  }

  #plantCanary(): void {
    this.#canary.register({}, null);
  }
}

const roundSmall = (nbytes: number): number => Math.max(GRANULE, (nbytes + GRANULE - 1) & -GRANULE);
