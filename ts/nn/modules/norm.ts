/** Normalisations. */

import type { Device } from "../../core/device.ts";
import { int64, type DType } from "../../core/dtype.ts";
import { ValueError } from "../../core/errors.ts";
import { no_grad } from "../../core/grad_mode.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import * as init from "../init.ts";
import { bind, F, layer, type Factory } from "../layer.ts";
import { Module } from "../module.ts";
import { Parameter } from "../parameter.ts";
import { repr, reprFloat } from "../repr.ts";

/** What follows num_features. */
export type NormRest = [{ eps?: number }, { momentum?: number | null }, { affine?: boolean }, { track_running_stats?: boolean }];
type NormArgs = Args<[{ num_features: number }, ...NormRest], Factory>;
/** @internal */
export const BATCH_NORM = "num_features, eps=1e-5, momentum=0.1, affine=True, track_running_stats=True, device=None, dtype=None";
const INSTANCE_NORM = "num_features, eps=1e-5, momentum=0.1, affine=False, track_running_stats=False, device=None, dtype=None";

type LoadArgs = Parameters<Module["_load_from_state_dict"]>;

/** What batch and instance norm share: running statistics and an affine map per channel. */
export abstract class ChannelNorm extends Module {
  num_features: number;
  eps: number;
  momentum: number | null;
  affine: boolean;
  track_running_stats: boolean;
  weight: Parameter | null;
  bias: Parameter | null;
  declare running_mean: Tensor | null;
  declare running_var: Tensor | null;
  declare num_batches_tracked: Tensor | null;

  constructor(signature: string, given: readonly unknown[]) {
    super();
    const [n, eps, momentum, affine, track, device, dtype] = bind<
      [number, number, number | null, boolean, boolean, Device | null, DType | null]
    >(new.target.name, signature, given);
    this.num_features = n;
    this.eps = eps;
    this.momentum = momentum;
    this.affine = affine;
    this.track_running_stats = track;
    this.weight = affine ? new Parameter(ops.ones([n], { device, dtype })) : null;
    this.bias = affine ? new Parameter(ops.zeros([n], { device, dtype })) : null;
    this.register_buffer("running_mean", track ? ops.zeros([n], { device, dtype }) : null);
    this.register_buffer("running_var", track ? ops.ones([n], { device, dtype }) : null);
    this.register_buffer("num_batches_tracked", track ? ops.zeros([], { device, dtype: int64 }) : null);
  }
  reset_running_stats(): void {
    if (!this.track_running_stats) return;
    no_grad(() => {
      this.running_mean!.zero_();
      this.running_var!.fill_(1);
      this.num_batches_tracked!.zero_();
    });
  }
  reset_parameters(): void {
    this.reset_running_stats();
    if (this.weight !== null) init.ones_(this.weight);
    if (this.bias !== null) init.zeros_(this.bias);
  }
  static override readonly _version: number = 2;
  /** The first version had no counter. */
  override _load_from_state_dict(...given: LoadArgs): void {
    const [state, prefix, { version }] = given;
    const key = `${prefix}num_batches_tracked`;
    if ((version ?? 1) < 2 && this.track_running_stats && !(key in state)) state[key] = this.num_batches_tracked!;
    super._load_from_state_dict(...given);
  }
  protected checkRank(input: Tensor, ...ranks: number[]): void {
    if (ranks.includes(input.ndim)) return;
    throw new ValueError(`expected ${ranks.map((r) => `${r}D`).join(" or ")} input (got ${input.ndim}D input)`);
  }
  override extra_repr(): string {
    return `${this.num_features}, eps=${reprFloat(this.eps)}, momentum=${reprFloat(this.momentum)}, affine=${repr(this.affine)}, track_running_stats=${repr(this.track_running_stats)}`;
  }
}

abstract class BatchNorm extends ChannelNorm {
  constructor(...given: NormArgs) {
    super(BATCH_NORM, given);
  }
  protected normalize(input: Tensor): Tensor {
    const counter = this.training ? this.num_batches_tracked : null;
    if (counter !== null) no_grad(() => counter.add_(1));
    const byBatch = this.training || this.running_mean === null;
    const known = !this.training || this.track_running_stats;
    const running = known ? [this.running_mean, this.running_var] : [null, null];
    const run = ([mean, variance]: readonly (Tensor | null)[], momentum: number): Tensor =>
      F.batch_norm(input, mean!, variance!, this.weight, this.bias, byBatch, momentum, this.eps) as Tensor;
    if (counter === null || this.momentum !== null) return run(running, this.momentum ?? 0);
    // Without momentum: the plain average of all batches, whose number stays on the device.
    const seen = running.map((t) => t?.clone() ?? null);
    const out = run(seen, 1);
    no_grad(() => running.forEach((t, i) => t?.lerp_(seen[i]!, counter.to(t.dtype).reciprocal())));
    return out;
  }
}

export class BatchNorm1d extends BatchNorm {
  forward(input: Tensor): Tensor {
    this.checkRank(input, 2, 3);
    return this.normalize(input);
  }
}
export class BatchNorm2d extends BatchNorm {
  forward(input: Tensor): Tensor {
    this.checkRank(input, 4);
    return this.normalize(input);
  }
}
export class BatchNorm3d extends BatchNorm {
  forward(input: Tensor): Tensor {
    this.checkRank(input, 5);
    return this.normalize(input);
  }
}

abstract class InstanceNorm extends ChannelNorm {
  constructor(...given: NormArgs) {
    super(INSTANCE_NORM, given);
  }
  /** `spatial`: dimensions of the data; an input without a batch has one less than with. */
  protected normalize(input: Tensor, spatial: number): Tensor {
    this.checkRank(input, spatial + 1, spatial + 2);
    const single = input.ndim === spatial + 1;
    const channels = input.shape[single ? 0 : 1]!;
    if (channels !== this.num_features && this.affine) {
      throw new ValueError(
        `expected input's size at dim=${single ? 0 : 1} to match num_features (${this.num_features}), but got: ${channels}.`,
      );
    }
    const out = F.instance_norm(
      single ? input.unsqueeze(0) : input,
      this.running_mean,
      this.running_var,
      this.weight,
      this.bias,
      this.training || !this.track_running_stats,
      this.momentum ?? 0,
      this.eps,
    ) as Tensor;
    return single ? out.squeeze(0) : out;
  }
}

export class InstanceNorm1d extends InstanceNorm {
  forward(input: Tensor): Tensor {
    return this.normalize(input, 1);
  }
}
export class InstanceNorm2d extends InstanceNorm {
  forward(input: Tensor): Tensor {
    return this.normalize(input, 2);
  }
}
export class InstanceNorm3d extends InstanceNorm {
  forward(input: Tensor): Tensor {
    return this.normalize(input, 3);
  }
}

type ShapeArg = { normalized_shape: number | readonly number[] };

export class LayerNorm extends Module {
  normalized_shape: readonly number[];
  eps: number;
  elementwise_affine: boolean;
  weight: Parameter | null;
  bias: Parameter | null;

  constructor(...given: Args<[ShapeArg, { eps?: number }, { elementwise_affine?: boolean }, { bias?: boolean }], Factory>) {
    super();
    const [shape, eps, affine, bias, device, dtype] = bind<
      [number | readonly number[], number, boolean, boolean, Device | null, DType | null]
    >("LayerNorm", "normalized_shape, eps=1e-5, elementwise_affine=True, bias=True, device=None, dtype=None", given);
    this.normalized_shape = typeof shape === "number" ? [shape] : [...shape];
    this.eps = eps;
    this.elementwise_affine = affine;
    this.weight = affine ? new Parameter(ops.ones(this.normalized_shape, { device, dtype })) : null;
    this.bias = affine && bias ? new Parameter(ops.zeros(this.normalized_shape, { device, dtype })) : null;
  }
  reset_parameters(): void {
    if (this.weight !== null) init.ones_(this.weight);
    if (this.bias !== null) init.zeros_(this.bias);
  }
  forward(input: Tensor): Tensor {
    return F.layer_norm(input, this.normalized_shape, this.weight, this.bias, this.eps) as Tensor;
  }
  override extra_repr(): string {
    return `${repr(this.normalized_shape)}, eps=${reprFloat(this.eps)}, elementwise_affine=${repr(this.elementwise_affine)}`;
  }
}

export class RMSNorm extends Module {
  normalized_shape: readonly number[];
  eps: number | null;
  elementwise_affine: boolean;
  weight: Parameter | null;

  constructor(...given: Args<[ShapeArg, { eps?: number | null }, { elementwise_affine?: boolean }], Factory>) {
    super();
    const [shape, eps, affine, device, dtype] = bind<
      [number | readonly number[], number | null, boolean, Device | null, DType | null]
    >("RMSNorm", "normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None", given);
    this.normalized_shape = typeof shape === "number" ? [shape] : [...shape];
    this.eps = eps;
    this.elementwise_affine = affine;
    this.weight = affine ? new Parameter(ops.ones(this.normalized_shape, { device, dtype })) : null;
  }
  reset_parameters(): void {
    if (this.weight !== null) init.ones_(this.weight);
  }
  forward(input: Tensor): Tensor {
    return F.rms_norm(input, this.normalized_shape, this.weight, this.eps) as Tensor;
  }
  override extra_repr(): string {
    return `${repr(this.normalized_shape)}, eps=${reprFloat(this.eps)}, elementwise_affine=${repr(this.elementwise_affine)}`;
  }
}

export class GroupNorm extends Module {
  num_groups: number;
  num_channels: number;
  eps: number;
  affine: boolean;
  weight: Parameter | null;
  bias: Parameter | null;

  constructor(
    ...given: Args<[{ num_groups: number }, { num_channels: number }, { eps?: number }, { affine?: boolean }], Factory>
  ) {
    super();
    const [groups, channels, eps, affine, device, dtype] = bind<[number, number, number, boolean, Device | null, DType | null]>(
      "GroupNorm",
      "num_groups, num_channels, eps=1e-5, affine=True, device=None, dtype=None",
      given,
    );
    if (channels % groups !== 0) throw new ValueError("num_channels must be divisible by num_groups");
    this.num_groups = groups;
    this.num_channels = channels;
    this.eps = eps;
    this.affine = affine;
    this.weight = affine ? new Parameter(ops.ones([channels], { device, dtype })) : null;
    this.bias = affine ? new Parameter(ops.zeros([channels], { device, dtype })) : null;
  }
  reset_parameters(): void {
    if (this.weight !== null) init.ones_(this.weight);
    if (this.bias !== null) init.zeros_(this.bias);
  }
  forward(input: Tensor): Tensor {
    return F.group_norm(input, this.num_groups, this.weight, this.bias, this.eps) as Tensor;
  }
  override extra_repr(): string {
    return `${this.num_groups}, ${this.num_channels}, eps=${reprFloat(this.eps)}, affine=${repr(this.affine)}`;
  }
}

export class LocalResponseNorm extends layer<[{ size: number }, { alpha?: number }, { beta?: number }, { k?: number }]>(
  "size, alpha=1e-4, beta=0.75, k=1.0",
  (m, x) => F.local_response_norm(x, m.size, m.alpha, m.beta, m.k) as Tensor,
  { repr: "size, alpha=, beta=, k=" },
) {}
