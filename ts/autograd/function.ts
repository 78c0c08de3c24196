/** `torch.autograd.Function`: ops whose gradient the user writes. */

import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { callPrimitive } from "../engine/define.ts";
import { adopt, checkWritable } from "../engine/inplace.ts";
import type { Context } from "../engine/node.ts";
import { alias } from "../engine/run.ts";
import { describe } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";

/** What forward leaves for backward. Other things than tensors may be kept as properties of one's own. */
export class FunctionCtx {
  /** By argument of forward: whether a gradient is wanted. */
  readonly needs_input_grad: readonly boolean[];
  /** @internal */
  readonly _nonDifferentiable = new Set<Tensor>();
  /** @internal */
  readonly _dirty = new Set<Tensor>();
  /** @internal */
  _materialize = true;
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- the user's own
  [key: string]: any;

  /** @internal */
  constructor(
    private readonly context: Context,
    needs: readonly boolean[],
  ) {
    this.needs_input_grad = needs;
  }
  /** Keeps tensors for backward, which then checks that they have not been changed in between. */
  save_for_backward(...tensors: (Tensor | null)[]): void {
    this.context.save(...tensors);
  }
  get saved_tensors(): Tensor[] {
    return this.context.saved();
  }
  /** Outputs that shall not require grad. */
  mark_non_differentiable(...tensors: Tensor[]): void {
    for (const t of tensors) this._nonDifferentiable.add(t);
  }
  /** Arguments that forward changed in place (and returns). */
  mark_dirty(...tensors: Tensor[]): void {
    for (const t of tensors) this._dirty.add(t);
  }
  /** Whether backward gets zeros (as by default) or null for outputs that nothing was done with. */
  set_materialize_grads(value: boolean): void {
    this._materialize = value;
  }
}

export type FunctionGradients = Tensor | null | undefined | readonly (Tensor | null | undefined)[];

interface FunctionClass<A extends readonly unknown[], R> {
  readonly name: string;
  forward(ctx: FunctionCtx, ...args: A): R;
  backward(ctx: FunctionCtx, ...grads: never[]): FunctionGradients;
}

/**
 * An op with a gradient of one's own: a class with static `forward` and `backward`.
 * ```
 * class Exp extends autograd.Function {
 *   static forward(ctx: FunctionCtx, x: Tensor) { const y = x.exp(); ctx.save_for_backward(y); return y; }
 *   static backward(ctx: FunctionCtx, grad: Tensor) { return grad.mul(ctx.saved_tensors[0]); }
 * }
 * Exp.apply(x);
 * ```
 */
export abstract class Function {
  static apply<A extends readonly unknown[], R extends Tensor | readonly Tensor[]>(this: FunctionClass<A, R>, ...args: A): R {
    for (const part of ["forward", "backward"] as const) {
      if (typeof this[part] === "function") continue;
      throw new RuntimeError(`You must implement the ${part} function for your custom autograd.Function (${this.name}).`);
    }
    const recording = is_grad_enabled();
    let fctx!: FunctionCtx;
    let results: readonly Tensor[] = [];
    const replaced = new Map<Tensor, Tensor>();
    const needs = args.map((a) => recording && a instanceof Tensor && a.requires_grad);

    const forward = (context: Context): Tensor[] => {
      fctx = new FunctionCtx(context, needs);
      const result: unknown = this.forward(fctx, ...args);
      results = (Array.isArray(result) ? result : [result]) as Tensor[];
      for (const t of results) {
        if (!(t instanceof Tensor))
          throw new TypeError(`${this.name}.forward: expected Tensor or list of Tensor as return value, got ${describe(t)}`);
      }
      single = !Array.isArray(result);
      // An argument that comes back is not the argument any more: it gets a history of its own.
      return results.map((t) => {
        if (!args.includes(t) && !fctx._dirty.has(t)) return t;
        const out = alias(t, t.shape, t._strides, t._offset);
        replaced.set(out, t);
        return out;
      });
    };
    let single = true;

    const backward = (_context: Context, ...grads: unknown[]): (Tensor | null)[] => {
      const given = grads.map((g, i) => (g === null && fctx._materialize ? ops.zeros(metas[i]!.shape, metas[i]!.options) : g));
      const got = this.backward(fctx, ...(given as never[]));
      return checkGradients(this.name, args, Array.isArray(got) ? (got as (Tensor | null)[]) : [got as Tensor | null]);
    };

    const outputs = callPrimitive(this.name, args, forward, backward);
    for (const { _gradFn } of outputs) if (_gradFn !== null) _gradFn.foreign = true;
    const metas = outputs.map(({ shape, dtype, device }) => ({ shape, options: { dtype, device } }));
    const final = outputs.map((out, i) => {
      if (fctx._nonDifferentiable.has(results[i]!)) out._gradFn = null;
      const original = replaced.get(out);
      if (original === undefined || !fctx._dirty.has(original)) return out;
      if (out._gradFn !== null) {
        checkWritable(this.name, original);
        adopt(original, out);
      }
      return original;
    });
    return (single ? final[0]! : final) as unknown as R;
  }
}

function checkGradients(
  name: string,
  args: readonly unknown[],
  grads: readonly (Tensor | null | undefined)[],
): (Tensor | null)[] {
  let n = grads.length;
  while (n > args.length && (grads[n - 1] ?? null) === null) n--;
  if (n !== args.length) {
    throw new RuntimeError(
      `function ${name}Backward returned an incorrect number of gradients (expected ${args.length}, got ${grads.length})`,
    );
  }
  return args.map((a, i) => {
    const g = grads[i] ?? null;
    if (g !== null && !(g instanceof Tensor)) {
      throw new RuntimeError(
        `function ${name}Backward returned a ${describe(g)} at position ${i + 1}, but a Tensor or null was expected`,
      );
    }
    if (g !== null && !(a instanceof Tensor)) {
      throw new RuntimeError(
        `function ${name}Backward returned a gradient different from null at position ${i + 1}, but the corresponding forward input was not a Tensor`,
      );
    }
    return g;
  });
}
