/** Triangular systems, and small matrices that decompositions are put together with. */

import { RuntimeError } from "../../core/errors.ts";
import { formatShape, numelOf, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { eye } from "../creation_more.ts";
import {
  batchOf,
  broadcastBatches,
  checkAlike,
  checkMatrix,
  checkSquare,
  columnsOf,
  forBatch,
  rowsOf,
  tensorOf,
  valuesOf,
} from "./batches.ts";
import { solveTriangle } from "./elimination.ts";
import { partOf, zeros } from "./numbers.ts";
import { triangularInverse } from "./on_device.ts";

/** Identity matrices in the type and on the device of `like`. */
export function identity(like: Tensor, n: number, batch: Shape, m: number = n): Tensor {
  return eye(n, m, { dtype: like.dtype, device: like.device }).expand([...batch, n, m]);
}

type SolveLeft = Op<[A: Tensor, B: Tensor, upper: boolean, unit: boolean], Tensor>;

/** X with A X = B, A being triangular; batches are equal. */
export const solveLeft: SolveLeft = defineOp("linalg.solve_triangular", "A, B, upper, unitriangular", {
  doc: "",
  method: false,
  complex: true,
  forward(ctx, A: Tensor, B: Tensor, upper: boolean, unit: boolean) {
    const X = B.is_cpu ? solveOnHost(A, B, upper, unit) : triangularInverse(A, upper, unit).matmul(B);
    ctx.state = { upper, unit };
    ctx.save(A, ctx.needs[0] ? X : null);
    return X;
  },
  backward(ctx, g: Tensor) {
    const [A, X] = ctx.saved() as [Tensor, Tensor];
    const { upper, unit } = ctx.state as { upper: boolean; unit: boolean };
    const gB = solveLeft(A.mH, g, !upper, unit);
    if (!ctx.needs[0]) return [null, gB];
    const gA = gB.matmul(X.mH).neg();
    const from = unit ? 1 : 0;
    return [upper ? gA.triu(from) : gA.tril(-from), gB];
  },
});

function solveOnHost(A: Tensor, B: Tensor, upper: boolean, unit: boolean): Tensor {
  const [n, r] = [rowsOf(B), columnsOf(B)];
  const a = valuesOf(A, "linalg.solve_triangular");
  const b = valuesOf(B, "linalg.solve_triangular");
  forBatch(batchOf(B), (i) => {
    solveTriangle(partOf(a, i, n * n), n, partOf(b, i, n * r), r, upper, unit, "");
  });
  return tensorOf(b, B.shape, B);
}

/** Checks the shapes of A X = B, or of X A = B. */
export function checkSystem(op: string, A: Tensor, B: Tensor, left: boolean): void {
  checkAlike(op, A, B);
  if ((left ? rowsOf(B) : columnsOf(B)) === rowsOf(A)) return;
  throw new RuntimeError(
    `${op}: Incompatible shapes of A and B for the equation ${left ? "AX = B" : "XA = B"} (${formatShape(A.shape)} and ${formatShape(B.shape)})`,
  );
}

type TriangularOp = Op<[A: Tensor, B: Tensor, options: { upper: boolean; left?: boolean; unitriangular?: boolean }], Tensor>;

export const solve_triangular: TriangularOp = composite(
  "linalg.solve_triangular",
  "A, B, *, upper, left=True, unitriangular=False",
  {
    doc: "X with A X = B, or with left false X A = B, where A is upper or lower triangular; the other triangle is not read.",
    method: false,
  },
  (A: Tensor, B: Tensor, upper: boolean, left: boolean, unit: boolean) => {
    checkSquare("linalg.solve_triangular", "A", A);
    checkMatrix("linalg.solve_triangular", "B", B);
    checkSystem("linalg.solve_triangular", A, B, left);
    const [a, b] = broadcastBatches("linalg.solve_triangular", A, B);
    return left ? solveLeft(a, b, upper, unit) : solveLeft(a.mT, b.mT, !upper, unit).mT;
  },
);

/** P of a factorisation, from its pivots (row i was exchanged with row pivots[i] - 1). */
export function permutation(pivots: Int32Array, batch: Shape, m: number, like: Tensor): Tensor {
  const k = pivots.length / Math.max(numelOf(batch), 1);
  const values = zeros(numelOf(batch) * m * m, like.dtype.is_complex);
  forBatch(batch, (b) => {
    const rows = Array.from({ length: m }, (_, i) => i);
    for (let i = 0; i < k; i++) {
      const other = pivots[b * k + i] - 1;
      [rows[i], rows[other]] = [rows[other], rows[i]];
    }
    rows.forEach((row, column) => {
      values.re[b * m * m + row * m + column] = 1;
    });
  });
  return tensorOf(values, [...batch, m, m], like);
}
