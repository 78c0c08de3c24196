/** Products in the terms of cuBLASLt: matrices whose rows or columns lie dense in memory. */

import type { View } from "../../ts/core/device.ts";
import type { MatmulPlanOptions } from "./addon.ts";

type Sizes = Omit<MatmulPlanOptions, "type" | "tf32" | "bias" | "alignment" | "workspaceLimit" | "candidate">;

export interface MatmulProblem extends Sizes {
  readonly a: View;
  readonly b: View;
  /** Of n elements. */
  readonly bias: View | null;
}

interface Matrix {
  readonly transposed: boolean;
  readonly ld: number;
}

/** How a matrix of these strides lies: by rows, or transposed by columns. Null: neither. */
function matrixOf(rows: number, columns: number, row: number, column: number): Matrix | null {
  if ((column === 1 || columns === 1) && (rows === 1 || row >= columns))
    return { transposed: false, ld: rows === 1 ? columns : row };
  if ((row === 1 || rows === 1) && (columns === 1 || column >= rows))
    return { transposed: true, ld: columns === 1 ? rows : column };
  return null;
}

const batchStride = ({ shape, strides }: View): number => (shape[0] === 1 ? 0 : strides[0]!);

/** Null where cuBLASLt cannot be given the operands as they lie. `out` is dense. */
export function matmulProblem(inputs: readonly View[], out: View): MatmulProblem | null {
  const [a, b, bias] = inputs as [View, View, View | undefined];
  let [batch, m] = out.shape as [number, number];
  const [k, n] = [a.shape[2]!, out.shape[2]!];
  if (bias !== undefined) {
    const [bs, rs, cs] = bias.strides as [number, number, number];
    const [bb, br, bc] = bias.shape as [number, number, number];
    // The epilogue adds one vector to all rows.
    if ((bb > 1 && bs !== 0) || (br > 1 && rs !== 0) || (bc > 1 && cs !== 1) || bc !== n) return null;
  }
  const left = matrixOf(m, k, a.strides[1]!, a.strides[2]!);
  const right = matrixOf(k, n, b.strides[1]!, b.strides[2]!);
  if (left === null || right === null) return null;
  let [strideA, strideB] = [batchStride(a), batchStride(b)];
  let lda = left.ld;
  // Batches that walk on through the rows of a are more rows.
  if (batch > 1 && strideB === 0 && !left.transposed && (m === 1 ? strideA >= k : strideA === m * lda)) {
    lda = m === 1 ? strideA : lda;
    [m, batch, strideA, strideB] = [batch * m, 1, 0, 0];
  }
  return {
    a,
    b,
    bias: bias ?? null,
    m,
    n,
    k,
    batch,
    transA: left.transposed,
    transB: right.transposed,
    lda,
    ldb: right.ld,
    ldc: n,
    ldd: n,
    strideA: batch === 1 ? 0 : strideA,
    strideB: batch === 1 ? 0 : strideB,
    strideC: batch === 1 ? 0 : m * n,
    strideD: batch === 1 ? 0 : m * n,
  };
}
