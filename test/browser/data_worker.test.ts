/** A DataLoader's workers: the same client and the same worker in Chromium (isolated and not) and in Node. */

import { build } from "esbuild";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { beforeAll, describe, expect, it } from "vitest";
import { bundleProgram, root, useBrowser, type Program } from "./harness.ts";
import * as client from "./programs/data_client.ts";

type Client = typeof client;
type Caller = <K extends keyof Client & string>(
  name: K,
  ...rest: Parameters<Client[K]> extends [string, ...infer R] ? R : never
) => Promise<Awaited<ReturnType<Client[K]>>>;

const browser = useBrowser();
let program: Program<Client>;
let workerPath: string;
const nodeWorker = join(root, "build/browser/data_worker.node.mjs");

beforeAll(async () => {
  program = await bundleProgram<Client>("./programs/data_client.ts");
  workerPath = (await bundleProgram("./programs/data_worker.ts")).url;
  await build({
    entryPoints: [join(root, "test/browser/programs/data_worker.ts")],
    outfile: nodeWorker,
    bundle: true,
    format: "esm",
    platform: "node",
    alias: { kindling: join(root, "ts/entry.node.ts") },
    ignoreAnnotations: true,
    logLevel: "silent",
  });
});

const inNode: Caller = (name, ...rest) => {
  const call = client[name] as unknown as (url: string, ...rest: unknown[]) => Promise<never>;
  return call(pathToFileURL(nodeWorker).href, ...rest);
};
const inPage =
  (isolated: boolean): Caller =>
  async (name, ...rest) => {
    const page = await browser.open({ isolated });
    const url = new URL(workerPath, page.page.url()).href;
    return page.run(program, name, ...([url, ...rest] as never)) as Promise<never>;
  };

const counted = [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]; // prettier-ignore

describe.each([
  ["Node", inNode],
  ["an isolated page", inPage(true)],
  ["a page that is not isolated", inPage(false)],
] as const)("in %s", (_where, call) => {
  it("batches come in order, from the workers in turns", async () => {
    const seen = await call("loads", { num_workers: 2 });
    expect(seen.rows).toEqual([...counted, ...counted]);
    expect(seen.workers.map((ids) => [...new Set(ids)])).toEqual([[0], [1], [0], [1], [0], [1], [0], [1]]);
    expect(seen.noise[0]).not.toEqual(seen.noise[1]); // each worker has its own seed
    const again = await call("loads", { num_workers: 2, prefetch_factor: 4 });
    expect(again.noise).toEqual(seen.noise); // and the same one the next time
  });

  it("streams are split, and end where the last worker ends", async () => {
    expect(await call("streams", 0)).toEqual([[0, 1], [2, 3], [4, 5], [6, 7], [8, 9], [10]]); // prettier-ignore
    expect(await call("streams", 2)).toEqual([[0, 2], [1, 3], [4, 6], [5, 7], [8, 10], [9]]); // prettier-ignore
    expect(await call("streams", 3)).toEqual([[0, 3], [1, 4], [2, 5], [6, 9], [7, 10], [8]]); // prettier-ignore
  });

  it("errors come when their batch's turn does, with the worker's stack", async () => {
    const value = { seen: [0, 1, 2], name: "ValueError", message: "sample 3 is broken", traced: true };
    expect(await call("breaks", { kind: "squares", n: 6, broken: 3 })).toEqual(value);
    const fails = { seen: [], name: "TypeError", message: "no such folder", traced: true };
    expect(await call("breaks", { kind: "fails", n: 6 })).toEqual(fails);
  });

  it("a loop can be left, and workers that persist serve the next one", async () => {
    const rows = Array.from({ length: 10 }, (_, i) => [0, 1, 2, 3].map((j) => 4 * i + j));
    expect(await call("leaves")).toEqual([rows[0], rows[1], ...rows]);
  });
});

it("orders are the same with workers and without", async () => {
  const none = await inNode("loads", { shuffle: true, worker: null });
  const some = await inNode("loads", { shuffle: true, num_workers: 2 });
  // Without workers the samples' own draws come between the first iteration and the second, as in PyTorch.
  expect(some.rows.slice(0, 4)).toEqual(none.rows.slice(0, 4));
  const kept = await inNode("loads", { shuffle: true, num_workers: 2, persistent_workers: true });
  expect(kept.rows.slice(0, 4)).toEqual(some.rows.slice(0, 4));
  // Workers that stay are not seeded again, so that draw is left out, too.
  expect(kept.rows.slice(4)).not.toEqual(some.rows.slice(4));
});

it("parts of a dataset, samples collated here, batches as they come", async () => {
  const [indices, seen] = (await inNode("parts")) as [number[], number[][]];
  expect(seen.flat()).toEqual(indices);
  expect(seen.map((b) => b.length)).toEqual([2, 1]);
  const { rows } = await inNode("loads", { num_workers: 2, in_order: false });
  expect(rows.flat().sort((a, b) => a - b)).toEqual([...Array(10).keys()].flatMap((i) => [i, i]));
});

it("a worker that takes too long", async () => {
  const value = await inNode("breaks", { kind: "hangs", n: 6 }, { timeout: 1 });
  expect(value).toMatchObject({ name: "RuntimeError", message: "DataLoader timed out after 1 seconds" });
});
