/** The units that must pass in full. The list only grows: what is in it is a promise. */

import type { Report } from "./report.ts";

export type Known = Readonly<Record<"ops" | "training" | "files", readonly string[]>>;

/** Adds what a run shows to be complete; `lost` is what the list promises and the run does not show. */
export function extend(known: Known, kind: keyof Known, report: Report): { extended: Known; added: string[]; lost: string[] } {
  const complete = new Set(report.complete);
  const before = new Set(known[kind]);
  const added = [...complete].filter((unit) => !before.has(unit));
  const lost = known[kind].filter((unit) => report.units.has(unit) && !complete.has(unit));
  return { extended: { ...known, [kind]: [...known[kind], ...added].sort() }, added, lost };
}
