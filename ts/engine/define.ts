/**
 * Defining ops: one call per op gives the function, its Tensor method and in-place form, its gradient and its documentation.
 * - `pointwise`: a scalar expression with a dtype rule (engine/pointwise.ts)
 * - `defineView`: other geometry over the same memory
 * - `defineOp`: forward by kernels, backward by differentiable ops
 * - `composite`: made of other ops, whose gradients it has
 */

import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled, setGradEnabled } from "../core/grad_mode.ts";
import { sameShape, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { withAutocastPolicy } from "./autocast.ts";
import { withBatching } from "./batching.ts";
import { withComplexRule } from "./complex.ts";
import { Context, NoContext, record } from "./node.ts";
import { withObserver } from "./observe.ts";
import type { Kind } from "./kinds.ts";
import { alias } from "./run.ts";
import { bindOp, parseSignature, type Signature } from "./signature.ts";

export interface OpInfo {
  readonly name: string;
  readonly signature: Signature;
  readonly doc: string;
  /** Tensor has it as a method under this name. */
  readonly method: string | null;
  /** Tensor has an in-place form, this name with an underscore. */
  readonly inplace: boolean;
  readonly kind: "pointwise" | "view" | "primitive" | "composite";
  /** Whether it has a gradient of its own; null: that of the ops it is made of. */
  readonly differentiable: boolean | null;
}

/** Type-level mark of what an op installs on Tensor. */
export type Flag = "method" | "inplace";

export interface Op<A extends readonly unknown[], R, F extends Flag = never> {
  (...args: A): R;
  readonly info: OpInfo;
  /** @internal Only in the type: what Tensor gets from this op. */
  readonly _flags: F;
  /** @internal Only in the type. */
  readonly _args: A;
  /** @internal Only in the type. */
  readonly _result: R;
}

// Keys are found by property types alone: inferring through the call signature would ask for Tensor's members while they are
// still being derived from here.
type Flagged<O, F extends Flag> = O extends { readonly _flags: infer G } ? (F extends G ? true : false) : false;
type MethodArgs<O> = O extends { readonly _args: readonly [unknown, ...infer T] } ? T : [];
type Result<O> = O extends { readonly _result: infer R } ? R : never;

/** Tensor methods that a module of ops brings. */
export type Methods<M> = {
  [K in keyof M as Flagged<M[K], "method"> extends true ? K : never]: (...args: MethodArgs<M[K]>) => Result<M[K]>;
} & {
  [K in keyof M as Flagged<M[K], "inplace"> extends true ? `${K & string}_` : never]: (...args: MethodArgs<M[K]>) => Tensor;
};

export interface OpOptions {
  readonly doc: string;
  /** Default: a method of the op's own name when the first parameter is a tensor called input or self. `false`: none. */
  readonly method?: boolean | string;
  readonly inplace?: boolean;
  /** Whether it takes complex arguments as they are. Default: views and composites do; others have a rule (engine/complex.ts) or refuse. */
  readonly complex?: boolean;
  /** Names of the arguments for which numbers may stand. */
  readonly tensors?: readonly string[];
  /** What arguments may be where their names do not tell (engine/kinds.ts). */
  readonly kinds?: Readonly<Record<string, Kind>>;
}

export function makeOp<O>(
  name: string,
  signature: string,
  kind: OpInfo["kind"],
  options: OpOptions & { readonly grad?: unknown; readonly backward?: unknown },
  call: (info: OpInfo) => (...args: never[]) => unknown,
): O {
  // Only we call what has no description.
  const sig = parseSignature(signature, options.doc === "" ? null : (options.tensors ?? []), options.kinds);
  const first = sig.names[0];
  const own = first === "input" || first === "self" || first === "tensor" || first === "condition";
  const method = options.method ?? own;
  const info: OpInfo = {
    name,
    signature: sig,
    doc: options.doc,
    method: method === true ? name : method === false ? null : method,
    inplace: options.inplace ?? false,
    kind,
    differentiable: kind === "composite" ? null : options.grad !== undefined || options.backward !== undefined,
  };
  const passes = options.complex ?? (kind === "view" || kind === "composite");
  const batched = withBatching(name, sig, kind, call(info) as (...args: unknown[]) => unknown);
  const real = withAutocastPolicy(name, sig, batched);
  const fn = withObserver(info, withComplexRule(name, sig, passes, real));
  return Object.assign(fn, { info }) as O;
}

/** An op that is only a formula over other ops. */
export function composite<O>(name: string, signature: string, options: OpOptions, body: (...args: never[]) => unknown): O {
  return makeOp<O>(name, signature, "composite", options, (info) => {
    const fn = body as (...args: unknown[]) => unknown;
    return (...given: unknown[]) => fn(...bindOp(name, info.signature, given));
  });
}

export interface OpRule extends OpOptions {
  /** Computes with recording off; `ctx.save` what backward needs. Arguments in the signature's order. */
  readonly forward: (ctx: Context, ...args: never[]) => Tensor | readonly Tensor[];
  /**
   * Gradients of the outputs (null: none came) → gradients by argument position, null or absent where there is none; a list where
   * the argument is a list. Written with differentiable ops. Broadcasting and dtypes are undone by the walk.
   */
  readonly backward?: (ctx: Context, ...grads: never[]) => readonly Gradient[];
}
type Gradient = Tensor | null | undefined | readonly (Tensor | null)[];

/** An op that runs kernels of its own. */
export function defineOp<O>(name: string, signature: string, rule: OpRule): O {
  const forward = rule.forward as (ctx: Context, ...args: unknown[]) => Tensor | readonly Tensor[];
  const backward = rule.backward as ((ctx: Context, ...grads: unknown[]) => readonly Gradient[]) | undefined;
  return makeOp<O>(name, signature, "primitive", rule, (info) => (...given: unknown[]) => {
    const args = bindOp(name, info.signature, given);
    return callPrimitive(name, args, forward, backward);
  });
}

/** @internal Runs a forward with recording off, then records it where a gradient is wanted. Shared with autograd.Function. */
export function callPrimitive<R>(
  name: string,
  args: readonly unknown[],
  forward: (ctx: Context, ...args: unknown[]) => R,
  backward: ((ctx: Context, ...grads: unknown[]) => readonly Gradient[]) | undefined,
): R {
  const recording = is_grad_enabled() && args.some(requiresGrad);
  if (!recording) {
    const previous = setGradEnabled(false);
    try {
      return forward(new NoContext(name), ...args);
    } finally {
      setGradEnabled(previous);
    }
  }
  const ctx = new Context(name);
  ctx.needs = args.map(requiresGrad);
  setGradEnabled(false);
  let result: R;
  try {
    result = forward(ctx, ...args);
  } finally {
    setGradEnabled(true);
  }
  if (backward === undefined) {
    return result; // not differentiable: the result does not require grad, as PyTorch's integer-valued ops
  }
  // Edges in argument order, lists spread out.
  const inputs: (Tensor | null)[] = [];
  const widths = args.map((a) => {
    if (Array.isArray(a)) {
      for (const t of a as unknown[]) inputs.push(t instanceof Tensor ? t : null);
      return a.length;
    }
    inputs.push(a instanceof Tensor ? a : null);
    return -1;
  });
  const outputs = (Array.isArray(result) ? result : [result]) as Tensor[];
  for (const t of outputs) {
    // A view made inside of memory made inside is no view to the outside: in-place ops may write to it as to any result.
    if (t._view !== null && !inputs.some((i) => i?._storage === t._storage)) t._view = null;
  }
  record(
    name,
    inputs,
    outputs,
    (grads) => {
      const byArgument = backward(ctx, ...grads);
      const flat: (Tensor | null | undefined)[] = [];
      for (let i = 0; i < widths.length; i++) {
        const g = byArgument[i];
        if (widths[i]! < 0) flat.push(g as Tensor | null | undefined);
        else for (let j = 0; j < widths[i]!; j++) flat.push(Array.isArray(g) ? (g[j] as Tensor | null) : null);
      }
      return flat;
    },
    ctx,
  );
  return result;
}

function requiresGrad(a: unknown): boolean {
  if (a instanceof Tensor) return a.requires_grad;
  return Array.isArray(a) && a.some((t) => t instanceof Tensor && t.requires_grad);
}

export interface Geometry {
  readonly shape: Shape;
  readonly strides: Shape;
  readonly offset: number;
}

export interface ViewRule extends OpOptions {
  readonly geometry: (input: Tensor, ...args: never[]) => Geometry;
  /** Gradient of the view → gradient of the input, given the input's geometry. */
  readonly backward: (grad: Tensor, input: Geometry, ...args: never[]) => Tensor;
}

/** An op whose result shares the input's memory. */
export function defineView<O>(name: string, signature: string, rule: ViewRule): O {
  const geometry = rule.geometry as (input: Tensor, ...args: unknown[]) => Geometry;
  const backward = rule.backward as (grad: Tensor, input: Geometry, ...args: unknown[]) => Tensor;
  return makeOp<O>(name, signature, "view", rule, (info) => (...given: unknown[]) => {
    const args = bindOp(name, info.signature, given);
    const input = args[0] as Tensor;
    const rest = args.slice(1);
    const g = geometry(input, ...rest);
    // Not the input itself: the graph must not keep its memory alive.
    const meta = { shape: input.shape, strides: input._strides, offset: input._offset };
    return viewAs(name, input, g, (grad) => backward(grad, meta, ...rest));
  });
}

/** A recorded view of `input`. */
export function viewAs(name: string, input: Tensor, g: Geometry, backward: (grad: Tensor) => Tensor): Tensor {
  const out = alias(input, g.shape, g.strides, g.offset);
  const base = input._view?.base ?? input;
  out._view = { base, graphVersion: base._graphVersion };
  if (is_grad_enabled() && input.requires_grad) {
    record(name, [input], [out], ([grad]) => [backward(grad!)], null);
  }
  return out;
}

/** Several results under PyTorch's names: an array that also has them as properties. */
export function named<const N extends readonly string[]>(
  names: N,
  values: readonly Tensor[],
): Tensor[] & { readonly [K in N[number]]: Tensor } {
  const out = [...values];
  names.forEach((n, i) => Object.defineProperty(out, n, { value: values[i], enumerable: false }));
  return out as unknown as Tensor[] & { readonly [K in N[number]]: Tensor };
}

/** Shapes must be equal; the message names both. */
export function checkSameShape(op: string, a: Tensor, b: Tensor): void {
  if (!sameShape(a.shape, b.shape)) {
    throw new RuntimeError(`${op}: expected equal shapes, got [${a.shape.join(", ")}] and [${b.shape.join(", ")}]`);
  }
}
