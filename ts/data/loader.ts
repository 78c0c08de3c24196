/** Batches of a dataset, in order or shuffled. */

import type { Device } from "../core/device.ts";
import { RuntimeError, ValueError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { isOptions } from "../engine/signature.ts";
import { get_default_device } from "../ops/devices.ts";
import type { Generator } from "../ops/generator.ts";
import type { Collated } from "./collate.ts";
import { Dataset, IterableDataset, lengthOf } from "./dataset.ts";
import { makeFetcher, type Fetched, type Fetcher, type Wish } from "./fetch.ts";
import { WorkerPool, type StartWorker } from "./pool.ts";
import { BatchSampler, drawSeed, RandomSampler, SequentialSampler } from "./sampler.ts";
import { originOf, type Origin } from "./worker.ts";

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
   * With `worker`: how many workers load. Without it samples are made in the calling thread, and async iteration begins
   * `num_workers * prefetch_factor` batches ahead, which hides the waiting of datasets that return promises.
   */
  num_workers?: number;
  /**
   * Constructs a worker whose file declares the dataset by `worker_dataset`; the loader's dataset must come from there, or be a Subset of it:
   * `(Worker) => new Worker(new URL("./photos.ts", import.meta.url), { type: "module" })`.
   */
  worker?: StartWorker | null;
  /** Runs in the calling thread; in workers, the one that is declared with `worker_dataset`. */
  collate_fn?: ((batch: T[]) => B) | null;
  /** Leaves out a last batch that is not full. */
  drop_last?: boolean;
  /** Seconds to wait for a batch of a worker; 0: as long as it takes. */
  timeout?: number;
  /** Functions cannot be sent to workers: declare it with `worker_dataset`. */
  worker_init_fn?: null;
  generator?: Generator | null;
  /** Batches that are begun ahead, for each worker: 2 unless given. Only with num_workers > 0. */
  prefetch_factor?: number | null;
  /** Workers stay between iterations, and so do their datasets, until `close()` or the loader's own end. */
  persistent_workers?: boolean;
  /** Taken for PyTorch's sake; memory here is never paged out on its way to a device. */
  pin_memory?: boolean;
  pin_memory_device?: string;
  /** false: batches come as they are ready. */
  in_order?: boolean;
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
  readonly timeout: number;
  readonly persistent_workers: boolean;
  readonly pin_memory: boolean;
  readonly in_order: boolean;
  readonly collate_fn: ((batch: T[]) => B) | null;
  private readonly worker: StartWorker | null;
  private readonly origin: Origin | null;
  private pool: WorkerPool | null = null;
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
    this.timeout = options.timeout ?? 0;
    this.persistent_workers = options.persistent_workers ?? false;
    this.pin_memory = options.pin_memory ?? false;
    this.in_order = options.in_order ?? true;
    this.worker = this.num_workers > 0 ? (options.worker ?? null) : null;
    this.origin = originOf(dataset);
    if (this.worker !== null && this.origin === null) {
      throw new TypeError(
        "DataLoader: with `worker`, the dataset (or what it is a Subset of) must come from a function declared by worker_dataset in the worker's file",
      );
    }
    this.generator = options.generator ?? null;
    this.drop_last = options.drop_last ?? false;
    this.collate_fn = options.collate_fn ?? null;
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

  /** Batches in one iteration; TypeError where the dataset or the sampler has no length. */
  get length(): number {
    if (this.dataset instanceof IterableDataset) {
      const length = lengthOf(this.dataset);
      if (length === undefined) throw new TypeError("DataLoader: this dataset has no length");
      return this.batch_size === null ? length : (this.drop_last ? Math.floor : Math.ceil)(length / this.batch_size);
    }
    const n = (this.batch_sampler ?? this.sampler)?.length;
    if (n === undefined) throw new TypeError("DataLoader: this sampler has no length");
    return n;
  }

  *[Symbol.iterator](): Iterator<B> {
    if (this.worker !== null)
      throw new RuntimeError("DataLoader: batches of workers have to be waited for; use `for await (const batch of loader)`");
    drawSeed(this.generator);
    const fetcher = this.fetcher();
    try {
      for (const wish of this.wishes()) {
        const fetched = fetcher.fetch(wish);
        if (fetched instanceof Promise) {
          fetched.catch(() => undefined);
          throw new RuntimeError("DataLoader: this dataset returns promises; use `for await (const batch of loader)`");
        }
        if (fetched === null) return;
        yield fetched.value;
      }
    } finally {
      fetcher.close();
    }
  }

  async *[Symbol.asyncIterator](): AsyncIterator<B> {
    if (this.worker === null) {
      drawSeed(this.generator); // PyTorch draws a seed for its workers whether it has any or not
      const fetcher = this.fetcher();
      try {
        yield* this.load(1, async (_, wish) => fetcher.fetch(wish));
      } finally {
        await fetcher.close();
      }
      return;
    }
    const pool = this.start(this.worker);
    const { place } = this.origin!;
    const { collate_fn } = this;
    try {
      yield* this.load(pool.size, async (lane, wish) => {
        const placed = typeof wish === "number" ? place(wish) : (wish?.map(place) ?? null);
        const fetched = (await pool.request(lane, placed)) as { value: unknown } | null;
        return fetched && { value: collate_fn === null ? (fetched.value as B) : collate_fn(fetched.value as T[]) };
      });
    } finally {
      if (this.pool === pool) pool.keepAlive(false);
      else pool.stop();
    }
  }

  /** Ends the workers that `persistent_workers` has kept. */
  close(): void {
    this.pool?.stop();
    this.pool = null;
    forgotten.unregister(this);
  }

  /** Batches of lanes that work beside each other, asked for in turns; a lane whose stream has ended is asked no more. */
  private async *load(
    lanes: number,
    request: (lane: number, wish: Wish) => Promise<Fetched<B>>,
  ): AsyncGenerator<B, void, undefined> {
    type Done = { lane: number; fetched: Fetched<B> };
    const ahead = this.num_workers * this.prefetch_factor;
    const wishes = this.wishes();
    const open = Array.from({ length: lanes }, (_, i) => i);
    let begun: Promise<Done>[] = [];
    let turn = 0;
    const fill = (most: number): void => {
      while (begun.length < most && open.length > 0) {
        const next = wishes.next();
        if (next.done === true) return;
        const lane = open[turn++ % open.length]!;
        const batch = request(lane, next.value).then((fetched) => ({ lane, fetched }));
        batch.catch(() => undefined); // reported when its turn comes
        begun.push(batch);
      }
    };
    try {
      for (;;) {
        fill(Math.max(1, ahead));
        if (begun.length === 0) return;
        const next = this.in_order ? begun[0]! : (await first(begun))[0];
        begun = begun.filter((batch) => batch !== next);
        const { lane, fetched } = await this.inTime(next);
        if (fetched === null) {
          const at = open.indexOf(lane);
          if (at >= 0) {
            // Whose turn it is stays the same.
            turn = turn % open.length;
            open.splice(at, 1);
            if (turn > at) turn--;
          }
          continue;
        }
        if (ahead > 0) fill(ahead);
        await this.turn(fetched.value);
        yield fetched.value;
      }
    } finally {
      wishes.return();
    }
  }

  private async inTime<X>(promise: Promise<X>): Promise<X> {
    if (this.timeout === 0) return promise;
    let timer: ReturnType<typeof setTimeout>;
    const late = new Promise<never>((_, reject) => {
      const error = new RuntimeError(`DataLoader timed out after ${this.timeout} seconds`);
      timer = setTimeout(() => reject(error), this.timeout * 1000);
    });
    return Promise.race([promise, late]).finally(() => clearTimeout(timer));
  }

  /** The workers of one iteration: new ones, or those that have stayed. */
  private start(worker: StartWorker): WorkerPool {
    const { pool, num_workers, batch_size, drop_last } = this;
    if (pool !== null) {
      pool.begin();
      pool.keepAlive(true);
      return pool;
    }
    const settings = { args: this.origin!.args, num_workers, batch_size, drop_last, raw: this.collate_fn !== null };
    const started = new WorkerPool(worker, { ...settings, seed: drawSeed(this.generator) });
    if (this.persistent_workers) {
      this.pool = started;
      forgotten.register(this, started, this);
    }
    return started;
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

  private fetcher(): Fetcher<B> {
    const collate = this.collate_fn ?? (this.origin?.options.collate_fn as ((batch: T[]) => B) | null | undefined) ?? null;
    return makeFetcher(this.dataset, { collate, batch_size: this.batch_size, drop_last: this.drop_last });
  }

  private *wishes(): globalThis.Generator<Wish, void, undefined> {
    if (this.dataset instanceof IterableDataset) for (;;) yield null;
    yield* (this.batch_sampler ?? this.sampler)!;
  }
}

/** Workers of loaders that nobody can reach any more. */
const forgotten = new FinalizationRegistry<WorkerPool>((pool) => pool.stop());

/** The first of the promises to be settled. */
function first<X>(promises: readonly Promise<X>[]): Promise<readonly [Promise<X>]> {
  return Promise.race(
    promises.map((promise) =>
      promise.then(
        () => [promise] as const,
        () => [promise] as const,
      ),
    ),
  );
}

function deviceOf(batch: unknown): Device | null {
  if (batch instanceof Tensor) return batch.device;
  if (!Array.isArray(batch)) return null;
  for (const part of batch) if (part instanceof Tensor) return part.device;
  return null;
}

function check<T, B>(dataset: Dataset<T> | IterableDataset<T>, options: DataLoaderOptions<T, B>): void {
  const { batch_size = 1, shuffle = null, sampler = null, batch_sampler = null, drop_last = false, num_workers = 0 } = options;
  const { timeout = 0, prefetch_factor = null, persistent_workers = false } = options;
  if (!(dataset instanceof Dataset) && !(dataset instanceof IterableDataset)) {
    throw new TypeError("DataLoader: argument 'dataset' must be a Dataset or an IterableDataset");
  }
  if (!Number.isInteger(num_workers) || num_workers < 0) {
    throw new ValueError("num_workers option should be non-negative; use num_workers: 0 to disable prefetching.");
  }
  if (timeout < 0) throw new ValueError(`timeout option should be non-negative, got ${timeout}`);
  if (num_workers === 0 && prefetch_factor !== null) {
    throw new ValueError("prefetch_factor option could only be specified with num_workers > 0, otherwise leave it null");
  }
  if (prefetch_factor !== null && (!Number.isInteger(prefetch_factor) || prefetch_factor < 1)) {
    throw new ValueError(`prefetch_factor option should be a positive whole number, got ${prefetch_factor}`);
  }
  if (persistent_workers && num_workers === 0) throw new ValueError("persistent_workers option needs num_workers > 0");
  if (options.worker_init_fn != null && num_workers > 0) {
    throw new TypeError(
      "DataLoader: worker_init_fn cannot be sent to a worker; declare it there: worker_dataset(make, { worker_init_fn })",
    );
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
