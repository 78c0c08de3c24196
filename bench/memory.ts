/** Memory over a plain training loop: no scope, no dispose, and on the cpu no await. */

import * as torch from "kindling";
import { nn, optim } from "kindling";

export interface Growth {
  /** Bytes taken from the system after step 100 and after the last one. */
  readonly early: number;
  readonly late: number;
  /** Percent. */
  readonly change: number;
}

export async function measureMemory(steps: number): Promise<Growth> {
  const F = nn.functional;
  const device = torch.get_default_device();
  torch.manual_seed(0);
  const model = new nn.Sequential(
    new nn.Conv2d(1, 16, 3, { padding: 1 }),
    new nn.ReLU(),
    new nn.MaxPool2d(2),
    new nn.Flatten(),
    new nn.Linear(16 * 14 * 14, 64),
    new nn.GELU(),
    new nn.Dropout(0.1),
    new nn.Linear(64, 10),
  );
  const optimizer = new optim.AdamW(model.parameters(), { lr: 1e-3 });
  const x = torch.rand([32, 1, 28, 28]);
  const y = torch.randint(0, 10, [32]);
  let early = 0;
  for (let step = 1; step <= steps; step++) {
    optimizer.zero_grad();
    const loss = F.cross_entropy(model(x), y);
    loss.backward();
    optimizer.step();
    // A GPU's queue must not grow without bound; on the cpu the loop stays without an await.
    if (!device.caps.readSync && step % 10 === 0) await loss.item();
    if (step === 100) early = torch.memory_stats(device.type).reserved_bytes;
  }
  const late = torch.memory_stats(device.type).reserved_bytes;
  return { early, late, change: (100 * (late - early)) / early };
}
