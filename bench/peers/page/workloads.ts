/** What is compared, how often each is called in a sample, and how close the results must be. */

import { gptTraining, mlpSize, mlpTraining, normal, type Size } from "./data.ts";
import type { Inputs, Library, Runner } from "./library.ts";

export interface Case {
  readonly name: string;
  readonly prepare: (library: Library) => Runner;
  /** Runs of one sample. */
  readonly calls: number;
  /** Most rounds of something slow. */
  readonly rounds?: number;
  /** Largest difference to the reference, as a share of the reference's largest value (of each value, for losses). */
  readonly tolerance: number;
  /** Whether `values` are the losses of all runs so far, so that the reference must run as often. */
  readonly losses: boolean;
}

function inputs(...shapes: number[][]): Inputs {
  return {
    shapes,
    arrays: shapes.map((shape, i) =>
      normal(
        shape.reduce((a, b) => a * b, 1),
        i + 1,
      ),
    ),
  };
}

/** The size of the example's model (`smallConfig` in examples/char-gpt/train.ts) and its batch. */
const gptSize: Size = { batch: 16, widths: [], vocabulary: 96, context: 64, layers: 4, heads: 4, width: 128 };

const once = <T>(make: () => T): (() => T) => {
  let made: { value: T } | null = null;
  return () => (made ??= { value: make() }).value;
};

function operation(name: string, calls: number, make: () => Inputs, prepare: (library: Library, data: Inputs) => Runner): Case {
  const data = once(make);
  return { name, calls, tolerance: 1e-5, losses: false, prepare: (library) => prepare(library, data()) };
}

const norm = (): Inputs => inputs([1024, 768], [768], [768]);
const mlp = once(() => mlpTraining(mlpSize()));
const gpt = once(() => gptTraining(gptSize));

export const cases: readonly Case[] = [
  operation(
    "matmul 256",
    10,
    () => inputs([256, 256], [256, 256]),
    (l, x) => l.matmul(x),
  ),
  operation(
    "matmul 512",
    4,
    () => inputs([512, 512], [512, 512]),
    (l, x) => l.matmul(x),
  ),
  operation(
    "softmax 1024x1024",
    4,
    () => inputs([1024, 1024]),
    (l, x) => l.softmax(x),
  ),
  operation("layernorm 1024x768", 4, norm, (l, x) => l.layernorm(x)),
  operation(
    "layernorm backward",
    3,
    () => inputs([1024, 768], [768], [768], [1024, 768]),
    (l, x) => l.layernormBackward(x),
  ),
  operation(
    "elementwise chain 1M",
    4,
    () => inputs([1 << 20]),
    (l, x) => l.chain(x),
  ),
  { name: "training mlp", calls: 3, tolerance: 1e-3, losses: true, prepare: (l) => l.mlp(mlp()) },
  { name: "training gpt", calls: 1, rounds: 3, tolerance: 1e-3, losses: true, prepare: (l) => l.gpt(gpt()) },
];
