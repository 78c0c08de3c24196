/** Products on matrix units, against the cpu. */

import { describe, it } from "vitest";
import type { DType } from "../../ts/core/dtype.ts";
import { bfloat16, float16, float32 } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import { type Case, check, empty, matrixDevices, type Operand, permuted, tensor, uniform } from "./harness.ts";

interface Sizes {
  readonly batch?: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}
interface Form {
  readonly a?: boolean;
  readonly b?: boolean;
  readonly bias?: readonly [number, number, number];
  readonly alpha?: number;
  readonly beta?: number;
  readonly shared?: boolean;
}
const dense = (dtype: DType, shape: readonly number[], seed: number): Operand => tensor(dtype, shape, uniform(numelOf(shape), seed));
const broadcast = (x: Operand, shape: readonly number[]): Operand => ({
  ...x,
  shape,
  strides: x.strides.map((s, d) => (x.shape[d] === 1 ? 0 : s)),
});

function product(dtype: DType, { batch = 1, m, n, k }: Sizes, form: Form = {}): Case<"matmul"> {
  const { alpha = 1, beta = 0 } = form;
  const a = form.a ? permuted(dense(dtype, [batch, k, m], 1), 0, 2, 1) : dense(dtype, [batch, m, k], 1);
  const own = form.shared ? 1 : batch;
  const b = form.b ? permuted(dense(dtype, [own, n, k], 2), 0, 2, 1) : dense(dtype, [own, k, n], 2);
  const inputs = [a, broadcast(b, [batch, k, n])];
  if (form.bias) inputs.push(broadcast(dense(dtype, form.bias, 3), [batch, m, n]));
  return {
    spec: { kind: "matmul", dtype, bias: form.bias !== undefined },
    inputs,
    outputs: [beta === 0 ? empty(dtype, [batch, m, n]) : dense(dtype, [batch, m, n], 4)],
    params: { alpha, beta, tf32: true },
    // A factor of TF32 is off by 2^-11 at most; sums of products of numbers up to 1 that cancel.
    tolerance: dtype === float32 ? { atol: 2 ** -10 * Math.sqrt(k), rtol: 2 ** -10 } : { atol: 2 ** (dtype === float16 ? -10 : -7) },
  };
}

const sizes: readonly [string, Sizes, Form][] = [
  ["plain", { m: 64, n: 64, k: 64 }, {}],
  ["a transposed", { m: 64, n: 64, k: 64 }, { a: true }],
  ["b transposed", { m: 64, n: 64, k: 64 }, { b: true }],
  ["both transposed", { m: 64, n: 64, k: 64 }, { a: true, b: true }],
  ["ragged", { m: 77, n: 91, k: 53 }, {}],
];
describe.each(matrixDevices)("matmul on $name", (target) => {
  describe.each([float16, bfloat16, float32])("%s", (dtype) => {
    it.each(sizes)("%s", (_, shape, form) => check(target, product(dtype, shape, form)));
  });
});
