/** `torch.distributions.constraints`: sets of values, which parameters and samples must be in. */

import { bool, type Scalar } from "../core/dtype.ts";
import { ValueError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import { limits } from "./limits.ts";

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

class CorrCholesky extends LowerCholesky {
  override check(value: Tensor): Tensor {
    const tolerance = limits(value.dtype).eps * value.shape.at(-1)! * 10;
    const length = value.detach().square().sum(-1).sqrt();
    return super.check(value).logical_and(length.sub(1).abs().le(tolerance).all(-1));
  }
}
class Square extends Constraint {
  override readonly event_dim = 2;
  check(value: Tensor): Tensor {
    const [rows, columns] = value.shape.slice(-2);
    return ops.full(value.shape.slice(0, -2), rows === columns, { dtype: bool, device: value.device });
  }
  /** Whether there is anything to look at. */
  protected static fits(value: Tensor): boolean {
    return value.shape.at(-1) === value.shape.at(-2);
  }
}
class Symmetric extends Square {
  override check(value: Tensor): Tensor {
    if (!Square.fits(value)) return super.check(value);
    return ops.isclose(value, value.mT, { atol: 1e-6 }).flatten(-2).all(-1);
  }
}
class PositiveSemidefinite extends Symmetric {
  override check(value: Tensor): Tensor {
    const symmetric = super.check(value);
    return Square.fits(value) ? symmetric.logical_and(ops.linalg.eigvalsh(value).ge(0).all(-1)) : symmetric;
  }
}
class PositiveDefinite extends Symmetric {
  override check(value: Tensor): Tensor {
    const symmetric = super.check(value);
    return Square.fits(value) ? symmetric.logical_and(ops.linalg.cholesky_ex(value).info.eq(0)) : symmetric;
  }
}

/** Constraints of parts that lie along a dimension. */
abstract class OfParts extends Constraint {
  override readonly is_discrete: boolean;
  override readonly event_dim: number;
  constructor(
    readonly cseq: readonly Constraint[],
    readonly dim: number,
  ) {
    super();
    if (!cseq.every((c) => c instanceof Constraint)) throw new TypeError("expected a list of Constraints");
    this.is_discrete = cseq.some((c) => c.is_discrete);
    this.event_dim = Math.max(...cseq.map((c) => c.event_dim));
  }
}
class Cat extends OfParts {
  readonly lengths: readonly number[];
  constructor(cseq: readonly Constraint[], dim = 0, lengths: readonly number[] | null = null) {
    super(cseq, dim);
    this.lengths = lengths ?? cseq.map(() => 1);
    if (this.lengths.length !== cseq.length) {
      throw new ValueError(`cat: expected a length for each of the ${cseq.length} constraints, got ${this.lengths.length}`);
    }
  }
  check(value: Tensor): Tensor {
    const parts = ops.split(value, [...this.lengths], this.dim);
    return ops.cat(
      parts.map((part, i) => this.cseq[i]!.check(part)),
      this.dim,
    );
  }
}
class Stack extends OfParts {
  constructor(cseq: readonly Constraint[], dim = 0) {
    super(cseq, dim);
    if (dim + this.event_dim < 0) (this as { event_dim: number }).event_dim++;
  }
  check(value: Tensor): Tensor {
    const checks = this.cseq.map((c, i) => c.check(ops.select(value, this.dim, i)));
    return ops.stack(checks, this.dim);
  }
}
class Dependent extends Constraint {
  check(): Tensor {
    throw new ValueError("Cannot determine validity of dependent constraint");
  }
}

/** Classes of constraints by the functions that make them. */
const classes = new WeakMap<object, unknown>();
function maker<A extends unknown[]>(Kind: new (...args: A) => Constraint): (...args: A) => Constraint {
  const make = (...args: A): Constraint => new Kind(...args);
  classes.set(make, Kind);
  return make;
}
/** @internal The class that a constraint, or a function that makes constraints, stands for. */
export function _classOf(constraint: unknown): unknown {
  if (constraint instanceof Constraint) return constraint.constructor;
  return typeof constraint === "function" ? (classes.get(constraint) ?? constraint) : constraint;
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
/** Lower triangular factors of correlation matrices: rows of length 1. */
export const corr_cholesky: Constraint = new CorrCholesky();
export const square: Constraint = new Square();
export const symmetric: Constraint = new Symmetric();
/** Symmetric matrices none of whose eigenvalues is negative. */
export const positive_semidefinite: Constraint = new PositiveSemidefinite();
/** Symmetric matrices all of whose eigenvalues are positive. */
export const positive_definite: Constraint = new PositiveDefinite();
/** Depends on other values; cannot be checked. */
export const dependent: Constraint = new Dependent();
export const is_dependent = (constraint: Constraint): boolean => constraint instanceof Dependent;

export const greater_than: (lower_bound: Bound) => Constraint = maker(GreaterThan);
export const greater_than_eq: (lower_bound: Bound) => Constraint = maker(GreaterThanEq);
export const less_than: (upper_bound: Bound) => Constraint = maker(LessThan);
export const interval: (lower_bound: Bound, upper_bound: Bound) => Constraint = maker(Interval);
export const half_open_interval: (lower_bound: Bound, upper_bound: Bound) => Constraint = maker(HalfOpenInterval);
export const integer_interval: (lower_bound: Bound, upper_bound: Bound) => Constraint = maker(IntegerInterval);
export const multinomial: (upper_bound: Bound) => Constraint = maker(Multinomial);
export const independent: (base_constraint: Constraint, reinterpreted_batch_ndims: number) => Constraint = maker(Independent);
/** A constraint for each part of `lengths[i]` along `dim`, as `torch.cat` joins them. */
export const cat: (cseq: readonly Constraint[], dim?: number, lengths?: readonly number[] | null) => Constraint = maker(Cat);
/** A constraint for each slice along `dim`, as `torch.stack` joins them. */
export const stack: (cseq: readonly Constraint[], dim?: number) => Constraint = maker(Stack);
export const real_vector: Constraint = independent(real, 1);
