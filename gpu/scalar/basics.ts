/**
 * What the scalar functions are made of. GPU compilers may reassociate and contract float arithmetic, flush subnormals and assume that
 * there are no NaN and Inf. So special values are told apart and chosen by their bits, and where a rounding error is computed or two-part
 * constants are subtracted, `opaque` hides from the compiler what it could simplify.
 */

import type { Func } from "../ir.ts";
import { type Block, defineFunc, type V } from "../builder.ts";

/** Appends the instructions of a scalar function. */
export type Emit = (b: Block, ...args: V[]) => V;

export const INF_BITS = 0x7f800000;
export const NAN_BITS = 0x7fc00000;
export const SIGN_BIT = 0x80000000;

/** A helper function of f32 numbers, defined when it is first used. */
export function func(name: string, arity: number, body: Emit): Emit {
  let made: Func | undefined;
  return (b, ...args) => {
    made ??= defineFunc(
      `${name}_f32`,
      Array.from({ length: arity }, () => "f32" as const),
      body,
    );
    return b.call(made, ...args);
  };
}

/** The bits of an f32 as u32. */
export const bits = (x: V): V => x.bitcast("u32");
/** The bits without the sign. */
export const sizeBits = (x: V): V => bits(x).and(0x7fffffff);
export const float = (x: V): V => x.bitcast("f32");
export const isInf = (x: V): V => sizeBits(x).eq(INF_BITS);
/** Neither Inf nor NaN. */
export const isFinite = (x: V): V => sizeBits(x).lt(INF_BITS);
export const isZero = (x: V): V => sizeBits(x).eq(0);
/** Whether the sign bit is set. */
export const isNegative = (x: V): V => x.bitcast("i32").lt(0);
export const signOf = (x: V): V => bits(x).and(SIGN_BIT);
/** `size`, which is not negative, with the sign of `x`. */
export const withSign = (size: V, x: V): V => float(bits(size).or(signOf(x)));

/** The same number, of which the compiler knows nothing (but Inf in place of NaN). */
export const opaque = (x: V): V => float(x.bitcast("i32").min(INF_BITS));

/** `result`, but the f32 with bits `special` where the condition holds. */
export function unless(b: Block, result: V, ...specials: readonly (readonly [condition: V, special: number | V])[]): V {
  let r = bits(result);
  for (const [condition, special] of specials) {
    r = condition.select(typeof special === "number" ? b.u32(special) : bits(special), r);
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

/** The upper 12 bits of x, and the rest. */
function halves(x: V): Pair {
  const high = float(bits(x).and(0xfffff000));
  return { high, low: opaque(x.sub(high)) };
}

/** a * b, nearly exactly. */
export function twoProduct(a: V, b: V): Pair {
  const high = opaque(a.mul(b));
  const [x, y] = [halves(a), halves(b)];
  const first = opaque(x.high.mul(y.high).sub(high));
  return { high, low: first.add(x.high.mul(y.low).add(x.low.mul(y.high))).add(x.low.mul(y.low)) };
}
