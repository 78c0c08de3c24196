/** LDL factorisations, and what is solved with them. They have no gradients in PyTorch either. */

import { numelOf, sameShape, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, named, type Op } from "../../engine/define.ts";
import {
  batchOf,
  broadcastBatches,
  checkInfo,
  checkMatrix,
  checkSquare,
  columnsOf,
  complaints,
  forBatch,
  integersOf,
  integerTensorOf,
  part,
  rowsOf,
  tensorOf,
  valuesOf,
} from "./batches.ts";
import { factorLDL, solveLDL } from "./ldl.ts";
import { pivotsOf } from "./lu.ts";
import { partOf } from "./numbers.ts";
import { checkSystem } from "./triangular.ts";

type LDL = Tensor[] & { readonly LD: Tensor; readonly pivots: Tensor; readonly info: Tensor };
type LDLFactor = Op<[A: Tensor, hermitian: boolean, infos: Int32Array], Tensor[]>;

const factor: LDLFactor = defineOp("linalg.ldl_factor_ex", "A, hermitian, infos", {
  doc: "",
  method: false,
  complex: true,
  forward(_ctx, A: Tensor, hermitian: boolean, infos: Int32Array) {
    const n = rowsOf(A);
    const a = valuesOf(A, "linalg.ldl_factor");
    const pivots = new Int32Array(infos.length * n);
    forBatch(batchOf(A), (i) => {
      infos[i] = factorLDL(partOf(a, i, n * n), n, part(pivots, i, n), hermitian);
    });
    return [tensorOf(a, A.shape, A), integerTensorOf(pivots, A.shape.slice(0, -1), A)];
  },
});

function factored(op: string, A: Tensor, hermitian: boolean, check: boolean): LDL {
  checkSquare(op, "A", A);
  const infos = new Int32Array(numelOf(batchOf(A)));
  const [LD, pivots] = factor(A, hermitian, infos) as [Tensor, Tensor];
  if (check) checkInfo(op, infos, batchOf(A), complaints.ldl);
  return named(["LD", "pivots", "info"], [LD, pivots, integerTensorOf(infos, batchOf(A), A)]);
}

type LDLFactorOp = Op<
  [A: Tensor, options?: { hermitian?: boolean }],
  Tensor[] & { readonly LD: Tensor; readonly pivots: Tensor }
>;

export const ldl_factor: LDLFactorOp = composite(
  "linalg.ldl_factor",
  "A, *, hermitian=False",
  {
    doc: "L and D of the symmetric (hermitian: Hermitian) A's lower triangle in one matrix, and the pivots that ldl_solve wants.",
    method: false,
  },
  (A: Tensor, hermitian: boolean) => {
    const { LD, pivots } = factored("torch.linalg.ldl_factor", A, hermitian, true);
    return named(["LD", "pivots"], [LD, pivots]);
  },
);

export const ldl_factor_ex: Op<[A: Tensor, options?: { hermitian?: boolean; check_errors?: boolean }], LDL> = composite(
  "linalg.ldl_factor_ex",
  "A, *, hermitian=False, check_errors=False",
  { doc: "ldl_factor, with info (the row of a block of D that is zero, from 1) instead of an error.", method: false },
  (A: Tensor, hermitian: boolean, check: boolean) => factored("linalg.ldl_factor_ex", A, hermitian, check),
);

type LDLSolveOp = Op<[LD: Tensor, pivots: Tensor, B: Tensor, options?: { hermitian?: boolean }], Tensor>;

export const ldl_solve: LDLSolveOp = defineOp("linalg.ldl_solve", "LD, pivots, B, *, hermitian=False", {
  doc: "X with A X = B by what ldl_factor gave for A.",
  method: false,
  complex: true,
  forward(_ctx, LD: Tensor, pivots: Tensor, B: Tensor, hermitian: boolean) {
    const op = "linalg.ldl_solve";
    checkSquare(op, "LD", LD);
    checkMatrix(op, "B", B);
    checkSystem(op, LD, B, true);
    const own = pivotsOf(op, LD, pivots, true);
    const [a, b] = broadcastBatches(op, LD, B);
    const batch: Shape = batchOf(a);
    const [n, r] = [rowsOf(b), columnsOf(b)];
    const wide = sameShape(a.shape, LD.shape) ? own : integersOf(pivots.expand([...batch, n]), op);
    const factors = valuesOf(a, op);
    const x = valuesOf(b, op);
    forBatch(batch, (i) => {
      solveLDL(partOf(factors, i, n * n), n, part(wide, i, n), partOf(x, i, n * r), r, hermitian);
    });
    return tensorOf(x, b.shape, b);
  },
});
