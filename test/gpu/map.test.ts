import { describe, expect, it } from "vitest";
import * as dtypes from "../../ts/core/dtype.ts";
import { bfloat16, bool, type DType, float16, float32, int32, int64, int8, uint8 } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import { e } from "../../ts/kernel/builder.ts";
import { cast, constant, type Expr, index, load, op, scalar, type ScalarOp } from "../../ts/kernel/expr.ts";
import {
  type Case,
  check,
  devices,
  download,
  empty,
  evaluate,
  integers,
  type Operand,
  permuted,
  tensor,
  uniform,
  upload,
} from "./harness.ts";

function map(
  inputs: readonly Operand[],
  exprs: readonly Expr[],
  more: {
    scalars?: readonly (number | bigint)[];
    shape?: readonly number[];
    outputs?: readonly (Operand | number)[];
    tolerance?: Case["tolerance"];
  } = {},
): Case<"map"> {
  const { scalars = [], shape = inputs[0]?.shape ?? [], outputs, tolerance } = more;
  return {
    spec: { kind: "map", inputs: inputs.map((x) => x.dtype), scalars: scalars.length, outputs: exprs },
    inputs,
    outputs: outputs ?? exprs.map((x) => empty(x.dtype, shape)),
    params: { scalars },
    ...(tolerance === undefined ? {} : { tolerance }),
  };
}

const floats = (shape: readonly number[], seed = 1, dtype: DType = float32): Operand =>
  tensor(dtype, shape, uniform(numelOf(shape), seed, -3, 3));
const x = load(0, float32);
const y = load(1, float32);
/** What any integer type holds of whole numbers. */
const wholes = (dtype: DType, shape: readonly number[], seed = 1): Operand =>
  tensor(
    dtype,
    shape,
    dtype === bool ? integers(numelOf(shape), seed, 0, 2) : integers(numelOf(shape), seed, dtype.is_signed ? -100 : 0, 120),
  );
const valuesOf = (dtype: DType, shape: readonly number[], seed = 1): Operand =>
  dtype.is_floating_point ? floats(shape, seed, dtype) : wholes(dtype, shape, seed);

describe.each(devices)("$name", (target) => {
  describe("walks", () => {
    it("dense data of any length", async () => {
      for (const n of [1, 2, 3, 4, 5, 8, 255, 1024, 1027, ...(target.slow ? [4099] : [100003])]) {
        await check(target, map([floats([n]), floats([n], 2)], [e.add(e.mul(x, 2), y)]));
      }
    });
    it("nothing", async () => {
      await check(target, map([floats([0]), floats([0])], [e.add(x, y)]));
      await check(target, map([floats([3, 0, 2])], [e.neg(x)]));
    });
    it("single elements", async () => {
      await check(target, map([tensor(float32, [], [3])], [e.neg(x)]));
      await check(target, map([tensor(float32, [1, 1], [3])], [e.neg(x)]));
    });
    it("broadcast values, rows, columns and both", async () => {
      for (const [n, m] of [
        [6, 8],
        [5, 7],
        [33, 64],
      ] as const) {
        const whole = floats([n, m]);
        const row = tensor(float32, [n, m], uniform(m, 3), { strides: [0, 1] });
        const column = tensor(float32, [n, m], uniform(n, 4), { strides: [1, 0] });
        const value = tensor(float32, [n, m], [5], { strides: [0, 0] });
        const sum = [load(1, float32), load(2, float32), load(3, float32)].reduce((a, b) => e.mul(e.add(a, 1), b), x);
        await check(target, map([whole, row, column, value], [sum]));
        await check(target, map([row, column], [e.add(x, y)]));
        await check(target, map([value], [e.add(x, 1)]));
      }
    });
    it("channels of images", async () => {
      const shape = [3, 4, 5, 8];
      const channel = tensor(float32, shape, uniform(4, 5), { strides: [0, 1, 0, 0] });
      await check(target, map([floats(shape), channel], [e.mul(x, y)]));
    });
    it("views that start and stride anywhere", async () => {
      const values = uniform(400, 6);
      for (const [offset, strides] of [
        [0, [20, 1]],
        [4, [20, 1]],
        [3, [20, 1]],
        [4, [18, 1]],
        [1, [40, 2]],
        [2, [1, 20]],
      ] as const) {
        await check(target, map([tensor(float32, [6, 16], values, { offset, strides })], [e.add(x, 1)]));
      }
    });
    it("transposed data, small and large", async () => {
      for (const [n, m] of [[5, 3], [40, 70], ...(target.slow ? [[70, 65]] : [[300, 257]])] as const) {
        await check(target, map([permuted(floats([m!, n!]), 1, 0)], [e.add(x, 1)]));
        await check(target, map([permuted(floats([m!, n!]), 1, 0), floats([n!, m!], 2)], [e.add(x, y)]));
      }
      const batch = permuted(floats([3, 40, 36, 2]), 3, 2, 0, 1);
      await check(target, map([batch], [x]));
      await check(
        target,
        map([permuted(floats([3, 64, 48]), 0, 2, 1), permuted(floats([48, 3, 64], 3), 1, 0, 2)], [e.sub(x, y)]),
      );
    });
    it("outputs with strides of their own", async () => {
      const wide: Operand = { ...empty(float32, [6, 8]), strides: [12, 1], offset: 4, size: 80 };
      await check(target, map([floats([6, 8])], [e.neg(x)], { outputs: [wide] }));
      const turned: Operand = { ...empty(float32, [6, 8]), strides: [1, 6] };
      await check(target, map([floats([6, 8])], [e.neg(x)], { outputs: [turned] }));
      await check(target, map([permuted(floats([8, 6]), 1, 0)], [e.neg(x)], { outputs: [turned] }));
      const every: Operand = { ...empty(float32, [5, 4]), strides: [8, 2], offset: 1, size: 50 };
      await check(target, map([floats([5, 4])], [e.neg(x)], { outputs: [every] }));
    });
    it("several outputs of several dtypes", async () => {
      const exprs = [e.add(x, y), e.lt(x, y), cast(e.mul(x, 10), int32), cast(y, float16)];
      await check(target, map([floats([3, 20]), floats([3, 20], 2)], exprs));
      await check(target, map([permuted(floats([20, 3]), 1, 0), floats([3, 20], 2)], exprs));
    });
    it("many dims", async () => {
      const shape = [2, 3, 2, 3, 2, 4];
      await check(target, map([permuted(floats(shape), 5, 0, 3, 1, 4, 2)], [e.add(x, 1)]));
      await check(target, map([permuted(floats(shape), 1, 0, 3, 2, 5, 4)], [e.add(x, 1)]));
    });
  });

  describe("in place", () => {
    it("where each element is read before it is written", async () => {
      for (const n of [7, 64, 4098]) await check(target, map([floats([n]), floats([n], 2)], [e.add(x, y)], { outputs: [0] }));
      await check(
        target,
        map([{ ...floats([80]), shape: [6, 8], strides: [12, 1], offset: 4 }], [e.mul(x, 2)], { outputs: [0] }),
      );
    });
    it("with the same input once more, seen otherwise", async () => {
      const n = 40;
      const values = uniform(n * n, 3);
      const { device } = target;
      // x += x.T, where the transposed input shares the memory that is written.
      const v = upload(device, tensor(float32, [n, n], values));
      const spec = map([floats([n, n]), floats([n, n])], [e.add(x, y)]).spec;
      device.run(device.prepare(spec), [v, { ...v, strides: [1, n] }], [v], { scalars: [] });
      const result = await download(v);
      result.forEach((got, i) => {
        const [r, c] = [Math.floor(i / n), i % n];
        const want = Math.fround(Math.fround(values[i]!) + Math.fround(values[c * n + r]!));
        expect(got).toBeCloseTo(want, 6);
      });
    });
    it("shifted along the same memory", async () => {
      const { device } = target;
      const v = upload(
        device,
        tensor(
          float32,
          [64],
          Float32Array.from({ length: 64 }, (_, i) => i),
        ),
      );
      const spec = map([floats([32])], [e.add(x, 100)]).spec;
      const part = (offset: number): typeof v => ({ ...v, shape: [32], strides: [1], offset });
      device.run(device.prepare(spec), [part(0)], [part(4)], { scalars: [] });
      device.run(device.prepare(spec), [part(0)], [part(32)], { scalars: [] });
      const got = await download(v);
      const want = Array.from({ length: 64 }, (_, i) => i);
      const first = want.slice(0, 32);
      first.forEach((a, i) => (want[4 + i] = a + 100));
      want.slice(0, 32).forEach((a, i) => (want[32 + i] = a + 100));
      expect([...got]).toEqual(want);
    });
  });

  describe("expressions", () => {
    it("with scalars, constants and shared nodes", async () => {
      const shared = e.mul(e.sub(x, scalar(0, float32)), scalar(1, float32));
      const expr = e.add(e.mul(shared, shared), e.mul(scalar(0, float32), constant(3, float32)));
      await check(target, map([floats([5, 6])], [expr, shared], { scalars: [0.5, 2] }));
    });
    it("with positions", async () => {
      const at = e.add(e.mul(index(0, int64), 100), e.sub(index(1, int64), index("linear", int64)));
      await check(target, map([], [at, cast(index(2, int64), float32)], { shape: [3, 4, 8] }));
      await check(target, map([permuted(floats([8, 4, 3]), 2, 1, 0)], [e.add(x, cast(at, float32))]));
      const large = permuted(floats([70, 64]), 1, 0);
      await check(target, map([large], [e.add(x, cast(e.add(index(0, int64), index("linear", int64)), float32))]));
    });
    it("without inputs", async () => {
      await check(target, map([], [constant(2.5, float32), constant(-3, int64), constant(1, bool)], { shape: [5, 8] }));
      await check(target, map([], [scalar(0, int64), scalar(0, float32)], { shape: [7], scalars: [12] }));
    });
    it("that round every step of float16 and bfloat16", async () => {
      for (const dtype of [float16, bfloat16]) {
        const [a, b] = [load(0, dtype), load(1, dtype)];
        const expr = e.add(e.mul(a, b), e.sub(e.mul(b, b), a));
        await check(target, map([floats([100], 1, dtype), floats([100], 2, dtype)], [expr], { tolerance: { rtol: 0, atol: 0 } }));
      }
    });
    it("that wrap every step of small integers", async () => {
      for (const dtype of [uint8, int8, dtypes.int16]) {
        const [a, b] = [load(0, dtype), load(1, dtype)];
        const expr = e.div(e.sub(e.mul(a, b), e.mul(b, 3)), e.add(a, 7));
        await check(target, map([wholes(dtype, [200]), wholes(dtype, [200], 2)], [expr, e.neg(a), e.bitwise_not(b)]));
      }
    });
    it("of bools", async () => {
      const [a, b] = [load(0, bool), load(1, bool)];
      const exprs = [
        e.and(a, b),
        e.or(a, b),
        e.bitwise_xor(a, b),
        e.not(a),
        e.add(a, b),
        e.mul(a, b),
        e.maximum(a, b),
        e.eq(a, b),
        e.lt(a, b),
      ];
      const inputs = [wholes(bool, [40]), wholes(bool, [40], 2)];
      for (let i = 0; i < exprs.length; i += 3) await check(target, map(inputs, exprs.slice(i, i + 3)));
      await check(target, map([...inputs, floats([40])], [e.where(e.ne(a, b), load(2, float32), constant(0, float32))]));
    });
    it("that name an op, a dtype and a remedy where there is no kernel", () => {
      const spec = map([wholes(int32, [4])], [op("exp", int32, load(0, int32))]).spec;
      expect(() => {
        const { device } = target;
        const [input, output] = [device.alloc(16, int32), device.alloc(16, int32)];
        const view = { dtype: int32, shape: [4], strides: [1], offset: 0 };
        device.run(device.prepare(spec), [{ ...view, buffer: input }], [{ ...view, buffer: output }], { scalars: [] });
      }).toThrow(/exp: not implemented for int32 on GPU devices; convert/);
    });
    it("of too many inputs", () => {
      if (target.wide) return;
      const many = Array.from({ length: 20 }, (_, i) => load(i, float32));
      const spec = map(
        many.map(() => floats([4])),
        [many.reduce((a, b) => e.add(a, b))],
      ).spec;
      expect(() => target.device.prepare(spec)).toThrow(/20 inputs and 1 outputs are more than the \d+ buffers/);
    });
  });

  it("casts between all dtypes", async () => {
    const edges = [0, -0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.7, 127, 128, 255, 256, -129, 300.6, 32768, 65504, 65519.9, 65520, 1e5, -1e6, 16777217, 5.96e-8, 2.98e-8, 6.1e-5, 1e-7, 3.14159, NaN, Infinity, -Infinity]; // prettier-ignore
    const all = dtypes.DTYPES.filter((d) => target.wide || d.name !== "float64");
    for (const from of all) {
      const values = from.is_floating_point ? edges : edges.filter((v) => Number.isInteger(v) && Math.abs(v) < 2 ** 31);
      const given = tensor(
        from,
        [values.length],
        values.map((v) => (from === bool ? Number(v !== 0) : v)),
      );
      // Where int64 lives as int32 it holds what int32 holds.
      const finite = tensor(from, [5], [0, 1, 100, 77, 3]);
      for (let i = 0; i < all.length; i += 3) {
        const to = all.slice(i, i + 3);
        const fits = from.is_floating_point && to.includes(int64) && !target.wide;
        const operand = fits ? finite : given;
        await check(
          target,
          map(
            [operand],
            to.map((d) => cast(load(0, from), d)),
            { tolerance: { rtol: 0, atol: 0 } },
          ),
        );
      }
    }
  });
  it("copies all dtypes, dense and transposed", async () => {
    for (const dtype of dtypes.DTYPES) {
      const v = valuesOf(dtype, [12, 20]);
      await check(target, map([v], [load(0, dtype)]));
      await check(target, map([permuted(v, 1, 0)], [load(0, dtype)]));
    }
  });

  describe("integers", () => {
    const special = [0, 1, -1, 2, -2, 3, 7, -8, 100, -100, 31, 32, 33, 2 ** 31 - 1, -(2 ** 31)];
    const pairs = special.flatMap((a) => special.map((b) => [a, b] as const));
    const ops: ScalarOp[] = ["div", "floor_divide", "remainder", "fmod", "pow", "gcd", "shift_left", "shift_right", "maximum", "minimum", "sign", "abs", "add", "mul"]; // prettier-ignore
    it.each(ops)("%s", async (name) => {
      const a = tensor(
        int32,
        [pairs.length],
        pairs.map((p) => p[0]),
      );
      const b = tensor(
        int32,
        [pairs.length],
        pairs.map((p) => p[1]),
      );
      const unary = name === "sign" || name === "abs";
      const args = [load(0, int32), ...(unary ? [] : [load(1, int32)])];
      await check(target, map(unary ? [a] : [a, b], [op(name, int32, ...args)]));
    });
    it("beyond 32 bits, where int64 is 64 bits wide", async () => {
      if (!target.wide) return;
      const a = load(0, int64);
      const big = tensor(int64, [4], [2n ** 40n, -(2n ** 50n), 3n, 2n ** 31n]);
      await check(
        target,
        map([big], [e.mul(a, 3), e.shift_right(a, 7), e.floor_divide(a, 1000), e.remainder(a, 1000), cast(a, int32)]),
      );
    });
  });
  it("refuses int64 numbers that do not fit where they live as int32", async () => {
    const test = map([], [scalar(0, int64)], { shape: [2], scalars: [2n ** 40n] });
    if (target.wide) await check(target, test);
    else
      await expect(evaluate(target.device, test)).rejects.toThrow(/1099511627776 does not fit: this device keeps int64 as int32/);
  });
});
