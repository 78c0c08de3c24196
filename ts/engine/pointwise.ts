/** Elementwise ops: one scalar expression, PyTorch's broadcasting and type promotion, deferred and fused. */

import type { Device } from "../core/device.ts";
import { float32, FloatScalar, get_default_dtype, type DType, type Scalar } from "../core/dtype.ts";
import { is_grad_enabled } from "../core/grad_mode.ts";
import { broadcastShapes, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { cast, load, scalar, type Expr } from "../kernel/expr.ts";
import { makeOp, type OpOptions } from "./define.ts";
import { deferMap, makeTemplate, type Template } from "./fusion.ts";
import { Context, record } from "./node.ts";
import { resultType } from "./promotion.ts";
import { commonDevice, moved } from "./run.ts";
import { checkRule } from "./kinds.ts";
import { asNumber, bindOp, isOptions } from "./signature.ts";

/**
 * Gradient towards one argument: what it needs (argument names, or "out"), and its formula of the result's gradient. Arguments that
 * were numbers come as numbers; parameters that are not tensors come as given.
 */
// eslint-disable-next-line @typescript-eslint/no-explicit-any -- a record of tensors and parameters by name
export type Values = Record<string, any>;
export type GradRule = readonly [saves: readonly string[], formula: (g: Tensor, values: Values) => Tensor | null];

export interface PointwiseRule extends OpOptions {
  /** Names of the arguments that broadcast and promote (tensors, or numbers in their place). Default: the first. */
  readonly tensors?: readonly string[];
  /** Names of number parameters that become run-time scalars of the computation's dtype. */
  readonly scalars?: readonly string[];
  /**
   * Type of the computation. "promote": that of the arguments; "float": the same with integers turned into the default float type;
   * or a function of the promoted type.
   */
  readonly dtype?: "promote" | "float" | ((promoted: DType, params: Values) => DType);
  /** Leave arguments in their own types (e.g. a condition); the expression casts. */
  readonly mixed?: boolean;
  /**
   * float16 and bfloat16 are computed in float32, numbers included, and rounded once at the end, unless this is false (comparisons,
   * whose numbers are rounded to the tensor's type first).
   */
  readonly widen?: boolean;
  /** Parameters that change the expression beyond their values, as a word for the cache key. */
  readonly variant?: (params: Values) => string;
  /** Arguments and scalars by name → the result, whose dtype is the op's. Other parameters come in `params`. */
  readonly expr: (values: Record<string, Expr>, params: Values, dtype: DType) => Expr;
  /** Arguments that get gradients. */
  readonly grad?: Readonly<Record<string, GradRule>>;
  /** Throws on bad arguments. */
  readonly check?: (values: Values, dtype: DType) => void;
}

export function pointwise<O>(name: string, signature: string, rule: PointwiseRule): O {
  return makeOp<O>(name, signature, "pointwise", rule, (info) => {
    const { names, defaults, positional } = info.signature;
    const tensorNames = rule.tensors ?? [names[0]!];
    const scalarNames = rule.scalars ?? [];
    const tensorAt = tensorNames.map((n) => names.indexOf(n));
    const scalarAt = scalarNames.map((n) => names.indexOf(n));
    const staticAt = names.map((_, i) => i).filter((i) => !tensorAt.includes(i) && !scalarAt.includes(i));
    const { kinds, rules } = info.signature;
    const parameters = [...staticAt, ...scalarAt];
    const simple = staticAt.length === 0 && rule.check === undefined && rule.variant === undefined;
    const gradRules = tensorNames.map((n) => rule.grad?.[n] ?? null);
    const templates = new Map<number | string, Template>();

    return (...given: unknown[]): Tensor => {
      let args = given;
      const n = given.length;
      if (n < tensorAt.length || n > positional || isOptions(given[n - 1])) args = bindOp(name, info.signature, given);
      else if (parameters.length > 0) {
        for (let i = 0; i < names.length; i++) if (given[i] === undefined) given[i] = defaults[i];
        for (const i of parameters) {
          const rule = rules[i]!;
          const x = args[i];
          if (x !== defaults[i])
            args[i] = rule === null ? asNumber(x) : checkRule(name, names[i]!, rule, defaults[i], asNumber(x));
        }
      }

      // Shapes, device and promoted type; the common case of equal dtypes first.
      const inputs: Tensor[] = [];
      let shape: Shape = [];
      let device: Device | null = null;
      let dtype: DType | null = null;
      let plain = true;
      let grads = false;
      let mixed = false;
      for (let i = 0; i < tensorAt.length; i++) {
        const a = args[tensorAt[i]!];
        if (!(a instanceof Tensor)) {
          const at = tensorAt[i]!;
          if (kinds[at] === "tensor") checkRule(name, names[at]!, rules[at]!, undefined, a);
          plain = false;
          continue;
        }
        if (a.shape.length === 0) plain = false;
        if (inputs.length === 0) {
          shape = a.shape;
          device = a._storage.device;
          dtype = a.dtype;
        } else {
          if (a.shape !== shape) shape = broadcastShapes(name, shape, a.shape);
          if (a._storage.device !== device) {
            device = commonDevice(name, [...inputs, a]);
            mixed = true;
          }
          if (a.dtype !== dtype) plain = false;
        }
        inputs.push(a);
        if (a._leafRequiresGrad || a._gradFn !== null || a._view !== null) grads = grads || a.requires_grad;
      }
      if (!plain)
        dtype = resultType(
          name,
          tensorAt.map((i) => args[i] as Tensor | Scalar),
        );
      if (device === null) {
        throw new TypeError(`${name}(${info.signature.text}): at least one of ${tensorNames.join(", ")} must be a Tensor`);
      }
      if (mixed) for (let i = 0; i < inputs.length; i++) if (inputs[i]!.device !== device) inputs[i] = moved(inputs[i]!, device);
      const values: Values | null = simple ? null : byName(names, args);
      const computed = computeType(rule, dtype!, values ?? {});
      rule.check?.(values!, computed);

      let key: number | string = computed.code;
      for (const i of tensorAt) {
        const a = args[i];
        key = key * 16 + (a instanceof Tensor ? a.dtype.code : 15);
      }
      if (rule.variant !== undefined) key = `${key}|${rule.variant(values!)}`;
      for (const i of staticAt) key = `${key}|${String(args[i])}`;
      let template = templates.get(key);
      if (template === undefined) {
        template = buildTemplate(rule, names, args, tensorAt, scalarAt, computed);
        templates.set(key, template);
      }

      const scalars: (number | bigint)[] = [];
      for (const i of tensorAt) if (!(args[i] instanceof Tensor)) scalars.push(scalarValue(args[i] as Scalar, computed));
      for (const i of scalarAt) scalars.push(scalarValue(args[i] as Scalar, computed));
      const out = deferMap(template, inputs, scalars, shape, device);
      if (grads && is_grad_enabled() && out.dtype.is_floating_point && rule.grad !== undefined) {
        attach(name, names, args, tensorAt, gradRules, out);
      }
      return out;
    };
  });
}

function byName(names: readonly string[], args: readonly unknown[]): Values {
  const values: Values = {};
  for (let i = 0; i < names.length; i++) values[names[i]!] = args[i];
  return values;
}

function computeType(rule: PointwiseRule, promoted: DType, params: Values): DType {
  if (rule.dtype === undefined || rule.dtype === "promote") return promoted;
  if (rule.dtype === "float") return promoted.is_floating_point ? promoted : get_default_dtype();
  return rule.dtype(promoted, params);
}

function scalarValue(x: Scalar, dtype: DType): number | bigint {
  if (typeof x === "bigint") return dtype.compute === "i64" ? x : Number(x);
  if (typeof x === "boolean") return x ? 1 : 0;
  return x instanceof FloatScalar ? x.value : x;
}

function buildTemplate(
  rule: PointwiseRule,
  names: readonly string[],
  args: readonly unknown[],
  tensorAt: readonly number[],
  scalarAt: readonly number[],
  dtype: DType,
): Template {
  const exprs: Record<string, Expr> = {};
  const wide = rule.widen !== false && dtype.is_floating_point && dtype.itemsize === 2 ? float32 : dtype;
  let input = 0;
  let slot = 0;
  for (const i of tensorAt) {
    const a = args[i];
    const x = a instanceof Tensor ? load(input++, a.dtype) : scalar(slot++, wide);
    exprs[names[i]!] = rule.mixed ? x : a instanceof Tensor ? cast(cast(x, dtype), wide) : x;
  }
  for (const i of scalarAt) exprs[names[i]!] = scalar(slot++, wide);
  const result = rule.expr(exprs, byName(names, args), wide);
  return makeTemplate(wide !== dtype && result.dtype === wide ? cast(result, dtype) : result, input, slot);
}

function attach(
  name: string,
  names: readonly string[],
  args: readonly unknown[],
  tensorAt: readonly number[],
  rules: readonly (GradRule | null)[],
  out: Tensor,
): void {
  const inputs: (Tensor | null)[] = [];
  const formulas: (GradRule[1] | null)[] = [];
  let saving: string[] | null = null;
  for (let k = 0; k < tensorAt.length; k++) {
    const a = args[tensorAt[k]!];
    if (!(a instanceof Tensor)) continue;
    const rule = rules[k]!;
    const wanted = rule !== null && a.requires_grad;
    inputs.push(wanted ? a : null);
    formulas.push(wanted ? rule[1] : null);
    if (wanted) for (const s of rule[0]) if (!(saving ??= []).includes(s)) saving.push(s);
  }
  // Parameters, and the saved tensors' places.
  let params: Values | null = null;
  const ctx = new Context(name);
  const savedNames: string[] = [];
  if (saving !== null) {
    for (const s of saving) {
      const value = s === "out" ? out : args[names.indexOf(s)];
      if (value instanceof Tensor) {
        ctx.save(value);
        savedNames.push(s);
      }
    }
  }
  for (let i = 0; i < names.length; i++) if (!(args[i] instanceof Tensor)) (params ??= {})[names[i]!] = args[i];
  record(
    name,
    inputs,
    [out],
    (grads) => {
      const saved = ctx.saved();
      const values: Values = { ...params };
      for (let i = 0; i < savedNames.length; i++) values[savedNames[i]!] = saved[i];
      return formulas.map((f) => (f === null ? null : f(grads[0]!, values)));
    },
    ctx,
  );
}
