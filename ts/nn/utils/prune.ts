/** torch.nn.utils.prune: parameters under masks. `NAME` is then computed from the parameter `NAME_orig` and the buffer `NAME_mask`. */

import { IndexError, RuntimeError, ValueError } from "../../core/errors.ts";
import { no_grad } from "../../core/grad_mode.ts";
import { formatShape, sameShape } from "../../core/shape.ts";
import { Tensor } from "../../core/tensor.ts";
import { describe } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import * as linalg from "../../ops/linalg.ts";
import type { Module } from "../module.ts";
import { Parameter, setData } from "../parameter.ts";
import { parameters_to_vector } from "./clip.ts";
import { attach, detach, fieldsOf, recipesOf, settle } from "./reparametrize.ts";

type Kind = "unstructured" | "structured" | "global";

/** A number of parameters, or a fraction of them: whole numbers are numbers (1 is one parameter). */
function checkAmount(amount: number): void {
  if (typeof amount !== "number") throw new TypeError(`Invalid type for amount: ${describe(amount)}. Must be int or float.`);
  if (!(amount >= 0) || (!Number.isInteger(amount) && amount > 1)) {
    throw new ValueError(`amount=${amount} should either be a float in the range [0, 1] or a non-negative integer`);
  }
}

/** Rounds halves to even numbers, as Python does. */
function toPrune(amount: number, size: number): number {
  if (Number.isInteger(amount)) {
    if (amount > size) throw new ValueError(`amount=${amount} should be smaller than the number of parameters to prune=${size}`);
    return amount;
  }
  const exact = amount * size;
  const low = Math.floor(exact);
  return exact - low === 0.5 ? low + (low % 2) : Math.round(exact);
}

/** Sets flat positions to zero. */
function without(mask: Tensor, positions: Tensor): Tensor {
  return mask.reshape(-1).clone().index_fill_(0, positions, 0).view(mask.shape);
}

/** The base of pruning techniques: a class says which entries of a tensor stay. */
export abstract class BasePruningMethod {
  /** What `compute_mask` sees of a tensor that is pruned already: what is left of it, its channels that have something left, or all. */
  readonly PRUNING_TYPE: Kind = "unstructured";
  /** @internal */
  name = "";

  /** A mask of ones and zeros for `t`, at most as full as `default_mask`. */
  abstract compute_mask(t: Tensor, default_mask: Tensor): Tensor;

  /** The tensor under its mask. */
  apply_mask(module: Module): Tensor {
    const fields = fieldsOf(module);
    const [mask, orig] = [fields[`${this.name}_mask`], fields[`${this.name}_orig`]];
    if (!(mask instanceof Tensor) || !(orig instanceof Tensor)) {
      throw new RuntimeError(`apply_mask: '${this.name}' of ${module._get_name()} has not been pruned`);
    }
    return mask.to(orig.dtype).mul(orig);
  }
  /** @internal */
  compute(module: Module): Tensor {
    return this.apply_mask(module);
  }
  /** A pruned tensor, outside of any module. */
  prune(t: Tensor, default_mask: Tensor | null = null, importance_scores: Tensor | null = null): Tensor {
    const scores = scoresFor(t, importance_scores);
    return t.mul(no_grad(() => this.compute_mask(scores, default_mask ?? ops.ones_like(t))));
  }

  /** Prunes a parameter by a technique of this class; `args` are its constructor's. */
  static apply<A extends unknown[]>(
    this: new (...args: A) => BasePruningMethod,
    module: Module,
    name: string,
    ...args: A
  ): BasePruningMethod {
    return applyMethod(new this(...args), module, name, null);
  }
}

function scoresFor(t: Tensor, scores: Tensor | null): Tensor {
  if (scores === null || sameShape(scores.shape, t.shape)) return scores ?? t;
  throw new RuntimeError(
    `importance_scores should have the same shape as the parameter, ${formatShape(t.shape)}, got ${formatShape(scores.shape)}`,
  );
}

function applyMethod(method: BasePruningMethod, module: Module, name: string, scores: Tensor | null): BasePruningMethod {
  const fields = fieldsOf(module);
  const [before] = recipesOf(module, BasePruningMethod).filter((m) => m.name === name);
  const value = fields[name];
  if (before === undefined && !(value instanceof Parameter)) {
    throw new ValueError(`'${name}' of ${module._get_name()} is not a parameter: it cannot be pruned`);
  }
  method.name = name;
  const known = scoresFor(value as Tensor, scores);
  const all =
    before === undefined ? method : new PruningContainer(...(before instanceof PruningContainer ? before : [before]), method);
  const old = before === undefined ? ops.ones_like(value as Tensor) : (fields[`${name}_mask`] as Tensor);
  const mask = no_grad(() => all.compute_mask(known.detach(), old.detach()));
  if (before === undefined) {
    delete fields[name];
    module.register_parameter(`${name}_orig`, value as Parameter);
  } else detach(module, before);
  module.register_buffer(`${name}_mask`, mask);
  attach(module, all);
  return all;
}

/** Several techniques one after the other: each one sees what those before it have left. */
export class PruningContainer extends BasePruningMethod {
  private readonly methods: BasePruningMethod[] = [];

  constructor(...methods: BasePruningMethod[]) {
    super();
    this.name = methods[0]?.name ?? "";
    for (const m of methods) this.add_pruning_method(m);
  }
  add_pruning_method(method: BasePruningMethod): void {
    if (!(method instanceof BasePruningMethod)) throw new TypeError(`${describe(method)} is not a BasePruningMethod subclass`);
    if (method.name !== this.name) {
      throw new ValueError(
        `Can only add pruning methods acting on the parameter named '${this.name}' to this container. Found '${method.name}'`,
      );
    }
    this.methods.push(method);
  }
  *[Symbol.iterator](): Generator<BasePruningMethod> {
    yield* this.methods;
  }
  get length(): number {
    return this.methods.length;
  }
  compute_mask(t: Tensor, default_mask: Tensor): Tensor {
    const method = this.methods.at(-1);
    if (method === undefined) return default_mask;
    const out = default_mask.to(t.dtype).clone();
    if (method.PRUNING_TYPE === "global") return method.compute_mask(t, default_mask).to(t.dtype);
    if (method.PRUNING_TYPE === "unstructured") {
      const left = out.reshape(-1).eq(1).nonzero().squeeze(1);
      const part = method.compute_mask(t.reshape(-1).index_select(0, left), out.reshape(-1).index_select(0, left));
      return out.reshape(-1).index_copy(0, left, part.to(t.dtype)).view(t.shape);
    }
    const { dim } = method as BasePruningMethod & { dim?: number };
    if (dim === undefined) throw new RuntimeError("a structured pruning method has to say its `dim`");
    const d = checkDim(t, dim);
    const channels = out
      .sum(t.shape.map((_, i) => i).filter((i) => i !== d))
      .ne(0)
      .nonzero()
      .squeeze(1);
    const part = method.compute_mask(t.index_select(d, channels), out.index_select(d, channels));
    return out.index_copy(d, channels, part.to(t.dtype));
  }
}

/** Prunes nothing: prepares a parameter for masks. */
export class Identity extends BasePruningMethod {
  compute_mask(_t: Tensor, default_mask: Tensor): Tensor {
    return default_mask;
  }
}

abstract class Amount extends BasePruningMethod {
  constructor(readonly amount: number) {
    super();
    checkAmount(amount);
  }
  protected unstructured(scores: Tensor, mask: Tensor, largest: boolean): Tensor {
    const n = toPrune(this.amount, scores.numel());
    if (n === 0) return mask.clone();
    return without(mask, ops.topk(scores.reshape(-1), n, { largest }).indices);
  }
}

export class RandomUnstructured extends Amount {
  compute_mask(t: Tensor, default_mask: Tensor): Tensor {
    return this.unstructured(ops.rand_like(t), default_mask, true);
  }
}
/** Prunes the entries of least absolute value. */
export class L1Unstructured extends Amount {
  compute_mask(t: Tensor, default_mask: Tensor): Tensor {
    return this.unstructured(t.abs(), default_mask, false);
  }
}

function checkDim(t: Tensor, dim: number): number {
  if (dim >= t.ndim || dim < -t.ndim) throw new IndexError(`Invalid index ${dim} for tensor of size ${formatShape(t.shape)}`);
  return dim < 0 ? dim + t.ndim : dim;
}

abstract class Structured extends Amount {
  override readonly PRUNING_TYPE: Kind = "structured";
  /** `dim`: along which whole channels go. */
  constructor(
    amount: number,
    readonly dim: number = -1,
  ) {
    super(amount);
  }
  /** The channels that stay, given how many go. */
  protected abstract stay(t: Tensor, dim: number, go: number): Tensor;

  compute_mask(t: Tensor, default_mask: Tensor): Tensor {
    if (t.ndim <= 1) {
      throw new ValueError(
        `Structured pruning can only be applied to multidimensional tensors. Found tensor of shape ${formatShape(t.shape)} with ${t.ndim} dims`,
      );
    }
    const dim = checkDim(t, this.dim);
    const go = toPrune(this.amount, t.shape[dim]!);
    if (go === 0) return default_mask;
    return ops
      .zeros_like(t)
      .index_fill_(dim, this.stay(t, dim, go), 1)
      .mul(default_mask.to(t.dtype));
  }
}
export class RandomStructured extends Structured {
  protected stay(t: Tensor, dim: number, go: number): Tensor {
    const drawn = ops.rand([t.shape[dim]!], { device: t.device });
    return drawn.gt(drawn.kthvalue(go).values).nonzero().squeeze(1);
  }
}
/** Prunes the channels of the least norm. */
export class LnStructured extends Structured {
  constructor(
    amount: number,
    readonly n: number | "fro",
    dim = -1,
  ) {
    super(amount, dim);
  }
  protected stay(t: Tensor, dim: number, go: number): Tensor {
    const others = t.shape.map((_, d) => d).filter((d) => d !== dim);
    const norms = linalg.vector_norm(t, { ord: this.n === "fro" ? 2 : this.n, dim: others });
    return ops.topk(norms, t.shape[dim]! - go, { largest: true }).indices;
  }
}

export class CustomFromMask extends BasePruningMethod {
  override readonly PRUNING_TYPE: Kind = "global";
  constructor(readonly mask: Tensor) {
    super();
  }
  compute_mask(_t: Tensor, default_mask: Tensor): Tensor {
    if (!sameShape(default_mask.shape, this.mask.shape)) {
      throw new RuntimeError(
        `the mask should have the parameter's shape ${formatShape(default_mask.shape)}, got ${formatShape(this.mask.shape)}`,
      );
    }
    return default_mask.mul(this.mask.to(default_mask.dtype));
  }
}

// By name

export function identity<M extends Module>(module: M, name: string): M {
  applyMethod(new Identity(), module, name, null);
  return module;
}
export function random_unstructured<M extends Module>(module: M, name: string, amount: number): M {
  applyMethod(new RandomUnstructured(amount), module, name, null);
  return module;
}
/** `importance_scores` decide in the place of the values. */
export function l1_unstructured<M extends Module>(
  module: M,
  name: string,
  amount: number,
  importance_scores: Tensor | null = null,
): M {
  applyMethod(new L1Unstructured(amount), module, name, importance_scores);
  return module;
}
export function random_structured<M extends Module>(module: M, name: string, amount: number, dim: number): M {
  applyMethod(new RandomStructured(amount, dim), module, name, null);
  return module;
}
export function ln_structured<M extends Module>(
  module: M,
  name: string,
  amount: number,
  n: number | "fro",
  dim: number,
  importance_scores: Tensor | null = null,
): M {
  applyMethod(new LnStructured(amount, n, dim), module, name, importance_scores);
  return module;
}
export function custom_from_mask<M extends Module>(module: M, name: string, mask: Tensor): M {
  applyMethod(new CustomFromMask(mask), module, name, null);
  return module;
}

/** Prunes parameters of several modules as if they were one. `importance_scores`: one per parameter, or null for its values. */
export function global_unstructured<O extends unknown[]>(
  parameters: Iterable<readonly [module: Module, name: string]>,
  pruning_method: new (...options: O) => BasePruningMethod,
  importance_scores: readonly (Tensor | null)[] | null,
  ...options: O
): void {
  const list = [...parameters];
  const method = new pruning_method(...options);
  if (method.PRUNING_TYPE !== "unstructured") {
    throw new TypeError(
      `Only "unstructured" PRUNING_TYPE supported for the \`pruning_method\`. Found method ${pruning_method.name} of type ${method.PRUNING_TYPE}`,
    );
  }
  const values = list.map(([module, name]) => fieldsOf(module)[name] as Tensor);
  no_grad(() => {
    const scores = values.map((t, i) => scoresFor(t, importance_scores?.[i] ?? null));
    const masks = list.map(
      ([module, name], i) => (fieldsOf(module)[`${name}_mask`] as Tensor | undefined) ?? ops.ones_like(values[i]!),
    );
    const all = new PruningContainer(method).compute_mask(parameters_to_vector(scores), parameters_to_vector(masks));
    let at = 0;
    list.forEach(([module, name], i) => {
      const { shape } = values[i]!;
      const n = values[i]!.numel();
      custom_from_mask(module, name, all.narrow(0, at, n).view(shape).clone());
      at += n;
    });
  });
}

/** Makes pruning permanent: the parameter has its zeros itself. */
export function remove<M extends Module>(module: M, name: string): M {
  const method = recipesOf(module, BasePruningMethod).find((m) => m.name === name);
  if (method === undefined) {
    throw new ValueError(`Parameter '${name}' of module ${module} has to be pruned before pruning can be removed`);
  }
  const orig = fieldsOf(module)[`${name}_orig`] as Parameter;
  const value = no_grad(() => method.apply_mask(module));
  detach(module, method);
  setData(orig, value);
  settle(module, name, orig, `${name}_orig`, `${name}_mask`);
  return module;
}

/** Whether any parameter of a module, or of those below it, is pruned. */
export function is_pruned(module: Module): boolean {
  return module.modules().some((m) => recipesOf(m, BasePruningMethod).length > 0);
}
