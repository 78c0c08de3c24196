/** The addon's memory: reuse, division, joining, limits, what happens when there is none left. */

import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { NativeDevice, OpenOptions } from "../../gpu/cuda/addon.ts";
import { Commands, addon, bytesOf, calls, control, failure, floatsOf, objects, unavailable, useStandIns } from "./native.ts";

const KIB = 1024;
const MIB = 1024 * KIB;

describe.skipIf(unavailable !== null)("the addon's allocator", () => {
  let device: NativeDevice;
  const open = (options: OpenOptions = {}): NativeDevice => (device = addon.open(0, options));
  const reserved = (): number => device.memoryStats().reservedBytes;

  beforeEach(() => {
    useStandIns();
    control("memory 1073741824");
  });
  afterEach(() => {
    control("clear");
    device.close();
    expect(objects()).toMatchObject({ allocations: 0, contexts: 0, streams: 0, events: 0, hostAllocations: 0 });
  });

  it("counts", () => {
    open();
    expect(device.memoryStats()).toEqual({
      allocatedBytes: 0,
      peakAllocatedBytes: 0,
      reservedBytes: 0,
      peakReservedBytes: 0,
      blocks: 0,
      allocations: 0,
      slabs: 0,
      retries: 0,
      failures: 0,
    });
    const a = device.allocate(1);
    const b = device.allocate(3 * MIB);
    device.free(a);
    expect(device.memoryStats()).toEqual({
      allocatedBytes: 3 * MIB,
      peakAllocatedBytes: 3 * MIB + 512,
      reservedBytes: 22 * MIB,
      peakReservedBytes: 22 * MIB,
      blocks: 1,
      allocations: 2,
      slabs: 2,
      retries: 0,
      failures: 0,
    });
    device.resetPeakStats();
    expect(device.memoryStats().peakAllocatedBytes).toBe(3 * MIB);
    device.free(b);
    device.emptyCache();
    expect(device.memoryStats()).toMatchObject({ allocatedBytes: 0, reservedBytes: 0, peakReservedBytes: 22 * MIB, blocks: 0 });
  });

  it("takes one slab for many small blocks", () => {
    open();
    control("reset counts");
    const sizes = [1, 512, 513, 2000, 4096, 20_000, 32 * KIB];
    const blocks = Array.from({ length: 200 }, (_, i) => ({ bytes: sizes[i % sizes.length]!, address: 0 }));
    for (const block of blocks) block.address = device.allocate(block.bytes);
    // 200 blocks of 12 KiB on average.
    expect(calls("cuMemAlloc")).toBeLessThanOrEqual(3);
    const sorted = [...blocks].sort((a, b) => a.address - b.address);
    for (const [i, { address, bytes }] of sorted.entries()) {
      expect(address % 256).toBe(0);
      if (i + 1 < sorted.length) expect(sorted[i + 1]!.address).toBeGreaterThanOrEqual(address + bytes);
    }
    expect(device.memoryStats().blocks).toBe(200);
    for (const { address } of blocks) device.free(address);
    expect(device.memoryStats()).toMatchObject({ allocatedBytes: 0, blocks: 0 });
  });

  it("hands a freed block out again at once", () => {
    open();
    for (const bytes of [4, 10_000, 100 * KIB, 5 * MIB, 50 * MIB]) {
      const address = device.allocate(bytes);
      device.free(address);
      control("reset counts");
      expect(device.allocate(bytes)).toBe(address);
      device.free(address);
      expect(calls("cuMemAlloc")).toBe(0);
    }
  });

  it("divides segments and takes the best fit", () => {
    open();
    const [a, wall, b, wall2] = [4, 1.5, 2, 1.5].map((mib) => device.allocate(mib * MIB));
    expect(reserved()).toBe(20 * MIB);
    device.free(a!);
    device.free(b!);
    // Fits into both holes and the rest; the hole of 2 MiB is the smallest.
    expect(device.allocate(1.75 * MIB)).toBe(b);
    expect(device.allocate(3.5 * MIB)).toBe(a);
    expect(reserved()).toBe(20 * MIB);
    device.free(wall!);
    device.free(wall2!);
  });

  it("joins neighbours that are free", () => {
    open();
    const parts = Array.from({ length: 5 }, () => device.allocate(4 * MIB));
    expect(reserved()).toBe(20 * MIB);
    // In an order that joins with the next, the one before, and both.
    for (const i of [1, 0, 3, 4, 2]) device.free(parts[i]!);
    expect(device.allocate(9.5 * MIB)).toBe(parts[0]);
    expect(reserved()).toBe(20 * MIB);
  });

  it("gives back segments in which nothing lives, and no others", () => {
    open();
    const keep = device.allocate(2 * MIB);
    const [large, small] = [device.allocate(64 * MIB), device.allocate(4)];
    device.free(large);
    device.free(small);
    expect(reserved()).toBe((20 + 64 + 2) * MIB);
    device.emptyCache();
    expect(reserved()).toBe(20 * MIB);
    device.free(keep);
    device.emptyCache();
    expect(objects().allocations).toBe(0);
  });

  it("keeps to any order of calls", () => {
    open();
    const live = new Map<number, { bytes: number; mark: number }>();
    let seed = 12345;
    const random = (n: number): number => (seed = (seed * 1103515245 + 12345) & 0x7fffffff) % n;
    let sum = 0;
    for (let step = 0; step < 3000; step++) {
      if (live.size > 0 && random(100) < 48) {
        const address = [...live.keys()][random(live.size)]!;
        const { bytes } = live.get(address)!;
        sum -= Math.ceil(bytes / 512) * 512;
        live.delete(address);
        device.free(address);
      } else {
        const bytes = 1 + random([2000, 40_000, 1_500_000][random(3)]!);
        const address = device.allocate(bytes);
        expect(live.has(address)).toBe(false);
        // Each block is marked at both ends; another's mark there would show that they overlap.
        device.upload(address, Uint8Array.of(step & 255));
        device.upload(address + bytes - 1, Uint8Array.of(step & 255));
        live.set(address, { bytes, mark: step & 255 });
        sum += Math.ceil(bytes / 512) * 512;
      }
      if (step % 500 === 0) device.emptyCache();
    }
    expect(device.memoryStats()).toMatchObject({ allocatedBytes: sum, blocks: live.size });
    for (const [address, { bytes, mark }] of live) {
      expect(device.downloadSync(address + bytes - 1, 1)[0]).toBe(mark);
      if (bytes > 1) expect(device.downloadSync(address, 1)[0]).toBe(mark);
      device.free(address);
    }
    device.emptyCache();
    expect(objects().allocations).toBe(0);
  });

  it("refuses addresses that it did not hand out", () => {
    open();
    const address = device.allocate(1000);
    for (const wrong of [0, address + 512, 12345 * 512]) {
      expect(failure(() => device.free(wrong))).toMatchObject({ code: "INVALID" });
    }
    device.free(address);
    const twice = failure(() => device.free(address));
    expect(twice.message).toBe(
      `free: 0x${address.toString(16)} is not an address that \`allocate\` returned, or was freed already`,
    );
    expect(failure(() => device.allocate(0)).message).toMatch(/allocate: 0 bytes/);
  });

  it("keeps to its limit", () => {
    open({ memoryLimit: 8 * MIB });
    // No segment of 20 MiB, but one of its own.
    const a = device.allocate(3 * MIB);
    expect(reserved()).toBe(3 * MIB);
    const b = device.allocate(1000);
    expect(reserved()).toBe(5 * MIB);
    const error = failure(() => device.allocate(4 * MIB));
    expect(error).toMatchObject({ code: "OUT_OF_MEMORY", op: "cuMemAlloc", cuResult: 2 });
    expect(error.message).toMatch(
      /out of memory: 4\.00 MiB \(4194304 bytes\) were asked for; 3\.00 MiB are allocated in 2 blocks of 5\.00 MiB reserved, and may reserve 8\.00 MiB; the device has .* free of .*/,
    );
    expect(device.memoryStats()).toMatchObject({ retries: 1, failures: 1, blocks: 2 });
    // Idle segments make room.
    device.free(a);
    const c = device.allocate(5 * MIB);
    expect(device.memoryStats()).toMatchObject({ retries: 2, failures: 1, reservedBytes: 7 * MIB });
    // What is small finds room where no slab does.
    for (const bytes of [512 * KIB, 256 * KIB, 200 * KIB, 20 * KIB]) device.allocate(bytes);
    device.free(b);
    device.free(c);
  });

  it("flushes and tries again when the driver has none left", () => {
    control(`memory ${64 * MIB}`);
    open();
    device.free(device.allocate(30 * MIB));
    device.free(device.allocate(32 * MIB));
    expect(reserved()).toBe(62 * MIB);
    control("reset counts");
    const address = device.allocate(40 * MIB);
    expect(device.memoryStats()).toMatchObject({ retries: 1, failures: 0, reservedBytes: 40 * MIB });
    // What was freed may still have been in use.
    expect(calls("cuStreamSynchronize")).toBe(1);
    expect(calls("cuMemFree")).toBe(2);
    const error = failure(() => device.allocate(40 * MIB));
    expect(error.code).toBe("OUT_OF_MEMORY");
    expect(error.message).toContain("the device has 24.00 MiB free");
    device.free(address);
  });

  it("asks for dead memory before it flushes", () => {
    const dead: number[] = [];
    let asked = 0;
    open({
      memoryLimit: 64 * MIB,
      reclaim: () => {
        asked++;
        for (const address of dead.splice(0)) device.free(address);
      },
    });
    dead.push(device.allocate(40 * MIB));
    const [first] = dead;
    const again = device.allocate(40 * MIB);
    expect(again).toBe(first);
    expect(asked).toBe(1);
    expect(device.memoryStats()).toMatchObject({ retries: 0, failures: 0 });
    expect(failure(() => device.allocate(40 * MIB)).code).toBe("OUT_OF_MEMORY");
    expect(asked).toBe(2);
    device.free(again);
  });

  it("survives whatever `reclaim` does", () => {
    let act = (): void => {};
    open({ memoryLimit: 4 * MIB, reclaim: () => act() });
    const keep = device.allocate(3 * MIB);
    act = () => {
      throw new RangeError("mine");
    };
    expect(failure(() => device.allocate(3 * MIB))).toBeInstanceOf(RangeError);
    // It is not asked again within itself.
    let depth = 0;
    act = () => {
      depth++;
      device.allocate(3 * MIB);
    };
    expect(failure(() => device.allocate(3 * MIB)).code).toBe("OUT_OF_MEMORY");
    expect(depth).toBe(1);
    act = () => device.close();
    expect(failure(() => device.allocate(3 * MIB)).message).toMatch(/close: not while `reclaim`/);
    act = () => {
      device.free(keep);
      device.emptyCache();
    };
    device.free(device.allocate(4 * MIB));
  });

  it("passes on errors of cuMemAlloc that are no lack of memory", () => {
    open();
    control("fail cuMemAlloc 1 999");
    expect(failure(() => device.allocate(4))).toMatchObject({ code: "CUDA_ERROR", cuResult: 999, op: "cuMemAlloc" });
    device.free(device.allocate(4));
  });

  it("with exact allocations takes every block from the driver", () => {
    open({ exactAllocations: true });
    control("reset counts");
    const [a, b] = [device.allocate(100), device.allocate(3)];
    expect(device.memoryStats()).toMatchObject({ reservedBytes: 103, allocatedBytes: 103, slabs: 2 });
    expect(calls("cuMemAlloc")).toBe(2);
    device.upload(a, bytesOf([1]));
    device.free(a);
    device.free(b);
    expect(objects().allocations).toBe(0);
    // What a graph may use stays.
    device.beginCapture();
    const c = device.allocate(64);
    new Commands().zero(c, 64).submit(device);
    device.free(c);
    const graph = device.endCapture();
    expect(objects().allocations).toBe(1);
    device.launchGraph(graph);
    device.synchronizeSync();
    device.destroyGraph(graph);
    expect(objects().allocations).toBe(0);
  });

  it("allocates on the right device whatever was used before", () => {
    open();
    // The context of a device that is closed is nobody's any more.
    const other = addon.open(0);
    other.upload(other.allocate(4), bytesOf([1]));
    other.close();
    const address = device.allocate(3 * MIB);
    device.free(address);
    const third = addon.open(0);
    third.synchronizeSync();
    third.close();
    device.emptyCache();
    expect(reserved()).toBe(0);
  });

  it("keeps a reused block's writes in order", async () => {
    open();
    const a = device.allocate(400);
    device.upload(a, bytesOf(Array(100).fill(1)));
    const first = device.download(a, 400);
    device.free(a);
    const b = device.allocate(400);
    expect(b).toBe(a);
    device.upload(b, bytesOf(Array(100).fill(2)));
    expect(floatsOf(await first)[99]).toBe(1);
    expect(floatsOf(await device.download(b, 400))[99]).toBe(2);
  });
});
