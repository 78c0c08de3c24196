/** The families of a training corpus. */

import { readJson, readTensors, type Corpus, type Json } from "../corpus.ts";
import { dtypesIn } from "../decode.ts";
import { Failure, outcomeOf, type Outcome } from "../outcome.ts";
import type { Session } from "../session.ts";
import type { Env } from "./common.ts";
import { runDistribution } from "./distributions.ts";
import { runInit } from "./init.ts";
import { runModel } from "./models.ts";
import { runModule } from "./modules.ts";
import { runOptimiser } from "./optimisers.ts";
import { runRandom } from "./random.ts";
import { runTraining } from "./runs.ts";
import { runSchedule } from "./schedules.ts";
import { runTransform } from "./transforms.ts";

interface Family {
  readonly tensors?: string;
  readonly cases: readonly { readonly id: string }[];
}

/** One case; each family reads its own fields. */
const RUNNERS: Readonly<Record<string, (env: Env, c: never) => Promise<void>>> = {
  modules: runModule,
  optimisers: runOptimiser,
  schedules: runSchedule,
  runs: runTraining,
  models: runModel,
  distributions: runDistribution,
  transforms: runTransform,
  random: runRandom,
  init: runInit,
};

export async function runFamily(
  session: Session,
  corpus: Corpus,
  family: string,
  only: (unit: string) => boolean,
  report: (outcome: Outcome) => void,
  breathe: () => Promise<void>,
  pick: (unit: string, id: string) => boolean = () => true,
): Promise<void> {
  const { cases, tensors: file } = readJson<Family>(corpus, `${family}.json`);
  const tensors = readTensors(corpus, file);
  for (const c of cases) {
    const unit = `${family}/${c.id.split("/")[0]}`;
    if (!only(unit) || !pick(unit, c.id)) continue;
    const outcome = await outcomeOf(unit, c.id, async () => {
      const run = RUNNERS[family];
      if (run === undefined) throw new Failure(`the runner does not know the family "${family}"`);
      session.require(dtypesIn(c as unknown as Json, tensors));
      await run({ session, tensors }, c as never);
    });
    report(outcome);
    await breathe();
  }
}
