/** Layers that drop, pool, pad, resize and rearrange. */

import { ValueError } from "../../core/errors.ts";
import type { Tensor } from "../../core/tensor.ts";
import { F, layer, tuple } from "../layer.ts";
import { repr, reprFloat } from "../repr.ts";

type Size = number | readonly number[];
type OpenSize = number | null | readonly (number | null)[];

// Dropout

interface P {
  p?: number;
}
interface Inplace {
  inplace?: boolean;
}
function dropout(name: string) {
  return layer<[P, Inplace]>("p=0.5, inplace=False", (m, x) => F[name](x, m.p, m.training, m.inplace) as Tensor, {
    repr: "p=, inplace=",
    keep: ({ p }) => {
      if (!((p as number) >= 0 && (p as number) <= 1)) {
        throw new ValueError(`dropout probability has to be between 0 and 1, but got ${String(p)}`);
      }
    },
  });
}
export class Dropout extends dropout("dropout") {}
export class Dropout1d extends dropout("dropout1d") {}
export class Dropout2d extends dropout("dropout2d") {}
export class Dropout3d extends dropout("dropout3d") {}
export class AlphaDropout extends dropout("alpha_dropout") {}
export class FeatureAlphaDropout extends dropout("feature_alpha_dropout") {}

// Pooling

type MaxArgs = [
  { kernel_size: Size },
  { stride?: Size | null },
  { padding?: Size },
  { dilation?: Size },
  { return_indices?: boolean },
  { ceil_mode?: boolean },
];
/** Windows lie side by side unless told otherwise. */
function strideOfKernel(fields: Record<string, unknown>): void {
  fields.stride ??= fields.kernel_size;
}
/** One number for each dimension. */
const eachDim =
  (n: number) =>
  (fields: Record<string, unknown>): void => {
    strideOfKernel(fields);
    for (const name of ["kernel_size", "stride", "padding"]) fields[name] = tuple(fields[name] as Size, n);
  };
function maxPool(name: string) {
  return layer<MaxArgs>(
    "kernel_size, stride=None, padding=0, dilation=1, return_indices=False, ceil_mode=False",
    (m, x) =>
      F[name](x, m.kernel_size, m.stride, m.padding, m.dilation, {
        ceil_mode: m.ceil_mode,
        return_indices: m.return_indices,
      }) as Tensor,
    { repr: "kernel_size=, stride=, padding=, dilation=, ceil_mode=", keep: strideOfKernel },
  );
}
export class MaxPool1d extends maxPool("max_pool1d") {}
export class MaxPool2d extends maxPool("max_pool2d") {}
export class MaxPool3d extends maxPool("max_pool3d") {}

type UnpoolArgs = [{ kernel_size: Size }, { stride?: Size | null }, { padding?: Size }];
type UnpoolInputs = [
  input: Tensor,
  indices: Tensor,
  output_size?: readonly number[] | { output_size?: readonly number[] } | null,
];
function maxUnpool(name: string, n: number) {
  return layer<UnpoolArgs, UnpoolInputs>(
    "kernel_size, stride=None, padding=0",
    (m, x, indices, size) => {
      const given =
        Array.isArray(size) || size == null
          ? (size ?? null)
          : ((size as { output_size?: readonly number[] }).output_size ?? null);
      return F[name](x, indices, m.kernel_size, m.stride, m.padding, given) as Tensor;
    },
    { repr: "kernel_size=, stride=, padding=", keep: eachDim(n) },
  );
}
export class MaxUnpool1d extends maxUnpool("max_unpool1d", 1) {}
export class MaxUnpool2d extends maxUnpool("max_unpool2d", 2) {}
export class MaxUnpool3d extends maxUnpool("max_unpool3d", 3) {}

type AvgArgs = [
  { kernel_size: Size },
  { stride?: Size | null },
  { padding?: Size },
  { ceil_mode?: boolean },
  { count_include_pad?: boolean },
  { divisor_override?: number | null },
];
export class AvgPool1d extends layer<
  [{ kernel_size: Size }, { stride?: Size | null }, { padding?: Size }, { ceil_mode?: boolean }, { count_include_pad?: boolean }]
>(
  "kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True",
  (m, x) => F.avg_pool1d(x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad) as Tensor,
  { repr: "kernel_size=, stride=, padding=", keep: eachDim(1) },
) {}
function avgPool(name: string) {
  return layer<AvgArgs>(
    "kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True, divisor_override=None",
    (m, x) => F[name](x, m.kernel_size, m.stride, m.padding, m.ceil_mode, m.count_include_pad, m.divisor_override) as Tensor,
    { repr: "kernel_size=, stride=, padding=", keep: strideOfKernel },
  );
}
export class AvgPool2d extends avgPool("avg_pool2d") {}
export class AvgPool3d extends avgPool("avg_pool3d") {}

function lpPool(name: string) {
  return layer<[{ norm_type: number }, { kernel_size: Size }, { stride?: Size | null }, { ceil_mode?: boolean }]>(
    "norm_type, kernel_size, stride=None, ceil_mode=False",
    (m, x) => F[name](x, m.norm_type, m.kernel_size, m.stride, m.ceil_mode) as Tensor,
    { repr: "norm_type=, kernel_size=, stride=, ceil_mode=" },
  );
}
export class LPPool1d extends lpPool("lp_pool1d") {}
export class LPPool2d extends lpPool("lp_pool2d") {}
export class LPPool3d extends lpPool("lp_pool3d") {}

function adaptiveAvg(name: string) {
  return layer<[{ output_size: OpenSize }]>("output_size", (m, x) => F[name](x, m.output_size) as Tensor, {
    repr: "output_size=",
  });
}
export class AdaptiveAvgPool1d extends adaptiveAvg("adaptive_avg_pool1d") {}
export class AdaptiveAvgPool2d extends adaptiveAvg("adaptive_avg_pool2d") {}
export class AdaptiveAvgPool3d extends adaptiveAvg("adaptive_avg_pool3d") {}

function adaptiveMax(name: string) {
  return layer<[{ output_size: OpenSize }, { return_indices?: boolean }]>(
    "output_size, return_indices=False",
    (m, x) => F[name](x, m.output_size, m.return_indices) as Tensor,
    { repr: "output_size=" },
  );
}
export class AdaptiveMaxPool1d extends adaptiveMax("adaptive_max_pool1d") {}
export class AdaptiveMaxPool2d extends adaptiveMax("adaptive_max_pool2d") {}
export class AdaptiveMaxPool3d extends adaptiveMax("adaptive_max_pool3d") {}

type FractionalArgs = [
  { kernel_size: Size },
  { output_size?: Size | null },
  { output_ratio?: Size | null },
  { return_indices?: boolean },
  { _random_samples?: Tensor | null },
];
function checkFractional(fields: Record<string, unknown>): void {
  const { output_size, output_ratio } = fields;
  if (output_size === null && output_ratio === null) {
    throw new ValueError("FractionalMaxPool requires specifying either an output size, or a pooling ratio");
  }
  if (output_size !== null && output_ratio !== null) {
    throw new ValueError("only one of output_size and output_ratio may be specified");
  }
  const ratios = [output_ratio ?? []].flat() as number[];
  if (ratios.some((r) => !(r > 0 && r < 1))) {
    throw new ValueError(`output_ratio must be between 0 and 1 (got ${repr(output_ratio)})`);
  }
}
function fractional(name: string) {
  return layer<FractionalArgs>(
    "kernel_size, output_size=None, output_ratio=None, return_indices=False, _random_samples=None",
    (m, x) =>
      F[name](x, m.kernel_size, {
        output_size: m.output_size,
        output_ratio: m.output_ratio,
        return_indices: m.return_indices,
        _random_samples: m._random_samples,
      }) as Tensor,
    { keep: checkFractional },
  );
}
export class FractionalMaxPool2d extends fractional("fractional_max_pool2d") {}
export class FractionalMaxPool3d extends fractional("fractional_max_pool3d") {}

// Padding

type PadArgs = [{ padding: Size }];
const eachSide =
  (n: number) =>
  (fields: Record<string, unknown>): void => {
    fields.padding = tuple(fields.padding as Size, 2 * n);
  };
function pad(mode: string, n: number) {
  return layer<PadArgs>("padding", (m, x) => F.pad(x, m.padding, { mode }) as Tensor, {
    repr: "padding",
    keep: eachSide(n),
  });
}
function zeroPad(n: number) {
  return layer<PadArgs>("padding", (m, x) => F.pad(x, m.padding, { mode: "constant", value: 0 }) as Tensor, {
    repr: "padding",
    keep: eachSide(n),
  });
}
function constantPad(n: number) {
  return layer<[{ padding: Size }, { value: number }]>(
    "padding, value",
    (m, x) => F.pad(x, m.padding, { mode: "constant", value: m.value }) as Tensor,
    { repr: "padding=, value=", keep: eachSide(n) },
  );
}
export class ZeroPad1d extends zeroPad(1) {}
export class ZeroPad2d extends zeroPad(2) {}
export class ZeroPad3d extends zeroPad(3) {}
export class ConstantPad1d extends constantPad(1) {}
export class ConstantPad2d extends constantPad(2) {}
export class ConstantPad3d extends constantPad(3) {}
export class ReflectionPad1d extends pad("reflect", 1) {}
export class ReflectionPad2d extends pad("reflect", 2) {}
export class ReflectionPad3d extends pad("reflect", 3) {}
export class ReplicationPad1d extends pad("replicate", 1) {}
export class ReplicationPad2d extends pad("replicate", 2) {}
export class ReplicationPad3d extends pad("replicate", 3) {}
export class CircularPad1d extends pad("circular", 1) {}
export class CircularPad2d extends pad("circular", 2) {}
export class CircularPad3d extends pad("circular", 3) {}

// Resizing

interface UpsampleSize {
  size?: Size | null;
}
interface UpsampleScale {
  scale_factor?: Size | null;
}
/** As PyTorch prints it, which keeps factors as floats. */
function resizing(size: unknown, factor: unknown, mode: string): string {
  return `${factor === null ? `size=${repr(size)}` : `scale_factor=${reprFloat(factor)}`}, mode=${repr(mode)}`;
}
export type UpsampleMode = "nearest" | "nearest-exact" | "linear" | "bilinear" | "bicubic" | "trilinear" | "area";
export class Upsample extends layer<
  [
    UpsampleSize,
    UpsampleScale,
    { mode?: UpsampleMode },
    { align_corners?: boolean | null },
    { recompute_scale_factor?: boolean | null },
  ]
>(
  "size=None, scale_factor=None, mode='nearest', align_corners=None, recompute_scale_factor=None",
  (m, x) =>
    F.interpolate(x, {
      size: m.size,
      scale_factor: m.scale_factor,
      mode: m.mode,
      align_corners: m.align_corners,
      recompute_scale_factor: m.recompute_scale_factor,
    }) as Tensor,
) {
  override extra_repr(): string {
    return resizing(this.size, this.scale_factor, this.mode);
  }
}
export class UpsamplingNearest2d extends layer<[UpsampleSize, UpsampleScale]>(
  "size=None, scale_factor=None",
  (m, x) => F.interpolate(x, { size: m.size, scale_factor: m.scale_factor, mode: "nearest" }) as Tensor,
) {
  override extra_repr(): string {
    return resizing(this.size, this.scale_factor, "nearest");
  }
}
export class UpsamplingBilinear2d extends layer<[UpsampleSize, UpsampleScale]>(
  "size=None, scale_factor=None",
  (m, x) => F.interpolate(x, { size: m.size, scale_factor: m.scale_factor, mode: "bilinear", align_corners: true }) as Tensor,
) {
  override extra_repr(): string {
    return resizing(this.size, this.scale_factor, "bilinear");
  }
}

// Rearranging

export class Flatten extends layer<[{ start_dim?: number }, { end_dim?: number }]>(
  "start_dim=1, end_dim=-1",
  (m, x) => x.flatten(m.start_dim, m.end_dim),
  { repr: "start_dim=, end_dim=" },
) {}
export class Unflatten extends layer<[{ dim: number }, { unflattened_size: readonly number[] }]>(
  "dim, unflattened_size",
  (m, x) => x.unflatten(m.dim, m.unflattened_size),
  { repr: "dim=, unflattened_size=" },
) {}
export class PixelShuffle extends layer<[{ upscale_factor: number }]>(
  "upscale_factor",
  (m, x) => F.pixel_shuffle(x, m.upscale_factor) as Tensor,
  { repr: "upscale_factor=" },
) {}
export class PixelUnshuffle extends layer<[{ downscale_factor: number }]>(
  "downscale_factor",
  (m, x) => F.pixel_unshuffle(x, m.downscale_factor) as Tensor,
  { repr: "downscale_factor=" },
) {}
export class ChannelShuffle extends layer<[{ groups: number }]>("groups", (m, x) => F.channel_shuffle(x, m.groups) as Tensor, {
  repr: "groups=",
}) {}
export class Fold extends layer<
  [{ output_size: Size }, { kernel_size: Size }, { dilation?: Size }, { padding?: Size }, { stride?: Size }]
>(
  "output_size, kernel_size, dilation=1, padding=0, stride=1",
  (m, x) => F.fold(x, m.output_size, m.kernel_size, m.dilation, m.padding, m.stride) as Tensor,
  { repr: "output_size=, kernel_size=, dilation=, padding=, stride=" },
) {}
export class Unfold extends layer<[{ kernel_size: Size }, { dilation?: Size }, { padding?: Size }, { stride?: Size }]>(
  "kernel_size, dilation=1, padding=0, stride=1",
  (m, x) => F.unfold(x, m.kernel_size, m.dilation, m.padding, m.stride) as Tensor,
  { repr: "kernel_size=, dilation=, padding=, stride=" },
) {}

// Distances

export class CosineSimilarity extends layer<[{ dim?: number }, { eps?: number }], [x1: Tensor, x2: Tensor]>(
  "dim=1, eps=1e-8",
  (m, a, b) => F.cosine_similarity(a, b, m.dim, m.eps) as Tensor,
) {}
export class PairwiseDistance extends layer<[{ p?: number }, { eps?: number }, { keepdim?: boolean }], [x1: Tensor, x2: Tensor]>(
  "p=2.0, eps=1e-6, keepdim=False",
  (m, a, b) => F.pairwise_distance(a, b, m.p, m.eps, m.keepdim) as Tensor,
) {}
