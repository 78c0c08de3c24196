import { describe, expect, it } from "vitest";
import * as dtypes from "../../ts/core/dtype.ts";
import { bool, type DType, float16, float32, int32, int64 } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import { e } from "../../ts/kernel/builder.ts";
import { cast, type Expr, index, load, op, scalar } from "../../ts/kernel/expr.ts";
import type { ReduceOp } from "../../ts/kernel/spec.ts";
import { type Case, check, devices, empty, evaluate, integers, type Operand, permuted, tensor, uniform } from "./harness.ts";

/** Where an op's outputs have which dtypes. */
function outputsOf(name: ReduceOp, dtype: DType): DType[] {
  switch (name) {
    case "sum":
    case "prod":
      return [dtype.is_floating_point ? dtype : int64];
    case "any":
    case "all":
      return [bool];
    case "argmax":
    case "argmin":
      return [int64];
    case "max_arg":
    case "min_arg":
      return [dtype, int64];
    case "welford":
      return [dtype, dtype];
    default:
      return [dtype];
  }
}

function reduction(
  name: ReduceOp,
  inputs: readonly Operand[],
  reduced: number,
  more: { expr?: Expr; scalars?: readonly number[]; tolerance?: Case["tolerance"] } = {},
): Case<"reduce"> {
  const { expr = load(0, inputs[0]!.dtype), scalars = [], tolerance } = more;
  const outputs = outputsOf(name, expr.dtype);
  const { shape } = inputs[0]!;
  return {
    spec: {
      kind: "reduce",
      op: name,
      inputs: inputs.map((x) => x.dtype),
      scalars: scalars.length,
      expr,
      dtype: outputs[0]!,
    },
    inputs,
    outputs: outputs.map((d) => empty(d, shape.slice(0, shape.length - reduced))),
    params: { reduced, scalars },
    ...(tolerance === undefined ? {} : { tolerance }),
  };
}

const OPS: readonly ReduceOp[] = ["sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "max_arg", "min_arg", "welford"];
const floats = (shape: readonly number[], seed = 1, dtype: DType = float32): Operand =>
  tensor(dtype, shape, uniform(numelOf(shape), seed, -2, 2));
const wholes = (shape: readonly number[], seed = 1, dtype: DType = int32): Operand =>
  tensor(dtype, shape, integers(numelOf(shape), seed, dtype.is_signed ? -3 : 0, 4));

describe.each(devices)("$name", (target) => {
  describe.each(OPS)("%s", (name) => {
    it("of rows: short, long, of a length that is no multiple of anything", async () => {
      for (const shape of [
        [5, 3],
        [3, 64],
        [40, 20],
        [2, 1000],
        [1, 257],
      ]) {
        await check(target, reduction(name, [floats(shape)], 1, { tolerance: { rtol: 1e-4, atol: 1e-4 } }));
      }
    });
    it("of columns", async () => {
      for (const [rows, columns] of [
        [7, 5],
        [100, 33],
        [300, 4],
      ] as const) {
        const x = permuted(floats([rows, columns]), 1, 0);
        await check(target, reduction(name, [x], 1, { tolerance: { rtol: 1e-4, atol: 1e-4 } }));
      }
    });
    it("of several dims, in any order", async () => {
      const x = floats([3, 4, 5, 6], 2);
      for (const [dims, reduced] of [
        [[1, 0, 2, 3], 3],
        [[0, 2, 1, 3], 2],
        [[2, 0, 3, 1], 2],
        [[3, 2, 1, 0], 4],
      ] as const) {
        await check(target, reduction(name, [permuted(x, ...dims)], reduced, { tolerance: { rtol: 1e-4, atol: 1e-5 } }));
      }
    });
    it("of ties and NaN", async () => {
      const ties = tensor(
        float32,
        [4, 6],
        [1, 3, 3, 2, 1, 1, 0, -0, 0, -0, 0, 0, NaN, 1, 2, NaN, 5, 5, -Infinity, 2, Infinity, 2, 2, 2],
      );
      await check(target, reduction(name, [ties], 1));
      const infinite = tensor(float32, [2, 3], [-Infinity, -Infinity, -Infinity, Infinity, Infinity, Infinity]);
      if (name !== "welford") await check(target, reduction(name, [infinite], 1));
    });
    it("of nothing", async () => {
      if (["max", "min", "argmax", "argmin", "max_arg", "min_arg", "welford"].includes(name)) return; // errors of the op
      await check(target, reduction(name, [tensor(float32, [3, 0], [])], 1));
      await check(target, reduction(name, [tensor(float32, [0, 3], [])], 1));
    });
    it("of one element each", async () => {
      await check(target, reduction(name, [floats([7, 1])], 1));
      await check(target, reduction(name, [floats([7])], 0));
      await check(target, reduction(name, [tensor(float32, [], [2.5])], 0));
    });
    it("of every dtype", async () => {
      for (const dtype of dtypes.DTYPES) {
        if (name === "welford" && !dtype.is_floating_point) continue;
        const shape = [4, 20];
        const x = dtype.is_floating_point ? floats(shape, 3, dtype) : wholes(shape, 3, dtype);
        await check(target, reduction(name, [x], 1, dtype.itemsize === 2 ? { tolerance: { rtol: 2e-2, atol: 1e-2 } } : {}));
      }
    });
    it("of few long results, cut into segments", async () => {
      const tolerance = { rtol: 1e-3, atol: 1e-3 };
      const n = target.slow ? 10000 : 300000;
      if (name === "prod") return;
      await check(target, reduction(name, [floats([2, n])], 1, { tolerance }));
      await check(target, reduction(name, [permuted(floats([n / 2, 3]), 1, 0)], 1, { tolerance }));
    });
  });

  it("sums expressions of several inputs, broadcast ones too", async () => {
    const [n, m] = [9, 40];
    const x = floats([n, m]);
    const row = tensor(float32, [n, m], uniform(m, 5), { strides: [0, 1] });
    const column = tensor(float32, [n, m], uniform(n, 6), { strides: [1, 0] });
    const d = e.mul(e.sub(load(0, float32), load(1, float32)), load(2, float32));
    const expr = e.add(e.mul(d, d), scalar(0, float32));
    await check(target, reduction("sum", [x, row, column], 1, { expr, scalars: [0.25] }));
    const turned = [x, row, column].map((v) => permuted(v, 1, 0));
    await check(target, reduction("sum", turned, 1, { expr, scalars: [0.25] }));
  });
  it("gives expressions the position of their element", async () => {
    const expr = e.mul(load(0, float32), cast(e.add(index(0, int64), index("linear", int64)), float32));
    await check(target, reduction("sum", [permuted(floats([4, 6, 8]), 2, 0, 1)], 2, { expr }));
    await check(target, reduction("max", [floats([4, 6, 8])], 1, { expr }));
  });
  it("reads vectors only where they are aligned", async () => {
    const values = uniform(200, 7);
    await check(target, reduction("sum", [tensor(float32, [8, 16], values, { strides: [16, 1], offset: 3 })], 1));
    await check(target, reduction("sum", [tensor(float32, [8, 16], values, { strides: [18, 1], offset: 4 })], 1));
    await check(target, reduction("sum", [tensor(float32, [8, 16], values, { strides: [20, 1], offset: 4 })], 1));
    await check(target, reduction("max_arg", [tensor(float32, [8, 16], values, { strides: [20, 1], offset: 4 })], 1));
  });
  it("keeps the precision of sums of many", async () => {
    const n = target.slow ? 20000 : 1 << 21;
    const one = tensor(float32, [1, n], new Float32Array([0.1]), { strides: [0, 0] });
    const [sum] = await evaluate(target.device, reduction("sum", [one], 1));
    const exact = n * Math.fround(0.1);
    expect(Math.abs(sum![0]! - exact) / exact).toBeLessThan(1e-6);
  });
  it("finds the deviations of numbers far from zero", async () => {
    const x = tensor(
      float32,
      [3, 400],
      uniform(1200, 8).map((v) => 1000 + v),
    );
    await check(target, reduction("welford", [x], 1, { tolerance: { rtol: 1e-4, atol: 0 } }));
    await check(
      target,
      reduction("welford", [permuted(tensor(float32, [400, 3], x.values!), 1, 0)], 1, { tolerance: { rtol: 1e-4, atol: 0 } }),
    );
  });
  it("rounds sums of float16 once", async () => {
    const x = tensor(float16, [1, 4096], new Array<number>(4096).fill(0.25));
    const [sum] = await evaluate(target.device, reduction("sum", [x], 1));
    expect(sum![0]).toBe(1024);
  });
  it("is the same every time", async () => {
    const test = reduction("sum", [floats([3, 5000], 11)], 1);
    expect(await evaluate(target.device, test)).toEqual(await evaluate(target.device, test));
  });
  it("says so when there are too many inputs", () => {
    if (target.wide) return;
    const many = Array.from({ length: 20 }, (_, i) => load(i, float32));
    const expr = many.reduce((x, y) => op("add", float32, x, y));
    const spec = { kind: "reduce", op: "sum", inputs: many.map((x) => x.dtype), scalars: 0, expr, dtype: float32 } as const;
    expect(() => target.device.prepare(spec)).toThrow(/20 inputs are more than a kernel on this device can bind/);
  });
});
