/** Sums, products, means and counts over dimensions. */

import { bool, float32, get_default_dtype, int64, uint8, type DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled } from "../core/grad_mode.ts";
import { formatShape, normalizeDim, normalizeDims, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import { reduce } from "../engine/run.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import type { ReduceOp } from "../kernel/spec.ts";
import { ones_like } from "./creation.ts";
import { cat } from "./joining.ts";

export type Dims = number | readonly number[] | null;
export type ReductionOp<K extends object = object> = Op<
  [input: Tensor, ...Args<[{ dim?: Dims }, { keepdim?: boolean }], K>],
  Tensor,
  "method"
>;

/** Puts size-1 dims back where a reduction removed them. */
export function keepDims(t: Tensor, dims: readonly number[], keepdim: boolean): Tensor {
  return keepdim ? [...dims].sort((a, b) => a - b).reduce((x, d) => x.unsqueeze(d), t) : t;
}

/** Spreads a reduction's gradient (or result) back over the input's shape. */
export function expandReduced(g: Tensor, shape: readonly number[], dims: readonly number[], keepdim: boolean): Tensor {
  return (keepdim ? g : keepDims(g, dims, true)).expand(shape);
}

/** A result without its removed dims → with them, as the caller asked. No autograd: for use in forwards. */
export function shaped(t: Tensor, dims: readonly number[], keepdim: boolean): Tensor {
  const out = keepDims(t, dims, keepdim);
  out._view = null;
  return out;
}

/** float16 and bfloat16 are accumulated, and finished, in float32. */
export const accumulated = (dtype: DType): DType => (dtype.is_floating_point && dtype.itemsize === 2 ? float32 : dtype);
/** What integers become where a result is not whole. */
export const floating = (dtype: DType): DType => (dtype.is_floating_point ? dtype : get_default_dtype());
export const cast = (x: Tensor, dtype: DType): Tensor => (x.dtype === dtype ? x : x.to(dtype));
/** Elements that one result is made of. */
export const countOf = (x: { shape: readonly number[] }, dims: readonly number[]): number =>
  dims.reduce((n, d) => n * x.shape[d]!, 1);

export const sum: ReductionOp<{ dtype?: DType | null }> = defineOp("sum", "input, dim=None, keepdim=False, *, dtype=None", {
  doc: "Sum over dim (one, several, or all). Integers are summed as int64 unless dtype says otherwise.",
  forward(ctx, input: Tensor, dim: Dims, keepdim: boolean, dtype: DType | null) {
    checkTensor("sum", "input", input);
    const dims = normalizeDims("sum", dim, input.ndim);
    const type = dtype ?? (input.dtype.is_floating_point ? input.dtype : int64);
    ctx.state = { shape: input.shape, dims, keepdim };
    return shaped(reduce("sum", cast(input, type), dims, [type])[0]!, dims, keepdim);
  },
  backward({ state: { shape, dims, keepdim } }, g: Tensor) {
    return [expandReduced(g, shape, dims, keepdim)];
  },
});

type SumToSizeOp = Op<[input: Tensor, size: readonly number[]], Tensor, "method">;

export const sum_to_size: SumToSizeOp = composite(
  "sum_to_size",
  "input, *size",
  {
    doc: "Sums the dimensions in which size broadcasts to input's shape: the adjoint of expand.",
  },
  (input: Tensor, size: readonly number[]) => {
    if (size.length === 0) return input.sum();
    if (sameShape(input.shape, size)) return input;
    const pad = input.ndim - size.length;
    const dims = input.shape.map((_, d) => d).filter((d) => d < pad || (size[d - pad] === 1 && input.shape[d] !== 1));
    if (pad < 0 || input.shape.some((n, d) => d >= pad && size[d - pad] !== 1 && size[d - pad] !== n)) {
      throw new RuntimeError(`sum_to_size: size ${formatShape(size)} is not expandable to size ${formatShape(input.shape)}`);
    }
    return input.sum(dims, true).reshape(size);
  },
);

export const mean: ReductionOp<{ dtype?: DType | null }> = defineOp("mean", "input, dim=None, keepdim=False, *, dtype=None", {
  doc: "Mean over dim (one, several, or all), of a floating type.",
  forward(ctx, input: Tensor, dim: Dims, keepdim: boolean, dtype: DType | null) {
    checkTensor("mean", "input", input);
    const dims = normalizeDims("mean", dim, input.ndim);
    const type = dtype ?? input.dtype;
    if (!type.is_floating_point) {
      throw new RuntimeError(
        `mean: could not infer output dtype. ${dtype === null ? "Input" : "Optional"} dtype must be a floating point dtype. Got: ${type}`,
      );
    }
    const n = countOf(input, dims);
    ctx.state = { shape: input.shape, dims, keepdim, n };
    const wide = accumulated(type);
    const total = reduce("sum", cast(cast(input, type), wide), dims, [wide])[0]!;
    return shaped(cast(total.div(n), type), dims, keepdim);
  },
  backward({ state: { shape, dims, keepdim, n } }, g: Tensor) {
    return [expandReduced(g.div(n), shape, dims, keepdim)];
  },
});

type ProdOp = Op<
  [input: Tensor, ...Args<[{ dim?: number | null }, { keepdim?: boolean }], { dtype?: DType | null }>],
  Tensor,
  "method"
>;

export const prod: ProdOp = defineOp("prod", "input, dim=None, keepdim=False, *, dtype=None", {
  doc: "Product over dim, or of all elements. Integers are multiplied as int64 unless dtype says otherwise.",
  forward(ctx, input: Tensor, dim: number | null, keepdim: boolean, dtype: DType | null) {
    checkTensor("prod", "input", input);
    const dims = normalizeDims("prod", dim, input.ndim);
    const type = dtype ?? (input.dtype.is_floating_point ? input.dtype : int64);
    ctx.state = { shape: input.shape, dims, keepdim };
    const x = cast(input, type);
    ctx.save(ctx.needs[0] ? x : null);
    return shaped(reduce("prod", x, dims, [type])[0]!, dims, keepdim);
  },
  backward(ctx, g: Tensor) {
    const { shape, dims, keepdim } = ctx.state as { shape: number[]; dims: number[]; keepdim: boolean };
    return [productGrad(ctx.saved()[0]!, expandReduced(g, shape, dims, keepdim), dims)];
  },
});

/**
 * g * (the product of all the others). To be differentiated again: of those before and those after, each a running product. Else by division,
 * without reading values: one zero, and only its own derivative is not zero; two: none.
 */
function productGrad(x: Tensor, g: Tensor, dims: readonly number[]): Tensor {
  if (is_grad_enabled() && x.requires_grad) {
    if (x.ndim === 0) return g;
    const dim = dims.length === 1 ? dims[0]! : 0;
    const lines = dims.length === 1 ? x : x.reshape([-1]);
    return g.mul(othersProduct(lines, dim).reshape(x.shape));
  }
  const zero = x.eq(0);
  const others = dims.reduce((p, d) => p.prod(d, true), x.masked_fill(zero, 1));
  const zeros = zero.sum(dims, true);
  const fromRest = g.mul(others).div(x.masked_fill(zero, 1));
  return fromRest.masked_fill(zeros.gt(zero), 0);
}

/** Of each element of a line along dim: the product of all the others. */
function othersProduct(x: Tensor, dim: number): Tensor {
  const n = x.shape[dim]!;
  if (n === 0) return x;
  // Shifted by one: the product of nothing is 1.
  const before = (t: Tensor): Tensor => cat([ones_like(t.narrow(dim, 0, 1)), t.narrow(dim, 0, n - 1)], dim).cumprod(dim);
  return before(x).mul(before(x.flip([dim])).flip([dim]));
}

function truth(name: "any" | "all", doc: string): ReductionOp {
  return defineOp(name, "input, dim=None, keepdim=False", {
    doc,
    forward(_ctx, input: Tensor, dim: Dims, keepdim: boolean) {
      checkTensor(name, "input", input);
      const dims = normalizeDims(name, dim, input.ndim);
      const out = reduce(name, input, dims, [bool])[0]!;
      // uint8 was PyTorch's truth type once.
      return shaped(input.dtype === uint8 ? out.to(uint8) : out, dims, keepdim);
    },
  });
}

export const any: ReductionOp = truth("any", "Whether any element along dim (or of all) is not zero.");
export const all: ReductionOp = truth("all", "Whether all elements along dim (or all) are not zero.");

export const nansum: ReductionOp<{ dtype?: DType | null }> = composite(
  "nansum",
  "input, dim=None, keepdim=False, *, dtype=None",
  { doc: "sum with NaN counted as zero." },
  (input: Tensor, dim: Dims, keepdim: boolean, dtype: DType | null) => {
    checkTensor("nansum", "input", input);
    return (input.dtype.is_floating_point ? input.masked_fill(input.isnan(), 0) : input).sum(dim, keepdim, { dtype });
  },
);

export const nanmean: ReductionOp<{ dtype?: DType | null }> = composite(
  "nanmean",
  "input, dim=None, keepdim=False, *, dtype=None",
  { doc: "mean of the elements that are not NaN." },
  (input: Tensor, dim: Dims, keepdim: boolean, dtype: DType | null) => {
    checkTensor("nanmean", "input", input);
    if (!input.dtype.is_floating_point) {
      throw new RuntimeError(`nanmean: expected input to have floating point dtype but got ${input.dtype}`);
    }
    const count = input.isnan().logical_not().sum(dim, keepdim);
    return nansum(input, dim, keepdim, { dtype }).div(count);
  },
);

type CountOp = Op<[input: Tensor, ...Args<[{ dim?: Dims }]>], Tensor, "method">;

export const count_nonzero: CountOp = defineOp("count_nonzero", "input, dim=None", {
  doc: "How many elements along dim (one, several, or all) are not zero.",
  forward(_ctx, input: Tensor, dim: Dims) {
    checkTensor("count_nonzero", "input", input);
    return reduce("sum", input.ne(0).to(int64), normalizeDims("count_nonzero", dim, input.ndim), [int64])[0]!;
  },
});

/** A reduction by kernel over already checked dims; no autograd. */
export function reduceTo(op: ReduceOp, x: Tensor, dims: readonly number[], keepdim: boolean, ...dtypes: DType[]): Tensor[] {
  return reduce(op, x, dims, dtypes).map((t) => shaped(t, dims, keepdim));
}

export const logsumexp: Op<[input: Tensor, ...Args<[{ dim: Dims }, { keepdim?: boolean }]>], Tensor, "method"> = defineOp(
  "logsumexp",
  "input, dim, keepdim=False",
  {
    doc: "log of the sum of e^input over dim, without overflow.",
    forward(ctx, input: Tensor, dim: Dims, keepdim: boolean) {
      checkTensor("logsumexp", "input", input);
      const dims = normalizeDims("logsumexp", dim, input.ndim);
      const type = floating(input.dtype);
      const x = cast(cast(input, type), accumulated(type));
      let out: Tensor;
      if (x.numel() === 0) out = reduceTo("sum", x.exp(), dims, true, x.dtype)[0]!.log();
      else {
        const top = reduceTo("max", x, dims, true, x.dtype)[0]!;
        const shift = top.masked_fill(top.isinf(), 0);
        out = reduceTo("sum", x.sub(shift).exp(), dims, true, x.dtype)[0]!.log().add(shift);
      }
      out = cast(out, type);
      ctx.state = { shape: input.shape, dims, keepdim };
      const kept = input.shape.filter((_, d) => !dims.includes(d));
      const result = keepdim ? out : out.reshape(kept);
      result._view = null;
      ctx.save(input, result);
      return result;
    },
    backward(ctx, g: Tensor) {
      const [input, out] = ctx.saved() as [Tensor, Tensor];
      const { shape, dims, keepdim } = ctx.state as { shape: number[]; dims: number[]; keepdim: boolean };
      return [expandReduced(g, shape, dims, keepdim).mul(input.sub(expandReduced(out, shape, dims, keepdim)).exp())];
    },
  },
);

/** One dim, or an error that names the op; for ops whose results say where along it. */
export function oneDim(op: string, input: Tensor, dim: number): number {
  checkTensor(op, "input", input);
  return normalizeDim(op, dim, input.ndim);
}
