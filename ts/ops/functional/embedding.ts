/** torch.nn.functional: embedding and embedding_bag. */

import { int32, int64 } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { no_grad } from "../../core/grad_mode.ts";
import { formatShape, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { updateInPlace } from "../../engine/inplace.ts";
import { alias, copyOf, empty, run } from "../../engine/run.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { installRowsBack } from "../batching.ts";
import { where } from "../compare.ts";
import { arange, filled, zeros } from "../creation.ts";

/** Index [...] as an index of rows of [..., D]. */
function rowIndex(index: Tensor, width: number): Tensor {
  const wide = index.dtype === int64 ? index : copyOf(index, int64);
  return alias(wide, [...wide.shape, width], [...wide._strides, 0], wide._offset);
}

function rowParams(
  name: string,
  index: Tensor,
  strides: Shape,
): {
  name: string;
  dim: number;
  dims: number[];
  src_strides: number[];
  wrap: boolean;
} {
  return { name, dim: 0, dims: [0], src_strides: [...index.shape.map(() => 0), strides[1]!], wrap: false };
}

type RowsOp = Op<[weight: Tensor, index: Tensor, padding_idx: number], Tensor>;

/** Rows of weight; padding_idx (-1: none) is a row that gets no gradient. */
const embedding_rows: RowsOp = defineOp("embedding", "weight, index, padding_idx", {
  doc: "weight[index]",
  method: false,
  forward(ctx, weight: Tensor, index: Tensor, padding_idx: number) {
    ctx.save(index);
    ctx.state = { rows: weight.shape[0]!, padding_idx };
    const width = weight.shape[1]!;
    const out = empty([...index.shape, width], weight.dtype, weight.device);
    if (out.numel() === 0) return out;
    const params = rowParams("embedding", index, weight._strides);
    run({ kind: "gather", mode: "index", dtype: weight.dtype, indices: 1 }, [weight, rowIndex(index, width)], [out], params);
    return out;
  },
  backward(ctx, g: Tensor) {
    const { rows, padding_idx } = ctx.state as { rows: number; padding_idx: number };
    return [embedding_backward(g, ctx.saved()[0]!, rows, padding_idx)];
  },
});

type BackwardOp = Op<[grad: Tensor, index: Tensor, rows: number, padding_idx: number], Tensor>;

const embedding_backward: BackwardOp = defineOp("embedding_backward", "grad, index, rows, padding_idx", {
  doc: "",
  method: false,
  forward(ctx, grad: Tensor, index: Tensor, rows: number, padding_idx: number) {
    ctx.save(index);
    ctx.state = padding_idx;
    const width = grad.shape[grad.ndim - 1]!;
    const out = filled([rows, width], 0, grad.dtype, grad.device);
    out._storage.materialize();
    if (grad.numel() === 0) return out;
    const params = rowParams("embedding", index, out._strides);
    const spec = { kind: "scatter", mode: "index", reduce: "add", dtype: grad.dtype, indices: 1 } as const;
    run(spec, [grad, rowIndex(index, width)], [out], params);
    if (padding_idx >= 0) out.select(0, padding_idx).zero_();
    return out;
  },
  backward(ctx, g: Tensor) {
    const [index] = ctx.saved();
    const padding_idx = ctx.state as number;
    const rows = embedding_rows(g, index!, -1);
    return [padding_idx < 0 ? rows : rows.mul(index!.ne(padding_idx).unsqueeze(-1).to(g.dtype))];
  },
});

installRowsBack(embedding_backward);

function checkIndexType(op: string, index: Tensor): void {
  checkTensor(op, "input", index);
  if (index.dtype !== int64 && index.dtype !== int32) {
    throw new RuntimeError(`${op}: expected indices of type int64 or int32, but got ${index.dtype}`);
  }
}

/** padding_idx counted from the start; -1: none. */
function resolvePadding(op: string, padding_idx: number | null, rows: number): number {
  if (padding_idx === null) return -1;
  if (padding_idx >= rows || padding_idx < -rows) {
    throw new ValueError(`${op}: padding_idx must be within num_embeddings, got ${padding_idx} for ${rows} rows`);
  }
  return padding_idx < 0 ? padding_idx + rows : padding_idx;
}

/** Scales down the rows of weight that index names and whose norm exceeds max_norm, in place. */
function limitNorms(weight: Tensor, index: Tensor, max_norm: number, norm_type: number): void {
  no_grad(() => {
    const w = weight.detach();
    const flat = index.reshape([-1]).to(int64);
    const used = zeros([w.shape[0]!], { dtype: w.dtype, device: w.device }).index_fill(0, flat, 1);
    const size = w
      .abs()
      .pow(norm_type)
      .sum(1)
      .pow(1 / norm_type);
    const scale = where(size.gt(max_norm).logical_and(used.gt(0)), size.add(1e-7).reciprocal().mul(max_norm), 1);
    updateInPlace("embedding", weight, (old) => old.mul(scale.unsqueeze(1).to(w.dtype)));
  });
}

type EmbeddingOp = Op<
  [
    input: Tensor,
    weight: Tensor,
    ...Args<
      [
        { padding_idx?: number | null },
        { max_norm?: number | null },
        { norm_type?: number },
        { scale_grad_by_freq?: boolean },
        { sparse?: boolean },
      ]
    >,
  ],
  Tensor
>;

export const embedding: EmbeddingOp = composite(
  "embedding",
  "input, weight, padding_idx=None, max_norm=None, norm_type=2.0, scale_grad_by_freq=False, sparse=False",
  {
    doc: "The rows of weight [V, D] at the indices of input [...] → [..., D]; row padding_idx gets no gradient.",
    method: false,
  },
  (
    input: Tensor,
    weight: Tensor,
    padding_idx: number | null,
    max_norm: number | null,
    norm_type: number,
    scale_grad_by_freq: boolean,
  ) => {
    checkIndexType("embedding", input);
    checkTensor("embedding", "weight", weight);
    if (weight.ndim !== 2) throw new RuntimeError(`embedding: 'weight' must be 2-D, got shape ${formatShape(weight.shape)}`);
    const padding = resolvePadding("embedding", padding_idx, weight.shape[0]!);
    if (max_norm !== null) limitNorms(weight, input, max_norm, norm_type);
    if (!scale_grad_by_freq) return embedding_rows(weight, input, padding);
    return byFrequency(embedding_rows(weight, input, padding), input, weight.shape[0]!);
  },
);

type ScaleOp = Op<[rows: Tensor, factor: Tensor], Tensor>;
/** The identity, whose gradient is multiplied by factor. */
const scale_gradient: ScaleOp = defineOp("scale_gradient", "rows, factor", {
  doc: "rows; its gradient is scaled.",
  method: false,
  forward(ctx, rows: Tensor, factor: Tensor) {
    ctx.save(factor);
    return copyOf(rows, rows.dtype);
  },
  backward(ctx, g: Tensor) {
    return [g.mul(ctx.saved()[0]!)];
  },
});

/** Divides gradients by how often their row occurs. */
function byFrequency(rows: Tensor, index: Tensor, count: number): Tensor {
  const flat = index.reshape([-1]).to(int64);
  const one = filled([flat.numel()], 1, rows.dtype, rows.device);
  const times = zeros([count], { dtype: rows.dtype, device: rows.device }).index_add(0, flat, one);
  return scale_gradient(
    rows,
    times
      .index_select(0, flat)
      .reciprocal()
      .reshape([...index.shape, 1]),
  );
}

type BagArgs = Args<
  [
    { offsets?: Tensor | null },
    { max_norm?: number | null },
    { norm_type?: number },
    { scale_grad_by_freq?: boolean },
    { mode?: string },
    { sparse?: boolean },
    { per_sample_weights?: Tensor | null },
    { include_last_offset?: boolean },
    { padding_idx?: number | null },
  ]
>;
type EmbeddingBagOp = Op<[input: Tensor, weight: Tensor, ...BagArgs], Tensor>;

export const embedding_bag: EmbeddingBagOp = composite(
  "embedding_bag",
  "input, weight, offsets=None, max_norm=None, norm_type=2, scale_grad_by_freq=False, mode='mean', sparse=False, per_sample_weights=None, include_last_offset=False, padding_idx=None",
  {
    doc: "Sums, means or maxima of embeddings over bags: the rows of a 2-D input, or the stretches of a 1-D input that offsets begin.",
    method: false,
  },
  (
    input: Tensor,
    weight: Tensor,
    offsets: Tensor | null,
    max_norm: number | null,
    norm_type: number,
    scale_grad_by_freq: boolean,
    mode: string,
    _sparse: boolean,
    per_sample_weights: Tensor | null,
    include_last_offset: boolean,
    padding_idx: number | null,
  ) => {
    const op = "embedding_bag";
    checkIndexType(op, input);
    if (mode !== "sum" && mode !== "mean" && mode !== "max") {
      throw new ValueError(`${op}: mode has to be one of sum, mean or max, got '${mode}'`);
    }
    if (per_sample_weights !== null && formatShape(per_sample_weights.shape) !== formatShape(input.shape)) {
      throw new ValueError(
        `${op}: if per_sample_weights is given, it must have the shape of input, ${formatShape(input.shape)}, got ${formatShape(per_sample_weights.shape)}`,
      );
    }
    if (per_sample_weights !== null && mode !== "sum") {
      throw new RuntimeError(`${op}: per_sample_weights was given, but it is only supported for mode='sum' (got '${mode}')`);
    }
    const flat = input.reshape([-1]).to(int64);
    const n = flat.numel();
    const place = { device: input.device };
    let bags: number;
    let bag: Tensor;
    if (input.ndim === 2) {
      if (offsets !== null) throw new ValueError(`${op}: if input is 2D, then offsets has to be None`);
      bags = input.shape[0]!;
      bag = arange(n, place).div(Math.max(input.shape[1]!, 1), { rounding_mode: "floor" });
    } else if (input.ndim === 1) {
      if (offsets?.ndim !== 1) throw new ValueError(`${op}: offsets has to be a 1D Tensor for 1D input`);
      bags = offsets.numel() - (include_last_offset ? 1 : 0);
      // The bag of element i: how many of the bags begin at or before it, less one.
      const starts = offsets.narrow(0, 0, bags).unsqueeze(0).to(int64);
      bag = starts.le(arange(n, place).unsqueeze(1)).to(int64).sum(1).sub(1);
    } else throw new ValueError(`${op}: input has to be 1D or 2D, got shape ${formatShape(input.shape)}`);
    const padding = resolvePadding(op, padding_idx, weight.shape[0]!);
    if (max_norm !== null) limitNorms(weight, flat, max_norm, norm_type);
    let rows = embedding_rows(weight, flat, padding);
    if (scale_grad_by_freq && mode !== "max") rows = byFrequency(rows, flat, weight.shape[0]!);
    const counted = padding < 0 ? filled([n], 1, weight.dtype, weight.device) : flat.ne(padding).to(weight.dtype);
    const width = weight.shape[1]!;
    const none = filled([bags, width], 0, weight.dtype, weight.device);
    if (mode === "max") {
      const at = bag.unsqueeze(1).expand([n, width]);
      const least = padding < 0 ? rows : where(counted.gt(0).unsqueeze(1), rows, -Infinity);
      const most = none.scatter_reduce(0, at, least, "amax", { include_self: false });
      return padding < 0 ? most : where(most.eq(-Infinity), 0, most);
    }
    const factor = per_sample_weights === null ? counted : counted.mul(per_sample_weights.reshape([-1]));
    const total = none.index_add(0, bag, padding < 0 && per_sample_weights === null ? rows : rows.mul(factor.unsqueeze(1)));
    if (mode === "sum") return total;
    const size = filled([bags], 0, weight.dtype, weight.device).index_add(0, bag, counted);
    return total.div(size.clamp_min(1).unsqueeze(1));
  },
);
