/** Diagonals and triangles of matrices, and one-hot vectors. */

import { int32, int64, type DType, type Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape, normalizeDim } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import type { Args } from "../engine/signature.ts";
import { arange, filled, tensor, type TensorOptions } from "./creation.ts";

type MatrixOp<A extends readonly unknown[], F extends "method" | "inplace" = "method"> = Op<[input: Tensor, ...A], Tensor, F>;
type TriangleOp = MatrixOp<Args<[{ diagonal?: number }]>, "method" | "inplace">;

function triangle(name: string, doc: string, lower: boolean): TriangleOp {
  return composite(name, "input, diagonal=0", { doc, inplace: true }, (input: Tensor, diagonal: number) => {
    if (input.ndim < 2) {
      throw new RuntimeError(`${name}: input tensor must have at least 2 dimensions, got shape ${formatShape(input.shape)}`);
    }
    const [rows, columns] = input.shape.slice(-2) as [number, number];
    const { device } = input;
    const row = arange(rows, { device, dtype: int32 }).unsqueeze(1);
    const column = arange(columns, { device, dtype: int32 });
    const difference = column.sub(row);
    return input.masked_fill(lower ? difference.gt(diagonal) : difference.lt(diagonal), 0);
  });
}

export const tril: TriangleOp = triangle("tril", "The lower triangle of matrices, up to a diagonal; zero elsewhere.", true);
export const triu: TriangleOp = triangle("triu", "The upper triangle of matrices, from a diagonal on; zero elsewhere.", false);

type IndicesOp = Op<[...Args<[{ row: number }, { col: number }, { offset?: number }], TensorOptions>], Tensor>;

function indices(name: string, lower: boolean): IndicesOp {
  return composite(
    name,
    "row, col, offset=0, *, dtype=None, device=None, layout=None",
    {
      doc: `Rows and columns of the elements that ${lower ? "tril" : "triu"} keeps.`,
    },
    (row: number, col: number, offset: number, dtype: DType | null, device: string | null) => {
      if (row < 0 || col < 0) throw new RuntimeError(`${name}: row and col must be non-negative, got ${row} and ${col}`);
      const [rows, columns]: [number[], number[]] = [[], []];
      for (let r = 0; r < row; r++) {
        const from = lower ? 0 : Math.max(r + offset, 0);
        const to = lower ? Math.min(r + offset + 1, col) : col;
        for (let c = from; c < to; c++) {
          rows.push(r);
          columns.push(c);
        }
      }
      return tensor(BigInt64Array.from([...rows, ...columns], BigInt), { dtype: dtype ?? int64, device }).reshape([
        2,
        rows.length,
      ]);
    },
  );
}

export const tril_indices: IndicesOp = indices("tril_indices", true);
export const triu_indices: IndicesOp = indices("triu_indices", false);

export const diag_embed: MatrixOp<Args<[{ offset?: number }, { dim1?: number }, { dim2?: number }]>> = composite(
  "diag_embed",
  "input, offset=0, dim1=-2, dim2=-1",
  { doc: "Matrices with input's last dimension on a diagonal." },
  (input: Tensor, offset: number, dim1: number, dim2: number) => {
    const n = input.ndim + 1;
    const [a, b] = [dim1, dim2].map((d) => normalizeDim("diag_embed", d, n)) as [number, number];
    if (a === b) throw new RuntimeError(`diag_embed: diagonal dimensions cannot be identical ${dim1}, ${dim2}`);
    const size = (input.shape.at(-1) ?? 1) + Math.abs(offset);
    const shape: number[] = [];
    const rest = input.shape.slice(0, -1);
    for (let d = 0; d < n; d++) shape.push(d === a || d === b ? size : rest.shift()!);
    return filled(shape, 0, input.dtype, input.device).diagonal_scatter(input, offset, a, b);
  },
);

export const diag: MatrixOp<Args<[{ diagonal?: number }]>> = composite(
  "diag",
  "input, diagonal=0",
  {
    doc: "A matrix with a vector on its diagonal, or the diagonal of a matrix.",
  },
  (input: Tensor, diagonal: number) => {
    if (input.ndim === 1) return diag_embed(input, diagonal);
    if (input.ndim === 2) return input.diagonal(diagonal).clone();
    throw new RuntimeError(`diag: Supports 1D or 2D tensors. Got ${input.ndim}D`);
  },
);

export const diagflat: MatrixOp<Args<[{ offset?: number }]>> = composite(
  "diagflat",
  "input, offset=0",
  {
    doc: "A matrix with all of input's elements on a diagonal.",
  },
  (input: Tensor, offset: number) => diag_embed(input.reshape([-1]), offset),
);

type FillDiagonalOp = Op<[self: Tensor, ...Args<[{ fill_value: Scalar }, { wrap?: boolean }]>], Tensor, "method">;

export const fill_diagonal_: FillDiagonalOp = composite(
  "fill_diagonal_",
  "self, fill_value, wrap=False",
  {
    doc: "Fills the main diagonal; with wrap, tall matrices get more of them, a row apart.",
  },
  (self: Tensor, value: Scalar, wrap: boolean) => {
    if (self.ndim < 2) throw new RuntimeError("fill_diagonal_: dimensions must larger than 1");
    const [rows, columns] = self.shape as [number, number];
    if (self.ndim > 2) {
      if (self.shape.some((n) => n !== rows)) {
        throw new RuntimeError(`fill_diagonal_: all dimensions of input must be of equal length, got ${formatShape(self.shape)}`);
      }
      const step = self._strides.reduce((a, b) => a + b, 0);
      self.as_strided([rows], [step], self._offset).fill_(value);
      return self;
    }
    for (let top = 0; top < (wrap ? rows : Math.min(rows, 1)); top += columns + 1) {
      self.slice(0, top).diagonal().fill_(value);
    }
    return self;
  },
);
