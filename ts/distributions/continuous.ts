/** Distributions over the real line: by location and scale. */

import { ValueError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import type { Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { readable } from "../engine/blocking.ts";
import * as ops from "../ops/index.ts";
import * as constraints from "./constraints.ts";
import type { Constraint } from "./constraints.ts";
import { limits } from "./limits.ts";
import {
  bind,
  broadcast_all,
  Distribution,
  newLike,
  standardNormal,
  type Given,
  type Validate,
  type Value,
} from "./distribution.ts";
import { standard_gamma } from "./pathwise.ts";

export const EULER = 0.5772156649015329;
const HALF_LOG_2PI = 0.5 * Math.log(2 * Math.PI);

type LocScale = Given<[{ loc: Value }, { scale: Value }]>;

/** What has a location and a scale. */
abstract class LocationScale extends Distribution {
  override readonly has_rsample = true;
  readonly loc: Tensor;
  readonly scale: Tensor;

  constructor(name: string, given: readonly unknown[], signature = "loc, scale") {
    super();
    const [loc, scale, validate] = bind<[Value, Value, Validate]>(name, signature, given);
    [this.loc, this.scale] = broadcast_all(loc, scale) as [Tensor, Tensor];
    this.setUp(this.loc.shape, [], validate, { loc: constraints.real, scale: constraints.positive });
  }
  override get support(): Constraint {
    return constraints.real;
  }
  /** @internal (value - loc) / scale. */
  protected standard(value: Tensor): Tensor {
    return value.sub(this.loc).div(this.scale);
  }
}

export class Normal extends LocationScale {
  constructor(...given: LocScale) {
    super("Normal", given);
  }
  override get mean(): Tensor {
    return this.loc;
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get stddev(): Tensor {
    return this.scale;
  }
  override get variance(): Tensor {
    return this.scale.pow(2);
  }
  override sample(sample_shape: Shape = []): Tensor {
    const shape = this.extendedShape(sample_shape);
    return no_grad(() => ops.normal(this.loc.expand(shape), this.scale.expand(shape)));
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const eps = standardNormal(this.loc, this.extendedShape(sample_shape));
    return this.loc.add(eps.mul(this.scale));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const square = value.sub(this.loc).pow(2).neg();
    return square.div(this.scale.pow(2).mul(2)).sub(this.scale.log()).sub(HALF_LOG_2PI);
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return value.sub(this.loc).mul(this.scale.reciprocal()).div(Math.SQRT2).erf().add(1).mul(0.5);
  }
  override icdf(value: Tensor): Tensor {
    return this.loc.add(this.scale.mul(value.mul(2).sub(1).erfinv()).mul(Math.SQRT2));
  }
  override entropy(): Tensor {
    return this.scale.log().add(0.5 + HALF_LOG_2PI);
  }
}

export class Laplace extends LocationScale {
  constructor(...given: LocScale) {
    super("Laplace", given);
  }
  override get mean(): Tensor {
    return this.loc;
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get variance(): Tensor {
    return this.scale.pow(2).mul(2);
  }
  override get stddev(): Tensor {
    return this.scale.mul(Math.SQRT2);
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const u = newLike(this.loc, this.extendedShape(sample_shape)).uniform_(limits(this.loc.dtype).eps - 1, 1);
    return this.loc.sub(this.scale.mul(u.sign()).mul(u.abs().neg().log1p()));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    return this.scale.mul(2).log().neg().sub(value.sub(this.loc).abs().div(this.scale));
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    const off = value.sub(this.loc);
    return off.sign().mul(off.abs().neg().div(this.scale).expm1()).mul(0.5).neg().add(0.5);
  }
  override icdf(value: Tensor): Tensor {
    const term = value.sub(0.5);
    return this.loc.sub(this.scale.mul(term.sign()).mul(term.abs().mul(-2).log1p()));
  }
  override entropy(): Tensor {
    return this.scale.mul(2).log().add(1);
  }
}

export class Cauchy extends LocationScale {
  constructor(...given: LocScale) {
    super("Cauchy", given);
  }
  override get mean(): Tensor {
    return ops.full_like(this.loc, NaN);
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get variance(): Tensor {
    return ops.full_like(this.loc, NaN);
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const eps = newLike(this.loc, this.extendedShape(sample_shape)).cauchy_();
    return this.loc.add(eps.mul(this.scale));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    return this.scale.log().add(this.standard(value).pow(2).log1p()).neg().sub(Math.log(Math.PI));
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return this.standard(value).atan().div(Math.PI).add(0.5);
  }
  override icdf(value: Tensor): Tensor {
    return value.sub(0.5).mul(Math.PI).tan().mul(this.scale).add(this.loc);
  }
  override entropy(): Tensor {
    return this.scale.log().add(Math.log(4 * Math.PI));
  }
}

export class Gumbel extends LocationScale {
  constructor(...given: LocScale) {
    super("Gumbel", given);
  }
  override get mean(): Tensor {
    return this.loc.add(this.scale.mul(EULER));
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get stddev(): Tensor {
    return this.scale.mul(Math.PI / Math.sqrt(6));
  }
  override get variance(): Tensor {
    return this.stddev.pow(2);
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const { eps, tiny } = limits(this.loc.dtype);
    const unit = ops.rand(this.extendedShape(sample_shape), { dtype: this.loc.dtype, device: this.loc.device });
    const u = unit.mul(1 - eps - tiny).add(tiny);
    return this.loc.sub(this.scale.mul(u.log().neg().log()));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const y = this.standard(value).neg();
    return y.sub(y.exp()).sub(this.scale.log());
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return this.standard(value).neg().exp().neg().exp();
  }
  override icdf(value: Tensor): Tensor {
    return this.loc.sub(this.scale.mul(value.log().neg().log()));
  }
  override entropy(): Tensor {
    return this.scale.log().add(1 + EULER);
  }
}

export class Uniform extends Distribution {
  override readonly has_rsample = true;
  readonly low: Tensor;
  readonly high: Tensor;

  constructor(...given: Given<[{ low: Value }, { high: Value }]>) {
    super();
    const [low, high, validate] = bind<[Value, Value, Validate]>("Uniform", "low, high", given);
    [this.low, this.high] = broadcast_all(low, high) as [Tensor, Tensor];
    this.setUp(this.low.shape, [], validate, { low: constraints.real, high: constraints.real });
    if (!this.validate_args || !readable(this.low.device)) return;
    if (!this.low.detach().lt(this.high.detach()).all().item_sync())
      throw new ValueError("Uniform is not defined when low >= high");
  }
  override get support(): Constraint {
    return constraints.interval(this.low, this.high);
  }
  private get width(): Tensor {
    return this.high.sub(this.low);
  }
  override get mean(): Tensor {
    return this.high.add(this.low).div(2);
  }
  override get mode(): Tensor {
    return this.high.mul(NaN);
  }
  override get stddev(): Tensor {
    return this.width.div(Math.sqrt(12));
  }
  override get variance(): Tensor {
    return this.width.pow(2).div(12);
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const { dtype, device } = this.low;
    return this.low.add(ops.rand(this.extendedShape(sample_shape), { dtype, device }).mul(this.width));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const inside = this.low.le(value).to(this.low.dtype).mul(this.high.gt(value).to(this.low.dtype));
    return inside.log().sub(this.width.log());
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return value.sub(this.low).div(this.width).clamp({ min: 0, max: 1 });
  }
  override icdf(value: Tensor): Tensor {
    return value.mul(this.width).add(this.low);
  }
  override entropy(): Tensor {
    return this.width.log();
  }
}

export class StudentT extends Distribution {
  override readonly has_rsample = true;
  readonly df: Tensor;
  readonly loc: Tensor;
  readonly scale: Tensor;

  constructor(...given: Given<[{ df: Value }, { loc?: Value }, { scale?: Value }]>) {
    super();
    const [df, loc, scale, validate] = bind<[Value, Value, Value, Validate]>("StudentT", "df, loc=0.0, scale=1.0", given);
    [this.df, this.loc, this.scale] = broadcast_all(df, loc, scale) as [Tensor, Tensor, Tensor];
    const { real, positive } = constraints;
    this.setUp(this.df.shape, [], validate, { df: positive, loc: real, scale: positive });
  }
  override get support(): Constraint {
    return constraints.real;
  }
  override get mean(): Tensor {
    return this.loc.masked_fill(this.df.le(1), NaN);
  }
  override get mode(): Tensor {
    return this.loc;
  }
  override get variance(): Tensor {
    const { df } = this;
    // Above 2 finite, from 1 to 2 infinite, below not defined; where it is not finite the formula's gradient must not come through.
    const wide = df.gt(2);
    const safe = ops.where(wide, df, 3);
    const finite = this.scale.pow(2).mul(safe).div(safe.sub(2));
    return ops.where(wide, finite, ops.where(df.gt(1), Infinity, NaN)).to(df.dtype);
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const shape = this.extendedShape(sample_shape);
    const x = standardNormal(this.df, shape);
    const half = this.df.mul(0.5).expand(shape);
    // Chi2(df) is Gamma(df / 2, 1 / 2).
    const z = standard_gamma(half)
      .div(0.5)
      .clamp({ min: limits(this.df.dtype).tiny });
    return this.loc.add(this.scale.mul(x.mul(z.div(this.df).rsqrt())));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const { df, scale } = this;
    const y = value.sub(this.loc).div(scale);
    const half = df.mul(0.5);
    const z = scale
      .log()
      .add(df.log().mul(0.5))
      .add(0.5 * Math.log(Math.PI))
      .add(half.lgamma())
      .sub(df.add(1).mul(0.5).lgamma());
    return df.add(1).mul(-0.5).mul(y.pow(2).div(df).log1p()).sub(z);
  }
  override entropy(): Tensor {
    const { df, scale } = this;
    const [half, more] = [df.mul(0.5), df.add(1).mul(0.5)];
    const lbeta = half
      .lgamma()
      .add(Math.log(Math.PI) / 2)
      .sub(more.lgamma());
    return scale
      .log()
      .add(more.mul(more.digamma().sub(half.digamma())))
      .add(df.log().mul(0.5))
      .add(lbeta);
  }
}

/** The absolute value of what is symmetric about 0. */
abstract class Half extends Distribution {
  override readonly has_rsample = true;
  readonly scale: Tensor;
  /** The distribution whose absolute value it is. */
  readonly base_dist: Normal | Cauchy;

  constructor(
    name: string,
    make: new (loc: Value, scale: Value, validate: boolean) => Normal | Cauchy,
    given: readonly unknown[],
  ) {
    super();
    const [scale, validate] = bind<[Value, Validate]>(name, "scale", given);
    this.base_dist = new make(0, scale, false);
    this.scale = this.base_dist.scale;
    this.setUp(this.scale.shape, [], validate, { scale: constraints.positive });
  }
  override get support(): Constraint {
    return constraints.nonnegative;
  }
  override get mode(): Tensor {
    return ops.zeros_like(this.scale);
  }
  override rsample(sample_shape: Shape = []): Tensor {
    return this.base_dist.rsample(sample_shape).abs();
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const log = this.base_dist.log_prob(value).add(Math.LN2);
    return ops.where(value.ge(0), log, -Infinity).to(log.dtype);
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return this.base_dist.cdf(value).mul(2).sub(1);
  }
  override icdf(value: Tensor): Tensor {
    return this.base_dist.icdf(value.add(1).div(2));
  }
  override entropy(): Tensor {
    return this.base_dist.entropy().sub(Math.LN2);
  }
}

export class HalfNormal extends Half {
  constructor(...given: Given<[{ scale: Value }]>) {
    super("HalfNormal", Normal, given);
  }
  override get mean(): Tensor {
    return this.scale.mul(Math.sqrt(2 / Math.PI));
  }
  override get variance(): Tensor {
    return this.scale.pow(2).mul(1 - 2 / Math.PI);
  }
}
export class HalfCauchy extends Half {
  constructor(...given: Given<[{ scale: Value }]>) {
    super("HalfCauchy", Cauchy, given);
  }
  override get mean(): Tensor {
    return ops.full_like(this.scale, Infinity);
  }
  override get variance(): Tensor {
    return this.base_dist.variance;
  }
}
