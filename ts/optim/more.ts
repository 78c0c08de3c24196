/** Optimisers made of tensor ops: RMSprop, Adagrad, Adadelta, Adamax, NAdam, RAdam, ASGD, Rprop. */

import type { Tensor } from "../core/tensor.ts";
import { keep as keepPending } from "../engine/fusion.ts";
import { keep } from "../engine/memory.ts";
import { parseSignature } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import { fits, fusedUpdate, type Slot, usesKernel } from "./fused.ts";
import {
  checkBetas,
  checkCommon,
  checkOption,
  Optimizer,
  optimizerArguments,
  type ParamGroup,
  type ParamsInput,
  type Rate,
} from "./optimizer.ts";
import { asReal, effectiveGradient } from "./sgd.ts";

/** @internal */
export interface Common {
  lr: number;
  weight_decay: number;
  maximize: boolean;
  foreach: boolean | null;
  differentiable: boolean;
}
type Betas = readonly [number, number];
/** @internal */
export type Given<O> =
  | [params: ParamsInput, options?: Partial<Omit<O, "lr"> & { lr: Rate }>]
  | [params: ParamsInput, lr: Rate, options?: Partial<Omit<O, "lr">>];
/** @internal */
export type State = Record<string, Tensor> & { step: number };
type Numbers = Record<string, number> & { step: number };

/** @internal New values of a parameter, and of its state's tensors by their names. */
export type Updated = { readonly param: Tensor } & Readonly<Record<string, Tensor>>;

/** @internal Options that all of these check. */
export abstract class PlainOptimizer<O extends Partial<Common>> extends Optimizer {
  constructor(name: string, signature: string, given: readonly unknown[]) {
    const [params, defaults] = optimizerArguments<O>(name, parseSignature(`params, ${signature}`), given);
    checkCommon(defaults);
    const { weight_decay, betas, eps } = defaults as unknown as Partial<Record<string, unknown>>;
    if (weight_decay !== undefined) checkOption((weight_decay as number) >= 0, "weight_decay value", weight_decay);
    if (betas !== undefined) checkBetas(betas);
    if (typeof eps === "number") checkOption(eps >= 0, "epsilon value", eps);
    super(params, defaults);
  }
}

interface Member extends Slot<string> {
  readonly values: State;
}

/**
 * Optimisers whose step treats every element by itself. `update` says with pointwise ops what becomes of a parameter and its state; it is run on
 * stand-ins, and what it asks for becomes one kernel for all parameters at the same step, or on the tensors themselves where that cannot be.
 */
abstract class ElementwiseOptimizer<O extends Common> extends PlainOptimizer<O> {
  /** The tensors of a parameter's state, and what they are filled with at first. */
  protected abstract tensors(group: O): Readonly<Record<string, number>>;
  /** The numbers of a parameter's state but `step`. */
  protected numbers(_group: O): Readonly<Record<string, number>> {
    return {};
  }
  protected abstract update(p: Tensor, grad: Tensor, state: State, group: O): Updated;
  /** What happens to the numbers of the state before and after an update. */
  protected before(_state: Numbers, _group: O): void {}
  protected after(_state: Numbers, _group: O): void {}
  /** Whether the parameters themselves decay. */
  protected decoupled(_group: O): boolean {
    return false;
  }
  /** Whether one step is computed like the next. */
  protected abstract repeats(group: O): boolean;

  protected override updateGroup(group: ParamGroup, params: readonly Tensor[]): void {
    const o = group as unknown as O & { fused?: boolean | null };
    const names = Object.keys(this.tensors(o));
    const together: Member[] = [];
    for (const param of params) {
      const values = this.remembered(param, o);
      values.step++;
      this.before(values as unknown as Numbers, o);
      const step = JSON.stringify(Object.values(values).filter((x) => typeof x === "number"));
      const member: Member = { param, state: names.map((name) => values[name]!), step, values };
      if (usesKernel(o) && o.foreach !== false && fits(member)) together.push(member);
      else this.updateAlone(member, names, o);
    }
    fusedUpdate<string, Member>(together, this.repeats(o), ({ values }, grad, param, state) =>
      this.updated(
        param,
        grad,
        { ...values, ...Object.fromEntries(names.map((name, i) => [name, state[i]!])) } as State,
        names,
        o,
      ),
    );
    for (const param of params) this.after(this.state.get(param) as Numbers, o);
  }

  private remembered(p: Tensor, o: O): State {
    const state = this.stateOf<State>(p, () => ({ step: 0, ...this.numbers(o) }) as unknown as State);
    for (const [name, value] of Object.entries(this.tensors(o))) state[name] ??= keep(filled(p, value));
    return state;
  }

  /** The parameter's new value, then those of its state. */
  private updated(p: Tensor, given: Tensor, state: State, names: readonly string[], o: O): Tensor[] {
    const decoupled = this.decoupled(o);
    const grad = effectiveGradient(p, given, o.maximize, decoupled ? 0 : (o.weight_decay ?? 0));
    const next = this.update(decoupled ? p.mul(1 - o.lr * o.weight_decay) : p, grad, state, o);
    return [next.param, ...names.map((name) => next[name]!)];
  }

  private updateAlone(member: Member, names: readonly string[], o: O): void {
    const [param, ...state] = [member.param, ...member.state].map(asReal) as [Tensor, ...Tensor[]];
    const values = withTensors(member.values, names, state);
    const next = this.updated(param, asReal(member.param.grad!), values, names, o);
    // They share what they are made of.
    next.forEach((t) => keepPending(t));
    [param, ...state].forEach((t, i) => t.copy_(next[i]!));
    if (!o.differentiable) for (const t of next) t._storage.disposeUnread();
  }
}

/** The numbers of a state, with other tensors. */
function withTensors(state: State, names: readonly string[], tensors: readonly Tensor[]): State {
  return { ...state, ...Object.fromEntries(names.map((name, i) => [name, tensors[i]!])) } as State;
}

/** Both parts of complex numbers have the value. */
function filled(p: Tensor, value: number): Tensor {
  const state = ops.full_like(p, p.is_complex() ? 0 : value);
  if (p.is_complex() && value !== 0) ops.view_as_real(state).fill_(value);
  return state;
}

const moment = (avg: Tensor, grad: Tensor, beta: number): Tensor => avg.mul(beta).addcmul(grad, grad, { value: 1 - beta });
const KEYS = "foreach=None, maximize=False, capturable=False, differentiable=False";

export interface RMSpropOptions extends Common {
  alpha: number;
  eps: number;
  momentum: number;
  centered: boolean;
  capturable: boolean;
}
/** Divides the gradient by the root of a running mean of its square. */
export class RMSprop extends ElementwiseOptimizer<RMSpropOptions> {
  constructor(...args: Given<RMSpropOptions>) {
    super("RMSprop", `lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, ${KEYS}`, args);
  }
  protected tensors({ momentum, centered }: RMSpropOptions): Record<string, number> {
    return { square_avg: 0, ...(momentum > 0 ? { momentum_buffer: 0 } : {}), ...(centered ? { grad_avg: 0 } : {}) };
  }
  protected repeats(): boolean {
    return true;
  }
  protected update(p: Tensor, grad: Tensor, state: State, { lr, alpha, eps, momentum, centered }: RMSpropOptions): Updated {
    const square_avg = moment(state.square_avg!, grad, alpha);
    let square = square_avg;
    const next: Record<string, Tensor> = { square_avg };
    if (centered) {
      const mean = (next.grad_avg = state.grad_avg!.lerp(grad, 1 - alpha));
      square = square.addcmul(mean, mean, { value: -1 });
    }
    const root = square.sqrt().add(eps);
    if (momentum <= 0) return { ...next, param: p.addcdiv(grad, root, { value: -lr }) };
    const momentum_buffer = state.momentum_buffer!.mul(momentum).addcdiv(grad, root);
    return { ...next, momentum_buffer, param: p.add(momentum_buffer, { alpha: -lr }) };
  }
}

export interface AdagradOptions extends Common {
  lr_decay: number;
  initial_accumulator_value: number;
  eps: number;
  fused: boolean | null;
}
/** Divides the gradient by the root of the sum of all its squares. */
export class Adagrad extends ElementwiseOptimizer<AdagradOptions> {
  constructor(...args: Given<AdagradOptions>) {
    const keys = "foreach=None, *, maximize=False, differentiable=False, fused=None";
    super("Adagrad", `lr=0.01, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, ${keys}`, args);
  }
  protected tensors({ initial_accumulator_value }: AdagradOptions): Record<string, number> {
    return { sum: initial_accumulator_value };
  }
  protected repeats({ lr_decay }: AdagradOptions): boolean {
    return lr_decay === 0;
  }
  protected update(p: Tensor, grad: Tensor, state: State, { lr, lr_decay, eps }: AdagradOptions): Updated {
    const sum = state.sum!.addcmul(grad, grad);
    return { sum, param: p.addcdiv(grad, sum.sqrt().add(eps), { value: -lr / (1 + (state.step - 1) * lr_decay) }) };
  }
}

export interface AdadeltaOptions extends Common {
  rho: number;
  eps: number;
  capturable: boolean;
}
/** Steps as long as the last ones were, relative to the gradients. */
export class Adadelta extends ElementwiseOptimizer<AdadeltaOptions> {
  constructor(...args: Given<AdadeltaOptions>) {
    super("Adadelta", `lr=1, rho=0.9, eps=1e-6, weight_decay=0, ${KEYS}`, args);
  }
  protected tensors(): Record<string, number> {
    return { square_avg: 0, acc_delta: 0 };
  }
  protected repeats(): boolean {
    return true;
  }
  protected update(p: Tensor, grad: Tensor, state: State, { lr, rho, eps }: AdadeltaOptions): Updated {
    const square_avg = moment(state.square_avg!, grad, rho);
    const delta = state.acc_delta!.add(eps).sqrt().div(square_avg.add(eps).sqrt()).mul(grad);
    return { square_avg, acc_delta: moment(state.acc_delta!, delta, rho), param: p.add(delta, { alpha: -lr }) };
  }
}

export interface AdamaxOptions extends Common {
  betas: Betas;
  eps: number;
  capturable: boolean;
}
/** Adam with the greatest gradient in the place of the mean square. */
export class Adamax extends ElementwiseOptimizer<AdamaxOptions> {
  constructor(...args: Given<AdamaxOptions>) {
    super("Adamax", `lr=0.002, betas=[0.9, 0.999], eps=1e-8, weight_decay=0, ${KEYS}`, args);
  }
  protected tensors(): Record<string, number> {
    return { exp_avg: 0, exp_inf: 0 };
  }
  protected repeats(): boolean {
    return false;
  }
  protected update(p: Tensor, grad: Tensor, state: State, { lr, betas, eps }: AdamaxOptions): Updated {
    const exp_avg = state.exp_avg!.lerp(grad, 1 - betas[0]);
    const exp_inf = ops.maximum(state.exp_inf!.mul(betas[1]), grad.abs().add(eps));
    return { exp_avg, exp_inf, param: p.addcdiv(exp_avg, exp_inf, { value: -lr / (1 - betas[0] ** state.step) }) };
  }
}

export interface NAdamOptions extends AdamaxOptions {
  momentum_decay: number;
  decoupled_weight_decay: boolean;
}
/** Adam with Nesterov's momentum. */
export class NAdam extends ElementwiseOptimizer<NAdamOptions> {
  constructor(...args: Given<NAdamOptions>) {
    const own = "weight_decay=0, momentum_decay=0.004, decoupled_weight_decay=False";
    super("NAdam", `lr=0.002, betas=[0.9, 0.999], eps=1e-8, ${own}, *, ${KEYS}`, args);
  }
  protected tensors(): Record<string, number> {
    return { exp_avg: 0, exp_avg_sq: 0 };
  }
  protected override numbers(): Record<string, number> {
    return { mu_product: 1 };
  }
  protected override decoupled(group: NAdamOptions): boolean {
    return group.decoupled_weight_decay;
  }
  protected repeats(): boolean {
    return false;
  }
  protected override before(state: Numbers, group: NAdamOptions): void {
    state.mu_product! *= momentumAt(state.step, group);
  }
  protected update(p: Tensor, grad: Tensor, state: State, group: NAdamOptions): Updated {
    const { lr, betas, eps } = group;
    const { step, mu_product: product } = state as unknown as Numbers & { mu_product: number };
    const next = momentumAt(step + 1, group);
    const exp_avg = state.exp_avg!.lerp(grad, 1 - betas[0]);
    const exp_avg_sq = moment(state.exp_avg_sq!, grad, betas[1]);
    const root = exp_avg_sq
      .div(1 - betas[1] ** step)
      .sqrt()
      .add(eps);
    const param = p
      .addcdiv(grad, root, { value: (-lr * (1 - momentumAt(step, group))) / (1 - product) })
      .addcdiv(exp_avg, root, { value: (-lr * next) / (1 - product * next) });
    return { exp_avg, exp_avg_sq, param };
  }
}

function momentumAt(step: number, { betas, momentum_decay }: NAdamOptions): number {
  return betas[0] * (1 - 0.5 * 0.96 ** (step * momentum_decay));
}

export interface RAdamOptions extends AdamaxOptions {
  decoupled_weight_decay: boolean;
}
/** Adam that trusts its mean square only when enough gradients have gone into it. */
export class RAdam extends ElementwiseOptimizer<RAdamOptions> {
  constructor(...args: Given<RAdamOptions>) {
    const own = "weight_decay=0, decoupled_weight_decay=False";
    super("RAdam", `lr=0.001, betas=[0.9, 0.999], eps=1e-8, ${own}, *, ${KEYS}`, args);
  }
  protected tensors(): Record<string, number> {
    return { exp_avg: 0, exp_avg_sq: 0 };
  }
  protected override decoupled(group: RAdamOptions): boolean {
    return group.decoupled_weight_decay;
  }
  protected repeats(): boolean {
    return false;
  }
  protected update(p: Tensor, grad: Tensor, state: State, { lr, betas, eps }: RAdamOptions): Updated {
    const [beta1, beta2] = betas;
    const { step } = state;
    const [correction1, correction2] = [1 - beta1 ** step, 1 - beta2 ** step];
    const exp_avg = state.exp_avg!.lerp(grad, 1 - beta1);
    const exp_avg_sq = moment(state.exp_avg_sq!, grad, beta2);
    const mean = exp_avg.div(correction1);
    const most = 2 / (1 - beta2) - 1;
    const rho = most - (2 * step * beta2 ** step) / correction2;
    if (rho <= 5) return { exp_avg, exp_avg_sq, param: p.add(mean, { alpha: -lr }) };
    const rectified = Math.sqrt(((rho - 4) * (rho - 2) * most) / ((most - 4) * (most - 2) * rho));
    const value = -lr * rectified * Math.sqrt(correction2);
    return { exp_avg, exp_avg_sq, param: p.addcdiv(mean, exp_avg_sq.sqrt().add(eps), { value }) };
  }
}

export interface ASGDOptions extends Common {
  lambd: number;
  alpha: number;
  t0: number;
  capturable: boolean;
}
/** Gradient descent that also keeps the mean of the parameters (`ax` of its state). */
export class ASGD extends ElementwiseOptimizer<ASGDOptions> {
  constructor(...args: Given<ASGDOptions>) {
    super("ASGD", `lr=0.01, lambd=0.0001, alpha=0.75, t0=1000000, weight_decay=0, ${KEYS}`, args);
  }
  protected tensors(): Record<string, number> {
    return { ax: 0 };
  }
  protected override numbers({ lr }: ASGDOptions): Record<string, number> {
    return { eta: lr, mu: 1 };
  }
  protected repeats(): boolean {
    return false;
  }
  protected update(p: Tensor, grad: Tensor, state: State, { lambd }: ASGDOptions): Updated {
    const { eta, mu } = state as unknown as Record<"eta" | "mu", number>;
    const param = p.mul(1 - lambd * eta).add(grad, { alpha: -eta });
    return { param, ax: mu === 1 ? param : state.ax!.add(param.sub(state.ax!).mul(mu)) };
  }
  protected override after(state: Numbers, { lr, lambd, alpha, t0 }: ASGDOptions): void {
    state.eta = lr / (1 + lambd * lr * state.step) ** alpha;
    state.mu = 1 / Math.max(1, state.step - t0);
  }
}

export interface RpropOptions extends Omit<Common, "weight_decay"> {
  etas: readonly [number, number];
  step_sizes: readonly [number, number];
  capturable: boolean;
}
/** Goes by the signs of the gradients alone, with a step of its own for every number. */
export class Rprop extends ElementwiseOptimizer<RpropOptions & Common> {
  constructor(...args: Given<RpropOptions>) {
    super("Rprop", `lr=0.01, etas=[0.5, 1.2], step_sizes=[0.000001, 50], *, ${KEYS}`, args);
  }
  protected tensors({ lr }: RpropOptions): Record<string, number> {
    return { prev: 0, step_size: lr };
  }
  protected repeats(): boolean {
    return true;
  }
  protected update(p: Tensor, grad: Tensor, state: State, { etas, step_sizes }: RpropOptions): Updated {
    const agreement = grad.mul(state.prev!);
    const turned = agreement.lt(0);
    const factor = ops.ones_like(agreement).masked_fill(agreement.gt(0), etas[1]).masked_fill(turned, etas[0]);
    const step_size = state.step_size!.mul(factor).clamp(step_sizes[0], step_sizes[1]);
    const prev = grad.masked_fill(turned, 0);
    return { prev, step_size, param: p.addcmul(prev.sign(), step_size, { value: -1 }) };
  }
}
