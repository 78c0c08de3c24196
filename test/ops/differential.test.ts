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

it("breaks lines of complex numbers where PyTorch 1.13 does", () => {
  const z = torch.view_as_complex(
    torch.tensor([1.457, 0.5805, 0.2223, -1.7348, -1.9419, -0.6414, -0.3586, -1.1746, 1, 2]).reshape([5, 2]),
  );
  expect(String(z)).toBe(
    "tensor([ 1.4570+0.5805j,  0.2223-1.7348j, -1.9419-0.6414j, -0.3586-1.1746j,\n         1.0000+2.0000j])",
  );
});

it("takes one number for a size", () => {
  expect(torch.ones(2).new_zeros(3 as never).shape).toEqual([3]);
});
