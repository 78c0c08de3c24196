/** The gamma function's relatives. f64 takes more terms of the same expansions. */

import type { V } from "../builder.ts";
import { func, horner, isFinite, isInf, isNegative, isZero, like, pick, unless, withSign, type Emit } from "./basics.ts";
import { sin, tan } from "./math_circle.ts";
import { erfc, expansion } from "./math_erf.ts";
import { exp, expm1 } from "./math_exp.ts";
import { log, log1p } from "./math_log.ts";
import { pow } from "./math_pow.ts";

const { PI } = Math;
const HALF_LOG_TWO_PI = 0.9189385332046728;
const LOG_PI = 1.1447298858494002;

/** ln gamma(x) / ((x - 1)(x - 2)) for 1 <= x <= 3, in x - 2. */
// prettier-ignore
const LGAMMA = [
  0.44148902545501423, -0.11119580321752523, 0.01951044826068884, -0.003922461463025264, 0.0008478989895953857,
  -0.00019153855341365593, 0.00004454470184975607, -0.000010572874373594299, 0.0000025474336873408417,
  -6.208535880776316e-7, 1.5268677399071546e-7, -3.782637660291326e-8, 9.428100823624284e-9,
  -2.361999702184645e-9, 5.943541905817546e-10, -1.501312977072867e-10, 3.8050196458110534e-11,
  -9.672485299656325e-12, 2.465348198355661e-12, -6.298868140791711e-13, 1.6128460030283787e-13,
  -4.137949206814042e-14, 1.0635701227757898e-14, -2.7382420786652826e-15, 7.060670507214892e-16,
  -1.8232177141662118e-16, 4.714169006756272e-17, -1.2204107319639856e-17,
];
/** Stirling's series, and its derivative's: from the highest power of 1 / x² down, so that f32 takes the last terms. */
const STIRLING = [1 / 156, -691 / 360360, 1 / 1188, -1 / 1680, 1 / 1260, -1 / 360, 1 / 12];
const STIRLING_SLOPE = [-1 / 12, 691 / 32760, -1 / 132, 1 / 240, -1 / 252, 1 / 120, -1 / 12];

/** What Stirling's formula leaves of ln gamma(x), for x >= 8. */
function stirlingRest(x: V): V {
  const r = like(x, 1).div(x);
  return horner(r.mul(r), ...pick(x, STIRLING.slice(-4), STIRLING)).mul(r);
}

/** ln gamma(1 + x) for 0 <= x <= 2; `less` is x - 1. */
function lgammaNear(x: V, less: V): V {
  return x.mul(less).mul(expansion(less, LGAMMA, 13));
}

/** ln gamma(x) for 0 < x < Inf. */
const lgammaPositive = func("lgamma_positive", 1, (b, x) => {
  const result = b.var(x!);
  b.if(
    x!.ge(8),
    () => {
      const y = x!.sub(0.5).mul(log(b, x!).sub(1));
      result.set(y.add(HALF_LOG_TWO_PI - 0.5).add(stirlingRest(x!)));
    },
    () => {
      const at = b.var(x!);
      const factor = b.var(like(x!, 1));
      b.while(
        () => at.get().gt(3),
        () => {
          at.set(at.get().sub(1));
          factor.set(factor.get().mul(at.get()));
        },
      );
      // Below 1 it is what is true of x + 1, less log x.
      const small = x!.lt(1);
      const y = at.get();
      const core = lgammaNear(small.select(x!, y.sub(1)), small.select(x!.sub(1), y.sub(2)));
      const rest = log(b, small.select(x!, factor.get()));
      result.set(core.add(small.select(rest.neg(), rest)));
    },
  );
  return result.get();
});

/** pi x modulo its period, so that large x keep their precision. */
function turn(x: V): V {
  return x.sub(x.round()).mul(PI);
}

export const lgamma = func("lgamma", 1, (b, x) => {
  const a = x!.abs();
  const result = b.var(lgammaPositive(b, a.min(pick(a, 3e38, 1.7e308))));
  b.if(x!.lt(0), () => {
    // (Products with the smallest x would be subnormal.)
    const sine = sin(b, turn(a)).abs();
    result.set(
      a.lt(pick(a, 1e-10, 1e-20)).select(
        log(b, a).neg(),
        like(a, LOG_PI)
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
    [
      pole
        .or(isZero(x!))
        .or(isInf(x!))
        .or(x!.gt(pick(x!, 4.0850033e36, 2.556348e305))),
      Infinity,
    ],
  );
});

export const digamma = func("digamma", 1, (b, x) => {
  const negative = x!.lt(0);
  const one = like(x!, 1);
  const most = pick(x!, 1e30, 1e300);
  const rest = b.var(like(x!, 0));
  b.if(negative, () => rest.set(like(x!, -PI).div(tan(b, turn(x!)))));
  const at = b.var(negative.select(one.sub(x!), x!).min(most));
  b.while(
    () => at.get().lt(pick(x!, 6, 10)),
    () => {
      rest.set(rest.get().sub(one.div(at.get())));
      at.set(at.get().add(1));
    },
  );
  const y = at.get();
  const r = one.div(y);
  const z = r.mul(r);
  const series = horner(z, ...pick(x!, STIRLING_SLOPE.slice(-4), STIRLING_SLOPE)).mul(z);
  const result = rest.get().add(log(b, y).sub(r.mul(0.5)).add(series));
  const whole = x!.floor().eq(x!);
  return unless(
    b,
    result,
    [x!.isNan().or(negative.and(whole)), NaN],
    [x!.gt(most), log(b, x!)],
    [isZero(x!), withSign(like(x!, Infinity), x!.neg())],
  );
});

/** (2j)! / B(2j) for j = 1, 2, ...: the divisors of the Euler-Maclaurin formula. */
// prettier-ignore
const BERNOULLI = [
  12, -720, 30240, -1209600, 47900160, -1892437580.3183792, 74724249600, -2950130727918.164, 116467828143500.67,
  -4597978722407473, 181521054019435460, -7166165256175667000,
];

/** The sum of (q + k)^-s over k >= 0, for s > 1 and q > 0: some terms, then the Euler-Maclaurin formula. */
const zetaPositive = func("zeta_positive", 2, (b, s, q) => {
  const sum = b.var(like(s!, 0));
  const a = b.var(q!);
  const [terms, far, enough] = pick(s!, [9, 9, 1e-9], [10, 10, 1e-17]);
  const going = b.var(like(s!, terms)); // terms to come at least; negative: enough
  b.while(
    () =>
      going
        .get()
        .gt(0)
        .or(a.get().lt(far).and(going.get().ge(0))),
    () => {
      const term = pow(b, a.get(), s!.neg());
      sum.set(sum.get().add(term));
      a.set(a.get().add(1));
      going.set(term.lt(sum.get().mul(enough)).select(like(term, -1), going.get().sub(1).max(0)));
    },
  );
  b.if(going.get().ge(0), () => {
    const last = pow(b, a.get(), s!.neg());
    const total = b.var(sum.get().add(last.mul(a.get().div(s!.sub(1)).add(0.5))));
    let factor = last.mul(s!).div(a.get());
    pick(s!, BERNOULLI.slice(0, 7), BERNOULLI).forEach((divisor, j) => {
      total.set(total.get().add(factor.mul(1 / divisor)));
      const k = s!.add(2 * j);
      factor = factor.mul(k.add(1).div(a.get())).mul(k.add(2).div(a.get()));
    });
    sum.set(total.get());
  });
  return sum.get();
});

const isOdd = (x: V): V => x.mul(0.5).floor().ne(x.mul(0.5));

/** p^-s - q^-s for 0 < p, q <= 1, exact to its last digits also where the two are close. */
const powersApart = func("powers_apart", 3, (b, s, p, q) => {
  const [low, high] = [p!.min(q!), p!.max(q!)];
  const apart = high.sub(low).div(low);
  const close = pow(b, high, s!.neg()).mul(expm1(b, s!.mul(log1p(b, apart.min(1)))));
  const far = pow(b, low, s!.neg()).sub(pow(b, high, s!.neg()));
  const size = apart.gt(1).select(far, close);
  return p!.gt(q!).select(size.neg(), size);
});

export const zeta = func("zeta", 2, (b, s, q) => {
  const result = b.var(like(s!, NaN));
  const below = q!.floor();
  const fraction = q!.sub(below);
  const positive = q!.gt(0);
  b.if(positive.or(s!.floor().eq(s!).and(fraction.gt(0))).and(s!.gt(1)), () => {
    const power = s!.min(1e9);
    b.if(
      positive,
      () => result.set(zetaPositive(b, power, pick(q!, q!.max(1e-30).min(1e30), q!))),
      () => {
        // The terms below zero are the positive ones between 1 - fraction and -q. The nearest of either side may nearly cancel.
        const [right, left] = [pick(q!, fraction.max(1e-30), fraction), q!.ceil().sub(q!)];
        const above = zetaPositive(b, power, right.add(1));
        const below = zetaPositive(b, power, left.add(1)).sub(zetaPositive(b, power, like(q!, 1).sub(q!)));
        const together = pow(b, right, power.neg()).add(pow(b, left, power.neg()));
        const same = together.add(above.add(below));
        const opposite = powersApart(b, power, right, left).add(above.sub(below));
        result.set(isOdd(s!).select(opposite, same));
      },
    );
  });
  const invalid = s!
    .gt(1)
    .not()
    .or(s!.isNan())
    .or(q!.isNan())
    .or(isInf(q!).and(isNegative(q!).not()));
  return unless(b, result.get(), [positive.not().and(below.eq(q!)), Infinity], [invalid, NaN], [s!.eq(1), Infinity]);
});

/** The derivative of digamma. Poles are as high as the rounding of pi x leaves them, which is what PyTorch gives. */
const trigamma = func("trigamma", 1, (b, x) => {
  const right = x!.gt(0.5);
  const one = like(x!, 1);
  const series = zetaPositive(b, like(x!, 2), right.select(x!, one.sub(x!)).max(0.5).min(1e9));
  const angle = x!.floor().eq(x!).select(x!.mul(PI), turn(x!));
  const sine = sin(b, angle).mul(1 / PI);
  const y = right.select(series, one.div(sine.mul(sine)).sub(series));
  const far = one.div(x!).mul(one.add(like(x!, 0.5).div(x!)));
  return unless(b, y, [x!.isNan(), x!], [isZero(x!), Infinity], [x!.gt(1e9), far]);
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
          const factorial = b.var(like(n!, 1));
          const most = pick(n!, 40, 171);
          b.for(1, n!.min(most).convert("i32").add(1), 1, (i) => factorial.set(factorial.get().mul(i.convert(n!.scalar))));
          const size = factorial.get().mul(zeta(b, n!.add(1), x!));
          result.set(isOdd(n!).select(size, size.neg()));
        },
      ),
  );
  return result.get();
});

/** f32's polygamma on targets that have f64: from the second derivative on terms cancel. */
export const polygammaOfSingle: Emit = (b, n, x) => {
  const result = b.var(polygamma(b, n!, x!));
  b.if(n!.gt(1), () => result.set(polygamma(b, n!.convert("f64"), x!.convert("f64")).convert("f32")));
  return result.get();
};

/** log(x / a) - u for u = (x - a) / a, without cancellation near 0. */
const logMinus = func("log_minus", 2, (b, a, x) => {
  const u = x!.sub(a!).div(a!);
  // With s = u / (2 + u): 2 (s³ / 3 + s^5 / 5 + ...) - s u
  const v = u.max(-0.25).min(0.25);
  const s = v.div(v.add(2));
  const z = s.mul(s);
  const terms = Array.from({ length: pick(z, 5, 10) }, (_, i) => 2 / (2 * i + 3)).reverse();
  const near = s.mul(
    horner(z, ...terms)
      .mul(z)
      .sub(v),
  );
  return u
    .abs()
    .gt(0.25)
    .select(log(b, x!.div(a!)).sub(u), near);
});

/** x^a e^-x / gamma(a) */
const gammaWeight = func("gamma_weight", 2, (b, a, x) => {
  const result = b.var(x!);
  b.if(
    a!.lt(8),
    () => result.set(exp(b, a!.mul(log(b, x!)).sub(x!).sub(lgammaPositive(b, a!)))),
    () => {
      const exponent = a!.mul(logMinus(b, a!, x!)).sub(stirlingRest(a!));
      result.set(exp(b, exponent.sub(HALF_LOG_TWO_PI)).mul(a!.sqrt()));
    },
  );
  return result.get();
});

/** P(a, x) by its power series, for x not much above a. */
const gammaSeries = func("gamma_series", 2, (b, a, x) => {
  const term = b.var(like(a!, 1).div(a!));
  const sum = b.var(term.get());
  const n = b.var(like(a!, 1));
  b.while(
    () =>
      n
        .get()
        .lt(pick(a!, 2000, 10000))
        .and(term.get().ge(sum.get().mul(pick(a!, 1e-9, 1e-17)))),
    () => {
      term.set(term.get().mul(x!.div(a!.add(n.get()))));
      sum.set(sum.get().add(term.get()));
      n.set(n.get().add(1));
    },
  );
  return sum.get().mul(gammaWeight(b, a!, x!));
});

/** Q(a, x) for x <= 1.1 and a of at most as much: where it is small, 1 - P would have nothing left of it. */
const gammaRest = func("gamma_rest", 2, (b, a, x) => {
  const power = b.var(like(x!, 1));
  const sum = b.var(like(x!, 0));
  b.for(1, pick(x!, 12, 21), 1, (i) => {
    const n = i.convert(x!.scalar);
    power.set(power.get().mul(x!).div(n).neg());
    sum.set(sum.get().add(power.get().div(a!.add(n))));
  });
  // P = x^a / gamma(1 + a) * (1 + a * sum)
  const exponent = a!.mul(log(b, x!)).sub(lgammaNear(a!, a!.sub(1)));
  return expm1(b, exponent).add(exp(b, exponent).mul(a!).mul(sum.get())).neg();
});

/** Q(a, x) by its continued fraction (Lentz), for x above a + 1. */
const gammaFraction = func("gamma_fraction", 2, (b, a, x) => {
  const denominator = b.var(x!.add(1).sub(a!));
  const one = like(a!, 1);
  const c = b.var(like(a!, pick(a!, 1e30, 1e300)));
  const d = b.var(one.div(denominator.get()));
  const h = b.var(d.get());
  const n = b.var(one);
  const change = b.var(like(a!, 0));
  const [rounds, enough] = pick(a!, [2000, 1e-7], [10000, 3e-16]);
  b.while(
    () => n.get().lt(rounds).and(change.get().sub(1).abs().gt(enough)),
    () => {
      const numerator = n.get().mul(n.get().sub(a!)).neg();
      const next = denominator.get().add(2);
      denominator.set(next);
      d.set(one.div(numerator.fma(d.get(), next)));
      c.set(next.add(numerator.div(c.get())));
      change.set(c.get().mul(d.get()));
      h.set(h.get().mul(change.get()));
      n.set(n.get().add(1));
    },
  );
  return h.get().mul(gammaWeight(b, a!, x!));
});

/** The coefficients of Temme's expansion near 0, by powers of 1 / a; f32 takes the first polynomial and the second's first term. */
const TEMME = [
  [-571 / 261273600, 1 / 25515, -139 / 777600, 1 / 2835, 1 / 864, -2 / 135, 1 / 12, -1 / 3],
  [1 / 4860, -77 / 77760, 1 / 378, -1 / 288, -1 / 540],
  [1 / 1296, -139 / 51840, 25 / 6048],
] as const;

type Side = "lower" | "upper";

/** P or Q for large a and x near it: Temme's uniform expansion. */
const gammaUniform = (side: Side): Emit =>
  func(`gamma_uniform_${side}`, 2, (b, a, x) => {
    const u = x!.sub(a!).div(a!);
    const half = logMinus(b, a!, x!).neg().max(0);
    const eta = withSign(half.mul(2).sqrt(), u);
    const one = like(u, 1);
    const first = eta
      .abs()
      .lt(pick(u, 0.3, 0.05))
      .select(horner(eta, ...TEMME[0]), one.div(u).sub(one.div(eta)));
    const second = pick(
      u,
      () => like(u, -1 / 540),
      () =>
        horner(eta, ...TEMME[2])
          .div(a!)
          .add(horner(eta, ...TEMME[1])),
    )();
    const weight = exp(b, a!.mul(half).neg()).div(a!.mul(2 * PI).sqrt());
    const rest = weight.mul(first.add(second.div(a!)));
    const main = erfc(b, (side === "upper" ? eta : eta.neg()).mul(a!.mul(0.5).sqrt())).mul(0.5);
    return side === "upper" ? main.add(rest) : main.sub(rest);
  });

/** P (lower) or Q (upper), with PyTorch's values at the edges. */
function incompleteGamma(name: string, side: Side): Emit {
  const upper = side === "upper";
  const uniform = gammaUniform(side);
  const atZero = upper ? 1 : 0;
  const atInfinity = upper ? 0 : 1;
  return func(name, 2, (b, a, x) => {
    const one = like(a!, 1);
    const result = b.var(like(a!, 0));
    const usual = a!.gt(0).and(x!.gt(0)).and(isFinite(a!)).and(isFinite(x!));
    const set = (value: V, isUpper: boolean): void => result.set(isUpper === upper ? value : one.sub(value));
    b.if(usual, () => {
      b.if(
        a!.gt(pick(a!, 200, 10000)).and(x!.sub(a!).abs().lt(a!.mul(0.3))),
        () => result.set(uniform(b, a!, x!)),
        () =>
          b.if(
            x!.le(1.1).or(x!.lt(a!.add(1))),
            () => {
              const small = x!.le(0.5).select(like(x!, -0.4).div(log(b, x!)), x!.mul(1.1));
              b.if(
                x!.le(1.1).and(a!.lt(small)),
                () => set(gammaRest(b, a!, x!), true),
                () => set(gammaSeries(b, a!, x!), false),
              );
            },
            () => set(gammaFraction(b, a!, x!), true),
          ),
      );
    });
    const [zeroA, zeroX] = [isZero(a!), isZero(x!)];
    const [farA, farX] = [isInf(a!), isInf(x!)];
    // An infinite argument decides, even beside a NaN, and so does an x of 0.
    const missing = a!.isNan().and(farX.or(zeroX).not()).or(x!.isNan().and(farA.not()));
    const invalid = missing.or(a!.lt(0)).or(x!.lt(0)).or(zeroA.and(zeroX)).or(farA.and(farX));
    return unless(b, result.get(), [zeroA.or(farX), atInfinity], [zeroX.or(farA), atZero], [invalid, NaN]);
  });
}
export const igamma = incompleteGamma("igamma", "lower");
export const igammac = incompleteGamma("igammac", "upper");
