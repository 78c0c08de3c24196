/** The workloads in Kindling, through its public face. */

import * as torch from "kindling";
import { nn, optim, type Tensor } from "kindling";
import { CharGPT } from "../../../examples/char-gpt/model.ts";
import type { Batch, Named } from "./data.ts";
import { adam, layernormEps, weightDecay, type Inputs, type Library, type Runner, type Training } from "./library.ts";

const F = nn.functional;

const numbers = async (t: Tensor): Promise<ArrayLike<number>> => (await t.data()) as ArrayLike<number>;

/** Kindling on one of its devices, which must be ready. */
export function kindling(device: string, version: string): Library {
  const upload = ({ shapes, arrays }: Inputs): Tensor[] =>
    arrays.map((a, i) => torch.tensor(a, { device }).view([...shapes[i]!]));

  /** `f` gives what is computed; it is forced, so that nothing of it is left to a later read. */
  function operation(f: () => Tensor, inputs: readonly Tensor[]): Runner {
    let result: Tensor | null = null;
    return {
      run() {
        const next = torch.scope(() => {
          const y = f();
          y._storage.materialize();
          return y;
        });
        result?.dispose();
        result = next;
      },
      finish: () => inputs[0]!.device.synchronize(),
      values: () => numbers(result!),
      dispose() {
        for (const t of [result, ...inputs]) t?.dispose();
      },
    };
  }

  function training(
    model: nn.Module,
    optimizer: optim.Optimizer,
    batches: readonly Batch[],
    loss: (batch: { x: Tensor; y: Tensor }) => Tensor,
    shape: readonly number[],
  ): Runner {
    const uploaded = batches.map(({ x, y }) => ({
      x: (x instanceof Int32Array ? torch.tensor(x, { device, dtype: torch.int64 }) : torch.tensor(x, { device })).view([
        ...shape,
      ]),
      y: torch.tensor(y, { device, dtype: torch.int64 }),
    }));
    const pending: Tensor[] = [];
    const losses: number[] = [];
    let step = 0;
    return {
      run() {
        optimizer.zero_grad();
        const l = loss(uploaded[step++ % uploaded.length]!);
        l.backward();
        optimizer.step();
        pending.push(l.detach());
      },
      async finish() {
        for (const l of pending.splice(0)) losses.push(Number(await l.item()));
      },
      values: () => Promise.resolve(losses),
      dispose() {
        for (const p of model.parameters()) p.dispose();
      },
    };
  }

  function load(model: nn.Module, parameters: readonly Named[]): void {
    model.load_state_dict(
      Object.fromEntries(parameters.map(({ name, shape, values }) => [name, torch.tensor(values).view([...shape])])),
    );
  }

  return {
    name: device === "webgpu" ? "kindling" : `kindling (${device})`,
    version,
    matmul(inputs) {
      const [a, b] = upload(inputs) as [Tensor, Tensor];
      return operation(() => a.matmul(b), [a, b]);
    },
    softmax(inputs) {
      const [x] = upload(inputs) as [Tensor];
      return operation(() => F.softmax(x, -1), [x]);
    },
    layernorm(inputs) {
      const [x, weight, bias] = upload(inputs) as [Tensor, Tensor, Tensor];
      return operation(() => F.layer_norm(x, weight.shape, weight, bias, layernormEps), [x, weight, bias]);
    },
    layernormBackward(inputs) {
      const [x, weight, bias, dy] = upload(inputs) as [Tensor, Tensor, Tensor, Tensor];
      const leaves = [x, weight, bias].map((t) => t.requires_grad_());
      return {
        run() {
          for (const t of leaves) t.grad = null;
          F.layer_norm(x, weight.shape, weight, bias, layernormEps).backward(dy);
          for (const t of leaves) t.grad!._storage.materialize();
        },
        finish: () => x.device.synchronize(),
        values: () => numbers(torch.cat(leaves.map((t) => t.grad!.flatten()))),
        dispose() {
          for (const t of [...leaves, dy]) t.dispose();
        },
      };
    },
    chain(inputs) {
      const [x] = upload(inputs) as [Tensor];
      const gelu = (): Tensor => x.mul(x).mul(x).mul(0.044715).add(x).mul(0.7978845608).tanh().add(1).mul(x).mul(0.5);
      return operation(gelu, [x]);
    },
    mlp({ parameters, batches, size }: Training) {
      const { widths, batch } = size;
      const layers = widths.slice(1).flatMap((width, i) => [new nn.Linear(widths[i]!, width), new nn.ReLU()]);
      const model = new nn.Sequential(...layers.slice(0, -1));
      load(model, parameters);
      model.to(device);
      const optimizer = new optim.Adam(model.parameters(), { lr: adam.lr });
      return training(model, optimizer, batches, ({ x, y }) => F.cross_entropy(model(x), y), [batch, widths[0]!]);
    },
    gpt({ parameters, batches, size }: Training) {
      const model = new CharGPT({ ...size, dropout: 0 });
      load(model, parameters);
      model.to(device);
      const optimizer = new optim.AdamW(model.parameters(), { lr: adam.lr, weight_decay: weightDecay });
      return training(model, optimizer, batches, ({ x, y }) => F.cross_entropy(model(x).flatten(0, 1), y), [
        size.batch,
        size.context,
      ]);
    },
  };
}
