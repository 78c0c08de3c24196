import { describe, expect, it } from "vitest";
import { bfloat16, type DType, float16, float32, float64 } from "../../ts/core/dtype.ts";
import { e } from "../../ts/kernel/builder.ts";
import { cast, load, scalar } from "../../ts/kernel/expr.ts";
import type { OptimizerParams, OptimizerSpec } from "../../ts/kernel/spec.ts";
import { check, devices, type Operand, tensor, uniform } from "./harness.ts";

const DEFAULTS: OptimizerParams = {
  lr: 0.01,
  momentum: 0,
  dampening: 0,
  nesterov: false,
  beta1: 0.9,
  beta2: 0.999,
  eps: 1e-8,
  weight_decay: 0,
  maximize: false,
  step: 3,
};

/** Gradients, and the outputs of parameters with `states` tensors of state. */
function slots(dtype: DType, sizes: readonly number[], states: number): { inputs: Operand[]; outputs: Operand[] } {
  let seed = 1;
  const random = (n: number, low = -1): Operand => tensor(dtype, [n], uniform(n, seed++, low, 1));
  const inputs = sizes.map((n) => random(n));
  // (Second moments are not negative.)
  const outputs = sizes.flatMap((n) => [random(n), ...Array.from({ length: states }, (_, j) => random(n, j === 0 ? -1 : 0))]);
  return { inputs, outputs };
}

describe.each(devices)("optimizer on $name", (target) => {
  const run = (
    op: OptimizerSpec["op"],
    dtype: DType,
    sizes: readonly number[],
    states: number,
    params: Partial<OptimizerParams>,
  ) =>
    check(target, { spec: { kind: "optimizer", op, dtype }, ...slots(dtype, sizes, states), params: { ...DEFAULTS, ...params } });
  const sizes = target.slow ? [3, 1500, 1] : [3, 15000, 1];

  it("sgd", async () => {
    await run("sgd", float32, sizes, 0, {});
    await run("sgd", float32, sizes, 0, { weight_decay: 0.1, maximize: true });
    await run("sgd", float32, sizes, 1, { momentum: 0.9, dampening: 0.3 });
    await run("sgd", float32, sizes, 1, { momentum: 0.9, step: 1, weight_decay: 0.1 });
    await run("sgd", float32, sizes, 1, { momentum: 0.9, nesterov: true });
  });
  it("adam and adamw", async () => {
    for (const op of ["adam", "adamw"] as const) {
      await run(op, float32, sizes, 2, {});
      await run(op, float32, sizes, 2, { weight_decay: 0.1, step: 1 });
      await run(op, float32, sizes, 3, { weight_decay: 0.1, maximize: true, beta1: 0.3, step: 100 });
    }
  });
  it("other dtypes", async () => {
    for (const dtype of [float16, bfloat16, float64]) await run("adamw", dtype, sizes, 2, { eps: 1e-3 });
    await run("adam", float64, sizes, 3, { beta1: 0.3, weight_decay: 0.1 });
    await run("sgd", float64, sizes, 1, { momentum: 0.9, nesterov: true });
  });
  it("more parameters than bindings", async () => {
    const many = Array.from({ length: 40 }, (_, i) => (i * 37) % 50);
    await run("adamw", float32, many, 2, {});
    await run("sgd", float32, many, 0, {});
  });
  it("nothing", async () => {
    await run("adam", float32, [0], 2, {});
    expect(target.device.memoryStats().buffers).toBeGreaterThanOrEqual(0);
  });
});

describe.each(devices)("update on $name", (target) => {
  const sizes = target.slow ? [3, 1500, 1, 0] : [3, 15000, 1, 0];
  /** A running mean, and a step along it whose length shrinks. */
  const run = (dtype: DType, many: readonly number[]) => {
    const wide = dtype === float64 ? float64 : float32;
    const [g, p, mean] = [0, 1, 2].map((i) => cast(load(i, dtype), wide));
    const next = e.add(e.mul(mean!, scalar(0, wide)), g!);
    const outputs = [e.sub(p!, e.mul(e.sqrt(e.abs(next)), scalar(1, wide))), next].map((x) => cast(x, dtype));
    return check(target, {
      spec: { kind: "update", dtype, scalars: 2, outputs, repeats: true },
      ...slots(dtype, many, 1),
      params: { scalars: [0.9, 0.01] },
    });
  };
  it("in every dtype, more parameters than bindings, and none", async () => {
    for (const dtype of [float32, float16, bfloat16, float64]) await run(dtype, sizes);
    await run(
      float32,
      Array.from({ length: 40 }, (_, i) => (i * 37) % 50),
    );
    await run(float32, [0]);
  });
});
