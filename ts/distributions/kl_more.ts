/** kl_divergence of vectors, matrices, and of the continuous Bernoulli distribution. */

import type { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import { Gumbel, HalfCauchy, Laplace, Normal, Uniform } from "./continuous.ts";
import type { Distribution } from "./distribution.ts";
import { kl_divergence, register_kl } from "./kl.ts";
import { klLowRank, LowRankMultivariateNormal } from "./low_rank.ts";
import { klWishart, Wishart } from "./matrices.ts";
import { klMultivariateNormal, MultivariateNormal } from "./multivariate.ts";
import { Beta, Exponential, Gamma, InverseGamma, Pareto } from "./positive.ts";
import { ContinuousBernoulli } from "./relaxed.ts";

register_kl(MultivariateNormal, MultivariateNormal)(klMultivariateNormal);
register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)(klLowRank);
register_kl(MultivariateNormal, LowRankMultivariateNormal)(klLowRank);
register_kl(LowRankMultivariateNormal, MultivariateNormal)(klLowRank);
register_kl(Wishart, Wishart)(klWishart);

// One function of a variable each, so that the divergence is that of the variables.
register_kl(InverseGamma, InverseGamma)((p, q) => kl_divergence(p.base_dist, q.base_dist));
register_kl(HalfCauchy, HalfCauchy)((p, q) => kl_divergence(p.base_dist, q.base_dist));

// What has no density outside of [0, 1], and what has.

const infinite = (t: Tensor): Tensor => ops.full_like(t, Infinity);
/** - E log q, for a distribution of this mean in [0, 1]. */
const cross = (mean: Tensor, q: ContinuousBernoulli): Tensor =>
  mean.mul(q.logits).add(q.probs.neg().log1p()).add(q._logNorm).neg();

register_kl(ContinuousBernoulli, ContinuousBernoulli)((p, q) => cross(p.mean, q).sub(p.entropy()));
register_kl(Beta, ContinuousBernoulli)((p, q) => cross(p.mean, q).sub(p.entropy()));
register_kl(
  Uniform,
  ContinuousBernoulli,
)((p, q) => {
  const outside = p.high.ge(1).logical_or(p.low.le(0));
  return cross(p.mean, q).sub(p.entropy()).masked_fill(outside, Infinity);
});
register_kl(ContinuousBernoulli, Exponential)((p, q) => p.mean.mul(q.rate).sub(q.rate.log()).sub(p.entropy()));
register_kl(
  ContinuousBernoulli,
  Normal,
)((p, q) => {
  const { mean } = p;
  const spread = p.variance.add(mean.square()).sub(q.loc.mul(mean).mul(2)).div(q.scale.square().mul(2));
  const constant = q.loc
    .div(q.scale)
    .square()
    .add(Math.log(2 * Math.PI))
    .mul(0.5)
    .add(q.scale.log());
  return constant.add(spread).sub(p.entropy());
});
register_kl(
  ContinuousBernoulli,
  Uniform,
)((p, q) => {
  const outside = q.low.ge(0).logical_or(q.high.le(1));
  return q.high.sub(q.low).log().sub(p.entropy()).masked_fill(outside, Infinity);
});
register_kl(ContinuousBernoulli, Pareto)((p) => infinite(p.probs));
register_kl<Exponential, Distribution>(Exponential, ContinuousBernoulli)((p) => infinite(p.rate));
register_kl<Gamma, Distribution>(Gamma, ContinuousBernoulli)((p) => infinite(p.concentration));
for (const p of [Gumbel, Laplace, Normal]) {
  register_kl<Gumbel | Laplace | Normal, Distribution>(p, ContinuousBernoulli)(({ loc }) => infinite(loc));
}
register_kl<Pareto, Distribution>(Pareto, ContinuousBernoulli)((p) => infinite(p.scale));
