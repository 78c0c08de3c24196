/** Which kind a corpus is, and what runs it. */

import { readJson, type Corpus, type JsonObject } from "./corpus.ts";
import { runFiles } from "./files.ts";
import { type Jobs, jobsOf, type OpEntry } from "./ops.ts";
import type { Outcome } from "./outcome.ts";
import type { Session } from "./session.ts";
import { together } from "./together.ts";
import { runFamily } from "./training/family.ts";

export interface RunOptions {
  /** Runs only the units (operation, FAMILY, FAMILY/GROUP, FILE) that it accepts. */
  readonly only?: (unit: string) => boolean;
  /** Runs only the cases that it accepts; it is asked once for each. */
  readonly pick?: (unit: string, id: string) => boolean;
  readonly report: (outcome: Outcome) => void;
  /** How many operations, and cases of each, may be under way at once; calls that must fail come last then. Default: 1. Training is always one after another. */
  readonly concurrency?: number;
}

interface Index {
  readonly ops?: Readonly<Record<string, OpEntry>>;
  readonly families?: JsonObject;
  readonly files?: readonly string[];
}

/** Runs a corpus of operations, of training or of files; says which it was, for the summary. */
export async function runCorpus(
  session: Session,
  corpus: Corpus,
  { only = () => true, pick = () => true, report, concurrency = 1 }: RunOptions,
): Promise<string> {
  const index = readJson<Index>(corpus, "index.json");
  if (index.ops !== undefined) {
    const wanted = Object.entries(index.ops).filter(([name]) => only(name));
    const jobs = ([name, entry]: [string, OpEntry]): Jobs => jobsOf(session, corpus, name, entry, report, (id) => pick(name, id));
    await together(wanted, concurrency, async (unit) => {
      const { cases, errors } = jobs(unit);
      await together(cases, concurrency, (job) => job());
      if (concurrency === 1) for (const job of errors) await job();
      await breathe();
    });
    // A device tells of bad indices when the next value is asked for, whoever asks: such calls stay among themselves.
    if (concurrency > 1) for (const unit of wanted) for (const job of jobs(unit).errors) await job();
    return "ops";
  }
  if (index.families !== undefined) {
    for (const family of Object.keys(index.families)) {
      await runFamily(session, corpus, family, only, report, breathe, pick);
    }
    return "groups";
  }
  if (index.files !== undefined) {
    await runFiles(session, corpus, index.files, only, pick, report);
    return "files";
  }
  throw new Error("the index names neither ops, families nor files: this is no corpus that can be run");
}

/** Lets finalizers run, which give a library's memory back. */
function breathe(): Promise<void> {
  return new Promise((resolve) => {
    if (typeof setImmediate === "function") setImmediate(resolve);
    else setTimeout(resolve);
  });
}
