/** Putting tensors together and taking them apart. */

import { int64, promote_types, type DType } from "../core/dtype.ts";
import { IndexError, RuntimeError } from "../core/errors.ts";
import { formatShape, normalizeDim, sameShape, type Shape } from "../core/shape.ts";
import { needsGraph, Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Geometry, type Op } from "../engine/define.ts";
import { writeInto } from "../engine/inplace.ts";
import { record } from "../engine/node.ts";
import { resultType } from "../engine/promotion.ts";
import { alias, commonDevice, copyOf, empty } from "../engine/run.ts";
import { describe, type Args } from "../engine/signature.ts";
import { atleast_1d, atleast_2d, atleast_3d } from "./view_forms.ts";

type Tensors = readonly Tensor[];
type JoinOp = Op<[tensors: Tensors], Tensor>;
type JoinDimOp = Op<[tensors: Tensors, ...Args<[{ dim?: number }]>], Tensor>;
type PartsOp<A extends readonly unknown[]> = Op<[input: Tensor, ...A], Tensor[], "method">;

function checkList(op: string, tensors: unknown): asserts tensors is Tensors {
  if (!Array.isArray(tensors))
    throw new TypeError(`${op}: argument 'tensors' must be an array of Tensors, not ${describe(tensors)}`);
  for (const t of tensors) if (!(t instanceof Tensor)) throw new TypeError(`${op}: expected Tensors, got ${describe(t)}`);
  if (tensors.length === 0) throw new RuntimeError(`${op}: expected a non-empty list of Tensors`);
}

/** PyTorch lets a vector of no elements join anything. */
const isLegacyEmpty = (t: Tensor): boolean => t.ndim === 1 && t.shape[0] === 0;

function checkJoin(op: string, parts: Tensors, dim: number): void {
  const first = parts[0]!;
  for (const t of parts) {
    if (t.ndim !== first.ndim) {
      throw new RuntimeError(`${op}: Tensors must have same number of dimensions: got ${first.ndim} and ${t.ndim}`);
    }
    for (let d = 0; d < t.ndim; d++) {
      if (d !== dim && t.shape[d] !== first.shape[d]) {
        throw new RuntimeError(
          `${op}: Sizes of tensors must match except in dimension ${dim}. Expected size ${first.shape[d]} but got size ${t.shape[d]} in dimension ${d} (shapes ${formatShape(first.shape)} and ${formatShape(t.shape)})`,
        );
      }
    }
  }
}

export const cat: JoinDimOp = defineOp("cat", "tensors, dim=0", {
  doc: "Tensors one after another along an existing dimension.",
  forward(ctx, tensors: Tensors, dim: number) {
    checkList("cat", tensors);
    const zero = tensors.findIndex((t) => t.ndim === 0);
    if (zero >= 0) throw new RuntimeError(`cat: zero-dimensional tensor (at position ${zero}) cannot be concatenated`);
    const device = commonDevice("cat", tensors);
    const dtype = resultType("cat", tensors);
    let parts = tensors.filter((t) => !isLegacyEmpty(t));
    if (parts.length === 0) parts = [tensors[0]!];
    const d = normalizeDim("cat", dim, parts[0]!.ndim);
    checkJoin("cat", parts, d);
    const shape = parts[0]!.shape.with(
      d,
      parts.reduce((n, t) => n + t.shape[d]!, 0),
    );
    ctx.state = { d, sizes: tensors.map((t) => (isLegacyEmpty(t) && parts[0] !== t ? null : t.shape[d]!)) };
    const out = empty(shape, dtype, device);
    let at = 0;
    for (const t of parts) {
      const window = alias(out, t.shape, out._strides, at * out._strides[d]!);
      writeInto(window, copyOf(t, dtype));
      at += t.shape[d]!;
    }
    return out;
  },
  backward(ctx, g: Tensor) {
    const { d, sizes } = ctx.state as { d: number; sizes: (number | null)[] };
    let at = 0;
    const grads = sizes.map((n) => {
      if (n === null) return g.new_zeros([0]);
      at += n;
      return g.slice(d, at - n, at);
    });
    return [grads];
  },
});

/** cat under other names, as in PyTorch. */
export const concat: JoinDimOp = composite(
  "concat",
  "tensors, dim=0",
  { doc: "cat under another name." },
  (ts: Tensors, dim: number) => cat(ts, dim),
);
export const concatenate: JoinDimOp = composite(
  "concatenate",
  "tensors, dim=0",
  { doc: "cat under another name." },
  (ts: Tensors, dim: number) => cat(ts, dim),
);

export const stack: JoinDimOp = composite(
  "stack",
  "tensors, dim=0",
  {
    doc: "Tensors of one shape along a new dimension.",
  },
  (tensors: Tensors, dim: number) => {
    checkList("stack", tensors);
    const { shape, ndim } = tensors[0]!;
    tensors.forEach((t, i) => {
      if (!sameShape(t.shape, shape)) {
        throw new RuntimeError(
          `stack: expects each tensor to be equal size, but got ${formatShape(shape)} at entry 0 and ${formatShape(t.shape)} at entry ${i}`,
        );
      }
    });
    const d = normalizeDim("stack", dim, ndim + 1);
    return cat(
      tensors.map((t) => t.unsqueeze(d)),
      d,
    );
  },
);

function named(op: string, tensors: unknown, grow: (ts: Tensors) => Tensor[], dim: (first: Tensor) => number): Tensor {
  checkList(op, tensors);
  const parts = grow(tensors);
  checkJoin(op, parts, dim(parts[0]!));
  return cat(parts, dim(parts[0]!));
}

export const hstack: JoinOp = composite(
  "hstack",
  "tensors",
  { doc: "Side by side: along dim 1, vectors along dim 0." },
  (ts: Tensors) => named("hstack", ts, atleast_1d, (x) => (x.ndim === 1 ? 0 : 1)),
);
export const vstack: JoinOp = composite(
  "vstack",
  "tensors",
  { doc: "One above the other: along dim 0, vectors as rows." },
  (ts: Tensors) => named("vstack", ts, atleast_2d, () => 0),
);
export const row_stack: JoinOp = composite("row_stack", "tensors", { doc: "vstack under another name." }, (ts: Tensors) =>
  named("row_stack", ts, atleast_2d, () => 0),
);
export const dstack: JoinOp = composite("dstack", "tensors", { doc: "Along dim 2." }, (ts: Tensors) =>
  named("dstack", ts, atleast_3d, () => 2),
);
export const column_stack: JoinOp = composite(
  "column_stack",
  "tensors",
  { doc: "hstack with vectors as columns." },
  (ts: Tensors) =>
    named(
      "column_stack",
      ts,
      (list) => list.map((t) => (t.ndim < 2 ? t.reshape([t.numel(), 1]) : t)),
      () => 1,
    ),
);

// Taking apart

/** Views of one input that share a node, so that their gradients are joined once and not each spread over the input's shape. */
function views(name: string, input: Tensor, geometries: readonly Geometry[], join: (grads: Tensors) => Tensor): Tensor[] {
  const base = input._view?.base ?? input;
  const out = geometries.map((g) => {
    const part = alias(input, g.shape, g.strides, g.offset);
    part._view = { base, graphVersion: base._graphVersion };
    return part;
  });
  if (needsGraph(input) && out.length > 0) {
    const shapes = geometries.map((g) => g.shape);
    record(
      name,
      [input],
      out,
      (grads) => {
        const some = grads.find((g) => g !== null)!;
        return [join(grads.map((g, i) => g ?? some.new_zeros(shapes[i]!)))];
      },
      null,
    );
  }
  return out;
}

/** Parts of these sizes along dim, one after another and all of it, as views. */
function cut(input: Tensor, dim: number, sizes: readonly number[]): Tensor[] {
  const step = input._strides[dim]!;
  let at = 0;
  const geometries = sizes.map((n) => {
    at += n;
    return {
      shape: input.shape.with(dim, n),
      strides: input._strides,
      offset: input._offset + (n === 0 ? 0 : at - n) * step,
    };
  });
  return views("split", input, geometries, (grads) => cat(grads, dim));
}

function withSizes(op: string, input: Tensor, sizes: readonly number[], dim: number): Tensor[] {
  if (input.ndim === 0) throw new RuntimeError(`${op}: expects at least a 1-dimensional tensor`);
  const d = normalizeDim(op, dim, input.ndim);
  if (sizes.some((n) => n < 0)) {
    throw new RuntimeError(`${op}: expects split_sizes to have only non-negative entries, but got ${formatShape(sizes)}`);
  }
  if (sizes.reduce((a, b) => a + b, 0) !== input.shape[d]) {
    throw new RuntimeError(
      `${op}: expects split_sizes to sum exactly to ${input.shape[d]} (input tensor's size at dimension ${dim}), but got ${formatShape(sizes)}`,
    );
  }
  return cut(input, d, sizes);
}

function splitBy(op: string, input: Tensor, size: number, dim: number): Tensor[] {
  if (input.ndim === 0) throw new RuntimeError(`${op}: expects at least a 1-dimensional tensor`);
  const d = normalizeDim(op, dim, input.ndim);
  const n = input.shape[d]!;
  if (size < 0) throw new RuntimeError(`${op}: expects split_size be non-negative, but got split_size=${size}`);
  if (size === 0 && n !== 0)
    throw new RuntimeError(`${op}: split_size can only be 0 if dimension size is 0, but got dimension size of ${n}`);
  const count = size === 0 ? 1 : Math.max(Math.ceil(n / size), 1);
  return cut(
    input,
    d,
    Array.from({ length: count }, (_, i) => Math.min(size, n - i * size)),
  );
}

type SplitSize = number | readonly number[];
type SplitOp = PartsOp<Args<[{ split_size_or_sections: SplitSize }, { dim?: number }]>>;

export const split: SplitOp = composite(
  "split",
  "tensor, split_size_or_sections, dim=0",
  {
    doc: "Parts of one size (the last may be smaller), or of the sizes given.",
  },
  (x: Tensor, size: SplitSize, dim: number) =>
    typeof size === "number" ? splitBy("split", x, size, dim) : withSizes("split", x, size, dim),
);

export const split_with_sizes: PartsOp<Args<[{ split_sizes: readonly number[] }, { dim?: number }]>> = composite(
  "split_with_sizes",
  "input, split_sizes, dim=0",
  { doc: "Parts of the sizes given." },
  (input: Tensor, sizes: readonly number[], dim: number) => withSizes("split_with_sizes", input, sizes, dim),
);

type ChunkOp = PartsOp<Args<[{ chunks: number }, { dim?: number }]>>;

function chunked(op: string, input: Tensor, chunks: number, dim: number): Tensor[] {
  if (input.ndim === 0) throw new RuntimeError(`${op}: expects at least a 1-dimensional tensor`);
  if (!(chunks > 0)) throw new RuntimeError(`${op}: expects \`chunks\` to be greater than 0, got: ${chunks}`);
  const d = normalizeDim(op, dim, input.ndim);
  const n = input.shape[d]!;
  const size = Math.floor((n + chunks - 1) / chunks);
  if (size === 0) return cut(input, d, new Array<number>(chunks).fill(0));
  return splitBy(op, input, size, d);
}

export const chunk: ChunkOp = composite(
  "chunk",
  "input, chunks, dim=0",
  {
    doc: "At most `chunks` parts of equal size, but for the last.",
  },
  (input: Tensor, chunks: number, dim: number) => chunked("chunk", input, chunks, dim),
);

export const unsafe_chunk: ChunkOp = composite(
  "unsafe_chunk",
  "input, chunks, dim=0",
  {
    doc: "chunk.",
  },
  (input: Tensor, chunks: number, dim: number) => chunked("unsafe_chunk", input, chunks, dim),
);

export const unsafe_split: PartsOp<Args<[{ split_size: SplitSize }, { dim?: number }]>> = composite(
  "unsafe_split",
  "input, split_size, dim=0",
  { doc: "split." },
  (x: Tensor, size: SplitSize, dim: number) =>
    typeof size === "number" ? splitBy("unsafe_split", x, size, dim) : withSizes("unsafe_split", x, size, dim),
);

type Sections = number | readonly number[] | Tensor;
type TensorSplitOp = PartsOp<Args<[{ indices_or_sections: Sections }, { dim?: number }]>>;

/** Parts that a list can hold. */
const MOST = 2 ** 31;

function tensorSplit(op: string, input: Tensor, where: Sections, dim: number): Tensor[] {
  if (input.ndim === 0) {
    throw new RuntimeError(`${op}: expected at least a 1-dimensional tensor, but got a tensor with 0 dims`);
  }
  const d = normalizeDim(op, dim, input.ndim);
  const n = input.shape[d]!;
  let at: number | readonly number[];
  if (where instanceof Tensor) {
    if (where.dtype !== int64)
      throw new RuntimeError(`${op}: expected tensor_indices_or_sections to have dtype of long, but got ${where.dtype}`);
    if (where.ndim > 1) {
      throw new RuntimeError(
        `${op}: expected tensor_indices_or_sections to be a zero-dimensional or one-dimensional tensor, but got a tensor with ${where.ndim} dims`,
      );
    }
    at = where.ndim === 0 ? Number(where.item_sync()) : (where.tolist_sync() as number[]);
  } else at = where;
  if (typeof at === "number") {
    if (!(at > 0)) throw new RuntimeError(`${op}: number of sections must be larger than 0, got ${at}`);
    if (at > MOST) throw new RuntimeError(`${op}: ${at} sections are more than there is room for`);
    const [small, larger] = [Math.floor(n / at), n % at];
    return cut(
      input,
      d,
      Array.from({ length: at }, (_, i) => small + (i < larger ? 1 : 0)),
    );
  }
  return [...at, null].map((end, i) => input.slice(d, i === 0 ? 0 : (at as readonly number[])[i - 1]!, end));
}

export const tensor_split: TensorSplitOp = composite(
  "tensor_split",
  "input, indices_or_sections, dim=0",
  {
    doc: "Parts between the indices given, or a number of nearly equal parts.",
  },
  (input: Tensor, where: Sections | null, dim: number) => tensorSplit("tensor_split", input, where!, dim),
);

type NamedSplitOp = PartsOp<Args<[{ indices_or_sections: number | readonly number[] }]>>;

function namedSplit(name: string, least: number, dimOf: (x: Tensor) => number): NamedSplitOp {
  return composite(
    name,
    "input, indices_or_sections",
    {
      doc: `tensor_split along dim ${least - 1}.`,
    },
    (input: Tensor, where: number | readonly number[]) => {
      if (input.ndim < least) {
        throw new RuntimeError(
          `${name}: torch.${name} requires a tensor with at least ${least} dimension${least > 1 ? "s" : ""}, but got a tensor with ${input.ndim} dimensions!`,
        );
      }
      const d = dimOf(input);
      if (typeof where === "number" && (where === 0 || input.shape[d]! % where !== 0)) {
        throw new RuntimeError(
          `${name}: attempted to split along dimension ${d}, but the size of the dimension ${input.shape[d]} is not divisible by the split_size ${where}!`,
        );
      }
      return tensorSplit(name, input, where, d);
    },
  );
}

export const hsplit: NamedSplitOp = namedSplit("hsplit", 1, (x) => (x.ndim === 1 ? 0 : 1));
export const vsplit: NamedSplitOp = namedSplit("vsplit", 2, () => 0);
export const dsplit: NamedSplitOp = namedSplit("dsplit", 3, () => 2);

export const unbind: PartsOp<Args<[{ dim?: number }]>> = composite(
  "unbind",
  "input, dim=0",
  {
    doc: "The parts at every index of a dimension.",
  },
  (input: Tensor, dim: number) => {
    if (input.ndim === 0) throw new IndexError(`unbind: Dimension specified as ${dim} but tensor has no dimensions`);
    const d = normalizeDim("unbind", dim, input.ndim);
    const [shape, strides, step] = [input.shape.toSpliced(d, 1), input._strides.toSpliced(d, 1), input._strides[d]!];
    const geometries = Array.from({ length: input.shape[d]! }, (_, i) => ({
      shape,
      strides,
      offset: input._offset + i * step,
    }));
    return views("unbind", input, geometries, (grads) => stack(grads, d));
  },
);

// Grids

type MeshOp = Op<
  [tensors: Tensors, ...Args<[], { indexing?: string }>] | [...Tensor[], { indexing?: string }] | Tensor[],
  Tensor[]
>;

export const meshgrid: MeshOp = composite(
  "meshgrid",
  "*tensors, indexing='ij'",
  {
    doc: "Coordinates of a grid: every vector expanded over the dimensions of all.",
  },
  (tensors: Tensors, indexing: string) => {
    checkList("meshgrid", tensors);
    if (indexing !== "ij" && indexing !== "xy") {
      throw new RuntimeError(`meshgrid: indexing must be one of "xy" or "ij", but received: ${indexing}`);
    }
    for (const t of tensors) {
      if (t.ndim > 1)
        throw new RuntimeError(`meshgrid: Expected 0D or 1D tensor in the tensor list but got: ${formatShape(t.shape)}`);
      if (t.dtype !== tensors[0]!.dtype) throw new RuntimeError("meshgrid: expects all tensors to have the same dtype");
    }
    commonDevice("meshgrid", tensors);
    const order = tensors.map((_, i) => i);
    if (indexing === "xy" && tensors.length >= 2) [order[0], order[1]] = [1, 0];
    const shape = order.map((i) => tensors[i]!.numel());
    return tensors.map((t, i) => {
      const own: Shape = shape.map((n, d) => (order[d] === i ? n : 1));
      return t.reshape(own).expand(shape);
    });
  },
);

export const cartesian_prod: Op<Tensor[] | [tensors: Tensors], Tensor> = composite(
  "cartesian_prod",
  "*tensors",
  {
    doc: "All combinations of one element of each vector, a row each.",
  },
  (tensors: Tensors) => {
    checkList("cartesian_prod", tensors);
    for (const t of tensors) {
      if (t.ndim !== 1) throw new RuntimeError(`cartesian_prod: Expect a 1D vector, but got shape ${formatShape(t.shape)}`);
    }
    if (tensors.length === 1) return tensors[0]!;
    return stack(
      meshgrid(tensors).map((t) => t.flatten()),
      1,
    );
  },
);

export const block_diag: Op<Tensor[] | [tensors: Tensors], Tensor> = composite(
  "block_diag",
  "*tensors",
  {
    doc: "A matrix with the matrices given along its diagonal.",
  },
  (tensors: Tensors) => {
    checkList("block_diag", tensors);
    const blocks = tensors.map((t) => {
      if (t.ndim > 2) throw new RuntimeError(`block_diag: Input tensors must have 2 or fewer dimensions, got ${t.ndim}`);
      return t.ndim === 2 ? t : t.reshape([1, t.numel()]);
    });
    const dtype = blocks.map((b) => b.dtype).reduce<DType>(promote_types, blocks[0]!.dtype);
    const width = blocks.reduce((n, b) => n + b.shape[1]!, 0);
    let at = 0;
    const rows = blocks.map((b) => {
      const [m, n] = b.shape as [number, number];
      const [left, right] = [b.new_zeros([m, at], { dtype }), b.new_zeros([m, width - at - n], { dtype })];
      at += n;
      return cat([left, b.to(dtype), right], 1);
    });
    return cat(rows, 0);
  },
);
