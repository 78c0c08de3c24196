/** `torch.distributions.transforms`: invertible functions with the logarithm of their derivative. */

import { NotImplementedError, ValueError } from "../core/errors.ts";
import { broadcastShapes, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";
import * as functional from "../ops/functional/index.ts";
import * as constraints from "./constraints.ts";
import type { Constraint } from "./constraints.ts";
import { limits } from "./limits.ts";
import { sumRightmost, type Value } from "./distribution.ts";

export abstract class Transform {
  abstract readonly domain: Constraint;
  abstract readonly codomain: Constraint;
  readonly bijective: boolean = true;
  /** 1 or -1: whether the function rises; a tensor where that depends on the element. */
  get sign(): Tensor | number {
    return 1;
  }
  /** The function and its inverse change places. */
  get inv(): Transform {
    return new InverseTransform(this);
  }
  abstract call(x: Tensor): Tensor;
  abstract inverse(y: Tensor): Tensor;
  /** log |dy/dx|, for y = call(x). */
  abstract log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor;
  forward_shape(shape: Shape): Shape {
    return shape;
  }
  inverse_shape(shape: Shape): Shape {
    return shape;
  }
  /** PyTorch's wish that the last value be remembered: nothing is, so it is the same transform. */
  with_cache(_cache_size = 1): this {
    return this;
  }
  /** How many dimensions of its argument the function takes together. */
  get event_dim(): number {
    return this.domain.event_dim;
  }
  /** @internal Whether it is the same function. */
  equals(other: Transform): boolean {
    return this.constructor === other.constructor;
  }
  /** @internal */
  protected missing(what: string): NotImplementedError {
    return new NotImplementedError(`${this.constructor.name}.${what} is not defined for this transform`);
  }
  toString(): string {
    return `${this.constructor.name}()`;
  }
}

class InverseTransform extends Transform {
  readonly domain: Constraint;
  readonly codomain: Constraint;
  override readonly bijective: boolean;
  constructor(private readonly of: Transform) {
    super();
    [this.domain, this.codomain, this.bijective] = [of.codomain, of.domain, of.bijective];
  }
  override get sign(): Tensor | number {
    return this.of.sign;
  }
  override get inv(): Transform {
    return this.of;
  }
  call(x: Tensor): Tensor {
    return this.of.inverse(x);
  }
  inverse(y: Tensor): Tensor {
    return this.of.call(y);
  }
  log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    return this.of.log_abs_det_jacobian(y, x).neg();
  }
  override forward_shape(shape: Shape): Shape {
    return this.of.inverse_shape(shape);
  }
  override inverse_shape(shape: Shape): Shape {
    return this.of.forward_shape(shape);
  }
  override equals(other: Transform): boolean {
    return other instanceof InverseTransform && this.of.equals(other.of);
  }
  override toString(): string {
    return `_InverseTransform(${this.of.toString()})`;
  }
}

const withEvent = (c: Constraint, events: number): Constraint =>
  events > c.event_dim ? constraints.independent(c, events - c.event_dim) : c;

/** One after another, the first first. */
export class ComposeTransform extends Transform {
  readonly domain: Constraint;
  readonly codomain: Constraint;
  override readonly bijective: boolean;
  constructor(readonly parts: readonly Transform[]) {
    super();
    const [first, last] = [parts[0]?.domain ?? constraints.real, parts.at(-1)?.codomain ?? constraints.real];
    // Dimensions that some part takes together belong to the values at both ends.
    const needed = parts.reduceRight(
      (n, { domain, codomain }) => Math.max(n + domain.event_dim - codomain.event_dim, domain.event_dim),
      last.event_dim,
    );
    const given = parts.reduce(
      (n, { domain, codomain }) => Math.max(n + codomain.event_dim - domain.event_dim, codomain.event_dim),
      first.event_dim,
    );
    this.domain = withEvent(first, needed);
    this.codomain = withEvent(last, given);
    this.bijective = parts.every((t) => t.bijective);
  }
  override get sign(): Tensor | number {
    return this.parts.reduce<Tensor | number>((sign, { sign: s }) => {
      if (sign instanceof Tensor) return sign.mul(s as number);
      return s instanceof Tensor ? s.mul(sign) : sign * s;
    }, 1);
  }
  call(x: Tensor): Tensor {
    return this.parts.reduce((value, t) => t.call(value), x);
  }
  inverse(y: Tensor): Tensor {
    return this.parts.reduceRight((value, t) => t.inverse(value), y);
  }
  log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    if (this.parts.length === 0) return ops.zeros_like(x);
    const values = [x];
    for (const t of this.parts.slice(0, -1)) values.push(t.call(values.at(-1)!));
    values.push(y);
    let events = this.domain.event_dim;
    return this.parts
      .map((t, i) => {
        const each = t.log_abs_det_jacobian(values[i]!, values[i + 1]!);
        const term = sumRightmost(each, events - t.domain.event_dim);
        events += t.codomain.event_dim - t.domain.event_dim;
        return term;
      })
      .reduce((sum, term) => sum.add(term));
  }
  override forward_shape(shape: Shape): Shape {
    return this.parts.reduce((s, t) => t.forward_shape(s), shape);
  }
  override inverse_shape(shape: Shape): Shape {
    return this.parts.reduceRight((s, t) => t.inverse_shape(s), shape);
  }
  override equals(other: Transform): boolean {
    if (!(other instanceof ComposeTransform) || other.parts.length !== this.parts.length) return false;
    return this.parts.every((t, i) => t.equals(other.parts[i]!));
  }
  override toString(): string {
    return `ComposeTransform(\n    ${this.parts.map(String).join(",\n    ")}\n)`;
  }
}

export const identity_transform: Transform = new ComposeTransform([]);

abstract class Elementwise extends Transform {
  readonly domain: Constraint = constraints.real;
  readonly codomain: Constraint = constraints.real;
}

export class ExpTransform extends Elementwise {
  override readonly codomain = constraints.positive;
  call(x: Tensor): Tensor {
    return x.exp();
  }
  inverse(y: Tensor): Tensor {
    return y.log();
  }
  log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    return x;
  }
}

export class PowerTransform extends Elementwise {
  override readonly domain = constraints.positive;
  override readonly codomain = constraints.positive;
  constructor(readonly exponent: Value) {
    super();
  }
  override get sign(): Tensor | number {
    return this.exponent instanceof Tensor ? this.exponent.sign() : Math.sign(this.exponent);
  }
  call(x: Tensor): Tensor {
    return x.pow(this.exponent);
  }
  inverse(y: Tensor): Tensor {
    return y.pow(this.exponent instanceof Tensor ? this.exponent.reciprocal() : 1 / this.exponent);
  }
  log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    return y.mul(this.exponent).div(x).abs().log();
  }
  override equals(other: Transform): boolean {
    return other instanceof PowerTransform && same(this.exponent, other.exponent);
  }
}

export class SigmoidTransform extends Elementwise {
  override readonly codomain = constraints.unit_interval;
  call(x: Tensor): Tensor {
    const { eps, tiny } = limits(x.dtype);
    return x.sigmoid().clamp({ min: tiny, max: 1 - eps });
  }
  inverse(y: Tensor): Tensor {
    const { eps, tiny } = limits(y.dtype);
    const safe = y.clamp({ min: tiny, max: 1 - eps });
    return safe.log().sub(safe.neg().log1p());
  }
  log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    return functional.softplus(x.neg()).neg().sub(functional.softplus(x));
  }
}

export class TanhTransform extends Elementwise {
  override readonly codomain = constraints.interval(-1, 1);
  call(x: Tensor): Tensor {
    return x.tanh();
  }
  inverse(y: Tensor): Tensor {
    return y.atanh();
  }
  log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    // log(1 - tanh²), without cancellation.
    return x
      .neg()
      .add(Math.LN2)
      .sub(functional.softplus(x.mul(-2)))
      .mul(2);
  }
}

export class SoftplusTransform extends Elementwise {
  override readonly codomain = constraints.positive;
  call(x: Tensor): Tensor {
    return functional.softplus(x);
  }
  inverse(y: Tensor): Tensor {
    return y.neg().expm1().neg().log().add(y);
  }
  log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    return functional.softplus(x.neg()).neg();
  }
}

export class AbsTransform extends Elementwise {
  override readonly bijective = false;
  override readonly codomain = constraints.nonnegative;
  call(x: Tensor): Tensor {
    return x.abs();
  }
  inverse(y: Tensor): Tensor {
    return y;
  }
  log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    return ops.zeros_like(x);
  }
}

const same = (a: Value, b: Value): boolean => a === b || (a instanceof Tensor && b instanceof Tensor && a.equal(b));

/** loc + scale · x. `event_dim`: how many of the last dimensions make one value. */
export class AffineTransform extends Transform {
  readonly domain: Constraint;
  readonly codomain: Constraint;
  constructor(
    readonly loc: Value,
    readonly scale: Value,
    event_dim = 0,
  ) {
    super();
    this.domain = this.codomain = event_dim === 0 ? constraints.real : constraints.independent(constraints.real, event_dim);
  }
  override get sign(): Tensor | number {
    return this.scale instanceof Tensor ? this.scale.sign() : Math.sign(this.scale);
  }
  call(x: Tensor): Tensor {
    return x.mul(this.scale).add(this.loc);
  }
  inverse(y: Tensor): Tensor {
    return y.sub(this.loc).div(this.scale);
  }
  log_abs_det_jacobian(x: Tensor, _y: Tensor): Tensor {
    const { scale } = this;
    const log = scale instanceof Tensor ? scale.abs().log().expand_as(x) : ops.full_like(x, Math.log(Math.abs(scale)));
    return sumRightmost(log, this.event_dim);
  }
  override forward_shape(shape: Shape): Shape {
    const own = [this.loc, this.scale].map((v) => (v instanceof Tensor ? v.shape : []));
    return own.reduce((s, more) => broadcastShapes("AffineTransform", s, more), shape);
  }
  override inverse_shape(shape: Shape): Shape {
    return this.forward_shape(shape);
  }
  override equals(other: Transform): boolean {
    return other instanceof AffineTransform && same(this.loc, other.loc) && same(this.scale, other.scale);
  }
}

/** From all of space to shares, one dimension more, by breaking pieces off a stick. */
export class StickBreakingTransform extends Transform {
  readonly domain = constraints.real_vector;
  readonly codomain = constraints.simplex;
  private offset(x: Tensor): Tensor {
    const n = x.shape.at(-1)!;
    return ops.arange(n, 0, -1, { dtype: x.dtype, device: x.device });
  }
  call(x: Tensor): Tensor {
    const z = x.sub(this.offset(x).log()).sigmoid();
    const left = z.neg().add(1).cumprod(-1);
    return functional.pad(z, [0, 1], { value: 1 }).mul(functional.pad(left, [1, 0], { value: 1 }));
  }
  inverse(y: Tensor): Tensor {
    const n = y.shape.at(-1)! - 1;
    const head = y.narrow(-1, 0, n);
    const left = head
      .cumsum(-1)
      .neg()
      .add(1)
      .clamp({ min: limits(y.dtype).tiny });
    return head.log().sub(left.log()).add(this.offset(head).log());
  }
  log_abs_det_jacobian(x: Tensor, y: Tensor): Tensor {
    const shifted = x.sub(this.offset(x).log());
    return shifted
      .neg()
      .add(functional.logsigmoid(shifted))
      .add(y.narrow(-1, 0, x.shape.at(-1)!).log())
      .sum(-1);
  }
  override forward_shape(shape: Shape): Shape {
    if (shape.length < 1) throw new ValueError("Too few dimensions on input");
    return [...shape.slice(0, -1), shape.at(-1)! + 1];
  }
  override inverse_shape(shape: Shape): Shape {
    if (shape.length < 1) throw new ValueError("Too few dimensions on input");
    return [...shape.slice(0, -1), shape.at(-1)! - 1];
  }
}
