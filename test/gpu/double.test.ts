/** The scalar functions of float64, on devices that have it. */

import { describe, expect, it } from "vitest";
import { float32, float64 } from "../../ts/core/dtype.ts";
import { load, op, SCALAR_OPS, type ScalarOp } from "../../ts/kernel/expr.ts";
import { SPECIAL } from "../wasm/special_table.ts";
import { HARD } from "./hard_table.ts";
import { cpu, devices, empty, evaluate, tensor, uniform } from "./harness.ts";

type Device = Parameters<typeof evaluate>[0];

async function run(
  device: Device,
  name: ScalarOp,
  columns: readonly ArrayLike<number>[],
  dtype = float64,
): Promise<Float64Array> {
  const n = columns[0]!.length;
  const outputs = [op(name, dtype, ...columns.map((_, i) => load(i, dtype)))];
  const [values] = await evaluate(device, {
    spec: { kind: "map", inputs: columns.map(() => dtype), scalars: 0, outputs },
    inputs: columns.map((c) => tensor(dtype, [n], c)),
    outputs: [empty(dtype, [n])],
    params: { scalars: [] },
  });
  return values!;
}

const word = new Float64Array(1);
const bits = new BigInt64Array(word.buffer);
/** A double as a whole number, in the same order. */
function place(x: number): bigint {
  word[0] = x;
  return bits[0]! < 0n ? -(bits[0]! & 0x7fffffffffffffffn) : bits[0]!;
}
/** How many doubles further on it is. */
function ulps(actual: number, expected: number): number {
  if (Number.isNaN(actual) || Number.isNaN(expected)) return Object.is(actual, expected) ? 0 : Infinity;
  const off = place(actual) - place(expected);
  return Number(off < 0n ? -off : off);
}

const EDGES = [0, -0, 1, -1, 0.5, -0.5, 2, -2, 3, Infinity, -Infinity, NaN, 5e-324, -1e-310, 2 ** -1022, 1e-20, -1e20, 1e300, -1e300, 709.7, 709.8, -745.2, 1023.9, 1024, -1075, Math.PI, 1e5 * Math.PI, 1e22, 1 - 2 ** -53, 1 + 2 ** -52]; // prettier-ignore
/** Doubles of every size, and as many from where functions are interesting. */
function sample(count: number, seed: number): Float64Array {
  const random = uniform(3 * count, seed, 0, 1);
  const sizes = Float64Array.from({ length: count }, (_, i) => {
    const [r, s, t] = [random[3 * i]!, random[3 * i + 1]!, random[3 * i + 2]!];
    return (r < 0.5 ? -1 : 1) * (1 + s) * 2 ** Math.floor(t * 2098 - 1074);
  });
  const near = uniform(count, seed + 1).map((x, i) => x * (i % 3 === 0 ? 2 : i % 3 === 1 ? 30 : 760));
  return Float64Array.from([...EDGES, ...sizes, ...near]);
}

/** By JavaScript's Math, which is good to one unit in the last place or so. */
const UNARY: { readonly [K in ScalarOp]?: (x: number) => number } = {
  exp: Math.exp,
  exp2: (x) => 2 ** x,
  expm1: Math.expm1,
  log: Math.log,
  log2: Math.log2,
  log10: Math.log10,
  log1p: Math.log1p,
  sin: Math.sin,
  cos: Math.cos,
  tan: Math.tan,
  asin: Math.asin,
  acos: Math.acos,
  atan: Math.atan,
  sinh: Math.sinh,
  cosh: Math.cosh,
  tanh: Math.tanh,
  asinh: Math.asinh,
  acosh: Math.acosh,
  atanh: Math.atanh,
  sigmoid: (x) => (x < 0 ? Math.exp(x) / (1 + Math.exp(x)) : 1 / (1 + Math.exp(-x))),
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
};
const BINARY: { readonly [K in ScalarOp]?: (x: number, y: number) => number } = {
  pow: (x, y) => (x === 1 || y === 0 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y),
  atan2: Math.atan2,
  hypot: Math.hypot,
  div: (x, y) => x / y,
};
/** Whose results are determined to the last bit, so that the cpu's are right; but which of two zeros is greater, nobody says. */
const EXACT: readonly ScalarOp[] = ["neg", "abs", "sign", "floor", "ceil", "round", "trunc", "fmod", "remainder", "floor_divide", "copysign", "nextafter"]; // prettier-ignore
const ORDER: readonly ScalarOp[] = ["maximum", "minimum", "fmax", "fmin"];

function pairs(count: number): [Float64Array, Float64Array] {
  const special = [0, -0, 1, -1, 0.5, 2, -3, 7.5, Infinity, -Infinity, NaN, 1e300, -1e-300, 5e-324];
  const all = special.flatMap((a) => special.map((b) => [a, b] as const));
  const [r, s] = [uniform(count, 5), uniform(count, 6)];
  for (let i = 0; i < count; i++) all.push([r[i]! * 10 ** (20 * s[i]!), s[i]! * 10 ** (10 * r[i]!)]);
  return [Float64Array.from(all, ([a]) => a), Float64Array.from(all, ([, b]) => b)];
}

/**
 * Allowed relative errors of special functions. Where a function crosses zero, or lies against 1 as probabilities do, it is the error against 1
 * that counts; arguments themselves are rounded, which e^(x²) and its like multiply.
 */
const ALLOWED: { readonly [K in ScalarOp]?: number } = {
  erfcx: 3e-15,
  log_ndtr: 2e-13,
  igamma: 3e-13,
  igammac: 1e-13,
  zeta: 2e-14,
  polygamma: 1e-13,
};
const AGAINST_ONE: ReadonlySet<ScalarOp> = new Set<ScalarOp>(["digamma"]);

const wide = devices.filter((d) => d.wide);

it("some device has float64", () => {
  expect(wide.length).toBeGreaterThan(0);
});

describe.each(wide)("float64 on $name", ({ device, slow }) => {
  const count = slow ? 300 : 5000;

  it.each(Object.entries(UNARY) as [ScalarOp, (x: number) => number][])("%s", async (name, reference) => {
    const x = sample(count, 1);
    const got = await run(device, name, [x]);
    got.forEach((y, i) => {
      const want = reference(x[i]!);
      expect(ulps(y, want), `${name}(${x[i]}) is ${y}, expected ${want}`).toBeLessThanOrEqual(4);
    });
  });
  it.each(Object.entries(BINARY) as [ScalarOp, (x: number, y: number) => number][])("%s", async (name, reference) => {
    const [a, b] = pairs(count);
    const got = await run(device, name, [a, b]);
    got.forEach((y, i) => {
      const want = reference(a[i]!, b[i]!);
      expect(ulps(y, want), `${name}(${a[i]}, ${b[i]}) is ${y}, expected ${want}`).toBeLessThanOrEqual(4);
    });
  });
  it.each([...EXACT, ...ORDER])("%s, exactly", async (name) => {
    const columns = SCALAR_OPS[name] === 1 ? [sample(count, 2)] : pairs(count);
    const want = await run(cpu, name, columns);
    const got = await run(device, name, columns);
    got.forEach((y, i) => {
      const same = Object.is(y, want[i]) || (ORDER.includes(name) && y === 0 && want[i] === 0);
      expect(same, `${name}(${columns.map((c) => c[i]).join()}) is ${y}, expected ${want[i]}`).toBe(true);
    });
  });

  it.each(Object.keys(SPECIAL) as ScalarOp[])("%s, by mpmath", async (name) => {
    const rows = [...SPECIAL[name]!, ...(HARD[name] ?? [])];
    const columns = rows[0]!.slice(0, -1).map((_, i) => rows.map((r) => r[i]!));
    const got = await run(device, name, columns);
    let most = 0;
    rows.forEach((row, i) => {
      const want = row.at(-1)!;
      const floor = AGAINST_ONE.has(name) ? 1 : name === "lgamma" && row[0]! < 0 ? 1 : 0;
      const off = got[i] === want ? 0 : Math.abs(got[i]! - want) / Math.max(Math.abs(want), floor);
      most = Math.max(most, off);
      expect(off, `${name}(${row.slice(0, -1).join()}) is ${got[i]}, expected ${want}`).toBeLessThanOrEqual(
        ALLOWED[name] ?? 2e-15,
      );
    });
    if (process.env.KINDLING_SHOW_ULPS) console.log(`${name}: ${most}`);
  });

  it("gelu and its slope", async () => {
    const x = Float64Array.from([...EDGES, ...uniform(count, 3, -40, 40), ...uniform(count, 4, -3, 3)]);
    const [got, slopes] = [await run(device, "gelu", [x]), await run(device, "gelu_slope", [x])];
    const half = await run(cpu, "erfc", [x.map((v) => -v * Math.SQRT1_2)]);
    x.forEach((v, i) => {
      const want = v === Infinity ? Infinity : v * (half[i]! / 2);
      const slope = Math.abs(v) === Infinity ? NaN : half[i]! / 2 + v * Math.exp(-0.5 * v * v) * 0.3989422804014327;
      expect(Math.abs(got[i]! - want) <= 1e-15 * Math.abs(v) || Object.is(got[i], want), `gelu(${v}) is ${got[i]}`).toBe(true);
      expect(Math.abs(slopes[i]! - slope) <= 1e-15 || Object.is(slopes[i], slope), `gelu_slope(${v}) is ${slopes[i]}`).toBe(true);
    });
  });

  it("what is infinite, what is NaN", async () => {
    const unary = Object.keys(SPECIAL).filter((name) => SCALAR_OPS[name as ScalarOp] === 1) as ScalarOp[];
    for (const name of unary) {
      const [want, got] = [await run(cpu, name, [EDGES]), await run(device, name, [EDGES])];
      const kind = (y: number): string => (Number.isFinite(y) ? "finite" : String(y));
      EDGES.forEach((x, i) => expect(kind(got[i]!), `${name}(${x})`).toBe(kind(want[i]!)));
    }
    const at = async (name: ScalarOp, ...args: number[]): Promise<number> =>
      (
        await run(
          device,
          name,
          args.map((x) => [x]),
        )
      )[0]!;
    for (const [a, x, lower] of [
      [0, 1, 1],
      [0, 0, NaN],
      [2, 0, 0],
      [NaN, 0, 0],
      [NaN, 1, NaN],
      [1, NaN, NaN],
      [Infinity, 1, 0],
      [1, Infinity, 1],
      [Infinity, Infinity, NaN],
      [NaN, Infinity, 1],
      [-1, 1, NaN],
      [1, -1, NaN],
    ] as const) {
      expect(await at("igamma", a, x), `igamma(${a}, ${x})`).toBe(lower);
      expect(await at("igammac", a, x), `igammac(${a}, ${x})`).toBe(1 - lower);
    }
    for (const [s, q, value] of [
      [1, 2, Infinity],
      [0.5, 2, NaN],
      [2, 0, Infinity],
      [2, -3, Infinity],
      [2.5, -0.5, NaN],
      [NaN, 2, NaN],
      [2, NaN, NaN],
    ] as const) {
      expect(await at("zeta", s, q), `zeta(${s}, ${q})`).toBe(value);
    }
  });

  it("float32's higher derivatives of digamma go by way of float64", async () => {
    const rows = SPECIAL.polygamma!.filter((r) => r[0]! > 1);
    const columns = [0, 1].map((k) => Float32Array.from(rows, (r) => r[k]!));
    const exact = await run(device, "polygamma", columns);
    const got = await run(device, "polygamma", columns, float32);
    got.forEach((y, i) => expect(y).toBe(Math.fround(exact[i]!)));
  });
});
