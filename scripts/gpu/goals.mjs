/** What the figures ought to be, and whether they are. */

import { benchData, ceilingOf, entryOf, number, rateOf, speed, timeOf } from "./tables.mjs";

const goal = (what, value, wanted, met) => ({ what, value, wanted, met });
const unknown = (what, wanted) => goal(what, "", wanted, null);

function conformance({ parts }) {
  const what = "every case of the corpus passes that passes on the cpu";
  const steps = parts.find(({ part }) => part === "conformance")?.steps.filter((s) => s.data?.totals) ?? [];
  if (steps.length === 0) return unknown(what, "0 failed");
  const passed = steps.reduce((n, s) => n + s.data.totals.passed, 0);
  // Without the comparison, all that failed.
  const failed = steps.reduce((n, s) => n + (s.data.beyond?.length ?? s.data.totals.failed), 0);
  const whole = steps.length === 2 && steps.every((s) => Array.isArray(s.data.beyond));
  return goal(
    what,
    `${passed} passed, ${failed} failed${whole ? "" : " (not all of them ran)"}`,
    "0 failed",
    whole && failed === 0,
  );
}

function product(all) {
  const what = "bf16 matmul of 8192 beside PyTorch's";
  const row = all.flatMap((d) => d.rows).find((r) => r.name === "matmul bf16 8192");
  const ratio = row === undefined ? null : speed(row, entryOf(row, "ours", "eager"), "eager");
  return ratio === null ? unknown(what, "0.95x") : goal(what, `${number(ratio)}x`, "0.95x", ratio >= 0.95);
}

function bandwidth(all) {
  const what = "memory-bound kernels' share of the copy's bandwidth";
  const shares = all.flatMap((data) =>
    data.rows
      .filter((row) => row.ceiling === "copy" && entryOf(row, "ours", "eager") !== null && ceilingOf(data, row) !== null)
      .map((row) => ({ name: row.name, share: rateOf(row, timeOf(row, entryOf(row, "ours", "eager"))) / ceilingOf(data, row) })),
  );
  if (shares.length === 0) return unknown(what, "85%");
  const low = shares.filter(({ share }) => share < 0.85).sort((a, b) => a.share - b.share);
  const value = `${shares.length - low.length} of ${shares.length}${low.length > 0 ? `; ${low.map(({ name, share }) => `${name} ${(100 * share).toFixed(0)}%`).join(", ")}` : ""}`;
  return goal(what, value, "85%", low.length === 0);
}

function training(all, precision, variants, against, wanted) {
  const how = variants.length === 1 ? `with ${variants[0]}` : "at best";
  const what = `GPT-2 124M, ${precision}, ${how}, beside PyTorch ${against}`;
  const row = all.flatMap((d) => d.rows).find((r) => r.suite === "gpt2" && r.name.includes(`, ${precision}`));
  const ratios =
    row === undefined ? [] : variants.map((v) => speed(row, entryOf(row, "ours", v), against)).filter((x) => x !== null);
  if (ratios.length === 0) return unknown(what, `${wanted}x`);
  const ratio = Math.max(...ratios);
  return goal(what, `${number(ratio)}x`, `${wanted}x`, ratio >= wanted);
}

function dispatch({ parts }) {
  const what = "handing over a kernel, with a driver that does nothing";
  const data = parts.find(({ part }) => part === "dispatch")?.steps[0]?.data?.dispatch;
  if (!data?.noop) return unknown(what, "1 us");
  const most = Math.max(...data.costs.filter(({ name }) => name.startsWith("packed path")).map(({ us }) => us));
  return goal(what, `${number(most)} us`, "1 us", most < 1);
}

function sanitizer({ parts }, tool) {
  const what = `compute-sanitizer's ${tool} finds nothing`;
  const step = parts.find(({ part }) => part === "sanitizer")?.steps.find((s) => s.name === tool);
  if (step === undefined || step.status === "skipped") return unknown(what, "0");
  return goal(what, step.reason ?? Object.values(step.found).join(), "0", step.status === "ok");
}

export function goalsOf(results) {
  const all = benchData(results);
  const anyWay = ["eager", "scope", "graph"];
  return [
    conformance(results),
    product(all),
    bandwidth(all),
    training(all, "bf16 autocast", anyWay, "eager", 1),
    training(all, "f32", anyWay, "eager", 1),
    training(all, "bf16 autocast", ["graph"], "compile", 0.85),
    dispatch(results),
    sanitizer(results, "memcheck"),
    sanitizer(results, "racecheck"),
  ];
}
