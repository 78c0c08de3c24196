/** Views, copies, creation, indexing. */

import * as torch from "../../torch.ts";
import type { Arg } from "../emit.ts";
import { Sym, type Dim, type Emitter, type Val } from "../emit.ts";
import { each, isFixed, like, number, operand, reshaped, wrap, type Args, type Convert, type Table } from "./shared.ts";

const input = (g: Emitter, a: Args): Val => g.use((a.input ?? a.self ?? a.tensor) as Arg);

const sameElements: Convert = (g, a, [out]) => reshaped(g, input(g, a), out!.shape);
const same: Convert = (g, a) => input(g, a);
const expanded: Convert = (g, a, [out]) => g.op("Expand", [input(g, a), g.ints(out!.shape)], {}, like(out!));
/** Another dtype; the device is not ONNX's business. */
const cast: Convert = (g, a, [out]) => g.cast(input(g, a), out!.dtype);

const transposed =
  (order: (a: Args, n: number) => number[]): Convert =>
  (g, a, [out]) =>
    g.op("Transpose", [input(g, a)], { perm: order(a, out!.ndim) }, like(out!));
const swapped =
  (one: string, two: string) =>
  (a: Args, n: number): number[] => {
    const order = Array.from({ length: n }, (_, d) => d);
    const [p, q] = [wrap(number(a[one], one), n), wrap(number(a[two], two), n)];
    [order[p], order[q]] = [order[q]!, order[p]!];
    return order;
  };

function sliced(g: Emitter, x: Val, d: number, start: Dim, end: Dim, step: number, out: Omit<Val, "name">): Val {
  return g.op("Slice", [x, g.ints([start]), g.ints([end]), g.ints([d]), g.ints([step])], {}, out);
}

/** Pieces of a dimension one after the other, as their sizes say. */
const pieces: Convert = (g, a, out) => {
  const x = input(g, a);
  const rank = x.shape.length;
  const d = wrap(number(a.dim, "dim"), rank);
  if (out.length === 1) return [x];
  const sizes = out.map((o) => o.shape[d]!);
  return g.node("Split", [x, g.ints(sizes)], { axis: d }, out.map(like));
};

const filled =
  (value: (a: Args) => unknown): Convert =>
  (g, a, [out]) => {
    const v = value(a);
    const { dtype } = out!;
    if (typeof v !== "number" && typeof v !== "boolean" && !(v instanceof torch.FloatScalar)) return null;
    const one = torch.tensor([v instanceof torch.FloatScalar ? v.value : v], {
      dtype: dtype.itemsize === 2 ? torch.float32 : dtype,
      device: "cpu",
    });
    const made = g.op("ConstantOfShape", [g.ints(out!.shape)], { value: one }, { dtype: one.dtype, shape: out!.shape });
    return g.cast(made, dtype);
  };

const triangle =
  (upper: number): Convert =>
  (g, a, [out]) => {
    const x = input(g, a);
    const wide = x.dtype === torch.bool ? g.cast(x, torch.int32) : x;
    const d = operand(g, a.diagonal, torch.int64);
    return g.cast(g.op("Trilu", [wide, d], { upper }, { ...like(out!), dtype: wide.dtype }), x.dtype);
  };

const arange: Convert = (g, a, [out]) => {
  const [start, end] = a.end === null ? [0, a.start as unknown] : [a.start as unknown, a.end as unknown];
  // Computed in integers, whatever it becomes.
  const whole = [start, end, a.step].every((v) => v instanceof Sym || Number.isInteger(v));
  if (!whole) return null;
  const parts = [start, end, a.step].map((v) => operand(g, v, torch.int64));
  return g.cast(g.op("Range", parts, {}, { dtype: torch.int64, shape: out!.shape }), out!.dtype);
};

const gatherRows: Convert = (g, a, [out]) => {
  if ((a.index as Arg).ndim !== 1) return null;
  const d = a.dim === undefined ? 0 : number(a.dim, "dim");
  return g.op("Gather", [input(g, a), g.use(a.index as Arg)], { axis: d }, like(out!));
};

/** x[..., index, ...] with tensors for leading dimensions. */
const indexed: Convert = (g, a, [out]) => {
  const indices = a.indices as (Arg | null)[];
  const at = indices.map((_, d) => d).filter((d) => indices[d] !== null);
  const x = input(g, a);
  if (at.length === 1 && indices[at[0]!]!.dtype !== torch.bool) {
    return g.op("Gather", [x, g.use(indices[at[0]!]!)], { axis: at[0]! }, like(out!));
  }
  if (at.some((d, i) => d !== i)) return null;
  const common = out!.shape.slice(0, out!.ndim - (x.shape.length - at.length));
  return g.op("GatherND", [x, tuples(g, indices as Arg[], common)], {}, like(out!));
};

/** Index tensors of one shape side by side, [..., how many]. */
function tuples(g: Emitter, indices: readonly Arg[], common: readonly Dim[]): Val {
  const shape = [...common, 1];
  const parts = indices.map((i) => {
    const wide = g.op("Expand", [g.cast(g.use(i), torch.int64), g.ints(common)], {}, { dtype: torch.int64, shape: common });
    return g.op("Unsqueeze", [wide, g.ints([-1])], {}, { dtype: torch.int64, shape });
  });
  return g.op("Concat", parts, { axis: -1 }, { dtype: torch.int64, shape: [...common, parts.length] });
}

const indexPut: Convert = (g, a, [out]) => {
  const indices = a.indices as (Arg | null)[];
  const values = a.values as Arg;
  if (indices.some((i) => i === null || i.dtype === torch.bool) || (a.accumulate === true && g.opset < 16)) return null;
  const ranks = indices.map((i) => i!.ndim);
  const widest = indices[ranks.indexOf(Math.max(...ranks))]!;
  const common = widest.shape;
  const shape = [...common, ...out!.shape.slice(indices.length)];
  const updates = g.op("Expand", [g.use(values), g.ints(shape)], {}, { dtype: values.dtype, shape });
  const reduction = a.accumulate === true ? { reduction: "add" } : {};
  return g.op("ScatterND", [input(g, a), tuples(g, indices as Arg[], common), updates], reduction, like(out!));
};

/** Places in a tensor's flat form that a window of its memory shows. */
function places(g: Emitter, a: Args): Val {
  const [size, stride] = [a.size as Dim[], a.stride as Dim[]];
  const like = { dtype: torch.int64, shape: [-1] };
  let at = g.ints([(a.storage_offset ?? 0) as Dim]);
  size.forEach((count, d) => {
    const run = g.op("Range", [g.int(0), g.int(count), g.int(1)], {}, like);
    const steps = g.op("Mul", [run, g.ints([stride[d]!])], {}, like);
    const column = g.op("Unsqueeze", [at, g.ints([1])], {}, { ...like, shape: [-1, 1] });
    at = g.op("Reshape", [g.op("Add", [column, steps], {}, { ...like, shape: [-1, -1] }), g.ints([-1])], {}, like);
  });
  return at;
}
const flattened = (g: Emitter, x: Val): Val => g.op("Reshape", [x, g.ints([-1])], {}, { dtype: x.dtype, shape: [-1] });
const window: Convert = (g, a, [out]) => {
  const x = flattened(g, input(g, a));
  return reshaped(g, g.op("Gather", [x, places(g, a)], { axis: 0 }, like(x)), out!.shape);
};
const windowScatter: Convert = (g, a, [out]) => {
  const parts = [flattened(g, input(g, a)), places(g, a), flattened(g, g.use(a.src as Arg))];
  return reshaped(g, g.op("ScatterElements", parts, { axis: 0 }, like(parts[0]!)), out!.shape);
};

const padded: Convert = (g, a, [out]) => {
  const mode = (a.mode ?? "constant") as string;
  const x = input(g, a);
  const n = x.shape.length;
  const given = a.pad as Dim[];
  const onnxMode = { constant: "constant", reflect: "reflect", replicate: "edge", circular: g.opset >= 19 ? "wrap" : "" }[mode];
  if (onnxMode === undefined || onnxMode === "") return null;
  const [before, after]: [Dim[], Dim[]] = [new Array<Dim>(n).fill(0), new Array<Dim>(n).fill(0)];
  for (let i = 0; 2 * i < given.length; i++) {
    before[n - 1 - i] = given[2 * i]!;
    after[n - 1 - i] = given[2 * i + 1]!;
  }
  const value = mode === "constant" ? operand(g, a.value ?? 0, x.dtype) : null;
  return g.op("Pad", [x, g.ints([...before, ...after]), value], { mode: onnxMode }, like(out!));
};

export const shapes: Table = {
  alias: same,
  arange,
  as_strided: window,
  as_strided_scatter: windowScatter,
  bfloat16: cast,
  bool: cast,
  broadcast_to: expanded,
  byte: cast,
  cat: (g, a, [out]) => {
    const parts = (a.tensors as Arg[]).filter((t) => !(t.ndim === 1 && t.shape[0] === 0 && out!.ndim !== 1));
    return g.op(
      "Concat",
      parts.map((t) => operand(g, t, out!.dtype)),
      { axis: wrap(number(a.dim, "dim"), out!.ndim) },
      like(out!),
    );
  },
  char: cast,
  chunk: pieces,
  clone: same,
  constant_pad_nd: padded,
  contiguous: same,
  detach: same,
  double: cast,
  embedding: (g, a, [out]) => {
    if (a.max_norm !== undefined && a.max_norm !== null) return null;
    const [rows, index] = "index" in a ? [a.weight as Arg, a.index as Arg] : [a.weight as Arg, a.input as Arg];
    return g.op("Gather", [g.use(rows), g.use(index)], { axis: 0 }, like(out!));
  },
  expand: expanded,
  expand_as: expanded,
  flatten: (g, a, [out]) => {
    const first =
      out!.ndim === 2 &&
      a.start_dim === 1 &&
      wrap(number(a.end_dim, "end_dim"), (a.input as Arg).ndim) === (a.input as Arg).ndim - 1;
    return first ? g.op("Flatten", [input(g, a)], { axis: 1 }, like(out!)) : reshaped(g, input(g, a), out!.shape);
  },
  flip: (g, a, [out]) => {
    const x = input(g, a);
    const d = each(a.dims, (a.dims as unknown[]).length, "dims").map((v) => wrap(v, x.shape.length));
    const all = (v: number): Val => g.ints(d.map(() => v));
    return g.op("Slice", [x, all(-1), all(-(2 ** 53)), g.ints(d), all(-1)], {}, like(out!));
  },
  fill: filled((a) => a.value),
  float: cast,
  full: filled((a) => a.fill_value),
  full_like: filled((a) => a.fill_value),
  gather: (g, a, [out]) =>
    g.op("GatherElements", [input(g, a), g.use(a.index as Arg)], { axis: number(a.dim, "dim") }, like(out!)),
  half: cast,
  index: indexed,
  index_put: indexPut,
  index_select: gatherRows,
  int: cast,
  long: cast,
  movedim: (_g, _a) => null,
  narrow: (g, a, [out]) => {
    const [start, length] = [a.start as Dim, a.length as Dim];
    const traces = [start, length].find((d) => !isFixed(d)) as Sym | undefined;
    const at = (d: Dim, k: number): number => (isFixed(d) ? d : d.values[k]!);
    const end: Dim =
      traces === undefined ? at(start, 0) + at(length, 0) : new Sym(traces.values.map((_, k) => at(start, k) + at(length, k)));
    return sliced(g, input(g, a), wrap(number(a.dim, "dim"), out!.ndim), start, end, 1, like(out!));
  },
  new_full: filled((a) => a.fill_value),
  new_ones: filled(() => 1),
  new_zeros: filled(() => 0),
  ones: filled(() => 1),
  ones_like: filled(() => 1),
  pad: padded,
  permute: transposed((a, n) => each(a.dims, n, "dims").map((d) => wrap(d, n))),
  ravel: sameElements,
  repeat: (g, a, [out]) => tiled(g, input(g, a), a.repeats as Dim[], like(out!)),
  reshape: sameElements,
  reshape_as: sameElements,
  scatter: (g, a, [out]) => {
    const reduction = { set: "none", add: "add", mul: "mul" }[a.reduce as string];
    // The op that scatter and scatter_add are made of; its src has the index's shape or is a number.
    if (!("name" in a) || reduction === undefined || (reduction !== "none" && g.opset < 16)) return null;
    const index = a.index as Arg;
    let src = operand(g, a.src, out!.dtype);
    if (src.shape.length !== index.ndim)
      src = g.op("Expand", [src, g.ints(index.shape)], {}, { ...like(src), shape: index.shape });
    const attributes = { axis: number(a.dim, "dim"), ...(reduction === "none" ? {} : { reduction }) };
    return g.op("ScatterElements", [input(g, a), g.use(index), src], attributes, like(out!));
  },
  select: (g, a, [out]) => {
    const at = g.int(a.index as Dim);
    const x = input(g, a);
    return g.op("Gather", [x, at], { axis: wrap(number(a.dim, "dim"), x.shape.length) }, like(out!));
  },
  short: cast,
  slice: (g, a, [out]) => {
    const [start, end] = [(a.start ?? 0) as Dim, (a.end ?? 2 ** 53) as Dim];
    return sliced(g, input(g, a), wrap(number(a.dim, "dim"), out!.ndim), start, end, number(a.step, "step"), like(out!));
  },
  split: pieces,
  split_with_sizes: pieces,
  squeeze: sameElements,
  stack: (g, a, [out]) => {
    const d = wrap(number(a.dim, "dim"), out!.ndim);
    const parts = (a.tensors as Arg[]).map((t) => {
      const x = operand(g, t, out!.dtype);
      return g.op("Unsqueeze", [x, g.ints([d])], {}, { dtype: x.dtype, shape: [...x.shape.slice(0, d), 1, ...x.shape.slice(d)] });
    });
    return g.op("Concat", parts, { axis: d }, like(out!));
  },
  swapaxes: transposed(swapped("axis0", "axis1")),
  swapdims: transposed(swapped("dim0", "dim1")),
  t: (g, a, [out]) => (out!.ndim < 2 ? input(g, a) : g.op("Transpose", [input(g, a)], { perm: [1, 0] }, like(out!))),
  tensor_split: pieces,
  to: cast,
  transpose: transposed(swapped("dim0", "dim1")),
  tril: triangle(0),
  triu: triangle(1),
  type_as: cast,
  unbind: (g, a, out) => {
    const x = input(g, a);
    const d = wrap(number(a.dim, "dim"), x.shape.length);
    return out.map((o, i) => g.op("Gather", [x, g.scalar(i, torch.int64)], { axis: d }, like(o)));
  },
  unflatten: sameElements,
  unsqueeze: (g, a, [out]) => g.op("Unsqueeze", [input(g, a), g.ints([wrap(number(a.dim, "dim"), out!.ndim)])], {}, like(out!)),
  view: sameElements,
  view_as: sameElements,
  zeros: filled(() => 0),
  zeros_like: filled(() => 0),
};

function tiled(g: Emitter, x: Val, repeats: readonly Dim[], out: Omit<Val, "name">): Val {
  const extra = repeats.length - x.shape.length;
  const wide = extra === 0 ? x : reshaped(g, x, [...new Array<Dim>(extra).fill(1), ...x.shape]);
  return g.op("Tile", [wide, g.ints(repeats)], {}, out);
}
