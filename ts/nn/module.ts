/** The base of all networks: a callable object that finds parameters, buffers and sub-modules among its own fields. */

import type { Device } from "../core/device.ts";
import { bfloat16, DType, float16, float32, float64 } from "../core/dtype.ts";
import { NotImplementedError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { describe, isOptions } from "../engine/signature.ts";
import { Hooks, type RemovableHandle } from "./hooks.ts";
import type * as hooks from "./hooks.ts";
import { Buffer, Parameter, setData } from "./parameter.ts";
import { indent } from "./repr.ts";
import { loadState, type IncompatibleKeys, type StateDict } from "./state.ts";

export type ForwardPreHook = hooks.ForwardPreHook<Module>;
export type ForwardHook = hooks.ForwardHook<Module>;
export type BackwardPreHook = hooks.BackwardPreHook<Module>;
export type BackwardHook = hooks.BackwardHook<Module>;

/* eslint-disable @typescript-eslint/no-explicit-any -- a module of unknown class takes and gives anything */
/** What `forward` of a module takes; any arguments where its class is not known. */
export type ForwardArgs<M> = M extends { forward(...args: infer A): unknown } ? A : any[];
/** What `forward` of a module gives. */
export type ForwardResult<M> = M extends { forward(...args: any[]): infer R } ? R : any;
/* eslint-enable @typescript-eslint/no-explicit-any */

// Calling a module is calling its forward, with the hooks around it.
// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging -- the constructor returns a function
export interface Module {
  (...args: ForwardArgs<this>): ForwardResult<this>;
}

type Fields = Record<string, unknown>;
interface WalkOptions {
  prefix?: string;
  recurse?: boolean;
  remove_duplicate?: boolean;
}
interface HookOptions {
  prepend?: boolean;
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export class Module {
  /** Whether dropout drops, batch norm learns its statistics and so on. */
  declare training: boolean;
  /** @internal Null until the first hook. */
  declare _hooks: Hooks<Module> | null;
  /** @internal Names given to register_buffer → whether they belong to the state_dict. */
  declare _buffers: Map<string, boolean>;

  /** The new object is a function with the class's prototype: cheaper to call, and to reach into, than a Proxy. */
  constructor() {
    const self = ((...args: unknown[]) => invoke(self, args)) as unknown as this;
    // A function's own; fields and getters of these names must work.
    delete (self as { name?: string }).name;
    delete (self as { length?: number }).length;
    Object.setPrototypeOf(self, new.target.prototype as object);
    Object.defineProperty(self, "_hooks", { value: null, writable: true });
    Object.defineProperty(self, "_buffers", { value: new Map<string, boolean>() });
    self.training = true;
    return self;
  }

  // What is registered

  /** A buffer under the name of a field. Buffers that are not persistent stay out of the state_dict. */
  register_buffer(name: string, tensor: Tensor | null, persistent: boolean | { persistent?: boolean } = true): void {
    checkName("buffer", this, name);
    if (tensor !== null && !(tensor instanceof Tensor)) {
      throw new TypeError(`cannot assign '${describe(tensor)}' object to buffer '${name}' (Tensor or null required)`);
    }
    this._buffers.set(name, typeof persistent === "boolean" ? persistent : (persistent.persistent ?? true));
    (this as unknown as Fields)[name] = tensor;
  }
  register_parameter(name: string, param: Parameter | null): void {
    checkName("parameter", this, name);
    if (param !== null && !(param instanceof Parameter)) {
      throw new TypeError(`cannot assign '${describe(param)}' object to parameter '${name}' (nn.Parameter or null required)`);
    }
    (this as unknown as Fields)[name] = param;
  }
  add_module(name: string, module: Module | null): void {
    if (module !== null && !(module instanceof Module)) throw new TypeError(`${describe(module)} is not a Module subclass`);
    checkName("module", this, name);
    (this as unknown as Fields)[name] = module;
  }
  register_module(name: string, module: Module | null): void {
    this.add_module(name, module);
  }

  /** @internal Fields of one kind, in the order they were made. */
  *_own<T>(kind: abstract new (...args: never[]) => T): Generator<[string, T]> {
    for (const key of Object.keys(this)) {
      const value = (this as unknown as Fields)[key];
      if (value instanceof kind) yield [key, value];
    }
  }
  /** @internal */
  *_ownBuffers(): Generator<[name: string, buffer: Tensor, persistent: boolean]> {
    for (const [key, value] of this._own(Tensor)) {
      if (value instanceof Buffer) yield [key, value, value.persistent];
      else if (this._buffers.has(key) && !(value instanceof Parameter)) yield [key, value, this._buffers.get(key)!];
    }
  }

  // Walking

  named_children(): [string, Module][] {
    const seen = new Set<Module>();
    return [...this._own(Module)].filter(([, m]) => !seen.has(m) && seen.add(m));
  }
  children(): Module[] {
    return this.named_children().map(([, m]) => m);
  }
  named_modules(options: { prefix?: string; remove_duplicate?: boolean } = {}): [string, Module][] {
    const out: [string, Module][] = [];
    const seen = options.remove_duplicate === false ? null : new Set<Module>();
    const walk = (module: Module, path: string): void => {
      if (seen?.has(module)) return;
      seen?.add(module);
      out.push([path, module]);
      for (const [name, child] of module._own(Module)) walk(child, path === "" ? name : `${path}.${name}`);
    };
    walk(this, options.prefix ?? "");
    return out;
  }
  modules(): Module[] {
    return this.named_modules().map(([, m]) => m);
  }
  named_parameters(options: WalkOptions = {}): [string, Parameter][] {
    return gather(this, options, (m) => m._own(Parameter));
  }
  parameters(recurse = true): Parameter[] {
    return this.named_parameters({ recurse }).map(([, p]) => p);
  }
  named_buffers(options: WalkOptions = {}): [string, Tensor][] {
    return gather(this, options, (m) => m._ownBuffers());
  }
  buffers(recurse = true): Tensor[] {
    return this.named_buffers({ recurse }).map(([, b]) => b);
  }

  get_submodule(target: string): Module {
    const found = resolve(this, target);
    if (!(found instanceof Module)) throw new TypeError(`get_submodule: \`${target}\` is not a Module of ${className(this)}`);
    return found;
  }
  get_parameter(target: string): Parameter {
    const found = resolve(this, target);
    if (!(found instanceof Parameter))
      throw new TypeError(`get_parameter: \`${target}\` is not a Parameter of ${className(this)}`);
    return found;
  }
  get_buffer(target: string): Tensor {
    const cut = target.lastIndexOf(".");
    const owner = this.get_submodule(target.slice(0, Math.max(cut, 0)));
    for (const [name, buffer] of owner._ownBuffers()) if (name === target.slice(cut + 1)) return buffer;
    throw new TypeError(`get_buffer: \`${target}\` is not a buffer of ${className(this)}`);
  }

  // Modes

  train(mode = true): this {
    for (const m of this.modules()) m.training = mode;
    return this;
  }
  eval(): this {
    return this.train(false);
  }
  requires_grad_(requires_grad = true): this {
    for (const p of this.parameters()) p.requires_grad_(requires_grad);
    return this;
  }
  zero_grad(set_to_none: boolean | { set_to_none?: boolean } = true): void {
    const drop = typeof set_to_none === "boolean" ? set_to_none : (set_to_none.set_to_none ?? true);
    for (const p of this.parameters()) {
      if (drop || p._grad === null) p._dropGrad();
      else p.grad = no_grad(() => p.grad!.detach().zero_());
    }
  }
  /** Calls `fn` on every module, children first. */
  apply(fn: (module: Module) => void): this {
    for (const child of this.children()) child.apply(fn);
    fn(this);
    return this;
  }

  // Conversion, in place: parameters stay the same objects

  /** `to(device)`, `to(dtype)`, `to(device, dtype)`, `to(other)`, `to({ device, dtype })`. The dtype is for floating-point tensors only. */
  to(
    target: Device | string | DType | Tensor | { device?: Device | string | null; dtype?: DType | null },
    dtype?: DType | null,
  ): this {
    let device: Device | string | null = null;
    let type = dtype ?? null;
    if (target instanceof DType) type = target;
    else if (target instanceof Tensor) [device, type] = [target.device, target.dtype];
    else if (isOptions(target)) {
      const options = target as { device?: Device | string | null; dtype?: DType | null };
      device = options.device ?? null;
      type = options.dtype ?? type;
    } else device = target;
    if (type !== null && !type.is_floating_point) {
      throw new TypeError(`nn.Module.to only accepts floating point dtypes, but got desired dtype=${type}`);
    }
    return this._apply((t) => t.to({ device, dtype: t.is_floating_point() ? type : null }));
  }
  /** `to(device)` from any device: leaving "webgpu" means reading values, which takes an await. Resolves to this module. */
  async to_async(device: Device | string): Promise<this> {
    const moves = new Map<Tensor, Promise<Tensor>>();
    const begin = (t: Tensor): Tensor => {
      if (!moves.has(t)) moves.set(t, t.detach().to_async(device));
      return t;
    };
    this._apply(begin);
    const moved = new Map(await Promise.all([...moves].map(async ([t, move]) => [t, await move] as const)));
    return this._apply((t) => moved.get(t) ?? t);
  }
  type(dtype: DType): this {
    return this._apply((t) => t.to(dtype));
  }
  float(): this {
    return this.to(float32);
  }
  double(): this {
    return this.to(float64);
  }
  half(): this {
    return this.to(float16);
  }
  bfloat16(): this {
    return this.to(bfloat16);
  }
  /** @internal */
  _apply(fn: (t: Tensor) => Tensor): this {
    no_grad(() => {
      for (const m of this.modules()) {
        for (const [, p] of m._own(Parameter)) {
          setData(p, fn(p));
          if (p.grad !== null) p.grad = fn(p.grad);
        }
        for (const [, b] of m._ownBuffers()) setData(b, fn(b));
      }
    });
    return this;
  }

  // State

  /** Parameters and persistent buffers by PyTorch's keys. The tensors share memory with the module. */
  state_dict(options: { prefix?: string; keep_vars?: boolean } = {}): StateDict {
    const { prefix = "", keep_vars = false } = options;
    const out: StateDict = {};
    for (const { key, tensor } of stateEntries(this, prefix)) out[key] = keep_vars ? tensor : tensor.detach();
    return out;
  }
  /**
   * Copies values into parameters and buffers. `strict`: keys must be the same. `assign`: takes the tensors themselves.
   * Nothing is written when it throws.
   */
  load_state_dict(
    state_dict: StateDict | ReadonlyMap<string, Tensor>,
    strict: boolean | { strict?: boolean; assign?: boolean } = true,
    assign = false,
  ): IncompatibleKeys {
    const options = typeof strict === "boolean" ? { strict, assign } : { strict: true, assign, ...strict };
    return loadState(className(this), [...stateEntries(this, "")], state_dict, options);
  }
  /** @internal State that old checkpoints lack. */
  _mayLack(_name: string): boolean {
    return false;
  }

  // Hooks

  register_forward_pre_hook(hook: ForwardPreHook, { prepend = false }: HookOptions = {}): RemovableHandle {
    return (this._hooks ??= new Hooks()).add("forwardPre", hook, prepend);
  }
  register_forward_hook(hook: ForwardHook, { prepend = false }: HookOptions = {}): RemovableHandle {
    return (this._hooks ??= new Hooks()).add("forward", hook, prepend);
  }
  register_full_backward_pre_hook(hook: BackwardPreHook, { prepend = false }: HookOptions = {}): RemovableHandle {
    return (this._hooks ??= new Hooks()).add("backwardPre", hook, prepend);
  }
  register_full_backward_hook(hook: BackwardHook, { prepend = false }: HookOptions = {}): RemovableHandle {
    return (this._hooks ??= new Hooks()).add("backward", hook, prepend);
  }

  // Printing

  /** What `toString` says of this module besides its children. */
  extra_repr(): string {
    return "";
  }
  toString(): string {
    const extra = this.extra_repr();
    const lines = [...this._own(Module)].map(([name, m]) => `(${name}): ${indent(m.toString())}`);
    const head = extra === "" ? [] : extra.split("\n");
    if (lines.length === 0 && head.length <= 1) return `${className(this)}(${extra})`;
    return `${className(this)}(\n  ${[...head, ...lines].join("\n  ")}\n)`;
  }
  [Symbol.for("nodejs.util.inspect.custom")](): string {
    return this.toString();
  }
}

type Forward = { forward?: (...args: unknown[]) => unknown };

function invoke(self: Module, args: unknown[]): unknown {
  const module = self as unknown as Forward;
  if (module.forward === undefined) {
    throw new NotImplementedError(`Module [${className(self)}] is missing the required "forward" function`);
  }
  if (self._hooks === null) return module.forward(...args);
  return self._hooks.run(self, args, (a) => module.forward!(...a));
}

function className(module: Module): string {
  return module.constructor.name;
}

function checkName(kind: string, module: Module, name: string): void {
  if (typeof name !== "string") throw new TypeError(`${kind} name should be a string. Got ${describe(name)}`);
  if (name === "") throw new TypeError(`${kind} name can't be empty string ""`);
  if (name.includes(".")) throw new TypeError(`${kind} name can't contain ".", got: ${name}`);
  const there = (module as unknown as Fields)[name];
  const own = Object.hasOwn(module, name) && (there == null || there instanceof Tensor || there instanceof Module);
  if (name in module && !own) throw new TypeError(`attribute '${name}' already exists`);
}

function gather<T extends object>(
  root: Module,
  { prefix = "", recurse = true, remove_duplicate = true }: WalkOptions,
  members: (m: Module) => Iterable<readonly [string, T, ...unknown[]]>,
): [string, T][] {
  const out: [string, T][] = [];
  const seen = new Set<T>();
  const modules = recurse ? root.named_modules({ prefix, remove_duplicate }) : [[prefix, root] as const];
  for (const [path, m] of modules) {
    for (const [name, value] of members(m)) {
      if (remove_duplicate && seen.has(value)) continue;
      seen.add(value);
      out.push([path === "" ? name : `${path}.${name}`, value]);
    }
  }
  return out;
}

function resolve(root: Module, target: string): unknown {
  let at: unknown = root;
  for (const name of target === "" ? [] : target.split(".")) {
    if (!(at instanceof Module) || !(name in at)) {
      const where = at instanceof Module ? className(at) : describe(at);
      throw new TypeError(`${where} has no attribute \`${name}\` (looking for \`${target}\` in ${className(root)})`);
    }
    at = (at as unknown as Fields)[name];
  }
  return at;
}

function* stateEntries(module: Module, prefix: string): Generator<{ key: string; tensor: Tensor; optional: boolean }> {
  for (const [name, tensor] of module._own(Parameter)) yield { key: prefix + name, tensor, optional: false };
  for (const [name, tensor, persistent] of module._ownBuffers()) {
    if (persistent) yield { key: prefix + name, tensor, optional: module._mayLack(name) };
  }
  for (const [name, child] of module._own(Module)) yield* stateEntries(child, `${prefix}${name}.`);
}
