/** LU factorisation, and systems and inverses by it. */

import { int32 } from "../../core/dtype.ts";
import { RuntimeError } from "../../core/errors.ts";
import { is_grad_enabled } from "../../core/grad_mode.ts";
import { formatShape, numelOf, sameShape, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, named, type Op } from "../../engine/define.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { cat } from "../joining.ts";
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
import { factorLU, solveLU, type Turn } from "./elimination.ts";
import { partOf, zeros, type Numbers } from "./numbers.ts";
import { triangularInverse } from "./on_device.ts";
import { checkSystem, identity, permutation, solveLeft } from "./triangular.ts";

/** The LU of each matrix of a batch, on the host. */
export interface Factors {
  readonly lu: Numbers;
  readonly pivots: Int32Array;
  readonly infos: Int32Array;
}

export function factorAll(op: string, a: Tensor, pivot: boolean): Factors {
  const [m, n] = [rowsOf(a), columnsOf(a)];
  const k = Math.min(m, n);
  const count = numelOf(batchOf(a));
  const lu = valuesOf(a, op);
  const pivots = new Int32Array(count * k);
  const infos = new Int32Array(count);
  forBatch(batchOf(a), (i) => {
    infos[i] = factorLU(partOf(lu, i, m * n), m, n, part(pivots, i, k), pivot);
  });
  return { lu, pivots, infos };
}

/** Solves with each matrix's factors; `b`, n x r each, becomes the solutions. */
export function solveAll({ lu, pivots }: Factors, batch: Shape, n: number, b: Numbers, r: number, turn: Turn): void {
  forBatch(batch, (i) => {
    solveLU(partOf(lu, i, n * n), n, part(pivots, i, n), partOf(b, i, n * r), r, turn);
  });
}

/** Filled by the forward pass with what is no output of the op. (A class: a plain object would be taken for options.) */
export class Found {
  factors: Factors = { lu: zeros(0, false), pivots: new Int32Array(0), infos: new Int32Array(0) };
}

type FactorOp = Op<[A: Tensor, pivot: boolean, found: Found], Tensor>;

const factor: FactorOp = defineOp("linalg.lu_factor_ex", "A, pivot, found", {
  doc: "",
  method: false,
  complex: true,
  forward(ctx, A: Tensor, pivot: boolean, found: Found) {
    const factors = factorAll("linalg.lu_factor", A, pivot);
    found.factors = factors;
    const LU = tensorOf(factors.lu, A.shape, A);
    ctx.state = factors.pivots;
    ctx.save(LU);
    return LU;
  },
  backward(ctx, g: Tensor) {
    const [LU] = ctx.saved() as [Tensor];
    return [factorGradient(g, LU, ctx.state as Int32Array)];
  },
});

/** dA of A = P L U, where the gradients of L and U lie in one matrix as L and U do. */
function factorGradient(g: Tensor, LU: Tensor, pivots: Int32Array): Tensor {
  const [m, n] = [rowsOf(LU), columnsOf(LU)];
  const k = Math.min(m, n);
  const L = LU.narrow(-1, 0, k).tril(-1);
  const U = LU.narrow(-2, 0, k).triu();
  const unit = L.narrow(-2, 0, k).add(identity(LU, k, []));
  const square = U.narrow(-1, 0, k);
  const head = g.narrow(-2, 0, k).narrow(-1, 0, k);
  let left = unit.mH.matmul(head.tril(-1));
  let right = head.triu().matmul(square.mH);
  const beside = n > k ? g.narrow(-1, k, n - k) : null;
  const below = m > k ? g.narrow(-2, k, m - k) : null;
  if (beside !== null) left = left.sub(beside.matmul(U.narrow(-1, k, n - k).mH));
  if (below !== null) right = right.sub(L.narrow(-2, k, m - k).mH.matmul(below));
  const fromLeft = (x: Tensor): Tensor => solveLeft(unit.mH, x, true, true);
  const fromRight = (x: Tensor): Tensor => solveLeft(square, x.mH, true, false).mH;
  let out = fromRight(fromLeft(left.tril(-1).add(right.triu())));
  if (beside !== null) out = cat([out, fromLeft(beside)], -1);
  if (below !== null) out = cat([out, fromRight(below)], -2);
  return permutation(pivots, batchOf(LU), m, LU).matmul(out);
}

export type LU = Tensor[] & { readonly LU: Tensor; readonly pivots: Tensor; readonly info: Tensor };

/** LU, pivots and info, with the errors of `op` where they are asked for. */
export function luFactor(op: string, A: Tensor, pivot: boolean, check: boolean): LU {
  checkMatrix(op, "A", A);
  const found = new Found();
  const out = factor(A, pivot, found);
  const { pivots, infos } = found.factors;
  const batch = batchOf(A);
  if (check) checkInfo(op, infos, batch, complaints.lu);
  const k = Math.min(rowsOf(A), columnsOf(A));
  return named(["LU", "pivots", "info"], [out, integerTensorOf(pivots, [...batch, k], A), integerTensorOf(infos, batch, A)]);
}

type ExOptions = { pivot?: boolean; check_errors?: boolean };

export const lu_factor_ex: Op<[A: Tensor, options?: ExOptions], LU> = composite(
  "linalg.lu_factor_ex",
  "A, *, pivot=True, check_errors=False",
  { doc: "L and U in one matrix, pivots, and info: where U's diagonal is zero first, from 1.", method: false },
  (A: Tensor, pivot: boolean, check: boolean) => luFactor("linalg.lu_factor_ex", A, pivot, check),
);

type LUFactorOp = Op<[A: Tensor, options?: { pivot?: boolean }], Tensor[] & { readonly LU: Tensor; readonly pivots: Tensor }>;

export const lu_factor: LUFactorOp = composite(
  "linalg.lu_factor",
  "A, *, pivot=True",
  { doc: "L and U in one matrix, and the pivots that lu_solve wants.", method: false },
  (A: Tensor, pivot: boolean) => {
    const { LU, pivots } = luFactor("torch.linalg.lu_factor", A, pivot, true);
    return named(["LU", "pivots"], [LU, pivots]);
  },
);

type PLU = Tensor[] & { readonly P: Tensor; readonly L: Tensor; readonly U: Tensor };

/** P, L and U as matrices of their own. */
export function unpack(LU: Tensor, pivots: Int32Array | null, data: boolean): PLU {
  const [m, n] = [rowsOf(LU), columnsOf(LU)];
  const k = Math.min(m, n);
  const none = LU.detach().new_zeros([0]);
  const P = pivots === null ? none : permutation(pivots, batchOf(LU), m, LU);
  if (!data) return named(["P", "L", "U"], [P, none, none]);
  const L = LU.narrow(-1, 0, k)
    .tril(-1)
    .add(identity(LU, m, [], k));
  return named(["P", "L", "U"], [P, L, LU.narrow(-2, 0, k).triu()]);
}

export const lu: Op<[A: Tensor, options?: { pivot?: boolean }], PLU> = composite(
  "linalg.lu",
  "A, *, pivot=True",
  { doc: "P, L, U with A = P L U; without pivoting P is empty.", method: false },
  (A: Tensor, pivot: boolean) => {
    checkMatrix("linalg.lu", "A", A);
    const found = new Found();
    const out = factor(A, pivot, found);
    return unpack(out, pivot ? found.factors.pivots : null, true);
  },
);

/** The values of pivots that belong to LU, which is checked; those of LDL may be negative. */
export function pivotsOf(op: string, LU: Tensor, pivots: Tensor, signed = false): Int32Array {
  checkTensor(op, "pivots", pivots);
  if (pivots.dtype !== int32) throw new RuntimeError(`${op}: expected pivots to have dtype int32, got ${pivots.dtype}`);
  const want = [...batchOf(LU), Math.min(rowsOf(LU), columnsOf(LU))];
  if (!sameShape(pivots.shape, want)) {
    throw new RuntimeError(
      `${op}: pivots must have shape ${formatShape(want)} where LU has ${formatShape(LU.shape)}, got ${formatShape(pivots.shape)}`,
    );
  }
  const values = integersOf(pivots, op);
  const wrong = values.find((p) => p === 0 || (p < 0 && !signed) || Math.abs(p) > rowsOf(LU));
  if (wrong !== undefined) {
    throw new RuntimeError(`${op}: pivots must be those of the factorisation, from 1 to ${rowsOf(LU)}, got ${wrong}`);
  }
  return values;
}

type UnpackOp = Op<
  [LU_data: Tensor, ...Args<[{ LU_pivots: Tensor }, { unpack_data?: boolean }, { unpack_pivots?: boolean }]>],
  PLU
>;

export const lu_unpack: UnpackOp = composite(
  "lu_unpack",
  "LU_data, LU_pivots, unpack_data=True, unpack_pivots=True",
  { doc: "P, L and U of what lu_factor gave." },
  (LU: Tensor, pivots: Tensor, data: boolean, withPivots: boolean) => {
    checkMatrix("lu_unpack", "LU_data", LU);
    return unpack(LU, withPivots ? pivotsOf("lu_unpack", LU, pivots) : null, data);
  },
);

type SolveByLU = Op<[LU: Tensor, pivots: Int32Array, B: Tensor, adjoint: boolean], Tensor>;

/** X with A X = B, or with adjoint A^H X = B, by A's LU; batches are equal. */
const solveByLU: SolveByLU = defineOp("linalg.lu_solve", "LU, pivots, B, adjoint", {
  doc: "",
  method: false,
  complex: true,
  forward(ctx, LU: Tensor, pivots: Int32Array, B: Tensor, adjoint: boolean) {
    const X = (B.is_cpu ? solveByLUOnHost : solveByLUWithProducts)(LU, pivots, B, adjoint);
    ctx.state = { pivots, adjoint };
    ctx.save(LU, ctx.needs[0] ? X : null);
    return X;
  },
  backward(ctx, g: Tensor) {
    const [LU, X] = ctx.saved() as [Tensor, Tensor];
    const { pivots, adjoint } = ctx.state as { pivots: Int32Array; adjoint: boolean };
    const gB = ctx.needs[2] ? solveByLU(LU, pivots, g, !adjoint) : null;
    if (!ctx.needs[0]) return [null, null, gB];
    const n = rowsOf(LU);
    const L = LU.tril(-1).add(identity(LU, n, []));
    const U = LU.triu();
    const P = permutation(pivots, batchOf(LU), n, LU);
    if (adjoint) {
      // X = P L^-H U^-H B
      const Y = P.mT.matmul(X);
      const inner = solveLeft(L, P.mT.matmul(g), false, true).neg();
      const gU = L.mH.matmul(Y).matmul(solveLeft(U, inner, true, false).mH);
      return [Y.matmul(inner.mH).tril(-1).add(gU.triu()), null, gB];
    }
    // X = U^-1 L^-1 P^T B
    const inner = solveLeft(U.mH, g, false, false).neg();
    const gL = solveLeft(L.mH, inner, true, true).matmul(U.matmul(X).mH);
    return [gL.tril(-1).add(inner.matmul(X.mH).triu()), null, gB];
  },
});

function solveByLUOnHost(LU: Tensor, pivots: Int32Array, B: Tensor, adjoint: boolean): Tensor {
  const b = valuesOf(B, "linalg.lu_solve");
  const factors = { lu: valuesOf(LU, "linalg.lu_solve"), pivots, infos: pivots };
  solveAll(factors, batchOf(B), rowsOf(B), b, columnsOf(B), adjoint ? "H" : "");
  return tensorOf(b, B.shape, B);
}

function solveByLUWithProducts(LU: Tensor, pivots: Int32Array, B: Tensor, adjoint: boolean): Tensor {
  const P = permutation(pivots, batchOf(LU), rowsOf(LU), LU);
  const [L, U] = [triangularInverse(LU, false, true), triangularInverse(LU, true, false)];
  return adjoint ? P.matmul(L.mH.matmul(U.mH.matmul(B))) : U.matmul(L.matmul(P.mT.matmul(B)));
}

type LUSolveOp = Op<[LU: Tensor, pivots: Tensor, B: Tensor, options?: { left?: boolean; adjoint?: boolean }], Tensor>;

export const lu_solve: LUSolveOp = composite(
  "linalg.lu_solve",
  "LU, pivots, B, *, left=True, adjoint=False",
  { doc: "X with A X = B (left false: X A = B; adjoint: with A^H) by what lu_factor gave for A.", method: false },
  (LU: Tensor, pivots: Tensor, B: Tensor, left: boolean, adjoint: boolean) => {
    const op = "linalg.lu_solve";
    checkSquare(op, "LU", LU);
    checkMatrix(op, "B", B);
    checkSystem(op, LU, B, left);
    const own = pivotsOf(op, LU, pivots);
    const [a, b] = broadcastBatches(op, LU, B);
    const n = rowsOf(LU);
    const wide = sameShape(a.shape, LU.shape) ? own : integersOf(pivots.expand([...batchOf(a), n]), op);
    // X A = B is A^T X^T = B^T.
    return left ? solveByLU(a, wide, b, adjoint) : solveByLU(a, wide, b.mH, !adjoint).mH;
  },
);

type SolveOp = Op<[A: Tensor, B: Tensor, found: Found], Tensor>;

/** X with A X = B; batches are equal. */
export const solveSystem: SolveOp = defineOp("linalg.solve", "A, B, found", {
  doc: "",
  method: false,
  complex: true,
  forward(ctx, A: Tensor, B: Tensor, found: Found) {
    const factors = factorAll("linalg.solve", A, true);
    found.factors = factors;
    const b = valuesOf(B, "linalg.solve");
    solveAll(factors, batchOf(B), rowsOf(B), b, columnsOf(B), "");
    const X = tensorOf(b, B.shape, B);
    ctx.state = factors;
    ctx.save(A, ctx.needs[0] ? X : null);
    return X;
  },
  backward(ctx, g: Tensor) {
    const [A, X] = ctx.saved() as [Tensor, Tensor];
    let gB: Tensor;
    if (is_grad_enabled()) gB = solveSystem(A.mH, g, new Found());
    else {
      const b = valuesOf(g, "linalg.solve");
      solveAll(ctx.state as Factors, batchOf(g), rowsOf(g), b, columnsOf(g), "H");
      gB = tensorOf(b, g.shape, g);
    }
    return [ctx.needs[0] ? gB.matmul(X.mH).neg() : null, gB];
  },
});

/** X with A X = B, without checks; batches broadcast. */
export function solved(A: Tensor, B: Tensor): Tensor {
  const [a, b] = broadcastBatches("linalg.solve", A, B);
  return solveSystem(a, b, new Found());
}

interface Solution {
  readonly X: Tensor;
  readonly infos: Int32Array;
  readonly batch: Shape;
}

function solve_(op: string, A: Tensor, B: Tensor, left: boolean): Solution {
  checkSquare(op, "A", A);
  checkTensor(op, "B", B);
  const vector = B.ndim === 1 || (A.ndim - 1 === B.ndim && sameShape(B.shape, A.shape.slice(0, -1)));
  if (vector && !left) {
    throw new RuntimeError(
      `${op}: Vector broadcasting of the left hand side is not supported for left=False. In this case ${op} is equivalent to B / A.squeeze(-1)`,
    );
  }
  const columns = vector ? B.unsqueeze(-1) : B;
  checkMatrix(op, "B", columns);
  checkSystem(op, A, columns, left);
  const [a, b] = broadcastBatches(op, A, columns);
  const found = new Found();
  const X = left ? solveSystem(a, b, found) : solveSystem(a.mT, b.mT, found).mT;
  return { X: vector ? X.squeeze(-1) : X, infos: found.factors.infos, batch: batchOf(a) };
}

export const solve: Op<[A: Tensor, B: Tensor, options?: { left?: boolean }], Tensor> = composite(
  "linalg.solve",
  "A, B, *, left=True",
  { doc: "X with A X = B, or with left false X A = B; B may be a vector (or a batch of them).", method: false },
  (A: Tensor, B: Tensor, left: boolean) => {
    const { X, infos, batch } = solve_("torch.linalg.solve", A, B, left);
    checkInfo("torch.linalg.solve", infos, batch, complaints.solve);
    return X;
  },
);

type WithInfo<N extends string> = Tensor[] & { readonly [K in N | "info"]: Tensor };
type SolveExOp = Op<[A: Tensor, B: Tensor, options?: { left?: boolean; check_errors?: boolean }], WithInfo<"result">>;

export const solve_ex: SolveExOp = composite(
  "linalg.solve_ex",
  "A, B, *, left=True, check_errors=False",
  { doc: "solve, with info (where U's diagonal is zero first, from 1) instead of an error.", method: false },
  (A: Tensor, B: Tensor, left: boolean, check: boolean) => {
    const { X, infos, batch } = solve_("linalg.solve_ex", A, B, left);
    if (check) checkInfo("linalg.solve_ex", infos, batch, complaints.solve);
    return named(["result", "info"], [X, integerTensorOf(infos, batch, A)]);
  },
);

/** The inverse, and where it does not exist. */
export function inverted(op: string, A: Tensor): { inverse: Tensor; infos: Int32Array } {
  checkSquare(op, "A", A);
  const found = new Found();
  const inverse = solveSystem(A, identity(A, rowsOf(A), batchOf(A)), found);
  return { inverse, infos: found.factors.infos };
}

export const inv: Op<[A: Tensor], Tensor> = composite(
  "linalg.inv",
  "A",
  { doc: "The inverse of square matrices.", method: false },
  (A: Tensor) => {
    const { inverse, infos } = inverted("linalg.inv", A);
    checkInfo("linalg.inv", infos, batchOf(A), complaints.inverse);
    return inverse;
  },
);

export const inv_ex: Op<[A: Tensor, options?: { check_errors?: boolean }], WithInfo<"inverse">> = composite(
  "linalg.inv_ex",
  "A, *, check_errors=False",
  { doc: "The inverse, with info (where U's diagonal is zero first, from 1) instead of an error.", method: false },
  (A: Tensor, check: boolean) => {
    const { inverse, infos } = inverted("linalg.inv_ex", A);
    if (check) checkInfo("linalg.inv_ex", infos, batchOf(A), complaints.inverse);
    return named(["inverse", "info"], [inverse, integerTensorOf(infos, batchOf(A), A)]);
  },
);
