import { describe, expect, test } from "vitest";
import { float32, float64, type DType } from "../../ts/core/dtype.ts";
import { load, op, type ScalarOp } from "../../ts/kernel/expr.ts";
import { lowerMap } from "../../wasm/device/lower/map.ts";
import { TestContext, type Value } from "./context.ts";
import { SPECIAL } from "./special_table.ts";

const context = new TestContext();

function run(name: ScalarOp, dtype: DType, columns: readonly (readonly Value[])[]): number[] {
  context.clear();
  const n = columns[0]!.length;
  const inputs = columns.map((c) => context.tensor(dtype, [n], c));
  const out = context.tensor(dtype, [n], null);
  const x = op(name, dtype, ...columns.map((_, i) => load(i, dtype)));
  context.run(lowerMap, { kind: "map", inputs: columns.map(() => dtype), scalars: 0, outputs: [x] }, inputs, [out], {
    scalars: [],
  });
  return context.values(out).map(Number);
}

/** Relative error allowed in float64; what loses more near a zero of the function is measured against 1. */
const ALLOWED: { readonly [K in ScalarOp]?: number } = {
  zeta: 1e-12,
  polygamma: 1e-11,
  igamma: 1e-10,
  igammac: 1e-10,
  digamma: 1e-13,
};

describe("special functions", () => {
  for (const [name, rows] of Object.entries(SPECIAL) as [ScalarOp, readonly (readonly number[])[]][]) {
    test(name, () => {
      const columns = rows[0]!.slice(0, -1).map((_, i) => rows.map((r) => r[i]!));
      const wide = run(name, float64, columns);
      const allowed = ALLOWED[name] ?? 1e-13;
      let worst = 0;
      rows.forEach((row, i) => {
        const want = row.at(-1)!;
        const off =
          wide[i] === want
            ? 0
            : Math.abs(wide[i]! - want) / Math.max(Math.abs(want), name === "lgamma" || name === "digamma" ? 1 : 1e-300);
        worst = Math.max(worst, off);
        if (!(off <= allowed)) expect.fail(`${name}(${row.slice(0, -1).join()}) is ${wide[i]}, expected ${want}`);
      });
      if (process.env.KINDLING_SHOW_ULPS) console.log(`${name}: ${worst}`);
      // float32 arguments differ, so it is compared with float64 at its own.
      const rounded = columns.map((c) => c.map(Math.fround));
      const exact = run(name, float64, rounded);
      run(name, float32, rounded).forEach((x, i) => {
        const want = Math.fround(exact[i]!);
        if (!Object.is(x, want) && !(Math.abs(x - want) <= 3e-7 * Math.abs(want) + 1e-44)) {
          expect.fail(`${name}(${rounded.map((c) => c[i]).join()}) in float32 is ${x}, expected ${want}`);
        }
      });
    });
  }

  test("at the edges", () => {
    // (+ 0: the sign of a zero does not matter here.)
    const at = (name: ScalarOp, ...args: number[]): number =>
      run(
        name,
        float64,
        args.map((x) => [x]),
      )[0]! + 0;
    expect(at("erf", Infinity)).toBe(1);
    expect(at("erf", NaN)).toBeNaN();
    expect(at("erfc", -Infinity)).toBe(2);
    expect(at("erfc", Infinity)).toBe(0);
    expect(at("erfinv", 1)).toBe(Infinity);
    expect(at("erfinv", -1)).toBe(-Infinity);
    expect(at("erfinv", 1.5)).toBeNaN();
    expect(at("ndtri", 0)).toBe(-Infinity);
    expect(at("ndtri", 1)).toBe(Infinity);
    expect(at("log_ndtr", Infinity)).toBe(0);
    expect(at("log_ndtr", -Infinity)).toBe(-Infinity);
    expect(at("lgamma", 0)).toBe(Infinity);
    expect(at("lgamma", -3)).toBe(Infinity);
    expect(at("lgamma", 1)).toBe(0);
    expect(at("lgamma", Infinity)).toBe(Infinity);
    expect(at("lgamma", NaN)).toBeNaN();
    expect(at("digamma", 0)).toBe(-Infinity);
    expect(at("digamma", -2)).toBeNaN();
    expect(at("i0", 0)).toBe(1);
    expect(at("i0e", 1e300)).toBeGreaterThan(0);
    expect(at("i1", 0)).toBe(0);
    expect(at("zeta", 1, 2)).toBe(Infinity);
    expect(at("zeta", 0.5, 2)).toBeNaN();
    expect(at("igamma", 2, 0)).toBe(0);
    expect(at("igammac", 2, 0)).toBe(1);
    expect(at("igamma", 2, Infinity)).toBe(1);
    expect(at("igamma", -1, 2)).toBeNaN();
    expect(at("erfcx", 1e300)).toBeGreaterThan(0);
    expect(at("erfcx", -30)).toBe(Infinity);
  });
});
