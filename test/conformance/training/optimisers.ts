/** Optimisers on given gradients, the state that they keep, and gradient clipping. */

import { compareNumbers, errorInTolerances } from "../compare.ts";
import type { Json, JsonObject } from "../corpus.ts";
import { isList, isObject, floatOf, withOptions } from "../decode.ts";
import { Failure, part } from "../outcome.ts";
import { row, type Stored } from "../safetensors.ts";
import { Session, type Callable, type TensorLike } from "../session.ts";
import { describe, expectTensor } from "../values.ts";
import { make, noGrad, numberOf, send, settings, type Env, type Thing } from "./common.ts";

interface OptimiserCase {
  readonly optimiser?: string;
  readonly options: JsonObject;
  readonly groups?: readonly { readonly params: readonly string[]; readonly options?: JsonObject }[];
  readonly x: { readonly tensor: string };
  readonly y: { readonly tensor: string };
  readonly params: Readonly<Record<string, { readonly tensor: string }>>;
  readonly grads?: Readonly<Record<string, { readonly tensor: string }>>;
  readonly losses: readonly number[];
  readonly state_dict?: JsonObject;
}

interface ClipCase {
  readonly function: string;
  readonly kwargs: JsonObject;
  readonly grads: readonly { readonly tensor: string }[];
  readonly clipped: readonly { readonly tensor: string }[];
  readonly total_norm?: number;
}

const LOSS = [1e-5, 1e-4] as const;
/** LBFGS finds its own gradients and steps on small differences of them, which magnify rounding. */
const SEARCHED = [1e-4, 1e-3] as const;
/** So its path is not one but a bundle: as wide as that of a few runs whose first values differ in their last bit. */
const TWINS = 5;

export function runOptimiser(env: Env, c: OptimiserCase | ClipCase): Promise<void> {
  return "function" in c ? runClip(env, c) : runSteps(env, c);
}

async function runSteps(env: Env, c: OptimiserCase): Promise<void> {
  if (c.grads === undefined) return runSearch(env, c);
  const { session, tensors } = env;
  const histories = new Map(Object.entries(c.params).map(([name, { tensor }]) => [name, tensors.get(tensor)]));
  const grads = Object.entries(c.grads ?? {}).map(([name, { tensor }]) => [name, tensors.get(tensor)] as const);
  const params = new Map([...histories].map(([name, history]) => [name, leaf(env, row(history, 0))]));
  const optimizer = make(env, `optim.${c.optimiser}`, [groupsOf(env, c, params)], settings(env).record(c.options));
  const [x, y] = [c.x, c.y].map(({ tensor }) => session.tensor(tensors.get(tensor)));
  const loss = (): TensorLike => lossOf(env, x, y, [...params.values()]);

  for (let step = 0; step < c.losses.length; step++) {
    await part(`step ${step}`, async () => {
      const problem = compareNumbers(await numberOf(env, loss()), c.losses[step], LOSS);
      if (problem !== null) throw new Failure(`loss: ${problem}`);
      for (const [name, history] of grads) params.get(name)!.grad = session.tensor(row(history, step));
      await send(optimizer, "step");
      for (const [name, history] of histories) await expectTensor(session, params.get(name), row(history, step + 1), name);
    });
  }
  const state = c.state_dict;
  if (state !== undefined) {
    await part("state_dict", () => expectNested(env, send(optimizer, "state_dict"), { dict: state }, ""));
  }
}

/**
 * An optimiser that calls its closure itself: the path is PyTorch's as far as rounding leaves it one, and so is where most end. How wide the
 * bundle is, the cpu says for every device.
 */
async function runSearch(env: Env, c: OptimiserCase): Promise<void> {
  const { session, tensors } = env;
  const histories = new Map(Object.entries(c.params).map(([name, { tensor }]) => [name, tensors.get(tensor)]));
  const cpu = { ...env, session: Session.on(session.torch, "cpu") };
  const runs = Array.from({ length: TWINS + 1 }, (_, twin) => {
    const on = twin === 0 ? env : cpu;
    const starts = [...histories].map(([name, history]) => [name, lastBits(row(history, 0), twin)] as const);
    const params = new Map(starts.map(([name, start]) => [name, leaf(on, start)]));
    const optimizer = make(on, `optim.${c.optimiser}`, [groupsOf(on, c, params)], settings(on).record(c.options));
    const [x, y] = [c.x, c.y].map(({ tensor }) => on.session.tensor(tensors.get(tensor)));
    return { on, params, optimizer, loss: (): TensorLike => lossOf(on, x, y, [...params.values()]) };
  });
  let width = 0;
  for (let step = 0; step < c.losses.length; step++) {
    await part(`step ${step}`, async () => {
      for (const { on, optimizer, loss } of runs) {
        await send(optimizer, on.session.readsAtOnce ? "step" : "step_async", closure(optimizer, loss));
      }
      for (const [name, history] of histories) {
        const [own, ...twins] = await Promise.all(runs.map(({ on, params }) => on.session.read(params.get(name)!)));
        width = Math.max(width, ...twins.map((twin) => distance(own, twin)));
        const close = { tolerance: SEARCHED, noise: width };
        await expectTensor(session, runs[0].params.get(name), row(history, step + 1), name, close);
      }
    });
  }
  const losses: number[] = [];
  for (const { on, loss } of runs) losses.push(await numberOf(on, loss()));
  // The loss before PyTorch's last step, which changes nothing any more. A run in ten arrives elsewhere, PyTorch's own among them.
  const usual = losses.sort((a, b) => a - b)[losses.length >> 1];
  const problem = compareNumbers(usual, c.losses[c.losses.length - 1], LOSS);
  if (problem !== null) throw new Failure(`loss at the end: ${problem}`);
}

/** The same values, each one bit up or down by chance; those of twin 0 as they are. */
function lastBits(values: Stored, twin: number): Stored {
  if (twin === 0) return values;
  const data = Float32Array.from(values.data as ArrayLike<number>);
  const words = new Int32Array(data.buffer);
  let chance = twin;
  for (let i = 0; i < words.length; i++) {
    chance = (Math.imul(chance, 1664525) + 1013904223) | 0;
    if (data[i] !== 0) words[i] += chance < 0 ? 1 : -1;
  }
  return { ...values, data };
}

/** The greatest error, in the tolerances of what is searched. */
function distance(a: Stored, b: Stored): number {
  return Array.from(a.data as ArrayLike<number>).reduce(
    (most, x, i) => Math.max(most, errorInTolerances(x, Number(b.data[i]), ...SEARCHED)),
    0,
  );
}

function leaf({ session }: Env, values: Stored): TensorLike {
  return session.method(session.tensor(values), "requires_grad_") as TensorLike;
}

function groupsOf(env: Env, c: OptimiserCase, params: ReadonlyMap<string, TensorLike>): unknown[] {
  if (c.groups === undefined) return [...params.values()];
  return c.groups.map(({ params: names, options }) => ({
    params: names.map((name) => params.get(name)),
    ...settings(env).record(options ?? {}),
  }));
}

/** mean((tanh(x @ w + b) - y)²) */
function lossOf({ session }: Env, x: TensorLike, y: TensorLike, [w, b]: readonly TensorLike[]): TensorLike {
  const call = (t: unknown, name: string, ...args: unknown[]): TensorLike =>
    session.method(t as TensorLike, name, args) as TensorLike;
  const error = call(call(call(call(x, "matmul", w), "add", b), "tanh"), "sub", y);
  return call(call(error, "mul", error), "mean");
}

function closure(optimizer: Thing, loss: () => TensorLike): () => TensorLike {
  return () => {
    send(optimizer, "zero_grad");
    const value = loss();
    (value.backward as Callable).call(value);
    return value;
  };
}

/** Compares nested dictionaries, lists and numbers: an optimiser's state as a checkpoint holds it. */
async function expectNested(env: Env, got: unknown, want: Json, path: string): Promise<void> {
  if (isObject(want) && typeof want.tensor === "string") {
    const stored = env.tensors.get(want.tensor);
    // A step count may be kept as a plain number.
    if (typeof got === "number" && stored.data.length === 1)
      return expectNested(env, got, { float: Number(stored.data[0]) }, path);
    return expectTensor(env.session, got, stored, path);
  }
  const list = isList(want) ? want : isObject(want) && isList(want.tuple ?? null) ? (want.tuple as readonly Json[]) : null;
  if (list !== null) {
    const items = got as readonly unknown[];
    if (!Array.isArray(got) || items.length !== list.length)
      throw new Failure(`${path}: got ${describe(got)}, want a list of ${list.length}`);
    for (let i = 0; i < list.length; i++) await expectNested(env, items[i], list[i], `${path}[${i}]`);
    return;
  }
  if (isObject(want) && !("float" in want)) {
    const dict = (isObject(want.dict) ? want.dict : want) as JsonObject;
    if (typeof got !== "object" || got === null) throw new Failure(`${path}: got ${describe(got)}, want a dictionary`);
    for (const [key, value] of Object.entries(dict)) {
      const found = got instanceof Map ? (got.get(key) ?? got.get(Number(key))) : (got as Thing)[key];
      if (found === undefined) throw new Failure(`${path}.${key}: is not there`);
      await expectNested(env, found, value, `${path}.${key}`);
    }
    const keys = got instanceof Map ? [...got.keys()].map(String) : Object.keys(got);
    const extra = keys.filter((key) => !(key in dict));
    if (extra.length > 0) throw new Failure(`${path}: has too much: ${extra.join(", ")}`);
    return;
  }
  const value = isObject(want) ? floatOf(want) : want;
  const same = typeof value === "number" ? typeof got === "number" && compareNumbers(got, value) === null : got === value;
  if (!same) throw new Failure(`${path}: got ${describe(got)}, want ${JSON.stringify(value)}`);
}

async function runClip(env: Env, c: ClipCase): Promise<void> {
  const { session, tensors } = env;
  const params = c.grads.map(({ tensor }) => {
    const grad = tensors.get(tensor);
    const param = leaf(env, { ...grad, data: grad.data.slice().fill(0 as never) as Stored["data"] });
    param.grad = session.tensor(grad);
    return param;
  });
  const args = withOptions([params], settings(env).record(c.kwargs));
  const norm = await noGrad(env, () => session.call(`nn.utils.${c.function}`, args));
  for (let i = 0; i < params.length; i++) {
    await expectTensor(session, params[i].grad, tensors.get(c.clipped[i].tensor), `gradient ${i}`);
  }
  if (c.total_norm === undefined) return;
  const problem = compareNumbers(await numberOf(env, norm), c.total_norm, [1e-5, 1.3e-6]);
  if (problem !== null) throw new Failure(`total norm: ${problem}`);
}
