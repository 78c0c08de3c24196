/** What test/browser/cpu.test.ts runs in a page: the cpu device. */

import * as torch from "kindling";
import { nn, optim } from "kindling";
import { resolveDevice } from "../../../ts/ops/devices.ts";
import type { CpuDevice } from "../../../wasm/device/index.ts";

const F = nn.functional;
const cpu = resolveDevice("cpu") as CpuDevice;

export interface Environment {
  readonly isolated: boolean;
  readonly threads: number;
}

export function environment(): Environment {
  return { isolated: globalThis.crossOriginIsolated, threads: torch.get_num_threads() };
}

/** Bytes as a number that differs when they do (FNV-1a). */
function digest(values: ArrayBufferView): number {
  let hash = 0x811c9dc5;
  for (const byte of new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    hash = Math.imul(hash ^ byte, 0x01000193);
  return hash >>> 0;
}

class Net extends nn.Module {
  conv = new nn.Conv2d(1, 16, 3, { padding: 1 });
  norm = new nn.BatchNorm2d(16);
  fc = new nn.Linear(16 * 14 * 14, 10);
  forward(x: torch.Tensor): torch.Tensor {
    return this.fc(F.max_pool2d(F.relu(this.norm(this.conv(x))), 2).flatten(1));
  }
}

/** Trains a little network on random images; the losses, and a digest of its weights. */
export async function train(steps: number, batch = 32): Promise<{ losses: number[]; weights: number }> {
  torch.manual_seed(0);
  const model = new Net();
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
  const x = torch.rand(batch, 1, 28, 28);
  const y = torch.randint(0, 10, [batch]);
  const losses: number[] = [];
  for (let step = 0; step < steps; step++) {
    optimizer.zero_grad();
    const loss = F.cross_entropy(model(x), y);
    loss.backward();
    optimizer.step();
    losses.push(Number(await loss.item()));
  }
  const weights = await torch.cat([...model.parameters()].map((p) => p.detach().flatten())).data();
  return { losses, weights: digest(weights) };
}

/** Digests of a product, a convolution, a softmax, a sum, a sort and attention on so many threads. */
export async function results(threads: number): Promise<number[]> {
  torch.set_num_threads(threads);
  torch.manual_seed(1);
  const a = torch.randn(300, 300);
  const images = torch.randn(8, 16, 28, 28);
  const heads = torch.randn(2, 4, 128, 32);
  const outs = [
    a.matmul(a),
    F.conv2d(images, torch.randn(32, 16, 3, 3)),
    F.softmax(torch.randn(2048, 200), 1),
    torch
      .randn(1 << 20)
      .exp()
      .sum(),
    torch.randn(64, 5000).sort(1)[0],
    F.scaled_dot_product_attention(heads, heads, heads),
  ];
  const digests: number[] = [];
  for (const out of outs) digests.push(digest(await out.data()));
  return digests;
}

/** Runs work for the pool for a while, or until so many threads have come; how many workers there are. */
export async function boot(threads: number, ms: number): Promise<number> {
  torch.set_num_threads(threads);
  const a = torch.randn(256, 256);
  const until = performance.now() + ms;
  while (cpu.workersReady < threads - 1 && performance.now() < until) {
    await a.matmul(a).data();
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
  return cpu.workersReady;
}

/** Trains until so many threads have come, awaiting nothing but the losses, as training loops do; how many workers there are. */
export async function bootInLoop(threads: number, steps: number): Promise<number> {
  torch.set_num_threads(threads);
  for (let step = 0; step < steps && cpu.workersReady < threads - 1; step++) await train(1);
  return cpu.workersReady;
}

export interface Memory {
  readonly allocated: number;
  readonly reserved: number;
}

/** Memory after each so many steps of training. */
export async function memory(steps: number, every: number, device: "cpu" | "webgpu" = "cpu"): Promise<Memory[]> {
  if (device === "webgpu") await torch.webgpu.init();
  const model = new nn.Sequential(new nn.Linear(64, 256), new nn.ReLU(), new nn.Linear(256, 10)).to(device);
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
  const x = torch.randn(512, 64).to(device);
  const y = torch.randint(0, 10, [512]).to(device);
  const seen: Memory[] = [];
  for (let step = 1; step <= steps; step++) {
    optimizer.zero_grad();
    const loss = F.cross_entropy(model(x), y);
    loss.backward();
    optimizer.step();
    await loss.item();
    if (step % every === 0) {
      const { allocated_bytes, reserved_bytes } = torch.memory_stats(device);
      seen.push({ allocated: allocated_bytes, reserved: reserved_bytes });
    }
  }
  return seen;
}

/** `results` when all threads have come. */
export async function resultsOnAll(threads: number): Promise<number[]> {
  await boot(threads, 240_000);
  return results(threads);
}
