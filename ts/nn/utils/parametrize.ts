/** torch.nn.utils.parametrize: parameters and buffers that are computed from others each time they are read. */

import { NotImplementedError, RuntimeError, ValueError } from "../../core/errors.ts";
import { no_grad } from "../../core/grad_mode.ts";
import { formatShape, sameShape } from "../../core/shape.ts";
import { Tensor } from "../../core/tensor.ts";
import { describe } from "../../engine/signature.ts";
import { ModuleDict, ModuleList } from "../containers.ts";
import { classOfCopy, deepcopy } from "../copy.ts";
import type { Module } from "../module.ts";
import { Parameter, setData } from "../parameter.ts";

type Fields = Record<string, unknown>;
type Class = abstract new (...args: never[]) => Module;
/** A parametrization may have the other direction: from a value to the tensors that give it. */
interface Invertible {
  right_inverse?(value: Tensor): Tensor | readonly Tensor[];
}

const fields = (module: Module): Fields => module as unknown as Fields;

/** Values while `cached` runs. */
let cache: Map<Module, Map<string, Tensor>> | null = null;
let depth = 0;

/** Runs `fn`, in which each parametrized tensor is computed once, when it is first read. */
export function cached<T>(fn: () => T): T {
  cache ??= new Map();
  depth++;
  try {
    return fn();
  } finally {
    if (--depth === 0) cache = null;
  }
}

function keep(module: Module, name: string, value: Tensor): void {
  if (value instanceof Parameter) module.register_parameter(name, value);
  else module.register_buffer(name, value);
}

/** Gives `t` the values of `value`, in memory of their own, which may be of another shape. */
function assign(t: Tensor, value: Tensor): void {
  no_grad(() => setData(t, value.detach().clone()));
}

function sameKind(what: string, got: unknown, like: Tensor): asserts got is Tensor {
  if (!(got instanceof Tensor)) throw new ValueError(`${what} must return a tensor. Got ${describe(got)}.`);
  if (got.dtype !== like.dtype) {
    throw new ValueError(
      `${what} may not change the dtype of the tensor, unless the \`unsafe\` flag is enabled: from ${like.dtype} to ${got.dtype}`,
    );
  }
  if (!sameShape(got.shape, like.shape)) {
    throw new ValueError(
      `${what} may not change the shape of the tensor, unless the \`unsafe\` flag is enabled: from ${formatShape(like.shape)} to ${formatShape(got.shape)}`,
    );
  }
}

/** The parametrizations of one tensor, first to last, with what they start from: `original`, or `original0`, `original1` and so on. */
export class ParametrizationList extends ModuleList {
  is_tensor: boolean;
  ntensors: number;
  unsafe: boolean;

  constructor(modules: readonly Module[], original: Tensor, unsafe = false) {
    super(modules);
    if (modules.length === 0) throw new ValueError("ParametrizationList requires one or more modules.");
    this.unsafe = unsafe;
    const { shape, dtype } = original;
    const before = { shape, dtype } as Tensor;
    const start = no_grad(() => startOf([...this].reverse(), original));
    if (!(start instanceof Tensor) && !Array.isArray(start)) {
      throw new ValueError(`'right_inverse' must return a Tensor or a list of tensors. Got ${describe(start)}`);
    }
    this.is_tensor = start instanceof Tensor;
    this.ntensors = Array.isArray(start) ? start.length : 1;
    if (start instanceof Tensor) {
      if (start.dtype !== dtype) {
        throw new ValueError(
          `When \`right_inverse\` outputs one tensor, it may not change the dtype: from ${dtype} to ${start.dtype}`,
        );
      }
      // It stays the object that optimizers know.
      if (start !== original) assign(original, start);
      keep(this, "original", original);
    } else {
      (start as readonly unknown[]).forEach((t, i) => {
        if (!(t instanceof Tensor)) {
          throw new ValueError(
            `'right_inverse' must return a Tensor or a list of tensors. Got element ${i} of the list with type ${describe(t)}.`,
          );
        }
        keep(this, `original${i}`, original instanceof Parameter ? new Parameter(t.detach(), original.requires_grad) : t);
      });
    }
    if (!unsafe) sameKind("Registering a parametrization", this.forward(), before);
  }

  private originals(): Tensor[] {
    const own = fields(this);
    if (this.is_tensor) return [own.original as Tensor];
    return Array.from({ length: this.ntensors }, (_, i) => own[`original${i}`] as Tensor);
  }

  forward(): Tensor {
    const [first, ...rest] = [...this] as unknown as ((...x: Tensor[]) => Tensor)[];
    return rest.reduce((x, m) => m(x), first!(...this.originals()));
  }

  /** Sets what the parametrizations start from so that they give `value`. */
  right_inverse(value: Tensor): void {
    no_grad(() => {
      let start: unknown = value;
      for (const m of [...this].reverse() as (Module & Invertible)[]) {
        if (m.right_inverse === undefined) {
          throw new RuntimeError(`parametrization ${m._get_name()} does not implement right_inverse.`);
        }
        start = m.right_inverse(start as Tensor);
      }
      const list = this.is_tensor ? [start] : start;
      if (!Array.isArray(list) || list.length !== this.ntensors) {
        throw new ValueError(`'right_inverse' must return a list of tensors of length ${this.ntensors}. Got ${describe(start)}.`);
      }
      const originals = this.originals();
      (list as unknown[]).forEach((t, i) => {
        if (!(t instanceof Tensor)) throw new ValueError(`\`right_inverse\` should return tensors. Got ${describe(t)}`);
        if (t.dtype !== originals[i]!.dtype) {
          throw new ValueError(`\`right_inverse\` may not change the dtype: from ${originals[i]!.dtype} to ${t.dtype}`);
        }
      });
      (list as Tensor[]).forEach((t, i) => assign(originals[i]!, t));
    });
  }
}
Object.defineProperty(ParametrizationList, "name", { value: "ParametrizationList" });

/** What modules, last to first, would have to start from to give `value`, as far as they know. */
function startOf(modules: readonly (Module & Invertible)[], value: Tensor): unknown {
  let start: unknown = value;
  for (const m of modules) {
    try {
      start = m.right_inverse?.(start as Tensor) ?? start;
    } catch (error) {
      if (!(error instanceof NotImplementedError)) throw error;
    }
  }
  return start;
}

type Parametrized = Module & { parametrizations: ModuleDict<ParametrizationList> };

/** Whether a module has parametrizations, or one of that name. */
export function is_parametrized(module: Module, tensor_name: string | null = null): module is Parametrized {
  const all = fields(module).parametrizations;
  if (!(all instanceof ModuleDict) || all.length === 0) return false;
  return tensor_name === null || all.has(tensor_name);
}

/** The class of a module before it had parametrizations. */
export function type_before_parametrizations(module: Module): Class {
  const own = module.constructor as unknown as Class;
  return is_parametrized(module) ? (Object.getPrototypeOf(own) as Class) : own;
}

/** Reads and writes of a parametrized tensor. */
function property(name: string): PropertyDescriptor {
  return {
    configurable: true,
    get(this: Parametrized) {
      const known = cache?.get(this)?.get(name);
      if (known !== undefined) return known;
      const value = this.parametrizations.get(name)();
      if (cache !== null) {
        if (!cache.has(this)) cache.set(this, new Map());
        cache.get(this)!.set(name, value);
      }
      return value;
    },
    set(this: Parametrized, value: Tensor) {
      this.parametrizations.get(name).right_inverse(value);
    },
  };
}

/** A class of its own for one module, as others of its class are not parametrized, and another one for each copy of it. */
function ownClass(base: Class, names: readonly string[]): Class {
  const own = class extends (base as unknown as typeof Module) {
    static [classOfCopy](): Class {
      const parametrized = Object.keys(Object.getOwnPropertyDescriptors(own.prototype)).filter((key) => key !== "constructor");
      return ownClass(base, parametrized);
    }
  };
  Object.defineProperty(own, "name", { value: `Parametrized${base.name}` });
  for (const name of names) Object.defineProperty(own.prototype, name, property(name));
  return own;
}

function checkAddition(parametrization: Module & Invertible, value: Tensor): void {
  const after = (parametrization as unknown as (x: Tensor) => unknown)(value);
  sameKind("A parametrization", after, value);
  if (parametrization.right_inverse === undefined) return;
  sameKind("'right_inverse'", startOf([parametrization], after), value);
}

/**
 * Makes `module[tensor_name]` the output of `parametrization`, applied to what it was: a parameter, a buffer, or the output of earlier
 * parametrizations. Its state is found under `parametrizations.NAME.original`. `unsafe`: shape and dtype may change.
 */
export function register_parametrization<M extends Module>(
  module: M,
  tensor_name: string,
  parametrization: Module,
  { unsafe = false }: { unsafe?: boolean } = {},
): M {
  parametrization.train(module.training);
  if (is_parametrized(module, tensor_name)) {
    if (!unsafe) checkAddition(parametrization, fields(module)[tensor_name] as Tensor);
    const list = (module as Parametrized).parametrizations.get(tensor_name);
    list.append(parametrization);
    list.unsafe ||= unsafe;
    return module;
  }
  const original = fields(module)[tensor_name];
  const isBuffer = [...module._ownBuffers()].some(([name]) => name === tensor_name);
  if (!(original instanceof Parameter) && !isBuffer) {
    throw new ValueError(
      `Module '${module}' does not have a parameter, a buffer, or a parametrized element with name '${tensor_name}'`,
    );
  }
  const list = new ParametrizationList([parametrization], original as Tensor, unsafe);
  delete fields(module)[tensor_name];
  if (!is_parametrized(module)) {
    Object.setPrototypeOf(module, ownClass(module.constructor as unknown as Class, []).prototype as object);
    fields(module).parametrizations = new ModuleDict<ParametrizationList>();
  }
  Object.defineProperty(Object.getPrototypeOf(module), tensor_name, property(tensor_name));
  (module as unknown as Parametrized).parametrizations.set(tensor_name, list);
  return module;
}

/** Makes a tensor plain again: with the value that it shows, or with its original (`leave_parametrized: false`). */
export function remove_parametrizations<M extends Module>(
  module: M,
  tensor_name: string,
  leave_parametrized: boolean | { leave_parametrized?: boolean } = true,
): M {
  const leave = typeof leave_parametrized === "boolean" ? leave_parametrized : (leave_parametrized.leave_parametrized ?? true);
  if (!is_parametrized(module, tensor_name)) {
    throw new ValueError(`Module ${module} does not have a parametrization on ${tensor_name}`);
  }
  const all = (module as Parametrized).parametrizations;
  const list = all.get(tensor_name);
  let plain: Tensor;
  if (list.is_tensor) {
    plain = fields(list).original as Tensor;
    if (leave)
      assign(
        plain,
        no_grad(() => fields(module)[tensor_name] as Tensor),
      );
  } else {
    if (!leave) {
      throw new ValueError(
        "Cannot leave unparametrized (`leave_parametrized: false`) a tensor that is parametrized in terms of a sequence of tensors.",
      );
    }
    const value = fields(module)[tensor_name] as Tensor;
    plain = value.requires_grad ? new Parameter(value.detach()) : value;
  }
  delete (Object.getPrototypeOf(module) as Fields)[tensor_name];
  all.pop(tensor_name);
  if (all.length === 0) {
    Object.setPrototypeOf(module, Object.getPrototypeOf(Object.getPrototypeOf(module)) as object);
    delete fields(module).parametrizations;
  }
  keep(module, tensor_name, plain);
  return module;
}

/** Copies parametrizations, of one tensor or of all, with their state, onto a module of the same kind. */
export function transfer_parametrizations_and_params<M extends Module>(
  from_module: Module,
  to_module: M,
  tensor_name: string | null = null,
): M {
  if (!is_parametrized(from_module)) return to_module;
  const source: Parametrized = from_module;
  for (const name of tensor_name === null ? source.parametrizations.keys() : [tensor_name]) {
    const list = source.parametrizations.get(name);
    if (!(fields(to_module)[name] instanceof Tensor)) fields(to_module)[name] = new Parameter(fields(source)[name] as Tensor);
    for (const m of list) {
      register_parametrization(to_module as Module, name, deepcopy(m), { unsafe: list.unsafe });
    }
    const target = (to_module as unknown as Parametrized).parametrizations.get(name);
    no_grad(() => target.load_state_dict(list.state_dict()));
  }
  return to_module;
}
