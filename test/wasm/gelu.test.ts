/** GELU and its slope in float32 against float64: x cdf(x) and cdf(x) + x density(x), cdf(x) = erfc(-x / sqrt 2) / 2. */

import { expect, test } from "vitest";
import { float32 } from "../../ts/core/dtype.ts";
import { load, op } from "../../ts/kernel/expr.ts";
import { lowerMap } from "../../wasm/device/lower/map.ts";
import { randoms, TestContext } from "./context.ts";
import { erf } from "./reference.ts";

const COUNT = 1 << 18;
const cdf = (x: number): number => 0.5 * (1 + erf(x * Math.SQRT1_2));
const density = (x: number): number => Math.exp(-0.5 * x * x) / Math.sqrt(2 * Math.PI);

/** The largest error over |x| < 16, relative to scale(x), and the results for some special arguments. */
function measure(
  name: "gelu" | "gelu_slope",
  exact: (x: number) => number,
  scale: (x: number) => number,
): { worst: number; special: number[] } {
  const context = new TestContext();
  const run = lowerMap({ kind: "map", inputs: [float32], scalars: 0, outputs: [op(name, float32, load(0, float32))] }, context);
  const [x, y] = [context.tensor(float32, [COUNT], null), context.tensor(float32, [COUNT], null)];
  const [from, to] = [context.address(x) / 4, context.address(y) / 4];
  const random = randoms(COUNT);
  for (let i = 0; i < COUNT; i++) context.heap.f32[from + i] = (random() - 0.5) * (i & 1 ? 4 : 32);
  const special = [0, Infinity, -Infinity, NaN];
  context.heap.f32.set(special, from);
  run([x], [y], { scalars: [] });
  let worst = 0;
  for (let i = special.length; i < COUNT; i++) {
    const at = context.heap.f32[from + i]!;
    worst = Math.max(worst, Math.abs(context.heap.f32[to + i]! - exact(at)) / scale(at));
  }
  return { worst, special: [...context.heap.f32.subarray(to, to + special.length)] };
}

// The cdf is good to an absolute 2e-7, of which rounding the product adds up to 2^-24.
test("gelu is within 3e-7 |x|", () => {
  const { worst, special } = measure("gelu", (x) => x * cdf(x), Math.abs);
  expect(worst).toBeLessThan(3e-7);
  expect(special[0]).toBe(0);
  expect(special[1]).toBe(Infinity);
  expect(special[3]).toBeNaN();
});

test("gelu_slope is within 5e-7", () => {
  const { worst, special } = measure(
    "gelu_slope",
    (x) => cdf(x) + x * density(x),
    () => 1,
  );
  expect(worst).toBeLessThan(5e-7);
  expect(special[0]).toBe(0.5);
  expect(special[3]).toBeNaN();
});
