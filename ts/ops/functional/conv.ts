/** torch.nn.functional: convolutions. */

import type { BatchLevel } from "../../core/batch_mode.ts";
import { RuntimeError } from "../../core/errors.ts";
import { settings } from "../../core/settings.ts";
import { contiguousStrides, formatShape, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { levelsOf, strideOf } from "../../engine/hidden.ts";
import { conceal, reveal } from "../../engine/reveal.ts";
import { alias, commonDevice, contiguous, copyOf, empty, run } from "../../engine/run.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import type { ConvParams, ConvSpec } from "../../kernel/spec.ts";
import { filled } from "../creation.ts";
import { asVolume, sizesOf, triple, widest, type Sizes } from "./shared.ts";
import { constant_pad_nd } from "./padding.ts";

/** Runs one direction of a convolution; `size` is the result's, without the dims that 1d and 2d lack. */
function convolve(mode: ConvSpec["mode"], a: Tensor, b: Tensor, bias: Tensor | null, size: Shape, params: ConvParams): Tensor {
  const level = levelsOf([a, b, bias]).at(-1);
  if (level !== undefined) return convolveBatch(mode, a, b, bias, size, params, level);
  if (!a.dtype.is_floating_point) {
    const wide = (t: Tensor): Tensor => copyOf(t, widest(t));
    const result = convolve(mode, wide(a), wide(b), bias === null ? null : wide(bias), size, params);
    return copyOf(result, a.dtype);
  }
  if (a.numel() === 0 || b.numel() === 0) {
    const zeros = filled(size, 0, a.dtype, a.device);
    return bias === null ? zeros : zeros.add(bias.reshape([-1, ...size.slice(2).map(() => 1)]));
  }
  const shape = [size[0]!, size[1]!, ...triple(size.slice(2), 1)];
  const out = empty(shape, a.dtype, a.device);
  if (out.numel() > 0) {
    const inputs = [asVolume(a), asVolume(b)];
    if (bias !== null) inputs.push(contiguous(bias));
    run({ kind: "conv", mode, dtype: a.dtype, bias: bias !== null }, inputs, [out], {
      ...params,
      tf32: settings.convolutionTf32,
    });
  }
  return size.length === 5 ? out : alias(out, size, contiguousStrides(size), 0);
}

/** The same for a batch of vmap: samples where all have one weight, else groups. */
function convolveBatch(
  mode: ConvSpec["mode"],
  a: Tensor,
  b: Tensor,
  bias: Tensor | null,
  size: Shape,
  params: ConvParams,
  level: BatchLevel,
): Tensor {
  if (bias !== null && strideOf(bias, level) !== null) {
    return convolve(mode, a, b, null, size, params).add(bias.reshape([-1, ...size.slice(2).map(() => 1)]));
  }
  const batch = level.size;
  const whole = (t: Tensor): Tensor => reveal(t, level);
  const dense = (t: Tensor, shape: Shape): Tensor => {
    const c = contiguous(t);
    return alias(c, shape, contiguousStrides(shape), c._offset);
  };
  const [first, second, ...rest] = size as [number, number, ...number[]];
  if (mode !== "weight_grad" && strideOf(b, level) === null) {
    const samples = dense(whole(a), [batch * a.shape[0]!, ...a.shape.slice(1)]);
    const out = convolve(mode, samples, b, bias, [batch * first, second, ...rest], params);
    return conceal(dense(out, [batch, ...size]), level);
  }
  // [B, N, C, ...] as [N, B C, ...]; a weight's groups lie one after another.
  const channels = (t: Tensor): Tensor => {
    const w = whole(t);
    const order = <T>(x: readonly T[]): T[] => [x[1]!, x[0]!, ...x.slice(2)];
    const [n, c, ...more] = t.shape as [number, number, ...number[]];
    return dense(alias(w, order(w.shape), order(w._strides), w._offset), [n, batch * c, ...more]);
  };
  const groups = { ...params, groups: batch * params.groups };
  if (mode === "weight_grad") {
    const out = convolve(mode, channels(a), channels(b), null, [batch * first, second, ...rest], groups);
    return conceal(dense(out, [batch, ...size]), level);
  }
  const weights = dense(whole(b), [batch * b.shape[0]!, ...b.shape.slice(1)]);
  const out = dense(convolve(mode, channels(a), weights, null, [first, batch * second, ...rest], groups), [
    first,
    batch,
    second,
    ...rest,
  ]);
  const [n, k, ...strides] = out._strides as [number, number, ...number[]];
  const result = conceal(alias(out, [batch, ...size], [k, n, ...strides], out._offset), level);
  return bias === null ? result : result.add(bias.reshape([-1, ...rest.map(() => 1)]));
}

// The three directions are linear in both arguments, and each one's gradients are the other two.

type Forward = Op<[input: Tensor, weight: Tensor, bias: Tensor | null, params: ConvParams, size: Shape], Tensor>;
type InputGrad = Op<[grad: Tensor, weight: Tensor, bias: Tensor | null, params: ConvParams, size: Shape], Tensor>;
type WeightGrad = Op<[grad: Tensor, input: Tensor, params: ConvParams, size: Shape], Tensor>;

interface State {
  readonly params: ConvParams;
  readonly inputSize: Shape;
  readonly weightSize: Shape;
}

/** Sums over all dims but the channels. */
function overChannels(g: Tensor): Tensor {
  return g.sum(g.shape.map((_, d) => d).filter((d) => d !== 1));
}

/** Correlation of input [N, Cin, ...] with weight [Cout, Cin / groups, ...]. */
const conv_forward: Forward = defineOp("convolution", "input, weight, bias, params, size", {
  doc: "",
  method: false,
  forward(ctx, input: Tensor, weight: Tensor, bias: Tensor | null, params: ConvParams, size: Shape) {
    ctx.save(ctx.needs[1] ? input : null, ctx.needs[0] ? weight : null);
    ctx.state = { params, inputSize: input.shape, weightSize: weight.shape } satisfies State;
    return convolve("forward", input, weight, bias, size, params);
  },
  backward(ctx, g: Tensor) {
    const [input, weight] = ctx.saved();
    const { params, inputSize, weightSize } = ctx.state as State;
    return [
      ctx.needs[0] ? conv_input_grad(g, weight!, null, params, inputSize) : null,
      ctx.needs[1] ? conv_weight_grad(g, input!, params, weightSize) : null,
      ctx.needs[2] ? overChannels(g) : null,
    ];
  },
});

/** The adjoint of convolution in its input: grad [N, Cout, ...], weight [Cout, Cin / groups, ...] → [N, Cin, ...]. */
const conv_input_grad: InputGrad = defineOp("convolution_transpose", "grad, weight, bias, params, size", {
  doc: "",
  method: false,
  forward(ctx, grad: Tensor, weight: Tensor, bias: Tensor | null, params: ConvParams, size: Shape) {
    ctx.save(ctx.needs[1] ? grad : null, ctx.needs[0] ? weight : null);
    ctx.state = { params, inputSize: grad.shape, weightSize: weight.shape } satisfies State;
    return convolve("input_grad", grad, weight, bias, size, params);
  },
  backward(ctx, g: Tensor) {
    const [grad, weight] = ctx.saved();
    const { params, inputSize, weightSize } = ctx.state as State;
    return [
      ctx.needs[0] ? conv_forward(g, weight!, null, params, inputSize) : null,
      ctx.needs[1] ? conv_weight_grad(grad!, g, params, weightSize) : null,
      ctx.needs[2] ? overChannels(g) : null,
    ];
  },
});

/** The gradient of convolution's weight, of the given size. */
const conv_weight_grad: WeightGrad = defineOp("convolution_weight", "grad, input, params, size", {
  doc: "",
  method: false,
  forward(ctx, grad: Tensor, input: Tensor, params: ConvParams, size: Shape) {
    ctx.save(ctx.needs[1] ? grad : null, ctx.needs[0] ? input : null);
    ctx.state = { params, inputSize: input.shape, weightSize: grad.shape } satisfies State;
    return convolve("weight_grad", grad, input, null, size, params);
  },
  backward(ctx, g: Tensor) {
    const [grad, input] = ctx.saved();
    const { params, inputSize, weightSize: gradSize } = ctx.state as State;
    return [
      ctx.needs[0] ? conv_forward(input!, g, null, params, gradSize) : null,
      ctx.needs[1] ? conv_input_grad(grad!, g, null, params, inputSize) : null,
    ];
  },
});

/** What both kinds of convolution check. Returns the batched input. */
function checkOperands(op: string, n: number, input: Tensor, weight: Tensor, bias: Tensor | null): Tensor {
  checkTensor(op, "input", input);
  checkTensor(op, "weight", weight);
  commonDevice(op, bias === null ? [input, weight] : [input, weight, bias]);
  if (weight.ndim !== n + 2) {
    throw new RuntimeError(`${op}: expected a ${n + 2}-dimensional weight, got shape ${formatShape(weight.shape)}`);
  }
  if (input.ndim !== n + 1 && input.ndim !== n + 2) {
    throw new RuntimeError(
      `${op}: expected ${n + 1}D (unbatched) or ${n + 2}D (batched) input, got shape ${formatShape(input.shape)}`,
    );
  }
  if (input.dtype !== weight.dtype || (bias !== null && bias.dtype !== weight.dtype)) {
    throw new RuntimeError(
      `${op}: input, weight and bias must have one dtype, got ${input.dtype}, ${weight.dtype}${bias === null ? "" : `, ${bias.dtype}`}`,
    );
  }
  return input.ndim === n + 1 ? input.unsqueeze(0) : input;
}

function checkBias(op: string, bias: Tensor | null, channels: number): void {
  if (bias !== null && (bias.ndim !== 1 || bias.shape[0] !== channels)) {
    throw new RuntimeError(
      `${op}: expected bias to be 1-dimensional with ${channels} elements, got shape ${formatShape(bias.shape)}`,
    );
  }
}

function checkPositive(op: string, name: string, values: readonly number[], least: number): void {
  if (values.some((v) => !Number.isInteger(v) || v < least)) {
    throw new RuntimeError(`${op}: ${name} must be whole numbers of at least ${least}, got ${formatShape(values)}`);
  }
}

type ConvOp = Op<
  [
    input: Tensor,
    weight: Tensor,
    ...Args<
      [
        { bias?: Tensor | null },
        { stride?: Sizes },
        { padding?: Sizes | "same" | "valid" },
        { dilation?: Sizes },
        { groups?: number },
      ]
    >,
  ],
  Tensor
>;

function convolution(op: string, n: number): ConvOp {
  return composite(
    op,
    "input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1",
    {
      doc: `Correlates input [N, Cin, ${n} sizes] (or without N) with weight [Cout, Cin / groups, ${n} sizes]; padding: numbers, 'valid' or 'same'.`,
      method: false,
    },
    (
      input: Tensor,
      weight: Tensor,
      bias: Tensor | null,
      stride: Sizes,
      padding: Sizes | string,
      dilation: Sizes,
      groups: number,
    ) => {
      let x = checkOperands(op, n, input, weight, bias);
      const s = sizesOf(op, "stride", stride, n);
      const d = sizesOf(op, "dilation", dilation, n);
      checkPositive(op, "stride", s, 1);
      checkPositive(op, "dilation", d, 1);
      const cout = weight.shape[0]!;
      if (!Number.isInteger(groups) || groups <= 0) throw new RuntimeError(`${op}: groups must be positive, got ${groups}`);
      if (cout % groups !== 0 || cout < groups) {
        throw new RuntimeError(`${op}: the weight's ${cout} output channels must be a multiple of groups = ${groups}`);
      }
      if (x.shape[1] !== weight.shape[1]! * groups) {
        throw new RuntimeError(
          `${op}: given groups=${groups} and weight of shape ${formatShape(weight.shape)}, expected input to have ${weight.shape[1]! * groups} channels, but got ${x.shape[1]}`,
        );
      }
      checkBias(op, bias, cout);
      let p: number[];
      if (typeof padding === "string") {
        [x, p] = namedPadding(op, padding, x, weight, s, d);
      } else p = sizesOf(op, "padding", padding, n);
      checkPositive(op, "padding", p, 0);
      const size = [x.shape[0]!, cout];
      for (let i = 0; i < n; i++) {
        const room = x.shape[i + 2]! + 2 * p[i]!;
        const reach = d[i]! * (weight.shape[i + 2]! - 1) + 1;
        if (reach > room || weight.shape[i + 2] === 0) {
          throw new RuntimeError(
            `${op}: kernel size can't be greater than actual input size: dimension ${i} has ${room} (padded), the kernel spans ${reach}`,
          );
        }
        size.push(Math.floor((room - reach) / s[i]!) + 1);
      }
      const params = { stride: triple(s, 1), padding: triple(p, 0), dilation: triple(d, 1), groups };
      const out = conv_forward(x, weight, bias, params, size);
      return input.ndim === n + 1 ? out.squeeze(0) : out;
    },
  );
}

/** Padding by name; where 'same' is uneven the odd row goes to the end, by padding the input first. */
function namedPadding(
  op: string,
  padding: string,
  x: Tensor,
  weight: Tensor,
  stride: readonly number[],
  dilation: readonly number[],
): [Tensor, number[]] {
  if (padding === "valid") return [x, stride.map(() => 0)];
  if (padding !== "same") throw new RuntimeError(`${op}: padding must be 'valid', 'same' or numbers, got '${padding}'`);
  if (stride.some((v) => v !== 1)) throw new RuntimeError(`${op}: padding='same' is not supported for strided convolutions`);
  const totals = dilation.map((d, i) => d * (weight.shape[i + 2]! - 1));
  const p = totals.map((t) => Math.floor(t / 2));
  const odd = totals.toReversed().flatMap((t) => [0, t % 2]);
  return [odd.some((t) => t !== 0) ? constant_pad_nd(x, odd) : x, p];
}

export const conv1d: ConvOp = convolution("conv1d", 1);
export const conv2d: ConvOp = convolution("conv2d", 2);
export const conv3d: ConvOp = convolution("conv3d", 3);

type ConvTransposeOp = Op<
  [
    input: Tensor,
    weight: Tensor,
    ...Args<
      [
        { bias?: Tensor | null },
        { stride?: Sizes },
        { padding?: Sizes },
        { output_padding?: Sizes },
        { groups?: number },
        { dilation?: Sizes },
      ]
    >,
  ],
  Tensor
>;

function transposedConvolution(op: string, n: number): ConvTransposeOp {
  return composite(
    op,
    "input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1",
    {
      doc: `The adjoint of conv${n}d: input [N, Cin, ${n} sizes] (or without N), weight [Cin, Cout / groups, ${n} sizes].`,
      method: false,
    },
    (
      input: Tensor,
      weight: Tensor,
      bias: Tensor | null,
      stride: Sizes,
      padding: Sizes,
      output_padding: Sizes,
      groups: number,
      dilation: Sizes,
    ) => {
      const x = checkOperands(op, n, input, weight, bias);
      const s = sizesOf(op, "stride", stride, n);
      const p = sizesOf(op, "padding", padding, n);
      const extra = sizesOf(op, "output_padding", output_padding, n);
      const d = sizesOf(op, "dilation", dilation, n);
      checkPositive(op, "stride", s, 1);
      checkPositive(op, "padding", p, 0);
      checkPositive(op, "output_padding", extra, 0);
      checkPositive(op, "dilation", d, 1);
      if (!Number.isInteger(groups) || groups <= 0) throw new RuntimeError(`${op}: groups must be positive, got ${groups}`);
      if (x.shape[1] !== weight.shape[0] || weight.shape[0]! % groups !== 0) {
        throw new RuntimeError(
          `${op}: given weight of shape ${formatShape(weight.shape)} and groups=${groups}, expected input to have ${weight.shape[0]} channels, a multiple of groups, but got ${x.shape[1]}`,
        );
      }
      const channels = weight.shape[1]! * groups;
      checkBias(op, bias, channels);
      const size = [x.shape[0]!, channels];
      for (let i = 0; i < n; i++) {
        if (extra[i]! >= s[i]! && extra[i]! >= d[i]!) {
          throw new RuntimeError(
            `${op}: output padding must be smaller than either stride or dilation, got ${formatShape(extra)}`,
          );
        }
        const out = (x.shape[i + 2]! - 1) * s[i]! - 2 * p[i]! + d[i]! * (weight.shape[i + 2]! - 1) + 1 + extra[i]!;
        if (out <= 0) throw new RuntimeError(`${op}: the output's size would be ${out} in dimension ${i}; padding is too large`);
        size.push(out);
      }
      const params = { stride: triple(s, 1), padding: triple(p, 0), dilation: triple(d, 1), groups };
      const out = conv_input_grad(x, weight, bias, params, size);
      return input.ndim === n + 1 ? out.squeeze(0) : out;
    },
  );
}

export const conv_transpose1d: ConvTransposeOp = transposedConvolution("conv_transpose1d", 1);
export const conv_transpose2d: ConvTransposeOp = transposedConvolution("conv_transpose2d", 2);
export const conv_transpose3d: ConvTransposeOp = transposedConvolution("conv_transpose3d", 3);
