/** Corpora of operations: results, gradients, in-place forms, strided arguments, calls that must fail. */

import { callMethod, callOperation, isInPlace, type CallKind } from "./call.ts";
import { readJson, readTensors, type Corpus, type Json, type JsonObject } from "./corpus.ts";
import { Decoder, dtypesIn, isObject, keysIn } from "./decode.ts";
import { caught, expectError, type ErrorSpec } from "./errors.ts";
import { readFreedom, settle, type Freedom } from "./freedom.ts";
import { expectGradients, type GradientSpec } from "./gradients.ts";
import { describeError, Failure, isAccident, Missing, outcomeOf, part, Skip, type Outcome } from "./outcome.ts";
import type { SafeTensors } from "./safetensors.ts";
import type { Session, TensorLike } from "./session.ts";
import { expectMeta, expectPair, expectTensor, expectValue, matchStructure, tensorsOf } from "./values.ts";

export interface OpEntry {
  readonly file: string;
  readonly inplace?: string;
  readonly aliases?: readonly string[];
}

export interface OpCase extends GradientSpec {
  readonly id: number | string;
  readonly variant?: string;
  readonly args: readonly Json[];
  readonly kwargs: JsonObject;
  readonly output: Json;
  readonly grads?: Readonly<Record<string, string | null>>;
  readonly noise?: number;
  readonly noncontiguous?: boolean;
  readonly broadcasts_input?: boolean;
  readonly mutated?: Readonly<Record<string, string>>;
  readonly random?: boolean;
  readonly uninitialised?: boolean;
}

interface ErrorCase {
  readonly id: string;
  readonly args: readonly Json[];
  readonly kwargs: JsonObject;
  readonly error: ErrorSpec;
  readonly argument_types?: boolean;
}

interface Manifest {
  readonly op: string;
  readonly call: CallKind;
  readonly method?: string;
  readonly tensors: string;
  readonly cases: readonly OpCase[];
  readonly errors: readonly ErrorCase[];
  readonly ambiguous?: string;
  readonly compare_abs?: readonly number[];
}

/** One operation under test. */
interface Subject {
  readonly session: Session;
  readonly manifest: Manifest;
  readonly entry: OpEntry;
  readonly tensors: SafeTensors;
  readonly freedom: Freedom;
}

/** Which of equal values is taken follows from PyTorch's algorithm on the CPU; its own GPU devices take others. */
const FREE_TIES: ReadonlySet<string> = new Set(["topk", "kthvalue"]);

/** What is to be done for an operation: its cases, and the calls that must fail. */
export interface Jobs {
  readonly cases: readonly (() => Promise<void>)[];
  readonly errors: readonly (() => Promise<void>)[];
}

export function jobsOf(
  session: Session,
  corpus: Corpus,
  name: string,
  entry: OpEntry,
  report: (outcome: Outcome) => void,
  pick: (id: string) => boolean,
): Jobs {
  const manifest = readJson<Manifest>(corpus, `${entry.file}.json`);
  const tensors = readTensors(corpus, manifest.tensors);
  const freedom = readFreedom(manifest.ambiguous);
  const free = session.device !== "cpu" && FREE_TIES.has(manifest.op) ? { ...freedom, index: true } : freedom;
  const subject: Subject = { session, manifest, entry, tensors, freedom: free };
  const run = (id: string, what: (subject: Subject) => Promise<void>) => async (): Promise<void> => {
    if (!pick(id)) return;
    const own = session.fork();
    const outcome = await outcomeOf(name, id, () => what({ ...subject, session: own }));
    report({ ...outcome, fallback: own.fellBack });
  };
  const aliases = (entry.aliases ?? []).filter((alias) => hasFunction(session, alias));
  return {
    cases: [
      ...manifest.cases.map((c) => run(String(c.id), (own) => runCase(own, c))),
      ...aliases.map((alias) => run(`alias ${alias}`, (own) => checkAlias(own, alias))),
    ],
    errors: manifest.errors.map((c) => run(c.id, (own) => runErrorCase(own, c))),
  };
}

function hasFunction(session: Session, name: string): boolean {
  return typeof session.find(name).value === "function";
}

/** Another name that the library has: it must do what the operation does, or one variant of it (`maximum` of `max`, say). */
async function checkAlias(subject: Subject, alias: string): Promise<void> {
  const { manifest } = subject;
  const variants = new Set(manifest.cases.map((c) => c.variant));
  const problems: string[] = [];
  for (const variant of variants) {
    const cases = manifest.cases.filter((c) => c.variant === variant);
    const renamed: Subject = { ...subject, manifest: { ...manifest, call: "function", method: alias } };
    const outcomes: Outcome[] = [];
    for (const c of cases) outcomes.push(await outcomeOf(alias, String(c.id), () => runCase(renamed, c, false)));
    const failed = outcomes.find((o) => o.status === "failed");
    if (failed === undefined) return;
    problems.push(`case ${failed.id}: ${failed.reason}`);
  }
  throw new Failure(problems[0]);
}

/** `forms`: also the in-place form and strided arguments. */
async function runCase(subject: Subject, c: OpCase, forms = true): Promise<void> {
  const { session, tensors } = subject;
  session.require(dtypesIn(c as unknown as Json, tensors));
  try {
    await runVariant(subject, c, false);
    if (!forms) return;
    if (c.noncontiguous === true) await part("strided arguments", () => runVariant(subject, c, true));
    await checkInPlace(subject, c);
  } catch (error) {
    if (error instanceof Skip) throw error;
    const stored = [...keysIn(c as unknown as Json, tensors)].map((key) => tensors.get(key));
    if (!session.mayFlush(stored)) throw error;
    throw new Skip(`${session.device} may take the subnormal numbers in it for zero: ${describeError(error)}`);
  }
}

function call({ session, manifest }: Subject, args: readonly unknown[], kwargs: Record<string, unknown>): Promise<unknown> {
  return callOperation(session, manifest.call, manifest.method ?? manifest.op, args, kwargs);
}

/** The call itself: its result, what it changes, its gradients. */
async function runVariant(subject: Subject, c: OpCase, strided: boolean): Promise<void> {
  const { session, tensors } = subject;
  const inputs = new Decoder(session, tensors, { strided });
  const result = await call(subject, inputs.values(c.args), inputs.record(c.kwargs));
  if (c.random === true || c.uninitialised === true) expectMeta(session, result, c.output);
  else await expectResult(subject, c, result);
  for (const [key, after] of Object.entries(c.mutated ?? {})) {
    await expectTensor(session, inputs.inputs.get(key), tensors.get(after), `${key} after the call`, c);
  }
  if (c.grads !== undefined) await expectGradients(session, tensors, result, inputs.leaves(), c.grads, c);
}

async function expectResult({ session, manifest, tensors, freedom }: Subject, c: OpCase, result: unknown): Promise<void> {
  const pairs = await matchStructure(session, result, c.output, tensors);
  const first = c.args[0];
  const source = isObject(first) && typeof first.tensor === "string" ? tensors.get(first.tensor) : null;
  // `topk` and `kthvalue` have their k before it.
  const dim = Number(c.kwargs.dim ?? c.args[FREE_TIES.has(manifest.op) ? 2 : 1] ?? -1);
  for (const pair of settle(pairs, freedom, manifest.compare_abs ?? [], source, dim)) expectPair(pair, c);
}

/** The in-place form: the same values where the result fits into the first argument, an error where it would have to grow. */
async function checkInPlace(subject: Subject, c: OpCase): Promise<void> {
  const { session, manifest, entry, tensors } = subject;
  const name = entry.inplace;
  if (name === undefined || manifest.call === "property" || isInPlace(manifest.method ?? manifest.op)) return;
  const fit = c.random === true || c.uninitialised === true ? "undefined" : fitOf(c, tensors);
  if (fit === "undefined") return;
  const inputs = new Decoder(session, tensors, { grads: false });
  const [target, ...rest] = inputs.values(c.args) as [TensorLike, ...unknown[]];
  const kwargs = inputs.record(c.kwargs);
  await part("in place", async () => {
    if (typeof target[name] !== "function") throw new Missing(`Tensor.${name}`);
    if (fit === "fits") {
      await session.blocking(() => callMethod(session, target, name, rest, kwargs));
      return expectValue(session, target, c.output, tensors, { noise: c.noise });
    }
    const thrown = await caught(() => session.blocking(() => callMethod(session, target, name, rest, kwargs)));
    if (thrown === null) throw new Failure("did not fail although the result is larger than its first argument");
    if (isAccident(thrown.error)) throw new Failure(describeError(thrown.error));
  });
}

/** Whether the result of a case has the first argument's shape and type, would have to grow it, or neither. */
function fitOf(c: OpCase, tensors: SafeTensors): "fits" | "grows" | "undefined" {
  const first = c.args[0];
  if (!isObject(first) || typeof first.tensor !== "string") return "undefined";
  if (!isObject(c.output) || typeof c.output.tensor !== "string") return "undefined";
  const [a, b] = [tensors.meta(first.tensor), tensors.meta(c.output.tensor)];
  const sameSize = a.shape.join() === b.shape.join() && first.complex === c.output.complex;
  // Some samples are marked because their first argument was expanded, which its stored values are not.
  if (c.broadcasts_input === true && !sameSize) return "grows";
  return sameSize && a.dtype === b.dtype ? "fits" : "undefined";
}

async function runErrorCase(subject: Subject, c: ErrorCase): Promise<void> {
  const { session, tensors } = subject;
  session.require(dtypesIn(c as unknown as Json, tensors));
  const inputs = new Decoder(session, tensors, { grads: false });
  const args = inputs.values(c.args);
  const kwargs = inputs.record(c.kwargs);
  await expectError(session, c.error, c.argument_types === true, async () => {
    const result = await call(subject, args, kwargs);
    // An error may come no sooner than the values are asked for.
    for (const t of tensorsOf(session, result)) await session.read(t);
  });
}
