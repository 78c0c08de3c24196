/** Logarithms and inverse hyperbolic functions; the algorithms are for f32. */

import type { Block, V } from "../builder.ts";
import type { MathName } from "../ir.ts";
import { bits, elementary, horner, INF_BITS, isZero, opaque, parts, sizeBits, unless, withSign, type Emit } from "./basics.ts";
import { LN2_HIGH, LN2_LOW } from "./math_exp.ts";

/** What of log(1 + f), for sqrt(1/2) - 1 <= f <= sqrt(2) - 1, comes after f - f² / 2. */
function logTail(f: V): V {
  const p = horner(
    f,
    0.0691696405,
    -0.117919132,
    0.118734017,
    -0.123840444,
    0.142185658,
    -0.166692644,
    0.20002231,
    -0.249999866,
    0.333333105,
  );
  return p.mul(f).mul(f.mul(f));
}

/** Logarithms of 0, of Inf and of what has none. */
function logSpecial(b: Block, y: V, x: V): V {
  const word = bits(x);
  return unless(
    b,
    y,
    [word.ge(INF_BITS), NaN], // negative, or NaN
    [word.eq(INF_BITS), Infinity],
    [sizeBits(x).eq(0), -Infinity],
  );
}

function logarithm(name: MathName, sum: (f: V, tail: V, n: V) => V): Emit {
  return elementary(name, (b, x) => {
    const { m, e } = parts(x!);
    const f = m.sub(1);
    const tail = f.mul(f).fma(-0.5, logTail(f));
    return logSpecial(b, sum(f, tail, e.convert("f32")), x!);
  });
}

const naturally = (f: V, tail: V, n: V): V => n.fma(LN2_HIGH, opaque(f.add(n.fma(LN2_LOW, tail))));

export const log = logarithm("log", naturally);
export const log2 = logarithm("log2", (f, tail, n) =>
  // log2(e) = 1 + 0.4427
  tail.fma(0.44269504, f.mul(0.44269504)).add(tail).add(f).add(n),
);
export const log10 = logarithm("log10", (f, tail, n) => {
  // log10(e) and log10(2), each in two parts
  let y = n.fma(2.48745663e-4, f.fma(7.00731903e-4, tail.mul(7.00731903e-4)));
  y = opaque(tail.fma(0.43359375, y));
  return n.fma(0.30078125, opaque(f.fma(0.43359375, y)));
});

export const log1p = elementary("log1p", (b, x) => {
  const u = opaque(x!.add(1));
  const lost = x!.sub(opaque(u.sub(1)));
  const e = u.bitcast("i32").sub(0x3f3504f3).shr(23);
  // (What is lost of the largest numbers is 0; their power need only be finite.)
  const power = b.i32(127).sub(e.min(126)).shl(23).bitcast("f32");
  const f = lost.fma(power, u.bitcast("i32").sub(e.shl(23)).bitcast("f32").sub(1));
  const tail = f.mul(f).fma(-0.5, logTail(f));
  const y = logSpecial(b, naturally(f, tail, e.convert("f32")), u);
  return isZero(x!).or(x!.isNan()).select(x!, y); // keeps -0
});

export const asinh = elementary("asinh", (b, x) => {
  const a = x!.abs();
  const far = a.gt(4096);
  const z = a.mul(a);
  const near = log1p(b, a.add(z.div(z.add(1).sqrt().add(1))));
  const y = withSign(far.select(log(b, a).add(0.693147182), near), x!);
  return sizeBits(x!).lt(0x39000000).or(x!.isNan()).select(x!, y);
});

export const acosh = elementary("acosh", (b, x) => {
  const t = x!.sub(1);
  const near = log1p(b, t.add(t.fma(t, t.mul(2)).sqrt()));
  const y = x!.gt(4096).select(log(b, x!).add(0.693147182), near);
  return unless(b, y, [x!.lt(1).or(x!.isNan()), NaN]);
});

export const atanh = elementary("atanh", (b, x) => {
  const a = x!.abs();
  const y = withSign(log1p(b, a.mul(2).div(b.f32(1).sub(a))).mul(0.5), x!);
  const word = sizeBits(x!);
  return unless(
    b,
    y,
    [word.lt(0x39000000), x!],
    [word.eq(0x3f800000), bits(x!).and(0x80000000).or(INF_BITS).bitcast("f32")],
    [word.gt(0x3f800000), NaN],
  );
});
