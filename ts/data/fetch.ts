/** One batch after another of a dataset, in whichever thread. */

import { default_collate, default_convert } from "./collate.ts";
import { IterableDataset, isPrompt, itemsOf, iterate, whenAll, type Dataset } from "./dataset.ts";

/** How samples become batches. */
export interface Recipe<T, B> {
  /** null: the default. */
  readonly collate: ((batch: T[]) => B) | null;
  /** For streams: samples in a batch; null: they come one by one. */
  readonly batch_size: number | null;
  readonly drop_last: boolean;
}

/** What to load: a sample, a batch of samples, or whatever comes next (null). */
export type Wish = number | readonly number[] | null;
/** null: there is nothing more. */
export type Fetched<B> = { readonly value: B } | null;

export interface Fetcher<B> {
  fetch(wish: Wish): Fetched<B> | Promise<Fetched<B>>;
  /** Tells a stream that nobody wants the rest. */
  close(): unknown;
}

export function makeFetcher<T, B>(dataset: Dataset<T> | IterableDataset<T>, recipe: Recipe<T, B>): Fetcher<B> {
  return dataset instanceof IterableDataset ? new StreamFetcher(dataset, recipe) : new MapFetcher(dataset, recipe);
}

const join = <T, B>({ collate }: Recipe<T, B>, samples: T[]): B =>
  collate === null ? (default_collate(samples) as B) : collate(samples);
const convert = <T, B>({ collate }: Recipe<T, B>, sample: T): B =>
  collate === null ? (default_convert(sample) as B) : collate(sample as never);

class MapFetcher<T, B> implements Fetcher<B> {
  constructor(
    readonly dataset: Dataset<T>,
    readonly recipe: Recipe<T, B>,
  ) {}
  fetch(wish: Wish): Fetched<B> | Promise<Fetched<B>> {
    const { dataset, recipe } = this;
    if (typeof wish === "number") return whenAll([dataset.get(wish)], ([sample]) => ({ value: convert(recipe, sample!) }));
    if (recipe.collate === null && dataset._collated !== undefined) return { value: dataset._collated(wish!) as B };
    return whenAll([itemsOf(dataset, wish!)], ([samples]) => ({ value: join(recipe, samples!) }));
  }
  close(): void {}
}

class StreamFetcher<T, B> implements Fetcher<B> {
  readonly #samples: Iterator<T> | AsyncIterator<T>;
  readonly #recipe: Recipe<T, B>;
  readonly #waits: boolean;
  #ended = false;
  /** Batches of a stream that has to be waited for are made one after the other. */
  #last: Promise<unknown> = Promise.resolve();

  constructor(dataset: IterableDataset<T>, recipe: Recipe<T, B>) {
    this.#samples = iterate(dataset);
    this.#recipe = recipe;
    this.#waits = !isPrompt(dataset);
  }

  fetch(): Fetched<B> | Promise<Fetched<B>> {
    if (!this.#waits) return this.#make(this.#collectNow());
    const made = this.#last.then(async () => this.#make(await this.#collect()));
    this.#last = made.catch(() => {}); // its own caller hears of it
    return made;
  }
  close(): unknown {
    if (this.#ended) return undefined;
    this.#ended = true;
    return this.#samples.return?.();
  }

  get #size(): number {
    return this.#recipe.batch_size ?? 1;
  }
  #collectNow(): T[] {
    const samples: T[] = [];
    while (!this.#ended && samples.length < this.#size) {
      const next = (this.#samples as Iterator<T>).next();
      if (next.done === true) this.#ended = true;
      else samples.push(next.value);
    }
    return samples;
  }
  async #collect(): Promise<T[]> {
    const samples: T[] = [];
    while (!this.#ended && samples.length < this.#size) {
      const next = await this.#samples.next();
      if (next.done === true) this.#ended = true;
      else samples.push(next.value);
    }
    return samples;
  }
  #make(samples: T[]): Fetched<B> {
    const { batch_size, drop_last } = this.#recipe;
    if (samples.length === 0 || (drop_last && samples.length < this.#size)) return null;
    return { value: batch_size === null ? convert(this.#recipe, samples[0]!) : join(this.#recipe, samples) };
  }
}
