/** Hooks of modules: before and after forward, before and after backward; of one module, or of all. */

import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { record } from "../engine/node.ts";
import { alias } from "../engine/run.ts";
import { describe, isOptions } from "../engine/signature.ts";

type Grads = readonly (Tensor | null)[];
/** Arguments by name: the options object at the end of a call. */
export type Kwargs = Readonly<Record<string, unknown>>;

/** Called before forward; what it returns, if anything, replaces the arguments (a single value: the only one). */
export type ForwardPreHook<M> = (module: M, args: unknown[]) => unknown;
/** The same `with_kwargs`; what it returns, if anything, is a pair of arguments and options. */
export type ForwardPreHookWithKwargs<M> = (module: M, args: unknown[], kwargs: Kwargs) => [unknown[], Kwargs] | null | void;
/** Called after forward; what it returns, if anything, replaces the result. */
export type ForwardHook<M> = (module: M, args: unknown[], output: unknown) => unknown;
export type ForwardHookWithKwargs<M> = (module: M, args: unknown[], kwargs: Kwargs, output: unknown) => unknown;
/** Called with the gradients of the arguments and of the outputs; may replace the former. Null stands for what has none. */
export type BackwardHook<M> = (module: M, grad_input: Grads, grad_output: Grads) => Grads | Tensor | null | void;
/** Called with the gradients of the outputs, which it may replace. */
export type BackwardPreHook<M> = (module: M, grad_output: Grads) => Grads | Tensor | null | void;

export interface RemovableHandle {
  remove(): void;
}
export interface HookOptions {
  /** Before all hooks that are there already. */
  prepend?: boolean;
}
export interface ForwardHookOptions extends HookOptions {
  /** The hook gets the options object of the call, too. */
  with_kwargs?: boolean;
  /** After a forward that throws, too; its output is then null. */
  always_call?: boolean;
}

interface Forms<M> {
  forwardPre: ForwardPreHook<M> | ForwardPreHookWithKwargs<M>;
  forward: ForwardHook<M> | ForwardHookWithKwargs<M>;
  backwardPre: BackwardPreHook<M>;
  backward: BackwardHook<M>;
}
interface Entry<F> extends ForwardHookOptions {
  readonly call: F;
}

/** An ordered set from which every member can be taken by its handle. */
export class HookList<T> {
  private items: T[] = [];

  add(item: T, prepend = false): RemovableHandle {
    this.items = prepend ? [item, ...this.items] : [...this.items, item];
    return { remove: () => this.delete(item) };
  }
  delete(item: T): void {
    this.items = this.items.filter((other) => other !== item);
  }
  get length(): number {
    return this.items.length;
  }
  /** As it is now: what hooks add or remove while they run takes effect the next time. */
  [Symbol.iterator](): IterableIterator<T> {
    return this.items[Symbol.iterator]();
  }
  copy(): HookList<T> {
    const out = new HookList<T>();
    out.items = this.items;
    return out;
  }
}

export class Hooks<M> {
  readonly lists: { [K in keyof Forms<M>]: HookList<Entry<Forms<M>[K]>> } = {
    forwardPre: new HookList(),
    forward: new HookList(),
    backwardPre: new HookList(),
    backward: new HookList(),
  };

  add<K extends keyof Forms<M>>(kind: K, call: Forms<M>[K], options: ForwardHookOptions = {}): RemovableHandle {
    return this.lists[kind].add({ ...options, call }, options.prepend);
  }
  get isEmpty(): boolean {
    return Object.values(this.lists).every((list) => list.length === 0);
  }
  copy(): Hooks<M> {
    const out = new Hooks<M>();
    for (const kind of Object.keys(this.lists) as (keyof Forms<M>)[]) out.lists[kind] = this.lists[kind].copy() as never;
    return out;
  }
}

/** Hooks of all modules, which run before a module's own. */
export const shared = new Hooks<never>();

function* all<M, K extends keyof Forms<M>>(own: Hooks<M> | null, kind: K): Generator<Entry<Forms<M>[K]>> {
  yield* shared.lists[kind] as unknown as HookList<Entry<Forms<M>[K]>>;
  if (own !== null) yield* own.lists[kind];
}

/** Options after other arguments; an object alone is the argument itself. */
function split(given: unknown[]): [args: unknown[], kwargs: Kwargs | null] {
  const last = given.at(-1);
  return given.length > 1 && isOptions(last) ? [given.slice(0, -1), last] : [given, null];
}

/** A call of a module: forward with everything around it. */
export function runHooked<M>(module: M, own: Hooks<M> | null, given: unknown[], forward: (args: unknown[]) => unknown): unknown {
  let [args, kwargs] = split(given);
  const called = new Set<unknown>();
  const after = (entry: Entry<Forms<M>["forward"]>, output: unknown): unknown => {
    called.add(entry);
    return entry.with_kwargs === true
      ? (entry.call as ForwardHookWithKwargs<M>)(module, args, kwargs ?? {}, output)
      : (entry.call as ForwardHook<M>)(module, args, output);
  };
  let output: unknown = null;
  try {
    for (const entry of all(own, "forwardPre")) {
      if (entry.with_kwargs === true) {
        const changed = (entry.call as ForwardPreHookWithKwargs<M>)(module, args, kwargs ?? {}) ?? null;
        if (changed === null) continue;
        if (!Array.isArray(changed) || changed.length !== 2) {
          throw new RuntimeError(
            `forward pre-hook must return null or a pair of (new_args, new_kwargs), but got ${describe(changed)}`,
          );
        }
        [args, kwargs] = changed;
      } else {
        const changed = (entry.call as ForwardPreHook<M>)(module, args);
        if (changed !== undefined && changed !== null) args = Array.isArray(changed) ? (changed as unknown[]) : [changed];
      }
    }
    const watch = is_grad_enabled() ? Watch.of(module, own) : null;
    const inputs = watch === null ? args : watch.inputs(args);
    output = forward(kwargs === null || Object.keys(kwargs).length === 0 ? inputs : [...inputs, kwargs]);
    for (const entry of all(own, "forward")) {
      const changed = after(entry, output);
      if (changed !== undefined && changed !== null) output = changed;
    }
    return watch === null ? output : watch.outputs(output);
  } catch (error) {
    for (const entry of all(own, "forward")) {
      if (entry.always_call !== true || called.has(entry)) continue;
      try {
        const changed = after(entry, output);
        if (changed !== undefined && changed !== null) output = changed;
      } catch (other) {
        console.warn(`a forward hook with always_call threw, too: ${String(other)}`);
      }
    }
    throw error;
  }
}

/** One call of a module under backward hooks: identities around it see the gradients go by. */
class Watch<M> {
  private gradOutput: Grads = [];
  private hasInputs = false;
  private count = 0;

  private constructor(
    private readonly module: M,
    private readonly before: readonly BackwardPreHook<M>[],
    private readonly hooks: readonly BackwardHook<M>[],
  ) {}

  static of<M>(module: M, own: Hooks<M> | null): Watch<M> | null {
    const before = [...all(own, "backwardPre")].map((e) => e.call);
    const hooks = [...all(own, "backward")].map((e) => e.call);
    return before.length + hooks.length === 0 ? null : new Watch(module, before, hooks);
  }

  inputs(args: unknown[]): unknown[] {
    this.count = args.length;
    const through = identity("BackwardHookInputs", args, (grads) => this.after(grads));
    this.hasInputs = through !== null;
    return through ?? args;
  }

  outputs(output: unknown): unknown {
    const list = Array.isArray(output) ? (output as unknown[]) : [output];
    const through = identity("BackwardHookOutputs", list, (grads) => {
      let result = grads;
      for (const call of this.before) result = replaced("Backward pre hook", call(this.module, result), result);
      this.gradOutput = result;
      // Nothing flows to the inputs: this is the last that is seen of this call.
      if (!this.hasInputs) this.withoutInputs(result);
      return result;
    });
    if (through === null) return output;
    return Array.isArray(output) ? through : through[0];
  }

  private after(grads: Grads): Grads {
    let result = grads;
    for (const call of this.hooks) result = replaced("Backward hook", call(this.module, result, this.gradOutput), result);
    return result;
  }

  private withoutInputs(gradOutput: Grads): void {
    for (const call of this.hooks) {
      const given = call(this.module, new Array<null>(this.count).fill(null), gradOutput) ?? null;
      if (given === null || (!(given instanceof Tensor) && given.every((g) => g === null))) continue;
      throw new RuntimeError(
        "Backward hook for Modules where no input requires gradient should always return null or null for all gradients.",
      );
    }
  }
}

function replaced(what: string, given: Grads | Tensor | null | void, before: Grads): Grads {
  if (given === undefined || given === null) return before;
  const grads = given instanceof Tensor ? [given] : given;
  if (grads.length !== before.length) {
    throw new RuntimeError(`${what} returned an invalid number of grad: got ${grads.length}, but expected ${before.length}`);
  }
  return grads;
}

/**
 * Copies of the tensors in `values` on the same memory, behind one node; null where none needs a gradient. `backward` sees a gradient,
 * or null, for each of `values`.
 */
function identity(name: string, values: readonly unknown[], backward: (grads: Grads) => Grads): unknown[] | null {
  const tensors = values.filter((v): v is Tensor => v instanceof Tensor && v.dtype.differentiable);
  if (!tensors.some((t) => t.requires_grad)) return null;
  const through = new Map(tensors.map((t) => [t, alias(t, t.shape, t._strides, t._offset)]));
  const inputs = [...through.keys()];
  const gradients = (grads: Grads): Grads => {
    const place = new Map(inputs.map((t, i) => [t, grads[i] ?? null]));
    const result = backward(values.map((v) => place.get(v as Tensor) ?? null));
    return inputs.map((t) => result[values.indexOf(t)] ?? null);
  };
  record(name, inputs, [...through.values()], gradients, null);
  for (const { _gradFn } of through.values()) if (_gradFn !== null) _gradFn.foreign = true;
  return values.map((v) => (v instanceof Tensor ? (through.get(v) ?? v) : v));
}
