import { describe, expect, it } from "vitest";
import { bfloat16, bool, type DType, float16, float32, float64, int32, int64, int8, uint8 } from "../../ts/core/dtype.ts";
import type { SortParams, SortSpec } from "../../ts/kernel/spec.ts";
import { check, devices, empty, evaluate, integers, type Operand, permuted, tensor, uniform } from "./harness.ts";

const PARAMS: SortParams = { descending: false, k: 1, sorted: true, ignoreNan: false, right: false };
const spec = (mode: SortSpec["mode"], dtype: DType = float32): SortSpec => ({ kind: "sort", mode, dtype });
const [inf, nan] = [Infinity, NaN];
const DTYPES = [float32, float16, bfloat16, float64, int64, int32, int8, uint8, bool];

/** Rows with equals. */
function equals(dtype: DType, shape: readonly number[], seed: number): Operand {
  const size = shape.reduce((a, b) => a * b, 1);
  const low = dtype === uint8 || dtype === bool ? 0 : -9;
  return tensor(dtype, shape, integers(size, seed, low, dtype === bool ? 2 : 9));
}
const outputs = (dtype: DType, shape: readonly number[]): Operand[] => [empty(dtype, shape), empty(int64, shape)];

/** Whole numbers from 0 to n - 1 in some order: no two are the same. */
function distinct(n: number, seed: number): number[] {
  const keys = uniform(n, seed);
  return Array.from({ length: n }, (_, i) => i).sort((a, b) => keys[a]! - keys[b]!);
}

describe.each(devices)("sort on $name", (target) => {
  it.each(DTYPES)("sorts %s, equals in their order", async (dtype) => {
    for (const descending of [false, true]) {
      const params = { ...PARAMS, descending };
      await check(target, {
        spec: spec("sort", dtype),
        inputs: [equals(dtype, [3, 20], 1)],
        outputs: outputs(dtype, [3, 20]),
        params,
      });
    }
  });

  it("NaN is greatest, zeros are the same", async () => {
    const x = tensor(float32, [2, 9], [3, nan, -inf, 0, -0, inf, nan, -1e-40, 1, 0, -0, 0, nan, 5, -5, 2e-45, inf, -inf]);
    for (const descending of [false, true]) {
      const params = { ...PARAMS, descending };
      await check(target, { spec: spec("sort"), inputs: [x], outputs: outputs(float32, [2, 9]), params });
    }
  });

  it("rows of any length and strides", async () => {
    const sizes = target.slow
      ? [
          [1, 1],
          [5, 2],
          [2, 65],
          [1, 700],
        ]
      : [
          [1, 1],
          [7, 64],
          [3, 65],
          [300, 400],
          [2, 3000],
          [1, 100000],
          [1500, 30],
        ];
    for (const [rows, n] of sizes as [number, number][]) {
      const x = equals(float32, [rows, n], rows + n);
      await check(target, { spec: spec("sort"), inputs: [x], outputs: outputs(float32, [rows, n]), params: PARAMS });
    }
    const turned = permuted(equals(float32, [10, 3, 2], 4), 2, 1, 0);
    await check(target, { spec: spec("sort"), inputs: [turned], outputs: outputs(float32, [2, 3, 10]), params: PARAMS });
  });

  it("long rows of all kinds of numbers, by radix", async () => {
    if (target.slow && target.name !== "interpreter wide" && target.name !== "interpreter minimal") return;
    const n = 1030;
    for (const dtype of [float32, int32, ...(target.wide ? [float64, int64] : [])]) {
      for (const descending of [false, true]) {
        const values = dtype.is_floating_point
          ? uniform(n, 1, -100, 100).map((v, i) => (i % 100 === 7 ? nan : i % 50 === 3 ? inf : i % 9 === 1 ? -0 : v))
          : integers(n, 2, -(2 ** 31), 2 ** 31);
        const test = { spec: spec("sort", dtype), inputs: [tensor(dtype, [1, n], values)], outputs: outputs(dtype, [1, n]) };
        await check(target, { ...test, params: { ...PARAMS, descending } });
      }
    }
    if (!target.wide) return;
    const big = Array.from(integers(n, 3, -(2 ** 31), 2 ** 31), (v, i) => BigInt(v) * (i % 2 === 0 ? 4294967311n : 1n));
    const test = { spec: spec("sort", int64), inputs: [tensor(int64, [1, n], big)], outputs: outputs(int64, [1, n]) };
    await check(target, { ...test, params: PARAMS });
  });

  it("topk, kthvalue", async () => {
    for (const n of target.slow ? [5, 40] : [5, 40, 1200]) {
      const x = tensor(float32, [2, n], [...distinct(n, 1), ...distinct(n, 2)]);
      for (const k of [1, 3, n]) {
        for (const descending of [true, false]) {
          const params = { ...PARAMS, k, descending };
          await check(target, { spec: spec("topk"), inputs: [x], outputs: outputs(float32, [2, k]), params });
        }
        await check(target, { spec: spec("kthvalue"), inputs: [x], outputs: outputs(float32, [2]), params: { ...PARAMS, k } });
      }
    }
    const nans = tensor(float32, [1, 5], [nan, 2, nan, inf, -inf]);
    const values = async (mode: "topk" | "kthvalue", params: SortParams, shape: number[]): Promise<Float64Array> =>
      (await evaluate(target.device, { spec: spec(mode), inputs: [nans], outputs: outputs(float32, shape), params }))[0]!;
    expect([...(await values("topk", { ...PARAMS, k: 3, descending: true }, [1, 3]))]).toEqual([nan, nan, inf]);
    expect([...(await values("kthvalue", { ...PARAMS, k: 3 }, [1]))]).toEqual([inf]);
  });

  it("among equals the first places are taken", async () => {
    const x = tensor(float32, [1, 8], [1, 2, 2, 1, 2, 0, 2, 1]);
    const params = { ...PARAMS, k: 5, descending: true };
    const test = { spec: spec("topk"), inputs: [x], outputs: outputs(float32, [1, 5]), params };
    const [values, indices] = await evaluate(target.device, test);
    expect([...values!]).toEqual([2, 2, 2, 2, 1]);
    expect([...indices!]).toEqual([1, 2, 4, 6, 0]);
  });

  it("median and mode", async () => {
    const rows = [
      [5, 1, 4, 2, 3, 3],
      [nan, 1, 4, nan, 3, 2],
      [nan, nan, nan, nan, nan, nan],
      [1, 1, 2, 2, 0, 7],
      [-0, 0, inf, -inf, inf, 5],
    ];
    const x = tensor(float32, [5, 6], rows.flat());
    for (const ignoreNan of [false, true]) {
      const params = { ...PARAMS, ignoreNan };
      await check(target, { spec: spec("median"), inputs: [x], outputs: outputs(float32, [5]), params });
    }
    await check(target, { spec: spec("mode"), inputs: [x], outputs: outputs(float32, [5]), params: PARAMS });
    for (const dtype of [int64, uint8, bool]) {
      for (const mode of ["median", "mode"] as const) {
        await check(target, {
          spec: spec(mode, dtype),
          inputs: [equals(dtype, [4, 31], 5)],
          outputs: outputs(dtype, [4]),
          params: PARAMS,
        });
      }
    }
    if (target.slow) return;
    const long = tensor(
      float32,
      [2, 3001],
      integers(6002, 6, 0, 500).map((v, i) => (i === 5000 ? nan : v)),
    );
    for (const mode of ["median", "mode"] as const) {
      await check(target, {
        spec: spec(mode),
        inputs: [long],
        outputs: outputs(float32, [2]),
        params: { ...PARAMS, ignoreNan: true },
      });
    }
  });

  it("searchsorted", async () => {
    for (const dtype of [float32, int64, int8, float16]) {
      for (const right of [false, true]) {
        const params = { ...PARAMS, right };
        const values = tensor(dtype, [2, 5], [-3, 0, 1, 9, 2, 1, 1, 5, -9, 20]);
        const own = tensor(dtype, [2, 4], [-2, 1, 1, 5, 0, 1, 3, 9]);
        await check(target, {
          spec: spec("searchsorted", dtype),
          inputs: [own, values],
          outputs: [empty(int64, [2, 5])],
          params,
        });
        const one = tensor(dtype, [4], [-2, 1, 1, 5]);
        const turned = permuted(tensor(dtype, [5, 2], values.values!), 1, 0);
        await check(target, {
          spec: spec("searchsorted", dtype),
          inputs: [one, turned],
          outputs: [empty(int64, [2, 5])],
          params,
        });
        const none = tensor(dtype, [0], []);
        await check(target, {
          spec: spec("searchsorted", dtype),
          inputs: [none, values],
          outputs: [empty(int64, [2, 5])],
          params,
        });
      }
    }
    const odd = tensor(float32, [5], [-inf, 0, 1, inf, nan]);
    for (const right of [false, true]) {
      const inputs = [odd, tensor(float32, [4], [nan, inf, -inf, -0])];
      await check(target, { spec: spec("searchsorted"), inputs, outputs: [empty(int64, [4])], params: { ...PARAMS, right } });
    }
  });
});
