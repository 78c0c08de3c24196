/** Checkpoints of optimizers go on in PyTorch and in ours; schedules and averages agree. Runs where a Python with torch is installed. */

import { spawnSync } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import * as torch from "kindling";
import { nn, optim, type Tensor } from "kindling";
import { pythonWith } from "../io/python.ts";

const python = pythonWith("torch");
const script = fileURLToPath(new URL("./peers.py", import.meta.url));
let folder = "";
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "kindling-optim-"));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

function ask<T>(mode: string, asked: unknown): Record<number, T> {
  const given = { input: JSON.stringify(asked), encoding: "utf8" } as const;
  const { stdout, stderr, status } = spawnSync(python!, ["-W", "ignore", script, folder, mode], given);
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Record<number, T>;
}

type Options = Record<string, unknown>;
// (NAdam of PyTorch 1.13 has another formula than later ones.)
const optimizers: [string, Options][] = [
  ["SGD", { lr: 0.1, momentum: 0.9, nesterov: true, weight_decay: 0.01 }],
  ["SGD", { lr: 0.1, momentum: 0.5, dampening: 0.2, maximize: false }],
  ["Adam", { lr: 0.05, amsgrad: true, weight_decay: 0.1 }],
  ["AdamW", { lr: 0.05 }],
  ["RMSprop", { lr: 0.02, momentum: 0.5, centered: true }],
  ["Adagrad", { lr: 0.1, lr_decay: 0.1, initial_accumulator_value: 0.1 }],
  ["Adadelta", { lr: 1 }],
  ["Adamax", { lr: 0.05 }],
  ["RAdam", { lr: 0.05 }],
  ["ASGD", { lr: 0.1, t0: 2 }],
  ["Rprop", { lr: 0.02 }],
  ["LBFGS", { lr: 0.8, max_iter: 3, line_search_fn: "strong_wolfe" }],
];

const start = (): Tensor[] => [
  torch.linspace(-0.5, 0.8, 6).reshape([3, 2]).detach().requires_grad_(),
  torch.tensor([0.1, -0.2], { requires_grad: true }),
];
const make = (name: string, params: Tensor[], options: Options): optim.Optimizer =>
  new (optim as unknown as Record<string, new (params: Tensor[], options: Options) => optim.Optimizer>)[name]!(params, options);

function train([w, b]: Tensor[], optimizer: optim.Optimizer, steps: number): number[] {
  const x = torch.linspace(-1, 1, 12).reshape([4, 3]);
  return Array.from({ length: steps }, () =>
    Number(
      optimizer
        .step(() => {
          optimizer.zero_grad();
          const loss = x
            .matmul(w!)
            .add(b!)
            .tanh()
            .sub(x.narrow(1, 0, 2).mul(0.3))
            .square()
            .mean();
          loss.backward();
          return loss;
        })
        .item_sync(),
    ),
  );
}

const close = (name: string, got: number[], want: number[]): void => {
  expect(got).toHaveLength(want.length);
  got.forEach((x, i) => expect(Math.abs(x - want[i]!), `${name}, step ${i}: ${x}, want ${want[i]}`).toBeLessThan(1e-5));
};

describe.skipIf(python === null)("PyTorch beside us", () => {
  it("goes on from our optimizers' checkpoints, and we from its", async () => {
    const rests: number[][] = [];
    for (const [i, [name, options]] of optimizers.entries()) {
      const params = start();
      const optimizer = make(name, params, options);
      train(params, optimizer, 3);
      const saved = { params: params.map((p) => p.detach()), optimizer: optimizer.state_dict() };
      await torch.save(saved, join(folder, `ours${i}.pt`));
      rests.push(train(params, optimizer, 4));
    }
    const answers = ask<{ rest: number[]; from_ours: number[]; keys: string[] }>("optimizers", optimizers);
    for (const [i, [name, options]] of optimizers.entries()) {
      const { rest, from_ours, keys } = answers[i]!;
      close(name, rests[i]!, rest);
      close(`${name} of ours`, from_ours, rest);
      const loaded = (await torch.load(join(folder, `theirs${i}.pt`))) as Map<string, unknown> & Record<string, unknown>;
      const part = (key: string): unknown => (loaded instanceof Map ? loaded.get(key) : loaded[key]);
      const params = (part("params") as Tensor[]).map((p) => p.clone().requires_grad_());
      const optimizer = make(name, params, { lr: 7 });
      optimizer.load_state_dict(part("optimizer") as optim.OptimizerStateDict);
      close(`${name} of theirs`, train(params, optimizer, 4), rest);
      // Ours has all that PyTorch's has, and what later versions have.
      const own = make(name, start(), options).state_dict().param_groups[0]!;
      expect(Object.keys(own)).toEqual(expect.arrayContaining(keys));
    }
  });

  const warm: [string, Options] = ["LinearLR", { start_factor: 0.1, total_iters: 4 }];
  const decay: [string, Options] = ["ExponentialLR", { gamma: 0.9 }];
  const steps: [string, Options] = ["MultiStepLR", { milestones: [3, 9, 9] }];
  const schedules: [string, Options][] = [
    ["StepLR", { step_size: 5 }],
    steps,
    ["ConstantLR", { factor: 0.5, total_iters: 4 }],
    warm,
    decay,
    ["PolynomialLR", { total_iters: 15, power: 2 }],
    ["CosineAnnealingLR", { T_max: 7, eta_min: 0.01 }],
    ["CosineAnnealingWarmRestarts", { T_0: 4, T_mult: 2 }],
    ["CyclicLR", { base_lr: 0.1, max_lr: 0.7, step_size_up: 4, step_size_down: 3, mode: "triangular2" }],
    ["OneCycleLR", { max_lr: 0.9, total_steps: 25, three_phase: true }],
    ["ReduceLROnPlateau", { patience: 2, cooldown: 1, factor: 0.5 }],
    ["SequentialLR", { parts: [warm, decay, ["ConstantLR", { total_iters: 2 }]], milestones: [4, 12] }],
    ["ChainedScheduler", { parts: [warm, decay, steps] }],
  ];
  it("schedules give its rates, and their state goes on", () => {
    const lr = optim.lr_scheduler as unknown as Record<string, new (...args: unknown[]) => optim.lr_scheduler.LRScheduler>;
    const build = ([name, options]: [string, Options]): [optim.Optimizer, optim.lr_scheduler.LRScheduler] => {
      const optimizer = new optim.SGD(start(), { lr: 0.4, momentum: 0.9 });
      const parts = (options.parts as [string, Options][] | undefined)?.map(([n, o]) => new lr[n]!(optimizer, o));
      if (name === "SequentialLR") return [optimizer, new lr[name]!(optimizer, parts, options.milestones)];
      return [optimizer, name === "ChainedScheduler" ? new lr[name]!(parts) : new lr[name]!(optimizer, options)];
    };
    const answers = ask<{ rates: number[]; state: Options }>("schedules", schedules);
    schedules.forEach((spec, i) => {
      let [optimizer, scheduler] = build(spec);
      const rates: number[] = [];
      for (let epoch = 0; epoch < 24; epoch++) {
        rates.push(optimizer.param_groups[0]!.lr);
        optimizer.step();
        const metric = spec[0] === "ReduceLROnPlateau" ? [0.5 + 0.1 * (epoch % 7)] : [];
        (scheduler.step as (...args: unknown[]) => void)(...metric);
        if (epoch !== 9) continue;
        const state = scheduler.state_dict();
        // (PyTorch 1.13 counts a step that its plateau schedule has made; 2.6 does not.)
        for (const [key, value] of Object.entries(answers[i]!.state)) {
          if (key in state && typeof value === "number") expect(state[key], `${spec[0]} ${key}`).toBeCloseTo(value, 10);
        }
        const options = optimizer.state_dict();
        const next = build(spec);
        next[0].load_state_dict(options);
        next[1].load_state_dict(state);
        [optimizer, scheduler] = next;
        optimizer.step();
      }
      rates.forEach((rate, k) => expect(rate, `${spec[0]}, epoch ${k}`).toBeCloseTo(answers[i]!.rates[k]!, 10));
    });
  });

  it("averaged models have its parameters and statistics", async () => {
    const kinds: [string, boolean][] = [
      ["swa", false],
      ["swa", true],
      ["ema", false],
      ["ema", true],
    ];
    const answers = ask<{ before: Record<string, unknown>; after: Record<string, unknown> }>("averages", kinds);
    const { AveragedModel, get_ema_multi_avg_fn, update_bn } = optim.swa_utils;
    for (const [i, [kind, use_buffers]] of kinds.entries()) {
      torch.manual_seed(0);
      const model = new nn.Sequential(new nn.Linear(3, 4), new nn.BatchNorm1d(4));
      const averaged = new AveragedModel(model, {
        use_buffers,
        ...(kind === "ema" ? { multi_avg_fn: get_ema_multi_avg_fn(0.9) } : {}),
      });
      const optimizer = new optim.SGD(model.parameters(), { lr: 0.3 });
      const x = torch.linspace(-1, 1, 24).reshape([8, 3]);
      for (let step = 0; step < 4; step++) {
        optimizer.zero_grad();
        (model(x.mul(step + 1)) as Tensor)
          .square()
          .mul(torch.linspace(0, 1, 4))
          .mean()
          .backward();
        optimizer.step();
        averaged.update_parameters(model);
      }
      const same = (want: Record<string, unknown>): void => {
        const state = averaged.state_dict();
        expect(Object.keys(state).sort()).toEqual(Object.keys(want).sort());
        for (const [key, t] of Object.entries(state)) {
          // PyTorch 1.13 leaves buffers that it does not average as they were; later ones copy them.
          if (want === answers[i]!.before && !use_buffers && /running|tracked/.test(key)) continue;
          const values = torch.tensor(want[key] as number[]).to(t.dtype);
          expect(torch.allclose(t, values, { atol: 1e-5, rtol: 1e-5 }), `${kind} ${key}: ${String(t)}`).toBe(true);
        }
      };
      same(answers[i]!.before);
      await update_bn([x, x.mul(2), [x.mul(3), 0]], averaged);
      same(answers[i]!.after);
    }
  });
});
