import { describe, expect, test } from "vitest";
import * as dtypes from "../../ts/core/dtype.ts";
import { IndexError, RuntimeError } from "../../ts/core/errors.ts";
import { contiguousStrides, numelOf } from "../../ts/core/shape.ts";
import type { View } from "../../ts/core/device.ts";
import type { GatherParams } from "../../ts/kernel/spec.ts";
import { lowerGather, packed } from "../../wasm/device/lower/gather.ts";
import { DTYPES, int64s, randoms, sample, TestContext, type Value } from "./context.ts";

const context = new TestContext();
const random = randoms(1);

function coordinates(shape: readonly number[], i: number): number[] {
  return contiguousStrides(shape).map((s, d) => Math.floor(i / s) % shape[d]!);
}
const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, d) => sum + x * b[d]!, 0);
const randomIndices = (n: number, size: number, from = 0): number[] =>
  Array.from({ length: n }, () => from + Math.floor(random() * (size - from)));

function gather(src: View, index: View, dim: number, extra: Partial<GatherParams> = {}): Value[] {
  const out = context.tensor(src.dtype, index.shape, null);
  const params = { name: "gather", dim, dims: [], src_strides: [], ...extra };
  context.run(lowerGather, { kind: "gather", mode: "gather", dtype: src.dtype, indices: 1 }, [src, index], [out], params);
  return context.values(out);
}

function index(src: View, indices: View[], dims: number[], shape: number[], srcStrides: number[], name = "index"): Value[] {
  const out = context.tensor(src.dtype, shape, null);
  const params = { name, dim: 0, dims, src_strides: srcStrides };
  context.run(
    lowerGather,
    { kind: "gather", mode: "index", dtype: src.dtype, indices: indices.length },
    [src, ...indices],
    [out],
    params,
  );
  return context.values(out);
}

/** A view of `view` with another shape and strides over the same memory. */
const as = (view: View, shape: number[], strides: number[]): View => ({ ...view, shape, strides });

describe("gather", () => {
  for (const dtype of DTYPES) {
    test(`along every dim, ${dtype.name}`, () => {
      for (const dim of [0, 1, 2]) {
        context.clear();
        const shape = [5, 6, 7];
        const outShape = [4, 3, 5];
        const values = sample(dtype, 210, random);
        const picks = randomIndices(60, shape[dim]!);
        const expected = picks.map((pick, i) => {
          const c = coordinates(outShape, i);
          c[dim] = pick;
          return values[dot(c, contiguousStrides(shape))];
        });
        const dense = context.tensor(dtype, shape, values);
        const permuted = context.tensor(dtype, shape, values, [2, 80, 11], 3);
        const picked = context.tensor(dtypes.int64, outShape, int64s(picks));
        const transposed = context.tensor(dtypes.int64, outShape, int64s(picks), [1, 21, 4], 5);
        for (const src of [dense, permuted]) {
          for (const at of [picked, transposed]) expect(gather(src, at, dim)).toEqual(expected);
        }
      }
    });
  }

  test("0-d, empty, one position", () => {
    context.clear();
    const scalar = context.tensor(dtypes.float32, [], [3.5]);
    expect(gather(scalar, context.tensor(dtypes.int64, [], [0n]), 0)).toEqual([3.5]);
    expect(gather(scalar, context.tensor(dtypes.int64, [3], [0n, 0n, 0n], [1]), 0)).toEqual([3.5, 3.5, 3.5]);
    const src = context.tensor(dtypes.float32, [4], [1, 2, 3, 4]);
    expect(gather(src, context.tensor(dtypes.int64, [0], []), 0)).toEqual([]);
    expect(gather(context.tensor(dtypes.float32, [0], []), context.tensor(dtypes.int64, [0], []), 0)).toEqual([]);
    expect(() => gather(context.tensor(dtypes.float32, [0], []), context.tensor(dtypes.int64, [1], [0n]), 0)).toThrow("size 0");
  });

  test("refuses indices out of range, also negative ones", () => {
    context.clear();
    const src = context.tensor(dtypes.float32, [2, 3], [1, 2, 3, 4, 5, 6]);
    const message = "gather: index 5 is out of bounds for dimension 1 with size 3";
    const bad = context.tensor(dtypes.int64, [2, 2], [0n, 1n, 2n, 5n]);
    expect(() => gather(src, bad, 1)).toThrow(message);
    expect(() => gather(src, bad, 1)).toThrow(RuntimeError);
    const negative = context.tensor(dtypes.int64, [1, 1], [-1n]);
    expect(() => gather(src, negative, 1)).toThrow("gather: index -1 is out of bounds for dimension 1 with size 3");
    expect(gather(src, negative, 1, { wrap: true })).toEqual([3]);
    const huge = context.tensor(dtypes.int64, [1, 1], [1n << 40n]);
    expect(() => gather(src, huge, 1)).toThrow("index 1099511627776 is out of bounds");
  });

  test("reports the first bad index of many tasks, in any order of tasks", () => {
    const n = 200_000;
    const picks = new Array<bigint>(n).fill(1n);
    picks[70_001] = 9n;
    picks[150_000] = 8n;
    for (const reversed of [false, true]) {
      context.clear();
      context.reversed = reversed;
      const src = context.tensor(dtypes.float32, [3], [1, 2, 3]);
      const at = context.tensor(dtypes.int64, [n], picks);
      expect(() => gather(src, at, 0)).toThrow("index 9 ");
      context.reversed = false;
    }
  });
});

describe("advanced indexing", () => {
  for (const dtype of DTYPES) {
    test(`rows, as an embedding reads them, ${dtype.name}`, () => {
      for (const width of [1, 3, 16, 33, 700]) {
        context.clear();
        const values = sample(dtype, 11 * width, random);
        const src = context.tensor(dtype, [11, width], values);
        const picks = [3, 0, 10, 3, -1, -11];
        const at = context.tensor(dtypes.int64, [2, 3], int64s(picks));
        const got = index(src, [as(at, [2, 3, width], [3, 1, 0])], [0], [2, 3, width], [0, 0, 1]);
        expect(got).toEqual(picks.flatMap((p) => values.slice((p < 0 ? p + 11 : p) * width).slice(0, width)));
      }
    });
  }

  test("x[i, :, j] with broadcast index tensors", () => {
    context.clear();
    const shape = [4, 5, 6];
    const values = sample(dtypes.float32, 120, random);
    const src = context.tensor(dtypes.float32, shape, values, [1, 4, 20], 2);
    const i = [1, -1];
    const j = [0, 5, -2];
    // The indexed dims come first: out [2, 3, 5].
    const at0 = as(context.tensor(dtypes.int64, [2, 1], int64s(i)), [2, 3, 5], [1, 0, 0]);
    const at2 = as(context.tensor(dtypes.int64, [3], int64s(j)), [2, 3, 5], [0, 1, 0]);
    const expected = i.flatMap((a) =>
      j.flatMap((b) => [0, 1, 2, 3, 4].map((k) => values[((a + 4) % 4) * 30 + k * 6 + ((b + 6) % 6)])),
    );
    expect(index(src, [at0, at2], [0, 2], [2, 3, 5], [0, 0, 4])).toEqual(expected);
  });

  test("x[:, i] keeps a leading dim", () => {
    context.clear();
    const values = sample(dtypes.int16, 12, random);
    const src = context.tensor(dtypes.int16, [3, 4], values);
    const at = as(context.tensor(dtypes.int64, [2], [3n, 1n]), [3, 2], [0, 1]);
    expect(index(src, [at], [1], [3, 2], [4, 0])).toEqual([0, 1, 2].flatMap((r) => [values[r * 4 + 3], values[r * 4 + 1]]));
  });

  test("strided rows", () => {
    context.clear();
    const values = sample(dtypes.float64, 20, random);
    const src = context.tensor(dtypes.float64, [4, 5], values, [1, 4]);
    const at = as(context.tensor(dtypes.int64, [2], [3n, 1n]), [2, 5], [1, 0]);
    expect(index(src, [at], [0], [2, 5], [0, 4])).toEqual([...values.slice(15, 20), ...values.slice(5, 10)]);
  });

  test("one position picks a whole block", () => {
    context.clear();
    const values = sample(dtypes.float32, 6 * 70_000, random);
    const src = context.tensor(dtypes.float32, [6, 70_000], values);
    const at = as(context.tensor(dtypes.int64, [1], [4n]), [1, 70_000], [1, 0]);
    expect(index(src, [at], [0], [1, 70_000], [0, 1])).toEqual(values.slice(280_000, 350_000));
  });

  test("refuses indices out of range with an IndexError that names the dimension", () => {
    context.clear();
    const src = context.tensor(dtypes.float32, [3, 4], sample(dtypes.float32, 12, random));
    const ok = context.tensor(dtypes.int64, [2], [0n, -3n]);
    const bad = context.tensor(dtypes.int64, [2], [3n, -5n]);
    const call = () => index(src, [ok, bad], [0, 1], [2], [0], "embedding");
    expect(call).toThrow("embedding: index -5 is out of bounds for dimension 1 with size 4");
    expect(call).toThrow(IndexError);
  });
});

test("packed copies any strides", () => {
  for (const dtype of [dtypes.uint8, dtypes.float16, dtypes.float32, dtypes.int64]) {
    for (const [shape, strides] of [
      [
        [3, 4, 5],
        [1, 15, 3],
      ],
      [
        [3, 4, 5],
        [40, 5, 1],
      ],
      [
        [300, 700],
        [1, 300],
      ],
      [
        [2, 3],
        [0, 1],
      ],
      [[7], [3]],
      [
        [1, 6],
        [99, 2],
      ],
      [[], []],
    ] as [number[], number[]][]) {
      context.clear();
      const values = sample(dtype, numelOf(shape), random);
      const view = context.tensor(dtype, shape, values, strides, 1);
      const expected = context.values(view); // with stride 0 the last write won
      const address = packed(context, view);
      const copy = { ...view, buffer: { ...view.buffer, ptr: address }, strides: contiguousStrides(shape), offset: 0 };
      expect(context.values(copy)).toEqual(expected);
    }
  }
});
