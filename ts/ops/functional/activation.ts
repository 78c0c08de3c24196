/** torch.nn.functional: activation functions. */

import { Category, float64, type Scalar } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { formatShape, normalizeDim } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, type Op } from "../../engine/define.ts";
import { updateInPlace } from "../../engine/inplace.ts";
import { pointwise, type GradRule } from "../../engine/pointwise.ts";
import { empty } from "../../engine/run.ts";
import type { Args } from "../../engine/signature.ts";
import { e } from "../../kernel/builder.ts";
import type { Expr } from "../../kernel/expr.ts";
import { where } from "../compare.ts";
import { gate } from "../gates.ts";
import * as math from "../math.ts";

type ActivationOp<P extends readonly object[] = []> = Op<[input: Tensor, ...Args<[...P, { inplace?: boolean }]>], Tensor>;
type PlainOp<P extends readonly object[] = []> = Op<[input: Tensor, ...Args<P>], Tensor>;
type Compute = (input: Tensor, ...parameters: never[]) => Tensor;

/** An activation with PyTorch's `inplace` option, which comes last. */
function activation<O>(name: string, parameters: string, doc: string, compute: Compute): O {
  const f = compute as (input: Tensor, ...parameters: unknown[]) => Tensor;
  const signature = parameters === "" ? "input, inplace=False" : `input, ${parameters}, inplace=False`;
  return composite(name, signature, { doc, method: false }, (input: Tensor, ...rest: unknown[]) => {
    const inplace = rest.pop() === true;
    return inplace ? updateInPlace(name, input, (old) => f(old, ...rest)) : f(input, ...rest);
  });
}

function plain<O>(name: string, signature: string, doc: string, compute: Compute): O {
  return composite(name, signature, { doc, method: false }, compute);
}

/** The scalar part of an activation with number parameters. */
type Kernel = Op<[input: Tensor, ...parameters: Scalar[]], Tensor>;

function kernel(
  name: string,
  parameters: readonly string[],
  expr: (x: Expr, ...parameters: Expr[]) => Expr,
  input: GradRule,
): Kernel {
  return pointwise(name, ["input", ...parameters].join(", "), {
    doc: `The elementwise part of ${name}.`,
    method: false,
    scalars: parameters,
    check(_values, dtype) {
      if (dtype.category < Category.floating) throw new RuntimeError(`${name}: not implemented for ${dtype}`);
    },
    expr: (values) => expr(values.input!, ...parameters.map((p) => values[p]!)),
    grad: { input },
  });
}

const tensorOf = (x: unknown): Tensor => x as Tensor;
const numberOf = (x: unknown): number => Number(x);

export const relu: ActivationOp = activation("relu", "", "max(input, 0).", (x: Tensor) => math.relu(x));
export const sigmoid: PlainOp = plain("sigmoid", "input", "1 / (1 + e^-input).", (x: Tensor) => math.sigmoid(x));
export const tanh: PlainOp = plain("tanh", "input", "The hyperbolic tangent.", (x: Tensor) => math.tanh(x));

type Bounds = [{ min_val?: number }, { max_val?: number }];

const clampOpen: Op<[input: Tensor, min_val: Scalar, max_val: Scalar], Tensor> = pointwise(
  "hardtanh",
  "input, min_val, max_val",
  {
    doc: "The elementwise part of hardtanh.",
    method: false,
    scalars: ["min_val", "max_val"],
    check(_values, dtype) {
      if (dtype.category === Category.bool) throw new RuntimeError("hardtanh: bool inputs are not supported");
    },
    expr: ({ input, min_val, max_val }) => e.minimum(e.maximum(input!, min_val!), max_val!),
    // Unlike clamp's, the gradient at the bounds is 0.
    grad: {
      input: [
        ["input"],
        (g, { input, min_val, max_val }) => {
          const x = tensorOf(input);
          return g.masked_fill(x.le(min_val).logical_or(x.ge(max_val)), 0);
        },
      ],
    },
  },
);

export const hardtanh: ActivationOp<Bounds> = activation(
  "hardtanh",
  "min_val=-1.0, max_val=1.0",
  "input kept within [min_val, max_val].",
  (x: Tensor, min: Scalar, max: Scalar) => {
    if (numberOf(min) > numberOf(max)) {
      throw new ValueError(`hardtanh: min_val cannot be greater than max_val, got ${String(min)} and ${String(max)}`);
    }
    return clampOpen(x, min, max);
  },
);
export const relu6: ActivationOp = activation("relu6", "", "min(max(input, 0), 6).", (x: Tensor) => clampOpen(x, 0, 6));

/** scale * (x above 0, alpha * (e^(x * input_scale) - 1) below). */
const exponential = kernel(
  "elu",
  ["alpha", "scale", "input_scale"],
  (x, alpha, scale, inputScale) =>
    e.where(e.gt(x, 0), e.mul(x, scale!), e.mul(e.mul(e.expm1(e.mul(x, inputScale!)), alpha!), scale!)),
  [
    ["input"],
    (g, { input, alpha, scale, input_scale }) => {
      const x = tensorOf(input);
      const [a, s, k] = [numberOf(alpha), numberOf(scale), numberOf(input_scale)];
      // clamp keeps the unused branch finite, whose derivative would be NaN else.
      const slope = x
        .clamp_max(0)
        .mul(k)
        .exp()
        .mul(a * s * k);
      return g.mul(where(x.le(0), slope, s));
    },
  ],
);

export const elu: ActivationOp<[{ alpha?: number }]> = activation(
  "elu",
  "alpha=1.0",
  "input above 0, alpha * (e^input - 1) below.",
  (x: Tensor, alpha: Scalar) => exponential(x, alpha, 1, 1),
);
export const selu: ActivationOp = activation("selu", "", "The self-normalising elu.", (x: Tensor) =>
  exponential(x, 1.6732632423543772, 1.0507009873554805, 1),
);
export const celu: ActivationOp<[{ alpha?: number }]> = activation(
  "celu",
  "alpha=1.0",
  "input above 0, alpha * (e^(input / alpha) - 1) below.",
  (x: Tensor, alpha: Scalar) => {
    if (numberOf(alpha) === 0) throw new RuntimeError("celu: ZeroDivisionError: alpha cannot be 0");
    return exponential(x, alpha, 1, 1 / numberOf(alpha));
  },
);

const KAPPA = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;

const geluSlope = kernel("gelu_slope", [], (x) => e.gelu_slope(x), [
  ["input"],
  (g, { input }) => {
    const square = tensorOf(input).square();
    const density = square
      .mul(-0.5)
      .exp()
      .mul(KAPPA / 2);
    return g.mul(density.mul(square.neg().add(2)));
  },
]);
const geluErf = kernel("gelu", [], (x) => e.gelu(x), [["input"], (g, { input }) => g.mul(geluSlope(tensorOf(input)))]);

const geluTanh = kernel(
  "gelu",
  [],
  (x) => {
    const inner = e.mul(e.add(x, e.mul(e.mul(e.mul(x, x), x), CUBIC)), KAPPA);
    return e.mul(e.mul(x, 0.5), e.add(e.tanh(inner), 1));
  },
  [
    ["input"],
    (g, { input }) => {
      const x = tensorOf(input);
      const square = x.square();
      const t = x.mul(square.mul(CUBIC).add(1)).mul(KAPPA).tanh();
      const inner = square
        .mul(3 * CUBIC)
        .add(1)
        .mul(KAPPA);
      const slope = t
        .add(1)
        .mul(0.5)
        .add(x.mul(0.5).mul(t.square().neg().add(1)).mul(inner));
      return g.mul(slope);
    },
  ],
);

export const gelu: Op<[input: Tensor, options?: { approximate?: "none" | "tanh" }], Tensor> = plain(
  "gelu",
  "input, *, approximate='none'",
  "input times the normal distribution's cdf at input, exact or by its tanh approximation.",
  (x: Tensor, approximate: string) => {
    if (approximate === "none") return geluErf(x);
    if (approximate === "tanh") return geluTanh(x);
    throw new RuntimeError(`gelu: approximate must be either "none" or "tanh", got "${approximate}"`);
  },
);

const siluKernel = kernel("silu", [], (x) => e.mul(x, e.sigmoid(x)), [
  ["input"],
  (g, { input }) => {
    const x = tensorOf(input);
    const s = x.sigmoid();
    return g.mul(s.mul(x.mul(s.neg().add(1)).add(1)));
  },
]);
export const silu: ActivationOp = activation("silu", "", "input * sigmoid(input).", (x: Tensor) => siluKernel(x));

/** log(1 + e^x) without overflow. */
const softplusExpr = (x: Expr): Expr => e.add(e.maximum(x, 0), e.log1p(e.exp(e.neg(e.abs(x)))));

const mishKernel = kernel("mish", [], (x) => e.mul(x, e.tanh(softplusExpr(x))), [
  ["input"],
  (g, { input }) => {
    const x = tensorOf(input);
    const s = x.sigmoid();
    const t = softplus(x).tanh();
    return g.mul(t.add(x.mul(s).mul(t.square().neg().add(1))));
  },
]);
export const mish: ActivationOp = activation("mish", "", "input * tanh(softplus(input)).", (x: Tensor) => mishKernel(x));

const softplusKernel = kernel(
  "softplus",
  ["beta", "threshold"],
  (x, beta, threshold) => {
    const y = e.mul(x, beta!);
    return e.where(e.gt(y, threshold!), x, e.div(e.log1p(e.exp(y)), beta!));
  },
  [
    ["input"],
    (g, { input, beta, threshold }) => {
      const y = tensorOf(input).mul(beta as Scalar);
      return where(y.gt(threshold as Scalar), g, g.mul(y.sigmoid()));
    },
  ],
);
export const softplus: PlainOp<[{ beta?: number }, { threshold?: number }]> = plain(
  "softplus",
  "input, beta=1.0, threshold=20.0",
  "log(1 + e^(beta * input)) / beta; input itself where beta * input exceeds threshold.",
  (x: Tensor, beta: Scalar, threshold: Scalar) => softplusKernel(x, beta, threshold),
);

export const logsigmoid: PlainOp = pointwise("logsigmoid", "input", {
  doc: "log(sigmoid(input)).",
  method: false,
  check(_values, dtype) {
    if (!dtype.is_floating_point) throw new RuntimeError(`logsigmoid: not implemented for ${dtype}`);
  },
  expr: ({ input }) => e.sub(e.minimum(input!, 0), e.log1p(e.exp(e.neg(e.abs(input!))))),
  grad: { input: [["input"], (g, { input }) => g.mul(tensorOf(input).neg().sigmoid())] },
});

export const softsign: PlainOp = plain("softsign", "input", "input / (1 + |input|).", (x: Tensor) => x.div(x.abs().add(1)));
export const tanhshrink: PlainOp = plain("tanhshrink", "input", "input - tanh(input).", (x: Tensor) => x.sub(x.tanh()));

const hardswishKernel = kernel("hardswish", [], (x) => e.div(e.mul(x, e.minimum(e.maximum(e.add(x, 3), 0), 6)), 6), [
  ["input"],
  (g, { input }) => {
    const x = tensorOf(input);
    const inner = g.mul(x.div(3).add(0.5));
    return where(x.le(3), inner, g).masked_fill(x.lt(-3), 0);
  },
]);
export const hardswish: ActivationOp = activation("hardswish", "", "input * relu6(input + 3) / 6.", (x: Tensor) =>
  hardswishKernel(x),
);

const hardsigmoidKernel = kernel("hardsigmoid", [], (x) => e.div(e.minimum(e.maximum(e.add(x, 3), 0), 6), 6), [
  ["input"],
  (g, { input }) => {
    const x = tensorOf(input);
    return where(x.gt(-3).logical_and(x.lt(3)), g.div(6), 0);
  },
]);
export const hardsigmoid: ActivationOp = activation("hardsigmoid", "", "relu6(input + 3) / 6.", (x: Tensor) =>
  hardsigmoidKernel(x),
);

/** Whether |x| <= lambd. */
const inside = (x: unknown, lambd: unknown): Tensor => {
  const t = tensorOf(x);
  return t.ge(-numberOf(lambd)).logical_and(t.le(numberOf(lambd)));
};

const shrinkGrad: GradRule = [["input"], (g, { input, lambd }) => g.masked_fill(inside(input, lambd), 0)];

const hardshrinkKernel = kernel(
  "hardshrink",
  ["lambd"],
  (x, lambd) => e.where(e.and(e.ge(x, e.neg(lambd!)), e.le(x, lambd!)), 0, x),
  shrinkGrad,
);
export const hardshrink: PlainOp<[{ lambd?: number }]> = plain(
  "hardshrink",
  "input, lambd=0.5",
  "0 where |input| <= lambd, else input.",
  (x: Tensor, lambd: Scalar) => hardshrinkKernel(x, lambd),
);

const softshrinkKernel = kernel(
  "softshrink",
  ["lambd"],
  (x, lambd) => {
    const below = e.where(e.lt(x, e.neg(lambd!)), e.add(x, lambd!), e.mul(x, 0));
    return e.where(e.gt(x, lambd!), e.sub(x, lambd!), below);
  },
  shrinkGrad,
);
export const softshrink: PlainOp<[{ lambd?: number }]> = plain(
  "softshrink",
  "input, lambd=0.5",
  "input moved towards 0 by lambd, 0 where |input| <= lambd.",
  (x: Tensor, lambd: Scalar) => {
    if (!(numberOf(lambd) >= 0))
      throw new RuntimeError(`softshrink: lambd must be greater or equal to 0, but found to be ${String(lambd)}`);
    return softshrinkKernel(x, lambd);
  },
);

const leakyKernel = kernel("leaky_relu", ["negative_slope"], (x, slope) => e.where(e.gt(x, 0), x, e.mul(x, slope!)), [
  ["input"],
  (g, { input, negative_slope }) => where(tensorOf(input).gt(0), g, g.mul(negative_slope as Scalar)),
]);
export const leaky_relu: ActivationOp<[{ negative_slope?: number }]> = activation(
  "leaky_relu",
  "negative_slope=0.01",
  "input above 0, negative_slope * input below.",
  (x: Tensor, slope: Scalar) => leakyKernel(x, slope),
);

const preluKernel: Op<[input: Tensor, weight: Tensor], Tensor> = pointwise("prelu", "input, weight", {
  doc: "The elementwise part of prelu.",
  method: false,
  tensors: ["input", "weight"],
  expr: ({ input, weight }) => e.where(e.gt(input!, 0), input!, e.mul(input!, weight!)),
  grad: {
    input: [["input", "weight"], (g, { input, weight }) => where(tensorOf(input).gt(0), g, g.mul(weight))],
    weight: [["input"], (g, { input }) => g.mul(tensorOf(input)).masked_fill(tensorOf(input).gt(0), 0)],
  },
});

export const prelu: PlainOp<[{ weight: Tensor }]> = plain(
  "prelu",
  "input, weight",
  "input above 0, weight * input below, with one weight or one for each channel (dimension 1).",
  (x: Tensor, weight: Tensor) => {
    if (x.dtype !== weight.dtype) {
      throw new RuntimeError(`prelu: type promoting not supported, got ${x.dtype} and ${weight.dtype}`);
    }
    if (weight.numel() !== 1) {
      if (x.ndim === 0) throw new RuntimeError("prelu: not allowed zero-dim input tensor with more than one weight");
      const channels = x.ndim >= 2 ? x.shape[1]! : 1;
      if (channels !== weight.numel()) {
        throw new RuntimeError(
          `prelu: mismatch of parameter numbers and input channel size: found ${weight.numel()} parameters and channel size ${channels}`,
        );
      }
    }
    if (weight.ndim > 1) {
      throw new RuntimeError(`prelu: expected weight to be a scalar or 1D tensor, but got shape ${formatShape(weight.shape)}`);
    }
    const shape = x.shape.map((_, d) => (d === 1 || x.ndim === 1 ? weight.numel() : 1));
    return preluKernel(x, weight.reshape(shape));
  },
);

/** 1 where x is positive, else drawn: on the cpu as PyTorch does, one float64 after the other for only those elements that need one. */
function drawnSlopes(x: Tensor, low: number, high: number): Tensor {
  if (x.device.type !== "cpu") return where(x.gt(0), 1, x.clone().uniform_(low, high));
  const drawn = x.le(0);
  const slopes = empty([Number(drawn.sum().item_sync())], float64, x.device).uniform_(low, high);
  return empty(x.shape, x.dtype, x.device).fill_(1).masked_scatter_(drawn, slopes.to(x.dtype));
}

type RreluParameters = [{ lower?: number }, { upper?: number }, { training?: boolean }];

export const rrelu: ActivationOp<RreluParameters> = activation(
  "rrelu",
  "lower=0.125, upper=0.3333333333333333, training=False",
  "leaky_relu with a slope drawn uniformly from [lower, upper) for each element; their mean when not training.",
  (x: Tensor, lower: Scalar, upper: Scalar, training: boolean) => {
    const [low, high] = [numberOf(lower), numberOf(upper)];
    if (low > high)
      throw new RuntimeError(`rrelu: lower bound should be less than or equal to the upper bound, got ${low} and ${high}`);
    if (!training) return leakyKernel(x, (low + high) / 2);
    return x.mul(drawnSlopes(x.detach(), low, high));
  },
);

const thresholdKernel: Op<[input: Tensor, threshold: Scalar, value: Scalar], Tensor> = pointwise(
  "threshold",
  "input, threshold, value",
  {
    doc: "The elementwise part of threshold.",
    method: false,
    scalars: ["threshold", "value"],
    expr: ({ input, threshold, value }) => e.where(e.le(input!, threshold!), value!, input!),
    grad: { input: [["input"], (g, { input, threshold }) => gate(g, tensorOf(input), threshold as Scalar)] },
  },
);
export const threshold: ActivationOp<[{ threshold: number }, { value: number }]> = activation(
  "threshold",
  "threshold, value",
  "input where it exceeds threshold, else value.",
  (x: Tensor, limit: Scalar, value: Scalar) => thresholdKernel(x, limit, value),
);

export const glu: PlainOp<[{ dim?: number }]> = plain(
  "glu",
  "input, dim=-1",
  "The first half of input along dim times the sigmoid of the second.",
  (x: Tensor, dim: number) => {
    if (x.ndim === 0) throw new RuntimeError("glu: does not support 0-dimensional tensors");
    const d = normalizeDim("glu", dim, x.ndim);
    const n = x.shape[d]!;
    if (n % 2 !== 0) throw new RuntimeError(`glu: halving dimension must be even, but dimension ${d} is size ${n}`);
    return x.narrow(d, 0, n / 2).mul(x.narrow(d, n / 2, n / 2).sigmoid());
  },
);
