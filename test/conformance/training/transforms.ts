/** torch.func: functions of steps under a chain of transforms. */

import type { Json, JsonObject } from "../corpus.ts";
import { withOptions } from "../decode.ts";
import type { Callable } from "../session.ts";
import { expectValue } from "../values.ts";
import { decoder, type Env } from "./common.ts";
import { runSteps, type Steps } from "./steps.ts";

interface TransformCase {
  readonly function: Steps;
  readonly chain: readonly (readonly [name: string, options: JsonObject])[];
  readonly args: readonly Json[];
  readonly output: Json;
  readonly noise?: number;
}

export async function runTransform(env: Env, c: TransformCase): Promise<void> {
  let fn: Callable = (...args) => runSteps(env, c.function, args);
  for (const [name, options] of c.chain) fn = transformed(env, name, fn, decoder(env).record(options));
  const args = decoder(env).values(c.args);
  const result = await env.session.blocking(() => fn(...args));
  await expectValue(env.session, result, c.output, env.tensors, c);
}

function transformed({ session }: Env, name: string, fn: Callable, options: Record<string, unknown>): Callable {
  if (name === "vjp") {
    return (...args) => {
      const [output, pullback] = session.call("func.vjp", [fn, ...args]) as [unknown, Callable];
      return [output, pullback(options.cotangent)];
    };
  }
  if (name === "jvp") return (...args) => session.call("func.jvp", [fn, args, options.tangents]);
  return session.call(`func.${name}`, withOptions([fn], options)) as Callable;
}
