/** The base of all networks: a callable object that finds parameters, buffers and sub-modules among its own fields. */

import type { Device } from "../core/device.ts";
import { bfloat16, DType, float16, float32, float64 } from "../core/dtype.ts";
import { NotImplementedError, ValueError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import { Tensor } from "../core/tensor.ts";
import { bindArguments, describe, isOptions, parseSignature, type Args } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import { Hooks, runHooked, shared, type ForwardHookOptions, type HookOptions, type RemovableHandle } from "./hooks.ts";
import type * as hooks from "./hooks.ts";
import { Buffer, convert, Parameter } from "./parameter.ts";
import { indent } from "./repr.ts";
import * as state from "./state.ts";
import { StateHooks, type IncompatibleKeys, type LocalMetadata, type StateDict } from "./state.ts";

export type ForwardPreHook = hooks.ForwardPreHook<Module>;
export type ForwardPreHookWithKwargs = hooks.ForwardPreHookWithKwargs<Module>;
export type ForwardHook = hooks.ForwardHook<Module>;
export type ForwardHookWithKwargs = hooks.ForwardHookWithKwargs<Module>;
export type BackwardPreHook = hooks.BackwardPreHook<Module>;
export type BackwardHook = hooks.BackwardHook<Module>;
export type StateDictPreHook = state.StateDictPreHook<Module>;
export type StateDictHook = state.StateDictHook<Module>;
export type LoadStateDictPreHook = state.LoadStateDictPreHook<Module>;
export type LoadStateDictPostHook = state.LoadStateDictPostHook<Module>;

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
type WalkArgs = Args<[{ prefix?: string }, { recurse?: boolean }, { remove_duplicate?: boolean }]>;
type ModulesArgs = Args<[{ memo?: Set<Module> | null }, { prefix?: string }, { remove_duplicate?: boolean }]>;
const WALK = parseSignature("prefix='', recurse=True, remove_duplicate=True");
const MODULES = parseSignature("memo=None, prefix='', remove_duplicate=True");
const FLAG = parseSignature("recurse=True");
const SAVE = parseSignature("destination=None, prefix='', keep_vars=False");

interface ToOptions {
  device?: Device | string | null;
  dtype?: DType | null;
  non_blocking?: boolean;
}

// eslint-disable-next-line @typescript-eslint/no-unsafe-declaration-merging
export class Module {
  /** Whether dropout drops, batch norm learns its statistics and so on. */
  declare training: boolean;
  /** @internal Null until the first hook. */
  declare _hooks: Hooks<Module> | null;
  /** @internal Names given to register_buffer → whether they belong to the state_dict. */
  declare _buffers: Map<string, boolean>;
  /** @internal Null until the first hook. */
  declare _stateHooks: StateHooks<Module> | null;
  /** @internal Names under which add_module was given nothing: they are printed. */
  declare _empty: Set<string> | null;
  /** The version of the format of this class's own entries in a state_dict. */
  static readonly _version: number = 1;
  /** State that is no tensor: a class that has both of these finds it in its state_dict as `_extra_state`. */
  get_extra_state?(): unknown;
  set_extra_state?(state: unknown): void;

  /** The new object is a function with the class's prototype: cheaper to call, and to reach into, than a Proxy. */
  constructor() {
    const self = ((...args: unknown[]) => invoke(self, args)) as unknown as this;
    // A function's own; fields and getters of these names must work.
    delete (self as { name?: string }).name;
    delete (self as { length?: number }).length;
    Object.setPrototypeOf(self, new.target.prototype as object);
    for (const hidden of ["_hooks", "_stateHooks", "_empty"]) {
      Object.defineProperty(self, hidden, { value: null, writable: true, configurable: true });
    }
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
    if (module === null) (this._empty ??= new Set()).add(name);
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

  /** @internal Children as they are registered, one that is there twice included. */
  _children(): Iterable<[string, Module]> {
    return this._own(Module);
  }
  /** @internal What belongs to the state_dict. */
  *_persistent(): Generator<[string, Tensor]> {
    yield* this._own(Parameter);
    for (const [name, buffer, persistent] of this._ownBuffers()) if (persistent) yield [name, buffer];
  }

  // Walking

  named_children(): [string, Module][] {
    const seen = new Set<Module>();
    return [...this._own(Module)].filter(([, m]) => !seen.has(m) && seen.add(m));
  }
  children(): Module[] {
    return this.named_children().map(([, m]) => m);
  }
  /** This module and all below it by path. `memo`: modules not to be listed, which grows. */
  named_modules(...given: ModulesArgs): [string, Module][] {
    const [memo, prefix, once] = bindArguments("named_modules", MODULES, given) as [Set<Module> | null, string, boolean];
    return walkModules(this, prefix, once ? (memo ?? new Set<Module>()) : null);
  }
  modules(): Module[] {
    return walkModules(this, "", new Set<Module>()).map(([, m]) => m);
  }
  named_parameters(...given: WalkArgs): [string, Parameter][] {
    return gather("named_parameters", this, given, (m) => m._own(Parameter));
  }
  parameters(...given: Args<[{ recurse?: boolean }]>): Parameter[] {
    const [recurse] = bindArguments("parameters", FLAG, given) as [boolean];
    return this.named_parameters({ recurse }).map(([, p]) => p);
  }
  named_buffers(...given: WalkArgs): [string, Tensor][] {
    return gather("named_buffers", this, given, (m) => m._ownBuffers());
  }
  buffers(...given: Args<[{ recurse?: boolean }]>): Tensor[] {
    const [recurse] = bindArguments("buffers", FLAG, given) as [boolean];
    return this.named_buffers({ recurse }).map(([, b]) => b);
  }

  /** The module at a path such as "layers.0.conv"; "" is this one. */
  get_submodule(target: string): Module {
    const found = resolve(this, target);
    if (!(found instanceof Module)) throw new TypeError(`get_submodule: \`${target}\` is not a Module of ${className(this)}`);
    return found;
  }
  /** Puts a module in the place of the one at that path. */
  set_submodule(target: string, module: Module): void {
    if (target === "") throw new ValueError("Cannot set the submodule without a target name!");
    if (!(module instanceof Module)) throw new TypeError(`set_submodule: ${describe(module)} is not a Module`);
    const cut = target.lastIndexOf(".");
    const owner = this.get_submodule(target.slice(0, Math.max(cut, 0)));
    const name = target.slice(cut + 1);
    this.get_submodule(target);
    (owner as unknown as Fields)[name] = module;
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
    target: Device | string | DType | Tensor | ToOptions,
    ...rest: [dtype?: DType | null | ToOptions, options?: ToOptions]
  ): this {
    let device: Device | string | null = null;
    let type: DType | null = null;
    for (const given of [target, ...rest]) {
      if (given === undefined || given === null) continue;
      if (given instanceof DType) type = given;
      else if (given instanceof Tensor) [device, type] = [given.device, given.dtype];
      else if (isOptions(given)) {
        const options = given as ToOptions;
        device = options.device ?? device;
        type = options.dtype ?? type;
      } else device = given as Device | string;
    }
    if (type !== null && !type.differentiable) {
      throw new TypeError(`nn.Module.to only accepts floating point or complex dtypes, but got desired dtype=${type}`);
    }
    return this._apply((t) => t.to({ device, dtype: t.dtype.differentiable ? type : null }));
  }
  cpu(): this {
    return this.to("cpu");
  }
  cuda(device: number | Device | string | null = null): this {
    return this.to(typeof device === "number" ? `cuda:${device}` : (device ?? "cuda"));
  }
  /** Memory on that device, not filled with anything. */
  to_empty(options: { device: Device | string | null; recurse?: boolean }): this {
    return this._apply((t) => ops.empty_like(t, { device: options.device ?? t.device }), options.recurse);
  }
  /** Memory of the cpu is shared with its threads as it is. */
  share_memory(): this {
    return this;
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
    return this.toFloating(float32);
  }
  double(): this {
    return this.toFloating(float64);
  }
  half(): this {
    return this.toFloating(float16);
  }
  bfloat16(): this {
    return this.toFloating(bfloat16);
  }
  private toFloating(dtype: DType): this {
    return this._apply((t) => (t.is_floating_point() ? t.to(dtype) : t));
  }
  /** @internal */
  _apply(fn: (t: Tensor) => Tensor, recurse = true): this {
    no_grad(() => {
      for (const m of recurse ? this.modules() : [this]) {
        for (const [, p] of m._own(Parameter)) {
          convert(p, fn);
          if (p.grad !== null) p.grad = fn(p.grad);
        }
        for (const [, b] of m._ownBuffers()) convert(b, fn);
      }
    });
    return this;
  }

  // State

  /**
   * Parameters and persistent buffers by PyTorch's keys. The tensors share memory with the module; `keep_vars`: they are its own.
   * The formats' versions are in the result's `_metadata`, which is not among its keys.
   */
  state_dict(...given: Args<[{ destination?: StateDict | null }, { prefix?: string }, { keep_vars?: boolean }]>): StateDict {
    const [into, prefix, keep] = bindArguments("state_dict", SAVE, given) as [StateDict | null, string, boolean];
    return state.saveState(this, into ?? {}, prefix, keep);
  }
  /**
   * Copies values into parameters and buffers. `strict`: keys must be the same. `assign`: takes the memory of the values instead.
   * A RuntimeError lists all that does not fit; nothing has been written then.
   */
  load_state_dict(
    state_dict: StateDict | ReadonlyMap<string, Tensor>,
    strict: boolean | { strict?: boolean; assign?: boolean } = true,
    assign = false,
  ): IncompatibleKeys {
    return state.loadState(this, state_dict, typeof strict === "boolean" ? { strict, assign } : { assign, ...strict });
  }
  /** For classes whose own entries are more than their parameters and buffers. */
  _save_to_state_dict(destination: StateDict, prefix: string, keep_vars: boolean): void {
    state.saveOwn(this, destination, prefix, keep_vars);
  }
  /** For classes that read old formats: `state_dict` may be changed, it is a copy. */
  _load_from_state_dict(
    state_dict: StateDict,
    prefix: string,
    local_metadata: LocalMetadata,
    strict: boolean,
    missing_keys: string[],
    unexpected_keys: string[],
    error_msgs: string[],
  ): void {
    state.loadOwn(this, state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs);
  }

  // Hooks

  /** `hook(module, args)`, or `with_kwargs` `hook(module, args, kwargs)`, before forward: see ForwardPreHook. */
  register_forward_pre_hook(hook: ForwardPreHookWithKwargs, options: HookOptions & { with_kwargs: true }): RemovableHandle;
  register_forward_pre_hook(hook: ForwardPreHook, options?: HookOptions & { with_kwargs?: false }): RemovableHandle;
  register_forward_pre_hook(hook: ForwardPreHook | ForwardPreHookWithKwargs, options: ForwardHookOptions = {}): RemovableHandle {
    return this.hooks.add("forwardPre", hook, options);
  }
  /** `hook(module, args, output)`, or `with_kwargs` `hook(module, args, kwargs, output)`, after forward: see ForwardHook. */
  register_forward_hook(hook: ForwardHookWithKwargs, options: ForwardHookOptions & { with_kwargs: true }): RemovableHandle;
  register_forward_hook(hook: ForwardHook, options?: ForwardHookOptions & { with_kwargs?: false }): RemovableHandle;
  register_forward_hook(hook: ForwardHook | ForwardHookWithKwargs, options: ForwardHookOptions = {}): RemovableHandle {
    return this.hooks.add("forward", hook, options);
  }
  register_full_backward_pre_hook(hook: BackwardPreHook, options: HookOptions = {}): RemovableHandle {
    return this.hooks.add("backwardPre", hook, options);
  }
  register_full_backward_hook(hook: BackwardHook, options: HookOptions = {}): RemovableHandle {
    return this.hooks.add("backward", hook, options);
  }
  /** Deprecated: register_full_backward_hook. */
  register_backward_hook(hook: BackwardHook): RemovableHandle {
    return this.register_full_backward_hook(hook);
  }
  register_state_dict_pre_hook(hook: StateDictPreHook): RemovableHandle {
    return this.stateHooks.save.add(hook);
  }
  register_state_dict_post_hook(hook: StateDictHook): RemovableHandle {
    return this.stateHooks.saved.add(hook);
  }
  register_load_state_dict_pre_hook(hook: LoadStateDictPreHook): RemovableHandle {
    return this.stateHooks.load.add(hook);
  }
  register_load_state_dict_post_hook(hook: LoadStateDictPostHook): RemovableHandle {
    return this.stateHooks.loaded.add(hook);
  }
  private get hooks(): Hooks<Module> {
    return (this._hooks ??= new Hooks<Module>());
  }
  private get stateHooks(): StateHooks<Module> {
    return (this._stateHooks ??= new StateHooks<Module>());
  }

  // Printing

  /** What `toString` says of this module besides its children. */
  extra_repr(): string {
    return "";
  }
  toString(): string {
    const extra = this.extra_repr();
    const lines: string[] = [];
    for (const [name, child] of Object.entries(this)) {
      if (child instanceof Module) lines.push(`(${name}): ${indent(child.toString())}`);
      else if (child === null && this._empty?.has(name) === true) lines.push(`(${name}): None`);
    }
    const head = extra === "" ? [] : extra.split("\n");
    if (lines.length === 0 && head.length <= 1) return `${this._get_name()}(${extra})`;
    return `${this._get_name()}(\n  ${[...head, ...lines].join("\n  ")}\n)`;
  }
  _get_name(): string {
    return className(this);
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
  if (self._hooks === null && shared.isEmpty) return module.forward(...args);
  return runHooked(self, self._hooks, args, (a) => module.forward!(...a));
}

function className(module: Module): string {
  return module.constructor.name;
}

function checkName(kind: string, module: Module, name: string): void {
  if (typeof name !== "string") throw new TypeError(`${kind} name should be a string. Got ${describe(name)}`);
  if (name === "") throw new TypeError(`${kind} name can't be empty string ""`);
  if (name.includes(".")) throw new TypeError(`${kind} name can't contain ".", got: ${name}`);
  const there = (module as unknown as Fields)[name];
  const same: Record<string, () => boolean> = {
    // A tensor that is a plain field so far may become one.
    buffer: () => there instanceof Tensor && !(there instanceof Parameter),
    parameter: () => there instanceof Parameter,
    module: () => there instanceof Module,
  };
  const own = Object.hasOwn(module, name) && (there == null || same[kind]!());
  if (name in module && !own) throw new TypeError(`attribute '${name}' already exists`);
}

function walkModules(root: Module, prefix: string, seen: Set<Module> | null): [string, Module][] {
  const out: [string, Module][] = [];
  const walk = (module: Module, path: string): void => {
    if (seen?.has(module)) return;
    seen?.add(module);
    out.push([path, module]);
    for (const [name, child] of module._own(Module)) walk(child, path === "" ? name : `${path}.${name}`);
  };
  walk(root, prefix);
  return out;
}

function gather<T extends object>(
  op: string,
  root: Module,
  given: readonly unknown[],
  members: (m: Module) => Iterable<readonly [string, T, ...unknown[]]>,
): [string, T][] {
  const [prefix, recurse, once] = bindArguments(op, WALK, given) as [string, boolean, boolean];
  const out: [string, T][] = [];
  const seen = new Set<T>();
  const modules = recurse ? walkModules(root, prefix, once ? new Set<Module>() : null) : [[prefix, root] as const];
  for (const [path, m] of modules) {
    for (const [name, value] of members(m)) {
      if (once && seen.has(value)) continue;
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
