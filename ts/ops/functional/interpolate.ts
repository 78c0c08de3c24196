/** torch.nn.functional: resizing. Every mode works dimension by dimension as a weighted sum of shifted selections. */

import { float32, int64 } from "../../core/dtype.ts";
import { NotImplementedError, RuntimeError, ValueError } from "../../core/errors.ts";
import { formatShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, type Op } from "../../engine/define.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { tensor } from "../creation.ts";
import { adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d } from "./pooling.ts";

/** Positions and weights of one tap for every output index. */
interface Tap {
  readonly index: number[];
  readonly weight: number[] | null;
}

type Round = (x: number) => number;

/** Input elements per output element. `given`: the caller's scale factor, where it counts. */
function scaleOf(n: number, out: number, align: boolean, given: number | null, round: Round): number {
  if (align) return out > 1 ? round((n - 1) / (out - 1)) : 0;
  return given !== null && given > 0 ? round(1 / given) : round(n / out);
}

function nearestTaps(n: number, out: number, scale: number, exact: boolean, round: Round): Tap[] {
  const index = Array.from({ length: out }, (_, i) =>
    Math.min(Math.floor(exact ? round(round(i + 0.5) * scale) : round(i * scale)), n - 1),
  );
  return [{ index, weight: null }];
}

function linearTaps(n: number, out: number, scale: number, align: boolean, round: Round): Tap[] {
  const low: Tap = { index: [], weight: [] };
  const high: Tap = { index: [], weight: [] };
  for (let i = 0; i < out; i++) {
    const at = align ? round(scale * i) : Math.max(round(round(scale * (i + 0.5)) - 0.5), 0);
    const first = Math.min(Math.floor(at), n - 1);
    const t = Math.min(Math.max(round(at - first), 0), 1);
    low.index.push(first);
    high.index.push(Math.min(first + 1, n - 1));
    low.weight!.push(1 - t);
    high.weight!.push(t);
  }
  return [low, high];
}

function cubic(a: number, x: number): number {
  const d = Math.abs(x);
  if (d <= 1) return ((a + 2) * d - (a + 3)) * d * d + 1;
  return d < 2 ? ((a * d - 5 * a) * d + 8 * a) * d - 4 * a : 0;
}

function cubicTaps(n: number, out: number, scale: number, align: boolean, round: Round): Tap[] {
  const taps: Tap[] = [-1, 0, 1, 2].map(() => ({ index: [], weight: [] }));
  for (let i = 0; i < out; i++) {
    const at = align ? round(scale * i) : round(round(scale * (i + 0.5)) - 0.5);
    const first = Math.floor(at);
    taps.forEach((tap, k) => {
      tap.index.push(Math.min(Math.max(first + k - 1, 0), n - 1));
      tap.weight!.push(cubic(-0.75, at - first - (k - 1)));
    });
  }
  return taps;
}

/** The whole matrix [out, n] of a filter widened to the scale, as antialiasing wants it. */
function antialiasMatrix(n: number, out: number, scale: number, smooth: boolean): number[][] {
  const wide = Math.max(scale, 1);
  const support = (smooth ? 2 : 1) * wide;
  const filter = (x: number): number => (smooth ? cubic(-0.5, x) : Math.max(1 - Math.abs(x), 0));
  return Array.from({ length: out }, (_, i) => {
    const centre = scale * (i + 0.5);
    const from = Math.max(Math.trunc(centre - support + 0.5), 0);
    const to = Math.min(Math.trunc(centre + support + 0.5), n);
    const row = new Array<number>(n).fill(0);
    let total = 0;
    for (let j = from; j < to; j++) total += row[j] = filter((j - centre + 0.5) / wide);
    return total === 0 ? row : row.map((w) => w / total);
  });
}

function applyTaps(x: Tensor, dim: number, taps: readonly Tap[]): Tensor {
  const line = x.shape.map((_, d) => (d === dim ? -1 : 1));
  const { device, dtype } = x;
  return taps
    .map(({ index, weight }) => {
      const picked = x.index_select(dim, tensor(index, { dtype: int64, device }));
      return weight === null ? picked : picked.mul(tensor(weight, { dtype, device }).reshape(line));
    })
    .reduce((a, b) => a.add(b));
}

const DIMS: Readonly<Record<string, number>> = { linear: 1, bilinear: 2, bicubic: 2, trilinear: 3 };
const AREA = [adaptive_avg_pool1d, adaptive_avg_pool2d, adaptive_avg_pool3d];

type Factors = number | readonly number[] | null;
type SizeArg = number | readonly number[] | null;

type InterpolateArgs = Args<
  [
    { size?: SizeArg },
    { scale_factor?: Factors },
    { mode?: string },
    { align_corners?: boolean | null },
    { recompute_scale_factor?: boolean | null },
    { antialias?: boolean },
  ]
>;
type InterpolateOp = Op<[input: Tensor, ...InterpolateArgs], Tensor>;

export const interpolate: InterpolateOp = composite(
  "interpolate",
  "input, size=None, scale_factor=None, mode='nearest', align_corners=None, recompute_scale_factor=None, antialias=False",
  {
    doc: "Resizes the spatial dimensions of [N, C, ...] to size or by scale_factor; mode nearest, nearest-exact, linear, bilinear, trilinear, bicubic or area.",
    method: false,
  },
  (
    input: Tensor,
    size: SizeArg,
    scale_factor: Factors,
    mode: string,
    align_corners: boolean | null,
    recompute: boolean | null,
    antialias: boolean,
  ) => {
    const op = "interpolate";
    checkTensor(op, "input", input);
    const n = input.ndim - 2;
    const plain = mode === "nearest" || mode === "nearest-exact" || mode === "area";
    if (plain && align_corners !== null) {
      throw new ValueError(
        `${op}: align_corners option can only be set with the interpolating modes: linear | bilinear | bicubic | trilinear`,
      );
    }
    if (!plain && !(mode in DIMS)) throw new NotImplementedError(`${op}: unknown mode '${mode}'`);
    for (const given of [size, scale_factor]) {
      if (Array.isArray(given) && given.length !== n) {
        throw new ValueError(
          `${op}: input and output must have the same number of spatial dimensions, but got input of shape ${formatShape(input.shape)} and ${given.length} of them: ${formatShape(given as number[])}`,
        );
      }
    }
    if (n < 1 || n > 3 || (!plain && DIMS[mode] !== n)) {
      throw new NotImplementedError(`${op}: mode '${mode}' does not take input of shape ${formatShape(input.shape)}`);
    }
    if (size !== null && scale_factor !== null) throw new ValueError(`${op}: only one of size or scale_factor should be defined`);
    if (size === null && scale_factor === null) throw new ValueError(`${op}: either size or scale_factor should be defined`);
    if (antialias && !((mode === "bilinear" || mode === "bicubic") && n === 2)) {
      throw new ValueError(
        `${op}: anti-alias option is restricted to bilinear and bicubic modes and requires a 4-D tensor as input`,
      );
    }
    const spatial = input.shape.slice(2);
    let sizes: number[];
    let factors: (number | null)[] = spatial.map(() => null);
    if (size !== null) sizes = spread(op, "size", size, n);
    else {
      const given = spread(op, "scale_factor", scale_factor!, n);
      sizes = spatial.map((s, i) => Math.floor(s * given[i]!));
      if (recompute !== true) factors = given;
    }
    if (sizes.some((s) => s <= 0) || spatial.some((s) => s <= 0)) {
      throw new RuntimeError(
        `${op}: input and output sizes should be greater than 0, but got input ${formatShape(spatial)} and output ${formatShape(sizes)}`,
      );
    }
    if (sizes.some((s) => !(s < 2 ** 31)))
      throw new RuntimeError(`${op}: output sizes ${formatShape(sizes)} are more than there is room for`);
    if (mode === "area") return AREA[n - 1]!(input, sizes);
    const narrow = input.dtype.itemsize === 2 && input.dtype.is_floating_point;
    const exactly: Round = input.dtype.itemsize === 8 ? (x) => x : Math.fround;
    let x = narrow && !plain ? input.to(float32) : input;
    const align = align_corners === true;
    for (let d = 0; d < n; d++) {
      const from = spatial[d]!;
      const to = sizes[d]!;
      const scale = scaleOf(from, to, align, factors[d]!, exactly);
      if (antialias) {
        const matrix = tensor(antialiasMatrix(from, to, scale, mode === "bicubic"), { dtype: x.dtype, device: x.device });
        x = x
          .transpose(d + 2, -1)
          .matmul(matrix.t())
          .transpose(d + 2, -1);
      } else if (mode === "nearest" || mode === "nearest-exact") {
        x = applyTaps(x, d + 2, nearestTaps(from, to, scale, mode === "nearest-exact", exactly));
      } else {
        const taps = mode === "bicubic" ? cubicTaps : linearTaps;
        x = applyTaps(x, d + 2, taps(from, to, scale, align, exactly));
      }
    }
    return narrow && !plain ? x.to(input.dtype) : x;
  },
);

function spread(op: string, name: string, value: number | readonly number[], n: number): number[] {
  if (!Array.isArray(value)) return Array.from({ length: n }, () => Number(value));
  if (value.length !== n) {
    throw new ValueError(
      `${op}: input and output must have the same number of spatial dimensions, but got ${n} and ${name} [${value.join(", ")}]`,
    );
  }
  return value.map(Number);
}

type UpsampleOp = Op<[input: Tensor, ...Args<[{ size?: SizeArg }, { scale_factor?: Factors }]>], Tensor>;
export const upsample_nearest: UpsampleOp = composite(
  "upsample_nearest",
  "input, size=None, scale_factor=None",
  { doc: "interpolate with mode 'nearest'.", method: false },
  (input: Tensor, size: SizeArg, scale_factor: Factors) => interpolate(input, { size, scale_factor }),
);
export const upsample_bilinear: UpsampleOp = composite(
  "upsample_bilinear",
  "input, size=None, scale_factor=None",
  { doc: "interpolate with mode 'bilinear' and align_corners.", method: false },
  (input: Tensor, size: SizeArg, scale_factor: Factors) =>
    interpolate(input, { size, scale_factor, mode: "bilinear", align_corners: true }),
);
type UpsampleAnyOp = Op<
  [
    input: Tensor,
    ...Args<[{ size?: SizeArg }, { scale_factor?: Factors }, { mode?: string }, { align_corners?: boolean | null }]>,
  ],
  Tensor
>;
export const upsample: UpsampleAnyOp = composite(
  "upsample",
  "input, size=None, scale_factor=None, mode='nearest', align_corners=None",
  { doc: "The old name of interpolate.", method: false },
  (input: Tensor, size: SizeArg, scale_factor: Factors, mode: string, align_corners: boolean | null) =>
    interpolate(input, { size, scale_factor, mode, align_corners }),
);
