import { describe, expect, test } from "vitest";
import { avgPool, avgPoolBackward, maxPool, maxPoolBackward, type Pool } from "../../wasm/device/cpp/pool.ts";
import { Harness, randomF64, variants, worstError } from "./cpp_harness.ts";

type Triple = [number, number, number];
interface Case {
  name: string;
  input: Triple;
  output: Triple;
  kernel?: Triple;
  stride?: Triple;
  padding?: Triple;
  dilation?: Triple;
  countIncludePad?: boolean;
  divisorOverride?: number;
}

const cases: Case[] = [
  { name: "2x2", input: [1, 12, 20], output: [1, 6, 10], kernel: [1, 2, 2], stride: [1, 2, 2] },
  { name: "2x2, odd size", input: [1, 13, 11], output: [1, 6, 5], kernel: [1, 2, 2], stride: [1, 2, 2] },
  { name: "3x3, padded", input: [1, 9, 10], output: [1, 5, 5], kernel: [1, 3, 3], stride: [1, 2, 2], padding: [0, 1, 1] },
  {
    name: "3x3, padding not counted",
    input: [1, 9, 10],
    output: [1, 5, 5],
    kernel: [1, 3, 3],
    stride: [1, 2, 2],
    padding: [0, 1, 1],
    countIncludePad: false,
  },
  { name: "ceil mode", input: [1, 8, 8], output: [1, 4, 4], kernel: [1, 3, 3], stride: [1, 2, 2] },
  { name: "divisor", input: [1, 8, 8], output: [1, 4, 4], kernel: [1, 2, 2], stride: [1, 2, 2], divisorOverride: 3 },
  { name: "overlapping 3d", input: [4, 5, 6], output: [3, 4, 5], kernel: [2, 2, 2], stride: [1, 1, 1] },
  { name: "adaptive", input: [1, 7, 10], output: [1, 3, 4] },
  { name: "adaptive to one", input: [1, 7, 10], output: [1, 1, 1] },
];
const dilated: Case = {
  name: "dilated",
  input: [1, 9, 10],
  output: [1, 4, 7],
  kernel: [1, 3, 2],
  stride: [1, 2, 1],
  padding: [0, 1, 0],
  dilation: [1, 2, 3],
};

/** Positions of each window along one dimension, and its extent with padding. */
function windows(c: Case, d: number): { at: number[]; padded: number }[] {
  return Array.from({ length: c.output[d]! }, (_, o) => {
    const n = c.input[d]!;
    if (!c.kernel) {
      const begin = Math.floor((o * n) / c.output[d]!);
      const end = Math.ceil(((o + 1) * n) / c.output[d]!);
      return { at: Array.from({ length: end - begin }, (_, i) => begin + i), padded: end - begin };
    }
    const pad = c.padding?.[d] ?? 0;
    const begin = o * c.stride![d]! - pad;
    const step = c.dilation?.[d] ?? 1;
    const at = Array.from({ length: c.kernel[d]! }, (_, i) => begin + i * step).filter((i) => i >= 0 && i < n);
    return { at, padded: Math.min(begin + c.kernel[d]!, n + pad) - begin };
  });
}

function each(c: Case, visit: (o: number, elements: number[], padded: number) => void): void {
  const [D, H, W] = [0, 1, 2].map((d) => windows(c, d)) as [
    ReturnType<typeof windows>,
    ReturnType<typeof windows>,
    ReturnType<typeof windows>,
  ];
  let o = 0;
  for (const d of D)
    for (const h of H)
      for (const w of W)
        visit(
          o++,
          d.at.flatMap((id) => h.at.flatMap((ih) => w.at.map((iw) => (id * c.input[1] + ih) * c.input[2] + iw))),
          d.padded * h.padded * w.padded,
        );
}

describe.each(variants())("pooling (%s)", (variant) => {
  const h = new Harness(variant);
  for (const dtype of ["f32", "f64"] as const) {
    const put = (a: Float64Array): number => h.put(dtype === "f32" ? Float32Array.from(a) : a);
    const get = (ptr: number, n: number): ArrayLike<number> => (dtype === "f32" ? h.f32(ptr, n) : h.f64(ptr, n));
    const setUp = (c: Case) => {
      h.clear();
      const planes = 5;
      const [n, m] = [c.input[0] * c.input[1] * c.input[2], c.output[0] * c.output[1] * c.output[2]];
      const x = Float64Array.from(randomF64(planes * n, 1), Math.fround);
      const dy = randomF64(planes * m, 2);
      const blank = (length: number): number => put(new Float64Array(length).fill(NaN));
      const pool: Pool = {
        dtype,
        planes,
        input: c.input,
        output: c.output,
        x: put(x),
        y: blank(planes * m),
        ...(c.kernel
          ? {
              window: {
                kernel: c.kernel,
                stride: c.stride!,
                padding: c.padding ?? [0, 0, 0],
                ...(c.dilation ? { dilation: c.dilation } : {}),
              },
            }
          : {}),
        ...(c.countIncludePad === undefined ? {} : { countIncludePad: c.countIncludePad }),
        ...(c.divisorOverride ? { divisorOverride: c.divisorOverride } : {}),
      };
      return { planes, n, m, x, dy, blank, pool };
    };

    test.each([...cases, dilated])(`max, $name, ${dtype}`, (c) => {
      const { planes, n, m, x, dy, blank, pool } = setUp(c);
      x[3] = NaN;
      const ptr = put(x);
      const [y, index, dx] = [new Float64Array(planes * m), new Array<bigint>(planes * m), new Float64Array(planes * n)];
      for (let p = 0; p < planes; p++)
        each(c, (o, elements) => {
          let best = elements[0]!;
          let value = -Infinity;
          for (const e of elements) {
            const v = x[p * n + e]!;
            if (v > value || Number.isNaN(v)) [best, value] = [e, v];
          }
          y[p * m + o] = value;
          index[p * m + o] = BigInt(best);
          dx[p * n + best]! += dy[p * m + o]!;
        });
      const indices = h.workspace(planes * m * 8);
      maxPool(h, { ...pool, x: ptr, indices });
      expect(worstError(get(pool.y, planes * m), y)).toBe(0);
      expect(Array.from(h.i64(indices, planes * m))).toEqual(index);
      const out = blank(planes * n);
      maxPoolBackward(h, { ...pool, x: out, y: put(dy), indices });
      expect(worstError(get(out, planes * n), dx)).toBeLessThan(1e-6);
    });

    test.each(cases)(`avg, $name, ${dtype}`, (c) => {
      const { planes, n, m, x, dy, blank, pool } = setUp(c);
      const [y, dx] = [new Float64Array(planes * m), new Float64Array(planes * n)];
      for (let p = 0; p < planes; p++)
        each(c, (o, elements, padded) => {
          const divisor = c.divisorOverride ?? ((c.countIncludePad ?? true) ? padded : elements.length);
          for (const e of elements) {
            y[p * m + o]! += x[p * n + e]! / divisor;
            dx[p * n + e]! += dy[p * m + o]! / divisor;
          }
        });
      avgPool(h, pool);
      expect(worstError(get(pool.y, planes * m), y)).toBeLessThan(dtype === "f32" ? 1e-6 : 1e-14);
      const out = blank(planes * n);
      avgPoolBackward(h, { ...pool, x: out, y: put(dy) });
      expect(worstError(get(out, planes * n), dx)).toBeLessThan(dtype === "f32" ? 1e-6 : 1e-14);
    });
  }
});
