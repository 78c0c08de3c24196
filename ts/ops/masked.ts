/** torch.masked: reductions and normalisations over the elements where a mask holds; the others count as the operation's identity. */

import { bool, Category, float32, int64, type DType, type Scalar } from "../core/dtype.ts";
import { IndexError, RuntimeError, ValueError } from "../core/errors.ts";
import { formatShape, normalizeDims } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import type { Args } from "../engine/signature.ts";
import { ones } from "./creation.ts";
import { extreme } from "./limits.ts";
import { vector_norm } from "./linalg.ts";
import { logaddexp as logaddexpOf } from "./math_binary.ts";
import { log_softmax as logSoftmaxOf, softmax as softmaxOf, softmin as softminOf } from "./functional/softmax.ts";

type Mask = Tensor | null;
type Dim = number | readonly number[] | null;
interface Options {
  dtype?: DType | null;
  mask?: Mask;
}
type Reduction = Op<[input: Tensor, ...Args<[{ dim?: Dim }], Options & { keepdim?: boolean }>], Tensor>;
type Along = Op<[input: Tensor, ...Args<[{ dim: number }], Options>], Tensor>;

function filled(input: Tensor, mask: Mask, value: Scalar): Tensor {
  return mask === null ? input : input.masked_fill(inside(input, mask).logical_not(), value);
}

/** The mask in input's shape: it may be smaller, never larger. */
function inside(input: Tensor, mask: Tensor): Tensor {
  if (mask.ndim > input.ndim) {
    throw new IndexError(
      `masked: expected a mask that broadcasts to the input, but its shape ${formatShape(mask.shape)} has more dimensions than ${formatShape(input.shape)}`,
    );
  }
  return mask.to(bool).expand(input.shape);
}

function converted(input: Tensor, dtype: DType | null): Tensor {
  return dtype === null ? input : input.to(dtype);
}

const REDUCE = "input, dim=None, *, keepdim=False, dtype=None, mask=None";
const ALONG = "input, dim, *, dtype=None, mask=None";

type Reduce = (input: Tensor, dims: number[], keepdim: boolean, mask: Mask, dtype: DType | null) => Tensor;

function reduction(name: string, doc: string, body: Reduce): Reduction {
  return composite(
    `masked.${name}`,
    REDUCE,
    { doc, method: false },
    (input: Tensor, dim: Dim, keepdim: boolean, dtype: DType | null, mask: Mask) =>
      body(input, normalizeDims(name, dim, input.ndim), keepdim, mask, dtype),
  );
}

function along(name: string, doc: string, body: (input: Tensor, dim: number, mask: Mask) => Tensor): Along {
  return composite(
    `masked.${name}`,
    ALONG,
    { doc, method: false },
    (input: Tensor, dim: number, dtype: DType | null, mask: Mask) => body(converted(input, dtype), dim, mask),
  );
}

const sumType = (input: Tensor, dtype: DType | null): DType =>
  dtype ?? (input.dtype.category < Category.floating ? int64 : input.dtype);

function total(input: Tensor, dims: number[], keepdim: boolean, mask: Mask, dtype: DType): Tensor {
  const x = filled(input.to(dtype), mask, 0);
  return dtype === bool ? x.ne(0).sum(dims, keepdim).ne(0) : x.sum(dims, keepdim, { dtype });
}

/** How many elements count in each sum. */
function count(input: Tensor, dims: number[], keepdim: boolean, mask: Mask): Tensor {
  const counted = mask === null ? ones([], { dtype: int64, device: input.device }).expand(input.shape) : inside(input, mask);
  return counted.sum(dims, keepdim);
}

export const sum: Reduction = reduction("sum", "The sum over dim where mask holds.", (input, dims, keepdim, mask, dtype) =>
  total(input, dims, keepdim, mask, sumType(input, dtype)),
);

export const prod: Reduction = reduction(
  "prod",
  "The product over dim where mask holds.",
  (input, dims, keepdim, mask, dtype) => {
    let x = filled(input.to(sumType(input, dtype)), mask, 1);
    for (const d of [...dims].sort((a, b) => b - a)) x = x.prod(d, keepdim);
    return x;
  },
);

export const mean: Reduction = reduction("mean", "The mean over dim where mask holds.", (input, dims, keepdim, mask, dtype) =>
  total(input, dims, keepdim, mask, dtype ?? input.dtype).div(count(input, dims, keepdim, mask)),
);

export const amax: Reduction = reduction(
  "amax",
  "The maximum over dim where mask holds.",
  (input, dims, keepdim, mask, dtype) => {
    const x = converted(input, dtype);
    return filled(x, mask, extreme(x.dtype, x.device, false)).amax(dims, keepdim);
  },
);

export const amin: Reduction = reduction(
  "amin",
  "The minimum over dim where mask holds.",
  (input, dims, keepdim, mask, dtype) => {
    const x = converted(input, dtype);
    return filled(x, mask, extreme(x.dtype, x.device, true)).amin(dims, keepdim);
  },
);

type ArgOp = Op<[input: Tensor, ...Args<[{ dim?: number | null }], Options & { keepdim?: boolean }>], Tensor>;

function position(name: "argmax" | "argmin", doc: string): ArgOp {
  return composite(
    `masked.${name}`,
    REDUCE,
    { doc, method: false },
    (input: Tensor, dim: number | null, keepdim: boolean, dtype: DType | null, mask: Mask) => {
      const x = converted(input, dtype);
      const known = filled(x, mask, extreme(x.dtype, x.device, name === "argmin"));
      return known[name](dim, keepdim).to(x.dtype);
    },
  );
}
export const argmax: ArgOp = position(
  "argmax",
  "The position of the maximum where mask holds, in input's dtype as PyTorch gives it.",
);
export const argmin: ArgOp = position(
  "argmin",
  "The position of the minimum where mask holds, in input's dtype as PyTorch gives it.",
);

export const logsumexp: Reduction = reduction(
  "logsumexp",
  "log(sum(e^input)) over dim where mask holds.",
  (input, dims, keepdim, mask, dtype) => {
    const x = converted(input, dtype);
    return filled(x, mask, extreme(x.dtype, x.device, false))
      .logsumexp(dims, keepdim)
      .to(x.dtype);
  },
);

type NormOp = Op<[input: Tensor, ...Args<[{ ord?: number }, { dim?: Dim }], Options & { keepdim?: boolean }>], Tensor>;

function normOf(input: Tensor, ord: Scalar, dim: Dim, keepdim: boolean, dtype: DType | null, mask: Mask): Tensor {
  const order = Number(ord);
  if (order === -Infinity && input.dtype.is_complex) {
    throw new RuntimeError(
      `masked.norm: with ord -inf expected a floating-point input, got ${input.dtype}; there is no greatest complex number for what is masked`,
    );
  }
  const x = filled(converted(input, dtype), mask, order === -Infinity ? Infinity : 0);
  return vector_norm(x, order, normalizeDims("norm", dim, input.ndim), keepdim);
}

export const norm: NormOp = composite(
  "masked.norm",
  "input, ord=2.0, dim=None, *, keepdim=False, dtype=None, mask=None",
  { doc: "The vector norm over dim where mask holds.", method: false },
  normOf,
);

type NormalizeOp = Op<[input: Tensor, ...Args<[{ ord: number }, { dim: number }], Options & { eps?: number }>], Tensor>;

export const normalize: NormalizeOp = composite(
  "masked.normalize",
  "input, ord, dim, *, eps=1e-12, dtype=None, mask=None",
  { doc: "input divided by its norm over dim where mask holds.", method: false },
  (input: Tensor, ord: Scalar, dim: number, eps: number, dtype: DType | null, mask: Mask) => {
    const size = normOf(input, ord, dim, true, dtype, mask);
    return filled(converted(input, dtype), mask, 0).div(size.maximum(size.new_full([], Number(eps))));
  },
);

type SpreadOp = Op<
  [
    input: Tensor,
    ...Args<[{ dim?: Dim }, { unbiased?: boolean | null }], Options & { correction?: number | null; keepdim?: boolean }>,
  ],
  Tensor
>;
const SPREAD = "input, dim=None, unbiased=None, *, correction=None, keepdim=False, dtype=None, mask=None";

function variance(
  input: Tensor,
  dim: Dim,
  unbiased: boolean | null,
  correction: number | null,
  keepdim: boolean,
  dtype: DType | null,
  mask: Mask,
): Tensor {
  const dims = normalizeDims("var", dim, input.ndim);
  const type = dtype ?? (input.dtype.differentiable ? input.dtype : float32);
  const x = input.to(type);
  const n = count(input, dims, true, mask);
  const distance = x.sub(total(x, dims, true, mask, type).div(n));
  const squares = total(distance.mul(distance.conj()), dims, keepdim, mask, type);
  const freedom = n.reshape(squares.shape).sub(correction ?? (unbiased === false ? 0 : 1));
  return squares.div(freedom.clamp_min(0));
}

const varOp: SpreadOp = composite(
  "masked.var",
  SPREAD,
  { doc: "The variance over dim where mask holds.", method: false },
  variance,
);
export { varOp as var };
export const std: SpreadOp = composite(
  "masked.std",
  SPREAD,
  { doc: "The standard deviation over dim where mask holds.", method: false },
  (...args: Parameters<typeof variance>) => variance(...args).sqrt(),
);

type MedianOp = Op<[input: Tensor, ...Args<[{ dim?: number }], Options & { keepdim?: boolean }>], Tensor>;

export const median: MedianOp = composite(
  "masked.median",
  "input, dim=-1, *, keepdim=False, dtype=None, mask=None",
  { doc: "The median over dim where mask holds.", method: false },
  (input: Tensor, dim: number, keepdim: boolean, dtype: DType | null, mask: Mask) => {
    const type = dtype ?? input.dtype;
    const whole = !input.dtype.is_floating_point;
    const out = filled(whole ? input.to(float32) : converted(input, dtype), mask, NaN).nanmedian(dim, keepdim)[0]!;
    if (whole && out.isnan().any().item_sync()) {
      throw new ValueError("masked.median: expects no fully masked out rows if dtype is not floating point");
    }
    return whole ? out.to(type) : out;
  },
);

export const cumsum: Along = along("cumsum", "Running sums where mask holds.", (x, dim, mask) =>
  filled(x, mask, 0).cumsum(dim).to(x.dtype),
);
export const cumprod: Along = along("cumprod", "Running products where mask holds.", (x, dim, mask) =>
  filled(x, mask, 1).cumprod(dim).to(x.dtype),
);
export const softmax: Along = along("softmax", "softmax over dim where mask holds.", (x, dim, mask) =>
  softmaxOf(filled(x, mask, -Infinity), dim),
);
export const log_softmax: Along = along("log_softmax", "log(softmax) over dim where mask holds.", (x, dim, mask) =>
  logSoftmaxOf(filled(x, mask, -Infinity), dim),
);
export const softmin: Along = along("softmin", "softmax of -input over dim where mask holds.", (x, dim, mask) =>
  softminOf(filled(x, mask, Infinity), dim),
);

type LogAddExpOp = Op<
  [input: Tensor, ...Args<[{ other: Tensor }], { dtype?: DType | null; input_mask?: Mask; other_mask?: Mask }>],
  Tensor
>;

export const logaddexp: LogAddExpOp = composite(
  "masked.logaddexp",
  "input, other, *, dtype=None, input_mask=None, other_mask=None",
  { doc: "log(e^input + e^other), where what its mask leaves out counts as 0 in the sum.", method: false },
  (input: Tensor, other: Tensor, dtype: DType | null, inputMask: Mask, otherMask: Mask) =>
    logaddexpOf(filled(converted(input, dtype), inputMask, -Infinity), filled(converted(other, dtype), otherMask, -Infinity)).to(
      dtype ?? input.dtype,
    ),
);
