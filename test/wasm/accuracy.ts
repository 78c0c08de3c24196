/** Sweeps of the float32 functions against float64, shared by the quick test and the slow one. */

import { expect, test } from "vitest";
import { float32 } from "../../ts/core/dtype.ts";
import { load, op, type ScalarOp } from "../../ts/kernel/expr.ts";
import { lowerMap } from "../../wasm/device/lower/map.ts";
import { randoms, TestContext } from "./context.ts";
import { erf, power } from "./reference.ts";

/** What float64 says, and the units in the last place that float32 may be off. */
const UNARY: { readonly [K in ScalarOp]?: readonly [reference: (x: number) => number, ulps: number] } = {
  exp: [Math.exp, 2],
  exp2: [(x) => 2 ** x, 2],
  expm1: [Math.expm1, 2],
  log: [Math.log, 2],
  log2: [Math.log2, 2],
  log10: [Math.log10, 2],
  log1p: [Math.log1p, 2],
  sin: [Math.sin, 2],
  cos: [Math.cos, 2],
  tanh: [Math.tanh, 2],
  sigmoid: [(x) => 1 / (1 + Math.exp(-x)), 2],
  erf: [erf, 2],
  tan: [Math.tan, 4],
  asin: [Math.asin, 3],
  acos: [Math.acos, 3],
  atan: [Math.atan, 3],
  sinh: [Math.sinh, 3],
  cosh: [Math.cosh, 3],
  sqrt: [Math.sqrt, 0.501],
  rsqrt: [(x) => 1 / Math.sqrt(x), 2],
  reciprocal: [(x) => 1 / x, 0.501],
};

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);

/** One unit in the last place of float32 near a number. */
function unit(x: number): number {
  word[0] = x;
  return 2 ** (Math.max((bits[0]! >>> 23) & 255, 1) - 150);
}

/** Distance of a float32 result from the exact value, in units of its last place; rounding to Inf counts from 2^128. */
function distance(actual: number, exact: number): number {
  if (Object.is(actual, Math.fround(exact)) || (actual === 0 && Math.fround(exact) === 0)) return 0;
  if (Number.isNaN(actual) || Number.isNaN(exact)) return Infinity;
  const least = 2 ** 128;
  const [a, b] = [actual, exact].map((x) => Math.max(-least, Math.min(least, x))) as [number, number];
  return Math.abs(a - b) / unit(Math.fround(exact));
}

const BATCH = 1 << 18;

/**
 * Feeds `count` float32 numbers to every function: bit patterns at even steps, so that all exponents, subnormals, Inf and NaN come up, and as many
 * from the range in which functions are interesting.
 */
export function sweep(count: number): void {
  const context = new TestContext();
  for (const [name, [reference, allowed]] of Object.entries(UNARY)) {
    test(name, () => {
      const random = randoms(count);
      const run = lowerMap(
        { kind: "map", inputs: [float32], scalars: 0, outputs: [op(name as ScalarOp, float32, load(0, float32))] },
        context,
      );
      const [x, y] = [context.tensor(float32, [BATCH], null), context.tensor(float32, [BATCH], null)];
      const [from, to] = [context.address(x) / 4, context.address(y) / 4];
      const step = Math.floor(2 ** 32 / count) | 1;
      let worst = 0;
      let at = 0;
      let pattern = 0;
      for (let done = 0; done < 2 * count; done += BATCH) {
        for (let i = 0; i < BATCH; i++) {
          if (done < count) context.heap.u32[from + i] = pattern = (pattern + step) >>> 0;
          else context.heap.f32[from + i] = (random() - 0.5) * (i & 1 ? 4 : 250);
        }
        run([x], [y], { scalars: [] });
        for (let i = 0; i < BATCH; i++) {
          const off = distance(context.heap.f32[to + i]!, reference(context.heap.f32[from + i]!));
          if (off > worst) {
            worst = off;
            at = context.heap.f32[from + i]!;
          }
        }
      }
      if (process.env.KINDLING_SHOW_ULPS) console.log(`${name}: ${worst.toFixed(3)} at ${at}`);
      expect(worst, `at ${at}`).toBeLessThanOrEqual(allowed);
    });
  }

  test("pow", () => {
    const random = randoms(count + 1);
    const spec = {
      kind: "map",
      inputs: [float32, float32],
      scalars: 0,
      outputs: [op("pow", float32, load(0, float32), load(1, float32))],
    } as const;
    const run = lowerMap(spec, context);
    const views = [0, 1, 2].map(() => context.tensor(float32, [BATCH], null));
    const [a, b, y] = views.map((v) => context.address(v) / 4) as [number, number, number];
    const special = [0, -0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 16777217, Infinity, -Infinity, NaN, 1e-40, 3.4e38, -7, 1e10];
    let worst = 0;
    let at = "";
    for (let done = 0; done < count; done += BATCH) {
      for (let i = 0; i < BATCH; i++) {
        const { f32, u32 } = context.heap;
        if (i < special.length ** 2) {
          f32[a + i] = special[i % special.length]!;
          f32[b + i] = special[Math.floor(i / special.length)]!;
        } else {
          // Bases of every size, with exponents for which the result is in range.
          u32[a + i] = Math.floor(random() * 2 ** 32);
          f32[b + i] = ((random() - 0.5) * 300) / Math.max(Math.abs(Math.log2(Math.abs(f32[a + i]!))), 1e-3);
          if (random() < 0.3) f32[b + i] = Math.round(f32[b + i]!);
        }
      }
      run(views.slice(0, 2), views.slice(2), { scalars: [] });
      for (let i = 0; i < BATCH; i++) {
        const [p, q] = [context.heap.f32[a + i]!, context.heap.f32[b + i]!];
        const off = distance(context.heap.f32[y + i]!, power(p, q));
        if (off > worst) {
          worst = off;
          at = `${p} ** ${q}`;
        }
      }
    }
    if (process.env.KINDLING_SHOW_ULPS) console.log(`pow: ${worst.toFixed(3)} at ${at}`);
    expect(worst, at).toBeLessThanOrEqual(4);
  });
}
