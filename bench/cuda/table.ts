/** A workload's figures as lines. */

import { ceilingOf, type Ceilings } from "./ceilings.ts";
import type { Entry, Row } from "./measure.ts";

const time = (ms: number): string =>
  ms < 1 ? `${(ms * 1000).toFixed(1)} us` : ms < 1000 ? `${ms.toFixed(2)} ms` : `${(ms / 1000).toFixed(2)} s`;

/** "512 TFLOP/s, 65% of the ceiling; 3.2 M tokens/s". */
function rateOf(row: Row, ms: number, ceilings: Ceilings): string {
  const parts: string[] = [];
  const ceiling = ceilingOf(ceilings, row.ceiling);
  const share = (rate: number): string => (ceiling === null ? "" : `, ${((100 * rate) / ceiling).toFixed(0)}% of the ceiling`);
  if (row.flops !== undefined) parts.push(`${(row.flops / ms / 1e9).toPrecision(3)} TFLOP/s${share(row.flops / ms / 1e9)}`);
  if (row.bytes !== undefined) parts.push(`${(row.bytes / ms / 1e6).toPrecision(3)} GB/s${share(row.bytes / ms / 1e6)}`);
  if (row.items !== undefined) parts.push(`${Math.round((row.items.count / ms) * 1000)} ${row.items.unit}/s`);
  return parts.join("; ");
}

function lineOf(row: Row, entry: Entry, ceilings: Ceilings): string {
  const head = `  ${entry.who} ${entry.variant}`.padEnd(20);
  if (entry.gpu === undefined || entry.wall === undefined || entry.host === undefined) {
    return `${head} failed: ${(entry.error ?? "no figures").slice(0, 400)}`;
  }
  const { median, min, max } = entry.gpu;
  const times = `${time(median)} [${time(min)}, ${time(max)}]; wall ${time(entry.wall.median)}, asking ${time(entry.host.median)}`;
  // What must be read or trained as a whole counts by the clock on the wall.
  return `${head} ${times}; ${rateOf(row, row.items === undefined ? median : entry.wall.median, ceilings)}${entry.error === undefined ? "" : `; failed later: ${entry.error}`}`;
}

export function describeRow(row: Row, ceilings: Ceilings): string[] {
  const checks = row.checks.map(
    ({ variant, against, worst, allowed, passed }) =>
      `  ${passed ? "as" : "NOT as"} ${against}: ${variant} is within ${worst.toExponential(1)} (${allowed} allowed)`,
  );
  return [row.name, ...row.entries.map((entry) => lineOf(row, entry, ceilings)), ...checks];
}
