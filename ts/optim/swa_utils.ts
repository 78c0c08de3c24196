/** `torch.optim.swa_utils`: averages of weights, and the schedule that goes with them. */

import { ValueError } from "../core/errors.ts";
import type { Args } from "../engine/signature.ts";
import { numberOf, type Optimizer } from "./optimizer.ts";
import { LRScheduler, perGroup, schedulerArguments, schedulerSignature } from "./scheduler.ts";

export {
  AveragedModel,
  get_ema_avg_fn,
  get_ema_multi_avg_fn,
  get_swa_avg_fn,
  get_swa_multi_avg_fn,
  update_bn,
} from "./averaged_model.ts";

interface SWAOptions {
  swa_lr: number | readonly number[];
  anneal_epochs: number;
  anneal_strategy: "cos" | "linear";
  last_epoch: number;
}

/** From the present rate to swa_lr over anneal_epochs, then constant. */
export class SWALR extends LRScheduler {
  readonly anneal_epochs: number;
  private readonly linear: boolean;

  constructor(
    ...args: [
      optimizer: Optimizer,
      ...Args<
        [
          { swa_lr: number | readonly number[] },
          { anneal_epochs?: number },
          { anneal_strategy?: "cos" | "linear" },
          { last_epoch?: number },
        ]
      >,
    ]
  ) {
    const [optimizer, o] = schedulerArguments<SWAOptions>(
      "SWALR",
      schedulerSignature("swa_lr, anneal_epochs=10, anneal_strategy='cos', "),
      args,
    );
    if (!["cos", "linear"].includes(o.anneal_strategy)) {
      throw new ValueError(`anneal_strategy must be one of 'cos' or 'linear', instead got ${o.anneal_strategy}`);
    }
    if (!Number.isInteger(o.anneal_epochs) || o.anneal_epochs < 0) {
      throw new ValueError(`anneal_epochs must be equal or greater than 0, got ${o.anneal_epochs}`);
    }
    super(optimizer, o.last_epoch);
    const rates = perGroup("swa_lr", optimizer, o.swa_lr);
    optimizer.param_groups.forEach((group, i) => {
      group.swa_lr = rates[i];
    });
    this.anneal_epochs = o.anneal_epochs;
    this.linear = o.anneal_strategy === "linear";
    this._initial_step();
  }

  private alphaAt(step: number): number {
    const t = Math.max(0, Math.min(1, step / Math.max(1, this.anneal_epochs)));
    return this.linear ? t : (1 - Math.cos(Math.PI * t)) / 2;
  }

  get_lr(): number[] {
    const step = this.anneal_epochs === 0 ? Math.max(1, this._step_count - 1) : this._step_count - 1;
    const before = this.alphaAt(step - 1);
    const alpha = this.alphaAt(step);
    return this.groups.map((group) => {
      const target = group.swa_lr as number;
      const start = before === 1 ? target : (numberOf(group.lr) - before * target) / (1 - before);
      return target * alpha + start * (1 - alpha);
    });
  }
}
