import { describe, expect, test } from "vitest";
import type { View } from "../../ts/core/device.ts";
import * as dtypes from "../../ts/core/dtype.ts";
import { bool, DTYPES, float32, float64, int64, type DType } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import { constant, index, load, op, type Expr } from "../../ts/kernel/expr.ts";
import type { ReduceOp } from "../../ts/kernel/spec.ts";
import { lowerReduce } from "../../wasm/device/lower/reduce.ts";
import { randoms, sample, TestContext, type Value } from "./context.ts";
import { castTo, evaluate, fold } from "./reference.ts";
import { ulp } from "./ulps.ts";

const context = new TestContext();
const random = randoms(3);
const pick = <T>(xs: readonly T[]): T => xs[Math.floor(random() * xs.length)]!;
const OPS: readonly ReduceOp[] = ["sum", "prod", "max", "min", "any", "all", "argmax", "argmin", "max_arg", "min_arg", "welford"];

/** The outputs' dtypes for an op over values of `dtype`. */
function outputTypes(name: ReduceOp, dtype: DType): DType[] {
  if (name === "any" || name === "all") return [bool];
  if (name === "argmax" || name === "argmin") return [int64];
  if (name === "max_arg" || name === "min_arg") return [dtype, int64];
  if (name === "welford") return [dtype, dtype];
  return [dtype.is_floating_point || name === "max" || name === "min" ? dtype : int64];
}

function run(name: ReduceOp, expr: Expr, inputs: readonly View[], reduced: number): View[] {
  const { shape } = inputs[0]!;
  const kept = shape.slice(0, shape.length - reduced);
  const types = outputTypes(name, expr.dtype);
  const outputs = types.map((t) => context.tensor(t, kept, null));
  const spec = { kind: "reduce", op: name, inputs: inputs.map((v) => v.dtype), scalars: 0, expr, dtype: types[0]! } as const;
  context.run(lowerReduce, spec, inputs, outputs, { reduced, scalars: [] });
  return outputs;
}

/** Runs, and compares with the plain fold of every result's elements. */
function check(name: ReduceOp, expr: Expr, inputs: readonly View[], reduced: number): void {
  const { shape } = inputs[0]!;
  const outputs = run(name, expr, inputs, reduced).map((v) => context.values(v));
  const inner = numelOf(shape.slice(shape.length - reduced));
  const values = inputs.map((v) => context.values(v));
  const elements = Array.from({ length: numelOf(shape) }, (_, i) =>
    evaluate(expr, { inputs: values.map((v) => v[i]!), scalars: [], shape, linear: i }),
  );
  const whole = !expr.dtype.is_floating_point && (name === "sum" || name === "prod");
  for (let k = 0; k < numelOf(shape) / inner; k++) {
    const row = elements.slice(k * inner, (k + 1) * inner).map((x) => (whole ? castTo(x, int64) : x));
    const expected = fold(name, row);
    outputs.forEach((o, i) => {
      const type = outputTypes(name, expr.dtype)[i]!;
      const [a, b] = [o[k]!, type.is_floating_point ? castTo(expected[i]!, type) : expected[i]!];
      if (typeof b === "bigint" || typeof a === "bigint" || Number.isNaN(b) || !Number.isFinite(b)) {
        if (!Object.is(a, typeof b === "bigint" && whole ? BigInt.asIntN(64, b) : b))
          expect.fail(`${name}, result ${k}: ${a} for ${b}`);
        return;
      }
      const scale =
        name === "prod"
          ? 10 * Math.abs(b)
          : name === "sum" || i === 0
            ? Math.max(...row.map((x) => Math.abs(Number(x)))) * Math.sqrt(inner)
            : Math.abs(b);
      const exact = name !== "sum" && name !== "prod" && name !== "welford";
      const allowed = exact ? 0 : type === float64 ? 1e-13 * scale : 1e-6 * scale + 0.51 * ulp(type, b);
      if (!(Math.abs(a - b) <= allowed)) expect.fail(`${name} of ${expr.dtype.name}, result ${k}, output ${i}: ${a} for ${b}`);
    });
  }
}

/** A view of `shape` whose dims lie in memory in the given order, outermost first. */
function view(dtype: DType, shape: readonly number[], order: readonly number[], few = false): View {
  const strides = new Array<number>(shape.length);
  let step = 1;
  for (const d of [...order].reverse()) {
    strides[d] = step;
    step *= shape[d]!;
  }
  return context.tensor(dtype, shape, sample(dtype, numelOf(shape), random, few), strides);
}

const nearOne = (dtype: DType): Expr =>
  op("add", dtype, op("mul", dtype, load(0, dtype), constant(2 ** -7, dtype)), constant(1, dtype));

describe("every op for every dtype", () => {
  for (const dtype of DTYPES) {
    for (const name of OPS) {
      if (name === "welford" && !dtype.is_floating_point) continue;
      test(`${name} of ${dtype.name}`, () => {
        const x = load(0, dtype);
        const few = name !== "sum" && name !== "welford";
        for (const [shape, order, reduced] of [
          [[7, 5], [0, 1], 1],
          [[7, 5], [1, 0], 1],
          [[3, 1500], [0, 1], 1],
          [[6, 40], [1, 0], 1],
          [[1300, 9], [1, 0], 1],
          [[2, 30, 11], [0, 2, 1], 1],
          [[4, 3, 6], [1, 0, 2], 2],
          [[50], [0], 1],
          [[], [], 0],
        ] as const) {
          context.clear();
          const input = view(dtype, shape, order, few);
          // Products of many numbers that are not near 1 leave every range.
          check(name, name === "prod" && dtype.is_floating_point ? nearOne(dtype) : x, [input], reduced);
        }
      });
    }
  }
});

describe("layouts", () => {
  const x = op("mul", float32, load(0, float32), load(1, float32));
  test("random shapes, orders of dims and broadcasts", () => {
    for (let round = 0; round < 120; round++) {
      context.clear();
      const shape = Array.from({ length: 1 + Math.floor(random() * 4) }, () => pick([1, 2, 3, 7, 20]));
      const order = shape.map((_, d) => d).sort(() => random() - 0.5);
      const a = view(float32, shape, order);
      const b = view(
        float32,
        shape,
        shape.map((_, d) => d),
      );
      const strides = b.strides.map((s) => (random() < 0.3 ? 0 : s));
      check(
        pick(["sum", "max", "argmin", "welford", "min_arg"] as const),
        x,
        [a, { ...b, strides }],
        1 + Math.floor(random() * shape.length),
      );
    }
  });
  test("index nodes keep their numbering", () => {
    context.clear();
    const y = op("mul", float32, op("add", float32, load(0, float32), index("linear", float32)), index(1, float32));
    check("sum", y, [view(float32, [4, 5, 6], [2, 1, 0])], 2);
  });
  test("one plan serves its layout only", () => {
    context.clear();
    const spec = { kind: "reduce", op: "sum", inputs: [float32], scalars: 0, expr: load(0, float32), dtype: float32 } as const;
    const fn = lowerReduce(spec, context);
    const data = context.tensor(float32, [6], [1, 2, 3, 4, 5, 6]);
    const total = (shape: number[], strides: number[], reduced: number): Value[] => {
      const out = context.tensor(float32, shape.slice(0, shape.length - reduced), null);
      fn([{ ...data, shape, strides }], [out], { reduced, scalars: [] });
      return context.values(out);
    };
    expect(total([2, 3], [3, 1], 1)).toEqual([6, 15]);
    expect(total([3, 2], [1, 3], 1)).toEqual([5, 7, 9]);
    expect(total([2, 3], [3, 1], 2)).toEqual([21]);
    expect(total([2, 3], [3, 1], 1)).toEqual([6, 15]);
  });
});

describe("edges", () => {
  test("empty", () => {
    const empty = context.tensor(float32, [3, 0], []);
    const result = (name: ReduceOp): Value[][] => run(name, load(0, float32), [empty], 1).map((v) => context.values(v));
    expect(result("sum")).toEqual([[0, 0, 0]]);
    expect(result("prod")).toEqual([[1, 1, 1]]);
    expect(result("any")).toEqual([[0, 0, 0]]);
    expect(result("all")).toEqual([[1, 1, 1]]);
    expect(result("welford")[1]).toEqual([0, 0, 0]);
  });
  test("NaN wins, the first of equals too", () => {
    const rows = [
      [1, NaN, 3, NaN],
      [2, 2, 1, 1],
      [-0, 0, -0, 0],
      [-Infinity, Infinity, -Infinity, Infinity],
    ];
    for (const dtype of [float32, float64, dtypes.float16]) {
      const input = context.tensor(dtype, [4, 4], rows.flat());
      const result = (name: ReduceOp): Value[][] => run(name, load(0, dtype), [input], 1).map((v) => context.values(v));
      expect(result("argmax")).toEqual([[1n, 0n, 0n, 1n]]);
      expect(result("argmin")).toEqual([[1n, 2n, 0n, 0n]]);
      expect(result("max_arg")[0]!.map(Number)).toEqual([NaN, 2, -0, Infinity]);
      expect(result("max")[0]![0]).toBeNaN();
      expect(result("min")[0]![0]).toBeNaN();
      expect(result("any")).toEqual([[1, 1, 0, 1]]);
      expect(result("all")).toEqual([[1, 1, 0, 1]]);
    }
  });
  test("sizes around the block", () => {
    for (const n of [1, 2, 3, 511, 512, 513, 1023, 1024, 1025, 4097]) {
      for (const name of ["sum", "argmax", "welford", "max"] as const) {
        context.clear();
        check(name, load(0, float32), [view(float32, [2, n], [0, 1])], 1);
        check(name, load(0, float32), [view(float32, [n, 3], [1, 0])], 1);
        check(name, load(0, float32), [view(float32, [3, n], [1, 0])], 1);
      }
    }
  });
});

describe("long folds", () => {
  const n = 1 << 20;
  test("a million float32: as close as PyTorch", () => {
    context.clear();
    const input = context.tensor(float32, [n], null);
    const data = context.heap.f32.subarray(context.address(input) / 4, context.address(input) / 4 + n);
    for (let i = 0; i < n; i++) data[i] = random();
    const values = Array.from(data, Number);
    for (const [shape, strides, reduced] of [
      [[n], [1], 1],
      [[4, n / 4], [n / 4, 1], 1],
      [[16, n / 16], [1, 16], 1],
      [[1024, 1024], [1, 1024], 1],
    ] as const) {
      const as = { ...input, shape, strides };
      const kept = numelOf(shape.slice(0, -reduced));
      const sums = context.values(run("sum", load(0, float32), [as], reduced)[0]!).map(Number);
      const [means, squares] = run("welford", load(0, float32), [as], reduced).map((v) => context.values(v).map(Number));
      for (let k = 0; k < kept; k++) {
        const row = Array.from(
          { length: n / kept },
          (_, r) => values[strides.length === 1 ? r : k * strides[0] + r * strides[1]!]!,
        );
        const [mean, square] = fold("welford", row);
        expect(Math.abs(sums[k]! / (Number(mean) * row.length) - 1)).toBeLessThan(3e-7);
        expect(Math.abs(means![k]! / Number(mean) - 1)).toBeLessThan(1e-7);
        expect(Math.abs(squares![k]! / Number(square) - 1)).toBeLessThan(1e-6);
      }
    }
  });
  test("tasks in any order give the same bytes", () => {
    for (const name of OPS) {
      for (const [shape, strides] of [
        [[n], [1]],
        [
          [8, n / 8],
          [1, 8],
        ],
        [
          [n / 16, 16],
          [16, 1],
        ],
        [
          [2048, 512],
          [1, 2048],
        ],
      ] as const) {
        context.clear();
        const input = { ...context.tensor(float32, [n], null), shape, strides };
        const at = context.address(input) / 4;
        for (let i = 0; i < n; i++) context.heap.f32[at + i] = name === "prod" ? 1 + (random() - 0.5) / 100 : random();
        const once = run(name, load(0, float32), [input], 1).map((v) => context.values(v));
        context.reversed = true;
        const again = run(name, load(0, float32), [input], 1).map((v) => context.values(v));
        context.reversed = false;
        expect(again).toEqual(once);
      }
    }
  });
});
