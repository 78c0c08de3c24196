/** The error function and its relatives, of f32. Polynomials and expansions are our own fits. */

import type { Block, V } from "../builder.ts";
import { func, horner, INF_BITS, isNegative, isZero, NAN_BITS, sizeBits, unless, withSign } from "./basics.ts";
import { exp, expNormal, gauss } from "./math_exp.ts";
import { log, log1p } from "./math_log.ts";

const ROOT_PI = 1.77245385091;
const ROOT_HALF = 0.707106781187;

/** A Chebyshev expansion at t in [-1, 1], by Clenshaw's recurrence. */
export function expansion(b: Block, t: V, c: readonly number[]): V {
  const twice = t.mul(2);
  let b1: V = b.f32(c.at(-1)!);
  let b2: V = b.f32(0);
  for (let i = c.length - 2; i > 0; i--) {
    const b0 = twice.fma(b1, b.f32(c[i]!).sub(b2));
    b2 = b1;
    b1 = b0;
  }
  return t.fma(b1, b.f32(c[0]!).sub(b2));
}

/** erf(x) for |x| < 1. */
function erfNear(x: V): V {
  const z = x.mul(x);
  const p = horner(
    z,
    -9.68013683e-6,
    0.000112705449,
    -0.000848471129,
    0.00522107491,
    -0.0268654451,
    0.112837829,
    -0.376126379,
    0.128379166,
  );
  return p.fma(x, x);
}

export const erf = func("erf", 1, (b, x) => {
  const a = x!.abs();
  // From 1 on: 1 - e^q, with a polynomial for the logarithm of erfc.
  const q = horner(
    a.min(4),
    0.000186777615,
    -0.00295188278,
    0.0218563359,
    -0.103148013,
    -0.638093531,
    -1.12712252,
    -0.000332682335,
  );
  const far = b.f32(1).sub(expNormal(q));
  return x!.isNan().or(a.lt(1)).select(erfNear(x!), withSign(far, x!));
});

/** (1 + 2x) e^(x²) erfc(x) for x >= 0, in (x - 3.75) / (x + 3.75). */
const ERFCX = [
  1.17757893457, -0.00459005458065, -0.0842491333665, 0.0592099399982, -0.0266586684353,
  0.00907499767071, -0.00241316354042, 0.000490775836526, -6.9169733025e-5, 4.13902798607e-6,
  7.7403830662e-7, -2.18864010492e-7, 1.07649994657e-8,
]; // prettier-ignore

/** e^(x²) erfc(x) for x >= 0. */
const erfcxRight = func("erfcx_right", 1, (b, x) => {
  const y = x!.min(1e9);
  const near = expansion(b, y.sub(3.75).div(y.add(3.75)), ERFCX).div(y.mul(2).add(1));
  return x!.gt(1e9).select(b.f32(1 / ROOT_PI).div(x!), near);
});

export const erfcx = func("erfcx", 1, (b, x) => {
  const right = erfcxRight(b, x!.abs());
  // e^(x²), with the exponent in two parts.
  const [high, low] = [x!.bitcast("u32").and(0xfffff000).bitcast("f32"), x!];
  const growth = exp(b, high.mul(high)).mul(exp(b, low.sub(high).mul(low.add(high))));
  const left = unless(b, growth.mul(2).sub(right), [x!.lt(-9.5), INF_BITS]);
  return x!.isNan().select(x!, x!.lt(0).select(left, right));
});

export const erfc = func("erfc", 1, (b, x) => {
  const a = x!.abs();
  const tail = a.lt(12).select(gauss(b, a.min(12)).mul(erfcxRight(b, a.min(12))), b.f32(0));
  const far = isNegative(x!).select(b.f32(2).sub(tail), tail);
  return x!.isNan().select(x!, a.lt(0.5).select(b.f32(1).sub(erfNear(x!)), far));
});

/** The z > 0 with erf(z) = p, where q = 1 - p. Winitzki's estimate, then Newton steps: near 1 on the logarithm of erfc. */
const inverseErf = func("inverse_erf", 2, (b, p, q) => {
  const near = p!.lt(0.5);
  const z = b.var(p!);
  b.if(
    near,
    () => {
      const l = log1p(b, p!.mul(p!).neg());
      const h = l.fma(0.5, 4.33075024);
      const root = h.fma(h, l.mul(-1 / 0.147)).sqrt();
      z.set(root.sub(h).max(0).sqrt());
      for (let i = 0; i < 2; i++) {
        const at = z.get();
        z.set(
          erf(b, at)
            .sub(p!)
            .mul(0.5 * ROOT_PI)
            .mul(exp(b, at.mul(at)))
            .neg()
            .add(at),
        );
      }
      z.set(
        p!.lt(1e-3).select(
          p!
            .mul(p!)
            .mul(p!)
            .fma(0.23201367, p!.mul(0.5 * ROOT_PI)),
          z.get(),
        ),
      );
    },
    () => {
      const target = log(b, q!);
      const l = target.add(log(b, p!.add(1)));
      const h = l.fma(0.5, 4.33075024);
      z.set(
        h
          .fma(h, l.mul(-1 / 0.147))
          .sqrt()
          .sub(h)
          .max(0)
          .sqrt(),
      );
      for (let i = 0; i < 2; i++) {
        const at = z.get();
        const scaled = erfcxRight(b, at);
        const off = log(b, scaled).sub(target).sub(at.mul(at));
        z.set(off.mul(0.5 * ROOT_PI).fma(scaled, at));
      }
    },
  );
  return z.get();
});

export const erfinv = func("erfinv", 1, (b, x) => {
  const a = x!.abs();
  const y = inverseErf(b, a, b.f32(1).sub(a));
  const word = sizeBits(x!);
  return unless(
    b,
    withSign(y, x!),
    [isZero(x!), x!],
    [word.gt(0x3f800000), NAN_BITS],
    [word.eq(0x3f800000), withSign(b.f32(Infinity), x!)],
  );
});

export const ndtri = func("ndtri", 1, (b, x) => {
  const middle = x!.mul(2).sub(1);
  const tail = x!.lt(0.5).select(x!, b.f32(1).sub(x!)).mul(2);
  const central = middle.abs().lt(0.5);
  const p = central.select(middle.abs(), b.f32(1).sub(tail));
  const q = central.select(b.f32(1).sub(p), tail);
  const z = inverseErf(b, p, q).mul(1 / ROOT_HALF);
  const y = x!.lt(0.5).select(z.neg(), z);
  return unless(
    b,
    y,
    [x!.eq(0.5), 0],
    [x!.lt(0).or(x!.gt(1)).or(x!.isNan()), NAN_BITS],
    [isZero(x!), 0xff800000],
    [x!.eq(1), INF_BITS],
  );
});

export const logNdtr = func("log_ndtr", 1, (b, x) => {
  const z = x!.mul(-ROOT_HALF);
  const result = b.var(x!);
  b.if(
    x!.lt(-1),
    () => result.set(log(b, erfcxRight(b, z.min(1e30)).mul(0.5)).sub(x!.mul(0.5).mul(x!))),
    () => result.set(log1p(b, erfc(b, z.neg()).mul(-0.5))),
  );
  return unless(b, result.get(), [x!.isNan(), x!], [x!.lt(-1e30), 0xff800000]);
});

/** The normal distribution's cdf, to an absolute error of 2e-7: a rational approximation; exactly 0 where the cdf is below that. */
function cdf(b: Block, x: V): V {
  const y = x.max(-5.5).min(5.5);
  const z = y.mul(y);
  const p = horner(
    z,
    -1.50599509e-12,
    3.06119935e-10,
    -4.64265106e-8,
    -2.51575625e-6,
    -6.49646099e-5,
    -0.000522304385,
    -0.00569080701,
  );
  const q = horner(z, -9.1037947e-7, -2.66717561e-5, -0.000420706754, -0.00368666463, -0.0142647391);
  const r = p.mul(y).div(q).add(0.5).min(1).max(0);
  return x.gt(-5.5).select(r, b.f32(0));
}

export const gelu = func("gelu", 1, (b, x) => {
  const y = x!.mul(cdf(b, x!));
  // 0 times -Inf is NaN, as in PyTorch.
  return unless(b, y, [x!.isNan(), x!], [sizeBits(x!).eq(INF_BITS).and(isNegative(x!)), NAN_BITS]);
});

/** Its derivative: the cdf and x times the density. */
export const geluSlope = func("gelu_slope", 1, (b, x) => {
  const y = x!.max(-13).min(13);
  const e = y.mul(-0.5).mul(y);
  const density = x!.abs().lt(13).select(expNormal(e), b.f32(0));
  const slope = x!.mul(0.39894228).fma(density, cdf(b, x!));
  return unless(b, slope, [sizeBits(x!).ge(INF_BITS), NAN_BITS]); // also at the infinities, as in PyTorch
});
