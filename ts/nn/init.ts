/** torch.nn.init: initialisers, which write in place and draw from the generator as PyTorch's do. */

import { ValueError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Args } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import type { Generator } from "../ops/generator.ts";
import { initialising } from "./initialising.ts";
import { bind } from "./layer.ts";

interface Stream {
  generator?: Generator | null;
}
type Init<P extends readonly object[]> = (tensor: Tensor, ...args: Args<P>) => Tensor;

/** An initialiser: arguments bound, recording off. */
function init<P extends readonly object[]>(
  name: string,
  signature: string,
  fill: (tensor: Tensor, ...args: never[]) => void,
): Init<P> {
  const body = fill as (tensor: Tensor, ...args: unknown[]) => void;
  return (...given) => {
    const [tensor, ...args] = bind<[Tensor, ...unknown[]]>(name, signature, given);
    if (!initialising.skipped) no_grad(() => body(tensor, ...args));
    return tensor;
  };
}

export type Nonlinearity =
  | "linear"
  | "conv1d"
  | "conv2d"
  | "conv3d"
  | "conv_transpose1d"
  | "conv_transpose2d"
  | "conv_transpose3d"
  | "sigmoid"
  | "tanh"
  | "relu"
  | "leaky_relu"
  | "selu";

/** The recommended gain for a nonlinearity. */
export function calculate_gain(nonlinearity: Nonlinearity, param: number | null = null): number {
  if (/^(linear|conv[123]d|conv_transpose[123]d|sigmoid)$/.test(nonlinearity)) return 1;
  if (nonlinearity === "tanh") return 5 / 3;
  if (nonlinearity === "relu") return Math.SQRT2;
  if (param !== null && typeof param !== "number") throw new ValueError(`negative_slope ${String(param)} not a valid number`);
  if (nonlinearity === "leaky_relu") return Math.sqrt(2 / (1 + (param ?? 0.01) ** 2));
  if (nonlinearity === "selu") return 3 / 4;
  throw new ValueError(`Unsupported nonlinearity ${String(nonlinearity)}`);
}

/** Inputs and outputs that a weight connects. */
export function _calculate_fan_in_and_fan_out(tensor: Tensor): [fanIn: number, fanOut: number] {
  if (tensor.ndim < 2) {
    throw new ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions");
  }
  const field = tensor.shape.slice(2).reduce((n, s) => n * s, 1);
  return [tensor.shape[1]! * field, tensor.shape[0]! * field];
}

function kaimingStd(tensor: Tensor, a: number, mode: string, nonlinearity: Nonlinearity): number {
  if (mode !== "fan_in" && mode !== "fan_out") {
    throw new ValueError(`Mode ${mode} not supported, please use one of fan_in, fan_out`);
  }
  const [fanIn, fanOut] = _calculate_fan_in_and_fan_out(tensor);
  return calculate_gain(nonlinearity, a) / Math.sqrt(mode === "fan_in" ? fanIn : fanOut);
}

function xavierStd(tensor: Tensor, gain: number): number {
  const [fanIn, fanOut] = _calculate_fan_in_and_fan_out(tensor);
  return gain * Math.sqrt(2 / (fanIn + fanOut));
}

export const uniform_: Init<[{ a?: number }, { b?: number }, Stream]> = init(
  "uniform_",
  "tensor, a=0.0, b=1.0, generator=None",
  (t, a: number, b: number, generator: Generator | null) => t.uniform_(a, b, { generator }),
);
export const normal_: Init<[{ mean?: number }, { std?: number }, Stream]> = init(
  "normal_",
  "tensor, mean=0.0, std=1.0, generator=None",
  (t, mean: number, std: number, generator: Generator | null) => t.normal_(mean, std, { generator }),
);
export const constant_: Init<[{ val: number }]> = init("constant_", "tensor, val", (t, val: number) => t.fill_(val));
export const ones_: Init<[]> = init("ones_", "tensor", (t) => t.fill_(1));
export const zeros_: Init<[]> = init("zeros_", "tensor", (t) => t.zero_());

export const eye_: Init<[]> = init("eye_", "tensor", (t) => {
  if (t.ndim !== 2) throw new ValueError(`Only tensors with 2 dimensions are supported, got ${formatShape(t.shape)}`);
  t.copy_(ops.eye(t.shape[0]!, t.shape[1]!, { dtype: t.dtype, device: t.device }));
});

/** Keeps the channels of a convolution: ones in the middle of the kernel. */
export const dirac_: Init<[{ groups?: number }]> = init("dirac_", "tensor, groups=1", (t, groups: number) => {
  if (t.ndim < 3 || t.ndim > 5) {
    throw new ValueError(`Only tensors with 3, 4, or 5 dimensions are supported, got ${formatShape(t.shape)}`);
  }
  if (t.shape[0]! % groups !== 0) throw new ValueError(`dim 0 must be divisible by groups, got ${t.shape[0]} and ${groups}`);
  const perGroup = t.shape[0]! / groups;
  t.zero_();
  let middle = t;
  for (let d = t.ndim - 1; d >= 2; d--) middle = middle.select(d, Math.floor(t.shape[d]! / 2));
  const n = Math.min(perGroup, t.shape[1]!);
  for (let g = 0; g < groups; g++)
    middle
      .narrow(0, g * perGroup, n)
      .narrow(1, 0, n)
      .diagonal()
      .fill_(1);
});

export const xavier_uniform_: Init<[{ gain?: number }, Stream]> = init(
  "xavier_uniform_",
  "tensor, gain=1.0, generator=None",
  (t, gain: number, generator: Generator | null) => {
    const bound = Math.sqrt(3) * xavierStd(t, gain);
    t.uniform_(-bound, bound, { generator });
  },
);
export const xavier_normal_: Init<[{ gain?: number }, Stream]> = init(
  "xavier_normal_",
  "tensor, gain=1.0, generator=None",
  (t, gain: number, generator: Generator | null) => t.normal_(0, xavierStd(t, gain), { generator }),
);

type Kaiming = Init<[{ a?: number }, { mode?: "fan_in" | "fan_out" }, { nonlinearity?: Nonlinearity }, Stream]>;
const KAIMING = "tensor, a=0, mode='fan_in', nonlinearity='leaky_relu', generator=None";

export const kaiming_uniform_: Kaiming = init(
  "kaiming_uniform_",
  KAIMING,
  (t, a: number, mode: string, nonlinearity: Nonlinearity, generator: Generator | null) => {
    if (t.numel() === 0) return;
    const bound = Math.sqrt(3) * kaimingStd(t, a, mode, nonlinearity);
    t.uniform_(-bound, bound, { generator });
  },
);
export const kaiming_normal_: Kaiming = init(
  "kaiming_normal_",
  KAIMING,
  (t, a: number, mode: string, nonlinearity: Nonlinearity, generator: Generator | null) => {
    if (t.numel() === 0) return;
    t.normal_(0, kaimingStd(t, a, mode, nonlinearity), { generator });
  },
);

/** The error function to float64's accuracy: the series, or the continued fraction of its complement. */
function erf(x: number): number {
  const z = Math.abs(x);
  if (z > 6) return Math.sign(x);
  if (z < 2.5) {
    let [term, sum] = [z, z];
    for (let n = 1; Math.abs(term) > 1e-17 * sum; n++) {
      term *= (-z * z) / n;
      sum += term / (2 * n + 1);
    }
    return Math.sign(x) * sum * (2 / Math.sqrt(Math.PI));
  }
  let f = z;
  for (let n = 60; n > 0; n--) f = z + n / 2 / f;
  return Math.sign(x) * (1 - Math.exp(-z * z) / (Math.sqrt(Math.PI) * f));
}

export const trunc_normal_: Init<[{ mean?: number }, { std?: number }, { a?: number }, { b?: number }, Stream]> = init(
  "trunc_normal_",
  "tensor, mean=0.0, std=1.0, a=-2.0, b=2.0, generator=None",
  (t, mean: number, std: number, a: number, b: number, generator: Generator | null) => {
    // Uniform draws between the values of the cumulative distribution at the bounds, through its inverse.
    const cdf = (x: number): number => (1 + erf(x / Math.SQRT2)) / 2;
    const [low, high] = [cdf((a - mean) / std), cdf((b - mean) / std)];
    t.uniform_(2 * low - 1, 2 * high - 1, { generator });
    t.erfinv_()
      .mul_(std * Math.SQRT2)
      .add_(mean)
      .clamp_({ min: a, max: b });
  },
);

/**
 * Q of the QR decomposition whose R has a positive diagonal, for a matrix given by its columns [columns, rows]: Gram and Schmidt's, twice
 * over, which in float64 is as orthogonal as one can ask.
 */
function orthonormal(columns: Tensor): Float64Array {
  const [n, length] = columns.shape as [number, number];
  const q = Float64Array.from(columns.data_sync() as ArrayLike<number>);
  const column = (j: number): Float64Array => q.subarray(j * length, (j + 1) * length);
  const dot = (a: Float64Array, b: Float64Array): number => a.reduce((sum, x, r) => sum + x * b[r]!, 0);
  for (let j = 0; j < n; j++) {
    const own = column(j);
    for (let i = 0; i < 2 * j; i++) {
      const other = column(i % j);
      const along = dot(other, own);
      for (let r = 0; r < length; r++) own[r]! -= along * other[r]!;
    }
    const norm = Math.sqrt(dot(own, own));
    for (let r = 0; r < length; r++) own[r]! /= norm;
  }
  return q;
}

export const orthogonal_: Init<[{ gain?: number }, Stream]> = init(
  "orthogonal_",
  "tensor, gain=1, generator=None",
  (t, gain: number, generator: Generator | null) => {
    if (t.ndim < 2) throw new ValueError("Only tensors with 2 or more dimensions are supported");
    if (t.numel() === 0) return;
    const rows = t.shape[0]!;
    const cols = t.numel() / rows;
    const flat = ops.empty([rows, cols], { dtype: t.dtype, device: t.device }).normal_(0, 1, { generator });
    const columns = rows < cols ? flat : flat.t();
    const q = ops.tensor(orthonormal(columns), { dtype: t.dtype, device: t.device }).view(columns.shape);
    t.copy_((rows < cols ? q : q.t()).reshape(t.shape)).mul_(gain);
  },
);

export const sparse_: Init<[{ sparsity: number }, { std?: number }, Stream]> = init(
  "sparse_",
  "tensor, sparsity, std=0.01, generator=None",
  (t, sparsity: number, std: number, generator: Generator | null) => {
    if (t.ndim !== 2) throw new ValueError(`Only tensors with 2 dimensions are supported, got ${formatShape(t.shape)}`);
    const [rows, cols] = t.shape as [number, number];
    const zeros = Math.ceil(sparsity * rows);
    t.normal_(0, std, { generator });
    for (let c = 0; c < cols; c++) {
      const chosen = ops.randperm(rows).narrow(0, 0, zeros);
      t.select(1, c).index_fill_(0, chosen, 0);
    }
  },
);

/** @deprecated The names of old. */
export {
  constant_ as constant,
  dirac_ as dirac,
  eye_ as eye,
  kaiming_normal_ as kaiming_normal,
  kaiming_uniform_ as kaiming_uniform,
  normal_ as normal,
  orthogonal_ as orthogonal,
  sparse_ as sparse,
  uniform_ as uniform,
  xavier_normal_ as xavier_normal,
  xavier_uniform_ as xavier_uniform,
};
