import { describe, expect, it } from "vitest";
import { bfloat16, bool, type DType, float16, float32, float64, int32, int64, int8, uint8 } from "../../ts/core/dtype.ts";
import { IndexError, RuntimeError } from "../../ts/core/errors.ts";
import type { GatherParams, GatherSpec, ScatterSpec } from "../../ts/kernel/spec.ts";
import { check, devices, download, empty, integers, type Operand, permuted, tensor, uniform, upload } from "./harness.ts";

const gatherSpec = (mode: GatherSpec["mode"], dtype: DType, indices = 1): GatherSpec => ({
  kind: "gather",
  mode,
  dtype,
  indices,
});
const scatterSpec = (
  mode: ScatterSpec["mode"],
  reduce: ScatterSpec["reduce"],
  dtype: DType = float32,
  indices = 1,
): ScatterSpec => ({ kind: "scatter", mode, reduce, dtype, indices });
const along = (dim: number): GatherParams => ({ name: "gather", dim, dims: [], src_strides: [] });
const values = (dtype: DType, size: number, seed: number): Float64Array =>
  dtype.is_floating_point ? uniform(size, seed, -4, 4) : integers(size, seed, dtype === bool ? 0 : 1, dtype === bool ? 2 : 100);
const filledWith = (dtype: DType, shape: readonly number[], seed: number): Operand =>
  tensor(
    dtype,
    shape,
    values(
      dtype,
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
  );
/** An index [m] of rows of [m, width]. */
const rowIndex = (indices: ArrayLike<number>, width: number): Operand =>
  tensor(int64, [indices.length, width], indices, { strides: [1, 0] });
const rowParams = (wrap = false): GatherParams => ({ name: "embedding", dim: 0, dims: [0], src_strides: [0, 1], wrap });

const DTYPES = [float32, float16, bfloat16, float64, int64, int32, int8, uint8, bool];

describe.each(devices)("gather and scatter on $name", (target) => {
  it.each(DTYPES)("gathers %s along every dim", async (dtype) => {
    const shape = [3, 4, 5];
    for (const dim of [0, 1, 2]) {
      const src = filledWith(dtype, shape, 1);
      const index = tensor(int64, [2, 3, 4], integers(24, 2, 0, shape[dim]!));
      const test = { spec: gatherSpec("gather", dtype), outputs: [empty(dtype, [2, 3, 4])], params: along(dim) };
      await check(target, { ...test, inputs: [src, index] });
      const turned = permuted(filledWith(dtype, [5, 3, 4], 3), 1, 2, 0);
      await check(target, { ...test, inputs: [turned, permuted(tensor(int64, [4, 2, 3], index.values!), 1, 2, 0)] });
    }
  });

  it("reads rows, in vectors or not", async () => {
    for (const width of [1, 5, 8]) {
      const src = tensor(float32, [7, width], uniform(7 * width + 4, 1), { offset: width === 8 ? 4 : 3 });
      const index = rowIndex([0, 6, 3, 3, 1, -1, -7], width);
      const outputs = [empty(float32, [7, width])];
      await check(target, {
        spec: gatherSpec("index", float32),
        inputs: [src, index],
        outputs,
        params: rowParams(true),
      });
    }
  });

  it("takes several index tensors, also more than a kernel has room for", async () => {
    const src = filledWith(float32, [4, 5, 6], 1);
    const indices = [integers(6, 2, -4, 4), integers(6, 3, -5, 5), integers(6, 4, -6, 6)].map((v) => tensor(int64, [6], v));
    for (const dims of [[0], [1, 2], [0, 2], [0, 1, 2]]) {
      const rest = [0, 1, 2].filter((d) => !dims.includes(d));
      const sizes = rest.map((d) => src.shape[d]!);
      const spread = dims.map((d) => {
        const { values: v } = indices[d]!;
        return tensor(int64, [6, ...sizes], v!, { strides: [1, ...sizes.map(() => 0)] });
      });
      const params = { name: "index", dim: 0, dims, src_strides: [0, ...rest.map((d) => src.strides[d]!)] };
      const spec = gatherSpec("index", float32, dims.length);
      await check(target, { spec, inputs: [src, ...spread], outputs: [empty(float32, [6, ...sizes])], params });
      for (const reduce of ["set", "add"] as const) {
        const value = filledWith(float32, [6, ...sizes], 9);
        const put = scatterSpec("index", reduce, float32, dims.length);
        await check(target, { spec: put, inputs: [value, ...spread], outputs: [src], params });
      }
    }
    const six = [2, 3, 2, 3, 2, 2];
    const many = six.map((n, d) => tensor(int64, [9], integers(9, d, -n, n)));
    const params = { name: "index", dim: 0, dims: [0, 1, 2, 3, 4, 5], src_strides: [0] };
    const inputs = [filledWith(float32, six, 1), ...many];
    await check(target, { spec: gatherSpec("index", float32, 6), inputs, outputs: [empty(float32, [9])], params });
    await check(target, {
      spec: scatterSpec("index", "add", float32, 6),
      inputs: [filledWith(float32, [9], 2), ...many],
      outputs: [inputs[0]!],
      params,
    });
  });

  it.each(DTYPES)("scatters %s", async (dtype) => {
    for (const reduce of ["set", "add", "mul", "amax", "amin"] as const) {
      if (target.name === "webgpu minimal" && dtype !== float32) continue;
      const value = filledWith(dtype, [4, 6], 1);
      const index = tensor(int64, [4, 6], integers(24, 2, 0, 3));
      const tolerance = dtype === float16 ? { rtol: 0.02 } : dtype === bfloat16 ? { rtol: 0.1 } : {};
      const test = { spec: scatterSpec("scatter", reduce, dtype), inputs: [value, index], tolerance };
      await check(target, { ...test, outputs: [filledWith(dtype, [3, 6], 3)], params: along(0) });
      await check(target, { ...test, outputs: [permuted(filledWith(dtype, [3, 5], 3), 1, 0)], params: along(1) });
    }
  });

  it("NaN stays in amax and amin", async () => {
    const value = tensor(float32, [5], [1, NaN, 5, 2, -1]);
    const index = tensor(int64, [5], [0, 0, 1, 1, 2]);
    for (const reduce of ["amax", "amin"] as const) {
      const dst = tensor(float32, [3], [0, 3, NaN]);
      await check(target, { spec: scatterSpec("scatter", reduce), inputs: [value, index], outputs: [dst], params: along(0) });
    }
  });

  it("adds rows bit for bit as the cpu does, few and many of them", async () => {
    const sizes = target.slow
      ? [
          [40, 7, 3],
          [60, 9, 8],
        ]
      : [
          [40, 7, 3],
          [8192, 65, 12],
          [5000, 30000, 1],
          [40000, 3000, 4],
          [70000, 11, 1],
        ];
    for (const [count, rows, width] of sizes as [number, number, number][]) {
      const value = filledWith(float32, [count, width], 1);
      const index = rowIndex(integers(count, 2, 0, rows), width);
      const exact = { rtol: 0, atol: 0 };
      for (const reduce of ["add", "set"] as const) {
        const test = {
          spec: scatterSpec("index", reduce),
          inputs: [value, index],
          outputs: [filledWith(float32, [rows, width], 3)],
        };
        await check(target, { ...test, params: rowParams(), tolerance: exact });
      }
    }
  });

  it("sorts positions where they are too many to search", async () => {
    const count = target.slow ? 33000 : 100000;
    const value = tensor(int32, [count], integers(count, 1, 0, 100));
    const index = tensor(int64, [count], integers(count, 2, 0, 40));
    const dst = filledWith(int32, [300], 3);
    if (target.slow && target.name !== "interpreter minimal") return;
    for (const reduce of ["add", "set"] as const) {
      await check(target, {
        spec: scatterSpec("scatter", reduce, int32),
        inputs: [value, index],
        outputs: [dst],
        params: along(0),
      });
    }
  });

  it("an index out of range is an error, and nothing is written", async () => {
    const { device } = target;
    const cases = [
      { mode: "gather", bad: 3, message: "take: index 3 is out of bounds for dimension 1 with size 3", Type: RuntimeError },
      { mode: "gather", bad: -1, message: "take: index -1 is out of bounds for dimension 1 with size 3", Type: RuntimeError },
      { mode: "index", bad: -4, message: "take: index -4 is out of bounds for dimension 1 with size 3", Type: IndexError },
      { mode: "index", bad: 7, message: "take: index 7 is out of bounds for dimension 1 with size 3", Type: IndexError },
    ] as const;
    for (const { mode, bad, message, Type } of cases) {
      const params = { name: "take", dim: 1, dims: [1], src_strides: [3, 0] };
      const x = upload(device, filledWith(float32, [2, 3], 1));
      const index = upload(device, tensor(int64, [2, 2], [0, 1, bad, 0]));
      const out = upload(device, empty(float32, [2, 2]));
      device.run(device.prepare(gatherSpec(mode, float32)), [x, index], [out], params);
      const gathered: unknown = await download(out).catch((e: unknown) => e);
      expect(gathered).toBeInstanceOf(Type);
      expect((gathered as Error).message).toBe(message);

      const dst = upload(device, tensor(float32, [2, 3], [1, 2, 3, 4, 5, 6]));
      const put = scatterSpec(mode === "gather" ? "scatter" : "index", "add");
      const value = upload(device, filledWith(float32, [2, 2], 2));
      device.run(device.prepare(put), [value, index], [dst], params);
      const scattered: unknown = await download(dst).catch((e: unknown) => e);
      expect(scattered).toBeInstanceOf(Type);
      expect((scattered as Error).message).toBe(message);
      expect(Array.from(await download(dst))).toEqual([1, 2, 3, 4, 5, 6]);
    }
  });

  it("nothing to read or write", async () => {
    const none = tensor(int64, [0, 3], []);
    const dst = filledWith(float32, [2, 3], 1);
    await check(target, {
      spec: gatherSpec("gather", float32),
      inputs: [dst, none],
      outputs: [empty(float32, [0, 3])],
      params: along(0),
    });
    await check(target, {
      spec: scatterSpec("scatter", "add"),
      inputs: [tensor(float32, [0, 3], []), none],
      outputs: [dst],
      params: along(0),
    });
  });
});
