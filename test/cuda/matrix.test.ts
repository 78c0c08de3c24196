/** What goes wrong with asynchronous copies shows on the stand-ins. See also lowering_matrix.test.ts. */

import { afterAll, describe, expect, it } from "vitest";
import type { Program } from "../../gpu/ir.ts";
import type { Memory } from "../../gpu/lower/interpret_memory.ts";
import { uniform } from "../gpu/harness.ts";
import { copying, oneProduct, partial } from "../gpu/matrix_programs.ts";
import { Executor, ORDERS } from "./execute.ts";
import { control, unavailable } from "./native.ts";

describe.skipIf(unavailable !== null)("on the stand-ins", () => {
  const executor = unavailable === null ? new Executor() : (undefined as unknown as Executor);
  afterAll(() => executor?.close());
  const compare = (program: Program, buffers: Memory[], params = {}): void =>
    void executor.compare({ program, buffers, params, groups: 1 });

  it.each(["f16", "bf16", "tf32"] as const)("products of %s with infinities and NaN are the interpreter's", (format) => {
    const depth = format === "tf32" ? 8 : 16;
    const factors = [16 * depth, depth * 8, 128].map((n, i) => Float32Array.from(uniform(n, i, -4, 4)));
    factors[0]![3] = Infinity;
    factors[1]![5] = NaN;
    compare(oneProduct(format), [...factors, new Float32Array(128)]);
  });
  const source = Float32Array.from({ length: 256 }, (_, i) => i);
  it("copies are there after the wait", () => {
    compare(copying("nothing"), [source, new Float32Array(64)]);
    const halves = Int16Array.from({ length: 16 }, (_, i) => i + 1);
    for (const elements of [8, 3, 0]) compare(partial(elements, 8, 4), [halves, new Uint32Array(4)], { elements: 100 });
    compare(partial(3, 4, 2, 8), [halves, new Uint32Array(4)], { elements: 100 });
  });
  it.each(["no wait", "no commit", "early read", "no barrier"] as const)("%s: what has not come shows", (sabotage) => {
    const run = { program: copying(sabotage), buffers: [source, new Float32Array(64)], params: {}, groups: 1 };
    const expected = executor.run({ ...run, program: copying("nothing") })[1]!;
    const wrong = ORDERS.filter((order) => {
      control(`order ${order}`);
      return executor.run(run)[1]!.some((x, i) => !Object.is(x, expected[i]));
    });
    // The early read is overwritten at the end.
    if (sabotage === "early read") expect(wrong).toEqual([]);
    else expect(wrong.length).toBeGreaterThan(0);
  });
  it("misaligned copies end the launch", () => {
    const own = new Executor();
    const halves = Int16Array.from({ length: 16 }, (_, i) => i + 1);
    const run = { program: partial(8, 4, 0), buffers: [halves, new Uint32Array(4)], params: { elements: 8 }, groups: 1 };
    expect(() => own.run(run)).toThrow();
    own.close();
  });
});
