/** `torch.distributions.constraint_registry`: transforms from all of space to what satisfies a constraint. */

import { NotImplementedError } from "../core/errors.ts";
import { Tensor } from "../core/tensor.ts";
import * as constraints from "./constraints.ts";
import { _classOf, Constraint } from "./constraints.ts";
import {
  CatTransform,
  CorrCholeskyTransform,
  IndependentTransform,
  LowerCholeskyTransform,
  PositiveDefiniteTransform,
  SoftmaxTransform,
  StackTransform,
} from "./matrix_transforms.ts";
import {
  AffineTransform,
  ComposeTransform,
  ExpTransform,
  identity_transform,
  SigmoidTransform,
  StickBreakingTransform,
  type Transform,
} from "./transforms.ts";

type Factory = (constraint: never) => Transform;
/** A constraint, a class of them, or a function that makes them (`constraints.interval`). */
export type ConstraintKind = Constraint | (abstract new (...args: never[]) => Constraint) | ((...args: never[]) => Constraint);

/** Transforms by the class of a constraint. A registry is called with a constraint: `transform_to(constraints.positive)`. */
export interface ConstraintRegistry {
  /** The transform for a constraint; NotImplementedError where none is registered. */
  (constraint: Constraint): Transform;
  /** Registers what makes the transform for constraints of a class. */
  register<C extends Constraint>(constraint: ConstraintKind, factory: (constraint: C) => Transform): void;
}

function registry(): ConstraintRegistry {
  const factories = new Map<unknown, Factory>();
  const find = (constraint: Constraint): Transform => {
    const factory = factories.get(_classOf(constraint));
    if (factory === undefined) {
      throw new NotImplementedError(`Cannot transform ${constraint.constructor.name} constraints`);
    }
    return factory(constraint as never);
  };
  return Object.assign(find, {
    register<C extends Constraint>(constraint: ConstraintKind, factory: (constraint: C) => Transform): void {
      const kind = _classOf(constraint);
      if (typeof kind !== "function" || !(kind.prototype instanceof Constraint)) {
        throw new TypeError(
          `Expected constraint to be either a Constraint subclass or instance, but got ${String(constraint as unknown)}`,
        );
      }
      factories.set(kind, factory as Factory);
    },
  });
}

/** Bijections, whose derivative counts. */
export const biject_to: ConstraintRegistry = registry();
/** Transforms that need not be bijective, for the parameters of an optimisation. */
export const transform_to: ConstraintRegistry = registry();

type Bounds = Constraint & { readonly lower_bound: Tensor | number; readonly upper_bound: Tensor | number };
type Parts = Constraint & { cseq: readonly Constraint[]; dim: number; lengths: readonly number[] };
type Wrapped = Constraint & { readonly base_constraint: Constraint; readonly reinterpreted_batch_ndims: number };

function difference(a: Tensor | number, b: Tensor | number): Tensor | number {
  if (a instanceof Tensor) return a.sub(b);
  return b instanceof Tensor ? b.neg().add(a) : a - b;
}
const shifted = (t: Transform, loc: Tensor | number, scale: Tensor | number): Transform =>
  new ComposeTransform([t, new AffineTransform(loc, scale)]);

for (const to of [biject_to, transform_to]) {
  to.register(constraints.real, () => identity_transform);
  to.register<Wrapped>(
    constraints.independent,
    (c) => new IndependentTransform(to(c.base_constraint), c.reinterpreted_batch_ndims),
  );
  for (const kind of [constraints.greater_than, constraints.greater_than_eq]) {
    to.register<Bounds>(kind, ({ lower_bound: least }) =>
      least === 0 ? new ExpTransform() : shifted(new ExpTransform(), least, 1),
    );
  }
  to.register<Bounds>(constraints.less_than, ({ upper_bound }) => shifted(new ExpTransform(), upper_bound, -1));
  for (const kind of [constraints.interval, constraints.half_open_interval]) {
    to.register<Bounds>(kind, ({ lower_bound: low, upper_bound: high }) =>
      low === 0 && high === 1 ? new SigmoidTransform() : shifted(new SigmoidTransform(), low, difference(high, low)),
    );
  }
  to.register(constraints.corr_cholesky, () => new CorrCholeskyTransform());
  to.register<Parts>(constraints.cat, ({ cseq, dim, lengths }) => new CatTransform(cseq.map(to), dim, lengths));
  to.register<Parts>(constraints.stack, ({ cseq, dim }) => new StackTransform(cseq.map(to), dim));
}
biject_to.register(constraints.simplex, () => new StickBreakingTransform());
transform_to.register(constraints.simplex, () => new SoftmaxTransform());
transform_to.register(constraints.lower_cholesky, () => new LowerCholeskyTransform());
for (const kind of [constraints.positive_definite, constraints.positive_semidefinite]) {
  transform_to.register(kind, () => new PositiveDefiniteTransform());
}
