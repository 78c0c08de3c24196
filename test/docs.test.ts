/** docs/ops.md lists what there is today: who adds an op writes it anew. */

import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
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
