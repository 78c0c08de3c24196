/**
 * How ops treat batched tensors (`torch.vmap`), in the place that every op passes. Views, elementwise ops, reductions and products know of hidden
 * dimensions; what is made of other ops gets them from these. Other kernels have rules (ops/batching.ts): calls of the same op on all of the
 * memory, with the batch's dimension in front, between two views, so that gradients come by themselves. What is left runs once for each
 * example, with one warning per op.
 */

import { batchingUsed, withoutBatchOf, type BatchLevel, type BatchLevels } from "../core/batch_mode.ts";
import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled, setGradEnabled } from "../core/grad_mode.ts";
import { sameShape } from "../core/shape.ts";
import { BatchedAccess, type GraphNode, Tensor } from "../core/tensor.ts";
import { levelsOf, strideOf } from "./hidden.ts";
import { conceal, reveal } from "./reveal.ts";
import { bindArguments, isOptions, type Signature } from "./signature.ts";

type AnyFunction = (...args: unknown[]) => unknown;

/** A call of an op some of whose arguments have a batch. */
export class BatchCall {
  constructor(
    readonly name: string,
    readonly level: BatchLevel,
    private readonly fn: AnyFunction,
    private readonly signature: Signature,
  ) {}
  /** The op itself; arguments in the signature's order. */
  op(...args: unknown[]): unknown {
    const { names, positional } = this.signature;
    if (args.length <= positional) return this.fn(...args);
    const byName = Object.fromEntries(args.slice(positional).map((value, i) => [names[positional + i]!, value]));
    return this.fn(...args.slice(0, positional), byName);
  }
  /** The op with arguments as its caller gave them. */
  plain(args: readonly unknown[]): unknown {
    return this.fn(...args);
  }
  get size(): number {
    return this.level.size;
  }
  /** Whether t differs from example to example. */
  has(t: unknown): boolean {
    return t instanceof Tensor && strideOf(t, this.level) !== null;
  }
  /** Whether t, or the gradient that it gets, differs from example to example. */
  varies(t: unknown): boolean {
    return t instanceof Tensor && (strideOf(t, this.level) !== null || (is_grad_enabled() && isOfLevel(t, this.level)));
  }
  /** All examples of t, in front. */
  lift(t: Tensor): Tensor {
    return reveal(t, this.level);
  }
  /** `lift` where t varies, else t, which is the same for all. */
  liftVarying(t: Tensor): Tensor {
    return this.varies(t) ? this.lift(t) : t;
  }
  /** Takes a result of all examples (or a list of such) for that of one. */
  lower<T>(result: T): T {
    return lowered(result, this.level) as T;
  }
}

/** A leaf or result of this level, whose gradient is that of one example. */
function isOfLevel(t: Tensor, level: BatchLevel): boolean {
  if (!t.requires_grad) return false;
  const fn = t.grad_fn;
  const levels = fn === null ? t._leafLevels : fn.outputs[t._outputNr]!.levels;
  return levels?.includes(level) ?? false;
}

function lowered(result: unknown, level: BatchLevel): unknown {
  if (result instanceof Tensor) return conceal(result, level);
  if (!Array.isArray(result)) return result;
  const out = result.map((r) => lowered(r, level));
  // Results that have names, too.
  for (const key of Object.getOwnPropertyNames(result)) {
    if (key === "length" || /^\d+$/.test(key)) continue;
    const at = result.indexOf((result as unknown as Record<string, unknown>)[key]);
    if (at >= 0) Object.defineProperty(out, key, { value: out[at], enumerable: false, configurable: true });
  }
  return out;
}

/** Arguments come in the signature's order; undefined: the op's own code will do for these. */
type BatchRule = (call: BatchCall, ...args: never[]) => unknown;

const rules = { primitive: new Map<string, BatchRule>(), composite: new Map<string, BatchRule>() };

/** What the ops of these names do with batched arguments: ops with kernels of their own, or formulas of others that can do better. */
export function batchRule(names: string | readonly string[], rule: BatchRule, kind: keyof typeof rules = "primitive"): void {
  for (const name of typeof names === "string" ? [names] : names) rules[kind].set(name, rule);
}

/** Calls `visit` with each tensor among arguments, their lists and options. */
function eachTensor(value: unknown, visit: (t: Tensor) => void): void {
  if (typeof value !== "object" || value === null) return;
  if (value instanceof Tensor) visit(value);
  else if (Array.isArray(value)) for (const v of value) eachTensor(v, visit);
  else if (isOptions(value)) for (const v of Object.values(value)) eachTensor(v, visit);
}

function mapTensors(value: unknown, fn: (t: Tensor) => Tensor): unknown {
  if (value instanceof Tensor) return fn(value);
  if (Array.isArray(value)) return value.map((v) => mapTensors(v, fn));
  if (isOptions(value)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, mapTensors(v, fn)]));
  return value;
}

/** The call of an op as it is with batched tensors. */
export function withBatching(name: string, signature: Signature, kind: string, fn: AnyFunction): AnyFunction {
  if (kind !== "primitive" && kind !== "composite") return fn;
  const call: AnyFunction = (...given) => {
    if (!batchingUsed()) return fn(...given);
    const batched: Tensor[] = [];
    eachTensor(given, (t) => {
      if (t._batch !== null) batched.push(t);
    });
    if (batched.length === 0) return fn(...given);
    const level = levelsOf(batched).at(-1)!;
    const rule = rules[kind].get(name) as ((call: BatchCall, ...args: unknown[]) => unknown) | undefined;
    if (rule !== undefined) {
      const result = rule(new BatchCall(name, level, call, signature), ...bindArguments(name, signature, given));
      if (result !== undefined) return result;
    }
    try {
      return fn(...given);
    } catch (error) {
      if (!(error instanceof BatchedAccess) || name.endsWith("_")) throw error;
      return oneByOne(new BatchCall(name, level, call, signature), given, error);
    }
  };
  return call;
}

const warned = new Set<string>();

/** @internal For tests: warnings come again. */
export function forgetWarnings(): void {
  warned.clear();
}

/** Runs the op for each example and puts the results together. */
function oneByOne(call: BatchCall, given: readonly unknown[], cause: BatchedAccess): unknown {
  const { name, level } = call;
  const whole = new Map<Tensor, Tensor>();
  eachTensor(given, (t) => {
    if (call.varies(t)) whole.set(t, call.lift(t));
  });
  const example = (i: number): unknown[] =>
    mapTensors(given, (t) => {
      const all = whole.get(t);
      if (all === undefined) return t;
      return level.size > 0 ? all.select(0, i) : t.new_zeros(t.shape);
    }) as unknown[];
  const results = withoutBatchOf(level, () => Array.from({ length: Math.max(level.size, 1) }, (_, i) => call.plain(example(i))));
  const [first] = results;
  if (!(first instanceof Tensor) && !(Array.isArray(first) && first.every((t) => t instanceof Tensor))) throw cause;
  if (!warned.has(name)) {
    warned.add(name);
    console.warn(
      `vmap: There is a performance drop because we have not yet implemented the batching rule for ${name}: it runs once for each example.`,
    );
  }
  const join = (list: readonly Tensor[]): Tensor => {
    if (list.some((t) => !sameShape(t.shape, list[0]!.shape))) {
      throw new RuntimeError(
        `vmap: ${name} gives results of different shapes for different examples, which cannot be put together. Use an op whose result's shape does not depend on values (torch.where, masks, nonzero_static), or call it outside of vmap.`,
      );
    }
    const all = list.map((t) => t.unsqueeze(0));
    return level.size > 0 ? joinFirst(all) : list[0]!.new_zeros([0, ...list[0]!.shape]);
  };
  if (first instanceof Tensor) return conceal(join(results as Tensor[]), level);
  const lists = results as (readonly Tensor[])[];
  const model = first as Tensor[];
  if (lists.some((list) => list.length !== model.length)) throw cause;
  const named = lowered(
    model.map((_, k) => join(lists.map((list) => list[k]!))),
    level,
  ) as Tensor[];
  for (const key of Object.getOwnPropertyNames(model)) {
    const at = /^\d+$|^length$/.test(key) ? -1 : model.indexOf((model as unknown as Record<string, Tensor>)[key]!);
    if (at >= 0) Object.defineProperty(named, key, { value: named[at], enumerable: false });
  }
  return named;
}

/** @internal Late-bound: `cat` along the first dimension. */
export const joining = {
  cat: (_tensors: readonly Tensor[]): Tensor => {
    throw new RuntimeError("internal: cat is not installed");
  },
};
const joinFirst = (tensors: readonly Tensor[]): Tensor => joining.cat(tensors);

/** The part of a gradient that leaves levels of `from` for a place outside of them: what it is the gradient of is the same for all examples. */
export function summedOut(g: Tensor, from: BatchLevels, to: BatchLevels): Tensor {
  if (from === to) return g;
  for (const level of levelsOf([g])) if (from.includes(level) && !to.includes(level)) g = reveal(g, level).sum(0);
  return g;
}

type Gradients = readonly (Tensor | null | undefined)[];

/** A node's backward on batches of gradients. Kernels made for backward know nothing of batches: then its formula, which does, or one by one. */
export function applyBatched(node: GraphNode, grads: readonly (Tensor | null)[]): Gradients {
  try {
    return node.apply(grads);
  } catch (error) {
    if (!(error instanceof BatchedAccess)) throw error;
  }
  if (!is_grad_enabled()) {
    setGradEnabled(true);
    try {
      return node.apply(grads).map((g) => g?.detach());
    } catch (error) {
      if (!(error instanceof BatchedAccess)) throw error;
    } finally {
      setGradEnabled(false);
    }
  }
  const level = levelsOf(grads).at(-1)!;
  const whole = grads.map((g) => (g === null ? null : reveal(g, level)));
  const each = Array.from({ length: level.size }, (_, i) =>
    withoutBatchOf(level, () => node.apply(whole.map((g) => g?.select(0, i) ?? null))),
  );
  return (each[0] ?? []).map((first, k) =>
    first instanceof Tensor ? conceal(joinFirst(each.map((list) => list[k]!.unsqueeze(0))), level) : first,
  );
}
