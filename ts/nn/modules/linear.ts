/** Linear maps. */

import type { Device } from "../../core/device.ts";
import type { DType } from "../../core/dtype.ts";
import { ValueError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import * as init from "../init.ts";
import { bind, F, type Factory } from "../layer.ts";
import { Module } from "../module.ts";
import { Parameter } from "../parameter.ts";
import { repr } from "../repr.ts";
import { uniformBias } from "./bias.ts";

/** Gives back what it gets; takes any arguments. */
export class Identity extends Module {
  constructor(..._unused: unknown[]) {
    super();
  }
  forward(input: Tensor): Tensor {
    return input;
  }
}

/** input @ weight.T + bias. */
export class Linear extends Module {
  in_features: number;
  out_features: number;
  weight: Parameter;
  bias: Parameter | null;

  constructor(...given: Args<[{ in_features: number }, { out_features: number }, { bias?: boolean }], Factory>) {
    super();
    const [inFeatures, outFeatures, bias, device, dtype] = bind<[number, number, boolean, Device | null, DType | null]>(
      "Linear",
      "in_features, out_features, bias=True, device=None, dtype=None",
      given,
    );
    this.in_features = inFeatures;
    this.out_features = outFeatures;
    this.weight = new Parameter(ops.empty([outFeatures, inFeatures], { device, dtype }));
    this.bias = bias ? new Parameter(ops.empty([outFeatures], { device, dtype })) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    init.kaiming_uniform_(this.weight, Math.sqrt(5));
    uniformBias(this.bias, this.weight);
  }
  forward(input: Tensor): Tensor {
    return F.linear(input, this.weight, this.bias) as Tensor;
  }
  override extra_repr(): string {
    return `in_features=${this.in_features}, out_features=${this.out_features}, bias=${repr(this.bias !== null)}`;
  }
}

/** input1ᵀ A input2 + bias. */
export class Bilinear extends Module {
  in1_features: number;
  in2_features: number;
  out_features: number;
  weight: Parameter;
  bias: Parameter | null;

  constructor(
    ...given: Args<[{ in1_features: number }, { in2_features: number }, { out_features: number }, { bias?: boolean }], Factory>
  ) {
    super();
    const [in1, in2, out, bias, device, dtype] = bind<[number, number, number, boolean, Device | null, DType | null]>(
      "Bilinear",
      "in1_features, in2_features, out_features, bias=True, device=None, dtype=None",
      given,
    );
    if (!(in1 > 0)) throw new ValueError(`in1_features must be > 0, but got ${in1}`);
    this.in1_features = in1;
    this.in2_features = in2;
    this.out_features = out;
    this.weight = new Parameter(ops.empty([out, in1, in2], { device, dtype }));
    this.bias = bias ? new Parameter(ops.empty([out], { device, dtype })) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    const bound = 1 / Math.sqrt(this.in1_features);
    init.uniform_(this.weight, -bound, bound);
    if (this.bias !== null) init.uniform_(this.bias, -bound, bound);
  }
  forward(input1: Tensor, input2: Tensor): Tensor {
    return F.bilinear(input1, input2, this.weight, this.bias) as Tensor;
  }
  override extra_repr(): string {
    return `in1_features=${this.in1_features}, in2_features=${this.in2_features}, out_features=${this.out_features}, bias=${repr(this.bias !== null)}`;
  }
}
