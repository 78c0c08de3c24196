/** The examples' own training on a device: losses step by step, memory and GPU work. Runs in Node and, bundled, in a page. */

import * as torch from "kindling";
import { CharGPT } from "../../../examples/char-gpt/model.ts";
import { Alphabet, smallConfig, train as trainGPT } from "../../../examples/char-gpt/train.ts";
import { DigitsNet } from "../../../examples/digits/model.ts";
import { parseDigits, train as trainDigits } from "../../../examples/digits/train.ts";

class Enough extends Error {}

/** Losses of the first `steps` steps; dropout is off, since devices draw from streams of their own. */
async function firstLosses(steps: number, train: (seen: (loss: number) => void) => Promise<unknown>): Promise<number[]> {
  const losses: number[] = [];
  try {
    await train((loss) => {
      losses.push(loss);
      if (losses.length === steps) throw new Enough();
    });
  } catch (error) {
    if (!(error instanceof Enough)) throw error;
  }
  return losses;
}

/** The digits network's losses, from weights made on the cpu from a seed. */
export async function digits(device: string, csv: string, steps: number): Promise<number[]> {
  if (device === "webgpu") await torch.webgpu.init();
  torch.manual_seed(3);
  const model = new DigitsNet();
  for (const m of model.modules()) if (m instanceof torch.nn.Dropout) m.p = 0;
  const data = parseDigits(csv, device).train;
  return firstLosses(steps, (seen) => trainDigits(data, { epochs: 100, seed: 0, model, onProgress: ({ loss }) => seen(loss) }));
}

export async function gpt(device: string, text: string, steps: number, batchSize: number): Promise<number[]> {
  if (device === "webgpu") await torch.webgpu.init();
  torch.manual_seed(3);
  const alphabet = new Alphabet(text);
  const model = new CharGPT(smallConfig(alphabet.characters.length));
  return firstLosses(steps, (seen) =>
    trainGPT(text, alphabet, device, { steps: 300, seed: 0, batchSize, model, onStep: (_, loss) => seen(loss) }),
  );
}

export interface Memory {
  /** Bytes of the pool, garbage and what lies idle included. */
  readonly reserved: number;
  readonly live: number;
}

/** GPU memory after each `every` steps of a small network's training, with nothing but `loss.item()` awaited. */
export async function memory(device: string, steps: number, every: number): Promise<Memory[]> {
  if (device === "webgpu") await torch.webgpu.init();
  const model = new torch.nn.Sequential(new torch.nn.Linear(64, 128), new torch.nn.ReLU(), new torch.nn.Linear(128, 10)).to(
    device,
  );
  const optimizer = new torch.optim.AdamW(model.parameters(), { lr: 1e-3 });
  const x = torch.randn(256, 64).to(device);
  const y = torch.randint(0, 10, [256]).to(device);
  const seen: Memory[] = [];
  for (let step = 1; step <= steps; step++) {
    optimizer.zero_grad();
    const loss = torch.nn.functional.cross_entropy(model(x), y);
    loss.backward();
    optimizer.step();
    if (step % 10 === 0) await loss.item();
    if (step % every !== 0) continue;
    const { reserved_bytes: reserved, allocated_bytes: live } = torch.memory_stats(device);
    seen.push({ reserved, live });
  }
  return seen;
}
