import { describe, expect, test } from "vitest";
import { attentionBackward, attentionForward, type Attention, type HeadsView } from "../../wasm/device/cpp/attention.ts";
import { Harness, randomF64, variants, worstError } from "./cpp_harness.ts";

interface Case {
  name: string;
  batch: number;
  heads: number;
  kvHeads: number;
  tq: number;
  tk: number;
  d: number;
  dv: number;
  causal?: boolean;
  mask?: "full" | "keys" | "dead row";
}

const cases: Case[] = [
  { name: "plain", batch: 2, heads: 3, kvHeads: 3, tq: 64, tk: 64, d: 32, dv: 32 },
  { name: "causal", batch: 1, heads: 2, kvHeads: 2, tq: 150, tk: 150, d: 20, dv: 20, causal: true },
  { name: "ragged, values of other width", batch: 1, heads: 2, kvHeads: 2, tq: 7, tk: 300, d: 5, dv: 11 },
  { name: "grouped queries, causal", batch: 2, heads: 4, kvHeads: 2, tq: 33, tk: 40, d: 16, dv: 16, causal: true },
  { name: "more queries than keys, causal", batch: 1, heads: 1, kvHeads: 1, tq: 40, tk: 9, d: 8, dv: 8, causal: true },
  { name: "mask", batch: 2, heads: 2, kvHeads: 2, tq: 20, tk: 30, d: 8, dv: 8, mask: "full" },
  { name: "mask over keys", batch: 2, heads: 2, kvHeads: 2, tq: 20, tk: 30, d: 8, dv: 8, mask: "keys" },
  { name: "row with nothing visible", batch: 1, heads: 2, kvHeads: 2, tq: 6, tk: 10, d: 8, dv: 8, mask: "dead row" },
  { name: "wide heads", batch: 1, heads: 1, kvHeads: 1, tq: 70, tk: 90, d: 256, dv: 256 },
];

describe.each(variants())("attention (%s)", (variant) => {
  const h = new Harness(variant);
  for (const dtype of ["f32", "f64"] as const)
    test.each(cases)(`$name, ${dtype}`, (c) => {
      h.clear();
      const { batch, heads, kvHeads, tq, tk, d, dv } = c;
      const put = (a: Float64Array): number => h.put(dtype === "f32" ? Float32Array.from(a) : a);
      const get = (ptr: number, n: number): ArrayLike<number> => (dtype === "f32" ? h.f32(ptr, n) : h.f64(ptr, n));
      const [nq, nk, nv, no] = [
        batch * heads * tq * d,
        batch * kvHeads * tk * d,
        batch * kvHeads * tk * dv,
        batch * heads * tq * dv,
      ];
      const [q, k, v, g] = [randomF64(nq, 1), randomF64(nk, 2), randomF64(nv, 3), randomF64(no, 4)];
      const mask = randomF64(batch * heads * tq * tk, 5, 3).map((x, i) => (x > 2 && i % tk ? -Infinity : x));
      if (c.mask === "dead row") for (let j = 0; j < tk; j++) mask[2 * tk + j] = -Infinity;
      const maskAt = (b: number, n: number, i: number, j: number): number =>
        c.mask === undefined ? 0 : c.mask === "keys" ? mask[b * tk + j]! : mask[((b * heads + n) * tq + i) * tk + j]!;
      const scale = 0.7 / Math.sqrt(d);

      const out = new Float64Array(no);
      const [dq, dk, dvalue] = [new Float64Array(nq), new Float64Array(nk), new Float64Array(nv)];
      for (let b = 0; b < batch; b++)
        for (let n = 0; n < heads; n++) {
          const kv = (b * kvHeads + Math.floor(n / (heads / kvHeads))) * tk;
          for (let i = 0; i < tq; i++) {
            const row = (b * heads + n) * tq + i;
            const s = Array.from({ length: tk }, (_, j) => {
              if (c.causal && j > i) return -Infinity;
              let sum = 0;
              for (let x = 0; x < d; x++) sum += q[row * d + x]! * k[(kv + j) * d + x]!;
              return sum * scale + maskAt(b, n, i, j);
            });
            const top = Math.max(...s);
            const e = s.map((x) => (top === -Infinity ? 0 : Math.exp(x - top)));
            const total = e.reduce((a, x) => a + x, 0) || 1;
            const p = e.map((x) => x / total);
            const dp = p.map((_, j) => {
              let sum = 0;
              for (let x = 0; x < dv; x++) sum += g[row * dv + x]! * v[(kv + j) * dv + x]!;
              return sum;
            });
            const delta = p.reduce((a, x, j) => a + x * dp[j]!, 0);
            for (let j = 0; j < tk; j++) {
              const ds = p[j]! * (dp[j]! - delta) * scale;
              for (let x = 0; x < dv; x++) {
                out[row * dv + x]! += p[j]! * v[(kv + j) * dv + x]!;
                dvalue[(kv + j) * dv + x]! += p[j]! * g[row * dv + x]!;
              }
              for (let x = 0; x < d; x++) {
                dq[row * d + x]! += ds * k[(kv + j) * d + x]!;
                dk[(kv + j) * d + x]! += ds * q[row * d + x]!;
              }
            }
          }
        }

      const view = (ptr: number, headCount: number, rows: number, width: number): HeadsView => ({
        ptr,
        strides: [headCount * rows * width, rows * width, width],
      });
      const blank = (n: number): number => put(new Float64Array(n).fill(NaN));
      const problem: Attention = {
        dtype,
        batch,
        heads,
        kvHeads,
        tq,
        tk,
        d,
        dv,
        scale,
        causal: c.causal ?? false,
        lse: blank(batch * heads * tq),
        q: view(put(q), heads, tq, d),
        k: view(put(k), kvHeads, tk, d),
        v: view(put(v), kvHeads, tk, dv),
        out: view(blank(no), heads, tq, dv),
        ...(c.mask === undefined
          ? {}
          : { mask: { ptr: put(mask), strides: c.mask === "keys" ? [tk, 0, 0, 1] : [heads * tq * tk, tq * tk, tk, 1] } }),
      };
      const tolerance = dtype === "f32" ? 3e-6 : 1e-14;
      attentionForward(h, problem);
      expect(worstError(get(problem.out.ptr, no), out), "out").toBeLessThan(tolerance);
      const grads = {
        dout: view(put(g), heads, tq, dv),
        dq: view(blank(nq), heads, tq, d),
        dk: view(blank(nk), kvHeads, tk, d),
        dv: view(blank(nv), kvHeads, tk, dv),
      };
      attentionBackward(h, { ...problem, grads });
      expect(worstError(get(grads.dq.ptr, nq), dq), "dq").toBeLessThan(tolerance);
      expect(worstError(get(grads.dk.ptr, nk), dk), "dk").toBeLessThan(tolerance * 3);
      expect(worstError(get(grads.dv.ptr, nv), dvalue), "dv").toBeLessThan(tolerance * 3);
    });
});
