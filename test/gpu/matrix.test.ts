/** Products, convolutions and attention on matrix units: plans, and some results. matrix.long.test.ts has the others. */

import { describe, expect, it } from "vitest";
import { MINIMAL_CAPS } from "../../gpu/interpreter/device.ts";
import { stepsOfPart, tileOf } from "../../gpu/plan_matmul.ts";
import { planMatrix, planPipelined } from "../../gpu/plan_matrix.ts";
import { registerMatrixTests } from "./matrix_cases.ts";

registerMatrixTests("some");

describe("plans", () => {
  const caps = {
    ...MINIMAL_CAPS,
    maxWorkgroupStorage: 99 << 10,
    maxWorkgroupSize: 1024,
    matrix: { f16: true, bf16: true, tf32: true },
    asyncCopy: true,
  };
  const shapes = [
    { batch: 1, m: 8192, n: 8192, k: 8192 },
    { batch: 1, m: 768, n: 3072, k: 8192 },
    { batch: 1, m: 9, n: 5000, k: 4097 },
    { batch: 64, m: 64, n: 64, k: 64 },
    { batch: 1, m: 16, n: 16, k: 100000 },
    { batch: 1, m: 100, n: 100, k: 33 },
  ];
  it.each(shapes)("fit, and their parts cover k: %o", (shape) => {
    for (const format of ["bf16", "tf32"] as const) {
      for (const coming of ["copied", "mixed", "gathered"] as const) {
        for (const processors of [null, 16, 132]) {
          const plan = planMatrix({ ...caps, processors }, shape, format, coming)!;
          const tile = tileOf(plan);
          const steps = stepsOfPart(plan, shape.k);
          expect(steps * plan.splits).toBeGreaterThanOrEqual(shape.k);
          expect(steps * (plan.splits - 1)).toBeLessThan(shape.k);
          expect((tile.m + tile.n) * 64 * plan.stages).toBeLessThanOrEqual(caps.maxWorkgroupStorage);
          expect(plan.stages).toBeGreaterThanOrEqual(2);
          expect(tile.m * tile.n).toBe((plan.threads / 32) * plan.rows * plan.columns);
        }
      }
    }
  });
  it.each(shapes.slice(1))("in full precision, likewise: %o", (shape) => {
    for (const processors of [null, 16, 132]) {
      const plan = planPipelined({ ...caps, processors }, shape);
      if (Math.min(shape.m, shape.n) < 16) {
        expect(plan).toBeNull();
        continue;
      }
      const tile = tileOf(plan!);
      const steps = stepsOfPart(plan!, shape.k);
      expect(steps * plan!.splits).toBeGreaterThanOrEqual(shape.k);
      expect(steps * (plan!.splits - 1)).toBeLessThan(shape.k);
      expect((tile.m + tile.n) * 64 * plan!.stages).toBeLessThanOrEqual(caps.maxWorkgroupStorage);
      expect(tile.m * tile.n).toBe(plan!.threads * plan!.rows * plan!.columns);
    }
    expect(planPipelined({ ...caps, asyncCopy: false }, shape)).toBeNull();
  });
  it("large products have large tiles, small results many parts", () => {
    const plan = (shape: (typeof shapes)[number]) => planMatrix({ ...caps, processors: 132 }, shape, "bf16", "copied")!;
    expect(tileOf(plan(shapes[0]!)).m * tileOf(plan(shapes[0]!)).n).toBe(128 * 256);
    expect(plan(shapes[4]!).splits).toBeGreaterThan(8);
    expect(plan(shapes[0]!).splits).toBe(1);
  });
  it("are not made for what is too small, or has no units", () => {
    expect(planMatrix(caps, { batch: 1, m: 8, n: 1000, k: 1000 }, "f16", "copied")).toBeNull();
    expect(planMatrix(caps, { batch: 1, m: 100, n: 100, k: 8 }, "f16", "copied")).toBeNull();
    expect(planMatrix(MINIMAL_CAPS, { batch: 1, m: 100, n: 100, k: 100 }, "f16", "copied")).toBeNull();
  });
});
