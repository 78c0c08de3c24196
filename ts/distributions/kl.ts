/** kl_divergence, by pairs of distributions. */

import { NotImplementedError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import * as functional from "../ops/functional/index.ts";
import * as ops from "../ops/index.ts";
import { xlogy } from "../ops/special.ts";
import { Independent, TransformedDistribution } from "./compound.ts";
import { Cauchy, EULER, Gumbel, HalfNormal, Laplace, Normal, Uniform } from "./continuous.ts";
import { Bernoulli, Binomial, Categorical, Geometric, OneHotCategorical, Poisson } from "./discrete.ts";
import { precisely, sumRightmost, type Distribution } from "./distribution.ts";
import { Beta, Dirichlet, Exponential, Gamma, Pareto } from "./positive.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- constructors of any arguments
type Kind<D> = abstract new (...args: any[]) => D;
type Rule = (p: never, q: never) => Tensor;

const rules = new Map<unknown, Map<unknown, Rule>>();

/** What kl_divergence does with a pair of distributions; also with subclasses of theirs, unless these have rules of their own. */
export function register_kl<P extends Distribution, Q extends Distribution>(
  type_p: Kind<P>,
  type_q: Kind<Q>,
): (rule: (p: P, q: Q) => Tensor) => void {
  return (rule) => {
    if (!rules.has(type_p)) rules.set(type_p, new Map());
    rules.get(type_p)!.set(type_q, rule as Rule);
  };
}

function classesOf(x: object): unknown[] {
  const list: unknown[] = [];
  for (let at: object | null = Object.getPrototypeOf(x) as object; at !== null; at = Object.getPrototypeOf(at) as object | null)
    list.push(at.constructor);
  return list;
}

/** KL(p ‖ q), the expectation under p of log p - log q. */
export function kl_divergence(p: Distribution, q: Distribution): Tensor {
  const others = classesOf(q);
  for (const own of classesOf(p)) {
    for (const other of others) {
      const rule = rules.get(own)?.get(other) as ((p: Distribution, q: Distribution) => Tensor) | undefined;
      if (rule !== undefined) return rule(p, q);
    }
  }
  throw new NotImplementedError(`No KL(p || q) is implemented for p type ${p.constructor.name} and q type ${q.constructor.name}`);
}

const infinite = (t: Tensor): Tensor => ops.full_like(t, Infinity);
const xlogx = (t: Tensor): Tensor => xlogy(t, t);
const square = (t: Tensor): Tensor => t.pow(2);
const { log } = Math;

// Of a kind

register_kl(
  Bernoulli,
  Bernoulli,
)((p, q) => {
  const { softplus } = functional;
  const rest = p.probs.neg().add(1);
  const t1 = p.probs
    .mul(softplus(q.logits.neg()).sub(softplus(p.logits.neg())))
    .masked_fill(q.probs.eq(0), Infinity)
    .masked_fill(p.probs.eq(0), 0);
  const t2 = rest
    .mul(softplus(q.logits).sub(softplus(p.logits)))
    .masked_fill(q.probs.eq(1), Infinity)
    .masked_fill(p.probs.eq(1), 0);
  return t1.add(t2);
});

register_kl(
  Binomial,
  Binomial,
)((p, q) => {
  if (p.total_count.lt(q.total_count).any().item_sync()) {
    throw new NotImplementedError("KL between Binomials where q.total_count > p.total_count is not implemented");
  }
  const each = p.probs.mul(p.logits.sub(q.logits)).add(p.probs.neg().log1p()).sub(q.probs.neg().log1p());
  return p.total_count.mul(each).masked_fill(p.total_count.gt(q.total_count), Infinity);
});

register_kl(Categorical, Categorical)(categories);
register_kl(OneHotCategorical, OneHotCategorical)(categories);
function categories(p: Categorical | OneHotCategorical, q: Categorical | OneHotCategorical): Tensor {
  return p.probs
    .mul(p.logits.sub(q.logits))
    .masked_fill(q.probs.eq(0).expand_as(p.probs), Infinity)
    .masked_fill(p.probs.eq(0), 0)
    .sum(-1);
}

register_kl(
  Beta,
  Beta,
)((p, q) =>
  precisely([p.concentration1, p.concentration0, q.concentration1, q.concentration0], (a1, a0, b1, b0) => {
    const [sumP, sumQ] = [a1.add(a0), b1.add(b0)];
    const t1 = b1.lgamma().add(b0.lgamma()).add(sumP.lgamma());
    const t2 = a1.lgamma().add(a0.lgamma()).add(sumQ.lgamma());
    const t3 = a1.sub(b1).mul(a1.digamma());
    const t4 = a0.sub(b0).mul(a0.digamma());
    return t1.sub(t2).add(t3).add(t4).add(sumQ.sub(sumP).mul(sumP.digamma()));
  }),
);

register_kl(
  Dirichlet,
  Dirichlet,
)((p, q) =>
  precisely([p.concentration, q.concentration], (a, b) => {
    const sum = a.sum(-1);
    const t1 = sum.lgamma().sub(b.sum(-1).lgamma());
    const t2 = a.lgamma().sub(b.lgamma()).sum(-1);
    return t1.sub(t2).add(
      a
        .sub(b)
        .mul(a.digamma().sub(sum.digamma().unsqueeze(-1)))
        .sum(-1),
    );
  }),
);

register_kl(
  Gamma,
  Gamma,
)((p, q) =>
  precisely([p.concentration, p.rate, q.concentration, q.rate], (a, r, b, s) => {
    const t1 = b.mul(r.div(s).log());
    const t2 = b.lgamma().sub(a.lgamma());
    const t3 = a.sub(b).mul(a.digamma());
    return t1
      .add(t2)
      .add(t3)
      .add(s.sub(r).mul(a.div(r)));
  }),
);

register_kl(
  Exponential,
  Exponential,
)((p, q) => {
  const ratio = q.rate.div(p.rate);
  return ratio.sub(ratio.log()).sub(1);
});

register_kl(
  Normal,
  Normal,
)((p, q) => {
  const variance = square(p.scale.div(q.scale));
  const distance = square(p.loc.sub(q.loc).div(q.scale));
  return variance.add(distance).sub(1).sub(variance.log()).mul(0.5);
});
register_kl(HalfNormal, HalfNormal)((p, q) => kl_divergence(p.base_dist, q.base_dist));

register_kl(
  Laplace,
  Laplace,
)((p, q) => {
  const ratio = p.scale.div(q.scale);
  const distance = p.loc.sub(q.loc).abs();
  const t3 = ratio.mul(distance.neg().div(p.scale).exp());
  return distance.div(q.scale).sub(ratio.log()).add(t3).sub(1);
});

register_kl(
  Cauchy,
  Cauchy,
)((p, q) => {
  const t1 = square(p.scale.add(q.scale))
    .add(square(p.loc.sub(q.loc)))
    .log();
  return t1.sub(p.scale.mul(q.scale).mul(4).log());
});

register_kl(
  Gumbel,
  Gumbel,
)((p, q) => {
  const ratio = p.scale.div(q.scale);
  const [to, from] = [q.loc.div(q.scale), p.loc.div(q.scale)];
  const t3 = to.add(ratio.add(1).lgamma()).sub(from).exp();
  return ratio
    .log()
    .neg()
    .sub(to)
    .add(from)
    .add(ratio.mul(EULER))
    .add(t3)
    .sub(1 + EULER);
});

register_kl(Geometric, Geometric)((p, q) => p.entropy().neg().sub(q.probs.neg().log1p().div(p.probs)).sub(q.logits));

register_kl(Poisson, Poisson)((p, q) => p.rate.mul(p.rate.log().sub(q.rate.log())).sub(p.rate.sub(q.rate)));

register_kl(
  Pareto,
  Pareto,
)((p, q) => {
  const ratio = q.alpha.div(p.alpha);
  const t1 = q.alpha.mul(p.scale.div(q.scale).log());
  return t1.sub(ratio.log()).add(ratio).sub(1).masked_fill(p.scale.lt(q.scale), Infinity);
});

register_kl(
  Uniform,
  Uniform,
)((p, q) => {
  const outside = q.low.gt(p.low).logical_or(q.high.lt(p.high));
  return q.high.sub(q.low).div(p.high.sub(p.low)).log().masked_fill(outside, Infinity);
});

register_kl(
  Independent,
  Independent,
)((p, q) => {
  if (p.reinterpreted_batch_ndims !== q.reinterpreted_batch_ndims) {
    throw new NotImplementedError("kl_divergence: Independent distributions of unlike reinterpreted_batch_ndims");
  }
  return sumRightmost(kl_divergence(p.base_dist, q.base_dist), p.reinterpreted_batch_ndims);
});

register_kl(
  TransformedDistribution,
  TransformedDistribution,
)((p, q) => {
  const same = p.transforms.length === q.transforms.length && p.transforms.every((t, i) => t.equals(q.transforms[i]!));
  if (!same) throw new NotImplementedError("kl_divergence: TransformedDistributions of unlike transforms");
  return kl_divergence(p.base_dist, q.base_dist);
});

// Of two kinds

register_kl(Bernoulli, Poisson)((p, q) => p.entropy().neg().sub(p.probs.mul(q.rate.log()).sub(q.rate)));

/** log of the density's constant factor, turned round. */
const gammaConstant = (q: Gamma): Tensor => q.concentration.lgamma().sub(q.concentration.mul(q.rate.log()));

register_kl(
  Beta,
  Gamma,
)((p, q) => {
  const sum = p.concentration1.add(p.concentration0);
  const t3 = q.concentration.sub(1).mul(p.concentration1.digamma().sub(sum.digamma()));
  const t4 = q.rate.mul(p.concentration1).div(sum);
  return p.entropy().neg().add(gammaConstant(q)).sub(t3).add(t4);
});
register_kl(
  Beta,
  Exponential,
)((p, q) => {
  const mean = p.concentration1.div(p.concentration1.add(p.concentration0));
  return p.entropy().neg().sub(q.rate.log()).add(q.rate.mul(mean));
});
register_kl(
  Beta,
  Normal,
)((p, q) => {
  const sum = p.concentration1.add(p.concentration0);
  const mean = p.concentration1.div(sum);
  const variance = square(q.scale);
  const t3 = mean.mul(mean.neg().add(1)).div(sum.add(1)).add(square(mean)).mul(0.5);
  const rest = t3.sub(q.loc.mul(mean)).add(square(q.loc).mul(0.5));
  return p
    .entropy()
    .neg()
    .add(
      variance
        .mul(2 * Math.PI)
        .log()
        .mul(0.5),
    )
    .add(rest.div(variance));
});
register_kl(
  Beta,
  Uniform,
)((p, q) => {
  const outside = q.low.gt(0).logical_or(q.high.lt(1));
  return p.entropy().neg().add(q.high.sub(q.low).log()).masked_fill(outside, Infinity);
});

register_kl(
  Exponential,
  Gamma,
)((p, q) => {
  const ratio = q.rate.div(p.rate);
  return q.concentration
    .neg()
    .mul(ratio.log())
    .add(ratio)
    .add(q.concentration.lgamma())
    .add(q.concentration.mul(EULER))
    .sub(1 + EULER);
});
register_kl(
  Exponential,
  Gumbel,
)((p, q) => {
  const product = p.rate.mul(q.scale);
  const shift = q.loc.div(q.scale);
  const t2 = shift.exp().mul(product).div(product.add(1));
  return product.log().sub(1).sub(shift).add(t2).add(product.reciprocal());
});
/** The rest of an expectation of a normal distribution's log density: by the first two moments. */
function towardsNormal(q: Normal, halfSecond: Tensor, first: Tensor): Tensor {
  return halfSecond.sub(q.loc.mul(first)).add(square(q.loc).mul(0.5)).div(square(q.scale));
}
register_kl(
  Exponential,
  Normal,
)((p, q) => {
  const rate = square(p.rate);
  const t1 = rate
    .mul(square(q.scale))
    .mul(2 * Math.PI)
    .log()
    .mul(0.5);
  return t1.sub(1).add(towardsNormal(q, rate.reciprocal(), p.rate.reciprocal()));
});

register_kl(Gamma, Exponential)((p, q) => p.entropy().neg().sub(q.rate.log()).add(q.rate.mul(p.concentration).div(p.rate)));
register_kl(
  Gamma,
  Gumbel,
)((p, q) => {
  const c = p.concentration;
  const product = p.rate.mul(q.scale);
  const shift = q.loc.div(q.scale);
  const t1 = c.sub(1).mul(c.digamma()).sub(c.lgamma()).sub(c);
  const t2 = product.log().add(c.div(product));
  const t3 = shift.exp().mul(product.reciprocal().add(1).pow(c.neg())).sub(shift);
  return t1.add(t2).add(t3);
});
register_kl(
  Gamma,
  Normal,
)((p, q) => {
  const c = p.concentration;
  const rate = square(p.rate);
  const t1 = rate
    .mul(square(q.scale))
    .mul(2 * Math.PI)
    .log()
    .mul(0.5)
    .sub(c)
    .sub(c.lgamma());
  const rest = towardsNormal(q, square(c).add(c).mul(0.5).div(rate), c.div(p.rate));
  return t1.add(c.sub(1).mul(c.digamma())).add(rest);
});

register_kl(
  Gumbel,
  Normal,
)((p, q) => {
  const ratio = p.scale.div(q.scale);
  const t1 = ratio.div(Math.sqrt(2 * Math.PI)).log();
  const t2 = square(ratio.mul(Math.PI / 2)).div(3);
  const t3 = square(p.loc.add(p.scale.mul(EULER)).sub(q.loc).div(q.scale)).mul(0.5);
  return t2
    .sub(t1)
    .add(t3)
    .sub(EULER + 1);
});

register_kl(
  Laplace,
  Normal,
)((p, q) => {
  const variance = square(q.scale);
  const ratio = square(p.scale).div(variance);
  const t1 = ratio
    .mul(2 / Math.PI)
    .log()
    .mul(0.5);
  return ratio
    .sub(t1)
    .add(towardsNormal(q, square(p.loc).mul(0.5), p.loc))
    .sub(1);
});

register_kl(
  Normal,
  Gumbel,
)((p, q) => {
  const ratio = square(p.scale.div(q.scale));
  const shift = p.loc.sub(q.loc).div(q.scale);
  const t3 = ratio.mul(0.5).sub(shift).exp();
  return ratio
    .log()
    .mul(-0.5)
    .add(shift)
    .add(t3)
    .sub(0.5 * (1 + log(2 * Math.PI)));
});
register_kl(
  Normal,
  Laplace,
)((p, q) => {
  const off = p.loc.sub(q.loc);
  const relative = off.div(p.scale);
  const t2 = square(relative)
    .mul(-0.5)
    .exp()
    .mul(p.scale)
    .mul(Math.sqrt(2 / Math.PI));
  const t3 = off.mul(relative.mul(Math.SQRT1_2).erf());
  return t2
    .add(t3)
    .div(q.scale)
    .sub(p.scale.div(q.scale).log())
    .sub(0.5 * (1 + log(0.5 * Math.PI)));
});

register_kl(
  Pareto,
  Exponential,
)((p, q) => {
  const product = p.scale.mul(q.rate);
  const t3 = p.alpha.mul(product).div(p.alpha.sub(1));
  const whole = p.alpha.div(product).log().sub(p.alpha.reciprocal()).add(t3).sub(1);
  return whole.masked_fill(p.alpha.le(1), Infinity);
});
register_kl(
  Pareto,
  Gamma,
)((p, q) => {
  const common = p.scale.log().add(p.alpha.reciprocal());
  const t3 = q.concentration.neg().add(1).mul(common);
  const t4 = q.rate.mul(p.alpha).mul(p.scale).div(p.alpha.sub(1));
  const whole = p.alpha.log().sub(common).add(gammaConstant(q)).add(t3).add(t4).sub(1);
  return whole.masked_fill(p.alpha.le(1), Infinity);
});
register_kl(
  Pareto,
  Normal,
)((p, q) => {
  const variance = square(q.scale).mul(2);
  const common = p.scale.div(p.alpha.sub(1));
  const t1 = q.scale
    .mul(Math.sqrt(2 * Math.PI))
    .mul(p.alpha)
    .div(p.scale)
    .log();
  const t3 = p.alpha.mul(square(common)).div(p.alpha.sub(2));
  const t4 = square(p.alpha.mul(common).sub(q.loc));
  const whole = t1.sub(p.alpha.reciprocal()).add(t3.add(t4).div(variance)).sub(1);
  return whole.masked_fill(p.alpha.le(2), Infinity);
});

/** (∫ of log x over the interval) / its length. */
function meanLog({ low, high }: { low: Tensor; high: Tensor }): Tensor {
  const width = high.sub(low);
  return xlogx(high).sub(xlogx(low)).sub(width).div(width);
}
register_kl(
  Uniform,
  Beta,
)((p, q) => {
  const turned = { low: p.high.neg().add(1), high: p.low.neg().add(1) };
  const t2 = q.concentration1.sub(1).mul(meanLog(p));
  const t3 = q.concentration0.sub(1).mul(meanLog(turned));
  const t4 = q.concentration1.lgamma().add(q.concentration0.lgamma()).sub(q.concentration1.add(q.concentration0).lgamma());
  const whole = t4.sub(t3).sub(p.high.sub(p.low).log()).sub(t2);
  return whole.masked_fill(p.high.gt(1).logical_or(p.low.lt(0)), Infinity);
});
register_kl(
  Uniform,
  Exponential,
)((p, q) => {
  const whole = q.rate.mul(p.high.add(p.low)).div(2).sub(p.high.sub(p.low).mul(q.rate).log());
  return whole.masked_fill(p.low.lt(0), Infinity);
});
register_kl(
  Uniform,
  Gamma,
)((p, q) => {
  const t3 = q.concentration.neg().add(1).mul(meanLog(p));
  const t4 = q.rate.mul(p.high.add(p.low)).div(2);
  const whole = gammaConstant(q).sub(p.high.sub(p.low).log()).add(t3).add(t4);
  return whole.masked_fill(p.low.lt(0), Infinity);
});
register_kl(
  Uniform,
  Gumbel,
)((p, q) => {
  const common = q.scale.div(p.high.sub(p.low));
  const [high, low] = [p.high, p.low].map((x) => x.sub(q.loc).div(q.scale)) as [Tensor, Tensor];
  const t1 = common.log().add(high.add(low).mul(0.5));
  return t1.sub(common.mul(high.neg().exp().sub(low.neg().exp())));
});
register_kl(
  Uniform,
  Normal,
)((p, q) => {
  const width = p.high.sub(p.low);
  const t1 = q.scale
    .mul(Math.sqrt(2 * Math.PI))
    .div(width)
    .log();
  const t3 = square(p.high.add(p.low).sub(q.loc.mul(2)).div(2));
  return t1.add(square(width).div(12).add(t3).mul(0.5).div(square(q.scale)));
});
register_kl(
  Uniform,
  Pareto,
)((p, q) => {
  const t1 = q.alpha.mul(q.scale.pow(q.alpha)).mul(p.high.sub(p.low)).log();
  const whole = meanLog(p).mul(q.alpha.add(1)).sub(t1);
  return whole.masked_fill(p.low.lt(q.scale), Infinity);
});

// Where p has values that q does not

for (const q of [Pareto]) register_kl(Beta, q)((p) => infinite(p.concentration1));
for (const q of [Beta, Pareto, Uniform]) {
  register_kl<Exponential, Distribution>(Exponential, q)((p) => infinite(p.rate));
  register_kl<Gamma, Distribution>(Gamma, q)((p) => infinite(p.concentration));
}
for (const q of [Beta, Exponential, Gamma, Pareto, Uniform]) {
  register_kl<Gumbel, Distribution>(Gumbel, q)((p) => infinite(p.loc));
  register_kl<Laplace, Distribution>(Laplace, q)((p) => infinite(p.loc));
  register_kl<Normal, Distribution>(Normal, q)((p) => infinite(p.loc));
}
for (const q of [Beta, Uniform]) register_kl<Pareto, Distribution>(Pareto, q)((p) => infinite(p.scale));
for (const q of [Bernoulli, Binomial]) register_kl<Poisson, Distribution>(Poisson, q)((p) => infinite(p.rate));
