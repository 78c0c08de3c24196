/** What all GPU devices share, on every device of the harness: elements that are not words, memory that is used twice, dead buffers. */

import { describe, expect, it } from "vitest";
import { bool, float16, float32, int16, int32, int64, uint8 } from "../../ts/core/dtype.ts";
import { NotImplementedError } from "../../ts/core/errors.ts";
import { load } from "../../ts/kernel/expr.ts";
import type { View } from "../../ts/core/device.ts";
import { numberToHalf } from "../../ts/ops/values.ts";
import { sizeClass } from "../../gpu/pool.ts";
import { devices } from "./harness.ts";
import { bufferOf, bytesOf, contextOf, viewOf } from "./webgpu_tools.ts";

const halves = (...xs: number[]): Uint16Array => Uint16Array.from(xs, numberToHalf);

describe.each(devices)("$name", ({ device, slow }) => {
  const all = async (buffer: ReturnType<typeof bufferOf>): Promise<Uint8Array> => device.read(buffer, 0, buffer.nbytes);

  it("float16 is read, written, copied and zeroed at odd places", async () => {
    const x = bufferOf(device, halves(1, 2, 3, 4, 5), float16);
    device.write(x, 2, bytesOf(halves(20, 30)));
    expect(await all(x)).toEqual(bytesOf(halves(1, 20, 30, 4, 5)));
    expect(await device.read(x, 6, 2)).toEqual(bytesOf(halves(4)));
    const context = contextOf(device);
    const y = bufferOf(device, halves(0, 0, 0, 0, 0), float16);
    context.copy(viewOf(x), 1, viewOf(y), 2, 3);
    context.endRun();
    expect(await all(y)).toEqual(bytesOf(halves(0, 0, 20, 30, 4)));
    context.copy(viewOf(y), 2, viewOf(y), 1, 3);
    context.zero(viewOf(y), 3, 1);
    context.endRun();
    expect(await all(y)).toEqual(bytesOf(halves(0, 20, 30, 0, 4)));
    device.write(y, 8, bytesOf(halves(9)));
    expect(await all(y)).toEqual(bytesOf(halves(0, 20, 30, 0, 9)));
  });
  it("narrow and wide integers keep their values", async () => {
    for (const [dtype, data] of [
      [bool, Uint8Array.of(1, 0, 1)],
      [uint8, Uint8Array.of(0, 200, 255)],
      [int16, Int16Array.of(-32768, 5, 32767)],
      [int64, BigInt64Array.of(-5n, 0n, 2147483647n)],
    ] as const) {
      expect(await all(bufferOf(device, data, dtype))).toEqual(bytesOf(data));
    }
  });
  it("a kernel may read and write one buffer", async () => {
    const x = bufferOf(device, Float32Array.of(1, 2, 3, 4), float32);
    const at = (offset: number, n: number): View => ({ buffer: x, dtype: float32, shape: [n], strides: [1], offset });
    const copy = device.prepare({ kind: "map", inputs: [float32], scalars: 0, outputs: [load(0, float32)] });
    device.run(copy, [at(0, 2)], [at(2, 2)], { scalars: [] });
    expect(await all(x)).toEqual(bytesOf(Float32Array.of(1, 2, 1, 2)));
  });
  it("memory is seen in another dtype only where both lie alike", async () => {
    const x = bufferOf(device, Float32Array.of(1, 2), float32);
    const view = { ...viewOf(x), dtype: int32 } as View;
    const out = device.alloc(8, int32);
    const copy = device.prepare({ kind: "map", inputs: [int32], scalars: 0, outputs: [load(0, int32)] });
    device.run(copy, [view], [viewOf(out) as View], { scalars: [] });
    expect(await all(out)).toEqual(bytesOf(Float32Array.of(1, 2)));
    const wide = { ...viewOf(x), dtype: int64, shape: [1] } as View;
    const copyWide = device.prepare({ kind: "map", inputs: [int64], scalars: 0, outputs: [load(0, int64)] });
    expect(() => device.run(copyWide, [wide], [viewOf(device.alloc(8, int64)) as View], { scalars: [] })).toThrow(
      NotImplementedError,
    );
  });
  if (slow) return; // interpreters leave the garbage to JavaScript
  it("dead buffers come back, also within one synchronous loop", () => {
    const before = device.memoryStats();
    for (let i = 0; i < 2000; i++) device.alloc(64 << 10, float32);
    expect(device.collections).toBeGreaterThan(0);
    const { buffers, reserved_bytes } = device.memoryStats();
    expect(buffers).toBeLessThanOrEqual(before.buffers + 1);
    expect(reserved_bytes).toBeLessThan(before.reserved_bytes + (100 << 20));
  });
});

it("pool sizes waste at most a quarter", () => {
  for (let bytes = 1; bytes < 2 ** 30; bytes = Math.ceil(bytes * 1.07)) {
    const size = sizeClass(bytes, 256);
    expect(size).toBeGreaterThanOrEqual(bytes);
    expect(size % 256).toBe(0);
    expect(size).toBeLessThanOrEqual(Math.max(256, bytes * 1.25 + 256));
    expect(sizeClass(size, 256)).toBe(size);
  }
});
