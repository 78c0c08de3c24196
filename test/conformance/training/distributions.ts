/** torch.distributions: results of methods and properties, samples, divergences, and what must fail. */

import { sameShape } from "../compare.ts";
import type { Json, JsonObject } from "../corpus.ts";
import type { Decoder } from "../decode.ts";
import { caught, expectError, type ErrorSpec } from "../errors.ts";
import { expectGradients, type GradientSpec } from "../gradients.ts";
import { describeError, Failure, Missing, part } from "../outcome.ts";
import { expectMeta, expectValue } from "../values.ts";
import { decoder, make, manualSeed, send, type Env, type Thing } from "./common.ts";

interface Described {
  readonly distribution: string;
  readonly kwargs: JsonObject;
}

interface Result extends GradientSpec {
  readonly output: Json;
  readonly noise?: number;
  readonly grads?: Readonly<Record<string, string | null>>;
}

interface DistributionCase extends Partial<Described>, Partial<Result> {
  readonly value?: Json;
  readonly quantile?: Json;
  readonly batch_shape?: readonly number[];
  readonly event_shape?: readonly number[];
  readonly results?: Readonly<Record<string, Result>>;
  readonly missing?: readonly string[];
  readonly sample?: Result & { readonly seed: number; readonly call: "sample" | "rsample"; readonly shape: readonly number[] };
  readonly p?: Described;
  readonly q?: Described;
  readonly error?: ErrorSpec;
}

export async function runDistribution(env: Env, c: DistributionCase): Promise<void> {
  if (c.error !== undefined)
    return expectError(env.session, c.error, false, async () => env.session.blocking(() => useIt(env, c)));
  if (c.p !== undefined && c.q !== undefined) return runDivergence(env, c, c.p, c.q);
  const described = c as Described;
  const shapes = await env.session.blocking(() => build(env, parameters(env), described));
  expectShape(shapes, "batch_shape", c.batch_shape);
  expectShape(shapes, "event_shape", c.event_shape);
  for (const [name, result] of Object.entries(c.results ?? {})) {
    await part(name, () => {
      const inputs = parameters(env);
      return expectResult(env, inputs, () => ask(inputs, build(env, inputs, described), name, c), result);
    });
  }
  for (const name of c.missing ?? []) await part(name, () => expectMissing(env, described, name, c));
  const { sample } = c;
  if (sample === undefined) return;
  await part(sample.call, () => {
    const inputs = parameters(env);
    const run = (): unknown => {
      const from = build(env, inputs, described);
      manualSeed(env, sample.seed);
      return send(from, sample.call, sample.shape);
    };
    if (env.session.device === "cpu") return expectResult(env, inputs, run, sample);
    return expectDraw(env, run, sample);
  });
}

/** Devices other than the cpu have random streams of their own. */
async function expectDraw({ session, tensors }: Env, run: () => unknown, want: Result): Promise<void> {
  const { dtype, shape } = tensors.meta((want.output as { tensor: string }).tensor);
  expectMeta(session, await session.blocking(run), [{ dtype, shape }]);
}

/** Plain numbers, tensors with gradients. */
function parameters(env: Env): Decoder {
  return decoder(env, { floats: "plain" });
}

/** Parameters that are plain numbers become tensors of the default device. */
function build(env: Env, inputs: Decoder, { distribution, kwargs }: Described): Thing {
  const { session } = env;
  const made = (): Thing => make(env, `distributions.${distribution}`, [], inputs.record(kwargs));
  if (session.device === "cpu") return made();
  session.call("set_default_device", [session.device]);
  try {
    return made();
  } finally {
    session.call("set_default_device", ["cpu"]);
  }
}

/** What a row asks of a distribution, by the name of the method or property. */
function ask(inputs: Decoder, from: Thing, name: string, { value, quantile }: DistributionCase): unknown {
  if (name === "log_prob" || name === "cdf") return send(from, name, inputs.value(value ?? null));
  if (name === "icdf") return send(from, name, inputs.value(quantile ?? null));
  if (name === "entropy") return send(from, name);
  if (!(name in from)) throw new Missing(`${from.constructor.name}.${name}`);
  return from[name];
}

async function expectResult({ session, tensors }: Env, inputs: Decoder, run: () => unknown, want: Result): Promise<void> {
  const result = await session.blocking(run);
  await expectValue(session, result, want.output, tensors, want);
  if (want.grads !== undefined) await expectGradients(session, tensors, result, inputs.leaves(), want.grads, want);
}

async function expectMissing(env: Env, described: Described, name: string, c: DistributionCase): Promise<void> {
  const inputs = parameters(env);
  const question = (): unknown => ask(inputs, build(env, inputs, described), name, c);
  const thrown = await caught(async () => env.session.blocking(question));
  if (thrown === null) throw new Failure("did not fail; want NotImplementedError");
  const { error } = thrown;
  if (!(error instanceof Error) || error.name !== "NotImplementedError") {
    throw new Failure(`failed with ${describeError(error)}; want NotImplementedError`);
  }
}

async function runDivergence(env: Env, c: DistributionCase, p: Described, q: Described): Promise<void> {
  const inputs = parameters(env);
  const run = (): unknown => env.session.call("distributions.kl_divergence", [build(env, inputs, p), build(env, inputs, q)]);
  await expectResult(env, inputs, run, c as Result);
}

function useIt(env: Env, c: DistributionCase): void {
  const inputs = parameters(env);
  const from = build(env, inputs, c as Described);
  if (c.value !== undefined) send(from, "log_prob", inputs.value(c.value));
}

function expectShape(from: Thing, name: string, want: readonly number[] | undefined): void {
  const got = from[name] as readonly number[] | undefined;
  if (want === undefined || (got !== undefined && sameShape(got, want))) return;
  throw new Failure(`${name}: got [${String(got)}], want [${want.join(", ")}]`);
}
