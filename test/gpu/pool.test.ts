/** pool against the cpu on every GPU device: odd sizes, dilation, padding, NaN, windows outside of the input. */

import { describe, it } from "vitest";
import { bfloat16, float16, float32, float64, int64 } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { PoolParams, PoolSpec, Triple } from "../../ts/kernel/spec.ts";
import { type Case, check, cpu, devices, empty, evaluate, type Operand, tensor } from "./harness.ts";

const params = (given: Partial<PoolParams>): PoolParams => ({
  kernel: [1, 2, 3],
  stride: [1, 2, 1],
  padding: [0, 1, 1],
  dilation: [1, 1, 1],
  count_include_pad: true,
  divisor_override: 0,
  ...given,
});

const sizeOf = (input: Triple, p: PoolParams): Triple =>
  input.map(
    (n, d) => Math.floor((n + 2 * p.padding[d]! - p.dilation[d]! * (p.kernel[d]! - 1) - 1) / p.stride[d]!) + 1,
  ) as unknown as Triple;

const values = (n: number): Float32Array =>
  Float32Array.from({ length: n }, (_, i) => (i % 17 === 5 ? NaN : Math.sin(i * 12.9898) * 4));
const finite = (n: number): Float32Array => values(n).map((x) => (Number.isNaN(x) ? 1 : x));

const input: Triple = [2, 7, 5];
const cases: [string, PoolParams][] = [
  ["padded", params({})],
  ["dilated", params({ dilation: [1, 2, 2], kernel: [1, 2, 2], padding: [0, 1, 0] })],
  ["without counting the padding", params({ count_include_pad: false })],
  ["with a divisor", params({ divisor_override: 5 })],
];
const volume = (t: Triple): number => t[0] * t[1] * t[2];

describe.each(devices)("$name", (target) => {
  it.each(cases)("%s", async (name, p) => {
    const out = sizeOf(input, p);
    const [n, m] = [2 * 3 * volume(input), 2 * 3 * volume(out)];
    const x = tensor(float32, [2, 3, ...input], values(n));
    const y = [2, 3, ...out];
    const run = (
      mode: PoolSpec["mode"],
      inputs: ReturnType<typeof tensor>[],
      outputs: ReturnType<typeof empty>[],
    ): Promise<void> => check(target, { spec: { kind: "pool", mode, dtype: float32 }, inputs, outputs, params: p });
    await run("max", [x], [empty(float32, y), empty(int64, y)]);
    if (name === "dilated") return; // averages have no dilation
    await run("avg", [tensor(float32, [2, 3, ...input], finite(n))], [empty(float32, y)]);
    await run("avg_backward", [tensor(float32, y, finite(m))], [empty(float32, [2, 3, ...input])]);
  });

  it.each(target.slow ? [float16, bfloat16, float64] : [float16])("%s", async (dtype) => {
    const p = params({});
    const [shape, y] = [
      [1, 2, ...input],
      [1, 2, ...sizeOf(input, p)],
    ];
    const make = (mode: PoolSpec["mode"], inputs: Operand[], outputs: Operand[]): Case<"pool"> => ({
      spec: { kind: "pool", mode, dtype },
      inputs,
      outputs,
      params: p,
    });
    const x = tensor(dtype, shape, finite(numelOf(shape)));
    const gradient = tensor(dtype, y, finite(numelOf(y)));
    const forward = make("max", [x], [empty(dtype, y), empty(int64, y)]);
    await check(target, forward);
    const [, at] = await evaluate(cpu, forward);
    await check(target, make("max_backward", [gradient, tensor(int64, y, at!)], [empty(dtype, shape)]));
    await check(target, make("avg", [x], [empty(dtype, y)]));
    await check(target, make("avg_backward", [gradient], [empty(dtype, shape)]));
  });

  it("adaptive, to sizes that do not divide", async () => {
    const out: Triple = [1, 3, 4];
    const y = [2, 3, ...out];
    const n = 2 * 3 * volume(input);
    const x = tensor(float32, [2, 3, ...input], values(n));
    const run = (
      mode: PoolSpec["mode"],
      inputs: ReturnType<typeof tensor>[],
      outputs: ReturnType<typeof empty>[],
    ): Promise<void> => check(target, { spec: { kind: "pool", mode, dtype: float32 }, inputs, outputs, params: params({}) });
    await run("adaptive_max", [x], [empty(float32, y), empty(int64, y)]);
    await run("adaptive_avg", [tensor(float32, [2, 3, ...input], finite(n))], [empty(float32, y)]);
    await run("adaptive_avg_backward", [tensor(float32, y, finite(2 * 3 * volume(out)))], [empty(float32, [2, 3, ...input])]);
  });

  it("gradients of maxima go where the maxima were, also when several windows share one", async () => {
    const p = params({ kernel: [1, 3, 3], stride: [1, 1, 1], padding: [0, 1, 1] });
    const shape = [1, 1, 1, 4, 4];
    // Every window's greatest element lies at position 5 or at its own centre.
    const at = BigInt64Array.from({ length: 16 }, (_, o) => {
      const [h, w] = [Math.floor(o / 4), o % 4];
      return BigInt(Math.abs(h - 1) <= 1 && Math.abs(w - 1) <= 1 ? 5 : o);
    });
    for (const mode of ["max_backward", "adaptive_max_backward"] as const) {
      if (mode === "adaptive_max_backward") at.forEach((_, o) => (at[o] = BigInt(o)));
      await check(target, {
        spec: { kind: "pool", mode, dtype: float32 },
        inputs: [tensor(float32, shape, finite(16)), tensor(int64, shape, at)],
        outputs: [empty(float32, shape)],
        params: p,
      });
    }
  });
});
