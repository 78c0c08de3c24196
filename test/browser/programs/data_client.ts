/** The other side of data_worker.ts: the same code in a page and in Node. `url`: where the worker's file lies. */

import * as torch from "kindling";
import { dataset, type Sample, type Wanted } from "./data_worker.ts";

const { DataLoader, random_split } = torch.utils.data;
(globalThis as { isMain?: boolean }).isMain = true;

type Batch = torch.utils.data.Collated<Sample>;
type Options = torch.utils.data.DataLoaderOptions<Sample, Batch>;

const loaderOf = (url: string, wanted: Wanted, options: Options) =>
  new DataLoader(dataset(wanted), {
    worker: (Worker) => new Worker(new URL(url), { type: "module" }),
    ...options,
  });
const flat = async (t: torch.Tensor): Promise<number[]> => (await t.reshape(-1).tolist()) as number[];

/** Indices, workers and noise of the batches of two iterations. */
export async function loads(
  url: string,
  options: Options,
): Promise<{ rows: number[][]; workers: number[][]; noise: number[][] }> {
  torch.manual_seed(5);
  const loader = loaderOf(url, { kind: "squares", n: 10 }, { batch_size: 3, ...options });
  const seen = { rows: [] as number[][], workers: [] as number[][], noise: [] as number[][] };
  for (let epoch = 0; epoch < 2; epoch++) {
    for await (const { x, index, worker, noise } of loader) {
      const rows = await flat(index);
      const squares = await flat(x.sum([1, 2]).div(6));
      if (squares.some((s, i) => s !== rows[i]! ** 2)) throw new Error(`x of ${rows.join(", ")} is ${squares.join(", ")}`);
      seen.rows.push(rows);
      seen.workers.push(await flat(worker));
      seen.noise.push(await flat(noise));
    }
  }
  loader.close();
  return seen;
}

export async function streams(url: string, num_workers: number): Promise<number[][]> {
  const loader = loaderOf(url, { kind: "count", n: 11 }, { batch_size: 2, num_workers });
  const batches: number[][] = [];
  for await (const batch of loader) batches.push(await flat(batch as unknown as torch.Tensor));
  return batches;
}

/** Batches before the error, and the error. */
export async function breaks(url: string, wanted: Wanted, options: Options = {}): Promise<object> {
  const seen: number[] = [];
  try {
    for await (const { index } of loaderOf(url, wanted, { num_workers: 2, ...options })) seen.push(...(await flat(index)));
  } catch (error) {
    const { name, message, stack } = error as Error;
    return { seen, name, message, traced: stack!.includes("data_worker") };
  }
  return { seen };
}

/** Leaves persistent workers in the middle, and comes back. */
export async function leaves(url: string): Promise<number[][]> {
  const loader = loaderOf(url, { kind: "squares", n: 40, spin: 1 }, { num_workers: 2, persistent_workers: true, batch_size: 4 });
  const seen: number[][] = [];
  for await (const { index } of loader) {
    seen.push(await flat(index));
    if (seen.length === 2) break;
  }
  for await (const { index } of loader) seen.push(await flat(index));
  loader.close();
  return seen;
}

/** A part of a dataset, with a collate_fn of this thread. */
export async function parts(url: string): Promise<unknown> {
  torch.manual_seed(1);
  const [, part] = random_split(dataset({ kind: "squares", n: 10 }), [7, 3]);
  const loader = new DataLoader(part!, {
    batch_size: 2,
    num_workers: 1,
    worker: (Worker) => new Worker(new URL(url), { type: "module" }),
    collate_fn: (samples) => samples.map((s) => s.index),
  });
  const seen: number[][] = [];
  for await (const indices of loader) seen.push(indices);
  return [part!.indices, seen];
}
