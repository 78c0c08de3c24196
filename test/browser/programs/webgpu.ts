/** What test/browser/webgpu.test.ts runs in a page: the WebGPU device, by torch's own names. */

import * as torch from "kindling";
import { nn } from "kindling";

class Net extends nn.Module {
  a = new nn.Linear(64, 256);
  b = new nn.Linear(256, 10);
  forward(x: torch.Tensor): torch.Tensor {
    return this.b.forward(this.a.forward(x).tanh());
  }
}

/** One plain training step after another on fresh data, without a word about memory. */
async function train(steps: number, every: number, seen: (step: number, loss: number) => void): Promise<void> {
  torch.manual_seed(0);
  const model = new Net().to("webgpu");
  for (let i = 1; i <= steps; i++) {
    const x = torch.randn(64, 64).to("webgpu");
    model.zero_grad();
    const loss = model.forward(x).pow(2).mean();
    loss.backward();
    torch.no_grad(() => {
      for (const p of model.parameters()) p.sub_(p.grad!.mul(0.1));
    });
    if (i % every === 0) seen(i, Number(await loss.item()));
  }
}

export async function environment(): Promise<{ best: string; available: boolean; name: string; error: string }> {
  const best = await torch.accelerator();
  const available = await torch.webgpu.is_available();
  const error = await torch.webgpu.init().then(
    () => "",
    (e: unknown) => String(e),
  );
  return { best, available, name: error === "" ? torch.webgpu.get_device_name() : "", error };
}

/** Bytes that are live when all garbage is gone: what dies in one job is found in the next. */
async function live(): Promise<number> {
  let bytes = Infinity;
  for (let i = 0; i < 5; i++) {
    await new Promise((resolve) => setTimeout(resolve, 0));
    bytes = Math.min(bytes, torch.memory_stats("webgpu").allocated_bytes);
  }
  return bytes;
}

export interface Memory {
  /** The most bytes that were ever live, and that the pool held, with nobody asking for a collection. */
  readonly peak: number;
  readonly reserved: number;
  /** Bytes that are left when the training is over and forgotten. */
  readonly left: number;
  readonly losses: readonly number[];
}

export async function memory(steps: number, every: number): Promise<Memory> {
  await torch.webgpu.init();
  const losses: number[] = [];
  await train(steps, every, (_, loss) => losses.push(loss));
  const { peak_bytes: peak, reserved_bytes: reserved } = torch.memory_stats("webgpu");
  return { peak, reserved, left: await live(), losses };
}

/** The device goes in mid-training; afterwards there is another. */
export async function lose(): Promise<{ error: string; after: number[]; cpu: unknown }> {
  await torch.webgpu.init();
  const kept = torch.arange(4);
  let error = "";
  try {
    await train(10, 1, (step) => {
      if (step === 3) torch.webgpu.destroy();
    });
  } catch (e) {
    error = (e as Error).name;
  }
  await torch.webgpu.init();
  const after: number[] = [];
  await train(3, 1, (_, loss) => after.push(loss));
  return { error, after, cpu: kept.tolist_sync() };
}
