/** What a run has found: by unit (an operation, or FAMILY/GROUP), and in all. */

import type { Outcome } from "./outcome.ts";

export interface UnitReport {
  passed: number;
  failed: number;
  skipped: number;
  /** The cpu has computed a part of it for the device. */
  fallback?: boolean;
  readonly problems: { readonly id: string; readonly status: "failed" | "skipped"; readonly reason: string }[];
}

export class Report {
  readonly units = new Map<string, UnitReport>();

  /** `print` is given a line for each case that has not passed. */
  constructor(private readonly print: (line: string) => void = () => {}) {}

  add({ unit, id, status, reason, fallback }: Outcome): void {
    let found = this.units.get(unit);
    if (found === undefined) this.units.set(unit, (found = { passed: 0, failed: 0, skipped: 0, problems: [] }));
    found[status]++;
    if (fallback === true) found.fallback = true;
    if (status === "passed") return;
    found.problems.push({ id, status, reason });
    this.#tell(unit, { id, status, reason });
  }

  #tell(unit: string, { id, status, reason }: UnitReport["problems"][number]): void {
    this.print(`${status === "failed" ? "FAIL" : "skip"} ${unit} ${id}: ${reason}`);
  }

  /** Takes over what another report has found (its JSON form). */
  merge({ units }: { readonly units: Readonly<Record<string, UnitReport>> }): void {
    for (const [name, unit] of Object.entries(units)) {
      this.units.set(name, unit);
      for (const problem of unit.problems) this.#tell(name, problem);
    }
  }

  get totals(): { passed: number; failed: number; skipped: number } {
    const totals = { passed: 0, failed: 0, skipped: 0 };
    for (const unit of this.units.values()) {
      totals.passed += unit.passed;
      totals.failed += unit.failed;
      totals.skipped += unit.skipped;
    }
    return totals;
  }

  /** Units of which every case has passed. */
  get complete(): string[] {
    return [...this.units].filter(([, u]) => u.passed > 0 && u.failed === 0 && u.skipped === 0).map(([name]) => name);
  }

  /** A line for each unit, grouped by family, then how many are complete, then the totals. */
  summary(what: string): string[] {
    const width = Math.max(0, ...[...this.units.keys()].map((name) => name.length));
    const lines = [...this.units].map(([name, { passed, failed, skipped }]) => {
      const parts = [`${passed} passed`, `${failed} failed`, ...(skipped > 0 ? [`${skipped} skipped`] : [])];
      return `${failed > 0 ? "✗" : "✓"} ${name.padEnd(width)}  ${parts.join(", ")}`;
    });
    const families = new Map<string, [complete: number, all: number]>();
    const complete = new Set(this.complete);
    for (const name of this.units.keys()) {
      const family = name.includes("/") ? name.slice(0, name.indexOf("/")) : what;
      const count = families.get(family) ?? [0, 0];
      families.set(family, [count[0] + (complete.has(name) ? 1 : 0), count[1] + 1]);
    }
    for (const [family, [good, all]] of families) lines.push(`${good} of ${all} ${family} fully passing`);
    return lines;
  }

  get lastLine(): string {
    const { passed, failed, skipped } = this.totals;
    return `${passed} passed, ${failed} failed, ${skipped} skipped`;
  }

  toJSON(): object {
    return { totals: this.totals, units: Object.fromEntries(this.units) };
  }
}

/** Units by how little they lack: first those where one reason stands between them and full marks. For choosing what to do next. */
export function triage(report: Report): string {
  const rows = [...report.units].filter(([, u]) => u.failed > 0);
  const missing = (u: UnitReport): boolean => u.problems.every((p) => p.reason.startsWith("not implemented"));
  const kinds = (u: UnitReport): string[] => {
    const counts = new Map<string, number>();
    for (const { reason } of u.problems) {
      // Numbers differ from case to case; the kind of problem is what is left without them.
      const kind = reason.replace(/-?\d+(\.\d+)?(e[-+]?\d+)?n?/g, "#").slice(0, 160);
      counts.set(kind, (counts.get(kind) ?? 0) + 1);
    }
    return [...counts].sort((a, b) => b[1] - a[1]).map(([kind, n]) => `${n} × ${kind}`);
  };
  const order = ([, a]: [string, UnitReport], [, b]: [string, UnitReport]): number =>
    kinds(a).length - kinds(b).length || a.failed - b.failed;
  const there = rows.filter(([, u]) => !missing(u)).sort(order);
  const lines = [`${report.complete.length} of ${report.units.size} complete; ${report.lastLine}`, ""];
  lines.push("== by reason, over all units ==");
  const reasons = new Map<string, Set<string>>();
  for (const [name, u] of there) {
    for (const kind of kinds(u)) {
      const reason = kind.replace(/^\d+ × /, "");
      reasons.set(reason, (reasons.get(reason) ?? new Set()).add(name));
    }
  }
  for (const [reason, names] of [...reasons].sort((a, b) => b[1].size - a[1].size).slice(0, 60)) {
    lines.push(`${names.size} units: ${reason}`, `    ${[...names].slice(0, 12).join(" ")}`);
  }
  lines.push("", "== almost passing first ==");
  for (const [name, u] of there) {
    lines.push(`${name}: ${u.passed} passed, ${u.failed} failed`);
    for (const kind of kinds(u).slice(0, 6)) lines.push(`    ${kind}`);
    lines.push(`    e.g. ${u.problems[0].id}: ${u.problems[0].reason}`);
  }
  lines.push("", "== not implemented ==");
  lines.push(
    rows
      .filter(([, u]) => missing(u))
      .map(([name, u]) => `${name} (${u.failed})`)
      .join(", "),
  );
  return `${lines.join("\n")}\n`;
}
