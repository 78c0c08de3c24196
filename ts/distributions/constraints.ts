/** `torch.distributions.constraints`: sets of values, which parameters and samples must be in. */

import type { Scalar } from "../core/dtype.ts";
import { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";

type Bound = Tensor | number;

const shown = (x: Bound): string => (x instanceof Tensor || !Number.isInteger(x) ? String(x) : x.toFixed(1));

/** A set of values, whose elements have `event_dim` dimensions. */
export abstract class Constraint {
  readonly is_discrete: boolean = false;
  readonly event_dim: number = 0;
  /** For each element of a batch whether it belongs to the set. */
  abstract check(value: Tensor): Tensor;

  /** What stands in parentheses after the name. */
  protected describe(): string {
    return "";
  }
  toString(): string {
    return `${this.constructor.name.replace(/^_/, "")}(${this.describe()})`;
  }
}

class Real extends Constraint {
  check(value: Tensor): Tensor {
    return value.eq(value);
  }
}
class Boolean extends Constraint {
  override readonly is_discrete = true;
  check(value: Tensor): Tensor {
    return value.eq(0).logical_or(value.eq(1));
  }
}
class GreaterThan extends Constraint {
  constructor(readonly lower_bound: Bound) {
    super();
  }
  check(value: Tensor): Tensor {
    return value.gt(this.lower_bound as Scalar);
  }
  protected override describe(): string {
    return `lower_bound=${shown(this.lower_bound)}`;
  }
}
class GreaterThanEq extends GreaterThan {
  override check(value: Tensor): Tensor {
    return value.ge(this.lower_bound as Scalar);
  }
}
class LessThan extends Constraint {
  constructor(readonly upper_bound: Bound) {
    super();
  }
  check(value: Tensor): Tensor {
    return value.lt(this.upper_bound as Scalar);
  }
  protected override describe(): string {
    return `upper_bound=${shown(this.upper_bound)}`;
  }
}
class Interval extends Constraint {
  constructor(
    readonly lower_bound: Bound,
    readonly upper_bound: Bound,
  ) {
    super();
  }
  check(value: Tensor): Tensor {
    return value.ge(this.lower_bound as Scalar).logical_and(value.le(this.upper_bound as Scalar));
  }
  protected override describe(): string {
    return `lower_bound=${shown(this.lower_bound)}, upper_bound=${shown(this.upper_bound)}`;
  }
}
class HalfOpenInterval extends Interval {
  override check(value: Tensor): Tensor {
    return value.ge(this.lower_bound as Scalar).logical_and(value.lt(this.upper_bound as Scalar));
  }
}

const isWhole = (value: Tensor): Tensor => (value.dtype.is_floating_point ? value.eq(value.trunc()) : value.eq(value));

class IntegerInterval extends Interval {
  override readonly is_discrete = true;
  override check(value: Tensor): Tensor {
    return isWhole(value).logical_and(super.check(value));
  }
  protected override describe(): string {
    return `lower_bound=${String(this.lower_bound)}, upper_bound=${String(this.upper_bound)}`;
  }
}
class IntegerGreaterThan extends Constraint {
  override readonly is_discrete = true;
  constructor(readonly lower_bound: Bound) {
    super();
  }
  check(value: Tensor): Tensor {
    return isWhole(value).logical_and(value.ge(this.lower_bound as Scalar));
  }
  protected override describe(): string {
    return `lower_bound=${String(this.lower_bound)}`;
  }
}
class Simplex extends Constraint {
  override readonly event_dim = 1;
  check(value: Tensor): Tensor {
    const whole = value.sum(-1).sub(1).abs().lt(1e-6);
    return value.ge(0).all(-1).logical_and(whole);
  }
}
class OneHot extends Constraint {
  override readonly is_discrete = true;
  override readonly event_dim = 1;
  check(value: Tensor): Tensor {
    return value.eq(0).logical_or(value.eq(1)).all(-1).logical_and(value.sum(-1).eq(1));
  }
}
class Multinomial extends Constraint {
  override readonly is_discrete = true;
  override readonly event_dim = 1;
  constructor(readonly upper_bound: Bound) {
    super();
  }
  check(value: Tensor): Tensor {
    return value
      .ge(0)
      .all(-1)
      .logical_and(value.sum(-1).le(this.upper_bound as Scalar));
  }
}
class LowerTriangular extends Constraint {
  override readonly event_dim = 2;
  check(value: Tensor): Tensor {
    return value.tril().eq(value).flatten(-2).all(-1);
  }
}
class LowerCholesky extends LowerTriangular {
  override check(value: Tensor): Tensor {
    return super.check(value).logical_and(ops.diagonal(value, 0, -2, -1).gt(0).all(-1));
  }
}
class Independent extends Constraint {
  override readonly is_discrete: boolean;
  override readonly event_dim: number;
  constructor(
    readonly base_constraint: Constraint,
    readonly reinterpreted_batch_ndims: number,
  ) {
    super();
    this.is_discrete = base_constraint.is_discrete;
    this.event_dim = base_constraint.event_dim + reinterpreted_batch_ndims;
  }
  check(value: Tensor): Tensor {
    const each = this.base_constraint.check(value);
    const n = this.reinterpreted_batch_ndims;
    if (n > each.ndim)
      throw new RangeError(`${this.toString()}: expected at least ${this.event_dim} dimensions, got ${value.ndim}`);
    return n === 0 ? each : each.flatten(each.ndim - n).all(-1);
  }
  protected override describe(): string {
    return `${this.base_constraint.toString()}, ${this.reinterpreted_batch_ndims}`;
  }
  override toString(): string {
    return `IndependentConstraint(${this.describe()})`;
  }
}

export const real: Constraint = new Real();
export const boolean: Constraint = new Boolean();
export const positive: Constraint = new GreaterThan(0);
export const nonnegative: Constraint = new GreaterThanEq(0);
export const unit_interval: Constraint = new Interval(0, 1);
export const nonnegative_integer: Constraint = new IntegerGreaterThan(0);
export const positive_integer: Constraint = new IntegerGreaterThan(1);
export const simplex: Constraint = new Simplex();
export const one_hot: Constraint = new OneHot();
export const lower_triangular: Constraint = new LowerTriangular();
export const lower_cholesky: Constraint = new LowerCholesky();
export const greater_than = (lower_bound: Bound): Constraint => new GreaterThan(lower_bound);
export const greater_than_eq = (lower_bound: Bound): Constraint => new GreaterThanEq(lower_bound);
export const less_than = (upper_bound: Bound): Constraint => new LessThan(upper_bound);
export const interval = (lower_bound: Bound, upper_bound: Bound): Constraint => new Interval(lower_bound, upper_bound);
export const half_open_interval = (lower_bound: Bound, upper_bound: Bound): Constraint =>
  new HalfOpenInterval(lower_bound, upper_bound);
export const integer_interval = (lower_bound: Bound, upper_bound: Bound): Constraint =>
  new IntegerInterval(lower_bound, upper_bound);
export const multinomial = (upper_bound: Bound): Constraint => new Multinomial(upper_bound);
export const independent = (base_constraint: Constraint, reinterpreted_batch_ndims: number): Constraint =>
  new Independent(base_constraint, reinterpreted_batch_ndims);
export const real_vector: Constraint = independent(real, 1);
