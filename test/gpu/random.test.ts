import { describe, expect, it } from "vitest";
import { bfloat16, bool, type DType, float16, float32, float64, int32, int64, uint8 } from "../../ts/core/dtype.ts";
import { makeGenerator } from "../../ts/kernel/generator.ts";
import type { GeneratorState, RandomSpec } from "../../ts/kernel/spec.ts";
import { devices, empty, evaluate, integers, type Operand, type Target, tensor, uniform } from "./harness.ts";

type Distribution = RandomSpec["distribution"];

async function draw(
  target: Target,
  distribution: Distribution,
  dtype: DType,
  n: number,
  [a, b]: readonly [number | bigint, number | bigint] = [0, 1],
  generator: GeneratorState = makeGenerator(7n),
  inputs: readonly Operand[] = [],
): Promise<Float64Array> {
  const spec = { kind: "random", distribution, dtype } as const;
  const [values] = await evaluate(target.device, { spec, inputs, outputs: [empty(dtype, [n])], params: { a, b, generator } });
  return values!;
}

/** Philox4x32-10, from its paper, with whole numbers of any size. */
function philox(counter: readonly number[], key: readonly number[]): number[] {
  let [x, y, z, w] = counter.map(BigInt) as [bigint, bigint, bigint, bigint];
  let [k, l] = key.map(BigInt) as [bigint, bigint];
  const low = (v: bigint): bigint => v & 0xffffffffn;
  for (let round = 0; round < 10; round++) {
    const [p, q] = [0xd2511f53n * x, 0xcd9e8d57n * z];
    [x, y, z, w] = [(q >> 32n) ^ y ^ k, low(q), (p >> 32n) ^ w ^ l, low(p)];
    [k, l] = [low(k + 0x9e3779b9n), low(l + 0xbb67ae85n)];
  }
  return [x, y, z, w].map(Number);
}

const mean = (x: Float64Array): number => x.reduce((s, v) => s + v, 0) / x.length;
function variance(x: Float64Array): number {
  const m = mean(x);
  return x.reduce((s, v) => s + (v - m) ** 2, 0) / (x.length - 1);
}
/** Kolmogorov and Smirnov's distance from a distribution function, times sqrt(n): beyond 1.95 once in a thousand. */
function distance(x: Float64Array, cdf: (v: number) => number): number {
  const sorted = x.slice().sort();
  let most = 0;
  sorted.forEach((v, i) => {
    most = Math.max(most, Math.abs(cdf(v) - i / x.length), Math.abs(cdf(v) - (i + 1) / x.length));
  });
  return most * Math.sqrt(x.length);
}
/** Of the standard normal, by Simpson's rule. */
function normalCdf(z: number): number {
  const steps = 200;
  const h = z / steps;
  let sum = 0;
  for (let i = 0; i <= steps; i++) {
    sum += (i === 0 || i === steps ? 1 : i % 2 === 1 ? 4 : 2) * Math.exp(-((i * h) ** 2) / 2);
  }
  return 0.5 + (sum * h) / 3 / Math.sqrt(2 * Math.PI);
}
/** Pearson's statistic of counts against probabilities, as standard deviations from its mean. */
function chiSquare(values: Float64Array, probabilities: readonly number[]): number {
  const counts = new Float64Array(probabilities.length);
  for (const v of values) if (v < counts.length) counts[v]! += 1;
  let sum = 0;
  let cells = 0;
  let [restCount, restExpected] = [values.length, values.length];
  probabilities.forEach((p, i) => {
    const expected = p * values.length;
    if (expected < 8) return;
    sum += (counts[i]! - expected) ** 2 / expected;
    restCount -= counts[i]!;
    restExpected -= expected;
    cells++;
  });
  if (restExpected >= 8) sum += (restCount - restExpected) ** 2 / restExpected;
  return (sum - cells) / Math.sqrt(2 * cells);
}

it("the test's own generator gives the published numbers", () => {
  expect(philox([0, 0, 0, 0], [0, 0])).toEqual([0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]);
});

describe.each(devices)("random on $name", (target) => {
  const n = target.slow ? 4000 : 40000;
  const same = (value: number, dtype = float32): Operand => ({ ...tensor(dtype, [n], [value]), strides: [0] });

  it("element i is word i % 4 of block offset + i / 4", async () => {
    const seed = 0x123456789abcdef0n;
    const generator = { ...makeGenerator(seed), offset: 2 ** 32 - 2 };
    const values = await draw(target, "uniform", float32, 18, [0, 1], generator);
    const expected = Float64Array.from({ length: 18 }, (_, i) => {
      const block = 2 ** 32 - 2 + Math.floor(i / 4);
      const words = philox([block % 2 ** 32, Math.floor(block / 2 ** 32), 0, 0], [0x9abcdef0, 0x12345678]);
      return (words[i % 4]! >>> 8) / 2 ** 24;
    });
    expect(values).toEqual(expected);
    expect(generator.offset).toBe(2 ** 32 + 3);
  });
  it("whole numbers scale 64 bits, the second round on top", async () => {
    const draws = async (from: number, to: number): Promise<number[]> => [
      ...(await draw(target, "random_int", int32, 6, [from, to], makeGenerator(5n))),
    ];
    const words = (i: number, round: number): bigint => BigInt(philox([Math.floor(i / 4), 0, round, 0], [5, 0])[i % 4]!);
    for (const [from, to] of [
      [0, 10],
      [-5, 2 ** 31],
      [-(2 ** 31), 2 ** 31],
      [3, 4],
    ] as const) {
      const expected = Array.from(
        { length: 6 },
        (_, i) => from + Number((((words(i, 1) << 32n) | words(i, 0)) * BigInt(to - from)) >> 64n),
      );
      expect(await draws(from, to)).toEqual(expected);
    }
  });
  it("draws never overlap, and start again with the seed", async () => {
    const generator = makeGenerator(1n);
    const [a, b] = [
      await draw(target, "uniform", float32, 10, [0, 1], generator),
      await draw(target, "uniform", float32, 10, [0, 1], generator),
    ];
    expect(new Set([...a, ...b]).size).toBe(20);
    expect(await draw(target, "uniform", float32, 10, [0, 1], makeGenerator(1n))).toEqual(a);
    expect(await draw(target, "uniform", float32, 10, [0, 1], makeGenerator(1n + 2n ** 32n))).not.toEqual(a);
  });
  it("uniform", async () => {
    const x = await draw(target, "uniform", float32, n, [-2, 3]);
    expect(distance(x, (v) => (v + 2) / 5)).toBeLessThan(1.95);
    for (const dtype of [float16, bfloat16]) {
      const h = await draw(target, "uniform", dtype, n, [0, 1]);
      expect(Math.max(...h)).toBeLessThan(1);
      expect(mean(h)).toBeCloseTo(0.5, 1);
    }
    // Where rounding would reach the end, and where there is but one value.
    const end = await draw(target, "uniform", float32, n, [1, 1 + 2 ** -22]);
    expect(Math.max(...end)).toBeLessThan(1 + 2 ** -22);
    expect([...(await draw(target, "uniform", float32, 3, [4, 4]))]).toEqual([4, 4, 4]);
    if (!target.wide) return;
    const d = await draw(target, "uniform", float64, n);
    expect(distance(d, (v) => v)).toBeLessThan(1.95);
    expect(d.some((v) => v * 2 ** 40 !== Math.floor(v * 2 ** 40))).toBe(true);
  });
  it("normal, log_normal, exponential, cauchy", async () => {
    const z = await draw(target, "normal", float32, n + 3, [1, 2]);
    expect(distance(z, (v) => normalCdf((v - 1) / 2))).toBeLessThan(1.95);
    const neighbours = z.slice(0, -1).map((v, i) => ((v - 1) * (z[i + 1]! - 1)) / 4);
    expect(Math.abs(mean(neighbours)) * Math.sqrt(n)).toBeLessThan(4);
    const l = await draw(target, "log_normal", float32, n, [0.5, 0.25]);
    expect(distance(l, (v) => normalCdf((Math.log(v) - 0.5) / 0.25))).toBeLessThan(1.95);
    const e = await draw(target, "exponential", float32, n, [1.5, 0]);
    expect(distance(e, (v) => 1 - Math.exp(-1.5 * v))).toBeLessThan(1.95);
    expect(Math.min(...e)).toBeGreaterThan(0);
    const c = await draw(target, "cauchy", float32, n, [2, 3]);
    expect(distance(c, (v) => 0.5 + Math.atan((v - 2) / 3) / Math.PI)).toBeLessThan(1.95);
    expect(mean(await draw(target, "normal", float16, n, [3, 1]))).toBeCloseTo(3, 1);
  });
  it("float64: the numbers of float32, with more digits", async () => {
    if (!target.wide) return;
    for (const [distribution, a, b] of [
      ["uniform", -2, 3],
      ["normal", 1, 2],
      ["log_normal", 0.5, 0.25],
      ["exponential", 1.5, 0],
      ["cauchy", 2, 3],
    ] as const) {
      const single = await draw(target, distribution, float32, 999, [a, b]);
      const double = await draw(target, distribution, float64, 999, [a, b]);
      double.forEach((v, i) => expect(Math.abs(v - single[i]!)).toBeLessThan(2e-5 * (1 + v * v)));
      expect(double.filter((v) => v !== Math.fround(v)).length).toBeGreaterThan(990);
    }
    const z = await draw(target, "normal", float64, n, [0, 1]);
    expect(distance(z, normalCdf)).toBeLessThan(1.95);
    const gamma = await draw(target, "standard_gamma", float64, n, [0, 0], makeGenerator(2n), [same(2.5, float64)]);
    expect((Math.abs(mean(gamma) - 2.5) / Math.sqrt(2.5)) * Math.sqrt(n)).toBeLessThan(4);
    expect(gamma.filter((v) => v !== Math.fround(v)).length).toBeGreaterThan(0.99 * n);
    // Beyond what float32 can count.
    const rate = 1e9;
    const x = await draw(target, "poisson", float64, n, [0, 0], makeGenerator(3n), [same(rate, float64)]);
    expect((Math.abs(mean(x) - rate) / Math.sqrt(rate)) * Math.sqrt(n)).toBeLessThan(4);
    expect(Math.abs(variance(x) / rate - 1) * Math.sqrt(n)).toBeLessThan(8);
    expect(Math.abs(mean(x.map((v) => v % 2)) - 0.5) * 2 * Math.sqrt(n)).toBeLessThan(4);
    const chosen = [same(2 ** 30, float64), same(0.25, float64)];
    const y = await draw(target, "binomial", float64, n, [0, 0], makeGenerator(4n), chosen);
    expect((Math.abs(mean(y) - 2 ** 28) / Math.sqrt(0.75 * 2 ** 28)) * Math.sqrt(n)).toBeLessThan(4);
    expect(Math.abs(mean(y.map((v) => v % 2)) - 0.5) * 2 * Math.sqrt(n)).toBeLessThan(4);
  });
  it("geometric and whole numbers", async () => {
    const p = 0.3;
    const geometric = [0, ...Array.from({ length: 60 }, (_, i) => p * (1 - p) ** i)];
    for (const dtype of [float32, int64]) {
      expect(Math.abs(chiSquare(await draw(target, "geometric", dtype, n, [p, 0]), geometric))).toBeLessThan(4);
    }
    expect([...(await draw(target, "geometric", float32, 3, [1, 0]))]).toEqual([1, 1, 1]);
    const dice = [0, 0, 0, ...new Array<number>(7).fill(1 / 7)];
    for (const dtype of [int64, float32, uint8]) {
      expect(Math.abs(chiSquare(await draw(target, "random_int", dtype, n, [3, 10]), dice))).toBeLessThan(4);
    }
    if (target.wide) {
      const big = await draw(target, "random_int", int64, n, [-(2n ** 62n), 2n ** 62n]);
      expect(distance(big, (v) => v / 2 ** 63 + 0.5)).toBeLessThan(1.95);
    } else await expect(draw(target, "random_int", int64, 4, [0, 2 ** 40])).rejects.toThrow(/do not fit this device/);
  });
  it("bernoulli", async () => {
    for (const dtype of [float32, bool, uint8]) {
      expect(Math.abs(mean(await draw(target, "bernoulli", dtype, n, [0.3, 0])) - 0.3) * Math.sqrt(n / 0.21)).toBeLessThan(4);
    }
    expect(mean(await draw(target, "bernoulli", float32, 99, [1, 0]))).toBe(1);
    expect(mean(await draw(target, "bernoulli", float32, 99, [0, 0]))).toBe(0);
    // By element: never, always, sometimes; the input is strided.
    const p = { ...tensor(float32, [n / 4, 4], [0, 1, 0.25, 0.75, 9, 9]), strides: [0, 1] };
    const x = await draw(target, "bernoulli", float32, n, [0, 0], makeGenerator(3n), [{ ...p, shape: [n / 4, 4] }]);
    const column = (c: number): number => mean(x.filter((_, i) => i % 4 === c));
    expect([column(0), column(1)]).toEqual([0, 1]);
    expect(Math.abs(column(2) - 0.25)).toBeLessThan(4 * Math.sqrt(0.1875 / (n / 4)));
    expect(Math.abs(column(3) - 0.75)).toBeLessThan(4 * Math.sqrt(0.1875 / (n / 4)));
  });
  it("poisson", async () => {
    for (const rate of [0.3, 5, 10, 42, 20000]) {
      const x = await draw(target, "poisson", float32, n, [0, 0], makeGenerator(BigInt(Math.round(rate * 10))), [same(rate)]);
      expect((Math.abs(mean(x) - rate) / Math.sqrt(rate)) * Math.sqrt(n)).toBeLessThan(4);
      expect(Math.abs(variance(x) / rate - 1) * Math.sqrt(n)).toBeLessThan(8);
      const p = [Math.exp(-rate)];
      for (let k = 1; k < 100; k++) p.push((p[k - 1]! * rate) / k);
      if (rate < 100) expect(Math.abs(chiSquare(x, p))).toBeLessThan(4);
    }
    expect([...(await draw(target, "poisson", float32, 2, [0, 0], makeGenerator(1n), [tensor(float32, [2], [0, NaN])]))]).toEqual(
      [0, NaN],
    );
  });
  it("binomial", async () => {
    for (const [count, p] of [
      [10, 0.2],
      [40, 0.9],
      [60, 0.5],
      [1000, 0.03],
      [100000, 0.7],
    ] as const) {
      const x = await draw(target, "binomial", float32, n, [0, 0], makeGenerator(BigInt(count)), [same(count), same(p)]);
      const deviation = Math.sqrt(count * p * (1 - p));
      expect((Math.abs(mean(x) - count * p) / deviation) * Math.sqrt(n)).toBeLessThan(4);
      expect(Math.abs(variance(x) / deviation ** 2 - 1) * Math.sqrt(n)).toBeLessThan(8);
      const probabilities = [(1 - p) ** count];
      for (let k = 1; k <= count; k++) probabilities.push((probabilities[k - 1]! * (count - k + 1) * p) / k / (1 - p));
      if (count <= 1000) expect(Math.abs(chiSquare(x, probabilities))).toBeLessThan(4);
    }
    const edges = [tensor(float32, [4], [0, 5, 5, 5]), tensor(float32, [4], [0.5, 0, 1, NaN])];
    expect([...(await draw(target, "binomial", float32, 4, [0, 0], makeGenerator(1n), edges))]).toEqual([0, 0, 5, NaN]);
  });
  it("standard_gamma", async () => {
    for (const shape of [0.2, 1, 3.5, 400]) {
      const x = await draw(target, "standard_gamma", float32, n, [0, 0], makeGenerator(BigInt(Math.round(shape * 10))), [
        same(shape),
      ]);
      expect((Math.abs(mean(x) - shape) / Math.sqrt(shape)) * Math.sqrt(n)).toBeLessThan(4);
      expect(Math.abs(variance(x) / shape - 1) * Math.sqrt(n)).toBeLessThan(4 * Math.sqrt(2 + 6 / shape));
      if (shape === 1) expect(distance(x, (v) => 1 - Math.exp(-v))).toBeLessThan(1.95);
    }
  });
  it("randperm", async () => {
    for (const [size, dtype] of [[1, int64], [10, int64], [1000, int64], [50, int32], [50, float32]] as const) {
      const x = await draw(target, "randperm", dtype, size);
      expect([...x].sort((a, b) => a - b)).toEqual(Array.from({ length: size }, (_, i) => i));
    }
    // Each of the 24 orders of four comes as often.
    const generator = makeGenerator(11n);
    const orders = new Float64Array(target.slow ? 400 : 200);
    for (let i = 0; i < orders.length; i++) {
      const [a, b, c] = await draw(target, "randperm", int64, 4, [0, 0], generator);
      orders[i] = a! * 6 + (b! - (b! > a! ? 1 : 0)) * 2 + (c! > 6 - a! - b! - c! ? 1 : 0);
    }
    expect(Math.abs(chiSquare(orders, new Array<number>(24).fill(1 / 24)))).toBeLessThan(4);
  }); // prettier-ignore
  it("nothing", async () => {
    for (const distribution of ["uniform", "randperm"] as const)
      expect((await draw(target, distribution, float32, 0)).length).toBe(0);
  });
});

it("all devices draw the same", async () => {
  const probabilities = tensor(float32, [401], uniform(401, 1, 0, 1));
  const draws = async (target: Target) => ({
    exact: [
      await draw(target, "uniform", float32, 401, [-3, 10]),
      await draw(target, "uniform", bfloat16, 401, [0, 1]),
      await draw(target, "random_int", int64, 401, [-100, 1000]),
      await draw(target, "bernoulli", float32, 401, [0.5, 0]),
      await draw(target, "bernoulli", float32, 401, [0, 0], makeGenerator(2n), [probabilities]),
    ],
    close: [
      await draw(target, "normal", float32, 401, [0, 1]),
      await draw(target, "exponential", float32, 401, [1, 0]),
      await draw(target, "standard_gamma", float32, 401, [0, 0], makeGenerator(4n), [
        tensor(float32, [401], integers(401, 2, 1, 20)),
      ]),
    ],
  });
  const [first, ...others] = await Promise.all(devices.map(draws));
  for (const { exact, close } of others) {
    exact.forEach((x, i) => expect(x).toEqual(first!.exact[i]));
    close.forEach((x, i) =>
      x.forEach((v, j) => expect(Math.abs(v - first!.close[i]![j]!)).toBeLessThan(2e-5 * (1 + Math.abs(v)))),
    );
  }
});
