/** What gradients are where functions have none: PyTorch's, in test/golden/kinks.json, made by kinks.py beside it. */

import { readFileSync } from "node:fs";
import { expect, test } from "vitest";
import type { Tensor } from "../../ts/core/tensor.ts";
import * as torch from "../../ts/entry.node.ts";
import { tensorsOf } from "./gradcheck_table/check.ts";

/** A number; infinities and NaN by name. */
type Value = number | { readonly f: string };
type Nested = Value | readonly Nested[];
interface Row {
  readonly op: string;
  readonly args: readonly unknown[];
  readonly kwargs: Readonly<Record<string, unknown>>;
  readonly grads: readonly (Nested | null)[];
}

const NAMED: Readonly<Record<string, number>> = { inf: Infinity, "-inf": -Infinity, nan: NaN };
function decode(x: unknown): unknown {
  if (Array.isArray(x)) return x.map(decode);
  if (typeof x === "object" && x !== null && "f" in x) return NAMED[String(x.f)];
  return x;
}

const rows = JSON.parse(readFileSync(new URL("../golden/kinks.json", import.meta.url), "utf8")) as Row[];
const title = ({ op, args, kwargs }: Row): string => `${op} ${JSON.stringify(args)} ${JSON.stringify(kwargs)}`;

function gradients(row: Row): (unknown[] | null)[] {
  const inputs: Tensor[] = [];
  const build = (x: unknown): unknown => {
    if (typeof x !== "object" || x === null) return x;
    if ("t" in x) {
      inputs.push(torch.tensor(decode(x.t) as number[], { dtype: torch.float64 }).requires_grad_());
      return inputs.at(-1);
    }
    return "i" in x ? torch.tensor(x.i as number[]) : decode(x);
  };
  const args = row.args.map(build);
  const op = torch.registry.get(row.op) as unknown as (...args: unknown[]) => unknown;
  const outputs = tensorsOf(op(...args, ...(Object.keys(row.kwargs).length > 0 ? [row.kwargs] : []))).filter(
    (t) => t.requires_grad,
  );
  const weights = outputs.map((t) =>
    torch
      .arange(1, t.numel() + 1)
      .to(torch.float64)
      .reshape(t.shape),
  );
  const found = torch.autograd.grad(outputs, inputs, { grad_outputs: weights, allow_unused: true });
  return found.map((g) => (g === null ? null : (g.tolist_sync() as unknown[])));
}

const flat = (x: unknown): number[] => [decode(x)].flat(Infinity) as number[];

test.each(rows.map((row) => [title(row), row] as const))("%s", (_title, row) => {
  const found = gradients(row);
  // None and zeros are the same here. PyTorch's hardsigmoid knows 1/6 in float32 only, hence the tolerance.
  row.grads.forEach((want, i) => {
    const got = found[i] === null ? null : flat(found[i]);
    const wanted = want === null ? null : flat(want);
    const numbers = got ?? (wanted ?? []).map(() => 0);
    numbers.forEach((x, k) => {
      const y = wanted === null ? 0 : wanted[k]!;
      expect(
        Math.abs(x - y) <= 1e-7 * (1 + Math.abs(y)) || Object.is(x, y) || x === y,
        `gradient ${i}: got ${JSON.stringify(numbers.map(String))}, PyTorch's is ${JSON.stringify(wanted?.map(String))}`,
      ).toBe(true);
    });
  });
});
