/** `torch.distributions`. */

export { VonMises } from "./circular.ts";
export { Independent, LogNormal, MixtureSameFamily, TransformedDistribution } from "./compound.ts";
export { biject_to, type ConstraintRegistry, transform_to } from "./constraint_registry.ts";
export * as constraint_registry from "./constraint_registry.ts";
export * as constraints from "./constraints.ts";
export { Cauchy, Gumbel, HalfCauchy, HalfNormal, Laplace, Normal, StudentT, Uniform } from "./continuous.ts";
export {
  Bernoulli,
  Binomial,
  Categorical,
  Geometric,
  Multinomial,
  NegativeBinomial,
  OneHotCategorical,
  OneHotCategoricalStraightThrough,
  Poisson,
} from "./discrete.ts";
export { Distribution } from "./distribution.ts";
export { kl_divergence, register_kl } from "./kl.ts";
export * as kl from "./kl.ts";
import "./kl_more.ts";
export { LowRankMultivariateNormal } from "./low_rank.ts";
export { LKJCholesky, Wishart } from "./matrices.ts";
export { MultivariateNormal } from "./multivariate.ts";
export {
  Beta,
  Chi2,
  Dirichlet,
  Exponential,
  FisherSnedecor,
  Gamma,
  InverseGamma,
  Kumaraswamy,
  Pareto,
  Weibull,
} from "./positive.ts";
export {
  ContinuousBernoulli,
  ExpRelaxedCategorical,
  LogisticNormal,
  LogitRelaxedBernoulli,
  RelaxedBernoulli,
  RelaxedOneHotCategorical,
} from "./relaxed.ts";
export * from "./all_transforms.ts";
export * as transforms from "./all_transforms.ts";
