/** Distributions made of other distributions. */

import { NotImplementedError, ValueError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import type { Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import * as constraints from "./constraints.ts";
import type { Constraint } from "./constraints.ts";
import { Normal } from "./continuous.ts";
import { Categorical } from "./discrete.ts";
import { bind, Distribution, sumRightmost, type Given, type Validate, type Value } from "./distribution.ts";
import { ComposeTransform, ExpTransform, Transform } from "./transforms.ts";

/** The last batch dimensions of a distribution as dimensions of its values. */
export class Independent extends Distribution {
  override readonly has_rsample: boolean;
  override readonly has_enumerate_support: boolean;
  readonly base_dist: Distribution;
  readonly reinterpreted_batch_ndims: number;

  constructor(...given: Given<[{ base_distribution: Distribution }, { reinterpreted_batch_ndims: number }]>) {
    super();
    const [base, n, validate] = bind<[Distribution, number, Validate]>(
      "Independent",
      "base_distribution, reinterpreted_batch_ndims",
      given,
    );
    const { batch_shape } = base;
    if (n > batch_shape.length) {
      throw new ValueError(
        `Expected reinterpreted_batch_ndims <= len(base_distribution.batch_shape), actual ${n} vs ${batch_shape.length}`,
      );
    }
    this.base_dist = base;
    this.reinterpreted_batch_ndims = n;
    this.has_rsample = base.has_rsample;
    this.has_enumerate_support = n === 0 && base.has_enumerate_support;
    const kept = batch_shape.length - n;
    this.setUp(batch_shape.slice(0, kept), [...batch_shape.slice(kept), ...base.event_shape], validate, {});
  }
  override expand(batch_shape: Shape): this {
    const n = this.reinterpreted_batch_ndims;
    const base = this.base_dist.expand([...batch_shape, ...this.event_shape.slice(0, n)]);
    return new Independent(base, n, this.validate_args) as this;
  }
  override get support(): Constraint {
    const { support } = this.base_dist;
    return this.reinterpreted_batch_ndims === 0 ? support : constraints.independent(support, this.reinterpreted_batch_ndims);
  }
  override get mean(): Tensor {
    return this.base_dist.mean;
  }
  override get mode(): Tensor {
    return this.base_dist.mode;
  }
  override get variance(): Tensor {
    return this.base_dist.variance;
  }
  override sample(sample_shape: Shape = []): Tensor {
    return this.base_dist.sample(sample_shape);
  }
  override rsample(sample_shape: Shape = []): Tensor {
    return this.base_dist.rsample(sample_shape);
  }
  override log_prob(value: Tensor): Tensor {
    return sumRightmost(this.base_dist.log_prob(value), this.reinterpreted_batch_ndims);
  }
  override entropy(): Tensor {
    return sumRightmost(this.base_dist.entropy(), this.reinterpreted_batch_ndims);
  }
  override enumerate_support(expand = true): Tensor {
    if (this.reinterpreted_batch_ndims > 0) {
      throw new NotImplementedError("Enumeration over cartesian product is not implemented");
    }
    return this.base_dist.enumerate_support(expand);
  }
  override toString(): string {
    return `Independent(${this.base_dist.toString()}, ${this.reinterpreted_batch_ndims})`;
  }
}

/** What becomes of a distribution's values under invertible functions. */
export class TransformedDistribution extends Distribution {
  override readonly has_rsample: boolean;
  readonly base_dist: Distribution;
  readonly transforms: readonly Transform[];
  private readonly whole: ComposeTransform;

  constructor(...given: Given<[{ base_distribution: Distribution }, { transforms: Transform | readonly Transform[] }]>) {
    super();
    const [base, transforms, validate] = bind<[Distribution, Transform | readonly Transform[], Validate]>(
      "TransformedDistribution",
      "base_distribution, transforms",
      given,
    );
    this.transforms = transforms instanceof Transform ? [transforms] : transforms;
    for (const t of this.transforms) {
      if (!(t instanceof Transform)) throw new ValueError("transforms must be a Transform or a list of Transforms");
    }
    this.whole = new ComposeTransform(this.transforms);
    const baseShape = [...base.batch_shape, ...base.event_shape];
    const needed = Math.max(0, ...this.transforms.map((t) => t.domain.event_dim));
    if (baseShape.length < needed) {
      throw new ValueError(
        `base_distribution needs to have shape with size at least ${needed}, but got [${baseShape.join(", ")}].`,
      );
    }
    // Batch dimensions that a transform takes together belong to the values.
    const taken = needed - base.event_shape.length;
    this.base_dist = taken > 0 ? new Independent(base, taken, false) : base;
    this.has_rsample = base.has_rsample;
    const shape = this.whole.forward_shape(baseShape);
    const events = Math.max(this.whole.codomain.event_dim, this.base_dist.event_shape.length);
    const kept = shape.length - events;
    this.setUp(shape.slice(0, kept), shape.slice(kept), validate, {});
  }
  override expand(batch_shape: Shape): this {
    const shape = this.whole.inverse_shape([...batch_shape, ...this.event_shape]);
    const base = this.base_dist.expand(shape.slice(0, shape.length - this.base_dist.event_shape.length));
    return new TransformedDistribution(base, this.transforms, this.validate_args) as this;
  }
  override get support(): Constraint {
    const { codomain } = this.whole;
    if (this.transforms.length === 0) return this.base_dist.support;
    const more = this.event_shape.length - codomain.event_dim;
    return more > 0 ? constraints.independent(codomain, more) : codomain;
  }
  override sample(sample_shape: Shape = []): Tensor {
    return no_grad(() => this.whole.call(this.base_dist.sample(sample_shape)));
  }
  override rsample(sample_shape: Shape = []): Tensor {
    return this.whole.call(this.base_dist.rsample(sample_shape));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    let y = value;
    let events = this.event_shape.length;
    let log: Tensor | null = null;
    for (const t of this.transforms.toReversed()) {
      const x = t.inverse(y);
      events += t.domain.event_dim - t.codomain.event_dim;
      const term = sumRightmost(t.log_abs_det_jacobian(x, y), events - t.domain.event_dim);
      log = log === null ? term.neg() : log.sub(term);
      y = x;
    }
    const base = sumRightmost(this.base_dist.log_prob(y), events - this.base_dist.event_shape.length);
    return log === null ? base : log.add(base);
  }
  /** A probability of the base: where the function falls, that of the other side. */
  private turned(p: Tensor): Tensor {
    const { sign } = this.whole;
    if (sign === 1) return p;
    return p
      .sub(0.5)
      .mul(sign as number)
      .add(0.5);
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    return this.turned(this.base_dist.cdf(this.whole.inverse(value)));
  }
  override icdf(value: Tensor): Tensor {
    return this.whole.call(this.base_dist.icdf(this.turned(value)));
  }
}

/** The exponential of a normal distribution's values. */
export class LogNormal extends TransformedDistribution {
  declare readonly base_dist: Normal;

  constructor(...given: Given<[{ loc: Value }, { scale: Value }]>) {
    const [loc, scale, validate] = bind<[Value, Value, Validate]>("LogNormal", "loc, scale", given);
    super(new Normal({ loc, scale, validate_args: validate }), [new ExpTransform()], validate);
    this._parameters = { loc: constraints.real, scale: constraints.positive };
  }
  override expand(batch_shape: Shape): this {
    const { loc, scale } = this.base_dist.expand(batch_shape);
    return new LogNormal({ loc, scale, validate_args: this.validate_args }) as this;
  }
  get loc(): Tensor {
    return this.base_dist.loc;
  }
  get scale(): Tensor {
    return this.base_dist.scale;
  }
  override get mean(): Tensor {
    return this.loc.add(this.scale.pow(2).div(2)).exp();
  }
  override get mode(): Tensor {
    return this.loc.sub(this.scale.square()).exp();
  }
  override get variance(): Tensor {
    const square = this.scale.pow(2);
    return square.expm1().mul(this.loc.mul(2).add(square).exp());
  }
  override entropy(): Tensor {
    return this.base_dist.entropy().add(this.loc);
  }
}

/** One of a batch of distributions, chosen anew for each value. */
export class MixtureSameFamily extends Distribution {
  readonly mixture_distribution: Categorical;
  readonly component_distribution: Distribution;

  constructor(...given: Given<[{ mixture_distribution: Categorical }, { component_distribution: Distribution }]>) {
    super();
    const [mixture, components, validate] = bind<[Categorical, Distribution, Validate]>(
      "MixtureSameFamily",
      "mixture_distribution, component_distribution",
      given,
    );
    if (!(mixture instanceof Categorical)) {
      throw new ValueError(" The Mixture distribution needs to be an instance of torch.distributions.Categorical");
    }
    if (!(components instanceof Distribution)) {
      throw new ValueError("The Component distribution needs to be an instance of torch.distributions.Distribution");
    }
    const batch = components.batch_shape.slice(0, -1);
    for (let i = 1; i <= Math.min(batch.length, mixture.batch_shape.length); i++) {
      const [a, b] = [batch.at(-i)!, mixture.batch_shape.at(-i)!];
      if (a !== 1 && b !== 1 && a !== b) {
        throw new ValueError(
          `\`mixture_distribution.batch_shape\` ([${mixture.batch_shape.join(", ")}]) is not compatible with \`component_distribution.batch_shape[:-1]\`([${batch.join(", ")}])`,
        );
      }
    }
    const count = components.batch_shape.at(-1);
    if (count === undefined || count !== mixture.num_events) {
      throw new ValueError(
        `\`mixture_distribution component\` (${mixture.num_events}) does not equal \`component_distribution.batch_shape[-1]\` (${count})`,
      );
    }
    this.mixture_distribution = mixture;
    this.component_distribution = components;
    this.setUp(batch, components.event_shape, validate, {});
  }
  override expand(batch_shape: Shape): this {
    const components = this.component_distribution.expand([...batch_shape, this.mixture_distribution.num_events]);
    return new MixtureSameFamily(this.mixture_distribution.expand(batch_shape), components, this.validate_args) as this;
  }
  override get support(): Constraint {
    return this.component_distribution.support;
  }
  /** Weights, to go with the components' values. */
  private get weights(): Tensor {
    const { probs } = this.mixture_distribution;
    return probs.view([...probs.shape, ...this.event_shape.map(() => 1)]);
  }
  private weigh(x: Tensor): Tensor {
    return x.mul(this.weights).sum(-1 - this.event_shape.length);
  }
  override get mean(): Tensor {
    return this.weigh(this.component_distribution.mean);
  }
  override get variance(): Tensor {
    const { mean, variance } = this.component_distribution;
    const at = -1 - this.event_shape.length;
    return this.weigh(variance).add(this.weigh(mean.sub(this.mean.unsqueeze(at)).pow(2)));
  }
  override cdf(value: Tensor): Tensor {
    const each = this.component_distribution.cdf(this.pad(value));
    return each.mul(this.mixture_distribution.probs).sum(-1);
  }
  private pad(value: Tensor): Tensor {
    return value.unsqueeze(-1 - this.event_shape.length);
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const each = this.component_distribution.log_prob(this.pad(value));
    return each.add(this.mixture_distribution.logits.log_softmax(-1)).logsumexp(-1);
  }
  override sample(sample_shape: Shape = []): Tensor {
    return no_grad(() => {
      const chosen = this.mixture_distribution.sample(sample_shape);
      const all = this.component_distribution.sample(sample_shape);
      const at = all.ndim - this.event_shape.length - 1;
      const index = chosen.view([...chosen.shape, 1, ...this.event_shape.map(() => 1)]);
      const wanted = [...all.shape.slice(0, at), 1, ...this.event_shape];
      return ops.gather(all, at, index.expand(wanted)).squeeze(at) as Tensor;
    });
  }
  override toString(): string {
    return `MixtureSameFamily(\n  ${this.mixture_distribution.toString()},\n  ${this.component_distribution.toString()})`;
  }
}
