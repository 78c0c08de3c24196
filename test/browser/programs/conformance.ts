/** The golden corpora in a page: the runner of `npm run conformance`, on a sample of the cases. */

import * as torch from "kindling";
import { runCorpus } from "../../conformance/corpora.ts";
import { unpack } from "../../conformance/corpus.ts";
import { Report, type UnitReport } from "../../conformance/report.ts";
import { sampleOf } from "../../conformance/sample.ts";
import { Session, type Namespace } from "../../conformance/session.ts";

export interface Request {
  /** Where the unpacked corpus is served. */
  readonly url: string;
  readonly device: string;
  /** One case in so many, and the first of each unit; 1 for all. */
  readonly share: number;
  /** Only these units (operations, FAMILY or FAMILY/GROUP). */
  readonly units?: readonly string[];
  /** Only these cases, by `UNIT ID`. */
  readonly cases?: readonly string[];
}

export interface Reply {
  readonly totals: { readonly passed: number; readonly failed: number; readonly skipped: number };
  readonly units: Readonly<Record<string, UnitReport>>;
}

export async function conform({ url, device, share, units, cases }: Request): Promise<Reply> {
  const response = await fetch(url);
  if (!response.ok) throw new Error(`${url}: HTTP status ${response.status}`);
  const corpus = unpack(new Uint8Array(await response.arrayBuffer()));
  const session = await Session.open(torch as unknown as Namespace, device);
  const wanted = units && new Set(units);
  const listed = cases && new Set(cases);
  const report = new Report();
  await runCorpus(session, corpus, {
    only: wanted && ((unit) => wanted.has(unit) || wanted.has(unit.split("/")[0])),
    pick: listed ? (unit, id) => listed.has(`${unit} ${id}`) : sampleOf(share),
    report: (outcome) => report.add(outcome),
  });
  return { totals: report.totals, units: Object.fromEntries(report.units) };
}
