/** Results of GPU runs: goals, merging, tables. */

import { describe, expect, it } from "vitest";
import { goalsOf } from "../../scripts/gpu/goals.mjs";
import { folderName, markdown, merge } from "../../scripts/gpu/report.mjs";

interface Results {
  readonly parts: readonly { readonly part: string; readonly status: string }[];
}

describe("results", () => {
  const entry = (who: string, variant: string, ms: number): object => {
    const times = { median: ms, min: ms, max: ms, runs: 3 };
    return { who, variant, first: 1, gpu: times, wall: times, host: times };
  };
  const bench = (rows: object[]): object => {
    const ceilings = { copy: { rates: [4000], by: "PyTorch" }, bfloat16: { rates: [700], by: "PyTorch" } };
    const data = { rows, ceilings, pytorch: { torch: "2.11" }, noPytorch: null, left: [] };
    return {
      part: "bench",
      status: "ok",
      at: "2026-01-31T00:00:00Z",
      seconds: 9,
      steps: [{ name: "x", status: "ok", seconds: 9, data }],
    };
  };
  const product = (ours: number, theirs: number): object => ({
    suite: "matmul",
    name: "matmul bf16 8192",
    flops: 2 * 8192 ** 3,
    ceiling: "bfloat16",
    entries: [entry("ours", "eager", ours), entry("pytorch", "eager", theirs)],
    checks: [],
    more: {},
  });
  const gpt2 = (graph: number, eager: number, compiled: number): object => ({
    suite: "gpt2",
    name: "GPT-2 124M, bf16 autocast, step of 8 x 1024",
    flops: 6e12,
    ceiling: "bfloat16",
    items: { unit: "tokens", count: 8192 },
    entries: [
      entry("ours", "eager", 30),
      entry("ours", "graph", graph),
      entry("pytorch", "eager", eager),
      entry("pytorch", "compile", compiled),
    ],
    checks: [],
    more: {},
  });
  const softmax = (ms: number): object => ({
    suite: "rowwise",
    name: "softmax",
    bytes: 4e9,
    ceiling: "copy",
    entries: [entry("ours", "eager", ms)],
    checks: [],
    more: {},
  });
  const outcome = (results: object, what: RegExp): boolean | null =>
    (goalsOf(results) as { what: string; met: boolean | null }[]).find((g) => what.test(g.what))!.met;

  it("are measured by the goals", () => {
    const good = { parts: [bench([product(2, 1.95), gpt2(20, 25, 18), softmax(1.1)])] };
    expect(outcome(good, /matmul of 8192/)).toBe(true);
    expect(outcome(good, /bf16 autocast, at best, beside PyTorch eager/)).toBe(true);
    expect(outcome(good, /with graph, beside PyTorch compile/)).toBe(true);
    expect(outcome(good, /memory-bound/)).toBe(true);
    expect(outcome(good, /every case/)).toBe(null);
    const bad = { parts: [bench([product(2, 1.85), gpt2(26, 25, 18), softmax(1.3)])] };
    expect(outcome(bad, /matmul of 8192/)).toBe(false);
    expect(outcome(bad, /bf16 autocast, at best, beside PyTorch eager/)).toBe(false);
    expect(outcome(bad, /with graph, beside PyTorch compile/)).toBe(false);
    expect(outcome(bad, /memory-bound/)).toBe(false);
  });

  it("count failures beyond the cpu's, and runs that were cut short as not met", () => {
    const step = (name: string, beyond: string[] | undefined): object => ({
      name,
      status: "ok",
      seconds: 1,
      data: { totals: { passed: 10, failed: 2, skipped: 0 }, units: {}, ...(beyond && { beyond }) },
    });
    const part = (...steps: object[]): object => ({ parts: [{ part: "conformance", status: "ok", seconds: 1, at: "", steps }] });
    expect(outcome(part(step("ops", []), step("training", [])), /every case/)).toBe(true);
    expect(outcome(part(step("ops", ["add 3"]), step("training", [])), /every case/)).toBe(false);
    expect(outcome(part(step("ops", []), step("training", undefined)), /every case/)).toBe(false);
    expect(outcome(part(step("ops", [])), /every case/)).toBe(false);
  });

  it("of several calls are one", () => {
    const common = { format: 1, smoke: false, device: "cuda", stage: { id: "x", commit: "abc", changed: false } };
    const skipped = { part: "bench", status: "skipped", at: "", seconds: 0, steps: [], reason: "cuda is not available: why" };
    const first = { ...common, parts: [bench([product(2, 1.9)])] };
    const merged = merge([first, { ...common, parts: [skipped, { ...skipped, part: "gpt2" }] }]) as Results;
    expect(merged.parts.map(({ part, status }) => `${part} ${status}`)).toEqual(["bench ok", "gpt2 skipped"]);
    const text = markdown(merged) as string;
    expect(text).toContain("| matmul bf16 8192 | Kindling eager | 2.00 ms");
    expect(text).toContain("0.950");
    expect(folderName(merged.parts)).toBe("no-gpu-2026-01-31");
  });
});
