/** Cholesky factorisations, and what is solved with them. */

import { numelOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, named, type Op } from "../../engine/define.ts";
import type { Args } from "../../engine/signature.ts";
import {
  batchOf,
  broadcastBatches,
  checkInfo,
  checkMatrix,
  checkSquare,
  columnsOf,
  complaints,
  forBatch,
  integerTensorOf,
  rowsOf,
  tensorOf,
  valuesOf,
} from "./batches.ts";
import { factorCholesky, solveTriangle } from "./elimination.ts";
import { partOf } from "./numbers.ts";
import { triangularInverse } from "./on_device.ts";
import { checkSystem, identity, solveLeft } from "./triangular.ts";

/** Filled by the forward pass with what is no output of the op. (A class: a plain object would be taken for options.) */
class Found {
  infos = new Int32Array(0);
}

/** L of one triangle of A. */
const factor: Op<[A: Tensor, upper: boolean, found: Found], Tensor> = defineOp("linalg.cholesky_ex", "A, upper, found", {
  doc: "",
  method: false,
  complex: true,
  forward(ctx, A: Tensor, upper: boolean, found: Found) {
    const n = rowsOf(A);
    const a = valuesOf(upper ? A.mH : A, "linalg.cholesky");
    const infos = new Int32Array(numelOf(batchOf(A)));
    forBatch(batchOf(A), (i) => {
      infos[i] = factorCholesky(partOf(a, i, n * n), n);
    });
    found.infos = infos;
    const L = tensorOf(a, A.shape, A);
    ctx.save(L);
    return L;
  },
  backward(ctx, g: Tensor) {
    const [L] = ctx.saved() as [Tensor];
    // L^-H sym(tril(L^H g), halved on the diagonal) L^-1
    const lower = L.mH.matmul(g.tril()).tril();
    const middle = lower.add(lower.tril(-1).mH).mul(0.5);
    const half = solveLeft(L.mH, middle, true, false);
    return [solveLeft(L.mH, half.mH, true, false).mH];
  },
});

/** The factor and its infos; upper: the upper triangle is read, and A = U^H U. */
export function choleskyOf(op: string, A: Tensor, upper: boolean): { factor: Tensor; infos: Int32Array } {
  checkSquare(op, "A", A);
  const found = new Found();
  const L = factor(A, upper, found);
  return { factor: upper ? L.mH : L, infos: found.infos };
}

export function checkedCholesky(op: string, A: Tensor, upper: boolean): Tensor {
  const { factor: L, infos } = choleskyOf(op, A, upper);
  checkInfo(op, infos, batchOf(A), complaints.cholesky);
  return L;
}

export const cholesky: Op<[A: Tensor, options?: { upper?: boolean }], Tensor> = composite(
  "linalg.cholesky",
  "A, *, upper=False",
  { doc: "L with A = L L^H of positive-definite A; with upper, U with A = U^H U.", method: false },
  (A: Tensor, upper: boolean) => checkedCholesky("linalg.cholesky", A, upper),
);

type CholeskyExOp = Op<
  [A: Tensor, options?: { upper?: boolean; check_errors?: boolean }],
  Tensor[] & { readonly L: Tensor; readonly info: Tensor }
>;

export const cholesky_ex: CholeskyExOp = composite(
  "linalg.cholesky_ex",
  "A, *, upper=False, check_errors=False",
  { doc: "cholesky, with info (the order of the leading minor that is not positive) instead of an error.", method: false },
  (A: Tensor, upper: boolean, check: boolean) => {
    const { factor: L, infos } = choleskyOf("linalg.cholesky_ex", A, upper);
    if (check) checkInfo("linalg.cholesky_ex", infos, batchOf(A), complaints.cholesky);
    return named(["L", "info"], [L, integerTensorOf(infos, batchOf(A), A)]);
  },
);

type SolveCore = Op<[B: Tensor, L: Tensor, upper: boolean], Tensor>;

/** By the triangle of L; as in PyTorch the gradient of L is that of L L^H for all of L, zeros included. */
const choleskySolve: SolveCore = defineOp("cholesky_solve", "B, L, upper", {
  doc: "",
  method: false,
  complex: true,
  forward(ctx, B: Tensor, L: Tensor, upper: boolean) {
    const X = B.is_cpu ? choleskySolveOnHost(B, L, upper) : choleskySolveByProducts(B, L, upper);
    ctx.state = upper;
    ctx.save(L, ctx.needs[1] ? X : null);
    return X;
  },
  backward(ctx, g: Tensor) {
    const [L, X] = ctx.saved() as [Tensor, Tensor];
    const upper = ctx.state as boolean;
    const gB = choleskySolve(g, L, upper);
    if (!ctx.needs[1]) return [gB];
    const product = gB.matmul(X.mH);
    const both = product.add(product.mH);
    return [gB, (upper ? L.matmul(both) : both.matmul(L)).neg()];
  },
});

function choleskySolveOnHost(B: Tensor, L: Tensor, upper: boolean): Tensor {
  const [n, r] = [rowsOf(B), columnsOf(B)];
  const b = valuesOf(B, "cholesky_solve");
  const l = valuesOf(L, "cholesky_solve");
  forBatch(batchOf(B), (i) => {
    const [own, right] = [partOf(l, i, n * n), partOf(b, i, n * r)];
    solveTriangle(own, n, right, r, upper, false, upper ? "H" : "");
    solveTriangle(own, n, right, r, upper, false, upper ? "" : "H");
  });
  return tensorOf(b, B.shape, B);
}

function choleskySolveByProducts(B: Tensor, L: Tensor, upper: boolean): Tensor {
  const inverse = triangularInverse(L, upper, false);
  return upper ? inverse.matmul(inverse.mH.matmul(B)) : inverse.mH.matmul(inverse.matmul(B));
}

type CholeskySolveOp = Op<[input: Tensor, ...Args<[{ L: Tensor }, { upper?: boolean }]>], Tensor, "method">;

export const cholesky_solve: CholeskySolveOp = composite(
  "cholesky_solve",
  "input, L, upper=False",
  { doc: "X with A X = input, by A's Cholesky factor." },
  (input: Tensor, L: Tensor, upper: boolean) => {
    checkMatrix("cholesky_solve", "input", input);
    checkSquare("cholesky_solve", "L", L);
    checkSystem("cholesky_solve", L, input, true);
    const [l, b] = broadcastBatches("cholesky_solve", L, input);
    return choleskySolve(b, l, upper);
  },
);

type CholeskyInverseOp = Op<[input: Tensor, ...Args<[{ upper?: boolean }]>], Tensor, "method">;

export const cholesky_inverse: CholeskyInverseOp = composite(
  "cholesky_inverse",
  "input, upper=False",
  { doc: "The inverse of A, by A's Cholesky factor." },
  (input: Tensor, upper: boolean) => {
    checkSquare("cholesky_inverse", "input", input);
    return choleskySolve(identity(input, rowsOf(input), batchOf(input)), input, upper);
  },
);
