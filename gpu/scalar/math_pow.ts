/** Powers, remainders, hypotenuses and neighbours. Powers, hypotenuses and C's fmod are made here for f32 only. */

import type { Block, V } from "../builder.ts";
import {
  bits,
  elementary,
  fastTwoSum,
  float,
  func,
  INF_BITS,
  isInf,
  isNegative,
  isZero,
  like,
  NAN_BITS,
  opaque,
  parts,
  power2,
  scale,
  SIGN_BIT,
  signOf,
  sizeBits,
  twoProduct,
  unless,
  withSign,
  type Pair,
} from "./basics.ts";
import { exp2Near } from "./math_exp.ts";

/** log2 of x > 0 in two parts, by the series of atanh, whose first terms are in two parts as well. */
function log2Pair(x: V): Pair {
  const { block: b } = x;
  const { m, e } = parts(x);
  const f = m.sub(1);
  // s = f / (2 + f)
  const d = fastTwoSum(b.f32(2), f);
  const sHigh = opaque(f.div(d.high));
  const p = twoProduct(sHigh, d.high);
  const sLow = opaque(f.sub(p.high)).sub(p.low).sub(sHigh.mul(d.low)).div(d.high);
  const z = twoProduct(sHigh, sHigh);
  const zLow = z.low.add(sHigh.mul(2).mul(sLow));
  let tail = z.high.fma(0.24055274, 0.26165376);
  tail = tail.fma(z.high, 0.32060948);
  tail = tail.fma(z.high, 0.4121985);
  tail = tail.fma(z.high, 0.577078);
  const u = fastTwoSum(b.f32(0.9617967009544373), tail.fma(z.high, -7.028461812552678e-9));
  const q = twoProduct(z.high, u.high);
  const qLow = q.low.add(z.high.fma(u.low, zLow.mul(u.high)));
  const v = fastTwoSum(b.f32(2.885390043258667), q.high);
  const vLow = v.low.add(qLow.add(3.851926067000022e-8));
  const l = twoProduct(sHigh, v.high);
  const lLow = l.low.add(sHigh.fma(vLow, sLow.mul(v.high)));
  const sum = fastTwoSum(e.convert("f32"), l.high);
  return { high: sum.high, low: sum.low.add(lLow) };
}

/** Whether y, with |y| < Inf, is a whole number, and whether it is odd. */
function wholeness(y: V): { readonly whole: V; readonly odd: V } {
  const half = y.mul(0.5);
  const whole = y.trunc().eq(y);
  return { whole, odd: whole.and(half.trunc().ne(half)) };
}

/** C99's pow. */
export const pow = elementary("pow", (b, x, y) => {
  const [a, c] = [sizeBits(x!), sizeBits(y!)];
  const l = log2Pair(a.bitcast("f32"));
  const power = y!.max(-1e30).min(1e30);
  const p = twoProduct(power, l.high);
  const t = p.high.max(-200).min(200);
  const n = t.round();
  const r = t.eq(p.high).select(t.sub(n).add(p.low.add(power.mul(l.low))), b.f32(0));
  const core = scale(exp2Near(r), n.convert("i32"));

  const endless = c.eq(INF_BITS);
  const { whole, odd } = wholeness(y!);
  const falls = isNegative(y!);
  const negative = isNegative(x!);
  const extreme = a.eq(0).or(a.eq(INF_BITS));
  const zeroOrInf = (zero: V): V => zero.select(b.u32(0), b.u32(INF_BITS));
  let size = bits(core);
  size = extreme.select(zeroOrInf(a.eq(0).ne(falls)), size);
  size = endless.select(a.eq(0x3f800000).select(b.u32(0x3f800000), zeroOrInf(a.lt(0x3f800000).ne(falls))), size);
  size = negative.and(odd).and(endless.not()).select(size.or(SIGN_BIT), size);
  const invalid = negative.and(extreme.or(whole).or(endless).not()).or(x!.isNan()).or(y!.isNan());
  size = invalid.select(b.u32(NAN_BITS), size);
  size = bits(x!).eq(0x3f800000).or(c.eq(0)).select(b.u32(0x3f800000), size);
  return size.bitcast("f32");
});

/** |x| = mantissa * 2^(exponent - 150), with as small an exponent as 1. */
function integerParts(size: V): { readonly mantissa: V; readonly exponent: V } {
  const field = size.shr(23);
  const mantissa = size.and(0x7fffff).or(field.eq(0).select(field, field.block.u32(0x800000)));
  return { mantissa, exponent: field.max(1) };
}

/** C's fmod, exact: a long division in integers, 8 bits at a time. */
export const fmod = elementary("fmod", (b, x, y) => {
  const [xs, ys] = [sizeBits(x!), sizeBits(y!)];
  const invalid = xs.ge(INF_BITS).or(ys.gt(INF_BITS)).or(ys.eq(0));
  const result = b.var(x!);
  b.if(xs.ge(ys).and(invalid.not()), () => {
    const [p, q] = [integerParts(xs), integerParts(ys)];
    const divisor = q.mantissa.max(1);
    const rest = b.var(p.mantissa.rem(divisor));
    const left = b.var(p.exponent.sub(q.exponent));
    b.while(
      () => left.get().gt(0),
      () => {
        const step = left.get().min(8);
        rest.set(rest.get().shl(step).rem(divisor));
        left.set(left.get().sub(step));
      },
    );
    // Subnormal results are their mantissa.
    const whole = rest.get();
    const normal = scale(whole.convert("f32"), q.exponent.bitcast("i32").sub(150));
    result.set(withSign(q.exponent.eq(1).select(whole.bitcast("f32"), normal), x!));
  });
  return unless(b, result.get(), [invalid, NaN]);
});

/** Whether a remainder has not the divisor's sign. */
const misplaced = (mod: V, y: V): V =>
  isZero(mod)
    .not()
    .and(isNegative(mod).ne(isNegative(y)));

/** Python's `%`. */
export const remainder = func("remainder", 2, (b, x, y) => {
  const mod = fmod(b, x!, y!);
  return misplaced(mod, y!).and(mod.isNan().not()).select(mod.add(y!), mod);
});

/** Python's `//`: exact even where x / y rounds up to the next whole number. */
export const floorDivide = func("floor_divide", 2, (b, x, y) => {
  const mod = fmod(b, x!, y!);
  const less = misplaced(mod, y!).select(like(mod, 1), like(mod, 0));
  const quotient = x!.sub(mod).div(y!).sub(less);
  const below = quotient.floor();
  const whole = quotient.sub(below).gt(0.5).select(below.add(1), below);
  const sign = signOf(x!).xor(signOf(y!));
  const signed = isZero(quotient).select(float(sign), whole);
  // A divisor of 0: what IEEE division gives.
  const infinity = float(bits(like(mod, Infinity)).or(sign));
  const byZero = unless(b, infinity, [isZero(x!).or(x!.isNan()), NaN]);
  return unless(b, signed, [mod.isNan(), NaN], [isZero(y!), byZero]);
});

export const hypot = elementary("hypot", (b, x, y) => {
  const [a, c] = [x!.abs(), y!.abs()];
  const [low, high] = [a.min(c), a.max(c)];
  // A power of two near the larger one, which leaves room for the squares.
  const n = bits(high).shr(23).bitcast("i32").sub(127).max(-100).min(100);
  const shrink = power2(n.neg());
  const [p, q] = [low.mul(shrink), high.mul(shrink)];
  const y0 = p.fma(p, q.mul(q)).sqrt().mul(power2(n));
  return unless(b, y0, [x!.isNan().or(y!.isNan()), NaN], [isInf(x!).or(isInf(y!)), Infinity]);
});

export const nextafter = func("nextafter", 2, (b, x, y) => {
  const word = bits(x!);
  // Floats as integers in the same order.
  const ordered = (v: V): V => {
    const i = v.bitcast(v.scalar === "f64" ? "i64" : "i32");
    const least = v.scalar === "f64" ? b.const(-(2n ** 63n), "i64") : b.i32(-(2 ** 31));
    return i.lt(0).select(least.sub(i), i);
  };
  const [p, q] = [ordered(x!), ordered(y!)];
  const up = p.lt(q).eq(p.gt(0)); // away from zero
  const stepped = isZero(x!).select(signOf(y!).or(1), up.select(word.add(1), word.sub(1)));
  const moved = float(p.eq(q).select(bits(y!), stepped));
  return unless(b, moved, [x!.isNan().or(y!.isNan()), NaN]);
});

export function copysign(_: Block, x: V, y: V): V {
  return float(sizeBits(x).or(signOf(y)));
}
