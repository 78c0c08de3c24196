/** The greatest and the least over dimensions, and where they are. */

import { bool, int64, type DType } from "../core/dtype.ts";
import { IndexError, RuntimeError } from "../core/errors.ts";
import { normalizeDim, normalizeDims } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, defineOp, named, type Op, type OpInfo } from "../engine/define.ts";
import { reduce } from "../engine/run.ts";
import { checkTensor, describe, type Args } from "../engine/signature.ts";
import { maximum, minimum } from "./extrema.ts";
import { expandReduced, oneDim, reduceTo, type Dims, type ReductionOp } from "./reduction.ts";

export type ValuesAndIndices = Tensor[] & { readonly values: Tensor; readonly indices: Tensor };
export const VALUES_INDICES = ["values", "indices"] as const;

/** Nothing is the greatest of nothing. */
function checkNotEmpty(op: string, input: Tensor, dims: readonly number[], wasNull: boolean): void {
  if (input.numel() > 0) return;
  if (wasNull) {
    throw new RuntimeError(
      `${op}: expected reduction dim to be specified for input.numel() == 0. Specify it with the 'dim' argument.`,
    );
  }
  for (const d of dims) {
    if (input.shape[d] === 0) throw new IndexError(`${op}: expected reduction dim ${d} to have non-zero size.`);
  }
}

/** Elements equal to the result share its gradient. */
function sharedGrad(g: Tensor, input: Tensor, out: Tensor, dims: readonly number[], nan: boolean): Tensor {
  const mask = nan ? input.eq(out).logical_or(input.isnan().logical_and(out.isnan())) : input.eq(out);
  return mask.mul(g).div(mask.sum(dims, true));
}

function extreme(name: "amax" | "amin", op: "max" | "min", doc: string): ReductionOp {
  return defineOp(name, "input, dim=None, keepdim=False", {
    doc,
    forward(ctx, input: Tensor, dim: Dims, keepdim: boolean) {
      checkTensor(name, "input", input);
      const dims = normalizeDims(name, dim, input.ndim);
      checkNotEmpty(name, input, dims, dims.length === input.ndim && (dim === null || typeof dim !== "number"));
      ctx.state = { dims, keepdim };
      const out = reduceTo(op, input, dims, keepdim, input.dtype)[0]!;
      ctx.save(input, out);
      return out;
    },
    backward(ctx, g: Tensor) {
      const [input, out] = ctx.saved() as [Tensor, Tensor];
      const { dims, keepdim } = ctx.state as { dims: number[]; keepdim: boolean };
      const spread = (t: Tensor): Tensor => expandReduced(t, input.shape, dims, keepdim);
      return [sharedGrad(spread(g), input, spread(out), dims, false)];
    },
  });
}

export const amax: ReductionOp = extreme(
  "amax",
  "max",
  "The greatest over dim (one, several, or all); equals share the gradient.",
);
export const amin: ReductionOp = extreme("amin", "min", "The least over dim (one, several, or all); equals share the gradient.");

function whole(name: "max" | "min"): Op<[input: Tensor], Tensor> {
  return defineOp(name, "input", {
    doc: "",
    method: false,
    forward(ctx, input: Tensor) {
      checkNotEmpty(name, input, [], true);
      const dims = normalizeDims(name, null, input.ndim);
      const out = reduce(name, input, dims, [input.dtype])[0]!;
      ctx.save(input, out);
      return out;
    },
    backward(ctx, g: Tensor) {
      const [input, out] = ctx.saved() as [Tensor, Tensor];
      return [sharedGrad(g, input, out, normalizeDims(name, null, input.ndim), true)];
    },
  });
}

/** The gradient of values picked along a dim: back to where they were. */
export function pickedGrad(g: Tensor, indices: Tensor, shape: readonly number[], dim: number, keepdim: boolean): Tensor {
  const spread = keepdim || shape.length === 0;
  const at = spread ? indices : indices.unsqueeze(dim);
  return g.new_zeros(shape).scatter_add(dim, at, spread ? g : g.unsqueeze(dim));
}

function along(name: "max" | "min"): Op<[input: Tensor, dim: number, keepdim: boolean], ValuesAndIndices> {
  return defineOp(name, "input, dim, keepdim", {
    doc: "",
    method: false,
    forward(ctx, input: Tensor, dim: number, keepdim: boolean) {
      const d = normalizeDim(name, dim, input.ndim);
      const dims = input.ndim === 0 ? [] : [d];
      checkNotEmpty(name, input, dims, false);
      const out = reduceTo(`${name}_arg`, input, dims, keepdim, input.dtype, int64);
      ctx.save(out[1]!);
      ctx.state = { shape: input.shape, d, keepdim };
      return named(VALUES_INDICES, out);
    },
    backward(ctx, g: Tensor) {
      const { shape, d, keepdim } = ctx.state as { shape: number[]; d: number; keepdim: boolean };
      return [pickedGrad(g, ctx.saved()[0]!, shape, d, keepdim)];
    },
  });
}

type DimOptions = { readonly keepdim?: boolean };
export interface ExtremeMethod {
  (): Tensor;
  (other: Tensor): Tensor;
  (options: { readonly other: Tensor }): Tensor;
  (dim: number, keepdim?: boolean): ValuesAndIndices;
  (dim: number, options: DimOptions): ValuesAndIndices;
  (options: DimOptions & { readonly dim: number }): ValuesAndIndices;
}
interface ExtremeFunction {
  (input: Tensor): Tensor;
  (input: Tensor, other: Tensor): Tensor;
  (input: Tensor, options: { readonly other: Tensor }): Tensor;
  (input: Tensor, dim: number, keepdim?: boolean): ValuesAndIndices;
  (input: Tensor, dim: number, options: DimOptions): ValuesAndIndices;
  (input: Tensor, options: DimOptions & { readonly dim: number }): ValuesAndIndices;
  readonly info: OpInfo;
}
/** Methods of Tensor whose type depends on what they are given. */
export interface ExtremeMethods {
  max: ExtremeMethod;
  min: ExtremeMethod;
}

function overloaded(name: "max" | "min", what: string, binary: typeof maximum): ExtremeFunction {
  const all = whole(name);
  const one = along(name);
  return composite(
    name,
    "input, dim=None, keepdim=False, *, other=None",
    {
      doc: `The ${what} of all elements; with dim: values and indices along it; with other: ${binary.info.name}.`,
    },
    (input: Tensor, dim: number | Tensor | null, keepdim: boolean, other: Tensor | null) => {
      checkTensor(name, "input", input);
      if (dim instanceof Tensor) return binary(input, dim);
      if (other !== null) return binary(input, other);
      if (dim === null) return all(input);
      if (typeof dim !== "number")
        throw new TypeError(`${name}: expected dim to be an int or other to be a Tensor, got ${describe(dim)}`);
      return one(input, dim, keepdim);
    },
  );
}

export const max: ExtremeFunction = overloaded("max", "greatest", maximum);
export const min: ExtremeFunction = overloaded("min", "least", minimum);

type AminmaxOp = Op<
  [input: Tensor, options?: { dim?: number | null; keepdim?: boolean }],
  Tensor[] & { readonly min: Tensor; readonly max: Tensor },
  "method"
>;

export const aminmax: AminmaxOp = composite(
  "aminmax",
  "input, *, dim=None, keepdim=False",
  {
    doc: "The least and the greatest, over one dim or all.",
  },
  (input: Tensor, dim: number | null, keepdim: boolean) => {
    checkTensor("aminmax", "input", input);
    if (input.numel() === 0 && dim === null) {
      throw new RuntimeError("aminmax: cannot compute aminmax over an empty dimension as the operation has no identity.");
    }
    return named(["min", "max"], [amin(input, dim, keepdim), amax(input, dim, keepdim)]);
  },
);

type ArgOp = Op<[input: Tensor, ...Args<[{ dim?: number | null }, { keepdim?: boolean }]>], Tensor, "method">;

function arg(name: "argmax" | "argmin", what: string): ArgOp {
  return defineOp(name, "input, dim=None, keepdim=False", {
    doc: `Where along dim (or in the flattened input) the ${what} is; the first of equals.`,
    forward(_ctx, input: Tensor, dim: number | null, keepdim: boolean) {
      checkTensor(name, "input", input);
      const dims = dim === null ? normalizeDims(name, null, input.ndim) : input.ndim === 0 ? [] : [oneDim(name, input, dim)];
      if (dim !== null) oneDim(name, input, dim);
      checkNotEmptyIndex(name, input, dims, dim);
      checkOrdered(name, input.dtype);
      return reduceTo(name, input, dims, keepdim, int64)[0]!;
    },
  });
}

function checkNotEmptyIndex(name: string, input: Tensor, dims: readonly number[], dim: number | null): void {
  if (input.numel() === 0 && dim === null) {
    throw new IndexError(`${name}: expected reduction dim to be specified for input.numel() == 0.`);
  }
  checkNotEmpty(name, input, dims, false);
}

function checkOrdered(name: string, dtype: DType): void {
  if (dtype === bool) throw new RuntimeError(`${name}: not implemented for ${dtype}`);
}

export const argmax: ArgOp = arg("argmax", "greatest");
export const argmin: ArgOp = arg("argmin", "least");
