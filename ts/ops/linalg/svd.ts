/** Singular value decompositions, and what they tell: ranks, condition numbers. */

import { int64, type Scalar } from "../../core/dtype.ts";
import { RuntimeError } from "../../core/errors.ts";
import { numelOf } from "../../core/shape.ts";
import { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, named, type Op } from "../../engine/define.ts";
import type { Args } from "../../engine/signature.ts";
import { zeros as zerosOf } from "../creation.ts";
import { matrixNormOf } from "../norms.ts";
import {
  batchOf,
  checkInfo,
  checkMatrix,
  checkSquare,
  columnsOf,
  complaints,
  epsilonOf,
  forBatch,
  part,
  rowsOf,
  tensorOf,
  valuesOf,
} from "./batches.ts";
import { eighOf } from "./eigh.ts";
import { inverted } from "./lu.ts";
import { partOf, put, realNumbers, zeros } from "./numbers.ts";
import { checkPhases } from "./phases.ts";
import { singularValues } from "./singular.ts";

/** U, S, Vh; without vectors U and Vh are empty. */
const decompose: Op<[A: Tensor, op: string, vectors: boolean, full: boolean], Tensor[]> = defineOp(
  "linalg.svd",
  "A, op, vectors, full",
  {
    doc: "",
    method: false,
    complex: true,
    forward(ctx, A: Tensor, op: string, vectors: boolean, full: boolean) {
      const [m, n] = [rowsOf(A), columnsOf(A)];
      const k = Math.min(m, n);
      const [wide, high] = full ? [m, n] : [k, k];
      const batch = batchOf(A);
      const count = numelOf(batch);
      const a = valuesOf(A, op);
      const s = new Float64Array(count * k);
      const u = zeros(vectors ? count * m * wide : 0, A.dtype.is_complex);
      const v = zeros(vectors ? count * high * n : 0, A.dtype.is_complex);
      const infos = new Int32Array(count);
      forBatch(batch, (i) => {
        const { values, U, Vh, info } = singularValues(partOf(a, i, m * n), m, n, vectors, full);
        infos[i] = info;
        if (info !== 0) return;
        part(s, i, k).set(values);
        if (!vectors) return;
        put(u, i * m * wide, U!);
        put(v, i * high * n, Vh!);
      });
      checkInfo(op, infos, batch, complaints.svd);
      const U = tensorOf(u, vectors ? [...batch, m, wide] : [0], A);
      const S = tensorOf(realNumbers(s), [...batch, k], A);
      const Vh = tensorOf(v, vectors ? [...batch, high, n] : [0], A);
      ctx.save(U, S, Vh);
      return [U, S, Vh];
    },
    backward(ctx, gU: Tensor | null, gS: Tensor | null, gVh: Tensor | null) {
      const [U, S, Vh] = ctx.saved() as [Tensor, Tensor, Tensor];
      const k = S.shape.at(-1)!;
      // Of full matrices, what lies beyond has no gradient of its own.
      const columns = (x: Tensor | null): Tensor | null => (x === null ? null : x.narrow(-1, 0, k));
      const rows = (x: Tensor | null): Tensor | null => (x === null ? null : x.narrow(-2, 0, k));
      return [gradient(columns(gU), gS, rows(gVh), columns(U)!, S, rows(Vh)!)];
    },
  },
);

function gradient(gU: Tensor | null, gS: Tensor | null, gVh: Tensor | null, U: Tensor, S: Tensor, Vh: Tensor): Tensor {
  const [m, n, k] = [rowsOf(U), columnsOf(Vh), S.shape.at(-1)!];
  if (gU === null && gVh === null) return U.mul(gS!.unsqueeze(-2)).matmul(Vh);
  const skew = (x: Tensor): Tensor => x.sub(x.mH);
  const [across, down] = [S.unsqueeze(-2), S.unsqueeze(-1)];
  const apart = across.sub(down).mul(across.add(down)).add(S.mul(0).add(1).diag_embed());
  const [left, right] = [gU === null ? null : skew(U.mH.matmul(gU)), gVh === null ? null : skew(Vh.matmul(gVh.mH))];
  if (U.dtype.is_complex) {
    checkPhases(
      (left === null ? right! : right === null ? left : left.add(right)).diagonal(0, -2, -1),
      "svd_backward: The singular vectors in the complex case are specified up to multiplication by e^{i phi}. The specified loss function depends on this phase term, making it ill-defined.",
    );
  }
  const [fromLeft, fromRight] = [left?.mul(across) ?? null, right?.mul(down) ?? null];
  let middle = (fromLeft === null ? fromRight! : fromRight === null ? fromLeft : fromLeft.add(fromRight)).div(apart);
  if (gS !== null) middle = middle.add(gS.diag_embed());
  // Phases of a pair of vectors turn together; against each other they do not.
  if (U.dtype.is_complex && left !== null && right !== null) {
    middle = middle.add(left.diagonal(0, -2, -1).div(S.mul(2)).diag_embed());
  }
  let out = U.matmul(middle).matmul(Vh);
  if (m > k && gU !== null) {
    const scaled = gU.div(across);
    out = out.add(scaled.sub(U.matmul(U.mH.matmul(scaled))).matmul(Vh));
  }
  if (n > k && gVh !== null) {
    const scaled = gVh.div(down);
    out = out.add(U.matmul(scaled.sub(scaled.matmul(Vh.mH).matmul(Vh))));
  }
  return out;
}

export type SVD = Tensor[] & { readonly U: Tensor; readonly S: Tensor; readonly Vh: Tensor };

export function svdOf(op: string, A: Tensor, full: boolean): SVD {
  checkMatrix(op, "A", A);
  return named(["U", "S", "Vh"], decompose(A, op, true, full));
}

/** Singular values, descending. */
export function singular(op: string, A: Tensor): Tensor {
  checkMatrix(op, "A", A);
  return decompose(A, op, A.requires_grad, false)[1]!;
}

type SVDOp = Op<[A: Tensor, ...Args<[{ full_matrices?: boolean }], { driver?: string | null }>], SVD>;

export const svd: SVDOp = composite(
  "linalg.svd",
  "A, full_matrices=True, *, driver=None",
  {
    doc: "U, S, Vh with A = U diag(S) Vh, S descending; U and Vh square, or with full_matrices false as small as can be.",
    method: false,
  },
  (A: Tensor, full: boolean, driver: string | null) => {
    checkDriver("linalg.svd", driver);
    return svdOf("linalg.svd", A, full);
  },
);

/** PyTorch takes a driver for cuda's library only. */
function checkDriver(op: string, driver: string | null): void {
  if (driver !== null)
    throw new RuntimeError(`${op}: keyword argument \`driver=\` is only supported on CUDA inputs with cuSOLVER backend.`);
}

export const svdvals: Op<[A: Tensor, options?: { driver?: string | null }], Tensor> = composite(
  "linalg.svdvals",
  "A, *, driver=None",
  { doc: "Singular values, descending.", method: false },
  (A: Tensor, driver: string | null) => {
    checkDriver("linalg.svdvals", driver);
    return singular("linalg.svdvals", A);
  },
);

export type Tolerance = Scalar | Tensor | null;

/** max(atol, rtol * greatest), per matrix; where neither is given (or atol is 0), rtol is eps times the greater size. */
export function threshold(A: Tensor, greatest: Tensor, atol: Tolerance, rtol: Tolerance): Tensor {
  const standard = epsilonOf(A.dtype) * Math.max(rowsOf(A), columnsOf(A));
  const absolute = atol ?? 0;
  let relative = rtol;
  if (relative === null) {
    if (absolute instanceof Tensor) relative = absolute.gt(0).logical_not().to(A.dtype.real).mul(standard);
    else relative = Number(absolute) > 0 ? 0 : standard;
  }
  const scaled = greatest.mul(relative);
  return absolute instanceof Tensor ? absolute.maximum(scaled) : scaled.clamp(Number(absolute));
}

type Tolerances = { atol?: Tolerance; rtol?: Tolerance; hermitian?: boolean };
type RankOp = Op<[A: Tensor, ...Args<[{ tol?: Tolerance }, { hermitian?: boolean }], Tolerances>], Tensor>;

export const matrix_rank: RankOp = composite(
  "linalg.matrix_rank",
  "A, tol=None, hermitian=False, *, atol=None, rtol=None",
  { doc: "How many singular values (hermitian: eigenvalues) exceed max(atol, rtol * the greatest).", method: false },
  (A: Tensor, tol: Tolerance, hermitian: boolean, atol: Tolerance, rtol: Tolerance) => {
    const op = "linalg.matrix_rank";
    checkMatrix(op, "A", A);
    const a = A.detach();
    if (hermitian) checkSquare(op, "A", A);
    if (a.numel() === 0) return zerosOf(batchOf(a), { dtype: int64, device: a.device });
    const sizes = hermitian ? eighOf(op, a, "L", false)[0].abs() : singular(op, a);
    const limit = tol === null ? threshold(a, sizes.amax(-1), atol, rtol) : sizes.amax(-1).mul(0).add(tol);
    return sizes.gt(limit.unsqueeze(-1)).sum(-1);
  },
);

type Order = Scalar | "fro" | "nuc" | null;

export const cond: Op<[A: Tensor, ...Args<[{ p?: Order }]>], Tensor> = composite(
  "linalg.cond",
  "A, p=None",
  {
    doc: "Condition numbers: norm times the inverse's norm; by default the greatest over the least singular value.",
    method: false,
  },
  (A: Tensor, p: Order) => {
    const op = "linalg.cond";
    checkMatrix(op, "A", A);
    const order = typeof p === "string" || p === null ? p : Number(p);
    if (A.numel() === 0) return A.abs().sum([-2, -1]);
    if (order === null || order === 2 || order === -2) {
      const S = singular(op, A);
      const [first, last] = [S.select(-1, 0), S.select(-1, -1)];
      return order === -2 ? last.div(first) : first.div(last);
    }
    if (typeof order === "string" ? !["fro", "nuc"].includes(order) : ![1, Infinity].includes(Math.abs(order))) {
      throw new RuntimeError(`${op} got an invalid norm type: ${order}; use 'fro', 'nuc', ±1, ±2 or ±inf`);
    }
    const { inverse, infos } = inverted(op, A);
    const singularOnes = tensorOf(realNumbers(Float64Array.from(infos)), batchOf(A), A).ne(0);
    const finite = inverse.masked_fill(singularOnes.unsqueeze(-1).unsqueeze(-1), 0);
    const norm = (x: Tensor): Tensor => matrixNormOf(op, x, order, [-2, -1], false, null);
    return norm(A).mul(norm(finite)).masked_fill(singularOnes, Infinity);
  },
);
