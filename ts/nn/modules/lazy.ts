/** Modules that learn the size of their input from the first one; with it they become modules of the plain class. */

import { int64 } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import { Tensor } from "../../core/tensor.ts";
import { parseSignature, type Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import { bind } from "../layer.ts";
import type { Module } from "../module.ts";
import { is_lazy, UninitializedBuffer, UninitializedParameter, type Factory, type Parameter } from "../parameter.ts";
import * as conv from "./conv.ts";
import { Linear } from "./linear.ts";
import * as norm from "./norm.ts";

type Options = Record<string, unknown> & Factory;
/* eslint-disable-next-line @typescript-eslint/no-explicit-any -- what a mixin's base has to be */
type Base<M> = new (...given: any[]) => M;
interface Resettable {
  reset_parameters(): void;
}

interface Recipe<M> {
  /** Of the lazy class. */
  readonly signature: string;
  /** Options of the plain class with which it makes nothing. */
  readonly nothing: Options;
  /** Puts uninitialised tensors where the plain class would have its own. */
  prepare(module: M, options: Options): void;
  /** Sets what depends on the input, and the shapes of what has none. */
  initialize(module: M, input: Tensor): void;
}

/** What a lazy class has besides what its plain class has. */
interface Lazy {
  /** Whether the first input is still to come. */
  has_uninitialized_params(): boolean;
}

function lazily<M extends Module & Resettable, A extends unknown[]>(
  plain: Base<M>,
  recipe: Recipe<M>,
): new (...given: A) => M & Lazy {
  const base = plain as unknown as Base<Module & Resettable>;
  const { names } = parseSignature(recipe.signature);
  const { prototype } = base as { prototype: Resettable };
  class LazyModule extends base {
    constructor(...given: unknown[]) {
      const values = bind<unknown[]>(new.target.name, recipe.signature, given);
      const options = Object.fromEntries(names.map((name, i) => [name, values[i]])) as Options;
      super({ ...options, ...recipe.nothing });
      recipe.prepare(this as unknown as M, options);
    }
    has_uninitialized_params(): boolean {
      return [...this._own(Tensor)].some(([, t]) => is_lazy(t));
    }
    /** Nothing before the first input. */
    override reset_parameters(): void {
      if (!this.has_uninitialized_params()) prototype.reset_parameters.call(this);
    }
    forward(...given: unknown[]): unknown {
      const [input] = given;
      if (!(input instanceof Tensor)) throw new TypeError(`${this._get_name()}: expected a tensor as its first input`);
      const isNew = this.has_uninitialized_params();
      recipe.initialize(this as unknown as M, input);
      if (isNew) this.reset_parameters();
      Object.setPrototypeOf(this, prototype as object);
      return (this as unknown as { forward(...args: unknown[]): unknown }).forward(...given);
    }
  }
  return LazyModule as unknown as new (...given: A) => M & Lazy;
}

function materialize(t: Tensor | null, shape: readonly number[]): void {
  if (is_lazy(t)) t.materialize(shape);
}

export class LazyLinear extends lazily<Linear, Args<[{ out_features: number }, { bias?: boolean }], Factory>>(Linear, {
  signature: "out_features, bias=True, device=None, dtype=None",
  nothing: { in_features: 0, out_features: 0, bias: false },
  prepare(m, { out_features, bias, ...factory }) {
    m.out_features = out_features as number;
    m.weight = new UninitializedParameter(factory);
    m.bias = bias === true ? new UninitializedParameter(factory) : null;
  },
  initialize(m, input) {
    m.in_features = input.shape.at(-1)!;
    materialize(m.weight, [m.out_features, m.in_features]);
    materialize(m.bias, [m.out_features]);
  },
}) {}

/** The number of channels of an input with or without a batch. */
function channelsOf(module: Module, input: Tensor, n: number): number {
  if (input.ndim === n + 2) return input.shape[1]!;
  if (input.ndim === n + 1) return input.shape[0]!;
  throw new RuntimeError(
    `Expected ${n + 1}D (unbatched) or ${n + 2}D (batched) input to ${module._get_name()}, but got input of size: ${formatShape(input.shape)}`,
  );
}

type Conv = conv.Conv1d | conv.ConvTranspose1d;
const convRecipe = (signature: string): Recipe<Conv> => ({
  signature: signature.replace("in_channels, ", ""),
  nothing: { in_channels: 0, out_channels: 0, bias: false },
  prepare(m, { out_channels, bias, device, dtype }) {
    m.out_channels = out_channels as number;
    m.weight = new UninitializedParameter({ device, dtype });
    m.bias = bias === true ? new UninitializedParameter({ device, dtype }) : null;
  },
  initialize(m, input) {
    const { groups, out_channels, kernel_size } = m;
    const channels = (m.in_channels = channelsOf(m, input, kernel_size.length));
    if (channels % groups !== 0) throw new ValueError("in_channels must be divisible by groups");
    const outer = m.transposed ? [channels, out_channels / groups] : [out_channels, channels / groups];
    materialize(m.weight, [...outer, ...kernel_size]);
    materialize(m.bias, [out_channels]);
  },
});
type LazyConvArgs = Args<conv.ConvRest, Factory>;
type LazyTransposeArgs = Args<conv.TransposeRest, Factory>;
const plainConv = convRecipe(conv.CONV);
const transposed = convRecipe(conv.TRANSPOSE);

export class LazyConv1d extends lazily<conv.Conv1d, LazyConvArgs>(conv.Conv1d, plainConv) {}
export class LazyConv2d extends lazily<conv.Conv2d, LazyConvArgs>(conv.Conv2d, plainConv) {}
export class LazyConv3d extends lazily<conv.Conv3d, LazyConvArgs>(conv.Conv3d, plainConv) {}
export class LazyConvTranspose1d extends lazily<conv.ConvTranspose1d, LazyTransposeArgs>(conv.ConvTranspose1d, transposed) {}
export class LazyConvTranspose2d extends lazily<conv.ConvTranspose2d, LazyTransposeArgs>(conv.ConvTranspose2d, transposed) {}
export class LazyConvTranspose3d extends lazily<conv.ConvTranspose3d, LazyTransposeArgs>(conv.ConvTranspose3d, transposed) {}

/** `spatial`: dimensions of the data where an input may come without a batch; null where it may not. */
const normRecipe = (spatial: number | null): Recipe<norm.ChannelNorm> => ({
  signature: norm.BATCH_NORM.replace("num_features, ", ""),
  nothing: { num_features: 0, affine: false, track_running_stats: false },
  prepare(m, { affine, track_running_stats, device, dtype }) {
    const parameter = (): Parameter => new UninitializedParameter({ device, dtype });
    const buffer = (): Tensor => new UninitializedBuffer({ device, dtype });
    m.affine = affine === true;
    m.track_running_stats = track_running_stats === true;
    if (m.affine) [m.weight, m.bias] = [parameter(), parameter()];
    if (!m.track_running_stats) return;
    [m.running_mean, m.running_var] = [buffer(), buffer()];
    m.num_batches_tracked = ops.zeros([], { device: device ?? null, dtype: int64 });
  },
  initialize(m, input) {
    m.num_features = spatial === null ? input.shape[1]! : channelsOf(m, input, spatial);
    for (const t of [m.weight, m.bias, m.running_mean, m.running_var]) materialize(t, [m.num_features]);
  },
});
type LazyNormArgs = Args<norm.NormRest, Factory>;
const batchNorm = normRecipe(null);

export class LazyBatchNorm1d extends lazily<norm.BatchNorm1d, LazyNormArgs>(norm.BatchNorm1d, batchNorm) {}
export class LazyBatchNorm2d extends lazily<norm.BatchNorm2d, LazyNormArgs>(norm.BatchNorm2d, batchNorm) {}
export class LazyBatchNorm3d extends lazily<norm.BatchNorm3d, LazyNormArgs>(norm.BatchNorm3d, batchNorm) {}
export class LazyInstanceNorm1d extends lazily<norm.InstanceNorm1d, LazyNormArgs>(norm.InstanceNorm1d, normRecipe(1)) {}
export class LazyInstanceNorm2d extends lazily<norm.InstanceNorm2d, LazyNormArgs>(norm.InstanceNorm2d, normRecipe(2)) {}
export class LazyInstanceNorm3d extends lazily<norm.InstanceNorm3d, LazyNormArgs>(norm.InstanceNorm3d, normRecipe(3)) {}
