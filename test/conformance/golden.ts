/** The golden copy of the corpora in test/golden, run by the same code as `npm run conformance`. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { beforeAll, expect, it } from "vitest";
import * as torch from "kindling";
import { isFull } from "../tiers.ts";
import { runCorpus, type RunOptions } from "./corpora.ts";
import { openCorpus } from "./corpus_files.ts";
import type { Known } from "./known.ts";
import { Report } from "./report.ts";
import { sampleOf } from "./sample.ts";
import { Session, type Namespace } from "./session.ts";

/** Units that a device cannot do in full, with the reason. */
export type Exceptions = Readonly<Partial<Record<keyof Known, Readonly<Record<string, string>>>>>;

export interface KnownOptions {
  /** Only every so manyth unit, to spread them over files that run side by side. */
  readonly part?: readonly [part: number, parts: number];
  /** Cases of operations that may be under way at once: where kernels are compiled, those of one case alone take too long. */
  readonly concurrency?: number;
}

/** Of the cases of a device that compiles its kernels, `npm test` runs the first of each unit and one in so many. */
const SHARE = isFull ? 1 : 5;

/** A test for each unit that known.json promises: every one of its cases passes on `device`, or is skipped for what the device lacks. */
export async function testKnown(
  kind: keyof Known,
  device = "cpu",
  { part: [part, parts] = [0, 1], concurrency = 1 }: KnownOptions = {},
): Promise<void> {
  const pack = openCorpus(fileURLToPath(new URL(`../golden/${kind}.pack`, import.meta.url)));
  const read = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as T;
  const known = read<Known>("./known.json")[kind];
  const exceptions = device === "cpu" ? {} : (read<Exceptions>(`./exceptions.${device}.json`)[kind] ?? {});
  const session = await Session.open(torch as unknown as Namespace, device);
  if (part === 0) {
    it("the corpus has what the lists promise", async () => {
      const units = new Set<string>();
      await runCorpus(session, pack, { only: (unit) => (units.add(unit), false), report: () => {} });
      expect([...known, ...Object.keys(exceptions)].filter((unit) => !units.has(unit))).toEqual([]);
    });
  }
  const share = device === "cpu" ? 1 : SHARE;
  const units = known.filter((unit, i) => i % parts === part && exceptions[unit] === undefined);
  const reports = new Map<string, { readonly lines: string[]; readonly report: Report }>();
  const runUnits = async (names: ReadonlySet<string>): Promise<void> => {
    for (const name of names) {
      const lines: string[] = [];
      reports.set(name, { lines, report: new Report((line) => lines.push(line)) });
    }
    const report: RunOptions["report"] = (outcome) => reports.get(outcome.unit)!.report.add(outcome);
    await runCorpus(session, pack, { only: (unit) => names.has(unit), pick: sampleOf(share), report, concurrency });
  };
  if (concurrency > 1) beforeAll(() => runUnits(new Set(units)), 600_000);
  it.each(units)("%s", async (name) => {
    if (concurrency === 1) await runUnits(new Set([name]));
    const { lines, report } = reports.get(name)!;
    expect(lines.filter((line) => device === "cpu" || !line.startsWith("skip"))).toEqual([]);
    expect(report.totals.passed + (device === "cpu" ? 0 : report.totals.skipped), "cases").toBeGreaterThan(0);
  });
}
