/** The WebGPU device on Dawn, below the engine: memory, order of commands, reading, aliasing, complaints. */

import { afterAll, describe, expect, it } from "vitest";
import { bfloat16, bool, float16, float32, float64, int16, int32, int64, int8, uint8, type DType } from "../../ts/core/dtype.ts";
import { IndexError, NotImplementedError, RuntimeError } from "../../ts/core/errors.ts";
import { numberToBfloat16, numberToHalf } from "../../ts/ops/values.ts";
import { KernelBuilder } from "../../gpu/builder.ts";
import { affine, bufferOf, bytesOf, contextOf, floats, viewOf, webgpu } from "./webgpu_tools.ts";

const device = await webgpu();
const context = contextOf(device);
afterAll(() => device.destroy());

describe("memory", () => {
  const halves = (xs: number[]) => Uint16Array.from(xs, numberToHalf);
  const values: [DType, ArrayBufferView][] = [
    [bool, Uint8Array.of(1, 0, 1, 1, 0)],
    [uint8, Uint8Array.of(0, 1, 127, 128, 255)],
    [int8, Int8Array.of(-128, -1, 0, 1, 127)],
    [int16, Int16Array.of(-32768, -1, 0, 1, 32767)],
    [int32, Int32Array.of(-(2 ** 31), -1, 0, 2 ** 31 - 1)],
    [int64, BigInt64Array.of(-(2n ** 31n), -1n, 0n, 5n, 2n ** 31n - 1n)],
    [float32, Float32Array.of(0, -0, 1.5, NaN, Infinity, -Infinity, 1e-40)],
    [float16, halves([0, -0, 1, -2.5, 65504, Infinity, -Infinity, 2 ** -24, 2 ** -14 - 2 ** -24, 1 / 3, NaN])],
    [bfloat16, Uint16Array.from([0, -0, 1, -2.5, 3e38, Infinity, 1 / 3, NaN], numberToBfloat16)],
  ];
  it.each(values)("%s: what is written is read", async (dtype, data) => {
    const buffer = bufferOf(device, data, dtype);
    expect(await device.read(buffer, 0, buffer.nbytes)).toEqual(bytesOf(data));
  });
  it("reads and writes parts, at every alignment", async () => {
    for (const [dtype, data] of values) {
      const { itemsize } = dtype;
      const buffer = bufferOf(device, data, dtype);
      const expected = bytesOf(data).slice();
      device.write(buffer, 3 * itemsize, expected.slice(itemsize, 2 * itemsize));
      expected.copyWithin(3 * itemsize, itemsize, 2 * itemsize);
      expect(await device.read(buffer, 0, buffer.nbytes)).toEqual(expected);
      expect(await device.read(buffer, itemsize, 2 * itemsize)).toEqual(expected.slice(itemsize, 3 * itemsize));
    }
  });
  it("every half survives", async () => {
    const all = Uint16Array.from({ length: 65536 }, (_, i) => i).filter((h) => (h & 0x7fff) <= 0x7c00);
    const buffer = bufferOf(device, all, float16);
    expect(await device.read(buffer, 0, buffer.nbytes)).toEqual(bytesOf(all));
  });
  it("int64 that does not fit is an error that names the value", () => {
    expect(() => bufferOf(device, BigInt64Array.of(1n, 2n ** 31n), int64)).toThrow(/2147483648 does not fit/);
    expect(() => bufferOf(device, BigInt64Array.of(-(2n ** 40n)), int64)).toThrow(RuntimeError);
  });
  it("float64 does not exist", () => {
    expect(() => device.alloc(8, float64)).toThrow(NotImplementedError);
    expect(() => device.alloc(8, float64)).toThrow(/float64.*float32/);
  });
  it("ranges are checked", async () => {
    const buffer = device.alloc(16, float32);
    expect(() => device.write(buffer, 12, new Uint8Array(8))).toThrow(RuntimeError);
    expect(() => device.write(buffer, 2, new Uint8Array(4))).toThrow(/cuts elements/);
    await expect(device.read(buffer, 0, 20)).rejects.toThrow(RuntimeError);
    expect(await device.read(buffer, 0, 0)).toEqual(new Uint8Array(0));
  });
  it("freed buffers are not used again", async () => {
    const buffer = device.alloc(16, float32);
    device.free(buffer);
    expect(() => device.free(buffer)).toThrow("freed twice");
    await expect(device.read(buffer, 0, 16)).rejects.toThrow("after it was freed");
  });
  it("empty buffers are fine", async () => {
    const buffer = device.alloc(0, float32);
    device.write(buffer, 0, new Uint8Array(0));
    expect(await device.read(buffer, 0, 0)).toEqual(new Uint8Array(0));
  });
});

describe("order", () => {
  it("launches see what was written before them, and not what was written after", async () => {
    const x = bufferOf(device, Float32Array.of(1, 2, 3));
    const y = device.alloc(12, float32);
    const z = device.alloc(12, float32);
    affine(context, viewOf(x), viewOf(y), 3, 2, 0);
    device.write(x, 0, bytesOf(Float32Array.of(10, 20, 30)));
    affine(context, viewOf(x), viewOf(z), 3, 1, 1);
    device.write(x, 0, bytesOf(Float32Array.of(0, 0, 0)));
    expect(await Promise.all([floats(device, y), floats(device, z), floats(device, x)])).toEqual([
      [2, 4, 6],
      [11, 21, 31],
      [0, 0, 0],
    ]);
  });
  it("memory is reused at once, in the queue's order", async () => {
    const results: Promise<number[]>[] = [];
    for (let i = 0; i < 50; i++) {
      const x = bufferOf(device, Float32Array.of(i, i + 1));
      const y = device.alloc(8, float32);
      affine(context, viewOf(x), viewOf(y), 2, 10, 0);
      device.free(x);
      results.push(floats(device, y));
      device.free(y);
    }
    expect(await Promise.all(results)).toEqual(Array.from({ length: 50 }, (_, i) => [10 * i, 10 * (i + 1)]));
  });
  it("a kernel that is new to the device, in the middle of others", async () => {
    const x = bufferOf(device, Float32Array.of(1, 2, 3, 4));
    const y = device.alloc(16, float32);
    affine(context, viewOf(x), viewOf(y), 4, 1, 1);
    const k = new KernelBuilder("square", 32);
    const [from, to] = [k.input("x", "f32"), k.output("y", "f32")];
    k.gridStride(k.param("n", "u32"), (i) => to.store(i, from.load(i).mul(from.load(i))));
    context.launch(k.build(), { buffers: [viewOf(y), viewOf(x)], params: { n: 4 }, groups: 1 });
    device.write(y, 0, bytesOf(Float32Array.of(7, 7, 7, 7)));
    affine(context, viewOf(x), viewOf(x), 4, 1, 0.5);
    expect(await floats(device, x)).toEqual([4.5, 9.5, 16.5, 25.5]);
    expect(await floats(device, y)).toEqual([7, 7, 7, 7]);
  });
  it("pipelines are made asynchronously, errors are looked for once a batch and pipeline", async () => {
    const x = bufferOf(device, Float32Array.of(1));
    affine(context, viewOf(x), viewOf(x), 1, 1, 0, "elementwise");
    await device.synchronize();
    const { gpu } = device;
    const { createComputePipeline, createComputePipelineAsync, pushErrorScope } = gpu;
    let [atOnce, later, scopes] = [0, 0, 0];
    gpu.createComputePipeline = (descriptor) => (atOnce++, createComputePipeline.call(gpu, descriptor));
    gpu.createComputePipelineAsync = (descriptor) => (later++, createComputePipelineAsync.call(gpu, descriptor));
    gpu.pushErrorScope = (filter) => (scopes++, pushErrorScope.call(gpu, filter));
    const { submits } = device.stats();
    for (let i = 0; i < 5; i++) {
      const k = new KernelBuilder(`times_${i + 2}`, 1);
      const [from, to] = [k.input("x", "f32"), k.output("y", "f32")];
      to.store(0, from.load(0).mul(i + 2));
      context.launch(k.build(), { buffers: [viewOf(x), viewOf(x)], params: {}, groups: 1, aliasing: "elementwise" });
    }
    for (let i = 0; i < 100; i++) affine(context, viewOf(x), viewOf(x), 1, 1, 1, "elementwise");
    expect(await floats(device, x)).toEqual([820]);
    Object.assign(gpu, { createComputePipeline, createComputePipelineAsync, pushErrorScope });
    expect([atOnce, later]).toEqual([0, 5]);
    expect(scopes).toBe(3 * (device.stats().submits - submits) + later);
  });
  it("more commands than a batch takes, without waiting", async () => {
    const x = bufferOf(device, Float32Array.of(0));
    const { submits } = device.stats();
    for (let i = 0; i < 1000; i++) affine(context, viewOf(x), viewOf(x), 1, 1, 1, "elementwise");
    expect(await floats(device, x)).toEqual([1000]);
    expect(device.stats().submits - submits).toBeLessThan(60);
  });
  it("reads that are asked for together go together, also while commands go on", async () => {
    const xs = Array.from({ length: 20 }, (_, i) => bufferOf(device, Float32Array.of(i)));
    await device.synchronize();
    const { submits } = device.stats();
    const reads = xs.map((x) => {
      const read = floats(device, x);
      affine(context, viewOf(x), viewOf(x), 1, 1, 100, "elementwise");
      return read;
    });
    expect((await Promise.all(reads)).flat()).toEqual(xs.map((_, i) => i));
    expect(device.stats().submits - submits).toBe(1);
    expect((await Promise.all(xs.map((x) => floats(device, x)))).flat()).toEqual(xs.map((_, i) => i + 100));
  });
  it("a launch of more work than a GPU may do at a time is cut", async () => {
    const n = 1000;
    const k = new KernelBuilder("count", 1);
    const to = k.output("y", "u32");
    to.store(k.group, to.load(k.group).add(k.group).add(1));
    const program = k.build();
    const y = bufferOf(device, new Int32Array(n), int32);
    await device.synchronize();
    const { submits, dispatches } = device.stats();
    context.launch(program, { buffers: [viewOf(y)], params: {}, groups: n, work: 6.5 * 2 ** 36 });
    context.endRun();
    const got = await device.read(y, 0, y.nbytes);
    expect(got).toEqual(bytesOf(Int32Array.from({ length: n }, (_, i) => i + 1)));
    // The last submission reads.
    expect(device.stats().dispatches - dispatches).toBe(7);
    expect(device.stats().submits - submits).toBeGreaterThanOrEqual(7);
  });
  it("more groups than one dimension takes", async () => {
    const n = 70_000 * 8;
    const k = new KernelBuilder("number", 8);
    const to = k.output("y", "f32");
    const i = k.group.mul(8).add(k.thread);
    k.if(i.lt(k.param("n", "u32")), () => to.store(i, i.convert("f32")));
    const y = device.alloc(n * 4, float32);
    context.launch(k.build(), { buffers: [viewOf(y)], params: { n }, groups: 70_000 });
    const got = await floats(device, y);
    expect(got.every((v, j) => v === j)).toBe(true);
  });
});

describe("aliasing", () => {
  it("what is read and written elementwise is one binding", async () => {
    const x = bufferOf(device, Float32Array.of(1, 2, 3));
    affine(context, viewOf(x), viewOf(x), 3, 2, 1, "elementwise");
    expect(await floats(device, x)).toEqual([3, 5, 7]);
  });
  it("else what is read is copied first", async () => {
    const n = 1000;
    const x = bufferOf(
      device,
      Float32Array.from({ length: n }, (_, i) => i),
    );
    const k = new KernelBuilder("reverse", 64);
    const [from, to] = [k.input("x", "f32"), k.output("y", "f32")];
    const size = k.param("n", "u32");
    k.gridStride(size, (i) => to.store(i, from.load(size.sub(1).sub(i))));
    context.launch(k.build(), { buffers: [viewOf(x), viewOf(x)], params: { n }, groups: 16 });
    context.endRun();
    expect(await floats(device, x)).toEqual(Array.from({ length: n }, (_, i) => n - 1 - i));
  });
  it("two outputs in one memory are one binding where they see the same elements", async () => {
    const k = new KernelBuilder("both", 2);
    const [a, b] = [k.output("a", "f32"), k.output("b", "f32")];
    a.store(k.thread, 1);
    b.store(k.thread.add(2), 2);
    const x = bufferOf(device, new Float32Array(4));
    context.launch(k.build(), { buffers: [viewOf(x), viewOf(x)], params: {}, groups: 1 });
    expect(await floats(device, x)).toEqual([1, 1, 2, 2]);

    const mixed = new KernelBuilder("mixed", 1);
    const [c, d] = [mixed.output("c", "f32"), mixed.output("d", "i32")];
    c.store(0, 1);
    d.store(1, 1);
    const program = mixed.build();
    expect(() => context.launch(program, { buffers: [viewOf(x), viewOf(x)], params: {}, groups: 1 })).toThrow(/same memory/);
  });
});

describe("context", () => {
  it("copies and zeros, also where bytes cannot be copied", async () => {
    const x = bufferOf(device, Float32Array.of(1, 2, 3, 4, 5));
    context.copy(viewOf(x), 0, viewOf(x), 1, 4);
    context.zero(viewOf(x), 4, 1);
    context.endRun();
    expect(await floats(device, x)).toEqual([1, 1, 2, 3, 0]);
  });
  it("temporaries end with the run", () => {
    const t = context.temporary(4, "f32");
    context.endRun();
    expect(() => context.zero(t, 0, 4)).toThrow("after the run");
  });
  it("params that are missing or out of range are errors", () => {
    const x = bufferOf(device, Float32Array.of(1));
    const k = new KernelBuilder("needs", 1);
    const to = k.output("y", "f32");
    to.store(k.param("at", "u32"), 1);
    const program = k.build();
    const launch = (params: Record<string, number>) => () => context.launch(program, { buffers: [viewOf(x)], params, groups: 1 });
    expect(launch({})).toThrow(/no value for the param at/);
    expect(launch({ at: 2 ** 32 })).toThrow(/cannot be/);
    expect(launch({ at: 0.5 })).toThrow(/cannot be/);
  });
  it("a launch that needs more than the device has says what", () => {
    const k = new KernelBuilder("large", 64);
    const to = k.output("y", "f32");
    const shared = k.shared("s", "f32", 1 << 20);
    shared.store(k.thread, 1);
    to.store(k.thread, shared.load(k.thread));
    const x = device.alloc(256, float32);
    const program = k.build();
    expect(() => context.launch(program, { buffers: [viewOf(x)], params: {}, groups: 1 })).toThrow(
      /large needs 4194304 bytes of workgroup memory; this device's limit is \d+/,
    );
  });
  it("complaints become errors at the next read, once", async () => {
    const complain = (bad: number, make: (value: number) => Error): void => {
      const program = context.program("test/complain", () => {
        const k = new KernelBuilder("complain", 1);
        const note = k.atomics("note", "u32");
        const value = k.param("value", "u32");
        k.if(value.gt(9), () => {
          note.atomic("exchange", 1, value);
          note.atomic("max", 0, k.param("code", "u32"));
        });
        return k.build();
      });
      const { buffer, code } = context.complaint(make);
      context.launch(program, { buffers: [buffer], params: { value: bad, code }, groups: 1 });
    };
    const x = bufferOf(device, Float32Array.of(1));
    complain(3, () => new Error("not this"));
    expect(await floats(device, x)).toEqual([1]);
    complain(3, () => new Error("not this"));
    complain(12, (value) => new IndexError(`index ${value} is out of range`));
    await expect(floats(device, x)).rejects.toThrow("index 12 is out of range");
    expect(await floats(device, x)).toEqual([1]);
    complain(99, (value) => new IndexError(`index ${value} is out of range`));
    await expect(device.synchronize()).rejects.toThrow(IndexError);
    await device.synchronize();
  });
});

describe("profiling", () => {
  it("gives the GPU time of every kernel", async () => {
    const n = 1 << 22;
    const x = device.alloc(n * 4, float32);
    const times = await device.profile(() => {
      for (let i = 0; i < 3; i++) affine(context, viewOf(x), viewOf(x), n, 1, 1, "elementwise");
    });
    expect(times.map((t) => t.name)).toEqual(["affine", "affine", "affine"]);
    for (const { ms } of times) expect(ms).toSatisfy((t: number) => Number.isFinite(t) && t >= 0);
    // There are stamps: no clock stands still while millions of elements are made, three times.
    expect(times.some(({ ms }) => ms > 0)).toBe(true);
  });
});

describe("minimal limits", () => {
  it("are honoured", async () => {
    const small = await webgpu({ limits: "minimal" });
    expect(small.gpuCaps).toEqual({
      f16: false,
      subgroups: null,
      maxStorageBuffers: 8,
      maxWorkgroupStorage: 16384,
      maxWorkgroupSize: 256,
      maxBufferSize: 128 << 20,
      wide: false,
      matrix: null,
      asyncCopy: false,
      processors: null,
    });
    const x = bufferOf(small, Float32Array.of(1, 2));
    affine(contextOf(small), viewOf(x), viewOf(x), 2, 2, 0, "elementwise");
    expect(await floats(small, x)).toEqual([2, 4]);
    small.destroy();
  });
});

it("integers of every width are words", () => {
  for (const dtype of [bool, uint8, int8, int16, int32, int64])
    expect(device.layout(dtype)).toEqual({ elem: "i32", value: "i32" });
});
