/** The digits example against PyTorch: same seed, so the same weights, batches, shifts and dropout, and the same losses. */

import * as torch from "kindling";
import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";
import { expect, it } from "vitest";
import { parseDigits, train, type Progress } from "../../examples/digits/train.ts";

const csv = gunzipSync(readFileSync("examples/digits/digits.csv.gz")).toString();
const data = parseDigits(csv, "cpu");

class Enough extends Error {}

/** Losses of the first `count` steps. */
async function losses(count: number, epochs: number, seed: number): Promise<number[]> {
  const seen: number[] = [];
  const onProgress = ({ loss }: Progress): void => {
    seen.push(loss);
    if (seen.length === count) throw new Enough();
  };
  await train(data.train, { epochs, seed, onProgress }).catch((e: unknown) => {
    if (!(e instanceof Enough)) throw e;
  });
  return seen;
}

it("follows PyTorch's loss curve from the same seed for 100 steps", async () => {
  const golden = JSON.parse(readFileSync("test/golden/digits_curve.json", "utf8")) as {
    epochs: number;
    seed: number;
    losses: number[];
  };
  const ours = await losses(100, golden.epochs, golden.seed);
  expect(ours).toHaveLength(100);
  ours.forEach((loss, i) => expect(Math.abs(loss - golden.losses[i]!), `step ${i}`).toBeLessThan(1e-4));
}, 60_000);

it("gives the same numbers twice and on any number of threads", async () => {
  const before = torch.get_num_threads();
  const runs: number[][] = [];
  for (const threads of [1, 1, 2, 3]) {
    torch.set_num_threads(threads);
    runs.push(await losses(8, 1, 7));
  }
  torch.set_num_threads(before);
  for (const run of runs) expect(run).toEqual(runs[0]);
}, 60_000);
