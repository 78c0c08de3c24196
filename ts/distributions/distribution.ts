/** The base of all distributions, and what they share: broadcasting of parameters, probabilities and logits. */

import { float64, get_default_dtype, promote_types } from "../core/dtype.ts";
import { NotImplementedError, ValueError } from "../core/errors.ts";
import { is_grad_enabled, no_grad } from "../core/grad_mode.ts";
import { sameShape, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { readable } from "../engine/blocking.ts";
import { bindArguments, parseSignature, type Args } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import type { Constraint } from "./constraints.ts";
import { limits } from "./limits.ts";

/** A parameter: a tensor, or a number for all. */
export type Value = Tensor | number;
export type Validate = boolean | null;
/** Arguments of a constructor, `validate_args` being the last. */
export type Given<P extends readonly object[]> = Args<[...P, { validate_args?: Validate }]>;

/** @internal Arguments in the order of PyTorch's signature. */
export function bind<T extends unknown[]>(name: string, text: string, given: readonly unknown[]): T {
  return bindArguments(name, parseSignature(`${text}, validate_args=None`), given) as T;
}

/** @internal Tensors of one shape; numbers take the type and the place of the first tensor. */
export function broadcast_all(...values: readonly Value[]): Tensor[] {
  const like = values.find((x) => x instanceof Tensor);
  const options = like === undefined ? { dtype: get_default_dtype() } : { dtype: like.dtype, device: like.device };
  for (const x of values) {
    if (x instanceof Tensor || typeof x === "number") continue;
    throw new ValueError(`Input arguments must all be numbers or tensors, but got ${x === null ? "null" : typeof x}.`);
  }
  return ops.broadcast_tensors(...values.map((x) => (x instanceof Tensor ? x : ops.tensor(x, options))));
}

/** @internal */
export function clampProbs(probs: Tensor): Tensor {
  const { eps } = limits(probs.dtype);
  return probs.clamp({ min: eps, max: 1 - eps });
}
/** @internal */
export function probsToLogits(probs: Tensor, binary = false): Tensor {
  const safe = clampProbs(probs);
  return binary ? safe.log().sub(safe.neg().log1p()) : safe.log();
}
/** @internal */
export function logitsToProbs(logits: Tensor, binary = false): Tensor {
  return binary ? logits.sigmoid() : logits.softmax(-1);
}

/** @internal A formula whose large terms cancel, computed in float64 where the device has it. */
export function precisely<T extends readonly Tensor[]>(inputs: T, formula: (...wide: T) => Tensor): Tensor {
  const dtype = inputs.reduce((type, t) => promote_types(type, t.dtype), inputs[0]!.dtype);
  const wide = inputs.map((t) => (t.device.caps.float64 ? t.to(float64) : t)) as unknown as T;
  return formula(...wide).to(dtype);
}

/** @internal The sum over the last `n` dimensions. */
export function sumRightmost(x: Tensor, n: number): Tensor {
  return n === 0 ? x : x.flatten(x.ndim - n).sum(-1);
}

/** @internal A tensor of x's type and place, to be filled. */
export const newLike = (x: Tensor, shape: Shape): Tensor => ops.empty(shape, { dtype: x.dtype, device: x.device });
/** @internal Draws from the standard normal distribution in x's type. */
export function standardNormal(x: Tensor, shape: Shape): Tensor {
  return newLike(x, shape).normal_();
}

const size = (shape: Shape): string => `torch.Size([${shape.join(", ")}])`;
const tuple = (shape: Shape): string => (shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(", ")})`);

let validateByDefault = true;

/** A probability distribution: `batch_shape` of independent ones, each over values of `event_shape`. */
export abstract class Distribution {
  static set_default_validate_args(value: boolean): void {
    validateByDefault = value;
  }

  readonly has_rsample: boolean = false;
  readonly has_enumerate_support: boolean = false;
  #batch: Shape = [];
  #event: Shape = [];
  #validate = true;
  /** @internal The parameters that were given, and what they must satisfy. */
  _parameters: Readonly<Record<string, Constraint>> = {};

  /** What each parameter must satisfy. */
  get arg_constraints(): Readonly<Record<string, Constraint>> {
    return this._parameters;
  }
  get batch_shape(): Shape {
    return this.#batch;
  }
  get event_shape(): Shape {
    return this.#event;
  }
  /** Whether parameters and values are checked. Values on devices that cannot be read synchronously are checked within `torch.blocking` only. */
  get validate_args(): boolean {
    return this.#validate;
  }

  /** @internal The last act of each constructor. */
  protected setUp(batch: Shape, event: Shape, validate: Validate, parameters: Readonly<Record<string, Constraint>>): void {
    this.#batch = batch;
    this.#event = event;
    this.#validate = validate ?? validateByDefault;
    this._parameters = parameters;
    if (!this.#validate) return;
    for (const [name, constraint] of Object.entries(parameters)) {
      const value = this.parameter(name);
      if (holds(constraint, value)) continue;
      throw new ValueError(
        `Expected parameter ${name} (Tensor of shape ${tuple(value.shape)}) of distribution ${this.toString()} to satisfy the constraint ${constraint.toString()}, but found invalid values:\n${value.toString()}`,
      );
    }
  }

  private parameter(name: string): Tensor {
    return (this as unknown as Record<string, Tensor>)[name]!;
  }

  /** The same with its parameters expanded to another `batch_shape`. */
  expand(batch_shape: Shape): this {
    const values: Record<string, Tensor> = {};
    for (const [name, { event_dim }] of Object.entries(this._parameters)) {
      const value = this.parameter(name);
      values[name] = value.expand([...batch_shape, ...value.shape.slice(value.ndim - event_dim)]);
    }
    return this.rebuild(values, batch_shape);
  }
  /** @internal With other parameters. */
  protected rebuild(values: Record<string, unknown>, _batch_shape: Shape): this {
    const make = this.constructor as new (options: Record<string, unknown>) => this;
    const made = new make({ ...values, validate_args: false });
    made.#validate = this.#validate;
    return made;
  }

  /** The values that have a density. */
  get support(): Constraint {
    throw this.missing("support");
  }
  get mean(): Tensor {
    throw this.missing("mean");
  }
  get mode(): Tensor {
    throw this.missing("mode");
  }
  get variance(): Tensor {
    throw this.missing("variance");
  }
  get stddev(): Tensor {
    return this.variance.sqrt();
  }

  /** Draws without a gradient. */
  sample(sample_shape: Shape = []): Tensor {
    return no_grad(() => this.rsample(sample_shape));
  }
  /** Draws with a gradient for the parameters. */
  rsample(_sample_shape: Shape = []): Tensor {
    throw this.missing("rsample");
  }
  log_prob(_value: Tensor): Tensor {
    throw this.missing("log_prob");
  }
  cdf(_value: Tensor): Tensor {
    throw this.missing("cdf");
  }
  icdf(_value: Tensor): Tensor {
    throw this.missing("icdf");
  }
  entropy(): Tensor {
    throw this.missing("entropy");
  }
  perplexity(): Tensor {
    return this.entropy().exp();
  }
  /** All values of a discrete distribution, along a first dimension. */
  enumerate_support(_expand = true): Tensor {
    throw this.missing("enumerate_support");
  }
  /** @internal */
  protected missing(what: string): NotImplementedError {
    return new NotImplementedError(`${this.constructor.name}.${what} is not defined for this distribution`);
  }

  /** @internal The shape of a draw. */
  protected extendedShape(sample_shape: Shape): Shape {
    return [...sample_shape, ...this.#batch, ...this.#event];
  }

  /** @internal Throws where a value has the wrong shape or is not in the support. */
  protected checkSample(value: Tensor): void {
    if (!this.#validate) return;
    if (!(value instanceof Tensor)) throw new ValueError("The value argument to log_prob must be a Tensor");
    const event = value.shape.slice(Math.max(value.ndim - this.#event.length, 0));
    if (!sameShape(event, this.#event)) {
      throw new ValueError(`The right-most size of value must match event_shape: ${size(value.shape)} vs ${size(this.#event)}.`);
    }
    const expected = this.extendedShape([]);
    for (let i = 1; i <= Math.min(expected.length, value.ndim); i++) {
      const [have, want] = [value.shape.at(-i)!, expected.at(-i)!];
      if (have === 1 || want === 1 || have === want) continue;
      throw new ValueError(`Value is not broadcastable with batch_shape+event_shape: ${size(value.shape)} vs ${size(expected)}.`);
    }
    const { support } = this;
    if (holds(support, value)) return;
    throw new ValueError(
      `Expected value argument (Tensor of shape ${tuple(value.shape)}) to be within the support (${support.toString()}) of the distribution ${this.toString()}, but found invalid values:\n${value.toString()}`,
    );
  }

  toString(): string {
    const parts = Object.keys(this._parameters).map((name) => {
      const value = this.parameter(name);
      return `${name}: ${value.numel() === 1 && readable(value.device) ? shownNumber(value) : size(value.shape)}`;
    });
    return `${this.constructor.name}(${parts.join(", ")})`;
  }
}

function shownNumber(value: Tensor): string {
  if (value.ndim > 0) return value.toString();
  const x = Number(value.item_sync());
  return value.dtype.is_floating_point && Number.isInteger(x) ? x.toFixed(1) : String(x);
}

function holds(constraint: Constraint, value: Tensor): boolean {
  if (!readable(value.device)) return true;
  const check = (): boolean => Boolean(constraint.check(value).all().item_sync());
  return is_grad_enabled() ? no_grad(check) : check();
}
