/**
 * The error function and its relatives. Polynomials are our own fits, for f32; expansions our own as well, computed to 45 digits with mpmath:
 * f64 takes all of their terms, f32 the first ones.
 */

import type { Block, V } from "../builder.ts";
import { func, horner, isFinite, isInf, isNegative, isZero, like, pick, unless, upper, withSign } from "./basics.ts";
import { exp, expNormal, gauss } from "./math_exp.ts";
import { log, log1p } from "./math_log.ts";

const ROOT_PI = 1.772453850905516;

/** A Chebyshev expansion at t in [-1, 1], by Clenshaw's recurrence; f32 takes `single` of its terms. */
export function expansion(t: V, terms: readonly number[], single: number): V {
  const c = pick(t, terms.slice(0, single), terms);
  const twice = t.mul(2);
  let b1 = like(t, c.at(-1)!);
  let b2 = like(t, 0);
  for (let i = c.length - 2; i > 0; i--) {
    const b0 = twice.fma(b1, like(t, c[i]!).sub(b2));
    b2 = b1;
    b1 = b0;
  }
  return t.fma(b1, like(t, c[0]!).sub(b2));
}

/** erf(x) / x for |x| <= 1, in 2x² - 1. */
// prettier-ignore
const ERF = [
  0.9754769393826541, -0.14226120510371365, 0.010035582187599796, -0.0005768764699767485, 0.00002741993125219606,
  -0.0000011043175507344507, 3.8488755420345036e-8, -1.1808582533875466e-9, 3.2334215826050907e-11,
  -7.991015947004549e-13, 1.7990725113961456e-14, -3.718635487818693e-16,
];

/** erf(x) for |x| < 1. */
function erfNear(x: V): V {
  const z = x.mul(x);
  if (x.scalar === "f64") return x.mul(expansion(z.mul(2).sub(1), ERF, 0));
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
  if (x!.scalar === "f64") {
    const y = b.var(x!);
    b.if(
      a.gt(1),
      () => y.set(withSign(like(a, 1).sub(erfc(b, a)), x!)),
      () => y.set(erfNear(x!)),
    );
    return y.get();
  }
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
  const far = like(a, 1).sub(expNormal(q));
  return x!.isNan().or(a.lt(1)).select(erfNear(x!), withSign(far, x!));
});

/** (1 + 2x) e^(x²) erfc(x) for x >= 0, in (x - 3.75) / (x + 3.75). */
// prettier-ignore
const ERFCX = [
  1.1775789345674017, -0.004590054580646478, -0.08424913336651792, 0.05920993999819189,
  -0.026658668435305753, 0.009074997670705265, -0.002413163540417608, 0.0004907758365258086,
  -0.00006916973302501207, 0.00000413902798607301, 7.74038306619849e-7, -2.1886401049234397e-7,
  1.076499946567091e-8, 4.521959811218287e-9, -7.754400208831351e-10, -6.318088340886684e-11,
  2.86879501093067e-11, 1.9455868545777347e-13, -9.65469674843344e-13, 3.25254814814874e-14,
  3.3478119482868056e-14, -1.864562880419313e-15, -1.2507950530688648e-15, 7.418235256624044e-17,
  5.068148904796111e-17,
];

/** e^(x²) erfc(x) for x >= 0. */
const erfcxRight = func("erfcx_right", 1, (_, x) => {
  const y = x!.min(1e9);
  const near = expansion(y.sub(3.75).div(y.add(3.75)), ERFCX, 13).div(y.mul(2).add(1));
  return x!.gt(1e9).select(like(y, 1 / ROOT_PI).div(x!), near);
});

export const erfcx = func("erfcx", 1, (b, x) => {
  const right = erfcxRight(b, x!.abs());
  // e^(x²), with the exponent in two parts.
  const high = upper(x!);
  const growth = exp(b, high.mul(high)).mul(exp(b, x!.sub(high).mul(x!.add(high))));
  const left = unless(b, growth.mul(2).sub(right), [x!.lt(pick(x!, -9.5, -26.7)), Infinity]);
  return x!.isNan().select(x!, x!.lt(0).select(left, right));
});

export const erfc = func("erfc", 1, (b, x) => {
  const a = x!.abs();
  const most = pick(x!, 12, 27.3); // beyond, it is 0
  const tail = a.lt(most).select(gauss(b, a.min(most)).mul(erfcxRight(b, a.min(most))), like(a, 0));
  const far = isNegative(x!).select(like(a, 2).sub(tail), tail);
  return x!.isNan().select(x!, a.lt(0.5).select(like(a, 1).sub(erfNear(x!)), far));
});

/** The z > 0 with erf(z) = p, where q = 1 - p. Winitzki's estimate, then Newton steps: near 1 on the logarithm of erfc. */
const inverseErf = func("inverse_erf", 2, (b, p, q) => {
  const near = p!.lt(0.5);
  const steps = pick(p!, 2, 3);
  const z = b.var(p!);
  b.if(
    near,
    () => {
      const l = log1p(b, p!.mul(p!).neg());
      const h = l.fma(0.5, 4.33075024);
      const root = h.fma(h, l.mul(-1 / 0.147)).sqrt();
      z.set(root.sub(h).max(0).sqrt());
      for (let i = 0; i < steps; i++) {
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
        p!.lt(pick(p!, 1e-3, 1e-4)).select(
          p!
            .mul(p!)
            .mul(p!)
            .fma(0.232013666534654, p!.mul(0.5 * ROOT_PI)),
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
      for (let i = 0; i < steps; i++) {
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
  const y = inverseErf(b, a, like(a, 1).sub(a));
  return unless(b, withSign(y, x!), [isZero(x!), x!], [a.gt(1).or(x!.isNan()), NaN], [a.eq(1), withSign(like(a, Infinity), x!)]);
});

export const ndtri = func("ndtri", 1, (b, x) => {
  const middle = x!.mul(2).sub(1);
  const one = like(x!, 1);
  const tail = x!.lt(0.5).select(x!, one.sub(x!)).mul(2);
  const central = middle.abs().lt(0.5);
  const p = central.select(middle.abs(), one.sub(tail));
  const q = central.select(one.sub(p), tail);
  const z = inverseErf(b, p, q).mul(Math.SQRT2);
  const y = x!.lt(0.5).select(z.neg(), z);
  return unless(
    b,
    y,
    [x!.eq(0.5), 0],
    [x!.lt(0).or(x!.gt(1)).or(x!.isNan()), NaN],
    [isZero(x!), -Infinity],
    [x!.eq(1), Infinity],
  );
});

export const logNdtr = func("log_ndtr", 1, (b, x) => {
  const z = x!.mul(-Math.SQRT1_2);
  const far = pick(x!, 1e30, 1e300);
  const result = b.var(x!);
  b.if(
    x!.lt(-1),
    () => result.set(log(b, erfcxRight(b, z.min(far)).mul(0.5)).sub(x!.mul(0.5).mul(x!))),
    () => result.set(log1p(b, erfc(b, z.neg()).mul(-0.5))),
  );
  return unless(b, result.get(), [x!.isNan(), x!], [x!.lt(-far), -Infinity]);
});

/**
 * The normal distribution's cdf. For f32 to an absolute error of 2e-7, by a rational approximation; exactly 0 where the cdf is below that.
 */
function cdf(b: Block, x: V): V {
  if (x.scalar === "f64") return erfc(b, x.mul(-Math.SQRT1_2)).mul(0.5);
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
  return x.gt(-5.5).select(r, like(x, 0));
}

export const gelu = func("gelu", 1, (b, x) => {
  const y = x!.mul(cdf(b, x!));
  // 0 times -Inf is NaN, as in PyTorch.
  return unless(b, y, [x!.isNan(), x!], [isInf(x!).and(isNegative(x!)), NaN]);
});

/** Its derivative: the cdf and x times the density. */
export const geluSlope = func("gelu_slope", 1, (b, x) => {
  const far = pick(x!, 13, 39);
  const y = x!.max(-far).min(far);
  const e = y.mul(-0.5).mul(y);
  const density = x!
    .abs()
    .lt(far)
    .select(pick(x!, expNormal, (v: V) => exp(b, v))(e), like(x!, 0));
  const slope = x!.mul(0.3989422804014327).fma(density, cdf(b, x!));
  return unless(b, slope, [isFinite(x!).not(), NaN]); // also at the infinities, as in PyTorch
});
