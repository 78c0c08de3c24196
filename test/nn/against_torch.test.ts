/** Every module with ordinary and odd options, from one seed, beside PyTorch where Python has it: state, outputs and gradients. */

import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import * as torch from "kindling";
import { nn } from "kindling";
import { describe, expect, test } from "vitest";
import { pythonWith } from "../io/python.ts";

interface Values {
  shape: number[];
  dtype: string;
  values: (number | string)[];
}
interface Result {
  inputs: Values[];
  built: Record<string, Values>;
  outputs: Values[];
  after: Record<string, Values>;
  grads: (Values | null)[];
  parameters: Record<string, Values>;
  eval: Values[];
}
type Case = [name: string, args: unknown[], kwargs: Record<string, unknown>, inputs: string[]];
type AnyModule = nn.Module & ((...args: torch.Tensor[]) => unknown);

const text = readFileSync(new URL("./module_cases.json", import.meta.url), "utf8");
const cases = JSON.parse(text) as Case[];
const python = pythonWith("torch");

/** The JSON as it is written goes to Python, to which 1 and 1.0 are different. */
function inPython(): Result[] {
  const program = new URL("./module_cases.py", import.meta.url).pathname;
  const { stdout, stderr, status } = spawnSync(python!, [program], { input: text, encoding: "utf8", maxBuffer: 2 ** 28 });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout) as Result[];
}
const wanted = python === null ? [] : inPython();

const numbers = (t: torch.Tensor): number[] =>
  Array.from(t.detach().contiguous().data_sync() as ArrayLike<number | bigint>, Number);
const value = (x: number | string): number => (typeof x === "string" ? Number(x.replace("inf", "Infinity")) : x);
const tensors = (x: unknown): torch.Tensor[] =>
  x instanceof torch.Tensor ? [x] : Array.isArray(x) ? (x as unknown[]).flatMap(tensors) : [];

function same(what: string, t: torch.Tensor | null | undefined, want: Values): void {
  expect([what, t?.shape, t?.dtype.name]).toEqual([what, want.shape, want.dtype]);
  const off = numbers(t!).filter((x, i) => {
    const y = value(want.values[i]!);
    return !(Object.is(x, y) || x === y || Math.abs(x - y) <= 2e-5 + 2e-5 * Math.abs(y));
  });
  expect([what, off]).toEqual([what, []]);
}
function sameState(what: string, m: nn.Module, want: Record<string, Values>): void {
  const state = m.state_dict();
  expect(Object.keys(state)).toEqual(Object.keys(want));
  for (const [key, values] of Object.entries(want)) same(`${what} ${key}`, state[key], values);
}

describe.skipIf(python === null)("beside PyTorch", () => {
  test.each(cases.map(([name, args, kwargs], i) => [i, name, JSON.stringify(args), JSON.stringify(kwargs)] as const))(
    "%i: %s %s %s",
    (i) => {
      const [name, args, kwargs] = cases[i]!;
      const want = wanted[i]!;
      torch.manual_seed(i);
      const make = (nn as unknown as Record<string, new (...given: unknown[]) => AnyModule>)[name]!;
      const m = new make(...args, ...(Object.keys(kwargs).length > 0 ? [kwargs] : []));
      const x = want.inputs.map(({ values, dtype, shape }) => {
        const all = torch as unknown as Record<string, torch.DType>;
        return torch.tensor(values.map(value), { dtype: all[dtype]! }).reshape(shape);
      });
      want.grads.forEach((g, k) => g !== null && x[k]!.requires_grad_());
      if (!name.startsWith("Lazy")) sameState("built", m, want.built);
      const y = tensors(m(...x));
      expect(y).toHaveLength(want.outputs.length);
      want.outputs.forEach((w, k) => same(`output ${k}`, y[k], w));
      sameState("after", m, want.after);
      if (want.grads.length > 0) {
        const wave = (t: torch.Tensor): torch.Tensor =>
          torch.cos(torch.arange(t.numel(), { dtype: torch.float64 })).reshape(t.shape);
        const parts = y.filter((t) => t.requires_grad).map((t) => t.double().mul(wave(t)).sum());
        parts.reduce((a, b) => a.add(b)).backward();
        want.grads.forEach((w, k) => w !== null && same(`gradient of input ${k}`, x[k]!.grad, w));
        const parameters = Object.fromEntries(m.named_parameters());
        for (const [key, w] of Object.entries(want.parameters)) same(`gradient of ${key}`, parameters[key]!.grad, w);
      }
      m.eval();
      const quiet = want.eval.length === 0 ? [] : torch.no_grad(() => tensors(m(...x)));
      want.eval.forEach((w, k) => same(`eval ${k}`, quiet[k], w));
    },
  );
});
