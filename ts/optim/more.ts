/** Optimisers made of tensor ops: RMSprop, Adagrad, Adadelta, Adamax, NAdam, RAdam, ASGD, Rprop. */

import type { Tensor } from "../core/tensor.ts";
import { parseSignature } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
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
import { effectiveGradient } from "./sgd.ts";

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

/** @internal One parameter at a time. */
export abstract class PlainOptimizer<O extends Common> extends Optimizer {
  constructor(name: string, signature: string, given: readonly unknown[]) {
    const [params, defaults] = optimizerArguments<O>(name, parseSignature(`params, ${signature}`), given);
    checkCommon(defaults);
    const { weight_decay, betas, eps } = defaults as unknown as Partial<Record<string, unknown>>;
    if (weight_decay !== undefined) checkOption((weight_decay as number) >= 0, "weight_decay value", weight_decay);
    if (betas !== undefined) checkBetas(betas);
    if (typeof eps === "number") checkOption(eps >= 0, "epsilon value", eps);
    super(params, defaults);
  }

  protected abstract start(p: Tensor, group: O): object;
  protected abstract update(p: Tensor, grad: Tensor, state: State, group: O, before: Tensor | null): void;
  /** What the update wants to know of the parameter before it decays. */
  protected measure(_p: Tensor, _group: O): Tensor | null {
    return null;
  }
  /** Whether the parameters themselves decay. */
  protected decoupled(_group: O): boolean {
    return false;
  }

  protected override updateGroup(group: ParamGroup, params: readonly Tensor[]): void {
    const o = group as unknown as O;
    for (const p of params) {
      const state = this.stateOf<State>(p, () => ({ step: 0, ...this.start(p, o) }) as unknown as State);
      state.step++;
      const before = this.measure(p, o);
      before?._storage.materialize();
      const decoupled = this.decoupled(o);
      if (decoupled) p.mul_(1 - o.lr * o.weight_decay);
      this.update(p, effectiveGradient(p, o.maximize, decoupled ? 0 : (o.weight_decay ?? 0)), state, o, before);
    }
  }
}

const zeros = (p: Tensor): Tensor => ops.zeros_like(p);
const moment = (avg: Tensor, grad: Tensor, beta: number): Tensor => avg.mul_(beta).addcmul_(grad, grad, { value: 1 - beta });
const KEYS = "foreach=None, maximize=False, capturable=False, differentiable=False";

export interface RMSpropOptions extends Common {
  alpha: number;
  eps: number;
  momentum: number;
  centered: boolean;
  capturable: boolean;
}
/** Divides the gradient by the root of a running mean of its square. */
export class RMSprop extends PlainOptimizer<RMSpropOptions> {
  constructor(...args: Given<RMSpropOptions>) {
    super("RMSprop", `lr=0.01, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False, ${KEYS}`, args);
  }
  protected start(p: Tensor, { momentum, centered }: RMSpropOptions): object {
    return {
      square_avg: zeros(p),
      ...(momentum > 0 ? { momentum_buffer: zeros(p) } : {}),
      ...(centered ? { grad_avg: zeros(p) } : {}),
    };
  }
  protected update(p: Tensor, grad: Tensor, state: State, { lr, alpha, eps, momentum, centered }: RMSpropOptions): void {
    let square = moment(state.square_avg!, grad, alpha);
    if (centered) {
      const mean = (state.grad_avg ??= zeros(p)).lerp_(grad, 1 - alpha);
      square = square.addcmul(mean, mean, { value: -1 });
    }
    const root = square.sqrt().add(eps);
    if (momentum > 0) {
      const buffer = (state.momentum_buffer ??= zeros(p)).mul_(momentum).addcdiv_(grad, root);
      p.add_(buffer, { alpha: -lr });
    } else p.addcdiv_(grad, root, { value: -lr });
  }
}

export interface AdagradOptions extends Common {
  lr_decay: number;
  initial_accumulator_value: number;
  eps: number;
  fused: boolean | null;
}
/** Divides the gradient by the root of the sum of all its squares. */
export class Adagrad extends PlainOptimizer<AdagradOptions> {
  constructor(...args: Given<AdagradOptions>) {
    const keys = "foreach=None, *, maximize=False, differentiable=False, fused=None";
    super("Adagrad", `lr=0.01, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10, ${keys}`, args);
  }
  protected start(p: Tensor, { initial_accumulator_value }: AdagradOptions): object {
    return { sum: ops.full_like(p, initial_accumulator_value) };
  }
  protected update(p: Tensor, grad: Tensor, { step, sum }: State, { lr, lr_decay, eps }: AdagradOptions): void {
    sum!.addcmul_(grad, grad);
    p.addcdiv_(grad, sum!.sqrt().add(eps), { value: -lr / (1 + (step - 1) * lr_decay) });
  }
}

export interface AdadeltaOptions extends Common {
  rho: number;
  eps: number;
  capturable: boolean;
}
/** Steps as long as the last ones were, relative to the gradients. */
export class Adadelta extends PlainOptimizer<AdadeltaOptions> {
  constructor(...args: Given<AdadeltaOptions>) {
    super("Adadelta", `lr=1, rho=0.9, eps=1e-6, weight_decay=0, ${KEYS}`, args);
  }
  protected start(p: Tensor): object {
    return { square_avg: zeros(p), acc_delta: zeros(p) };
  }
  protected update(p: Tensor, grad: Tensor, state: State, { lr, rho, eps }: AdadeltaOptions): void {
    const root = moment(state.square_avg!, grad, rho).add(eps).sqrt();
    const delta = state.acc_delta!.add(eps).sqrt().div(root).mul(grad);
    moment(state.acc_delta!, delta, rho);
    p.add_(delta, { alpha: -lr });
  }
}

export interface AdamaxOptions extends Common {
  betas: Betas;
  eps: number;
  capturable: boolean;
}
/** Adam with the greatest gradient in the place of the mean square. */
export class Adamax extends PlainOptimizer<AdamaxOptions> {
  constructor(...args: Given<AdamaxOptions>) {
    super("Adamax", `lr=0.002, betas=[0.9, 0.999], eps=1e-8, weight_decay=0, ${KEYS}`, args);
  }
  protected start(p: Tensor): object {
    return { exp_avg: zeros(p), exp_inf: zeros(p) };
  }
  protected update(p: Tensor, grad: Tensor, state: State, { lr, betas, eps }: AdamaxOptions): void {
    state.exp_avg!.lerp_(grad, 1 - betas[0]);
    state.exp_inf!.copy_(ops.maximum(state.exp_inf!.mul(betas[1]), grad.abs().add(eps)));
    p.addcdiv_(state.exp_avg!, state.exp_inf!, { value: -lr / (1 - betas[0] ** state.step) });
  }
}

export interface NAdamOptions extends AdamaxOptions {
  momentum_decay: number;
  decoupled_weight_decay: boolean;
}
/** Adam with Nesterov's momentum. */
export class NAdam extends PlainOptimizer<NAdamOptions> {
  constructor(...args: Given<NAdamOptions>) {
    const own = "weight_decay=0, momentum_decay=0.004, decoupled_weight_decay=False";
    super("NAdam", `lr=0.002, betas=[0.9, 0.999], eps=1e-8, ${own}, *, ${KEYS}`, args);
  }
  protected start(p: Tensor): object {
    return { mu_product: 1, exp_avg: zeros(p), exp_avg_sq: zeros(p) };
  }
  protected override decoupled(group: NAdamOptions): boolean {
    return group.decoupled_weight_decay;
  }
  protected update(p: Tensor, grad: Tensor, given: State, { lr, betas, eps, momentum_decay }: NAdamOptions): void {
    const state = given as State & { mu_product: number };
    const mu = (step: number): number => betas[0] * (1 - 0.5 * 0.96 ** (step * momentum_decay));
    const [now, next] = [mu(state.step), mu(state.step + 1)];
    const product = ((state as { mu_product: number }).mu_product *= now);
    state.exp_avg!.lerp_(grad, 1 - betas[0]);
    const root = moment(state.exp_avg_sq!, grad, betas[1])
      .div(1 - betas[1] ** state.step)
      .sqrt()
      .add(eps);
    p.addcdiv_(grad, root, { value: (-lr * (1 - now)) / (1 - product) });
    p.addcdiv_(state.exp_avg!, root, { value: (-lr * next) / (1 - product * next) });
  }
}

export interface RAdamOptions extends AdamaxOptions {
  decoupled_weight_decay: boolean;
}
/** Adam that trusts its mean square only when enough gradients have gone into it. */
export class RAdam extends PlainOptimizer<RAdamOptions> {
  constructor(...args: Given<RAdamOptions>) {
    const own = "weight_decay=0, decoupled_weight_decay=False";
    super("RAdam", `lr=0.001, betas=[0.9, 0.999], eps=1e-8, ${own}, *, ${KEYS}`, args);
  }
  protected start(p: Tensor): object {
    return { exp_avg: zeros(p), exp_avg_sq: zeros(p) };
  }
  protected override decoupled(group: RAdamOptions): boolean {
    return group.decoupled_weight_decay;
  }
  protected update(p: Tensor, grad: Tensor, state: State, { lr, betas, eps }: RAdamOptions): void {
    const [beta1, beta2] = betas;
    const { step } = state;
    const [correction1, correction2] = [1 - beta1 ** step, 1 - beta2 ** step];
    const mean = state.exp_avg!.lerp_(grad, 1 - beta1).div(correction1);
    const square = moment(state.exp_avg_sq!, grad, beta2);
    const most = 2 / (1 - beta2) - 1;
    const rho = most - (2 * step * beta2 ** step) / correction2;
    if (rho <= 5) {
      p.add_(mean, { alpha: -lr });
      return;
    }
    const rectified = Math.sqrt(((rho - 4) * (rho - 2) * most) / ((most - 4) * (most - 2) * rho));
    p.addcdiv_(mean, square.sqrt().add(eps), { value: -lr * rectified * Math.sqrt(correction2) });
  }
}

export interface ASGDOptions extends Common {
  lambd: number;
  alpha: number;
  t0: number;
  capturable: boolean;
}
/** Gradient descent that also keeps the mean of the parameters (`ax` of its state). */
export class ASGD extends PlainOptimizer<ASGDOptions> {
  constructor(...args: Given<ASGDOptions>) {
    super("ASGD", `lr=0.01, lambd=0.0001, alpha=0.75, t0=1000000, weight_decay=0, ${KEYS}`, args);
  }
  protected start(p: Tensor, { lr }: ASGDOptions): object {
    return { eta: lr, mu: 1, ax: zeros(p) };
  }
  protected update(p: Tensor, grad: Tensor, given: State, { lr, lambd, alpha, t0 }: ASGDOptions): void {
    const state = given as unknown as { step: number; eta: number; mu: number; ax: Tensor };
    p.mul_(1 - lambd * state.eta);
    p.add_(grad, { alpha: -state.eta });
    if (state.mu === 1) state.ax.copy_(p);
    else state.ax.add_(p.sub(state.ax).mul(state.mu));
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
export class Rprop extends PlainOptimizer<RpropOptions & Common> {
  constructor(...args: Given<RpropOptions>) {
    super("Rprop", `lr=0.01, etas=[0.5, 1.2], step_sizes=[0.000001, 50], *, ${KEYS}`, args);
  }
  protected start(p: Tensor, { lr }: RpropOptions): object {
    return { prev: zeros(p), step_size: ops.full_like(p, lr) };
  }
  protected update(p: Tensor, grad: Tensor, state: State, { etas, step_sizes }: RpropOptions): void {
    const agreement = grad.mul(state.prev!).sign();
    const turned = agreement.lt(0);
    const factor = ops.where(agreement.gt(0), etas[1], 1).to(p.dtype);
    const size = state.step_size!.mul(ops.where(turned, etas[0], factor)).clamp(step_sizes[0], step_sizes[1]);
    state.step_size!.copy_(size);
    const used = grad.masked_fill(turned, 0);
    p.addcmul_(used.sign(), state.step_size!, { value: -1 });
    state.prev!.copy_(used);
  }
}
