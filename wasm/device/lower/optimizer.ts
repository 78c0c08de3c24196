/** optimizer: a step in place. Several parameters may come at once: as many inputs (gradients), and outputs in groups of equal size. */

import type { View } from "../../../ts/core/device.ts";
import { float32 } from "../../../ts/core/dtype.ts";
import { numelOf } from "../../../ts/core/shape.ts";
import type { OptimizerParams, OptimizerSpec } from "../../../ts/kernel/spec.ts";
import type { ComposedLowering, ComposingContext } from "../context.ts";
import type { FloatKind } from "../cpp/launcher.ts";
import { adamStep, sgdStep, type Slot } from "../cpp/optimizer.ts";
import { copy, floatKind, isHalf, withDType } from "./temporary.ts";

export const lowerOptimizer: ComposedLowering<"optimizer"> = (spec, context) => {
  const kind = floatKind(spec.op, spec.dtype);
  if (!isHalf(spec.dtype)) return (gradients, outputs, params) => step(context, spec.op, kind, gradients, outputs, params);
  return (gradients, outputs, params) => {
    const wide = outputs.map((view) => withDType(context, view, float32));
    const wideGradients = gradients.map((view) => withDType(context, view, float32));
    step(context, spec.op, kind, wideGradients, wide, params);
    wide.forEach((view, i) => copy(context, view, outputs[i]!));
  };
};

function step(
  context: ComposingContext,
  op: OptimizerSpec["op"],
  dtype: FloatKind,
  gradients: readonly View[],
  outputs: readonly View[],
  params: OptimizerParams,
): void {
  const each = outputs.length / gradients.length;
  const slots = gradients.map((gradient, i): Slot => {
    const states: number[] = [];
    for (let s = 1; s < each; s++) states.push(context.address(outputs[i * each + s]!));
    return {
      param: context.address(outputs[i * each]!),
      grad: context.address(gradient),
      states,
      count: numelOf(gradient.shape),
    };
  });
  const { lr, momentum, dampening, nesterov, beta1, beta2, eps, weight_decay: weightDecay, maximize } = params;
  if (op === "sgd") {
    const first = params.step === 1;
    sgdStep(context, { dtype, slots, lr, momentum, dampening, nesterov, weightDecay, maximize, first });
  } else {
    const decoupled = op === "adamw";
    const amsgrad = each === 4;
    adamStep(context, { dtype, slots, lr, beta1, beta2, eps, weightDecay, amsgrad, maximize, decoupled, step: params.step });
  }
}
