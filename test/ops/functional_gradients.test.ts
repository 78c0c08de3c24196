/** Kernels with backward kernels of their own: first and second derivatives against differences. */

import * as torch from "kindling";
import type { Tensor } from "kindling";
import { beforeEach, describe, expect, it } from "vitest";

const F = torch.nn.functional;
const { gradcheck, gradgradcheck } = torch.autograd;
const draw = (...shape: number[]): Tensor => torch.randn(shape, { dtype: torch.float64 }).requires_grad_();

type Case = readonly [name: string, fn: (...inputs: Tensor[]) => Tensor, shapes: readonly (readonly number[])[]];

const cases: readonly Case[] = [
  ["softmax over an outer dimension", (x) => torch.softmax(x!, 0), [[3, 4]]],
  ["log_softmax", (x) => torch.log_softmax(x!, 1), [[3, 4]]],
  ["layer_norm", (x, w, b) => F.layer_norm(x!, [4], w!, b!), [[3, 4], [4], [4]]],
  ["rms_norm", (x, w) => F.rms_norm(x!, [4], w!, 1e-3), [[3, 4], [4]]],
  ["group_norm", (x, w, b) => F.group_norm(x!, 2, w!, b!), [[2, 4, 3], [4], [4]]],
  ["batch_norm", (x, w, b) => F.batch_norm(x!, null, null, w!, b!, true), [[3, 2, 3], [2], [2]]],
  ["conv2d", (x, w, b) => F.conv2d(x!, w!, b!, 2, 1), [[1, 2, 5, 5], [3, 2, 3, 3], [3]]],
  ["conv_transpose2d", (x, w, b) => F.conv_transpose2d(x!, w!, b!, 2, 1, 1), [[1, 2, 3, 3], [2, 2, 3, 3], [2]]],
  ["max_pool2d", (x) => F.max_pool2d(x!, 2), [[1, 2, 4, 4]]],
  ["adaptive_avg_pool1d", (x) => F.adaptive_avg_pool1d(x!, 3), [[1, 2, 5]]],
  ["cross_entropy", (x) => F.cross_entropy(x!, torch.tensor([1, -100, 2])), [[3, 4]]],
  ["embedding", (w) => F.embedding(torch.tensor([1, 0, 2, 1]), w!), [[3, 4]]],
  [
    "causal attention",
    (q, k, v) => F.scaled_dot_product_attention(q!, k!, v!, null, 0, true),
    [
      [2, 4, 3],
      [2, 4, 3],
      [2, 4, 3],
    ],
  ],
  ["fold of unfold", (x) => F.fold(F.unfold(x!, 2), [3, 3], 2), [[1, 2, 3, 3]]],
];

describe("nn.functional gradients", () => {
  beforeEach(() => void torch.manual_seed(0));
  it.each(cases)("%s", (_name, fn, shapes) => {
    const inputs = shapes.map((s) => draw(...s));
    expect(gradcheck(fn, inputs)).toBe(true);
    expect(gradgradcheck(fn, inputs)).toBe(true);
  });
});

describe("nn.functional state", () => {
  it("batch_norm moves its running statistics, and uses them in eval mode", () => {
    const x = torch.tensor(
      [
        [1, 10],
        [3, 30],
      ],
      { dtype: torch.float64 },
    );
    const mean = torch.zeros([2], { dtype: torch.float64 });
    const variance = torch.ones([2], { dtype: torch.float64 });
    F.batch_norm(x, mean, variance, null, null, true, 0.5);
    expect(mean.tolist_sync()).toEqual([1, 10]);
    expect(variance.tolist_sync()).toEqual([1.5, 100.5]);
    const out = F.batch_norm(x, mean, variance, null, null, false, 0.5, 0);
    expect((out.tolist_sync() as number[][])[0]).toEqual([0, 0]);
  });
  it("dropout returns its input where it has no effect", () => {
    const x = torch.ones([3]);
    expect(F.dropout(x, 0.5, false)).toBe(x);
    expect(() => F.dropout(x, 1.5)).toThrow("between 0 and 1");
  });
});
