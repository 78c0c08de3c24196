/**
 * Datasets in workers. Functions and objects with methods cannot be sent to another thread; so the worker's file, which is an ordinary
 * module of the program, declares how the dataset is made, and each thread makes its own.
 */

import { RuntimeError } from "../core/errors.ts";
import { resolveDevice } from "../ops/devices.ts";
import { manual_seed } from "../ops/generator.ts";
import { packError, type PackedError } from "../workers/message.ts";
import { declareMain, type WorkerTask } from "../workers/worker.ts";
import { Dataset, IterableDataset, Subset } from "./dataset.ts";
import { makeFetcher, type Fetcher, type Wish } from "./fetch.ts";

type AnyDataset = Dataset<unknown> | IterableDataset<unknown>;

export interface WorkerDatasetOptions<T = never> {
  /** What makes a batch of samples, in the worker: instead of `default_collate`. */
  collate_fn?: ((batch: T[]) => unknown) | null;
  /** Called in each worker when its dataset is there and its generator seeded, with the worker's number. */
  worker_init_fn?: ((worker_id: number) => void | Promise<void>) | null;
}

/** What a worker is told first. */
export interface WorkerSettings {
  readonly args: readonly unknown[];
  readonly id: number;
  readonly num_workers: number;
  readonly seed: bigint;
  readonly batch_size: number | null;
  readonly drop_last: boolean;
  /** Whether batches leave as lists of samples, since the thread that loads collates them itself. */
  readonly raw: boolean;
}
/** `begin`: a new iteration; what was asked for before it is no longer wanted. */
export type WorkerWish = { readonly id: number; readonly wish: Wish } | "begin";
export type WorkerAnswer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly end: true }
  | { readonly id: number; readonly error: PackedError };

export interface WorkerInfo {
  /** The worker's number, from 0 on. */
  readonly id: number;
  readonly num_workers: number;
  /** What the worker's default generator was seeded with: the loader's draw plus the number. */
  readonly seed: bigint;
  /** The worker's own dataset. */
  readonly dataset: unknown;
}

let current: WorkerInfo | null = null;

/** In a DataLoader's worker: which one it is of how many. null everywhere else. */
export function get_worker_info(): WorkerInfo | null {
  return current;
}

/** How a dataset was made, so that a worker can make it, too. */
export interface Origin {
  readonly args: readonly unknown[];
  readonly options: WorkerDatasetOptions;
  /** From a sample's number to its number in what the worker makes. */
  readonly place: (index: number) => number;
}
const made = new WeakMap<object, Omit<Origin, "place">>();

/** How `dataset`, or what it is a Subset of, was made; null where that was not by `worker_dataset`. */
export function originOf(dataset: object): Origin | null {
  if (dataset instanceof Subset) {
    const inner = originOf(dataset.dataset);
    return inner && { ...inner, place: (index) => inner.place(dataset.at(index)) };
  }
  const origin = made.get(dataset);
  return origin === undefined ? null : { ...origin, place: (index) => index };
}

/**
 * Declares the dataset that this file is for, one per file. The file runs in the loader's workers, and is imported by the program:
 *
 *     // photos.ts
 *     export const photos = data.worker_dataset((folder: string) => new Photos(folder));
 *
 *     // main.ts
 *     const loader = new data.DataLoader(photos("train"), {
 *       num_workers: 2,
 *       worker: (Worker) => new Worker(new URL("./photos.ts", import.meta.url), { type: "module" }),
 *     });
 *
 * Returns the function; what it makes remembers its arguments (structured clones, which may hold tensors), and workers call it with the
 * same. It may be asynchronous. `collate_fn` and `worker_init_fn` are declared here, too, as they run in the worker.
 */
export function worker_dataset<A extends readonly unknown[], D extends AnyDataset | Promise<AnyDataset>>(
  make: (...args: A) => D,
  options: WorkerDatasetOptions<Awaited<D> extends Dataset<infer T> | IterableDataset<infer T> ? T : never> = {},
): (...args: A) => D {
  const untyped = make as unknown as (...args: readonly unknown[]) => AnyDataset | Promise<AnyDataset>;
  declareMain("data", (task: WorkerTask<WorkerAnswer, WorkerWish>, settings: WorkerSettings) =>
    serve(task, settings, untyped, options as WorkerDatasetOptions),
  );
  return (...args: A) => {
    const remember = <T extends object>(dataset: T): T => {
      made.set(dataset, { args, options: options as WorkerDatasetOptions });
      return dataset;
    };
    const dataset = make(...args);
    return (dataset instanceof Promise ? dataset.then(remember) : remember(dataset)) as D;
  };
}

async function serve(
  task: WorkerTask<WorkerAnswer, WorkerWish>,
  settings: WorkerSettings,
  make: (...args: readonly unknown[]) => AnyDataset | Promise<AnyDataset>,
  { collate_fn = null, worker_init_fn = null }: WorkerDatasetOptions,
): Promise<void> {
  const { id, num_workers, seed, batch_size, drop_last, raw } = settings;
  resolveDevice("cpu").threads = 1; // the other processors are for the other workers
  const dataset = await make(...settings.args);
  if (!(dataset instanceof Dataset) && !(dataset instanceof IterableDataset)) {
    throw new RuntimeError("worker_dataset: expected the function to make a Dataset or an IterableDataset");
  }
  current = { id, num_workers, seed: seed + BigInt(id), dataset };
  manual_seed(current.seed);
  await worker_init_fn?.(id);
  const collate = raw ? (samples: unknown) => samples : (collate_fn as ((batch: unknown[]) => unknown) | null);

  let fetcher: Fetcher<unknown> | null = null;
  const answer = async ({ id, wish }: Exclude<WorkerWish, "begin">): Promise<WorkerAnswer> => {
    try {
      fetcher ??= makeFetcher<unknown, unknown>(dataset, { collate, batch_size, drop_last });
      const fetched = await fetcher.fetch(wish);
      return fetched === null ? { id, end: true } : { id, value: fetched.value };
    } catch (error) {
      return { id, error: packError(error) };
    }
  };
  let wishes: WorkerWish[] = [];
  for await (const next of task.messages) {
    wishes.push(next);
    while (wishes.length > 0) {
      for (let more = task.take(); more !== undefined; more = task.take()) wishes.push(more);
      const begin = wishes.lastIndexOf("begin");
      if (begin >= 0) {
        wishes = wishes.slice(begin + 1);
        await (fetcher as Fetcher<unknown> | null)?.close();
        fetcher = null;
        continue;
      }
      const answered = await answer(wishes.shift() as Exclude<WorkerWish, "begin">);
      try {
        await task.report(answered);
      } catch (error) {
        await task.report({ id: answered.id, error: packError(error) }); // a batch that cannot be cloned
      }
    }
  }
  await (fetcher as Fetcher<unknown> | null)?.close();
}
