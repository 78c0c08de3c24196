/** Random streams: what a call draws after a seed. The corpus names the calls in words. */

import type { Json } from "../corpus.ts";
import type { Closeness } from "../compare.ts";
import { Failure, part } from "../outcome.ts";
import type { TensorLike } from "../session.ts";
import { expectValue } from "../values.ts";
import { manualSeed, type Env } from "./common.ts";

interface Call {
  readonly call: string;
  readonly n?: number;
  readonly output: Json;
}

interface RandomCase extends Partial<Call> {
  readonly seed: number;
  readonly calls?: readonly Call[];
}

export async function runRandom(env: Env, c: RandomCase): Promise<void> {
  manualSeed(env, c.seed);
  for (const [i, call] of (c.calls ?? [c as Call]).entries()) {
    const check = async (): Promise<void> => {
      const result = draw(env, call.call, call.n, shapeOf(env, call.output));
      await expectValue(env.session, result, call.output, env.tensors, closeness(call.call));
    };
    await (c.calls === undefined ? check() : part(`call ${i}, ${call.call}`, check));
  }
}

function shapeOf(env: Env, output: Json): readonly number[] {
  return env.tensors.meta((output as { tensor: string }).tensor).shape;
}

/** Uniform draws and integers bit for bit; what goes through logarithms and cosines not quite. */
function closeness(call: string): Closeness {
  if (/normal|randn/.test(call)) return { tolerance: [2e-6, 2e-6] };
  return { exact: !/exponential|cauchy|geometric/.test(call) };
}

type Draw = (env: Env, found: readonly string[], n: number, shape: readonly number[]) => unknown;

const call = ({ session }: Env, path: string, ...args: unknown[]): unknown => session.call(path, args);
const ones = (env: Env, shape: readonly number[]): unknown => call(env, "ones", shape);
const LIST = String.raw`\[([^\]]*)\]`;
const NUMBER = String.raw`([-\d.*]+)`;

/** `2**40` and plain numbers. */
function number(text: string): number {
  const [base, exponent] = text.split("**");
  return exponent === undefined ? Number(base) : Number(base) ** Number(exponent);
}

const list = (text: string): number[] => text.split(",").map((x) => number(x.trim()));
const dtype = (env: Env, name: string | undefined): object => (name === undefined ? {} : { dtype: env.session.dtype(name) });

/** Calls by the words in which the corpus puts them. `n`: the row's number. */
const DRAWS: readonly (readonly [pattern: string, draw: Draw])[] = [
  [String.raw`(rand|randn|randperm)\(n\)`, (env, [name], n) => call(env, name, n)],
  [String.raw`(rand|randn) ${LIST}`, (env, [name, shape]) => call(env, name, list(shape))],
  [String.raw`(rand|randn) (float\d+|bfloat16)`, (env, [name, type], _n, shape) => call(env, name, shape, dtype(env, type))],
  [String.raw`(rand|randn)\((\d+), (\w+)\)`, (env, [name, size, type]) => call(env, name, Number(size), dtype(env, type))],
  [
    String.raw`randint\(${NUMBER}, ${NUMBER}, \[(n|[\d, ]+)\](?:, (\w+))?\)`,
    (env, [low, high, size, type], n) =>
      call(env, "randint", number(low), number(high), size === "n" ? [n] : list(size), dtype(env, type)),
  ],
  [String.raw`bernoulli\(full\(\[n\], ${NUMBER}\)\)`, (env, [p], n) => call(env, "bernoulli", call(env, "full", [n], number(p)))],
  [
    String.raw`bernoulli\(linspace\(${NUMBER}, ${NUMBER}, (\d+)\)\)`,
    (env, [from, to, size]) => call(env, "bernoulli", call(env, "linspace", number(from), number(to), Number(size))),
  ],
  [
    String.raw`(dropout\w*)\(ones\((n|${LIST})\), p=${NUMBER}, training\)`,
    (env, [name, size, shape, p], n) =>
      call(env, `nn.functional.${name}`, ones(env, size === "n" ? [n] : list(shape)), { p: number(p), training: true }),
  ],
  [
    String.raw`normal\(arange\((\d+)\), ${NUMBER}\)`,
    (env, [size, std]) => {
      const mean = call(env, "arange", Number(size), { dtype: env.session.dtype("float32") });
      return call(env, "normal", mean, number(std));
    },
  ],
  [
    String.raw`multinomial\(${LIST}, (\d+)(, replacement)?\)`,
    (env, [weights, size, replacement]) => {
      const given = call(env, "tensor", list(weights));
      return call(env, "multinomial", given, Number(size), { replacement: replacement !== undefined });
    },
  ],
  [
    String.raw`(\w+_)\(([^)]*)\) of (\d+)(?:, (?:in place on )?(\w+))?`,
    (env, [name, args, size, type]) => {
      const target = call(env, "zeros", Number(size), dtype(env, type)) as TensorLike;
      env.session.method(target, name, args === "" ? [] : list(args));
      return target;
    },
  ],
];

function draw(env: Env, words: string, n: number | undefined, shape: readonly number[]): unknown {
  for (const [pattern, run] of DRAWS) {
    const found = new RegExp(`^${pattern}$`).exec(words);
    if (found !== null) return run(env, found.slice(1), n ?? 0, shape);
  }
  throw new Failure(`cannot read the call "${words}"`);
}
