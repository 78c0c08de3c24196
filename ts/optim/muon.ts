/** Muon. */

import { RuntimeError, ValueError } from "../core/errors.ts";
import { bfloat16 } from "../core/dtype.ts";
import type { Tensor } from "../core/tensor.ts";
import { parseSignature, type Args } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import { fits, fusedUpdate, type Slot } from "./fused.ts";
import {
  checkCommon,
  Optimizer,
  optimizerArguments,
  type ParamGroup,
  type ParamGroupInput,
  type ParamsInput,
  type Rate,
} from "./optimizer.ts";

type Coefficients = readonly [a: number, b: number, c: number];

export interface MuonOptions {
  lr: number;
  weight_decay: number;
  momentum: number;
  nesterov: boolean;
  ns_coefficients: Coefficients;
  eps: number;
  ns_steps: number;
  adjust_lr_fn: "original" | "match_rms_adamw" | null;
}

const SIGNATURE = parseSignature(
  "params, lr=0.001, weight_decay=0.1, momentum=0.95, nesterov=True, ns_coefficients=[3.4445, -4.775, 2.0315], eps=1e-7, ns_steps=5, adjust_lr_fn=None",
);

/**
 * For matrices: momentum, made orthogonal by `ns_steps` steps of Newton and Schulz's iteration in bfloat16, and weight decay apart from it.
 * `adjust_lr_fn`: "original" multiplies lr by sqrt(max(1, rows / columns)), "match_rms_adamw" by 0.2 sqrt(max(rows, columns)), so that rates
 * tuned for AdamW fit. ValueError for parameters that are not 2-D: give these to another optimiser.
 */
export class Muon extends Optimizer {
  declare param_groups: (ParamGroup & MuonOptions)[];

  constructor(
    ...args: [
      params: ParamsInput,
      ...Args<
        [
          { lr?: Rate },
          { weight_decay?: number },
          { momentum?: number },
          { nesterov?: boolean },
          { ns_coefficients?: Coefficients },
          { eps?: number },
          { ns_steps?: number },
          { adjust_lr_fn?: MuonOptions["adjust_lr_fn"] },
        ]
      >,
    ]
  ) {
    const [params, defaults] = optimizerArguments<MuonOptions>("Muon", SIGNATURE, args);
    const { momentum, weight_decay, adjust_lr_fn } = defaults;
    checkCommon(defaults);
    if (!(momentum >= 0)) throw new ValueError(`momentum should be >= 0 but is: ${momentum}`);
    if (!(weight_decay >= 0)) throw new ValueError(`weight decay should be >= 0 but is: ${weight_decay}`);
    if (![null, "original", "match_rms_adamw"].includes(adjust_lr_fn)) {
      throw new ValueError(`Adjust learning rate function ${String(adjust_lr_fn)} is not supported`);
    }
    super(params, defaults);
  }

  override add_param_group(param_group: ParamGroupInput): void {
    super.add_param_group(param_group);
    for (const p of this.param_groups.at(-1)!.params) {
      if (p.ndim === 2) continue;
      this.param_groups.pop();
      throw new ValueError(`Muon only supports 2D parameters whereas we found a parameter with size: [${p.shape.join(", ")}]`);
    }
  }

  protected override updateGroup(group: ParamGroup & MuonOptions, params: readonly Tensor[]): void {
    const { lr, weight_decay, momentum, nesterov } = group;
    const moving = params.map((p): Slot => {
      if (p.is_complex()) throw new RuntimeError("Muon does not support complex parameters");
      const { momentum_buffer } = this.stateOf(p, () => ({ momentum_buffer: ops.zeros_like(p.grad!) }));
      return { param: momentum_buffer, grad: p.grad!, state: [], step: 1 };
    });
    step(moving, (grad, buffer) => buffer.lerp(grad, 1 - momentum));
    for (const members of batches(params)) {
      const updates = members.map((i) => {
        const { param: buffer, grad } = moving[i]!;
        return (nesterov ? grad!.lerp(buffer, momentum) : buffer).to(bfloat16);
      });
      const p = params[members[0]!]!;
      const directions = orthogonal(ops.stack(updates), group).to(p.dtype).contiguous();
      const alpha = -lr * ratio(group.adjust_lr_fn, p);
      const slots = members.map((i, j): Slot => ({ param: params[i]!, grad: directions.select(0, j), state: [], step: 1 }));
      step(slots, (grad, param) => param.mul(1 - lr * weight_decay).add(grad, { alpha }));
    }
  }
}

/** Steps by a formula of pointwise ops: those that the kernel can take together. */
function step(slots: readonly Slot[], formula: (grad: Tensor, param: Tensor) => Tensor): void {
  const fitting = slots.filter(fits);
  fusedUpdate<number, Slot>(fitting, true, (_, grad, param) => [formula(grad, param)]);
  for (const slot of slots) if (!fitting.includes(slot)) slot.param.copy_(formula(slot.grad!, slot.param));
}

/** Small matrices of one shape are made orthogonal together: launches count there, and copies do not. */
const MOST_TOGETHER = 1 << 20;

/** Numbers of parameters that go together. */
function batches(params: readonly Tensor[]): number[][] {
  const found: number[][] = [];
  const open = new Map<string, number[]>();
  params.forEach((p, i) => {
    const key = `${p.shape.join()}|${p.dtype}|${p.device.type}:${p.device.index}`;
    let batch = open.get(key);
    if (batch === undefined || (batch.length + 1) * p.numel() > MOST_TOGETHER) {
      open.set(key, (batch = []));
      found.push(batch);
    }
    batch.push(i);
  });
  return found;
}

function ratio(adjust: MuonOptions["adjust_lr_fn"], p: Tensor): number {
  const [rows, columns] = p.shape as [number, number];
  return adjust === "match_rms_adamw" ? 0.2 * Math.sqrt(Math.max(rows, columns)) : Math.sqrt(Math.max(1, rows / columns));
}

/** The nearest matrices with orthogonal rows or columns, roughly: a polynomial of odd powers takes singular values to about 1. */
function orthogonal(updates: Tensor, { ns_coefficients, ns_steps, eps }: MuonOptions): Tensor {
  if (!(ns_steps < 100)) throw new ValueError("Number of steps must be less than 100 for computational efficiency");
  if (ns_coefficients.length !== 3) throw new ValueError("Coefficients must be a tuple of exactly 3 values");
  const [a, b, c] = ns_coefficients;
  const tall = updates.shape[1]! > updates.shape[2]!;
  let x = tall ? updates.mT : updates;
  x = x.div(ops.linalg.vector_norm(x, { dim: [1, 2], keepdim: true }).clamp({ min: eps }));
  for (let i = 0; i < ns_steps; i++) {
    const gram = x.matmul(x.mT);
    x = ops.baddbmm(x, ops.baddbmm(gram, gram, gram, { beta: b, alpha: c }), x, { beta: a });
  }
  return tall ? x.mT : x;
}
