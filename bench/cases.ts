/** What is timed. A case's name is also native PyTorch's (bench/native/server.py). */

import * as torch from "kindling";
import { nn, optim, type Tensor } from "kindling";
import { CharGPT } from "../examples/char-gpt/model.ts";
import { smallConfig } from "../examples/char-gpt/train.ts";
import type { Run } from "./measure.ts";

const F = nn.functional;

export interface Case {
  readonly name: string;
  /** Floating-point operations, or bytes that must move, of one run. */
  readonly flops?: number;
  readonly bytes?: number;
  /** Most times native PyTorch's time that we allow ourselves. */
  readonly goal?: number;
  /** Single operations in one run, for a time per operation. */
  readonly ops?: number;
  readonly prepare: () => Run;
}

/** Computes what is pending, as a consumer would. */
function force(t: Tensor): void {
  t._storage.materialize();
}

const of =
  (shape: number[], f: (x: Tensor) => Tensor): (() => Run) =>
  () => {
    const x = torch.randn(shape);
    force(x);
    return () => torch.no_grad(() => force(f(x)));
  };

class LeNet extends nn.Module {
  c1 = new nn.Conv2d(1, 6, 5, { padding: 2 });
  c2 = new nn.Conv2d(6, 16, 5);
  f1 = new nn.Linear(400, 120);
  f2 = new nn.Linear(120, 84);
  f3 = new nn.Linear(84, 10);
  override forward(x: Tensor): Tensor {
    x = F.max_pool2d(F.relu(this.c1(x)), 2);
    x = F.max_pool2d(F.relu(this.c2(x)), 2).flatten(1);
    return this.f3(F.relu(this.f2(F.relu(this.f1(x)))));
  }
}

function training(forward: (x: Tensor) => Tensor, optimizer: optim.Optimizer, x: Tensor, y: Tensor): Run {
  return () => {
    optimizer.zero_grad();
    const loss = F.cross_entropy(forward(x), y);
    loss.backward();
    optimizer.step();
    loss.item_sync();
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
  return training((x) => m(x), new optim.SGD(m.parameters(), { lr: 0.01 }), torch.rand([64, 784]), torch.randint(0, 10, [64]));
}

function cnn(): Run {
  const m = new LeNet();
  const adam = new optim.Adam(m.parameters(), { lr: 1e-3 });
  return training((x) => m(x), adam, torch.rand([64, 1, 28, 28]), torch.randint(0, 10, [64]));
}

function gpt(): Run {
  const m = new CharGPT(smallConfig(96));
  const adamw = new optim.AdamW(m.parameters(), { lr: 1e-3 });
  return training((x) => m(x).flatten(0, 1), adamw, torch.randint(0, 96, [16, 64]), torch.randint(0, 96, [16 * 64]));
}

function chain(backward: boolean): Run {
  const y = torch.full([16], 1e-3);
  force(y);
  return () => {
    let x = torch.zeros(16);
    if (backward) x.requires_grad_();
    for (let i = 0; i < 10000; i++) x = x.add(y);
    if (backward) x.sum().backward();
    else force(x);
  };
}

const big = [4 * 1024 * 1024];
const bigBytes = 2 * 4 * big[0]!;

export const suites: Readonly<Record<string, readonly Case[]>> = {
  matmul: [512, 1024, 2048].map((n) => ({
    name: `matmul ${n}`,
    flops: 2 * n ** 3,
    prepare: () => {
      const [a, b] = [torch.randn([n, n]), torch.randn([n, n])];
      force(a);
      force(b);
      return () => torch.no_grad(() => force(a.matmul(b)));
    },
  })),
  elementwise: [
    { name: "exp", goal: 1.5, bytes: bigBytes, prepare: of(big, (x) => x.exp()) },
    { name: "tanh", goal: 1.5, bytes: bigBytes, prepare: of(big, (x) => x.tanh()) },
    { name: "gelu", goal: 1.5, bytes: bigBytes, prepare: of(big, (x) => F.gelu(x)) },
    { name: "mul-add-relu", goal: 1.5, bytes: bigBytes, prepare: of(big, (x) => x.mul(1.5).add(0.5).relu()) },
    { name: "add", bytes: bigBytes, prepare: of(big, (x) => x.add(x)) },
    { name: "sum rows", goal: 1.5, bytes: bigBytes / 2, prepare: of([1024, 4096], (x) => x.sum(1)) },
    { name: "sum columns", goal: 1.5, bytes: bigBytes / 2, prepare: of([1024, 4096], (x) => x.sum(0)) },
  ],
  rowwise: [
    { name: "softmax", goal: 1.5, bytes: 2 << 22, prepare: of([1024, 1024], (x) => F.softmax(x, -1)) },
    { name: "layernorm", goal: 1.5, bytes: 2 << 22, prepare: of([1024, 1024], (x) => F.layer_norm(x, [1024])) },
  ],
  training: [
    { name: "training mlp", goal: 2.5, prepare: mlp },
    { name: "training cnn", goal: 4, prepare: cnn },
    { name: "training gpt", goal: 3, prepare: gpt },
  ],
  overhead: [
    { name: "chain plain", ops: 10000, prepare: () => chain(false) },
    { name: "chain backward", ops: 10000, prepare: () => chain(true) },
  ],
};
