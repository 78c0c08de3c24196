import { describe, expect, it } from "vitest";
import { toCuda } from "../../gpu/lower/cuda.ts";
import { difference, Executor, interpreted } from "./execute.ts";
import { control, unavailable } from "./native.ts";
import { randomRun } from "./random_programs.ts";

const ORDERS = ["forward", "reverse", "shuffle:7"];

describe.skipIf(unavailable !== null)("CUDA C++ means what the IR says", () => {
  const executor = unavailable === null ? new Executor() : (undefined as unknown as Executor);

  it("in random programs", () => {
    const first = Number(process.env.FIRST ?? 0),
      count = Number(process.env.COUNT ?? 40);
    const runs = Array.from({ length: count }, (_, i) => randomRun(first + i));
    executor.compile(runs.map((r) => toCuda(r.program)));
    for (const run of runs) {
      const expected = interpreted(run);
      for (const order of ORDERS) {
        control(`order ${order}`);
        expect(difference(run.program, executor.run(run), expected), `${run.program.name}, ${order}`).toBe(null);
      }
    }
  });
});
