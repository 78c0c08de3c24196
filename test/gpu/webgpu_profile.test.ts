/** How stamps of the GPU's clock become times of kernels: on a device of our own, whose clock shows what we say. */

import { expect, it } from "vitest";
import { Profile } from "../../gpu/webgpu/profile.ts";

interface FakeBuffer {
  readonly stamps: BigUint64Array;
  destroyed: boolean;
}

/** As much of a GPUDevice as a profile needs. `clock` is read at the beginning and at the end of each pass. */
function fakeGpu(clock: () => bigint) {
  const buffers: FakeBuffer[] = [];
  const sets: { stamps: BigUint64Array; destroyed: boolean }[] = [];
  const device = {
    createQuerySet({ count }: { count: number }) {
      const set = { stamps: new BigUint64Array(count), destroyed: false, destroy: () => void (set.destroyed = true) };
      sets.push(set);
      return set;
    },
    createBuffer({ size }: { size: number }) {
      const stamps = new BigUint64Array(size / 8);
      const buffer = {
        stamps,
        destroyed: false,
        mapAsync: async () => undefined,
        getMappedRange: (from: number, bytes: number) => stamps.buffer.slice(from, from + bytes),
        destroy: () => void (buffer.destroyed = true),
      };
      buffers.push(buffer);
      return buffer;
    },
  };
  const encoder = {
    resolveQuerySet(set: { stamps: BigUint64Array }, first: number, count: number, to: FakeBuffer) {
      to.stamps.set(set.stamps.subarray(first, first + count));
    },
    copyBufferToBuffer(from: FakeBuffer, at: number, to: FakeBuffer, offset: number, bytes: number) {
      to.stamps.set(from.stamps.subarray(at / 8, (at + bytes) / 8), offset / 8);
    },
  };
  const run = ({ timestampWrites: writes }: GPUComputePassDescriptor): void => {
    const { stamps } = writes!.querySet as unknown as { stamps: BigUint64Array };
    stamps[writes!.beginningOfPassWriteIndex!] = clock();
    stamps[writes!.endOfPassWriteIndex!] = clock();
  };
  return { device: device as unknown as GPUDevice, encoder: encoder as unknown as GPUCommandEncoder, run, sets };
}

it("times are differences of the clock, in milliseconds, in the order of the launches", async () => {
  const stamps = [5_000n, 1_505_000n, 1_505_000n, 1_505_000n, 2n ** 60n, 2n ** 60n + 1n, 900n, 400n];
  const { device, encoder, run, sets } = fakeGpu(() => stamps.shift()!);
  const profile = new Profile(device);
  for (const names of [["matmul", "add"], [], ["softmax", "sum"]]) {
    for (const name of names) run(profile.pass(name));
    profile.endBatch(encoder);
    profile.submitted();
  }
  expect(await profile.times()).toEqual([
    { name: "matmul", ms: 1.5 },
    { name: "add", ms: 0 }, // shorter than the clock sees
    { name: "softmax", ms: 1e-6 },
    { name: "sum", ms: 0 }, // a clock that was set back
  ]);
  expect(sets.map(({ destroyed }) => destroyed)).toEqual([true, true]); // a batch without kernels needs none
});
