/** Datasets of datasets, streams, weighted draws and what a loader asks of them. Orders are those of PyTorch 1.13, run with these seeds. */

import * as torch from "kindling";
import type { Tensor } from "kindling";
import { describe, expect, it } from "vitest";

const { ChainDataset, ConcatDataset, DataLoader, Dataset, IterableDataset, StackDataset, Subset, TensorDataset } =
  torch.utils.data;
const { RandomSampler, WeightedRandomSampler, default_collate, default_convert, get_worker_info, random_split, worker_dataset } =
  torch.utils.data;

class Numbers extends Dataset<number> {
  asked: (readonly number[])[] = [];
  constructor(
    readonly length: number,
    readonly from = 0,
  ) {
    super();
  }
  get(index: number): number {
    return this.from + index;
  }
}
class Many extends Numbers {
  override get_items(indices: readonly number[]): number[] {
    this.asked.push(indices);
    return indices.map((i) => this.get(i));
  }
}
class Count extends IterableDataset<number> {
  constructor(
    readonly from: number,
    readonly to: number,
  ) {
    super();
  }
  get length(): number {
    return this.to - this.from;
  }
  *[Symbol.iterator](): Generator<number> {
    for (let i = this.from; i < this.to; i++) yield i;
  }
}
class Slow extends IterableDataset<number> {
  closed = 0;
  async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    try {
      for (let i = 10; i < 15; i++) {
        await new Promise((resolve) => setTimeout(resolve, 1));
        yield i;
      }
    } finally {
      this.closed++;
    }
  }
}
const lists = (batches: Iterable<unknown>): unknown[] => [...batches].map((b) => (b as Tensor).tolist_sync());

describe("weighted draws", () => {
  it("are PyTorch's under a seed", () => {
    torch.manual_seed(3);
    const weights = [0.1, 0.9, 0.4, 0.7, 3.0, 0.6];
    expect([...new WeightedRandomSampler(weights, 10)]).toEqual([1, 3, 4, 1, 4, 4, 2, 4, 4, 4]);
    expect([...new WeightedRandomSampler(torch.tensor(weights), 5, false)]).toEqual([5, 3, 1, 4, 2]);
    const generator = new torch.Generator().manual_seed(5);
    expect([...new WeightedRandomSampler([1, 1, 2], 6, true, { generator })]).toEqual([2, 1, 1, 1, 1, 2]);
    expect([...new RandomSampler(new Numbers(7), { replacement: true, num_samples: 40 })].slice(30)).toEqual([6, 1, 6, 1, 6, 4, 0, 0, 4, 3, 2].slice(1)); // prettier-ignore
    expect([...new RandomSampler(new Numbers(7), { num_samples: 17 })]).toEqual([
      2, 6, 5, 0, 1, 4, 3, 6, 0, 3, 5, 2, 4, 1, 1, 5, 3,
    ]);
    const parts = random_split(new Numbers(10), [0.3, 0.3, 0.4], { generator: new torch.Generator().manual_seed(1) });
    expect(parts.map((p) => p.indices)).toEqual([[5, 6, 1], [2, 0, 8], [9, 3, 7, 4]]); // prettier-ignore
  });
  it("check their weights", () => {
    expect(() => new WeightedRandomSampler([1, 2], 0)).toThrow(/num_samples should be a positive integer/);
    expect(() => new WeightedRandomSampler(torch.ones(2, 2), 1)).toThrow(/1d sequence/);
    expect(() => new WeightedRandomSampler([1, 2], 1, 1 as never)).toThrow(torch.ValueError);
    expect(() => [...new WeightedRandomSampler([1, -2], 1)]).toThrow(torch.RuntimeError);
    expect(() => [...new WeightedRandomSampler([1, 2], 3, false)]).toThrow(torch.RuntimeError);
  });
});

describe("datasets", () => {
  it("side by side, as lists or by name", () => {
    const [a, b] = [new Numbers(3), new Numbers(3, 10)];
    const stacked = new StackDataset(a, b);
    expect([stacked.length, stacked.get(1), stacked.get_items([2, 0])]).toEqual([3, [1, 11], [[2, 12], [0, 10]]]); // prettier-ignore
    const named = new StackDataset({ x: a, y: b });
    expect(named.get(-1)).toEqual({ x: -1, y: 9 });
    const [batch] = new DataLoader(named, { batch_size: 2 });
    expect([batch!.x.tolist_sync(), batch!.y.tolist_sync()]).toEqual([[0, 1], [10, 11]]); // prettier-ignore
    expect(() => new StackDataset(a, new Numbers(4))).toThrow(/Size mismatch between datasets/);
    expect(() => new StackDataset(...([] as never))).toThrow(/At least one dataset/);
    expect(() => named.get(3)).toThrow(torch.IndexError);
  });
  it("one after another", () => {
    const all = new Numbers(2).concat(new Numbers(3, 10));
    expect(all).toBeInstanceOf(ConcatDataset);
    expect(Array.from({ length: all.length }, (_, i) => all.get(i))).toEqual([0, 1, 10, 11, 12]);
    expect(() => new ConcatDataset([new Count(0, 1) as never])).toThrow(TypeError);
    const chain = new Count(0, 2).concat(new Count(5, 6));
    expect(lists(new DataLoader(chain, { batch_size: 2 }))).toEqual([[0, 1], [5]]);
    expect([chain.length, new DataLoader(chain, { batch_size: 2 }).length]).toEqual([3, 2]);
    expect(() => new ChainDataset([new Numbers(1) as never])).toThrow(TypeError);
  });
  it("that are asked for several samples at once", () => {
    const many = new Many(5);
    expect(lists(new DataLoader(many, { batch_size: 2 }))).toEqual([[0, 1], [2, 3], [4]]);
    expect(many.asked).toEqual([[0, 1], [2, 3], [4]]);
    expect(lists(new DataLoader(new Subset(many, [4, 2]), { batch_size: 2 }))).toEqual([[4, 2]]);
    expect(many.asked.at(-1)).toEqual([4, 2]);
    many.get_items = () => [1];
    expect(() => lists(new DataLoader(many, { batch_size: 2 }))).toThrow(/asked for 2 samples and gave 1/);
  });
});

describe("streams that have to be waited for", () => {
  it("give whole batches, begun ahead or not, and are closed where the loop is left", async () => {
    for (const num_workers of [0, 2]) {
      const slow = new Slow();
      const seen: unknown[] = [];
      const chain = new ChainDataset([new Count(0, 1), slow]);
      for await (const b of new DataLoader(chain, { batch_size: 2, num_workers })) seen.push(b.tolist_sync());
      expect(seen).toEqual([
        [0, 10],
        [11, 12],
        [13, 14],
      ]);
      for await (const _ of new DataLoader(slow, { num_workers })) break;
      expect(slow.closed).toBe(2);
    }
    expect(() => [...new DataLoader(new Slow())]).toThrow(/for await/);
    expect(() => [...new ChainDataset([new Slow()])]).toThrow(TypeError);
    class Nothing extends IterableDataset<number> {}
    expect(() => [...new DataLoader(new Nothing())]).toThrow(/needs \[Symbol.iterator\]/);
  });
  it("drop a last batch that is not full", () => {
    expect(lists(new DataLoader(new Count(0, 5), { batch_size: 2, drop_last: true }))).toEqual([
      [0, 1],
      [2, 3],
    ]);
    expect([...new DataLoader(new Count(0, 2), { batch_size: null })]).toEqual([0, 1]);
  });
});

it("collating goes into every nesting", () => {
  const sample = (n: number) => ({ m: new Map([["a", [n, { t: torch.tensor([n]) }] as const]]), s: `${n}` });
  const made = default_collate([sample(1), sample(2)]);
  const [numbers, { t }] = made.m.get("a")!;
  expect([numbers.tolist_sync(), t.tolist_sync(), made.s]).toEqual([
    [1, 2],
    [[1], [2]],
    ["1", "2"],
  ]);
  expect(() => default_collate([{ a: 1 }, { b: 1 } as never])).toThrow(/lacks "a"/);
  const converted = default_convert(new Map([["x", [new Float32Array(2), 3]]])) as Map<string, [Tensor, number]>;
  expect([converted.get("x")![0].shape, converted.get("x")![1]]).toEqual([[2], 3]);
});

it("a loader's options are checked", () => {
  const data = new Numbers(4);
  const bad: [options: object, error: RegExp][] = [
    [{ timeout: -1 }, /non-negative/],
    [{ prefetch_factor: 2 }, /num_workers > 0/],
    [{ num_workers: 1, prefetch_factor: 0 }, /positive whole number/],
    [{ persistent_workers: true }, /needs num_workers > 0/],
    [{ num_workers: -1 }, /non-negative/],
  ];
  for (const [options, error] of bad) expect(() => new DataLoader(data, options)).toThrow(error);
  const worker = () => null as never;
  expect(() => new DataLoader(data, { num_workers: 1, worker })).toThrow(/declared by worker_dataset/);
  expect(() => new DataLoader(data, { num_workers: 1, worker_init_fn: (() => {}) as never })).toThrow(/declare it there/);
  const declared = worker_dataset((n: number) => new Numbers(n), { collate_fn: (samples: number[]) => samples.length });
  const here = new DataLoader(declared(3), { batch_size: 2 });
  expect([...here]).toEqual([2, 1]); // the declared collate_fn, here too
  expect(() => [...new DataLoader(declared(3), { num_workers: 1, worker })]).toThrow(/for await/);
  expect(get_worker_info()).toBe(null);
  expect(new DataLoader(new TensorDataset(torch.ones(3, 1)), { pin_memory: true }).pin_memory).toBe(true);
});
