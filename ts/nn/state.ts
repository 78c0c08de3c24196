/** state_dict and load_state_dict: a walk over modules in which each one may save and load in its own way. */

import { RuntimeError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import { sameShape, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { describe } from "../engine/signature.ts";
import { HookList } from "./hooks.ts";
import { is_lazy, setData } from "./parameter.ts";

export type StateDict = Record<string, Tensor>;
/** What a state_dict knows of one module besides its values: the version of its format. */
export interface LocalMetadata {
  version?: number | undefined;
  assign_to_params_buffers?: boolean;
}
type Metadata = Record<string, LocalMetadata>;

export interface IncompatibleKeys {
  readonly missing_keys: string[];
  readonly unexpected_keys: string[];
}

export type StateDictPreHook<M> = (module: M, prefix: string, keep_vars: boolean) => void;
/** May change the dictionary, or give another one. */
export type StateDictHook<M> = (
  module: M,
  state_dict: StateDict,
  prefix: string,
  local_metadata: LocalMetadata,
) => StateDict | void;
export type LoadStateDictPreHook<M> = (
  module: M,
  state_dict: StateDict,
  prefix: string,
  local_metadata: LocalMetadata,
  strict: boolean,
  missing_keys: string[],
  unexpected_keys: string[],
  error_msgs: string[],
) => void;
/** May take keys out of the lists, so that they are no errors. */
export type LoadStateDictPostHook<M> = (module: M, incompatible_keys: IncompatibleKeys) => void;

export class StateHooks<M> {
  save = new HookList<StateDictPreHook<M>>();
  saved = new HookList<StateDictHook<M>>();
  load = new HookList<LoadStateDictPreHook<M>>();
  loaded = new HookList<LoadStateDictPostHook<M>>();

  copy(): StateHooks<M> {
    const out = new StateHooks<M>();
    for (const key of ["save", "saved", "load", "loaded"] as const) out[key] = this[key].copy() as never;
    return out;
  }
}

/** What the walk asks of a module. */
interface Stateful {
  readonly constructor: { readonly name: string; readonly _version?: number };
  readonly _stateHooks: StateHooks<never> | null;
  _save_to_state_dict(destination: StateDict, prefix: string, keep_vars: boolean): void;
  _load_from_state_dict(
    state_dict: StateDict,
    prefix: string,
    local_metadata: LocalMetadata,
    strict: boolean,
    missing_keys: string[],
    unexpected_keys: string[],
    error_msgs: string[],
  ): void;
  get_extra_state?(): unknown;
  set_extra_state?(state: unknown): void;
  _children(): Iterable<[string, Stateful]>;
  _persistent(): Iterable<[string, Tensor]>;
}

const EXTRA = "_extra_state";

function metadataOf(state: object): Metadata | undefined {
  return (state as { _metadata?: Metadata })._metadata;
}
/** Beside the entries, not among them. */
function setMetadata(state: object, metadata: Metadata): void {
  Object.defineProperty(state, "_metadata", { value: metadata, configurable: true, writable: true });
}

export function saveState(module: Stateful, destination: StateDict, prefix: string, keep_vars: boolean): StateDict {
  if (metadataOf(destination) === undefined) setMetadata(destination, {});
  const local: LocalMetadata = { version: module.constructor._version };
  metadataOf(destination)![prefix.slice(0, -1)] = local;
  const hooks = module._stateHooks as StateHooks<Stateful> | null;
  for (const hook of hooks?.save ?? []) hook(module, prefix, keep_vars);
  module._save_to_state_dict(destination, prefix, keep_vars);
  for (const [name, child] of module._children()) saveState(child, destination, `${prefix}${name}.`, keep_vars);
  let out = destination;
  for (const hook of hooks?.saved ?? []) out = hook(module, out, prefix, local) ?? out;
  return out;
}

/** A module's own entries. */
export function saveOwn(module: Stateful, destination: StateDict, prefix: string, keep_vars: boolean): void {
  for (const [name, tensor] of module._persistent()) {
    destination[prefix + name] = keep_vars || is_lazy(tensor) ? tensor : tensor.detach();
  }
  if (module.get_extra_state !== undefined) destination[prefix + EXTRA] = module.get_extra_state() as Tensor;
}

/** What waits until it is known that all of a state_dict can be loaded; null outside of such a load. */
let waiting: (() => void)[] | null = null;

function later(write: () => void): void {
  if (waiting === null) no_grad(write);
  else waiting.push(write);
}

const size = (shape: Shape): string => `torch.Size([${shape.join(", ")}])`;

function loadTensor(name: string, tensor: Tensor, value: unknown, assign: boolean, errors: string[]): void {
  if (!(value instanceof Tensor)) {
    errors.push(
      `While copying the parameter named "${name}", expected torch.Tensor or Tensor-like object from checkpoint but received ${describe(value)}`,
    );
    return;
  }
  let from: Tensor = value;
  if (!is_lazy(tensor)) {
    // Files of PyTorch 0.3 have numbers as vectors of one element.
    if (tensor.ndim === 0 && from.ndim === 1 && from.shape[0] === 1) from = from.select(0, 0);
    if (!sameShape(from.shape, tensor.shape)) {
      errors.push(
        `size mismatch for ${name}: copying a param with shape ${size(from.shape)} from checkpoint, the shape in current model is ${size(tensor.shape)}.`,
      );
      return;
    }
  } else if (is_lazy(from)) return;
  later(() => {
    if (is_lazy(tensor)) tensor.materialize(from.shape);
    if (assign) setData(tensor, from.detach());
    else tensor.copy_(from);
  });
}

/** A module's own entries: finds them among those under its prefix, and says what is missing, unexpected or of another shape. */
export function loadOwn(
  module: Stateful,
  state: StateDict,
  prefix: string,
  local: LocalMetadata,
  strict: boolean,
  missing: string[],
  unexpected: string[],
  errors: string[],
): void {
  const hooks = module._stateHooks as StateHooks<Stateful> | null;
  for (const hook of hooks?.load ?? []) hook(module, state, prefix, local, strict, missing, unexpected, errors);
  const known = new Set<string>();
  for (const [name, tensor] of module._persistent()) {
    const key = prefix + name;
    known.add(name);
    if (key in state) loadTensor(key, tensor, state[key], local.assign_to_params_buffers === true, errors);
    else if (strict) missing.push(key);
  }
  const extra = prefix + EXTRA;
  if (module.set_extra_state !== undefined) {
    if (extra in state) {
      const value = state[extra];
      later(() => module.set_extra_state!(value));
    } else if (strict) missing.push(extra);
  } else if (strict && extra in state) unexpected.push(extra);
  if (!strict) return;
  const children = new Set([...module._children()].map(([name]) => name));
  for (const key of Object.keys(state)) {
    if (!key.startsWith(prefix) || key === extra) continue;
    const rest = key.slice(prefix.length);
    const dot = rest.indexOf(".");
    if (dot < 0 ? !known.has(rest) : !children.has(rest.slice(0, dot))) unexpected.push(key);
  }
}

export function loadState(
  root: Stateful,
  given: StateDict | ReadonlyMap<string, Tensor>,
  { strict = true, assign = false }: { strict?: boolean; assign?: boolean },
): IncompatibleKeys {
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`Expected state_dict to be dict-like, got ${describe(given)}.`);
  }
  const metadata = metadataOf(given);
  const all = Object.assign(Object.create(null), given instanceof Map ? Object.fromEntries(given) : given) as StateDict;
  const found: IncompatibleKeys = { missing_keys: [], unexpected_keys: [] };
  const errors: string[] = [];
  const ended: (() => void)[] = [];
  const walk = (module: Stateful, state: StateDict, prefix: string): void => {
    const local: LocalMetadata = { ...metadata?.[prefix.slice(0, -1)] };
    if (assign) local.assign_to_params_buffers = true;
    module._load_from_state_dict(state, prefix, local, true, found.missing_keys, found.unexpected_keys, errors);
    for (const [name, child] of module._children()) {
      const inner = `${prefix}${name}.`;
      const part = Object.create(null) as StateDict;
      for (const key of Object.keys(state)) if (key.startsWith(inner)) part[key] = state[key]!;
      walk(child, part, inner);
    }
    for (const hook of module._stateHooks?.loaded ?? []) {
      ended.push(() => {
        if ((hook as LoadStateDictPostHook<Stateful>)(module, found) === undefined) return;
        throw new RuntimeError(
          "Hooks registered with `register_load_state_dict_post_hook` are not expected to return new values",
        );
      });
    }
  };
  const outer = waiting;
  const writes = (waiting = [] as (() => void)[]);
  try {
    walk(root, all, "");
  } finally {
    waiting = outer;
  }
  const write = (): void =>
    no_grad(() => {
      for (const one of writes) one();
    });
  // Hooks see what was loaded, and may forgive missing and unexpected keys: where there are any, values are written first.
  if (ended.length > 0 && errors.length === 0) {
    write();
    for (const hook of ended) hook();
  }
  if (strict) {
    const list = (keys: readonly string[]): string => keys.map((k) => `"${k}"`).join(", ");
    const { missing_keys: missing, unexpected_keys: unexpected } = found;
    if (unexpected.length > 0) errors.unshift(`Unexpected key(s) in state_dict: ${list(unexpected)}. `);
    if (missing.length > 0) errors.unshift(`Missing key(s) in state_dict: ${list(missing)}. `);
  }
  if (errors.length > 0) {
    throw new RuntimeError(`Error(s) in loading state_dict for ${root.constructor.name}:\n\t${errors.join("\n\t")}`);
  }
  if (ended.length === 0) write();
  return found;
}
