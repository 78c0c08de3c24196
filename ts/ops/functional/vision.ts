/** torch.nn.functional: rearranging pixels, sliding blocks, sampling on grids. */

import { float32, int64 } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { formatShape, numelOf, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { writeInto } from "../../engine/inplace.ts";
import { alias, contiguous, copyOf } from "../../engine/run.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { where } from "../compare.ts";
import { filled, tensor } from "../creation.ts";
import { stack } from "../joining.ts";
import { avg_pool2d, avg_pool3d } from "./pooling.ts";
import { constant_pad_nd } from "./padding.ts";
import { sizesOf, type Sizes } from "./shared.ts";

// pixels and channels

export const pixel_shuffle: Op<[input: Tensor, ...Args<[{ upscale_factor: number }]>], Tensor> = composite(
  "pixel_shuffle",
  "input, upscale_factor",
  { doc: "[..., C r², H, W] → [..., C, H r, W r].", method: false },
  (input: Tensor, r: number) => {
    if (input.ndim < 3 || r <= 0 || input.shape.at(-3)! % (r * r) !== 0) {
      throw new RuntimeError(
        `pixel_shuffle: expected at least 3 dimensions and channels divisible by upscale_factor², got shape ${formatShape(input.shape)} and upscale_factor ${r}`,
      );
    }
    const lead = input.shape.slice(0, -3);
    const [c, h, w] = input.shape.slice(-3) as [number, number, number];
    const n = lead.length;
    const split = input.reshape([...lead, c / (r * r), r, r, h, w]);
    const order = [...lead.map((_, i) => i), n, n + 3, n + 1, n + 4, n + 2];
    return split.permute(order).reshape([...lead, c / (r * r), h * r, w * r]);
  },
);

export const pixel_unshuffle: Op<[input: Tensor, ...Args<[{ downscale_factor: number }]>], Tensor> = composite(
  "pixel_unshuffle",
  "input, downscale_factor",
  { doc: "[..., C, H r, W r] → [..., C r², H, W].", method: false },
  (input: Tensor, r: number) => {
    if (input.ndim < 3 || r <= 0 || input.shape.at(-1)! % r !== 0 || input.shape.at(-2)! % r !== 0) {
      throw new RuntimeError(
        `pixel_unshuffle: expected at least 3 dimensions and height and width divisible by downscale_factor, got shape ${formatShape(input.shape)} and downscale_factor ${r}`,
      );
    }
    const lead = input.shape.slice(0, -3);
    const [c, h, w] = input.shape.slice(-3) as [number, number, number];
    const n = lead.length;
    const split = input.reshape([...lead, c, h / r, r, w / r, r]);
    const order = [...lead.map((_, i) => i), n, n + 2, n + 4, n + 1, n + 3];
    return split.permute(order).reshape([...lead, c * r * r, h / r, w / r]);
  },
);

export const channel_shuffle: Op<[input: Tensor, ...Args<[{ groups: number }]>], Tensor> = composite(
  "channel_shuffle",
  "input, groups",
  { doc: "Deals the channels of [N, C, ...] out to groups, one by one.", method: false },
  (input: Tensor, groups: number) => {
    if (input.ndim < 3 || groups <= 0 || input.shape[1]! % groups !== 0) {
      throw new RuntimeError(
        `channel_shuffle: expected more than 2 dimensions and channels divisible by groups, got shape ${formatShape(input.shape)} and groups ${groups}`,
      );
    }
    const [n, c] = input.shape as [number, number];
    const rest = input.shape.slice(2);
    return input
      .reshape([n, groups, c / groups, ...rest])
      .transpose(1, 2)
      .reshape(input.shape);
  },
);

type ResponseOp = Op<[input: Tensor, ...Args<[{ size: number }, { alpha?: number }, { beta?: number }, { k?: number }]>], Tensor>;
export const local_response_norm: ResponseOp = composite(
  "local_response_norm",
  "input, size, alpha=0.0001, beta=0.75, k=1.0",
  { doc: "input / (k + alpha mean of squares over size neighbouring channels)^beta.", method: false },
  (input: Tensor, size: number, alpha: number, beta: number, k: number) => {
    if (input.ndim < 3) {
      throw new ValueError(`local_response_norm: expected 3D or higher dimensionality input (got ${input.ndim} dimensions)`);
    }
    if (input.numel() === 0) return input;
    const before = Math.floor(size / 2);
    const after = Math.floor((size - 1) / 2);
    let squares = input.mul(input).unsqueeze(1);
    if (input.ndim === 3) {
      squares = avg_pool2d(constant_pad_nd(squares, [0, 0, before, after]), [size, 1], 1).squeeze(1);
    } else {
      const [n, c, h] = input.shape as [number, number, number];
      squares = constant_pad_nd(squares.reshape([n, 1, c, h, -1]), [0, 0, 0, 0, before, after]);
      squares = avg_pool3d(squares, [size, 1, 1], 1).squeeze(1).reshape(input.shape);
    }
    return input.div(squares.mul(alpha).add(k).pow(beta));
  },
);

// unfold and fold: columns of blocks

interface Blocks {
  readonly size: Shape;
  readonly kernel: readonly number[];
  readonly dilation: readonly number[];
  readonly padding: readonly number[];
  readonly stride: readonly number[];
  /** Blocks per dimension. */
  readonly count: readonly number[];
}

function blocksOf(op: string, size: Shape, kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes): Blocks {
  const kernel = sizesOf(op, "kernel_size", kernel_size, 2);
  const d = sizesOf(op, "dilation", dilation, 2);
  const p = sizesOf(op, "padding", padding, 2);
  const s = sizesOf(op, "stride", stride, 2);
  for (const [name, list, least] of [
    ["kernel_size", kernel, 1],
    ["dilation", d, 1],
    ["padding", p, 0],
    ["stride", s, 1],
  ] as const) {
    if (list.some((v) => v < least))
      throw new RuntimeError(`${op}: ${name} should be at least ${least}, got ${formatShape(list)}`);
  }
  const count = size.map((n, i) => Math.floor((n + 2 * p[i]! - d[i]! * (kernel[i]! - 1) - 1) / s[i]!) + 1);
  if (count.some((n) => n < 1)) {
    throw new RuntimeError(
      `${op}: given spatial size ${formatShape(size)}, kernel_size=${formatShape(kernel)}, dilation=${formatShape(d)}, padding=${formatShape(p)}, the array of sliding blocks would have shape ${formatShape(count)}, which is too small`,
    );
  }
  return { size, kernel, dilation: d, padding: p, stride: s, count };
}

/** The elements at one place of all blocks, [N, C, rows, columns], within padded [N, C, H, W]. */
function blockPlace(padded: Tensor, b: Blocks, i: number, j: number): Tensor {
  const [n, c] = padded.shape as [number, number];
  const s = padded._strides;
  const at = padded._offset + i * b.dilation[0]! * s[2]! + j * b.dilation[1]! * s[3]!;
  return alias(padded, [n, c, ...b.count], [s[0]!, s[1]!, s[2]! * b.stride[0]!, s[3]! * b.stride[1]!], at);
}

const im2col: Op<[input: Tensor, blocks: () => Blocks], Tensor> = defineOp("im2col", "input, blocks", {
  doc: "unfold of [N, C, H, W].",
  method: false,
  forward(ctx, input: Tensor, blocks: () => Blocks) {
    ctx.state = blocks;
    const b = blocks();
    const [n, c] = input.shape as [number, number];
    const [ph, pw] = b.padding as [number, number];
    const padded = contiguous(constant_pad_nd(input, [pw, pw, ph, ph]));
    const s = padded._strides;
    const strides = [s[0]!, s[1]!, s[2]! * b.dilation[0]!, s[3]! * b.dilation[1]!, s[2]! * b.stride[0]!, s[3]! * b.stride[1]!];
    const window = alias(padded, [n, c, ...b.kernel, ...b.count], strides, padded._offset);
    return copyOf(window, input.dtype).reshape([n, c * numelOf(b.kernel), numelOf(b.count)]);
  },
  backward(ctx, g: Tensor) {
    return [col2im(g, ctx.state as () => Blocks)];
  },
});

const col2im: Op<[input: Tensor, blocks: () => Blocks], Tensor> = defineOp("col2im", "input, blocks", {
  doc: "fold of [N, C k, L]: overlapping blocks add up.",
  method: false,
  forward(ctx, input: Tensor, blocks: () => Blocks) {
    ctx.state = blocks;
    const b = blocks();
    const [kh, kw] = b.kernel as [number, number];
    const [ph, pw] = b.padding as [number, number];
    const n = input.shape[0]!;
    const c = input.shape[1]! / (kh * kw);
    const columns = input.reshape([n, c, kh, kw, ...b.count]);
    const out = filled([n, c, b.size[0]! + 2 * ph, b.size[1]! + 2 * pw], 0, input.dtype, input.device);
    out._storage.materialize();
    for (let i = 0; i < kh; i++) {
      for (let j = 0; j < kw; j++) {
        const place = blockPlace(out, b, i, j);
        writeInto(place, place.add(columns.select(2, i).select(2, j)));
      }
    }
    const [h, w] = b.size as [number, number];
    return copyOf(out.narrow(2, ph, h).narrow(3, pw, w), input.dtype);
  },
  backward(ctx, g: Tensor) {
    return [im2col(g, ctx.state as () => Blocks)];
  },
});

type BlockArgs = [{ kernel_size: Sizes }, { dilation?: Sizes }, { padding?: Sizes }, { stride?: Sizes }];

export const unfold: Op<[input: Tensor, ...Args<BlockArgs>], Tensor> = composite(
  "nn.functional.unfold",
  "input, kernel_size, dilation=1, padding=0, stride=1",
  { doc: "The blocks of [N, C, H, W] as columns: [N, C kernel, blocks].", method: false },
  (input: Tensor, kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) => {
    checkTensor("unfold", "input", input);
    if (input.ndim !== 3 && input.ndim !== 4) {
      throw new RuntimeError(`unfold: expected 3D or 4D (batch mode) tensor, but got shape ${formatShape(input.shape)}`);
    }
    const x = input.ndim === 3 ? input.unsqueeze(0) : input;
    const blocks = blocksOf("unfold", x.shape.slice(2), kernel_size, dilation, padding, stride);
    const out = im2col(x, () => blocks);
    return input.ndim === 3 ? out.squeeze(0) : out;
  },
);

export const fold: Op<[input: Tensor, ...Args<[{ output_size: Sizes }, ...BlockArgs]>], Tensor> = composite(
  "fold",
  "input, output_size, kernel_size, dilation=1, padding=0, stride=1",
  { doc: "The adjoint of unfold: columns [N, C kernel, blocks] added up in [N, C, ...output_size].", method: false },
  (input: Tensor, output_size: Sizes, kernel_size: Sizes, dilation: Sizes, padding: Sizes, stride: Sizes) => {
    checkTensor("fold", "input", input);
    if (input.ndim !== 2 && input.ndim !== 3) {
      throw new RuntimeError(`fold: expected 2D or 3D (batch mode) tensor, but got shape ${formatShape(input.shape)}`);
    }
    const x = input.ndim === 2 ? input.unsqueeze(0) : input;
    const size = sizesOf("fold", "output_size", output_size, 2);
    const blocks = blocksOf("fold", size, kernel_size, dilation, padding, stride);
    if (x.shape[1]! % numelOf(blocks.kernel) !== 0 || x.shape[2] !== numelOf(blocks.count)) {
      throw new RuntimeError(
        `fold: given output_size=${formatShape(size)}, kernel_size=${formatShape(blocks.kernel)}, expected input of shape [N, C * ${numelOf(blocks.kernel)}, ${numelOf(blocks.count)}], got ${formatShape(input.shape)}`,
      );
    }
    const out = col2im(x, () => blocks);
    return input.ndim === 2 ? out.squeeze(0) : out;
  },
);

// grids

type AffineGridOp = Op<[theta: Tensor, ...Args<[{ size: readonly number[] }, { align_corners?: boolean | null }]>], Tensor>;
export const affine_grid: AffineGridOp = composite(
  "affine_grid",
  "theta, size, align_corners=None",
  { doc: "A sampling grid [N, H, W, 2] (or [N, D, H, W, 3]) of affine matrices theta [N, 2, 3] ([N, 3, 4]).", method: false },
  (theta: Tensor, size: readonly number[], align_corners: boolean | null) => {
    const n = size.length - 2;
    if (size.some((s) => s <= 0)) throw new ValueError(`affine_grid: expected a positive output size, got ${formatShape(size)}`);
    if (
      !theta.dtype.is_floating_point ||
      (n !== 2 && n !== 3) ||
      theta.ndim !== 3 ||
      theta.shape[1] !== n ||
      theta.shape[2] !== n + 1
    ) {
      throw new ValueError(
        `affine_grid: expected floating-point theta of shape [N, ${n}, ${n + 1}] for size ${formatShape(size)}, got ${theta.dtype} ${formatShape(theta.shape)}`,
      );
    }
    const spatial = size.slice(2);
    const axes = spatial.map((steps, i) => {
      const edge = align_corners === true ? 1 : (steps - 1) / steps;
      const values = Array.from({ length: steps }, (_, k) => (steps === 1 ? 0 : edge * ((2 * k) / (steps - 1) - 1)));
      const line = tensor(values, { dtype: theta.dtype, device: theta.device });
      return line.reshape(spatial.map((_, d) => (d === i ? steps : 1))).expand(spatial);
    });
    const one = filled(spatial, 1, theta.dtype, theta.device);
    const base = stack([...axes.reverse(), one], -1).reshape([1, -1, n + 1]);
    return base
      .expand([size[0]!, numelOf(spatial), n + 1])
      .matmul(theta.mT)
      .reshape([size[0]!, ...spatial, n]);
  },
);

/** Coordinates in pixels, moved into the image as the padding mode says. */
function padCoordinate(x: Tensor, size: number, padding: string, align: boolean): Tensor {
  if (padding === "border") return x.clamp(0, size - 1);
  if (padding !== "reflection") return x;
  const low = align ? 0 : -0.5;
  const span = align ? size - 1 : size;
  if (span === 0) return x.mul(0);
  const distance = x.sub(low).abs();
  const extra = distance.fmod(span);
  const odd = distance.detach().div(span).floor().remainder(2).ne(0);
  return where(odd, extra.neg().add(span), extra)
    .add(low)
    .clamp(0, size - 1);
}

/** input [N, C, S] at flat positions [N, P] → [N, C, P]; 0 where `inside` is false. */
function pick(input: Tensor, index: Tensor, inside: Tensor): Tensor {
  const [n, c] = input.shape as [number, number];
  const at = where(inside, index, 0).to(int64).unsqueeze(1).expand([n, c, index.shape[1]!]);
  return input.gather(2, at).mul(inside.unsqueeze(1).to(input.dtype));
}

/** Cubic convolution's weights for the four neighbours of a point t beyond the second. */
function cubicWeights(t: Tensor): Tensor[] {
  const a = -0.75;
  const near = (x: Tensor): Tensor =>
    x
      .mul(a + 2)
      .sub(a + 3)
      .mul(x)
      .mul(x)
      .add(1);
  const far = (x: Tensor): Tensor =>
    x
      .mul(a)
      .sub(5 * a)
      .mul(x)
      .add(8 * a)
      .mul(x)
      .sub(4 * a);
  const u = t.neg().add(1);
  return [far(t.add(1)), near(t), near(u), far(u.add(1))];
}

type GridSampleOp = Op<
  [input: Tensor, grid: Tensor, ...Args<[{ mode?: string }, { padding_mode?: string }, { align_corners?: boolean | null }]>],
  Tensor
>;
export const grid_sample: GridSampleOp = composite(
  "grid_sample",
  "input, grid, mode='bilinear', padding_mode='zeros', align_corners=None",
  {
    doc: "Samples input [N, C, H, W] (or 3-d) at grid [N, h, w, 2] of (x, y) in [-1, 1]; mode bilinear, nearest or bicubic.",
    method: false,
  },
  (input: Tensor, grid: Tensor, mode: string, padding_mode: string, align_corners: boolean | null) => {
    const op = "grid_sample";
    const align = align_corners === true;
    if (!["bilinear", "nearest", "bicubic"].includes(mode)) throw new ValueError(`${op}: unknown mode '${mode}'`);
    if (!["zeros", "border", "reflection"].includes(padding_mode)) {
      throw new ValueError(`${op}: unknown padding_mode '${padding_mode}'`);
    }
    const n = input.ndim - 2;
    if ((n !== 2 && n !== 3) || grid.ndim !== input.ndim || grid.shape.at(-1) !== n || grid.shape[0] !== input.shape[0]) {
      throw new RuntimeError(
        `${op}: expected grid of shape [N, ..., ${n}] for input ${formatShape(input.shape)}, got ${formatShape(grid.shape)}`,
      );
    }
    if (mode === "bicubic" && n !== 2) throw new RuntimeError(`${op}: bicubic interpolation only supports 4D input`);
    const wide = input.dtype.itemsize === 2 ? float32 : input.dtype;
    const sizes = input.shape.slice(2);
    const points = numelOf(grid.shape.slice(1, -1));
    const source = input.to(wide).reshape([input.shape[0]!, input.shape[1]!, numelOf(sizes)]);
    // By dimension of the input; the grid counts from the last.
    const raw = sizes.map((size, d) => {
      const g = grid
        .to(wide)
        .select(-1, n - 1 - d)
        .reshape([input.shape[0]!, points]);
      return align ? g.add(1).mul((size - 1) / 2) : g.add(1).mul(size).sub(1).mul(0.5);
    });
    const sampled = sampleAt(source, raw, sizes, mode, padding_mode, align);
    return sampled.reshape([input.shape[0]!, input.shape[1]!, ...grid.shape.slice(1, -1)]).to(input.dtype);
  },
);

function sampleAt(source: Tensor, raw: readonly Tensor[], sizes: Shape, mode: string, padding: string, align: boolean): Tensor {
  const cubic = mode === "bicubic";
  const x = cubic ? raw : raw.map((c, d) => padCoordinate(c, sizes[d]!, padding, align));
  /** Per dimension: candidate positions and their weights. */
  const taps = x.map((c, d): [Tensor, Tensor | null][] => {
    if (mode === "nearest") return [[c.detach().round(), null]];
    const base = c.detach().floor();
    const t = c.sub(base);
    if (!cubic) {
      return [
        [base, t.neg().add(1)],
        [base.add(1), t],
      ];
    }
    return cubicWeights(t).map((w, k) => [padCoordinate(base.add(k - 1), sizes[d]!, padding, align).round(), w]);
  });
  let total: Tensor | null = null;
  const visit = (d: number, index: Tensor | null, inside: Tensor | null, weight: Tensor | null): void => {
    if (d === taps.length) {
      const value = pick(source, index!, inside!);
      const term = weight === null ? value : value.mul(weight.unsqueeze(1));
      total = total === null ? term : total.add(term);
      return;
    }
    for (const [at, w] of taps[d]!) {
      const here = at.ge(0).logical_and(at.le(sizes[d]! - 1));
      visit(
        d + 1,
        index === null ? at : index.mul(sizes[d]!).add(at),
        inside === null ? here : inside.logical_and(here),
        weight === null ? w : w === null ? weight : weight.mul(w),
      );
    }
  };
  visit(0, null, null, null);
  // Nearest: the grid's gradient is zero, but there.
  return mode === "nearest"
    ? total!.add(
        raw
          .reduce((a, b) => a.add(b))
          .mul(0)
          .unsqueeze(1),
      )
    : total!;
}
