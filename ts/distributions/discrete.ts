/** Distributions over whole numbers and categories. */

import { int64 } from "../core/dtype.ts";
import { NotImplementedError, ValueError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import type { Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { readable } from "../engine/blocking.ts";
import * as ops from "../ops/index.ts";
import * as functional from "../ops/functional/index.ts";
import { xlogy } from "../ops/special.ts";
import * as constraints from "./constraints.ts";
import type { Constraint } from "./constraints.ts";
import { limits } from "./limits.ts";
import {
  bind,
  broadcast_all,
  clampProbs,
  Distribution,
  logitsToProbs,
  newLike,
  probsToLogits,
  type Given,
  type Validate,
  type Value,
} from "./distribution.ts";
import { standard_gamma } from "./pathwise.ts";

type ProbsOrLogits = Given<[{ probs?: Value | null }, { logits?: Value | null }]>;

/** @internal What has probabilities, or their logits in their place: the other is computed when it is asked for. */
export abstract class FromProbabilities extends Distribution {
  #probs: Tensor | null = null;
  #logits: Tensor | null = null;
  /** Whether the probabilities of two outcomes. */
  protected readonly binary: boolean = true;

  get probs(): Tensor {
    return (this.#probs ??= logitsToProbs(this.#logits!, this.binary));
  }
  get logits(): Tensor {
    return (this.#logits ??= probsToLogits(this.#probs!, this.binary));
  }
  /** @internal The one that was given. */
  protected get param(): Tensor {
    return "probs" in this._parameters ? this.probs : this.logits;
  }
  /** @internal */
  protected take(probs: Tensor | null, logits: Tensor | null): void {
    this.#probs = probs;
    this.#logits = logits;
  }
  override sample(sample_shape: Shape = []): Tensor {
    return no_grad(() => this.draw(this.extendedShape(sample_shape)));
  }
  /** @internal */
  protected abstract draw(shape: Shape): Tensor;
}

/** @internal */
export function exactlyOne(probs: unknown, logits: unknown): void {
  if ((probs === null) === (logits === null)) {
    throw new ValueError("Either `probs` or `logits` must be specified, but not both.");
  }
}

/** Zeros or ones, ... of a shape that a parameter's batch is expanded to. */
function allValues(n: number, like: Tensor, batch: Shape, expand: boolean): Tensor {
  const values = ops.arange(n, { dtype: like.dtype, device: like.device }).view([n, ...batch.map(() => 1)]);
  return expand ? values.expand([n, ...batch]) : values;
}

const crossEntropy = (logits: Tensor, probs: Tensor): Tensor =>
  functional.binary_cross_entropy_with_logits(logits, probs, { reduction: "none" });

export class Bernoulli extends FromProbabilities {
  override readonly has_enumerate_support = true;

  constructor(...given: ProbsOrLogits) {
    super();
    const [probs, logits, validate] = bind<[Value | null, Value | null, Validate]>("Bernoulli", "probs=None, logits=None", given);
    exactlyOne(probs, logits);
    const [value] = broadcast_all(probs ?? logits!) as [Tensor];
    this.take(probs === null ? null : value, probs === null ? value : null);
    const { unit_interval, real } = constraints;
    this.setUp(value.shape, [], validate, probs === null ? { logits: real } : { probs: unit_interval });
  }
  override get support(): Constraint {
    return constraints.boolean;
  }
  override get mean(): Tensor {
    return this.probs;
  }
  override get mode(): Tensor {
    const mode = this.probs.ge(0.5).to(this.probs.dtype);
    return mode.masked_fill(this.probs.eq(0.5), NaN);
  }
  override get variance(): Tensor {
    return this.probs.mul(this.probs.neg().add(1));
  }
  protected override draw(shape: Shape): Tensor {
    return ops.bernoulli(this.probs.expand(shape));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const [logits, x] = broadcast_all(this.logits, value) as [Tensor, Tensor];
    return crossEntropy(logits, x).neg();
  }
  override entropy(): Tensor {
    return crossEntropy(this.logits, this.probs);
  }
  override enumerate_support(expand = true): Tensor {
    return allValues(2, this.param, this.batch_shape, expand);
  }
}

/** The number of failures before the first success. */
export class Geometric extends FromProbabilities {
  constructor(...given: ProbsOrLogits) {
    super();
    const [probs, logits, validate] = bind<[Value | null, Value | null, Validate]>("Geometric", "probs=None, logits=None", given);
    exactlyOne(probs, logits);
    const [value] = broadcast_all(probs ?? logits!) as [Tensor];
    this.take(probs === null ? null : value, probs === null ? value : null);
    const { unit_interval, real } = constraints;
    this.setUp(value.shape, [], validate, probs === null ? { logits: real } : { probs: unit_interval });
    if (!this.validate_args || probs === null || !readable(value.device)) return;
    if (!value.detach().gt(0).all().item_sync()) {
      throw new ValueError(`Expected parameter probs of distribution ${this.toString()} to be greater than 0`);
    }
  }
  override get support(): Constraint {
    return constraints.nonnegative_integer;
  }
  override get mean(): Tensor {
    return this.probs.reciprocal().sub(1);
  }
  override get mode(): Tensor {
    return ops.zeros_like(this.probs);
  }
  override get variance(): Tensor {
    return this.probs.reciprocal().sub(1).div(this.probs);
  }
  protected override draw(shape: Shape): Tensor {
    const u = newLike(this.probs, shape).uniform_(limits(this.probs.dtype).tiny, 1);
    return u.log().div(this.probs.neg().log1p()).floor();
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const [x, probs] = broadcast_all(value, this.probs) as [Tensor, Tensor];
    // 0 · log 0 is 0.
    const failing = probs.masked_fill(probs.eq(1).logical_and(x.eq(0)), 0);
    return x.mul(failing.neg().log1p()).add(probs.log());
  }
  override entropy(): Tensor {
    return crossEntropy(this.logits, this.probs).div(this.probs);
  }
}

export class Binomial extends FromProbabilities {
  override readonly has_enumerate_support = true;
  readonly total_count: Tensor;

  constructor(...given: Given<[{ total_count?: Value }, { probs?: Value | null }, { logits?: Value | null }]>) {
    super();
    const [count, probs, logits, validate] = bind<[Value, Value | null, Value | null, Validate]>(
      "Binomial",
      "total_count=1, probs=None, logits=None",
      given,
    );
    exactlyOne(probs, logits);
    const [total, value] = broadcast_all(count, probs ?? logits!) as [Tensor, Tensor];
    this.total_count = total.to(value.dtype);
    this.take(probs === null ? null : value, probs === null ? value : null);
    const { nonnegative_integer, unit_interval, real } = constraints;
    const one: Record<string, Constraint> = probs === null ? { logits: real } : { probs: unit_interval };
    this.setUp(value.shape, [], validate, { total_count: nonnegative_integer, ...one });
  }
  override get support(): Constraint {
    return constraints.integer_interval(0, this.total_count);
  }
  override get mean(): Tensor {
    return this.total_count.mul(this.probs);
  }
  override get mode(): Tensor {
    return this.total_count.add(1).mul(this.probs).floor().minimum(this.total_count);
  }
  override get variance(): Tensor {
    return this.mean.mul(this.probs.neg().add(1));
  }
  protected override draw(shape: Shape): Tensor {
    return ops.binomial(this.total_count.expand(shape), this.probs.expand(shape));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const { total_count, logits } = this;
    const choices = total_count.add(1).lgamma().sub(value.add(1).lgamma()).sub(total_count.sub(value).add(1).lgamma());
    // log(1 - p) is -softplus(logits), without overflow.
    const outcome = value.mul(logits).sub(total_count.mul(logits.clamp({ min: 0 }).add(logits.abs().neg().exp().log1p())));
    return outcome.add(choices);
  }
  override entropy(): Tensor {
    commonCount("entropy", this.total_count);
    const each = this.log_prob(this.enumerate_support(false));
    return each.exp().mul(each).sum(0).neg();
  }
  override enumerate_support(expand = true): Tensor {
    return allValues(1 + commonCount("enumerate_support", this.total_count), this.param, this.batch_shape, expand);
  }
}

/** The one count of a whole batch. */
function commonCount(what: string, count: Tensor): number {
  const most = Number((count.max() as Tensor).item_sync());
  if (Number((count.min() as Tensor).item_sync()) !== most) {
    throw new NotImplementedError(`Inhomogeneous total count not supported by \`${what}\`.`);
  }
  return most;
}

/** The number of successes before `total_count` failures. */
export class NegativeBinomial extends FromProbabilities {
  readonly total_count: Tensor;

  constructor(...given: Given<[{ total_count: Value }, { probs?: Value | null }, { logits?: Value | null }]>) {
    super();
    const [count, probs, logits, validate] = bind<[Value, Value | null, Value | null, Validate]>(
      "NegativeBinomial",
      "total_count, probs=None, logits=None",
      given,
    );
    exactlyOne(probs, logits);
    const [total, value] = broadcast_all(count, probs ?? logits!) as [Tensor, Tensor];
    this.total_count = total.to(value.dtype);
    this.take(probs === null ? null : value, probs === null ? value : null);
    const { nonnegative, half_open_interval, real } = constraints;
    const one: Record<string, Constraint> = probs === null ? { logits: real } : { probs: half_open_interval(0, 1) };
    this.setUp(value.shape, [], validate, { total_count: nonnegative, ...one });
  }
  override get support(): Constraint {
    return constraints.nonnegative_integer;
  }
  override get mean(): Tensor {
    return this.total_count.mul(this.logits.exp());
  }
  override get mode(): Tensor {
    return this.total_count.sub(1).mul(this.logits.exp()).floor().clamp({ min: 0 });
  }
  override get variance(): Tensor {
    return this.mean.div(this.logits.neg().sigmoid());
  }
  protected override draw(shape: Shape): Tensor {
    const rate = standard_gamma(this.total_count.expand(shape)).div(this.logits.neg().exp());
    return ops.poisson(rate);
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const { total_count, logits } = this;
    const outcome = total_count.mul(functional.logsigmoid(logits.neg())).add(value.mul(functional.logsigmoid(logits)));
    const choices = total_count.add(value).lgamma().neg().add(value.add(1).lgamma()).add(total_count.lgamma());
    return outcome.sub(choices.masked_fill(total_count.add(value).eq(0), 0));
  }
}

export class Poisson extends Distribution {
  readonly rate: Tensor;

  constructor(...given: Given<[{ rate: Value }]>) {
    super();
    const [rate, validate] = bind<[Value, Validate]>("Poisson", "rate", given);
    [this.rate] = broadcast_all(rate) as [Tensor];
    this.setUp(this.rate.shape, [], validate, { rate: constraints.nonnegative });
  }
  override get support(): Constraint {
    return constraints.nonnegative_integer;
  }
  override get mean(): Tensor {
    return this.rate;
  }
  override get mode(): Tensor {
    return this.rate.floor();
  }
  override get variance(): Tensor {
    return this.rate;
  }
  override sample(sample_shape: Shape = []): Tensor {
    return no_grad(() => ops.poisson(this.rate.expand(this.extendedShape(sample_shape))));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const [rate, x] = broadcast_all(this.rate, value) as [Tensor, Tensor];
    return xlogy(x, rate).sub(rate).sub(x.add(1).lgamma());
  }
}

export class Categorical extends FromProbabilities {
  override readonly has_enumerate_support = true;
  protected override readonly binary = false;
  /** How many categories there are. */
  readonly num_events: number;

  constructor(...given: Given<[{ probs?: Tensor | null }, { logits?: Tensor | null }]>) {
    super();
    const [probs, logits, validate] = bind<[Tensor | null, Tensor | null, Validate]>(
      "Categorical",
      "probs=None, logits=None",
      given,
    );
    exactlyOne(probs, logits);
    const value = probs ?? logits!;
    const name = probs === null ? "logits" : "probs";
    if (!(value instanceof Tensor) || value.ndim < 1) {
      throw new ValueError(`\`${name}\` parameter must be at least one-dimensional.`);
    }
    if (probs === null) this.take(null, value.sub(value.logsumexp(-1, true)));
    else this.take(probs.div(probs.sum(-1, true)), null);
    this.num_events = value.shape.at(-1)!;
    const { simplex, real_vector } = constraints;
    this.setUp(value.shape.slice(0, -1), [], validate, probs === null ? { logits: real_vector } : { probs: simplex });
  }
  override get support(): Constraint {
    return constraints.integer_interval(0, this.num_events - 1);
  }
  override get mean(): Tensor {
    return ops.full(this.batch_shape, NaN, { dtype: this.probs.dtype, device: this.probs.device });
  }
  override get mode(): Tensor {
    return this.probs.argmax(-1);
  }
  override get variance(): Tensor {
    return this.mean;
  }
  protected override draw(shape: Shape): Tensor {
    const rows = this.probs.reshape([-1, this.num_events]);
    const n = shape.slice(0, shape.length - this.batch_shape.length).reduce((a, b) => a * b, 1);
    if (n === 0 || rows.shape[0] === 0) return ops.empty(shape, { dtype: int64, device: rows.device });
    return ops.multinomial(rows, n, true).transpose(0, 1).reshape(shape);
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const [index, logits] = ops.broadcast_tensors(value.to(int64).unsqueeze(-1), this.logits) as [Tensor, Tensor];
    return logits.gather(-1, index.narrow(-1, 0, 1)).squeeze(-1) as Tensor;
  }
  override entropy(): Tensor {
    const { min } = FINITE[this.logits.dtype.name] ?? FINITE.float32!;
    return this.logits.clamp({ min }).mul(this.probs).sum(-1).neg();
  }
  override enumerate_support(expand = true): Tensor {
    const index = ops.arange(this.num_events, { dtype: int64, device: this.probs.device });
    return allValues(this.num_events, index, this.batch_shape, expand);
  }
}

/** The least finite numbers. */
const FINITE: Readonly<Record<string, { min: number }>> = {
  float64: { min: -Number.MAX_VALUE },
  float32: { min: -3.4028234663852886e38 },
  bfloat16: { min: -3.3895313892515355e38 },
  float16: { min: -65504 },
};

export class OneHotCategorical extends Distribution {
  override readonly has_enumerate_support = true;
  readonly #categorical: Categorical;

  constructor(...given: Given<[{ probs?: Tensor | null }, { logits?: Tensor | null }]>) {
    super();
    const [probs, logits, validate] = bind<[Tensor | null, Tensor | null, Validate]>(
      "OneHotCategorical",
      "probs=None, logits=None",
      given,
    );
    this.#categorical = new Categorical({ probs, logits, validate_args: validate });
    const { simplex, real_vector } = constraints;
    const { batch_shape, num_events } = this.#categorical;
    this.setUp(batch_shape, [num_events], validate, probs === null ? { logits: real_vector } : { probs: simplex });
  }
  get probs(): Tensor {
    return this.#categorical.probs;
  }
  get logits(): Tensor {
    return this.#categorical.logits;
  }
  override get support(): Constraint {
    return constraints.one_hot;
  }
  override get mean(): Tensor {
    return this.probs;
  }
  private oneHot(index: Tensor): Tensor {
    return functional.one_hot(index, this.event_shape[0]!).to(this.probs.dtype);
  }
  override get mode(): Tensor {
    return this.oneHot(this.#categorical.mode);
  }
  override get variance(): Tensor {
    return this.probs.mul(this.probs.neg().add(1));
  }
  override sample(sample_shape: Shape = []): Tensor {
    return this.oneHot(this.#categorical.sample(sample_shape));
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    return this.#categorical.log_prob(value.argmax(-1));
  }
  override entropy(): Tensor {
    return this.#categorical.entropy();
  }
  override enumerate_support(expand = true): Tensor {
    const n = this.event_shape[0]!;
    const values = ops.eye(n, { dtype: this.probs.dtype, device: this.probs.device });
    const shaped = values.view([n, ...this.batch_shape.map(() => 1), n]);
    return expand ? shaped.expand([n, ...this.batch_shape, n]) : shaped;
  }
}

/** One-hot draws whose gradient is that of the probabilities. */
export class OneHotCategoricalStraightThrough extends OneHotCategorical {
  override readonly has_rsample = true;
  override rsample(sample_shape: Shape = []): Tensor {
    return this.sample(sample_shape).add(this.probs.sub(this.probs.detach()));
  }
}

/** How often each category comes up in `total_count` draws. */
export class Multinomial extends Distribution {
  readonly total_count: number;
  readonly #categorical: Categorical;

  constructor(...given: Given<[{ total_count?: number }, { probs?: Tensor | null }, { logits?: Tensor | null }]>) {
    super();
    const [count, probs, logits, validate] = bind<[number, Tensor | null, Tensor | null, Validate]>(
      "Multinomial",
      "total_count=1, probs=None, logits=None",
      given,
    );
    if (typeof count !== "number") throw new NotImplementedError("inhomogeneous total_count is not supported");
    this.total_count = count;
    this.#categorical = new Categorical({ probs, logits, validate_args: validate });
    const { simplex, real_vector } = constraints;
    const { batch_shape, num_events } = this.#categorical;
    this.setUp(batch_shape, [num_events], validate, probs === null ? { logits: real_vector } : { probs: simplex });
  }
  get probs(): Tensor {
    return this.#categorical.probs;
  }
  get logits(): Tensor {
    return this.#categorical.logits;
  }
  override get support(): Constraint {
    return constraints.multinomial(this.total_count);
  }
  override get mean(): Tensor {
    return this.probs.mul(this.total_count);
  }
  override get variance(): Tensor {
    return this.mean.mul(this.probs.neg().add(1));
  }
  protected override rebuild(values: Record<string, unknown>, batch_shape: Shape): this {
    return super.rebuild({ ...values, total_count: this.total_count }, batch_shape);
  }
  override sample(sample_shape: Shape = []): Tensor {
    return no_grad(() => {
      const draws = this.#categorical.sample([this.total_count, ...sample_shape]);
      return functional.one_hot(draws, this.event_shape[0]!).sum(0).to(this.probs.dtype);
    });
  }
  override log_prob(value: Tensor): Tensor {
    this.checkSample(value);
    const [logits, x] = broadcast_all(this.logits, value) as [Tensor, Tensor];
    // Never drawn and impossible: 0 · -inf is 0.
    const possible = logits.masked_fill(x.eq(0).logical_and(logits.eq(-Infinity)), 0);
    return x.sum(-1).add(1).lgamma().sub(x.add(1).lgamma().sum(-1)).add(possible.mul(x).sum(-1));
  }
  override entropy(): Tensor {
    const n = this.total_count;
    const { probs } = this;
    const count = ops.arange(1, n + 1, { dtype: probs.dtype, device: probs.device });
    const k = count.view([n, ...probs.shape.map(() => 1)]);
    const options = { total_count: n, probs: clampProbs(probs), validate_args: false };
    const chance = new Binomial(options).log_prob(k).exp();
    const repeated = chance.mul(k.add(1).lgamma()).sum([0, -1]);
    return this.#categorical.entropy().mul(n).sub(logFactorial(n)).add(repeated);
  }
}

function logFactorial(n: number): number {
  let sum = 0;
  for (let i = 2; i <= n; i++) sum += Math.log(i);
  return sum;
}
