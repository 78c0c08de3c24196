import { describe, expect, test } from "vitest";
import { gemm, type Gemm } from "../../wasm/device/cpp/gemm.ts";
import { Harness, randomF64, variants, worstError } from "./cpp_harness.ts";

interface Layout {
  transA: boolean;
  transB: boolean;
}
const layouts: Layout[] = [false, true].flatMap((transA) => [false, true].map((transB) => ({ transA, transB })));

const sizes: [number, number, number][] = [
  [1, 1, 1],
  [2, 3, 4],
  [4, 4, 4],
  [1, 100, 300],
  [300, 1, 100],
  [3, 65, 17],
  [5, 7, 0],
  [7, 9, 600],
  [64, 10, 70],
  [64, 33, 10],
  [13, 21, 34],
  [97, 130, 257],
  [200, 40, 300],
];

/** Plain triple loop in float64. */
function reference(p: { m: number; n: number; k: number }, a: Float64Array, b: Float64Array, l: Layout): Float64Array {
  const out = new Float64Array(p.m * p.n);
  for (let i = 0; i < p.m; i++)
    for (let j = 0; j < p.n; j++) {
      let sum = 0;
      for (let x = 0; x < p.k; x++) sum += a[l.transA ? x * p.m + i : i * p.k + x]! * b[l.transB ? j * p.k + x : x * p.n + j]!;
      out[i * p.n + j] = sum;
    }
  return out;
}

function strides(rows: number, columns: number, transposed: boolean): [number, number] {
  return transposed ? [1, rows] : [columns, 1];
}

describe.each(variants())("gemm (%s)", (variant) => {
  const h = new Harness(variant);
  test.each(["f32", "f64"] as const)("%s: every layout and size, with alpha, beta and bias", (dtype) => {
    for (const [m, n, k] of sizes)
      for (const layout of layouts) {
        h.clear();
        const [a, b, c, rowBias, columnBias] = [
          randomF64(m * k, 1),
          randomF64(k * n, 2),
          randomF64(m * n, 3),
          randomF64(m, 4),
          randomF64(n, 5),
        ];
        const put = (x: Float64Array): number => h.put(dtype === "f32" ? Float32Array.from(x) : x);
        const get = (ptr: number): Float32Array | Float64Array => (dtype === "f32" ? h.f32(ptr, m * n) : h.f64(ptr, m * n));
        const base: Gemm = {
          dtype,
          m,
          n,
          k,
          a: put(a),
          b: put(b),
          c: put(c),
          aStrides: strides(m, k, layout.transA),
          bStrides: strides(k, n, layout.transB),
          cRow: n,
        };
        const product = reference(base, a, b, layout);
        const tolerance = dtype === "f32" ? 1e-5 : 1e-13;
        gemm(h, base);
        expect(worstError(get(base.c), product), `${m}x${n}x${k}`).toBeLessThan(tolerance);
        const full: Gemm = { ...base, c: put(c), alpha: 0.5, beta: 2, bias: put(columnBias), biasPer: "column" };
        gemm(h, full);
        expect(
          worstError(
            get(full.c),
            product.map((x, i) => 0.5 * x + 2 * c[i]! + columnBias[i % n]!),
          ),
        ).toBeLessThan(tolerance);
        const byRow: Gemm = { ...base, bias: put(rowBias), biasPer: "row" };
        gemm(h, byRow);
        expect(
          worstError(
            get(byRow.c),
            product.map((x, i) => x + rowBias[Math.floor(i / n)]!),
          ),
        ).toBeLessThan(tolerance);
      }
  });

  test("batches, broadcast over one operand, tasks in any order", () => {
    for (const [m, n, k] of [
      [4, 4, 4],
      [64, 64, 32],
      [130, 40, 20],
    ] as const)
      for (const shared of ["a", "b"] as const) {
        h.clear();
        const [b0, b1] = [3, 5];
        const a = randomF64((shared === "a" ? b1 : b0 * b1) * m * k, 7);
        const b = randomF64((shared === "b" ? b1 : b0 * b1) * k * n, 8);
        const c = h.workspace(b0 * b1 * m * n * 8);
        const problem: Gemm = {
          dtype: "f64",
          m,
          n,
          k,
          a: h.put(a),
          b: h.put(b),
          c,
          aStrides: [k, 1],
          bStrides: [n, 1],
          cRow: n,
          batch: [b0, b1],
          aBatch: [shared === "a" ? 0 : b1 * m * k, m * k],
          bBatch: [shared === "b" ? 0 : b1 * k * n, k * n],
          cBatch: [b1 * m * n, m * n],
        };
        for (const reversed of [false, true]) {
          h.f64(c, b0 * b1 * m * n).fill(NaN);
          h.reversed = reversed;
          gemm(h, problem);
          h.reversed = false;
          for (let i = 0; i < b0 * b1; i++) {
            const pa = shared === "a" ? i % b1 : i;
            const pb = shared === "b" ? i % b1 : i;
            const want = reference(problem, a.subarray(pa * m * k), b.subarray(pb * k * n), { transA: false, transB: false });
            expect(worstError(h.f64(c + i * m * n * 8, m * n), want)).toBeLessThan(1e-13);
          }
        }
      }
  });

  test("integers wrap", () => {
    for (const layout of layouts) {
      h.clear();
      const [m, n, k] = [9, 21, 13];
      const big = (length: number, seed: number): bigint[] =>
        Array.from(randomF64(length, seed), (x) => BigInt(Math.floor(x * 2 ** 50)));
      const [a, b] = [big(m * k, 1), big(k * n, 2)];
      const want = (bits: number): bigint[] =>
        Array.from({ length: m * n }, (_, i) => {
          let sum = 0n;
          for (let x = 0; x < k; x++)
            sum +=
              a[layout.transA ? x * m + Math.floor(i / n) : Math.floor(i / n) * k + x]! *
              b[layout.transB ? (i % n) * k + x : x * n + (i % n)]!;
          return BigInt.asIntN(bits, sum);
        });
      const shape = { m, n, k, aStrides: strides(m, k, layout.transA), bStrides: strides(k, n, layout.transB), cRow: n };
      const c64 = h.workspace(m * n * 8);
      gemm(h, { dtype: "i64", ...shape, a: h.put(BigInt64Array.from(a)), b: h.put(BigInt64Array.from(b)), c: c64 });
      expect(Array.from(h.i64(c64, m * n))).toEqual(want(64));
      const low = (v: bigint[]): Int32Array => Int32Array.from(v, (x) => Number(BigInt.asIntN(32, x)));
      const c32 = h.workspace(m * n * 4);
      gemm(h, { dtype: "i32", ...shape, a: h.put(low(a)), b: h.put(low(b)), c: c32 });
      expect(Array.from(h.i32(c32, m * n))).toEqual(want(32).map(Number));
    }
  });
});
