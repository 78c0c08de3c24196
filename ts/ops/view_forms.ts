/** Views named after what they are for: fewer or more dimensions, another order, another tensor's shape. */

import { RuntimeError } from "../core/errors.ts";
import { broadcastShapes, formatShape, inferShape, normalizeDim, normalizeDims, numelOf, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { joined, part } from "../engine/complex.ts";
import { composite, defineView, makeOp, type Op } from "../engine/define.ts";
import { checkWritable } from "../engine/inplace.ts";
import { describe, type Args } from "../engine/signature.ts";
import { as_strided, permute, transpose, unsqueeze } from "./views.ts";

type ViewOp<A extends readonly unknown[] = []> = Op<[input: Tensor, ...A], Tensor, "method">;
type DimList = number | readonly number[];

type SqueezeOp = ViewOp<Args<[{ dim?: DimList | null }]>>;

export const squeeze: SqueezeOp = defineView("squeeze", "input, dim=None", {
  doc: "Without its dimensions of size 1, or without those of dim.",
  geometry(input: Tensor, dim: DimList | null) {
    const none = dim !== null && typeof dim !== "number" && dim.length === 0;
    const dims = none ? [] : normalizeDims("squeeze", dim, input.ndim);
    const kept = input.shape.map((_, d) => d).filter((d) => input.shape[d] !== 1 || !dims.includes(d));
    return {
      shape: kept.map((d) => input.shape[d]!),
      strides: kept.map((d) => input._strides[d]!),
      offset: input._offset,
    };
  },
  backward: (g, { shape }) => g.reshape(shape),
});

export const flatten: ViewOp<Args<[{ start_dim?: number }, { end_dim?: number }]>> = composite(
  "flatten",
  "input, start_dim=0, end_dim=-1",
  { doc: "The dimensions from start_dim to end_dim as one." },
  (input: Tensor, start_dim: number, end_dim: number) => {
    const a = normalizeDim("flatten", start_dim, input.ndim);
    const b = normalizeDim("flatten", end_dim, input.ndim);
    if (a > b) throw new RuntimeError(`flatten: start_dim (${start_dim}) cannot come after end_dim (${end_dim})`);
    if (input.ndim === 0) return input.reshape([1]);
    if (a === b) return input;
    const { shape } = input;
    return input.reshape([...shape.slice(0, a), numelOf(shape.slice(a, b + 1)), ...shape.slice(b + 1)]);
  },
);

export const unflatten: ViewOp<Args<[{ dim: number }, { sizes: Shape }]>> = composite(
  "unflatten",
  "input, dim, sizes",
  {
    doc: "One dimension as several, of which one size may be -1.",
  },
  (input: Tensor, dim: number, sizes: Shape) => {
    const d = normalizeDim("unflatten", dim, input.ndim);
    if (sizes.length === 0) throw new RuntimeError("unflatten: sizes must be non-empty");
    const parts = inferShape("unflatten", sizes, input.shape[d]!);
    return input.view([...input.shape.slice(0, d), ...parts, ...input.shape.slice(d + 1)]);
  },
);

export const ravel: ViewOp = composite(
  "ravel",
  "input",
  {
    doc: "All elements as one dimension.",
  },
  (input: Tensor) => input.reshape([-1]),
);

export const t: ViewOp = composite(
  "t",
  "input",
  { doc: "The transpose of a matrix; vectors and 0-d tensors stay." },
  (input: Tensor) => {
    if (input.ndim > 2) throw new RuntimeError(`t: expects a tensor with <= 2 dimensions, but self is ${input.ndim}D`);
    return input.ndim < 2 ? input.view(input.shape) : transpose(input, 0, 1);
  },
);

type SwapOp<A extends string, B extends string> = ViewOp<Args<[{ [K in A]: number }, { [K in B]: number }]>>;

export const swapaxes: SwapOp<"axis0", "axis1"> = composite(
  "swapaxes",
  "input, axis0, axis1",
  {
    doc: "transpose under NumPy's name.",
  },
  (input: Tensor, axis0: number, axis1: number) => transpose(input, axis0, axis1),
);

export const swapdims: SwapOp<"dim0", "dim1"> = composite(
  "swapdims",
  "input, dim0, dim1",
  {
    doc: "transpose under another name.",
  },
  (input: Tensor, dim0: number, dim1: number) => transpose(input, dim0, dim1),
);

type MovedimOp = ViewOp<Args<[{ source: DimList }, { destination: DimList }]>>;

const listOf = (x: DimList): readonly number[] => (typeof x === "number" ? [x] : x);

function moved(name: string, input: Tensor, source: DimList, destination: DimList): Tensor {
  const [from, to] = [listOf(source), listOf(destination)];
  if (from.length !== to.length) {
    throw new RuntimeError(
      `${name}: Invalid source or destination dims: source (${formatShape(from)} dims) should contain the same number of dims as destination (${formatShape(to)} dims)`,
    );
  }
  const [a, b] = [from, to].map((dims, i) => {
    const all = dims.map((d) => normalizeDim(name, d, input.ndim));
    if (new Set(all).size !== all.length) {
      throw new RuntimeError(`${name}: repeated dim in \`${i === 0 ? "source" : "destination"}\` (${formatShape(dims)})`);
    }
    return all;
  }) as [number[], number[]];
  const order = new Array<number>(input.ndim).fill(-1);
  a.forEach((d, i) => (order[b[i]!] = d));
  const rest = input.shape.map((_, d) => d).filter((d) => !a.includes(d));
  return permute(input, input.ndim === 0 ? [] : order.map((d) => (d < 0 ? rest.shift()! : d)));
}

export const movedim: MovedimOp = composite(
  "movedim",
  "input, source, destination",
  {
    doc: "Dimensions moved to other places, the others in their order.",
  },
  (input: Tensor, source: DimList, destination: DimList) => moved("movedim", input, source, destination),
);

export const moveaxis: MovedimOp = composite(
  "moveaxis",
  "input, source, destination",
  {
    doc: "movedim under NumPy's name.",
  },
  (input: Tensor, source: DimList, destination: DimList) => moved("moveaxis", input, source, destination),
);

/** Conjugates are computed at once. */
function conjugate(x: Tensor): Tensor {
  return x.dtype.is_complex ? joined(part(x, 0), part(x, 1).neg()) : x;
}

export const adjoint: ViewOp = composite(
  "adjoint",
  "input",
  {
    doc: "The conjugate transpose of matrices.",
  },
  (input: Tensor) => conjugate(matrices("adjoint", input)),
);

function matrices(name: string, x: Tensor): Tensor {
  if (x.ndim < 2) {
    throw new RuntimeError(`${name}: only supported on matrices or batches of matrices. Got ${x.ndim}-D tensor.`);
  }
  return transpose(x, -2, -1);
}

// Shapes of other tensors

type AsOp = ViewOp<Args<[{ other: Tensor }]>>;

function shapeOf(name: string, other: unknown): Shape {
  if (!(other instanceof Tensor)) throw new TypeError(`${name}: argument 'other' must be Tensor, not ${describe(other)}`);
  return other.shape;
}

export const expand_as: AsOp = composite(
  "expand_as",
  "input, other",
  {
    doc: "expand to other's shape.",
  },
  (input: Tensor, other: Tensor) => input.expand(shapeOf("expand_as", other)),
);

export const view_as: AsOp = composite(
  "view_as",
  "input, other",
  {
    doc: "view in other's shape.",
  },
  (input: Tensor, other: Tensor) => input.view(shapeOf("view_as", other)),
);

export const reshape_as: AsOp = composite(
  "reshape_as",
  "input, other",
  {
    doc: "reshape to other's shape.",
  },
  (input: Tensor, other: Tensor) => input.reshape(shapeOf("reshape_as", other)),
);

export const broadcast_to: ViewOp<Args<[{ size: Shape }]>> = composite(
  "broadcast_to",
  "input, size",
  {
    doc: "expand, as a function.",
  },
  (input: Tensor, size: Shape) => input.expand(size),
);

export const broadcast_tensors: Op<readonly Tensor[], Tensor[]> = composite(
  "broadcast_tensors",
  "*tensors",
  {
    doc: "All tensors expanded to their common shape.",
  },
  (tensors: readonly Tensor[]) => {
    const shape = tensors.reduce<Shape>((s, x) => broadcastShapes("broadcast_tensors", s, shapeOf("broadcast_tensors", x)), []);
    return tensors.map((x) => x.expand(shape));
  },
);

/** The shape that tensors of these shapes broadcast to. */
export function broadcast_shapes(...shapes: readonly (number | Shape)[]): Shape {
  return shapes.reduce<Shape>((all, s) => {
    const own = typeof s === "number" ? [s] : s;
    if (!Array.isArray(own)) throw new RuntimeError(`broadcast_shapes: expected sizes or lists of them, got ${describe(own)}`);
    for (const n of own) if (n < 0) throw new RuntimeError(`broadcast_shapes: invalid size ${n} in ${formatShape(own)}`);
    return broadcastShapes("broadcast_shapes", all, own);
  }, []);
}

type Tensors = readonly Tensor[];
/** One tensor, or several in one list or as arguments. */
export interface AtLeast {
  (tensor: Tensor): Tensor;
  (tensors: Tensors): Tensor[];
  (...tensors: Tensors): Tensor[];
}

function atleast(name: string, grow: (x: Tensor) => Tensor): AtLeast {
  const one = (x: unknown): Tensor => {
    if (!(x instanceof Tensor)) throw new TypeError(`${name}: expected Tensors, got ${describe(x)}`);
    return grow(x);
  };
  const doc = `Tensors with at least ${name.slice(-2, -1)} dimensions.`;
  // Bound by hand: one tensor gives one, a list of one a list.
  return makeOp<AtLeast>(name, "*tensors", "composite", { doc, method: false }, () => (...given: (Tensor | Tensors)[]) => {
    const first = given[0];
    if (Array.isArray(first)) return (first as Tensor[]).map(one);
    return given.length === 1 ? one(first) : given.map(one);
  });
}

/** At least one dimension. */
export const atleast_1d: AtLeast = atleast("atleast_1d", (x) => (x.ndim === 0 ? x.reshape([1]) : x));
/** At least two dimensions, new ones in front. */
export const atleast_2d: AtLeast = atleast("atleast_2d", (x) =>
  x.ndim === 0 ? x.reshape([1, 1]) : x.ndim === 1 ? unsqueeze(x, 0) : x,
);
/** At least three dimensions; a matrix gets the new one at the end. */
export const atleast_3d: AtLeast = atleast("atleast_3d", (x) => {
  if (x.ndim === 0) return x.reshape([1, 1, 1]);
  if (x.ndim === 1) return unsqueeze(unsqueeze(x, 0), -1);
  return x.ndim === 2 ? unsqueeze(x, -1) : x;
});

// In place: the tensor itself takes another geometry

type Mutable = { -readonly [K in "shape" | "_strides" | "_offset"]: Tensor[K] };

/** Gives `self` the geometry and history of `view`, a view of it. */
function reshapeInPlace(name: string, self: Tensor, view: Tensor): Tensor {
  checkWritable(name, self);
  const target = self as Mutable;
  target.shape = view.shape;
  target._strides = view._strides;
  target._offset = view._offset;
  if (view._gradFn !== null) {
    self._gradFn = view._gradFn;
    self._outputNr = view._outputNr;
  }
  self._storage.version++;
  return self;
}

type GeometryOp<A extends readonly unknown[] = []> = Op<[self: Tensor, ...A], Tensor, "method">;

export const squeeze_: GeometryOp<Args<[{ dim?: DimList | null }]>> = composite(
  "squeeze_",
  "self, dim=None",
  {
    doc: "squeeze in place.",
  },
  (self: Tensor, dim: DimList | null) => reshapeInPlace("squeeze_", self, squeeze(self, dim)),
);

export const unsqueeze_: GeometryOp<Args<[{ dim: number }]>> = composite(
  "unsqueeze_",
  "self, dim",
  {
    doc: "unsqueeze in place.",
  },
  (self: Tensor, dim: number) => reshapeInPlace("unsqueeze_", self, unsqueeze(self, dim)),
);

export const t_: GeometryOp = composite("t_", "self", { doc: "t in place." }, (self: Tensor) =>
  reshapeInPlace("t_", self, t(self)),
);

export const transpose_: GeometryOp<Args<[{ dim0: number }, { dim1: number }]>> = composite(
  "transpose_",
  "self, dim0, dim1",
  {
    doc: "transpose in place.",
  },
  (self: Tensor, dim0: number, dim1: number) => reshapeInPlace("transpose_", self, transpose(self, dim0, dim1)),
);

export const as_strided_: GeometryOp<Args<[{ size: Shape }, { stride: Shape }, { storage_offset?: number | null }]>> = composite(
  "as_strided_",
  "self, size, stride, storage_offset=None",
  { doc: "as_strided in place." },
  (self: Tensor, size: Shape, stride: Shape, storage_offset: number | null) =>
    reshapeInPlace("as_strided_", self, as_strided(self, size, stride, storage_offset)),
);

export const detach_: GeometryOp = composite("detach_", "self", { doc: "Takes the tensor out of the graph." }, (self: Tensor) => {
  if (self._view !== null) {
    throw new RuntimeError("detach_: Can't detach views in-place. Use detach() instead.");
  }
  self._gradFn = null;
  self._leafRequiresGrad = false;
  return self;
});

// Properties

declare module "../core/tensor.ts" {
  interface Tensor {
    /** Dimensions in reverse. */
    readonly T: Tensor;
    /** The conjugate transpose of a matrix. */
    readonly H: Tensor;
    /** The last two dimensions swapped. */
    readonly mT: Tensor;
    /** The conjugate of mT. */
    readonly mH: Tensor;
    /** The real parts; a real tensor itself. */
    readonly real: Tensor;
    /** The imaginary parts. */
    readonly imag: Tensor;
  }
}

function property(name: string, get: (x: Tensor) => Tensor): void {
  Object.defineProperty(Tensor.prototype, name, {
    get(this: Tensor) {
      return get(this);
    },
    configurable: true,
  });
}

property("T", (x) =>
  permute(
    x,
    x.shape.map((_, d) => x.ndim - 1 - d),
  ),
);
property("H", (x) => {
  if (x.ndim !== 2 && x.ndim !== 0) {
    throw new RuntimeError(`tensor.H: only supported on matrices (2-D tensors). Got ${x.ndim}-D tensor. Use mH for batches.`);
  }
  return conjugate(t(x));
});
property("mT", (x) => matrices("tensor.mT", x));
property("mH", (x) => conjugate(matrices("tensor.mH", x)));

property("real", (x) => (x.dtype.is_complex ? part(x, 0) : x));
property("imag", (x) => {
  if (!x.dtype.is_complex) throw new RuntimeError(`imag: is not implemented for tensors with non-complex dtypes, got ${x.dtype}`);
  return part(x, 1);
});
