/** Whole training steps, each with native PyTorch's time to beat. */

import * as torch from "kindling";
import { nn, optim, type Tensor } from "kindling";
import { CharGPT } from "../examples/char-gpt/model.ts";
import { smallConfig } from "../examples/char-gpt/train.ts";
import type { Case } from "./cases.ts";
import type { Run } from "./measure.ts";

const F = nn.functional;

class LeNet extends nn.Module {
  c1 = new nn.Conv2d(1, 6, 5, { padding: 2 });
  c2 = new nn.Conv2d(6, 16, 5);
  f1 = new nn.Linear(400, 120);
  f2 = new nn.Linear(120, 84);
  f3 = new nn.Linear(84, 10);
  forward(x: Tensor): Tensor {
    x = F.max_pool2d(F.relu(this.c1(x)), 2);
    x = F.max_pool2d(F.relu(this.c2(x)), 2).flatten(1);
    return this.f3(F.relu(this.f2(F.relu(this.f1(x)))));
  }
}

function trainingStep(forward: (x: Tensor) => Tensor, optimizer: optim.Optimizer, x: Tensor, y: Tensor): Run {
  return () => {
    optimizer.zero_grad();
    const loss = F.cross_entropy(forward(x), y);
    loss.backward();
    optimizer.step();
    if (!loss.device.caps.readSync) return loss.item();
    loss.item_sync();
    return undefined;
  };
}

function mlp(): Run {
  const m = new nn.Sequential(
    new nn.Linear(784, 512),
    new nn.ReLU(),
    new nn.Linear(512, 256),
    new nn.ReLU(),
    new nn.Linear(256, 10),
  );
  return trainingStep(
    (x) => m(x),
    new optim.SGD(m.parameters(), { lr: 0.01 }),
    torch.rand([64, 784]),
    torch.randint(0, 10, [64]),
  );
}

function cnn(): Run {
  const m = new LeNet();
  const adam = new optim.Adam(m.parameters(), { lr: 1e-3 });
  return trainingStep((x) => m(x), adam, torch.rand([64, 1, 28, 28]), torch.randint(0, 10, [64]));
}

function gpt(): Run {
  const m = new CharGPT(smallConfig(96));
  const adamw = new optim.AdamW(m.parameters(), { lr: 1e-3 });
  return trainingStep((x) => m(x).flatten(0, 1), adamw, torch.randint(0, 96, [16, 64]), torch.randint(0, 96, [16 * 64]));
}

export const training: readonly Case[] = [
  { name: "training mlp", goal: 2.5, prepare: mlp },
  { name: "training cnn", goal: 4, prepare: cnn },
  { name: "training gpt", goal: 3, prepare: gpt },
];
