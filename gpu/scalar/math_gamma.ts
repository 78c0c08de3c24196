/** The gamma function's relatives, of f32. */

import type { Block, V } from "../builder.ts";
import { bits, func, horner, INF_BITS, isZero, NAN_BITS, sizeBits, unless, withSign } from "./basics.ts";
import { sin, tan } from "./math_circle.ts";
import { erfc, expansion } from "./math_erf.ts";
import { exp } from "./math_exp.ts";
import { log, log1p } from "./math_log.ts";
import { pow } from "./math_pow.ts";

const PI = 3.14159265359;
const HALF_LOG_TWO_PI = 0.918938533205;

/** ln gamma(x) / ((x - 1)(x - 2)) for 1 <= x <= 3, in x - 2. */
// prettier-ignore
const LGAMMA = [
  0.441489025455, -0.111195803218, 0.0195104482607, -0.00392246146303, 0.000847898989595,
  -0.000191538553414, 4.45447018498e-5, -1.05728743736e-5, 2.54743368734e-6, -6.20853588078e-7,
  1.52686773991e-7, -3.78263766029e-8, 9.42810082362e-9,
];

/** What Stirling's formula leaves of ln gamma(x), for x >= 8. */
function stirlingRest(b: Block, x: V): V {
  const r = b.f32(1).div(x);
  return horner(r.mul(r), -1 / 1680, 1 / 1260, -1 / 360, 1 / 12).mul(r);
}

/** ln gamma(x) for 0 < x < Inf. */
const lgammaPositive = func("lgamma_positive", 1, (b, x) => {
  const result = b.var(x!);
  b.if(
    x!.ge(8),
    () => {
      const y = x!.sub(0.5).mul(log(b, x!).sub(1));
      result.set(y.add(HALF_LOG_TWO_PI - 0.5).add(stirlingRest(b, x!)));
    },
    () => {
      const at = b.var(x!);
      const factor = b.var(b.f32(1));
      b.while(
        () => at.get().gt(3),
        () => {
          at.set(at.get().sub(1));
          factor.set(factor.get().mul(at.get()));
        },
      );
      const small = x!.lt(1);
      const y = small.select(x!.add(1), at.get());
      // (Below 1 the two factors are known exactly.)
      const first = small.select(x!, y.sub(1));
      const second = small.select(x!.sub(1), y.sub(2));
      const core = first.mul(second).mul(expansion(b, second, LGAMMA));
      result.set(core.add(log(b, small.select(b.f32(1).div(x!), factor.get()))));
    },
  );
  return small0(b, x!, result.get());
});
/** 1 / x overflows for the least x. */
function small0(b: Block, x: V, y: V): V {
  return x.lt(1e-20).select(log(b, x).neg(), y);
}

/** pi x modulo its period, so that large x keep their precision. */
function turn(x: V): V {
  return x.sub(x.round()).mul(PI);
}

export const lgamma = func("lgamma", 1, (b, x) => {
  const a = x!.abs();
  const result = b.var(lgammaPositive(b, a.min(3e38)));
  b.if(x!.lt(0), () => {
    // (Products with the smallest x would be subnormal.)
    const sine = sin(b, turn(a)).abs();
    result.set(
      a.lt(1e-10).select(
        log(b, a).neg(),
        b
          .f32(1.14472988585)
          .sub(log(b, a.mul(sine)))
          .sub(result.get()),
      ),
    );
  });
  const pole = x!.le(0).and(x!.floor().eq(x!));
  return unless(
    b,
    result.get(),
    [x!.isNan(), x!],
    [pole.or(isZero(x!)).or(sizeBits(x!).eq(INF_BITS)).or(x!.gt(4.0850033e36)), INF_BITS],
  );
});

export const digamma = func("digamma", 1, (b, x) => {
  const negative = x!.lt(0);
  const rest = b.var(b.f32(0));
  b.if(negative, () => rest.set(b.f32(-PI).div(tan(b, turn(x!)))));
  const at = b.var(negative.select(b.f32(1).sub(x!), x!).min(1e30));
  b.while(
    () => at.get().lt(6),
    () => {
      rest.set(rest.get().sub(b.f32(1).div(at.get())));
      at.set(at.get().add(1));
    },
  );
  const y = at.get();
  const r = b.f32(1).div(y);
  const z = r.mul(r);
  const series = horner(z, 1 / 240, -1 / 252, 1 / 120, -1 / 12).mul(z);
  const result = rest.get().add(log(b, y).sub(r.mul(0.5)).add(series));
  const whole = x!.floor().eq(x!);
  return unless(
    b,
    result,
    [x!.isNan().or(negative.and(whole)), NAN_BITS],
    [x!.gt(1e30), log(b, x!)],
    [isZero(x!), withSign(b.f32(Infinity), x!.neg())],
  );
});

/** (2j)! / B(2j) for j = 1, 2, ...: the divisors of the Euler-Maclaurin formula. */
const BERNOULLI = [12, -720, 30240, -1209600, 47900160, -1892437580.32, 74724249600];

/** The sum of (q + k)^-s over k >= 0, for s > 1 and q > 0: some terms, then the Euler-Maclaurin formula. */
const zetaPositive = func("zeta_positive", 2, (b, s, q) => {
  const sum = b.var(b.f32(0));
  const a = b.var(q!);
  const going = b.var(b.f32(9)); // terms to come at least; negative: enough
  b.while(
    () =>
      going
        .get()
        .gt(0)
        .or(a.get().lt(9).and(going.get().ge(0))),
    () => {
      const term = pow(b, a.get(), s!.neg());
      sum.set(sum.get().add(term));
      a.set(a.get().add(1));
      going.set(term.lt(sum.get().mul(1e-9)).select(b.f32(-1), going.get().sub(1).max(0)));
    },
  );
  b.if(going.get().ge(0), () => {
    const last = pow(b, a.get(), s!.neg());
    const total = b.var(sum.get().add(last.mul(a.get().div(s!.sub(1)).add(0.5))));
    let factor = last.mul(s!).div(a.get());
    BERNOULLI.forEach((divisor, j) => {
      total.set(total.get().add(factor.mul(1 / divisor)));
      const k = s!.add(2 * j);
      factor = factor.mul(k.add(1).div(a.get())).mul(k.add(2).div(a.get()));
    });
    sum.set(total.get());
  });
  return sum.get();
});

const isOdd = (x: V): V => x.mul(0.5).floor().ne(x.mul(0.5));

export const zeta = func("zeta", 2, (b, s, q) => {
  const result = b.var(b.f32(NaN));
  const below = q!.floor();
  const fraction = q!.sub(below);
  const positive = q!.gt(0);
  b.if(positive.or(s!.floor().eq(s!).and(fraction.gt(0))).and(s!.gt(1)), () => {
    const at = positive.select(q!, fraction).max(1e-30).min(1e30);
    result.set(zetaPositive(b, s!.min(1e9), at));
    // The terms below zero are the positive ones between 1 - fraction and -q.
    b.if(positive.not(), () => {
      const negative = zetaPositive(b, s!.min(1e9), q!.ceil().sub(q!)).sub(zetaPositive(b, s!.min(1e9), b.f32(1).sub(q!)));
      result.set(result.get().add(isOdd(s!).select(negative.neg(), negative)));
    });
  });
  const invalid = s!.gt(1).not().or(s!.isNan()).or(q!.isNan()).or(bits(q!).eq(INF_BITS));
  return unless(b, result.get(), [positive.not().and(below.eq(q!)), INF_BITS], [invalid, NAN_BITS], [s!.eq(1), INF_BITS]);
});

/** The derivative of digamma. Poles are as high as the rounding of pi x leaves them, which is what PyTorch gives. */
const trigamma = func("trigamma", 1, (b, x) => {
  const right = x!.gt(0.5);
  const series = zetaPositive(b, b.f32(2), right.select(x!, b.f32(1).sub(x!)).max(0.5).min(1e18));
  const angle = x!.floor().eq(x!).select(x!.mul(PI), turn(x!));
  const sine = sin(b, angle).mul(1 / PI);
  const y = right.select(series, b.f32(1).div(sine.mul(sine)).sub(series));
  return unless(b, y, [x!.isNan(), x!], [isZero(x!), INF_BITS], [x!.gt(1e18), 0]);
});

export const polygamma = func("polygamma", 2, (b, n, x) => {
  const result = b.var(x!);
  b.if(
    n!.eq(0),
    () => result.set(digamma(b, x!)),
    () =>
      b.if(
        n!.eq(1),
        () => result.set(trigamma(b, x!)),
        () => {
          const factorial = b.var(b.f32(1));
          b.for(1, n!.min(40).convert("i32").add(1), 1, (i) => factorial.set(factorial.get().mul(i.convert("f32"))));
          const size = factorial.get().mul(zeta(b, n!.add(1), x!));
          result.set(isOdd(n!).select(size, size.neg()));
        },
      ),
  );
  return result.get();
});

/** log(1 + u) - u, without cancellation near 0. */
const log1pMinus = func("log1p_minus", 1, (b, u) => {
  const x = u!.max(-0.25).min(0.25);
  // -u²/2 + u³/3 - ...
  const terms = Array.from({ length: 13 }, (_, i) => (i % 2 === 0 ? -1 : 1) / (i + 2)).reverse();
  const near = horner(x, ...terms).mul(x.mul(x));
  return u!.abs().gt(0.25).select(log1p(b, u!).sub(u!), near);
});

/** x^a e^-x / gamma(a) */
const gammaWeight = func("gamma_weight", 2, (b, a, x) => {
  const result = b.var(x!);
  b.if(
    a!.lt(8),
    () => result.set(exp(b, a!.mul(log(b, x!)).sub(x!).sub(lgammaPositive(b, a!)))),
    () => {
      const exponent = a!.mul(log1pMinus(b, x!.sub(a!).div(a!))).sub(stirlingRest(b, a!));
      result.set(exp(b, exponent.sub(HALF_LOG_TWO_PI)).mul(a!.sqrt()));
    },
  );
  return result.get();
});

/** P(a, x) by its power series, for x not much above a. */
const gammaSeries = func("gamma_series", 2, (b, a, x) => {
  const term = b.var(b.f32(1).div(a!));
  const sum = b.var(term.get());
  const n = b.var(b.f32(1));
  b.while(
    () =>
      n
        .get()
        .lt(2000)
        .and(term.get().ge(sum.get().mul(1e-9))),
    () => {
      term.set(term.get().mul(x!.div(a!.add(n.get()))));
      sum.set(sum.get().add(term.get()));
      n.set(n.get().add(1));
    },
  );
  return sum.get().mul(gammaWeight(b, a!, x!));
});

/** Q(a, x) by its continued fraction (Lentz), for x above a + 1. */
const gammaFraction = func("gamma_fraction", 2, (b, a, x) => {
  const denominator = b.var(x!.add(1).sub(a!));
  const c = b.var(b.f32(1e30));
  const d = b.var(b.f32(1).div(denominator.get()));
  const h = b.var(d.get());
  const n = b.var(b.f32(1));
  const change = b.var(b.f32(0));
  b.while(
    () => n.get().lt(2000).and(change.get().sub(1).abs().gt(1e-7)),
    () => {
      const numerator = n.get().mul(n.get().sub(a!)).neg();
      const next = denominator.get().add(2);
      denominator.set(next);
      d.set(b.f32(1).div(numerator.fma(d.get(), next)));
      c.set(next.add(numerator.div(c.get())));
      change.set(c.get().mul(d.get()));
      h.set(h.get().mul(change.get()));
      n.set(n.get().add(1));
    },
  );
  return h.get().mul(gammaWeight(b, a!, x!));
});

/** Q(a, x) for large a and x near it: Temme's uniform expansion. */
const gammaUniform = func("gamma_uniform", 2, (b, a, x) => {
  const u = x!.sub(a!).div(a!);
  const half = log1pMinus(b, u).neg().max(0);
  const eta = withSign(half.mul(2).sqrt(), u);
  const near = horner(eta, -139 / 777600, 1 / 2835, 1 / 864, -2 / 135, 1 / 12, -1 / 3);
  const first = eta
    .abs()
    .lt(0.3)
    .select(near, b.f32(1).div(u).sub(b.f32(1).div(eta)));
  const weight = exp(b, a!.mul(half).neg()).div(a!.mul(2 * PI).sqrt());
  const rest = weight.mul(first.sub(b.f32(1 / 540).div(a!)));
  return erfc(b, eta.mul(a!.mul(0.5).sqrt()))
    .mul(0.5)
    .add(rest);
});

/** P (lower) or Q (upper), with PyTorch's values at the edges. */
function incompleteGamma(name: string, upper: boolean): ReturnType<typeof func> {
  const atZero = upper ? 0x3f800000 : 0;
  const atInfinity = upper ? 0 : 0x3f800000;
  return func(name, 2, (b, a, x) => {
    const result = b.var(b.f32(0));
    const usual = a!.gt(0).and(x!.gt(0)).and(sizeBits(a!).lt(INF_BITS)).and(sizeBits(x!).lt(INF_BITS));
    const set = (value: V, isUpper: boolean): void => result.set(isUpper === upper ? value : b.f32(1).sub(value));
    b.if(usual, () => {
      b.if(
        a!.gt(200).and(x!.sub(a!).abs().lt(a!.mul(0.3))),
        () => set(gammaUniform(b, a!, x!), true),
        () =>
          b.if(
            x!.le(1.1).or(x!.lt(a!.add(1))),
            () => set(gammaSeries(b, a!.max(1e-30), x!), false),
            () => set(gammaFraction(b, a!, x!), true),
          ),
      );
    });
    const [zeroA, zeroX] = [isZero(a!), isZero(x!)];
    const [farA, farX] = [sizeBits(a!).eq(INF_BITS), sizeBits(x!).eq(INF_BITS)];
    // An infinite argument decides, even beside a NaN.
    const missing = a!.isNan().and(farX.not()).or(x!.isNan().and(farA.not()));
    const invalid = missing.or(a!.lt(0)).or(x!.lt(0)).or(zeroA.and(zeroX)).or(farA.and(farX));
    return unless(b, result.get(), [zeroA.or(farX), atInfinity], [zeroX.or(farA), atZero], [invalid, NAN_BITS]);
  });
}
export const igamma = incompleteGamma("igamma", false);
export const igammac = incompleteGamma("igammac", true);
