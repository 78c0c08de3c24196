/** First and second derivatives of every op that has them, at random arguments, against differences. */

import { describe, expect, test } from "vitest";
import { registry } from "../../ts/entry.node.ts";
import { checkComplexEntry, checkEntry, coarse } from "./gradcheck_table/check.ts";
import { exempt } from "./gradcheck_table/exempt.ts";
import { families } from "./gradcheck_table/index.ts";

const ROUNDS = 3;

for (const [family, entries] of Object.entries(families)) {
  describe(family, () => {
    test.each(Object.keys(entries))("%s", (name) => {
      for (let seed = 0; seed < ROUNDS; seed++) checkEntry(name, registry.get(name), entries[name]!, seed);
    });
  });
}

describe("complex numbers", () => {
  // How many take them; that none stops to.
  const taking = { elementwise: 66, reductions: 33, shapes: 84, indexing: 20, matrices: 84, functional: 35, losses: 6 };

  test.each(Object.entries(families))("%s", (family, entries) => {
    const names = Object.keys(entries).filter((name) => !coarse.includes(name));
    const taken = names.filter((name) => checkComplexEntry(name, registry.get(name), entries[name]!, 0));
    expect(taken.length).toBeGreaterThanOrEqual(taking[family as keyof typeof taking]);
  });
});

describe("the table", () => {
  const named = Object.values(families).flatMap((entries) => Object.keys(entries));
  const exempted = Object.values(exempt).flat();
  // Members of Tensor that are no ops.
  const others = ["Tensor.index"];

  test("has an entry for every op, or says why it has none", () => {
    const known = new Set([...named, ...exempted].map((name) => registry.get(name)));
    const missing = [...registry].filter(([, op]) => op.info.differentiable !== false && !known.has(op)).map(([name]) => name);
    expect(missing, "add them to test/ops/gradcheck_table").toEqual([]);
  });
  test("names only ops that there are, once", () => {
    expect([...named, ...exempted].filter((name) => !registry.has(name) && !others.includes(name))).toEqual([]);
    expect(named.filter((name, i) => named.indexOf(name) !== i || exempted.includes(name))).toEqual([]);
  });
  test("exempts no op that has a gradient of its own", () => {
    expect(exempted.filter((name) => registry.get(name)!.info.differentiable === true)).toEqual([]);
  });
});
