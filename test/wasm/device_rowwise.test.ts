/** rowwise specs on the device, against plain loops in float64; gradients against finite differences. */

import { describe, expect, it } from "vitest";
import { type DType, float16, float32, float64, int64 } from "../../ts/core/dtype.ts";
import type { View } from "../../ts/core/device.ts";
import { IndexError } from "../../ts/core/errors.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { RowwiseParams, RowwiseSpec } from "../../ts/kernel/spec.ts";
import { device, empty, from, run, values } from "./device_tools.ts";

type Numbers = Float64Array;
type Op = RowwiseSpec["op"];

const none: RowwiseParams = { eps: 1e-3, groups: 1, ignore: -100, flag: true };

function numbers(count: number, seed: number): Numbers {
  return Float64Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + seed) * 2 + Math.cos(i * seed) * 0.5);
}

function apply(
  op: Op,
  dtype: DType,
  inputs: readonly View[],
  shapes: readonly number[][],
  params = none,
  affine: 0 | 1 | 2 = 0,
): View[] {
  const stats = dtype === float16 ? float32 : dtype;
  const outputs = shapes.map((shape, i) => empty(i === 0 || !/(norm|cross_entropy)$/.test(op) ? dtype : stats, shape));
  run({ kind: "rowwise", op, dtype, affine }, inputs, outputs, params);
  return outputs;
}

/** d(sum(f(x) * g)) / dx by central differences. */
function slope(f: (x: Numbers) => Numbers, x: Numbers, g: Numbers): Numbers {
  const h = 1e-5;
  return x.map((_, i) => {
    const at = (d: number): number => f(x.map((v, j) => (i === j ? v + d : v))).reduce((s, y, j) => s + y * g[j]!, 0);
    return (at(h) - at(-h)) / (2 * h);
  });
}

function expectClose(got: ArrayLike<number>, expected: ArrayLike<number>, tolerance: number): void {
  expect(got.length).toBe(expected.length);
  for (let i = 0; i < got.length; i++) expect(Math.abs(got[i]! - expected[i]!)).toBeLessThan(tolerance);
}

/** Normalises the elements of each group, where `groupOf` numbers the group of an element; the statistics come along. */
function normalise(x: Numbers, groups: number, groupOf: (i: number) => number, eps: number, centre = true) {
  const [mean, variance, count] = [0, 0, 0].map(() => new Float64Array(groups)) as [Numbers, Numbers, Numbers];
  x.forEach((v, i) => ((mean[groupOf(i)]! += v), count[groupOf(i)]!++));
  for (let g = 0; g < groups; g++) mean[g] = centre ? mean[g]! / count[g]! : 0;
  x.forEach((v, i) => (variance[groupOf(i)]! += (v - mean[groupOf(i)]!) ** 2));
  for (let g = 0; g < groups; g++) variance[g]! /= count[g]!;
  const rstd = variance.map((v) => 1 / Math.sqrt(v + eps));
  return { mean, variance, rstd, y: x.map((v, i) => (v - mean[groupOf(i)]!) * rstd[groupOf(i)]!) };
}

function softmax(x: Numbers, n: number, log: boolean): Numbers {
  return x.map((v, i) => {
    const row = x.subarray(i - (i % n), i - (i % n) + n);
    const sum = row.reduce((s, e) => s + Math.exp(e), 0);
    return log ? v - Math.log(sum) : Math.exp(v) / sum;
  });
}

describe("softmax", () => {
  const shape = [3, 7];
  const [x, g] = [numbers(21, 1), numbers(21, 2)];
  for (const [dtype, tolerance] of [
    [float64, 1e-8],
    [float32, 1e-5],
    [float16, 4e-3],
  ] as const)
    for (const op of ["softmax", "log_softmax"] as const)
      it(`${op} of ${dtype.name} and its gradient`, () => {
        const expected = softmax(x, 7, op === "log_softmax");
        const [y] = apply(op, dtype, [from(dtype, shape, x)], [shape]);
        expectClose(values(y!), expected, tolerance);
        const [gx] = apply(`${op}_backward`, dtype, [from(dtype, shape, g), y!], [shape]);
        expectClose(
          values(gx!),
          slope((v) => softmax(v, 7, op === "log_softmax"), x, g),
          tolerance * 4,
        );
      });
});

describe("normalisation", () => {
  const eps = none.eps;

  it.each([0, 1, 2] as const)("layer_norm with affine %i, and its gradients", (affine) => {
    const [shape, n] = [[4, 6], 6];
    const [x, w, b, g] = [numbers(24, 1), numbers(n, 2), numbers(n, 3), numbers(24, 4)];
    const f = (v: Numbers, weight = w, bias = b): Numbers =>
      normalise(v, 4, (i) => Math.floor(i / n), eps).y.map(
        (e, i) => e * (affine > 0 ? weight[i % n]! : 1) + (affine > 1 ? bias[i % n]! : 0),
      );
    const wb = [from(float64, [n], w), from(float64, [n], b)].slice(0, affine);
    const xv = from(float64, shape, x);
    const [y, mean, rstd] = apply("layer_norm", float64, [xv, ...wb], [shape, [4], [4]], none, affine);
    expectClose(values(y!), f(x), 1e-8);
    const statistics = normalise(x, 4, (i) => Math.floor(i / n), eps);
    expectClose(values(mean!), statistics.mean, 1e-8);
    expectClose(values(rstd!), statistics.rstd, 1e-8);
    const inputs = [from(float64, shape, g), xv, mean!, rstd!, ...wb.slice(0, 1)];
    const outs = [shape, [n], [n]].slice(0, 1 + affine);
    const [gx, gw, gb] = apply("layer_norm_backward", float64, inputs, outs, none, affine);
    expectClose(
      values(gx!),
      slope((v) => f(v), x, g),
      1e-6,
    );
    if (affine > 0)
      expectClose(
        values(gw!),
        slope((v) => f(x, v), w, g),
        1e-6,
      );
    if (affine > 1)
      expectClose(
        values(gb!),
        slope((v) => f(x, w, v), b, g),
        1e-6,
      );
  });

  it("layer_norm of float16 keeps its statistics in float32", () => {
    const x = numbers(24, 1);
    const [y, mean] = apply("layer_norm", float16, [from(float16, [4, 6], x)], [[4, 6], [4], [4]]);
    expect(mean!.dtype).toBe(float32);
    const expected = normalise(values(from(float16, [24], x)), 4, (i) => Math.floor(i / 6), eps);
    expectClose(values(y!), expected.y, 2e-3);
    expectClose(values(mean!), expected.mean, 1e-6);
  });

  it("rms_norm and its gradients", () => {
    const [shape, n] = [[3, 5], 5];
    const [x, w, g] = [numbers(15, 1), numbers(n, 2), numbers(15, 4)];
    const f = (v: Numbers, weight = w): Numbers =>
      normalise(v, 3, (i) => Math.floor(i / n), eps, false).y.map((e, i) => e * weight[i % n]!);
    const [xv, wv] = [from(float64, shape, x), from(float64, [n], w)];
    const [y, rstd] = apply("rms_norm", float64, [xv, wv], [shape, [3]], none, 1);
    expectClose(values(y!), f(x), 1e-8);
    const [gx, gw] = apply("rms_norm_backward", float64, [from(float64, shape, g), xv, rstd!, wv], [shape, [n]], none, 1);
    expectClose(
      values(gx!),
      slope((v) => f(v), x, g),
      1e-6,
    );
    expectClose(
      values(gw!),
      slope((v) => f(x, v), w, g),
      1e-6,
    );
  });

  it.each([[[4, 3, 5]], [[6, 3, 1]]])("batch_norm of %j and its gradients, with statistics of the batch and without", (shape) => {
    const [N, C, S] = shape as [number, number, number];
    const channel = (i: number): number => Math.floor(i / S) % C;
    const [x, w, b, g] = [numbers(N * C * S, 1), numbers(C, 2), numbers(C, 3), numbers(N * C * S, 4)];
    const xv = from(float64, shape, x);
    const [mean, variance] = apply("batch_norm_stats", float64, [xv], [[C], [C]]);
    const expected = normalise(x, C, channel, eps);
    expectClose(values(mean!), expected.mean, 1e-8);
    expectClose(values(variance!), expected.variance, 1e-8);
    const rstd = from(float64, [C], expected.rstd);
    const [wv, bv, gv] = [from(float64, [C], w), from(float64, [C], b), from(float64, shape, g)];
    const f = (v: Numbers, weight = w, bias = b): Numbers =>
      normalise(v, C, channel, eps).y.map((e, i) => e * weight[channel(i)]! + bias[channel(i)]!);
    const [y] = apply("batch_norm", float64, [xv, mean!, rstd, wv, bv], [shape], none, 2);
    expectClose(values(y!), f(x), 1e-8);
    const outs = [shape, [C], [C]];
    const [gx, gw, gb] = apply("batch_norm_backward", float64, [gv, xv, mean!, rstd, wv], outs, none, 2);
    expectClose(
      values(gx!),
      slope((v) => f(v), x, g),
      1e-6,
    );
    expectClose(
      values(gw!),
      slope((v) => f(x, v), w, g),
      1e-6,
    );
    expectClose(
      values(gb!),
      slope((v) => f(x, w, v), b, g),
      1e-6,
    );
    const running = { ...none, flag: false };
    const [gxRunning] = apply("batch_norm_backward", float64, [gv, xv, mean!, rstd, wv], outs, running, 2);
    expectClose(
      values(gxRunning!),
      g.map((v, i) => v * w[channel(i)]! * expected.rstd[channel(i)]!),
      1e-8,
    );
  });

  it("group_norm and its gradients", () => {
    const [N, G, D, S] = [2, 3, 2, 4];
    const shape = [N * G, D, S];
    const C = G * D;
    const [x, w, b, g] = [numbers(numelOf(shape), 1), numbers(C, 2), numbers(C, 3), numbers(numelOf(shape), 4)];
    const channel = (i: number): number => Math.floor(i / S) % C;
    const f = (v: Numbers, weight = w, bias = b): Numbers =>
      normalise(v, N * G, (i) => Math.floor(i / (D * S)), eps).y.map((e, i) => e * weight[channel(i)]! + bias[channel(i)]!);
    const params = { ...none, groups: G };
    const [xv, wv, bv, gv] = [from(float64, shape, x), from(float64, [C], w), from(float64, [C], b), from(float64, shape, g)];
    const [y, mean, rstd] = apply("group_norm", float64, [xv, wv, bv], [shape, [N * G], [N * G]], params, 2);
    expectClose(values(y!), f(x), 1e-8);
    const [gx, gw, gb] = apply("group_norm_backward", float64, [gv, xv, mean!, rstd!, wv], [shape, [C], [C]], params, 2);
    expectClose(
      values(gx!),
      slope((v) => f(v), x, g),
      1e-6,
    );
    expectClose(
      values(gw!),
      slope((v) => f(x, v), w, g),
      1e-6,
    );
    expectClose(
      values(gb!),
      slope((v) => f(x, w, v), b, g),
      1e-6,
    );
  });

  it("gives weights no gradient where there are no rows", () => {
    const inputs = [[0, 3], [0, 3], [0], [0], [3]].map((shape) => from(float64, shape, numbers(numelOf(shape), 1)));
    const [, gw, gb] = apply("layer_norm_backward", float64, inputs, [[0, 3], [3], [3]], none, 2);
    expect([...values(gw!), ...values(gb!)]).toEqual([0, 0, 0, 0, 0, 0]);
  });
});

describe("cross_entropy", () => {
  const [x, targets] = [numbers(15, 1), [4, -100, 0]];
  const indices = (t: readonly number[]): View => from(int64, [t.length], t);

  it("and its gradient skip the ignored target", () => {
    const xv = from(float64, [3, 5], x);
    const f = (v: Numbers): Numbers => {
      const log = softmax(v, 5, true);
      return Float64Array.from(targets, (t, r) => (t < 0 ? 0 : -log[r * 5 + t]!));
    };
    const [loss, lse] = apply("cross_entropy", float64, [xv, indices(targets)], [[3], [3]]);
    expectClose(values(loss!), f(x), 1e-8);
    const g = numbers(3, 2);
    const [gx] = apply("cross_entropy_backward", float64, [from(float64, [3], g), xv, indices(targets), lse!], [[3, 5]]);
    expectClose(values(gx!), slope(f, x, g), 1e-6);
  });

  it("names a target that is out of range, and the device goes on", () => {
    const xv = from(float64, [3, 5], x);
    for (const bad of [5, -1]) {
      const attempt = (): unknown => apply("cross_entropy", float64, [xv, indices([0, bad, 1])], [[3], [3]]);
      expect(attempt).toThrow(IndexError);
      expect(attempt).toThrow(`cross_entropy: target ${bad} is out of bounds (expected 0 to 4, or -100 to ignore)`);
    }
    apply("cross_entropy", float64, [xv, indices([0, 1, 2])], [[3], [3]]);
    expect(device.memoryStats().buffers).toBeGreaterThan(0);
  });
});
