/** The base of optimisers: parameter groups, gradients to null, state that can be saved and restored. */

import { ValueError } from "../core/errors.ts";
import { enable_grad, setGradEnabled } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { keep } from "../engine/memory.ts";
import { bindArguments, describe, type Signature } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";

/** Parameters that share their options. */
export interface ParamGroup {
  params: Tensor[];
  lr: number;
  [option: string]: unknown;
}

/** A group as it is given: what it leaves out comes from the optimiser's defaults. */
export interface ParamGroupInput {
  params: Tensor | Iterable<Tensor | readonly [string, Tensor]>;
  [option: string]: unknown;
}

/** Parameters, named parameters, or groups of them. */
export type ParamsInput = Iterable<Tensor> | Iterable<readonly [string, Tensor]> | Iterable<ParamGroupInput>;

/** What an optimiser remembers of one parameter: tensors, and the number of steps. */
export type ParamState = Record<string, unknown>;

/** A checkpoint, with PyTorch's keys. */
export interface OptimizerStateDict {
  state: Record<number, ParamState>;
  param_groups: Record<string, unknown>[];
}
/** The same as torch.load gives it: a dict whose keys are numbers is a Map. */
export interface LoadedOptimizerState {
  readonly state: ReadonlyMap<number, ParamState>;
  readonly param_groups: OptimizerStateDict["param_groups"];
}

type StepHook = (optimizer: Optimizer) => void;

/** @internal The arguments of an optimiser's constructor: its parameters, and its options as defaults of the groups. */
export function optimizerArguments<D>(
  name: string,
  signature: Signature,
  given: readonly unknown[],
): [params: ParamsInput, defaults: D] {
  const [params, ...rest] = bindArguments(name, signature, given);
  const defaults = Object.fromEntries(signature.names.slice(1).map((key, i) => [key, rest[i]]));
  return [params as ParamsInput, defaults as D];
}

/** @internal */
export function checkOption(valid: boolean, what: string, value: unknown): void {
  if (!valid) throw new ValueError(`Invalid ${what}: ${String(value)}`);
}

/** @internal */
export function checkBetas(betas: unknown): void {
  if (!Array.isArray(betas) || betas.length !== 2)
    throw new ValueError(`Invalid betas: expected two numbers, got ${describe(betas)}`);
  betas.forEach((beta: number, i) => checkOption(beta >= 0 && beta < 1, `beta parameter at index ${i}`, beta));
}

export abstract class Optimizer {
  param_groups: ParamGroup[] = [];
  /** By parameter; filled by the first step. */
  readonly state = new Map<Tensor, ParamState>();
  /** Options of groups that leave them out. */
  readonly defaults: Readonly<Record<string, unknown>>;
  /** @internal Steps so far, for schedulers that warn of a wrong order. */
  _step_count = 0;
  private readonly before = new Set<StepHook>();
  private readonly after = new Set<StepHook>();

  constructor(params: ParamsInput, defaults: object) {
    this.defaults = defaults as Record<string, unknown>;
    if (params instanceof Tensor) {
      throw new TypeError("params argument given to the optimizer should be an iterable of Tensors or dicts, but got Tensor");
    }
    const list: unknown[] = [...(params as Iterable<unknown>)];
    if (list.length === 0) throw new ValueError("optimizer got an empty parameter list");
    if (isGroup(list[0])) for (const group of list) this.add_param_group(group as ParamGroupInput);
    else this.add_param_group({ params: list as Tensor[] });
  }

  /** Adds parameters to be optimised, with options of their own. */
  add_param_group(param_group: ParamGroupInput): void {
    if (!isGroup(param_group)) throw new TypeError(`param_group must be a dict with params, but got ${describe(param_group)}`);
    const given = param_group.params instanceof Tensor ? [param_group.params] : [...param_group.params];
    const named = given.filter((p) => Array.isArray(p)).length;
    if (named > 0 && named < given.length) {
      throw new ValueError("all optimizer params should be with/without names. Some param names are missing");
    }
    const params = given.map((p) => (Array.isArray(p) ? (p as unknown[])[1] : p) as Tensor);
    const known = new Set(this.param_groups.flatMap((g) => g.params));
    for (const p of params) {
      if (!(p instanceof Tensor))
        throw new TypeError(`optimizer can only optimize Tensors, but one of the params is ${describe(p)}`);
      if (!p.is_leaf) throw new ValueError("can't optimize a non-leaf Tensor");
      if (known.has(p)) throw new ValueError("some parameters appear in more than one parameter group");
    }
    if (new Set(params).size < params.length)
      throw new ValueError("optimizer contains a parameter group with duplicate parameters");
    const group: ParamGroup = { ...(this.defaults as { lr: number }), ...param_group, params };
    if (named > 0) group.param_names = given.map((p) => (p as unknown as [string, Tensor])[0]);
    if (group.lr === undefined)
      throw new ValueError("parameter group didn't specify a value of required optimization parameter lr");
    this.param_groups.push(group);
  }

  /** Clears all gradients: to null, or to zeros. */
  zero_grad({ set_to_none = true }: { set_to_none?: boolean } = {}): void {
    for (const { params } of this.param_groups) {
      for (const p of params) {
        if (p._grad === null) continue;
        if (set_to_none) p._dropGrad();
        else if (p.grad !== null) {
          p.grad = p.grad.detach();
          p.grad.zero_();
        }
      }
    }
  }

  /** Changes the parameters by their gradients. A closure computes the loss again, and its gradients, first. */
  step(): null;
  step<L>(closure: () => L): L;
  step<L>(closure?: (() => L) | null): L | null;
  step<L>(closure?: (() => L) | null): L | null {
    return this.hooked(() => this.updateAll(closure ?? null));
  }
  /** @internal One step, with what is to happen before and after. */
  protected hooked<L>(step: () => L): L {
    for (const hook of this.before) hook(this);
    const loss = step();
    this._step_count++;
    for (const hook of this.after) hook(this);
    return loss;
  }
  private updateAll<L>(closure: (() => L) | null): L | null {
    const loss = closure === null ? null : enable_grad(closure);
    if (loss instanceof Promise) {
      throw new TypeError(
        "step: the closure returned a promise; compute the loss with await first, then call step() without a closure",
      );
    }
    const previous = setGradEnabled(false);
    try {
      for (const group of this.param_groups) {
        const params = group.params.filter((p) => p._grad !== null);
        if (params.length > 0) this.updateGroup(group, params);
      }
    } finally {
      setGradEnabled(previous);
    }
    return loss;
  }

  /** @internal One step of a group's parameters that have gradients; recording is off. */
  protected abstract updateGroup(group: ParamGroup, params: readonly Tensor[]): void;

  /** @internal What is remembered of `p`, made by `create` at first. */
  protected stateOf<S extends object>(p: Tensor, create: () => S): S {
    let state = this.state.get(p);
    if (state === undefined) this.state.set(p, (state = keep(create()) as ParamState));
    return state as S;
  }

  register_step_pre_hook(hook: StepHook): { remove(): void } {
    this.before.add(hook);
    return { remove: () => void this.before.delete(hook) };
  }
  register_step_post_hook(hook: StepHook): { remove(): void } {
    this.after.add(hook);
    return { remove: () => void this.after.delete(hook) };
  }

  /** State and options, with parameters by number, as PyTorch keeps them. Its tensors are the optimiser's own. */
  state_dict(): OptimizerStateDict {
    const numbers = new Map<Tensor, number>();
    const param_groups = this.param_groups.map(({ params, ...options }) => ({
      ...options,
      params: params.map((p) => {
        if (!numbers.has(p)) numbers.set(p, numbers.size);
        return numbers.get(p)!;
      }),
    }));
    const state: Record<number, ParamState> = {};
    for (const [p, values] of this.state) {
      const saved: ParamState = {};
      for (const [key, value] of Object.entries(values))
        saved[key] = isCount(value) ? ops.tensor(value, { dtype: ops.ones(1).dtype }) : value;
      state[numbers.get(p)!] = saved;
    }
    return { state, param_groups };
  }

  /** Goes on from a checkpoint. Tensors are copied, in the type and on the device of their parameters. */
  load_state_dict(state_dict: OptimizerStateDict | LoadedOptimizerState): void {
    const saved = state_dict.param_groups;
    if (saved.length !== this.param_groups.length) {
      throw new ValueError("loaded state dict has a different number of parameter groups");
    }
    const byNumber = new Map<number, Tensor>();
    saved.forEach(({ params }, i) => {
      const own = this.param_groups[i]!.params;
      const numbers = params as readonly number[];
      if (numbers.length !== own.length) {
        throw new ValueError("loaded state dict contains a parameter group that doesn't match the size of optimizer's group");
      }
      numbers.forEach((n, j) => byNumber.set(n, own[j]!));
    });
    const state = new Map<Tensor, ParamState>();
    const byKey = state_dict.state;
    const entries = byKey instanceof Map ? (byKey as ReadonlyMap<number, ParamState>) : Object.entries(byKey as object);
    for (const [number, values] of entries as Iterable<[string | number, ParamState]>) {
      const p = byNumber.get(Number(number));
      if (p !== undefined) state.set(p, keep(restored(p, values)));
    }
    this.state.clear();
    for (const [p, values] of state) this.state.set(p, values);
    this.param_groups = saved.map((group, i) => ({
      ...(structuredClone({ ...group, params: [] }) as object),
      params: this.param_groups[i]!.params,
    })) as unknown as ParamGroup[];
  }
}

/** Numbers in the state count steps; in checkpoints they are tensors of one element, as PyTorch's. */
function isCount(value: unknown): value is number {
  return typeof value === "number";
}

function restored(p: Tensor, values: ParamState): ParamState {
  const out: ParamState = {};
  for (const [key, value] of Object.entries(values)) {
    if (!(value instanceof Tensor)) out[key] = value;
    else if (SCALARS.has(key)) out[key] = Number(value.item_sync());
    else out[key] = value.detach().to(p.device).to(p.dtype, { copy: true });
  }
  return out;
}

/** State that is one number per parameter. */
const SCALARS = new Set(["step", "mu_product", "eta", "mu"]);

function isGroup(x: unknown): x is ParamGroupInput {
  return typeof x === "object" && x !== null && !(x instanceof Tensor) && "params" in x;
}
