/**
 * Arguments that once gave other results than PyTorch 1.13: a pack of cases made by test/golden/differential.py, in the corpora's format
 * (test/golden/differential_pick.py says how they were picked).
 */

import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import * as torch from "kindling";
import { runCorpus } from "../conformance/corpora.ts";
import { openCorpus } from "../conformance/corpus_files.ts";
import { Report } from "../conformance/report.ts";
import { Session, type Namespace } from "../conformance/session.ts";

it("gives PyTorch's results, gradients and errors for unusual arguments", async () => {
  const pack = openCorpus(fileURLToPath(new URL("../golden/differential.pack", import.meta.url)));
  const lines: string[] = [];
  const report = new Report((line) => lines.push(line));
  const session = await Session.open(torch as unknown as Namespace, "cpu");
  await runCorpus(session, pack, { report: (outcome) => report.add(outcome) });
  expect(lines).toEqual([]);
  expect(report.totals.passed).toBeGreaterThan(500);
});
