/**
 * npm run bench:loader -- [--batches N] [--rounds N]
 * A DataLoader with 0, 1 and 2 workers, each feeding a training step; times per batch, medians over rounds that take turns.
 */

import * as torch from "kindling";
import { nn, optim, type Tensor } from "kindling";
import { availableParallelism } from "node:os";
import { performance } from "node:perf_hooks";
import { parseArgs } from "node:util";
import { summarize } from "../measure.ts";
import { photos } from "./photos.mjs";

const { values } = parseArgs({
  options: { batches: { type: "string", default: "12" }, rounds: { type: "string", default: "5" } },
});
const BATCH = 16;
const batches = Number(values.batches);
torch.set_num_threads(1);

const model = new nn.Sequential(
  new nn.Conv2d(3, 16, 3, { padding: 1 }),
  new nn.ReLU(),
  new nn.Conv2d(16, 32, 3, { stride: 2, padding: 1 }),
  new nn.ReLU(),
  new nn.Flatten(),
  new nn.Linear(32 * 16 * 16, 10),
);
const adam = new optim.Adam(model.parameters(), { lr: 1e-3 });
function step(x: Tensor, y: Tensor): void {
  adam.zero_grad();
  const loss = nn.functional.cross_entropy(model(x), y);
  loss.backward();
  adam.step();
  loss.item_sync();
}

const data = photos(BATCH * batches) as unknown as torch.utils.data.Dataset<[Tensor, number]>;
const loaders = [0, 1, 2].map(
  (num_workers) =>
    new torch.utils.data.DataLoader(data, {
      batch_size: BATCH,
      num_workers,
      persistent_workers: num_workers > 0,
      worker: (Worker) => new Worker(new URL("./photos.mjs", import.meta.url), { type: "module" }),
    }),
);

/** Milliseconds per batch of one iteration, the training included or not, and the share of them in which this thread was busy. */
async function epoch(loader: (typeof loaders)[number], trains: boolean): Promise<[time: number, busy: number]> {
  const before = performance.eventLoopUtilization();
  const start = performance.now();
  for await (const [x, y] of loader) if (trains) step(x, y);
  return [(performance.now() - start) / batches, performance.eventLoopUtilization(before).utilization];
}

const [x, y] = [torch.rand([BATCH, 3, 32, 32]), torch.randint(0, 10, [BATCH])];
const times = {
  step: [] as number[],
  busy: [[], [], []] as number[][],
  load: [[], [], []] as number[][],
  train: [[], [], []] as number[][],
};
for (let round = -1; round < Number(values.rounds); round++) {
  const start = performance.now();
  for (let i = 0; i < batches; i++) step(x, y);
  const stepTime = (performance.now() - start) / batches;
  for (const [workers, loader] of loaders.entries()) {
    const [load, busy] = await epoch(loader, false);
    const [train] = await epoch(loader, true);
    if (round < 0) continue; // the first one warms up and starts the workers
    times.load[workers]!.push(load);
    times.busy[workers]!.push(busy);
    times.train[workers]!.push(train);
  }
  if (round >= 0) times.step.push(stepTime);
}
for (const loader of loaders) loader.close();

const ms = (all: number[]): string => `${summarize(all).median.toFixed(1)} ms`;
console.log(`batches of ${BATCH}, ${availableParallelism()} processors; a training step alone: ${ms(times.step)}`);
for (const workers of [0, 1, 2]) {
  const train = summarize(times.train[workers]!).median;
  const gain = summarize(times.train[0]!).median / train;
  console.log(
    `${workers} workers: loading ${ms(times.load[workers]!)} (this thread busy ${(100 * summarize(times.busy[workers]!).median).toFixed(0)} %), loading and training ${train.toFixed(1)} ms a batch (${gain.toFixed(2)}x)`,
  );
}
