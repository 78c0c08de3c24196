import { describe, expect, test } from "vitest";
import type { View } from "../../ts/core/device.ts";
import * as dtypes from "../../ts/core/dtype.ts";
import { contiguousStrides, numelOf } from "../../ts/core/shape.ts";
import { lowerNonzero } from "../../wasm/device/lower/nonzero.ts";
import { DTYPES, randoms, rounded, TestContext, type Value } from "./context.ts";

const context = new TestContext();
const random = randoms(4);

function nonzero(x: View): { count: Value; positions: Value[] } {
  const count = context.tensor(dtypes.int64, [1], null);
  context.run(lowerNonzero, { kind: "nonzero", mode: "count", dtype: x.dtype }, [x], [count], null);
  const n = context.values(count)[0]!;
  const positions = context.tensor(dtypes.int64, [Number(n), x.shape.length], null);
  context.run(lowerNonzero, { kind: "nonzero", mode: "write", dtype: x.dtype }, [x], [positions], null);
  return { count: n, positions: context.values(positions) };
}

function expected(shape: readonly number[], values: Value[]): bigint[] {
  const strides = contiguousStrides(shape);
  return values.flatMap((x, i) => {
    if (!x && !Number.isNaN(x)) return [];
    return strides.map((s, d) => BigInt(Math.floor(i / s) % shape[d]!));
  });
}

describe("nonzero", () => {
  for (const dtype of DTYPES) {
    test(dtype.name, () => {
      for (const [shape, strides] of [
        [[100]],
        [[7, 11]],
        [
          [3, 4, 5],
          [1, 15, 3],
        ],
        [
          [2, 40],
          [1, 2],
        ],
        [[5], [3]],
        [[1, 1, 33]],
      ] as [number[], number[]?][]) {
        for (const density of [0, 0.1, 0.7, 1]) {
          context.clear();
          const values = Array.from({ length: numelOf(shape) }, () =>
            rounded(dtype, random() < density ? 1 + Math.floor(random() * 100) : 0),
          );
          const got = nonzero(context.tensor(dtype, shape, values, strides, 1));
          const want = expected(shape, values);
          expect(got.positions).toEqual(want);
          expect(Number(got.count)).toBe(want.length / shape.length);
        }
      }
    });
  }

  test("zeros of either sign do not count; NaN, subnormals and the most negative integers do", () => {
    for (const dtype of [dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64]) {
      context.clear();
      const values = new Array<number>(40).fill(-0);
      values[3] = NaN;
      values[20] = rounded(dtype, dtype === dtypes.float64 ? 5e-324 : dtype === dtypes.float16 ? 6e-8 : 1e-40) as number;
      values[39] = -Infinity;
      expect(nonzero(context.tensor(dtype, [40], values)).positions).toEqual([3n, 20n, 39n]);
    }
    for (const dtype of [dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64]) {
      context.clear();
      const least = -(1n << BigInt(dtype.itemsize * 8 - 1));
      const x = context.tensor(dtype, [20], [...new Array<bigint>(10).fill(0n), least, ...new Array<bigint>(8).fill(0n), least]);
      expect(nonzero(x).positions).toEqual([10n, 19n]);
    }
  });

  test("many tasks, in any order", () => {
    const shape = [300, 700];
    const values = Array.from({ length: 210_000 }, () => (random() < 0.01 ? 1 : 0));
    for (const reversed of [false, true]) {
      context.clear();
      context.reversed = reversed;
      const got = nonzero(context.tensor(dtypes.bool, shape, values));
      context.reversed = false;
      expect(got.positions).toEqual(expected(shape, values));
    }
  });

  test("0-d and empty", () => {
    context.clear();
    expect(nonzero(context.tensor(dtypes.float32, [], [2]))).toEqual({ count: 1n, positions: [] });
    expect(nonzero(context.tensor(dtypes.float32, [], [0]))).toEqual({ count: 0n, positions: [] });
    expect(nonzero(context.tensor(dtypes.float32, [3, 0], []))).toEqual({ count: 0n, positions: [] });
  });
});
