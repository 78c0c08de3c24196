/** Random streams: PyTorch's values, seeds, states, generators of one's own, draws in place. */

import * as torch from "kindling";
import { Generator, type Tensor } from "kindling";
import { describe, expect, it } from "vitest";

const rounded = (t: Tensor): number[] => Array.from(t.data_sync() as ArrayLike<number>, (x) => Math.round(x * 1e4) / 1e4);

describe("streams", () => {
  it("are PyTorch's", () => {
    torch.manual_seed(0);
    expect(rounded(torch.randn(6))).toEqual([1.541, -0.2934, -2.1788, 0.5684, -1.0845, -1.3986]);
    torch.manual_seed(0);
    expect(rounded(torch.rand(3))).toEqual([0.4963, 0.7682, 0.0885]);
    torch.manual_seed(42);
    expect(rounded(torch.rand(2))).toEqual([0.8823, 0.915]);
  });

  it("start anew from a seed, and go on from a saved state", () => {
    torch.manual_seed(7);
    const first = rounded(torch.rand(5));
    const state = torch.get_rng_state();
    const second = rounded(torch.randn(5));
    torch.manual_seed(7);
    expect(rounded(torch.rand(5))).toEqual(first);
    torch.set_rng_state(state);
    expect(rounded(torch.randn(5))).toEqual(second);
    expect(torch.initial_seed()).toBe(7n);
    expect(() => torch.set_rng_state(torch.zeros(3))).toThrow("expected a torch.uint8 tensor");
  });

  it("of a generator are its own", () => {
    const generator = new Generator().manual_seed(3);
    torch.manual_seed(0);
    const a = rounded(torch.rand([3], { generator }));
    expect(rounded(torch.rand(3))).toEqual([0.4963, 0.7682, 0.0885]);
    expect(rounded(torch.rand([3], { generator: new Generator().manual_seed(3) }))).toEqual(a);
  });

  it("are put back after a fork, however it ends", async () => {
    torch.manual_seed(5);
    const state = torch.get_rng_state().tolist_sync();
    const drawn = torch.random.fork_rng(() => {
      torch.manual_seed(0);
      return rounded(torch.rand(3));
    });
    expect(drawn).toEqual([0.4963, 0.7682, 0.0885]);
    expect(torch.get_rng_state().tolist_sync()).toEqual(state);
    expect(() =>
      torch.random.fork_rng(() => {
        torch.rand(3);
        throw new Error("no");
      }),
    ).toThrow("no");
    await torch.random.fork_rng(async () => {
      await Promise.resolve();
      torch.randn(20);
    });
    expect(torch.get_rng_state().tolist_sync()).toEqual(state);
    torch.random.fork_rng(() => torch.rand(3), { enabled: false });
    expect(torch.get_rng_state().tolist_sync()).not.toEqual(state);
  });

  it("of Philox are asked for", () => {
    const generator = new Generator("cpu", { algorithm: "philox" }).manual_seed(3);
    expect([generator.algorithm, new Generator().algorithm, generator.initial_seed()]).toEqual(["philox", "mt19937", 3n]);
    const first = rounded(torch.randn([4], { generator }));
    expect(generator.get_state().shape).toEqual([16]);
    expect(rounded(torch.randn([4], { generator: generator.manual_seed(3) }))).toEqual(first);
    expect(rounded(torch.randn([4], { generator: new Generator().manual_seed(3) }))).not.toEqual(first);
    // Random123's known answer: counter 0, key 0.
    const u = torch.rand([4], { generator: generator.manual_seed(0) }).mul(2 ** 24);
    expect(u.tolist_sync()).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8].map((w) => w >>> 8));
    expect(() => new Generator("cpu", { algorithm: "pcg" as never })).toThrow(/'mt19937' or 'philox' on cpu, got 'pcg'/);
  });

  it("give permutations and whole numbers in range", () => {
    const p = torch.randperm(100).tolist_sync() as number[];
    expect([...p].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i));
    const n = torch.randint(-3, 4, [1000]).tolist_sync() as number[];
    expect([Math.min(...n), Math.max(...n)]).toEqual([-3, 3]);
    expect(() => torch.randint(4, 4, [2])).toThrow("expects 'from' to be less than 'to'");
  });
});

describe("draws in place", () => {
  it("replace the values, also of a view", () => {
    torch.manual_seed(0);
    const x = torch.zeros([2, 3]);
    const row = x.index(1);
    expect(x.uniform_()).toBe(x);
    expect(rounded(x)).toEqual([0.4963, 0.7682, 0.0885, 0.132, 0.3074, 0.6341]);
    expect(rounded(row)).toEqual([0.132, 0.3074, 0.6341]);
    row.fill_(1);
    row.slice(0, 0, 2).uniform_();
    expect(rounded(x).at(-1)).toBe(1);
  });

  it("leave earlier results alone, and count as writes", () => {
    const x = torch.ones([4]);
    const doubled = x.mul(2);
    x.normal_();
    expect(doubled.tolist_sync()).toEqual([2, 2, 2, 2]);
    const w = torch.ones([2], { requires_grad: true });
    const h = torch.ones([2]);
    const y = w.mul(h);
    h.uniform_();
    expect(() => y.sum().backward()).toThrow("modified by an inplace operation");
    expect(() => w.normal_()).toThrow("a leaf Variable that requires grad");
  });

  it("check their parameters", () => {
    const x = torch.zeros(2);
    expect(() => x.uniform_(1, 0)).toThrow("found from=1 > to=0");
    expect(() => x.normal_(0, -1)).toThrow("expects std >= 0.0");
    expect(() => x.bernoulli_(2)).toThrow("expects p to be in [0, 1]");
    expect(() => torch.zeros([2], { dtype: torch.int64 }).uniform_()).toThrow("not implemented for 'torch.int64'");
  });
});

describe("multinomial", () => {
  it("draws without replacement each position once", () => {
    const got = torch.multinomial(torch.ones([5]), 5).tolist_sync() as number[];
    expect([...got].sort()).toEqual([0, 1, 2, 3, 4]);
    expect(torch.multinomial(torch.tensor([0, 1.5, 0]), 4, true).tolist_sync()).toEqual([1, 1, 1, 1]);
    expect(() => torch.multinomial(torch.tensor([-1, 0.5]), 1)).toThrow("`inf`, `nan` or element < 0");
  });
});
