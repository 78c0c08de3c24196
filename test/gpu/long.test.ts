/** int64 beyond 32 bits, on devices that have it. */

import { describe, expect, it } from "vitest";
import { type DType, float32, float64, int32, int64, uint8 } from "../../ts/core/dtype.ts";
import { cast, constant, load, op, scalar, type ScalarOp } from "../../ts/kernel/expr.ts";
import type { ReduceOp, ScanSpec, SortSpec } from "../../ts/kernel/spec.ts";
import { check, devices, empty, integers, type Operand, tensor, uniform } from "./harness.ts";

const LEAST = -(2n ** 63n);
const MOST = 2n ** 63n - 1n;

/** Whole numbers of up to 62 bits, with some at the ends of the range. */
function longs(shape: readonly number[], seed: number): Operand {
  const size = shape.reduce((a, b) => a * b, 1);
  const [high, low] = [integers(size, seed, -(2 ** 29), 2 ** 29), integers(size, seed + 1, 0, 2 ** 32)];
  const edges = [LEAST, MOST, 0n, -1n, 2n ** 32n, -(2n ** 31n) - 1n, 2n ** 40n];
  const values = Array.from(high, (h, i) => (i % 11 === 5 ? edges[i % edges.length]! : BigInt(h) * 2n ** 32n + BigInt(low[i]!)));
  return tensor(int64, shape, values);
}
/** Small enough that sums of a few thousand are exact as float64, which is what the harness compares. */
const exact = (shape: readonly number[], seed: number): Operand =>
  tensor(int64, shape, uniform(shape.reduce((a, b) => a * b, 1), seed, -(2 ** 41), 2 ** 41).map(Math.floor)); // prettier-ignore

describe.each(devices.filter((d) => d.wide))("int64 on $name", (target) => {
  it("arithmetic wraps, divides, shifts", async () => {
    const [a, b] = [longs([99], 1), longs([99], 3)];
    const near = tensor(int64, [99], integers(99, 5, -70, 70));
    const binary = ["add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "maximum", "minimum", "gcd", "bitwise_and", "bitwise_or", "bitwise_xor"] as const; // prettier-ignore
    const shifts = ["shift_left", "shift_right", "pow", "floor_divide", "remainder", "fmod", "div"] as const;
    const run = (name: ScalarOp, inputs: readonly Operand[]): Promise<void> =>
      check(target, {
        spec: { kind: "map", inputs: inputs.map(() => int64), scalars: 0, outputs: [op(name, int64, ...inputs.map((_, i) => load(i, int64)))] },
        inputs,
        outputs: [empty(int64, [99])],
        params: { scalars: [] },
      }); // prettier-ignore
    for (const name of binary) await run(name, [a, b]);
    for (const name of shifts) await run(name, [a, near]);
    for (const name of ["neg", "abs", "sign", "bitwise_not"] as const) await run(name, [a]);
  });
  it("scalars and constants keep all bits", async () => {
    const x = longs([50], 7);
    const outputs = [
      op("add", int64, load(0, int64), scalar(0, int64)),
      op("bitwise_xor", int64, load(0, int64), constant(MOST - 12345n, int64)),
    ];
    await check(target, {
      spec: { kind: "map", inputs: [int64], scalars: 1, outputs },
      inputs: [x],
      outputs: [empty(int64, [50]), empty(int64, [50])],
      params: { scalars: [2n ** 53n + 1n] },
    }); // prettier-ignore
  });
  it("casts", async () => {
    const floats = [0, -0.5, 1e10, -1e10, 2 ** 53, 2 ** 62, -(2 ** 63), 2 ** 63, 1e300, -1e300, NaN, Infinity, -Infinity, 4294967296.5, 0.1]; // prettier-ignore
    const move = (from: DType, to: DType, x: Operand): Promise<void> =>
      check(target, {
        spec: { kind: "map", inputs: [from], scalars: 0, outputs: [cast(load(0, from), to)] },
        inputs: [x],
        outputs: [empty(to, x.shape)],
        params: { scalars: [] },
        tolerance: { rtol: 0, atol: 0 },
      });
    for (const from of [float64, float32]) await move(from, int64, tensor(from, [floats.length], floats));
    for (const to of [float64, float32, int32, uint8]) await move(int64, to, longs([80], 9));
  });
  it("reductions", async () => {
    const reduce = (name: ReduceOp, x: Operand, outputs: readonly DType[]): Promise<void> =>
      check(target, {
        spec: { kind: "reduce", op: name, inputs: [int64], scalars: 0, expr: load(0, int64), dtype: outputs[0]! },
        inputs: [x],
        outputs: outputs.map((d) => empty(d, x.shape.slice(0, 1))),
        params: { scalars: [], reduced: 1 },
      });
    for (const shape of [
      [5, 40],
      [2, 3000],
    ]) {
      const x = longs(shape, 11);
      await reduce("sum", exact(shape, 12), [int64]);
      for (const name of ["prod", "max", "min", "argmax", "argmin"] as const) await reduce(name, x, [int64]);
      await reduce("max_arg", x, [int64, int64]);
    }
  });
  it("scans", async () => {
    const scan = (name: ScanSpec["op"], x: Operand, outputs: readonly DType[]): Promise<void> =>
      check(target, {
        spec: { kind: "scan", op: name, input: int64, dtype: int64 },
        inputs: [x],
        outputs: outputs.map((d) => empty(d, x.shape)),
        params: null,
      });
    await scan("cumsum", exact([3, 700], 13), [int64]);
    await scan("cumprod", longs([3, 40], 14), [int64]);
    for (const name of ["cummax", "cummin"] as const) await scan(name, longs([3, 300], 15), [int64, int64]);
  });
  it("sorting, and values that only differ in their upper or their lower half", async () => {
    const values = Array.from({ length: 300 }, (_, i) => (i % 2 === 0 ? BigInt((i * 7) % 13) << 32n : BigInt((i * 5) % 17)) - 2n ** 33n);
    for (const x of [longs([2, 150], 16), tensor(int64, [2, 150], values)]) {
      for (const descending of [false, true]) {
        const spec: SortSpec = { kind: "sort", mode: "sort", dtype: int64 };
        await check(target, {
          spec,
          inputs: [x],
          outputs: [empty(int64, [2, 150]), empty(int64, [2, 150])],
          params: { descending, k: 0, sorted: true, ignoreNan: false, right: false },
        });
      }
    }
  }); // prettier-ignore
  it("products of matrices", async () => {
    const [a, b] = [uniform(60, 17, -(2 ** 24), 2 ** 24).map(Math.floor), uniform(60, 18, -(2 ** 24), 2 ** 24).map(Math.floor)];
    await check(target, {
      spec: { kind: "matmul", dtype: int64, bias: false },
      inputs: [tensor(int64, [1, 6, 10], a), tensor(int64, [1, 10, 6], b)],
      outputs: [empty(int64, [1, 6, 6])],
      params: { alpha: 1, beta: 0 },
    });
  });
  it("comes back as it was", async () => {
    const { device } = target;
    const buffer = device.alloc(24, int64);
    device.write(buffer, 0, new Uint8Array(BigInt64Array.from([LEAST, MOST, 2n ** 53n + 1n]).buffer));
    const bytes = await device.read(buffer, 0, 24);
    expect([...new BigInt64Array(bytes.slice().buffer)]).toEqual([LEAST, MOST, 2n ** 53n + 1n]);
    device.free(buffer);
  });
});
