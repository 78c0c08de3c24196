/** Whole models, rebuilt from their description: initial values, the first training step, twenty more, and what comes of them. */

import { compareNumbers, type Closeness } from "../compare.ts";
import type { Json, JsonObject } from "../corpus.ts";
import { Failure, part } from "../outcome.ts";
import type { Callable, Constructor, TensorLike } from "../session.ts";
import { expectTensor, expectValue } from "../values.ts";
import {
  decoder,
  expectState,
  loadState,
  make,
  makeModule,
  manualSeed,
  noGrad,
  numberOf,
  parametersOf,
  send,
  settings,
  stateOf,
  type Env,
  type Thing,
} from "./common.ts";
import { runSteps, type Steps } from "./steps.ts";

interface ModelCase {
  readonly seed: number;
  readonly modules: readonly (readonly [path: string, name: string, args: readonly Json[], kwargs: JsonObject])[];
  readonly buffers?: JsonObject;
  readonly tied?: readonly (readonly [string, string])[];
  readonly init?: readonly (readonly [initialiser: string, parameter: string, kwargs: JsonObject])[];
  readonly forward: Steps;
  readonly loss_of: Steps;
  readonly state_dict: JsonObject;
  readonly inputs: readonly Json[];
  readonly targets: readonly Json[];
  readonly optimiser: string;
  readonly options: JsonObject;
  readonly clip_grad_norm?: number;
  readonly output: Json;
  readonly loss: number;
  readonly grads: Readonly<Record<string, string | null>>;
  readonly losses: readonly number[];
  readonly eval_output: Json;
  readonly final: Readonly<Record<string, Summary>>;
  readonly drift: { readonly losses: number; readonly eval_output: number; readonly final: Readonly<Record<string, number>> };
}

interface Summary {
  readonly mean: number;
  readonly std: number | null;
  readonly first: readonly number[];
}

/** How much further than PyTorch's own float32 a result may stray from float64, on top of the usual tolerance. */
const DRIFTS = 30;
const BUILT = [5e-6, 5e-6] as const;

export async function runModel(env: Env, c: ModelCase): Promise<void> {
  const { session, tensors } = env;
  const model = build(env, c);
  // Initialisers drew from the device's own stream there.
  if (session.device === "cpu") await part("initial state", () => expectState(env, model, c.state_dict, { tolerance: BUILT }));
  loadState(env, model, c.state_dict);
  send(model, "train");
  const inputs = decoder(env).values(c.inputs);
  const targets = decoder(env).values(c.targets);
  const self = (path: string): unknown => walk(model, path);
  const run = (): unknown => runSteps(env, c.forward, inputs, self);
  const lossOf = (output: unknown): TensorLike => runSteps(env, c.loss_of, [output, ...targets], self) as TensorLike;
  const params = parametersOf(model);
  const optimizer = make(env, `optim.${c.optimiser}`, [[...params.values()]], settings(env).record(c.options));

  for (let step = 0; step < c.losses.length; step++) {
    send(optimizer, "zero_grad");
    const output = run();
    const loss = lossOf(output);
    (loss.backward as Callable).call(loss);
    if (step === 0) {
      await expectValue(session, output, c.output, tensors, {}, "first output");
      expectNumber(await numberOf(env, loss), c.loss, c.drift.losses, "first loss");
      for (const [name, key] of Object.entries(c.grads)) {
        if (key !== null) await expectTensor(session, params.get(name)?.grad, tensors.get(key), `first gradient of ${name}`);
      }
    }
    expectNumber(await numberOf(env, loss), c.losses[step], c.drift.losses, `loss before step ${step}`);
    if (c.clip_grad_norm !== undefined) session.call("nn.utils.clip_grad_norm_", [[...params.values()], c.clip_grad_norm]);
    await send(optimizer, "step");
  }
  await part("after training", () => expectFinal(env, model, c));
  send(model, "eval");
  const output = await noGrad(env, run);
  await expectValue(session, output, c.eval_output, tensors, drifted(c.drift.eval_output), "output in eval mode");
}

function build(env: Env, c: ModelCase): Thing {
  const { session } = env;
  manualSeed(env, c.seed);
  const model = container(env);
  for (const [path, name, args, kwargs] of c.modules) place(env, model, path, makeModule(env, name, args, kwargs));
  for (const [name, value] of Object.entries(c.buffers ?? {})) {
    send(model, "register_buffer", name, decoder(env).value(value));
  }
  for (const [path, from] of c.tied ?? []) place(env, model, path, walk(model, from));
  for (const [initialiser, path, kwargs] of c.init ?? []) {
    session.call(`nn.init.${initialiser}`, [walk(model, path), settings(env).record(kwargs)]);
  }
  return model;
}

/** An empty module, to be filled by assigning fields. */
function container({ session }: Env): Thing {
  const Base = session.find("nn.Module").value as Constructor;
  return new (class Part extends Base {})() as unknown as Thing;
}

/** Assigns a field at the end of a dotted path, making the modules on the way. */
function place(env: Env, model: Thing, path: string, value: unknown): void {
  const names = path.split(".");
  const last = names.pop()!;
  let at = model as Record<string, unknown>;
  for (const name of names) at = (at[name] ??= container(env)) as Record<string, unknown>;
  at[last] = value;
}

function walk(model: Thing, path: string): unknown {
  return path.split(".").reduce<unknown>((at, name) => {
    const next = (at as Thing)[name];
    if (next === undefined) throw new Failure(`the model has no "${path}"`);
    return next;
  }, model);
}

function drifted(
  drift: number,
  closeness: readonly [number, number] = [1e-5, 1.3e-6],
): Closeness & { tolerance: readonly [number, number] } {
  return { tolerance: [closeness[0] + DRIFTS * drift, closeness[1]] };
}

function expectNumber(got: number, want: number, drift: number, what: string): void {
  const problem = compareNumbers(got, want, drifted(drift).tolerance);
  if (problem !== null) throw new Failure(`${what}: ${problem}`);
}

/** Of each entry of the state_dict: mean, standard deviation of the sample, first values. */
async function expectFinal(env: Env, model: Thing, c: ModelCase): Promise<void> {
  const state = stateOf(model);
  for (const [name, want] of Object.entries(c.final)) {
    const t = state.get(name);
    if (t === undefined) throw new Failure(`the state_dict lacks "${name}"`);
    const values = Array.from((await env.session.read(t)).data, Number);
    const mean = values.reduce((s, x) => s + x, 0) / values.length;
    const drift = c.drift.final[name] ?? 0;
    expectNumber(mean, want.mean, drift, `mean of ${name}`);
    if (want.std !== null) {
      const variance = values.reduce((s, x) => s + (x - mean) ** 2, 0) / (values.length - 1);
      expectNumber(Math.sqrt(variance), want.std, drift, `std of ${name}`);
    }
    want.first.forEach((x, i) => expectNumber(values[i], x, drift, `value ${i} of ${name}`));
  }
}
