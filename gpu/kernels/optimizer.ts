/** `optimizer`: the steps of SGD and Adam. What depends on the step number is computed on the host in double precision. */

import { type DType, float64 } from "../../ts/core/dtype.ts";
import type { OptimizerParams, OptimizerSpec } from "../../ts/kernel/spec.ts";
import type { KernelBuilder, V } from "../builder.ts";
import type { GpuLowering } from "../context.ts";
import { roundTo } from "../scalar/convert.ts";
import { stepInPlace } from "./slots.ts";

/** What changes a program's structure. */
interface Variant {
  readonly op: OptimizerSpec["op"];
  readonly dtype: DType;
  readonly decays: boolean;
  readonly nesterov: boolean;
  readonly moves: boolean;
  /** lerp from the nearer end: to the gradient, or from it. */
  readonly near: boolean;
}

export const lowerOptimizer: GpuLowering<"optimizer"> = (spec, context) => (gradients, outputs, params) => {
  const { weight_decay, momentum, nesterov, beta1 } = params;
  const variant: Variant = {
    op: spec.op,
    dtype: spec.dtype,
    decays: weight_decay !== 0,
    nesterov: spec.op === "sgd" && nesterov,
    moves: spec.op === "sgd" && momentum !== 0,
    near: 1 - beta1 < 0.5,
  };
  stepInPlace(context, gradients, outputs, {
    name: `optimizer_${spec.op}`,
    key: Object.values(variant).join("/"),
    dtype: spec.dtype,
    values: hostValues(spec, params),
    begin: (k) => (gradient, own) => update(k, variant, gradient, own).map((v) => roundTo(k, v, spec.dtype)),
  });
};

/** All scalars of a step, each rounded once. */
function hostValues({ op, dtype }: OptimizerSpec, params: OptimizerParams): Record<string, number> {
  const { lr, momentum, dampening, beta1, beta2, eps, weight_decay, maximize, step } = params;
  const values = { sign: maximize ? -1 : 1, decay: weight_decay };
  if (op === "sgd") return { ...values, rate: -lr, momentum, take: 1 - dampening, first: step === 1 ? 1 : 0 };
  const weight = 1 - beta1;
  return {
    ...values,
    shrink: op === "adamw" ? 1 - lr * weight_decay : 1,
    weight: weight < 0.5 ? weight : 1 - (dtype === float64 ? weight : Math.fround(weight)),
    beta2,
    take2: 1 - beta2,
    root: Math.sqrt(1 - beta2 ** step),
    eps,
    rate: -(lr / (1 - beta1 ** step)),
  };
}

/** One element; the order of operations is PyTorch's, of its single-tensor forms. */
function update(k: KernelBuilder, variant: Variant, gradient: V, own: readonly V[]): V[] {
  const { op, dtype, decays, moves, nesterov, near } = variant;
  const scalar = dtype === float64 ? "f64" : "f32";
  const param = (name: string): V => k.param(name, scalar);
  let x = own[0]!;
  let g = gradient.mul(param("sign"));
  if (op === "sgd") {
    if (decays) g = g.add(x.mul(param("decay")));
    if (!moves) return [x.add(g.mul(param("rate")))];
    const run = own[1]!.mul(param("momentum")).add(g.mul(param("take")));
    const buffer = k.param("first", "u32").ne(0).select(g, run);
    g = nesterov ? g.add(buffer.mul(param("momentum"))) : buffer;
    return [x.add(g.mul(param("rate"))), buffer];
  }
  if (op === "adamw") x = x.mul(param("shrink"));
  else if (decays) g = g.add(x.mul(param("decay")));
  let [, m, v] = own as [V, V, V];
  const way = g.sub(m);
  m = near ? m.add(way.mul(param("weight"))) : g.sub(way.mul(param("weight")));
  v = v.mul(param("beta2")).add(g.mul(param("take2")).mul(g));
  const states = [m, v];
  if (own.length === 4) {
    const largest = own[3]!;
    v = largest.isNan().or(largest.ge(v)).select(largest, v);
    states.push(v);
  }
  const denominator = v.sqrt().div(param("root")).add(param("eps"));
  return [x.add(m.mul(param("rate")).div(denominator)), ...states];
}
