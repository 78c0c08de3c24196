/** What the IR says of matrix units and asynchronous copies, as the interpreter does it. */

import { describe, expect, it } from "vitest";
import { KernelBuilder, type V } from "../../gpu/builder.ts";
import type { MatrixFormat, Program } from "../../gpu/ir.ts";
import { interpret, type InterpretOptions, type Memory, type Order } from "../../gpu/lower/interpret.ts";
import { BF16_VALUES, F16_VALUES, toBF16, toF16 } from "../../gpu/lower/interpret_memory.ts";
import { toWgsl } from "../../gpu/lower/wgsl.ts";
import { uniform } from "./harness.ts";

const ORDERS: readonly Order[] = ["forward", "reverse", 1];
const FORMATS: readonly MatrixFormat[] = ["f16", "bf16", "tf32"];

function run(program: Program, buffers: readonly Memory[], options: InterpretOptions = {}): void {
  interpret(program, { buffers, params: {}, groups: 1 }, options);
}

/** One product by a subgroup, straight from PTX's tables: every word of a fragment is read from where the manual says that it lies. */
function oneProduct(format: MatrixFormat): Program {
  const k = new KernelBuilder("product", 32);
  const pairs = format !== "tf32";
  const depth = pairs ? 16 : 8;
  const [a, b, c] = [k.input("a", "f32"), k.input("b", "f32"), k.input("c", "f32")]; // [16][k], [k][8], [16][8]
  const y = k.output("y", "f32");
  const [g, t] = [k.thread.div(4), k.thread.rem(4)];
  const word = (at: (kk: V) => V, load: (at: V) => V, first: V): V => {
    if (format === "tf32") return k.op("round_tf32", load(at(first))).bitcast("u32");
    return k.pack(format, load(at(first)), load(at(first.add(1))));
  };
  const step = pairs ? 2 : 1;
  const [near, far] = [t.mul(step), t.mul(step).add(depth / 2)];
  const ofA = (row: V, kk: V): V => word((x) => row.mul(depth).add(x), (x) => a.load(x), kk); // prettier-ignore
  const ofB = (kk: V): V =>
    word(
      (x) => x.mul(8).add(g),
      (x) => b.load(x),
      kk,
    );
  const places = [0, 1, 2, 3].map((i) => g.add(8 * (i >> 1)).mul(8).add(t.mul(2)).add(i & 1)); // prettier-ignore
  const sums = k.mma(
    format,
    k.vector([ofA(g, near), ofA(g.add(8), near), ofA(g, far), ofA(g.add(8), far)]),
    k.vector([ofB(near), ofB(far)]),
    k.vector(places.map((at) => c.load(at))),
  );
  places.forEach((at, i) => y.store(at, sums.lane(i)));
  return k.build();
}

const rounded = (format: MatrixFormat, x: number): number => {
  if (format === "f16") return F16_VALUES[toF16(x)]!;
  if (format === "bf16") return BF16_VALUES[toBF16(x)]!;
  const bits = new Uint32Array(Float32Array.of(x).buffer);
  bits[0] = (bits[0]! + 0x1000) & 0xffffe000;
  return new Float32Array(bits.buffer)[0]!;
};

describe.each(FORMATS)("products of %s", (format) => {
  const depth = format === "tf32" ? 8 : 16;
  const [a, b, c] = [16 * depth, depth * 8, 128].map((n, i) => Float32Array.from(uniform(n, i))) as [
    Float32Array,
    Float32Array,
    Float32Array,
  ];
  it.each(ORDERS)("are those of the rounded operands (%s)", (order) => {
    const y = new Float32Array(128);
    run(oneProduct(format), [a, b, c, y], { order });
    for (let i = 0; i < 16; i++) {
      for (let j = 0; j < 8; j++) {
        let sum = c[i * 8 + j]!;
        for (let kk = 0; kk < depth; kk++) sum += rounded(format, a[i * depth + kk]!) * rounded(format, b[kk * 8 + j]!);
        expect(y[i * 8 + j]).toBe(Math.fround(sum));
      }
    }
  });
  it("take 32 threads", () => {
    expect(() => run(oneProduct(format), [a, b, c, new Float32Array(128)], { subgroupSize: 16 })).toThrow(
      "mma by a subgroup of 16 threads; it takes 32",
    );
  });
});

it("round_tf32 keeps NaN and infinities, rounds half away from zero", () => {
  const k = new KernelBuilder("rounding", 32);
  const [x, y] = [k.input("x", "f32"), k.output("y", "f32")];
  y.store(k.thread, k.op("round_tf32", x.load(k.thread)));
  const values = [1, 1 + 2 ** -11, 1 + 2 ** -12, -1 - 2 ** -11, NaN, Infinity, -Infinity, 3.4028234e38, 0, -0];
  const results = new Float32Array(32);
  const bits = new Uint32Array(32);
  new Float32Array(bits.buffer).set(values);
  bits[4] = 0x7fffffff; // the NaN that CUDA's own instructions make
  run(k.build(), [new Float32Array(bits.buffer), results]);
  const expected = [1, 1 + 2 ** -10, 1, -1 - 2 ** -10, NaN, Infinity, -Infinity, Infinity, 0, -0];
  expect([...results.slice(0, 10)]).toEqual(expected);
});

describe("matrices from workgroup memory", () => {
  const source = Uint16Array.from({ length: 256 }, (_, i) => i);
  const words = new Uint32Array(source.buffer); // 32 rows of 4
  function load(transposed: boolean): Uint32Array {
    const k = new KernelBuilder("matrices", 32);
    const [x, y] = [k.input("x", "u32", 4), k.output("y", "u32", 4)];
    const rows = k.shared("rows", "u32", 64, 4);
    // Rows lie apart, the later ones first.
    const place = k.u32(62).sub(k.thread.mul(2));
    rows.store(place, x.load(k.thread));
    k.barrier();
    y.store(k.thread, rows.loadMatrices(place.mul(4), transposed));
    const result = new Uint32Array(128);
    run(k.build(), [words, result], { order: 3, uninitialised: true });
    return result;
  }
  const element = (matrix: number, row: number, column: number): number => (matrix * 8 + row) * 8 + column;
  it.each([false, true])("lanes have their words, transposed: %s", (transposed) => {
    const result = load(transposed);
    for (let lane = 0; lane < 32; lane++) {
      const [r, c] = [lane >> 2, lane & 3];
      for (let i = 0; i < 4; i++) {
        const [low, high] = transposed
          ? [element(i, 2 * c, r), element(i, 2 * c + 1, r)]
          : [element(i, r, 2 * c), element(i, r, 2 * c + 1)];
        expect(result[lane * 4 + i]).toBe(low | (high << 16));
      }
    }
  });
});

/** Threads copy a word each, and read their neighbour's. `sabotage` is what a careless author might do. */
function copying(sabotage: "nothing" | "no wait" | "no barrier" | "no commit" | "early read" | "early write"): Program {
  const k = new KernelBuilder("copying", 64);
  const [x, y] = [k.input("x", "f32"), k.output("y", "f32")];
  const tile = k.shared("tile", "f32", 64, 4);
  const other = k.thread.add(1).rem(64);
  tile.copyFrom(x, k.thread.mul(4), k.thread.mul(4), 16);
  if (sabotage !== "no commit") k.commitCopies();
  if (sabotage === "early read") {
    k.barrier();
    y.store(k.thread, tile.loadWord(k.thread.mul(4)));
  }
  if (sabotage === "early write") tile.store(k.thread, k.const(0, "f32", 4));
  if (sabotage !== "no wait") k.waitCopies(0);
  if (sabotage !== "no barrier") k.barrier();
  y.store(k.thread, tile.loadWord(other.mul(4).add(k.thread.rem(4))));
  return k.build();
}
const source = Float32Array.from({ length: 256 }, (_, i) => i);

describe("asynchronous copies and their mutants", () => {
  it.each(ORDERS)("are seen after wait and barrier (%s)", (order) => {
    const y = new Float32Array(64);
    run(copying("nothing"), [source, y], { order, uninitialised: true });
    expect([...y]).toEqual(Array.from({ length: 64 }, (_, i) => ((i + 1) % 64) * 4 + (i % 4)));
  });
  it.each([
    ["no wait", /tile\[\d+\] is touched while a copy to it goes on/],
    ["no commit", /tile\[\d+\] is touched while a copy to it goes on/],
    ["early read", /tile\[\d+\] is touched while a copy to it goes on/],
    ["early write", /tile\[\d+\] is touched while a copy to it goes on/],
    ["no barrier", /race on workgroup array tile|tile\[\d+\] is touched while/],
  ] as const)("%s is caught in any order", (sabotage, message) => {
    for (const order of ORDERS) expect(() => run(copying(sabotage), [source, new Float32Array(64)], { order })).toThrow(message);
  });
  it("what is copied is poison until the wait", () => {
    const y = new Float32Array(64);
    expect(() => run(copying("no wait"), [source, y], { races: false })).toThrow("that it has not waited for");
    expect(y.every(Number.isNaN)).toBe(true);
  });

  function partial(elements: number, from: number, to: number, bytes: 4 | 8 | 16 = 16): Program {
    const k = new KernelBuilder("partial", 1);
    const [x, y] = [k.input("x", "i16"), k.output("y", "u32")];
    const tile = k.shared("tile", "u32", 8);
    tile.copyFrom(x, to, from, bytes, k.param("elements", "u32").min(elements));
    k.commitCopies();
    k.waitCopies(0);
    for (let i = 0; i < 4; i++) y.store(i, tile.load(to - (to % 4) + i));
    return k.build();
  }
  const halves = Int16Array.from({ length: 16 }, (_, i) => i + 1);
  const attempt = (program: Program): number[] => {
    const y = new Uint32Array(4);
    interpret(program, { buffers: [halves, y], params: { elements: 100 }, groups: 1 });
    return [...y];
  };
  it("end with zeros where the source has fewer elements", () => {
    expect(attempt(partial(8, 8, 4))).toEqual([0x000a0009, 0x000c000b, 0x000e000d, 0x0010000f]);
    expect(attempt(partial(3, 8, 0))).toEqual([0x000a0009, 0x0000000b, 0, 0]);
    expect(attempt(partial(0, 4096, 0))).toEqual([0, 0, 0, 0]);
  });
  it("must be aligned and inside", () => {
    expect(() => attempt(partial(8, 4, 0))).toThrow("a copy of 16 bytes from x[4] to word 0 of tile is not aligned");
    expect(() => attempt(partial(8, 0, 2))).toThrow("is not aligned");
    expect(() => attempt(partial(8, 16, 0))).toThrow("reads outside of the buffer's 16 elements");
    expect(() => attempt(partial(8, 0, 8))).toThrow("is outside of its 8 words");
    expect(() => attempt(partial(5, 0, 0, 8))).toThrow("is to read 5 elements");
  });
  it("groups are waited for in their order", () => {
    const k = new KernelBuilder("groups", 1);
    const [x, y] = [k.input("x", "f32"), k.output("y", "f32")];
    const tile = k.shared("tile", "f32", 3);
    for (let i = 0; i < 3; i++) {
      tile.copyFrom(x, i, i + 5, 4);
      k.commitCopies();
    }
    for (let i = 0; i < 3; i++) {
      k.waitCopies(2 - i);
      y.store(i, tile.load(i));
    }
    const result = new Float32Array(3);
    run(k.build(), [source, result], { uninitialised: true });
    expect([...result]).toEqual([5, 6, 7]);
  });
});

it("WGSL has none of this, and says so", () => {
  expect(() => toWgsl(oneProduct("f16"))).toThrow("WGSL has no packed f16");
  expect(() => toWgsl(oneProduct("tf32"))).toThrow("WGSL has no rounding to TF32");
  expect(() => toWgsl(copying("nothing"))).toThrow("WGSL has no asynchronous copies");
});
