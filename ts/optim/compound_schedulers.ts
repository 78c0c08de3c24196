/** Schedules made of others, and one that follows a metric. */

import { ValueError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import { bindArguments, parseSignature, type Args } from "../engine/signature.ts";
import { numberOf, Optimizer } from "./optimizer.ts";
import { LRScheduler, perGroup, schedulerArguments, setRate, type SchedulerStateDict } from "./scheduler.ts";

function checkSame(name: string, optimizer: Optimizer, schedulers: readonly LRScheduler[]): void {
  schedulers.forEach((s, i) => {
    if (!(s instanceof LRScheduler)) throw new TypeError(`${name} at index ${i} should be a scheduler`);
    if (s.optimizer !== optimizer)
      throw new ValueError(
        `${name} expects all schedulers to belong to the same optimizer, but got scheduler at index ${i} with another one`,
      );
  });
}

function saved(own: Record<string, unknown>, schedulers: readonly LRScheduler[]): SchedulerStateDict {
  return { ...structuredClone(own), _schedulers: schedulers.map((s) => s.state_dict()) };
}

function restore(schedulers: readonly LRScheduler[], state: SchedulerStateDict): void {
  (state._schedulers as SchedulerStateDict[]).forEach((s, i) => schedulers[i]!.load_state_dict(s));
}

const SEQUENTIAL = parseSignature("optimizer, schedulers, milestones, last_epoch=-1");

/** One schedule after another: the next begins, from its own start, at each milestone. */
export class SequentialLR extends LRScheduler {
  /** @internal */
  readonly _milestones: number[];
  private readonly schedulers: readonly LRScheduler[];

  constructor(
    ...args: [
      optimizer: Optimizer,
      ...Args<[{ schedulers: readonly LRScheduler[] }, { milestones: readonly number[] }, { last_epoch?: number }]>,
    ]
  ) {
    const [optimizer, o] = schedulerArguments<{
      schedulers: readonly LRScheduler[];
      milestones: readonly number[];
      last_epoch: number;
    }>("SequentialLR", SEQUENTIAL, args);
    const { schedulers, milestones } = o;
    if (schedulers.length < 1) throw new ValueError("SequentialLR expects at least one scheduler to be chained");
    checkSame("SequentialLR", optimizer, schedulers);
    if (milestones.length !== schedulers.length - 1) {
      throw new ValueError(
        `SequentialLR expects number of schedulers provided to be one more than the number of milestone points, but got ${schedulers.length} schedulers and ${milestones.length} milestones`,
      );
    }
    super(optimizer, o.last_epoch);
    this._milestones = [...milestones];
    this.schedulers = schedulers;
    this.last_epoch = o.last_epoch + 1;
    // Each of them has made its first step already: undo all but the first's.
    for (const group of optimizer.param_groups) setRate(group, group.initial_lr as number);
    for (const s of schedulers) s.last_epoch--;
    schedulers[0]!._initial_step();
    this._last_lr = schedulers[0]!.get_last_lr();
  }

  get_lr(): number[] {
    return this.lrs;
  }

  override step(): void {
    this.last_epoch++;
    const at = this._milestones.filter((m) => m <= this.last_epoch).length;
    const scheduler = this.schedulers[at]!;
    if (at > 0 && this._milestones[at - 1] === this.last_epoch) scheduler.step(0);
    else scheduler.step();
    this._last_lr = scheduler.get_last_lr();
  }

  override state_dict(): SchedulerStateDict {
    const { last_epoch, _last_lr, _milestones } = this;
    return saved({ last_epoch, _last_lr, _milestones }, this.schedulers);
  }
  override load_state_dict(state_dict: SchedulerStateDict): void {
    const { _schedulers, ...own } = state_dict;
    Object.assign(this, structuredClone(own));
    restore(this.schedulers, { _schedulers });
  }
}

/** All of the schedules at every step, one on top of the other. */
export class ChainedScheduler extends LRScheduler {
  private readonly schedulers: readonly LRScheduler[];

  constructor(schedulers: readonly LRScheduler[], { optimizer = null }: { optimizer?: Optimizer | null } = {}) {
    if (schedulers.length < 1)
      throw new ValueError("ChainedScheduler expects at least one scheduler to be chained, but got no scheduler.");
    const own = optimizer ?? schedulers[0]!.optimizer;
    checkSame("ChainedScheduler", own, schedulers);
    super(own);
    this.schedulers = schedulers;
    this._last_lr = this.lrs;
  }

  get_lr(): number[] {
    return this.lrs;
  }
  override step(): void {
    for (const s of this.schedulers) s.step();
    this._last_lr = this.lrs;
  }
  override state_dict(): SchedulerStateDict {
    return saved({ _last_lr: this._last_lr }, this.schedulers);
  }
  override load_state_dict(state_dict: SchedulerStateDict): void {
    this._last_lr = [...(state_dict._last_lr as number[])];
    restore(this.schedulers, state_dict);
  }
}

export interface PlateauOptions {
  mode: "min" | "max";
  factor: number;
  patience: number;
  threshold: number;
  threshold_mode: "rel" | "abs";
  cooldown: number;
  min_lr: number | readonly number[];
  eps: number;
}

const PLATEAU = parseSignature(
  "optimizer, mode='min', factor=0.1, patience=10, threshold=0.0001, threshold_mode='rel', cooldown=0, min_lr=0, eps=1e-8",
);

/** Times `factor` when a metric has not got better for more than `patience` steps. */
export class ReduceLROnPlateau extends LRScheduler {
  readonly mode: PlateauOptions["mode"];
  readonly factor: number;
  readonly patience: number;
  readonly threshold: number;
  readonly threshold_mode: PlateauOptions["threshold_mode"];
  readonly cooldown: number;
  readonly min_lrs: number[];
  readonly eps: number;
  cooldown_counter = 0;
  num_bad_epochs = 0;
  best: number;

  constructor(
    ...args: [
      optimizer: Optimizer,
      ...Args<
        [
          { mode?: PlateauOptions["mode"] },
          { factor?: number },
          { patience?: number },
          { threshold?: number },
          { threshold_mode?: PlateauOptions["threshold_mode"] },
          { cooldown?: number },
          { min_lr?: number | readonly number[] },
          { eps?: number },
        ]
      >,
    ]
  ) {
    const [optimizer, ...rest] = bindArguments("ReduceLROnPlateau", PLATEAU, args);
    if (!(optimizer instanceof Optimizer)) throw new TypeError("ReduceLROnPlateau: argument 'optimizer' must be an Optimizer");
    const o = Object.fromEntries(PLATEAU.names.slice(1).map((key, i) => [key, rest[i]])) as unknown as PlateauOptions;
    if (o.factor >= 1) throw new ValueError("Factor should be < 1.0.");
    if (!["min", "max"].includes(o.mode)) throw new ValueError(`mode ${o.mode} is unknown!`);
    if (!["rel", "abs"].includes(o.threshold_mode)) throw new ValueError(`threshold mode ${o.threshold_mode} is unknown!`);
    super(optimizer);
    this.last_epoch = 0;
    this.mode = o.mode;
    this.factor = o.factor;
    this.patience = o.patience;
    this.threshold = o.threshold;
    this.threshold_mode = o.threshold_mode;
    this.cooldown = o.cooldown;
    this.min_lrs = perGroup("min_lr", optimizer, o.min_lr);
    this.eps = o.eps;
    this.best = o.mode === "min" ? Infinity : -Infinity;
    this._last_lr = this.lrs;
  }

  get_lr(): number[] {
    return this.lrs;
  }

  /** Takes the metric's newest value: a number, or a tensor of one element. */
  override step(metrics?: number | Tensor | null): void {
    if (metrics === undefined || metrics === null) {
      throw new TypeError("ReduceLROnPlateau.step() missing 1 required positional argument: 'metrics'");
    }
    const current = metrics instanceof Tensor ? Number(metrics.item_sync()) : metrics;
    this.last_epoch++;
    if (this.isBetter(current)) {
      this.best = current;
      this.num_bad_epochs = 0;
    } else this.num_bad_epochs++;
    if (this.in_cooldown) {
      this.cooldown_counter--;
      this.num_bad_epochs = 0;
    }
    if (this.num_bad_epochs > this.patience) {
      this.groups.forEach((group, i) => {
        const old = numberOf(group.lr);
        const lr = Math.max(old * this.factor, this.min_lrs[i]!);
        if (old - lr > this.eps) setRate(group, lr);
      });
      this.cooldown_counter = this.cooldown;
      this.num_bad_epochs = 0;
    }
    this._last_lr = this.lrs;
  }

  get in_cooldown(): boolean {
    return this.cooldown_counter > 0;
  }

  private isBetter(a: number): boolean {
    const { best, threshold, mode } = this;
    if (mode === "min") return a < (this.threshold_mode === "rel" ? best * (1 - threshold) : best - threshold);
    return a > (this.threshold_mode === "rel" ? best * (threshold + 1) : best + threshold);
  }
}
