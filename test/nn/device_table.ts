/** Modules and nn.functional on an accelerator beside the cpu: outputs, gradients, states and evaluation, from one seed. */

import { readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, it, vi } from "vitest";
import * as torch from "kindling";
import { nn } from "kindling";
import type { Tensor } from "kindling";
import type { PackedSequence } from "../../ts/nn/utils/rnn.ts";
import { isFull } from "../tiers.ts";

type AnyModule = nn.Module & ((...args: unknown[]) => unknown);
type Inputs = readonly unknown[];

interface DeviceCase {
  readonly name: string;
  /** On the cpu; called once for each device, after manual_seed. */
  readonly make: () => AnyModule;
  readonly inputs: () => Inputs;
  /** "draws": results in training are random, only evaluation is compared; "always draws": shapes only. */
  readonly random?: "draws" | "always draws";
  /** Computed within torch.blocking: values are needed on the way. */
  readonly blocking?: boolean;
}

const F = nn.functional;
const { rnn, parametrizations, prune } = nn.utils;

/** A function as a module without parameters. */
class Fn extends nn.Module {
  constructor(private readonly fn: (...args: never[]) => unknown) {
    super();
  }
  forward(...args: unknown[]): unknown {
    return this.fn(...(args as never[]));
  }
}
/** A module that is called by a function of its own. */
class Around extends nn.Module {
  constructor(
    readonly inner: nn.Module,
    private readonly fn: (inner: never, ...args: never[]) => unknown,
  ) {
    super();
  }
  forward(...args: unknown[]): unknown {
    return this.fn(this.inner as never, ...(args as never[]));
  }
}

const leaf = (...shape: number[]): Tensor => torch.randn(shape).requires_grad_();
const within = (...shape: number[]): Tensor => torch.rand(shape).mul(0.9).add(0.05).requires_grad_();
const below = (limit: number, ...shape: number[]): Tensor => torch.randint(0, limit, shape);
const signs = (...shape: number[]): Tensor => below(2, ...shape).mul(2).sub(1).to(torch.float32); // prettier-ignore
const mask = (rows: readonly (readonly number[])[]): Tensor => torch.tensor(rows as number[][]).to(torch.bool);

/** `f2,3`: normal, `p`: within (0, 1), `s`: signs, `i2:5`: whole numbers below 5. */
function drawn(text: string): Tensor {
  const [sizes, limit] = text.slice(1).split(":") as [string, string?];
  const shape = sizes.split(",").map(Number);
  if (text.startsWith("f")) return leaf(...shape);
  if (text.startsWith("p")) return within(...shape);
  return text.startsWith("s") ? signs(...shape) : below(Number(limit), ...shape);
}

/** What module_cases.json compares with PyTorch, on the cpu. */
function listed(): DeviceCase[] {
  type Listed = [name: string, args: unknown[], kwargs: Record<string, unknown>, inputs: string[]];
  const cases = JSON.parse(readFileSync(new URL("./module_cases.json", import.meta.url), "utf8")) as Listed[];
  return cases.map(([name, args, kwargs, inputs]) => {
    const make = (): AnyModule => {
      const Class = (nn as unknown as Record<string, new (...given: unknown[]) => AnyModule>)[name]!;
      return new Class(...args, ...(Object.keys(kwargs).length > 0 ? [kwargs] : []));
    };
    const certain = args[0] === 0 || args[0] === 1; // probabilities
    const random = name.startsWith("Fractional") ? "always draws" : /Dropout|RReLU/.test(name) && !certain ? "draws" : undefined;
    const full = `nn.${name}(${[...args.map((a) => JSON.stringify(a)), ...Object.entries(kwargs).map(([k, v]) => `${k}=${JSON.stringify(v)}`)].join(", ")}) of ${inputs.join(" ")}`;
    return { name: full, make, inputs: () => inputs.map(drawn), ...(random && { random }) };
  });
}

const fn = (
  name: string,
  f: (...args: never[]) => unknown,
  inputs: () => Inputs,
  more: Partial<DeviceCase> = {},
): DeviceCase => ({
  name,
  make: () => new Fn(f) as unknown as AnyModule,
  inputs,
  ...more,
});
const mod = (name: string, make: () => nn.Module, inputs: () => Inputs, more: Partial<DeviceCase> = {}): DeviceCase => ({
  name,
  make: make as () => AnyModule,
  inputs,
  ...more,
});
const around = <M extends nn.Module>(
  name: string,
  make: () => M,
  f: (m: M, ...args: never[]) => unknown,
  inputs: () => Inputs,
  more: Partial<DeviceCase> = {},
): DeviceCase => mod(name, () => new Around(make(), f), inputs, more);

function grids(): DeviceCase[] {
  const out: DeviceCase[] = [];
  for (const mode of ["bilinear", "nearest", "bicubic"] as const)
    for (const padding_mode of ["zeros", "border", "reflection"] as const)
      for (const align_corners of [true, false]) {
        out.push(
          fn(
            `grid_sample ${mode} ${padding_mode} ${align_corners}`,
            (x: Tensor, grid: Tensor) => F.grid_sample(x, grid, { mode, padding_mode, align_corners }),
            () => [leaf(2, 2, 4, 5), torch.rand([2, 3, 4, 2]).mul(2.6).sub(1.3).requires_grad_()],
          ),
        );
        if (mode !== "bicubic")
          out.push(
            fn(
              `grid_sample in three dimensions, ${mode} ${padding_mode} ${align_corners}`,
              (x: Tensor, grid: Tensor) => F.grid_sample(x, grid, { mode, padding_mode, align_corners }),
              () => [leaf(1, 2, 3, 4, 5), torch.rand([1, 2, 3, 2, 3]).mul(2.6).sub(1.3).requires_grad_()],
            ),
          );
      }
  for (const size of [
    [2, 3, 4, 5],
    [2, 1, 3, 2, 4],
  ])
    // prettier-ignore
    out.push(
      fn(
        `affine_grid of ${size.join()}`,
        (theta: Tensor) => F.affine_grid(theta, size, false),
        () => [leaf(2, size.length - 2, size.length - 1)],
      ),
    );
  return out;
}

function embeddings(): DeviceCase[] {
  const out: DeviceCase[] = [];
  for (const mode of ["sum", "mean", "max"] as const)
    for (const options of [{}, { include_last_offset: true }, { padding_idx: 2 }]) {
      const offsets = (): Tensor => torch.tensor("include_last_offset" in options ? [0, 2, 2, 7] : [0, 2, 2]);
      out.push(
        around(
          `EmbeddingBag ${mode} by offsets, ${JSON.stringify(options)}`,
          () => new nn.EmbeddingBag(6, 3, { mode, ...options }),
          (m, x: Tensor, at: Tensor) => m(x, at),
          () => [below(6, 7), offsets()],
        ),
      );
    }
  out.push(
    around(
      "EmbeddingBag with weights of each",
      () => new nn.EmbeddingBag(6, 3, { mode: "sum" }),
      (m, x: Tensor, at: Tensor, w: Tensor) => m(x, at, w),
      () => [below(6, 7), torch.tensor([0, 3]), leaf(7)],
    ),
    mod("EmbeddingBag with max_norm", () => new nn.EmbeddingBag(6, 3, { max_norm: 0.7 }), () => [below(6, 2, 3)]),
    mod("EmbeddingBag scale_grad_by_freq", () => new nn.EmbeddingBag(6, 3, { scale_grad_by_freq: true }), () => [below(6, 2, 4)]),
  ); // prettier-ignore
  return out;
}

function pools(): DeviceCase[] {
  const unpool = (d: 1 | 2 | 3, x: () => Tensor): DeviceCase =>
    fn(
      `MaxUnpool${d}d`,
      (t: Tensor) => {
        const pool = d === 1 ? F.max_pool1d : d === 2 ? F.max_pool2d : F.max_pool3d;
        const back = d === 1 ? F.max_unpool1d : d === 2 ? F.max_unpool2d : F.max_unpool3d;
        const [y, at] = pool(t, 2, { return_indices: true }) as unknown as [Tensor, Tensor];
        return back(y, at, 2, { output_size: t.shape });
      },
      () => [x()],
    );
  return [
    unpool(1, () => leaf(2, 3, 7)),
    unpool(2, () => leaf(2, 3, 5, 6)),
    unpool(3, () => leaf(1, 2, 4, 5, 4)),
    mod("MaxUnpool1d as a module", () => new nn.MaxUnpool1d(2), () => [leaf(1, 1, 3), torch.tensor([[[1, 2, 5]]])]),
    mod("MaxUnpool2d as a module", () => new nn.MaxUnpool2d(2), () => [leaf(1, 1, 1, 2), torch.tensor([[[[1, 6]]]])]),
    mod("MaxUnpool3d as a module", () => new nn.MaxUnpool3d(2), () => [leaf(1, 1, 1, 1, 2), torch.tensor([[[[[1, 14]]]]])]),
    fn("fractional_max_pool2d of given samples", (x: Tensor, s: Tensor) =>
      F.fractional_max_pool2d(x, 2, { output_size: [3, 4], _random_samples: s, return_indices: true }),
      () => [leaf(2, 3, 7, 8), torch.rand([2, 3, 2])],
    ),
    fn("fractional_max_pool3d of given samples", (x: Tensor, s: Tensor) =>
      F.fractional_max_pool3d(x, 2, { output_ratio: 0.6, _random_samples: s }),
      () => [leaf(1, 2, 5, 6, 7), torch.rand([1, 2, 3])],
    ),
    mod("LPPool3d", () => new nn.LPPool3d(2, 2), () => [leaf(1, 2, 4, 4, 4)]),
    mod("MaxPool1d with indices", () => new nn.MaxPool1d(3, { stride: 2, ceil_mode: true, return_indices: true }), () => [leaf(2, 3, 8)]),
    mod("MaxPool3d with indices", () => new nn.MaxPool3d(2, { padding: 1, dilation: 2, return_indices: true }), () => [leaf(1, 2, 5, 5, 5)]),
    mod("AdaptiveMaxPool2d with indices", () => new nn.AdaptiveMaxPool2d([3, null], { return_indices: true }), () => [leaf(2, 3, 5, 4)]),
  ]; // prettier-ignore
}

function shapes(): DeviceCase[] {
  return [
    mod("Fold, overlapping", () => new nn.Fold([5, 6], [3, 2], { dilation: [1, 2], padding: 1, stride: 2 }), () => [leaf(2, 12, 9)]),
    mod("Unfold, dilated", () => new nn.Unfold([3, 2], { dilation: [1, 2], padding: 1, stride: 2 }), () => [leaf(2, 2, 5, 6)]),
    mod("ChannelShuffle", () => new nn.ChannelShuffle(2), () => [leaf(1, 6, 2, 3)]),
    mod("Identity", () => new nn.Identity(), () => [leaf(3)]),
    mod("CircularPad1d", () => new nn.CircularPad1d([1, 2]), () => [leaf(2, 3, 4)]),
    mod("CircularPad2d", () => new nn.CircularPad2d([1, 2, 0, 1]), () => [leaf(1, 2, 3, 4)]),
    mod("CircularPad3d", () => new nn.CircularPad3d(1), () => [leaf(1, 2, 3, 4, 3)]),
    mod("ConstantPad2d", () => new nn.ConstantPad2d([1, 2, -1, 1], 0.5), () => [leaf(2, 3, 4)]),
    mod("ZeroPad1d", () => new nn.ZeroPad1d([1, 2]), () => [leaf(2, 3)]),
    mod("ZeroPad3d", () => new nn.ZeroPad3d(1), () => [leaf(1, 2, 2, 3, 2)]),
    mod("Upsample linear", () => new nn.Upsample({ scale_factor: 1.5, mode: "linear" }), () => [leaf(1, 2, 5)]),
    mod("Upsample trilinear", () => new nn.Upsample({ size: [3, 5, 4], mode: "trilinear", align_corners: true }), () => [leaf(1, 2, 2, 3, 3)]),
    fn("interpolate bicubic antialias, smaller", (x: Tensor) => F.interpolate(x, { size: [3, 4], mode: "bicubic", antialias: true }), () => [leaf(1, 2, 7, 9)]),
    fn("interpolate bilinear antialias, larger", (x: Tensor) => F.interpolate(x, { size: [8, 9], mode: "bilinear", antialias: true }), () => [leaf(1, 2, 4, 5)]),
    fn("one_hot, normalize, cdist and gumbel's relatives", (x: Tensor, at: Tensor) =>
      [F.one_hot(at, 5), F.normalize(x, { p: 3, dim: 1 }), torch.cdist(x, x.mul(2).add(1)), F.pdist(x)],
      () => [leaf(4, 5), below(5, 4)],
    ),
    mod("Hardswish and Hardsigmoid at their corners", () => new nn.Sequential(new nn.Hardswish(), new nn.Hardsigmoid()), () => [torch.tensor([-4, -3, 0, 3, 4], { dtype: torch.float32 }).requires_grad_()]),
    mod("Softplus beyond its threshold", () => new nn.Softplus(), () => [torch.tensor([-30, 0, 19, 21, 80], { dtype: torch.float32 }).requires_grad_()]),
    mod("RMSNorm", () => new nn.RMSNorm([3, 4]), () => [leaf(2, 3, 4)]),
    mod("Container: Sequential of convolutions and norms", () =>
      new nn.Sequential(new nn.Conv2d(2, 4, 3, { padding: 1 }), new nn.BatchNorm2d(4), new nn.ReLU(), new nn.MaxPool2d(2), new nn.Flatten(), new nn.Linear(16, 3)),
      () => [leaf(3, 2, 4, 4)],
    ),
  ]; // prettier-ignore
}

function recurrent(): DeviceCase[] {
  const out: DeviceCase[] = [];
  const kinds = { RNN: nn.RNN, LSTM: nn.LSTM, GRU: nn.GRU };
  for (const [name, Class] of Object.entries(kinds))
    for (const [sorted, lengths] of [
      [true, [5, 3, 2]],
      [false, [2, 5, 3]],
    ] as const)
      // prettier-ignore
      out.push(
        around(
          `${name} of packed sequences, ${sorted ? "sorted" : "unsorted"}`,
          () => new (Class as typeof nn.GRU)(3, 4, { num_layers: 2, bidirectional: true, batch_first: true }) as unknown as nn.Module & ((x: unknown) => unknown),
          (m, x: Tensor) => {
            const packed = rnn.pack_padded_sequence(x, [...lengths], { batch_first: true, enforce_sorted: sorted });
            const [y, h] = m(packed) as [PackedSequence, unknown];
            // Lengths lie on the cpu, as PyTorch's.
            return [rnn.pad_packed_sequence(y, { batch_first: true, padding_value: -1 })[0], h];
          },
          () => [leaf(3, 5, 3)],
        ),
      );
  out.push(
    around(
      "LSTM from given states",
      () => new nn.LSTM(3, 4, { proj_size: 2 }),
      (m, x: Tensor, h: Tensor, c: Tensor) => m(x, [h, c]),
      () => [leaf(5, 2, 3), leaf(1, 2, 2), leaf(1, 2, 4)],
    ),
    around(
      "GRU from given states",
      () => new nn.GRU(3, 4, { num_layers: 2 }),
      (m, x: Tensor, h: Tensor) => m(x, h),
      () => [leaf(5, 2, 3), leaf(2, 2, 4)],
    ),
    fn(
      "pack_sequence, pad_sequence and unpad_sequence",
      (a: Tensor, b: Tensor) => {
        const padded = rnn.pad_sequence([a, b], { batch_first: true, padding_value: 2 });
        const packed = rnn.pack_sequence([a, b]);
        return [padded, packed.data, rnn.unpad_sequence(padded, torch.tensor([3, 2]), true), rnn.unpack_sequence(packed)];
      },
      () => [leaf(3, 2), leaf(2, 2)],
    ),
  );
  return out;
}

function attention(): DeviceCase[] {
  const causal = (): Tensor => torch.triu(torch.ones([3, 3]), 1).to(torch.bool);
  const q = (): Tensor[] => [leaf(3, 2, 4), leaf(3, 2, 4), leaf(3, 2, 4)];
  const mha = (name: string, options: object, call: object | (() => object)): DeviceCase =>
    around(
      `MultiheadAttention, ${name}`,
      () => new nn.MultiheadAttention(4, 2, options) as unknown as nn.Module & ((...args: unknown[]) => unknown),
      (m, a: Tensor, b: Tensor, c: Tensor, own: object) => m(a, b, c, own),
      () => [...q(), typeof call === "function" ? (call as () => object)() : call],
    );
  return [
    mha("a mask", {}, () => ({ attn_mask: causal() })),
    mha("a mask of numbers, no weights", {}, () => ({ attn_mask: torch.randn([3, 3]), need_weights: false })),
    mha("a mask for each head", {}, () => ({ attn_mask: torch.randn([4, 3, 3]), average_attn_weights: false })),
    mha("keys left out", { add_bias_kv: true }, () => ({ key_padding_mask: mask([[0, 0, 1], [0, 1, 1]]) })),
    mha("is_causal", { bias: false }, () => ({ attn_mask: causal(), is_causal: true, need_weights: false })),
    mod("TransformerEncoder with masks", () => new nn.TransformerEncoder(new nn.TransformerEncoderLayer(4, 2, { dim_feedforward: 6, dropout: 0, batch_first: true }), 2, { norm: new nn.LayerNorm(4) }), () => [
      leaf(2, 3, 4), { mask: causal(), src_key_padding_mask: mask([[0, 0, 0], [0, 0, 1]]) },
    ]),
    mod("TransformerDecoder with masks", () => new nn.TransformerDecoder(new nn.TransformerDecoderLayer(4, 2, { dim_feedforward: 6, dropout: 0, activation: "gelu" }), 2), () => [
      leaf(3, 2, 4), leaf(4, 2, 4), { tgt_mask: causal(), memory_key_padding_mask: mask([[0, 0, 0, 1], [0, 0, 1, 1]]) },
    ]),
    mod("Transformer with masks", () => new nn.Transformer(4, 2, 1, 1, 6, 0, { batch_first: true }), () => [
      leaf(2, 3, 4), leaf(2, 2, 4), { tgt_mask: nn.Transformer.generate_square_subsequent_mask(2), src_key_padding_mask: mask([[0, 0, 0], [0, 0, 1]]) },
    ]),
    fn("scaled_dot_product_attention with a mask and groups", (a: Tensor, b: Tensor, c: Tensor, m: Tensor) =>
      [F.scaled_dot_product_attention(a, b, c, { attn_mask: m, scale: 0.3, enable_gqa: true }), F.scaled_dot_product_attention(a, b, c, { is_causal: true, enable_gqa: true })],
      () => [leaf(2, 4, 3, 4), leaf(2, 2, 5, 4), leaf(2, 2, 5, 4), leaf(3, 5)],
    ),
  ]; // prettier-ignore
}

function losses(): DeviceCase[] {
  const w = (n: number): Tensor => torch.arange(1, n + 1).to(torch.float32);
  const per = ["none", "mean", "sum"] as const;
  type Make = (reduction: (typeof per)[number]) => nn.Module;
  const each = (name: string, make: Make, inputs: () => Inputs): DeviceCase[] =>
    per.map((reduction) => mod(`${name}, ${reduction}`, () => make(reduction), inputs));
  return [
    ...each("CrossEntropyLoss weighted", (reduction) => new nn.CrossEntropyLoss({ weight: w(3), label_smoothing: 0.1, ignore_index: 1, reduction }), () => [leaf(4, 3, 2), below(3, 4, 2)]),
    ...each("CrossEntropyLoss of probabilities", (reduction) => new nn.CrossEntropyLoss({ weight: w(3), reduction }), () => [leaf(4, 3), within(4, 3)]),
    ...each("NLLLoss weighted", (reduction) => new nn.NLLLoss({ weight: w(3), reduction }), () => [leaf(4, 3), below(3, 4)]),
    ...each("NLLLoss2d", (reduction) => new nn.NLLLoss2d({ reduction }), () => [leaf(2, 3, 2, 2), below(3, 2, 2, 2)]),
    ...each("BCELoss weighted", (reduction) => new nn.BCELoss({ weight: w(4), reduction }), () => [within(2, 4), within(2, 4)]),
    ...each("BCEWithLogitsLoss weighted", (reduction) => new nn.BCEWithLogitsLoss({ weight: w(4), pos_weight: w(4).mul(0.5), reduction }), () => [leaf(2, 4), within(2, 4)]),
    ...each("SoftMarginLoss", (reduction) => new nn.SoftMarginLoss({ reduction }), () => [leaf(2, 4), signs(2, 4)]),
    ...each("MultiMarginLoss weighted", (reduction) => new nn.MultiMarginLoss({ weight: w(3), reduction }), () => [leaf(4, 3), below(3, 4)]),
    ...each("MultiLabelMarginLoss", (reduction) => new nn.MultiLabelMarginLoss({ reduction }), () => [leaf(2, 4), torch.tensor([[3, 0, -1, 1], [1, -1, 0, 2]])]),
    ...each("MultiLabelSoftMarginLoss weighted", (reduction) => new nn.MultiLabelSoftMarginLoss({ weight: w(4), reduction }), () => [leaf(2, 4), below(2, 2, 4).to(torch.float32)]),
    ...each("HingeEmbeddingLoss", (reduction) => new nn.HingeEmbeddingLoss({ margin: 0.5, reduction }), () => [leaf(2, 4), signs(2, 4)]),
    ...each("CosineEmbeddingLoss", (reduction) => new nn.CosineEmbeddingLoss({ reduction }), () => [leaf(4, 3), leaf(4, 3), signs(4)]),
    ...each("TripletMarginLoss", (reduction) => new nn.TripletMarginLoss({ p: 1, reduction }), () => [leaf(4, 3), leaf(4, 3), leaf(4, 3)]),
    ...each("PoissonNLLLoss", (reduction) => new nn.PoissonNLLLoss({ full: true, reduction }), () => [leaf(5), torch.tensor([0, 1, 2, 3, 7], { dtype: torch.float32 })]),
    ...each("GaussianNLLLoss", (reduction) => new nn.GaussianNLLLoss({ full: true, reduction }), () => [leaf(4, 2), leaf(4, 2), within(4, 2)]),
    ...each("KLDivLoss", (reduction) => new nn.KLDivLoss({ reduction }), () => [leaf(3, 2), within(3, 2)]),
    ...each("HuberLoss", (reduction) => new nn.HuberLoss({ delta: 0.4, reduction }), () => [leaf(3, 2), leaf(3, 2)]),
    ...each("SmoothL1Loss", (reduction) => new nn.SmoothL1Loss({ beta: 0, reduction }), () => [leaf(3, 2), leaf(3, 2)]),
    ...per.map((reduction) => mod(`CTCLoss, ${reduction}`, () => new nn.CTCLoss({ reduction, zero_infinity: true }), () =>
      [leaf(6, 2, 4), torch.tensor([[1, 2, 2], [3, 1, 0]]), torch.tensor([6, 5]), torch.tensor([3, 2])], { blocking: true })),
    around("AdaptiveLogSoftmaxWithLoss, log_prob and predict", () => new nn.AdaptiveLogSoftmaxWithLoss(4, 7, [2, 5]), (m, x: Tensor) => [m.log_prob(x), m.predict(x)], () => [leaf(5, 4)], { blocking: true }),
  ]; // prettier-ignore
}

function utilities(): DeviceCase[] {
  const conv = (): nn.Conv2d => new nn.Conv2d(2, 4, 3);
  const image = (): Inputs => [leaf(1, 2, 4, 5)];
  return [
    mod("weight_norm (hooks) of a Conv2d", () => nn.utils.weight_norm(conv()), image),
    mod("weight_norm (hooks) of all at once", () => nn.utils.weight_norm(new nn.Linear(3, 4), { dim: null }), () => [leaf(2, 3)]),
    mod("spectral_norm (hooks) of a Conv2d", () => nn.utils.spectral_norm(conv(), { n_power_iterations: 3 }), image),
    mod("spectral_norm (hooks) of a ConvTranspose1d", () => nn.utils.spectral_norm(new nn.ConvTranspose1d(2, 3, 2)), () => [leaf(1, 2, 4)]),
    mod("parametrizations.weight_norm", () => parametrizations.weight_norm(conv(), { dim: 1 }), image),
    mod("parametrizations.spectral_norm", () => parametrizations.spectral_norm(conv(), { n_power_iterations: 3 }), image),
    ...(["householder", "matrix_exp", "cayley"] as const).map((map) =>
      mod(`parametrizations.orthogonal by ${map}`, () => parametrizations.orthogonal(new nn.Linear(3, 3), { orthogonal_map: map, use_trivialization: false }), () => [leaf(2, 3)], { blocking: true })),
    around("parametrize.cached", () => parametrizations.weight_norm(new nn.Linear(3, 4)), (m, x: Tensor) => nn.utils.parametrize.cached(() => m(m(x).narrow(-1, 0, 3))), () => [leaf(2, 3)]),
    mod("prune.l1_unstructured", () => prune.l1_unstructured(new nn.Linear(4, 5), "weight", 0.4), () => [leaf(2, 4)]),
    mod("prune.ln_structured, and again", () => prune.ln_structured(prune.l1_unstructured(new nn.Linear(4, 5), "weight", 0.4), "weight", 2, 2, 0), () => [leaf(2, 4)]),
    mod("prune.remove", () => prune.remove(prune.l1_unstructured(conv(), "weight", 10), "weight"), image),
    mod("fuse_conv_bn_eval", () => nn.utils.fuse_conv_bn_eval(conv().eval(), new nn.BatchNorm2d(4).eval()), image),
    mod("LazyConv1d", () => new nn.LazyConv1d(4, 3), () => [leaf(1, 2, 5)]),
    mod("LazyConv3d", () => new nn.LazyConv3d(2, 2), () => [leaf(1, 2, 3, 3, 3)]),
    mod("LazyConvTranspose2d", () => new nn.LazyConvTranspose2d(4, 3), () => [leaf(1, 2, 4, 3)]),
    mod("LazyConvTranspose3d", () => new nn.LazyConvTranspose3d(2, 2), () => [leaf(1, 2, 2, 3, 2)]),
    mod("LazyBatchNorm1d", () => new nn.LazyBatchNorm1d(), () => [leaf(4, 3)]),
    mod("LazyBatchNorm3d", () => new nn.LazyBatchNorm3d(), () => [leaf(2, 3, 2, 1, 2)]),
    mod("LazyInstanceNorm2d", () => new nn.LazyInstanceNorm2d({ affine: true }), () => [leaf(2, 3, 2, 3)]),
    mod("LazyInstanceNorm3d", () => new nn.LazyInstanceNorm3d(), () => [leaf(2, 3, 2, 2, 2)]),
    around("clip_grad_norm_ and clip_grad_value_", () => new nn.Linear(3, 4), (m, x: Tensor) => {
      torch.enable_grad(() => m(x).pow(2).sum().backward());
      const norm = nn.utils.clip_grad_norm_(m.parameters(), 0.5);
      nn.utils.clip_grad_value_(m.parameters(), 0.1);
      return [norm, m.weight.grad!.clone(), nn.utils.parameters_to_vector(m.parameters())];
    }, () => [leaf(2, 3).detach()]),
  ]; // prettier-ignore
}

export const cases: readonly DeviceCase[] = [
  ...listed(),
  ...grids(),
  ...embeddings(),
  ...pools(),
  ...shapes(),
  ...recurrent(),
  ...attention(),
  ...losses(),
  ...utilities(),
];

/** Maps the tensors of arguments, which may lie in options. */
function moved(x: unknown, device: string): unknown {
  if (x instanceof torch.Tensor) {
    if (device === "cpu") return x;
    const t = x.detach().to(device);
    return x.requires_grad ? t.requires_grad_() : t;
  }
  if (Array.isArray(x)) return x.map((v) => moved(v, device));
  if (typeof x === "object" && x !== null && Object.getPrototypeOf(x) === Object.prototype)
    return Object.fromEntries(Object.entries(x).map(([k, v]) => [k, moved(v, device)]));
  return x;
}
function tensorsOf(x: unknown): Tensor[] {
  if (x instanceof torch.Tensor) return [x];
  if (Array.isArray(x)) return x.flatMap(tensorsOf);
  return typeof x === "object" && x !== null && !(x instanceof nn.Module) ? Object.values(x).flatMap(tensorsOf) : [];
}

const wave = (t: Tensor): Tensor => torch.arange(t.numel(), { device: t.device, dtype: torch.float32 }).cos().reshape(t.shape).to(t.dtype); // prettier-ignore

/** Everything that a case leaves on a device, by name. */
async function results(c: DeviceCase, seed: number, device: string): Promise<Map<string, Tensor>> {
  torch.manual_seed(seed);
  const module = c.make();
  const given = c.inputs();
  if (device !== "cpu") module.to(device);
  const inputs = moved(given, device) as Inputs;
  if (module.constructor.name.startsWith("Lazy")) {
    // Draws are the device's own.
    module(...inputs);
    torch.no_grad(() => [...module.parameters()].forEach((p) => p.copy_(wave(p))));
  }
  const out = new Map<string, Tensor>();
  const work = (): void => {
    out.clear();
    module.zero_grad();
    for (const t of tensorsOf(inputs)) t.grad = null;
    const y = tensorsOf(module(...inputs));
    y.forEach((t, i) => out.set(`output ${i}`, t.detach()));
    const parts = y.filter((t) => t.requires_grad).map((t) => t.mul(wave(t)).sum());
    if (parts.length > 0) parts.reduce((a, b) => a.add(b)).backward();
    tensorsOf(inputs).forEach((t, i) => t.grad && out.set(`gradient of input ${i}`, t.grad));
    for (const [name, p] of module.named_parameters()) if (p.grad !== null) out.set(`gradient of ${name}`, p.grad);
    for (const [name, t] of Object.entries(module.state_dict())) out.set(`state ${name}`, t as Tensor);
    module.eval();
    const quiet = torch.no_grad(() => tensorsOf(module(...inputs)));
    quiet.forEach((t, i) => out.set(`eval ${i}`, t));
    module.train();
  };
  if (c.blocking === true && device !== "cpu") await torch.blocking(work);
  else work();
  const read = new Map<string, Tensor>();
  for (const [name, t] of out) {
    expect(`${name} on ${t.device.type}`).toBe(`${name} on ${device}`);
    read.set(name, device === "cpu" ? t : await t.to_async("cpu"));
  }
  return read;
}

/** Empty where the device gives what the cpu does. */
export async function differences(c: DeviceCase, seed: number, device: string): Promise<string[]> {
  const [want, got] = [await results(c, seed, "cpu"), await results(c, seed, device)];
  const found: string[] = [];
  if ([...want.keys()].join() !== [...got.keys()].join()) {
    return [`has ${[...got.keys()].join()}, expected ${[...want.keys()].join()}`];
  }
  for (const [name, w] of want) {
    const g = got.get(name)!;
    if (g.shape.join() !== w.shape.join() || g.dtype !== w.dtype) {
      found.push(`${name}: ${g.dtype.name} [${g.shape.join()}], expected ${w.dtype.name} [${w.shape.join()}]`);
      continue;
    }
    const random = c.random === "always draws" || (c.random === "draws" && !name.startsWith("eval"));
    if (random) continue;
    const close = torch.allclose(g.to(torch.float64), w.to(torch.float64), { rtol: 1e-4, atol: 1e-5, equal_nan: true });
    if (!close) found.push(`${name}: ${String(g.flatten())}, expected ${String(w.flatten())}`);
  }
  return found;
}

/** One case in so many is run by `npm test`. */
const SHARE = isFull ? 1 : 5;

/** Containers, bases and a second name. */
const WITHOUT_CASES = new Set(
  "Module ModuleList ModuleDict ParameterList ParameterDict RNNBase RNNCellBase NonDynamicallyQuantizableLinear".split(" "),
);

export function testModules(device: "webgpu" | "cuda"): void {
  let enabled: boolean;
  beforeAll(async () => {
    await torch[device].init();
    torch.backends.cudnn.allow_tf32 = false;
    enabled = torch.backends.fallback.enabled;
    torch.backends.fallback.enabled = true;
    vi.spyOn(console, "warn").mockImplementation(() => {}); // of what the cpu computes
  });
  afterAll(() => {
    torch.backends.fallback.enabled = enabled;
    vi.restoreAllMocks();
  });
  it("there is a case for every class of nn", () => {
    const text = cases.map(({ name, make }) => `${name} ${String(make)}`).join();
    const classes = Object.entries(nn).flatMap(([name, value]) =>
      typeof value === "function" && value.prototype instanceof nn.Module ? [name] : [],
    );
    expect(classes.length).toBeGreaterThan(100);
    const missing = classes.filter((name) => !WITHOUT_CASES.has(name) && !new RegExp(`\\b${name}\\b`).test(text));
    expect(missing).toEqual([]);
  });
  const some = cases.map((c, i) => [c.name, c, i] as const).filter(([, , i]) => i % SHARE === 0);
  it.each(some)("%s", async (_, c, i) => {
    expect(await differences(c, i, device)).toEqual([]);
  });
}
