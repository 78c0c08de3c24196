/** docs/ops.md lists what there is today (who adds an op writes it anew) and what of PyTorch is left out. */

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { leftOut, matches, missingNames, unexpectedNames } from "./conformance/names.ts";
import { listOps } from "./conformance/op_table.ts";

it("docs/ops.md has today's operations with their signatures (npm run docs:ops writes it)", () => {
  const text = readFileSync(new URL("../docs/ops.md", import.meta.url), "utf8");
  const listed = new Map<string, Set<string>>();
  let section = new Set<string>();
  for (const line of text.split("\n")) {
    const title = /^## (.+)$/.exec(line)?.[1];
    if (title !== undefined) listed.set(title, (section = new Set()));
    const call = /^\| `([^`]+)`/.exec(line)?.[1];
    if (call !== undefined) section.add(call);
  }
  for (const [namespace, ops] of listOps()) {
    const calls = ops.map(({ name, info }) => (info === null ? name : `${name}(${info.signature.text})`));
    expect([...(listed.get(namespace) ?? [])].sort(), namespace).toEqual(calls.sort());
  }
});

it("PyTorch's public names are here, or left out for a reason in test/conformance/names.json", () => {
  const patterns = [...leftOut.values()].flat();
  const missing = missingNames();
  expect(missing.filter((name) => !patterns.some((pattern) => matches(pattern, name)))).toEqual([]);
  const idle = patterns.filter((pattern) => !missing.some((name) => matches(pattern, name)));
  expect(idle, "there, or none of PyTorch's").toEqual([]);
});

it("what PyTorch does not have is exported on purpose (ours in test/conformance/names.json)", () => {
  expect(unexpectedNames()).toEqual([]);
});
