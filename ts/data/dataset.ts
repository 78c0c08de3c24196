/** What data loaders load from. */

import { IndexError, RuntimeError, ValueError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import type { Generator } from "../ops/generator.ts";
import { int64 } from "../core/dtype.ts";

/** Samples by number: `get` and `length` are Python's `__getitem__` and `__len__`. */
export abstract class Dataset<T> {
  /** Sample number `index`; where it has to be waited for, a promise. */
  abstract get(index: number): T | Promise<T>;
  abstract get length(): number;
  /** Several samples at once, for datasets that are quicker so: Python's `__getitems__`. */
  get_items?(indices: readonly number[]): T[] | Promise<T[]>;
  /** This dataset and another one after it: Python's `+`. */
  concat<U>(other: Dataset<U>): ConcatDataset<T | U> {
    return new ConcatDataset<T | U>([this, other]);
  }
  /** @internal Several samples, collated already: quicker than one by one. Undefined where there is no such way. */
  _collated?(indices: readonly number[]): unknown;
}

/**
 * Samples that only come one after another, from `[Symbol.iterator]` or, where they have to be waited for, `[Symbol.asyncIterator]`. In
 * workers each has all of the stream, unless it takes its share by `get_worker_info()`. A `length`, where there is one, is the loader's.
 */
export abstract class IterableDataset<T> {
  /** @internal Only a type. */
  declare readonly _sample?: T;
  /** This stream and another one after it: Python's `+`. */
  concat<U>(other: IterableDataset<U>): ChainDataset<T | U> {
    return new ChainDataset<T | U>([this, other]);
  }
}

/** What a stream has: one of the first two. They are no members of the class, so that subclasses need no `override`. */
interface Stream<T> {
  [Symbol.iterator]?(): Iterator<T>;
  [Symbol.asyncIterator]?(): AsyncIterator<T>;
  readonly length?: number;
}
const streamOf = <T>(dataset: IterableDataset<T>): Stream<T> => dataset as unknown as Stream<T>;

/** @internal Whether it has its samples at hand. */
export const isPrompt = (dataset: IterableDataset<unknown>): boolean => streamOf(dataset)[Symbol.iterator] !== undefined;

/** @internal Its length, where a stream has one. */
export function lengthOf(dataset: IterableDataset<unknown>): number | undefined {
  return streamOf(dataset).length;
}

/** @internal The samples of a stream, whichever way it gives them. */
export function iterate<T>(dataset: IterableDataset<T>): Iterator<T> | AsyncIterator<T> {
  const stream = streamOf(dataset);
  const iterator = stream[Symbol.iterator]?.() ?? stream[Symbol.asyncIterator]?.();
  if (iterator === undefined) {
    throw new TypeError(`${dataset.constructor.name}: an IterableDataset needs [Symbol.iterator] or [Symbol.asyncIterator]`);
  }
  return iterator;
}

/** Streams one after another; `for await` over it, or a plain `for` where all of them have their samples at hand. */
export class ChainDataset<T> extends IterableDataset<T> {
  readonly datasets: readonly IterableDataset<T>[];
  constructor(datasets: Iterable<IterableDataset<T>>) {
    super();
    this.datasets = [...datasets];
    if (this.datasets.some((d) => !(d instanceof IterableDataset))) {
      throw new TypeError("ChainDataset only supports IterableDataset");
    }
    // A plain iterator would promise what a stream that has to be waited for cannot keep.
    if (!this.datasets.every(isPrompt)) Object.assign(this, { [Symbol.iterator]: undefined });
  }
  *[Symbol.iterator](): Generator_<T> {
    for (const dataset of this.datasets) yield* { [Symbol.iterator]: () => iterate(dataset) as Iterator<T> };
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<T, void, undefined> {
    for (const dataset of this.datasets) {
      if (isPrompt(dataset)) yield* { [Symbol.iterator]: () => iterate(dataset) as Iterator<T> };
      else yield* { [Symbol.asyncIterator]: () => iterate(dataset) as AsyncIterator<T> };
    }
  }
  get length(): number {
    return this.datasets.reduce((sum, dataset) => {
      const length = lengthOf(dataset);
      if (length === undefined) throw new TypeError(`ChainDataset: ${dataset.constructor.name} has no length`);
      return sum + length;
    }, 0);
  }
}
type Generator_<T> = globalThis.Generator<T, void, undefined>;

/** Tensors of equal first dimension: sample i is row i of each. */
export class TensorDataset<const T extends readonly Tensor[]> extends Dataset<T> {
  readonly tensors: T;
  constructor(...tensors: T) {
    super();
    if (tensors.length === 0) throw new ValueError("TensorDataset: expected at least one tensor");
    const sizes = tensors.map((t) => {
      if (t.ndim === 0) throw new ValueError("TensorDataset: a tensor without dimensions has no rows");
      return t.size(0);
    });
    if (sizes.some((n) => n !== sizes[0]))
      throw new ValueError(`Size mismatch between tensors: first dimensions are ${sizes.join(", ")}`);
    this.tensors = tensors;
  }
  get length(): number {
    return this.tensors[0]!.size(0);
  }
  get(index: number): T {
    checkIndex("TensorDataset", index, this.length);
    return this.tensors.map((t) => t.select(0, index)) as unknown as T;
  }
  /** @internal */
  override _collated(indices: readonly number[]): Tensor[] {
    const n = this.length;
    const rows = indices.map((i) => (checkIndex("TensorDataset", i, n), i < 0 ? i + n : i));
    const positions = new Map<unknown, Tensor>();
    return this.tensors.map((t) => {
      let at = positions.get(t.device);
      if (at === undefined) positions.set(t.device, (at = ops.tensor(rows, { dtype: int64, device: t.device })));
      return t.index_select(0, at);
    });
  }
}

type Sample<D> = D extends Dataset<infer T> ? T : never;
type Named = Readonly<Record<string, Dataset<unknown>>>;

/** A sample of datasets side by side. */
export type Stacked<D extends readonly unknown[]> = D extends readonly [infer N extends Named]
  ? N extends Dataset<unknown>
    ? [Sample<N>]
    : { -readonly [K in keyof N]: Sample<N[K]> }
  : { -readonly [K in keyof D]: Sample<D[K]> };

/** Datasets of equal length side by side: a sample is a list of theirs, or an object where they are given by name. */
export class StackDataset<const D extends readonly (Dataset<unknown> | Named)[]> extends Dataset<Stacked<D>> {
  readonly datasets: readonly Dataset<unknown>[] | Named;
  readonly length: number;
  private readonly names: readonly string[] | null;
  private readonly list: readonly Dataset<unknown>[];

  constructor(...datasets: D) {
    super();
    const [first] = datasets as readonly unknown[];
    if (first === undefined) throw new ValueError("At least one dataset should be passed");
    const named = !(first instanceof Dataset);
    this.datasets = named ? (first as Named) : (datasets as readonly Dataset<unknown>[]);
    this.names = named ? Object.keys(first as Named) : null;
    this.list = Object.values(this.datasets) as Dataset<unknown>[];
    if (this.list.length === 0) throw new ValueError("At least one dataset should be passed");
    if ((named && datasets.length > 1) || this.list.some((d) => !(d instanceof Dataset))) {
      throw new ValueError("StackDataset: expected either datasets, or one object of datasets by their names, not both");
    }
    const sizes = this.list.map((d) => d.length);
    if (sizes.some((n) => n !== sizes[0])) throw new ValueError(`Size mismatch between datasets: ${sizes.join(", ")}`);
    this.length = sizes[0]!;
  }
  get(index: number): Stacked<D> | Promise<Stacked<D>> {
    checkIndex("StackDataset", index, this.length);
    return whenAll(
      this.list.map((d) => d.get(index)),
      (parts) => this.join(parts) as Stacked<D>,
    );
  }
  override get_items(indices: readonly number[]): Stacked<D>[] | Promise<Stacked<D>[]> {
    return whenAll(
      this.list.map((d) => itemsOf(d, indices)),
      (columns) =>
        indices.map((_, row) =>
          this.join(
            columns.map((column, i) => {
              if (column.length === indices.length) return column[row];
              throw new ValueError(
                `Nested dataset's output size mismatch. Expected ${indices.length}, got ${column.length} (${i})`,
              );
            }),
          ),
        ),
    ) as never;
  }
  private join(parts: readonly unknown[]): unknown {
    return this.names === null ? parts : Object.fromEntries(this.names.map((name, i) => [name, parts[i]]));
  }
}

/** @internal `f` of all values: at once where none of them is a promise. */
export function whenAll<A, B>(values: readonly (A | Promise<A>)[], f: (values: A[]) => B): B | Promise<B> {
  return values.some((v) => v instanceof Promise) ? Promise.all(values).then(f) : f(values as A[]);
}

/** @internal Several samples, by `get_items` where the dataset has it. */
export function itemsOf<T>(dataset: Dataset<T>, indices: readonly number[]): T[] | Promise<T[]> {
  if (dataset.get_items === undefined) return whenAll(indices.map((i) => dataset.get(i)), (all) => all); // prettier-ignore
  return whenAll([dataset.get_items(indices)], ([items]) => {
    if (items!.length === indices.length) return items!;
    throw new RuntimeError(
      `${dataset.constructor.name}.get_items: was asked for ${indices.length} samples and gave ${items!.length}`,
    );
  });
}

/** Some of the samples of a dataset, by their numbers. */
export class Subset<T> extends Dataset<T> {
  constructor(
    readonly dataset: Dataset<T>,
    readonly indices: readonly number[],
  ) {
    super();
    if (dataset._collated !== undefined) this._collated = (at) => dataset._collated!(at.map((i) => this.at(i)));
    if (dataset.get_items !== undefined) this.get_items = (at) => dataset.get_items!(at.map((i) => this.at(i)));
  }
  get length(): number {
    return this.indices.length;
  }
  get(index: number): T | Promise<T> {
    return this.dataset.get(this.at(index));
  }
  /** @internal The number that sample `index` has in the dataset. */
  at(index: number): number {
    checkIndex("Subset", index, this.length);
    return this.indices.at(index)!;
  }
}

/** Datasets one after another. */
export class ConcatDataset<T> extends Dataset<T> {
  readonly datasets: readonly Dataset<T>[];
  readonly cumulative_sizes: readonly number[];
  constructor(datasets: Iterable<Dataset<T>>) {
    super();
    this.datasets = [...datasets];
    if (this.datasets.length === 0) throw new ValueError("datasets should not be an empty iterable");
    if (this.datasets.some((d) => (d as unknown) instanceof IterableDataset)) {
      throw new TypeError("ConcatDataset does not support IterableDataset");
    }
    let sum = 0;
    this.cumulative_sizes = this.datasets.map((d) => (sum += d.length));
  }
  get length(): number {
    return this.cumulative_sizes.at(-1)!;
  }
  get(index: number): T | Promise<T> {
    checkIndex("ConcatDataset", index, this.length);
    const i = index < 0 ? index + this.length : index;
    const at = this.cumulative_sizes.findIndex((end) => i < end);
    return this.datasets[at]!.get(i - (at === 0 ? 0 : this.cumulative_sizes[at - 1]!));
  }
}

function checkIndex(name: string, index: number, length: number): void {
  if (!Number.isInteger(index) || index < -length || index >= length) {
    throw new IndexError(`${name}: index ${index} is out of range of ${length} samples`);
  }
}

/** Splits a dataset at random into parts of the given sizes, or of the given shares of it. */
export function random_split<T>(
  dataset: Dataset<T>,
  lengths: readonly number[],
  { generator = null }: { generator?: Generator | null } = {},
): Subset<T>[] {
  const n = dataset.length;
  let sizes = [...lengths];
  const sum = sizes.reduce((a, b) => a + b, 0);
  if (Math.abs(sum - 1) <= 1e-9 && !(sizes.length === 1 && n === 1)) {
    for (const share of sizes)
      if (share < 0 || share > 1) throw new ValueError(`random_split: a share of ${share} is not between 0 and 1`);
    sizes = sizes.map((share) => Math.floor(n * share));
    const rest = n - sizes.reduce((a, b) => a + b, 0);
    for (let i = 0; i < rest; i++) sizes[i % sizes.length]!++;
  }
  const total = sizes.reduce((a, b) => a + b, 0);
  if (total !== n) {
    throw new ValueError(`Sum of input lengths does not equal the length of the input dataset! (${total} and ${n})`);
  }
  const order = ops.randperm(n, { generator, device: "cpu" }).tolist_sync() as number[];
  let end = 0;
  return sizes.map((size) => new Subset(dataset, order.slice(end, (end += size))));
}
