/** Hooks of modules: before and after forward, before and after backward. */

import { is_grad_enabled } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { record } from "../engine/node.ts";
import { alias } from "../engine/run.ts";

type Grads = readonly (Tensor | null)[];
/** Called before forward; what it returns, if anything, replaces the arguments (a single value: the only one). */
export type ForwardPreHook<M> = (module: M, args: unknown[]) => unknown;
/** Called after forward; what it returns, if anything, replaces the result. */
export type ForwardHook<M> = (module: M, args: unknown[], output: unknown) => unknown;
/** Called with the gradients of the inputs and of the outputs; may replace the former. */
export type BackwardHook<M> = (module: M, grad_input: Grads, grad_output: Grads) => Grads | Tensor | null | void;
/** Called with the gradients of the outputs, which it may replace. */
export type BackwardPreHook<M> = (module: M, grad_output: Grads) => Grads | Tensor | null | void;

export interface RemovableHandle {
  remove(): void;
}

type Kind = "forwardPre" | "forward" | "backwardPre" | "backward";

export class Hooks<M> {
  readonly forwardPre = new Set<{ call: ForwardPreHook<M> }>();
  readonly forward = new Set<{ call: ForwardHook<M> }>();
  readonly backwardPre = new Set<{ call: BackwardPreHook<M> }>();
  readonly backward = new Set<{ call: BackwardHook<M> }>();

  add(kind: Kind, call: unknown, prepend: boolean): RemovableHandle {
    const set = this[kind] as Set<{ call: unknown }>;
    const entry = { call };
    const rest = prepend ? [...set] : [];
    if (prepend) set.clear();
    set.add(entry);
    for (const e of rest) set.add(e);
    return { remove: () => void set.delete(entry) };
  }

  /** Forward with everything around it. */
  run(module: M, given: unknown[], forward: (args: unknown[]) => unknown): unknown {
    let args = given;
    for (const { call } of this.forwardPre) {
      const changed = call(module, args);
      if (changed !== undefined && changed !== null) args = Array.isArray(changed) ? (changed as unknown[]) : [changed];
    }
    const watched = this.backward.size + this.backwardPre.size > 0 && is_grad_enabled();
    const watch = watched ? new Watch(module, this) : null;
    if (watch !== null) args = watch.inputs(args);
    let output = forward(args);
    for (const { call } of this.forward) {
      const changed = call(module, args, output);
      if (changed !== undefined && changed !== null) output = changed;
    }
    return watch === null ? output : watch.outputs(output);
  }
}

/** One call of a module under backward hooks: identities around it see the gradients go by. */
class Watch<M> {
  private gradOutput: Grads = [];
  private hasInputs = false;

  constructor(
    private readonly module: M,
    private readonly hooks: Hooks<M>,
  ) {}

  inputs(args: unknown[]): unknown[] {
    const through = identity("BackwardHookInputs", args, (grads) => this.after(grads));
    this.hasInputs = through !== null;
    return through ?? args;
  }

  outputs(output: unknown): unknown {
    const list = Array.isArray(output) ? (output as unknown[]) : [output];
    const through = identity("BackwardHookOutputs", list, (grads) => {
      let result = grads;
      for (const { call } of this.hooks.backwardPre) result = replaced(call(this.module, result), result);
      this.gradOutput = result;
      // Nothing flows to the inputs: this is the last that is seen of this call.
      if (!this.hasInputs) for (const { call } of this.hooks.backward) call(this.module, [], result);
      return result;
    });
    if (through === null) return output;
    return Array.isArray(output) ? through : through[0];
  }

  private after(grads: Grads): Grads {
    let result = grads;
    for (const { call } of this.hooks.backward) result = replaced(call(this.module, result, this.gradOutput), result);
    return result;
  }
}

function replaced(given: Grads | Tensor | null | void, before: Grads): Grads {
  if (given === undefined || given === null) return before;
  return given instanceof Tensor ? [given] : given;
}

/** Copies of the tensors in `values` on the same memory, behind one node; null where none needs a gradient. */
function identity(name: string, values: readonly unknown[], backward: (grads: Grads) => Grads): unknown[] | null {
  const tensors = values.filter((v): v is Tensor => v instanceof Tensor && v.is_floating_point());
  if (!tensors.some((t) => t.requires_grad)) return null;
  const through = new Map(tensors.map((t) => [t, alias(t, t.shape, t._strides, t._offset)]));
  const inputs = [...through.keys()];
  record(name, inputs, [...through.values()], backward, null);
  for (const { _gradFn } of through.values()) if (_gradFn !== null) _gradFn.foreign = true;
  return values.map((v) => (v instanceof Tensor ? (through.get(v) ?? v) : v));
}
