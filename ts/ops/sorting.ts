/** Sorting, selecting by rank, and searching sorted sequences. */

import { int32, int64, isScalar, type DType, type Scalar } from "../core/dtype.ts";
import { IndexError, RuntimeError } from "../core/errors.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, defineOp, named, type Op, type OpInfo } from "../engine/define.ts";
import { alias, contiguous, copyOf, empty, run } from "../engine/run.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import type { SortParams, SortSpec } from "../kernel/spec.ts";
import { beyondUnit, somewhere } from "./domain.ts";
import { pickedGrad, VALUES_INDICES, type ValuesAndIndices } from "./extremes.ts";
import { extreme } from "./limits.ts";
import { cast, oneDim, shaped } from "./reduction.ts";
import { dimLast } from "./scan.ts";

const DEFAULTS: SortParams = { descending: false, k: 0, sorted: true, ignoreNan: false, right: false };

/** dimLast undone. */
function dimBack(t: Tensor, dim: number): Tensor {
  const order = t.shape.map((_, d) => d);
  order.splice(dim, 0, order.pop()!);
  return alias(
    t,
    order.map((d) => t.shape[d]!),
    order.map((d) => t._strides[d]!),
    t._offset,
  );
}

/** Rows along `dim` become rows of `length`; values and indices. No autograd. */
function rows(mode: SortSpec["mode"], x: Tensor, dim: number, length: number, params: Partial<SortParams>): [Tensor, Tensor] {
  const source = dimLast(x, dim);
  const shape = [...source.shape.slice(0, -1), length];
  const values = empty(shape, x.dtype, x.device);
  const indices = empty(shape, int64, x.device);
  if (values.numel() > 0) {
    run({ kind: "sort", mode, dtype: x.dtype }, [source], [values, indices], { ...DEFAULTS, ...params });
  }
  if (x.ndim === 0) return [alias(values, [], [], 0), alias(indices, [], [], 0)];
  return [dimBack(values, dim), dimBack(indices, dim)];
}

type SelectedOp<A extends readonly unknown[]> = Op<[input: Tensor, ...A], ValuesAndIndices, "method">;
interface LineState {
  readonly shape: readonly number[];
  readonly d: number;
}

export const sort: SelectedOp<Args<[{ dim?: number }, { descending?: boolean }], { stable?: boolean }>> = defineOp(
  "sort",
  "input, dim=-1, descending=False, *, stable=False",
  {
    doc: "Values along dim in order, and where they came from. Always stable; NaN counts as the greatest.",
    forward(ctx, input: Tensor, dim: number, descending: boolean) {
      const d = oneDim("sort", input, dim);
      const out = rows("sort", input, d, input.shape[d] ?? 1, { descending });
      ctx.save(out[1]);
      ctx.state = { shape: input.shape, d };
      return named(VALUES_INDICES, out);
    },
    backward(ctx, g: Tensor) {
      const { shape, d } = ctx.state as LineState;
      return [pickedGrad(g, ctx.saved()[0]!, shape, d, true)];
    },
  },
);

export const argsort: Op<
  [input: Tensor, ...Args<[{ dim?: number }, { descending?: boolean }, { stable?: boolean }]>],
  Tensor,
  "method"
> = composite(
  "argsort",
  "input, dim=-1, descending=False, stable=False",
  { doc: "The indices that sort input along dim." },
  (input: Tensor, dim: number, descending: boolean) => sort(input, dim, descending).indices,
);

export const msort: Op<[input: Tensor], Tensor, "method"> = composite(
  "msort",
  "input",
  { doc: "input sorted along its first dimension." },
  (input: Tensor) => sort(input, 0).values,
);

export const topk: SelectedOp<Args<[{ k: number }, { dim?: number }, { largest?: boolean }, { sorted?: boolean }]>> = defineOp(
  "topk",
  "input, k, dim=-1, largest=True, sorted=True",
  {
    doc: "The k greatest (or least) along dim, and where they are.",
    forward(ctx, input: Tensor, k: number, dim: number, largest: boolean, sorted: boolean) {
      const d = oneDim("topk", input, dim);
      const n = input.shape[d] ?? 1;
      if (!(k >= 0 && k <= n))
        throw new RuntimeError(`topk: selected index k out of range: k is ${k}, dimension ${d} has size ${n}`);
      const out = rows("topk", input, d, input.ndim === 0 ? 1 : k, { k, descending: largest, sorted });
      ctx.save(out[1]);
      ctx.state = { shape: input.shape, d };
      return named(VALUES_INDICES, out);
    },
    backward(ctx, g: Tensor) {
      const { shape, d } = ctx.state as LineState;
      return [pickedGrad(g, ctx.saved()[0]!, shape, d, true)];
    },
  },
);

type PickOp = Op<[input: Tensor, dim: number, keepdim: boolean, k: number], ValuesAndIndices>;

/** One element of each line. */
function pick(name: string, mode: "kthvalue" | "median" | "mode", ignoreNan = false): PickOp {
  return defineOp(name, "input, dim, keepdim, k", {
    doc: "",
    method: false,
    forward(ctx, input: Tensor, dim: number, keepdim: boolean, k: number) {
      const d = oneDim(name, input, dim);
      const n = input.shape[d] ?? 1;
      if (mode === "kthvalue" && !(k >= 1 && k <= n)) {
        throw new RuntimeError(`kthvalue: selected number k out of range for dimension ${d}: k is ${k}, its size ${n}`);
      }
      if (n === 0) throw new IndexError(`${name}: expected reduction dim ${d} to have non-zero size.`);
      const picked = rows(mode, input, d, 1, { k, ignoreNan });
      const out = input.ndim === 0 || keepdim ? picked : picked.map((t) => shaped(t.squeeze(d), [], false));
      ctx.save(out[1]!);
      ctx.state = { shape: input.shape, d, keepdim };
      return named(VALUES_INDICES, out);
    },
    backward(ctx, g: Tensor) {
      const { shape, d, keepdim } = ctx.state as LineState & { keepdim: boolean };
      return [pickedGrad(g, ctx.saved()[0]!, shape, d, keepdim)];
    },
  });
}

const kth = pick("kthvalue", "kthvalue");
export const kthvalue: SelectedOp<Args<[{ k: number }, { dim?: number }, { keepdim?: boolean }]>> = composite(
  "kthvalue",
  "input, k, dim=-1, keepdim=False",
  { doc: "The k-th least along dim (counted from 1), and where it is." },
  (input: Tensor, k: number, dim: number, keepdim: boolean) => kth(input, dim, keepdim, k),
);

const mostFrequent = pick("mode", "mode");
export const mode: SelectedOp<Args<[{ dim?: number }, { keepdim?: boolean }]>> = composite(
  "mode",
  "input, dim=-1, keepdim=False",
  { doc: "The most frequent value along dim (the least on ties), and where it is." },
  (input: Tensor, dim: number, keepdim: boolean) => mostFrequent(input, dim, keepdim, 0),
);

function wholeMedian(name: "median" | "nanmedian"): Op<[input: Tensor], Tensor> {
  return defineOp(name, "input", {
    doc: "",
    method: false,
    forward(ctx, input: Tensor) {
      const flat = contiguous(input);
      const n = input.numel();
      if (n === 0) {
        const none = input.new_full([], input.dtype.is_floating_point ? NaN : extreme(input.dtype, input.device, false));
        ctx.save(input, none);
        return none;
      }
      const out = rows("median", alias(flat, [n], [1], flat._offset), 0, 1, { ignoreNan: name === "nanmedian" })[0];
      const result = alias(out, [], [], 0);
      ctx.save(input, result);
      return result;
    },
    backward(ctx, g: Tensor) {
      const [input, out] = ctx.saved() as [Tensor, Tensor];
      const mask = input.eq(out).logical_or(input.isnan().logical_and(out.isnan()));
      return [mask.mul(g).div(mask.sum())];
    },
  });
}

type DimOptions = { readonly keepdim?: boolean };
export interface MedianMethod {
  (): Tensor;
  (dim: number, keepdim?: boolean): ValuesAndIndices;
  (dim: number, options: DimOptions): ValuesAndIndices;
  (options: DimOptions & { readonly dim: number }): ValuesAndIndices;
}
interface MedianFunction {
  (input: Tensor): Tensor;
  (input: Tensor, dim: number, keepdim?: boolean): ValuesAndIndices;
  (input: Tensor, dim: number, options: DimOptions): ValuesAndIndices;
  (input: Tensor, options: DimOptions & { readonly dim: number }): ValuesAndIndices;
  readonly info: OpInfo;
}
/** Methods of Tensor whose type depends on what they are given. */
export interface MedianMethods {
  median: MedianMethod;
  nanmedian: MedianMethod;
}

function overloadedMedian(name: "median" | "nanmedian", doc: string): MedianFunction {
  const all = wholeMedian(name);
  const along = pick(name, "median", name === "nanmedian");
  return composite(name, "input, dim=None, keepdim=False", { doc }, (input: Tensor, dim: number | null, keepdim: boolean) => {
    checkTensor(name, "input", input);
    return dim === null ? all(input) : along(input, dim, keepdim, 0);
  });
}

export const median: MedianFunction = overloadedMedian(
  "median",
  "The lower median of all elements, or along dim with its index; NaN wins.",
);
export const nanmedian: MedianFunction = overloadedMedian("nanmedian", "median of the elements that are not NaN.");

type Interpolation = "linear" | "lower" | "higher" | "midpoint" | "nearest";
type QuantileOp = Op<
  [
    input: Tensor,
    ...Args<[{ q: Tensor | number }, { dim?: number | null }, { keepdim?: boolean }], { interpolation?: Interpolation }>,
  ],
  Tensor,
  "method"
>;

function quantiles(name: "quantile" | "nanquantile", doc: string): QuantileOp {
  return composite(
    name,
    "input, q, dim=None, keepdim=False, *, interpolation='linear'",
    { doc },
    (input: Tensor, q: Tensor | Scalar, dim: number | null, keepdim: boolean, interpolation: Interpolation) => {
      checkTensor(name, "input", input);
      const d = dim === null ? null : oneDim(name, input, dim);
      const { dtype } = input;
      if (dtype.is_floating_point && dtype.itemsize < 4)
        throw new RuntimeError(`${name}: input must be float32 or float64, got ${dtype}`);
      if (!dtype.is_floating_point)
        throw new RuntimeError(`${name}: input tensor must be either float or double dtype, got ${dtype}`);
      if (input.numel() === 0) throw new RuntimeError(`${name}: input tensor must be non-empty`);
      if (isScalar(q) && !(Number(q) >= 0 && Number(q) <= 1)) {
        throw new RuntimeError(`${name}: q must be in the range [0, 1] but got ${Number(q)}`);
      }
      if (q instanceof Tensor && somewhere(q, beyondUnit)) {
        throw new RuntimeError(`${name}: q values must be in the range [0, 1]`);
      }
      const at = q instanceof Tensor ? q : input.new_full([], Number(q));
      if (at.ndim > 1) throw new RuntimeError(`${name}: q must be a scalar or 1D tensor, got shape ${formatShape(at.shape)}`);
      if (at.dtype !== dtype)
        throw new RuntimeError(`${name}: q tensor must be same dtype as the input tensor, got ${at.dtype} and ${dtype}`);
      if (!["linear", "lower", "higher", "midpoint", "nearest"].includes(interpolation)) {
        throw new RuntimeError(
          `${name}: interpolation must be one of linear, lower, higher, midpoint or nearest, but got ${interpolation}`,
        );
      }
      const lines = d === null ? input.reshape([-1]) : input.ndim === 0 ? input.reshape([1]) : input.movedim(d, -1);
      const sorted = sort(lines).values;
      const last = sorted.shape.at(-1)! - 1;
      const isNan = sorted.isnan();
      const points = at.reshape([-1]);
      const ranks =
        name === "nanquantile"
          ? isNan.logical_not().sum(-1, true).sub(1).to(dtype).mul(points).clamp_min(0)
          : points.mul(last).where(isNan.any(-1, true).logical_not(), last);
      const rounded =
        interpolation === "lower"
          ? ranks.floor()
          : interpolation === "higher"
            ? ranks.ceil()
            : interpolation === "nearest"
              ? ranks.round()
              : ranks;
      const below = rounded.to(int64);
      let out = sorted.gather(-1, below);
      if (interpolation === "linear" || interpolation === "midpoint") {
        const weight = interpolation === "midpoint" ? ranks.new_full(ranks.shape, 0.5) : ranks.sub(below);
        out = out.lerp(sorted.gather(-1, ranks.ceil().to(int64)), weight);
      }
      // out: [kept..., Q] → [Q, kept...], and the reduced dims back where they were
      out = out.movedim(-1, 0);
      if (keepdim) {
        out =
          d === null ? out.reshape([points.numel(), ...input.shape.map(() => 1)]) : input.ndim === 0 ? out : out.unsqueeze(d + 1);
      }
      return at.ndim === 0 ? out.squeeze(0) : out;
    },
  );
}

export const quantile: QuantileOp = quantiles(
  "quantile",
  "Values below which a fraction q of the elements along dim (or of all) lies.",
);
export const nanquantile: QuantileOp = quantiles("nanquantile", "quantile of the elements that are not NaN.");

type SearchOptions = { out_int32?: boolean; right?: boolean; side?: "left" | "right" | null; sorter?: Tensor | null };
type SearchOp = Op<[sorted_sequence: Tensor, input: Tensor | number, options?: SearchOptions], Tensor>;

function checkSearch(op: string, sequence: Tensor, input: Tensor, wasNumber: boolean): void {
  if (sequence.ndim === 0) throw new RuntimeError(`${op}: boundaries tensor should have at least 1 dimension`);
  const lead = (t: Tensor): readonly number[] => t.shape.slice(0, -1);
  if (sequence.ndim !== 1 && (input.ndim === 0 || !sameShape(lead(sequence), lead(input)))) {
    throw new RuntimeError(
      `${op}: boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries tensor and input value tensor must match, got ${formatShape(sequence.shape)} and ${formatShape(input.shape)}`,
    );
  }
  if (input.ndim === 0 && sequence.ndim !== 1) {
    throw new RuntimeError(`${op}: input value can be a scalar only when boundaries tensor dimension is 1`);
  }
  if (!wasNumber && sequence.dtype !== input.dtype) {
    throw new RuntimeError(
      `${op}: boundary tensor and input value tensor should have same dtype, but got ${sequence.dtype} and ${input.dtype}`,
    );
  }
}

export const searchsorted: SearchOp = defineOp(
  "searchsorted",
  "sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None",
  {
    doc: "Where values would go in sorted_sequence to keep it sorted: before equals, or after them (right).",
    method: false,
    forward(
      _ctx,
      sequence: Tensor,
      input: Tensor | Scalar,
      out_int32: boolean,
      right: boolean,
      side: "left" | "right" | null,
      sorter: Tensor | null,
    ) {
      checkTensor("searchsorted", "sorted_sequence", sequence);
      if (side !== null && side !== "left" && side !== "right") {
        throw new RuntimeError(`searchsorted: side can only be 'left' or 'right' but got ${String(side)}`);
      }
      if (side === "left" && right)
        throw new RuntimeError("searchsorted: side and right can't be set to opposites, got side of left while right was true");
      if (sorter !== null) {
        if (!sameShape(sorter.shape, sequence.shape)) {
          throw new RuntimeError(
            `searchsorted: boundary and sorter must have the same size, but got ${formatShape(sequence.shape)} and ${formatShape(sorter.shape)}`,
          );
        }
        if (sorter.dtype !== int64)
          throw new RuntimeError(`searchsorted: sorter must be a tensor of long dtype but got ${sorter.dtype}`);
      }
      const ordered = sorter === null ? sequence : sequence.gather(-1, sorter);
      return search("searchsorted", ordered, input, out_int32, right || side === "right");
    },
  },
);

function search(op: string, sequence: Tensor, input: Tensor | Scalar, out_int32: boolean, right: boolean): Tensor {
  let values: Tensor;
  let keys = sequence;
  if (input instanceof Tensor) values = input;
  else {
    const type: DType =
      typeof input === "number" && !Number.isInteger(input) && !keys.dtype.is_floating_point ? keys.div(1).dtype : keys.dtype;
    keys = cast(keys, type);
    values = keys.new_full([], input);
  }
  checkSearch(op, keys, values, !(input instanceof Tensor));
  const out = empty(values.shape, int64, values.device);
  if (values.numel() > 0) {
    const m = keys.ndim === 1 ? values.numel() : values.shape.at(-1)!;
    const matrix = (t: Tensor, width: number): Tensor => {
      const dense = contiguous(t);
      return alias(dense, [width === 0 ? 1 : dense.numel() / width, width], [width, 1], dense._offset);
    };
    run(
      { kind: "sort", mode: "searchsorted", dtype: keys.dtype },
      [matrix(keys, keys.shape.at(-1)!), matrix(values, m)],
      [matrix(out, m)],
      { ...DEFAULTS, right },
    );
  }
  return out_int32 ? copyOf(out, int32) : out;
}

type BucketizeOp = Op<
  [input: Tensor | number, ...Args<[{ boundaries: Tensor }], { out_int32?: boolean; right?: boolean }>],
  Tensor
>;

export const bucketize: BucketizeOp = defineOp("bucketize", "input, boundaries, *, out_int32=False, right=False", {
  doc: "Which interval of the sorted boundaries each value falls into.",
  tensors: ["input"],
  method: false,
  forward(_ctx, input: Tensor | Scalar, boundaries: Tensor, out_int32: boolean, right: boolean) {
    checkTensor("bucketize", "boundaries", boundaries);
    if (boundaries.ndim !== 1) {
      throw new RuntimeError(`bucketize: boundaries tensor must be 1 dimension, but got shape ${formatShape(boundaries.shape)}`);
    }
    return search("bucketize", boundaries, input, out_int32, right);
  },
});
