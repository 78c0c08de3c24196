/** torch.nn.functional: activations, normalisations, layers. */

import type { Tensor } from "../../../ts/core/tensor.ts";
import * as torch from "../../../ts/entry.node.ts";
import type { Draw, Entries } from "./check.ts";
import type { Random, Sample, Shape } from "./random.ts";

const F = torch.nn.functional;
/** Entries under nn.functional. */
const names = (list: string, draw: (name: string) => Draw): Entries =>
  Object.fromEntries(
    list
      .split(" ")
      .map((name) => [name.includes(".") || name.startsWith("=") ? name.replace("=", "") : `nn.functional.${name}`, draw(name)]),
  );
const sample = (inputs: readonly Tensor[], call: Sample["call"], note = ""): Sample => ({ inputs, call, note });
const maybe = <T>(r: Random, value: () => T): T | null => (r.bool() ? value() : null);
const spread = (r: Random, n: number, draw: () => number): number | number[] =>
  r.bool() ? draw() : Array.from({ length: n }, draw);

/** In place on a copy where the op is asked to. */
const activation =
  (name: string, rest: (r: Random) => readonly unknown[]): Draw =>
  (r) => {
    const args = rest(r);
    const inplace = r.bool(0.3);
    const fn = (F as unknown as Record<string, (...a: unknown[]) => unknown>)[name]!;
    return sample([r.x()], (x) => fn(inplace ? x!.clone() : x, ...args, { inplace }), `${String(args)} in place ${inplace}`);
  };
const plain = (r: Random): readonly unknown[] => [r.x()];
const alongOne = (r: Random): readonly unknown[] => {
  const shape = r.shape();
  return [r.x(shape), r.dim(shape)];
};

/** Channels, maybe a batch, and room for windows. */
const image = (r: Random, n: number, channels: number, least = 3, most = 4): Shape => [
  ...(r.bool(0.3) ? [] : [r.int(1, 2)]),
  channels,
  ...Array.from({ length: n }, () => r.int(least, most)),
];

const convolution =
  (n: number): Draw =>
  (r) => {
    const groups = r.pick([1, 1, 2]);
    const [cin, cout] = [groups * r.int(1, 2), groups * r.int(1, 2)];
    const kernel = Array.from({ length: n }, () => r.int(1, 2));
    const stride = r.bool(0.2) ? 1 : spread(r, n, () => r.int(1, 2));
    const padding = stride === 1 && r.bool() ? r.pick(["same", "valid"]) : spread(r, n, () => r.int(0, 1));
    const weight = r.x([cout, cin / groups, ...kernel]);
    return [
      r.x(image(r, n, cin, 3, n === 1 ? 4 : 3)),
      weight,
      maybe(r, () => r.x([cout])),
      stride,
      padding,
      r.bool() ? 1 : r.int(1, 2),
      groups,
    ];
  };
const transposedConvolution =
  (n: number): Draw =>
  (r) => {
    const groups = r.pick([1, 1, 2]);
    const [cin, cout] = [groups * r.int(1, 2), r.int(1, 2)];
    const kernel = Array.from({ length: n }, () => r.int(1, 2));
    const stride = r.int(1, 2);
    const weight = r.x([cin, cout, ...kernel]);
    const padding = r.int(0, 1);
    return [
      r.x(image(r, n, cin, 3, n === 1 ? 4 : 3)),
      weight,
      maybe(r, () => r.x([cout * groups])),
      stride,
      padding,
      stride > 1 ? r.int(0, 1) : 0,
      groups,
      1,
    ];
  };

const pool = (n: number, kind: "avg" | "max" | "lp"): Draw => {
  return (r) => {
    const x = r.x(image(r, n, r.int(1, 2), 3, n === 3 ? 3 : 4), kind === "lp" ? 0 : -3, 3);
    const kernel = spread(r, n, () => r.int(1, 3));
    const stride = maybe(r, () => r.int(1, 3));
    const padding = typeof kernel === "number" && kernel > 1 && r.bool() ? 1 : 0;
    if (kind === "avg") {
      const divisor = n > 1 && r.bool(0.3) ? { divisor_override: 3 } : {};
      return [x, kernel, stride, padding, r.bool(), { count_include_pad: r.bool(), ...divisor }];
    }
    if (kind === "lp") return [x, r.pick([1, 2, 3]), kernel, stride, r.bool()];
    return [x, kernel, stride, padding, 1, r.bool()];
  };
};

function unpool(n: number): Draw {
  return (r) => {
    const x = r.constant([1, 2, ...Array<number>(n).fill(4)]);
    const name = `max_pool${n}d_with_indices` as const;
    const [values, indices] = (F as unknown as Record<string, (...a: unknown[]) => [Tensor, Tensor]>)[name]!(x, 2);
    return [values.detach().requires_grad_(), indices, 2];
  };
}

const statistics = (r: Random, channels: number, low: number, high: number): Tensor => r.constant([channels], low, high);
/** Affine parameters or none. */
const affine = (r: Random, shape: Shape): [Tensor | null, Tensor | null] =>
  r.bool(0.3) ? [null, null] : [r.x(shape), maybe(r, () => r.x(shape))];

const rowsNormalised =
  (bias: boolean): Draw =>
  (r) => {
    const shape = r.shape({ rank: [1, 3], min: 2 });
    const last = shape.slice(r.int(0, shape.length - 1));
    const [w, b] = affine(r, last);
    const eps = r.pick([1e-5, 0.1]);
    return bias ? [r.x(shape), last, w, b, eps] : [r.x(shape), last, w, r.pick([null, eps])];
  };
const nativeLayerNorm: Draw = (r) => {
  const shape = r.shape({ rank: [1, 3], min: 2 });
  const last = shape.slice(r.int(0, shape.length - 1));
  const [w, b] = affine(r, last);
  // Its further outputs are for its own backward.
  const call = (x: Tensor, own: readonly Tensor[]): Tensor => {
    const given = [...own];
    return torch.native_layer_norm(x, last, w === null ? null : given.shift()!, b === null ? null : given.shift()!, 0.1)[0]!;
  };
  return sample([r.x(shape), ...[w, b].filter((t) => t !== null)], (x, ...own) => call(x!, own));
};
const nativeBatchNorm: Draw = (r) => {
  const channels = r.int(1, 3);
  const [w, b] = affine(r, [channels]);
  const training = r.bool();
  return sample(
    [r.x([2, channels, 2]), ...[w, b].filter((t) => t !== null)],
    (x, ...rest) => {
      const [mean, variance] = [
        torch.zeros([channels], { dtype: torch.float64 }),
        torch.ones([channels], { dtype: torch.float64 }),
      ];
      return torch.native_batch_norm(
        x!,
        w === null ? null : rest[0]!,
        b === null ? null : rest[1]!,
        mean,
        variance,
        training,
        0.1,
        0.1,
      )[0];
    },
    `training ${training}`,
  );
};

const modes = (n: number): string[] => [
  "nearest",
  "nearest-exact",
  "area",
  ...(n === 1 ? ["linear"] : n === 2 ? ["bilinear", "bicubic"] : ["trilinear"]),
];
const interpolate: Draw = (r) => {
  const n = r.int(1, 3);
  const mode = r.pick(modes(n));
  const linear = mode.includes("linear") || mode === "bicubic";
  const options = { mode, ...(linear ? { align_corners: r.bool(), antialias: n === 2 && r.bool() } : {}) };
  const x = r.x([1, r.int(1, 2), ...Array.from({ length: n }, () => r.int(2, 3))]);
  return r.bool()
    ? [x, { size: Array.from({ length: n }, () => r.int(1, 4)), ...options }]
    : [x, { scale_factor: r.pick([0.6, 1.5, 2]), ...options }];
};

const attention: Draw = (r) => {
  const heads = r.bool() ? [2] : [];
  const [l, s, e] = [r.int(1, 3), r.int(1, 3), r.int(1, 3)];
  const causal = r.bool(0.3);
  const mask = causal
    ? null
    : r.pick<() => Tensor | null>([
        () => null,
        () => r.x([l, s]),
        () => r.mask([l, s]).logical_or(torch.eye(l, s).ne(0)).logical_or(torch.arange(s).eq(0)),
      ])();
  const dropout = r.bool(0.2) ? 0.4 : 0;
  return [
    r.x([...heads, l, e]),
    r.x([...heads, s, e]),
    r.x([...heads, s, r.int(1, 3)]),
    mask,
    dropout,
    causal,
    { scale: r.pick([null, 0.7]) },
  ];
};

const multiHead: Draw = (r) => {
  const [e, heads, l, s] = [4, r.pick([1, 2]), r.int(1, 2), r.int(1, 3)];
  const inputs = [r.x([l, 1, e]), r.x([s, 1, e]), r.x([s, 1, e]), r.x([3 * e, e]), r.x([3 * e]), r.x([e, e]), r.x([e])];
  const [zero, bias, weights] = [r.bool(), r.bool(), r.bool()];
  if (bias) inputs.push(r.x([1, 1, e]), r.x([1, 1, e]));
  return sample(
    inputs,
    (q, k, v, wi, bi, wo, bo, bk, bv) =>
      F.multi_head_attention_forward(q!, k!, v!, e, heads, wi!, bi!, bk ?? null, bv ?? null, zero, 0, wo!, bo!, {
        need_weights: weights,
      }),
    `heads ${heads}, add_zero_attn ${zero}, bias_k ${bias}, need_weights ${weights}`,
  );
};

const embedding: Draw = (r) => {
  const [n, d] = [r.int(2, 4), r.int(1, 3)];
  // padding_idx and scale_grad_by_freq give what isn't the gradient.
  return [r.indices(r.shape({ rank: [0, 2], min: 1 }), n), r.x([n, d])];
};
const embeddingBag: Draw = (r) => {
  const [n, d] = [r.int(2, 4), r.int(1, 3)];
  const mode = r.pick(["sum", "mean", "max"]);
  const weights = mode === "sum" && r.bool() ? r.x([5]) : null;
  const options = { mode, per_sample_weights: weights, scale_grad_by_freq: false, padding_idx: r.pick([null, 1]) };
  return [r.indices([5], n), r.x([n, d]), torch.tensor([0, 2, r.pick([2, 3])]), options];
};

const gridSample: Draw = (r) => {
  const n = r.pick([2, 2, 3]);
  const mode = r.pick(n === 2 ? ["bilinear", "nearest", "bicubic"] : ["bilinear", "nearest"]);
  const x = r.x([1, r.int(1, 2), ...Array.from({ length: n }, () => r.int(2, 3))]);
  const grid = r.x([1, ...Array<number>(n - 1).fill(2), r.int(1, 2), n], -1.3, 1.3);
  return [x, grid, mode, r.pick(["zeros", "border", "reflection"]), r.bool()];
};

const padding: Draw = (r) => {
  const mode = r.pick(["constant", "reflect", "replicate", "circular"]);
  const n = r.int(1, 3);
  const x = r.x([1, r.int(1, 2), ...Array.from({ length: n }, () => r.int(2, 3))]);
  const least = mode === "constant" ? -1 : 0;
  return [x, Array.from({ length: 2 * n }, () => r.int(least, 1)), mode, mode === "constant" ? r.number() : null];
};

const dropping =
  (rank: readonly [number, number]): Draw =>
  (r) => [r.x(r.shape({ rank, min: 1 })), r.pick([0, 0.3, 0.5]), r.bool(0.8)];

/** Pooling to a size, by all its names. */
const adaptive = (n: number): string =>
  `adaptive_avg_pool${n}d adaptive_max_pool${n}d adaptive_max_pool${n}d_with_indices${n === 1 ? " =adaptive_avg_pool1d" : ""}`;

export const functional: Entries = {
  ...names("relu relu6 selu hardsigmoid hardswish mish silu", (name) => activation(name, () => [])),
  ...names("elu celu", (name) => activation(name, (r) => [r.number(0.2, 2)])),
  ...names("leaky_relu", (name) => activation(name, (r) => [r.number(0, 1)])),
  ...names("hardtanh", (name) => activation(name, (r) => [r.pick([-1, -0.5]), r.pick([1, 2])])),
  ...names("threshold", (name) => activation(name, (r) => [r.pick([-0.5, 0, 1]), r.number()])),
  ...names("rrelu", (name) => activation(name, (r) => [0.1, 0.4, r.bool()])),
  ...names("logsigmoid sigmoid tanh softsign tanhshrink", () => plain),
  ...names("gelu", () => (r) => [r.x(), { approximate: r.pick(["none", "tanh"]) }]),
  ...names("softplus", () => (r) => [r.x(), r.number(0.5, 2), r.pick([2, 20])]),
  ...names("hardshrink softshrink", () => (r) => [r.x(), r.pick([0.5, 1])]),
  ...names("glu", () => (r) => {
    const shape = r.shape({ rank: [1, 3], min: 1 });
    const dim = r.dim(shape);
    return [r.x(shape.map((n, d) => (d === (dim + shape.length) % shape.length ? 2 * n : n))), dim];
  }),
  ...names("prelu", () => (r) => {
    const shape = r.shape({ rank: [2, 4], min: 1 });
    return [r.x(shape), r.x([r.bool() ? 1 : shape[1]!])];
  }),
  ...names("=softmax =log_softmax softmax log_softmax softmin", () => alongOne),
  ...names("gumbel_softmax", () => (r) => [r.x(r.shape({ rank: [1, 3], min: 1 })), r.number(0.5, 2)]),
  ...names("normalize", () => (r) => [r.x(r.shape({ rank: [2, 3], min: 1 })), r.pick([1, 2, 3]), r.int(-1, 1)]),
  ...names("dropout alpha_dropout", () => dropping([0, 4])),
  ...names("dropout1d", () => dropping([2, 3])),
  ...names("dropout2d", () => dropping([3, 4])),
  ...names("dropout3d feature_alpha_dropout", () => dropping([4, 4])),

  ...names("=conv1d conv1d", () => convolution(1)),
  ...names("=conv2d conv2d", () => convolution(2)),
  ...names("=conv3d conv3d", () => convolution(3)),
  ...names("=conv_transpose1d conv_transpose1d", () => transposedConvolution(1)),
  ...names("=conv_transpose2d conv_transpose2d", () => transposedConvolution(2)),
  ...names("=conv_transpose3d conv_transpose3d", () => transposedConvolution(3)),
  ...names("linear", () => (r) => {
    const [n, m] = [r.int(0, 3), r.int(1, 3)];
    const flat = r.bool(0.2);
    return [r.x([...r.shape({ rank: [0, 2], max: 3 }), n]), r.x(flat ? [n] : [m, n]), flat ? null : maybe(r, () => r.x([m]))];
  }),
  ...names("conv_tbc", () => (r) => {
    const [n, m, kernel] = [r.int(1, 2), r.int(1, 2), r.int(1, 2)];
    return [r.x([r.int(2, 3), r.int(1, 2), n]), r.x([kernel, n, m]), r.x([m]), r.int(0, 1)];
  }),
  ...names("=bilinear bilinear", () => (r) => {
    const [n, m, k, rows] = [r.int(1, 2), r.int(1, 2), r.int(1, 2), r.int(1, 3)];
    return [r.x([rows, n]), r.x([rows, m]), r.x([k, n, m]), maybe(r, () => r.x([k]))];
  }),

  ...[1, 2, 3].reduce<Entries>(
    (all, n) => ({
      ...all,
      ...names(`avg_pool${n}d${n === 1 ? " =avg_pool1d" : ""}`, () => pool(n, "avg")),
      ...names(`max_pool${n}d =max_pool${n}d`, () => pool(n, "max")),
      ...names(`max_pool${n}d_with_indices`, () => pool(n, "max")),
      ...names(`lp_pool${n}d`, () => pool(n, "lp")),
      ...names(`max_unpool${n}d`, () => unpool(n)),
      ...names(adaptive(n), () => (r) => [r.x(image(r, n, r.int(1, 2), 2, n === 3 ? 3 : 4)), spread(r, n, () => r.int(1, 3))]),
    }),
    {},
  ),
  ...names("fractional_max_pool2d fractional_max_pool2d_with_indices", () => (r) => [
    r.x([1, 2, 5, 5]),
    2,
    { output_size: r.int(2, 3) },
  ]),
  ...names("fractional_max_pool3d fractional_max_pool3d_with_indices", () => (r) => [
    r.x([1, 1, 4, 4, 4]),
    2,
    { output_ratio: 0.6 },
  ]),
  ...names("unfold", () => (r) => [r.x([r.int(1, 2), r.int(1, 2), 3, 3]), r.int(1, 2), r.int(1, 2), r.int(0, 1), r.int(1, 2)]),
  ...names("fold", () => (r) => [r.x([r.int(1, 2), 4 * r.int(1, 2), 4]), [3, 3], 2]),
  ...names("interpolate", () => interpolate),
  ...names("upsample", () => (r) => [r.x([1, 2, r.int(1, 3)]), { scale_factor: 2, mode: "nearest" }]),
  ...names("upsample_nearest", () => (r) => [r.x([1, 2, 2, r.int(1, 3)]), { scale_factor: 2 }]),
  ...names("upsample_bilinear", () => (r) => [r.x([1, 2, 2, r.int(1, 3)]), { size: [3, 4] }]),
  ...names("grid_sample", () => gridSample),
  ...names(
    "affine_grid",
    () => (r) => (r.bool() ? [r.x([2, 2, 3]), [2, 1, 2, 3], r.bool()] : [r.x([1, 3, 4]), [1, 1, 2, 2, 2], r.bool()]),
  ),
  ...names("pad", () => padding),
  ...names("channel_shuffle", () => (r) => [r.x([r.int(1, 2), 4, 2]), r.pick([1, 2, 4])]),
  ...names("pixel_shuffle", () => (r) => [r.x([4, r.int(1, 2), r.int(1, 2)]), 2]),
  ...names("pixel_unshuffle", () => (r) => [r.x([r.int(1, 2), 2, 4]), 2]),

  ...names("=layer_norm layer_norm", () => rowsNormalised(true)),
  ...names("=rms_norm rms_norm", () => rowsNormalised(false)),
  ...names("=native_layer_norm native_layer_norm", () => nativeLayerNorm),
  ...names("=native_batch_norm native_batch_norm", () => nativeBatchNorm),
  ...names("=group_norm group_norm", () => (r) => {
    const [w, b] = affine(r, [4]);
    return [r.x([r.int(1, 2), 4, r.int(2, 3)]), r.pick([1, 2, 4]), w, b, 0.1];
  }),
  ...names("batch_norm", () => (r) => {
    const channels = r.int(1, 3);
    const [w, b] = affine(r, [channels]);
    const training = r.bool();
    const running = training ? [null, null] : [statistics(r, channels, -1, 1), statistics(r, channels, 0.5, 2)];
    return [r.x(r.bool() ? [3, channels] : [2, channels, 2]), ...running, w, b, training, 0.1, 0.1];
  }),
  ...names("instance_norm", () => (r) => {
    const channels = r.int(1, 3);
    const [w, b] = affine(r, [channels]);
    return [r.x([r.int(1, 2), channels, 3]), { weight: w, bias: b, eps: 0.1 }];
  }),
  ...names("local_response_norm", () => (r) => [r.x([1, r.int(2, 4), 2]), r.int(1, 3), 0.3, 0.75, 1.2]),

  ...names("scaled_dot_product_attention", () => attention),
  ...names("multi_head_attention_forward", () => multiHead),
  ...names("embedding", () => embedding),
  ...names("embedding_bag", () => embeddingBag),
  ...names("=cosine_similarity cosine_similarity", () => (r) => {
    const shape = r.shape({ rank: [1, 3], min: 1 });
    return [r.x(shape), r.x(shape), r.dim(shape)];
  }),
  ...names("=pairwise_distance pairwise_distance", () => (r) => {
    const n = r.int(1, 3);
    return [r.x([2, n]), r.x(r.bool() ? [2, n] : [n]), r.pick([1, 2, 3, Infinity]), 1e-6, r.bool()];
  }),
};
