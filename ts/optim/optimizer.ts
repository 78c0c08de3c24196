/** The base of optimisers: parameter groups, gradients to null, state that can be saved and restored. */

import { RuntimeError, ValueError } from "../core/errors.ts";
import { enable_grad, setGradEnabled } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { keep } from "../engine/memory.ts";
import { bindArguments, describe, type Signature } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";

/** Parameters that share their options. */
export interface ParamGroup {
  params: Tensor[];
  /** A number; at run time also the tensor of one element that was given for it. */
  lr: number;
  [option: string]: unknown;
}

/** A group as it is given: what it leaves out comes from the optimiser's defaults. */
export interface ParamGroupInput {
  params: Tensor | Iterable<Tensor | readonly [string, Tensor]>;
  [option: string]: unknown;
}

/** A learning rate: a number, or a tensor of one element, whose value may change from step to step. */
export type Rate = number | Tensor;

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

/** `hook(optimizer, args)`, around a step: `args` are what `step` was given. */
export type StepHook = (optimizer: Optimizer, args: readonly unknown[]) => void;
/** Sees a state dict, and may return another in its place. */
export type StateDictHook<S, R> = (optimizer: Optimizer, state_dict: S) => R;
interface Removable {
  remove(): void;
}

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
  readonly #hooks = {
    beforeStep: [] as StepHook[],
    afterStep: [] as StepHook[],
    beforeSave: [] as ((optimizer: Optimizer) => void)[],
    afterSave: [] as StateDictHook<OptimizerStateDict, OptimizerStateDict | void>[],
    beforeLoad: [] as StateDictHook<OptimizerStateDict, OptimizerStateDict | void>[],
    afterLoad: [] as ((optimizer: Optimizer) => void)[],
  };

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
      if (!p.is_leaf && this.defaults.differentiable !== true) {
        throw new ValueError("can't optimize a non-leaf Tensor");
      }
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
    return this.hooked([closure ?? null], () => this.updateAll(closure ?? null));
  }
  /** @internal One step, with what is to happen before and after. */
  protected hooked<L>(args: readonly unknown[], step: () => L): L {
    this.#before(args);
    const loss = step();
    this.#after(args);
    return loss;
  }
  /** @internal */
  protected async hookedAsync<L>(args: readonly unknown[], step: () => Promise<L>): Promise<L> {
    this.#before(args);
    const loss = await step();
    this.#after(args);
    return loss;
  }
  #before(args: readonly unknown[]): void {
    for (const hook of [...globalHooks.before, ...this.#hooks.beforeStep]) hook(this, args);
  }
  #after(args: readonly unknown[]): void {
    this._step_count++;
    for (const hook of [...this.#hooks.afterStep, ...globalHooks.after]) hook(this, args);
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
        // The step itself belongs to the graph where it shall be differentiated.
        setGradEnabled(group.differentiable === true && previous);
        const params = group.params.filter((p) => p._grad !== null);
        if (params.length > 0) this.updateGroup(withNumber(group), params);
      }
    } finally {
      setGradEnabled(previous);
    }
    return loss;
  }

  /** @internal One step of a group's parameters that have gradients; recording is off, but for a group that is differentiable. */
  protected abstract updateGroup(group: ParamGroup, params: readonly Tensor[]): void;

  /** @internal What is remembered of `p`, made by `create` at first. */
  protected stateOf<S extends object>(p: Tensor, create: () => S): S {
    let state = this.state.get(p);
    if (state === undefined) this.state.set(p, (state = keep(create()) as ParamState));
    return state as S;
  }

  register_step_pre_hook(hook: StepHook): Removable {
    return added(this.#hooks.beforeStep, hook);
  }
  register_step_post_hook(hook: StepHook): Removable {
    return added(this.#hooks.afterStep, hook);
  }
  /** `hook(optimizer)` before each state_dict; `prepend`: before those that are there. */
  register_state_dict_pre_hook(hook: (optimizer: Optimizer) => void, { prepend = false } = {}): Removable {
    return added(this.#hooks.beforeSave, hook, prepend);
  }
  /** `hook(optimizer, state_dict)` after each state_dict; what it returns, if anything, takes its place. */
  register_state_dict_post_hook(
    hook: StateDictHook<OptimizerStateDict, OptimizerStateDict | void>,
    { prepend = false } = {},
  ): Removable {
    return added(this.#hooks.afterSave, hook, prepend);
  }
  /** `hook(optimizer, state_dict)` before each load_state_dict, with a shallow copy; what it returns, if anything, is loaded instead. */
  register_load_state_dict_pre_hook(
    hook: StateDictHook<OptimizerStateDict, OptimizerStateDict | void>,
    { prepend = false } = {},
  ): Removable {
    return added(this.#hooks.beforeLoad, hook, prepend);
  }
  register_load_state_dict_post_hook(hook: (optimizer: Optimizer) => void, { prepend = false } = {}): Removable {
    return added(this.#hooks.afterLoad, hook, prepend);
  }

  /** State and options, with parameters by number, as PyTorch keeps them. Its tensors are the optimiser's own. */
  state_dict(): OptimizerStateDict {
    for (const hook of this.#hooks.beforeSave) hook(this);
    return this.#hooks.afterSave.reduce((saved, hook) => hook(this, saved) ?? saved, this.saved());
  }
  /** @internal What state_dict gives, but for its hooks. */
  protected saved(): OptimizerStateDict {
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
    const given = { ...state_dict } as OptimizerStateDict;
    this.restore(this.#hooks.beforeLoad.reduce((dict, hook) => hook(this, dict) ?? dict, given));
    for (const hook of this.#hooks.afterLoad) hook(this);
  }
  /** @internal */
  protected restore(state_dict: OptimizerStateDict | LoadedOptimizerState): void {
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
    this.param_groups = saved.map((group, i) => {
      const { params, param_names } = this.param_groups[i]!;
      // What a checkpoint of an older PyTorch leaves out keeps its default; names are this optimiser's own.
      const options = { ...this.defaults, ...copied({ ...group, params: [] }), params };
      return param_names === undefined ? options : { ...options, param_names };
    }) as unknown as ParamGroup[];
  }

  toString(): string {
    const groups = this.param_groups.map(({ params: _, ...options }, i) => {
      const lines = Object.keys(options)
        .sort()
        .map((key) => `    ${key}: ${shown(options[key])}\n`);
      return `Parameter Group ${i}\n${lines.join("")}`;
    });
    return `${this.constructor.name} (\n${groups.join("\n")})`;
  }
}

const globalHooks = { before: [] as StepHook[], after: [] as StepHook[] };
/** A hook before every step of every optimiser. */
export function register_optimizer_step_pre_hook(hook: StepHook): Removable {
  return added(globalHooks.before, hook);
}
export function register_optimizer_step_post_hook(hook: StepHook): Removable {
  return added(globalHooks.after, hook);
}
function added<H>(list: H[], hook: H, prepend = false): Removable {
  if (prepend) list.unshift(hook);
  else list.push(hook);
  return {
    remove: () => {
      const at = list.indexOf(hook);
      if (at >= 0) list.splice(at, 1);
    },
  };
}

/** A learning rate as a number; that of a tensor (of one element, on a device that can be read) as it is now. */
export const numberOf = (x: unknown): number => (x instanceof Tensor ? Number(x.item_sync()) : (x as number));

/** @internal The options that a step reads: a learning rate that is a tensor counts with its present value. */
const withNumber = (group: ParamGroup): ParamGroup =>
  (group.lr as unknown) instanceof Tensor ? { ...group, lr: numberOf(group.lr) } : group;

/** @internal The learning rate, and which of PyTorch's ways of computing a step are asked for. */
export function checkCommon(defaults: object): void {
  const { lr, foreach, fused, capturable, differentiable } = defaults as Record<string, unknown>;
  if (lr instanceof Tensor) {
    if (lr.numel() !== 1) throw new ValueError(`Tensor lr must be 1-element, got shape [${lr.shape.join(", ")}]`);
    if (foreach === true && capturable === false) {
      throw new ValueError("lr as a Tensor is not supported for capturable=False and foreach=True");
    }
  }
  checkOption(numberOf(lr) >= 0, "learning rate", lr);
  if (fused === true && differentiable === true) throw new RuntimeError("`fused` does not support `differentiable`");
  if (fused === true && foreach === true) throw new RuntimeError("`fused` and `foreach` cannot be `True` together.");
}

/** Options as they are copied: tensors among them get memory of their own. */
function copied(value: unknown): object {
  const copy = (x: unknown): unknown => {
    if (x instanceof Tensor) return x.detach().clone();
    if (Array.isArray(x)) return x.map(copy);
    if (typeof x !== "object" || x === null || Object.getPrototypeOf(x) !== Object.prototype) return x;
    return Object.fromEntries(Object.entries(x).map(([key, v]) => [key, copy(v)]));
  };
  return copy(value) as object;
}

function shown(x: unknown): string {
  if (x === null) return "None";
  if (typeof x === "boolean") return x ? "True" : "False";
  return Array.isArray(x) ? `(${x.map(shown).join(", ")})` : String(x);
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
