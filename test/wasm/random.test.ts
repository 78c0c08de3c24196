import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import type { View } from "../../ts/core/device.ts";
import * as dtypes from "../../ts/core/dtype.ts";
import { dtypeByName, type DType } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import { loadState, makeGenerator, reseed, saveState } from "../../ts/kernel/generator.ts";
import type { GeneratorState, RandomSpec } from "../../ts/kernel/spec.ts";
import { lowerRandom } from "../../wasm/device/lower/random.ts";
import { rounded, TestContext, type Value } from "./context.ts";

type Distribution = RandomSpec["distribution"];
interface Call {
  readonly call: string;
  readonly dtype: string;
  readonly shape: number[];
  readonly values: (number | string)[];
}
type Row = { readonly seed: number } & (Call | { readonly calls: Call[] });

const golden = JSON.parse(readFileSync(new URL("../golden/random.json", import.meta.url), "utf8")) as { rows: Row[] };
const context = new TestContext();

function draw(
  generator: GeneratorState,
  distribution: Distribution,
  dtype: DType,
  shape: readonly number[],
  a: Value = 0,
  b: Value = 1,
  inputs: View[] = [],
): Value[] {
  const out = context.tensor(dtype, shape, null);
  context.run(lowerRandom, { kind: "random", distribution, dtype }, inputs, [out], { a, b, generator });
  return context.values(out);
}

const f32 = (shape: number[], values: number[]): View => context.tensor(dtypes.float32, shape, values);
const linspace = (n: number): number[] =>
  Array.from({ length: n }, (_, i) => (i < n / 2 ? i / (n - 1) : 1 - (n - 1 - i) / (n - 1)));

/** The calls of the golden rows in terms of the kernel; what the ops on top of it do is done here. */
function perform(g: GeneratorState, { call, dtype: name, shape }: Call): Value[] {
  const dtype = dtypeByName(name)!;
  const n = numelOf(shape);
  const go = (d: Distribution, a?: Value, b?: Value, inputs?: View[]): Value[] => draw(g, d, dtype, shape, a, b, inputs);
  if (call.startsWith("rand(") || call.startsWith("rand [") || call === "rand float64") return go("uniform", 0, 1);
  if (call.startsWith("randn")) return go("normal", 0, 1);
  if (call.startsWith("randperm")) return go("randperm");
  let m = /^randint\((-?\d+), ([\d*]+),/.exec(call);
  if (m) return go("random_int", Number(m[1]), m[2] === "2**40" ? 2 ** 40 : Number(m[2]));
  m = /^(uniform_|normal_|log_normal_|cauchy_)\((-?[\d.]+), ([\d.]+)\)/.exec(call);
  if (m) return go(m[1]!.slice(0, -1) as Distribution, Number(m[2]), Number(m[3]));
  m = /^(exponential_|geometric_)\(([\d.]+)\)/.exec(call);
  if (m) return go(m[1]!.slice(0, -1) as Distribution, Number(m[2]));
  if (call.startsWith("random_() of 40, int64")) return go("random_int", 0n, 1n << 63n);
  if (call.startsWith("random_() of 40, float32")) return go("random_int", 0, 2 ** 24 + 1);
  if (call.startsWith("bernoulli(full")) return go("bernoulli", 0, 0, [context.full(dtypes.float32, shape, 0.3)]);
  if (call.startsWith("bernoulli(linspace")) return go("bernoulli", 0, 0, [f32(shape, linspace(n))]);
  if (call.startsWith("bernoulli_(0.5)")) return go("bernoulli", 0.5);
  m = /^dropout\(.*p=([\d.]+)/.exec(call);
  if (m) {
    const keep = 1 - Number(m[1]);
    const scale = Math.fround(1 / keep);
    return go("bernoulli", keep).map((x) => Number(x) * scale);
  }
  if (call.startsWith("dropout2d")) {
    return draw(g, "bernoulli", dtype, [10], 0.5).flatMap((x) => new Array<number>(4).fill(2 * Number(x)));
  }
  if (call.startsWith("normal(arange")) return go("normal", 0, 1).map((x, i) => Number(x) * 0.5 + i);
  const weights = [0.1, 0.2, 0.3, 0.4];
  if (call.includes("replacement")) {
    return draw(g, "uniform", dtypes.float64, shape).map((u) => BigInt([0.1, 0.3, 0.6, 1].findIndex((c) => Number(u) < c)));
  }
  if (call.startsWith("multinomial")) {
    const keys = draw(g, "exponential", dtypes.float32, [4], 1).map((q, i) => weights[i]! / Number(q));
    return [0, 1, 2, 3].sort((x, y) => keys[y]! - keys[x]!).map(BigInt);
  }
  throw new Error(`the test does not know ${call}`);
}

const NORMAL = /^(randn|normal|log_normal|exponential|cauchy)/;

describe("PyTorch's streams", () => {
  for (const row of golden.rows) {
    const calls = "calls" in row ? row.calls : [row];
    test(`seed ${row.seed}: ${calls.map((c) => `${c.call} [${c.shape.join()}]`).join("; ")}`, () => {
      context.clear();
      const generator = makeGenerator(BigInt(row.seed));
      for (const call of calls) {
        const got = perform(generator, call);
        // The file has the shortest decimals that name a number of the type.
        const want = call.values.map((x) =>
          call.dtype === "int64" ? Number(x) : Number(rounded(dtypeByName(call.dtype)!, Number(x))),
        );
        if (!NORMAL.test(call.call)) expect(got.map(Number)).toEqual(want);
        else {
          expect(got.length).toBe(want.length);
          got.forEach((x, i) => {
            const y = want[i]!;
            expect(Math.abs(Number(x) - y), `value ${i}: ${x}, not ${y}`).toBeLessThanOrEqual(4e-6 * Math.max(1, Math.abs(y)));
          });
        }
        if (call.dtype === "int64") expect(got).toEqual(call.values.map(BigInt));
      }
    });
  }
});

/** The plain mt19937 of the textbook. */
function* twister(seed: number): Generator<number, never> {
  const mt = [seed >>> 0];
  for (let i = 1; i < 624; i++) mt.push((Math.imul(1812433253, mt[i - 1]! ^ (mt[i - 1]! >>> 30)) + i) >>> 0);
  for (;;) {
    for (let i = 0; i < 624; i++) {
      const y = (mt[i]! & 0x80000000) | (mt[(i + 1) % 624]! & 0x7fffffff);
      mt[i] = mt[(i + 397) % 624]! ^ (y >>> 1) ^ (y & 1 ? 0x9908b0df : 0);
    }
    for (let y of mt) {
      y ^= y >>> 11;
      y ^= (y << 7) & 0x9d2c5680;
      y ^= (y << 15) & 0xefc60000;
      yield (y ^ (y >>> 18)) >>> 0;
    }
  }
}

describe("streams against the textbook", () => {
  test("32-bit draws over many twists, in calls of odd sizes", () => {
    const words = twister(5);
    const generator = makeGenerator(5n);
    for (const n of [1, 3, 620, 1, 7, 5000, 2, 1249, 624]) {
      context.clear();
      const want = Array.from({ length: n }, () => BigInt(words.next().value));
      expect(draw(generator, "random_int", dtypes.int64, [n], 0, 2 ** 32 - 1)).toEqual(want.map((w) => w % 0xffffffffn));
    }
  });

  test("64-bit draws that straddle a twist", () => {
    const words = twister(6);
    const generator = makeGenerator(6n);
    const mask = (1n << 53n) - 1n;
    const next = (): bigint => (BigInt(words.next().value) << 32n) | BigInt(words.next().value);
    draw(generator, "random_int", dtypes.int32, [1], 0, 10);
    words.next();
    for (const n of [400, 3000]) {
      context.clear();
      expect(draw(generator, "uniform", dtypes.float64, [n])).toEqual(
        Array.from({ length: n }, () => Number(next() & mask) * 2 ** -53),
      );
    }
    expect(draw(generator, "random_int", dtypes.int64, [5], -(1n << 63n), 1n << 63n)).toEqual(
      Array.from({ length: 5 }, () => BigInt.asIntN(64, next() - (1n << 63n))),
    );
    for (const dtype of [
      dtypes.float32,
      dtypes.bool,
      dtypes.uint8,
      dtypes.int32,
      dtypes.int64,
      dtypes.float64,
      dtypes.bfloat16,
    ]) {
      const want = Array.from({ length: 4099 }, () => (Number(next() & mask) * 2 ** -53 < 0.37 ? 1 : 0));
      expect(draw(generator, "bernoulli", dtype, [4099], 0.37).map(Number)).toEqual(want);
    }
  });

  test("bernoulli at the ends, and from probabilities of every type and layout", () => {
    context.clear();
    const g = makeGenerator(1n);
    expect(new Set(draw(g, "bernoulli", dtypes.float32, [3000], 0))).toEqual(new Set([0]));
    expect(new Set(draw(g, "bernoulli", dtypes.float32, [3000], 1))).toEqual(new Set([1]));
    for (const dtype of [dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64]) {
      reseed(g, 3n);
      const words = twister(3);
      const p = [0, 0.25, 0.5, 1, 0.125, 0.75];
      const want = p.map((x) => {
        const high = BigInt(words.next().value);
        if (dtype !== dtypes.float64) return Number(high & 0xffffffn) * 2 ** -24 < x ? 1 : 0;
        return Number(((high << 32n) | BigInt(words.next().value)) & ((1n << 53n) - 1n)) * 2 ** -53 < x ? 1 : 0;
      });
      const strided = context.tensor(dtype, [2, 3], p, [1, 4], 1);
      expect(draw(g, "bernoulli", dtypes.float32, [2, 3], 0, 0, [strided])).toEqual(want);
    }
  });

  test("random_int in every dtype, randperm in others than int64", () => {
    for (const dtype of [dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.float16, dtypes.float32, dtypes.float64]) {
      context.clear();
      const words = twister(9);
      const low = dtype === dtypes.uint8 ? 0 : -7;
      const want = Array.from({ length: 50 }, () => (words.next().value % (90 - low)) + low);
      expect(draw(makeGenerator(9n), "random_int", dtype, [50], low, 90)).toEqual(want);
      const permutation = draw(makeGenerator(4n), "randperm", dtypes.int64, [60]).map(Number);
      expect(draw(makeGenerator(4n), "randperm", dtype, [60])).toEqual(permutation);
      expect([...permutation].sort((x, y) => x - y)).toEqual(Array.from({ length: 60 }, (_, i) => i));
    }
  });

  test("float16 and bfloat16 normals are those of their uniforms", () => {
    for (const [dtype, epsilon] of [
      [dtypes.float16, 2e-3],
      [dtypes.bfloat16, 2e-2],
    ] as const) {
      context.clear();
      const u = draw(makeGenerator(8n), "uniform", dtype, [32]).map(Number);
      const got = draw(makeGenerator(8n), "normal", dtype, [32], 1, 2).map(Number);
      for (let i = 0; i < 32; i++) {
        const j = i % 16 < 8 ? i : i - 8;
        const radius = Math.sqrt(-2 * Math.log(1 - u[j]!));
        const theta = 2 * Math.PI * u[j + 8]!;
        const want = radius * (i === j ? Math.cos(theta) : Math.sin(theta)) * 2 + 1;
        expect(Math.abs(got[i]! - want)).toBeLessThan(epsilon * (1 + radius * 6));
      }
    }
  });
});

test("bounds of a narrow uniform distribution are rounded to its type", () => {
  for (const dtype of [dtypes.float16, dtypes.bfloat16, dtypes.float32]) {
    context.clear();
    const unit = draw(makeGenerator(2n), "uniform", dtype, [100]).map(Number);
    const low = Number(rounded(dtype, -0.1));
    const span = Number(rounded(dtype, Number(rounded(dtype, 0.3)) - low));
    const want = unit.map((u) => rounded(dtype, u * span + low));
    expect(draw(makeGenerator(2n), "uniform", dtype, [100], -0.1, 0.3)).toEqual(want);
  }
});

test("a float64 uniform distribution is one fused multiply-add", () => {
  context.clear();
  const unit = draw(makeGenerator(2n), "uniform", dtypes.float64, [2000]).map(Number);
  const low = -0.7;
  const span = 0.45 - low;
  const want = unit.map((u) => {
    // Exactly, in units of 2^-113; Number() rounds a bigint to the nearest.
    const product = BigInt(u * 2 ** 53) * BigInt(span * 2 ** 53);
    return Number((product << 7n) + (BigInt(low * 2 ** 53) << 60n)) * 2 ** -113;
  });
  expect(draw(makeGenerator(2n), "uniform", dtypes.float64, [2000], low, 0.45)).toEqual(want);
});

describe("moments", () => {
  const n = 200_000;
  function check(values: Value[], mean: number, variance: number): void {
    const x = values.map(Number);
    const m = x.reduce((s, v) => s + v, 0) / n;
    const v = x.reduce((s, y) => s + (y - m) ** 2, 0) / n;
    expect(Math.abs(m - mean)).toBeLessThan(5 * Math.sqrt(variance / n));
    expect(Math.abs(v / variance - 1)).toBeLessThan(0.06);
  }
  const constant = (value: number): View => context.full(dtypes.float32, [n], value);
  const cases: [string, Distribution, number, number, number[], number, number][] = [
    ["normal", "normal", 3, 2, [], 3, 4],
    ["uniform", "uniform", -2, 4, [], 1, 3],
    ["exponential", "exponential", 2, 0, [], 0.5, 0.25],
    ["geometric", "geometric", 0.25, 0, [], 4, 12],
    ["poisson of small rate", "poisson", 0, 0, [3], 3, 3],
    ["poisson of large rate", "poisson", 0, 0, [40], 40, 40],
    ["binomial by inversion", "binomial", 0, 0, [20, 0.25], 5, 3.75],
    ["binomial by rejection", "binomial", 0, 0, [100, 0.75], 75, 18.75],
    ["gamma", "standard_gamma", 0, 0, [2.5], 2.5, 2.5],
    ["gamma below 1", "standard_gamma", 0, 0, [0.5], 0.5, 0.5],
  ];
  for (const [name, distribution, a, b, inputs, mean, variance] of cases) {
    test(name, () => {
      context.clear();
      check(draw(makeGenerator(11n), distribution, dtypes.float32, [n], a, b, inputs.map(constant)), mean, variance);
    });
  }
  test("float64 normals", () => {
    context.clear();
    check(draw(makeGenerator(11n), "normal", dtypes.float64, [n], 3, 2), 3, 4);
  });
});

describe("generator state", () => {
  test("saves and restores the middle of a stream, with its waiting normal", () => {
    context.clear();
    const g = makeGenerator(77n);
    draw(g, "normal", dtypes.float32, [3]);
    draw(g, "uniform", dtypes.float32, [1000]);
    const bytes = saveState(g);
    expect(bytes.length).toBe(5056);
    const rest = draw(g, "normal", dtypes.float32, [5]);
    const other = makeGenerator(0n);
    loadState(other, bytes);
    expect(other.seed).toBe(77n);
    expect(draw(other, "normal", dtypes.float32, [5])).toEqual(rest);
  });
  test("of a fresh generator equals its seed's", () => {
    const g = makeGenerator(123n);
    const other = makeGenerator(5n);
    loadState(other, saveState(g));
    context.clear();
    expect(draw(other, "uniform", dtypes.float32, [4])).toEqual(draw(g, "uniform", dtypes.float32, [4]));
  });
  test("refuses other bytes", () => {
    expect(() => loadState(makeGenerator(0n), new Uint8Array(10))).toThrow("5056 bytes");
    expect(() => loadState(makeGenerator(0n), new Uint8Array(5056).fill(255))).toThrow("not the state");
  });
  test("draws nothing for empty outputs, and reseeding starts anew", () => {
    context.clear();
    const g = makeGenerator(1n);
    expect(draw(g, "uniform", dtypes.float32, [0])).toEqual([]);
    const first = draw(g, "uniform", dtypes.float32, [3]);
    reseed(g, 1n);
    expect(draw(g, "uniform", dtypes.float32, [])).toEqual([first[0]]);
    reseed(g, -1n);
    expect(g.seed).toBe((1n << 64n) - 1n);
  });
});
