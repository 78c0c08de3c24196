import { describe, expect, it } from "vitest";
import { float32, float64 } from "../../ts/core/dtype.ts";
import { load, op, SCALAR_OPS, type ScalarOp } from "../../ts/kernel/expr.ts";
import { SPECIAL } from "../wasm/special_table.ts";
import { type Case, cpu, devices, empty, evaluate, type Target, tensor, uniform } from "./harness.ts";

function call(name: ScalarOp, columns: readonly ArrayLike<number>[], dtype = float32): Case<"map"> {
  const n = columns[0]!.length;
  const outputs = [op(name, dtype, ...columns.map((_, i) => load(i, dtype)))];
  return {
    spec: { kind: "map", inputs: columns.map(() => dtype), scalars: 0, outputs },
    inputs: columns.map((c) => tensor(dtype, [n], c)),
    outputs: [empty(dtype, [n])],
    params: { scalars: [] },
  };
}

async function run(target: Target, name: ScalarOp, ...columns: readonly ArrayLike<number>[]): Promise<Float64Array> {
  return (await evaluate(target.device, call(name, columns)))[0]!;
}

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);

/** One unit in the last place of float32 near a number. */
function unit(x: number): number {
  word[0] = x;
  return 2 ** (Math.max((bits[0]! >>> 23) & 255, 1) - 150);
}

/** Distance of a float32 result from the exact value, in units of its last place; rounding to Inf counts from 2^128. Subnormals may be 0. */
function distance(actual: number, exact: number): number {
  if (Object.is(actual, Math.fround(exact)) || (actual === 0 && Math.abs(exact) < 2 ** -126)) return 0;
  if (Number.isNaN(actual) || Number.isNaN(exact)) return Infinity;
  const most = 2 ** 128;
  const [a, b] = [actual, exact].map((x) => Math.max(-most, Math.min(most, x))) as [number, number];
  return Math.abs(a - b) / unit(Math.fround(exact));
}

const EDGES = [0, -0, 1, -1, 0.5, -0.5, 2, -2, Infinity, -Infinity, NaN, 2 ** -149, -(2 ** -140), 2 ** -126, 3.4028235e38, -3.4028235e38, 88.7, 88.8, -87.4, -104, 128, -150, 10, -10, 17, 1e-10, 1e-5, Math.PI / 2, Math.PI, 1e5 * Math.PI, 1e22, 0.99999994, 1.0000001]; // prettier-ignore

/** float32 numbers: bit patterns at even steps, so that all exponents come up, and as many from where functions are interesting. */
function sample(count: number): Float32Array {
  const x = new Float32Array(2 * count);
  const patterns = new Uint32Array(x.buffer);
  const step = Math.floor(2 ** 32 / count) | 1;
  for (let i = 0; i < count; i++) patterns[i] = Math.imul(i, step);
  const near = uniform(count, 1);
  for (let i = 0; i < count; i++) x[count + i] = near[i]! * (i & 1 ? 2 : 125);
  EDGES.forEach((v, i) => (x[i] = v));
  return x;
}

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
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
  neg: (x) => -x,
  abs: Math.abs,
  sign: (x) => Math.sign(x) + 0,
  floor: Math.floor,
  ceil: Math.ceil,
  trunc: Math.trunc,
};

const power = (x: number, y: number): number => (x === 1 || y === 0 || (x === -1 && Math.abs(y) === Infinity) ? 1 : x ** y);
const angle = (y: number, x: number): number => Math.atan2(y, x);
const modulo = (x: number, y: number): number => {
  const m = x % y;
  return m !== 0 && y < 0 !== m < 0 ? Math.fround(m + y) : m;
};
const BINARY: { readonly [K in ScalarOp]?: (x: number, y: number) => number } = {
  pow: power,
  atan2: angle,
  hypot: Math.hypot,
  fmod: (x, y) => x % y,
  remainder: modulo,
  div: (x, y) => x / y,
  copysign: (x, y) => (Object.is(y, -0) || y < 0 ? -Math.abs(x) : Math.abs(x)),
};
/** Whose results must be exact. */
const EXACT = new Set(["fmod", "remainder", "copysign", "neg", "abs", "sign", "floor", "ceil", "trunc"]);

/** Targets may flush subnormals: where some are near, anything goes. */
function flushed({ slow }: Target, ...near: readonly number[]): boolean {
  return !slow && near.some((x) => x !== 0 && Math.abs(x) < (near.length > 2 ? 1e-30 : 2 ** -126));
}

function worst(
  target: Target,
  name: string,
  columns: readonly Float32Array[],
  got: Float64Array,
  reference: (...args: number[]) => number,
): void {
  const argsAt = (i: number): number[] => columns.map((c) => c[i]!);
  const want = (i: number): number => reference(...argsAt(i));
  const show = (i: number): string => argsAt(i).join();
  let most = 0;
  let at = 0;
  got.forEach((y, i) => {
    const off = flushed(target, ...argsAt(i), want(i)) ? 0 : distance(y, want(i));
    if (off > most) [most, at] = [off, i];
  });
  if (process.env.KINDLING_SHOW_ULPS) console.log(`${name}: ${most.toFixed(2)} at ${show(at)}`);
  expect(most, `${name}(${show(at)}) is ${got[at]}, expected ${want(at)}`).toBeLessThanOrEqual(EXACT.has(name) ? 0 : 4);
}

describe.each(devices)("$name", (target) => {
  const count = target.slow ? 1500 : 1 << 16;

  describe("within 4 units in the last place of float32", () => {
    const x = sample(count);
    it.each(Object.entries(UNARY) as [ScalarOp, (x: number) => number][])("%s", async (name, reference) => {
      const got = await run(target, name, x);
      worst(target, name, [x], got, reference as (...args: number[]) => number);
    });
    it.each(Object.entries(BINARY) as [ScalarOp, (x: number, y: number) => number][])("%s", async (name, reference) => {
      const special = [0, -0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 16777217, Infinity, -Infinity, NaN, 1e-40, 3.4e38, -7, 1e10, 5.5];
      const n = special.length ** 2 + count;
      const [a, b] = [new Float32Array(n), new Float32Array(n)];
      const random = uniform(3 * n, 2, 0, 1);
      const patterns = new Uint32Array(a.buffer);
      for (let i = 0; i < n; i++) {
        if (i < special.length ** 2) {
          a[i] = special[i % special.length]!;
          b[i] = special[Math.floor(i / special.length)]!;
        } else {
          // Numbers of every size; powers in range, or divisors of all quotients.
          patterns[i] = Math.floor(random[3 * i]! * 2 ** 32);
          const r = random[3 * i + 1]!;
          if (name === "pow") b[i] = ((r - 0.5) * 300) / Math.max(Math.abs(Math.log2(Math.abs(a[i]!))), 1e-3);
          else b[i] = a[i]! * (r - 0.5) * 2 ** (-20 * random[3 * i + 2]!);
          if (random[3 * i + 2]! < 0.3) b[i] = Math.round(b[i]!);
          // Divisions by subnormals, or that give some, are nobody's promise on a GPU.
          if (name === "div" && (Math.abs(b[i]!) > 1e37 || Math.abs(b[i]!) < 1e-37)) b[i] = 1.5;
        }
      }
      const got = await run(target, name, a, b);
      worst(target, name, [a, b], got, reference as (...args: number[]) => number);
    });
    it("floor_divide, as Python has it", async () => {
      const values = [0, -0, 1, -1, 3, -3, 0.1, -0.1, 0.3, 1e-3, 7.5, -7.5, 1e6, Infinity, -Infinity, NaN];
      const pairs = values.flatMap((a) => values.map((b) => [a, b] as const));
      const [a, b] = [0, 1].map((k) => pairs.map((p) => p[k]!)) as [number[], number[]];
      const [want] = await evaluate(cpu, call("floor_divide", [a, b]));
      const got = await run(target, "floor_divide", a, b);
      expect([...got]).toEqual([...want!]);
    });
    it("fma rounds once", async () => {
      const [a, b, c] = [11, 12, 13].map((seed) => uniform(2000, seed, -100, 100).map(Math.fround)) as [
        Float64Array,
        Float64Array,
        Float64Array,
      ];
      const got = await run(target, "fma", a, b, c);
      // (The sum in float64 is rounded, too, which may lead to the other side of a tie.)
      got.forEach((y, i) =>
        expect(distance(y, a[i]! * b[i]! + c[i]!), `${a[i]} * ${b[i]} + ${c[i]}`).toBeLessThanOrEqual(0.5001),
      );
    });
    it("fma: what rounding the product would take", async () => {
      const a = uniform(2000, 7, -8, 8).map(Math.fround);
      const b = uniform(2000, 8, -1e4, 1e4).map(Math.fround);
      const got = await run(target, "fma", a, b, a.map((x, i) => -Math.fround(x * b[i]!))); // prettier-ignore
      got.forEach((y, i) => {
        const want = a[i]! * b[i]! - Math.fround(a[i]! * b[i]!);
        expect(Math.abs(y - want), `${a[i]} * ${b[i]}`).toBeLessThanOrEqual(Math.abs(want) * 1e-6);
      });
    });
    it("nextafter, exactly", async () => {
      const values = [0, -0, 1, -1, 2 ** -126, 3.4028235e38, Infinity, -Infinity, NaN, 2.5];
      const pairs = values.flatMap((a) => values.map((b) => [a, b] as const));
      const [a, b] = [0, 1].map((k) => pairs.map((p) => p[k]!)) as [number[], number[]];
      const [want] = await evaluate(cpu, call("nextafter", [a, b]));
      const got = await run(target, "nextafter", a, b);
      got.forEach((y, i) => {
        const w = want![i]!;
        expect(Object.is(y, w) || (y === 0 && Math.abs(w) < 2 ** -126), `nextafter(${a[i]}, ${b[i]}) is ${y}, not ${w}`).toBe(
          true,
        );
      });
    });
  });

  describe("as exact as PyTorch's tolerance for float32", () => {
    const names = [...(Object.keys(SPECIAL) as ScalarOp[]), "gelu", "gelu_slope"] as ScalarOp[];
    it.each(names)("%s", async (name) => {
      const rows = SPECIAL[name] ?? [];
      const arity = SCALAR_OPS[name];
      const edges = [0, -0, 1, -1, 0.5, 2, -3, Infinity, -Infinity, NaN, 1e-20, 1e20];
      const columns = Array.from({ length: arity }, (_, k) => rows.map((r) => r[k]!));
      if (arity === 1) columns[0]!.push(...edges, ...uniform(200, 3, -12, 12), ...uniform(200, 4, 0, 1));
      const rounded = columns.map((c) => c.map(Math.fround));
      const [want] = await evaluate(cpu, call(name, rounded, float64));
      const got = await run(target, name, ...rounded);
      got.forEach((y, i) => {
        const w = Math.fround(want![i]!);
        const off = Object.is(y, w) || y === w ? 0 : Math.abs(y - want![i]!);
        // What overflows in float32 a little early is Inf.
        const overflow = Math.abs(w) > 1e38 && y === Math.sign(w) * Infinity;
        const ok =
          off <= 1e-5 * Math.min(1, Math.abs(w) + 0.1) + 4e-6 * Math.abs(w) || (Number.isNaN(y) && Number.isNaN(w)) || overflow;
        expect(ok, `${name}(${rounded.map((c) => c[i]).join()}) is ${y}, expected ${want![i]}`).toBe(true);
      });
    });
  });

  it("orders NaN as PyTorch does", async () => {
    const values = [NaN, 1, -2, Infinity, -Infinity, 0];
    const pairs = values.flatMap((a) => values.map((b) => [a, b] as const));
    const columns = [0, 1].map((k) => pairs.map((p) => p[k]!));
    for (const name of ["maximum", "minimum", "fmax", "fmin"] as const) {
      const [want] = await evaluate(cpu, call(name, columns));
      expect([...(await run(target, name, ...columns))], name).toEqual([...want!]);
    }
  });
});
