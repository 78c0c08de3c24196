/** Reads and writes at positions along one dimension, or of the flat tensor, given by index tensors. */

import { int64, isScalar, type Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape, normalizeDim, sameShape, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import { empty, run } from "../engine/run.ts";
import { checkTensor, describe, type Args } from "../engine/signature.ts";
import type { Operand } from "./arithmetic.ts";
import { filled } from "./creation.ts";
import { asVector, COMBINE, constantLike, fold_primitive, scatterInto, writable, type Combine } from "./scatter_kernels.ts";

type IndexedOp<A extends readonly unknown[], F extends "method" | "inplace" = "method"> = Op<[input: Tensor, ...A], Tensor, F>;
type Both = "method" | "inplace";

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
    tensors: ["src"],
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
