/** Training steps of the digits example's network. */

import { nn, optim, type Tensor } from "kindling";
import { DigitsNet } from "../../examples/digits/model.ts";
import { fill, values, whole } from "./values.ts";
import type { Prepared, Workload } from "./workload.ts";

const F = nn.functional;
/** Steps whose losses are compared, with dropout off: devices draw from streams of their own. */
const CHECKED = 5;

function stepsOf(model: DigitsNet, x: Tensor, y: Tensor): () => Tensor {
  const optimizer = new optim.AdamW(model.parameters(), { lr: 3e-3, weight_decay: 0.02 });
  return () => {
    optimizer.zero_grad();
    const loss = F.cross_entropy(model(x), y, { label_smoothing: 0.05 });
    loss.backward();
    optimizer.step();
    return loss;
  };
}

async function prepare(batch: number, device: string): Promise<Prepared> {
  const x = values([batch, 1, 8, 8], 1, device).abs();
  const y = whole([batch], 10, 2, device);
  const calm = new DigitsNet().to(device);
  for (const m of calm.modules()) if (m instanceof nn.Dropout) m.p = 0;
  fill(calm, device);
  const checked = stepsOf(calm, x, y);
  const losses: number[] = [];
  for (let i = 0; i < CHECKED; i++) losses.push(Number(await checked().item()));

  const model = new DigitsNet().to(device);
  fill(model, device);
  const step = stepsOf(model, x, y);
  const start = performance.now();
  await step().item();
  return { first: performance.now() - start, losses, run: () => void step() };
}

function digits(batch: number): Workload {
  return {
    suite: "digits",
    name: `digits CNN, training step of ${batch}`,
    spec: { kind: "digits", batch, checked: CHECKED },
    items: { unit: "images", count: batch },
    ours: ["eager"],
    peers: ["eager", "compile"],
    // The convolutions may use TF32, as PyTorch's do by default.
    tolerance: 5e-3,
    prepare: (_variant, device) => prepare(batch, device),
  };
}

export const digitsWorkloads = (smoke: boolean): Workload[] => (smoke ? [digits(2)] : [digits(64), digits(1024)]);
