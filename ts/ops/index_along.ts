/** Reads and writes at a vector of positions along one dimension, or at positions in the flat tensor. */

import { int32, int64, type Scalar } from "../core/dtype.ts";
import { IndexError, RuntimeError } from "../core/errors.ts";
import { broadcastShapes, formatShape, normalizeDim, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import { alias, copyOf, empty, run } from "../engine/run.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import type { Operand } from "./arithmetic.ts";
import { filled } from "./creation.ts";
import { asVector, COMBINE, fold_primitive, writable, type Combine } from "./scatter_kernels.ts";

type IndexedOp<A extends readonly unknown[], F extends "method" | "inplace" = "method"> = Op<[input: Tensor, ...A], Tensor, F>;
type Both = "method" | "inplace";

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
