/** Learning-rate schedules, by PyTorch's formulas. */

import { ValueError } from "../core/errors.ts";
import type { Args } from "../engine/signature.ts";
import type { Optimizer } from "./optimizer.ts";
import { LRScheduler, perGroup, schedulerArguments, schedulerSignature } from "./scheduler.ts";

export { LRScheduler, type SchedulerStateDict } from "./scheduler.ts";
export {
  CosineAnnealingWarmRestarts,
  CyclicLR,
  OneCycleLR,
  type CyclicLROptions,
  type OneCycleLROptions,
} from "./cyclic_schedulers.ts";
export { ChainedScheduler, ReduceLROnPlateau, SequentialLR, type PlateauOptions } from "./compound_schedulers.ts";

type Last = { last_epoch?: number };
type Rule = (epoch: number) => number;

/** How many of the sorted values are not greater than x. */
function bisectRight(sorted: readonly number[], x: number): number {
  let n = 0;
  while (n < sorted.length && sorted[n]! <= x) n++;
  return n;
}

abstract class LambdaBase extends LRScheduler {
  readonly lr_lambdas: Rule[];
  constructor(name: string, args: readonly unknown[]) {
    const [optimizer, o] = schedulerArguments<{ lr_lambda: Rule | Rule[]; last_epoch: number }>(
      name,
      schedulerSignature("lr_lambda, "),
      args,
    );
    super(optimizer, o.last_epoch);
    this.lr_lambdas = perGroup("lr_lambda", optimizer, o.lr_lambda);
    this._initial_step();
  }
}
type LambdaArgs = [optimizer: Optimizer, ...Args<[{ lr_lambda: Rule | Rule[] }, Last]>];

/** The initial rate times `lr_lambda(epoch)`. */
export class LambdaLR extends LambdaBase {
  constructor(...args: LambdaArgs) {
    super("LambdaLR", args);
  }
  get_lr(): number[] {
    return this.base_lrs.map((lr, i) => lr * this.lr_lambdas[i]!(this.last_epoch));
  }
}

/** The last rate times `lr_lambda(epoch)`. */
export class MultiplicativeLR extends LambdaBase {
  constructor(...args: LambdaArgs) {
    super("MultiplicativeLR", args);
  }
  get_lr(): number[] {
    return this.last_epoch > 0 ? this.lrs.map((lr, i) => lr * this.lr_lambdas[i]!(this.last_epoch)) : this.lrs;
  }
}

/** Times gamma every step_size epochs. */
export class StepLR extends LRScheduler {
  readonly step_size: number;
  readonly gamma: number;
  constructor(...args: [optimizer: Optimizer, ...Args<[{ step_size: number }, { gamma?: number }, Last]>]) {
    const [optimizer, o] = schedulerArguments<{ step_size: number; gamma: number; last_epoch: number }>(
      "StepLR",
      schedulerSignature("step_size, gamma=0.1, "),
      args,
    );
    super(optimizer, o.last_epoch);
    this.step_size = o.step_size;
    this.gamma = o.gamma;
    this._initial_step();
  }
  get_lr(): number[] {
    if (this.last_epoch === 0 || this.last_epoch % this.step_size !== 0) return this.lrs;
    return this.lrs.map((lr) => lr * this.gamma);
  }
  override _get_closed_form_lr(): number[] {
    return this.base_lrs.map((lr) => lr * this.gamma ** Math.floor(this.last_epoch / this.step_size));
  }
}

/** Times gamma at each milestone. */
export class MultiStepLR extends LRScheduler {
  /** How often each milestone was named. */
  readonly milestones: Record<number, number> = {};
  readonly gamma: number;
  constructor(...args: [optimizer: Optimizer, ...Args<[{ milestones: readonly number[] }, { gamma?: number }, Last]>]) {
    const [optimizer, o] = schedulerArguments<{ milestones: number[]; gamma: number; last_epoch: number }>(
      "MultiStepLR",
      schedulerSignature("milestones, gamma=0.1, "),
      args,
    );
    super(optimizer, o.last_epoch);
    for (const m of o.milestones) this.milestones[m] = (this.milestones[m] ?? 0) + 1;
    this.gamma = o.gamma;
    this._initial_step();
  }
  get_lr(): number[] {
    const times = this.milestones[this.last_epoch] ?? 0;
    return times === 0 ? this.lrs : this.lrs.map((lr) => lr * this.gamma ** times);
  }
  override _get_closed_form_lr(): number[] {
    const sorted = Object.entries(this.milestones)
      .flatMap(([m, n]) => new Array<number>(n).fill(Number(m)))
      .sort((a, b) => a - b);
    return this.base_lrs.map((lr) => lr * this.gamma ** bisectRight(sorted, this.last_epoch));
  }
}

/** Times `factor` for the first total_iters epochs. */
export class ConstantLR extends LRScheduler {
  readonly factor: number;
  readonly total_iters: number;
  constructor(...args: [optimizer: Optimizer, ...Args<[{ factor?: number }, { total_iters?: number }, Last]>]) {
    const [optimizer, o] = schedulerArguments<{ factor: number; total_iters: number; last_epoch: number }>(
      "ConstantLR",
      schedulerSignature(`factor=${1 / 3}, total_iters=5, `),
      args,
    );
    if (o.factor > 1 || o.factor < 0) throw new ValueError("Constant multiplicative factor expected to be between 0 and 1.");
    super(optimizer, o.last_epoch);
    this.factor = o.factor;
    this.total_iters = o.total_iters;
    this._initial_step();
  }
  get_lr(): number[] {
    if (this.last_epoch === 0) return this.lrs.map((lr) => lr * this.factor);
    return this.last_epoch === this.total_iters ? this.lrs.map((lr) => lr * (1 / this.factor)) : this.lrs;
  }
  override _get_closed_form_lr(): number[] {
    return this.base_lrs.map((lr) => lr * (this.factor + (this.last_epoch >= this.total_iters ? 1 - this.factor : 0)));
  }
}

/** From start_factor to end_factor in equal steps over total_iters epochs. */
export class LinearLR extends LRScheduler {
  readonly start_factor: number;
  readonly end_factor: number;
  readonly total_iters: number;
  constructor(
    ...args: [optimizer: Optimizer, ...Args<[{ start_factor?: number }, { end_factor?: number }, { total_iters?: number }, Last]>]
  ) {
    const [optimizer, o] = schedulerArguments<{
      start_factor: number;
      end_factor: number;
      total_iters: number;
      last_epoch: number;
    }>("LinearLR", schedulerSignature(`start_factor=${1 / 3}, end_factor=1, total_iters=5, `), args);
    if (o.start_factor > 1 || o.start_factor <= 0) {
      throw new ValueError("Starting multiplicative factor expected to be greater than 0 and less or equal to 1.");
    }
    if (o.end_factor > 1 || o.end_factor < 0) {
      throw new ValueError("Ending multiplicative factor expected to be between 0 and 1.");
    }
    super(optimizer, o.last_epoch);
    this.start_factor = o.start_factor;
    this.end_factor = o.end_factor;
    this.total_iters = o.total_iters;
    this._initial_step();
  }
  get_lr(): number[] {
    const { start_factor: start, end_factor: end, total_iters: total, last_epoch: epoch } = this;
    if (epoch === 0) return this.lrs.map((lr) => lr * start);
    if (epoch > total) return this.lrs;
    return this.lrs.map((lr) => lr * (1 + (end - start) / (total * start + (epoch - 1) * (end - start))));
  }
  override _get_closed_form_lr(): number[] {
    const { start_factor: start, end_factor: end, total_iters: total } = this;
    return this.base_lrs.map((lr) => lr * (start + ((end - start) * Math.min(total, this.last_epoch)) / total));
  }
}

/** Times gamma every epoch. */
export class ExponentialLR extends LRScheduler {
  readonly gamma: number;
  constructor(...args: [optimizer: Optimizer, ...Args<[{ gamma: number }, Last]>]) {
    const [optimizer, o] = schedulerArguments<{ gamma: number; last_epoch: number }>(
      "ExponentialLR",
      schedulerSignature("gamma, "),
      args,
    );
    super(optimizer, o.last_epoch);
    this.gamma = o.gamma;
    this._initial_step();
  }
  get_lr(): number[] {
    return this.last_epoch === 0 ? this.lrs : this.lrs.map((lr) => lr * this.gamma);
  }
  override _get_closed_form_lr(): number[] {
    return this.base_lrs.map((lr) => lr * this.gamma ** this.last_epoch);
  }
}

/** `(1 - epoch / total_iters) ** power`, then zero. */
export class PolynomialLR extends LRScheduler {
  readonly total_iters: number;
  readonly power: number;
  constructor(...args: [optimizer: Optimizer, ...Args<[{ total_iters?: number }, { power?: number }, Last]>]) {
    const [optimizer, o] = schedulerArguments<{ total_iters: number; power: number; last_epoch: number }>(
      "PolynomialLR",
      schedulerSignature("total_iters=5, power=1, "),
      args,
    );
    super(optimizer, o.last_epoch);
    this.total_iters = o.total_iters;
    this.power = o.power;
    this._initial_step();
  }
  get_lr(): number[] {
    const { total_iters: total, last_epoch: epoch, power } = this;
    if (epoch === 0 || epoch > total) return this.lrs;
    const decay = ((1 - epoch / total) / (1 - (epoch - 1) / total)) ** power;
    return this.lrs.map((lr) => lr * decay);
  }
  override _get_closed_form_lr(): number[] {
    const left = 1 - Math.min(this.total_iters, this.last_epoch) / this.total_iters;
    return this.base_lrs.map((lr) => lr * left ** this.power);
  }
}

/** Half a cosine from the initial rate to eta_min over T_max epochs, and back again. */
export class CosineAnnealingLR extends LRScheduler {
  readonly T_max: number;
  readonly eta_min: number;
  constructor(...args: [optimizer: Optimizer, ...Args<[{ T_max: number }, { eta_min?: number }, Last]>]) {
    const [optimizer, o] = schedulerArguments<{ T_max: number; eta_min: number; last_epoch: number }>(
      "CosineAnnealingLR",
      schedulerSignature("T_max, eta_min=0, "),
      args,
    );
    super(optimizer, o.last_epoch);
    this.T_max = o.T_max;
    this.eta_min = o.eta_min;
    this._initial_step();
  }
  get_lr(): number[] {
    const { T_max: T, eta_min: least, last_epoch: epoch, base_lrs: base } = this;
    if (epoch === 0) return this.lrs;
    if (this._step_count === 1 && epoch > 0) return this._get_closed_form_lr();
    if ((epoch - 1 - T) % (2 * T) === 0) {
      return this.lrs.map((lr, i) => lr + ((base[i]! - least) * (1 - Math.cos(Math.PI / T))) / 2);
    }
    const ratio = (1 + Math.cos((Math.PI * epoch) / T)) / (1 + Math.cos((Math.PI * (epoch - 1)) / T));
    return this.lrs.map((lr) => ratio * (lr - least) + least);
  }
  override _get_closed_form_lr(): number[] {
    const { T_max: T, eta_min: least, last_epoch: epoch } = this;
    return this.base_lrs.map((lr) => least + ((lr - least) * (1 + Math.cos((Math.PI * epoch) / T))) / 2);
  }
}
