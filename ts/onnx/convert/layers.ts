/** Layers: convolutions, norms, pools, attention, recurrent networks. */

import * as torch from "../../torch.ts";
import { Arg, type Dim, type Emitter, type Val } from "../emit.ts";
import { reduce } from "./reduce.ts";
import { each, isFixed, like, number, operand, reshaped, wrap, type Args, type Convert, type Table } from "./shared.ts";

const twice = (list: readonly number[]): number[] => [...list, ...list];

const convolution =
  (n: number, type: "Conv" | "ConvTranspose"): Convert =>
  (g, a, [out]) => {
    if ((a.input as Arg).ndim !== n + 2) return null;
    const strides = each(a.stride, n, "stride");
    const dilations = each(a.dilation, n, "dilation");
    const group = number(a.groups, "groups");
    const kernel = (a.weight as Arg).shape.slice(2) as number[];
    const total = a.padding === "same" ? kernel.map((k, d) => dilations[d]! * (k - 1)) : null;
    const before = total?.map((t) => Math.floor(t / 2)) ?? each(a.padding === "valid" ? 0 : a.padding, n, "padding");
    const pads = [...before, ...before.map((p, d) => (total === null ? p : total[d]! - p))];
    const extra = type === "Conv" ? {} : { output_padding: each(a.output_padding, n, "output_padding") };
    const inputs = [g.use(a.input as Arg), g.use(a.weight as Arg), a.bias === null ? null : g.use(a.bias as Arg)];
    return g.op(type, inputs, { strides, dilations, group, pads, ...extra }, like(out!));
  };

const pool =
  (n: number, type: "MaxPool" | "AveragePool"): Convert =>
  (g, a, out) => {
    if ((a.input as Arg).ndim !== n + 2 || out.length > 1 || (a.divisor_override ?? null) !== null) return null;
    const kernel_shape = each(a.kernel_size, n, "kernel_size");
    const given = a.stride === null || (Array.isArray(a.stride) && a.stride.length === 0) ? kernel_shape : a.stride;
    const attributes = {
      kernel_shape,
      strides: each(given, n, "stride"),
      pads: twice(each(a.padding, n, "padding")),
      ceil_mode: a.ceil_mode === true ? 1 : 0,
      ...(type === "MaxPool"
        ? { dilations: each(a.dilation, n, "dilation") }
        : { count_include_pad: a.count_include_pad === true ? 1 : 0 }),
    };
    return g.op(type, [g.use(a.input as Arg)], attributes, like(out[0]!));
  };

/** Windows that divide the input evenly. */
const adaptive =
  (n: number, type: string): Convert =>
  (g, a, out) => {
    const x = a.input as Arg;
    if (x.ndim !== n + 2 || out.length > 1) return null;
    const sizes = out[0]!.shape.slice(2);
    if (sizes.every((s) => s === 1)) return g.op(`Global${type}`, [g.use(x)], {}, like(out[0]!));
    const from = x.shape.slice(2);
    if (![...sizes, ...from].every(isFixed) || from.some((s, d) => (s as number) % (sizes[d] as number) !== 0)) return null;
    const kernel = from.map((s, d) => (s as number) / (sizes[d] as number));
    return g.op(type, [g.use(x)], { kernel_shape: kernel, strides: kernel }, like(out[0]!));
  };

/** A weight or bias, or the one that changes nothing. */
function affine(g: Emitter, given: unknown, n: number, otherwise: number, dtype: torch.DType): Val {
  if (given instanceof Arg) return g.use(given);
  return g.constant(torch.full([n], otherwise, { dtype, device: "cpu" }));
}

const batchNorm: Convert = (g, a, [out]) => {
  if (a.training === true || a.running_mean === null) {
    if (a.training === true && a.running_mean !== null) {
      throw new torch.NotImplementedError(
        "onnx.export: batch norms in training mode are not supported; export in TrainingMode.EVAL",
      );
    }
    return null;
  }
  const x = a.input as Arg;
  const channels = (a.running_mean as Arg).shape[0] as number;
  const w = [affine(g, a.weight, channels, 1, x.dtype), affine(g, a.bias, channels, 0, x.dtype)];
  const stats = [g.use(a.running_mean as Arg), g.use(a.running_var as Arg)];
  return g.op("BatchNormalization", [g.use(x), ...w, ...stats], { epsilon: { float: number(a.eps, "eps") } }, like(out!));
};

const last = (x: Arg, n: number): number[] => Array.from({ length: n }, (_, k) => x.ndim - n + k);
const overLast = (x: Arg, n: number): Omit<Val, "name"> => ({
  dtype: x.dtype,
  shape: x.shape.map((s, k) => (k < x.ndim - n ? s : 1)),
});

/** v over the root of its mean square along the last n dimensions, times the weight. */
function byRootMean(g: Emitter, x: Arg, v: Val, n: number, eps: number, weight: unknown): Val {
  const means = overLast(x, n);
  const square = reduce(g, "ReduceMean", g.op("Mul", [v, v], {}, like(x)), last(x, n), true, means);
  const root = g.op("Sqrt", [g.op("Add", [square, g.scalar(eps, x.dtype)], {}, means)], {}, means);
  const y = g.op("Div", [v, root], {}, like(x));
  return weight instanceof Arg ? g.op("Mul", [y, g.use(weight)], {}, like(x)) : y;
}

const rmsNorm: Convert = (g, a) => {
  const x = a.input as Arg;
  const n = Array.isArray(a.normalized_shape) ? a.normalized_shape.length : 1;
  // Without eps it is the op that it is made of that knows the number.
  return a.eps === null ? null : byRootMean(g, x, g.use(x), n, number(a.eps, "eps"), a.weight);
};

const layerNorm: Convert = (g, a, out) => {
  const x = a.input as Arg;
  const shape = a.normalized_shape as Dim[];
  const fixed = Array.isArray(shape) ? shape : [shape];
  if (out.length > 1 || !fixed.every(isFixed)) return null;
  const eps = number(a.eps, "eps");
  const bias = a.bias instanceof Arg ? g.use(a.bias) : null;
  if (g.opset < 17) {
    const mean = reduce(g, "ReduceMean", g.use(x), last(x, fixed.length), true, overLast(x, fixed.length));
    const y = byRootMean(g, x, g.op("Sub", [g.use(x), mean], {}, like(x)), fixed.length, eps, a.weight);
    return bias === null ? y : g.op("Add", [y, bias], {}, like(x));
  }
  const weight =
    a.weight instanceof Arg ? g.use(a.weight) : g.constant(torch.ones(fixed as number[], { dtype: x.dtype, device: "cpu" }));
  const attributes = { axis: -fixed.length, epsilon: { float: eps } };
  return g.op("LayerNormalization", [g.use(x), weight, bias], attributes, like(out[0]!));
};

/** Each group as a channel of an instance norm; then the weights. */
const groupNorm: Convert = (g, a, [out]) => {
  const x = a.input as Arg;
  const groups = number(a.num_groups ?? a.groups, "num_groups");
  const channels = x.shape[1] as number;
  const { dtype } = x;
  const flat = g.op("Reshape", [g.use(x), g.ints([0, groups, -1])], {}, { dtype, shape: [x.shape[0]!, groups, -1] });
  const plain = [affine(g, null, groups, 1, dtype), affine(g, null, groups, 0, dtype)];
  const normed = g.op("InstanceNormalization", [flat, ...plain], { epsilon: { float: number(a.eps, "eps") } }, like(flat));
  let y = reshaped(g, normed, out!.shape);
  const column = (t: Arg): Val =>
    g.op("Reshape", [g.use(t), g.ints([channels, ...new Array<number>(x.ndim - 2).fill(1)])], {}, like(t));
  if (a.weight instanceof Arg) y = g.op("Mul", [y, column(a.weight)], {}, like(out!));
  return a.bias instanceof Arg ? g.op("Add", [y, column(a.bias)], {}, like(out!)) : y;
};

const instanceNorm: Convert = (g, a, [out]) => {
  const x = a.input as Arg;
  if (a.use_input_stats !== true) return null;
  const channels = x.shape[1] as number;
  const w = [affine(g, a.weight, channels, 1, x.dtype), affine(g, a.bias, channels, 0, x.dtype)];
  return g.op("InstanceNormalization", [g.use(x), ...w], { epsilon: { float: number(a.eps, "eps") } }, like(out!));
};

const softmax =
  (type: string): Convert =>
  (g, a, [out]) =>
    a.dim === null
      ? null
      : g.op(type, [operand(g, a.input, out!.dtype)], { axis: wrap(number(a.dim, "dim"), out!.ndim) }, like(out!));

/** Dropout that drops nothing leaves its input as it is. */
const dropout: Convert = (g, a, [out]) => {
  if (!("training" in a)) return null;
  if (a.training !== true || a.p === 0) return g.use(a.input as Arg);
  const inputs = [g.use(a.input as Arg), g.scalar(number(a.p, "p"), torch.float32), g.scalar(true, torch.bool)];
  return g.op("Dropout", inputs, {}, like(out!));
};
const noDropout: Convert = (g, a) => (a.training === true && a.p !== 0 ? null : g.use(a.input as Arg));

const attention: Convert = (g, a, [out]) => {
  if (!("query" in a) || number(a.dropout_p, "dropout_p") !== 0 || a.enable_gqa === true) return null;
  const [q, k, v] = ["query", "key", "value"].map((n) => a[n] as Arg) as [Arg, Arg, Arg];
  const n = q.ndim;
  const width = q.shape[n - 1]!;
  if (!isFixed(width) || n < 2 || k.ndim !== n) return null;
  const { dtype } = q;
  const scale = a.scale === null ? 1 / Math.sqrt(width) : number(a.scale, "scale");
  const order = Array.from({ length: n }, (_, d) => (d === n - 2 ? n - 1 : d === n - 1 ? n - 2 : d));
  const lead = out!.shape.slice(0, -2);
  const [length, keys] = [q.shape[n - 2]!, k.shape[n - 2]!];
  const shape = [...lead, length, keys];
  const scaled = g.op("Mul", [g.use(q), g.scalar(scale, dtype)], {}, like(q));
  const across = g.op("Transpose", [g.use(k)], { perm: order }, { dtype, shape: order.map((d) => k.shape[d]!) });
  let scores = g.op("MatMul", [scaled, across], {}, { dtype, shape });
  const hide = (visible: Val): void => {
    scores = g.op("Where", [visible, scores, g.scalar(-Infinity, dtype)], {}, { dtype, shape });
  };
  if (a.is_causal === true) {
    const one = torch.ones([1], { dtype: torch.int32, device: "cpu" });
    const ones = g.op("ConstantOfShape", [g.ints([length, keys])], { value: one }, { dtype: torch.int32, shape: [length, keys] });
    hide(g.cast(g.op("Trilu", [ones, g.scalar(0, torch.int64)], { upper: 0 }, like(ones)), torch.bool));
  }
  if (a.attn_mask instanceof Arg) {
    const mask = g.use(a.attn_mask);
    if (mask.dtype === torch.bool) hide(mask);
    else scores = g.op("Add", [scores, g.cast(mask, dtype)], {}, { dtype, shape });
  }
  let weights = g.op("Softmax", [scores], { axis: n - 1 }, { dtype, shape });
  if (a.attn_mask instanceof Arg) {
    // Who may look at nothing sees zeros.
    const rows = { dtype, shape: [...lead, length, 1] };
    const top = reduce(g, "ReduceMax", scores, [n - 1], true, rows);
    const blind = g.op("Equal", [top, g.scalar(-Infinity, dtype)], {}, { ...rows, dtype: torch.bool });
    weights = g.op("Where", [blind, g.scalar(0, dtype), weights], {}, { dtype, shape });
  }
  return g.op("MatMul", [weights, g.use(v)], {}, like(out!));
};

const MODES: Readonly<Record<string, string>> = {
  nearest: "nearest",
  bilinear: "linear",
  linear: "linear",
  trilinear: "linear",
  bicubic: "cubic",
};

const interpolate: Convert = (g, a, [out]) => {
  const mode = MODES[a.mode as string];
  if (mode === undefined || a.antialias === true) return null;
  const x = a.input as Arg;
  const nearest = mode === "nearest";
  const coordinates = nearest ? "asymmetric" : a.align_corners === true ? "align_corners" : "half_pixel";
  const attributes = {
    mode,
    coordinate_transformation_mode: coordinates,
    ...(nearest ? { nearest_mode: "floor" } : {}),
    ...(mode === "cubic" ? { cubic_coeff_a: { float: -0.75 } } : {}),
  };
  if (a.scale_factor !== null && a.recompute_scale_factor !== true) {
    const scales = [1, 1, ...each(a.scale_factor, x.ndim - 2, "scale_factor")];
    const given = g.constant(torch.tensor(scales, { dtype: torch.float32, device: "cpu" }));
    return g.op("Resize", [g.use(x), null, given], attributes, like(out!));
  }
  return g.op("Resize", [g.use(x), null, null, g.ints(out!.shape)], attributes, like(out!));
};

/** Where ONNX's gates lie among PyTorch's. */
const GATES: Readonly<Record<string, readonly number[]>> = { LSTM: [0, 3, 1, 2], GRU: [1, 0, 2], RNN: [0] };

const recurrence: Convert = (g, a, out) => {
  const network = a.network as {
    mode: string;
    num_layers: number;
    bias: boolean;
    bidirectional: boolean;
    dropout: number;
    training: boolean;
    hidden_size: number;
    proj_size: number;
  };
  const type = network.mode.split("_")[0]!;
  const drops = network.dropout > 0 && network.training && network.num_layers > 1;
  if (network.proj_size > 0 || drops) return null;
  const order = GATES[type]!;
  const dirs = network.bidirectional ? 2 : 1;
  const h = network.hidden_size;
  const weights = a.weights as Arg[];
  const per = network.bias ? 4 : 2;
  const { dtype } = a.input as Arg;
  const reorder = (t: Arg): Val => {
    const x = g.use(t);
    if (order.length === 1) return x;
    const rest = x.shape.slice(1);
    const parts = order.map((k) =>
      g.op("Slice", [x, g.ints([k * h]), g.ints([(k + 1) * h]), g.ints([0])], {}, { dtype, shape: [h, ...rest] }),
    );
    return g.op("Concat", parts, { axis: 0 }, { dtype, shape: x.shape });
  };
  /** One of each direction, stacked. */
  const stacked = (parts: readonly Val[]): Val => {
    const lifted = parts.map((p) => g.op("Unsqueeze", [p, g.ints([0])], {}, { dtype, shape: [1, ...p.shape] }));
    return lifted.length === 1 ? lifted[0]! : g.op("Concat", lifted, { axis: 0 }, { dtype, shape: [dirs, ...parts[0]!.shape] });
  };
  const states = (a.state as Arg[]).map((s) => g.use(s));
  const [length, batch] = (a.input as Arg).shape as [Dim, Dim];
  let x = g.use(a.input as Arg);
  const finals: Val[][] = states.map(() => []);
  for (let layer = 0; layer < network.num_layers; layer++) {
    const own = Array.from({ length: dirs }, (_, d) => weights.slice((layer * dirs + d) * per, (layer * dirs + d + 1) * per));
    const w = stacked(own.map((p) => reorder(p[0]!)));
    const r = stacked(own.map((p) => reorder(p[1]!)));
    const bias = network.bias
      ? stacked(
          own.map((p) => g.op("Concat", [reorder(p[2]!), reorder(p[3]!)], { axis: 0 }, { dtype, shape: [2 * order.length * h] })),
        )
      : null;
    const first = states.map((s) =>
      network.num_layers === 1
        ? s
        : g.op(
            "Slice",
            [s, g.ints([layer * dirs]), g.ints([(layer + 1) * dirs]), g.ints([0])],
            {},
            { dtype, shape: [dirs, batch, h] },
          ),
    );
    const y = { dtype, shape: [length, dirs, batch, h] };
    const last = { dtype, shape: [dirs, batch, h] };
    const attributes = {
      hidden_size: h,
      direction: dirs === 2 ? "bidirectional" : "forward",
      ...(type === "GRU" ? { linear_before_reset: 1 } : {}),
    };
    const relu = network.mode === "RNN_RELU";
    const results = g.node(type, [x, w, r, bias, null, ...first], attributes, [y, ...states.map(() => last)]);
    if (relu) {
      const node = g.nodes.at(-1)!;
      const relus = Array.from({ length: dirs }, () => new TextEncoder().encode("Relu"));
      node.attribute = [...node.attribute!, { name: "activations", strings: relus, type: 8n }];
    }
    results.slice(1).forEach((s, k) => finals[k]!.push(s));
    const side = g.op("Transpose", [results[0]!], { perm: [0, 2, 1, 3] }, { dtype, shape: [length, batch, dirs, h] });
    x = g.op("Reshape", [side, g.ints([0, 0, -1])], {}, { dtype, shape: [length, batch, dirs * h] });
  }
  const joined = finals.map((f, k) => (f.length === 1 ? f[0]! : g.op("Concat", f, { axis: 0 }, like(out[k + 1]!))));
  return [x, ...joined];
};

const byRank = (name: string, make: (n: number) => Convert): Table =>
  Object.fromEntries([1, 2, 3].map((n) => [`${name}${n}d`, make(n)]));

export const layers: Table = {
  ...byRank("conv", (n) => convolution(n, "Conv")),
  ...byRank("conv_transpose", (n) => convolution(n, "ConvTranspose")),
  ...byRank("max_pool", (n) => pool(n, "MaxPool")),
  ...byRank("avg_pool", (n) => pool(n, "AveragePool")),
  ...byRank("adaptive_avg_pool", (n) => adaptive(n, "AveragePool")),
  ...byRank("adaptive_max_pool", (n) => adaptive(n, "MaxPool")),
  alpha_dropout: noDropout,
  batch_norm: batchNorm,
  dropout,
  ...byRank("dropout", () => noDropout),
  feature_alpha_dropout: noDropout,
  grid_sample: (g, a: Args, [out]) => {
    if (g.opset < 16 || (a.input as Arg).ndim !== 4 || a.mode === "bicubic") return null;
    const mode = g.opset >= 20 && a.mode === "bilinear" ? "linear" : (a.mode as string);
    const attributes = { mode, padding_mode: a.padding_mode as string, align_corners: a.align_corners === true ? 1 : 0 };
    return g.op("GridSample", [g.use(a.input as Arg), g.use(a.grid as Arg)], attributes, like(out!));
  },
  group_norm: groupNorm,
  instance_norm: instanceNorm,
  interpolate,
  layer_norm: layerNorm,
  log_softmax: softmax("LogSoftmax"),
  pixel_shuffle: (g, a, [out]) =>
    (a.input as Arg).ndim === 4
      ? g.op(
          "DepthToSpace",
          [g.use(a.input as Arg)],
          { blocksize: number(a.upscale_factor, "upscale_factor"), mode: "CRD" },
          like(out!),
        )
      : null,
  recurrence,
  rms_norm: rmsNorm,
  scaled_dot_product_attention: attention,
  softmax: softmax("Softmax"),
};
