/** Counting into bins. */

import { float64, int64, type Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, named, type Op } from "../engine/define.ts";
import { checkTensor, describe, type Args } from "../engine/signature.ts";
import { linspace } from "./creation_more.ts";
import { searchsorted } from "./sorting.ts";

type HistcOp = Op<[input: Tensor, ...Args<[{ bins?: number }, { min?: Scalar }, { max?: Scalar }]>], Tensor, "method">;

/** Sums of weights (or counts) by bin number. */
function countInto(bins: Tensor, size: number, weight: Tensor): Tensor {
  return weight.new_zeros([size]).scatter_add(0, bins, weight);
}

const number = (t: Tensor): number => Number(t.item_sync());

/** The range to use: the data's own where min equals max; never empty. */
function rangeOf(op: string, input: Tensor, min: number, max: number, margin: number): [number, number] {
  let [low, high] = [min, max];
  if (low === high && input.numel() > 0) {
    low = number(input.amin());
    high = number(input.amax());
  }
  if (low === high) {
    low -= margin;
    high += margin;
  }
  if (!(Number.isFinite(low) && Number.isFinite(high))) throw new RuntimeError(`${op}: range of [${low}, ${high}] is not finite`);
  if (low > high) throw new RuntimeError(`${op}: max must be larger than min, got [${low}, ${high}]`);
  return [low, high];
}

export const histc: HistcOp = composite(
  "histc",
  "input, bins=100, min=0, max=0",
  {
    doc: "How many elements fall into each of `bins` equal intervals of [min, max] (the data's own range where both are equal).",
  },
  (input: Tensor, bins: number, min: Scalar, max: Scalar) => {
    checkTensor("histc", "input", input);
    if (!input.dtype.is_floating_point) throw new RuntimeError(`histc: not implemented for ${input.dtype}`);
    if (!(bins > 0)) throw new RuntimeError(`histc: bins must be > 0, got ${bins}`);
    const x = input.detach().reshape([-1]);
    const [low, high] = rangeOf("histc", x, Number(min), Number(max), 1);
    return uniformCounts(x, low, high, bins, null);
  },
);

/** Elements outside the range, and NaN, do not count; the last bin includes its right edge. */
function uniformCounts(x: Tensor, low: number, high: number, bins: number, weight: Tensor | null): Tensor {
  const inside = x.ge(low).logical_and(x.le(high));
  const at = x
    .sub(low)
    .div(high - low)
    .mul(bins)
    .masked_fill(inside.logical_not(), 0)
    .floor()
    .to(int64)
    .clamp(0, bins - 1);
  return countInto(at, bins, (weight ?? x.new_ones(x.shape)).mul(inside).to(x.dtype));
}

type Histogram = Tensor[] & { readonly hist: Tensor; readonly bin_edges: Tensor };
type HistogramOptions = { range?: readonly number[] | null; weight?: Tensor | null; density?: boolean };
type HistogramOp = Op<[input: Tensor, bins: number | Tensor, options?: HistogramOptions], Histogram, "method">;

export const histogram: HistogramOp = composite(
  "histogram",
  "input, bins, *, range=None, weight=None, density=False",
  {
    doc: "Weights of elements by bin, given edges or a number of equal bins; density: their integral is 1. And the edges.",
  },
  (input: Tensor, bins: number | Tensor, range: readonly number[] | null, weight: Tensor | null, density: boolean) => {
    checkTensor("histogram", "input", input);
    const points = input.reshape([-1, 1]);
    const { hist, edges } = histogramOf(
      "histogram",
      points,
      [bins],
      range,
      weight === null ? null : weight,
      density,
      input.shape,
    );
    return named(["hist", "bin_edges"], [hist, edges[0]!]);
  },
);

type HistogramDdOp = Op<
  [input: Tensor, bins: number | readonly number[] | readonly Tensor[], options?: HistogramOptions],
  Tensor[] & { readonly hist: Tensor; readonly bin_edges: readonly Tensor[] }
>;

export const histogramdd: HistogramDdOp = composite(
  "histogramdd",
  "input, bins, *, range=None, weight=None, density=False",
  {
    doc: "Histogram of points in the rows of input, one dimension of bins per column. And the edges of each.",
    method: false,
  },
  (
    input: Tensor,
    bins: number | readonly number[] | readonly Tensor[],
    range: readonly number[] | null,
    weight: Tensor | null,
    density: boolean,
  ) => {
    checkTensor("histogramdd", "input", input);
    if (input.ndim < 2)
      throw new RuntimeError(`histogramdd: input tensor should have at least 2 dimensions, but got ${input.ndim}`);
    const columns = input.shape.at(-1)!;
    if (typeof bins !== "number" && !Array.isArray(bins))
      throw new TypeError(`histogramdd: argument 'bins' must be int or a list, not ${describe(bins)}`);
    const list = typeof bins === "number" ? new Array<number>(columns).fill(bins) : [...bins];
    if (list.length !== columns) {
      throw new RuntimeError(
        `histogramdd: expected ${columns} sequences of bin edges for a ${columns}-dimensional histogram but got ${list.length}`,
      );
    }
    const points = input.reshape([-1, columns]);
    const { hist, edges } = histogramOf("histogramdd", points, list, range, weight, density, input.shape.slice(0, -1));
    return named(["hist", "bin_edges"], [hist, edges as unknown as Tensor]);
  },
);

function histogramOf(
  op: string,
  given: Tensor,
  bins: readonly (number | Tensor)[],
  range: readonly number[] | null,
  weight: Tensor | null,
  density: boolean,
  shape: readonly number[],
): { hist: Tensor; edges: Tensor[] } {
  const points = given.detach();
  if (!points.dtype.is_floating_point) throw new RuntimeError(`${op}: not implemented for ${points.dtype}`);
  const { dtype, device } = points;
  if (weight !== null && weight.dtype !== dtype)
    throw new RuntimeError(
      `${op}: if weight tensor is provided, input tensor and weight tensor should have the same dtype, but got ${dtype} and ${weight.dtype}`,
    );
  if (weight !== null && !sameShape(weight.shape, shape)) {
    throw new RuntimeError(
      `${op}: if weight tensor is provided it should have the same shape as the input tensor excluding its innermost dimension, got ${formatShape(weight.shape)} and ${formatShape(shape)}`,
    );
  }
  const n = points.shape[0]!;
  let inside = points.new_ones([n]).ne(0);
  let flat = inside.to(int64).mul(0);
  const edges = bins.map((b, d) => {
    const x = points.select(1, d);
    let e: Tensor;
    let at: Tensor;
    if (b instanceof Tensor) {
      if (b.ndim !== 1) throw new RuntimeError(`${op}: bins tensor should have one dimension, but got ${b.ndim}`);
      if (b.dtype !== dtype)
        throw new RuntimeError(
          `${op}: input tensor and bins tensors should have the same dtype, but got ${dtype} and ${b.dtype}`,
        );
      e = b.detach();
      at = searchsorted(e, x, { right: true }).sub(1);
    } else {
      if (!(b > 0)) throw new RuntimeError(`${op}: bins must be > 0, but got ${b}`);
      const own = range === null ? [0, 0] : [range[2 * d]!, range[2 * d + 1]!];
      const [low, high] = range === null && n === 0 ? [0, 1] : rangeOf(op, x, Number(own[0]), Number(own[1]), 0.5);
      e = linspace(low, high, b + 1, { dtype, device });
      // A first guess by division, put right by the edges as they are.
      at = searchsorted(e, x, { right: true }).sub(1);
    }
    const count = e.shape[0]! - 1;
    const ends = [e.slice(0, 0, 1), e.slice(0, count)] as const;
    inside = inside.logical_and(x.ge(ends[0])).logical_and(x.le(ends[1]));
    flat = flat.mul(count).add(at.clamp(0, count - 1));
    return e;
  });
  const sizes = edges.map((e) => e.shape[0]! - 1);
  const total = sizes.reduce((a, b) => a * b, 1);
  const weights = (weight === null ? points.new_ones([n]) : weight.detach().reshape([n])).masked_fill(inside.logical_not(), 0);
  let hist = countInto(flat.masked_fill(inside.logical_not(), 0), total, weights).reshape(sizes);
  if (density) {
    hist = hist.div(hist.sum());
    edges.forEach((e, d) => {
      const widths = e.slice(0, 1).sub(e.slice(0, 0, sizes[d]!));
      hist = hist.div(widths.reshape(sizes.map((_, i) => (i === d ? -1 : 1))));
    });
  }
  return { hist, edges };
}

type BincountOp = Op<[input: Tensor, ...Args<[{ weights?: Tensor | null }, { minlength?: number }]>], Tensor, "method">;

export const bincount: BincountOp = composite(
  "bincount",
  "input, weights=None, minlength=0",
  {
    doc: "How often (or with what weight) each whole number from 0 on occurs.",
  },
  (input: Tensor, weights: Tensor | null, minlength: number) => {
    checkTensor("bincount", "input", input);
    if (input.ndim !== 1)
      throw new RuntimeError(`bincount: only supports 1-d non-negative integral inputs, got shape ${formatShape(input.shape)}`);
    if (input.dtype.is_floating_point)
      throw new RuntimeError(`bincount: only supports 1-d non-negative integral inputs, got ${input.dtype}`);
    if (!(minlength >= 0)) throw new RuntimeError(`bincount: minlength should be >= 0, got ${minlength}`);
    if (weights !== null && !sameShape(weights.shape, input.shape)) {
      throw new RuntimeError(
        `bincount: weights should be 1-d and have the same length as input, got ${formatShape(weights.shape)} and ${formatShape(input.shape)}`,
      );
    }
    if (input.numel() === 0) return input.new_zeros([minlength], { dtype: int64 });
    if (number(input.amin()) < 0)
      throw new RuntimeError("bincount: only supports 1-d non-negative integral inputs, got a negative number");
    const size = Math.max(number(input.amax()) + 1, minlength);
    const at = input.to(int64);
    const add =
      weights === null ? at.new_ones(at.shape) : weights.dtype.is_floating_point ? weights.detach() : weights.to(float64);
    const double = weights !== null && add.dtype.itemsize !== 4 ? add.to(float64) : add;
    return countInto(at, size, double);
  },
);
