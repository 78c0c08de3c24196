/** Products, convolutions and attention on GPUs with matrix units, against the cpu: some for every run, the rest for long ones. */

import { describe, it } from "vitest";
import type { DType } from "../../ts/core/dtype.ts";
import { bfloat16, float16, float32 } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { AttentionSpec, ConvSpec, Triple } from "../../ts/kernel/spec.ts";
import {
  type Case,
  check,
  cpu,
  empty,
  evaluate,
  matrixDevices,
  type Operand,
  permuted,
  type Target,
  tensor,
  uniform,
} from "./harness.ts";

interface Sizes {
  readonly batch?: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}
interface Form {
  /** Whether a (b) lies transposed in memory. */
  readonly a?: boolean;
  readonly b?: boolean;
  /** Sizes of the bias's own memory; where they are 1 it is broadcast. */
  readonly bias?: readonly [number, number, number];
  readonly alpha?: number;
  readonly beta?: number;
  /** Elements between the ends of rows and the next ones. */
  readonly gap?: number;
}

function dense(dtype: DType, shape: readonly number[], seed: number, gap = 0): Operand {
  const [batch, rows, columns] = shape as [number, number, number];
  const pitch = columns + gap;
  return tensor(dtype, shape, uniform(batch * rows * pitch, seed), { strides: [rows * pitch, pitch, 1] });
}
const broadcast = (x: Operand, shape: readonly number[]): Operand => ({
  ...x,
  shape,
  strides: x.strides.map((s, d) => (x.shape[d] === 1 ? 0 : s)),
});

/** Factors of TF32 are off by 2^-11 at most, and the sums are of products of numbers up to 1. */
const toleranceOf = (dtype: DType, terms: number): { atol: number; rtol: number } =>
  dtype === float32
    ? { atol: 2 ** -11 * Math.sqrt(terms), rtol: 2 ** -10 }
    : { atol: dtype === float16 ? 2 ** -10 : 2 ** -7, rtol: dtype === float16 ? 2 ** -10 : 2 ** -7 };

function product(dtype: DType, { batch = 1, m, n, k }: Sizes, form: Form = {}, tf32 = true): Case<"matmul"> {
  const { alpha = 1, beta = 0, gap = 0 } = form;
  const operand = (rows: number, columns: number, turned: boolean | undefined, seed: number): Operand =>
    turned ? permuted(dense(dtype, [batch, columns, rows], seed, gap), 0, 2, 1) : dense(dtype, [batch, rows, columns], seed, gap);
  const inputs = [operand(m, k, form.a, 1), operand(k, n, form.b, 2)];
  if (form.bias) inputs.push(broadcast(dense(dtype, form.bias, 3), [batch, m, n]));
  return {
    spec: { kind: "matmul", dtype, bias: form.bias !== undefined },
    inputs,
    outputs: [beta === 0 ? empty(dtype, [batch, m, n]) : dense(dtype, [batch, m, n], 4)],
    params: { alpha, beta, tf32 },
    tolerance: tf32 ? toleranceOf(dtype, k * alpha ** 2) : { atol: 2e-6 * Math.sqrt(k) },
  };
}

const products: readonly [string, Sizes, Form][] = [
  ["aligned", { m: 64, n: 96, k: 64 }, {}],
  ["a transposed", { m: 64, n: 96, k: 64 }, { a: true }],
  ["b transposed", { m: 64, n: 96, k: 64 }, { b: true }],
  ["both transposed", { m: 64, n: 96, k: 64 }, { a: true, b: true }],
  ["ragged within aligned rows", { m: 77, n: 91, k: 51 }, { gap: 5 }],
  ["ragged within aligned rows, both transposed", { m: 59, n: 75, k: 43 }, { a: true, b: true, gap: 5 }],
  ["copies of 8 bytes", { m: 28, n: 60, k: 52 }, { b: true }],
  ["copies of 4 bytes", { m: 30, n: 62, k: 34 }, { a: true }],
  ["odd", { m: 33, n: 41, k: 67 }, { bias: [1, 1, 41] }],
  ["odd, both transposed", { m: 33, n: 41, k: 67 }, { a: true, b: true, beta: -2 }],
  ["mixed", { m: 40, n: 41, k: 64 }, { bias: [1, 40, 1] }],
  ["batches", { batch: 3, m: 24, n: 40, k: 32 }, { bias: [3, 1, 40], alpha: 0.5, beta: 2 }],
  ["parts of k", { m: 32, n: 34, k: 1064 }, { a: true, bias: [1, 1, 34], alpha: 2 }],
  ["parts of k, odd", { m: 21, n: 19, k: 1021 }, { b: true, beta: 1 }],
  ["large tiles", { m: 140, n: 264, k: 40 }, { b: true }],
  ["large tiles, one low", { m: 20, n: 264, k: 40 }, {}],
];

interface ConvSizes {
  readonly batch?: number;
  readonly cin: number;
  readonly cout: number;
  readonly input: Triple;
  readonly kernel: Triple;
  readonly stride?: Triple;
  readonly padding?: Triple;
  readonly groups?: number;
}
const one: Triple = [1, 1, 1];

function conv(dtype: DType, mode: ConvSpec["mode"], sizes: ConvSizes): Case<"conv"> {
  const { batch = 2, cin, cout, input, kernel, stride = one, padding = [0, 0, 0], groups = 1 } = sizes;
  const output = input.map((n, d) => Math.floor((n + 2 * padding[d]! - kernel[d]!) / stride[d]!) + 1);
  const x = [batch, cin * groups, ...input];
  const w = [cout * groups, cin, ...kernel];
  const y = [batch, cout * groups, ...output];
  const [inputs, result] = mode === "forward" ? [[x, w], y] : mode === "input_grad" ? [[y, w], x] : [[y, x], w];
  const operands = inputs.map((shape, i) => tensor(dtype, shape, uniform(numelOf(shape), i)));
  const bias = mode === "forward";
  if (bias) operands.push(tensor(dtype, [cout * groups], uniform(cout * groups, 7)));
  const terms = mode === "weight_grad" ? batch * numelOf(output) : Math.max(cin, cout) * numelOf(kernel);
  return {
    spec: { kind: "conv", mode, dtype, bias },
    inputs: operands,
    outputs: [empty(dtype, result)],
    params: { stride, padding, dilation: one, groups, tf32: true },
    tolerance: toleranceOf(dtype, terms),
  };
}
const convolutions: readonly [string, ConvSizes][] = [
  ["3 x 3, padded", { cin: 16, cout: 20, input: [1, 7, 8], kernel: [1, 3, 3], padding: [0, 1, 1] }],
  ["strided, groups", { cin: 12, cout: 17, input: [1, 9, 7], kernel: [1, 3, 2], stride: [1, 2, 2], groups: 2 }],
  ["points", { cin: 24, cout: 32, input: [1, 4, 8], kernel: one }],
  ["points, odd", { cin: 19, cout: 21, input: [1, 5, 7], kernel: one }],
];

interface AttentionSizes {
  readonly batch?: number;
  /** Queries, keys; widths of queries and of values. */
  readonly l: number;
  readonly s: number;
  readonly e: number;
  readonly ev?: number;
  readonly causal?: boolean;
  /** Sizes of the mask's own memory; where they are 1 it is broadcast. */
  readonly mask?: readonly [number, number, number];
  readonly fill?: (index: number) => number;
  /** Queries, keys and values as they come out of one projection: rows of q, k and v side by side. */
  readonly packed?: boolean;
}

function attention(dtype: DType, sizes: AttentionSizes): Case<"attention"> {
  const { batch = 2, l, s, e, ev = e, causal = false, mask, fill = (i) => Math.sin(i * 1.7) } = sizes;
  const own = (shape: readonly number[], seed: number, size: number): Operand =>
    tensor(dtype, shape, uniform(numelOf(shape), seed, -size, size));
  const packed = uniform(batch * l * 3 * e, 1, -1.5, 1.5);
  const third = (i: number): Operand => tensor(dtype, [batch, l, e], packed, { strides: [l * 3 * e, 3 * e, 1], offset: i * e });
  const inputs = sizes.packed
    ? [0, 1, 2].map(third)
    : [own([batch, l, e], 1, 2), own([batch, s, e], 2, 2), own([batch, s, ev], 3, 1)];
  if (mask)
    inputs.push(
      broadcast(
        tensor(
          dtype,
          mask,
          Float64Array.from({ length: numelOf(mask) }, (_, i) => fill(i)),
        ),
        [batch, l, s],
      ),
    );
  return {
    spec: { kind: "attention", mode: "forward", dtype, mask: mask !== undefined },
    inputs,
    outputs: [empty(dtype, [batch, l, ev]), empty(float32, [batch, l])],
    params: { scale: 1 / Math.sqrt(e), causal, tf32: true },
    tolerance: { atol: dtype === bfloat16 ? 1e-2 : 2e-3 },
  };
}

/** Gradients from the cpu's out and lse, so that both devices see the same. */
async function gradients(dtype: DType, sizes: AttentionSizes): Promise<Case<"attention">> {
  const test = attention(dtype, sizes);
  const { batch = 2, l, s, e, ev = e } = sizes;
  const [out, lse] = await evaluate(cpu, test);
  const [q, k, v, ...mask] = test.inputs as [Operand, Operand, Operand];
  const gout = tensor(dtype, [batch, l, ev], uniform(batch * l * ev, 5));
  const spec: AttentionSpec = { ...test.spec, mode: "backward" };
  return {
    ...test,
    spec,
    inputs: [gout, q, k, v, tensor(dtype, [batch, l, ev], out!), tensor(float32, [batch, l], lse!), ...mask],
    outputs: [empty(dtype, [batch, l, e]), empty(dtype, [batch, s, e]), empty(dtype, [batch, s, ev])],
    tolerance: { atol: dtype === bfloat16 ? 3e-2 : 4e-3 },
  };
}

const hidden = -Infinity;
const heads: readonly [string, AttentionSizes][] = [
  ["whole tiles", { l: 64, s: 64, e: 64 }],
  ["ragged", { l: 37, s: 75, e: 20, ev: 24 }],
  ["causal", { l: 70, s: 70, e: 32, causal: true }],
  ["causal, more queries than a block", { batch: 1, l: 140, s: 140, e: 16, causal: true }],
  ["causal, more queries than keys", { l: 90, s: 40, e: 24, causal: true }],
  ["causal, more keys than queries", { l: 20, s: 90, e: 16, causal: true }],
  ["a mask", { l: 20, s: 70, e: 16, mask: [2, 20, 70] }],
  ["a mask of keys", { l: 5, s: 70, e: 8, mask: [2, 1, 70], fill: (i) => (i % 70 < 66 ? hidden : 0.1) }],
  ["rows without a key", { l: 20, s: 7, e: 16, mask: [1, 20, 1], fill: (i) => (i % 2 ? 0 : hidden) }],
  ["odd widths", { l: 9, s: 9, e: 5, ev: 7, causal: true }],
  ["packed", { l: 33, s: 33, e: 24, packed: true, causal: true }],
  ["packed, odd", { l: 9, s: 9, e: 13, packed: true }],
  ["heads of 128", { batch: 1, l: 20, s: 40, e: 128 }],
];

/** @param part "some": a few of every kind, in turn. */
export function registerMatrixTests(part: "some" | "rest"): void {
  const chosen = (number: number): boolean => (number % 12 === 0) === (part === "some");
  const each = <T extends readonly unknown[]>(
    title: string,
    rows: readonly T[],
    from: number,
    run: (row: T) => Promise<void>,
  ): void => {
    const own = rows.filter((_, i) => chosen(i + from));
    if (own.length > 0) it.each(own.map((row) => [row[0], row] as const))(`${title}%s`, (_, row) => run(row));
  };
  const dtypes = [float16, bfloat16, float32];
  const cases = (target: Target, d: number): void => {
    each("matmul in full precision: ", products, 5 * d, ([, sizes, form]) => check(target, product(float32, sizes, form, false)));
    dtypes.forEach((dtype, t) => {
      const from = 2 * t + 3 * d;
      each(`matmul of ${dtype}: `, products, from, ([, sizes, form]) => check(target, product(dtype, sizes, form)));
      each(`attention of ${dtype}: `, heads, from + 1, ([, sizes]) => check(target, attention(dtype, sizes)));
      each(`its gradients of ${dtype}: `, heads, from + 3, async ([, sizes]) => check(target, await gradients(dtype, sizes)));
      (["forward", "input_grad", "weight_grad"] as const).forEach((mode, m) => {
        each(`conv ${mode} of ${dtype}: `, convolutions, from + m + 3, ([, sizes]) => check(target, conv(dtype, mode, sizes)));
      });
    });
  };
  matrixDevices.forEach((target, d) => describe(target.name, () => cases(target, d)));
  if (part === "rest") return;

  describe.each(matrixDevices)("$name", (target) => {
    it("NaN and infinities go through", async () => {
      const test = product(float32, { m: 32, n: 24, k: 40 });
      const a = uniform(32 * 40, 1);
      [a[7], a[205], a[411]] = [Infinity, NaN, -Infinity];
      await check(target, { ...test, inputs: [tensor(float32, [1, 32, 40], a), test.inputs[1]!] });
      const heads_ = attention(float32, { l: 5, s: 7, e: 4 });
      const q = uniform(40, 1);
      q[9] = NaN;
      await check(target, { ...heads_, inputs: [tensor(float32, [2, 5, 4], q), ...heads_.inputs.slice(1)] });
    });
    it("float32 is in full precision unless TF32 is asked for", async () => {
      const test = product(float32, { m: 64, n: 64, k: 64 }, {}, false);
      await check(target, { ...test, params: { alpha: 1, beta: 0 } });
    });
  });
}
