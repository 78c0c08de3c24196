import { describe, it } from "vitest";
import type { DType } from "../../ts/core/dtype.ts";
import { bfloat16, float16, float32, float64 } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import {
  type Case,
  check,
  compare,
  cpu,
  devices,
  empty,
  evaluate,
  type Operand,
  type Target,
  tensor,
  type Tolerance,
  uniform,
} from "./harness.ts";

interface Sizes {
  readonly batch?: number;
  /** Queries, keys. */
  readonly l: number;
  readonly s: number;
  /** Widths of queries and keys, and of values. */
  readonly e: number;
  readonly ev?: number;
  /** Sizes of the mask's own memory; where they are 1 it is broadcast. */
  readonly mask?: readonly [number, number, number];
  readonly causal?: boolean;
  readonly dtype?: DType;
  /** One head of keys and values for the whole batch. */
  readonly shared?: boolean;
  /** Queries, keys and values as they come out of one projection: rows of q, k and v side by side. */
  readonly packed?: boolean;
  /** Values of the mask. */
  readonly fill?: (index: number) => number;
}

const dense = (dtype: DType, shape: readonly number[], seed: number): Operand =>
  tensor(dtype, shape, uniform(numelOf(shape), seed));
const broadcast = (x: Operand, shape: readonly number[]): Operand => ({
  ...x,
  shape,
  strides: x.strides.map((s, d) => (x.shape[d] === 1 ? 0 : s)),
});

function operands(sizes: Sizes): { q: Operand; k: Operand; v: Operand; mask: Operand[] } {
  const { batch = 2, l, s, e, ev = e, dtype = float32, mask, fill = (i) => Math.sin(i * 1.7) } = sizes;
  const masks: Operand[] = [];
  if (mask) {
    const values = Float64Array.from({ length: numelOf(mask) }, (_, i) => fill(i));
    masks.push(broadcast(tensor(dtype, mask, values), [batch, l, s]));
  }
  if (sizes.packed) {
    const values = uniform(batch * l * 3 * e, 1, -2, 2);
    const third = (i: number): Operand => tensor(dtype, [batch, l, e], values, { strides: [l * 3 * e, 3 * e, 1], offset: i * e });
    return { q: third(0), k: third(1), v: third(2), mask: masks };
  }
  const own = sizes.shared ? 1 : batch;
  return {
    q: tensor(dtype, [batch, l, e], uniform(batch * l * e, 1, -2, 2)),
    k: broadcast(tensor(dtype, [own, s, e], uniform(own * s * e, 2, -2, 2)), [batch, s, e]),
    v: broadcast(dense(dtype, [own, s, ev], 3), [batch, s, ev]),
    mask: masks,
  };
}

function forward(sizes: Sizes): Case<"attention"> {
  const { batch = 2, l, e, ev = e, dtype = float32, causal = false, mask } = sizes;
  const { q, k, v, mask: masks } = operands(sizes);
  return {
    spec: { kind: "attention", mode: "forward", dtype, mask: mask !== undefined },
    inputs: [q, k, v, ...masks],
    outputs: [empty(dtype, [batch, l, ev]), empty(dtype, [batch, l])],
    params: { scale: 1 / Math.sqrt(Math.max(1, e)), causal },
    tolerance: dtype === float32 ? { atol: 3e-6 } : {},
  };
}

const BACKWARD: Readonly<Partial<Record<string, Partial<Tolerance>>>> = {
  float32: { atol: 1e-5 },
  float16: { atol: 2e-3 },
  bfloat16: { atol: 2e-2 },
};

/** Gradients from the cpu's out and lse, so that both devices see the same. */
async function checkBackward(target: Target, sizes: Sizes): Promise<void> {
  const { batch = 2, l, s, e, ev = e, dtype = float32 } = sizes;
  const first = forward(sizes);
  const [out, lse] = await evaluate(cpu, first);
  const { q, k, v, mask } = operands(sizes);
  const gout = dense(dtype, [batch, l, ev], 5);
  const test: Case<"attention"> = {
    spec: { ...first.spec, mode: "backward" },
    inputs: [gout, q, k, v, tensor(dtype, [batch, l, ev], out!), tensor(dtype, [batch, l], lse!), ...mask],
    outputs: [empty(dtype, [batch, l, e]), empty(dtype, [batch, s, e]), empty(dtype, [batch, s, ev])],
    params: first.params,
    tolerance: BACKWARD[dtype.name] ?? {},
  };
  await check(target, test);
}

const hidden = -Infinity;
const small: readonly [string, Sizes][] = [
  ["one query, one key", { l: 1, s: 1, e: 1 }],
  ["small", { l: 3, s: 5, e: 4, ev: 6 }],
  ["odd widths", { l: 9, s: 35, e: 7, ev: 5 }],
  ["whole chunks", { l: 17, s: 33, e: 32 }],
  ["wider than a chunk", { l: 5, s: 6, e: 40, ev: 36 }],
  ["more queries than a block", { l: 37, s: 10, e: 8, ev: 4 }],
  ["causal", { l: 37, s: 37, e: 8, causal: true }],
  ["causal, more queries than keys", { l: 40, s: 9, e: 8, causal: true }],
  ["causal, more keys than queries", { l: 9, s: 40, e: 8, causal: true }],
  ["a mask", { l: 5, s: 7, e: 4, mask: [2, 5, 7] }],
  ["a mask for all", { l: 5, s: 7, e: 4, mask: [1, 5, 7], causal: true }],
  ["a mask of keys", { l: 5, s: 37, e: 4, mask: [2, 1, 37], fill: (i) => (i % 3 === 0 ? hidden : 0.1 * i) }],
  ["a mask of queries", { l: 5, s: 7, e: 4, mask: [2, 5, 1] }],
  ["rows without a key", { l: 6, s: 7, e: 4, mask: [1, 6, 1], fill: (i) => (i % 2 === 0 ? hidden : 0) }],
  ["the first tile hidden", { l: 6, s: 70, e: 4, mask: [1, 1, 70], fill: (i) => (i < 40 ? hidden : 0) }],
  ["shared keys", { l: 5, s: 7, e: 4, shared: true }],
  ["packed", { l: 9, s: 9, e: 8, packed: true, causal: true }],
  ["packed, odd", { l: 9, s: 9, e: 5, packed: true }],
  ["no batch", { batch: 0, l: 3, s: 4, e: 4 }],
];
const large: readonly [string, Sizes][] = [
  ["char-gpt", { batch: 16, l: 64, s: 64, e: 32, causal: true }],
  ["heads of 64", { batch: 2, l: 70, s: 97, e: 64, mask: [1, 70, 97] }],
  ["heads of 256", { batch: 1, l: 20, s: 34, e: 256, causal: true }],
];

describe.each(devices)("attention on $name", (target) => {
  // Pipelines take a second each on software adapters: there some of the small ones, for the large ones come as well.
  const chosen = small.filter((_, i) => target.slow || i % 6 === 1);
  it.each(chosen)("%s", (_, sizes) => check(target, forward(sizes)));
  it.each(chosen)("gradients: %s", (_, sizes) => checkBackward(target, sizes));
  it.each(target.slow ? [float16, bfloat16, float64] : [float16])("%s", async (dtype) => {
    const sizes: Sizes = { l: 9, s: 12, e: 8, ev: 6, mask: [1, 9, 12], causal: true, dtype };
    await check(target, forward(sizes));
    await checkBackward(target, sizes);
  });
  it("no keys: zeros", async () => {
    const sizes: Sizes = { l: 3, s: 0, e: 4 };
    const [out, lse] = await evaluate(target.device, forward(sizes));
    compare(out!, new Float64Array(24), float32);
    compare(lse!, new Float64Array(6).fill(-Infinity), float32);
    await checkBackward(target, sizes);
  });
  it("NaN goes through, in its rows only", async () => {
    const test = forward({ l: 5, s: 7, e: 4 });
    const q = uniform(40, 1);
    q[9] = NaN;
    await check(target, { ...test, inputs: [tensor(float32, [2, 5, 4], q), ...test.inputs.slice(1)] });
  });
  it("scores of float64 beyond float32's range", async () => {
    const test = forward({ l: 3, s: 40, e: 4, dtype: float64 });
    await check(target, { ...test, params: { scale: 1e60, causal: false } });
    await check(target, { ...test, params: { scale: -1e60, causal: true } });
  });
  it("great scores do not overflow", async () => {
    const test = forward({ l: 5, s: 40, e: 4 });
    await check(target, { ...test, params: { scale: 300, causal: false }, tolerance: { rtol: 1e-3, atol: 1e-3 } });
  });
  if (!target.slow) {
    it.each(large)("large: %s", (_, sizes) => check(target, forward(sizes)));
    it.each(large)("large gradients: %s", (_, sizes) => checkBackward(target, sizes));
  }
});
