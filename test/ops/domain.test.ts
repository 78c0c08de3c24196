/** Values that PyTorch's cpu kernels refuse, and arguments at their ends. Expected values are PyTorch 1.13's. */

import { describe, expect, it, test } from "vitest";
import * as torch from "../../ts/entry.node.ts";

const F = torch.nn.functional;
const { float32, float64, int64, uint8 } = torch;

describe("integer division by zero", () => {
  const [x, y] = [torch.tensor([1, 2, -3]), torch.tensor([1, 0, 2])];
  const ways: Record<string, (a: torch.Tensor, b: torch.Tensor | number) => torch.Tensor> = {
    floor_divide: (a, b) => a.floor_divide(b),
    remainder: (a, b) => a.remainder(b),
    fmod: (a, b) => a.fmod(b),
    "div floor": (a, b) => a.div(b, { rounding_mode: "floor" }),
    "div trunc": (a, b) => a.div(b, { rounding_mode: "trunc" }),
  };
  it.each(Object.entries(ways))("%s", (_name, divide) => {
    expect(() => divide(x, y)).toThrow("ZeroDivisionError");
    expect(() => divide(x, 0)).toThrow("ZeroDivisionError");
    expect(() => divide(x.to(uint8), y.to(uint8))).toThrow("ZeroDivisionError");
    expect(divide(torch.zeros([0], { dtype: int64 }), 0).numel()).toBe(0);
    expect(divide(x.to(float32), y).isfinite().tolist_sync()).toEqual([true, false, true]);
    expect(() => divide(torch.tensor([true]), torch.tensor([true]))).toThrow("not implemented for 'torch.bool'");
  });
  it("in place, and of a number", () => {
    expect(() => x.clone().floor_divide_(y)).toThrow("ZeroDivisionError");
    expect(() => torch.remainder(5 as never, y)).toThrow("ZeroDivisionError");
  });
});

test("binary_cross_entropy and quantile refuse what is no probability", () => {
  const target = torch.tensor([1, 0], { dtype: float32 });
  for (const bad of [1.5, -0.1, NaN]) {
    expect(() => F.binary_cross_entropy(torch.tensor([bad, 0.5]), target)).toThrow("should be between 0 and 1");
  }
  expect(F.binary_cross_entropy(torch.tensor([1, 0], { dtype: float32 }), target).item_sync()).toBe(0);
  expect(() => torch.ones([3]).quantile(torch.tensor([1.5]))).toThrow("q values must be in the range [0, 1]");
});

test("variances of great numbers are computed in double precision", () => {
  const x = torch.tensor([1e20, -1e20, 3e38], { dtype: float32 });
  const value = (t: torch.Tensor): number => t.item_sync() as number;
  expect(value(x.std()) / 1.732050807568877e38).toBeCloseTo(1, 6);
  expect(value(x.var())).toBe(Infinity);
  const [deviation, mean] = torch.std_mean(x);
  expect(value(deviation!) / 1.732050807568877e38).toBeCloseTo(1, 6);
  expect(value(mean!) / 1e38).toBeCloseTo(1, 6);
  expect(value(torch.tensor([1e18, -1e18, 2e19], { dtype: float32 }).var()) / 1.3433e38).toBeCloseTo(1, 4);
});

describe("random functions", () => {
  const x = torch.zeros([2, 3], { dtype: int64 });
  it("take their bounds by name", () => {
    for (const t of [torch.randint_like(x, { high: 3 }), torch.randint({ high: 3, size: [2, 3] })]) {
      expect(t.shape).toEqual([2, 3]);
      expect(t.ge(0).logical_and(t.lt(3)).all().item_sync()).toBe(true);
    }
    expect(torch.randint_like(x, { low: 4, high: 5 }).eq(4).all().item_sync()).toBe(true);
    expect(torch.randint(5, { size: [2] }).shape).toEqual([2]);
    expect(() => torch.randint_like(x, {} as never)).toThrow("missing required argument 'high'");
  });
  it("draw only what the dtype holds", () => {
    const bytes = torch.zeros([2], { dtype: uint8 });
    expect(() => bytes.random_(0, 300)).toThrow("to - 1 is out of bounds for torch.uint8");
    expect(() => bytes.random_(-1, 3)).toThrow("from is out of bounds for torch.uint8");
    expect(() => torch.randint(0, 5, [2], { dtype: torch.bool })).toThrow("to - 1 is out of bounds");
    expect(() => torch.zeros([2], { dtype: torch.float16 }).random_(0, 70000)).toThrow("out of bounds");
    expect(bytes.random_(0, 256)).toBe(bytes);
    expect(() => torch.zeros([2]).uniform_(0, Infinity)).toThrow("to is out of bounds for torch.float32");
    expect(() => torch.zeros([2]).uniform_(-3e38, 3e38)).toThrow("to - from");
    expect(() => torch.zeros([2], { dtype: torch.bool }).geometric_(0.5)).toThrow("not implemented for 'torch.bool'");
  });
  it("check the values of their parameters on the cpu", () => {
    expect(() => torch.normal(torch.zeros([2]), torch.tensor([-1.5, 1]))).toThrow("all elements of std >= 0.0");
    expect(() => torch.zeros([1]).bernoulli_(torch.tensor([2.5]))).toThrow("probabilities between 0 and 1");
    expect(() => torch.bernoulli(torch.tensor([NaN]))).toThrow("probabilities between 0 and 1");
    expect(() => torch.poisson(torch.tensor([-1.5]))).toThrow("rates of at least 0");
    expect(() => torch.multinomial(torch.ones([3]), 0)).toThrow("cannot sample n_sample <= 0");
    expect(torch.multinomial(torch.ones([2, 3], { dtype: float64 }), 2).shape).toEqual([2, 2]);
    expect(torch.randperm(0).shape).toEqual([0]);
  });
  it("check their generator and its seed", () => {
    const generator = new torch.Generator("cuda");
    expect(() => torch.rand([2], { generator })).toThrow("Expected a 'cpu' device type for generator but found 'cuda'");
    const seeded = (n: number | bigint): bigint => new torch.Generator().manual_seed(n).initial_seed();
    expect([seeded(2n ** 63n), seeded(2n ** 64n - 1n)]).toEqual([2n ** 63n, 2n ** 64n - 1n]);
    for (const n of [2n ** 64n, -(2n ** 63n) - 1n]) expect(() => seeded(n)).toThrow("Overflow when unpacking long");
    expect(() => torch.manual_seed("a" as never)).toThrow(TypeError);
  });
});

test("promote_types, can_cast and result_type take their arguments by name", () => {
  expect(torch.promote_types({ type1: int64, type2: float32 })).toBe(float32);
  expect(torch.promote_types(int64, { type2: float32 })).toBe(float32);
  expect(torch.can_cast({ from_: float32, to: int64 })).toBe(false);
  expect(torch.result_type({ tensor1: torch.tensor([1]), tensor2: 1.5 })).toBe(float32);
  expect(() => torch.promote_types(int64, "float32" as never)).toThrow("must be a dtype");
});
