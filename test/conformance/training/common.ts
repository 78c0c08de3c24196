/** What the families share: modules, their parameters and state, optimisers. */

import type { Json, JsonObject } from "../corpus.ts";
import { callModule, Decoder, withOptions, type DecodeOptions } from "../decode.ts";
import { Failure, Missing } from "../outcome.ts";
import type { SafeTensors, Stored } from "../safetensors.ts";
import type { Callable, Session, TensorLike } from "../session.ts";
import type { Closeness } from "../compare.ts";
import { expectTensor } from "../values.ts";

export interface Env {
  readonly session: Session;
  readonly tensors: SafeTensors;
}

/** A module, an optimiser, a scheduler: an object of which methods are called by name. */
export type Thing = Readonly<Record<string, unknown>>;

export function decoder({ session, tensors }: Env, options: DecodeOptions = {}): Decoder {
  return new Decoder(session, tensors, options);
}

/** Hyperparameters, as users write them. */
export function settings(env: Env): Decoder {
  return decoder(env, { floats: "plain", grads: false });
}

/** `new torch.PATH(*args, **kwargs)`. */
export function make(env: Env, path: string, args: readonly unknown[], kwargs: Readonly<Record<string, unknown>> = {}): Thing {
  return env.session.construct(path, withOptions(args, kwargs)) as Thing;
}

/** A module by its description in the corpus. */
export function makeModule(env: Env, name: string, args: readonly Json[] = [], kwargs: JsonObject = {}): Thing {
  const values = settings(env);
  return onDevice(env, make(env, `nn.${name}`, values.values(args), values.record(kwargs)));
}

/** Layers of a Sequential: `[class, args, kwargs]` each. */
export type Layer = readonly [name: string, args: readonly Json[], kwargs?: JsonObject];

export function makeSequential(env: Env, layers: readonly Layer[]): Thing {
  const modules = layers.map(([name, args, kwargs]) => makeModule(env, name, args, kwargs));
  return make(env, "nn.Sequential", modules);
}

function onDevice({ session }: Env, module: Thing): Thing {
  return session.device === "cpu" ? module : (send(module, "to", session.device) as Thing);
}

/** Calls a method by name. */
export function send(target: Thing, name: string, ...args: readonly unknown[]): unknown {
  const method = target[name];
  if (typeof method !== "function") throw new Missing(`${target.constructor?.name ?? "object"}.${name}`);
  return (method as Callable).apply(target, args as unknown[]);
}

/** Calls a module. */
export function forward(module: Thing, args: readonly unknown[], kwargs: Readonly<Record<string, unknown>> = {}): unknown {
  return callModule(module, withOptions(args, kwargs));
}

/** Named tensors, however they come: pairs, a Map, an object. */
function entries(named: unknown): Map<string, TensorLike> {
  if (typeof named === "object" && named !== null && !(Symbol.iterator in named)) {
    return new Map(Object.entries(named)) as Map<string, TensorLike>;
  }
  return new Map(named as Iterable<[string, TensorLike]>);
}

export function stateOf(module: Thing): Map<string, TensorLike> {
  return entries(send(module, "state_dict"));
}

export function parametersOf(module: Thing): Map<string, TensorLike> {
  return entries(send(module, "named_parameters"));
}

/** Loads a state_dict of the corpus; entries that are missing or too many are errors. */
export function loadState(env: Env, module: Thing, values: JsonObject): void {
  const own = send(module, "state_dict");
  const tensors = Object.entries(decoder(env, { grads: false }).record(values));
  send(module, "load_state_dict", own instanceof Map ? new Map(tensors) : Object.fromEntries(tensors));
}

/** Compares the entries of a state_dict that `wanted` names. `all`: there are no others. */
export async function expectState(
  env: Env,
  module: Thing,
  wanted: JsonObject,
  close: Closeness | ((want: Stored) => Closeness) = {},
  all = true,
): Promise<void> {
  const state = stateOf(module);
  for (const [name, value] of Object.entries(wanted)) {
    const want = env.tensors.get((value as { tensor: string }).tensor);
    if (!state.has(name)) throw new Failure(`the state_dict lacks "${name}"; it has ${[...state.keys()].join(", ")}`);
    await expectTensor(env.session, state.get(name), want, name, typeof close === "function" ? close(want) : close);
  }
  const extra = [...state.keys()].filter((name) => !(name in wanted));
  if (all && extra.length > 0) throw new Failure(`the state_dict has too much: ${extra.join(", ")}`);
}

/** A tolerance relative to a tensor's largest value: for what drifts over a whole run. */
export function relativeToLargest(want: Stored, relative: number): Closeness {
  let largest = 0;
  for (const x of want.data) if (Number.isFinite(Number(x))) largest = Math.max(largest, Math.abs(Number(x)));
  return { tolerance: [1e-6 + relative * largest, relative] };
}

export function manualSeed({ session }: Env, seed: number): void {
  session.call("manual_seed", [seed]);
}

/** Runs `fn` without recording gradients. */
export async function noGrad<T>({ session }: Env, fn: () => Promise<T> | T): Promise<T> {
  return await (session.call("no_grad", [fn]) as Promise<T> | T);
}

/** One number of a result: of a tensor of one element, or the number itself. */
export async function numberOf({ session }: Env, x: unknown): Promise<number> {
  if (!session.isTensor(x)) return Number(x);
  return Number((await session.read(x)).data[0]);
}
