/** Deep copies, as Python's copy.deepcopy makes them: nothing is built anew or drawn. */

import { Tensor } from "../core/tensor.ts";
import { isOptions } from "../engine/signature.ts";
import { Module } from "./module.ts";
import { Buffer, is_lazy, Parameter, UninitializedBuffer, UninitializedParameter } from "./parameter.ts";

type Fields = Record<string, unknown>;
type Class = new () => unknown;

/** @internal Classes made for one module only say here what a copy of it is to be. */
export const classOfCopy = Symbol("class of copies");

/**
 * A copy with memory of its own of a module or tensor, or of arrays, maps, sets and plain objects of them; everything else stays what it is.
 * What is shared inside stays shared inside. Hooks are kept.
 */
export function deepcopy<T>(value: T, seen = new Map<unknown, unknown>()): T {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return value;
  if (seen.has(value)) return seen.get(value) as T;
  const into = <C>(copy: C, fill: (copy: C) => void): T => {
    seen.set(value, copy);
    fill(copy);
    return copy as unknown as T;
  };
  if (value instanceof Module) return into(bare(value), (copy) => copyFields(value, copy, seen));
  if (value instanceof Tensor) return into(copyTensor(value), () => undefined);
  if (Array.isArray(value)) {
    return into<unknown[]>([], (copy) => {
      for (const item of value as unknown[]) copy.push(deepcopy(item, seen));
    });
  }
  if (value instanceof Map) {
    return into(new Map<unknown, unknown>(), (copy) => {
      for (const [k, v] of value as Map<unknown, unknown>) copy.set(deepcopy(k, seen), deepcopy(v, seen));
    });
  }
  if (value instanceof Set) {
    return into(new Set<unknown>(), (copy) => {
      for (const v of value as Set<unknown>) copy.add(deepcopy(v, seen));
    });
  }
  if (isOptions(value)) {
    return into<Fields>({}, (copy) => {
      for (const [k, v] of Object.entries(value)) copy[k] = deepcopy(v, seen);
    });
  }
  return value;
}

/** Only the base constructor runs, so that subclasses need not be built. */
function bare(module: Module): Module {
  const own = module.constructor as unknown as Class & { [classOfCopy]?: () => Class };
  return Reflect.construct(Module, [], own[classOfCopy]?.() ?? own) as Module;
}

function copyFields(module: Module, copy: Module, seen: Map<unknown, unknown>): void {
  const fields = module as unknown as Fields;
  for (const key of Object.keys(module)) (copy as unknown as Fields)[key] = deepcopy(fields[key], seen);
  for (const [name, persistent] of module._buffers) copy._buffers.set(name, persistent);
  copy._hooks = module._hooks?.copy() ?? null;
  copy._stateHooks = module._stateHooks?.copy() ?? null;
  copy._empty = module._empty === null ? null : new Set(module._empty);
}

function copyTensor(t: Tensor): Tensor {
  const { device, dtype } = t;
  if (t instanceof UninitializedParameter) return new UninitializedParameter({ requires_grad: t.requires_grad, device, dtype });
  if (is_lazy(t)) return new UninitializedBuffer({ persistent: (t as UninitializedBuffer).persistent, device, dtype });
  const values = t.detach().clone();
  if (t instanceof Parameter) return new Parameter(values, t.requires_grad);
  if (t instanceof Buffer) return new Buffer(values, t.persistent);
  return values.requires_grad_(t.is_leaf && t.requires_grad);
}
