import { describe, expect, it } from "vitest";
import { type Block, defineFunc, KernelBuilder, type V } from "../../gpu/builder.ts";
import { workgroupFold, workgroupReduce } from "../../gpu/kernels/common.ts";
import type { GpuCaps } from "../../gpu/context.ts";
import type { Program, ScalarType } from "../../gpu/ir.ts";
import { interpret, type InterpretOptions, type Memory, type Order } from "../../gpu/lower/interpret.ts";

const ORDERS: readonly Order[] = ["forward", "reverse", 1, 2];
const caps: GpuCaps = {
  f16: false,
  subgroups: null,
  maxStorageBuffers: 8,
  maxWorkgroupStorage: 16384,
  maxWorkgroupSize: 256,
  maxBufferSize: 2 ** 27,
  wide: false,
  matrix: null,
  asyncCopy: false,
  processors: null,
};

function run(
  program: Program,
  buffers: readonly Memory[],
  params: Record<string, number | bigint> = {},
  groups = 1,
  options: InterpretOptions = {},
): void {
  interpret(program, { buffers, params, groups }, options);
}

/** What `fn` makes of `x`, elementwise. */
function unary(
  x: Memory,
  from: "f32" | "i32" | "u32",
  to: "f32" | "i32" | "u32",
  fn: (x: V, k: Block) => V,
  options = {},
): number[] {
  const k = new KernelBuilder("unary", 4);
  const input = k.input("x", from);
  const output = k.output("y", to);
  k.gridStride(k.param("n", "u32"), (i) => output.store(i, fn(input.load(i), k)));
  const y = to === "f32" ? new Float32Array(x.length) : to === "i32" ? new Int32Array(x.length) : new Uint32Array(x.length);
  run(k.build(), [x, y], { n: x.length }, 2, options);
  return [...y];
}

/** Tiled transpose of one 8x8 tile; `sabotage` is what a careless author might do. */
function transpose(sabotage: "nothing" | "no barrier" | "off by one" | "wrong element"): Program {
  const k = new KernelBuilder("transpose", 64);
  const x = k.input("x", "f32");
  const y = k.output("y", "f32");
  const tile = k.shared("tile", "f32", 64);
  const { thread } = k;
  tile.store(thread, x.load(sabotage === "off by one" ? thread.add(1) : thread));
  if (sabotage !== "no barrier") k.barrier();
  const row = thread.div(8);
  const column = thread.rem(8);
  y.store(sabotage === "wrong element" ? row.mul(7).add(column) : thread, tile.load(column.mul(8).add(row)));
  return k.build();
}
const numbers = Float32Array.from({ length: 64 }, (_, i) => i);

describe("programs and their mutants", () => {
  it.each(ORDERS)("a sound program runs in any order (%s)", (order) => {
    const y = new Float32Array(64);
    run(transpose("nothing"), [numbers, y], {}, 1, { order, uninitialised: true });
    expect([...y]).toEqual(Array.from(numbers, (_, i) => (i % 8) * 8 + Math.floor(i / 8)));
  });
  it.each(ORDERS)("a dropped barrier is a race (%s)", (order) => {
    expect(() => run(transpose("no barrier"), [numbers, new Float32Array(64)], {}, 1, { order })).toThrow(
      /transpose, workgroup 0, thread \d+: race on workgroup array tile\[\d+\]/,
    );
  });
  it("a dropped barrier shows as poison too", () => {
    const y = new Float32Array(64);
    run(transpose("no barrier"), [numbers, y], {}, 1, { races: false });
    expect(y.some(Number.isNaN)).toBe(true);
  });
  it("an index that is off by one is out of bounds", () => {
    expect(() => run(transpose("off by one"), [numbers, new Float32Array(64)])).toThrow(
      "thread 63: index 64 of buffer x is outside of its 64 elements",
    );
  });
  it("two threads that store one element race", () => {
    expect(() => run(transpose("wrong element"), [numbers, new Float32Array(64)])).toThrow(/race on buffer y/);
  });
  it("workgroups that touch one element race, unless by atomics", () => {
    const k = new KernelBuilder("count", 4);
    const y = k.output("y", "i32");
    k.if(k.thread.eq(0), () => y.store(0, y.load(0).add(1)));
    expect(() => run(k.build(), [new Int32Array(1)], {}, 2)).toThrow(
      /race on buffer y\[0\]: read here, written by another workgroup/,
    );
    const a = new KernelBuilder("count", 4);
    a.atomics("y", "i32").atomic("add", 0, 1);
    const total = new Int32Array(1);
    run(a.build(), [total], {}, 5);
    expect(total[0]).toBe(20);
  });
  it("one workgroup's storage barrier orders its stores, a workgroup barrier does not", () => {
    const program = (scope: "workgroup" | "storage"): Program => {
      const k = new KernelBuilder("shift", 4);
      const y = k.output("y", "i32");
      y.store(k.thread, k.thread.convert("i32"));
      k.barrier(scope);
      const next = y.load(k.thread.add(1).rem(4));
      k.barrier("storage");
      y.store(k.thread, next);
      return k.build();
    };
    const y = new Int32Array(4);
    run(program("storage"), [y], {}, 1, { order: "reverse" });
    expect([...y]).toEqual([1, 2, 3, 0]);
    expect(() => run(program("workgroup"), [new Int32Array(4)])).toThrow(/race on buffer y/);
  });
  it("two windows onto one memory share their races", () => {
    const k = new KernelBuilder("neighbours", 4);
    const x = k.input("x", "f32");
    k.output("y", "f32", 2).store(k.thread, k.splat(x.load(k.thread), 2));
    const memory = new Float32Array(8);
    expect(() => run(k.build(), [memory, memory])).toThrow(/race on buffer [xy]/);
  });
  it("a barrier that some threads miss is an error", () => {
    const k = new KernelBuilder("partial", 8);
    k.if(k.thread.lt(5), () => k.barrier());
    expect(() => run(k.build(), [])).toThrow(/not all threads reach a barrier/);
  });
  it("reading workgroup memory that nobody wrote gives poison, or an error", () => {
    const k = new KernelBuilder("lazy", 2);
    const y = k.output("y", "f32");
    y.store(k.thread, k.shared("s", "f32", 2).load(k.thread));
    const program = k.build();
    const out = new Float32Array(2);
    run(program, [out]);
    expect([...out]).toEqual([NaN, NaN]);
    expect(() => run(program, [out], {}, 1, { uninitialised: true })).toThrow(/s\[0\] is read before it was written/);
  });
  it("load_uniform needs one index, and is a barrier", () => {
    const program = (same: boolean): Program => {
      const k = new KernelBuilder("uniform", 4);
      const y = k.output("y", "u32");
      const s = k.shared("s", "u32", 4);
      s.store(k.thread, k.thread.mul(3));
      y.store(k.thread, s.loadUniform(same ? k.u32(2) : k.thread));
      s.store(2, y.load(k.thread)); // a race of its own
      return k.build();
    };
    expect(() => run(program(false), [new Uint32Array(4)])).toThrow(/load_uniform of different elements/);
    const y = new Uint32Array(4);
    expect(() => run(program(true), [y])).toThrow(/race on workgroup array s\[2\]/);
    run(program(true), [y], {}, 1, { races: false });
    expect([...y]).toEqual([6, 6, 6, 6]);
  });
  it("says what is wrong with a launch", () => {
    const k = new KernelBuilder("scale", 4);
    k.output("y", "f32").store(k.thread, k.param("a", "f32"));
    k.if(k.thread.lt(k.param("n", "u32")), () => {});
    const program = k.build();
    const y = new Float32Array(4);
    expect(() => run(program, [], { a: 1, n: 1 })).toThrow("scale: 0 buffers given, expected y");
    expect(() => run(program, [new Int32Array(4)], { a: 1, n: 1 })).toThrow("buffer y of f32 is a Int32Array");
    expect(() => run(program, [y], { a: 1 })).toThrow("param n is not given");
    expect(() => run(program, [y], { a: 1, n: -1 })).toThrow("param n of u32 is -1");
  });
  it("loops whose counter wraps, and shifts by too much, are errors", () => {
    const k = new KernelBuilder("wrap", 1);
    k.for(k.u32(0xfffffff0), k.param("to", "u32"), 32, () => {});
    expect(() => run(k.build(), [], { to: 0xffffffff })).toThrow(/the counter of a for loop/);
    expect(() => unary(new Uint32Array([40]), "u32", "u32", (x, b) => b.u32(1).shl(x))).toThrow(/shift by 40/);
  });
});

describe("folds over a workgroup", () => {
  const sum = (c: GpuCaps, kind: "fold" | "reduce"): Program => {
    const k = new KernelBuilder(`sum_${kind}`, 64);
    const x = k.input("x", "f32");
    const y = k.output("y", "f32");
    const value = x.load(k.thread);
    const total =
      kind === "fold"
        ? workgroupFold(k, "s", [value], (_, [a], [b]) => [a!.add(b!)])[0]!
        : workgroupReduce(k, c, "s", value, "add");
    y.store(k.thread, total);
    return k.build();
  };
  it.each(ORDERS)("give every thread the total (%s)", (order) => {
    for (const subgroupSize of [1, 4, 8, 32, 64]) {
      for (const kind of ["fold", "reduce"] as const) {
        const c = { ...caps, subgroups: { min: 1, max: 64 } };
        const y = new Float32Array(64);
        run(sum(c, kind), [numbers, y], {}, 1, { order, subgroupSize, uninitialised: true });
        expect([...y]).toEqual(new Array(64).fill(2016));
      }
    }
  });
  it("a thread that stays away from a subgroup operation is an error", () => {
    const k = new KernelBuilder("absent", 8);
    const y = k.output("y", "u32");
    k.if(k.thread.ne(6), () => y.store(k.thread, k.subgroup("add", k.thread)));
    expect(() => run(k.build(), [new Uint32Array(8)], {}, 1, { subgroupSize: 4 })).toThrow(
      /does not take part in subgroup operation add/,
    );
  });
  it("shuffles", () => {
    const k = new KernelBuilder("shuffle", 8);
    const y = k.output("y", "u32");
    y.store(k.thread, k.subgroup("shuffle_xor", k.thread, 1).add(k.subgroup("broadcast_first", k.thread).mul(10)));
    const out = new Uint32Array(8);
    run(k.build(), [out], {}, 1, { subgroupSize: 4, order: "reverse" });
    expect([...out]).toEqual([1, 0, 3, 2, 45, 44, 47, 46]);
  });
});

describe("scalar operations", () => {
  it("rounds f32 after every step", () => {
    const [y] = unary(new Float32Array([16777216]), "f32", "f32", (x) => x.add(1).add(1));
    expect(y).toBe(16777216);
    const x = Math.fround(1 + 2 ** -12);
    const product = (fused: boolean) =>
      unary(new Float32Array([x]), "f32", "f32", (v) => v.fma(v, v.mul(v).neg()), { fused })[0]!;
    expect(product(false)).toBe(0);
    expect(product(true)).toBe(x * x - Math.fround(x * x));
  });
  it("wraps integers", () => {
    expect(unary(new Int32Array([2147483647, -2147483648]), "i32", "i32", (x) => x.add(1))).toEqual([-2147483648, -2147483647]);
    expect(unary(new Int32Array([123456789]), "i32", "i32", (x) => x.mul(1000003))).toEqual([Math.imul(123456789, 1000003)]);
    expect(unary(new Uint32Array([0, 0x80000000]), "u32", "u32", (x) => x.sub(1))).toEqual([0xffffffff, 0x7fffffff]);
    expect(unary(new Int32Array([-7, 7]), "i32", "i32", (x) => x.div(2).mul(10).add(x.rem(2)))).toEqual([-31, 31]);
    expect(unary(new Int32Array([-8]), "i32", "i32", (x) => x.shr(1))).toEqual([-4]);
    expect(unary(new Uint32Array([0x80000000]), "u32", "u32", (x) => x.shr(31))).toEqual([1]);
  });
  it("converts", () => {
    const x = new Float32Array([2.7, -2.7, 3e9, -3e9, 1e20]);
    expect(unary(x, "f32", "i32", (v) => v.convert("i32"))).toEqual([2, -2, 2147483647, -2147483648, 2147483647]);
    expect(unary(x, "f32", "u32", (v) => v.convert("u32"))).toEqual([2, 0, 3000000000, 0, 4294967295]);
    expect(unary(new Uint32Array([0xffffffff]), "u32", "f32", (v) => v.convert("f32"))).toEqual([4294967296]);
    expect(unary(new Float32Array([1, -0]), "f32", "u32", (v) => v.bitcast("u32"))).toEqual([0x3f800000, 0x80000000]);
    expect(unary(new Float32Array([0.5, 1.5, 2.5, -0.5]), "f32", "f32", (v) => v.round())).toEqual([0, 2, 2, -0]);
  });
  it("min and max of NaN depend on the mood", () => {
    const x = new Float32Array([NaN]);
    expect(unary(x, "f32", "f32", (v) => v.max(1))).toEqual([NaN]);
    expect(unary(x, "f32", "f32", (v) => v.max(1), { hostile: true })).toEqual([1]);
    expect(unary(x, "f32", "u32", (v) => v.isNan().convert("u32"))).toEqual([1]);
  });
  it("has i64 and f64", () => {
    const k = new KernelBuilder("wide", 2);
    const x = k.input("x", "i64");
    const y = k.output("y", "i64");
    const z = k.output("z", "f64");
    const v = x.load(k.thread);
    y.store(k.thread, v.mul(v).add(k.param("c", "i64")).shr(k.u32(1)));
    z.store(k.thread, v.convert("f64").div(3));
    const out = new BigInt64Array(2);
    const quotients = new Float64Array(2);
    run(k.build(), [new BigInt64Array([5000000000n, -3n]), out, quotients], { c: 4n });
    expect([...out]).toEqual([(BigInt.asIntN(64, 25n * 10n ** 18n) + 4n) >> 1n, 6n]);
    expect([...quotients]).toEqual([5e9 / 3, -1]);
  });
  it("stores halves to nearest even", () => {
    for (const elem of ["f16", "bf16"] as const) {
      const k = new KernelBuilder(elem, 1);
      const x = k.input("x", "f32");
      const h = k.output("h", elem);
      const y = k.output("y", "f32");
      k.for(0, k.param("n", "u32"), 1, (i) => {
        h.store(i, x.load(i));
        y.store(i, h.load(i));
      });
      const values = [1, 1 + 2 ** -11, 1 + 3 * 2 ** -11, 65519, 65520, 1e-7, -0, Infinity, 2 ** -24, 257, 259];
      const out = new Float32Array(values.length);
      run(k.build(), [new Float32Array(values), new Uint16Array(values.length), out], { n: values.length });
      expect([...out]).toEqual(
        elem === "f16"
          ? [1, 1, 1 + 2 ** -9, 65504, Infinity, 2 ** -23, -0, Infinity, 2 ** -24, 257, 259]
          : [1, 1, 1, 65536, 65536, 1.0011717677116394e-7, -0, Infinity, 2 ** -24, 256, 260],
      );
    }
  });
  it("calls functions, keeps variables, loops", () => {
    const square = defineFunc("square", ["f32"], (_, x) => x!.mul(x!));
    const scalar: ScalarType = "f32";
    expect(unary(new Float32Array([1, 2, 3, 4, 5]), scalar, scalar, (x, b) => {
      const total = b.var(b.f32(0));
      const n = b.var(b.u32(0));
      b.while(() => n.get().lt(3), () => {
        b.if(n.get().eq(1), () => total.set(total.get().add(b.call(square, x))), () => total.set(total.get().add(1)));
        n.set(n.get().add(1));
      });
      return total.get();
    })).toEqual([3, 6, 11, 18, 27]); // prettier-ignore
  });
});

it("vectors go lane by lane", () => {
  const k = new KernelBuilder("vectors", 2);
  const x = k.input("x", "f32", 4);
  const y = k.output("y", "f32", 4);
  const v = x.load(k.thread);
  y.store(k.thread, v.lt(k.const(4, "f32", 4)).select(v.mul(2), k.splat(v.lane(0), 4)));
  const out = new Float32Array(8);
  run(k.build(), [new Float32Array([1, 2, 3, 4, 5, 6, 7, 8]), out]);
  expect([...out]).toEqual([2, 4, 6, 1, 5, 5, 5, 5]);
});
