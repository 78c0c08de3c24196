/** Adam, and AdamW with weight decay apart from the gradient. */

import type { Tensor } from "../core/tensor.ts";
import { parseSignature, type Args } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import { fits, fusedStep, type Slot, usesKernel } from "./fused.ts";
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

export interface AdamOptions {
  lr: number;
  betas: readonly [number, number];
  eps: number;
  weight_decay: number;
  amsgrad: boolean;
  maximize: boolean;
  foreach: boolean | null;
  capturable: boolean;
  differentiable: boolean;
  fused: boolean | null;
  /** Makes Adam AdamW. (An option of PyTorch 2.7 on; in checkpoints only where it is given.) */
  decoupled_weight_decay?: boolean | null;
}

const OPTIONS =
  "*, foreach=None, maximize=False, capturable=False, differentiable=False, fused=None, decoupled_weight_decay=None";
const signature = (weight_decay: number) =>
  parseSignature(`params, lr=0.001, betas=[0.9, 0.999], eps=1e-8, weight_decay=${weight_decay}, amsgrad=False, ${OPTIONS}`);
const ADAM = signature(0);
const ADAMW = signature(0.01);

type AdamArgs = [
  params: ParamsInput,
  ...Args<
    [{ lr?: Rate }, { betas?: readonly [number, number] }, { eps?: number }, { weight_decay?: number }, { amsgrad?: boolean }],
    {
      foreach?: boolean | null;
      maximize?: boolean;
      capturable?: boolean;
      differentiable?: boolean;
      fused?: boolean | null;
      decoupled_weight_decay?: boolean | null;
    }
  >,
];

interface AdamState {
  step: number;
  exp_avg: Tensor;
  exp_avg_sq: Tensor;
  max_exp_avg_sq?: Tensor;
}

abstract class AdamBase extends Optimizer {
  declare param_groups: (ParamGroup & AdamOptions)[];
  /** Whether the parameters themselves decay. */
  protected abstract decoupled(group: AdamOptions): boolean;

  protected override updateGroup(group: ParamGroup & AdamOptions, params: readonly Tensor[]): void {
    const { lr, betas, eps, weight_decay, amsgrad, maximize } = group;
    const slots: Slot[] = [];
    for (const param of params) {
      const state = this.stateOf<AdamState>(param, () => ({
        step: 0,
        exp_avg: dense(param),
        exp_avg_sq: dense(param),
        ...(amsgrad ? { max_exp_avg_sq: dense(param) } : {}),
      }));
      state.step++;
      const tensors = [state.exp_avg, state.exp_avg_sq];
      if (amsgrad) tensors.push((state.max_exp_avg_sq ??= dense(param)));
      const slot: Slot = { param, state: tensors, step: state.step };
      if (usesKernel(group) && fits(slot)) slots.push(slot);
      else this.update(group, param, state);
    }
    const [beta1, beta2] = betas;
    const settings = { lr, momentum: 0, dampening: 0, nesterov: false, beta1, beta2, eps, weight_decay, maximize };
    fusedStep(this.decoupled(group) ? "adamw" : "adam", slots, settings);
  }

  private update(group: ParamGroup & AdamOptions, param: Tensor, state: AdamState): void {
    const p = asReal(param);
    const { lr, betas, eps, weight_decay, amsgrad, maximize } = group;
    const [beta1, beta2] = betas;
    const decoupled = this.decoupled(group);
    if (decoupled) p.mul_(1 - lr * weight_decay);
    const grad = effectiveGradient(p, asReal(param.grad!), maximize, decoupled ? 0 : weight_decay);
    const { step } = state;
    const [exp_avg, exp_avg_sq] = [asReal(state.exp_avg), asReal(state.exp_avg_sq)];
    exp_avg.lerp_(grad, 1 - beta1);
    exp_avg_sq.mul_(beta2).addcmul_(grad, grad, { value: 1 - beta2 });
    let largest = exp_avg_sq;
    if (amsgrad) {
      const most = asReal(state.max_exp_avg_sq!);
      // (What a gradient rule has saved must not change.)
      largest = most.copy_(ops.maximum(group.differentiable ? most.clone() : most, exp_avg_sq));
    }
    const denominator = largest
      .sqrt()
      .div(Math.sqrt(1 - beta2 ** step))
      .add(eps);
    p.addcdiv_(exp_avg, denominator, { value: -lr / (1 - beta1 ** step) });
  }
}

const dense = (p: Tensor): Tensor => ops.zeros_like(p);

function check(defaults: AdamOptions): void {
  const { betas, eps, weight_decay } = defaults;
  checkCommon(defaults);
  checkOption(eps >= 0, "epsilon value", eps);
  checkBetas(betas);
  if ((defaults.decoupled_weight_decay ?? null) === null) delete defaults.decoupled_weight_decay;
  checkOption(weight_decay >= 0, "weight_decay value", weight_decay);
}

/** `p = p - lr * m̂ / (sqrt(v̂) + eps)`, with running means m of the gradient and v of its square, corrected for their start at zero. */
export class Adam extends AdamBase {
  protected decoupled({ decoupled_weight_decay }: AdamOptions): boolean {
    return decoupled_weight_decay === true;
  }
  constructor(...args: AdamArgs) {
    const [params, defaults] = optimizerArguments<AdamOptions>("Adam", ADAM, args);
    check(defaults);
    super(params, defaults);
  }
}

/** Adam whose weight decay shrinks the parameters themselves: `p = p * (1 - lr * weight_decay)` before the step. */
export class AdamW extends AdamBase {
  protected decoupled(): boolean {
    return true;
  }
  constructor(...args: AdamArgs) {
    const [params, defaults] = optimizerArguments<AdamOptions>("AdamW", ADAMW, args);
    check(defaults);
    super(params, defaults);
  }
}
