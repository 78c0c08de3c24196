/** attention specs on the device, against plain loops; gradients against finite differences. */

import { describe, expect, it } from "vitest";
import { type DType, float16, float32, float64 } from "../../ts/core/dtype.ts";
import type { View } from "../../ts/core/device.ts";
import { empty, from, run, values } from "./device_tools.ts";

const [B, L, S, E, V] = [2, 3, 5, 4, 6];
const scale = 0.4;

function numbers(count: number, seed: number): Float64Array {
  return Float64Array.from({ length: count }, (_, i) => Math.sin(i * 1.7 + seed) + Math.cos(i * seed) * 0.5);
}
const [q, k, v] = [numbers(B * L * E, 1), numbers(B * S * E, 2), numbers(B * S * V, 3)];
const mask = numbers(L * S, 4);
const g = numbers(B * L * V, 5);

function reference(q: Float64Array, k: Float64Array, v: Float64Array, mask: Float64Array | null, causal: boolean) {
  const [out, lse] = [new Float64Array(B * L * V), new Float64Array(B * L)];
  for (let b = 0; b < B; b++)
    for (let l = 0; l < L; l++) {
      const scores = Array.from({ length: S }, (_, s) => {
        if (causal && s > l) return -Infinity;
        let dot = 0;
        for (let e = 0; e < E; e++) dot += q[(b * L + l) * E + e]! * k[(b * S + s) * E + e]!;
        return dot * scale + (mask ? mask[l * S + s]! : 0);
      });
      const sum = scores.reduce((t, x) => t + Math.exp(x), 0);
      lse[b * L + l] = Math.log(sum);
      for (let s = 0; s < S; s++)
        for (let j = 0; j < V; j++) out[(b * L + l) * V + j]! += (Math.exp(scores[s]!) / sum) * v[(b * S + s) * V + j]!;
    }
  return { out, lse };
}

/** d(sum(f(x) * g)) / dx by central differences. */
function slope(f: (x: Float64Array) => Float64Array, x: Float64Array): Float64Array {
  const h = 1e-5;
  return x.map((_, i) => {
    const at = (d: number): number => f(x.map((u, j) => (i === j ? u + d : u))).reduce((s, y, j) => s + y * g[j]!, 0);
    return (at(h) - at(-h)) / (2 * h);
  });
}

function expectClose(view: View, expected: Float64Array, tolerance: number): void {
  const got = values(view);
  expect(got.length).toBe(expected.length);
  got.forEach((value, i) => expect(Math.abs(value - expected[i]!)).toBeLessThan(tolerance));
}

describe.each([
  [float64, 1e-7],
  [float32, 1e-5],
  [float16, 1e-2],
] as [DType, number][])("attention of %s", (dtype, tolerance) => {
  it.each([
    [false, false],
    [true, false],
    [false, true],
  ])("with mask: %s, causal: %s; forward and backward", (masked, causal) => {
    // Keys lie transposed by rows and the mask is shared by the batch: strides as the engine passes them.
    const maskViews = masked ? [{ ...from(dtype, [L, S], mask), shape: [B, L, S], strides: [0, S, 1] }] : [];
    const spread = new Float64Array(S * B * E);
    k.forEach((value, i) => {
      const [b, s, e] = [Math.floor(i / (S * E)), Math.floor(i / E) % S, i % E];
      spread[(s * B + b) * E + e] = value;
    });
    const kv: View = { ...from(dtype, [S, B, E], spread), shape: [B, S, E], strides: [E, B * E, 1] };
    const inputs = [from(dtype, [B, L, E], q), kv, from(dtype, [B, S, V], v)];
    const [out, lse] = [empty(dtype, [B, L, V]), empty(dtype === float64 ? float64 : float32, [B, L])];
    const params = { scale, causal };
    run({ kind: "attention", mode: "forward", dtype, mask: masked }, [...inputs, ...maskViews], [out, lse], params);
    const m = masked ? mask : null;
    const expected = reference(q, k, v, m, causal);
    expectClose(out, expected.out, tolerance);
    expectClose(lse, expected.lse, tolerance);

    const grads = [empty(dtype, [B, L, E]), empty(dtype, [B, S, E]), empty(dtype, [B, S, V])];
    const all = [from(dtype, [B, L, V], g), ...inputs, out, lse, ...maskViews];
    run({ kind: "attention", mode: "backward", dtype, mask: masked }, all, grads, params);
    expectClose(
      grads[0]!,
      slope((x) => reference(x, k, v, m, causal).out, q),
      tolerance * 4,
    );
    expectClose(
      grads[1]!,
      slope((x) => reference(q, x, v, m, causal).out, k),
      tolerance * 4,
    );
    expectClose(
      grads[2]!,
      slope((x) => reference(q, k, x, m, causal).out, v),
      tolerance * 4,
    );
  });
});
