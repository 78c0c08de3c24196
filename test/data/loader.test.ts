import * as torch from "kindling";
import { type Tensor } from "kindling";
import { describe, expect, it } from "vitest";

const { DataLoader, Dataset, TensorDataset, Subset, ConcatDataset, IterableDataset, random_split } = torch.utils.data;
const { RandomSampler, SequentialSampler, SubsetRandomSampler, BatchSampler, default_collate } = torch.utils.data;

class Numbers extends Dataset<number> {
  constructor(readonly length: number) {
    super();
  }
  get(index: number): number {
    return index;
  }
}
const flat = (batches: Iterable<Tensor>): number[] => [...batches].flatMap((b) => b.tolist_sync() as number[]);

// The orders were computed with an mt19937 of their own, draw by draw as PyTorch 2.6 does it.
describe("the order under a seed", () => {
  it("is PyTorch's, epoch after epoch, whatever the batch size", async () => {
    for (const batch_size of [1, 3, 10]) {
      torch.manual_seed(0);
      const loader = new DataLoader(new Numbers(10), { batch_size, shuffle: true });
      expect(flat(loader)).toEqual([6, 7, 1, 4, 2, 0, 9, 8, 3, 5]);
      const second: Tensor[] = [];
      for await (const b of loader) second.push(b);
      expect(flat(second)).toEqual([2, 4, 7, 0, 8, 9, 5, 3, 6, 1]);
    }
  });
  it("comes from a generator of one's own directly", () => {
    const generator = new torch.Generator().manual_seed(7);
    const loader = new DataLoader(new Numbers(10), { batch_size: 4, shuffle: true, generator });
    expect(flat(loader)).toEqual([1, 3, 5, 7, 9, 4, 6, 2, 8, 0]);
    expect(flat(loader)).toEqual([5, 1, 6, 0, 9, 7, 8, 4, 3, 2]);
  });
  it("of samplers on their own", () => {
    torch.manual_seed(5);
    expect([...new RandomSampler(new Numbers(10), { replacement: true, num_samples: 40 })]).toEqual([
      7, 4, 9, 4, 6, 8, 2, 2, 1, 8, 2, 5, 3, 3, 2, 8, 1, 8, 1, 1, 8, 6, 3, 6, 3, 4, 1, 9, 5, 0, 6, 9, 4, 5, 4, 5, 6, 9, 7, 0,
    ]); // prettier-ignore
    const generator = new torch.Generator().manual_seed(42);
    const letters = [10, 11, 12, 13, 14, 15, 16];
    expect([...new SubsetRandomSampler(letters, { generator })]).toEqual([11, 16, 13, 15, 14, 10, 12]);
    expect([...new BatchSampler(new SequentialSampler(new Numbers(5)), 2, false)]).toEqual([[0, 1], [2, 3], [4]]);
    expect(new BatchSampler(new SequentialSampler(new Numbers(5)), 2, true).length).toBe(2);
    generator.manual_seed(42);
    const [a, b] = random_split(new Numbers(7), [4, 3], { generator });
    expect([a!.indices, b!.indices]).toEqual([[1, 6, 3, 5], [4, 0, 2]]); // prettier-ignore
  });
});

describe("batches", () => {
  const x = torch.arange(14).reshape([7, 2]).to(torch.float32);
  const y = torch.arange(7);
  it("of tensors, with the last one shorter or left out", async () => {
    const data = new TensorDataset(x, y);
    const loader = new DataLoader(data, 3);
    expect(loader.length).toBe(3);
    const seen: unknown[] = [];
    for await (const [a, b] of loader) seen.push([a.shape, b.tolist_sync()]);
    expect(seen).toEqual([[[3, 2], [0, 1, 2]], [[3, 2], [3, 4, 5]], [[1, 2], [6]]]); // prettier-ignore
    expect([...new DataLoader(data, { batch_size: 3, drop_last: true })].length).toBe(2);
    const [first] = new DataLoader(new Subset(data, [5, -7]), { batch_size: 2 });
    expect(first![0].tolist_sync()).toEqual([[10, 11], [0, 1]]); // prettier-ignore
    const whole = [...new DataLoader(new ConcatDataset([data, data]), { batch_size: 5, sampler: [0, 8, 13] })];
    expect(whole[0]![1].tolist_sync()).toEqual([0, 1, 6]);
  });
  it("equal those that are collated sample by sample", () => {
    const data = new TensorDataset(x, y);
    const [quick] = new DataLoader(data, { batch_size: 4 });
    const [slow] = new DataLoader(data, { batch_size: 4, collate_fn: (batch) => default_collate(batch) });
    expect(quick!.map((t) => t.tolist_sync())).toEqual(slow!.map((t) => t.tolist_sync()));
  });
  it("of what is not a tensor", () => {
    const made = default_collate([
      { n: 1, f: 0.5, b: true, s: "a", t: [torch.ones([2]), new Float32Array([1, 2])] },
      { n: 2, f: 1.5, b: false, s: "b", t: [torch.zeros([2]), new Float32Array([3, 4])] },
    ] as const);
    expect([made.n.dtype, made.f.dtype, made.b.dtype]).toEqual([torch.int64, torch.float64, torch.bool]);
    expect(made.s).toEqual(["a", "b"]);
    expect(made.t[1].tolist_sync()).toEqual([[1, 2], [3, 4]]); // prettier-ignore
    expect(() => default_collate([[1, 2], [3]])).toThrow(/equal size/);
    expect(() => default_collate([null])).toThrow(TypeError);
  });
  it("of a stream, and samples without a batch", () => {
    class Stream extends IterableDataset<number> {
      *[Symbol.iterator](): Iterator<number> {
        yield* [1, 2, 3];
      }
    }
    expect([...new DataLoader(new Stream(), { batch_size: 2 })].map((t) => t.tolist_sync())).toEqual([[1, 2], [3]]);
    expect(() => new DataLoader(new Stream(), { shuffle: true })).toThrow(torch.ValueError);
    expect(() => new DataLoader(new Stream()).length).toThrow(TypeError);
    const [sample] = new DataLoader(new TensorDataset(x), { batch_size: null });
    expect((sample as unknown as Tensor[])[0]!.shape).toEqual([2]);
  });
  it("of a dataset that has to be waited for, some of them ahead", async () => {
    let running = 0;
    let most = 0;
    class Slow extends Dataset<number> {
      readonly length = 8;
      async get(index: number): Promise<number> {
        most = Math.max(most, ++running);
        await new Promise((r) => setTimeout(r, 1));
        running--;
        if (index === 7) throw new Error("broken sample");
        return index;
      }
    }
    const seen: Tensor[] = [];
    await expect(
      (async () => {
        for await (const b of new DataLoader(new Slow(), { num_workers: 2, prefetch_factor: 1 })) seen.push(b);
      })(),
    ).rejects.toThrow("broken sample");
    expect(flat(seen)).toEqual([0, 1, 2, 3, 4, 5, 6]);
    expect(most).toBe(2);
    expect(() => [...new DataLoader(new Slow())]).toThrow(/for await/);
  });
  it("let the event loop turn", async () => {
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    for await (const _ of new DataLoader(new Numbers(1000))) {
      const until = performance.now() + 5;
      while (performance.now() < until);
      if (ticks > 0) break;
    }
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(0);
  });
});

it("bad arguments are typed errors", () => {
  const data = new Numbers(4);
  expect(() => new TensorDataset(torch.ones([2]), torch.ones([3]))).toThrow(/Size mismatch between tensors/);
  expect(() => new TensorDataset(torch.ones([2])).get(2)).toThrow(torch.IndexError);
  expect(() => new DataLoader(data, { batch_size: 0 })).toThrow(/positive integer/);
  expect(() => new DataLoader(data, { sampler: [1], shuffle: true })).toThrow(/mutually exclusive/);
  expect(() => new DataLoader(data, { batch_sampler: [[1]], batch_size: 2 })).toThrow(/mutually exclusive/);
  expect(() => new DataLoader(data, { batch_size: null, drop_last: true })).toThrow(/mutually exclusive/);
  expect(() => new DataLoader([1, 2] as never)).toThrow(TypeError);
  expect(() => new RandomSampler(new Numbers(0))).toThrow(/num_samples should be a positive integer/);
  expect(() => random_split(data, [1, 2])).toThrow(/Sum of input lengths/);
  expect(random_split(data, [0.5, 0.5]).map((s) => s.length)).toEqual([2, 2]);
  expect(random_split(new Numbers(7), [0.5, 0.25, 0.25]).map((s) => s.length)).toEqual([4, 2, 1]);
});
