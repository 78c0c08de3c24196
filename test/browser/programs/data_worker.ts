/** Data for a loader's workers, for test/browser/data_worker.test.ts: in browsers and in Node. */

import * as torch from "kindling";

const { Dataset, IterableDataset, get_worker_info, worker_dataset } = torch.utils.data;

export interface Sample {
  readonly x: torch.Tensor;
  readonly index: number;
  readonly worker: number;
  readonly noise: torch.Tensor;
}

/** `spin`: milliseconds of work for each sample. */
class Squares extends Dataset<Sample> {
  made = 0;
  constructor(
    readonly length: number,
    readonly spin: number,
    readonly broken: number,
  ) {
    super();
  }
  async get(index: number): Promise<Sample> {
    const until = performance.now() + this.spin;
    while (performance.now() < until);
    if (index === this.broken) throw new torch.ValueError(`sample ${index} is broken`);
    await Promise.resolve();
    const worker = get_worker_info()?.id ?? -1;
    return { x: torch.full([2, 3], index * index), index, worker, noise: torch.rand(2) };
  }
}

/** From 0 to n - 1, each worker its share; the last of more workers has less. */
class Count extends IterableDataset<number> {
  constructor(readonly n: number) {
    super();
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<number> {
    const { id, num_workers } = get_worker_info() ?? { id: 0, num_workers: 1 };
    for (let i = id; i < this.n; i += num_workers) yield i;
  }
}

const started = { init: -1 };

export interface Wanted {
  readonly kind: "squares" | "count" | "init" | "fails" | "hangs";
  readonly n: number;
  readonly spin?: number;
  readonly broken?: number;
}

export const dataset = worker_dataset(
  ({ kind, n, spin = 0, broken = -1 }: Wanted) => {
    const inWorker = typeof document === "undefined" && (globalThis as { isMain?: boolean }).isMain !== true;
    if (kind === "fails" && inWorker) throw new TypeError("no such folder");
    if (kind === "hangs" && inWorker) return new Squares(n, 1e9, -1);
    if (kind === "count") return new Count(n) as unknown as Squares;
    return new Squares(n, spin, broken);
  },
  { worker_init_fn: (id) => void (started.init = id) },
);
