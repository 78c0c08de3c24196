/** Views of a part of a tensor: picked, cut, slid over; and copies of a tensor in which such a part is written over. */

import { IndexError, RuntimeError } from "../core/errors.ts";
import { contiguousStrides, formatShape, normalizeDim, numelOf, sameShape, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { complexRule, joined, part } from "../engine/complex.ts";
import { composite, defineOp, defineView, type Geometry, type Op } from "../engine/define.ts";
import { writeInto } from "../engine/inplace.ts";
import { alias, copyOf } from "../engine/run.ts";
import { describe, type Args } from "../engine/signature.ts";
import { arange, filled } from "./creation.ts";

type WindowOp<A extends readonly unknown[]> = Op<[input: Tensor, ...A], Tensor, "method">;

/** What a view's geometry is computed from. */
interface Layout {
  readonly shape: Shape;
  readonly strides: Shape;
  readonly offset: number;
}
const layoutOf = (t: Tensor): Layout => ({ shape: t.shape, strides: t._strides, offset: t._offset });
const denseLayout = (shape: Shape): Layout => ({ shape, strides: contiguousStrides(shape), offset: 0 });

type WriteWindow = Op<[input: Tensor, src: Tensor, size: Shape, stride: Shape, offset: number], Tensor>;

/** A dense copy of input in which the window (no two of whose elements coincide) shows src. */
// Positions of a complex tensor and of its parts are the same, so long as these are dense.
complexRule("write_window", (input: Tensor, src: Tensor, size: Shape, stride: Shape, offset: number) => {
  const [re, im] = ([0, 1] as const).map((which) =>
    write_window(copyPart(input, which), src.dtype.is_complex ? part(src, which) : src, size, stride, offset),
  );
  return joined(re!, im!);
});
const copyPart = (z: Tensor, which: 0 | 1): Tensor => (z.dtype.is_complex ? part(z, which) : z);

const write_window: WriteWindow = defineOp("write_window", "input, src, size, stride, offset", {
  doc: "A copy of input with a window of it overwritten.",
  method: false,
  forward(ctx, input: Tensor, src: Tensor, size: Shape, stride: Shape, offset: number) {
    ctx.state = { size, stride, offset };
    const out = copyOf(input, input.dtype);
    out._storage.materialize();
    writeInto(alias(out, size, stride, offset), copyOf(src, out.dtype));
    return out;
  },
  backward(ctx, g: Tensor) {
    const { size, stride, offset } = ctx.state as { size: Shape; stride: Shape; offset: number };
    const windowOf = (x: Tensor): Tensor => x.as_strided(size, stride, offset + x._offset);
    const outside = ctx.needs[0] ? write_window(g, filled(size, 0, g.dtype, g.device), size, stride, offset) : null;
    return [outside, ctx.needs[1] ? windowOf(g.contiguous()) : null];
  },
});

/** `input` with the window that `g` describes (relative to its dense form) replaced by `src`. */
function overwrite(name: string, input: Tensor, src: Tensor, g: Geometry): Tensor {
  if (!(src instanceof Tensor)) throw new TypeError(`${name}: argument 'src' must be Tensor, not ${describe(src)}`);
  if (!sameShape(src.shape, g.shape)) {
    throw new RuntimeError(
      `${name}: expected src to have a size equal to the slice of self: src size = ${formatShape(src.shape)}, slice size = ${formatShape(g.shape)}`,
    );
  }
  return write_window(input, src, g.shape, g.strides, g.offset);
}

/** Gradient of a view of a tensor of `shape`: zero outside. */
function spread(g: Tensor, shape: Shape, window: Geometry): Tensor {
  return write_window(filled(shape, 0, g.dtype, g.device), g, window.shape, window.strides, window.offset);
}

// select

function selectGeometry(name: string, { shape, strides, offset }: Layout, dim: number, index: number): Geometry {
  if (shape.length === 0) throw new IndexError(`${name}: select() cannot be applied to a 0-dim tensor.`);
  const d = normalizeDim(name, dim, shape.length);
  const n = shape[d]!;
  if (!Number.isInteger(index) || index < -n || index >= n) {
    throw new IndexError(`${name}: index ${index} out of range for tensor of size ${formatShape(shape)} at dimension ${d}`);
  }
  return {
    shape: shape.toSpliced(d, 1),
    strides: strides.toSpliced(d, 1),
    offset: offset + (index < 0 ? index + n : index) * strides[d]!,
  };
}

export const select: WindowOp<Args<[{ dim: number }, { index: number }]>> = defineView("select", "input, dim, index", {
  doc: "The part at one index of a dimension, which goes away.",
  kinds: { index: "int" },
  geometry: (input: Tensor, dim: number, index: number) => selectGeometry("select", layoutOf(input), dim, Number(index)),
  backward: (g, { shape }, dim: number, index: number) =>
    spread(g, shape, selectGeometry("select", denseLayout(shape), dim, Number(index))),
});

export const select_scatter: WindowOp<Args<[{ src: Tensor }, { dim: number }, { index: number }]>> = composite(
  "select_scatter",
  "input, src, dim, index",
  { doc: "A copy of input with the part at index of dim replaced by src.", kinds: { index: "int" } },
  (input: Tensor, src: Tensor, dim: number, index: number) =>
    overwrite("select_scatter", input, src, selectGeometry("select_scatter", denseLayout(input.shape), dim, index)),
);

// slice

type Bound = number | bigint | null;

function sliceGeometry(
  name: string,
  { shape, strides, offset }: Layout,
  dim: number,
  start: Bound,
  end: Bound,
  step: number,
): Geometry {
  if (shape.length === 0) throw new IndexError(`${name}: slice() cannot be applied to a 0-dim tensor.`);
  const d = normalizeDim(name, dim, shape.length);
  if (!(Number(step) > 0)) throw new RuntimeError(`${name}: slice step must be positive, got ${step}`);
  const n = shape[d]!;
  const clamp = (x: Bound, otherwise: number): number => {
    const i = x === null ? otherwise : Number(x);
    return Math.min(Math.max(i < 0 ? i + n : i, 0), n);
  };
  const from = clamp(start, 0);
  const to = Math.max(clamp(end, n), from);
  return {
    shape: shape.with(d, Math.ceil((to - from) / step)),
    strides: strides.with(d, strides[d]! * step),
    offset: offset + from * strides[d]!,
  };
}

type SliceArgs = Args<[{ dim?: number }, { start?: Bound }, { end?: Bound }, { step?: number }]>;

export const slice: WindowOp<SliceArgs> = defineView("slice", "input, dim=0, start=None, end=None, step=1", {
  doc: "input[start:end:step] along one dimension.",
  geometry: (input: Tensor, dim: number, start: Bound, end: Bound, step: number) =>
    sliceGeometry("slice", layoutOf(input), dim, start, end, step),
  backward: (g, { shape }, dim: number, start: Bound, end: Bound, step: number) =>
    spread(g, shape, sliceGeometry("slice", denseLayout(shape), dim, start, end, step)),
});

export const slice_scatter: WindowOp<
  Args<[{ src: Tensor }, { dim?: number }, { start?: Bound }, { end?: Bound }, { step?: number }]>
> = composite(
  "slice_scatter",
  "input, src, dim=0, start=None, end=None, step=1",
  { doc: "A copy of input with input[start:end:step] along dim replaced by src." },
  (input: Tensor, src: Tensor, dim: number, start: Bound, end: Bound, step: number) =>
    overwrite("slice_scatter", input, src, sliceGeometry("slice_scatter", denseLayout(input.shape), dim, start, end, step)),
);

// narrow

type Start = number | Tensor;
type NarrowOp = WindowOp<Args<[{ dim: number }, { start: Start }, { length: number }]>>;

function checkNarrow(name: string, input: Tensor, dim: number, start: Start, length: number): [dim: number, start: number] {
  if (input.ndim === 0) throw new RuntimeError(`${name}: cannot be applied to a 0-dim tensor.`);
  if (typeof start !== "number")
    throw new RuntimeError(`${name}: start must be an 0-dim integral Tensor, got ${describe(start)}`);
  if (name === "narrow_copy" && dim >= input.ndim) {
    throw new RuntimeError(
      `${name}: dimension out of range (expected to be in [${-input.ndim}, ${input.ndim - 1}], but got ${dim})`,
    );
  }
  if (length < 0) throw new RuntimeError(`${name}: length must be non-negative, got ${length}`);
  const d = normalizeDim(name, dim, input.ndim);
  const n = input.shape[d]!;
  if (start < -n || start > n) {
    throw new IndexError(`${name}: start out of range (expected to be in [${-n}, ${n}], but got ${start})`);
  }
  const from = start < 0 ? start + n : start;
  if (from + length > n) {
    throw new RuntimeError(`${name}: start (${from}) + length (${length}) exceeds dimension size (${n}).`);
  }
  return [d, from];
}

export const narrow: NarrowOp = composite(
  "narrow",
  "input, dim, start, length",
  {
    doc: "length elements of a dimension from start on.",
    kinds: { start: "own" },
  },
  (input: Tensor, dim: number, start: Start, length: number) => {
    const [d, from] = checkNarrow("narrow", input, dim, start, length);
    return input.slice(d, from, from + length);
  },
);

export const narrow_copy: NarrowOp = composite(
  "narrow_copy",
  "input, dim, start, length",
  {
    doc: "As narrow, with memory of its own.",
    kinds: { start: "own" },
  },
  (input: Tensor, dim: number, start: Start, length: number) => {
    const [d, from] = checkNarrow("narrow_copy", input, dim, start, length);
    return input.slice(d, from, from + length).clone();
  },
);

// diagonal

function diagonalGeometry(name: string, layout: Layout, offset: number, dim1: number, dim2: number): Geometry {
  const { shape, strides } = layout;
  const a = normalizeDim(name, dim1, shape.length);
  const b = normalizeDim(name, dim2, shape.length);
  if (a === b) throw new RuntimeError(`${name}: diagonal dimensions cannot be identical ${dim1}, ${dim2}`);
  const length = Math.max(offset >= 0 ? Math.min(shape[a]!, shape[b]! - offset) : Math.min(shape[a]! + offset, shape[b]!), 0);
  const start = length === 0 ? 0 : offset >= 0 ? offset * strides[b]! : -offset * strides[a]!;
  const others = shape.map((_, d) => d).filter((d) => d !== a && d !== b);
  return {
    shape: [...others.map((d) => shape[d]!), length],
    strides: [...others.map((d) => strides[d]!), strides[a]! + strides[b]!],
    offset: layout.offset + start,
  };
}

type DiagonalArgs = [{ offset?: number }, { dim1?: number }, { dim2?: number }];

export const diagonal: WindowOp<Args<DiagonalArgs>> = defineView("diagonal", "input, offset=0, dim1=0, dim2=1", {
  doc: "A diagonal of two dimensions, as a new last one.",
  geometry: (input: Tensor, offset: number, dim1: number, dim2: number) =>
    diagonalGeometry("diagonal", layoutOf(input), offset, dim1, dim2),
  backward: (g, { shape }, offset: number, dim1: number, dim2: number) =>
    spread(g, shape, diagonalGeometry("diagonal", denseLayout(shape), offset, dim1, dim2)),
});

export const diagonal_scatter: WindowOp<Args<[{ src: Tensor }, ...DiagonalArgs]>> = composite(
  "diagonal_scatter",
  "input, src, offset=0, dim1=0, dim2=1",
  { doc: "A copy of input with a diagonal replaced by src." },
  (input: Tensor, src: Tensor, offset: number, dim1: number, dim2: number) =>
    overwrite("diagonal_scatter", input, src, diagonalGeometry("diagonal_scatter", denseLayout(input.shape), offset, dim1, dim2)),
);

// any window

export const as_strided_scatter: WindowOp<
  Args<[{ src: Tensor }, { size: Shape }, { stride: Shape }, { storage_offset?: number | null }]>
> = composite(
  "as_strided_scatter",
  "input, src, size, stride, storage_offset=None",
  { doc: "A copy of input with a window of its storage replaced by src." },
  (input: Tensor, src: Tensor, size: Shape, stride: Shape, storage_offset: number | null) => {
    if (size.length !== stride.length) {
      throw new RuntimeError(
        `as_strided_scatter: mismatch in length of strides and shape: ${formatShape(size)}, ${formatShape(stride)}`,
      );
    }
    // One example of a batch has its own part of the storage.
    if (input._batch !== null && input.is_contiguous()) {
      const at = (storage_offset ?? input._offset) - input._offset;
      return overwrite("as_strided_scatter", input, src, { shape: size, strides: stride, offset: at });
    }
    const offset = storage_offset ?? input._offset;
    const far = numelOf(size) === 0 ? 0 : size.reduce((f, n, d) => f + (n - 1) * stride[d]!, offset) + 1;
    const g = { shape: size, strides: stride, offset };
    const { shape, _strides: strides, _offset: start } = input;
    const span = numelOf(shape) === 0 ? 0 : shape.reduce((f, n, d) => f + (n - 1) * strides[d]!, start) + 1;
    const whole = input._isWhole();
    if (offset < 0 || far > (whole ? numelOf(shape) : input._capacity()) || stride.some((s) => s < 0)) {
      throw new RuntimeError(
        `as_strided_scatter: sizes ${formatShape(size)}, strides ${formatShape(stride)}, storage offset ${offset} are out of bounds for storage of ${input._capacity()} elements`,
      );
    }
    if (whole) return overwrite("as_strided_scatter", input, src, g);
    // The window is one of the storage: write both into a flat copy of that.
    const n = Math.max(span, far);
    const flat = filled([n], 0, input.dtype, input.device);
    const spreadOut = write_window(flat, input, shape, strides, start);
    return overwrite("as_strided_scatter", spreadOut, src, g).as_strided(shape, strides, start);
  },
);

// sliding

export const unfold: WindowOp<Args<[{ dimension: number }, { size: number }, { step: number }]>> = defineView(
  "unfold",
  "input, dimension, size, step",
  {
    doc: "All windows of a dimension, step apart; their elements are a new last dimension.",
    geometry(input: Tensor, dimension: number, size: number, step: number) {
      const d = normalizeDim("unfold", dimension, input.ndim);
      const n = input.shape[d] ?? 1;
      const stride = input._strides[d] ?? 1;
      if (size < 0) throw new RuntimeError(`unfold: size is ${size} but must be >= 0`);
      if (size > n) {
        throw new RuntimeError(`unfold: maximum size for tensor at dimension ${d} is ${n} but size is ${size}`);
      }
      if (step <= 0) throw new RuntimeError(`unfold: step is ${step} but must be > 0`);
      if (input.ndim === 0) return { shape: [size], strides: [1], offset: input._offset };
      return {
        shape: [...input.shape.with(d, Math.floor((n - size) / step) + 1), size],
        strides: [...input._strides.with(d, stride * step), stride],
        offset: input._offset,
      };
    },
    backward(g, { shape }, dimension: number, size: number, step: number) {
      if (shape.length === 0) return g.sum();
      const d = normalizeDim("unfold", dimension, shape.length);
      const count = g.shape[d]!;
      const n = shape[d]!;
      if (step >= size) {
        const dense = contiguousStrides(shape);
        const window = {
          shape: g.shape,
          strides: [...dense.with(d, dense[d]! * step), dense[d]!],
          offset: 0,
        };
        return spread(g, shape, window);
      }
      const moved = g.movedim(d, -2); // [..., count, size]
      const flat = moved.reshape([...moved.shape.slice(0, -2), count * size]);
      const ramp = (m: number): Tensor => arange(m, { device: g.device });
      const positions = ramp(count).mul(step).unsqueeze(1).add(ramp(size)).reshape([-1]);
      const zeros = filled([...flat.shape.slice(0, -1), n], 0, g.dtype, g.device);
      return zeros.index_add(-1, positions, flat).movedim(-1, d);
    },
  },
);
