/** The golden copy of the corpora in test/golden, run by the same code as `npm run conformance`. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import * as torch from "kindling";
import { runCorpus } from "./corpora.ts";
import { openCorpus } from "./corpus_files.ts";
import type { Known } from "./known.ts";
import { Report } from "./report.ts";
import { Session, type Namespace } from "./session.ts";

/** A test for each unit that known.json promises: every one of its cases passes. */
export async function testKnown(kind: keyof Known): Promise<void> {
  const pack = openCorpus(fileURLToPath(new URL(`../golden/${kind}.pack`, import.meta.url)));
  const known = JSON.parse(readFileSync(new URL("./known.json", import.meta.url), "utf8")) as Known;
  const session = await Session.open(torch as unknown as Namespace, "cpu");
  it("the corpus has what the list promises", async () => {
    const units = new Set<string>();
    await runCorpus(session, pack, { only: (unit) => (units.add(unit), false), report: () => {} });
    expect(known[kind].filter((unit) => !units.has(unit))).toEqual([]);
  });
  it.each(known[kind])("%s", async (name) => {
    const lines: string[] = [];
    const report = new Report((line) => lines.push(line));
    await runCorpus(session, pack, { only: (unit) => unit === name, report: (outcome) => report.add(outcome) });
    expect(lines).toEqual([]);
    expect(report.totals.passed, "cases").toBeGreaterThan(0);
  });
}
