/** What data loaders load from. */

import { IndexError, ValueError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import type { Generator } from "../ops/random.ts";
import { int64 } from "../core/dtype.ts";

/** Samples by number: `get` and `length` are Python's `__getitem__` and `__len__`. */
export abstract class Dataset<T> {
  /** Sample number `index`; where it has to be waited for, a promise. */
  abstract get(index: number): T | Promise<T>;
  abstract get length(): number;
  /** @internal Several samples, collated already: quicker than one by one. Undefined where there is no such way. */
  _collated?(indices: readonly number[]): unknown;
}

/** Samples that only come one after another. */
export abstract class IterableDataset<T> {
  abstract [Symbol.iterator](): Iterator<T>;
}

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

/** Some of the samples of a dataset, by their numbers. */
export class Subset<T> extends Dataset<T> {
  constructor(
    readonly dataset: Dataset<T>,
    readonly indices: readonly number[],
  ) {
    super();
    if (dataset._collated !== undefined) this._collated = (at) => dataset._collated!(at.map((i) => this.at(i)));
  }
  get length(): number {
    return this.indices.length;
  }
  get(index: number): T | Promise<T> {
    return this.dataset.get(this.at(index));
  }
  private at(index: number): number {
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
