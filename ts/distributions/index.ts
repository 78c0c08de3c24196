/** `torch.distributions`. */

import * as basic from "./constraints.ts";
import { register_kl } from "./kl.ts";
import { klMultivariateNormal, MultivariateNormal, positive_definite } from "./multivariate.ts";

register_kl(MultivariateNormal, MultivariateNormal)(klMultivariateNormal);

export const constraints = { ...basic, positive_definite };
export { Independent, LogNormal, MixtureSameFamily, TransformedDistribution } from "./compound.ts";
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
export * as transforms from "./transforms.ts";
