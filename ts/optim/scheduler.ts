/** The base of learning-rate schedules. */

import { ValueError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { bindArguments, parseSignature, type Signature } from "../engine/signature.ts";
import { numberOf, Optimizer, type ParamGroup } from "./optimizer.ts";

export type SchedulerStateDict = Record<string, unknown>;

/** @internal A scheduler's arguments by name. */
export function schedulerArguments<O>(name: string, signature: Signature, given: readonly unknown[]): [Optimizer, O] {
  const [optimizer, ...rest] = bindArguments(name, signature, given);
  if (!(optimizer instanceof Optimizer)) throw new TypeError(`${name}: argument 'optimizer' must be an Optimizer`);
  return [optimizer, Object.fromEntries(signature.names.slice(1).map((key, i) => [key, rest[i]])) as O];
}

const signatures = new Map<string, Signature>();
/** @internal A signature that starts with the optimiser and ends with last_epoch. */
export function schedulerSignature(text: string): Signature {
  let known = signatures.get(text);
  if (known === undefined) signatures.set(text, (known = parseSignature(`optimizer, ${text}last_epoch=-1`)));
  return known;
}

/** @internal A rate that is a tensor stays that tensor. */
export function setRate(group: ParamGroup, lr: number): void {
  const rate: unknown = group.lr;
  if (rate instanceof Tensor) no_grad(() => void rate.fill_(lr));
  else group.lr = lr;
}

/** @internal One value per group. */
export function perGroup<T>(name: string, optimizer: Optimizer, value: T | readonly T[]): T[] {
  const n = optimizer.param_groups.length;
  if (!Array.isArray(value)) return new Array<T>(n).fill(value as T);
  if (value.length !== n)
    throw new ValueError(
      `${name} must have the same length as optimizer.param_groups. ${name} has ${value.length} values, param_groups has ${n}.`,
    );
  return [...(value as T[])];
}

/**
 * Sets the learning rate of every group at each `step()`. A schedule of one's own gives `get_lr()`, and its constructor ends with
 * `this._initial_step()`.
 */
export abstract class LRScheduler {
  base_lrs: number[];
  last_epoch: number;
  /** @internal */
  _step_count = 0;
  /** @internal */
  _last_lr: number[] = [];
  readonly optimizer!: Optimizer;

  constructor(optimizer: Optimizer, last_epoch = -1) {
    // Not among what state_dict saves.
    Object.defineProperty(this, "optimizer", { value: optimizer, enumerable: false });
    optimizer.param_groups.forEach((group, i) => {
      if (last_epoch === -1) group.initial_lr ??= numberOf(group.lr);
      else if (group.initial_lr === undefined) {
        throw new ValueError(`param 'initial_lr' is not specified in param_groups[${i}] when resuming an optimizer`);
      }
    });
    this.base_lrs = optimizer.param_groups.map((group) => group.initial_lr as number);
    this.last_epoch = last_epoch;
  }

  /** @internal Puts the learning rates of the first epoch in force. */
  _initial_step(): void {
    this.optimizer._step_count = 0;
    this._step_count = 0;
    this.step();
  }

  /** The learning rates of the groups at `last_epoch`, usually from those before. */
  abstract get_lr(): number[];

  /** @internal The same from the epoch's number alone, where there is such a formula. */
  _get_closed_form_lr?(): number[];

  /** The learning rates that the last step set. */
  get_last_lr(): number[] {
    return this._last_lr;
  }

  /** Goes to the next epoch, or to a given one. */
  step(epoch: number | null = null): void {
    if (this._step_count === 1 && this.optimizer._step_count === 0 && epoch === null && this.warns) {
      console.warn(
        "Detected call of `lr_scheduler.step()` before `optimizer.step()`. Call them in the opposite order: `optimizer.step()` before `lr_scheduler.step()`; otherwise the first value of the learning rate schedule is skipped.",
      );
    }
    this._step_count++;
    let values: number[];
    if (epoch === null) {
      this.last_epoch++;
      values = this.get_lr();
    } else {
      this.last_epoch = epoch;
      values = this._get_closed_form_lr?.() ?? this.get_lr();
    }
    this.setLrs(values);
  }

  /** Prints the rate of a group where `is_verbose`. */
  print_lr(is_verbose: boolean, group: number, lr: number, epoch: number | null = null): void {
    if (!is_verbose) return;
    const when = epoch === null ? "" : `Epoch ${String(epoch).padStart(5)}: `;
    console.log(`${when}adjusting learning rate of group ${group} to ${lr.toExponential(4)}.`);
  }

  /** @internal */
  protected get warns(): boolean {
    return true;
  }

  /** @internal */
  protected setLrs(values: readonly number[]): void {
    this.groups.forEach((group, i) => {
      setRate(group, values[i]!);
    });
    this._last_lr = this.lrs;
  }

  protected get groups(): ParamGroup[] {
    return this.optimizer.param_groups;
  }

  /** @internal The groups' learning rates now. */
  protected get lrs(): number[] {
    return this.groups.map((group) => numberOf(group.lr));
  }

  /** All of the schedule's numbers; functions are not saved. */
  state_dict(): SchedulerStateDict {
    const saved = Object.entries(this).filter(([, value]) => typeof value !== "function" && !hasFunctions(value));
    return structuredClone(Object.fromEntries(saved)) as SchedulerStateDict;
  }
  load_state_dict(state_dict: SchedulerStateDict): void {
    Object.assign(this, structuredClone(state_dict));
  }
}

function hasFunctions(value: unknown): boolean {
  return Array.isArray(value) && value.some((v) => typeof v === "function");
}
