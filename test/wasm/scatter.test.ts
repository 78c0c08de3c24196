import { describe, expect, test } from "vitest";
import type { View } from "../../ts/core/device.ts";
import * as dtypes from "../../ts/core/dtype.ts";
import type { DType } from "../../ts/core/dtype.ts";
import { IndexError, RuntimeError } from "../../ts/core/errors.ts";
import { contiguousStrides } from "../../ts/core/shape.ts";
import type { ScatterSpec } from "../../ts/kernel/spec.ts";
import { lowerScatter } from "../../wasm/device/lower/scatter.ts";
import { DTYPES, int64s, randoms, rounded, sample, TestContext, type Value } from "./context.ts";

type Reduce = ScatterSpec["reduce"];
const REDUCES: Reduce[] = ["set", "add", "mul", "amax", "amin"];
const context = new TestContext();
const random = randoms(2);

function combine(reduce: Reduce, dtype: DType, old: Value, value: Value): Value {
  if (reduce === "set") return value;
  if (reduce === "amax" || reduce === "amin") {
    if (Number.isNaN(old) || Number.isNaN(value)) return NaN;
    return (reduce === "amax" ? old > value : old < value) ? old : value;
  }
  if (typeof old === "bigint" || typeof value === "bigint") {
    return BigInt.asIntN(64, reduce === "add" ? BigInt(old) + BigInt(value) : BigInt(old) * BigInt(value));
  }
  // Narrow floats are computed in float32.
  const exact = reduce === "add" ? old + value : old * value;
  return rounded(dtype, dtype.itemsize === 2 && dtype.is_floating_point ? Math.fround(exact) : exact);
}

const coordinates = (shape: readonly number[], i: number): number[] =>
  contiguousStrides(shape).map((s, d) => Math.floor(i / s) % shape[d]!);

function scatter(reduce: Reduce, dst: View, value: View, index: View, dim: number): void {
  const params = { name: "scatter", dim, dims: [], src_strides: [] };
  const spec = { kind: "scatter", mode: "scatter", reduce, dtype: dst.dtype, indices: 1 } as const;
  context.run(lowerScatter, spec, [value, index], [dst], params);
}

describe("scatter", () => {
  for (const dtype of DTYPES) {
    for (const reduce of REDUCES) {
      test(`${reduce} along every dim with repeated indices, ${dtype.name}`, () => {
        for (const dim of [0, 1, 2]) {
          context.clear();
          const shape = [4, 5, 6];
          const valueShape = [3, 5, 4];
          const start = sample(dtype, 120, random, true);
          const values = sample(dtype, 60, random, true);
          const picks = Array.from({ length: 60 }, () => Math.floor(random() * Math.min(3, shape[dim]!)));
          const expected = start.slice();
          values.forEach((value, i) => {
            const c = coordinates(valueShape, i);
            c[dim] = picks[i]!;
            const at = c.reduce((sum, x, d) => sum + x * contiguousStrides(shape)[d]!, 0);
            expected[at] = combine(reduce, dtype, expected[at]!, value);
          });
          const index = context.tensor(dtypes.int64, valueShape, int64s(picks));
          const dense = context.tensor(dtype, shape, start);
          scatter(reduce, dense, context.tensor(dtype, valueShape, values), index, dim);
          expect(context.values(dense)).toEqual(expected);
          const strided = context.tensor(dtype, shape, start, [1, 30, 4], 3);
          scatter(reduce, strided, context.tensor(dtype, valueShape, values, [25, 1, 5], 1), index, dim);
          expect(context.values(strided)).toEqual(expected);
        }
      });
    }
  }

  test("amax and amin keep NaN", () => {
    for (const reduce of ["amax", "amin"] as const) {
      context.clear();
      const dst = context.tensor(dtypes.float32, [3], [NaN, 1, 2]);
      const index = context.tensor(dtypes.int64, [3], [0n, 1n, 2n]);
      scatter(reduce, dst, context.tensor(dtypes.float32, [3], [5, NaN, 2]), index, 0);
      expect(context.values(dst)).toEqual([NaN, NaN, 2]);
    }
  });

  test("0-d and empty", () => {
    context.clear();
    const scalar = context.tensor(dtypes.float32, [], [1]);
    scatter("add", scalar, context.tensor(dtypes.float32, [], [2]), context.tensor(dtypes.int64, [], [0n]), 0);
    expect(context.values(scalar)).toEqual([3]);
    const dst = context.tensor(dtypes.float32, [2], [1, 2]);
    scatter("set", dst, context.tensor(dtypes.float32, [0], []), context.tensor(dtypes.int64, [0], []), 0);
    expect(context.values(dst)).toEqual([1, 2]);
  });

  test("writes nothing when an index is out of range", () => {
    context.clear();
    const dst = context.tensor(dtypes.float32, [3], [1, 2, 3]);
    const index = context.tensor(dtypes.int64, [3], [0n, 34n, 1n]);
    const value = context.tensor(dtypes.float32, [3], [9, 9, 9]);
    const call = () => scatter("add", dst, value, index, 0);
    expect(call).toThrow("scatter: index 34 is out of bounds for dimension 0 with size 3");
    expect(call).toThrow(RuntimeError);
    expect(() => scatter("set", dst, value, context.tensor(dtypes.int64, [3], [0n, -1n, 0n]), 0)).toThrow("index -1 is out");
    expect(context.values(dst)).toEqual([1, 2, 3]);
  });

  test("does not depend on the order of tasks", () => {
    const n = 150_000;
    const values = sample(dtypes.float32, n * 2, random);
    const picks = Array.from({ length: n * 2 }, () => Math.floor(random() * 50));
    for (const [shape, dim] of [
      [[50, 2], 0],
      [[2, 50], 1],
      [[50, 300], 0],
    ] as const) {
      const results = [false, true].map((reversed) => {
        context.clear();
        context.reversed = reversed;
        const other = shape[1 - dim]!;
        const length = (n * 2) / other;
        const valueShape = dim === 0 ? [length, other] : [other, length];
        const dst = context.tensor(dtypes.float32, shape, new Array<number>(shape[0] * shape[1]).fill(0));
        const index = context.tensor(dtypes.int64, valueShape, int64s(picks));
        scatter("add", dst, context.tensor(dtypes.float32, valueShape, values), index, dim);
        context.reversed = false;
        return context.values(dst);
      });
      expect(results[1]).toEqual(results[0]);
      const expected = new Float32Array(shape[0] * shape[1]);
      values.forEach((value, i) => {
        const other = shape[1 - dim]!;
        const c = dim === 0 ? [picks[i]!, i % other] : [Math.floor(i / ((n * 2) / other)), picks[i]!];
        expected[c[0]! * shape[1] + c[1]!]! += Number(value);
      });
      expect(results[0]).toEqual([...expected]);
    }
  });
});

describe("index_put", () => {
  const put = (
    reduce: Reduce,
    dst: View,
    value: View,
    indices: View[],
    dims: number[],
    along: number[],
    name = "index_put_",
  ): void => {
    const spec = { kind: "scatter", mode: "index", reduce, dtype: dst.dtype, indices: indices.length } as const;
    context.run(lowerScatter, spec, [value, ...indices], [dst], { name, dim: 0, dims, src_strides: along });
  };
  const as = (view: View, shape: number[], strides: number[]): View => ({ ...view, shape, strides });

  for (const dtype of DTYPES) {
    test(`rows, as an embedding's gradient adds them, ${dtype.name}`, () => {
      for (const width of [1, 3, 4, 33, 1200]) {
        for (const reversed of [false, true]) {
          context.clear();
          context.reversed = reversed;
          const start = sample(dtype, 7 * width, random, true);
          const picks = Array.from({ length: 40 }, () => Math.floor(random() * 14) - 7);
          const values = sample(dtype, 40 * width, random, true);
          const expected = start.slice();
          values.forEach((value, i) => {
            const at = ((picks[Math.floor(i / width)]! + 7) % 7) * width + (i % width);
            expected[at] = combine("add", dtype, expected[at]!, value);
          });
          const dst = context.tensor(dtype, [7, width], start);
          const index = as(context.tensor(dtypes.int64, [40], int64s(picks)), [40, width], [1, 0]);
          put("add", dst, context.tensor(dtype, [40, width], values), [index], [0], [0, 1]);
          expect(context.values(dst)).toEqual(expected);
          context.reversed = false;
        }
      }
    });
  }

  test("x[i, :, j] = value broadcast", () => {
    context.clear();
    const dst = context.tensor(dtypes.int32, [3, 2, 4], new Array<number>(24).fill(0));
    const i = as(context.tensor(dtypes.int64, [2], [2n, 0n]), [2, 2], [1, 0]);
    const j = as(context.tensor(dtypes.int64, [2], [-1n, 1n]), [2, 2], [1, 0]);
    const value = as(context.tensor(dtypes.int32, [2], [5, 6]), [2, 2], [0, 1]);
    put("set", dst, value, [i, j], [0, 2], [0, 4]);
    const expected = new Array<number>(24).fill(0);
    expected[2 * 8 + 3] = 5;
    expected[2 * 8 + 4 + 3] = 6;
    expected[1] = 5;
    expected[4 + 1] = 6;
    expect(context.values(dst)).toEqual(expected);
  });

  test("an index out of range is an IndexError and nothing is written", () => {
    context.clear();
    const dst = context.tensor(dtypes.float32, [3, 2], [1, 2, 3, 4, 5, 6]);
    const index = as(context.tensor(dtypes.int64, [2], [0n, 3n]), [2, 2], [1, 0]);
    const call = () => put("add", dst, context.tensor(dtypes.float32, [2, 2], [1, 1, 1, 1]), [index], [0], [0, 1]);
    expect(call).toThrow("index_put_: index 3 is out of bounds for dimension 0 with size 3");
    expect(call).toThrow(IndexError);
    expect(context.values(dst)).toEqual([1, 2, 3, 4, 5, 6]);
  });
});
