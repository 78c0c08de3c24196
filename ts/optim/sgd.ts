/** Stochastic gradient descent with momentum. */

import { ValueError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import { keep } from "../engine/memory.ts";
import { parseSignature, type Args } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import { fits, fusedStep, type Slot, usesKernel } from "./fused.ts";
import {
  checkCommon,
  checkOption,
  Optimizer,
  optimizerArguments,
  type ParamGroup,
  type ParamsInput,
  type Rate,
} from "./optimizer.ts";

export interface SGDOptions {
  lr: number;
  momentum: number;
  dampening: number;
  weight_decay: number;
  nesterov: boolean;
  maximize: boolean;
  foreach: boolean | null;
  differentiable: boolean;
  fused: boolean | null;
}

const SIGNATURE = parseSignature(
  "params, lr=0.001, momentum=0, dampening=0, weight_decay=0, nesterov=False, *, maximize=False, foreach=None, differentiable=False, fused=None",
);

type SGDArgs = [
  params: ParamsInput,
  ...Args<
    [{ lr?: Rate }, { momentum?: number }, { dampening?: number }, { weight_decay?: number }, { nesterov?: boolean }],
    { maximize?: boolean; foreach?: boolean | null; differentiable?: boolean; fused?: boolean | null }
  >,
];

/** @internal Adds the weight decay to the gradient, after turning it round where the loss shall rise. */
export function effectiveGradient(p: Tensor, given: Tensor, maximize: boolean, weight_decay: number): Tensor {
  const grad = maximize ? given.neg() : given;
  return weight_decay === 0 ? grad : grad.add(p, { alpha: weight_decay });
}

/** @internal What optimizers see of complex numbers whose parts they treat one by one: pairs. */
export const asReal = (t: Tensor): Tensor => (t.is_complex() ? ops.view_as_real(t) : t);

interface SGDState {
  momentum_buffer: Tensor | null;
}

/** `v = momentum * v + (1 - dampening) * g`, `p = p - lr * v`; with `nesterov`, `p = p - lr * (g + momentum * v)`. */
export class SGD extends Optimizer {
  declare param_groups: (ParamGroup & SGDOptions)[];

  constructor(...args: SGDArgs) {
    const [params, defaults] = optimizerArguments<SGDOptions>("SGD", SIGNATURE, args);
    const { momentum, dampening, weight_decay, nesterov } = defaults;
    checkCommon(defaults);
    checkOption(momentum >= 0, "momentum value", momentum);
    checkOption(weight_decay >= 0, "weight_decay value", weight_decay);
    if (nesterov && (momentum <= 0 || dampening !== 0)) {
      throw new ValueError("Nesterov momentum requires a momentum and zero dampening");
    }
    super(params, defaults);
  }

  protected override updateGroup(group: ParamGroup & SGDOptions, params: readonly Tensor[]): void {
    const slots: Slot[] = [];
    for (const param of params) {
      if (group.momentum === 0) {
        const slot: Slot = { param, state: [], step: 1 };
        if (usesKernel(group) && fits(slot)) slots.push(slot);
        else this.update(group, param, null);
        continue;
      }
      const state = this.stateOf<SGDState>(param, () => ({ momentum_buffer: null }));
      const first = (state.momentum_buffer ?? null) === null;
      const buffer = state.momentum_buffer ?? param.grad!.new_zeros(param.shape, { dtype: param.dtype });
      const slot: Slot = { param, state: [buffer], step: first ? 1 : 2 };
      if (usesKernel(group) && fits(slot)) {
        state.momentum_buffer = keep(buffer);
        slots.push(slot);
      } else this.update(group, param, state);
    }
    const { lr, momentum, dampening, weight_decay, nesterov, maximize } = group;
    const settings = { lr, momentum, dampening, weight_decay, nesterov, maximize, beta1: 0, beta2: 0, eps: 0 };
    fusedStep("sgd", slots, settings);
  }

  private update(group: ParamGroup & SGDOptions, p: Tensor, state: SGDState | null): void {
    const { lr, momentum, dampening, weight_decay, nesterov, maximize } = group;
    let grad = effectiveGradient(p, p.grad!, maximize, weight_decay);
    if (state !== null) {
      if (state.momentum_buffer === null) state.momentum_buffer = keep((group.differentiable ? grad : grad.detach()).clone());
      else state.momentum_buffer.mul_(momentum).add_(grad, { alpha: 1 - dampening });
      grad = nesterov ? grad.add(state.momentum_buffer, { alpha: momentum }) : state.momentum_buffer;
    }
    p.add_(grad, { alpha: -lr });
  }
}
