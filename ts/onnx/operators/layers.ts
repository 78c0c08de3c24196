/** Convolutions, pools and norms. */

import * as torch from "../../torch.ts";
import type { Tensor } from "../../torch.ts";
import { bad } from "../wire.ts";
import type { Call, Operator, Operators } from "./context.ts";

const F = torch.nn.functional;

interface Window {
  readonly kernel: number[];
  readonly stride: number[];
  readonly dilation: number[];
  /** Before and after, by dimension. */
  readonly pads: readonly (readonly [number, number])[];
}

function windowOf(c: Call, spatial: readonly number[], kernel: number[]): Window {
  const n = kernel.length;
  if (spatial.length !== n) throw bad(`${c.node.title}: a kernel of ${n} dimensions and ${spatial.length} to slide over`);
  const ones = new Array<number>(n).fill(1);
  const stride = c.ints("strides", ones);
  const dilation = c.ints("dilations", ones);
  const listed = c.ints("pads", new Array<number>(2 * n).fill(0));
  const auto = c.string("auto_pad", "NOTSET");
  const pads = kernel.map((k, d): [number, number] => {
    if (auto === "NOTSET" || auto === "") return [listed[d]!, listed[d + n]!];
    if (auto === "VALID") return [0, 0];
    const out = Math.ceil(spatial[d]! / stride[d]!);
    const total = Math.max((out - 1) * stride[d]! + dilation[d]! * (k - 1) + 1 - spatial[d]!, 0);
    const less = Math.floor(total / 2);
    return auto === "SAME_LOWER" ? [total - less, less] : [less, total - less];
  });
  return { kernel, stride, dilation, pads };
}

const even = (w: Window): boolean => w.pads.every(([a, b]) => a === b && a >= 0);
const lists = (w: Window): number[] =>
  w.pads
    .map(([a, b]) => [a, b])
    .reverse()
    .flat();

type AnyFunction = (...args: unknown[]) => Tensor;
/** The function of F for this many dimensions. */
function byRank(c: Call, name: string, n: number): AnyFunction {
  const f = (F as unknown as Record<string, AnyFunction>)[`${name}${n}d`];
  if (f === undefined) throw c.unsupported(`${n} spatial dimensions`);
  return f;
}

function conv(c: Call): Tensor {
  let x = c.x(0);
  const weight = c.x(1);
  const w = windowOf(c, x.shape.slice(2), weight.shape.slice(2));
  const n = w.kernel.length;
  let padding: number[] = w.pads.map(([a]) => a);
  if (!even(w)) {
    x = F.pad(x, lists(w));
    padding = padding.map(() => 0);
  }
  const options = { bias: c.optional(2), stride: w.stride, padding, dilation: w.dilation, groups: c.int("group", 1) };
  return byRank(c, "conv", n)(x, weight, options);
}

function convTranspose(c: Call): Tensor {
  const x = c.x(0);
  const weight = c.x(1);
  const n = weight.ndim - 2;
  const auto = c.string("auto_pad", "NOTSET");
  if ((auto !== "NOTSET" && auto !== "VALID") || c.attribute("output_shape") !== null)
    throw c.unsupported("auto_pad or output_shape");
  const w = windowOf(c, x.shape.slice(2), weight.shape.slice(2));
  const extra = c.ints("output_padding", new Array<number>(n).fill(0));
  const options = { bias: c.optional(2), stride: w.stride, dilation: w.dilation, groups: c.int("group", 1) };
  const transposed = byRank(c, "conv_transpose", n);
  if (even(w)) return transposed(x, weight, { ...options, padding: w.pads.map(([a]) => a), output_padding: extra });
  // More at one end: without padding, cut.
  const full = transposed(x, weight, { ...options, output_padding: extra });
  return w.pads.reduce((t, [a, b], d) => t.slice(d + 2, a, t.shape[d + 2]! - b), full);
}

function maxPool(c: Call): Tensor | Tensor[] {
  let x = c.x(0);
  const w = windowOf(c, x.shape.slice(2), c.ints("kernel_shape"));
  const n = w.kernel.length;
  let padding: number[] = w.pads.map(([a]) => a);
  if (!even(w) || padding.some((p, d) => 2 * p > w.kernel[d]!)) {
    x = F.pad(x, lists(w), { value: -Infinity });
    padding = padding.map(() => 0);
  }
  if (c.node.outputs.length > 1 && c.node.outputs[1] !== "") throw c.unsupported("Indices as an output");
  const options = { stride: w.stride, padding, dilation: w.dilation, ceil_mode: c.int("ceil_mode", 0) !== 0 };
  return byRank(c, "max_pool", n)(x, w.kernel, options);
}

function averagePool(c: Call): Tensor {
  const x = c.x(0);
  const w = windowOf(c, x.shape.slice(2), c.ints("kernel_shape"));
  const n = w.kernel.length;
  if (w.dilation.some((d) => d !== 1)) throw c.unsupported("dilation");
  const count = c.int("count_include_pad", 0) !== 0;
  const ceil_mode = c.int("ceil_mode", 0) !== 0;
  const pool = byRank(c, "avg_pool", n);
  if (even(w) && w.pads.every(([a], d) => 2 * a <= w.kernel[d]!)) {
    const options = { stride: w.stride, padding: w.pads.map(([a]) => a), ceil_mode, count_include_pad: count };
    return pool(x, w.kernel, options);
  }
  const mean = (t: Tensor): Tensor => pool(F.pad(t, lists(w)), w.kernel, { stride: w.stride, ceil_mode });
  return count ? mean(x) : mean(x).div(mean(torch.ones_like(x)));
}

const globalPool =
  (f: (x: Tensor, dims: number[]) => Tensor): Operator =>
  (c) => {
    const x = c.x(0);
    return f(x, x.shape.map((_, d) => d).slice(2));
  };

function batchNorm(c: Call): Tensor {
  if (c.int("training_mode", 0) !== 0) throw c.unsupported("training_mode");
  const eps = c.float("epsilon", 1e-5);
  return F.batch_norm(c.x(0), c.x(3), c.x(4), { weight: c.x(1), bias: c.x(2), eps });
}

function instanceNorm(c: Call): Tensor {
  return F.instance_norm(c.x(0), { weight: c.x(1), bias: c.x(2), eps: c.float("epsilon", 1e-5) });
}

function groupNorm(c: Call): Tensor {
  const x = c.x(0);
  const groups = c.int("num_groups", 1);
  const channels = x.shape[1]!;
  const each = (t: Tensor): Tensor => (t.shape[0] === channels ? t : t.repeat_interleave(channels / groups));
  return F.group_norm(x, groups, each(c.x(1)), each(c.x(2)), c.float("epsilon", 1e-5));
}

function localResponse(c: Call): Tensor {
  return F.local_response_norm(c.x(0), c.int("size", 1), c.float("alpha", 1e-4), c.float("beta", 0.75), c.float("bias", 1));
}

function meanVariance(c: Call): Tensor {
  const x = c.x(0);
  const dims = c.ints("axes", [0, 2, 3]);
  const centred = x.sub(x.mean(dims, true));
  return centred.div(centred.square().mean(dims, true).sqrt().add(1e-9));
}

function gridSample(c: Call): Tensor {
  const mode = c.string("mode", "bilinear");
  const plain = mode === "linear" ? "bilinear" : mode === "cubic" ? "bicubic" : mode;
  const options = { padding_mode: c.string("padding_mode", "zeros"), align_corners: c.int("align_corners", 0) !== 0 };
  return F.grid_sample(c.x(0), c.x(1), { mode: plain, ...options } as never);
}

export const layers: Operators = {
  AveragePool: averagePool,
  BatchNormalization: batchNorm,
  Conv: conv,
  ConvTranspose: convTranspose,
  GlobalAveragePool: globalPool((x, dims) => x.mean(dims, true)),
  GlobalMaxPool: globalPool((x, dims) => x.amax(dims, true)),
  GridSample: gridSample,
  GroupNormalization: groupNorm,
  InstanceNormalization: instanceNorm,
  LRN: localResponse,
  MaxPool: maxPool,
  MeanVarianceNormalization: meanVariance,
};
