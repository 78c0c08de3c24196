/** Convolutions and their transposes in one, two and three dimensions. */

import type { Device } from "../../core/device.ts";
import type { DType } from "../../core/dtype.ts";
import { ValueError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import type { Args } from "../../engine/signature.ts";
import * as ops from "../../ops/index.ts";
import * as init from "../init.ts";
import { bind, F, tuple, type Factory } from "../layer.ts";
import { Module } from "../module.ts";
import { Parameter } from "../parameter.ts";
import { repr } from "../repr.ts";
import { uniformBias } from "./bias.ts";

export type PaddingMode = "zeros" | "reflect" | "replicate" | "circular";
type Size = number | readonly number[];

/** What follows in_channels. */
export type ConvRest = [
  { out_channels: number },
  { kernel_size: Size },
  { stride?: Size },
  { padding?: Size | "same" | "valid" },
  { dilation?: Size },
  { groups?: number },
  { bias?: boolean },
  { padding_mode?: PaddingMode },
];
export type TransposeRest = [
  { out_channels: number },
  { kernel_size: Size },
  { stride?: Size },
  { padding?: Size },
  { output_padding?: Size },
  { groups?: number },
  { bias?: boolean },
  { dilation?: Size },
  { padding_mode?: "zeros" },
];
type ConvArgs = Args<[{ in_channels: number }, ...ConvRest], Factory>;
type TransposeArgs = Args<[{ in_channels: number }, ...TransposeRest], Factory>;

/** @internal */
export const CONV =
  "in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1, groups=1, bias=True, padding_mode='zeros', device=None, dtype=None";
/** @internal */
export const TRANSPOSE =
  "in_channels, out_channels, kernel_size, stride=1, padding=0, output_padding=0, groups=1, bias=True, dilation=1, padding_mode='zeros', device=None, dtype=None";

interface Settings {
  in_channels: number;
  out_channels: number;
  kernel_size: Size;
  stride: Size;
  padding: Size | "same" | "valid";
  dilation: Size;
  output_padding: Size;
  groups: number;
  bias: boolean;
  padding_mode: PaddingMode;
  device: Device | null;
  dtype: DType | null;
}

abstract class ConvNd extends Module {
  in_channels: number;
  out_channels: number;
  kernel_size: readonly number[];
  stride: readonly number[];
  padding: readonly number[] | "same" | "valid";
  dilation: readonly number[];
  transposed: boolean;
  output_padding: readonly number[];
  groups: number;
  padding_mode: PaddingMode;
  weight: Parameter;
  bias: Parameter | null;

  constructor(n: number, transposed: boolean, s: Settings) {
    super();
    if (!(s.groups > 0)) throw new ValueError("groups must be a positive integer");
    if (s.in_channels % s.groups !== 0) throw new ValueError("in_channels must be divisible by groups");
    if (s.out_channels % s.groups !== 0) throw new ValueError("out_channels must be divisible by groups");
    if (typeof s.padding === "string") {
      if (s.padding !== "same" && s.padding !== "valid") {
        throw new ValueError(`Invalid padding string '${String(s.padding)}', should be one of 'same', 'valid'`);
      }
      if (s.padding === "same" && tuple(s.stride, n).some((x) => x !== 1)) {
        throw new ValueError("padding='same' is not supported for strided convolutions");
      }
    }
    if (!["zeros", "reflect", "replicate", "circular"].includes(s.padding_mode)) {
      throw new ValueError(
        `padding_mode must be one of 'zeros', 'reflect', 'replicate', 'circular', but got padding_mode='${s.padding_mode}'`,
      );
    }
    if (transposed && s.padding_mode !== "zeros") {
      throw new ValueError(`Only "zeros" padding mode is supported for ${new.target.name}`);
    }
    this.in_channels = s.in_channels;
    this.out_channels = s.out_channels;
    this.kernel_size = tuple(s.kernel_size, n);
    this.stride = tuple(s.stride, n);
    this.padding = typeof s.padding === "string" ? s.padding : tuple(s.padding, n);
    this.dilation = tuple(s.dilation, n);
    this.transposed = transposed;
    this.output_padding = tuple(s.output_padding, n);
    this.groups = s.groups;
    this.padding_mode = s.padding_mode;
    const channels = transposed ? [s.in_channels, s.out_channels / s.groups] : [s.out_channels, s.in_channels / s.groups];
    const factory = { device: s.device, dtype: s.dtype };
    this.weight = new Parameter(ops.empty([...channels, ...this.kernel_size], factory));
    this.bias = s.bias ? new Parameter(ops.empty([s.out_channels], factory)) : null;
    this.reset_parameters();
  }
  reset_parameters(): void {
    init.kaiming_uniform_(this.weight, Math.sqrt(5));
    uniformBias(this.bias, this.weight);
  }
  override extra_repr(): string {
    const zeros = typeof this.padding !== "string" && this.padding.every((p) => p === 0);
    const parts = [
      `${this.in_channels}, ${this.out_channels}, kernel_size=${repr(this.kernel_size)}, stride=${repr(this.stride)}`,
    ];
    // PyTorch writes strings here without quotes.
    if (!zeros) parts.push(`padding=${typeof this.padding === "string" ? this.padding : repr(this.padding)}`);
    if (this.dilation.some((d) => d !== 1)) parts.push(`dilation=${repr(this.dilation)}`);
    if (this.output_padding.some((p) => p !== 0)) parts.push(`output_padding=${repr(this.output_padding)}`);
    if (this.groups !== 1) parts.push(`groups=${this.groups}`);
    if (this.bias === null) parts.push("bias=False");
    if (this.padding_mode !== "zeros") parts.push(`padding_mode=${this.padding_mode}`);
    return parts.join(", ");
  }
}

/** Padding by values of the input, as F.pad takes it: the last dimension first. */
function outerPadding(m: ConvNd): number[] {
  const n = m.kernel_size.length;
  const out: number[] = [];
  for (let d = n - 1; d >= 0; d--) {
    if (m.padding === "valid") out.push(0, 0);
    else if (m.padding === "same") {
      const total = m.dilation[d]! * (m.kernel_size[d]! - 1);
      out.push(Math.floor(total / 2), total - Math.floor(total / 2));
    } else out.push(m.padding[d]!, m.padding[d]!);
  }
  return out;
}

function convolve(name: string, m: ConvNd, input: Tensor): Tensor {
  if (m.padding_mode === "zeros") {
    return F[name](input, m.weight, m.bias, m.stride, m.padding, m.dilation, m.groups) as Tensor;
  }
  const padded = F.pad(input, outerPadding(m), { mode: m.padding_mode }) as Tensor;
  return F[name](padded, m.weight, m.bias, m.stride, 0, m.dilation, m.groups) as Tensor;
}

function convSettings(name: string, given: readonly unknown[]): Settings {
  const [i, o, k, s, p, d, g, b, mode, device, dtype] = bind<never[]>(name, CONV, given);
  return {
    in_channels: i!,
    out_channels: o!,
    kernel_size: k!,
    stride: s!,
    padding: p!,
    dilation: d!,
    output_padding: 0,
    groups: g!,
    bias: b!,
    padding_mode: mode!,
    device: device!,
    dtype: dtype!,
  };
}

function transposeSettings(name: string, given: readonly unknown[]): Settings {
  const [i, o, k, s, p, op, g, b, d, mode, device, dtype] = bind<never[]>(name, TRANSPOSE, given);
  return {
    in_channels: i!,
    out_channels: o!,
    kernel_size: k!,
    stride: s!,
    padding: p!,
    dilation: d!,
    output_padding: op!,
    groups: g!,
    bias: b!,
    padding_mode: mode!,
    device: device!,
    dtype: dtype!,
  };
}

export class Conv1d extends ConvNd {
  constructor(...given: ConvArgs) {
    super(1, false, convSettings("Conv1d", given));
  }
  forward(input: Tensor): Tensor {
    return convolve("conv1d", this, input);
  }
}
export class Conv2d extends ConvNd {
  constructor(...given: ConvArgs) {
    super(2, false, convSettings("Conv2d", given));
  }
  forward(input: Tensor): Tensor {
    return convolve("conv2d", this, input);
  }
}
export class Conv3d extends ConvNd {
  constructor(...given: ConvArgs) {
    super(3, false, convSettings("Conv3d", given));
  }
  forward(input: Tensor): Tensor {
    return convolve("conv3d", this, input);
  }
}

abstract class ConvTransposeNd extends ConvNd {
  constructor(n: number, s: Settings) {
    super(n, true, s);
  }
  /** `output_size`: which of the sizes that a stride leaves open. */
  forward(input: Tensor, output_size: readonly number[] | { output_size?: readonly number[] } | null = null): Tensor {
    const size = Array.isArray(output_size)
      ? (output_size as readonly number[])
      : ((output_size as { output_size?: readonly number[] } | null)?.output_size ?? null);
    const extra = size === null ? this.output_padding : this.outputPadding(input, size);
    const name = `conv_transpose${this.kernel_size.length}d`;
    return F[name](input, this.weight, this.bias, this.stride, this.padding, extra, this.groups, this.dilation) as Tensor;
  }
  private outputPadding(input: Tensor, given: readonly number[]): number[] {
    const n = this.kernel_size.length;
    if (given.length !== n && given.length !== input.ndim) {
      throw new ValueError(
        `${this.constructor.name}: for ${input.ndim}D input, output_size must have ${n} or ${input.ndim} elements (got ${given.length})`,
      );
    }
    const size = given.slice(given.length - n);
    return size.map((wanted, d) => {
      const padding = this.padding as readonly number[];
      const least =
        (input.shape[input.ndim - n + d]! - 1) * this.stride[d]! -
        2 * padding[d]! +
        this.dilation[d]! * (this.kernel_size[d]! - 1) +
        1;
      const extra = wanted - least;
      if (extra < 0 || extra >= this.stride[d]!) {
        throw new ValueError(
          `requested an output size of ${size.join("x")}, but valid sizes in dim ${d} range from ${least} to ${least + this.stride[d]! - 1}`,
        );
      }
      return extra;
    });
  }
}

export class ConvTranspose1d extends ConvTransposeNd {
  constructor(...given: TransposeArgs) {
    super(1, transposeSettings("ConvTranspose1d", given));
  }
}
export class ConvTranspose2d extends ConvTransposeNd {
  constructor(...given: TransposeArgs) {
    super(2, transposeSettings("ConvTranspose2d", given));
  }
}
export class ConvTranspose3d extends ConvTransposeNd {
  constructor(...given: TransposeArgs) {
    super(3, transposeSettings("ConvTranspose3d", given));
  }
}
