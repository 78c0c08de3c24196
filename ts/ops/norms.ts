/** Norms of vectors and matrices, distances. */

import type { DType, Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape, normalizeDim, normalizeDims } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import { registry } from "./install.ts";
import { accumulated, cast, expandReduced, reduceTo, type Dims } from "./reduction.ts";

type Core = Op<[input: Tensor, p: number, dims: readonly number[], keepdim: boolean], Tensor>;

/** (sum of |x|^p over dims)^(1/p), with its limits at 0 and ±infinity. */
export const vectorNorm: Core = defineOp("vector_norm", "input, p, dims, keepdim", {
  doc: "",
  method: false,
  forward(ctx, input: Tensor, p: number, dims: number[], keepdim: boolean) {
    const wide = accumulated(input.dtype);
    const x = cast(input, wide);
    const total = (t: Tensor): Tensor => reduceTo("sum", t, dims, keepdim, wide)[0]!;
    let out: Tensor;
    if (p === Infinity && input.numel() === 0) out = total(x.abs());
    else if (Math.abs(p) === Infinity) out = reduceTo(p > 0 ? "max" : "min", x.abs(), dims, keepdim, wide)[0]!;
    else if (p === 0) out = total(x.ne(0).to(wide));
    else if (p === 1) out = total(x.abs());
    else if (p === 2) out = total(x.square()).sqrt();
    else out = total(x.abs().pow(p)).pow(1 / p);
    out = cast(out, input.dtype);
    ctx.state = { p, dims, keepdim };
    ctx.save(input, out);
    return out;
  },
  backward(ctx, g: Tensor) {
    const [x, out] = ctx.saved() as [Tensor, Tensor];
    const { p, dims, keepdim } = ctx.state as { p: number; dims: number[]; keepdim: boolean };
    if (p === 0) return [null];
    return [normGrad(x, p, expandReduced(out, x.shape, dims, keepdim), expandReduced(g, x.shape, dims, keepdim), dims)];
  },
});

/** Where the norm is 0, or an element is and p < 1, the derivative counts as 0. */
function normGrad(x: Tensor, p: number, norm: Tensor, g: Tensor, dims: readonly number[]): Tensor {
  if (p === 1) return x.sgn().mul(g);
  if (p === 2) return g.mul(x.div(norm).masked_fill(norm.eq(0), 0));
  if (Math.abs(p) === Infinity) {
    const size = x.abs();
    const mask = size.eq(norm).logical_or(size.isnan().logical_and(norm.isnan()));
    return x.sgn().mul(g.div(mask.sum(dims, true)).mul(mask));
  }
  if (p < 1) {
    const scaled = x.sgn().mul(
      x
        .abs()
        .pow(p - 1)
        .masked_fill(x.eq(0), 0),
    );
    return scaled.mul(g).mul(norm.pow(1 - p));
  }
  const scaled = p < 2 ? x.sgn().mul(x.abs().pow(p - 1)) : x.mul(x.abs().pow(p - 2));
  return scaled.mul(g.div(norm.pow(p - 1)).masked_fill(norm.eq(0), 0));
}

type DTypeOption = { dtype?: DType | null };
type Ord = Scalar | "fro" | "nuc" | null;
export type NormArgs<O> = Args<[{ ord?: O }, { dim?: Dims }, { keepdim?: boolean }], DTypeOption>;

function floatInput(name: string, input: Tensor, dtype: DType | null): Tensor {
  checkTensor(name, "input", input);
  // Norms of complex numbers are those of their absolute values.
  if (input.dtype.is_complex) return floatInput(name, input.abs(), dtype?.real ?? null);
  if (dtype !== null && !dtype.is_floating_point)
    throw new RuntimeError(`${name}: dtype should be floating point, but got ${dtype}`);
  if (!input.dtype.is_floating_point)
    throw new RuntimeError(`${name}: expected a floating point tensor as input. Got ${input.dtype}`);
  if (dtype !== null && dtype.itemsize < input.dtype.itemsize) {
    throw new RuntimeError(
      `${name}: the dtype of the input (${input.dtype}) should be convertible without narrowing to the specified dtype (${dtype})`,
    );
  }
  return dtype === null ? input : cast(input, dtype);
}

/** linalg.vector_norm */
export function vectorNormOf(name: string, input: Tensor, ord: Scalar, dim: Dims, keepdim: boolean, dtype: DType | null): Tensor {
  const x = floatInput(name, input, dtype);
  const p = Number(ord);
  const dims = normalizeDims(name, dim, x.ndim);
  if (x.numel() === 0 && (p < 0 || p === Infinity)) {
    if (dim === null || dims.length === x.ndim) {
      throw new RuntimeError(
        `${name}: cannot compute the ${p} norm on an empty tensor because the operation does not have an identity`,
      );
    }
    for (const d of dims) {
      if (x.shape[d] === 0) {
        throw new RuntimeError(
          `${name}: cannot compute the ${p} norm on the dimension ${d} because this dimension is empty and the operation does not have an identity`,
        );
      }
    }
  }
  return vectorNorm(x, p, dims, keepdim);
}

/** linalg.matrix_norm */
export function matrixNormOf(name: string, input: Tensor, ord: Ord, dim: Dims, keepdim: boolean, dtype: DType | null): Tensor {
  checkTensor(name, "input", input);
  if (input.ndim < 2)
    throw new RuntimeError(`${name}: the input tensor must have at least 2 dimensions, got shape ${formatShape(input.shape)}`);
  const pair = typeof dim === "number" || dim === null ? [dim ?? 0] : dim;
  if (pair.length !== 2) throw new RuntimeError(`${name}: dim must be a 2-tuple of ints, got [${pair.join(", ")}]`);
  const [a, b] = pair.map((d) => normalizeDim(name, d, input.ndim)) as [number, number];
  if (a === b) throw new RuntimeError(`${name}: dims must be different, got (${pair.join(", ")})`);
  const x = floatInput(name, input, dtype);
  if (ord === "fro" || ord === null) return vectorNorm(x, 2, [a, b], keepdim);
  const p = typeof ord === "string" ? null : Number(ord);
  if (ord !== "nuc" && !(p !== null && [1, 2, Infinity].includes(Math.abs(p)))) {
    throw new RuntimeError(`${name}: order ${String(ord)} not supported`);
  }
  let out: Tensor;
  if (p !== null && Math.abs(p) !== 2) {
    // 1: the greatest (least) sum of a column; infinity: of a row.
    const [summed, left] = Math.abs(p) === 1 ? [a, b] : [b, a];
    const sums = vectorNorm(x, 1, [summed], true);
    out = p > 0 ? sums.amax(left, true) : sums.amin(left, true);
  } else {
    const values = singularValues((input.dtype.is_complex ? input : x).movedim([a, b], [-2, -1]));
    out = p === null ? values.sum(-1) : p > 0 ? values.amax(-1) : values.amin(-1);
    for (const d of [a, b].sort((i, j) => i - j)) out = out.unsqueeze(d);
  }
  if (keepdim) return out;
  return out.squeeze([a, b]);
}

function singularValues(x: Tensor): Tensor {
  // Late bound: decompositions are made of what is here.
  const op = registry.get("linalg.svdvals") as unknown as (a: Tensor) => Tensor;
  return op(x);
}

/** linalg.norm */
export function normOf(name: string, input: Tensor, ord: Ord, dim: Dims, keepdim: boolean, dtype: DType | null): Tensor {
  checkTensor(name, "input", input);
  if (dim !== null && typeof dim !== "number" && dim.length > 2 && ord !== null) {
    throw new RuntimeError(`${name}: If dim is specified, it must be of length 1 or 2. Got [${dim.join(", ")}]`);
  }
  if (ord === null) return vectorNormOf(name, input, 2, dim, keepdim, dtype);
  const dims = dim === null ? null : typeof dim === "number" ? [dim] : dim;
  if (dims === null && input.ndim !== 1 && input.ndim !== 2) {
    throw new RuntimeError(`${name}: If dim is not specified but ord is, the input must be 1D or 2D. Got ${input.ndim}D.`);
  }
  const size = dims?.length ?? input.ndim;
  if (size === 2) return matrixNormOf(name, input, ord, dims ?? [0, 1], keepdim, dtype);
  if (typeof ord === "string") throw new RuntimeError(`${name}: order ${ord} is for matrices only`);
  return vectorNormOf(name, input, ord, dims, keepdim, dtype);
}

type NormOp = Op<
  [input: Tensor, ...Args<[{ p?: Ord }, { dim?: Dims }, { keepdim?: boolean }, { dtype?: DType | null }]>],
  Tensor,
  "method"
>;

export const norm: NormOp = composite(
  "norm",
  "input, p='fro', dim=None, keepdim=False, dtype=None",
  {
    doc: "p-norm over dim or all; 'fro' is 2, 'nuc' the sum of singular values.",
  },
  (input: Tensor, p: Ord, dim: Dims, keepdim: boolean, dtype: DType | null) => {
    checkTensor("norm", "input", input);
    if (p === "nuc") return matrixNormOf("norm", input, "nuc", dim ?? [-2, -1], keepdim, dtype);
    if (typeof p === "string" && p !== "fro") throw new RuntimeError(`norm: order ${p as string} not supported`);
    return vectorNormOf("norm", input, p === "fro" || p === null ? 2 : p, dim, keepdim, dtype);
  },
);

export const dist: Op<[input: Tensor, ...Args<[{ other: Tensor }, { p?: Scalar }]>], Tensor, "method"> = composite(
  "dist",
  "input, other, p=2",
  { doc: "p-norm of input - other." },
  (input: Tensor, other: Tensor, p: Scalar) => {
    checkTensor("dist", "input", input);
    checkTensor("dist", "other", other);
    return vectorNormOf("dist", input.sub(other), p, null, false, null);
  },
);

type RenormOp = Op<[input: Tensor, ...Args<[{ p: Scalar }, { dim: number }, { maxnorm: Scalar }]>], Tensor, "method" | "inplace">;

export const renorm: RenormOp = composite(
  "renorm",
  "input, p, dim, maxnorm",
  {
    doc: "Scales down the slices along dim whose p-norm exceeds maxnorm.",
    inplace: true,
  },
  (input: Tensor, p: Scalar, dim: number, maxnorm: Scalar) => {
    checkTensor("renorm", "input", input);
    if (!(Number(p) > 0)) throw new RuntimeError(`renorm: non-positive-norm not supported, got p=${Number(p)}`);
    if (!(Number(maxnorm) >= 0)) throw new RuntimeError(`renorm: expected maxnorm to be >= 0 but got ${Number(maxnorm)}`);
    if (input.ndim < 2) throw new RuntimeError(`renorm: input needs at least 2 dimensions, got ${input.ndim} dimensions`);
    const d = normalizeDim("renorm", dim, input.ndim);
    const others = input.shape.map((_, i) => i).filter((i) => i !== d);
    const size = vectorNorm(input, Number(p), others, true);
    const limit = Number(maxnorm);
    const scale = size.add(1e-7).reciprocal().mul(limit);
    return input.mul(scale.where(size.gt(limit), 1));
  },
);

/**
 * The last dimension's norm, as distances have it: with p = 0 the derivative is zero, where a norm has none, and with p = inf every element
 * that is the greatest gets all of the gradient, where a norm divides it.
 */
export function distances(difference: Tensor, p: number): Tensor {
  if (difference.shape.at(-1) === 0) return difference.sum(-1);
  const out = vectorNorm(difference, p, [difference.ndim - 1], false);
  if (p === Infinity && difference.requires_grad) {
    const value = difference.detach();
    const slope = value.sgn().mul(value.abs().eq(out.detach().unsqueeze(-1)));
    // Adds zero, with this slope.
    return out.detach().add(difference.sub(value).masked_fill(value.isfinite().logical_not(), 0).mul(slope).sum(-1));
  }
  return p === 0
    ? out.detach().add(difference.masked_fill(difference.eq(difference).logical_or(difference.isnan()), 0).sum(-1))
    : out;
}

type CdistOp = Op<[x1: Tensor, ...Args<[{ x2: Tensor }, { p?: Scalar }, { compute_mode?: string }]>], Tensor>;

export const cdist: CdistOp = composite(
  "cdist",
  "x1, x2, p=2, compute_mode='use_mm_for_euclid_dist_if_necessary'",
  {
    doc: "p-norm distances between each row of x1 [..., P, M] and each of x2 [..., R, M].",
  },
  (x1: Tensor, x2: Tensor, p: Scalar) => {
    checkTensor("cdist", "x1", x1);
    checkTensor("cdist", "x2", x2);
    for (const [n, x] of [
      ["X1", x1],
      ["X2", x2],
    ] as const) {
      if (!x.dtype.is_floating_point) throw new RuntimeError(`cdist: only supports floating-point dtypes, ${n} got: ${x.dtype}`);
      if (x.ndim < 2) throw new RuntimeError(`cdist: only supports at least 2D tensors, ${n} got: ${x.ndim}D`);
    }
    if (x1.shape.at(-1) !== x2.shape.at(-1)) {
      throw new RuntimeError(
        `cdist: X1 and X2 must have the same number of columns. X1: ${x1.shape.at(-1)} X2: ${x2.shape.at(-1)}`,
      );
    }
    if (!(Number(p) >= 0)) throw new RuntimeError(`cdist: only supports non-negative p values, got ${Number(p)}`);
    return distances(x1.unsqueeze(-2).sub(x2.unsqueeze(-3)), Number(p));
  },
);
