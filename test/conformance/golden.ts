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

/** Cases of units whose golden value is wrong, and why we think so. All others of the unit must pass. */
export type Faults = Readonly<
  Partial<Record<keyof Known, Readonly<Record<string, { readonly cases: readonly string[]; readonly reason: string }>>>>
>;

export interface KnownOptions {
  /** Only every so manyth unit, to spread them over files that run side by side. */
  readonly part?: readonly [part: number, parts: number];
  /** Cases of operations that may be under way at once: where kernels are compiled, those of one case alone take too long. */
  readonly concurrency?: number;
}

/** Of the cases of a device that compiles its kernels, `npm test` runs the first of each unit and one in so many. */
const SHARE = isFull ? 1 : 8;

/**
 * A test for each unit that known.json promises: every one of its cases passes on `device`, or is skipped for what the device lacks. Of the
 * units of golden_faults.json every other case does, and those fail on cpu.
 */
export async function testKnown(
  kind: keyof Known,
  device = "cpu",
  { part: [part, parts] = [0, 1], concurrency = 1 }: KnownOptions = {},
): Promise<void> {
  const pack = openCorpus(fileURLToPath(new URL(`../golden/${kind}.pack`, import.meta.url)));
  const read = <T>(name: string): T => JSON.parse(readFileSync(new URL(name, import.meta.url), "utf8")) as T;
  const known = read<Known>("./known.json")[kind];
  const faults = read<Faults>("./golden_faults.json")[kind] ?? {};
  const exceptions = device === "cpu" ? {} : (read<Exceptions>(`./exceptions.${device}.json`)[kind] ?? {});
  const session = await Session.open(torch as unknown as Namespace, device);
  if (part === 0) {
    it("the corpus has what the lists promise", async () => {
      const units = new Set<string>();
      await runCorpus(session, pack, { only: (unit) => (units.add(unit), false), report: () => {} });
      expect([...known, ...Object.keys(faults), ...Object.keys(exceptions)].filter((unit) => !units.has(unit))).toEqual([]);
    });
  }
  const share = device === "cpu" ? 1 : SHARE;
  const units = [...known, ...Object.keys(faults)].filter((unit, i) => i % parts === part && exceptions[unit] === undefined);
  const reports = new Map<string, Report>();
  const runUnits = async (names: ReadonlySet<string>): Promise<void> => {
    for (const name of names) reports.set(name, new Report());
    const report: RunOptions["report"] = (outcome) => reports.get(outcome.unit)!.add(outcome);
    const sample = sampleOf(share);
    const pick = (unit: string, id: string): boolean => Object.hasOwn(faults, unit) || sample(unit, id);
    await runCorpus(session, pack, { only: (unit) => names.has(unit), pick, report, concurrency });
  };
  if (concurrency > 1) beforeAll(() => runUnits(new Set(units)), 600_000);
  it.each(units)("%s", async (name) => {
    if (concurrency === 1) await runUnits(new Set([name]));
    const { units: found, totals } = reports.get(name)!;
    const problems = (found.get(name)?.problems ?? []).filter(({ status }) => device === "cpu" || status === "failed");
    const faulty = faults[name]?.cases ?? [];
    expect(problems.filter(({ id }) => !faulty.includes(id))).toEqual([]);
    if (device === "cpu")
      expect(
        faulty.filter((faulty) => !problems.some(({ id }) => id === faulty)),
        "pass",
      ).toEqual([]);
    expect(totals.passed + (device === "cpu" ? 0 : totals.skipped), "cases").toBeGreaterThan(0);
  });
}
