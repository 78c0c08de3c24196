import { describe, expect, test } from "vitest";
import type { View } from "../../ts/core/device.ts";
import * as dtypes from "../../ts/core/dtype.ts";
import { bool, DTYPES, float32, float64, int64, type DType } from "../../ts/core/dtype.ts";
import { contiguousStrides, numelOf } from "../../ts/core/shape.ts";
import {
  BOOL_RESULT,
  cast,
  constant,
  index,
  load,
  op,
  SCALAR_OPS,
  scalar,
  type Expr,
  type ScalarOp,
} from "../../ts/kernel/expr.ts";
import { lowerMap } from "../../wasm/device/lower/map.ts";
import { lanesOf } from "../../wasm/device/lower/rows.ts";
import { randoms, sample, TestContext, type Value } from "./context.ts";
import { evaluate } from "./reference.ts";
import { ulpsApart } from "./ulps.ts";

const context = new TestContext();
const random = randoms(7);
const pick = <T>(xs: readonly T[]): T => xs[Math.floor(random() * xs.length)]!;

function run(
  outputs: readonly Expr[],
  inputs: readonly View[],
  shape: readonly number[],
  scalars: readonly Value[] = [],
): Value[][] {
  const views = outputs.map((x) => context.tensor(x.dtype, shape, null));
  const spec = { kind: "map", inputs: inputs.map((v) => v.dtype), scalars: scalars.length, outputs } as const;
  context.run(lowerMap, spec, inputs, views, { scalars });
  return views.map((v) => context.values(v));
}

function reference(
  outputs: readonly Expr[],
  inputs: readonly View[],
  shape: readonly number[],
  scalars: readonly Value[] = [],
): Value[][] {
  const values = inputs.map((v) => context.values(v));
  return outputs.map((x) =>
    Array.from({ length: numelOf(shape) }, (_, i) =>
      evaluate(x, { inputs: values.map((v) => v[i]!), scalars, shape, linear: i }),
    ),
  );
}

function expectClose(dtype: DType, actual: readonly Value[], expected: readonly Value[], ulps: number, what = ""): void {
  expect(actual.length).toBe(expected.length);
  for (let i = 0; i < expected.length; i++) {
    if (ulpsApart(dtype, actual[i]!, expected[i]!) > ulps) {
      expect.fail(`${what}: element ${i} is ${String(actual[i])}, expected ${String(expected[i])}`);
    }
  }
}

/** Ops without a plain JavaScript counterpart are tested against tables (special.test.ts). */
const TABLED = new Set<ScalarOp>([
  "erfinv",
  "lgamma",
  "digamma",
  "polygamma",
  "zeta",
  "igamma",
  "igammac",
  "i0",
  "i0e",
  "i1",
  "i1e",
  "ndtri",
  "log_ndtr",
  "erfcx",
  "gelu",
  "gelu_slope",
]);
/** Units in the last place that a float32 or float64 result may be off; 0 where not listed. */
const ULPS: { readonly [K in ScalarOp]?: number } = {
  exp: 2,
  exp2: 2,
  expm1: 2,
  log: 2,
  log2: 2,
  log10: 2,
  log1p: 2,
  sin: 2,
  cos: 2,
  tan: 3,
  asin: 2,
  acos: 2,
  atan: 2,
  atan2: 2,
  sinh: 3,
  cosh: 2,
  tanh: 3,
  asinh: 3,
  acosh: 3,
  atanh: 3,
  sigmoid: 2,
  erf: 16,
  erfc: 4096,
  pow: 4,
  hypot: 2,
  rsqrt: 1,
};

/** Values that ops trip over. */
function awkward(dtype: DType): Value[] {
  if (dtype.is_floating_point) return [0, -0, 1, -1, 2, -2, 0.5, -0.5, 1.5, 2.5, 3, NaN, Infinity, -Infinity, 1e-7, -7.25, 100];
  if (dtype === bool) return [0, 1];
  const top = 2n ** BigInt(dtype.itemsize * 8 - (dtype.is_signed ? 1 : 0)) - 1n;
  const all = dtype.is_signed
    ? [0n, 1n, -1n, 2n, -2n, 7n, 8n, 31n, -9n, 63n, top, -top - 1n]
    : [0n, 1n, 2n, 7n, 8n, 31n, 64n, top];
  return dtype === int64 ? all : all.map(Number);
}

/** All pairs of awkward values, then random ones. */
function operands(dtype: DType, count: number): Value[][] {
  const a = awkward(dtype);
  const pairs = a.flatMap((x) => a.map((y) => [x, y] as const));
  const more = sample(dtype, count, random);
  const third = sample(dtype, pairs.length + count, random);
  return [[...pairs.map((p) => p[0]), ...more], [...pairs.map((p) => p[1]), ...sample(dtype, count, random)], third];
}

describe("every op for every dtype", () => {
  for (const name of Object.keys(SCALAR_OPS) as ScalarOp[]) {
    if (TABLED.has(name)) continue;
    test(name, () => {
      for (const dtype of DTYPES) {
        if (!lanesOf(name).includes(dtype.compute)) continue;
        // nextafter steps in the computed type, and PyTorch has it for those only; so are float32's roundings of a quotient.
        if (dtype.is_floating_point && dtype.itemsize === 2 && (name === "nextafter" || name === "floor_divide")) continue;
        if (dtype === bool && name.startsWith("shift")) continue;
        context.clear();
        const values = operands(dtype, 40);
        const n = values[0]!.length;
        let args = Array.from({ length: SCALAR_OPS[name] }, (_, i) => load(i, dtype));
        let inputs = args.map((_, i) => context.tensor(dtype, [n], values[i]!));
        if (name === "where") {
          args = [load(0, bool), ...args.slice(0, 2).map((_, i) => load(i + 1, dtype))];
          inputs = [context.tensor(bool, [n], sample(bool, n, random)), ...inputs.slice(0, 2)];
        }
        const out = BOOL_RESULT.has(name) ? bool : dtype;
        const x = op(name, out, ...args);
        const [actual] = run([x], inputs, [n]);
        const [expected] = reference([x], inputs, [n]);
        // Narrow types may round to the other side of a tie.
        const allowed = ULPS[name] === undefined ? 0 : out.itemsize === 2 ? 1 : ULPS[name];
        expectClose(out, actual!, expected!, allowed, `${name} of ${dtype.name}`);
      }
    });
  }
  test("fma keeps what rounding the product would take", () => {
    for (const [dtype, small] of [
      [float32, 2 ** -13],
      [float64, 2 ** -30],
    ] as const) {
      context.clear();
      const inputs = [1 + small, 1 - small, -1].map((x) => context.tensor(dtype, [5], new Array<number>(5).fill(x)));
      const [actual] = run([op("fma", dtype, load(0, dtype), load(1, dtype), load(2, dtype))], inputs, [5]);
      expect([...actual!]).toEqual(new Array(5).fill(-(small ** 2)));
    }
  });
  test("an op that a dtype does not have is a typed error", () => {
    const x = op("exp", int64, load(0, int64));
    expect(() => lowerMap({ kind: "map", inputs: [int64], scalars: 0, outputs: [x] }, context)).toThrow(
      "exp: not implemented for int64 on cpu",
    );
  });
});

describe("casts", () => {
  for (const from of DTYPES) {
    test(`from ${from.name}`, () => {
      for (const to of DTYPES) {
        context.clear();
        const values = [
          ...awkward(from),
          ...sample(from, 50, random),
          ...(from.is_floating_point ? [3e9, -3e9, 1e19, 70000, 6e-8] : []),
        ];
        const input = context.tensor(from, [values.length], values);
        const x = cast(load(0, from), to);
        expectClose(to, run([x], [input], [values.length])[0]!, reference([x], [input], [values.length])[0]!, 0, `to ${to.name}`);
      }
    });
  }
  test("a bool byte that is neither 0 nor 1 counts as 1", () => {
    const input = context.tensor(dtypes.uint8, [3], [0, 2, 255]);
    const [out] = run([cast(load(0, bool), dtypes.int32)], [{ ...input, dtype: bool }], [3]);
    expect(out).toEqual([0, 1, 1]);
  });
});

describe("fused expressions", () => {
  /** A random DAG over two inputs, a scalar and a constant, in one dtype with detours through others. */
  function randomExpr(dtype: DType, depth: number, made: Expr[]): Expr {
    if (made.length > 0 && random() < 0.2) return pick(made);
    let x: Expr;
    const kind = random();
    const sub = (): Expr => randomExpr(dtype, depth - 1, made);
    if (depth === 0 || random() < 0.1) {
      x = pick([load(0, dtype), load(1, dtype), scalar(0, dtype), constant(3, dtype), index("linear", dtype), index(0, dtype)]);
    } else if (kind < 0.15) x = op("where", dtype, op(pick(["lt", "eq", "ge"] as const), bool, sub(), sub()), sub(), sub());
    else if (kind < 0.3) x = cast(cast(sub(), pick(DTYPES)), dtype);
    else if (kind < 0.45) x = op(pick(["neg", "abs", "sign"] as const), dtype, sub());
    else x = op(pick(["add", "mul", "sub", "add", "maximum", "minimum"] as const), dtype, sub(), sub());
    made.push(x);
    return x;
  }
  for (const dtype of DTYPES) {
    test(`random DAGs of ${dtype.name}, several outputs`, () => {
      for (let round = 0; round < 15; round++) {
        context.clear();
        const shape = [pick([1, 3, 5]), pick([7, 64, 350])];
        const inputs = [0, 1].map(() => context.tensor(dtype, shape, sample(dtype, numelOf(shape), random)));
        const made: Expr[] = [];
        const outputs = [randomExpr(dtype, 4, made), randomExpr(dtype, 3, made), cast(randomExpr(dtype, 2, made), pick(DTYPES))];
        const scalars = [dtype === int64 ? 5n : dtype === bool ? 1 : 5];
        const actual = run(outputs, inputs, shape, scalars);
        const expected = reference(outputs, inputs, shape, scalars);
        outputs.forEach((x, i) => expectClose(x.dtype, actual[i]!, expected[i]!, 0, `round ${round}, output ${i}`));
      }
    });
  }
  test("rounds and wraps after every op of a narrow type", () => {
    for (const dtype of [dtypes.float16, dtypes.bfloat16, dtypes.int8, dtypes.uint8]) {
      const x = op("sub", dtype, op("add", dtype, load(0, dtype), constant(100, dtype)), constant(100, dtype));
      const y = op("div", dtype, op("mul", dtype, load(0, dtype), constant(100, dtype)), constant(100, dtype));
      const input = context.tensor(dtype, [40], sample(dtype, 40, random));
      const expected = reference([x, y], [input], [40]);
      expect(run([x, y], [input], [40])).toEqual(expected);
    }
  });
  test("one expression as two outputs, and a plain copy", () => {
    const x = op("add", float32, load(0, float32), constant(1, float32));
    const input = context.tensor(float32, [5], [1, 2, 3, 4, 5]);
    expect(run([x, x, load(0, float32), constant(2, float32)], [input], [5])).toEqual([
      [2, 3, 4, 5, 6],
      [2, 3, 4, 5, 6],
      [1, 2, 3, 4, 5],
      [2, 2, 2, 2, 2],
    ]);
  });
});

describe("views", () => {
  const x = op("sub", float32, op("mul", float32, load(0, float32), load(1, float32)), load(2, float32));
  /** A random view of `shape`: permuted, broadcast, with gaps, steps or backwards. */
  function randomView(dtype: DType, shape: readonly number[]): View {
    const order = shape.map((_, d) => d).sort(() => random() - 0.5);
    const strides = new Array<number>(shape.length);
    let step = pick([1, 1, 2]);
    let offset = pick([0, 3]);
    for (const d of order) {
      const kind = random();
      strides[d] = kind < 0.2 ? 0 : step;
      if (kind >= 0.2) step *= shape[d]! + pick([0, 0, 1]);
      if (kind > 0.9) {
        offset += strides[d] * Math.max(shape[d]! - 1, 0);
        strides[d] = -strides[d];
      }
    }
    const memory = context.tensor(dtype, [step + offset + 1], sample(dtype, step + offset + 1, random));
    return { ...memory, shape, strides, offset };
  }
  test("random strides", () => {
    for (let round = 0; round < 150; round++) {
      context.clear();
      const shape = Array.from({ length: Math.floor(random() * 5) }, () => pick([1, 2, 3, 5, 8, 33]));
      const inputs = [0, 1, 2].map(() => randomView(float32, shape));
      expect(run([x], inputs, shape)).toEqual(reference([x], inputs, shape));
    }
  });
  for (const dtype of DTYPES) {
    test(`strided in and out, ${dtype.name}`, () => {
      context.clear();
      const shape = [6, 5, 37];
      const input = randomView(dtype, shape);
      const out = context.tensor(dtype, shape, null, [37, 6 * 37, 1]);
      const spec = { kind: "map", inputs: [dtype], scalars: 0, outputs: [load(0, dtype)] } as const;
      context.run(lowerMap, spec, [input], [out], { scalars: [] });
      expect(context.values(out)).toEqual(context.values(input));
      const gaps = context.tensor(dtype, [1200 * 3], sample(dtype, 3600, random));
      const before = context.values(gaps);
      const sparse: View = { ...gaps, shape: [1110], strides: [-3], offset: 3500 };
      const values = context.values(input);
      const dense = context.tensor(dtype, [1110], values);
      context.run(lowerMap, spec, [dense], [sparse], { scalars: [] });
      expect(context.values(sparse)).toEqual(values);
      const kept = context.values(gaps).filter((_, i) => i % 3 !== 3500 % 3);
      expect(kept).toEqual(before.filter((_, i) => i % 3 !== 3500 % 3));
    });
  }
  for (const dtype of [dtypes.int8, dtypes.float16, float32, float64]) {
    test(`large transposed operands go by tiles, ${dtype.name}`, () => {
      for (const shape of [
        [64, 64],
        [67, 131],
        [5, 33, 70],
        [3, 50, 4, 9],
      ]) {
        for (let round = 0; round < 4; round++) {
          context.clear();
          const y = op("sub", dtype, op("maximum", dtype, load(0, dtype), load(1, dtype)), load(2, dtype));
          const turned = [...contiguousStrides([...shape].reverse())].reverse();
          const inputs = [
            context.tensor(dtype, shape, sample(dtype, numelOf(shape), random), turned),
            randomView(dtype, shape),
            randomView(dtype, shape),
          ];
          expect(run([y, load(0, dtype)], inputs, shape)).toEqual(reference([y, load(0, dtype)], inputs, shape));
        }
      }
    });
  }
  test("nine dims", () => {
    context.clear();
    const shape = [2, 1, 3, 2, 2, 1, 2, 3, 2];
    const inputs = [0, 1, 2].map(() => randomView(float32, shape));
    expect(run([x], inputs, shape)).toEqual(reference([x], inputs, shape));
  });
  test("all transposed alike, also through index nodes", () => {
    context.clear();
    const strides = [1, 40];
    const a = context.tensor(float32, [40, 50], sample(float32, 2000, random), strides);
    const out = context.tensor(float32, [40, 50], null, strides);
    const y = op("add", float32, op("add", float32, load(0, float32), index(0, float32)), index("linear", float32));
    const spec = { kind: "map", inputs: [float32], scalars: 0, outputs: [y] } as const;
    context.run(lowerMap, spec, [a], [out], { scalars: [] });
    expect(context.values(out)).toEqual(reference([y], [a], [40, 50])[0]);
  });
  test("in place, with outputs that overwrite inputs", () => {
    context.clear();
    const a = context.tensor(float32, [3000], sample(float32, 3000, random));
    const b = context.tensor(float32, [3000], sample(float32, 3000, random));
    const outputs = [
      op("add", float32, load(0, float32), load(1, float32)),
      op("sub", float32, load(0, float32), load(1, float32)),
    ];
    const expected = reference(outputs, [a, b], [3000]);
    const spec = { kind: "map", inputs: [float32, float32], scalars: 0, outputs } as const;
    context.run(lowerMap, spec, [a, b], [a, b], { scalars: [] });
    expect([context.values(a), context.values(b)]).toEqual(expected);
  });
  test("empty and 0-d", () => {
    expect(run([constant(3, float64)], [], [])).toEqual([[3]]);
    const empty = context.tensor(float32, [0, 4], []);
    expect(run([op("neg", float32, load(0, float32))], [empty], [0, 4])).toEqual([[]]);
  });
});

describe("blocks and tasks", () => {
  test("sizes around the block, the vector and the task, any order of tasks", () => {
    const y = op("mul", float32, op("add", float32, load(0, float32), scalar(0, float32)), index("linear", float32));
    for (const n of [1, 2, 3, 4, 5, 7, 15, 16, 17, 1023, 1024, 1025, 2047, 2048, 2049, 65535, 65536, 65537, 300001]) {
      context.clear();
      const input = context.tensor(float32, [n], null);
      for (let i = 0; i < n; i++) context.heap.f32[context.address(input) / 4 + i] = i % 1013;
      const out = context.tensor(float32, [n + 4], null);
      const dense = { ...out, shape: [n], strides: contiguousStrides([n]) };
      const spec = { kind: "map", inputs: [float32], scalars: 1, outputs: [y] } as const;
      for (context.reversed of [false, true]) {
        context.heap.f32.fill(-1, context.address(out) / 4, context.address(out) / 4 + n + 4);
        context.run(lowerMap, spec, [input], [dense], { scalars: [0.5] });
        const at = context.address(out) / 4;
        for (let i = 0; i < n; i++) {
          const want = Math.fround(Math.fround((i % 1013) + 0.5) * Math.fround(i));
          if (context.heap.f32[at + i] !== want) expect.fail(`n ${n}, element ${i}`);
        }
        expect([...context.heap.f32.subarray(at + n, at + n + 4)]).toEqual([-1, -1, -1, -1]);
      }
      context.reversed = false;
    }
  });
});
