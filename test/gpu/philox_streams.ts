/** One seed, one result: every random function on a GPU device against the cpu with Philox. */

import { expect, it } from "vitest";
import * as torch from "kindling";
import { nn, type Tensor } from "kindling";

type Draws = Record<string, () => Tensor>;

/** Whole numbers and uniform ones are the same bit for bit. */
const exactly = (device: string): Draws => {
  const o = { device };
  return {
    rand: () => torch.rand([3, 5], o),
    "rand, float16": () => torch.rand([9], { ...o, dtype: torch.float16 }),
    rand_like: () => torch.rand_like(torch.ones([7], o)),
    uniform_: () => torch.empty([13], o).uniform_(-2, 3),
    "uniform_, bfloat16": () => torch.empty([13], { ...o, dtype: torch.bfloat16 }).uniform_(-1, 2),
    randint: () => torch.randint(-50, 1000, [21], o),
    "randint, whole range": () => torch.randint(-(2 ** 31), 2 ** 31, [9], { ...o, dtype: torch.int32 }),
    random_: () => torch.empty([10], o).random_(3, 9),
    randperm: () => torch.randperm(37, o),
    bernoulli: () => torch.bernoulli(torch.linspace(0, 1, 30, o)),
    bernoulli_: () => torch.empty([30], o).bernoulli_(0.3),
    dropout: () => nn.functional.dropout(torch.ones([6, 7], o), 0.4),
    multinomial: () => torch.multinomial(torch.tensor([0.1, 0.2, 0.3, 0.4], o), 40, true),
  };
};
/** Others up to the rounding of logarithms and the like. */
const closely = (device: string): Draws => {
  const o = { device };
  return {
    randn: () => torch.randn([3, 7], o),
    normal_: () => torch.empty([33], o).normal_(1, 2),
    log_normal_: () => torch.empty([33], o).log_normal_(0, 0.5),
    exponential_: () => torch.empty([33], o).exponential_(1.5),
    cauchy_: () => torch.empty([33], o).cauchy_(0, 1),
    geometric_: () => torch.empty([33], o).geometric_(0.3),
    poisson: () => torch.poisson(torch.tensor([0, 0.5, 3, 9, 12, 40, 500], o)),
    binomial: () => torch.binomial(torch.tensor([5, 40, 100, 1000], o), torch.tensor([0.3, 0.9, 0.5, 0.02], o)),
    gamma: () => torch._standard_gamma(torch.tensor([0.3, 1, 2.5, 40], o)),
  };
};

async function run(draws: Draws): Promise<[string, number[]][]> {
  torch.manual_seed(1234567890123n);
  const results: [string, number[]][] = [];
  // One stream, so that each also shows how far the one before has gone.
  for (const [name, draw] of Object.entries(draws)) {
    results.push([name, Array.from((await draw().data()) as ArrayLike<number | bigint>, Number)]);
  }
  return results;
}

export function comparePhilox(device: string): void {
  it("draws the cpu's numbers, where that has Philox", async () => {
    expect(torch.random.get_cpu_algorithm()).toBe("mt19937");
    const theirs = [await run(exactly(device)), await run(closely(device))] as const;
    torch.random.set_cpu_algorithm("philox");
    try {
      const ours = [await run(exactly("cpu")), await run(closely("cpu"))] as const;
      expect(ours[0]).toEqual(theirs[0]);
      ours[1].forEach(([name, values], i) => {
        values.forEach((x, j) => {
          const y = theirs[1][i]![1][j]!;
          expect(Math.abs(x - y), `${name}[${j}]: cpu ${x}, ${device} ${y}`).toBeLessThanOrEqual(1e-4 * Math.abs(y) + 1e-5);
        });
      });
    } finally {
      torch.random.set_cpu_algorithm("mt19937");
    }
  });
  it("goes on from a state of the other", async () => {
    const [gpu, cpu] = [new torch.Generator(device), new torch.Generator("cpu", { algorithm: "philox" })];
    gpu.manual_seed(3);
    await torch.rand(10, { device, generator: gpu }).data();
    cpu.set_state(gpu.get_state());
    expect(await torch.rand(5, { generator: cpu }).data()).toEqual(await torch.rand(5, { device, generator: gpu }).data());
    expect(cpu.get_state().tolist_sync()).toEqual(gpu.get_state().tolist_sync());
  });
}
