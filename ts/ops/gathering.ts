/** Reads and writes at positions along one dimension, or of the flat tensor, given by index tensors. */

import { bool, int32, int64, isScalar, type DType, type Scalar } from "../core/dtype.ts";
import { IndexError, RuntimeError } from "../core/errors.ts";
import { broadcastShapes, formatShape, normalizeDim, sameShape, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import { alias, copyOf, empty, run } from "../engine/run.ts";
import { checkTensor, describe, type Args } from "../engine/signature.ts";
import type { ScatterSpec } from "../kernel/spec.ts";
import type { Operand } from "./arithmetic.ts";
import { filled } from "./creation.ts";

type IndexedOp<A extends readonly unknown[], F extends "method" | "inplace" = "method"> = Op<[input: Tensor, ...A], Tensor, F>;
type Both = "method" | "inplace";
type Combine = ScatterSpec["reduce"];

/** A 0-d tensor as a vector of one element; no autograd. */
export const asVector = (t: Tensor): Tensor => (t.ndim === 0 ? alias(t, [1], [1], t._offset) : t);

/** A dense copy to write into. */
export function writable(t: Tensor): Tensor {
  const out = copyOf(t, t.dtype);
  out._storage.materialize();
  return out;
}

/** An index tensor (or what fills a value in) with `dim` as its only dimension, repeated over a shape. */
function along(index: Tensor, dim: number, shape: Shape): Tensor {
  const strides = shape.map((_, d) => (d === dim ? (index._strides[0] ?? 1) : 0));
  return alias(index, shape, strides, index._offset);
}

function toInt64(op: string, index: Tensor): Tensor {
  if (index.dtype === int64) return index;
  if (index.dtype === int32) return copyOf(index, int64);
  throw new RuntimeError(`${op}: Expected dtype int32/int64 for index, got ${index.dtype}`);
}

// gather and scatter: an index of as many dimensions as the input

function checkIndex(op: string, input: Tensor, dim: number, index: Tensor, src: Tensor | null): void {
  checkTensor(op, "index", index);
  if (index.numel() === 0) return;
  if (index.dtype !== int64) throw new RuntimeError(`${op}: Expected dtype int64 for index, got ${index.dtype}`);
  const shape = asVector(input).shape;
  const own = asVector(index).shape;
  if (own.length !== shape.length || (src !== null && Math.max(src.ndim, 1) !== own.length)) {
    throw new RuntimeError(
      `${op}: Index tensor must have the same number of dimensions as input tensor${src === null ? "" : " and src"}, got ${formatShape(index.shape)} for ${formatShape(input.shape)}${src === null ? "" : ` and ${formatShape(src.shape)}`}`,
    );
  }
  own.forEach((n, d) => {
    if ((d !== dim && n > shape[d]!) || (src !== null && n > asVector(src).shape[d]!)) {
      throw new RuntimeError(
        `${op}: Size does not match at dimension ${d}: expected index ${formatShape(index.shape)} to be no larger than self ${formatShape(input.shape)} apart from dimension ${dim}${src === null ? "" : ` and to be no larger than src ${formatShape(src.shape)}`}`,
      );
    }
  });
}

type GatherOp = IndexedOp<Args<[{ dim: number }, { index: Tensor }], { sparse_grad?: boolean; out?: Tensor | null }>>;

const gather_primitive: GatherOp = defineOp("gather", "input, dim, index", {
  doc: "",
  method: false,
  forward(ctx, input: Tensor, dim: number, index: Tensor) {
    const d = normalizeDim("gather", dim, input.ndim);
    checkIndex("gather", input, d, index, null);
    ctx.save(index);
    ctx.state = { shape: input.shape, d };
    const out = empty(index.shape, input.dtype, input.device);
    if (index.numel() === 0) return out;
    const params = { name: "gather", dim: d, dims: [], src_strides: [] };
    const spec = { kind: "gather", mode: "gather", dtype: input.dtype, indices: 1 } as const;
    run(spec, [asVector(input), asVector(index)], [asVector(out)], params);
    return out;
  },
  backward(ctx, g: Tensor) {
    const [index] = ctx.saved();
    const { shape, d } = ctx.state as { shape: Shape; d: number };
    return [filled(shape, 0, g.dtype, g.device).scatter_add(d, index!, g)];
  },
});

export const gather: GatherOp = composite(
  "gather",
  "input, dim, index, *, sparse_grad=False, out=None",
  { doc: "out[i][j] = input[index[i][j]][j] for dim 0, and so on." },
  (input: Tensor, dim: number, index: Tensor, _sparse: boolean, out: Tensor | null) => {
    if (out === null) return gather_primitive(input, dim, index);
    if (out.dtype !== input.dtype) {
      throw new RuntimeError(`gather: Expected out tensor to have dtype ${input.dtype}, but got ${out.dtype} instead`);
    }
    return out.copy_(gather_primitive(input, dim, index));
  },
);

/** `out[..., index, ...] = combine(out, src)` for a src of the index's shape. */
function scatterInto(op: string, out: Tensor, dim: number, index: Tensor, src: Tensor, reduce: Combine): void {
  if (index.numel() === 0) return;
  const spec = { kind: "scatter", mode: "scatter", reduce, dtype: out.dtype, indices: 1 } as const;
  run(spec, [asVector(src), asVector(index)], [asVector(out)], { name: op, dim, dims: [], src_strides: [] });
}

/** The part of src that the index covers. */
function covered(src: Tensor, index: Tensor): Tensor {
  if (index.numel() === 0 || sameShape(src.shape, index.shape)) return src;
  return index.shape.reduce((x, n, d) => (x.shape[d] === n ? x : x.slice(d, 0, n)), src);
}

type ScatterPrimitive = Op<[input: Tensor, dim: number, index: Tensor, src: Operand, reduce: Combine, name: string], Tensor>;

const scatter_primitive: ScatterPrimitive = defineOp("scatter", "input, dim, index, src, reduce, name", {
  doc: "",
  method: false,
  forward(ctx, input: Tensor, dim: number, index: Tensor, src: Operand, reduce: Combine, name: string) {
    ctx.save(index);
    ctx.state = { dim, reduce };
    const out = writable(input);
    const value = src instanceof Tensor ? src : constantLike(index.shape, src, input);
    scatterInto(name, out, dim, index, value, reduce);
    return out;
  },
  backward(ctx, g: Tensor) {
    const [index] = ctx.saved();
    const { dim, reduce } = ctx.state as { dim: number; reduce: Combine };
    if (reduce !== "set" && reduce !== "add")
      throw new RuntimeError("scatter: reduce='multiply' has no gradient; use scatter_reduce");
    const self = !ctx.needs[0] ? null : reduce === "add" ? g : g.scatter(dim, index!, 0);
    return [self, null, null, ctx.needs[3] ? g.gather(dim, index!) : null];
  },
});

/** One element shown in a whole shape. */
function constantLike(shape: Shape, value: Scalar, like: Tensor): Tensor {
  const one = filled([], value, like.dtype, like.device);
  return alias(
    one,
    shape,
    shape.map(() => 0),
    0,
  );
}

function checkSrc(op: string, input: Tensor, src: Tensor): void {
  if (src.dtype !== input.dtype) {
    throw new RuntimeError(`${op}: Expected self.dtype to be equal to src.dtype, got ${input.dtype} and ${src.dtype}`);
  }
}

type ScatterOptions = { value?: Scalar | null; reduce?: string | null };
type ScatterOp = IndexedOp<Args<[{ dim: number }, { index: Tensor }, { src?: Operand | null }], ScatterOptions>, Both>;

export const scatter: ScatterOp = composite(
  "scatter",
  "input, dim, index, src=None, *, value=None, reduce=None",
  {
    doc: "A copy of input with input[index[i][j]][j] = src[i][j] for dim 0, and so on; src may be a number.",
    inplace: true,
  },
  (input: Tensor, dim: number, index: Tensor, src: Operand | null, value: Scalar | null, reduce: string | null) => {
    const given = src ?? value;
    if (!(given instanceof Tensor) && !isScalar(given)) {
      throw new TypeError(`scatter: argument 'src' must be a Tensor or a number, not ${describe(given)}`);
    }
    const d = normalizeDim("scatter", dim, input.ndim);
    const tensor = given instanceof Tensor ? given : null;
    checkIndex("scatter", input, d, index, tensor);
    if (tensor !== null) checkSrc("scatter", input, tensor);
    if (reduce !== null && reduce !== "add" && reduce !== "multiply") {
      throw new RuntimeError(`scatter: reduce argument must be either add or multiply, got ${reduce}`);
    }
    const how: Combine = reduce === null ? "set" : reduce === "add" ? "add" : "mul";
    return scatter_primitive(input, d, index, tensor === null ? given : covered(tensor, index), how, "scatter");
  },
);

type ScatterAddOp = IndexedOp<Args<[{ dim: number }, { index: Tensor }, { src: Tensor }]>, Both>;

export const scatter_add: ScatterAddOp = composite(
  "scatter_add",
  "input, dim, index, src",
  {
    doc: "A copy of input with src added at the positions of index along dim; the adjoint of gather.",
    inplace: true,
  },
  (input: Tensor, dim: number, index: Tensor, src: Tensor) => {
    checkTensor("scatter_add", "src", src);
    const d = normalizeDim("scatter_add", dim, input.ndim);
    checkIndex("scatter_add", input, d, index, src);
    checkSrc("scatter_add", input, src);
    return scatter_primitive(input, d, index, covered(src, index), "add", "scatter_add");
  },
);

/** The first value of a fold. */
function identityOf(reduce: string, dtype: DType): Scalar {
  if (reduce === "prod") return 1;
  if (reduce !== "amax" && reduce !== "amin") return 0;
  const up = reduce === "amin";
  if (dtype.is_floating_point) return up ? Infinity : -Infinity;
  if (dtype === bool) return up;
  const bits = dtype.itemsize * 8;
  if (!dtype.is_signed) return up ? 255 : 0;
  const top = 2n ** BigInt(bits - 1);
  const bound = up ? top - 1n : -top;
  return dtype === int64 ? bound : Number(bound);
}

const COMBINE: Readonly<Record<string, Combine>> = { sum: "add", prod: "mul", mean: "add", amax: "amax", amin: "amin" };

type FoldPrimitive = Op<
  [input: Tensor, dim: number, index: Tensor, src: Tensor, reduce: string, include_self: boolean, name: string],
  Tensor
>;

interface FoldState {
  readonly dim: number;
  readonly reduce: string;
  readonly include_self: boolean;
}

const fold_primitive: FoldPrimitive = defineOp("scatter_reduce", "input, dim, index, src, reduce, include_self, name", {
  doc: "",
  method: false,
  forward(ctx, input: Tensor, dim: number, index: Tensor, src: Tensor, reduce: string, include_self: boolean, name: string) {
    let out = writable(input);
    if (!include_self) {
      scatterInto(name, out, dim, index, constantLike(index.shape, identityOf(reduce, input.dtype), input), "set");
    }
    scatterInto(name, out, dim, index, src, COMBINE[reduce]!);
    if (reduce === "mean") {
      const counts = countsOf(input, dim, index, include_self);
      out = input.dtype.is_floating_point ? out.div(counts) : out.div(counts, { rounding_mode: "floor" });
    }
    ctx.state = { dim, reduce, include_self } satisfies FoldState;
    ctx.save(index, input, src, out);
    return out;
  },
  backward(ctx, g: Tensor) {
    const [index, input, src, out] = ctx.saved() as [Tensor, Tensor, Tensor, Tensor];
    const state = ctx.state as FoldState;
    const { dim, include_self } = state;
    const [self, other] = foldGrads(state, g, index, input, src, out);
    return [include_self ? self : self.scatter(dim, index, 0), null, null, other];
  },
});

/** How many values meet at each place; at least 1. */
function countsOf(input: Tensor, dim: number, index: Tensor, include_self: boolean): Tensor {
  const start = filled(input.shape, include_self ? 1 : 0, input.dtype, input.device);
  const counts = start.scatter_add(dim, index, filled(index.shape, 1, input.dtype, input.device));
  return include_self ? counts : counts.masked_fill(counts.eq(0), 1);
}

function foldGrads(
  { dim, reduce, include_self }: FoldState,
  g: Tensor,
  index: Tensor,
  input: Tensor,
  src: Tensor,
  out: Tensor,
): [self: Tensor, src: Tensor] {
  const zeros = filled(input.shape, 0, g.dtype, g.device);
  if (reduce === "sum") return [g, g.gather(dim, index)];
  if (reduce === "mean") {
    const counts = countsOf(input, dim, index, include_self);
    return [g.div(counts), g.gather(dim, index).div(counts.gather(dim, index))];
  }
  if (reduce === "prod") {
    const filledSelf = input.masked_fill(input.eq(0), 1);
    const others = fold_primitive(filledSelf, dim, index, src, "prod", include_self, "scatter_reduce");
    const self = g.mul(others).div(filledSelf);
    const isZero = src.eq(0);
    const zerosThere = zeros.scatter_add(dim, index, isZero.to(g.dtype)).gather(dim, index);
    // Where exactly one factor is zero, its derivative is the product of the rest.
    const single = isZero.logical_and(zerosThere.eq(1));
    const rest = fold_primitive(input, dim, index, src.masked_fill(single, 1), "prod", include_self, "scatter_reduce");
    const atZero = g.mul(rest).gather(dim, index);
    const elsewhere = g.mul(out).gather(dim, index).div(src.masked_fill(isZero, 1));
    return [self, elsewhere.masked_fill(single, 0).add(atZero.masked_fill(single.logical_not(), 0))];
  }
  // Extrema: shared equally among all that reach them.
  const selfHits = input.eq(out).to(g.dtype);
  const srcHits = src.eq(out.gather(dim, index)).to(g.dtype);
  const hits = selfHits.scatter_add(dim, index, srcHits);
  const share = g.div(hits);
  return [selfHits.mul(share), srcHits.mul(share.gather(dim, index))];
}

type ScatterReduceOp = IndexedOp<
  Args<[{ dim: number }, { index: Tensor }, { src: Tensor }, { reduce: string }], { include_self?: boolean }>,
  Both
>;

export const scatter_reduce: ScatterReduceOp = composite(
  "scatter_reduce",
  "input, dim, index, src, reduce, *, include_self=True",
  {
    doc: "A copy of input whose elements are folded (sum, prod, mean, amax, amin) with those of src that index sends there.",
    inplace: true,
  },
  (input: Tensor, dim: number, index: Tensor, src: Tensor, reduce: string, include_self: boolean) => {
    const d = normalizeDim("scatter_reduce", dim, input.ndim);
    checkTensor("scatter_reduce", "src", src);
    checkIndex("scatter_reduce", input, d, index, src);
    checkSrc("scatter_reduce", input, src);
    if (!(reduce in COMBINE)) {
      throw new RuntimeError(`scatter_reduce: reduce argument must be either sum, prod, mean, amax or amin, got ${reduce}`);
    }
    return fold_primitive(input, d, index, covered(src, index), reduce, include_self, "scatter_reduce");
  },
);

// index_*: a vector of positions along dim

function checkVector(op: string, index: Tensor): void {
  checkTensor(op, "index", index);
  if (index.ndim > 1) throw new IndexError(`${op}: Index is supposed to be a vector, got shape ${formatShape(index.shape)}`);
}

type IndexSelectOp = IndexedOp<Args<[{ dim: number }, { index: Tensor }]>>;

export const index_select: IndexSelectOp = defineOp("index_select", "input, dim, index", {
  doc: "The parts of input at the positions of index along dim.",
  forward(ctx, input: Tensor, dim: number, index: Tensor) {
    checkVector("index_select", index);
    const d = normalizeDim("index_select", dim, input.ndim);
    const at = toInt64("index_select", index);
    if (input.ndim === 0 && at.numel() !== 1) {
      throw new IndexError(`index_select: Index to scalar can have only 1 value, got ${at.numel()} value(s)`);
    }
    ctx.save(index);
    ctx.state = { shape: input.shape, d };
    const x = asVector(input);
    const out = empty(input.ndim === 0 ? [] : x.shape.with(d, at.numel()), input.dtype, input.device);
    const shape = asVector(out).shape;
    if (out.numel() === 0) return out;
    run({ kind: "gather", mode: "index", dtype: input.dtype, indices: 1 }, [x, along(at, d, shape)], [asVector(out)], {
      name: "index_select",
      dim: d,
      dims: [d],
      src_strides: x._strides.with(d, 0),
      wrap: false,
    });
    return out;
  },
  backward(ctx, g: Tensor) {
    const [index] = ctx.saved();
    const { shape, d } = ctx.state as { shape: Shape; d: number };
    return [filled(shape, 0, g.dtype, g.device).index_add(d, index!, g)];
  },
});

/** Writes source at the positions of a vector; dim, index and shapes have been checked. */
function writeAlong(op: string, out: Tensor, dim: number, index: Tensor, source: Tensor, reduce: Combine, wrap: boolean): void {
  const [dst, src] = [asVector(out), asVector(source)];
  if (src.numel() === 0) return;
  const at = along(toInt64(op, index), dim, src.shape);
  run({ kind: "scatter", mode: "index", reduce, dtype: out.dtype, indices: 1 }, [src, at], [dst], {
    name: op,
    dim,
    dims: [dim],
    src_strides: dst._strides.with(dim, 0),
    wrap,
  });
}

function checkSource(op: string, input: Tensor, d: number, index: Tensor, source: Tensor): void {
  checkVector(op, index);
  checkTensor(op, "source", source);
  if (source.dtype !== input.dtype) {
    throw new RuntimeError(
      `${op}: self and source expected to have the same dtype, but got (self) ${input.dtype} and (source) ${source.dtype}`,
    );
  }
  const [own, other] = [asVector(input).shape, asVector(source).shape];
  const n = source.ndim === 0 ? 1 : other[d]!;
  if (index.numel() !== n) {
    throw op === "index_copy"
      ? new IndexError(`${op}: Number of indices (${index.numel()}) should be equal to source.size(dim) (${n})`)
      : new RuntimeError(`${op}: Number of indices (${index.numel()}) should be equal to source.size(dim) (${n})`);
  }
  if (own.length !== other.length || own.some((m, k) => k !== d && m !== other[k])) {
    throw op === "index_copy"
      ? new IndexError(
          `${op}: Source/destination tensor must have same slice shapes. Destination: ${formatShape(own)}, source: ${formatShape(other)} at dimension ${d}`,
        )
      : new RuntimeError(
          `${op}: source tensor shape must match self tensor shape, excluding the specified dimension. Got self.shape = ${formatShape(own)} source.shape = ${formatShape(other)}`,
        );
  }
}

interface AlongState {
  readonly d: number;
  readonly alpha: Scalar;
  readonly shape: Shape;
}

type IndexAddOp = IndexedOp<Args<[{ dim: number }, { index: Tensor }, { source: Tensor }], { alpha?: Scalar }>, Both>;

export const index_add: IndexAddOp = defineOp("index_add", "input, dim, index, source, *, alpha=1", {
  doc: "A copy of input with alpha * source added at the positions of index along dim; the adjoint of index_select.",
  inplace: true,
  forward(ctx, input: Tensor, dim: number, index: Tensor, source: Tensor, alpha: Scalar) {
    const d = normalizeDim("index_add", dim, input.ndim);
    checkSource("index_add", input, d, index, source);
    ctx.save(index);
    ctx.state = { d, alpha, shape: source.shape } satisfies AlongState;
    const out = writable(input);
    const scaled = alpha === 1 ? source : source.mul(alpha);
    writeAlong("index_add", out, d, index, scaled, "add", false);
    return out;
  },
  backward(ctx, g: Tensor) {
    const [index] = ctx.saved();
    const { d, alpha, shape } = ctx.state as AlongState;
    const picked = (): Tensor => g.index_select(d, index!).reshape(shape);
    return [g, null, null, ctx.needs[3] ? (alpha === 1 ? picked() : picked().mul(alpha)) : null];
  },
});

type IndexCopyOp = IndexedOp<Args<[{ dim: number }, { index: Tensor }, { source: Tensor }]>, Both>;

export const index_copy: IndexCopyOp = defineOp("index_copy", "input, dim, index, source", {
  doc: "A copy of input with source written at the positions of index along dim.",
  inplace: true,
  forward(ctx, input: Tensor, dim: number, index: Tensor, source: Tensor) {
    const d = normalizeDim("index_copy", dim, input.ndim);
    checkSource("index_copy", input, d, index, source);
    ctx.save(index);
    ctx.state = { d, alpha: 1, shape: source.shape } satisfies AlongState;
    const out = writable(input);
    writeAlong("index_copy", out, d, index, source, "set", false);
    return out;
  },
  backward(ctx, g: Tensor) {
    const [index] = ctx.saved();
    const { d, shape } = ctx.state as AlongState;
    return [
      ctx.needs[0] ? g.index_fill(d, index!, 0) : null,
      null,
      null,
      ctx.needs[3] ? g.index_select(d, index!).reshape(shape) : null,
    ];
  },
});

type IndexFillOp = IndexedOp<Args<[{ dim: number }, { index: Tensor }, { value: Operand }]>, Both>;

export const index_fill: IndexFillOp = defineOp("index_fill", "input, dim, index, value", {
  doc: "A copy of input with value at the positions of index along dim.",
  inplace: true,
  forward(ctx, input: Tensor, dim: number, index: Tensor, value: Operand) {
    const d = normalizeDim("index_fill", dim, input.ndim);
    checkVector("index_fill", index);
    if (index.dtype !== int64) throw new IndexError(`index_fill: Expected dtype int64 for index, got ${index.dtype}`);
    if (value instanceof Tensor && value.ndim > 0) {
      throw new RuntimeError(
        `index_fill: Only supports 0-dimensional value tensor, but got tensor with ${value.ndim} dimension(s).`,
      );
    }
    ctx.save(index);
    ctx.state = { d, alpha: 1, shape: input.shape } satisfies AlongState;
    const out = writable(input);
    const shape = asVector(out).shape.with(d, index.numel());
    const one = value instanceof Tensor ? copyOf(value, input.dtype) : filled([], value, input.dtype, input.device);
    writeAlong(
      "index_fill",
      out,
      d,
      index,
      alias(
        one,
        shape,
        shape.map(() => 0),
        0,
      ),
      "set",
      true,
    );
    return out;
  },
  backward(ctx, g: Tensor) {
    const [index] = ctx.saved();
    const { d } = ctx.state as AlongState;
    const rest = g.index_fill(d, index!, 0);
    // Positions that come more than once count once.
    return [rest, null, null, ctx.needs[3] ? g.sub(rest).sum() : null];
  },
});

type IndexReduceOp = IndexedOp<
  Args<[{ dim: number }, { index: Tensor }, { source: Tensor }, { reduce: string }], { include_self?: boolean }>,
  Both
>;

export const index_reduce: IndexReduceOp = composite(
  "index_reduce",
  "input, dim, index, source, reduce, *, include_self=True",
  {
    doc: "A copy of input folded (prod, mean, amax, amin) with source at the positions of index along dim.",
    inplace: true,
  },
  (input: Tensor, dim: number, index: Tensor, source: Tensor, reduce: string, include_self: boolean) => {
    const d = normalizeDim("index_reduce", dim, input.ndim);
    checkSource("index_reduce", input, d, index, source);
    if (!(reduce in COMBINE) || reduce === "sum") {
      throw new RuntimeError(`index_reduce: reduce argument must be either prod, mean, amax or amin, got ${reduce}`);
    }
    const at = toInt64("index_reduce", index);
    const full = source.ndim === 0 ? at.reshape([]) : along(at, d, source.shape);
    return fold_primitive(input, d, full, source, reduce, include_self, "index_reduce");
  },
);

// Positions in the flat tensor

function checkFlat(op: string, index: Tensor): void {
  checkTensor(op, "index", index);
  if (index.dtype !== int64) throw new RuntimeError(`${op}: Expected a long tensor for index, but got ${index.dtype}`);
}

export const take: IndexedOp<Args<[{ index: Tensor }]>> = defineOp("take", "input, index", {
  doc: "The elements of the flat input at index.",
  forward(ctx, input: Tensor, index: Tensor) {
    checkFlat("take", index);
    if (input.numel() === 0 && index.numel() > 0) throw new IndexError("take: tried to take from an empty tensor");
    ctx.save(index);
    ctx.state = input.shape;
    const out = empty(index.shape, input.dtype, input.device);
    if (index.numel() === 0) return out;
    const flat = input.reshape([-1]);
    const spec = { kind: "gather", mode: "index", dtype: input.dtype, indices: 1 } as const;
    run(spec, [flat, index], [out], { name: "take", dim: 0, dims: [0], src_strides: index.shape.map(() => 0), wrap: true });
    return out;
  },
  backward(ctx, g: Tensor) {
    const [index] = ctx.saved();
    return [filled(ctx.state as Shape, 0, g.dtype, g.device).put(index!, g, true)];
  },
});

type PutOp = IndexedOp<Args<[{ index: Tensor }, { source: Tensor }, { accumulate?: boolean }]>, Both>;

export const put: PutOp = defineOp("put", "input, index, source, accumulate=False", {
  doc: "A copy of input with source written (or added) at index of the flat tensor.",
  inplace: true,
  forward(ctx, input: Tensor, index: Tensor, source: Tensor, accumulate: boolean) {
    checkFlat("put", index);
    checkTensor("put", "source", source);
    if (source.dtype !== input.dtype) {
      throw new RuntimeError(
        `put: self and source expected to have the same dtype, but got self.dtype = ${input.dtype} and source.dtype = ${source.dtype}`,
      );
    }
    if (index.numel() !== source.numel()) {
      throw new RuntimeError(
        `put: source and index must have the same number of elements, got ${source.numel()} and ${index.numel()}`,
      );
    }
    ctx.save(index);
    ctx.state = { accumulate, shape: source.shape };
    const out = writable(input);
    if (index.numel() === 0) return out;
    if (input.numel() === 0) throw new IndexError("put: tried to put elements into an empty tensor");
    const reduce = accumulate ? "add" : "set";
    const flat = alias(out, [out.numel()], [1], 0);
    run(
      { kind: "scatter", mode: "index", reduce, dtype: input.dtype, indices: 1 },
      [source.reshape([-1]), index.reshape([-1])],
      [flat],
      { name: "put", dim: 0, dims: [0], src_strides: [0], wrap: true },
    );
    return out;
  },
  backward(ctx, g: Tensor) {
    const [index] = ctx.saved();
    const { accumulate, shape } = ctx.state as { accumulate: boolean; shape: Shape };
    const zeros = (): Tensor => filled(index!.shape, 0, g.dtype, g.device);
    return [
      ctx.needs[0] ? (accumulate ? g : g.put(index!, zeros())) : null,
      null,
      ctx.needs[2] ? g.take(index!).reshape(shape) : null,
    ];
  },
});

type TakeAlongOp = IndexedOp<Args<[{ indices: Tensor }, { dim?: number | null }]>>;

export const take_along_dim: TakeAlongOp = composite(
  "take_along_dim",
  "input, indices, dim=None",
  {
    doc: "gather with broadcasting, for the positions that argmax and argsort give.",
  },
  (input: Tensor, indices: Tensor, dim: number | null) => {
    checkTensor("take_along_dim", "indices", indices);
    if (dim === null) return input.reshape([-1]).gather(0, indices.reshape([-1]));
    if (input.ndim !== indices.ndim) {
      throw new RuntimeError(
        `take_along_dim: input and indices should have the same number of dimensions, but got ${input.ndim} dimensions for input, and ${indices.ndim} dimensions for indices`,
      );
    }
    const d = normalizeDim("take_along_dim", dim, input.ndim);
    if (input.ndim === 0) return input.gather(0, indices);
    const common = broadcastShapes("take_along_dim", input.shape.with(d, 1), indices.shape.with(d, 1));
    const x = input.expand(common.with(d, input.shape[d]!));
    return x.gather(d, indices.expand(common.with(d, indices.shape[d]!)));
  },
);
