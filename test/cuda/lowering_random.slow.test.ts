/**
 * Many random IR programs as CUDA C++, against the interpreter, and whether such programs would show it if something were wrong.
 * `FIRST_SEED=1000 SEEDS=500 npx vitest run test/cuda/lowering_random` goes on from there.
 */

import { describe, expect, it } from "vitest";
import { toCuda } from "../../gpu/lower/cuda.ts";
import { Executor } from "./execute.ts";
import { unavailable } from "./native.ts";
import { randomRun } from "./random_programs.ts";

const FIRST_SEED = Number(process.env.FIRST_SEED ?? 1000);
const SEEDS = Number(process.env.SEEDS ?? 120);
/** Programs of one unit. */
const UNIT = 40;

describe.skipIf(unavailable !== null)("random programs", () => {
  const units = Array.from({ length: Math.ceil(SEEDS / UNIT) }, (_, i) => FIRST_SEED + i * UNIT);
  it.each(units)("from seed %i on mean the same as CUDA C++", { timeout: 300_000 }, (first) => {
    const executor = new Executor();
    try {
      const runs = Array.from({ length: Math.min(UNIT, FIRST_SEED + SEEDS - first) }, (_, i) => randomRun(first + i));
      executor.compile(runs.map((r) => toCuda(r.program)));
      for (const run of runs) executor.compare(run);
    } finally {
      executor.close();
    }
  });

  describe("show what is wrong with a text:", () => {
    const runs = Array.from({ length: 16 }, (_, i) => randomRun(500 + i));
    it.each<[string, RegExp, string]>([
      ["a barrier too few", /__syncthreads\(\);/, ""],
      ["a comparison", / < /g, " <= "],
      ["a shift the other way", /kd_shl\(/g, "kd_shr("],
      ["the least instead of the greatest", /kd_max/g, "kd_min"],
      ["operands in the wrong order", /kd_sub\((\w+), (\w+)\)/g, "kd_sub($2, $1)"],
      ["a lane", /\.y\b/g, ".x"],
      ["an offset", /\[threadIdx\.x\] =/g, "[threadIdx.x ^ 1u] ="],
      ["an atomic operation", /atomicAdd/g, "atomicOr"],
    ])("%s", { timeout: 300_000 }, (_, from, to) => {
      const mutants = new Executor((kernel) => ({ ...kernel, text: kernel.text.replace(from, to) }));
      try {
        const changed = runs.filter(({ program }) => toCuda(program).text.search(from) >= 0);
        mutants.compile(changed.map((r) => toCuda(r.program)));
        const wrong = changed.filter((run) => mutants.difference(run) !== null);
        expect(wrong.length, `of ${changed.length} programs`).toBeGreaterThan(0);
      } finally {
        mutants.close();
      }
    });
  });
});
