/** The other side of training_worker.ts: the same code in a page and in Node. `url`: where the worker's file lies. */

import * as torch from "kindling";
import type { Progress, Settings, train } from "./training_worker.ts";

const start = (url: string, settings: Settings) =>
  torch.run_in_worker<typeof train>((Worker) => new Worker(new URL(url), { type: "module" }), settings);

export async function trains(url: string): Promise<object> {
  const x = torch.arange(32).div(32).view(4, 8);
  const run = start(url, { steps: 50, x });
  const seen: Progress[] = [];
  for await (const progress of run) if ("loss" in progress) seen.push(progress);
  const { step, dtype, weights, both } = await run.result;
  return {
    step,
    dtype,
    steps: seen.map((p) => p.step),
    better: seen[0]!.loss / seen.at(-1)!.loss,
    keys: Object.keys(weights),
    shape: [...weights.weight!.shape],
    tensor: weights.weight instanceof torch.Tensor,
    same: both[0] === both[1] && (await both[0].eq(x).all().item()),
  };
}

/** Error's class, message, and whether its stack names the worker. */
export async function fails(url: string, fail: NonNullable<Settings["fail"]>): Promise<object> {
  const run = start(url, { steps: 1, fail, x: torch.ones(4, 8) });
  try {
    await run.result;
    return {};
  } catch (error) {
    const known = [torch.ValueError, torch.RuntimeError, TypeError].find((type) => (error as Error).constructor === type);
    const { name, message, stack } = error as Error;
    return { type: known?.name, name, message, traced: stack!.includes("in a worker") };
  }
}

/** Asks for sums of scaled weights while it serves, then stops it. */
export async function talks(url: string): Promise<object> {
  const run = start(url, { steps: 3, serve: true, x: torch.ones(4, 8) });
  const sums: number[] = [];
  for await (const progress of run) {
    if ("sum" in progress) {
      sums.push(Number(await progress.sum.item()));
      if (sums.length === 2) run.stop();
    } else if (progress.step === 2) {
      for (const scale of [1, 2]) run.post({ scale: torch.tensor(scale) });
    }
  }
  return { ratio: sums[1]! / sums[0]!, step: (await run.result).step };
}

/** Tensors that the worker has on another device, reported and returned. */
export async function doubles(url: string, device: "webgpu"): Promise<unknown[]> {
  const run = start(url, { steps: 0, double_on: device, x: torch.tensor([1, 2, 3.5]) });
  const seen: unknown[] = [];
  for await (const progress of run) if ("sum" in progress) seen.push(progress.sum.device.type, await progress.sum.tolist());
  seen.push(await (await run.result).weights.doubled!.tolist());
  return seen;
}

export async function stops(url: string): Promise<number> {
  const run = start(url, { steps: 1e9, x: torch.ones(4, 8) });
  for await (const progress of run) if ("step" in progress && progress.step === 5) run.stop();
  return (await run.result).step;
}

/** Messages of a run that hangs and is stopped, or of one that is terminated; then of one whose file is not there. */
export async function dies(url: string): Promise<string[]> {
  const messages: string[] = [];
  const hung = start(url, { steps: 1, fail: "hang", x: torch.ones(4, 8) });
  hung.stop(0.5);
  const killed = start(url, { steps: 1e9, x: torch.ones(4, 8) });
  killed.terminate();
  for (const run of [hung, killed]) await run.result.catch((error: Error) => messages.push(error.message));
  const missing = start(url.replace("training_worker", "missing"), { steps: 1, x: torch.ones(4, 8) });
  await missing.result.catch((error: Error) => messages.push(error.message));
  return messages;
}
