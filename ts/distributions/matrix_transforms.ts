/** Transforms of shapes and of matrices, and transforms made of others. */

import { int64 } from "../core/dtype.ts";
import { ValueError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import * as functional from "../ops/functional/index.ts";
import * as ops from "../ops/index.ts";
import * as constraints from "./constraints.ts";
import type { Constraint } from "./constraints.ts";
import { limits } from "./limits.ts";
import { sumRightmost, type Distribution } from "./distribution.ts";
import { Transform } from "./transforms.ts";

const matrix = constraints.independent(constraints.real, 2);
const sizeOf = (shape: Shape): number => shape.reduce((n, d) => n * d, 1);
const diagonalOf = (m: Tensor): Tensor => ops.diagonal(m, 0, -2, -1);

function checkDims(shape: Shape, least: number): void {
  if (shape.length < least) throw new ValueError(`Too few dimensions on input: expected at least ${least}, got ${shape.length}`);
}

/** Another transform, with more of its last dimensions as one value: the logarithms of its derivative are summed over these. */
export class IndependentTransform extends Transform {
  readonly domain: Constraint;
  readonly codomain: Constraint;
  override readonly bijective: boolean;
  constructor(
    readonly base_transform: Transform,
    readonly reinterpreted_batch_ndims: number,
  ) {
    super();
    this.domain = constraints.independent(base_transform.domain, reinterpreted_batch_ndims);
    this.codomain = constraints.independent(base_transform.codomain, reinterpreted_batch_ndims);
    this.bijective = base_transform.bijective;
  }
  override get sign(): Tensor | number {
    return this.base_transform.sign;
  }
  call(x: Tensor): Tensor {
    checkDims(x.shape, this.domain.event_dim);
    return this.base_transform.call(x);
  }
  inverse(y: Tensor): Tensor {
    checkDims(y.shape, this.codomain.event_dim);
    return this.base_transform.inverse(y);
  }
  log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    return sumRightmost(this.base_transform.log_abs_det_jacobian(x, y), this.reinterpreted_batch_ndims);
  }
  override forward_shape(shape: Shape): Shape {
    return this.base_transform.forward_shape(shape);
  }
  override inverse_shape(shape: Shape): Shape {
    return this.base_transform.inverse_shape(shape);
  }
  override equals(other: Transform): boolean {
    return (
      other instanceof IndependentTransform &&
      this.reinterpreted_batch_ndims === other.reinterpreted_batch_ndims &&
      this.base_transform.equals(other.base_transform)
    );
  }
  override toString(): string {
    return `IndependentTransform(${this.base_transform.toString()}, ${this.reinterpreted_batch_ndims})`;
  }
}

/** The last dimensions, of in_shape, to out_shape. */
export class ReshapeTransform extends Transform {
  readonly domain: Constraint;
  readonly codomain: Constraint;
  constructor(
    readonly in_shape: Shape,
    readonly out_shape: Shape,
  ) {
    super();
    if (sizeOf(in_shape) !== sizeOf(out_shape)) {
      throw new ValueError(`in_shape, out_shape have different numbers of elements: [${in_shape.join(", ")}] and [${out_shape.join(", ")}]`); // prettier-ignore
    }
    this.domain = constraints.independent(constraints.real, in_shape.length);
    this.codomain = constraints.independent(constraints.real, out_shape.length);
  }
  private turned(shape: Shape, from: Shape, to: Shape): Shape {
    checkDims(shape, from.length);
    const at = shape.length - from.length;
    if (from.some((n, i) => n !== shape[at + i])) {
      throw new ValueError(`Shape mismatch: expected [${shape.slice(at).join(", ")}] but got [${from.join(", ")}]`);
    }
    return [...shape.slice(0, at), ...to];
  }
  call(x: Tensor): Tensor {
    return x.reshape(this.forward_shape(x.shape));
  }
  inverse(y: Tensor): Tensor {
    return y.reshape(this.inverse_shape(y.shape));
  }
  log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    const batch = x.shape.slice(0, x.ndim - this.in_shape.length);
    return ops.zeros(batch, { dtype: x.dtype, device: x.device });
  }
  override forward_shape(shape: Shape): Shape {
    return this.turned(shape, this.in_shape, this.out_shape);
  }
  override inverse_shape(shape: Shape): Shape {
    return this.turned(shape, this.out_shape, this.in_shape);
  }
  override equals(other: Transform): boolean {
    return other instanceof ReshapeTransform && String([this.in_shape, this.out_shape]) === String([other.in_shape, other.out_shape]); // prettier-ignore
  }
}

/** Exponentials, divided by their sum; not bijective, and without a derivative for log_prob. */
export class SoftmaxTransform extends Transform {
  readonly domain = constraints.real_vector;
  readonly codomain = constraints.simplex;
  override readonly bijective = false;
  call(x: Tensor): Tensor {
    return x.softmax(-1);
  }
  inverse(y: Tensor): Tensor {
    return y.log();
  }
  log_abs_det_jacobian(): Tensor {
    throw this.missing("log_abs_det_jacobian");
  }
  override forward_shape(shape: Shape): Shape {
    checkDims(shape, 1);
    return shape;
  }
  override inverse_shape(shape: Shape): Shape {
    return this.forward_shape(shape);
  }
}

/** Matrices to lower triangular ones with positive diagonals. */
export class LowerCholeskyTransform extends Transform {
  readonly domain = matrix;
  readonly codomain: Constraint = constraints.lower_cholesky;
  call(x: Tensor): Tensor {
    return x.tril(-1).add(ops.diag_embed(diagonalOf(x).exp()));
  }
  inverse(y: Tensor): Tensor {
    return y.tril(-1).add(ops.diag_embed(diagonalOf(y).log()));
  }
  log_abs_det_jacobian(_x: Tensor, _y: Tensor): Tensor {
    throw this.missing("log_abs_det_jacobian");
  }
}

/** Matrices to positive definite ones: a lower triangular factor times its transpose. */
export class PositiveDefiniteTransform extends LowerCholeskyTransform {
  override readonly codomain = constraints.positive_definite;
  override call(x: Tensor): Tensor {
    const factor = super.call(x);
    return factor.matmul(factor.mT);
  }
  override inverse(y: Tensor): Tensor {
    return super.inverse(ops.linalg.cholesky(y));
  }
}

/** Vectors of D (D - 1) / 2 numbers to the lower triangular factor of a correlation matrix of D variables. */
export class CorrCholeskyTransform extends Transform {
  readonly domain = constraints.real_vector;
  readonly codomain = constraints.corr_cholesky;
  /** The numbers below a diagonal, row by row. */
  private below(m: Tensor, diagonal: number): Tensor {
    const n = m.shape.at(-1)!;
    const at: number[] = [];
    for (let i = 0; i < n; i++) for (let j = 0; j <= i + diagonal && j < n; j++) at.push(i * n + j);
    return ops.index_select(m.flatten(-2), -1, ops.tensor(at, { dtype: int64, device: m.device }));
  }
  call(given: Tensor): Tensor {
    const { eps } = limits(given.dtype);
    const x = given.tanh().clamp({ min: -1 + eps, max: 1 - eps });
    const n = this.forward_shape(x.shape).at(-1)!;
    const rows = Array.from({ length: n }, (_, i) => {
      const row = x.narrow(-1, (i * (i - 1)) / 2, i);
      return functional.pad(row, [0, n - i]);
    });
    const r = ops.stack(rows, -2);
    const left = r.square().neg().add(1).sqrt().cumprod(-1);
    const whole = r.add(ops.eye(n, { dtype: r.dtype, device: r.device }));
    return whole.mul(functional.pad(left.narrow(-1, 0, n - 1), [1, 0], { value: 1 }));
  }
  inverse(y: Tensor): Tensor {
    const n = y.shape.at(-1)!;
    const left = y.mul(y).cumsum(-1).neg().add(1);
    const shifted = functional.pad(left.narrow(-1, 0, n - 1), [1, 0], { value: 1 });
    const t = this.below(y, -1).div(this.below(shifted, -1).sqrt());
    return t.log1p().sub(t.neg().log1p()).div(2);
  }
  /** That of x and of the numbers below y's diagonal. */
  log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    const left = y.mul(y).cumsum(-1).neg().add(1);
    const sticks = this.below(left, -2).log().sum(-1).mul(0.5);
    const bent = x.add(functional.softplus(x.mul(-2))).sub(Math.LN2).sum(-1); // prettier-ignore
    return sticks.sub(bent.mul(2));
  }
  override forward_shape(shape: Shape): Shape {
    checkDims(shape, 1);
    const n = shape.at(-1)!;
    const d = Math.round(Math.sqrt(0.25 + 2 * n) + 0.5);
    if ((d * (d - 1)) / 2 !== n) {
      throw new ValueError(`Input is not a flattened lower-diagonal number: ${n} is no D (D - 1) / 2`);
    }
    return [...shape.slice(0, -1), d, d];
  }
  override inverse_shape(shape: Shape): Shape {
    checkDims(shape, 2);
    const [rows, columns] = shape.slice(-2) as [number, number];
    if (rows !== columns) throw new ValueError(`Input is not square: ${rows} by ${columns}`);
    return [...shape.slice(0, -2), (rows * (rows - 1)) / 2];
  }
}

/** Transforms of parts that lie along a dimension. */
abstract class PartsTransform extends Transform {
  override readonly bijective: boolean;
  constructor(
    readonly transforms: readonly Transform[],
    readonly dim: number,
  ) {
    super();
    if (!transforms.every((t) => t instanceof Transform)) throw new TypeError("expected a list of Transforms");
    this.bijective = transforms.every((t) => t.bijective);
  }
  protected abstract split(x: Tensor): readonly Tensor[];
  protected abstract join(parts: Tensor[]): Tensor;
  call(x: Tensor): Tensor {
    return this.join(this.split(x).map((part, i) => this.transforms[i]!.call(part)));
  }
  inverse(y: Tensor): Tensor {
    return this.join(this.split(y).map((part, i) => this.transforms[i]!.inverse(part)));
  }
  protected logs(x: Tensor, y: Tensor): Tensor[] {
    const outer = this.split(y);
    return this.split(x).map((part, i) => this.transforms[i]!.log_abs_det_jacobian(part, outer[i]!));
  }
  protected checkLength(x: Tensor, length: number): void {
    if (!(this.dim >= -x.ndim && this.dim < x.ndim) || x.size(this.dim) !== length) {
      throw new ValueError(
        `${this.constructor.name}: expected length ${length} along dim ${this.dim}, got shape [${x.shape.join(", ")}]`,
      );
    }
  }
  override equals(other: Transform): boolean {
    return (
      other instanceof PartsTransform &&
      other.constructor === this.constructor &&
      other.dim === this.dim &&
      other.transforms.length === this.transforms.length &&
      this.transforms.every((t, i) => t.equals(other.transforms[i]!))
    );
  }
}

/** A transform for each part of `lengths[i]` along `dim`, as `torch.cat` joins them. */
export class CatTransform extends PartsTransform {
  readonly lengths: readonly number[];
  readonly domain: Constraint;
  readonly codomain: Constraint;
  constructor(tseq: readonly Transform[], dim = 0, lengths: readonly number[] | null = null) {
    super(tseq, dim);
    this.lengths = lengths ?? tseq.map(() => 1);
    if (this.lengths.length !== tseq.length) {
      throw new ValueError(`CatTransform: expected a length for each of ${tseq.length} transforms, got ${this.lengths.length}`);
    }
    const of = (key: "domain" | "codomain"): Constraint =>
      constraints.cat(
        tseq.map((t) => t[key]),
        dim,
        this.lengths,
      );
    [this.domain, this.codomain] = [of("domain"), of("codomain")];
  }
  get length(): number {
    return this.lengths.reduce((a, b) => a + b, 0);
  }
  protected split(x: Tensor): readonly Tensor[] {
    this.checkLength(x, this.length);
    return ops.split(x, [...this.lengths], this.dim);
  }
  protected join(parts: Tensor[]): Tensor {
    return ops.cat(parts, this.dim);
  }
  log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    const events = this.event_dim;
    const logs = this.logs(x, y).map((log, i) => sumRightmost(log, events - this.transforms[i]!.event_dim));
    const dim = (this.dim >= 0 ? this.dim - x.ndim : this.dim) + events;
    return dim < 0 ? ops.cat(logs, dim) : logs.reduce((sum, log) => sum.add(log));
  }
  override equals(other: Transform): boolean {
    return super.equals(other) && String((other as CatTransform).lengths) === String(this.lengths);
  }
}

/** A transform for each slice along `dim`, as `torch.stack` joins them. */
export class StackTransform extends PartsTransform {
  readonly domain: Constraint;
  readonly codomain: Constraint;
  constructor(tseq: readonly Transform[], dim = 0) {
    super(tseq, dim);
    const of = (key: "domain" | "codomain"): Constraint =>
      constraints.stack(
        tseq.map((t) => t[key]),
        dim,
      );
    [this.domain, this.codomain] = [of("domain"), of("codomain")];
  }
  protected split(x: Tensor): readonly Tensor[] {
    this.checkLength(x, this.transforms.length);
    return this.transforms.map((_, i) => ops.select(x, this.dim, i));
  }
  protected join(parts: Tensor[]): Tensor {
    return ops.stack(parts, this.dim);
  }
  log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    return ops.stack(this.logs(x, y), this.dim);
  }
}

/** A distribution's cdf: its values to uniform ones. */
export class CumulativeDistributionTransform extends Transform {
  readonly codomain = constraints.unit_interval;
  constructor(readonly distribution: Distribution) {
    super();
  }
  get domain(): Constraint {
    return this.distribution.support;
  }
  call(x: Tensor): Tensor {
    return this.distribution.cdf(x);
  }
  inverse(y: Tensor): Tensor {
    return this.distribution.icdf(y);
  }
  log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    return this.distribution.log_prob(x);
  }
  override equals(other: Transform): boolean {
    return other instanceof CumulativeDistributionTransform && other.distribution === this.distribution;
  }
}
