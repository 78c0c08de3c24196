/**
 * `random`: draws from Philox, as laid out in gpu/scalar/philox.ts; the same seed and order of draws give the same numbers on every GPU device
 * (whole numbers and uniform ones bit for bit, others up to the rounding of logarithms and the like). float64 is made in f64, all else in f32.
 */

import type { View } from "../../ts/core/device.ts";
import { bool, type DType, float32, float64, int32, int64 } from "../../ts/core/dtype.ts";
import { RuntimeError } from "../../ts/core/errors.ts";
import { contiguousStrides, numelOf } from "../../ts/core/shape.ts";
import { cast, load } from "../../ts/kernel/expr.ts";
import type { GeneratorState, RandomSpec } from "../../ts/kernel/spec.ts";
import { KernelBuilder, type V } from "../builder.ts";
import type { GpuContext, GpuLowering } from "../context.ts";
import { ceilDiv, collapse, workgroupSize } from "../plan.ts";
import { opaque } from "../scalar/basics.ts";
import { castTo, roundTo } from "../scalar/convert.ts";
import { hostValue } from "../scalar/host.ts";
import { exp } from "../scalar/math_exp.ts";
import { log1p } from "../scalar/math_log.ts";
import {
  type Bits,
  circle,
  exponential,
  multiplyHigh,
  normals,
  openUniform,
  philox,
  type Stream,
  uniform,
  uniformDouble,
} from "../scalar/philox.ts";
import { binomial, gamma, poisson } from "../scalar/rejection.ts";
import { addressOf, coordinatesOf, declareShape, declareView, shapeParams, viewParams } from "./common.ts";

const THREADS = 128;
type Distribution = Exclude<RandomSpec["distribution"], "randperm">;
const REJECTION: ReadonlySet<Distribution> = new Set<Distribution>(["poisson", "binomial", "standard_gamma"]);

export const lowerRandom: GpuLowering<"random"> = (spec, context) => {
  const { distribution, dtype } = spec;
  if (distribution === "randperm") return permutation(dtype, context);
  const rejection = REJECTION.has(distribution);
  return (inputs, [out], { a, b, generator }) => {
    const n = numelOf(out!.shape);
    if (n === 0) return;
    const walk = inputs.length > 0 ? collapse(inputs) : { shape: [], strides: [] };
    const rank = walk.shape.length;
    const sources = inputs.map((v) => v.dtype);
    const key = `random/${distribution}/${dtype.name}/${sources.map((d) => d.name).join()}/${rank}`;
    const units = rejection ? n : ceilDiv(n, 4);
    const params = { n, out: out!.offset, ...streamParams(generator, units), ...shapeParams("size", walk.shape) };
    inputs.forEach((v, i) => Object.assign(params, viewParams(`in${i}`, v.offset, walk.strides[i]!)));
    const { wide, extra } = settings(distribution, dtype, context, a, b);
    const program = context.program(`${key}${wide ? "/wide" : ""}`, () =>
      drawProgram(distribution, dtype, sources, rank, wide, context),
    );
    const groups = ceilDiv(units, program.workgroup);
    context.launch(program, { buffers: [out!, ...inputs], params: { ...params, ...extra }, groups });
  };
};

/** The next `units` blocks of a stream. */
function streamParams(generator: GeneratorState, units: number): Record<string, number> {
  const { seed, offset } = generator;
  generator.offset = offset + units;
  return {
    key0: Number(BigInt.asUintN(32, seed)),
    key1: Number(BigInt.asUintN(32, seed >> 32n)),
    offset0: offset % 2 ** 32,
    offset1: Math.floor(offset / 2 ** 32),
  };
}

type Extra = Record<string, number | bigint>;

/** The distribution's own parameters, and whether whole numbers need 64 bits. */
function settings(
  distribution: Distribution,
  dtype: DType,
  context: GpuContext,
  a: number | bigint,
  b: number | bigint,
): { wide: boolean; extra: Extra } {
  if (distribution === "random_int") {
    const [from, to] = [BigInt(a), BigInt(b)];
    const range = to - from;
    const fits = from >= -(2n ** 31n) && to <= 2n ** 31n;
    if (fits) return { wide: false, extra: { base: Number(from), range: Number(BigInt.asUintN(32, range)) } };
    if (!context.caps.wide) {
      throw new RuntimeError(
        `random: whole numbers from ${from} to ${to - 1n} do not fit this device, whose integers are 32 bits wide (-2^31 to 2^31 - 1); draw them on the cpu`,
      );
    }
    return { wide: true, extra: { base: from, range: BigInt.asIntN(64, range) } };
  }
  if (distribution === "bernoulli") {
    const p = Number(a);
    return { wide: false, extra: { limit: Math.min(Math.ceil(p * 2 ** 32), 2 ** 32 - 1), always: p >= 1 ? 1 : 0 } };
  }
  const round = (x: number | bigint): number => {
    // (Bounds are held in the type of the output.)
    return distribution === "uniform" ? Number(hostValue(x, dtype, context.layout(dtype))) : Number(x);
  };
  return { wide: false, extra: { a: round(a), b: round(b) } };
}

/** A block of four elements per thread; with rejection, an element. */
function drawProgram(
  distribution: Distribution,
  dtype: DType,
  sources: readonly DType[],
  rank: number,
  wide: boolean,
  context: GpuContext,
): ReturnType<KernelBuilder["build"]> {
  const k = new KernelBuilder(`random_${distribution}`, workgroupSize(context.caps, THREADS));
  const layout = context.layout(dtype);
  const out = k.output("y", layout.elem);
  const inputs = sources.map((d, i) => ({ buffer: k.input(`x${i}`, context.layout(d).elem), dtype: d }));
  const shape = declareShape(k, "size", rank);
  const views = sources.map((_, i) => declareView(k, `in${i}`, rank));
  const n = k.param("n", "u32");
  const first = k.param("out", "u32");
  const [key0, key1, offset0, offset1] = ["key0", "key1", "offset0", "offset1"].map((p) => k.param(p, "u32")) as [V, V, V, V];
  const real = realOf(dtype);
  const stream: Stream = { key: [key0, key1], offset: [offset0, offset1] };
  const argument = (input: number, element: V): V => {
    const { buffer, dtype: from } = inputs[input]!;
    const raw = buffer.load(addressOf(views[input]!, coordinatesOf(element, shape)));
    return castTo(k, raw, from, REJECTION.has(distribution) ? real : float32, context.layout(real));
  };
  const unit = k.group.mul(k.workgroup).add(k.thread);

  if (REJECTION.has(distribution)) {
    k.if(unit.lt(n), () => {
      const draw = (round: V): V[] => philox(k, stream, unit, round);
      const x = argument(0, unit);
      const value =
        distribution === "poisson"
          ? poisson(k, x, draw)
          : distribution === "binomial"
            ? binomial(k, x, argument(1, unit), draw)
            : gamma(k, x, draw);
      out.store(first.add(unit), castTo(k, value, real, dtype, layout));
    });
    return k.build();
  }
  k.if(unit.lt(ceilDiv4(n)), () => {
    const words = philox(k, stream, unit, 0);
    const element = unit.mul(4);
    const values = fourOf(k, distribution, dtype, wide, context, {
      words,
      more: () => philox(k, stream, unit, 1),
      probability: (i) => (inputs.length === 0 ? null : argument(0, element.add(i).min(n.sub(1)))),
    });
    values.forEach((value, i) => {
      k.if(element.add(i).lt(n), () => out.store(first.add(element).add(i), value));
    });
  });
  return k.build();
}

/** What numbers of a dtype are made in. */
const realOf = (dtype: DType): DType => (dtype === float64 ? float64 : float32);

const ceilDiv4 = (n: V): V => n.sub(1).div(4).add(1);

interface Source {
  /** A word for each of the four elements, and another. */
  readonly words: readonly V[];
  more(): readonly V[];
  /** The probability of an element where it is an input. */
  probability(i: number): V | null;
}

/** The four elements of a block, as they are stored. */
function fourOf(
  k: KernelBuilder,
  distribution: Distribution,
  dtype: DType,
  wide: boolean,
  context: GpuContext,
  { words, more, probability }: Source,
): V[] {
  const layout = context.layout(dtype);
  const real = realOf(dtype);
  const stored = (x: V): V => castTo(k, x, real, dtype, layout);
  const param = (name: string): V => k.param(name, context.layout(real).value);
  const bits = (): Bits[] => {
    const lows = real === float64 ? more() : null;
    return words.map((high, i) => ({ high, low: lows?.[i] ?? null }));
  };
  const pairs = (): V[] => {
    const [a, b, c, d] = bits() as [Bits, Bits, Bits, Bits];
    return [...normals(k, a, b), ...normals(k, c, d)];
  };
  switch (distribution) {
    case "uniform": {
      const steps = dtype.itemsize === 4 ? 24 : dtype.name === "float16" ? 11 : 8;
      const [a, b] = [param("a"), param("b")];
      return bits().map(({ high, low }) => {
        const u = low === null ? uniform(high, steps) : uniformDouble(high, low);
        // Not to be fused, so that the result is the same everywhere; rounding must not reach b.
        const x = roundTo(k, opaque(u.mul(b.sub(a))).add(a), dtype);
        return x.lt(b).select(x, a);
      });
    }
    case "normal":
      return pairs().map((z) => stored(z.mul(param("b")).add(param("a"))));
    case "log_normal":
      return pairs().map((z) => stored(exp(k, z.mul(param("b")).add(param("a")))));
    case "exponential":
      return bits().map((w) => stored(exponential(k, w).div(param("a"))));
    case "geometric":
      return bits().map((w) =>
        stored(
          exponential(k, w)
            .div(log1p(k, param("a").neg()).neg())
            .ceil()
            .max(1),
        ),
      );
    case "cauchy":
      return bits().map((w) => {
        const angle = openUniform(w).sub(0.5).mul(0.5);
        const { sin, cos } = circle(angle.abs());
        return stored(angle.lt(0).select(sin.neg(), sin).div(cos).mul(param("b")).add(param("a")));
      });
    case "bernoulli":
      return words.map((w, i) => {
        const p = probability(i);
        const hit = p === null ? w.lt(k.param("limit", "u32")).or(k.param("always", "u32").ne(0)) : uniform(w).lt(p);
        return castTo(k, hit, bool, dtype, layout);
      });
    case "random_int": {
      const high = more();
      return words.map((w, i) => {
        if (wide) return castTo(k, longInteger(k, w, high[i]!), int64, dtype, layout);
        // The high word of (high, w) * range / 2^32; a range of 2^32 is 0.
        const range = k.param("range", "u32");
        const low = multiplyHigh(k, w, range);
        const middle = high[i]!.mul(range);
        const carry = middle.add(low).lt(low).convert("u32");
        const whole = multiplyHigh(k, high[i]!, range).add(carry);
        const value = range.eq(0).select(high[i]!, whole).bitcast("i32").add(k.param("base", "i32"));
        return castTo(k, value, int32, dtype, layout);
      });
    }
    default:
      throw new RuntimeError(`random: ${distribution} has no four elements to a block`);
  }
}

/** Whole numbers from ranges of more than 32 bits: 63 random ones, or all 64 where the range is 2^64 (0), modulo the range. */
function longInteger(k: KernelBuilder, low: V, high: V): V {
  const word = high.convert("i64").shl(32).or(low.convert("i64"));
  const range = k.param("range", "i64");
  const positive = word.and(k.const(2n ** 63n - 1n, "i64"));
  const small = positive.rem(range.gt(0).select(range, k.const(1, "i64")));
  const drawn = range.gt(0).select(small, range.eq(0).select(word, positive));
  return drawn.add(k.param("base", "i64"));
}

/** Sorts random keys of 32 bits; equal ones, which are rare, stay in order. */
function permutation(dtype: DType, context: GpuContext): ReturnType<GpuLowering<"random">> {
  const keysOf = context.lower<"random">({ kind: "random", distribution: "random_int", dtype: int32 });
  const sort = context.lower<"sort">({ kind: "sort", mode: "sort", dtype: int32 });
  const convert = context.lower<"map">({ kind: "map", inputs: [int64], scalars: 0, outputs: [cast(load(0, int64), dtype)] });
  return (_, [out], { generator }) => {
    const n = numelOf(out!.shape);
    if (n === 0) return;
    const temporary = (type: DType): View => context.view(context.temporary(n, context.layout(type).elem), type, [1, n]);
    const keys = temporary(int32);
    keysOf([], [keys], { a: -(2 ** 31), b: 2 ** 31, generator });
    const order = dtype === int64 ? { ...out!, shape: [1, n], strides: contiguousStrides([1, n]) } : temporary(int64);
    const params = { descending: false, k: 0, sorted: true, ignoreNan: false, right: false };
    sort([keys], [temporary(int32), order], params);
    if (dtype !== int64) convert([{ ...order, shape: [n], strides: [1] }], [out!], { scalars: [] });
  };
}
