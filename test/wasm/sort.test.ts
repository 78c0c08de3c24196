import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { View } from "../../ts/core/device.ts";
import * as dtypes from "../../ts/core/dtype.ts";
import type { DType } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { SortParams, SortSpec } from "../../ts/kernel/spec.ts";
import { lowerSort } from "../../wasm/device/lower/sort.ts";
import { DTYPES, randoms, sample, TestContext, type Value } from "./context.ts";

type Mode = SortSpec["mode"];
const context = new TestContext();
const random = randoms(5);
const defaults: SortParams = { descending: false, k: 0, sorted: true, ignoreNan: false, right: false };

/** Order of values, NaN greatest; zeros of both signs are equal. */
function compare(a: Value, b: Value): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : a > b ? 1 : 0;
}
function order(row: Value[], descending = false): number[] {
  const sign = descending ? -1 : 1;
  return row.map((_, i) => i).sort((i, j) => sign * compare(row[i]!, row[j]!) || i - j);
}
function rowsOf(shape: readonly number[], values: Value[]): Value[][] {
  const n = shape.at(-1) ?? 1;
  return Array.from({ length: numelOf(shape) / n }, (_, i) => values.slice(i * n, (i + 1) * n));
}

interface Result {
  values: Value[];
  places: number[];
}
function run(mode: Mode, x: View, outShape: readonly number[], params: Partial<SortParams>): Result {
  const values = context.tensor(x.dtype, outShape, null);
  const places = context.tensor(dtypes.int64, outShape, null);
  context.run(lowerSort, { kind: "sort", mode, dtype: x.dtype }, [x], [values, places], { ...defaults, ...params });
  return { values: context.values(values), places: context.values(places).map(Number) };
}

/** Values with ties, and for floating types NaN, infinities and zeros of both signs. */
function awkward(dtype: DType, n: number, few: boolean): Value[] {
  const values = sample(dtype, n, random, few);
  if (dtype.is_floating_point) {
    const special = [NaN, Infinity, -Infinity, 0, -0];
    for (let i = 0; i < n; i++) if (random() < 0.2) values[i] = special[Math.floor(random() * 5)]!;
  }
  return values;
}

const layouts: [number[], number[]?][] = [
  [[1]],
  [[9]],
  [[4, 5]],
  [
    [3, 40],
    [1, 3],
  ],
  [[2, 3, 100]],
  [[2, 3000]],
  [
    [5, 16],
    [40, 2],
  ],
];

describe("sort", () => {
  for (const dtype of DTYPES) {
    for (const descending of [false, true]) {
      test(`${dtype.name}, ${descending ? "descending" : "ascending"}`, () => {
        for (const [shape, strides] of layouts) {
          for (const few of [false, true]) {
            context.clear();
            const values = awkward(dtype, numelOf(shape), few);
            const got = run("sort", context.tensor(dtype, shape, values, strides, 1), shape, { descending });
            const places = rowsOf(shape, values).flatMap((row) => order(row, descending));
            expect(got.places).toEqual(places);
            const n = shape.at(-1)!;
            expect(got.values).toEqual(places.map((p, i) => values[Math.floor(i / n) * n + p]));
          }
        }
      });
    }
  }

  test("rows too long for scratch, many tasks, extremes of the integers", () => {
    for (const dtype of [dtypes.float32, dtypes.int64]) {
      for (const reversed of [false, true]) {
        context.clear();
        context.reversed = reversed;
        const n = 300_000;
        const values: Value[] =
          dtype === dtypes.float32
            ? sample(dtype, 2 * n, random)
            : Array.from({ length: 2 * n }, () =>
                BigInt.asIntN(64, (BigInt(Math.floor(random() * 2 ** 32)) << 32n) | BigInt(Math.floor(random() * 2 ** 32))),
              );
        if (dtype === dtypes.int64) values[5] = -(1n << 63n);
        const got = run("sort", context.tensor(dtype, [2, n], values), [2, n], {});
        context.reversed = false;
        for (let r = 0; r < 2; r++) {
          const row = values.slice(r * n, (r + 1) * n);
          const sorted =
            dtype === dtypes.float32 ? Float64Array.from(row as number[]).sort() : BigInt64Array.from(row as bigint[]).sort();
          let wrong = 0;
          for (let i = 0; i < n; i++) {
            const at = r * n + i;
            if (got.values[at] !== sorted[i] || row[got.places[at]!] !== sorted[i]) wrong++;
            if (i > 0 && got.values[at] === got.values[at - 1] && got.places[at]! < got.places[at - 1]!) wrong++;
          }
          expect(wrong).toBe(0);
        }
      }
    }
  });

  test("0-d and empty", () => {
    context.clear();
    expect(run("sort", context.tensor(dtypes.float32, [], [3]), [], {})).toEqual({ values: [3], places: [0] });
    expect(run("sort", context.tensor(dtypes.float32, [2, 0], []), [2, 0], {})).toEqual({ values: [], places: [] });
  });
});

/** Which of several equals topk and kthvalue name is up to their algorithm; the golden rows below pin it down. */
function expectChosen(rows: Value[][], k: number, got: Result, want: Value[][]): void {
  rows.forEach((row, r) => {
    const values = got.values.slice(r * k, (r + 1) * k);
    const places = got.places.slice(r * k, (r + 1) * k);
    expect(values.map((x) => (x === 0 ? 0 : x))).toEqual(want[r]!.map((x) => (x === 0 ? 0 : x)));
    expect(places.map((p) => row[p])).toEqual(values);
    expect(new Set(places).size).toBe(k);
  });
}

describe("topk", () => {
  for (const dtype of DTYPES) {
    test(dtype.name, () => {
      for (const [shape, strides] of layouts) {
        const n = shape.at(-1)!;
        for (const k of new Set([0, 1, Math.ceil(n / 3), n])) {
          for (const descending of [false, true]) {
            context.clear();
            const values = awkward(dtype, numelOf(shape), true);
            const outShape = [...shape.slice(0, -1), k];
            const got = run("topk", context.tensor(dtype, shape, values, strides, 1), outShape, { k, descending });
            const rows = rowsOf(shape, values);
            expectChosen(
              rows,
              k,
              got,
              rows.map((row) =>
                order(row, descending)
                  .slice(0, k)
                  .map((i) => row[i]!),
              ),
            );
          }
        }
      }
    });
  }

  test("unsorted", () => {
    context.clear();
    const values = sample(dtypes.float32, 1000, random);
    const got = run("topk", context.tensor(dtypes.float32, [1000], values), [100], { k: 100, sorted: false });
    expect([...got.places].sort((a, b) => a - b)).toEqual(
      order(values)
        .slice(0, 100)
        .sort((a, b) => a - b),
    );
  });
});

describe("kthvalue", () => {
  for (const dtype of DTYPES) {
    test(dtype.name, () => {
      for (const [shape, strides] of layouts) {
        const n = shape.at(-1)!;
        for (const k of new Set([1, Math.ceil(n / 2), n])) {
          context.clear();
          const values = awkward(dtype, numelOf(shape), true);
          const got = run("kthvalue", context.tensor(dtype, shape, values, strides, 1), shape.slice(0, -1), { k });
          const rows = rowsOf(shape, values);
          expectChosen(
            rows,
            1,
            got,
            rows.map((row) => [row[order(row)[k - 1]!]!]),
          );
        }
      }
    });
  }
});

test("ties are broken as in PyTorch", () => {
  const golden = JSON.parse(readFileSync(new URL("../golden/partial_sort.json", import.meta.url), "utf8")) as {
    rows: { mode: "topk" | "kthvalue"; k: number; largest: boolean; sorted: boolean; row: number[]; places: number[] }[];
  };
  for (const { mode, k, largest, sorted, row, places } of golden.rows) {
    for (const dtype of [dtypes.float32, dtypes.float64]) {
      context.clear();
      const got = run(mode, context.tensor(dtype, [row.length], row), [places.length], { k, descending: largest, sorted });
      expect(got.places).toEqual(places);
    }
  }
});

test("partial sorts of adversarial rows", () => {
  const n = 5000;
  const patterns: ((i: number) => number)[] = [
    (i) => i,
    (i) => -i,
    () => 1,
    (i) => i % 2,
    (i) => Math.min(i, n - i),
    (i) => (i * 7919) % n,
  ];
  for (const pattern of patterns) {
    const row = Array.from({ length: n }, (_, i) => pattern(i));
    const ordered = [...row].sort((a, b) => a - b);
    for (const k of [1, 50, 2500, n]) {
      context.clear();
      const x = context.tensor(dtypes.float32, [n], row);
      expect(run("topk", x, [k], { k }).values).toEqual(ordered.slice(0, k));
      expect(run("kthvalue", x, [], { k }).values).toEqual([ordered[k - 1]]);
    }
  }
});

describe("median", () => {
  for (const dtype of DTYPES) {
    for (const ignoreNan of [false, true]) {
      test(`${dtype.name}${ignoreNan ? ", without NaN" : ""}`, () => {
        for (const [shape, strides] of layouts) {
          for (const withNan of [false, true]) {
            context.clear();
            const values = withNan ? awkward(dtype, numelOf(shape), true) : sample(dtype, numelOf(shape), random, true);
            const rows = rowsOf(shape, values);
            const got = run("median", context.tensor(dtype, shape, values, strides, 1), shape.slice(0, -1), { ignoreNan });
            const places = rows.map((row) => {
              const firstNan = row.findIndex((x) => Number.isNaN(x));
              if (firstNan >= 0 && !ignoreNan) return firstNan;
              const numbers = order(row).filter((i) => !Number.isNaN(row[i]!));
              return numbers[(numbers.length - 1) >> 1] ?? 0;
            });
            expect(got.places).toEqual(places);
            expect(got.values).toEqual(places.map((p, i) => rows[i]![p]));
          }
        }
      });
    }
  }
});

describe("mode", () => {
  for (const dtype of DTYPES) {
    test(dtype.name, () => {
      for (const [shape, strides] of layouts) {
        context.clear();
        const values = awkward(dtype, numelOf(shape), true);
        const rows = rowsOf(shape, values);
        const got = run("mode", context.tensor(dtype, shape, values, strides, 1), shape.slice(0, -1), {});
        const places = rows.map((row) => {
          let best = 0;
          let place = 0;
          const sorted = order(row);
          for (const i of sorted) {
            const x = row[i]!;
            const equals = sorted.filter((j) => j === i || (!Number.isNaN(x) && compare(row[j]!, x) === 0));
            if (equals.length > best) {
              best = equals.length;
              place = equals.at(-1)!;
            }
          }
          return place;
        });
        expect(got.places).toEqual(places);
        expect(got.values).toEqual(places.map((p, i) => rows[i]![p]));
      }
    });
  }
});

describe("searchsorted", () => {
  const search = (sequence: View, values: View, right: boolean): Value[] => {
    const out = context.tensor(dtypes.int64, values.shape, null);
    context.run(lowerSort, { kind: "sort", mode: "searchsorted", dtype: sequence.dtype }, [sequence, values], [out], {
      ...defaults,
      right,
    });
    return context.values(out);
  };
  const reference = (sequence: Value[], x: Value, right: boolean): bigint => {
    const at = sequence.findIndex((y) => (right ? y > x : y >= x));
    return BigInt(at < 0 ? sequence.length : at);
  };
  for (const dtype of DTYPES) {
    test(dtype.name, () => {
      for (const right of [false, true]) {
        context.clear();
        const rows = [0, 1, 2].map(() => sample(dtype, 11, random, true).sort(compare));
        const queries = [0, 1, 2].map(() => sample(dtype, 5, random, true));
        const sequence = context.tensor(dtype, [3, 11], rows.flat(), [1, 3], 1);
        const values = context.tensor(dtype, [3, 5], queries.flat(), [7, 1]);
        expect(search(sequence, values, right)).toEqual(queries.flatMap((q, r) => q.map((x) => reference(rows[r]!, x, right))));
        const one = context.tensor(dtype, [11], rows[0]!);
        expect(search(one, values, right)).toEqual(queries.flat().map((x) => reference(rows[0]!, x, right)));
      }
    });
  }
  test("NaN goes to the end; empty sequences and values", () => {
    context.clear();
    const sequence = context.tensor(dtypes.float32, [3], [1, 2, 3]);
    expect(search(sequence, context.tensor(dtypes.float32, [2], [NaN, Infinity]), false)).toEqual([3n, 3n]);
    expect(search(sequence, context.tensor(dtypes.float32, [], [2]), true)).toEqual([2n]);
    expect(search(context.tensor(dtypes.float32, [0], []), context.tensor(dtypes.float32, [2], [1, 2]), false)).toEqual([0n, 0n]);
    expect(search(sequence, context.tensor(dtypes.float32, [0], []), false)).toEqual([]);
  });
});
