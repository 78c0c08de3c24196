/** IR programs as CUDA C++, carried out by the stand-ins, against the same programs in the interpreter. See also lowering_random.slow.test.ts. */

import { afterAll, describe, expect, it } from "vitest";
import { type Block, KernelBuilder, type V } from "../../gpu/builder.ts";
import type { Elem, Lanes, MathName, OpName, Program, ScalarType } from "../../gpu/ir.ts";
import { MATH, VALUE_OF } from "../../gpu/ir.ts";
import { toCuda } from "../../gpu/lower/cuda.ts";
import { type Memory, MEMORY_OF } from "../../gpu/lower/interpret_memory.ts";
import { Executor } from "./execute.ts";
import { unavailable } from "./native.ts";
import { randomRun } from "./random_programs.ts";

describe.skipIf(unavailable !== null)("CUDA C++ means what the IR says", () => {
  const executor = unavailable === null ? new Executor() : (undefined as unknown as Executor);
  afterAll(() => executor?.close());

  /** y = fn(x), element by element. */
  function elementwise(from: Elem, to: Elem, fn: (x: V, b: Block) => V, lanes: Lanes = 1): Program {
    const k = new KernelBuilder("elementwise", 32);
    const x = k.input("x", from, lanes);
    const y = k.output("y", to, lanes);
    k.gridStride(k.param("n", "u32"), (i) => y.store(i, fn(x.load(i), k)));
    return k.build();
  }
  type Elements = readonly [program: Program, x: Memory, rtol?: number];
  /** Compares y = fn(x) of several programs, which become one unit; returns their y. */
  function compareElements(cases: readonly Elements[]): Memory[] {
    executor.compile(cases.map(([program]) => toCuda(program)));
    return cases.map(([program, x, rtol = 0]) => {
      const { elem, lanes } = program.buffers[1]!;
      const buffers = [x, new MEMORY_OF[elem](x.length)];
      return executor.compare({ program, buffers, params: { n: x.length / lanes }, groups: 2 }, rtol)[1]!;
    });
  }

  it("in random programs", () => {
    const runs = Array.from({ length: 16 }, (_, i) => randomRun(i));
    executor.compile(runs.map((r) => toCuda(r.program)));
    for (const run of runs) executor.compare(run);
  });

  it("in constants of every type", () => {
    const values: { readonly [S in Exclude<ScalarType, "bool">]: readonly (number | bigint)[] } = {
      i32: [0, 1, -1, -(2 ** 31), 2 ** 31 - 1, 2 ** 31, 4294967295],
      u32: [0, 1, 2 ** 31, 2 ** 32 - 1, 4294967295n],
      i64: [0n, -1n, -(2n ** 63n), 2n ** 63n - 1n, 2n ** 32n, 5, -5, 2n ** 63n],
      f32: [0, -0, 1, -1, 0.1, 1e-45, -1e-45, 2 ** -126, 3.4028234663852886e38, 1e39, Infinity, -Infinity, NaN, 16777217, 1e21],
      f64: [0, -0, 0.1, -1e-5, 5e-324, 2 ** -1022, 1.7976931348623157e308, Infinity, -Infinity, NaN, 1e21, 2 ** 53 + 2],
    };
    const k = new KernelBuilder("constants", 1);
    for (const [scalar, list] of Object.entries(values) as [keyof typeof values, readonly (number | bigint)[]][]) {
      const y = k.output(scalar, scalar);
      list.forEach((value, i) => y.store(i, k.const(value, scalar)));
      const z = k.output(`${scalar}_x4`, scalar, 4);
      list.forEach((value, i) => z.store(i, k.const(value, scalar, 4)));
    }
    const program = k.build();
    const buffers = program.buffers.map(({ elem, lanes }) => new MEMORY_OF[elem](16 * lanes));
    executor.compare({ program, buffers, params: {}, groups: 1 });
  });

  it("in conversions at the ends of ranges", () => {
    const floats = [0, -0, 0.5, -0.5, 0.99, -0.99, 1.5, 2.5, -2.5, 2147483520, 2147483648, -2147483648, -2147483904, 4294967040, 4294967296, 9.2e18, 9.3e18, -9.3e18, 1e30, -1e30, Infinity, -Infinity, 1e-40]; // prettier-ignore
    const doubles = [...floats, 2147483647.9, -2147483648.9, 4294967295.9, 9223372036854774784];
    const longs = [0n, 16777217n, -16777217n, 16777219n, (1n << 53n) + 1n, (1n << 60n) + (1n << 36n) + 1n, -(1n << 63n), (1n << 63n) - 1n, 0x7fffff8000000001n]; // prettier-ignore
    const words = [0, 1, 16777217, 16777219, 2147483647, 2147483648, 4294967295, -1, -16777217];
    const cases: Elements[] = [];
    const add = (from: ScalarType & Elem, x: Memory, ...to: readonly (ScalarType & Elem)[]): void => {
      for (const t of to) cases.push([elementwise(from, t, (v) => v.convert(t)), x]);
    };
    add("f32", new Float32Array(floats), "i32", "u32", "i64", "f64");
    add("f64", new Float64Array(doubles), "i32", "u32", "i64", "f32");
    add("i64", new BigInt64Array(longs), "f32", "f64", "i32", "u32");
    add("i32", new Int32Array(words), "f32", "f64", "i64", "u32");
    add("u32", new Uint32Array(words), "f32", "f64", "i64", "i32");
    compareElements(cases);
  });

  it.each(["f16", "bf16"] as const)("in every %s, and what rounds to it", (elem) => {
    const halves = Uint16Array.from({ length: 65536 }, (_, i) => i);
    const [values] = compareElements([[elementwise(elem, "f32", (x) => x), halves]]);
    // Each, what lies half way to the next one, and what lies beside that.
    const bits = [...new Uint32Array((values as Float32Array).buffer)];
    const half = elem === "f16" ? 0x1000 : 0x8000;
    const around = Uint32Array.from([-1, 0, 1, half - 1, half, half + 1].flatMap((d) => bits.map((b) => b + d)));
    compareElements([[elementwise("f32", elem, (x) => x, 4), new Float32Array(around.buffer)]]);
  });

  it("in narrow integers, which wrap when they are stored", () => {
    const x = new Int32Array([
      0,
      127,
      128,
      255,
      256,
      -1,
      -128,
      -129,
      32767,
      32768,
      65535,
      -32769,
      2 ** 31 - 1,
      -(2 ** 31),
      70000,
      1,
    ]);
    const forms = (["i8", "u8", "i16"] as const).flatMap((elem) => ([1, 2, 4] as const).map((lanes) => [elem, lanes] as const));
    const narrow = compareElements(forms.map(([elem, lanes]) => [elementwise("i32", elem, (v) => v, lanes), x]));
    compareElements(forms.map(([elem, lanes], i) => [elementwise(elem, "i32", (v) => v, lanes), narrow[i]!]));
  });

  it("in divisions that have no result, which do no harm", () => {
    const k = new KernelBuilder("divide", 32);
    const out = k.output("out", "u32");
    const [a, b] = [k.param("a", "i32"), k.param("b", "i32")];
    const [la, lb] = [k.param("la", "i64"), k.param("lb", "i64")];
    const zero = k.param("zero", "u32");
    const any = [a.div(b), a.rem(b), a.div(b.add(1)), a.rem(b.add(1)), a.neg(), a.abs()].map((x) => x.ne(12345));
    any.push(...[la.div(lb), la.rem(lb), la.div(lb.add(k.const(1n, "i64")))].map((x) => x.ne(12345)));
    any.push(...[k.thread.div(zero), k.thread.rem(zero)].map((x) => x.ne(12345)));
    out.store(k.thread, any.reduce((x, y) => x.or(y)).select(k.thread, 7));
    const params = { a: -(2 ** 31), b: -1, la: -(2n ** 63n), lb: -1n, zero: 0 };
    executor.compare({ program: k.build(), buffers: [new Uint32Array(32)], params, groups: 1 });
  });

  it("in comparisons with NaN", () => {
    const pairs = [NaN, 1, Infinity, -Infinity, 0, -0];
    const x = Float64Array.from(pairs.flatMap((a) => pairs.map(() => a)));
    const y = Float64Array.from(pairs.flatMap(() => pairs));
    for (const [elem, lanes] of [
      ["f32", 1],
      ["f32", 4],
      ["f64", 1],
      ["f64", 2],
    ] as const) {
      const k = new KernelBuilder("compare", 36);
      const [a, b] = [k.input("a", elem, lanes), k.input("b", elem, lanes)];
      const ops = ["eq", "ne", "lt", "le", "gt", "ge"] as const;
      k.if(k.thread.lt(36 / lanes), () => {
        const [v, w] = [a.load(k.thread), b.load(k.thread)];
        for (const op of ops) k.output(op, "u8", lanes).store(k.thread, k.op(op, v, w).convert("i32"));
        k.output("is_nan", "u8", lanes).store(k.thread, v.isNan().convert("i32"));
        k.output("negated", elem, lanes).store(k.thread, v.neg());
      });
      const program = k.build();
      const buffers = program.buffers.map(({ name, elem: e }) =>
        name === "a" || name === "b" ? MEMORY_OF[elem].from(name === "a" ? x : y) : new MEMORY_OF[e](36),
      );
      executor.compare({ program, buffers, params: {}, groups: 1 });
    }
  });

  it("in operations that may round in several ways", () => {
    const x = Float32Array.from({ length: 256 }, (_, i) => (i - 128) / 3 + 0.01);
    const positive = x.map((v) => Math.abs(v) * 100);
    const ops: readonly [OpName, Float32Array][] = [
      ["rsqrt", positive],
      ["log2_fast", positive],
      ["exp2_fast", x],
    ];
    const cases: Elements[] = ops.flatMap(([op, values]) => {
      const apply = (v: V, b: Block): V => b.op(op, v);
      return [
        [elementwise("f32", "f32", apply), values, 2 ** -20],
        [elementwise("f32", "f32", apply, 4), values, 2 ** -20],
        [elementwise("f64", "f64", apply), Float64Array.from(values), 1e-14],
      ];
    });
    compareElements([...cases, [elementwise("f64", "f64", (v) => v.fma(v, 1.5)), Float64Array.from(x), 1e-14]]);
  });

  it("in C's functions", () => {
    const positive: readonly MathName[] = ["log", "log2", "log10", "pow"];
    const unit: readonly MathName[] = ["asin", "acos", "atanh", "log1p"];
    const t = Float64Array.from({ length: 64 }, (_, i) => (i - 31.7) / 32);
    const names = Object.keys(MATH) as MathName[];
    const results = compareElements(
      names.map((name) => {
        const x = positive.includes(name)
          ? t.map((v) => Math.abs(v) * 7)
          : unit.includes(name) ? t : t.map((v) => (name === "acosh" ? 1 + Math.abs(v) * 9 : v * 9)); // prettier-ignore
        const more = (v: V): V[] => (MATH[name] === 2 ? [v.mul(0.37).add(0.25)] : []);
        return [elementwise("f64", "f64", (v, b) => b.math(name, v, ...more(v))), x, 1e-13];
      }),
    );
    for (const y of results) expect([...(y as Float64Array)].every(Number.isFinite)).toBe(true);
  });

  it("with much workgroup memory", () => {
    const k = new KernelBuilder("much", 64);
    const y = k.output("y", "f32", 4);
    const big = k.shared("big", "f32", 4096, 4);
    const flags = k.shared("flags", "bool", 64);
    const counts = k.sharedAtomics("counts", "u32", 2);
    const longs = k.shared("longs", "i64", 64);
    flags.store(k.thread, k.thread.rem(3).eq(0));
    longs.store(k.thread, k.thread.convert("i64").mul(k.const(3n ** 30n, "i64")));
    k.if(k.thread.eq(0), () => counts.atomic("store", 1, 0));
    k.for(k.thread, 4096, 64, (i) => big.store(i, k.splat(i.convert("f32"), 4)));
    k.barrier();
    counts.atomic("add", 1, k.thread);
    k.barrier();
    const other = k.thread.xor(63);
    const sum = longs.load(other).convert("f32").add(counts.atomic("load", 1).convert("f32"));
    y.store(k.group.mul(64).add(k.thread), flags.load(other).select(big.load(other.mul(64).add(5)), k.splat(sum, 4)));
    const program = k.build();
    expect(toCuda(program).dynamicShared).toBeGreaterThan(65536);
    executor.compare({ program, buffers: [new Float32Array(64 * 4 * 3)], params: {}, groups: 3 });
  });

  it("where buffers are one memory", () => {
    const k = new KernelBuilder("in_place", 32);
    const [a, b] = [k.input("a", "f32"), k.output("b", "f32")];
    const [c, d] = [k.input("c", "f32"), k.output("d", "f32")];
    const i = k.group.mul(32).add(k.thread);
    const [x, y] = [a.load(i), c.load(i)];
    b.store(i, x.add(y));
    d.store(i, x.sub(y));
    const [m, n] = [Float32Array.from({ length: 64 }, (_, j) => j), Float32Array.from({ length: 64 }, (_, j) => j * j)];
    executor.compare({ program: k.build(), buffers: [m, m, n, n], params: {}, groups: 2, aliases: [1, 1, 3, 3] });
  });

  it("for elements of every kind, by vectors", () => {
    const runs = (Object.keys(VALUE_OF) as Elem[]).map((elem) => {
      const k = new KernelBuilder("reverse", 8);
      for (const lanes of [1, 2, 4] as const) {
        const v = k.input(`x${lanes}`, elem, lanes).load(k.thread);
        k.output(`y${lanes}`, elem, lanes).store(k.thread.mul(-1).add(7), lanes === 1 ? v : k.vector(k.lanes(v).reverse()));
      }
      const program = k.build();
      const buffers = program.buffers.map(({ lanes }) => {
        const memory = new MEMORY_OF[elem](8 * lanes);
        for (let i = 0; i < memory.length; i++) memory[i] = memory instanceof BigInt64Array ? BigInt(i) - 3n : i * 3;
        return memory;
      });
      return { program, buffers, params: {}, groups: 1 };
    });
    executor.compile(runs.map((r) => toCuda(r.program)));
    for (const run of runs) executor.compare(run);
  });
});
