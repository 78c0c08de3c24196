/** Continuous relatives of discrete distributions, and distributions over shares. */

import { ValueError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import type { Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import * as functional from "../ops/functional/index.ts";
import * as ops from "../ops/index.ts";
import { TransformedDistribution } from "./compound.ts";
import * as constraints from "./constraints.ts";
import type { Constraint } from "./constraints.ts";
import { Normal } from "./continuous.ts";
import { Categorical, exactlyOne, FromProbabilities } from "./discrete.ts";
import { bind, broadcast_all, clampProbs, Distribution, newLike, type Given, type Validate, type Value } from "./distribution.ts";
import { ExpTransform, SigmoidTransform, StickBreakingTransform } from "./transforms.ts";

type Relaxed<V> = Given<[{ temperature: Value }, { probs?: V | null }, { logits?: V | null }]>;
const RELAXED = "temperature, probs=None, logits=None";

/** The temperature in the type and the place of the other parameter. */
function temperatureFor(temperature: Value, like: Tensor): Tensor {
  return temperature instanceof Tensor ? temperature : ops.tensor(temperature, { dtype: like.dtype, device: like.device });
}
const uniform = (like: Tensor, shape: Shape): Tensor => clampProbs(newLike(like, shape).uniform_());

/** The logit of a RelaxedBernoulli value. */
export class LogitRelaxedBernoulli extends FromProbabilities {
  override readonly has_rsample = true;
  readonly temperature: Tensor;

  constructor(...given: Relaxed<Value>) {
    super();
    const [temperature, probs, logits, validate] = bind<[Value, Value | null, Value | null, Validate]>(
      "LogitRelaxedBernoulli",
      RELAXED,
      given,
    );
    exactlyOne(probs, logits);
    const [value] = broadcast_all(probs ?? logits!) as [Tensor];
    this.temperature = temperatureFor(temperature, value);
    this.take(probs === null ? null : value, probs === null ? value : null);
    const { unit_interval, real } = constraints;
    this.setUp(value.shape, [], validate, probs === null ? { logits: real } : { probs: unit_interval });
  }
  protected override rebuild(values: Record<string, unknown>, batch_shape: Shape): this {
    return super.rebuild({ ...values, temperature: this.temperature }, batch_shape);
  }
  override get support(): Constraint {
    return constraints.real;
  }
  override rsample(sample_shape: Shape = []): Tensor {
    return this.draw(this.extendedShape(sample_shape));
  }
  protected override draw(shape: Shape): Tensor {
    const probs = clampProbs(this.probs.expand(shape));
    const u = uniform(probs, shape);
    return u.log().sub(u.neg().log1p()).add(probs.log()).sub(probs.neg().log1p()).div(this.temperature);
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const [logits, x] = broadcast_all(this.logits, value) as [Tensor, Tensor];
    const difference = logits.sub(x.mul(this.temperature));
    return this.temperature.log().add(difference).sub(functional.softplus(difference).mul(2));
  }
}

/** Between 0 and 1: a Bernoulli variable softened by a temperature, with a gradient for its draws. */
export class RelaxedBernoulli extends TransformedDistribution {
  declare readonly base_dist: LogitRelaxedBernoulli;

  constructor(...given: Relaxed<Value>) {
    const [temperature, probs, logits, validate] = bind<[Value, Value | null, Value | null, Validate]>(
      "RelaxedBernoulli",
      RELAXED,
      given,
    );
    const base = new LogitRelaxedBernoulli({ temperature, probs, logits, validate_args: validate });
    super(base, new SigmoidTransform(), validate);
    this._parameters = base._parameters;
  }
  override expand(batch_shape: Shape): this {
    const { temperature, _parameters } = this.base_dist;
    const given =
      "probs" in _parameters ? { probs: this.probs.expand(batch_shape) } : { logits: this.logits.expand(batch_shape) };
    return new RelaxedBernoulli({ temperature, ...given, validate_args: this.validate_args }) as this;
  }
  get temperature(): Tensor {
    return this.base_dist.temperature;
  }
  get probs(): Tensor {
    return this.base_dist.probs;
  }
  get logits(): Tensor {
    return this.base_dist.logits;
  }
}

/** The logarithm of a RelaxedOneHotCategorical value. */
export class ExpRelaxedCategorical extends Distribution {
  override readonly has_rsample = true;
  readonly temperature: Tensor;
  readonly #categorical: Categorical;

  constructor(...given: Relaxed<Tensor>) {
    super();
    const [temperature, probs, logits, validate] = bind<[Value, Tensor | null, Tensor | null, Validate]>(
      "ExpRelaxedCategorical",
      RELAXED,
      given,
    );
    this.#categorical = new Categorical({ probs, logits, validate_args: validate });
    this.temperature = temperatureFor(temperature, probs ?? logits!);
    const { simplex, real_vector } = constraints;
    const { batch_shape, num_events } = this.#categorical;
    this.setUp(batch_shape, [num_events], validate, probs === null ? { logits: real_vector } : { probs: simplex });
  }
  protected override rebuild(values: Record<string, unknown>, batch_shape: Shape): this {
    return super.rebuild({ ...values, temperature: this.temperature }, batch_shape);
  }
  get probs(): Tensor {
    return this.#categorical.probs;
  }
  get logits(): Tensor {
    return this.#categorical.logits;
  }
  override get support(): Constraint {
    return constraints.real_vector;
  }
  override rsample(sample_shape: Shape = []): Tensor {
    const u = uniform(this.logits, this.extendedShape(sample_shape));
    const gumbels = u.log().neg().log().neg();
    return this.logits.add(gumbels).div(this.temperature).log_softmax(-1);
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const n = this.event_shape[0]!;
    const [logits, x] = broadcast_all(this.logits, value) as [Tensor, Tensor];
    const scale = ops.full_like(this.temperature, n).lgamma().add(this.temperature.log().mul(n - 1)); // prettier-ignore
    return logits.sub(x.mul(this.temperature)).log_softmax(-1).sum(-1).add(scale);
  }
}

/** Shares: a one-hot choice softened by a temperature, with a gradient for its draws. */
export class RelaxedOneHotCategorical extends TransformedDistribution {
  declare readonly base_dist: ExpRelaxedCategorical;

  constructor(...given: Relaxed<Tensor>) {
    const [temperature, probs, logits, validate] = bind<[Value, Tensor | null, Tensor | null, Validate]>(
      "RelaxedOneHotCategorical",
      RELAXED,
      given,
    );
    const base = new ExpRelaxedCategorical({ temperature, probs, logits, validate_args: validate });
    super(base, new ExpTransform(), validate);
    this._parameters = base._parameters;
  }
  override expand(batch_shape: Shape): this {
    const { temperature, _parameters } = this.base_dist;
    const shape = [...batch_shape, ...this.event_shape];
    const given = "probs" in _parameters ? { probs: this.probs.expand(shape) } : { logits: this.logits.expand(shape) };
    return new RelaxedOneHotCategorical({ temperature, ...given, validate_args: this.validate_args }) as this;
  }
  override get support(): Constraint {
    return constraints.simplex;
  }
  get temperature(): Tensor {
    return this.base_dist.temperature;
  }
  get probs(): Tensor {
    return this.base_dist.probs;
  }
  get logits(): Tensor {
    return this.base_dist.logits;
  }
}

/** Shares, one more than there are normal variables, by breaking pieces off a stick. */
export class LogisticNormal extends TransformedDistribution {
  constructor(...given: Given<[{ loc: Value }, { scale: Value }]>) {
    const [loc, scale, validate] = bind<[Value, Value, Validate]>("LogisticNormal", "loc, scale", given);
    const base = new Normal({ loc, scale, validate_args: validate });
    super(base.batch_shape.length === 0 ? base.expand([1]) : base, new StickBreakingTransform(), validate);
    this._parameters = { loc: constraints.real, scale: constraints.positive };
  }
  private get normal(): Normal {
    return (this.base_dist as unknown as { base_dist: Normal }).base_dist;
  }
  get loc(): Tensor {
    return this.normal.loc;
  }
  get scale(): Tensor {
    return this.normal.scale;
  }
  override expand(batch_shape: Shape): this {
    const shape = [...batch_shape, this.loc.shape.at(-1)!];
    const [loc, scale] = [this.loc.expand(shape), this.scale.expand(shape)];
    return new LogisticNormal({ loc, scale, validate_args: this.validate_args }) as this;
  }
}

/** Between 0 and 1 with the density of a Bernoulli variable's likelihood, normalised. `lims`: where a series is used, around 1/2. */
export class ContinuousBernoulli extends FromProbabilities {
  override readonly has_rsample = true;
  readonly #limits: readonly [number, number];

  constructor(...given: Given<[{ probs?: Value | null }, { logits?: Value | null }, { lims?: readonly [number, number] }]>) {
    super();
    const [probs, logits, lims, validate] = bind<[Value | null, Value | null, readonly [number, number], Validate]>(
      "ContinuousBernoulli",
      "probs=None, logits=None, lims=[0.499, 0.501]",
      given,
    );
    exactlyOne(probs, logits);
    const [value] = broadcast_all(probs ?? logits!) as [Tensor];
    this.#limits = lims;
    if (probs !== null && validate === true && !constraints.unit_interval.check(value).all().item_sync()) {
      throw new ValueError("The parameter probs has invalid values");
    }
    this.take(probs === null ? null : clampProbs(value), probs === null ? value : null);
    const { unit_interval, real } = constraints;
    this.setUp(value.shape, [], validate, probs === null ? { logits: real } : { probs: unit_interval });
  }
  protected override rebuild(values: Record<string, unknown>, batch_shape: Shape): this {
    return super.rebuild({ ...values, lims: this.#limits }, batch_shape);
  }
  override get probs(): Tensor {
    return clampProbs(super.probs);
  }
  override get support(): Constraint {
    return constraints.unit_interval;
  }
  /** `formula` of the probabilities, and near 1/2, where it loses all digits, `series` of them less 1/2. */
  private either(formula: (p: Tensor) => Tensor, series: (x: Tensor) => Tensor): Tensor {
    const [low, high] = this.#limits;
    const far = this.probs.le(low).logical_or(this.probs.gt(high));
    return ops.where(far, formula(ops.where(far, this.probs, low).to(this.probs.dtype)), series(this.probs.sub(0.5)));
  }
  /** @internal The logarithm of what the density is multiplied with. */
  get _logNorm(): Tensor {
    return this.either(
      (p) => p.neg().log1p().sub(p.log()).abs().log().sub(p.mul(2).sub(1).abs().log()),
      (x) => x.square().mul(104 / 45).add(4 / 3).mul(x.square()).add(Math.LN2), // prettier-ignore
    );
  }
  override get mean(): Tensor {
    return this.either(
      (p) => p.div(p.mul(2).sub(1)).add(p.neg().log1p().sub(p.log()).reciprocal()),
      (x) => x.square().mul(16 / 45).add(1 / 3).mul(x).add(0.5), // prettier-ignore
    );
  }
  override get variance(): Tensor {
    return this.either(
      (p) => p.mul(p.sub(1)).div(p.mul(-2).add(1).square()).add(p.neg().log1p().sub(p.log()).square().reciprocal()),
      (x) => x.square().mul(128 / 945).sub(1 / 15).mul(x.square()).add(1 / 12), // prettier-ignore
    );
  }
  protected override draw(shape: Shape): Tensor {
    return this.icdf(newLike(this.probs, shape).uniform_());
  }
  override rsample(sample_shape: Shape = []): Tensor {
    return this.draw(this.extendedShape(sample_shape));
  }
  override sample(sample_shape: Shape = []): Tensor {
    return no_grad(() => this.rsample(sample_shape));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const [logits, x] = broadcast_all(this.logits, value) as [Tensor, Tensor];
    return functional.binary_cross_entropy_with_logits(logits, x, { reduction: "none" }).neg().add(this._logNorm);
  }
  override cdf(value: Tensor): Tensor {
    this.checkSample(value);
    const inside = this.either(
      (p) => p.pow(value).mul(p.neg().add(1).pow(value.neg().add(1))).add(p).sub(1).div(p.mul(2).sub(1)), // prettier-ignore
      () => value,
    );
    return ops.where(value.le(0), 0, ops.where(value.ge(1), 1, inside)).to(inside.dtype);
  }
  override icdf(value: Tensor): Tensor {
    return this.either(
      (p) => {
        const low = p.neg().log1p();
        return value.mul(p.mul(2).sub(1)).sub(p).log1p().sub(low).div(p.log().sub(low));
      },
      () => value,
    );
  }
  override entropy(): Tensor {
    const low = this.probs.neg().log1p();
    return this.mean.mul(low.sub(this.probs.log())).sub(this._logNorm).sub(low);
  }
}
