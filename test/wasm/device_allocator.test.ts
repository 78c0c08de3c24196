import { describe, expect, it, vi } from "vitest";
import { OutOfMemoryError, RuntimeError } from "../../ts/core/errors.ts";
import { Allocator, type CpuBuffer } from "../../wasm/device/allocator.ts";
import { type Block, BlockAllocator, roundToClass } from "../../wasm/device/blocks.ts";
import { createCpuDevice } from "../../wasm/device/index.ts";
import { LinearMemory } from "../../wasm/device/memory.ts";
import { nodePlatform } from "../../wasm/device/platform.node.ts";
import type { Platform } from "../../wasm/device/platform.ts";

/** A small repeatable generator of whole numbers below `n`. */
function numbers(seed: number): (n: number) => number {
  let state = seed;
  return (n) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * n);
  };
}

describe("block allocator", () => {
  it("rounds sizes up by at most 1/32, to multiples of 64", () => {
    const pick = numbers(1);
    for (let i = 0; i < 10_000; i++) {
      const size = 1 + pick(2 ** (1 + pick(30)));
      const rounded = roundToClass(size);
      expect(rounded % 64).toBe(0);
      expect(rounded).toBeGreaterThanOrEqual(size);
      expect(rounded).toBeLessThan(Math.max(size + 64, size * (1 + 1 / 32) + 64));
      expect(roundToClass(rounded)).toBe(rounded);
    }
  });

  it("never hands out overlapping memory, keeps every byte accounted for, and merges all of it again", () => {
    const base = 4096;
    const end = base + (64 << 20);
    for (let seed = 1; seed <= 5; seed++) {
      const pick = numbers(seed);
      const blocks = new BlockAllocator(base);
      blocks.extend(base + (16 << 20));
      blocks.extend(end);
      const live: Block[] = [];
      for (let step = 0; step < 4000; step++) {
        if (live.length > 0 && pick(100) < 48) {
          const [gone] = live.splice(pick(live.length), 1);
          blocks.free(gone!);
        } else {
          const size = 1 + pick(2 ** (6 + pick(17)));
          const block = blocks.alloc(size);
          if (block) {
            expect(block.size).toBeGreaterThanOrEqual(size);
            live.push(block);
          } else expect(blocks.largestFree()).toBeLessThan(roundToClass(size));
        }
        if (step % 100 === 0) checkTiling(blocks, base, end, live);
      }
      for (const block of live) blocks.free(block);
      expect([...blocks.blocks()].map(({ ptr, size, free }) => [ptr, size, free])).toEqual([[base, end - base, true]]);
    }
  });

  it("gives the block freed last to the next request of its size", () => {
    const blocks = new BlockAllocator(64);
    blocks.extend(1 << 20);
    const [a, , b] = [blocks.alloc(10_000)!, blocks.alloc(10_000), blocks.alloc(10_000)!];
    blocks.alloc(10_000);
    const [first, second] = [a.ptr, b.ptr];
    blocks.free(a);
    blocks.free(b);
    expect(blocks.alloc(9_990)!.ptr).toBe(second);
    expect(blocks.alloc(9_990)!.ptr).toBe(first);
  });
});

function checkTiling(blocks: BlockAllocator, base: number, end: number, live: readonly Block[]): void {
  let at = base;
  let wasFree = false;
  const used = new Set<Block>();
  for (const block of blocks.blocks()) {
    expect(block.ptr).toBe(at);
    expect(block.free && wasFree).toBe(false); // free neighbours have merged
    wasFree = block.free;
    if (!block.free) used.add(block);
    at += block.size;
  }
  expect(at).toBe(end);
  expect(used).toEqual(new Set(live));
}

/** A platform whose garbage is never collected, so that only explicit frees count. */
const inert: Platform = { ...nodePlatform(), collect: undefined };
const device = await createCpuDevice(nodePlatform(), { threads: 1 });

describe("buffers", () => {
  it("of all sizes are disjoint, aligned to 64 bytes, and hold what is written to them", () => {
    const memory = new LinearMemory(256 << 20);
    const allocator = new Allocator(memory, inert);
    const pick = numbers(7);
    const live: CpuBuffer[] = [];
    const stampOf = (buffer: CpuBuffer): number => (buffer.ptr / 64) % 251;
    const drop = (): void => {
      const [gone] = live.splice(pick(live.length), 1);
      const bytes = memory.u8.subarray(gone!.ptr, gone!.ptr + gone!.nbytes);
      const stamp = stampOf(gone!);
      if (!bytes.every((byte) => byte === stamp)) expect.fail(`${gone!.nbytes} bytes were overwritten`);
      allocator.free(gone!);
    };
    for (let step = 0; step < 5000; step++) {
      if (live.length > 200 || (live.length > 0 && pick(2) === 0)) drop();
      else {
        const buffer = allocator.alloc(device, pick(2 ** pick(19)));
        expect(buffer.ptr % 64).toBe(0);
        memory.u8.fill(stampOf(buffer), buffer.ptr, buffer.ptr + buffer.nbytes);
        live.push(buffer);
      }
    }
    expect(allocator.stats().buffers).toBe(live.length);
    while (live.length > 0) drop();
    expect(allocator.stats()).toMatchObject({ buffers: 0 });
    expect(allocator.stats().allocated_bytes).toBeLessThanOrEqual(128 << 10); // one slab open per group
  });

  it("that are freed at once reuse the same memory, small and large", () => {
    for (const size of [16, 400, 5000, 100_000]) {
      const first = device.alloc(size);
      const { ptr } = first;
      device.free(first);
      const second = device.alloc(size);
      expect(second.ptr).toBe(ptr);
      device.free(second);
    }
  });

  it("cannot be freed twice or used afterwards", () => {
    for (const size of [16, 100_000]) {
      const buffer = device.alloc(size);
      device.free(buffer);
      expect(() => device.free(buffer)).toThrow(new RuntimeError("cpu: a buffer was freed twice"));
      expect(() => device.readSync(buffer, 0, 4)).toThrow("cpu: a buffer was used after it was freed");
    }
  });

  it("beyond the limit are a typed error with the numbers, and the allocator goes on", async () => {
    const small = await createCpuDevice(nodePlatform(), { threads: 1, memoryLimit: 64 << 20 });
    const kept = small.alloc(30 << 20);
    small.write(kept, 0, Uint8Array.of(42));
    expect(() => small.alloc(40 << 20)).toThrow(OutOfMemoryError);
    expect(() => small.alloc(40 << 20)).toThrow(
      /^cpu: out of memory: tried to allocate 40\.0 MiB with 30\.\d MiB in use, a limit of 56\.0 MiB and at most 2\d\.\d MiB free in one piece$/,
    );
    expect(() => small.alloc(2 ** 40)).toThrow(OutOfMemoryError);
    expect(() => small.alloc(-1)).toThrow(OutOfMemoryError);
    expect(() => small.alloc(NaN)).toThrow(OutOfMemoryError);
    expect(small.readSync(kept, 0, 1)[0]).toBe(42);
    const fits = small.alloc(20 << 20);
    small.free(fits);
    small.free(kept);
    small.free(small.alloc(50 << 20));
  });
});

describe("linear memory", () => {
  it("settles for less where the system does not give 4 GiB of addresses", () => {
    const { Memory } = WebAssembly;
    const asked: number[] = [];
    vi.stubGlobal("WebAssembly", {
      ...WebAssembly,
      Memory: function (descriptor: WebAssembly.MemoryDescriptor) {
        asked.push(descriptor.maximum!);
        if (descriptor.maximum! > 20_000) throw new RangeError("could not allocate memory");
        return new Memory(descriptor);
      },
    });
    const memory = new LinearMemory();
    vi.unstubAllGlobals();
    expect(asked).toEqual([65536, 32768, 16384]);
    expect(memory.limit).toBe(1 << 30);
    expect(memory.growTo(2 ** 30 + 1)).toBe(false);
    expect(memory.growTo(100 << 20)).toBe(true);
    expect(memory.f32.byteLength).toBe(100 << 20);
  });
});

describe("reclamation", () => {
  it("keeps memory flat in a synchronous loop over 100 GB of dead buffers", async () => {
    const flat = await createCpuDevice(nodePlatform(), { threads: 1 });
    const kept = flat.alloc(1 << 20);
    flat.write(kept, 0, Uint8Array.of(1, 2, 3));
    const sizes = [3 << 20, 700_000, 20 << 20, 12_000, 64 << 10];
    let total = 0;
    let reserved = 0;
    for (let i = 0; total < 100e9; i++) {
      const size = sizes[i % sizes.length]!;
      flat.alloc(size);
      total += size;
      if (total > 2e9 && reserved === 0) reserved = flat.memoryStats().reserved_bytes;
    }
    const stats = flat.memoryStats();
    expect(stats.reserved_bytes).toBe(reserved);
    expect(stats.reserved_bytes).toBeLessThan(1 << 30);
    expect(stats.allocated_bytes).toBeLessThan(2 << 20);
    expect([...flat.readSync(kept, 0, 3)]).toEqual([1, 2, 3]);
  });

  it("finds small buffers too, and leaves the living alone", async () => {
    const flat = await createCpuDevice(nodePlatform(), { threads: 1 });
    const kept: CpuBuffer[] = [];
    for (let i = 0; i < 2_000_000; i++) {
      const buffer = flat.alloc(i % 3 === 0 ? 4 : 400);
      if (i % 10_000 === 0) {
        flat.write(buffer, 0, Uint8Array.of(i / 10_000));
        kept.push(buffer);
      }
    }
    const stats = flat.memoryStats();
    expect(stats.allocated_bytes).toBeLessThan(8 << 20);
    expect(stats.reserved_bytes).toBeLessThan(512 << 20);
    kept.forEach((buffer, i) => expect(flat.readSync(buffer, 0, 1)[0]).toBe(i));
  });

  it("frees what died when the limit is reached, before giving up", async () => {
    const small = await createCpuDevice(nodePlatform(), { threads: 1, memoryLimit: 80 << 20 });
    for (let i = 0; i < 100; i++) small.alloc(50 << 20);
    expect(small.collections).toBeGreaterThan(50);
  });

  it("does not collect while buffers are freed explicitly", async () => {
    const tidy = await createCpuDevice(nodePlatform(), { threads: 1 });
    for (let i = 0; i < 1000; i++) tidy.free(tidy.alloc(10 << 20));
    expect(tidy.collections).toBe(0);
  });

  it("waits for the job to end where garbage cannot be collected on demand", async () => {
    const { collect, ...rest } = nodePlatform();
    const { collectYoung: _young, releaseKept: _release, ...platform } = rest;
    let told = 0;
    const collectEarlier = (bytes: number): void => {
      told += bytes;
      collect!();
    };
    const browser = await createCpuDevice({ ...platform, collectEarlier }, { threads: 1 });
    for (let i = 0; i < 100; i++) browser.alloc(1 << 20);
    expect(told).toBeGreaterThan(64 << 20);
    await browser.relieve();
    browser.alloc(1 << 20);
    const { allocated_bytes } = browser.memoryStats();
    expect(allocated_bytes).toBeLessThan(4 << 20);
  });
});
