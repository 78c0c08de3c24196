import { describe, expect, it } from "vitest";
import type { DType } from "../../ts/core/dtype.ts";
import { bfloat16, float16, float32, float64, int32, int64, int8, uint8 } from "../../ts/core/dtype.ts";
import { planGemm, stepsOfPart, tileOf } from "../../gpu/plan_matmul.ts";
import { type Case, check, devices, empty, integers, type Operand, permuted, tensor, uniform } from "./harness.ts";

const valuesFor = (dtype: DType, size: number, seed: number): Float64Array =>
  dtype.is_floating_point ? uniform(size, seed) : integers(size, seed, 0, 12);
const dense = (dtype: DType, shape: readonly number[], seed: number): Operand =>
  tensor(
    dtype,
    shape,
    valuesFor(
      dtype,
      shape.reduce((a, b) => a * b, 1),
      seed,
    ),
  );

interface Sizes {
  readonly batch?: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}
interface Form {
  readonly dtype?: DType;
  /** Whether a (b) lies transposed in memory. */
  readonly a?: boolean;
  readonly b?: boolean;
  /** Sizes of the bias's own memory; where they are 1 it is broadcast. */
  readonly bias?: readonly [number, number, number];
  readonly alpha?: number;
  readonly beta?: number;
  /** b has no batch. */
  readonly shared?: boolean;
}

const broadcast = (x: Operand, shape: readonly number[]): Operand => ({
  ...x,
  shape,
  strides: x.strides.map((s, d) => (x.shape[d] === 1 ? 0 : s)),
});

function product({ batch = 1, m, n, k }: Sizes, form: Form = {}): Case<"matmul"> {
  const { dtype = float32, alpha = 1, beta = 0 } = form;
  const a = form.a ? permuted(dense(dtype, [batch, k, m], 1), 0, 2, 1) : dense(dtype, [batch, m, k], 1);
  const own = form.shared ? 1 : batch;
  const b = form.b ? permuted(dense(dtype, [own, n, k], 2), 0, 2, 1) : dense(dtype, [own, k, n], 2);
  const inputs = [a, broadcast(b, [batch, k, n])];
  if (form.bias) inputs.push(broadcast(dense(dtype, form.bias, 3), [batch, m, n]));
  return {
    spec: { kind: "matmul", dtype, bias: form.bias !== undefined },
    inputs,
    outputs: [beta === 0 ? empty(dtype, [batch, m, n]) : dense(dtype, [batch, m, n], 4)],
    params: { alpha, beta },
    // Sums of k products that cancel: relative to the terms, not to the result.
    tolerance: dtype === float32 ? { atol: 1e-6 * Math.sqrt(k) + 1e-6 } : {},
  };
}

const small: readonly [string, Case<"matmul">][] = [
  ["1 x 1 x 1", product({ m: 1, n: 1, k: 1 })],
  ["odd sizes", product({ m: 19, n: 21, k: 13 })],
  ["odd sizes, both transposed", product({ m: 19, n: 21, k: 13 }, { a: true, b: true })],
  ["aligned", product({ m: 36, n: 40, k: 32 })],
  ["aligned, a transposed", product({ m: 36, n: 40, k: 32 }, { a: true })],
  ["aligned, b transposed", product({ m: 36, n: 40, k: 32 }, { b: true })],
  ["batches", product({ batch: 3, m: 17, n: 18, k: 9 }, { b: true })],
  ["batches that share b", product({ batch: 3, m: 7, n: 18, k: 9 }, { shared: true, bias: [1, 1, 18] })],
  ["transposed batches that share b", product({ batch: 3, m: 7, n: 18, k: 9 }, { a: true, shared: true })],
  ["small batches", product({ batch: 5, m: 6, n: 5, k: 7 })],
  ["a row", product({ m: 1, n: 37, k: 29 })],
  ["a row, b transposed", product({ m: 1, n: 37, k: 64 }, { b: true })],
  ["few rows, odd", product({ m: 5, n: 33, k: 41 }, { b: true, bias: [1, 5, 1] })],
  ["few columns", product({ m: 50, n: 3, k: 20 }, { bias: [1, 1, 3] })],
  ["few columns, aligned", product({ batch: 2, m: 50, n: 4, k: 20 }, { b: true, bias: [2, 50, 1], beta: 0.5 })],
  ["a dot product", product({ m: 1, n: 1, k: 1500 })],
  ["long k", product({ m: 9, n: 12, k: 900 }, { bias: [1, 1, 12], alpha: 0.5, beta: 2 })],
  ["long k of batches", product({ batch: 2, m: 20, n: 18, k: 530 }, { a: true, bias: [1, 20, 18] })],
  ["long k, few rows", product({ m: 3, n: 20, k: 1501 }, { b: true, alpha: -1 })],
  ["alpha and beta", product({ m: 18, n: 20, k: 5 }, { alpha: 0.25, beta: -3 })],
  ["a bias of columns", product({ m: 18, n: 20, k: 5 }, { bias: [1, 18, 1], beta: 1 })],
  ["a bias of batches", product({ batch: 2, m: 18, n: 20, k: 5 }, { bias: [2, 18, 20] })],
  ["no steps", product({ m: 18, n: 5, k: 0 }, { bias: [1, 1, 5] })],
  ["no steps, nothing added", product({ m: 18, n: 20, k: 0 })],
  ["no rows", product({ m: 0, n: 5, k: 3 })],
];
const dtypes: readonly DType[] = [float16, bfloat16, float64, int32, int64, int8, uint8];

/** Sizes that take every tile. */
const large: readonly [string, Case<"matmul">][] = [
  ["130 x 257 x 65", product({ m: 130, n: 257, k: 65 })],
  ["256", product({ m: 256, n: 256, k: 256 }, { bias: [1, 1, 256] })],
  ["256, a transposed", product({ m: 256, n: 256, k: 256 }, { a: true })],
  ["256, b transposed", product({ m: 256, n: 256, k: 256 }, { b: true })],
  ["257, both transposed", product({ m: 257, n: 255, k: 259 }, { a: true, b: true, beta: 1 })],
  ["many batches", product({ batch: 65, m: 33, n: 65, k: 17 }, { b: true })],
  ["1536 x 1408", product({ m: 1536, n: 1408, k: 8 })],
  ["a weight's gradient", product({ m: 64, n: 65, k: 4100 }, { a: true })],
  ["a tall column", product({ m: 5000, n: 2, k: 33 })],
  ["more than 65,535 workgroups", product({ batch: 65600, m: 1, n: 1, k: 1 })],
];

describe.each(devices)("matmul on $name", (target) => {
  // Pipelines take a second each on software adapters: there a fourth of the small ones, for the large ones come as well.
  it.each(small.filter((_, i) => target.slow || i % 4 === 1))("%s", (_, test) => check(target, test));
  it.each(dtypes.filter((_, i) => target.slow || i % 3 === 0))("%s", async (dtype) => {
    await check(target, product({ m: 10, n: 23, k: 17 }, { dtype, bias: [1, 1, 23], alpha: 2, beta: 3 }));
    await check(target, product({ m: 2, n: 23, k: 32 }, { dtype, b: true }));
    await check(target, product({ m: 24, n: 20, k: 600 }, { dtype, a: true }));
  });
  it("an offset that forbids vectors", async () => {
    const x = tensor(float32, [1, 32, 32], uniform(32 * 32 + 1, 1), { offset: 1 });
    const y = tensor(float32, [1, 32, 32], uniform(32 * 33, 2), { strides: [0, 33, 1] });
    const spec = { kind: "matmul", dtype: float32, bias: false } as const;
    const params = { alpha: 1, beta: 0 };
    await check(target, { spec, inputs: [x, y], outputs: [empty(float32, [1, 32, 32])], params });
    await check(target, { spec, inputs: [y, x], outputs: [empty(float32, [1, 32, 32])], params });
  });
  it("beta 0 does not look at what was there, infinities go through", async () => {
    const test = product({ m: 9, n: 12, k: 5 });
    const a = uniform(45, 1);
    a[7] = Infinity;
    a[20] = NaN;
    await check(target, { ...test, inputs: [tensor(float32, [1, 9, 5], a), test.inputs[1]!] });
  });
  if (!target.slow) it.each(large)("%s", (_, test) => check(target, test));
});

describe("plans", () => {
  const base = {
    f16: false,
    maxStorageBuffers: 8,
    maxWorkgroupStorage: 16384,
    maxWorkgroupSize: 256,
    maxBufferSize: 2 ** 28,
    wide: false,
    matrix: null,
    asyncCopy: false,
    processors: null,
  };
  const shapes = [
    { batch: 1, m: 1024, n: 1024, k: 1024 },
    { batch: 16, m: 64, n: 64, k: 64 },
    { batch: 1, m: 5, n: 3, k: 10000 },
    { batch: 1, m: 1, n: 50000, k: 768 },
  ];
  it.each([null, { min: 4, max: 4 }, { min: 32, max: 32 }])("parts of k cover it, subgroups %o", (subgroups) => {
    for (const shape of shapes) {
      const plan = planGemm({ ...base, subgroups }, shape, false, true);
      const steps = stepsOfPart(plan, shape.k);
      expect(steps * plan.splits).toBeGreaterThanOrEqual(shape.k);
      expect(steps % plan.depth).toBe(0);
      expect(tileOf(plan).n).toBeGreaterThan(0);
      expect(plan.threads).toBeLessThanOrEqual(256);
    }
  });
});
