import { afterAll, describe, expect, it, vi } from "vitest";
import { float32, float64, int32, type DType } from "../../ts/core/dtype.ts";
import type { View } from "../../ts/core/device.ts";
import { contiguousStrides, numelOf } from "../../ts/core/shape.ts";
import { load, op } from "../../ts/kernel/expr.ts";
import type { KernelSpec } from "../../ts/kernel/spec.ts";
import { type CpuDevice, createCpuDevice } from "../../wasm/device/index.ts";
import { nodePlatform } from "../../wasm/device/platform.node.ts";
import type { Platform } from "../../wasm/device/platform.ts";

const devices: CpuDevice[] = [];
async function deviceWith(threads: number, platform: Platform = nodePlatform()): Promise<CpuDevice> {
  const device = await createCpuDevice(platform, { threads });
  devices.push(device);
  return device;
}
afterAll(() => devices.forEach((device) => device.close()));

function view(device: CpuDevice, dtype: DType, shape: readonly number[], values?: ArrayBufferView): View {
  const buffer = device.alloc(numelOf(shape) * dtype.itemsize);
  if (values) device.write(buffer, 0, new Uint8Array(values.buffer, values.byteOffset, values.byteLength));
  return { buffer, dtype, shape, strides: contiguousStrides(shape), offset: 0 };
}

function floats(n: number, seed: number): Float32Array {
  let state = seed;
  return Float32Array.from({ length: n }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

/** a [n, n] times b [n, n]: many tasks, whose number depends on n only. */
function product(device: CpuDevice, n: number, seed = 1): Float32Array {
  const a = view(device, float32, [1, n, n], floats(n * n, seed));
  const b = view(device, float32, [1, n, n], floats(n * n, seed + 1));
  const out = view(device, float32, [1, n, n]);
  const kernel = device.prepare({ kind: "matmul", dtype: float32, bias: false });
  device.run(kernel, [a, b], [out], { alpha: 1, beta: 0 });
  return new Float32Array(device.readSync(out.buffer, 0, n * n * 4).buffer);
}

/** Bit for bit, and much faster than `toEqual`. */
function expectSame(got: Float32Array, expected: Float32Array): void {
  expect(Buffer.compare(Buffer.from(got.buffer), Buffer.from(expected.buffer))).toBe(0);
}

async function booted(device: CpuDevice, workers: number): Promise<void> {
  product(device, 256); // the first launch with several tasks starts them
  await vi.waitFor(() => expect(device.workersReady).toBe(workers), { timeout: 20_000, interval: 5 });
}

describe("thread pool", () => {
  it("computes the same bytes on any number of threads", async () => {
    const n = 300;
    const expected = product(await deviceWith(1), n);
    const exact = (() => {
      const [a, b] = [floats(n * n, 1), floats(n * n, 2)];
      let sum = 0;
      for (let k = 0; k < n; k++) sum += a[7 * n + k]! * b[k * n + 11]!;
      return sum;
    })();
    expect(expected[7 * n + 11]).toBeCloseTo(exact, 3);
    for (const threads of [2, 4]) {
      const device = await deviceWith(threads);
      await booted(device, threads - 1);
      for (let i = 0; i < 50; i++) expectSame(product(device, n), expected);
    }
  });

  it("computes the same bytes in every kind of kernel that is cut into tasks", async () => {
    const parallel = await deviceWith(3);
    await booted(parallel, 2);
    const triple = { stride: [1, 1, 1], padding: [0, 1, 1], dilation: [1, 1, 1] } as const;
    const norm = { eps: 1e-5, groups: 1, ignore: -100, flag: true };
    const rows = [2048, 200];
    const images = [16, 8, 1, 28, 28];
    const exponential = op("exp", float32, op("mul", float32, load(0, float32), load(1, float32)));
    const cases: [KernelSpec, readonly (readonly number[])[], readonly (readonly number[])[], unknown][] = [
      [{ kind: "map", inputs: [float32, float32], scalars: 0, outputs: [exponential] }, [rows, rows], [rows], { scalars: [] }],
      [{ kind: "rowwise", op: "softmax", dtype: float32, affine: 0 }, [rows], [rows], norm],
      [{ kind: "rowwise", op: "layer_norm", dtype: float32, affine: 0 }, [rows], [rows, [2048], [2048]], norm],
      [
        { kind: "rowwise", op: "layer_norm_backward", dtype: float32, affine: 2 },
        [rows, rows, [2048], [2048], [200]],
        [rows, [200], [200]],
        norm,
      ],
      [{ kind: "rowwise", op: "batch_norm_stats", dtype: float32, affine: 0 }, [[16, 8, 784]], [[8], [8]], norm],
      [
        { kind: "conv", mode: "weight_grad", dtype: float32, bias: false },
        [images, images],
        [[8, 8, 1, 3, 3]],
        { ...triple, groups: 1 },
      ],
      [
        { kind: "attention", mode: "backward", dtype: float32, mask: false },
        [
          [8, 64, 32],
          [8, 64, 32],
          [8, 64, 32],
          [8, 64, 32],
          [8, 64, 32],
          [8, 64],
        ],
        [
          [8, 64, 32],
          [8, 64, 32],
          [8, 64, 32],
        ],
        { scale: 0.2, causal: true },
      ],
    ];
    for (const [spec, inputs, outputs, params] of cases) {
      const results = [devices[0]!, parallel].map((device) => {
        const ins = inputs.map((shape, i) => view(device, float32, shape, floats(numelOf(shape), i + 1)));
        const outs = outputs.map((shape) => view(device, float32, shape));
        device.run(device.prepare(spec), ins, outs, params);
        return outs.map(({ buffer, shape }) => new Float32Array(device.readSync(buffer, 0, numelOf(shape) * 4).buffer));
      });
      results[0]!.forEach((expected, i) => expectSame(results[1]![i]!, expected));
      expect(results[0]![0]!.some((value) => value !== 0)).toBe(true);
    }
  });

  it("never waits for workers that have not booted", async () => {
    const platform = nodePlatform();
    const device = await deviceWith(3, {
      ...platform,
      createWorker: () => ({ ...platform.createWorker(), postMessage: () => {} }),
    });
    for (let i = 0; i < 3; i++) expectSame(product(device, 256), product(devices[0]!, 256));
    expect(device.workersReady).toBe(0);
    expect(device.threads).toBe(3);
  });

  it("starts no threads for small work", async () => {
    let started = 0;
    const platform = nodePlatform();
    const device = await deviceWith(2, { ...platform, createWorker: () => (started++, platform.createWorker()) });
    product(device, 16);
    expect(started).toBe(0);
    product(device, 256);
    expect(started).toBe(1);
  });

  it("goes on while memory grows under running workers", async () => {
    const device = await deviceWith(3);
    await booted(device, 2);
    const expected = product(devices[0]!, 256);
    const kept: unknown[] = [];
    let reserved = 0;
    for (let i = 0; i < 30; i++) {
      kept.push(device.alloc(24 << 20)); // far addresses: what follows lies in memory that is new to the workers
      expectSame(product(device, 256), expected);
      const now = device.memoryStats().reserved_bytes;
      expect(now).toBeGreaterThanOrEqual(reserved);
      reserved = now;
    }
    expect(reserved).toBeGreaterThan(720 << 20);
  });

  it("takes more and fewer threads at any time", async () => {
    const device = await deviceWith(1);
    const expected = product(device, 256);
    for (const threads of [3, 1, 2, 4, 2]) {
      device.threads = threads;
      expect(device.threads).toBe(threads);
      for (let i = 0; i < 20; i++) expectSame(product(device, 256), expected);
      await new Promise((resolve) => setTimeout(resolve, 50));
      for (let i = 0; i < 20; i++) expectSame(product(device, 256), expected);
    }
    expect(() => (device.threads = 0)).toThrow("set_num_threads: expected a positive whole number, got 0");
    expect(() => (device.threads = 1.5)).toThrow("set_num_threads");
  });

  it("survives sleeping workers, many launches in a row and pauses between them", async () => {
    const device = await deviceWith(4);
    await booted(device, 3);
    const expected = product(device, 130);
    for (let round = 0; round < 10; round++) {
      for (let i = 0; i < 100; i++) expectSame(product(device, 130), expected);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  });
});

describe("kernels that trap", () => {
  it.each([1, 3])("are errors that name the kernel, and the device goes on (%i threads)", async (threads) => {
    const device = await deviceWith(threads);
    if (threads > 1) await booted(device, threads - 1);
    const good = view(device, float32, [1, 256, 256], floats(65536, 1));
    const beyond: View = { ...good, offset: 1 << 29 };
    const kernel = device.prepare({ kind: "matmul", dtype: float32, bias: false });
    const expected = product(devices[0]!, 256);
    for (let i = 0; i < 5; i++) {
      expect(() => device.run(kernel, [good, beyond], [good], { alpha: 1, beta: 0 })).toThrow(/^cpu: kernel gemm_\w+ failed/);
      expectSame(product(device, 256), expected);
    }
  });
});

describe("without threads", () => {
  it("warns once and runs on one thread where the page is not isolated", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const device = await deviceWith(4, { ...nodePlatform(), threadsUnavailable: "the page is not cross-origin isolated" });
    expect(device.threads).toBe(1);
    const expected = product(devices[0]!, 256);
    for (let i = 0; i < 3; i++) expectSame(product(device, 256), expected);
    expect(warn.mock.calls).toEqual([["kindling: the cpu device runs on one thread: the page is not cross-origin isolated"]]);
    warn.mockRestore();
  });

  it("warns and falls back when workers cannot be created", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const device = await deviceWith(2, {
      ...nodePlatform(),
      createWorker() {
        throw new Error("no more threads");
      },
    });
    expectSame(product(device, 256), product(devices[0]!, 256));
    expect(device.threads).toBe(1);
    expect(warn.mock.calls).toEqual([["kindling: the cpu device runs on one thread: no more threads"]]);
    warn.mockRestore();
  });

  it("warns and falls back when a worker dies while it starts", async () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    const platform = nodePlatform();
    const device = await deviceWith(2, {
      ...platform,
      createWorker() {
        const worker = platform.createWorker();
        return { ...worker, postMessage: (start) => worker.postMessage({ ...(start as object), names: ["another"] }) };
      },
    });
    product(device, 256);
    await vi.waitFor(() => expect(warn).toHaveBeenCalled(), { timeout: 20_000 });
    expect(warn.mock.calls).toEqual([
      ["kindling: the cpu device runs on one thread: the worker's kernels are not the main thread's"],
    ]);
    expect(device.threads).toBe(1);
    expectSame(product(device, 256), product(devices[0]!, 256));
    warn.mockRestore();
  });
});

describe("settings", () => {
  const withSettings = (settings: Record<string, string>): Platform => ({
    ...nodePlatform(),
    setting: (name) => settings[name],
  });
  it("come from the environment, and bad ones are named", async () => {
    const device = await createCpuDevice(withSettings({ KINDLING_NUM_THREADS: "3", KINDLING_WASM_VARIANT: "simd" }));
    expect(device.threads).toBe(3);
    expect(device.variant).toBe("simd");
    const limited = await createCpuDevice(withSettings({ KINDLING_MEMORY_LIMIT: "64 MiB" }));
    expect(() => limited.alloc(64 << 20)).toThrow("a limit of 56.0 MiB");
    await expect(createCpuDevice(withSettings({ KINDLING_NUM_THREADS: "many" }))).rejects.toThrow(
      'KINDLING_NUM_THREADS is "many"',
    );
    await expect(createCpuDevice(withSettings({ KINDLING_MEMORY_LIMIT: "lots" }))).rejects.toThrow(
      'KINDLING_MEMORY_LIMIT is "lots"',
    );
    await expect(createCpuDevice(withSettings({ KINDLING_WASM_VARIANT: "fast" }))).rejects.toThrow(
      'KINDLING_WASM_VARIANT is "fast"',
    );
  });
});

describe("matmul on the device", () => {
  it("multiplies transposed and broadcast views, adds a bias vector, scales and accumulates", async () => {
    const device = devices[0]!;
    const a = view(
      device,
      float64,
      [2, 3, 4],
      Float64Array.from({ length: 24 }, (_, i) => i - 7),
    );
    const b = view(
      device,
      float64,
      [5, 4],
      Float64Array.from({ length: 20 }, (_, i) => (i * 3) % 7),
    );
    const bT: View = { ...b, shape: [2, 4, 5], strides: [0, 1, 4] };
    const bias = view(device, float64, [5], Float64Array.of(1, 2, 3, 4, 5));
    const out = view(device, float64, [2, 3, 5], new Float64Array(30).fill(10));
    const kernel = device.prepare({ kind: "matmul", dtype: float64, bias: true });
    const biasView: View = { ...bias, shape: [2, 3, 5], strides: [0, 0, 1] };
    device.run(kernel, [a, bT, biasView], [out], { alpha: 2, beta: 0.5 });
    const got = new Float64Array(device.readSync(out.buffer, 0, 240).buffer);
    for (let i = 0; i < 2; i++)
      for (let r = 0; r < 3; r++)
        for (let c = 0; c < 5; c++) {
          let sum = 0;
          for (let k = 0; k < 4; k++) sum += (i * 12 + r * 4 + k - 7) * (((c * 4 + k) * 3) % 7);
          expect(got[i * 15 + r * 5 + c]).toBe(5 + 2 * sum + c + 1);
        }
  });

  it("wraps integers", () => {
    const device = devices[0]!;
    const a = view(device, int32, [1, 1, 2], Int32Array.of(0x7fffffff, 3));
    const b = view(device, int32, [1, 2, 1], Int32Array.of(2, 5));
    const out = view(device, int32, [1, 1, 1]);
    device.run(device.prepare({ kind: "matmul", dtype: int32, bias: false }), [a, b], [out], { alpha: 1, beta: 0 });
    expect(new Int32Array(device.readSync(out.buffer, 0, 4).buffer)[0]).toBe(13);
  });
});
