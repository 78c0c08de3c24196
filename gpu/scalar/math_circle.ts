/** Circular functions and their inverses; the algorithms are for f32. */

import type { Block, V } from "../builder.ts";
import {
  bits,
  elementary,
  horner,
  INF_BITS,
  isFinite,
  isNegative,
  opaque,
  signOf,
  sizeBits,
  unless,
  withSign,
} from "./basics.ts";

/** pi / 2 in four parts: products of the first three with whole numbers below 2^12 are exact. */
const HALF_PI_PARTS = [1.5703125, 0.0004837512969970703, 7.549533620476723e-8, 2.563344151594519e-12] as const;
const HALF_PI = 1.57079637;
const HALF_PI_LOW = -4.37113883e-8;
/** 2 / pi after the binary point, 32 bits each, after 32 zeros. */
const TWO_OVER_PI = [0, 0xa2f9836e, 0x4e441529, 0xfc2757d1, 0xf534ddc0, 0xdb629599, 0x3c439041, 0xfe5163ab] as const;
/** The bits of 6000: arguments from here on are reduced in integers. */
const FAR_BITS = 0x45bb8000;

interface Reduced {
  /** x less its nearest multiple of pi / 2. */
  readonly r: V;
  /** Which multiple that is, modulo 4, as u32. */
  readonly n: V;
}

/**
 * For large x: its 24 bits times 96 bits of 2 / pi, from where the product's multiples of 4 end (Payne and Hanek). One digit of 8
 * bits at a time, so that no product leaves 32 bits.
 */
function reduceFar(b: Block, x: V): Reduced {
  const word = sizeBits(x);
  const mantissa = word.and(0x7fffff).or(0x800000);
  const skip = word.shr(23).sub(150 - 32 + 2); // bits of the table
  const [index, shift] = [skip.shr(5), skip.and(31)];
  // Words index to index + 3, then the 96 bits that start `shift` bits in.
  const word32 = (k: number): V => {
    let w = b.u32(TWO_OVER_PI[k]!);
    for (let i = 1; i + k < TWO_OVER_PI.length && i < 5; i++) w = index.eq(i).select(b.u32(TWO_OVER_PI[i + k]!), w);
    return w;
  };
  const words = [0, 1, 2, 3].map(word32);
  const joined = (k: number): V =>
    shift.eq(0).select(words[k]!, words[k]!.shl(shift).or(words[k + 1]!.shr(b.u32(32).sub(shift).and(31))));
  const taken = [joined(0), joined(1), joined(2)];
  const product: V[] = [];
  let carry = b.u32(0);
  for (let k = 2; k >= 0; k--) {
    let out = b.u32(0);
    for (let digit = 0; digit < 4; digit++) {
      const t = mantissa.mul(taken[k]!.shr(8 * digit).and(255)).add(carry);
      out = out.or(t.and(255).shl(8 * digit));
      carry = t.shr(8);
    }
    product[k] = out;
  }
  const [high, middle, low] = product as [V, V, V];
  // The first two bits are the quarter; what follows is its fraction, from -1/2 to 1/2.
  const first = high.shl(2).or(middle.shr(30));
  const second = middle.shl(2).or(low.shr(30));
  const below = first.bitcast("i32").lt(0);
  const n = high.shr(30).add(first.shr(31));
  const top = below.select(first.not(), first);
  const rest = below.select(second.not(), second);
  const zeros = b.op("count_leading_zeros", top).min(31);
  const fraction = top.shl(zeros).or(rest.shr(1).shr(b.u32(31).sub(zeros)));
  const size = fraction
    .convert("f32")
    .mul(
      b
        .u32(127 - 32)
        .sub(zeros)
        .shl(23)
        .bitcast("f32"),
    )
    .mul(HALF_PI);
  const negative = below.ne(isNegative(x));
  return { r: negative.select(size.neg(), size), n: isNegative(x).select(n.not().add(1), n) };
}

function reduce(b: Block, x: V): Reduced {
  const quarters = x.mul(0.636619772).round();
  let near = x;
  for (const part of HALF_PI_PARTS) near = opaque(quarters.fma(-part, near));
  // (Small numbers are themselves: their zeros keep the sign.)
  const r = b.var(quarters.eq(0).select(x, near));
  const n = b.var(quarters.convert("i32").bitcast("u32"));
  // (A loop, since targets that run threads in lockstep may execute branches that none of them takes.)
  b.for(0, sizeBits(x).ge(FAR_BITS).and(isFinite(x)).convert("u32"), 1, () => {
    const far = reduceFar(b, x);
    r.set(far.r);
    n.set(far.n);
  });
  return { r: r.get(), n: n.get() };
}

function sineNear(r: V, z: V): V {
  return horner(z, -0.000195166547, 0.00833217334, -0.166666552).mul(z).fma(r, r);
}
function cosineNear(z: V): V {
  return horner(z, 2.44377279e-5, -0.00138873619, 0.0416666456, -0.5, 1);
}

/** sin(x + quarters * pi / 2) */
function sine(b: Block, x: V, quarters: number): V {
  const { r, n } = reduce(b, x);
  const turned = n.add(quarters);
  const z = r.mul(r);
  const y = turned.and(1).ne(0).select(cosineNear(z), sineNear(r, z));
  return bits(y).xor(turned.and(2).shl(30)).bitcast("f32");
}

export const sin = elementary("sin", (b, x) => unless(b, sine(b, x!, 0), [isFinite(x!).not(), NaN]));
export const cos = elementary("cos", (b, x) => unless(b, sine(b, x!, 1), [isFinite(x!).not(), NaN]));
export const tan = elementary("tan", (b, x) => {
  const { r, n } = reduce(b, x!);
  const odd = n.and(1).ne(0);
  const z = r.mul(r);
  const s = horner(z, 2.71823728e-6, -0.000198393274, 0.00833332911, -0.166666672).mul(z).fma(r, r);
  const c = cosineNear(z);
  return unless(b, odd.select(c.neg(), s).div(odd.select(s, c)), [isFinite(x!).not(), NaN]);
});

/** atan(t) for 0 <= t <= 1. */
function atanNear(t: V): V {
  const z = t.mul(t);
  const p = horner(
    z,
    -0.00179359387,
    0.0109144812,
    -0.031177612,
    0.0579573587,
    -0.0840343684,
    0.109521814,
    -0.142642409,
    0.199985489,
    -0.333332986,
  );
  return p.mul(z).fma(t, t);
}
function lessFromHalfPi(p: V): V {
  const { block: b } = p;
  return opaque(b.f32(HALF_PI).sub(p)).add(HALF_PI_LOW);
}
function lessFromPi(p: V): V {
  const { block: b } = p;
  return opaque(b.f32(2 * HALF_PI).sub(p)).add(2 * HALF_PI_LOW);
}

export const atan = elementary("atan", (b, x) => {
  const a = x!.abs();
  const beyond = a.gt(1);
  const p = atanNear(beyond.select(b.f32(1).div(a.min(1e30)), a));
  return x!.isNan().select(x!, withSign(beyond.select(lessFromHalfPi(p), p), x!));
});

export const atan2 = elementary("atan2", (b, y, x) => {
  const [a, c] = [y!.abs(), x!.abs()];
  // Away from where quotients are less exact or lose their smallest divisors.
  const big = a.max(c);
  const factor = big.gt(1e30).select(b.f32(2 ** -32), big.lt(1e-30).select(b.f32(2 ** 64), b.f32(1)));
  const [low, high] = [a.min(c).mul(factor), big.mul(factor)];
  // Two zeros (which subnormals may be) count as 0 / 1, two Inf as 1 / 1.
  let t = low.div(high.max(1e-37));
  t = sizeBits(big)
    .eq(INF_BITS)
    .select(sizeBits(a).eq(sizeBits(c)).select(b.f32(1), b.f32(0)), t);
  let p = atanNear(t);
  p = a.gt(c).select(lessFromHalfPi(p), p);
  p = isNegative(x!).select(lessFromPi(p), p);
  return unless(b, withSign(p, y!), [x!.isNan().or(y!.isNan()), NaN]);
});

/** asin(s) / s - 1 for z = s² <= 1 / 4. */
function asinTail(z: V): V {
  return horner(z, 0.0375781581, 0.0143938055, 0.0318198204, 0.0445154719, 0.0750051215, 0.166666597).mul(z);
}

export const asin = elementary("asin", (b, x) => {
  const a = x!.abs();
  const far = a.gt(0.5);
  const z = far.select(b.f32(1).sub(a).mul(0.5), a.mul(a));
  const s = far.select(z.sqrt(), a);
  const r = asinTail(z).fma(s, s);
  const y = withSign(far.select(lessFromHalfPi(r.mul(2)), r), x!);
  return unless(b, y, [sizeBits(x!).gt(0x3f800000), NaN]);
});

export const acos = elementary("acos", (b, x) => {
  const a = x!.abs();
  const far = a.gt(0.5);
  const z = far.select(b.f32(1).sub(a).mul(0.5), a.mul(a));
  const s = far.select(z.sqrt(), x!);
  const r = asinTail(z).fma(s, s);
  const twice = r.mul(2);
  const y = far.select(signOf(x!).ne(0).select(lessFromPi(twice), twice), lessFromHalfPi(r));
  return unless(b, y, [sizeBits(x!).gt(0x3f800000), NaN]);
});
