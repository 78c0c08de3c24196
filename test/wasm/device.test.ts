import { describe, expect, it } from "vitest";
import { float32 } from "../../ts/core/dtype.ts";
import { constant, type Expr, load, op } from "../../ts/kernel/expr.ts";
import type { KernelSpec } from "../../ts/kernel/spec.ts";
import { createCpuDevice } from "../../wasm/device/index.ts";
import { nodePlatform } from "../../wasm/device/platform.node.ts";
import { specKey } from "../../ts/kernel/spec_key.ts";

const device = await createCpuDevice(nodePlatform(), { threads: 1 });
const bytes = (values: ArrayLike<number>): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);

describe("cpu device: memory", () => {
  it("reads what was written", async () => {
    const buffer = device.alloc(16);
    device.write(buffer, 4, bytes([1.5, -2]));
    expect(new Float32Array((await device.read(buffer, 4, 8)).buffer)).toEqual(Float32Array.of(1.5, -2));
    expect(() => device.write(buffer, 12, bytes([1, 2]))).toThrow("cpu: write of 8 bytes at 12 of a buffer of 16 bytes");
  });
});

describe("cpu device: prepared kernels", () => {
  const map = (...outputs: Expr[]): KernelSpec => ({ kind: "map", inputs: [float32], scalars: 0, outputs });
  const x = load(0, float32);

  it("are shared by specs of equal structure and by nothing else", () => {
    const plusOne = (value: number): KernelSpec => map(op("add", float32, load(0, float32), constant(value, float32)));
    const kernel = device.prepare(plusOne(1));
    expect(device.prepare(plusOne(1))).toBe(kernel);
    for (const other of [plusOne(2), plusOne(0), plusOne(-0), plusOne(NaN), map(x), map(x, x)]) {
      expect(device.prepare(other)).not.toBe(kernel);
    }
    expect(specKey(plusOne(0))).not.toBe(specKey(plusOne(-0)));
    const sum = op("add", float32, x, x);
    expect(specKey(map(op("mul", float32, sum, x)))).not.toBe(specKey(map(op("mul", float32, x, sum))));
  });

  it("have keys that grow with the number of nodes, not with the number of paths", () => {
    let e: Expr = x;
    for (let i = 0; i < 60; i++) e = op("add", float32, e, e);
    expect(specKey(map(e)).length).toBeLessThan(2000);
  });

  it("give back their workspace and parameter blocks when a run fails", () => {
    const shape = [1, 64, 64];
    const view = { buffer: device.alloc(64 * 64 * 4), dtype: float32, shape, strides: [4096, 64, 1], offset: 0 };
    const kernel = device.prepare({ kind: "matmul", dtype: float32, bias: false });
    const broken = { ...view, offset: 1 << 29 };
    const before = device.memoryStats().allocated_bytes;
    for (let i = 0; i < 100; i++) {
      expect(() => device.run(kernel, [view, broken], [view], { alpha: 1, beta: 0 })).toThrow("cpu: kernel gemm");
    }
    expect(device.memoryStats().allocated_bytes).toBe(before);
  });
});
