/** One module each: build, load, call; output, gradients, what the call has changed. */

import type { Json, JsonObject } from "../corpus.ts";
import { expectGradients, type GradientSpec } from "../gradients.ts";
import { part } from "../outcome.ts";
import { expectValue } from "../values.ts";
import { decoder, expectState, forward, loadState, makeModule, parametersOf, send, type Env } from "./common.ts";

interface ModuleCase extends GradientSpec {
  readonly module: string;
  readonly args: readonly Json[];
  readonly kwargs: JsonObject;
  readonly mode: "train" | "eval";
  readonly state_dict: JsonObject;
  readonly inputs: readonly Json[];
  readonly call: JsonObject;
  readonly output: Json;
  readonly noise?: number;
  readonly grads?: { readonly inputs: Readonly<Record<string, string>>; readonly parameters: Readonly<Record<string, string>> };
  readonly state_after?: JsonObject;
}

export async function runModule(env: Env, c: ModuleCase): Promise<void> {
  const { session, tensors } = env;
  const module = makeModule(env, c.module, c.args, c.kwargs);
  loadState(env, module, c.state_dict);
  send(module, c.mode);
  const inputs = decoder(env);
  const args = inputs.values(c.inputs);
  const kwargs = inputs.record(c.call);
  const result = await session.blocking(() => forward(module, args, kwargs));
  await expectValue(session, result, c.output, tensors, c);
  if (c.grads !== undefined) {
    const leaves = new Map([...inputs.leaves(), ...parametersOf(module)]);
    await expectGradients(session, tensors, result, leaves, { ...c.grads.inputs, ...c.grads.parameters }, c);
  }
  const after = c.state_after;
  if (after !== undefined) await part("state after the call", () => expectState(env, module, after, {}, false));
}
