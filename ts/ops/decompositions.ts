/** Decompositions and solvers under the names that torch itself has for them. */

import { RuntimeError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, named, type Op } from "../engine/define.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import { broadcastBatches, checkMatrix, checkSquare, rowsOf, columnsOf } from "./linalg/batches.ts";
import * as cholesky_ from "./linalg/cholesky.ts";
import * as determinants from "./linalg/determinants.ts";
import * as functions from "./linalg/functions.ts";
import * as lu_ from "./linalg/lu.ts";
import { pinv } from "./linalg/pinv.ts";
import { householder_product, qrOf } from "./linalg/qr.ts";
import { singular, svdOf, type Tolerance } from "./linalg/svd.ts";
import { checkSystem, solveLeft } from "./linalg/triangular.ts";

export { cholesky_inverse, cholesky_solve } from "./linalg/cholesky.ts";
export { logdet } from "./linalg/determinants.ts";
export { lu_unpack } from "./linalg/lu.ts";
export { geqrf, ormqr } from "./linalg/qr.ts";
export * from "./lowrank.ts";

type Method<A extends readonly unknown[], R = Tensor> = Op<[input: Tensor, ...A], R, "method">;
type Names<N extends string> = Tensor[] & { readonly [K in N]: Tensor };

export const det: Method<[]> = composite("det", "input", { doc: "Determinants of square matrices." }, (input: Tensor) =>
  determinants.det(input),
);

export const slogdet: Method<[], Names<"sign" | "logabsdet">> = composite(
  "slogdet",
  "input",
  { doc: "Sign, and logarithm of the absolute value, of determinants." },
  (input: Tensor) => determinants.slogdet(input),
);

export const inverse: Method<[]> = composite("inverse", "input", { doc: "The inverse of square matrices." }, (input: Tensor) =>
  lu_.inv(input),
);

export const matrix_exp: Method<[]> = composite(
  "matrix_exp",
  "input",
  { doc: "The exponential of square matrices." },
  (input: Tensor) => functions.matrix_exp(input),
);

export const pinverse: Method<Args<[{ rcond?: Tolerance }]>> = composite(
  "pinverse",
  "input, rcond=1e-15",
  { doc: "The pseudo-inverse; singular values up to rcond times the greatest count as zero." },
  (input: Tensor, rcond: Tolerance) => pinv(input, rcond),
);

export const cholesky: Method<Args<[{ upper?: boolean }]>> = composite(
  "cholesky",
  "input, upper=False",
  { doc: "L with input = L L^H; with upper, U with input = U^H U. Prefer linalg.cholesky." },
  (input: Tensor, upper: boolean) => cholesky_.checkedCholesky("cholesky", input, upper),
);

export const qr: Method<Args<[{ some?: boolean }]>, Names<"Q" | "R">> = composite(
  "qr",
  "input, some=True",
  { doc: "Q and R, reduced or with some false complete. Prefer linalg.qr." },
  (input: Tensor, some: boolean) => qrOf(input, some ? "reduced" : "complete"),
);

type SVDOp = Method<Args<[{ some?: boolean }, { compute_uv?: boolean }]>, Names<"U" | "S" | "V">>;

export const svd: SVDOp = composite(
  "svd",
  "input, some=True, compute_uv=True",
  { doc: "U, S, V with input = U diag(S) V^H; without compute_uv U and V are zero. Prefer linalg.svd." },
  (input: Tensor, some: boolean, vectors: boolean) => {
    checkMatrix("svd", "input", input);
    if (vectors) {
      const { U, S, Vh } = svdOf("svd", input, !some);
      return named(["U", "S", "V"], [U, S, Vh.mH]);
    }
    const square = (n: number): Tensor => input.detach().new_zeros([...input.shape.slice(0, -2), n, n]);
    return named(["U", "S", "V"], [square(rowsOf(input)), singular("svd", input), square(columnsOf(input))]);
  },
);

export const orgqr: Method<Args<[{ tau: Tensor }]>> = composite(
  "orgqr",
  "input, tau",
  { doc: "The first columns of Q, from what geqrf gives." },
  (input: Tensor, tau: Tensor) => householder_product(input, tau),
);

type LUOp = Method<Args<[{ pivot?: boolean }, { get_infos?: boolean }]>, Names<"LU" | "pivots" | "info">>;

export const lu: LUOp = composite(
  "lu",
  "input, pivot=True, get_infos=False",
  { doc: "L and U in one matrix, pivots, and with get_infos where U's diagonal is zero first. Prefer linalg.lu_factor." },
  (input: Tensor, pivot: boolean, infos: boolean) => {
    const { LU, pivots, info } = lu_.luFactor("lu", input, pivot, !infos);
    return infos ? named(["LU", "pivots", "info"], [LU, pivots, info]) : named(["LU", "pivots"], [LU, pivots]);
  },
);

export const lu_solve: Method<Args<[{ LU_data: Tensor }, { LU_pivots: Tensor }]>> = composite(
  "lu_solve",
  "input, LU_data, LU_pivots",
  { doc: "X with A X = input by A's LU. Prefer linalg.lu_solve." },
  (input: Tensor, LU: Tensor, pivots: Tensor) => lu_.lu_solve(LU, pivots, input),
);

type TriangularOp = Method<
  Args<[{ A: Tensor }, { upper?: boolean }, { transpose?: boolean }, { unitriangular?: boolean }]>,
  Names<"solution" | "cloned_coefficient">
>;

export const triangular_solve: TriangularOp = composite(
  "triangular_solve",
  "input, A, upper=True, transpose=False, unitriangular=False",
  { doc: "X with A X = input for triangular A (or its transpose), and a copy of A. Prefer linalg.solve_triangular." },
  (input: Tensor, A: Tensor, upper: boolean, transposed: boolean, unit: boolean) => {
    checkMatrix("triangular_solve", "input", input);
    checkSquare("triangular_solve", "A", A);
    checkSystem("triangular_solve", A, input, true);
    const [a, b] = broadcastBatches("triangular_solve", A, input);
    const solution = transposed ? solveLeft(a.mT, b, !upper, unit) : solveLeft(a, b, upper, unit);
    return named(["solution", "cloned_coefficient"], [solution, a.clone()]);
  },
);

export const chain_matmul: Op<[...matrices: Tensor[]], Tensor> = composite(
  "chain_matmul",
  "*matrices",
  { doc: "The product of matrices. Prefer linalg.multi_dot.", method: false },
  (matrices: readonly Tensor[]) => {
    if (matrices.length === 0) throw new RuntimeError("chain_matmul: Expecting at least 1 matrix");
    for (const t of matrices) checkTensor("chain_matmul", "matrices", t);
    return matrices.reduce((product, t) => product.mm(t));
  },
);
