/**
 * `npm run conformance -- --corpus DIR [--device cpu|webgpu|cuda|interpreter] [--op NAME,…] [--json FILE] [--threads N]`: runs a corpus, of operations, of
 * training or of files, against the library. Lists what has not passed, then sums up; the exit status is 0 only when nothing failed.
 * `--share N`: one case in N, and the first of each operation or group. `--browser`: in Chromium, where N is 5 unless given.
 * `--against FILE`: another run's --json; what failed there, too, does not count. `--device interpreter`: cuda's kernels, interpreted.
 *
 * For this project's own work: `--triage FILE` writes what to do next; `--pack FILE` packs the corpus into one file instead of running it;
 * `--update` adds to known.json what now passes in full.
 */

import { readFileSync, writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import * as torch from "kindling";
import { runCorpus } from "./corpora.ts";
import { openCorpus, writePack } from "./corpus_files.ts";
import { extend, type Known } from "./known.ts";
import { Report, triage, type UnitReport } from "./report.ts";
import { openInterpreter } from "./interpreter.ts";
import type { Outcome } from "./outcome.ts";
import { sampleOf } from "./sample.ts";
import { Session, type Namespace } from "./session.ts";

const USAGE =
  "usage: npm run conformance -- --corpus DIR [--device cpu|webgpu|cuda|interpreter] [--op NAME] [--json FILE] [--threads N] [--share N] [--against FILE] [--browser] [--triage FILE] [--update] [--pack FILE]";

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      corpus: { type: "string" },
      device: { type: "string", default: "cpu" },
      op: { type: "string", multiple: true },
      json: { type: "string" },
      threads: { type: "string" },
      share: { type: "string" },
      against: { type: "string" },
      browser: { type: "boolean", default: false },
      triage: { type: "string" },
      pack: { type: "string" },
      update: { type: "boolean", default: false },
    },
  });
  if (values.corpus === undefined) throw new Error(USAGE);
  if (values.pack !== undefined) {
    console.log(`${writePack(values.corpus, values.pack)} bytes in ${values.pack}`);
    return 0;
  }
  const names = values.op?.flatMap((op) => op.split(","));
  const only = names === undefined ? undefined : (unit: string) => names.includes(unit) || names.includes(unit.split("/")[0]);

  const share = Number(values.share ?? (values.browser ? 5 : 1));
  if (!Number.isInteger(share) || share < 1) throw new Error(`--share is ${values.share}; expected a positive whole number`);
  const report = new Report((line) => console.log(line));
  const started = performance.now();
  const write = (more: object = {}): void => {
    if (values.json === undefined) return;
    const head = { corpus: values.corpus, device: values.device, seconds: Math.round(performance.now() - started) / 1000 };
    writeFileSync(values.json, JSON.stringify({ ...head, ...more, ...report.toJSON() }, null, 1));
  };
  let what = "units";
  if (values.browser) {
    const { conformInBrowser } = await import("../browser/conform.ts");
    report.merge(await conformInBrowser(values.corpus, { device: values.device, share, units: names, isolated: true }));
  } else {
    const namespace = torch as unknown as Namespace;
    const session = values.device === "interpreter" ? openInterpreter(namespace) : await Session.open(namespace, values.device);
    if (values.threads !== undefined) session.call("set_num_threads", [Number(values.threads)]);
    const pick = share === 1 ? undefined : sampleOf(share);
    // Cases that are under way together have their kernels compiled together.
    const onCuda = values.device.startsWith("cuda");
    const concurrency = onCuda ? 16 : 1;
    const take = (outcome: Outcome): void => {
      report.add(outcome);
      // A kernel that breaks the device leaves the other cases theirs.
      if (outcome.status === "failed" && onCuda) torch.cuda.init();
    };
    // Whoever's time is up tells what has been found so far.
    process.once("SIGTERM", () => {
      write();
      process.exit(143);
    });
    what = await runCorpus(session, openCorpus(values.corpus), { only, pick, report: take, concurrency });
  }
  const seconds = ((performance.now() - started) / 1000).toFixed(1);

  if (report.units.size === 0) throw new Error(`the corpus has nothing named ${names?.join(", ")}`);
  for (const line of report.summary(what)) console.log(line);
  const beyond = values.against === undefined ? null : failuresBeyond(report, values.against);
  write({ beyond });
  if (values.triage !== undefined) writeFileSync(values.triage, triage(report));
  if (values.update) update(what, report);
  console.log(`on ${values.device}${values.browser ? " in Chromium" : ""} in ${seconds} s`);
  for (const failure of beyond ?? []) console.log(`only here: ${failure}`);
  if (beyond !== null) console.log(`${beyond.length} of the failures are not in ${values.against}`);
  console.log(report.lastLine);
  return (beyond?.length ?? report.totals.failed) === 0 ? 0 : 1;
}

/** Cases that have failed and, by its --json, did not fail in another run. */
function failuresBeyond(report: Report, file: string): string[] {
  const { units } = JSON.parse(readFileSync(file, "utf8")) as { units: Readonly<Record<string, UnitReport>> };
  const failuresOf = ([unit, { problems }]: [string, UnitReport]): string[] =>
    problems.filter(({ status }) => status === "failed").map(({ id }) => `${unit} ${id}`);
  const known = new Set(Object.entries(units).flatMap(failuresOf));
  return [...report.units].flatMap(failuresOf).filter((failure) => !known.has(failure));
}

function update(what: string, report: Report): void {
  const file = new URL("./known.json", import.meta.url);
  const known = JSON.parse(readFileSync(file, "utf8")) as Known;
  const { extended, added, lost } = extend(known, what === "ops" || what === "files" ? what : "training", report);
  writeFileSync(file, `${JSON.stringify(extended, null, 2)}\n`);
  console.log(`known.json: ${added.length} added`);
  for (const unit of lost) console.log(`known.json: ${unit} is in the list and does not pass in full any more`);
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(error instanceof Error ? error.message : error);
  process.exitCode = 2;
}
