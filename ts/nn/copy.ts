/** Deep copies of modules, as Python's copy.deepcopy makes them: nothing is built anew or drawn. */

import { Tensor } from "../core/tensor.ts";
import { Module } from "./module.ts";
import { Buffer, Parameter } from "./parameter.ts";

type Fields = Record<string, unknown>;

/** A module like `module` with memory of its own; what is shared inside stays shared inside. */
export function copyModule<M extends Module>(module: M, seen = new Map<unknown, unknown>()): M {
  const known = seen.get(module);
  if (known !== undefined) return known as M;
  // Only the base constructor runs, so that subclasses need not be built.
  const out = Reflect.construct(Module, [], module.constructor as new () => M) as M;
  seen.set(module, out);
  const fields = module as unknown as Fields;
  for (const key of Object.keys(module)) (out as unknown as Fields)[key] = copyValue(fields[key], seen);
  for (const [name, persistent] of module._buffers) out._buffers.set(name, persistent);
  return out;
}

function copyValue(value: unknown, seen: Map<unknown, unknown>): unknown {
  if (value instanceof Module) return copyModule(value, seen);
  if (Array.isArray(value)) return value.map((v) => copyValue(v, seen));
  if (!(value instanceof Tensor)) return value;
  if (!seen.has(value)) seen.set(value, copyTensor(value));
  return seen.get(value);
}

function copyTensor(t: Tensor): Tensor {
  const values = t.detach().clone();
  if (t instanceof Parameter) return new Parameter(values, t.requires_grad);
  if (t instanceof Buffer) return new Buffer(values, t.persistent);
  return values;
}
