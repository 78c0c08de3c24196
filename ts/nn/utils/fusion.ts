/** Batch norm in eval mode is an affine map per channel: the layer before it can do that as well. */

import { RuntimeError } from "../../core/errors.ts";
import { no_grad } from "../../core/grad_mode.ts";
import type { Tensor } from "../../core/tensor.ts";
import * as ops from "../../ops/index.ts";
import { deepcopy } from "../copy.ts";
import type { Module } from "../module.ts";
import type { Linear } from "../modules/linear.ts";
import { Parameter } from "../parameter.ts";

interface Affine extends Module {
  weight: Parameter;
  bias: Parameter | null;
}
interface Norm extends Module {
  weight: Parameter | null;
  bias: Parameter | null;
  running_mean: Tensor | null;
  running_var: Tensor | null;
  eps: number;
}

function fused(
  dim: number,
  weight: Tensor,
  bias: Tensor | null,
  mean: Tensor,
  variance: Tensor,
  eps: number,
  scale: Tensor | null,
  shift: Tensor | null,
): [weight: Parameter, bias: Parameter] {
  return no_grad(() => {
    const factor = (scale ?? ops.ones_like(mean)).mul(variance.add(eps).rsqrt());
    const shape = weight.shape.map((_, d) => (d === dim ? -1 : 1));
    const moved = (bias ?? ops.zeros_like(mean))
      .sub(mean)
      .mul(factor)
      .add(shift ?? ops.zeros_like(mean));
    return [
      new Parameter(weight.mul(factor.reshape(shape)).to(weight.dtype), weight.requires_grad),
      new Parameter(moved.to((bias ?? weight).dtype), (bias ?? weight).requires_grad),
    ];
  });
}

/** A convolution's weight and bias with those of a batch norm in them; `transpose`: of a transposed convolution. */
export function fuse_conv_bn_weights(
  conv_w: Tensor,
  conv_b: Tensor | null,
  bn_rm: Tensor,
  bn_rv: Tensor,
  bn_eps: number,
  bn_w: Tensor | null,
  bn_b: Tensor | null,
  transpose = false,
): [weight: Parameter, bias: Parameter] {
  return fused(transpose ? 1 : 0, conv_w, conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b);
}
export function fuse_linear_bn_weights(
  linear_w: Tensor,
  linear_b: Tensor | null,
  bn_rm: Tensor,
  bn_rv: Tensor,
  bn_eps: number,
  bn_w: Tensor | null,
  bn_b: Tensor | null,
): [weight: Parameter, bias: Parameter] {
  return fused(0, linear_w, linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b);
}

function fuse<M extends Affine>(op: string, layer: M, bn: Norm, dim: number): M {
  if (layer.training || bn.training)
    throw new RuntimeError(`${op}: fusion is only for eval(); both modules must be in that mode`);
  if (bn.running_mean === null || bn.running_var === null) {
    throw new RuntimeError(`${op}: the batch norm has no running statistics (track_running_stats=False)`);
  }
  const out = deepcopy(layer);
  const { weight, bias } = layer;
  [out.weight, out.bias] = fused(dim, weight, bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias);
  return out;
}

/** A convolution that does what it and then the batch norm do, both in eval mode. */
export function fuse_conv_bn_eval<M extends Affine>(conv: M, bn: Norm, transpose = false): M {
  return fuse("fuse_conv_bn_eval", conv, bn, transpose ? 1 : 0);
}
export function fuse_linear_bn_eval(linear: Linear, bn: Norm & { num_features: number }): Linear {
  if (linear.out_features !== bn.num_features && bn.num_features !== 1) {
    throw new RuntimeError(
      `To fuse, linear.out_features == bn.num_features or bn.num_features == 1, got ${linear.out_features} and ${bn.num_features}`,
    );
  }
  return fuse("fuse_linear_bn_eval", linear, bn, 0);
}
