/** The order in which samples are loaded. Under a seed it is PyTorch's. */

import { float64, int64 } from "../core/dtype.ts";
import { ValueError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import { Generator } from "../ops/generator.ts";

/** Anything that counts its samples. */
interface Sized {
  readonly length: number;
}

/** Numbers of samples (or lists of them), a new order at every iteration. */
export abstract class Sampler<I = number> {
  abstract [Symbol.iterator](): Iterator<I>;
  abstract get length(): number;
}

/** @internal A draw from 0 to 2^63 - 1, as PyTorch seeds its samplers and workers. */
export function drawSeed(generator: Generator | null): bigint {
  return BigInt(ops.empty([], { dtype: int64, device: "cpu" }).random_({ generator }).item_sync());
}

const permutation = (n: number, generator: Generator): number[] =>
  ops.randperm(n, { generator, device: "cpu" }).tolist_sync() as number[];

/** In order. */
export class SequentialSampler extends Sampler {
  constructor(readonly data_source: Sized) {
    super();
  }
  get length(): number {
    return this.data_source.length;
  }
  *[Symbol.iterator](): Iterator<number> {
    for (let i = 0; i < this.length; i++) yield i;
  }
}

export interface RandomSamplerOptions {
  /** Whether a sample may come more than once. */
  replacement?: boolean;
  /** As many as there are, unless given. */
  num_samples?: number | null;
  generator?: Generator | null;
}

/** In random order. */
export class RandomSampler extends Sampler {
  readonly replacement: boolean;
  readonly generator: Generator | null;
  private readonly wanted: number | null;

  constructor(
    readonly data_source: Sized,
    { replacement = false, num_samples = null, generator = null }: RandomSamplerOptions = {},
  ) {
    super();
    this.replacement = replacement;
    this.generator = generator;
    this.wanted = num_samples;
    if (!Number.isInteger(this.num_samples) || this.num_samples <= 0) {
      throw new ValueError(`num_samples should be a positive integer value, but got num_samples=${this.num_samples}`);
    }
  }
  get num_samples(): number {
    return this.wanted ?? this.data_source.length;
  }
  get length(): number {
    return this.num_samples;
  }
  *[Symbol.iterator](): Iterator<number> {
    const n = this.data_source.length;
    const count = this.num_samples;
    const generator = this.generator ?? new Generator("cpu").manual_seed(drawSeed(null));
    if (this.replacement) {
      // By 32, as PyTorch draws them.
      const draw = (size: number): number[] => ops.randint(0, n, [size], { generator, device: "cpu" }).tolist_sync() as number[];
      for (let i = 0; i < Math.floor(count / 32); i++) yield* draw(32);
      yield* draw(count % 32);
    } else {
      for (let i = 0; i < Math.floor(count / n); i++) yield* permutation(n, generator);
      yield* permutation(n, generator).slice(0, count % n);
    }
  }
}

/** The given numbers in random order. */
export class SubsetRandomSampler extends Sampler {
  readonly generator: Generator | null;
  constructor(
    readonly indices: readonly number[],
    { generator = null }: { generator?: Generator | null } = {},
  ) {
    super();
    this.generator = generator;
  }
  get length(): number {
    return this.indices.length;
  }
  *[Symbol.iterator](): Iterator<number> {
    const order = ops.randperm(this.length, { generator: this.generator, device: "cpu" }).tolist_sync() as number[];
    for (const i of order) yield this.indices[i]!;
  }
}

/**
 * Positions 0 to weights.length - 1, drawn with the probabilities that the weights stand in (they need not add up to 1), by
 * `torch.multinomial`. ValueError unless num_samples is a positive whole number and the weights are one list.
 */
export class WeightedRandomSampler extends Sampler {
  readonly weights: Tensor;
  readonly generator: Generator | null;

  constructor(
    weights: Tensor | readonly number[],
    readonly num_samples: number,
    readonly replacement = true,
    { generator = null }: { generator?: Generator | null } = {},
  ) {
    super();
    if (!Number.isInteger(num_samples) || num_samples <= 0) {
      throw new ValueError(`num_samples should be a positive integer value, but got num_samples=${num_samples}`);
    }
    if (typeof replacement !== "boolean") {
      throw new ValueError(`replacement should be a boolean value, but got replacement=${String(replacement)}`);
    }
    this.weights = ops.tensor(weights as number[], { dtype: float64, device: "cpu" });
    if (this.weights.ndim !== 1) {
      throw new ValueError(`weights should be a 1d sequence but given weights have shape [${this.weights.shape.join(", ")}]`);
    }
    this.generator = generator;
  }
  get length(): number {
    return this.num_samples;
  }
  *[Symbol.iterator](): Iterator<number> {
    const { weights, num_samples, replacement, generator } = this;
    yield* ops.multinomial(weights, num_samples, replacement, { generator }).tolist_sync() as number[];
  }
}

/** Lists of batch_size numbers; the last one may be shorter, or be left out. */
export class BatchSampler extends Sampler<number[]> {
  constructor(
    readonly sampler: Iterable<number> & Partial<Sized>,
    readonly batch_size: number,
    readonly drop_last: boolean,
  ) {
    super();
    if (!Number.isInteger(batch_size) || batch_size <= 0) {
      throw new ValueError(`batch_size should be a positive integer value, but got batch_size=${batch_size}`);
    }
  }
  get length(): number {
    const n = this.sampler.length;
    if (n === undefined) throw new TypeError("the sampler has no length");
    return this.drop_last ? Math.floor(n / this.batch_size) : Math.ceil(n / this.batch_size);
  }
  *[Symbol.iterator](): Iterator<number[]> {
    let batch: number[] = [];
    for (const i of this.sampler) {
      batch.push(i);
      if (batch.length === this.batch_size) {
        yield batch;
        batch = [];
      }
    }
    if (batch.length > 0 && !this.drop_last) yield batch;
  }
}
