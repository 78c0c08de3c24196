/** Batches of a dataset, in order or shuffled. */

import type { Device } from "../core/device.ts";
import { RuntimeError, ValueError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { isOptions } from "../engine/signature.ts";
import { get_default_device } from "../ops/devices.ts";
import type { Generator } from "../ops/random.ts";
import { default_collate, default_convert, type Collated } from "./collate.ts";
import { Dataset, IterableDataset } from "./dataset.ts";
import { BatchSampler, drawSeed, RandomSampler, SequentialSampler } from "./sampler.ts";

type Numbers = Iterable<number> & { readonly length?: number };
type Batches = Iterable<readonly number[]> & { readonly length?: number };

export interface DataLoaderOptions<T, B> {
  /** Samples in a batch; null: samples come one by one, without a batch dimension. */
  batch_size?: number | null;
  /** A new random order at every iteration. */
  shuffle?: boolean | null;
  sampler?: Numbers | null;
  batch_sampler?: Batches | null;
  /**
   * Batches are always made in the calling thread. More than 0: async iteration begins `num_workers * prefetch_factor` batches ahead,
   * which hides the waiting of datasets that return promises.
   */
  num_workers?: number;
  collate_fn?: ((batch: T[]) => B) | null;
  /** Leaves out a last batch that is not full. */
  drop_last?: boolean;
  generator?: Generator | null;
  prefetch_factor?: number | null;
  /** Taken for PyTorch's sake; memory here is never paged out on its way to a device. */
  pin_memory?: boolean;
}

/** Longest time without a turn of the event loop. */
const TURN_MS = 50;

/**
 * `for await (const [x, y] of loader)`, or a plain `for` where the dataset has its samples at hand. Every iteration starts anew, and
 * draws its order as PyTorch does.
 */
export class DataLoader<T, B = Collated<T>> implements Iterable<B>, AsyncIterable<B> {
  readonly batch_size: number | null;
  readonly drop_last: boolean;
  readonly num_workers: number;
  readonly prefetch_factor: number;
  readonly generator: Generator | null;
  readonly sampler: Numbers | null;
  readonly batch_sampler: Batches | null;
  private readonly collate: ((batch: T[]) => B) | null;
  private turned = 0;

  constructor(dataset: Dataset<T> | IterableDataset<T>, options?: DataLoaderOptions<T, B>);
  constructor(dataset: Dataset<T> | IterableDataset<T>, batch_size: number | null, options?: DataLoaderOptions<T, B>);
  constructor(
    dataset: Dataset<T> | IterableDataset<T>,
    batch_size: number | null,
    shuffle: boolean | null,
    options?: DataLoaderOptions<T, B>,
  );
  constructor(
    readonly dataset: Dataset<T> | IterableDataset<T>,
    ...given: unknown[]
  ) {
    const last = given.at(-1);
    const options: DataLoaderOptions<T, B> = isOptions(last) ? { ...(last as DataLoaderOptions<T, B>) } : {};
    const [batch_size, shuffle] = isOptions(last) ? given.slice(0, -1) : given;
    if (batch_size !== undefined) options.batch_size = batch_size as number | null;
    if (shuffle !== undefined) options.shuffle = shuffle as boolean | null;
    check(dataset, options);

    this.num_workers = options.num_workers ?? 0;
    this.prefetch_factor = options.prefetch_factor ?? 2;
    this.generator = options.generator ?? null;
    this.drop_last = options.drop_last ?? false;
    this.collate = options.collate_fn ?? null;
    this.batch_size = options.batch_sampler ? null : options.batch_size === undefined ? 1 : options.batch_size;
    if (dataset instanceof IterableDataset) {
      this.sampler = null;
      this.batch_sampler = null;
      return;
    }
    this.sampler =
      options.sampler ??
      (options.shuffle ? new RandomSampler(dataset, { generator: this.generator }) : new SequentialSampler(dataset));
    this.batch_sampler =
      options.batch_sampler ??
      (this.batch_size === null ? null : new BatchSampler(this.sampler, this.batch_size, this.drop_last));
  }

  /** Batches in one iteration. */
  get length(): number {
    const n = (this.batch_sampler ?? this.sampler)?.length;
    if (n === undefined) throw new TypeError("DataLoader: this dataset or sampler has no length");
    return n;
  }

  *[Symbol.iterator](): Iterator<B> {
    for (const batch of this.batches()) {
      if (batch instanceof Promise) {
        batch.catch(() => undefined);
        throw new RuntimeError("DataLoader: this dataset returns promises; use `for await (const batch of loader)`");
      }
      yield batch;
    }
  }

  async *[Symbol.asyncIterator](): AsyncIterator<B> {
    const ahead = this.num_workers * this.prefetch_factor;
    const batches = this.batches();
    const begun: Promise<B>[] = [];
    let more = true;
    try {
      while (more || begun.length > 0) {
        while (more && begun.length <= ahead) {
          const next = batches.next();
          if (next.done) more = false;
          else {
            const batch = Promise.resolve(next.value);
            batch.catch(() => undefined); // reported when its turn comes
            begun.push(batch);
          }
        }
        const batch = await begun.shift();
        if (batch === undefined) break;
        await this.turn(batch);
        yield batch;
      }
    } finally {
      batches.return(undefined);
    }
  }

  /** Lets the device look for dead tensors, and the event loop turn. */
  private async turn(batch: unknown): Promise<void> {
    const device = deviceOf(batch) ?? get_default_device();
    await device.relieve?.();
    const now = performance.now();
    if (now - this.turned < TURN_MS) return;
    this.turned = now;
    await new Promise((resolve) => setTimeout(resolve, 0));
  }

  private *batches(): Generator_<B | Promise<B>> {
    // PyTorch draws a seed for its workers at the start of every iteration, whether it has any or not.
    drawSeed(this.generator);
    const { dataset } = this;
    if (dataset instanceof IterableDataset) {
      yield* this.stream(dataset);
    } else if (this.batch_sampler === null) {
      for (const i of this.sampler!) yield then(dataset.get(i), (sample) => this.convert(sample));
    } else {
      for (const indices of this.batch_sampler) yield this.fetch(dataset, indices);
    }
  }

  private fetch(dataset: Dataset<T>, indices: readonly number[]): B | Promise<B> {
    if (this.collate === null && dataset._collated !== undefined) return dataset._collated(indices) as B;
    const samples = indices.map((i) => dataset.get(i));
    return samples.some((s) => s instanceof Promise)
      ? Promise.all(samples).then((all) => this.join(all))
      : this.join(samples as T[]);
  }

  private *stream(dataset: IterableDataset<T>): Generator_<B> {
    if (this.batch_size === null) {
      for (const sample of dataset) yield this.convert(sample);
      return;
    }
    let batch: T[] = [];
    for (const sample of dataset) {
      batch.push(sample);
      if (batch.length < this.batch_size) continue;
      yield this.join(batch);
      batch = [];
    }
    if (batch.length > 0 && !this.drop_last) yield this.join(batch);
  }

  private join(samples: T[]): B {
    return this.collate === null ? (default_collate(samples) as B) : this.collate(samples);
  }
  private convert(sample: T): B {
    return this.collate === null ? (default_convert(sample) as B) : this.collate(sample as never);
  }
}

type Generator_<T> = globalThis.Generator<T, void, undefined>;

function then<A, B>(x: A | Promise<A>, f: (x: A) => B): B | Promise<B> {
  return x instanceof Promise ? x.then(f) : f(x);
}

function deviceOf(batch: unknown): Device | null {
  if (batch instanceof Tensor) return batch.device;
  if (!Array.isArray(batch)) return null;
  for (const part of batch) if (part instanceof Tensor) return part.device;
  return null;
}

function check<T, B>(dataset: Dataset<T> | IterableDataset<T>, options: DataLoaderOptions<T, B>): void {
  const { batch_size = 1, shuffle = null, sampler = null, batch_sampler = null, drop_last = false, num_workers = 0 } = options;
  if (!(dataset instanceof Dataset) && !(dataset instanceof IterableDataset)) {
    throw new TypeError("DataLoader: argument 'dataset' must be a Dataset or an IterableDataset");
  }
  if (!Number.isInteger(num_workers) || num_workers < 0) {
    throw new ValueError("num_workers option should be non-negative; use num_workers: 0 to disable prefetching.");
  }
  if (dataset instanceof IterableDataset) {
    if (shuffle)
      throw new ValueError(`DataLoader with IterableDataset: expected unspecified shuffle option, but got shuffle=${shuffle}`);
    if (sampler !== null) throw new ValueError("DataLoader with IterableDataset: expected unspecified sampler option");
    if (batch_sampler !== null)
      throw new ValueError("DataLoader with IterableDataset: expected unspecified batch_sampler option");
  }
  if (sampler !== null && shuffle) throw new ValueError("sampler option is mutually exclusive with shuffle");
  if (batch_sampler !== null) {
    if (batch_size !== 1 || shuffle || sampler !== null || drop_last) {
      throw new ValueError("batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last");
    }
  } else if (batch_size === null) {
    if (drop_last) throw new ValueError("batch_size=None option disables auto-batching and is mutually exclusive with drop_last");
  } else if (!Number.isInteger(batch_size) || batch_size <= 0) {
    throw new ValueError(`batch_size should be a positive integer value, but got batch_size=${batch_size}`);
  }
}
