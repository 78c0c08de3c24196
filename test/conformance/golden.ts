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

/** Units that a device cannot do in full, with the reason. */
export type Exceptions = Readonly<Record<keyof Known, Readonly<Record<string, string>>>>;

/**
 * A test for each unit that known.json promises: every one of its cases passes on `device`, or is skipped for what the device lacks.
 * `part` of `parts`: only every so manyth unit, to spread them over files that run side by side.
 */
export async function testKnown(kind: keyof Known, device = "cpu", [part, parts] = [0, 1]): Promise<void> {
  const pack = openCorpus(fileURLToPath(new URL(`../golden/${kind}.pack`, import.meta.url)));
  const read = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as T;
  const known = read<Known>("./known.json")[kind];
  const exceptions = device === "cpu" ? {} : read<Exceptions>(`./exceptions.${device}.json`)[kind];
  const session = await Session.open(torch as unknown as Namespace, device);
  if (part === 0) {
    it("the corpus has what the lists promise", async () => {
      const units = new Set<string>();
      await runCorpus(session, pack, { only: (unit) => (units.add(unit), false), report: () => {} });
      expect([...known, ...Object.keys(exceptions)].filter((unit) => !units.has(unit))).toEqual([]);
    });
  }
  const units = known.filter((unit, i) => i % parts === part && exceptions[unit] === undefined);
  it.each(units)("%s", async (name) => {
    const lines: string[] = [];
    const report = new Report((line) => lines.push(line));
    await runCorpus(session, pack, { only: (unit) => unit === name, report: (outcome) => report.add(outcome) });
    expect(lines.filter((line) => device === "cpu" || !line.startsWith("skip"))).toEqual([]);
    expect(report.totals.passed + (device === "cpu" ? 0 : report.totals.skipped), "cases").toBeGreaterThan(0);
  });
}
