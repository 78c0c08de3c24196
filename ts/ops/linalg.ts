/** torch.linalg: norms and products of vectors and matrices; decompositions and solvers are in linalg/. */

import { Category, int64, type DType, type Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import { cat } from "./joining.ts";
import { matmul as product } from "./matmul.ts";
import { cross as crossProduct, matrix_power as power } from "./matrix.ts";
import { matrixNormOf, normOf, vectorNormOf, type NormArgs } from "./norms.ts";
import type { Dims } from "./reduction.ts";

export { LinAlgError } from "../core/errors.ts";
export * from "./linalg/index.ts";

export const vector_norm: Op<[x: Tensor, ...NormArgs<Scalar>], Tensor> = composite(
  "vector_norm",
  "x, ord=2, dim=None, keepdim=False, *, dtype=None",
  { doc: "(sum of |x|^ord)^(1/ord) over dim or all elements; 0 counts non-zeros, ±inf are the greatest and the least." },
  (x: Tensor, ord: Scalar, dim: Dims, keepdim: boolean, dtype: DType | null) =>
    vectorNormOf("linalg.vector_norm", x, ord, dim, keepdim, dtype),
);

export const matrix_norm: Op<[A: Tensor, ...NormArgs<Scalar | "fro" | "nuc">], Tensor> = composite(
  "matrix_norm",
  "A, ord='fro', dim=[-2, -1], keepdim=False, *, dtype=None",
  { doc: "Norm of matrices: 'fro', 'nuc', ±1 (columns), ±inf (rows), ±2 (singular values)." },
  (A: Tensor, ord: Scalar | "fro" | "nuc", dim: Dims, keepdim: boolean, dtype: DType | null) =>
    matrixNormOf("linalg.matrix_norm", A, ord, dim, keepdim, dtype),
);

export const norm: Op<[A: Tensor, ...NormArgs<Scalar | "fro" | "nuc" | null>], Tensor> = composite(
  "norm",
  "A, ord=None, dim=None, keepdim=False, *, dtype=None",
  { doc: "A vector norm or a matrix norm, by ord and dim." },
  (A: Tensor, ord: Scalar | "fro" | "nuc" | null, dim: Dims, keepdim: boolean, dtype: DType | null) =>
    normOf("linalg.norm", A, ord, dim, keepdim, dtype),
);

type PairOp = Op<[input: Tensor, ...Args<[{ other: Tensor }], { dim?: number }>], Tensor>;

export const cross: PairOp = composite(
  "cross",
  "input, other, *, dim=-1",
  {
    doc: "Cross products of the 3-vectors along dim.",
    method: false,
  },
  (input: Tensor, other: Tensor, dim: number) => {
    checkTensor("linalg.cross", "input", input);
    checkTensor("linalg.cross", "other", other);
    if (input.ndim !== other.ndim) {
      throw new RuntimeError(`linalg.cross: inputs must have the same number of dimensions, got ${input.ndim} and ${other.ndim}`);
    }
    return crossProduct(input, other, dim);
  },
);

export const vecdot: Op<[x: Tensor, ...Args<[{ y: Tensor }], { dim?: number }>], Tensor> = composite(
  "vecdot",
  "x, y, *, dim=-1",
  { doc: "Dot products of the vectors along dim." },
  (x: Tensor, y: Tensor, dim: number) => {
    checkTensor("linalg.vecdot", "x", x);
    checkTensor("linalg.vecdot", "y", y);
    const product = x.conj().mul(y);
    return product.sum(dim, false, { dtype: product.dtype.category === Category.bool ? int64 : product.dtype });
  },
);

export const diagonal: Op<[A: Tensor, options?: { offset?: number; dim1?: number; dim2?: number }], Tensor> = composite(
  "diagonal",
  "A, *, offset=0, dim1=-2, dim2=-1",
  { doc: "A view of the diagonals of matrices." },
  (A: Tensor, offset: number, dim1: number, dim2: number) => {
    checkTensor("linalg.diagonal", "A", A);
    return A.diagonal(offset, dim1, dim2);
  },
);

export const matrix_power: Op<[A: Tensor, ...Args<[{ n: number }]>], Tensor> = composite(
  "matrix_power",
  "A, n",
  { doc: "A multiplied by itself n times, by squaring; negative n: of the inverse." },
  (A: Tensor, n: number) => power(A, n),
);

export const matmul: Op<[input: Tensor, ...Args<[{ other: Tensor }]>], Tensor> = composite(
  "matmul",
  "input, other",
  { doc: "torch.matmul: products of vectors, matrices and batches of them.", method: false },
  (input: Tensor, other: Tensor) => product(input, other),
);

export const vander: Op<[x: Tensor, options?: { N?: number | null }], Tensor> = composite(
  "vander",
  "x, *, N=None",
  { doc: "Powers 0 to N - 1 of each element, along a new last dimension." },
  (x: Tensor, N: number | null) => {
    checkTensor("linalg.vander", "x", x);
    const v = x.ndim === 0 ? x.reshape([1]) : x;
    const n = N ?? v.shape.at(-1)!;
    if (n <= 1) throw new RuntimeError(`linalg.vander: N must be greater than 1, got ${n}`);
    const dtype = x.dtype.category === Category.bool ? int64 : x.dtype.differentiable ? x.dtype : int64;
    const powers = v
      .to(dtype)
      .unsqueeze(-1)
      .expand([...v.shape, n - 1])
      .cumprod(-1);
    return cat([powers.new_ones([...v.shape, 1]), powers], -1);
  },
);

type ChainOp = Op<[tensors: readonly Tensor[]], Tensor>;
/** Best order of a chain of matrix products (dynamic programming over the sizes), then the products. */
export const multi_dot: ChainOp = composite(
  "multi_dot",
  "tensors",
  {
    doc: "Product of two or more matrices (first and last may be vectors) in the cheapest order.",
    method: false,
  },
  (tensors: readonly Tensor[]) => {
    const n = tensors.length;
    if (n < 2) throw new RuntimeError(`linalg.multi_dot: expected at least 2 tensors but got ${n}`);
    const first = tensors[0]!;
    const last = tensors[n - 1]!;
    const mats = tensors.map((t, i) => {
      const vector = t.ndim === 1 && (i === 0 || i === n - 1);
      if (t.ndim !== 2 && !vector) {
        throw new RuntimeError(
          `linalg.multi_dot: tensor ${i} must be ${i === 0 || i === n - 1 ? "1D or " : ""}2D but got ${t.ndim}D`,
        );
      }
      return vector ? t.unsqueeze(i === 0 ? 0 : -1) : t;
    });
    for (let i = 0; i + 1 < n; i++) {
      if (mats[i]!.shape[1] !== mats[i + 1]!.shape[0]) {
        throw new RuntimeError(
          `linalg.multi_dot: tensors ${i} and ${i + 1} with shapes ${formatShape(tensors[i]!.shape)} and ${formatShape(tensors[i + 1]!.shape)} cannot be multiplied`,
        );
      }
    }
    const sizes = [mats[0]!.shape[0]!, ...mats.map((m) => m.shape[1]!)];
    const cost = mats.map(() => new Array<number>(n).fill(0));
    const split = mats.map(() => new Array<number>(n).fill(0));
    for (let len = 1; len < n; len++) {
      for (let i = 0; i + len < n; i++) {
        const j = i + len;
        cost[i]![j] = Infinity;
        for (let s = i; s < j; s++) {
          const c = cost[i]![s]! + cost[s + 1]![j]! + sizes[i]! * sizes[s + 1]! * sizes[j + 1]!;
          if (c < cost[i]![j]!) {
            cost[i]![j] = c;
            split[i]![j] = s;
          }
        }
      }
    }
    const chain = (i: number, j: number): Tensor =>
      i === j ? mats[i]! : chain(i, split[i]![j]!).mm(chain(split[i]![j]! + 1, j));
    let out = chain(0, n - 1);
    if (last.ndim === 1) out = out.squeeze(-1);
    return first.ndim === 1 ? out.squeeze(0) : out;
  },
);
