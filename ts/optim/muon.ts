/** Muon. */

import { RuntimeError, ValueError } from "../core/errors.ts";
import { bfloat16 } from "../core/dtype.ts";
import type { Tensor } from "../core/tensor.ts";
import { parseSignature, type Args } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
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
    for (const p of params) {
      if (p.is_complex()) throw new RuntimeError("Muon does not support complex parameters");
      const grad = p.grad!;
      const { momentum_buffer: buffer } = this.stateOf(p, () => ({ momentum_buffer: ops.zeros_like(grad) }));
      buffer.lerp_(grad, 1 - momentum);
      const update = orthogonal(nesterov ? grad.lerp(buffer, momentum) : buffer, group);
      p.mul_(1 - lr * weight_decay).add_(update, { alpha: -lr * ratio(group.adjust_lr_fn, p) });
    }
  }
}

function ratio(adjust: MuonOptions["adjust_lr_fn"], p: Tensor): number {
  const [rows, columns] = p.shape as [number, number];
  return adjust === "match_rms_adamw" ? 0.2 * Math.sqrt(Math.max(rows, columns)) : Math.sqrt(Math.max(1, rows / columns));
}

/** The nearest matrix with orthogonal rows or columns, roughly: a polynomial of odd powers takes singular values to about 1. */
function orthogonal(update: Tensor, { ns_coefficients, ns_steps, eps }: MuonOptions): Tensor {
  if (!(ns_steps < 100)) throw new ValueError("Number of steps must be less than 100 for computational efficiency");
  if (ns_coefficients.length !== 3) throw new ValueError("Coefficients must be a tuple of exactly 3 values");
  const [a, b, c] = ns_coefficients;
  const tall = update.shape[0]! > update.shape[1]!;
  let x = update.to(bfloat16);
  if (tall) x = x.t();
  x = x.div(ops.linalg.vector_norm(x).clamp({ min: eps }));
  for (let i = 0; i < ns_steps; i++) {
    const gram = x.matmul(x.t());
    x = ops.addmm(x, ops.addmm(gram, gram, gram, { beta: b, alpha: c }), x, { beta: a });
  }
  return tall ? x.t() : x;
}
