/** Sums, products, extrema and statistics over dimensions. */

import { int64, type DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape, normalizeDims, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, defineOp, type Op } from "../engine/define.ts";
import { reduce } from "../engine/run.ts";
import type { Args } from "../engine/signature.ts";

export type Dims = number | readonly number[] | null;

/** Puts size-1 dims back where a reduction removed them. */
export function keepDims(t: Tensor, dims: readonly number[], keepdim: boolean): Tensor {
  return keepdim ? [...dims].sort((a, b) => a - b).reduce((x, d) => x.unsqueeze(d), t) : t;
}

/** Spreads a reduction's gradient (or result) back over the input's shape. */
export function expandReduced(g: Tensor, shape: readonly number[], dims: readonly number[], keepdim: boolean): Tensor {
  return (keepdim ? g : keepDims(g, dims, true)).expand(shape);
}

type SumOp = Op<[input: Tensor, ...Args<[{ dim?: Dims }, { keepdim?: boolean }], { dtype?: DType | null }>], Tensor, "method">;

export const sum: SumOp = defineOp("sum", "input, dim=None, keepdim=False, *, dtype=None", {
  doc: "Sum over dim (one, several, or all). Integers are summed as int64 unless dtype says otherwise.",
  forward(ctx, input: Tensor, dim: Dims, keepdim: boolean, dtype: DType | null) {
    const dims = normalizeDims("sum", dim, input.ndim);
    const type = dtype ?? (input.dtype.is_floating_point ? input.dtype : int64);
    ctx.state = { shape: input.shape, dims, keepdim };
    const x = input.dtype === type ? input : input.to(type);
    return keepDims(reduce("sum", x, dims, [type])[0]!, dims, keepdim);
  },
  backward({ state: { shape, dims, keepdim } }, g: Tensor) {
    return [expandReduced(g, shape, dims, keepdim)];
  },
});

type SumToSizeOp = Op<[input: Tensor, size: readonly number[]], Tensor, "method">;

export const sum_to_size: SumToSizeOp = composite("sum_to_size", "input, *size", {
  doc: "Sums the dimensions in which size broadcasts to input's shape: the adjoint of expand.",
}, (input: Tensor, size: readonly number[]) => {
  if (sameShape(input.shape, size)) return input;
  const pad = input.ndim - size.length;
  const dims = input.shape.map((_, d) => d).filter((d) => d < pad || (size[d - pad] === 1 && input.shape[d] !== 1));
  if (pad < 0 || input.shape.some((n, d) => d >= pad && size[d - pad] !== 1 && size[d - pad] !== n)) {
    throw new RuntimeError(`sum_to_size: size ${formatShape(size)} is not expandable to size ${formatShape(input.shape)}`);
  }
  return input.sum(dims, true).reshape(size);
});
