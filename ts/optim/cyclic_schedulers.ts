/** Schedules that go up and down, some with the momentum against them. */

import { ValueError } from "../core/errors.ts";
import type { Args } from "../engine/signature.ts";
import type { Optimizer, ParamGroup } from "./optimizer.ts";
import { LRScheduler, perGroup, schedulerArguments, schedulerSignature, setRate } from "./scheduler.ts";

type PerGroup = number | readonly number[];

/** Half a cosine from the initial rate to eta_min over T_0 epochs, then again over T_0 * T_mult, and so on. */
export class CosineAnnealingWarmRestarts extends LRScheduler {
  readonly T_0: number;
  readonly T_mult: number;
  readonly eta_min: number;
  T_i: number;
  T_cur: number;
  constructor(
    ...args: [
      optimizer: Optimizer,
      ...Args<[{ T_0: number }, { T_mult?: number }, { eta_min?: number }, { last_epoch?: number }]>,
    ]
  ) {
    const [optimizer, o] = schedulerArguments<{ T_0: number; T_mult: number; eta_min: number; last_epoch: number }>(
      "CosineAnnealingWarmRestarts",
      schedulerSignature("T_0, T_mult=1, eta_min=0, "),
      args,
    );
    if (o.T_0 <= 0 || !Number.isInteger(o.T_0)) throw new ValueError(`Expected positive integer T_0, but got ${o.T_0}`);
    if (o.T_mult < 1 || !Number.isInteger(o.T_mult)) throw new ValueError(`Expected integer T_mult >= 1, but got ${o.T_mult}`);
    super(optimizer, o.last_epoch);
    this.T_0 = this.T_i = o.T_0;
    this.T_mult = o.T_mult;
    this.eta_min = o.eta_min;
    this.T_cur = o.last_epoch;
    this._initial_step();
  }
  get_lr(): number[] {
    const { eta_min: least, T_cur, T_i } = this;
    return this.base_lrs.map((lr) => least + ((lr - least) * (1 + Math.cos((Math.PI * T_cur) / T_i))) / 2);
  }
  /** Goes to the next epoch, or to a given one, which may lie between whole numbers. */
  override step(epoch: number | null = null): void {
    if (epoch === null && this.last_epoch < 0) epoch = 0;
    if (epoch === null) {
      epoch = this.last_epoch + 1;
      this.T_cur++;
      if (this.T_cur >= this.T_i) {
        this.T_cur -= this.T_i;
        this.T_i *= this.T_mult;
      }
    } else {
      if (epoch < 0) throw new ValueError(`Expected non-negative epoch, but got ${epoch}`);
      if (epoch < this.T_0) {
        this.T_i = this.T_0;
        this.T_cur = epoch;
      } else if (this.T_mult === 1) this.T_cur = epoch % this.T_0;
      else {
        const n = Math.floor(Math.log((epoch / this.T_0) * (this.T_mult - 1) + 1) / Math.log(this.T_mult));
        this.T_cur = epoch - (this.T_0 * (this.T_mult ** n - 1)) / (this.T_mult - 1);
        this.T_i = this.T_0 * this.T_mult ** n;
      }
    }
    this.last_epoch = Math.floor(epoch);
    this.setLrs(this.get_lr());
  }
}

/** Momentum, or the first beta, of a group. */
function setMomentum(group: ParamGroup, useBeta1: boolean, value: number): void {
  if (useBeta1) group.betas = [value, ...(group.betas as number[]).slice(1)];
  else group.momentum = value;
}

/** Whether the optimiser has betas in the place of momentum; an error when it has neither. */
function usesBeta1(optimizer: Optimizer): boolean {
  if (!("momentum" in optimizer.defaults) && !("betas" in optimizer.defaults)) {
    throw new ValueError("optimizer must support momentum or beta1 with `cycle_momentum` option enabled");
  }
  return "betas" in optimizer.defaults;
}

function startMomentum(optimizer: Optimizer, highest: readonly number[], base: readonly number[]): void {
  const beta1 = usesBeta1(optimizer);
  optimizer.param_groups.forEach((group, i) => {
    setMomentum(group, beta1, highest[i]!);
    group.max_momentum = highest[i];
    group.base_momentum = base[i];
  });
}

export interface OneCycleLROptions {
  max_lr: PerGroup;
  total_steps: number | null;
  epochs: number | null;
  steps_per_epoch: number | null;
  pct_start: number;
  anneal_strategy: "cos" | "linear";
  cycle_momentum: boolean;
  base_momentum: PerGroup;
  max_momentum: PerGroup;
  div_factor: number;
  final_div_factor: number;
  three_phase: boolean;
  last_epoch: number;
}
type OneCycleArgs = Args<
  [
    { max_lr: PerGroup },
    { total_steps?: number | null },
    { epochs?: number | null },
    { steps_per_epoch?: number | null },
    { pct_start?: number },
    { anneal_strategy?: "cos" | "linear" },
    { cycle_momentum?: boolean },
    { base_momentum?: PerGroup },
    { max_momentum?: PerGroup },
    { div_factor?: number },
    { final_div_factor?: number },
    { three_phase?: boolean },
    { last_epoch?: number },
  ]
>;

interface Phase {
  readonly end_step: number;
  readonly lr: readonly [from: string, to: string];
  readonly momentum: readonly [from: string, to: string];
}

function anneal(strategy: "cos" | "linear", from: number, to: number, pct: number): number {
  return strategy === "cos" ? to + ((from - to) / 2) * (Math.cos(Math.PI * pct) + 1) : (to - from) * pct + from;
}

/** Up to max_lr, then far down, in one cycle over total_steps; stepped after every batch. */
export class OneCycleLR extends LRScheduler {
  readonly total_steps: number;
  readonly anneal_strategy: "cos" | "linear";
  readonly cycle_momentum: boolean;
  /** @internal */
  readonly _schedule_phases: readonly Phase[];

  constructor(...args: [optimizer: Optimizer, ...OneCycleArgs]) {
    const [optimizer, o] = schedulerArguments<OneCycleLROptions>(
      "OneCycleLR",
      schedulerSignature(
        "max_lr, total_steps=None, epochs=None, steps_per_epoch=None, pct_start=0.3, anneal_strategy='cos', cycle_momentum=True, base_momentum=0.85, max_momentum=0.95, div_factor=25, final_div_factor=10000, three_phase=False, ",
      ),
      args,
    );
    const total = totalSteps(o);
    if (o.pct_start < 0 || o.pct_start > 1)
      throw new ValueError(`Expected float between 0 and 1 pct_start, but got ${o.pct_start}`);
    if (!["cos", "linear"].includes(o.anneal_strategy)) {
      throw new ValueError(`anneal_strategy must be one of 'cos' or 'linear', instead got ${o.anneal_strategy}`);
    }
    if (o.last_epoch === -1) {
      const max = perGroup("max_lr", optimizer, o.max_lr);
      optimizer.param_groups.forEach((group, i) => {
        group.initial_lr = max[i]! / o.div_factor;
        group.max_lr = max[i];
        group.min_lr = (group.initial_lr as number) / o.final_div_factor;
      });
      if (o.cycle_momentum) {
        startMomentum(
          optimizer,
          perGroup("max_momentum", optimizer, o.max_momentum),
          perGroup("base_momentum", optimizer, o.base_momentum),
        );
      }
    }
    super(optimizer, o.last_epoch);
    this.total_steps = total;
    this.anneal_strategy = o.anneal_strategy;
    this.cycle_momentum = o.cycle_momentum;
    const up = { lr: ["initial_lr", "max_lr"], momentum: ["max_momentum", "base_momentum"] } as const;
    this._schedule_phases = o.three_phase
      ? [
          { end_step: o.pct_start * total - 1, ...up },
          { end_step: 2 * o.pct_start * total - 2, lr: ["max_lr", "initial_lr"], momentum: ["base_momentum", "max_momentum"] },
          { end_step: total - 1, lr: ["initial_lr", "min_lr"], momentum: ["max_momentum", "max_momentum"] },
        ]
      : [
          { end_step: o.pct_start * total - 1, ...up },
          { end_step: total - 1, lr: ["max_lr", "min_lr"], momentum: ["base_momentum", "max_momentum"] },
        ];
    this._initial_step();
  }

  get_lr(): number[] {
    const step = this.last_epoch;
    if (step > this.total_steps) {
      throw new ValueError(`Tried to step ${step} times. The specified number of total steps is ${this.total_steps}`);
    }
    const phases = this._schedule_phases;
    let at = phases.findIndex((phase) => step <= phase.end_step);
    if (at < 0) at = phases.length - 1;
    const phase = phases[at]!;
    const start = at === 0 ? 0 : phases[at - 1]!.end_step;
    const pct = (step - start) / (phase.end_step - start);
    const between = (group: ParamGroup, [from, to]: readonly [string, string]): number =>
      anneal(this.anneal_strategy, group[from] as number, group[to] as number, pct);
    return this.groups.map((group) => {
      if (this.cycle_momentum) setMomentum(group, usesBeta1(this.optimizer), between(group, phase.momentum));
      return between(group, phase.lr);
    });
  }
}

function totalSteps({ total_steps, epochs, steps_per_epoch }: OneCycleLROptions): number {
  const check = (name: string, n: number): number => {
    if (n <= 0 || !Number.isInteger(n)) throw new ValueError(`Expected positive integer ${name}, but got ${n}`);
    return n;
  };
  if (total_steps !== null) return check("total_steps", total_steps);
  if (epochs === null || steps_per_epoch === null) {
    throw new ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)");
  }
  return check("epochs", epochs) * check("steps_per_epoch", steps_per_epoch);
}

export interface CyclicLROptions {
  base_lr: PerGroup;
  max_lr: PerGroup;
  step_size_up: number;
  step_size_down: number | null;
  mode: "triangular" | "triangular2" | "exp_range";
  gamma: number;
  scale_fn: ((x: number) => number) | null;
  scale_mode: "cycle" | "iterations";
  cycle_momentum: boolean;
  base_momentum: PerGroup;
  max_momentum: PerGroup;
  last_epoch: number;
}
type CyclicArgs = Args<
  [
    { base_lr: PerGroup },
    { max_lr: PerGroup },
    { step_size_up?: number },
    { step_size_down?: number | null },
    { mode?: CyclicLROptions["mode"] },
    { gamma?: number },
    { scale_fn?: ((x: number) => number) | null },
    { scale_mode?: CyclicLROptions["scale_mode"] },
    { cycle_momentum?: boolean },
    { base_momentum?: PerGroup },
    { max_momentum?: PerGroup },
    { last_epoch?: number },
  ]
>;

/** Between base_lr and max_lr and back, again and again; stepped after every batch. */
export class CyclicLR extends LRScheduler {
  readonly max_lrs: number[];
  readonly total_size: number;
  readonly step_ratio: number;
  readonly mode: CyclicLROptions["mode"];
  readonly gamma: number;
  readonly scale_mode: CyclicLROptions["scale_mode"];
  readonly cycle_momentum: boolean;
  readonly base_momentums: number[] = [];
  readonly max_momentums: number[] = [];
  private readonly scale_fn: ((x: number) => number) | null;

  constructor(...args: [optimizer: Optimizer, ...CyclicArgs]) {
    const [optimizer, o] = schedulerArguments<CyclicLROptions>(
      "CyclicLR",
      schedulerSignature(
        "base_lr, max_lr, step_size_up=2000, step_size_down=None, mode='triangular', gamma=1, scale_fn=None, scale_mode='cycle', cycle_momentum=True, base_momentum=0.8, max_momentum=0.9, ",
      ),
      args,
    );
    if (!["triangular", "triangular2", "exp_range"].includes(o.mode) && o.scale_fn === null) {
      throw new ValueError("mode is invalid and scale_fn is None");
    }
    const base = perGroup("base_lr", optimizer, o.base_lr);
    if (o.last_epoch === -1) {
      optimizer.param_groups.forEach((group, i) => {
        setRate(group, base[i]!);
      });
    }
    super(optimizer, o.last_epoch);
    this.max_lrs = perGroup("max_lr", optimizer, o.max_lr);
    this.total_size = o.step_size_up + (o.step_size_down ?? o.step_size_up);
    this.step_ratio = o.step_size_up / this.total_size;
    this.mode = o.mode;
    this.gamma = o.gamma;
    this.scale_fn = o.scale_fn;
    this.scale_mode = o.scale_fn === null ? (o.mode === "exp_range" ? "iterations" : "cycle") : o.scale_mode;
    this.cycle_momentum = o.cycle_momentum;
    if (o.cycle_momentum) {
      this.base_momentums = perGroup("base_momentum", optimizer, o.base_momentum);
      this.max_momentums = perGroup("max_momentum", optimizer, o.max_momentum);
      if (o.last_epoch === -1) startMomentum(optimizer, this.max_momentums, this.base_momentums);
    }
    this._initial_step();
    this.base_lrs = base;
  }

  private scale(x: number): number {
    if (this.scale_fn !== null) return this.scale_fn(x);
    if (this.mode === "triangular") return 1;
    return this.mode === "triangular2" ? 1 / 2 ** (x - 1) : this.gamma ** x;
  }

  get_lr(): number[] {
    const cycle = Math.floor(1 + this.last_epoch / this.total_size);
    const x = 1 + this.last_epoch / this.total_size - cycle;
    const height = x <= this.step_ratio ? x / this.step_ratio : (x - 1) / (this.step_ratio - 1);
    const scale = this.scale(this.scale_mode === "cycle" ? cycle : this.last_epoch);
    if (this.cycle_momentum) {
      const beta1 = usesBeta1(this.optimizer);
      this.groups.forEach((group, i) => {
        const [base, max] = [this.base_momentums[i]!, this.max_momentums[i]!];
        setMomentum(group, beta1, max - (max - base) * height * scale);
      });
    }
    return this.base_lrs.map((base, i) => base + (this.max_lrs[i]! - base) * height * scale);
  }
}
