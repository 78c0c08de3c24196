/**
 * PyTorch's indexing: `x.index(0, new Slice(1, null), "...", null, rows)` is Python's `x[0, 1:, ..., None, rows]`, and
 * `x.index_put_([0], value)` its `x[0] = value`. Integers, slices, null and "..." give views; index tensors a copy.
 */

import { bool, int32, int64, uint8, int16, int8, isScalar, type Scalar } from "../core/dtype.ts";
import { IndexError, RuntimeError, ValueError } from "../core/errors.ts";
import { is_grad_enabled } from "../core/grad_mode.ts";
import { broadcastShapes, broadcastStrides, formatShape, sameShape, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import { checkWritable, prepareWrite, updateInPlace } from "../engine/inplace.ts";
import { observing } from "../engine/observe.ts";
import { alias, copyOf, empty, run } from "../engine/run.ts";
import { describe, type Args } from "../engine/signature.ts";
import type { Operand } from "./arithmetic.ts";
import { filled, tensor } from "./creation.ts";
import { writable } from "./scatter_kernels.ts";

type Bound = number | bigint | null;

/** Python's `start:stop:step`. */
export class Slice {
  constructor(
    readonly start: Bound = null,
    readonly stop: Bound = null,
    readonly step: number | null = null,
  ) {}
}

type NestedIndex = number | boolean | readonly NestedIndex[];
/** One part of an index. Lists stand for index tensors. */
export type IndexItem = number | bigint | boolean | null | "..." | Slice | Tensor | readonly NestedIndex[];
type Indices = readonly (Tensor | null)[];

const isInteger = (t: Tensor): boolean => t.dtype === int64 || t.dtype === int32 || t.dtype === int16 || t.dtype === int8;
const isMask = (t: Tensor): boolean => t.dtype === bool || t.dtype === uint8;

/** Dimensions that an item uses up. */
function consumed(item: IndexItem | Tensor): number {
  if (item === null || item === "..." || typeof item === "boolean") return 0;
  if (item instanceof Tensor) return isMask(item) ? item.ndim : 1;
  return 1;
}

/** Lists become tensors, and what is no index is refused. */
function normalizeItem(item: unknown, like: Tensor): Exclude<IndexItem, readonly NestedIndex[] | bigint> {
  if (item === null || item === "..." || typeof item === "boolean" || item instanceof Slice) return item;
  if (typeof item === "bigint") return Number(item);
  if (typeof item === "number") {
    if (Number.isInteger(item)) return item;
  } else if (item instanceof Tensor) {
    if (isInteger(item) || isMask(item)) return item;
    throw new IndexError(`index: tensors used as indices must be long, int, byte or bool tensors, got ${item.dtype}`);
  } else if (Array.isArray(item) || ArrayBuffer.isView(item)) {
    const list = item as readonly number[];
    if (list.length === 0) return filled([0], 0, int64, like.device);
    return normalizeItem(tensor(list, { device: like.device }), like);
  }
  throw new IndexError(
    `index: only integers, Slice, "...", null and long or bool Tensors are valid indices, got ${isScalar(item) ? `the number ${String(item)}` : describe(item)}`,
  );
}

/** The view that the plain parts of an index give, and what is left: index tensors by dimension of that view. */
function resolve(input: Tensor, items: readonly unknown[]): { view: Tensor; indices: (Tensor | null)[]; indexed: boolean } {
  const parts = items.map((item) => normalizeItem(item, input));
  const used = parts.reduce<number>((n, item) => n + consumed(item), 0);
  if (used > input.ndim) {
    throw new IndexError(`index: too many indices for tensor of dimension ${input.ndim}: got ${used}`);
  }
  if (parts.filter((p) => p === "...").length > 1)
    throw new IndexError('index: an index can only have a single ellipsis ("...")');
  let view = input;
  let dim = 0;
  let indexed = false;
  const indices: (Tensor | null)[] = [];
  const put = (index: Tensor): void => {
    while (indices.length < dim) indices.push(null);
    indices.push(index);
    dim++;
    indexed = true;
  };
  for (const item of parts) {
    if (item === "...") dim += input.ndim - used;
    else if (item === null) view = view.unsqueeze(dim++);
    else if (typeof item === "number") view = view.select(dim, item);
    else if (item instanceof Slice) {
      const step = item.step ?? 1;
      if (!(step > 0)) throw new ValueError(`index: step must be greater than zero, got ${step}`);
      if (item.start !== null || item.stop !== null || step !== 1) view = view.slice(dim, item.start, item.stop, step);
      dim++;
    } else if (typeof item === "boolean") {
      view = view.unsqueeze(dim);
      put(filled([item ? 1 : 0], 0, int64, input.device));
    } else if (isMask(item)) {
      const here = view.shape.slice(dim, dim + item.ndim);
      item.shape.forEach((n, d) => {
        if (n !== here[d]) {
          throw new IndexError(
            `index: The shape of the mask ${formatShape(item.shape)} at index ${d} does not match the shape of the indexed tensor ${formatShape(view.shape)} at index ${dim + d}`,
          );
        }
      });
      if (item.ndim === 0) {
        view = view.unsqueeze(dim);
        put(filled([item.item_sync() ? 1 : 0], 0, int64, input.device));
      } else for (const index of item.nonzero({ as_tuple: true }) as unknown as Tensor[]) put(index);
    } else if (item.ndim === 0 && item._batch === null && item.device.caps.readSync)
      view = view.select(dim, Number(item.item_sync()));
    else put(item);
  }
  return { view, indices, indexed };
}

/** Where index tensors go in the result, and how the indexed tensor runs along with the other dimensions. */
interface Plan {
  /** Of the result of reading; of the values when writing. */
  readonly shape: Shape;
  readonly dims: readonly number[];
  readonly indices: readonly Tensor[];
  readonly strides: readonly number[];
}

function plan(name: string, input: Tensor, indices: Indices): Plan {
  if (indices.length > input.ndim) {
    throw new IndexError(`${name}: too many indices for tensor of dimension ${input.ndim} (got ${indices.length})`);
  }
  const dims = indices.map((_, d) => d).filter((d) => indices[d] !== null);
  let common: Shape = [];
  for (const d of dims) {
    try {
      common = broadcastShapes(name, common, indices[d]!.shape);
    } catch {
      const shapes = dims.map((k) => formatShape(indices[k]!.shape)).join(", ");
      throw new IndexError(`${name}: shape mismatch: indexing tensors could not be broadcast together with shapes ${shapes}`);
    }
  }
  const first = dims[0]!;
  const adjacent = dims.at(-1)! - first === dims.length - 1;
  const rest = input.shape.map((_, d) => d).filter((d) => !dims.includes(d));
  // Index tensors side by side keep their place; apart, their dimensions go to the front.
  const before = adjacent ? rest.filter((d) => d < first) : [];
  const after = rest.slice(before.length);
  const sizes = (ds: readonly number[]): number[] => ds.map((d) => input.shape[d]!);
  const shape = [...sizes(before), ...common, ...sizes(after)];
  const strides = [...before, ...common.map(() => -1), ...after].map((d) => (d < 0 ? 0 : input._strides[d]!));
  const views = dims.map((d) => {
    const index = indices[d]!.dtype === int64 ? indices[d]! : copyOf(indices[d]!, int64);
    const own = broadcastStrides(index.shape, index._strides, common);
    return alias(index, shape, [...before.map(() => 0), ...own, ...after.map(() => 0)], index._offset);
  });
  return { shape, dims, indices: views, strides };
}

/** Where some other dimension is empty, nothing would look at the indices; PyTorch checks them all the same. */
function checkEmpty(name: string, input: Tensor, { shape, dims, indices }: Plan): void {
  for (const d of dims) {
    if (input.shape[d] === 0 && shape.every((n, k) => n > 0 || indices[0]!._strides[k] === 0) && indices[0]!.numel() > 0) {
      throw new IndexError(`${name}: index is out of bounds for dimension ${d} with size 0`);
    }
  }
}

type IndexTensors = Op<[input: Tensor, indices: Indices], Tensor>;

const index_tensors: IndexTensors = defineOp("index", "input, indices", {
  doc: "",
  method: false,
  forward(ctx, input: Tensor, indices: Indices) {
    const p = plan("index", input, indices);
    ctx.save(...indices);
    ctx.state = input.shape;
    const out = empty(p.shape, input.dtype, input.device);
    checkEmpty("index", input, p);
    if (out.numel() === 0) return out;
    run({ kind: "gather", mode: "index", dtype: input.dtype, indices: p.dims.length }, [input, ...p.indices], [out], {
      name: "index",
      dim: 0,
      dims: p.dims,
      src_strides: p.strides,
    });
    return out;
  },
  backward(ctx, g: Tensor) {
    const zeros = filled(ctx.state as Shape, 0, g.dtype, g.device);
    return [put_tensors(zeros, ctx.saved(), g, true)];
  },
});

type PutTensors = Op<[input: Tensor, indices: Indices, values: Tensor, accumulate: boolean], Tensor>;

const put_tensors: PutTensors = defineOp("index_put", "input, indices, values, accumulate", {
  doc: "",
  method: false,
  forward(ctx, input: Tensor, indices: Indices, values: Tensor, accumulate: boolean) {
    ctx.save(...indices);
    ctx.state = accumulate;
    const out = writable(input);
    scatterInto(out, indices, values, accumulate);
    return out;
  },
  backward(ctx, g: Tensor) {
    const indices = ctx.saved();
    const self = (): Tensor => put_tensors(g, indices, filled([], 0, g.dtype, g.device), false);
    return [ctx.needs[0] ? (ctx.state ? g : self()) : null, null, ctx.needs[2] ? index_tensors(g, indices) : null];
  },
});

/** Writes into `out`, whatever its strides. */
function scatterInto(out: Tensor, indices: Indices, values: Tensor, accumulate: boolean): void {
  const p = plan("index_put", out, indices);
  const fits = values.ndim <= p.shape.length || values.shape.slice(0, values.ndim - p.shape.length).every((n) => n === 1);
  const own = values.ndim <= p.shape.length ? values : alias(values, ...tail(values, p.shape.length), values._offset);
  const pad = p.shape.length - own.ndim;
  if (!fits || own.shape.some((n, d) => n !== 1 && n !== p.shape[d + pad])) {
    throw new RuntimeError(
      `index_put: shape mismatch: value tensor of shape ${formatShape(values.shape)} cannot be broadcast to indexing result of shape ${formatShape(p.shape)}`,
    );
  }
  checkEmpty("index_put", out, p);
  if (p.shape.includes(0)) return;
  const wide = alias(own, p.shape, broadcastStrides(own.shape, own._strides, p.shape), own._offset);
  const reduce = accumulate ? "add" : "set";
  run({ kind: "scatter", mode: "index", reduce, dtype: out.dtype, indices: p.dims.length }, [wide, ...p.indices], [out], {
    name: "index_put",
    dim: 0,
    dims: p.dims,
    src_strides: p.strides,
  });
}

function tail(t: Tensor, n: number): [shape: Shape, strides: Shape] {
  return [t.shape.slice(t.ndim - n), t._strides.slice(t.ndim - n)];
}

function checkValues(name: string, self: Tensor, values: Tensor): void {
  if (values.dtype !== self.dtype) {
    throw new RuntimeError(
      `${name}: requires the source and destination dtypes match, got ${self.dtype} for the destination and ${values.dtype} for the source.`,
    );
  }
}

/** The tensors of index_put's own form, with masks turned into positions. */
function positions(indices: unknown): Tensor[] {
  if (!Array.isArray(indices))
    throw new TypeError(`index_put: argument 'indices' must be an array of Tensors, not ${describe(indices)}`);
  return indices.flatMap((item): Tensor[] => {
    if (!(item instanceof Tensor)) throw new TypeError(`index_put: indices must be Tensors, got ${describe(item)}`);
    return isMask(item) ? (item.nonzero({ as_tuple: true }) as unknown as Tensor[]) : [item];
  });
}

type IndexPutOp = Op<
  [input: Tensor, ...Args<[{ indices: readonly Tensor[] }, { values: Tensor }, { accumulate?: boolean }]>],
  Tensor,
  "method"
>;

export const index_put: IndexPutOp = composite(
  "index_put",
  "input, indices, values, accumulate=False",
  {
    doc: "A copy of input with values written (or added) at the positions of index tensors, one per leading dimension.",
  },
  (input: Tensor, indices: readonly Tensor[], values: Tensor, accumulate: boolean) => {
    const at = positions(indices);
    if (at.length === 0) return accumulate ? input.add(values) : values.expand(input.shape).clone();
    checkValues("index_put", input, values);
    return put_tensors(input, at, values, accumulate);
  },
);

type IndexPutInPlaceOp = Op<
  [self: Tensor, ...Args<[{ indices: readonly IndexItem[] | IndexItem }, { values: Operand }, { accumulate?: boolean }]>],
  Tensor,
  "method"
>;

export const index_put_: IndexPutInPlaceOp = composite(
  "index_put_",
  "self, indices, values, accumulate=False",
  {
    doc: "self[indices] = values, or += with accumulate. The indices are those of index().",
  },
  (self: Tensor, given: readonly IndexItem[] | IndexItem, value: Operand, accumulate: boolean) => {
    const list = Array.isArray(given) ? (given as readonly IndexItem[]) : [given as IndexItem];
    const [only] = list;
    if (list.length === 1 && only instanceof Tensor && only.dtype === bool && !(value instanceof Tensor && value.ndim > 0)) {
      const mask = only.reshape([...only.shape, ...new Array<number>(Math.max(self.ndim - only.ndim, 0)).fill(1)]);
      // One number wherever a mask holds: elementwise, without looking for positions.
      if (!accumulate && sameShape(only.shape, self.shape.slice(0, only.ndim))) return self.masked_fill_(mask, value);
    }
    const resolved = resolve(self, list);
    const { indices, indexed } = resolved;
    // A view also of the whole, so that the old values get a gradient, which is zero.
    const view = resolved.view === self && is_grad_enabled() && self.requires_grad ? self.view(self.shape) : resolved.view;
    if (!indexed) {
      const src = value instanceof Tensor ? stripped(value, view.ndim) : value;
      if (accumulate) view.add_(src);
      else if (src instanceof Tensor) view.copy_(src);
      else view.fill_(src);
      return self;
    }
    const values = value instanceof Tensor ? value : filled([], value, self.dtype, self.device);
    checkValues("index_put_", self, values);
    const recording =
      observing.by !== null || self.dtype.is_complex || (is_grad_enabled() && (self.requires_grad || values.requires_grad));
    const shared = [values, ...indices].some((t) => t !== null && (t._storage === view._storage || t._batch !== null));
    if (recording || shared || view._batch !== null) {
      updateInPlace("index_put_", view, (old) => put_tensors(old, indices, values, accumulate));
    } else {
      checkWritable("index_put_", view);
      prepareWrite(view);
      scatterInto(view, indices, values, accumulate);
    }
    return self;
  },
);

/** Without leading dimensions of size 1 beyond n: they may be there in what is assigned. */
function stripped(value: Tensor, n: number): Tensor {
  let out = value;
  while (out.ndim > n && out.shape[0] === 1) out = out.squeeze(0);
  return out;
}

/** Items in PyTorch's own spelling, as `"..., 1:-1:2, None"`. */
function parseItems(text: string): IndexItem[] {
  if (typeof text !== "string") throw new TypeError(`at: expected the index as a string ("0, 1:3"), got ${describe(text)}`);
  const parts = text.split(/,(?![^[]*\])/).map((s) => s.trim());
  if (parts.at(-1) === "") parts.pop();
  const fail = (part: string): never => {
    throw new ValueError(
      `at: cannot read "${part}" in the index "${text}"; expected integers, slices, "...", None, True, False or lists`,
    );
  };
  const number = (s: string, part: string): number => (/^[+-]?\d+$/.test(s) ? Number(s) : fail(part));
  return parts.map((part): IndexItem => {
    if (part === "...") return "...";
    if (part === "None") return null;
    if (part === "True" || part === "False") return part === "True";
    if (part.startsWith("[")) {
      try {
        return JSON.parse(part.replaceAll("True", "true").replaceAll("False", "false")) as NestedIndex[];
      } catch {
        return fail(part);
      }
    }
    if (!part.includes(":")) return number(part, part);
    const bounds = part.split(":").map((s) => (s.trim() === "" ? null : number(s.trim(), part)));
    return bounds.length > 3 ? fail(part) : new Slice(...bounds);
  });
}

declare module "../core/tensor.ts" {
  interface Tensor {
    /** Python's `x[items]`: a view where only integers, slices, null and "..." occur, else a copy. */
    index(...items: IndexItem[]): Tensor;
    /** `index` with its items in one string, spelt as in Python: `x.at("..., 1:-1:2, None")`. */
    at(items: string): Tensor;
  }
}

/** x[items] */
function getItem(x: Tensor, items: readonly IndexItem[]): Tensor {
  const { view, indices, indexed } = resolve(x, items);
  if (indexed) return index_tensors(view, indices);
  return view === x ? x.view(x.shape) : view;
}

Object.assign(Tensor.prototype, {
  index(this: Tensor, ...items: IndexItem[]) {
    return getItem(this, items);
  },
  at(this: Tensor, items: string) {
    return getItem(this, parseItems(items));
  },
});

// Masks and what is not zero

type NonzeroOp = Op<[input: Tensor, ...Args<[], { as_tuple?: boolean }>], Tensor, "method">;

export const nonzero: NonzeroOp = composite(
  "nonzero",
  "input, *, as_tuple=False",
  {
    doc: "Positions of the elements that are not zero, a row each; or one vector per dimension.",
  },
  (input: Tensor, as_tuple: boolean) => {
    if (as_tuple) return rowsOf(input.ndim === 0 ? input.reshape([1]) : input).unbind(1) as unknown as Tensor;
    return rowsOf(input);
  },
);

function rowsOf(input: Tensor): Tensor {
  const { device } = input;
  const x = input.detach();
  if (x.numel() === 0) return empty([0, x.ndim], int64, device);
  const count = empty([1], int64, device);
  run({ kind: "nonzero", mode: "count", dtype: x.dtype }, [x], [count], null);
  const n = Number(count.item_sync());
  const out = empty([n, x.ndim], int64, device);
  if (out.numel() > 0) run({ kind: "nonzero", mode: "write", dtype: x.dtype }, [x], [out], null);
  return out;
}

export const argwhere: Op<[input: Tensor], Tensor, "method"> = composite(
  "argwhere",
  "input",
  {
    doc: "Positions of the elements that are not zero, a row each.",
  },
  (input: Tensor) => rowsOf(input),
);

type StaticOp = Op<[input: Tensor, ...Args<[], { size: number; fill_value?: number }>], Tensor, "method">;

export const nonzero_static: StaticOp = composite(
  "nonzero_static",
  "input, *, size, fill_value=-1",
  {
    doc: "nonzero cut or filled up to `size` rows.",
  },
  (input: Tensor, size: number, fill_value: number) => {
    if (size < 0) throw new RuntimeError(`nonzero_static: 'size' must be an non-negative integer, got ${size}`);
    const rows = rowsOf(input);
    const out = filled([size, input.ndim], fill_value, int64, input.device);
    const n = Math.min(size, rows.shape[0]!);
    return out.slice_scatter(rows.slice(0, 0, n), 0, 0, n);
  },
);

function checkMask(op: string, mask: unknown): asserts mask is Tensor {
  if (!(mask instanceof Tensor)) throw new TypeError(`${op}: argument 'mask' must be Tensor, not ${describe(mask)}`);
  if (mask.dtype !== bool) throw new RuntimeError(`${op}: expected BoolTensor for mask, got ${mask.dtype}`);
}

export const masked_select: Op<[input: Tensor, ...Args<[{ mask: Tensor }]>], Tensor, "method"> = composite(
  "masked_select",
  "input, mask",
  { doc: "The elements of input where mask holds, as a vector." },
  (input: Tensor, mask: Tensor) => {
    checkMask("masked_select", mask);
    const shape = broadcastShapes("masked_select", input.shape, mask.shape);
    const [x, m] = shape.length === 0 ? [input.reshape([1]), mask.reshape([1])] : [input.expand(shape), mask.expand(shape)];
    return index_tensors(x, m.nonzero({ as_tuple: true }) as unknown as Tensor[]);
  },
);

type MaskedScatterOp = Op<[input: Tensor, ...Args<[{ mask: Tensor }, { source: Tensor }]>], Tensor, "method" | "inplace">;

export const masked_scatter: MaskedScatterOp = composite(
  "masked_scatter",
  "input, mask, source",
  {
    doc: "A copy of input whose elements where mask holds are the first of source, in order.",
    inplace: true,
  },
  (input: Tensor, mask: Tensor, source: Tensor) => {
    checkMask("masked_scatter", mask);
    if (source.dtype !== input.dtype) {
      throw new RuntimeError(
        `masked_scatter: expected self and source to have same dtypes but got ${input.dtype} and ${source.dtype}`,
      );
    }
    const shape = broadcastShapes("masked_scatter", input.shape, mask.shape);
    const [x, m] = shape.length === 0 ? [input.reshape([1]), mask.reshape([1])] : [input.expand(shape), mask.expand(shape)];
    const at = m.nonzero({ as_tuple: true }) as unknown as Tensor[];
    const n = at[0]!.numel();
    if (n > source.numel()) {
      throw new RuntimeError(
        `masked_scatter: expected number of elements in source (${source.numel()}) >= number of ones in mask (${n})`,
      );
    }
    return put_tensors(x, at, source.reshape([-1]).slice(0, 0, n), false).reshape(shape);
  },
);

type UnravelOp = Op<[indices: Tensor, shape: number | bigint | readonly (number | bigint)[]], Tensor[]>;

export const unravel_index: UnravelOp = composite(
  "unravel_index",
  "indices, shape",
  {
    doc: "Coordinates in `shape` of positions in its flat form.",
    kinds: { shape: "numbers" }, // as they are: sizes beyond 2^53 come as bigints
  },
  (indices: Tensor, shape: Scalar | readonly (number | bigint)[]) => {
    const sizes = (Array.isArray(shape) ? shape : [shape]) as readonly (number | bigint)[];
    if (!isInteger(indices) && indices.dtype !== uint8)
      throw new ValueError(`unravel_index: expected 'indices' to be an integer tensor, got ${indices.dtype}`);
    if (sizes.some((n) => n < 0))
      throw new ValueError(`unravel_index: 'shape' cannot have negative values, got ${sizes.join(", ")}`);
    const out: Tensor[] = [];
    let rest = indices.to(int64);
    for (const n of [...sizes].reverse()) {
      out.unshift(rest.remainder(n));
      rest = rest.floor_divide(n);
    }
    return out;
  },
);
