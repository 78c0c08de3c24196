/** Functions written as steps: `[NAME, CALL, ARGS, KWARGS]` in order. */

import type { Json, JsonObject } from "../corpus.ts";
import { callStep } from "../call.ts";
import { Failure } from "../outcome.ts";
import { decoder, forward, type Env, type Thing } from "./common.ts";

export interface Steps {
  readonly inputs: readonly string[];
  readonly steps: readonly (readonly [name: string, call: string, args: readonly Json[], kwargs: JsonObject])[];
  readonly output: Json;
}

/** What `self.PATH` stands for in the steps of a model. */
export type Self = (path: string) => unknown;

const NO_SELF: Self = (path) => {
  throw new Failure(`"self.${path}" in a function that has no model`);
};

/** Runs a function of steps. Not async, because a transform calls it: the operations in steps all answer at once. */
export function runSteps(env: Env, { inputs, steps, output }: Steps, args: readonly unknown[], self: Self = NO_SELF): unknown {
  const known = new Map<string, unknown>(inputs.map((name, i) => [name, args[i]]));
  const variable = (name: string): unknown => {
    if (name.startsWith("self.")) return self(name.slice(5));
    if (!known.has(name)) throw new Failure(`the steps use "${name}" before it is there`);
    return known.get(name);
  };
  for (const [name, call, values, options] of steps) {
    const module = call.startsWith("self.");
    const decode = decoder(env, { variable, floats: module ? "plain" : "typed" });
    const given = decode.values(values);
    const kwargs = decode.record(options);
    known.set(name, module ? forward(self(call.slice(5)) as Thing, given, kwargs) : callStep(env.session, call, given, kwargs));
  }
  return decoder(env, { variable }).value(output);
}
