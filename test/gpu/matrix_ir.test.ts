/** What the IR says of matrix units and asynchronous copies, as the interpreter does it. */

import { describe, expect, it } from "vitest";
import { KernelBuilder } from "../../gpu/builder.ts";
import type { GpuCaps } from "../../gpu/context.ts";
import { InterpreterBackend, MINIMAL_CAPS } from "../../gpu/interpreter/backend.ts";
import type { MatrixFormat, Program } from "../../gpu/ir.ts";
import { interpret, type InterpretOptions, type Memory, type Order } from "../../gpu/lower/interpret.ts";
import { BF16_VALUES, F16_VALUES, toBF16, toF16 } from "../../gpu/lower/interpret_memory.ts";
import { toWgsl } from "../../gpu/lower/wgsl.ts";
import { uniform } from "./harness.ts";
import { copying, matrices, oneProduct, partial } from "./matrix_programs.ts";

const ORDERS: readonly Order[] = ["forward", "reverse", 1];
const FORMATS: readonly MatrixFormat[] = ["f16", "bf16", "tf32"];

function run(program: Program, buffers: readonly Memory[], options: InterpretOptions = {}): void {
  interpret(program, { buffers, params: {}, groups: 1 }, options);
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
  const load = (transposed: boolean): Uint32Array => {
    const result = new Uint32Array(128);
    run(matrices(transposed), [words, result], { order: 3, uninitialised: true });
    return result;
  };
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

it("a device without them refuses", () => {
  const dispatch = (program: Program, caps: Partial<GpuCaps>): void => {
    const backend = new InterpreterBackend({ ...MINIMAL_CAPS, subgroups: { min: 32, max: 32 }, ...caps }, {});
    const memories = program.buffers.map(() => backend.allocate(4096));
    const aliases = memories.map((_, i) => i);
    backend.dispatch({ program, memories, aliases, words: new Uint32Array(0), groups: 1 });
  };
  const matrix = { f16: true, bf16: false, tf32: false };
  expect(() => dispatch(oneProduct("f16"), {})).toThrow("product needs matrix units for f16, which this device does not have");
  expect(() => dispatch(oneProduct("bf16"), { matrix })).toThrow("matrix units for bf16");
  expect(() => dispatch(matrices(false), {})).toThrow("matrices needs matrix units");
  expect(() => dispatch(copying("nothing"), { matrix })).toThrow("copying needs asynchronous copies");
  expect(() => dispatch(oneProduct("f16"), { matrix })).not.toThrow();
  expect(() => dispatch(copying("nothing"), { asyncCopy: true })).not.toThrow();
});
