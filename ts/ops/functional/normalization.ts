/** torch.nn.functional: normalisations. */

import { float32, type DType } from "../../core/dtype.ts";
import { finfo } from "../../core/numeric_limits.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { is_grad_enabled, no_grad } from "../../core/grad_mode.ts";
import { formatShape, numelOf, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { updateInPlace } from "../../engine/inplace.ts";
import { commonDevice, contiguous, copyOf, empty, run } from "../../engine/run.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import type { RowwiseSpec } from "../../kernel/spec.ts";
import { ones } from "../creation.ts";
import { channelShape, checkFloating, shaped } from "./shared.ts";

/** Statistics of narrow rows are float32. */
const statisticsType = (dtype: DType): DType => (dtype.itemsize === 2 ? float32 : dtype);

function kernel(
  op: RowwiseSpec["op"],
  dtype: DType,
  affine: 0 | 1 | 2,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  options: { eps?: number; groups?: number; flag?: boolean },
): void {
  const { eps = 0, groups = 1, flag = false } = options;
  run({ kind: "rowwise", op, dtype, affine }, inputs, outputs, { eps, groups, ignore: 0, flag });
}

/** Whether narrow rows meet float32 parameters, as under autocast: then all is computed in float32, and the result rounded to the rows' type. */
const isMixed = (input: Tensor, ...parameters: (Tensor | null)[]): boolean =>
  input.dtype.is_floating_point && input.dtype.itemsize === 2 && parameters.some((p) => p?.dtype === float32);

/** Weight and bias for a kernel that knows none, the first, or both; dense and of the rows' type. */
function affineOf(weight: Tensor | null, bias: Tensor | null, like: Tensor, shape: Shape): Tensor[] {
  if (weight === null && bias === null) return [];
  const dense = (t: Tensor): Tensor => shaped(contiguous(t.dtype === like.dtype ? t : copyOf(t, like.dtype)), [t.numel()]);
  const list = [weight === null ? ones(shape, { dtype: like.dtype, device: like.device }).reshape([-1]) : dense(weight)];
  if (bias !== null) list.push(dense(bias));
  return list;
}

/**
 * Gradients of y = (x - mean) / std * weight + bias over groups of elements, as a formula that can be differentiated again.
 * `dims`: where the statistics come from; `weight` broadcasts to x.
 */
function formula(
  g: Tensor,
  x: Tensor,
  weight: Tensor | null,
  dims: readonly number[],
  eps: number,
  centred: boolean,
): { gx: Tensor; normalized: Tensor } {
  const n = numelOf(dims.map((d) => x.shape[d]!));
  const wide = statisticsType(x.dtype);
  const mean = (t: Tensor): Tensor => t.sum(dims, true).div(n);
  const xw = x.to(wide);
  const delta = centred ? xw.sub(mean(xw)) : xw;
  const rstd = mean(delta.mul(delta)).add(eps).rsqrt();
  const normalized = delta.mul(rstd);
  const gw = weight === null ? g.to(wide) : g.to(wide).mul(weight);
  const inner = normalized.mul(mean(gw.mul(normalized)));
  const gx = gw.sub(centred ? mean(gw).add(inner) : inner).mul(rstd);
  return { gx: gx.to(x.dtype), normalized };
}

// layer_norm

function checkNormalized(op: string, input: Tensor, shape: readonly number[], weight: Tensor | null, bias: Tensor | null): void {
  checkTensor(op, "input", input);
  if (shape.length === 0) throw new RuntimeError(`${op}: expected normalized_shape to be at least 1-dimensional`);
  const tail = input.shape.slice(Math.max(input.ndim - shape.length, 0));
  if (input.ndim < shape.length || tail.some((n, i) => n !== shape[i])) {
    throw new RuntimeError(
      `${op}: given normalized_shape=${formatShape(shape)}, expected input with shape [*, ${shape.join(", ")}], but got input of size ${formatShape(input.shape)}`,
    );
  }
  for (const [name, t] of [["weight", weight] as const, ["bias", bias] as const]) {
    if (t !== null && formatShape(t.shape) !== formatShape(shape)) {
      throw new RuntimeError(
        `${op}: expected ${name} to be of same shape as normalized_shape, but got ${name} of shape ${formatShape(t.shape)} and normalized_shape = ${formatShape(shape)}`,
      );
    }
  }
  commonDevice(
    op,
    [input, weight, bias].filter((t) => t !== null),
  );
  checkFloating(op, input.dtype);
}

interface NormState {
  readonly eps: number;
  readonly shape: Shape;
  readonly bias: boolean;
}

type NativeLayerNorm = Op<
  [
    input: Tensor,
    ...Args<[{ normalized_shape: readonly number[] }, { weight: Tensor | null }, { bias: Tensor | null }, { eps: number }]>,
  ],
  Tensor[]
>;

export const native_layer_norm: NativeLayerNorm = defineOp("native_layer_norm", "input, normalized_shape, weight, bias, eps", {
  doc: "layer_norm with its statistics: (output, mean, 1 / std).",
  method: false,
  forward(ctx, input: Tensor, normalized_shape: readonly number[], weight: Tensor | null, bias: Tensor | null, eps: number) {
    checkNormalized("layer_norm", input, normalized_shape, weight, bias);
    const n = numelOf(normalized_shape);
    const lead = input.shape.slice(0, input.ndim - normalized_shape.length);
    const rows = numelOf(lead);
    const statistics = [...lead, ...normalized_shape.map(() => 1)];
    const out = empty(input.shape, input.dtype, input.device);
    const mean = empty(statistics, statisticsType(input.dtype), input.device);
    const rstd = empty(statistics, mean.dtype, input.device);
    ctx.state = { eps, shape: normalized_shape, bias: bias !== null } satisfies NormState;
    if (out.numel() === 0) {
      mean.zero_();
      rstd.fill_(NaN);
    }
    ctx.save(input, weight, mean, rstd);
    // Beside parameters of the input's own type they are told in it, too.
    const told = (t: Tensor): Tensor => (isMixed(input, weight, bias) ? t : copyOf(t, input.dtype));
    const results = (): Tensor[] => (mean.dtype === input.dtype ? [out, mean, rstd] : [out, told(mean), told(rstd)]);
    if (out.numel() === 0) return results();
    const parameters = affineOf(weight, bias, input, normalized_shape);
    const flat = shaped(contiguous(input), [rows, n]);
    const outputs = [shaped(out, [rows, n]), shaped(mean, [rows]), shaped(rstd, [rows])];
    kernel("layer_norm", input.dtype, parameters.length as 0 | 1 | 2, [flat, ...parameters], outputs, { eps });
    return results();
  },
  backward(ctx, g: Tensor | null) {
    const [x, weight, mean, rstd] = ctx.saved() as [Tensor, Tensor | null, Tensor, Tensor];
    const { eps, shape } = ctx.state as NormState;
    if (g === null) return [];
    const n = numelOf(shape);
    if (is_grad_enabled() || x.numel() === 0) {
      const dims = shape.map((_, i) => x.ndim - shape.length + i);
      const lead = x.shape.slice(0, x.ndim - shape.length).map((_, i) => i);
      const { gx, normalized } = formula(g, x, weight, dims, eps, true);
      const over = (t: Tensor): Tensor => (lead.length === 0 ? t : t.sum(lead));
      return [gx, null, ctx.needs[2] ? over(g.mul(normalized)) : null, ctx.needs[3] ? over(g) : null];
    }
    const rows = x.numel() / n;
    const gx = empty(x.shape, x.dtype, x.device);
    const flat = (t: Tensor): Tensor => shaped(contiguous(t), [rows, n]);
    const parameters = affineOf(weight, null, x, shape);
    const wanted = ctx.needs[2] || ctx.needs[3];
    const grads = wanted ? [empty(shape, x.dtype, x.device), empty(shape, x.dtype, x.device)] : [];
    const inputs = [flat(g), flat(x), shaped(mean, [rows]), shaped(rstd, [rows]), ...parameters];
    const outputs = [flat(gx), ...grads.map((t) => shaped(t, [n]))];
    kernel("layer_norm_backward", x.dtype, wanted ? 2 : 0, inputs, outputs, { eps });
    return [gx, null, ctx.needs[2] ? grads[0] : null, ctx.needs[3] ? grads[1] : null];
  },
});

type Normalized = [{ normalized_shape: readonly number[] }];
type LayerNormOp = Op<
  [input: Tensor, ...Args<[...Normalized, { weight?: Tensor | null }, { bias?: Tensor | null }, { eps?: number }]>],
  Tensor
>;

export const layer_norm: LayerNormOp = composite(
  "layer_norm",
  "input, normalized_shape, weight=None, bias=None, eps=1e-05",
  {
    doc: "(input - mean) / sqrt(var + eps) * weight + bias over the last dimensions, whose shape is normalized_shape.",
    method: false,
  },
  (input: Tensor, normalized_shape: readonly number[], weight: Tensor | null, bias: Tensor | null, eps: number) => {
    if (!isMixed(input, weight, bias)) return native_layer_norm(input, normalized_shape, weight, bias, eps)[0]!;
    return native_layer_norm(input.to(float32), normalized_shape, weight, bias, eps)[0]!.to(input.dtype);
  },
);

type RmsPrimitive = Op<[input: Tensor, normalized_shape: readonly number[], weight: Tensor | null, eps: number], Tensor>;

const rms_norm_rows: RmsPrimitive = defineOp("rms_norm", "input, normalized_shape, weight, eps", {
  doc: "rms_norm by a row kernel.",
  method: false,
  forward(ctx, input: Tensor, shape: readonly number[], weight: Tensor | null, eps: number) {
    const n = numelOf(shape);
    const out = empty(input.shape, input.dtype, input.device);
    const rows = n === 0 ? 0 : input.numel() / n;
    const rstd = empty([rows], statisticsType(input.dtype), input.device);
    ctx.state = { eps, shape, bias: false } satisfies NormState;
    ctx.save(input, weight, rstd);
    if (out.numel() === 0) return out;
    const parameters = affineOf(weight, null, input, shape);
    const flat = shaped(contiguous(input), [rows, n]);
    const affine = parameters.length as 0 | 1;
    kernel("rms_norm", input.dtype, affine, [flat, ...parameters], [shaped(out, [rows, n]), rstd], { eps });
    return out;
  },
  backward(ctx, g: Tensor) {
    const [x, weight, rstd] = ctx.saved() as [Tensor, Tensor | null, Tensor];
    const { eps, shape } = ctx.state as NormState;
    const n = numelOf(shape);
    if (is_grad_enabled() || x.numel() === 0) {
      const dims = shape.map((_, i) => x.ndim - shape.length + i);
      const lead = x.shape.slice(0, x.ndim - shape.length).map((_, i) => i);
      const { gx, normalized } = formula(g, x, weight, dims, eps, false);
      const gn = g.mul(normalized);
      return [gx, null, ctx.needs[2] ? (lead.length === 0 ? gn : gn.sum(lead)) : null];
    }
    const rows = x.numel() / n;
    const gx = empty(x.shape, x.dtype, x.device);
    const flat = (t: Tensor): Tensor => shaped(contiguous(t), [rows, n]);
    const gweight = ctx.needs[2] ? empty(shape, x.dtype, x.device) : null;
    const inputs = [flat(g), flat(x), rstd, ...affineOf(weight, null, x, shape)];
    const outputs = gweight === null ? [flat(gx)] : [flat(gx), shaped(gweight, [n])];
    kernel("rms_norm_backward", x.dtype, gweight === null ? 0 : 1, inputs, outputs, { eps });
    return [gx, null, gweight];
  },
});

type RmsNormOp = Op<[input: Tensor, ...Args<[...Normalized, { weight?: Tensor | null }, { eps?: number | null }]>], Tensor>;

export const rms_norm: RmsNormOp = composite(
  "rms_norm",
  "input, normalized_shape, weight=None, eps=None",
  { doc: "input / sqrt(mean(input²) + eps) * weight over the last dimensions; eps None: the type's epsilon.", method: false },
  (input: Tensor, normalized_shape: readonly number[], weight: Tensor | null, eps: number | null) => {
    checkNormalized("rms_norm", input, normalized_shape, weight, null);
    const e = eps ?? finfo(input.dtype).eps;
    if (!isMixed(input, weight)) return rms_norm_rows(input, normalized_shape, weight, e);
    return rms_norm_rows(input.to(float32), normalized_shape, weight, e).to(input.dtype);
  },
);

// batch_norm

/** [N, C, ...] as [N, C, S]. */
const asPlanes = (t: Tensor): Tensor => shaped(contiguous(t), [t.shape[0]!, t.shape[1]!, numelOf(t.shape.slice(2))]);

type BatchPrimitive = Op<
  [
    input: Tensor,
    weight: Tensor | null,
    bias: Tensor | null,
    running_mean: Tensor | null,
    running_var: Tensor | null,
    training: boolean,
    eps: number,
  ],
  Tensor[]
>;

/** The output, and the mean, variance (biased) and 1 / std that made it. */
const batch_norm_planes: BatchPrimitive = defineOp(
  "batch_norm",
  "input, weight, bias, running_mean, running_var, training, eps",
  {
    doc: "batch_norm by kernels.",
    method: false,
    forward(
      ctx,
      input: Tensor,
      weight: Tensor | null,
      bias: Tensor | null,
      running_mean: Tensor | null,
      running_var: Tensor | null,
      training: boolean,
      eps: number,
    ) {
      const channels = input.shape[1]!;
      const wide = statisticsType(input.dtype);
      const dense = (t: Tensor): Tensor => contiguous(t.dtype === wide ? t : copyOf(t, wide));
      const x = asPlanes(input);
      let mean: Tensor;
      let variance: Tensor;
      if (training) {
        mean = empty([channels], wide, input.device);
        variance = empty([channels], wide, input.device);
        if (input.numel() > 0) kernel("batch_norm_stats", input.dtype, 0, [x], [mean, variance], { eps });
      } else {
        // Copies: what backward needs must not change with the running statistics.
        mean = copyOf(running_mean!, wide);
        variance = dense(running_var!);
      }
      const rstd = variance.add(eps).rsqrt();
      const out = empty(input.shape, input.dtype, input.device);
      const parameters = affineOf(weight, bias, input, [channels]);
      if (input.numel() > 0) {
        kernel("batch_norm", input.dtype, parameters.length as 0 | 1 | 2, [x, mean, rstd, ...parameters], [asPlanes(out)], {
          eps,
        });
      }
      ctx.save(input, weight, mean, rstd);
      ctx.state = { eps, training };
      return [out, mean, variance, rstd];
    },
    backward(ctx, g: Tensor | null) {
      if (g === null) return [];
      const [x, weight, mean, rstd] = ctx.saved() as [Tensor, Tensor | null, Tensor, Tensor];
      const { eps, training } = ctx.state as { eps: number; training: boolean };
      const channels = x.shape[1]!;
      const dims = x.shape.map((_, d) => d).filter((d) => d !== 1);
      const line = channelShape(channels, x.ndim);
      if (is_grad_enabled() || x.numel() === 0) {
        const w = weight === null ? null : weight.reshape(line);
        let gx: Tensor;
        let normalized: Tensor;
        if (training) ({ gx, normalized } = formula(g, x, w, dims, eps, true));
        else {
          normalized = x.sub(mean.reshape(line)).mul(rstd.reshape(line));
          gx = (w === null ? g : g.mul(w)).mul(rstd.reshape(line));
        }
        return [gx, ctx.needs[1] ? g.mul(normalized).sum(dims) : null, ctx.needs[2] ? g.sum(dims) : null];
      }
      const gx = empty(x.shape, x.dtype, x.device);
      const wanted = ctx.needs[1] || ctx.needs[2];
      const grads = wanted ? [empty([channels], x.dtype, x.device), empty([channels], x.dtype, x.device)] : [];
      const inputs = [asPlanes(g), asPlanes(x), mean, contiguous(rstd), ...affineOf(weight, null, x, [channels])];
      kernel("batch_norm_backward", x.dtype, wanted ? 2 : 0, inputs, [asPlanes(gx), ...grads], { eps, flag: training });
      return [gx, ctx.needs[1] ? grads[0] : null, ctx.needs[2] ? grads[1] : null];
    },
  },
);

/** old ← (1 - momentum) * old + momentum * seen, unrecorded. */
function follow(running: Tensor | null, seen: Tensor, momentum: number): void {
  if (running === null) return;
  no_grad(() =>
    updateInPlace("batch_norm", running, (old) =>
      old
        .mul(1 - momentum)
        .add(seen.mul(momentum))
        .to(running.dtype),
    ),
  );
}

function checkChannels(op: string, channels: number, tensors: Readonly<Record<string, Tensor | null>>): void {
  for (const [name, t] of Object.entries(tensors)) {
    if (t !== null && t.numel() !== channels) {
      throw new RuntimeError(`${op}: ${name} should contain ${channels} elements, not ${t.numel()}`);
    }
  }
}

function batchNorm(
  op: string,
  input: Tensor,
  running_mean: Tensor | null,
  running_var: Tensor | null,
  weight: Tensor | null,
  bias: Tensor | null,
  training: boolean,
  momentum: number,
  eps: number,
): Tensor[] {
  checkTensor(op, "input", input);
  if (input.ndim === 1 && input.numel() === 0) return [input.clone()];
  if (input.ndim < 2) throw new RuntimeError(`${op}: expected at least 2D input, got shape ${formatShape(input.shape)}`);
  checkFloating(op, input.dtype);
  const channels = input.shape[1]!;
  checkChannels(op, channels, { running_mean, running_var, weight, bias });
  commonDevice(
    op,
    [input, running_mean, running_var, weight, bias].filter((t) => t !== null),
  );
  if (!training && (running_mean === null || running_var === null)) {
    throw new RuntimeError(`${op}: expected running_mean and running_var to be defined when training=False`);
  }
  const x = isMixed(input, weight, bias) ? input.to(float32) : input;
  const parts = batch_norm_planes(x, weight, bias, running_mean, running_var, training, eps);
  if (x !== input) parts[0] = parts[0]!.to(input.dtype);
  if (training && input.numel() > 0) {
    const n = input.numel() / channels;
    follow(running_mean, parts[1]!, momentum);
    follow(running_var, n === 1 ? parts[2]!.div(0) : parts[2]!.mul(n / (n - 1)), momentum);
  }
  return parts;
}

type Running = [{ running_mean: Tensor | null }, { running_var: Tensor | null }];
type Affine = [{ weight?: Tensor | null }, { bias?: Tensor | null }];
type BatchNormOp = Op<
  [input: Tensor, ...Args<[...Running, ...Affine, { training?: boolean }, { momentum?: number }, { eps?: number }]>],
  Tensor
>;

export const batch_norm: BatchNormOp = composite(
  "batch_norm",
  "input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1, eps=1e-05",
  {
    doc: "Normalises each channel of [N, C, ...]: training, by the batch's statistics, which the running ones follow; else by the running ones.",
    method: false,
  },
  (
    input: Tensor,
    running_mean: Tensor | null,
    running_var: Tensor | null,
    weight: Tensor | null,
    bias: Tensor | null,
    training: boolean,
    momentum: number,
    eps: number,
  ) => {
    if (training && input.ndim >= 2 && numelOf(input.shape.filter((_, d) => d !== 1)) === 1) {
      throw new ValueError(
        `batch_norm: expected more than 1 value per channel when training, got input size ${formatShape(input.shape)}`,
      );
    }
    return batchNorm("batch_norm", input, running_mean, running_var, weight, bias, training, momentum, eps)[0]!;
  },
);

type NativeBatchNorm = Op<
  [
    input: Tensor,
    ...Args<
      [
        { weight: Tensor | null },
        { bias: Tensor | null },
        ...Running,
        { training: boolean },
        { momentum: number },
        { eps: number },
      ]
    >,
  ],
  Tensor[]
>;

export const native_batch_norm: NativeBatchNorm = composite(
  "native_batch_norm",
  "input, weight, bias, running_mean, running_var, training, momentum, eps",
  { doc: "batch_norm with its statistics: (output, mean, 1 / std), the last two empty unless training.", method: false },
  (
    input: Tensor,
    weight: Tensor | null,
    bias: Tensor | null,
    running_mean: Tensor | null,
    running_var: Tensor | null,
    training: boolean,
    momentum: number,
    eps: number,
  ) => {
    const parts = batchNorm("native_batch_norm", input, running_mean, running_var, weight, bias, training, momentum, eps);
    if (training) return [parts[0]!, parts[1]!, parts[3]!];
    const none = (): Tensor => empty([0], statisticsType(input.dtype), input.device);
    return [parts[0]!, none(), none()];
  },
);

type InstanceNormOp = Op<
  [
    input: Tensor,
    ...Args<
      [
        { running_mean?: Tensor | null },
        { running_var?: Tensor | null },
        ...Affine,
        { use_input_stats?: boolean },
        { momentum?: number },
        { eps?: number },
      ]
    >,
  ],
  Tensor
>;

export const instance_norm: InstanceNormOp = composite(
  "instance_norm",
  "input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True, momentum=0.1, eps=1e-05",
  { doc: "Normalises each channel of each sample of [N, C, ...] by itself.", method: false },
  (
    input: Tensor,
    running_mean: Tensor | null,
    running_var: Tensor | null,
    weight: Tensor | null,
    bias: Tensor | null,
    use_input_stats: boolean,
    momentum: number,
    eps: number,
  ) => {
    checkTensor("instance_norm", "input", input);
    if (input.ndim < 2) {
      throw new RuntimeError(`instance_norm: expected at least 2D input, got shape ${formatShape(input.shape)}`);
    }
    const [n, c] = input.shape as [number, number];
    const spatial = input.shape.slice(2);
    if (use_input_stats && numelOf(spatial) === 1) {
      throw new ValueError(
        `instance_norm: expected more than 1 spatial element when training, got input size ${formatShape(input.shape)}`,
      );
    }
    if (!use_input_stats && (running_mean === null || running_var === null)) {
      throw new RuntimeError("instance_norm: expected running_mean and running_var to be defined when use_input_stats=False");
    }
    const each = (t: Tensor | null): Tensor | null => (t === null ? null : t.repeat(n));
    const rm = no_grad(() => each(running_mean));
    const rv = no_grad(() => each(running_var));
    const folded = input.reshape([1, n * c, ...spatial]);
    const [out] = batchNorm("instance_norm", folded, rm, rv, each(weight), each(bias), use_input_stats, momentum, eps);
    if (use_input_stats) {
      const gather = (to: Tensor | null, from: Tensor | null): void => {
        if (to !== null) no_grad(() => updateInPlace("instance_norm", to, () => from!.reshape([n, c]).sum(0).div(n)));
      };
      gather(running_mean, rm);
      gather(running_var, rv);
    }
    return out!.reshape(input.shape);
  },
);

// group_norm

type GroupPrimitive = Op<[input: Tensor, groups: number, weight: Tensor | null, bias: Tensor | null, eps: number], Tensor>;

const group_norm_rows: GroupPrimitive = defineOp("group_norm", "input, groups, weight, bias, eps", {
  doc: "group_norm by kernels.",
  method: false,
  forward(ctx, input: Tensor, groups: number, weight: Tensor | null, bias: Tensor | null, eps: number) {
    const [n, c] = input.shape as [number, number];
    const wide = statisticsType(input.dtype);
    const out = empty(input.shape, input.dtype, input.device);
    const mean = empty([n * groups], wide, input.device);
    const rstd = empty([n * groups], wide, input.device);
    ctx.save(input, weight, mean, rstd);
    ctx.state = { groups, eps };
    if (out.numel() === 0) return out;
    const rows = [n * groups, c / groups, numelOf(input.shape.slice(2))];
    const parameters = affineOf(weight, bias, input, [c]);
    const inputs = [shaped(contiguous(input), rows), ...parameters];
    kernel("group_norm", input.dtype, parameters.length as 0 | 1 | 2, inputs, [shaped(out, rows), mean, rstd], { eps, groups });
    return out;
  },
  backward(ctx, g: Tensor) {
    const [x, weight, mean, rstd] = ctx.saved() as [Tensor, Tensor | null, Tensor, Tensor];
    const { groups, eps } = ctx.state as { groups: number; eps: number };
    const [n, c] = x.shape as [number, number];
    const rows = [n * groups, c / groups, numelOf(x.shape.slice(2))];
    if (is_grad_enabled() || x.numel() === 0) {
      const split = [n, groups, c / groups, rows[2]!];
      const w = weight === null ? null : weight.reshape([1, groups, c / groups, 1]);
      const { gx, normalized } = formula(g.reshape(split), x.reshape(split), w, [2, 3], eps, true);
      const over = (t: Tensor): Tensor => t.reshape([n, c, rows[2]!]).sum([0, 2]);
      return [
        gx.reshape(x.shape),
        null,
        ctx.needs[2] ? over(g.reshape(split).mul(normalized)) : null,
        ctx.needs[3] ? over(g) : null,
      ];
    }
    const gx = empty(x.shape, x.dtype, x.device);
    const wanted = ctx.needs[2] || ctx.needs[3];
    const grads = wanted ? [empty([c], x.dtype, x.device), empty([c], x.dtype, x.device)] : [];
    const flat = (t: Tensor): Tensor => shaped(contiguous(t), rows);
    const inputs = [flat(g), flat(x), mean, rstd, ...affineOf(weight, null, x, [c])];
    kernel("group_norm_backward", x.dtype, wanted ? 2 : 0, inputs, [flat(gx), ...grads], { eps, groups });
    return [gx, null, ctx.needs[2] ? grads[0] : null, ctx.needs[3] ? grads[1] : null];
  },
});

type GroupNormOp = Op<[input: Tensor, ...Args<[{ num_groups: number }, ...Affine, { eps?: number }]>], Tensor>;

export const group_norm: GroupNormOp = composite(
  "group_norm",
  "input, num_groups, weight=None, bias=None, eps=1e-05",
  { doc: "Normalises each of num_groups groups of channels of each sample of [N, C, ...].", method: false },
  (input: Tensor, num_groups: number, weight: Tensor | null, bias: Tensor | null, eps: number) => {
    checkTensor("group_norm", "input", input);
    if (input.ndim < 2) throw new RuntimeError(`group_norm: expected at least 2D input, got shape ${formatShape(input.shape)}`);
    if (num_groups <= 0) throw new RuntimeError(`group_norm: expected num_groups to be greater than 0, got ${num_groups}`);
    const c = input.shape[1]!;
    if (c % num_groups !== 0) {
      throw new RuntimeError(
        `group_norm: expected number of channels in input to be divisible by num_groups, but got input of shape ${formatShape(input.shape)} and num_groups=${num_groups}`,
      );
    }
    for (const [name, t] of [["weight", weight] as const, ["bias", bias] as const]) {
      if (t !== null && (t.ndim !== 1 || t.shape[0] !== c)) {
        throw new RuntimeError(
          `group_norm: expected ${name} to be a vector of size equal to the number of channels in input, but got ${name} of shape ${formatShape(t.shape)} and input of shape ${formatShape(input.shape)}`,
        );
      }
    }
    checkFloating("group_norm", input.dtype);
    if (!isMixed(input, weight, bias)) return group_norm_rows(input, num_groups, weight, bias, eps);
    return group_norm_rows(input.to(float32), num_groups, weight, bias, eps).to(input.dtype);
  },
);
