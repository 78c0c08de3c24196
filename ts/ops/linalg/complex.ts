/**
 * Complex systems and factorisations as real ones of twice the size: each number a + bi is a block [a -b; b a], so products, inverses,
 * Cholesky factors (their blocks' diagonals being real) and gradients of these keep that form. Singular values and eigenvalues come twice.
 */

import { int64, type Scalar } from "../../core/dtype.ts";
import { RuntimeError } from "../../core/errors.ts";
import { formatShape, sameShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { complexRule, joined, part } from "../../engine/complex.ts";
import { callPrimitive, named } from "../../engine/define.ts";
import { checkTensor } from "../../engine/signature.ts";
import { stack } from "../joining.ts";
import { matrixNormOf } from "../norms.ts";
import { batchOf, broadcastBatches, checkInfo, columnsOf, complaints, integerTensorOf, rowsOf } from "./batches.ts";
import { choleskyOf } from "./cholesky.ts";
import { eighOf } from "./eigh.ts";
import { matrix_exp } from "./functions.ts";
import { Found, solveSystem } from "./lu.ts";
import { lstsq, pinv } from "./pinv.ts";
import { singular, threshold, type Tolerance } from "./svd.ts";
import { identity, solve_triangular } from "./triangular.ts";

function checkPair(op: string, name: string, a: unknown): asserts a is Tensor {
  checkTensor(op, name, a);
  if (a.ndim < 2) {
    throw new RuntimeError(`${op}: The input tensor ${name} must have at least 2 dimensions, got shape ${formatShape(a.shape)}`);
  }
}

function checkSquarePair(op: string, a: unknown): asserts a is Tensor {
  checkPair(op, "A", a);
  const [m, n] = a.shape.slice(-2);
  if (m !== n) throw new RuntimeError(`${op}: A must be batches of square matrices, but they are ${m} by ${n} matrices`);
}

/** [..., m, n] complex → [..., 2m, 2n] real. */
function blocks(A: Tensor): Tensor {
  const [re, im] = [part(A, 0), part(A, 1)];
  const both = stack([stack([re, im.neg()], -1), stack([im, re], -1)], -2);
  return both.transpose(-2, -3).reshape([...batchOf(A), 2 * rowsOf(A), 2 * columnsOf(A)]);
}

/** [..., m, r] complex → [..., 2m, r] real: what blocks multiply. */
function column(B: Tensor): Tensor {
  return stack([part(B, 0), part(B, 1)], -2).reshape([...batchOf(B), 2 * rowsOf(B), columnsOf(B)]);
}

function fromColumn(X: Tensor): Tensor {
  const pairs = X.reshape([...batchOf(X), rowsOf(X) / 2, 2, columnsOf(X)]);
  return joined(pairs.select(-2, 0), pairs.select(-2, 1));
}

/** The numbers of which a matrix of blocks is made. */
function fromBlocks(E: Tensor): Tensor {
  const left = E.reshape([...batchOf(E), rowsOf(E) / 2, 2, columnsOf(E) / 2, 2]).select(-1, 0);
  return joined(left.select(-2, 0), left.select(-2, 1));
}

/** Means of values that come in pairs. */
function pairs(values: Tensor): Tensor {
  return values.reshape([...values.shape.slice(0, -1), values.shape.at(-1)! / 2, 2]).mean(-1);
}

/** Where a complex elimination fails, from where the real one does. */
const halved = (infos: Int32Array): Int32Array => infos.map((i) => Math.ceil(i / 2));

function solution(op: string, A: Tensor, B: Tensor, left: boolean): { X: Tensor; infos: Int32Array; batch: readonly number[] } {
  checkSquarePair(op, A);
  checkTensor(op, "B", B);
  if (A.dtype !== B.dtype) {
    throw new RuntimeError(`${op}: Expected both inputs to have the same dtype, but got ${A.dtype} and ${B.dtype}`);
  }
  const vector = B.ndim === 1 || (A.ndim - 1 === B.ndim && sameShape(B.shape, A.shape.slice(0, -1)));
  if (vector && !left) {
    throw new RuntimeError(
      `${op}: Vector broadcasting of the left hand side is not supported for left=False. Use B / A.squeeze(-1)`,
    );
  }
  const columns = vector ? B.unsqueeze(-1) : B;
  if ((left ? rowsOf(columns) : columnsOf(columns)) !== rowsOf(A)) {
    throw new RuntimeError(
      `${op}: Incompatible shapes of A and B for the equation ${left ? "AX = B" : "XA = B"} (${formatShape(A.shape)} and ${formatShape(B.shape)})`,
    );
  }
  const [a, b] = broadcastBatches(op, A, columns);
  const found = new Found();
  const real = solveSystem(blocks(left ? a : a.mT), column(left ? b : b.mT), found);
  const X = left ? fromColumn(real) : fromColumn(real).mT;
  return { X: vector ? X.squeeze(-1) : X, infos: halved(found.factors.infos), batch: batchOf(a) };
}

function inverseOf(op: string, A: Tensor): { inverse: Tensor; infos: Int32Array } {
  checkSquarePair(op, A);
  const E = blocks(A);
  const found = new Found();
  return {
    inverse: fromColumn(solveSystem(E, column(joined(identity(part(A, 0), rowsOf(A), batchOf(A)), null)), found)),
    infos: halved(found.factors.infos),
  };
}

complexRule("linalg.solve", (A: Tensor, B: Tensor, left: boolean) => {
  const { X, infos, batch } = solution("torch.linalg.solve", A, B, left);
  checkInfo("torch.linalg.solve", infos, batch, complaints.solve);
  return X;
});

complexRule("linalg.solve_ex", (A: Tensor, B: Tensor, left: boolean, check: boolean) => {
  const { X, infos, batch } = solution("linalg.solve_ex", A, B, left);
  if (check) checkInfo("linalg.solve_ex", infos, batch, complaints.solve);
  return named(["result", "info"], [X, integerTensorOf(infos, batch, A)]);
});

complexRule("linalg.inv", (A: Tensor) => {
  const { inverse, infos } = inverseOf("linalg.inv", A);
  checkInfo("linalg.inv", infos, batchOf(A), complaints.inverse);
  return inverse;
});

complexRule("linalg.inv_ex", (A: Tensor, check: boolean) => {
  const { inverse, infos } = inverseOf("linalg.inv_ex", A);
  if (check) checkInfo("linalg.inv_ex", infos, batchOf(A), complaints.inverse);
  return named(["inverse", "info"], [inverse, integerTensorOf(infos, batchOf(A), A)]);
});

complexRule("linalg.solve_triangular", (A: Tensor, B: Tensor, upper: boolean, left: boolean, unit: boolean) => {
  checkSquarePair("linalg.solve_triangular", A);
  checkPair("linalg.solve_triangular", "B", B);
  const from = unit ? 1 : 0;
  const [re, im] = [part(A, 0), part(A, 1)].map((x) => (upper ? x.triu(from) : x.tril(-from))) as [Tensor, Tensor];
  const whole = joined(unit ? re.add(identity(re, rowsOf(re), [])) : re, im);
  return solution("linalg.solve_triangular", whole, B, left).X;
});

complexRule("linalg.matrix_exp", (A: Tensor) => {
  checkSquarePair("linalg.matrix_exp", A);
  return fromBlocks(matrix_exp(blocks(A)));
});

/** The Hermitian matrix that one triangle stands for, as blocks whose lower triangle is right. What the diagonal has imaginary does not count. */
function hermitianBlocks(A: Tensor, upper: boolean): Tensor {
  const [re, im] = [part(A, 0), part(A, 1)];
  const used = blocks(upper ? joined(re.mT, im.triu(1).mT.neg()) : joined(re, im.tril(-1)));
  // The gradient goes to all of A, as if it had been Hermitian.
  const whole = blocks(upper ? A.mH : A);
  return whole.add(used.sub(whole).detach());
}

function factorOf(op: string, A: Tensor, upper: boolean): { L: Tensor; infos: Int32Array } {
  checkSquarePair(op, A);
  let infos: Int32Array = new Int32Array(0);
  const L = callPrimitive(
    "linalg.cholesky_ex",
    [A],
    (ctx, a: unknown) => {
      const found = choleskyOf(op, hermitianBlocks(a as Tensor, upper), false);
      infos = halved(found.infos);
      const out = fromBlocks(found.factor);
      ctx.save(out);
      return out;
    },
    (ctx, g) => {
      const [own] = ctx.saved() as [Tensor];
      const lower = own.mH.matmul((g as Tensor).tril()).tril();
      const middle = lower.add(lower.tril(-1).mH).mul(0.5);
      const half = solve_triangular(own.mH, middle, { upper: true });
      return [solve_triangular(own.mH, half.mH, { upper: true }).mH];
    },
  );
  return { L: upper ? L.mH : L, infos };
}

complexRule("linalg.cholesky", (A: Tensor, upper: boolean) => {
  const { L, infos } = factorOf("linalg.cholesky", A, upper);
  checkInfo("linalg.cholesky", infos, batchOf(A), complaints.cholesky);
  return L;
});

complexRule("cholesky", (A: Tensor, upper: boolean) => {
  const { L, infos } = factorOf("cholesky", A, upper);
  checkInfo("cholesky", infos, batchOf(A), complaints.cholesky);
  return L;
});

complexRule("linalg.cholesky_ex", (A: Tensor, upper: boolean, check: boolean) => {
  const { L, infos } = factorOf("linalg.cholesky_ex", A, upper);
  if (check) checkInfo("linalg.cholesky_ex", infos, batchOf(A), complaints.cholesky);
  return named(["L", "info"], [L, integerTensorOf(infos, batchOf(A), A)]);
});

complexRule("linalg.svdvals", (A: Tensor) => {
  checkPair("linalg.svdvals", "A", A);
  return pairs(singular("linalg.svdvals", blocks(A)));
});

function hermitianValues(op: string, A: Tensor, UPLO: string): Tensor {
  checkSquarePair(op, A);
  const upper = UPLO.toUpperCase() === "U";
  const E = hermitianBlocks(A, upper);
  return pairs(eighOf(op, E, upper ? "L" : UPLO, E.requires_grad)[0]);
}

complexRule("linalg.eigvalsh", (A: Tensor, UPLO: string) => hermitianValues("linalg.eigvalsh", A, UPLO));

/** The relative tolerance that complex matrices have by default: their real forms are twice as large. */
const tolerance = (A: Tensor): number => (A.dtype.itemsize === 16 ? 2 ** -52 : 2 ** -23) * Math.max(rowsOf(A), columnsOf(A));

complexRule("linalg.matrix_rank", (A: Tensor, tol: Tolerance, hermitian: boolean, atol: Tolerance, rtol: Tolerance) => {
  checkPair("linalg.matrix_rank", "A", A);
  const a = A.detach();
  if (a.numel() === 0) return part(a, 0).new_zeros(batchOf(a), { dtype: int64 });
  const op = "linalg.matrix_rank";
  const sizes = hermitian ? hermitianValues(op, a, "L").abs() : pairs(singular(op, blocks(a)));
  const limit = tol === null ? threshold(part(a, 0), sizes.amax(-1), atol, rtol) : sizes.amax(-1).mul(0).add(tol);
  return sizes.gt(limit.unsqueeze(-1)).sum(-1);
});

complexRule("linalg.pinv", (A: Tensor, rcond: Tolerance, hermitian: boolean, atol: Tolerance, rtol: Tolerance) => {
  if (hermitian) checkSquarePair("linalg.pinv", A);
  else checkPair("linalg.pinv", "A", A);
  const relative = rtol ?? rcond ?? (atol === null ? tolerance(A) : null);
  return fromBlocks(pinv(hermitian ? hermitianBlocks(A, false) : blocks(A), { atol, rtol: relative, hermitian }));
});

complexRule("linalg.cond", (A: Tensor, p: Scalar | "fro" | "nuc" | null) => {
  const op = "linalg.cond";
  checkPair(op, "A", A);
  if (A.numel() === 0) return part(A, 0).sum([-2, -1]);
  if (p === null || (typeof p !== "string" && Math.abs(Number(p)) === 2)) {
    const S = pairs(singular(op, blocks(A)));
    const [first, last] = [S.select(-1, 0), S.select(-1, -1)];
    return Number(p) === -2 ? last.div(first) : first.div(last);
  }
  const { inverse } = inverseOf(op, A);
  const norm = (x: Tensor): Tensor => matrixNormOf(op, x, p, [-2, -1], false, null);
  return norm(A).mul(norm(inverse));
});

complexRule("linalg.lstsq", (A: Tensor, B: Tensor, rcond: Scalar | null, driver: string | null) => {
  checkPair("torch.linalg.lstsq", "A", A);
  checkTensor("torch.linalg.lstsq", "B", B);
  const vector = A.ndim - 1 === B.ndim && sameShape(B.shape, A.shape.slice(0, -1));
  const right = column(vector ? B.unsqueeze(-1) : B);
  const found = lstsq(blocks(A), right, Number(rcond ?? tolerance(A)), { driver: driver as "gels" | null });
  const X = fromColumn(found.solution);
  const values = found.singular_values;
  return named(
    ["solution", "residuals", "rank", "singular_values"],
    [
      vector ? X.squeeze(-1) : X,
      found.residuals,
      found.rank.div(2, { rounding_mode: "floor" }),
      values.numel() === 0 ? values : pairs(values),
    ],
  );
});
