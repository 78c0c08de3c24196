/**
 * What the scalar functions are made of. GPU compilers may reassociate and contract float arithmetic, flush subnormals and assume that
 * there are no NaN and Inf. So special values are told apart and chosen by their bits, and where a rounding error is computed or two-part
 * constants are subtracted, `opaque` hides from the compiler what it could simplify. Targets that have f64 take its special values seriously.
 */

import { type Func, MATH, type MathName } from "../ir.ts";
import { type Block, defineFunc, type V } from "../builder.ts";

/** Appends the instructions of a scalar function. */
export type Emit = (b: Block, ...args: V[]) => V;

export const INF_BITS = 0x7f800000;
export const NAN_BITS = 0x7fc00000;
export const SIGN_BIT = 0x80000000;

/** A helper function of floats, defined for each type of them when it is first used with it. */
export function func(name: string, arity: number, body: Emit): Emit {
  const made: { f32?: Func; f64?: Func } = {};
  return (b, ...args) => {
    const type = isDouble(args[0]!) ? "f64" : "f32";
    made[type] ??= defineFunc(
      `${name}_${type}`,
      Array.from({ length: arity }, () => type),
      body,
    );
    return b.call(made[type], ...args);
  };
}

/** A function that targets with f64 have for it, and that is made here for f32. */
export function elementary(name: MathName, body: Emit): Emit {
  const single = func(name, MATH[name], body);
  return (b, ...args) => (isDouble(args[0]!) ? b.math(name, ...args) : single(b, ...args));
}

const isDouble = (x: V): boolean => x.scalar === "f64";
/** What an algorithm takes for f32, and for f64. */
export const pick = <T>(x: V, single: T, double: T): T => (isDouble(x) ? double : single);
/** A number in the type of `x`. */
export const like = (x: V, value: number): V => x.block.const(value, x.scalar);
const long = (b: Block, value: bigint): V => b.const(value, "i64");

/** The bits: of f32 as u32, of f64 as i64. */
export const bits = (x: V): V => x.bitcast(isDouble(x) ? "i64" : "u32");
/** The bits without the sign. */
export const sizeBits = (x: V): V => bits(x).and(isDouble(x) ? long(x.block, 2n ** 63n - 1n) : 0x7fffffff);
export const float = (x: V): V => x.bitcast(x.scalar === "i64" ? "f64" : "f32");
export const isInf = (x: V): V => (isDouble(x) ? x.abs().eq(Infinity) : sizeBits(x).eq(INF_BITS));
/** Neither Inf nor NaN. */
export const isFinite = (x: V): V => (isDouble(x) ? x.abs().lt(Infinity) : sizeBits(x).lt(INF_BITS));
export const isZero = (x: V): V => (isDouble(x) ? x.eq(0) : sizeBits(x).eq(0));
/** Whether the sign bit is set. */
export const isNegative = (x: V): V => x.bitcast(isDouble(x) ? "i64" : "i32").lt(0);
export const signOf = (x: V): V => bits(x).and(isDouble(x) ? long(x.block, -(2n ** 63n)) : SIGN_BIT);
/** `size`, which is not negative, with the sign of `x`. */
export const withSign = (size: V, x: V): V => float(bits(size).or(signOf(x)));

/** The same number, of which the compiler knows nothing (but Inf in place of NaN). */
export const opaque = (x: V): V =>
  float(isDouble(x) ? bits(x).min(long(x.block, 0x7ff0000000000000n)) : x.bitcast("i32").min(INF_BITS));

const single = new Float32Array(1);
const singleBits = new Uint32Array(single.buffer);
function bitsOf(value: number): number {
  single[0] = value;
  return singleBits[0]!;
}

/** `result`, but `special` where the condition holds; the last one that holds counts. */
export function unless(b: Block, result: V, ...specials: readonly (readonly [condition: V, special: number | V])[]): V {
  if (isDouble(result)) return specials.reduce((r, [condition, special]) => condition.select(special, r), result);
  let r = bits(result);
  for (const [condition, special] of specials) {
    r = condition.select(typeof special === "number" ? b.u32(bitsOf(special)) : bits(special), r);
  }
  return float(r);
}

/** A polynomial, its coefficients from the highest power down. */
export function horner(x: V, ...[first, ...rest]: readonly number[]): V {
  const b = x.block;
  return rest.reduce<V>((p, c) => p.fma(x, c), b.const(first!, x.scalar));
}

/** 2^n for a whole i32 from -126 to 127. */
export const power2 = (n: V): V => float(n.add(127).shl(23));

/** x * 2^n for an i32 n from -250 to 254: rounds once, also into the subnormals, and overflows to Inf. */
export function scale(x: V, n: V): V {
  const half = n.shr(1);
  return opaque(x.mul(power2(half))).mul(power2(n.sub(half)));
}

/** x = m * 2^e with m in [sqrt(1/2), sqrt(2)), for x > 0; subnormal x too. */
export function parts(x: V): { readonly m: V; readonly e: V } {
  const small = bits(x).lt(0x00800000);
  const word = small.select(bits(x).convert("f32").bitcast("i32"), x.bitcast("i32"));
  const e = word.sub(0x3f3504f3).shr(23);
  return { m: float(word.sub(e.shl(23))), e: small.select(e.sub(149), e) };
}

/** A sum of two f32 that together are about twice as precise. */
export interface Pair {
  readonly high: V;
  readonly low: V;
}

/** a + b exactly, for |a| >= |b| or a = 0. */
export function fastTwoSum(a: V, b: V): Pair {
  const high = opaque(a.add(b));
  return { high, low: b.sub(opaque(high.sub(a))) };
}

/** x cut off to half of its bits, so that its square is exact. */
export const upper = (x: V): V => float(bits(x).and(isDouble(x) ? long(x.block, -(2n ** 27n)) : 0xfffff000));

function halves(x: V): Pair {
  const high = upper(x);
  return { high, low: opaque(x.sub(high)) };
}

/** a * b, nearly exactly. */
export function twoProduct(a: V, b: V): Pair {
  const high = opaque(a.mul(b));
  const [x, y] = [halves(a), halves(b)];
  const first = opaque(x.high.mul(y.high).sub(high));
  return { high, low: first.add(x.high.mul(y.low).add(x.low.mul(y.high))).add(x.low.mul(y.low)) };
}

/** a * b + c, rounded once but for rare ties: every step before the last ones is exact, and stays one. */
export function productPlus(a: V, b: V, c: V): V {
  const product = opaque(a.mul(b));
  const [x, y] = [halves(a), halves(b)];
  let rest = opaque(x.high.mul(y.high).sub(product));
  rest = opaque(rest.add(x.high.mul(y.low)));
  rest = opaque(rest.add(x.low.mul(y.high)));
  rest = opaque(rest.add(x.low.mul(y.low)));
  const addend = opaque(c);
  const sum = opaque(product.add(addend));
  const added = opaque(sum.sub(product));
  const lost = opaque(addend.sub(added)).add(opaque(product.sub(opaque(sum.sub(added)))));
  return isFinite(product)
    .and(isFinite(sum))
    .select(sum.add(opaque(lost).add(rest)), sum);
}
