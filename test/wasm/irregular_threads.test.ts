/** Gathers, scatters, scans, sorts and random streams on the real device: the same bytes on one thread and on several. */

import { afterAll, expect, test, vi } from "vitest";
import type { View } from "../../ts/core/device.ts";
import { bool, float32, int64, type DType } from "../../ts/core/dtype.ts";
import { contiguousStrides, numelOf } from "../../ts/core/shape.ts";
import { makeGenerator } from "../../ts/kernel/generator.ts";
import type { KernelKind, KernelSpec, ParamsOf } from "../../ts/kernel/spec.ts";
import { type CpuDevice, createCpuDevice } from "../../wasm/device/index.ts";
import { nodePlatform } from "../../wasm/device/platform.node.ts";
import { randoms } from "./context.ts";

const N = 300_000;
const devices = [await createCpuDevice(nodePlatform(), { threads: 1 }), await createCpuDevice(nodePlatform(), { threads: 3 })];
afterAll(() => devices.forEach((device) => device.close()));

const random = randoms(6);
const floats = Float32Array.from({ length: N }, () => Math.floor(random() * 4000) / 100 - 20);
const places = BigInt64Array.from({ length: N }, () => BigInt(Math.floor(random() * 1000)));

function tensor(device: CpuDevice, dtype: DType, shape: readonly number[], values?: ArrayBufferView): View {
  const nbytes = numelOf(shape) * dtype.itemsize;
  const buffer = device.alloc(nbytes);
  device.write(buffer, 0, values ? new Uint8Array(values.buffer, 0, nbytes) : new Uint8Array(nbytes));
  return { buffer, dtype, shape, strides: contiguousStrides(shape), offset: 0 };
}

/** The bytes of all outputs, from each device. */
function compare<K extends KernelKind>(
  spec: Extract<KernelSpec, { kind: K }>,
  inputs: (device: CpuDevice) => View[],
  outputs: (device: CpuDevice) => View[],
  params: () => ParamsOf[K],
): void {
  const results = devices.map((device) => {
    const out = outputs(device);
    device.run(device.prepare(spec), inputs(device), out, params());
    return Buffer.concat(out.map((v) => device.readSync(v.buffer, 0, v.buffer.nbytes)));
  });
  expect(results[0]!.some((byte) => byte !== 0)).toBe(true);
  expect(results[1]!.equals(results[0]!)).toBe(true);
}

const x = (device: CpuDevice, ...shape: number[]): View => tensor(device, float32, shape, floats);
const index = (device: CpuDevice, ...shape: number[]): View => tensor(device, int64, shape, places);
const zeros =
  (dtype: DType, ...shape: number[]) =>
  (device: CpuDevice): View =>
    tensor(device, dtype, shape);
const transposed = (view: View): View => ({ ...view, shape: [...view.shape].reverse(), strides: [...view.strides].reverse() });

test("workers have started", async () => {
  const start = (): void =>
    compare(
      { kind: "scan", op: "cumsum", input: float32, dtype: float32 },
      (d) => [x(d, 1000, 300)],
      (d) => [zeros(float32, 1000, 300)(d)],
      () => null,
    );
  start();
  await vi.waitFor(() => expect(devices[1]!.workersReady).toBe(2), { timeout: 20_000, interval: 5 });
  start();
});

test("gather and scatter", () => {
  const params = { name: "gather", dim: 0, dims: [], src_strides: [] };
  compare(
    { kind: "gather", mode: "gather", dtype: float32, indices: 1 },
    (d) => [x(d, N), index(d, N)],
    (d) => [zeros(float32, N)(d)],
    () => params,
  );
  for (const reduce of ["add", "set"] as const) {
    const spec = { kind: "scatter", mode: "scatter", reduce, dtype: float32, indices: 1 } as const;
    compare(
      spec,
      (d) => [x(d, N), index(d, N)],
      (d) => [zeros(float32, 1000)(d)],
      () => params,
    );
    compare(
      spec,
      (d) => [x(d, 1000, 300), index(d, 1000, 300)],
      (d) => [zeros(float32, 1000, 300)(d)],
      () => params,
    );
  }
});

test("an index out of range is an error, and the device goes on", () => {
  for (const device of devices) {
    const params = { name: "take", dim: 0, dims: [], src_strides: [] };
    const kernel = device.prepare({ kind: "gather", mode: "gather", dtype: float32, indices: 1 });
    const out = tensor(device, float32, [N]);
    expect(() => device.run(kernel, [x(device, 900), index(device, N)], [out], params)).toThrow(
      /^take: index 9\d\d is out of bounds for dimension 0 with size 900$/,
    );
    device.run(kernel, [x(device, 1000), index(device, N)], [out], params);
  }
});

test("scans", () => {
  for (const op of ["cumsum", "cumprod", "logcumsumexp"] as const) {
    const spec = { kind: "scan", op, input: float32, dtype: float32 } as const;
    compare(
      spec,
      (d) => [transposed(x(d, 300, 1000))],
      (d) => [transposed(zeros(float32, 300, 1000)(d))],
      () => null,
    );
  }
  compare(
    { kind: "scan", op: "cummax", input: float32, dtype: float32 },
    (d) => [x(d, 1000, 300)],
    (d) => [zeros(float32, 1000, 300)(d), zeros(int64, 1000, 300)(d)],
    () => null,
  );
});

test("sorts", () => {
  const params = { descending: true, k: 7, sorted: true, ignoreNan: false, right: false };
  for (const [rows, n] of [
    [1000, 300],
    [2, 150_000],
  ] as const) {
    compare(
      { kind: "sort", mode: "sort", dtype: float32 },
      (d) => [x(d, rows, n)],
      (d) => [zeros(float32, rows, n)(d), zeros(int64, rows, n)(d)],
      () => params,
    );
    compare(
      { kind: "sort", mode: "topk", dtype: float32 },
      (d) => [x(d, rows, n)],
      (d) => [zeros(float32, rows, 7)(d), zeros(int64, rows, 7)(d)],
      () => params,
    );
    compare(
      { kind: "sort", mode: "median", dtype: float32 },
      (d) => [x(d, rows, n)],
      (d) => [zeros(float32, rows)(d), zeros(int64, rows)(d)],
      () => params,
    );
  }
});

test("non-zero positions", () => {
  compare(
    { kind: "nonzero", mode: "count", dtype: float32 },
    (d) => [x(d, N)],
    (d) => [zeros(int64, 1)(d)],
    () => null,
  );
  compare(
    { kind: "nonzero", mode: "write", dtype: float32 },
    (d) => [x(d, 600, 500)],
    (d) => [zeros(int64, N, 2)(d)],
    () => null,
  );
});

test("random streams", () => {
  for (const distribution of ["normal", "uniform", "bernoulli", "exponential"] as const) {
    const dtype = distribution === "bernoulli" ? bool : float32;
    compare(
      { kind: "random", distribution, dtype },
      () => [],
      (d) => [zeros(dtype, N - 3)(d)],
      () => ({ a: 0.5, b: 1, generator: makeGenerator(3n) }),
    );
  }
});
