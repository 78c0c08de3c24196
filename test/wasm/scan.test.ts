import { describe, expect, test } from "vitest";
import type { View } from "../../ts/core/device.ts";
import * as dtypes from "../../ts/core/dtype.ts";
import type { DType } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { ScanSpec } from "../../ts/kernel/spec.ts";
import { lowerScan } from "../../wasm/device/lower/scan.ts";
import { DTYPES, randoms, rounded, sample, TestContext, type Value } from "./context.ts";

const OPS = ["cumsum", "cumprod", "cummax", "cummin", "logcumsumexp"] as const;
const context = new TestContext();
const random = randoms(3);
const hasPositions = (op: ScanSpec["op"]): boolean => op === "cummax" || op === "cummin";

function resultType(op: ScanSpec["op"], dtype: DType): DType {
  return hasPositions(op) || dtype.is_floating_point ? dtype : dtypes.int64;
}

/** One line, in float64 or in 64-bit integers. */
function reference(op: ScanSpec["op"], dtype: DType, line: Value[]): { values: Value[]; positions: bigint[] } {
  const positions: bigint[] = [];
  const out = resultType(op, dtype);
  let total: Value = out.is_floating_point
    ? op === "cumprod"
      ? 1
      : op === "logcumsumexp"
        ? -Infinity
        : 0
    : op === "cumprod"
      ? 1n
      : 0n;
  let where = 0;
  const values = line.map((x, i): Value => {
    if (hasPositions(op)) {
      const better = op === "cummax" ? x >= total : x <= total;
      if (i === 0 || Number.isNaN(x) || (!Number.isNaN(total) && better)) {
        total = x;
        where = i;
      }
      positions.push(BigInt(where));
      return total;
    }
    if (typeof total === "bigint") {
      total = BigInt.asIntN(64, op === "cumsum" ? total + BigInt(x) : total * BigInt(x));
      return rounded(out, total);
    }
    const y = Number(x);
    if (op === "cumsum") total += y;
    else if (op === "cumprod") total *= y;
    else {
      const high = Math.max(total, y);
      total = total === y && !Number.isFinite(y) ? y : Math.log1p(Math.exp(Math.min(total, y) - high)) + high;
    }
    return rounded(out, total);
  });
  return { values, positions };
}

function run(op: ScanSpec["op"], x: View, outStrides?: number[]): { values: Value[]; positions: Value[] } {
  const dtype = resultType(op, x.dtype);
  const out = context.tensor(dtype, x.shape, null, outStrides);
  const positions = context.tensor(dtypes.int64, x.shape, null, outStrides);
  context.run(lowerScan, { kind: "scan", op, input: x.dtype, dtype }, [x], hasPositions(op) ? [out, positions] : [out], null);
  return { values: context.values(out), positions: hasPositions(op) ? context.values(positions) : [] };
}

function expected(
  op: ScanSpec["op"],
  dtype: DType,
  shape: readonly number[],
  values: Value[],
): { values: Value[]; positions: bigint[] } {
  const n = shape.at(-1) ?? 1;
  const lines = Array.from({ length: numelOf(shape) / n }, (_, i) => reference(op, dtype, values.slice(i * n, (i + 1) * n)));
  return { values: lines.flatMap((l) => l.values), positions: lines.flatMap((l) => l.positions) };
}

function close(op: ScanSpec["op"], got: Value[], want: Value[]): void {
  if (op !== "logcumsumexp") return expect(got).toEqual(want);
  got.forEach((x, i) => {
    if (Number.isFinite(want[i]))
      expect(Math.abs(Number(x) - Number(want[i]))).toBeLessThanOrEqual(1e-6 * Math.abs(Number(want[i])) + 1e-9);
    else expect(x).toBe(want[i]);
  });
}

for (const op of OPS) {
  describe(op, () => {
    for (const dtype of DTYPES) {
      if (op === "logcumsumexp" && !dtype.is_floating_point) continue;
      test(dtype.name, () => {
        const cases: [number[], number[]?, number[]?][] = [
          [[13]],
          [[3, 5]],
          [[2, 3, 7], [1, 2, 6], undefined],
          [
            [4, 9],
            [1, 4],
            [1, 4],
          ],
          [
            [3, 5, 4],
            [20, 1, 5],
            [20, 1, 5],
          ],
          [
            [300, 6],
            [1, 300],
            [1, 300],
          ],
          [
            [2, 2],
            [7, 3],
            [1, 5],
          ],
        ];
        for (const [shape, strides, outStrides] of cases) {
          context.clear();
          const values = sample(dtype, numelOf(shape), random, true);
          const got = run(op, context.tensor(dtype, shape, values, strides, 2), outStrides);
          const want = expected(op, dtype, shape, values);
          if (dtype.itemsize === 2 && op === "logcumsumexp") continue;
          close(op, got.values, want.values);
          expect(got.positions).toEqual(want.positions);
        }
      });
    }

    test("long lines, many tasks, in any order", () => {
      for (const dtype of [dtypes.float32, dtypes.float64, dtypes.int64]) {
        if (op === "logcumsumexp" && dtype === dtypes.int64) continue;
        for (const [shape, strides] of [
          [[1, 5001], undefined],
          [
            [700, 100],
            [1, 700],
          ],
          [[60, 1500], undefined],
        ] as [number[], number[]?][]) {
          const values = sample(dtype, numelOf(shape), random);
          const want = expected(op, dtype, shape, values);
          for (const reversed of [false, true]) {
            context.clear();
            context.reversed = reversed;
            const got = run(op, context.tensor(dtype, shape, values, strides), strides);
            context.reversed = false;
            if (op === "cumsum" && dtype === dtypes.float64 && !strides) {
              got.values.forEach((x, i) => expect(Math.abs(Number(x) - Number(want.values[i]))).toBeLessThan(1e-9));
            } else close(op, got.values, want.values);
            expect(got.positions).toEqual(want.positions);
          }
        }
      }
    });

    test("0-d and empty", () => {
      context.clear();
      expect(run(op, context.tensor(dtypes.float32, [], [2.5])).values).toEqual([2.5]);
      expect(run(op, context.tensor(dtypes.float32, [0], [])).values).toEqual([]);
      expect(run(op, context.tensor(dtypes.float32, [3, 0], [])).values).toEqual([]);
      expect(run(op, context.tensor(dtypes.float32, [0, 3], [])).values).toEqual([]);
    });
  });
}

test("extrema: the last of equals, and NaN once met", () => {
  context.clear();
  const x = context.tensor(dtypes.float32, [7], [1, 1, 0, 2, NaN, 3, NaN]);
  const max = run("cummax", x);
  expect(max.values).toEqual([1, 1, 1, 2, NaN, NaN, NaN]);
  expect(max.positions).toEqual([0n, 1n, 1n, 3n, 4n, 4n, 6n]);
  const min = run("cummin", x);
  expect(min.values).toEqual([1, 1, 0, 0, NaN, NaN, NaN]);
  expect(min.positions).toEqual([0n, 1n, 2n, 2n, 4n, 4n, 6n]);
});

test("logcumsumexp of infinities", () => {
  context.clear();
  const x = context.tensor(dtypes.float32, [6], [-Infinity, -Infinity, 1, Infinity, Infinity, -Infinity]);
  expect(run("logcumsumexp", x).values).toEqual([-Infinity, -Infinity, 1, Infinity, Infinity, Infinity]);
  const y = context.tensor(dtypes.float32, [3], [0, NaN, 1]);
  expect(run("logcumsumexp", y).values).toEqual([0, NaN, NaN]);
});

test("an integer input with a floating result", () => {
  context.clear();
  const x = context.tensor(dtypes.int32, [3], [1, 2, 3]);
  const out = context.tensor(dtypes.float64, [3], null);
  context.run(lowerScan, { kind: "scan", op: "cumsum", input: dtypes.int32, dtype: dtypes.float64 }, [x], [out], null);
  expect(context.values(out)).toEqual([1, 3, 6]);
});
