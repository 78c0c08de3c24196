/** Distributions of positive numbers, of shares, and of their vectors. */

import { ValueError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import * as functional from "../ops/functional/index.ts";
import { xlogy } from "../ops/special.ts";
import * as constraints from "./constraints.ts";
import type { Constraint } from "./constraints.ts";
import { limits } from "./limits.ts";
import { EULER } from "./continuous.ts";
import { bind, broadcast_all, Distribution, newLike, precisely, type Given, type Validate, type Value } from "./distribution.ts";
import { dirichlet, standard_gamma } from "./pathwise.ts";

export class Exponential extends Distribution {
  override readonly has_rsample = true;
  readonly rate: Tensor;

  constructor(...given: Given<[{ rate: Value }]>) {
    super();
    const [rate, validate] = bind<[Value, Validate]>("Exponential", "rate", given);
    [this.rate] = broadcast_all(rate) as [Tensor];
    this.setUp(this.rate.shape, [], validate, { rate: constraints.positive });
  }
  override get support(): Constraint {
    return constraints.nonnegative;
  }
  override get mean(): Tensor {
    return this.rate.reciprocal();
  }
  override get mode(): Tensor {
    return ops.zeros_like(this.rate);
  }
  override get stddev(): Tensor {
    return this.rate.reciprocal();
  }
  override get variance(): Tensor {
    return this.rate.pow(-2);
  }
  override rsample(sample_shape: Shape = []): Tensor {
    return newLike(this.rate, this.extendedShape(sample_shape)).exponential_().div(this.rate);
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    return this.rate.log().sub(this.rate.mul(value));
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return this.rate.neg().mul(value).exp().neg().add(1);
  }
  override icdf(value: Tensor): Tensor {
    return value.neg().log1p().neg().div(this.rate);
  }
  override entropy(): Tensor {
    return this.rate.log().neg().add(1);
  }
}

export class Gamma extends Distribution {
  override readonly has_rsample = true;
  readonly concentration: Tensor;
  readonly rate: Tensor;

  constructor(...given: Given<[{ concentration: Value }, { rate: Value }]>) {
    super();
    const [concentration, rate, validate] = bind<[Value, Value, Validate]>("Gamma", "concentration, rate", given);
    [this.concentration, this.rate] = broadcast_all(concentration, rate) as [Tensor, Tensor];
    const { positive } = constraints;
    this.setUp(this.rate.shape, [], validate, { concentration: positive, rate: positive });
  }
  override get support(): Constraint {
    return constraints.nonnegative;
  }
  override get mean(): Tensor {
    return this.concentration.div(this.rate);
  }
  override get mode(): Tensor {
    return this.concentration.sub(1).div(this.rate).clamp({ min: 0 });
  }
  override get variance(): Tensor {
    return this.concentration.div(this.rate.pow(2));
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const shape = this.extendedShape(sample_shape);
    const draws = standard_gamma(this.concentration.expand(shape)).div(this.rate.expand(shape));
    // A density of 0 at 0 would make its logarithm infinite; the gradient passes as if nothing had been done.
    return draws.add(
      draws
        .detach()
        .clamp({ min: limits(draws.dtype).tiny })
        .sub(draws.detach()),
    );
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    return precisely([this.concentration, this.rate, value], (concentration, rate, x) =>
      xlogy(concentration, rate)
        .add(xlogy(concentration.sub(1), x))
        .sub(rate.mul(x))
        .sub(concentration.lgamma()),
    );
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return ops.igamma(this.concentration, this.rate.mul(value));
  }
  override entropy(): Tensor {
    return precisely([this.concentration, this.rate], (concentration, rate) =>
      concentration.sub(rate.log()).add(concentration.lgamma()).add(concentration.neg().add(1).mul(concentration.digamma())),
    );
  }
}

export class Chi2 extends Gamma {
  constructor(...given: Given<[{ df: Value }]>) {
    const [df, validate] = bind<[Value, Validate]>("Chi2", "df", given);
    const [x] = broadcast_all(df) as [Tensor];
    super({ concentration: x.mul(0.5), rate: 0.5, validate_args: false });
    this.setUp(this.batch_shape, [], validate, { df: constraints.positive });
  }
  get df(): Tensor {
    return this.concentration.mul(2);
  }
}

export class InverseGamma extends Distribution {
  override readonly has_rsample = true;
  readonly concentration: Tensor;
  readonly rate: Tensor;

  constructor(...given: Given<[{ concentration: Value }, { rate: Value }]>) {
    super();
    const [concentration, rate, validate] = bind<[Value, Value, Validate]>("InverseGamma", "concentration, rate", given);
    [this.concentration, this.rate] = broadcast_all(concentration, rate) as [Tensor, Tensor];
    const { positive } = constraints;
    this.setUp(this.rate.shape, [], validate, { concentration: positive, rate: positive });
  }
  /** The distribution of the reciprocals. */
  get base_dist(): Gamma {
    return new Gamma({ concentration: this.concentration, rate: this.rate, validate_args: false });
  }
  override get support(): Constraint {
    return constraints.positive;
  }
  override get mean(): Tensor {
    const { concentration, rate } = this;
    const finite = concentration.gt(1);
    return rate.div(ops.where(finite, concentration, 2).sub(1)).masked_fill(finite.logical_not(), Infinity);
  }
  override get mode(): Tensor {
    return this.rate.div(this.concentration.add(1));
  }
  override get variance(): Tensor {
    const { concentration, rate } = this;
    const finite = concentration.gt(2);
    const c = ops.where(finite, concentration, 3);
    return rate
      .square()
      .div(c.sub(1).square().mul(c.sub(2)))
      .masked_fill(finite.logical_not(), Infinity);
  }
  override rsample(sample_shape: Shape = []): Tensor {
    return this.base_dist.rsample(sample_shape).reciprocal();
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    return this.base_dist.log_prob(value.reciprocal()).sub(value.log().mul(2));
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return ops.igammac(this.concentration, this.rate.div(value));
  }
  override entropy(): Tensor {
    return precisely([this.concentration, this.rate], (concentration, rate) =>
      concentration.add(rate.log()).add(concentration.lgamma()).sub(concentration.add(1).mul(concentration.digamma())),
    );
  }
}

export class Weibull extends Distribution {
  override readonly has_rsample = true;
  readonly scale: Tensor;
  readonly concentration: Tensor;

  constructor(...given: Given<[{ scale: Value }, { concentration: Value }]>) {
    super();
    const [scale, concentration, validate] = bind<[Value, Value, Validate]>("Weibull", "scale, concentration", given);
    [this.scale, this.concentration] = broadcast_all(scale, concentration) as [Tensor, Tensor];
    const { positive } = constraints;
    this.setUp(this.scale.shape, [], validate, { scale: positive, concentration: positive });
  }
  override get support(): Constraint {
    return constraints.positive;
  }
  private get inverse(): Tensor {
    return this.concentration.reciprocal();
  }
  override get mean(): Tensor {
    return this.scale.mul(this.inverse.add(1).lgamma().exp());
  }
  override get mode(): Tensor {
    const { concentration } = this;
    return this.scale.mul(concentration.sub(1).div(concentration).clamp({ min: 0 }).pow(this.inverse));
  }
  override get variance(): Tensor {
    const square = this.inverse.add(1).lgamma().mul(2).exp();
    return this.scale.pow(2).mul(this.inverse.mul(2).add(1).lgamma().exp().sub(square));
  }
  override rsample(sample_shape: Shape = []): Tensor {
    return this.scale.mul(newLike(this.scale, this.extendedShape(sample_shape)).exponential_().pow(this.inverse));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const { scale, concentration } = this;
    const log = value.div(scale).log();
    return concentration.log().sub(scale.log()).add(concentration.sub(1).mul(log)).sub(concentration.mul(log).exp());
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return value.div(this.scale).pow(this.concentration).neg().expm1().neg();
  }
  override icdf(value: Tensor): Tensor {
    return this.scale.mul(value.neg().log1p().neg().pow(this.inverse));
  }
  override entropy(): Tensor {
    return this.inverse.neg().add(1).mul(EULER).add(this.scale.mul(this.inverse).log()).add(1);
  }
}

export class Pareto extends Distribution {
  override readonly has_rsample = true;
  readonly scale: Tensor;
  readonly alpha: Tensor;

  constructor(...given: Given<[{ scale: Value }, { alpha: Value }]>) {
    super();
    const [scale, alpha, validate] = bind<[Value, Value, Validate]>("Pareto", "scale, alpha", given);
    [this.scale, this.alpha] = broadcast_all(scale, alpha) as [Tensor, Tensor];
    const { positive } = constraints;
    this.setUp(this.scale.shape, [], validate, { alpha: positive, scale: positive });
  }
  override get support(): Constraint {
    return constraints.greater_than_eq(this.scale);
  }
  override get mean(): Tensor {
    // Infinite from 1 downwards.
    const a = this.alpha.clamp({ min: 1 });
    return a.mul(this.scale).div(a.sub(1));
  }
  override get mode(): Tensor {
    return this.scale;
  }
  override get variance(): Tensor {
    const a = this.alpha.clamp({ min: 2 });
    return this.scale
      .pow(2)
      .mul(a)
      .div(a.sub(1).pow(2).mul(a.sub(2)));
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const x = newLike(this.scale, this.extendedShape(sample_shape)).exponential_();
    return x.div(this.alpha).exp().mul(this.scale);
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const { scale, alpha } = this;
    return alpha.log().add(alpha.mul(scale.log())).sub(alpha.add(1).mul(value.log()));
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return this.scale.div(value).pow(this.alpha).neg().add(1);
  }
  override icdf(value: Tensor): Tensor {
    return this.scale.mul(value.neg().log1p().neg().div(this.alpha).exp());
  }
  override entropy(): Tensor {
    return this.scale.div(this.alpha).log().add(this.alpha.reciprocal().add(1));
  }
}

export class Beta extends Distribution {
  override readonly has_rsample = true;
  readonly concentration1: Tensor;
  readonly concentration0: Tensor;

  constructor(...given: Given<[{ concentration1: Value }, { concentration0: Value }]>) {
    super();
    const [one, zero, validate] = bind<[Value, Value, Validate]>("Beta", "concentration1, concentration0", given);
    [this.concentration1, this.concentration0] = broadcast_all(one, zero) as [Tensor, Tensor];
    const { positive } = constraints;
    this.setUp(this.concentration1.shape, [], validate, { concentration1: positive, concentration0: positive });
  }
  private get shares(): Dirichlet {
    const concentration = ops.stack([this.concentration1, this.concentration0], -1);
    return new Dirichlet({ concentration, validate_args: false });
  }
  override get support(): Constraint {
    return constraints.unit_interval;
  }
  override get mean(): Tensor {
    return this.concentration1.div(this.concentration1.add(this.concentration0));
  }
  override get mode(): Tensor {
    return this.shares.mode.select(-1, 0);
  }
  override get variance(): Tensor {
    const total = this.concentration1.add(this.concentration0);
    return this.concentration1.mul(this.concentration0).div(total.pow(2).mul(total.add(1)));
  }
  override rsample(sample_shape: Shape = []): Tensor {
    return this.shares.rsample(sample_shape).select(-1, 0);
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    return this.shares.log_prob(ops.stack([value, value.neg().add(1)], -1));
  }
  override entropy(): Tensor {
    return this.shares.entropy();
  }
}

export class Dirichlet extends Distribution {
  override readonly has_rsample = true;
  readonly concentration: Tensor;

  constructor(...given: Given<[{ concentration: Tensor }]>) {
    super();
    const [concentration, validate] = bind<[Tensor, Validate]>("Dirichlet", "concentration", given);
    if (!(concentration instanceof Tensor) || concentration.ndim < 1) {
      throw new ValueError("`concentration` parameter must be at least one-dimensional.");
    }
    this.concentration = concentration;
    const { shape } = concentration;
    const each = constraints.independent(constraints.positive, 1);
    this.setUp(shape.slice(0, -1), shape.slice(-1), validate, { concentration: each });
  }
  override get support(): Constraint {
    return constraints.simplex;
  }
  override get mean(): Tensor {
    return this.concentration.div(this.concentration.sum(-1, true));
  }
  override get mode(): Tensor {
    const { concentration } = this;
    const excess = concentration.sub(1).clamp({ min: 0 });
    const mode = excess.div(excess.sum(-1, true));
    // Where all are below 1 the density grows towards the corners: the greatest of them stands for all.
    const corner = functional.one_hot(mode.argmax(-1), concentration.shape.at(-1)!).to(mode.dtype);
    return ops.where(concentration.lt(1).all(-1, true), corner, mode);
  }
  override get variance(): Tensor {
    const { concentration } = this;
    const total = concentration.sum(-1, true);
    return concentration.mul(total.sub(concentration)).div(total.pow(2).mul(total.add(1)));
  }
  override rsample(sample_shape: Shape = []): Tensor {
    return dirichlet(this.concentration.expand(this.extendedShape(sample_shape)));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    return precisely([this.concentration, value], (concentration, x) =>
      xlogy(concentration.sub(1), x).sum(-1).add(concentration.sum(-1).lgamma()).sub(concentration.lgamma().sum(-1)),
    );
  }
  override entropy(): Tensor {
    return precisely([this.concentration], (concentration) => {
      const total = concentration.sum(-1);
      const lbeta = concentration.lgamma().sum(-1).sub(total.lgamma());
      const excess = total.sub(concentration.shape.at(-1)!).mul(total.digamma());
      return lbeta.add(excess).sub(concentration.sub(1).mul(concentration.digamma()).sum(-1));
    });
  }
}

export class FisherSnedecor extends Distribution {
  override readonly has_rsample = true;
  readonly df1: Tensor;
  readonly df2: Tensor;

  constructor(...given: Given<[{ df1: Value }, { df2: Value }]>) {
    super();
    const [df1, df2, validate] = bind<[Value, Value, Validate]>("FisherSnedecor", "df1, df2", given);
    [this.df1, this.df2] = broadcast_all(df1, df2) as [Tensor, Tensor];
    const { positive } = constraints;
    this.setUp(this.df1.shape, [], validate, { df1: positive, df2: positive });
  }
  override get support(): Constraint {
    return constraints.positive;
  }
  override get mean(): Tensor {
    const df2 = this.df2.masked_fill(this.df2.le(2), NaN);
    return df2.div(df2.sub(2));
  }
  override get mode(): Tensor {
    const { df1, df2 } = this;
    const mode = df1.sub(2).div(df1).mul(df2).div(df2.add(2));
    return mode.masked_fill(df1.le(2), NaN);
  }
  override get variance(): Tensor {
    const { df1 } = this;
    const df2 = this.df2.masked_fill(this.df2.le(4), NaN);
    const sum = df1.add(df2).sub(2);
    return df2
      .pow(2)
      .mul(2)
      .mul(sum)
      .div(df1.mul(df2.sub(2).pow(2)).mul(df2.sub(4)));
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const shape = this.extendedShape(sample_shape);
    const { tiny } = limits(this.df1.dtype);
    const draw = (df: Tensor): Tensor => standard_gamma(df.mul(0.5).expand(shape)).div(df.mul(0.5)).clamp({ min: tiny });
    const above = draw(this.df1);
    return above.div(draw(this.df2)).clamp({ min: tiny });
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const [h1, h2] = [this.df1.mul(0.5), this.df2.mul(0.5)];
    const ratio = this.df1.div(this.df2);
    const sum = h1.add(h2);
    return sum
      .lgamma()
      .sub(h1.lgamma())
      .sub(h2.lgamma())
      .add(h1.mul(ratio.log()))
      .add(h1.sub(1).mul(value.log()))
      .sub(sum.mul(ratio.mul(value).log1p()));
  }
}

export class Kumaraswamy extends Distribution {
  override readonly has_rsample = true;
  readonly concentration1: Tensor;
  readonly concentration0: Tensor;

  constructor(...given: Given<[{ concentration1: Value }, { concentration0: Value }]>) {
    super();
    const [one, zero, validate] = bind<[Value, Value, Validate]>("Kumaraswamy", "concentration1, concentration0", given);
    [this.concentration1, this.concentration0] = broadcast_all(one, zero) as [Tensor, Tensor];
    const { positive } = constraints;
    this.setUp(this.concentration1.shape, [], validate, { concentration1: positive, concentration0: positive });
  }
  override get support(): Constraint {
    return constraints.unit_interval;
  }
  /** The n-th moment. */
  private moment(n: number): Tensor {
    const b = this.concentration0;
    const arg = this.concentration1.reciprocal().mul(n).add(1);
    return b.log().add(arg.lgamma()).add(b.lgamma()).sub(arg.add(b).lgamma()).exp();
  }
  override get mean(): Tensor {
    return this.moment(1);
  }
  override get mode(): Tensor {
    const [a, b] = [this.concentration1, this.concentration0];
    const mode = a.sub(1).div(a.mul(b).sub(1)).pow(a.reciprocal());
    return mode.masked_fill(a.lt(1).logical_or(b.lt(1)), NaN);
  }
  override get variance(): Tensor {
    return this.moment(2).sub(this.mean.pow(2));
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const { dtype, device } = this.concentration1;
    const { eps, tiny } = limits(dtype);
    const u = ops
      .rand(this.extendedShape(sample_shape), { dtype, device })
      .mul(1 - eps - tiny)
      .add(tiny);
    return this.icdf(u.neg().add(1));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const [a, b] = [this.concentration1, this.concentration0];
    return a
      .log()
      .add(b.log())
      .add(xlogy(a.sub(1), value))
      .add(b.sub(1).mul(value.pow(a).neg().log1p()));
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return this.concentration0.mul(value.pow(this.concentration1).neg().log1p()).expm1().neg();
  }
  override icdf(value: Tensor): Tensor {
    const tail = value.neg().log1p().div(this.concentration0).expm1().neg();
    return tail.pow(this.concentration1.reciprocal());
  }
  override entropy(): Tensor {
    const [a, b] = [this.concentration1, this.concentration0];
    const t1 = a.reciprocal().neg().add(1);
    const t0 = b.reciprocal().neg().add(1);
    const harmonic = b.add(1).digamma().add(EULER);
    return t0.add(t1.mul(harmonic)).sub(a.log()).sub(b.log());
  }
}
