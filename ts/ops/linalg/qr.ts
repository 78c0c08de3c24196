/** QR decompositions, and reflections as LAPACK stores them. */

import { RuntimeError } from "../../core/errors.ts";
import { is_grad_enabled } from "../../core/grad_mode.ts";
import { formatShape, numelOf, sameShape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, named, type Op } from "../../engine/define.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { cat } from "../joining.ts";
import { batchOf, checkAlike, checkFloating, checkMatrix, columnsOf, forBatch, rowsOf, tensorOf, valuesOf } from "./batches.ts";
import { partOf, put, slice, zeros } from "./numbers.ts";
import { applyQ, factorQR, formQ } from "./reflections.ts";
import { identity, solveLeft } from "./triangular.ts";

type QR = Tensor[] & { readonly Q: Tensor; readonly R: Tensor };
type Mode = "reduced" | "complete" | "r";

const decompose: Op<[A: Tensor, mode: Mode], Tensor[]> = defineOp("linalg.qr", "A, mode", {
  doc: "",
  method: false,
  complex: true,
  forward(ctx, A: Tensor, mode: Mode) {
    const [m, n] = [rowsOf(A), columnsOf(A)];
    const columns = mode === "complete" ? m : Math.min(m, n);
    const batch = batchOf(A);
    const a = valuesOf(A, "linalg.qr");
    const complex = A.dtype.is_complex;
    const q = zeros(mode === "r" ? 0 : numelOf(batch) * m * columns, complex);
    const r = zeros(numelOf(batch) * columns * n, complex);
    forBatch(batch, (b) => {
      const own = partOf(a, b, m * n);
      const taus = factorQR(own, m, n);
      if (mode !== "r") put(q, b * m * columns, formQ(own, m, n, taus, columns));
      const upper = partOf(r, b, columns * n);
      for (let i = 0; i < Math.min(m, n); i++) put(upper, i * n + i, slice(own, i * n + i, (i + 1) * n));
    });
    const Q = tensorOf(q, mode === "r" ? [0] : [...batch, m, columns], A);
    const R = tensorOf(r, [...batch, columns, n], A);
    ctx.state = mode;
    ctx.save(A, Q, R);
    return [Q, R];
  },
  backward(ctx, gQ: Tensor | null, gR: Tensor | null) {
    const [A, Q, R] = ctx.saved() as [Tensor, Tensor, Tensor];
    const [m, n] = [rowsOf(A), columnsOf(A)];
    const mode = ctx.state as Mode;
    if (mode === "r") {
      throw new RuntimeError(
        "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Use mode='reduced'.",
      );
    }
    if (mode === "complete" && m > n) {
      throw new RuntimeError(
        "The QR decomposition is not differentiable when mode='complete' and nrows > ncols. Use mode='reduced'.",
      );
    }
    if (m >= n) return [squareGradient(gQ, gR, Q, R)];
    // A = [A1 A2] with A1 = Q R1, A2 = Q R2: R2 is Q^H A2.
    const [R1, A2] = [R.narrow(-1, 0, m), A.narrow(-1, m, n - m)];
    if (gR === null) return [cat([squareGradient(gQ, null, Q, R1), A2.mul(0)], -1)];
    const gR2 = gR.narrow(-1, m, n - m);
    const viaR2 = A2.matmul(gR2.mH);
    const gA1 = squareGradient(gQ === null ? viaR2 : gQ.add(viaR2), gR.narrow(-1, 0, m), Q, R1);
    return [cat([gA1, Q.matmul(gR2)], -1)];
  },
});

/** For at least as many rows as columns: (gQ + Q X) R^-H, X being Hermitian with the upper triangle of gR R^H - Q^H gQ reversed. */
function squareGradient(gQ: Tensor | null, gR: Tensor | null, Q: Tensor, R: Tensor): Tensor {
  let M = gR === null ? null : gR.triu().matmul(R.mH);
  if (gQ !== null) {
    const along = Q.mH.matmul(gQ);
    M = M === null ? along.neg() : M.sub(along);
  }
  const upper = M!.triu();
  // R's diagonal is real, whatever its gradient.
  const halved = upper.add(upper.triu(1)).mul(0.5);
  const X = halved.add(halved.mH);
  const right = gQ === null ? Q.matmul(X) : gQ.add(Q.matmul(X));
  return solveLeft(R, right.mH, true, false).mH;
}

export function qrOf(A: Tensor, mode: string): QR {
  checkMatrix("linalg.qr", "A", A);
  if (mode !== "reduced" && mode !== "complete" && mode !== "r") {
    throw new RuntimeError(`qr received unrecognized mode '${mode}' but expected one of 'reduced' (default), 'r', or 'complete'`);
  }
  return named(["Q", "R"], decompose(A, mode));
}

export const qr: Op<[A: Tensor, ...Args<[{ mode?: Mode }]>], QR> = composite(
  "linalg.qr",
  "A, mode='reduced'",
  {
    doc: "Q with orthonormal columns and upper triangular R, A = Q R; mode 'complete' makes Q square, 'r' leaves it out.",
    method: false,
  },
  (A: Tensor, mode: string) => qrOf(A, mode),
);

export const geqrf: Op<[input: Tensor], Tensor[] & { readonly a: Tensor; readonly tau: Tensor }, "method"> = composite(
  "geqrf",
  "input",
  { doc: "QR as LAPACK stores it: R, below it the vectors of the reflections, and their factors tau." },
  (input: Tensor) => {
    checkMatrix("geqrf", "input", input);
    return named(["a", "tau"], rawQR(input));
  },
);

const rawQR: Op<[input: Tensor], Tensor[]> = defineOp("geqrf", "input", {
  doc: "",
  method: false,
  complex: true,
  forward(_ctx, input: Tensor) {
    const [m, n] = [rowsOf(input), columnsOf(input)];
    const k = Math.min(m, n);
    const a = valuesOf(input, "geqrf");
    const tau = zeros(numelOf(batchOf(input)) * k, input.dtype.is_complex);
    forBatch(batchOf(input), (i) => {
      put(tau, i * k, factorQR(partOf(a, i, m * n), m, n));
    });
    return [tensorOf(a, input.shape, input), tensorOf(tau, [...batchOf(input), k], input)];
  },
});

/** One reflection after the other by differentiable ops: C becomes H_1 ... H_k C, or with transposed H_k^H ... H_1^H C. */
function reflected(A: Tensor, tau: Tensor, C: Tensor, transposed: boolean): Tensor {
  const [m, k] = [rowsOf(A), tau.shape.at(-1)!];
  const V = A.narrow(-1, 0, k)
    .tril(-1)
    .add(identity(A, m, [], k));
  let out = C;
  for (let s = 0; s < k; s++) {
    const i = transposed ? s : k - 1 - s;
    const v = V.narrow(-1, i, 1);
    const factor = tau.narrow(-1, i, 1).unsqueeze(-1);
    out = out.sub(v.mul(transposed ? factor.conj() : factor).matmul(v.mH.matmul(out)));
  }
  return out;
}

/** The same on the host, where nobody differentiates. */
function reflectedNow(op: string, A: Tensor, tau: Tensor, C: Tensor, transposed: boolean): Tensor {
  const [m, n, k, width] = [rowsOf(A), columnsOf(A), tau.shape.at(-1)!, columnsOf(C)];
  const [a, t, c] = [valuesOf(A, op), valuesOf(tau, op), valuesOf(C, op)];
  forBatch(batchOf(C), (i) => {
    applyQ(partOf(a, i, m * n), m, n, partOf(t, i, k), partOf(c, i, m * width), width, transposed);
  });
  return tensorOf(c, C.shape, C);
}

function withReflections(op: string, A: Tensor, tau: Tensor, C: Tensor, transposed: boolean): Tensor {
  const recorded = is_grad_enabled() && [A, tau, C].some((t) => t.requires_grad);
  if (tau.numel() === 0 || A.numel() === 0) return C.clone();
  return recorded ? reflected(A, tau, C, transposed) : reflectedNow(op, A, tau, C, transposed);
}

function checkReflections(op: string, A: Tensor, tau: Tensor): void {
  checkMatrix(op, "input", A);
  checkTensor(op, "tau", tau);
  checkFloating(op, "tau", tau);
  checkAlike(op, A, tau);
  if (tau.ndim !== A.ndim - 1 || !sameShape(tau.shape.slice(0, -1), batchOf(A))) {
    throw new RuntimeError(
      `${op}: Expected tau to have one dimension less than input and the same batch, got shapes ${formatShape(tau.shape)} and ${formatShape(A.shape)}`,
    );
  }
  if (tau.shape.at(-1)! > columnsOf(A)) {
    throw new RuntimeError(
      `${op}: input.shape[-1] must be greater than or equal to tau.shape[-1], got ${columnsOf(A)} and ${tau.shape.at(-1)}`,
    );
  }
}

export const householder_product: Op<[A: Tensor, ...Args<[{ tau: Tensor }]>], Tensor> = composite(
  "linalg.householder_product",
  "A, tau",
  { doc: "The first columns of Q, from what geqrf gives.", method: false },
  (A: Tensor, tau: Tensor) => {
    const op = "linalg.householder_product";
    checkReflections(op, A, tau);
    const [m, n] = [rowsOf(A), columnsOf(A)];
    if (m < n) {
      throw new RuntimeError(
        `${op}: input.shape[-2] must be greater than or equal to input.shape[-1], got shape ${formatShape(A.shape)}`,
      );
    }
    return withReflections(op, A, tau, identity(A, m, batchOf(A), n), false);
  },
);

type OrmqrOp = Op<
  [input: Tensor, ...Args<[{ tau: Tensor }, { other: Tensor }, { left?: boolean }, { transpose?: boolean }]>],
  Tensor,
  "method"
>;

export const ormqr: OrmqrOp = composite(
  "ormqr",
  "input, tau, other, left=True, transpose=False",
  { doc: "Q other, or other Q with left false, or with Q^H, by the reflections that geqrf gives for Q." },
  (input: Tensor, tau: Tensor, other: Tensor, left: boolean, transposed: boolean) => {
    checkReflections("ormqr", input, tau);
    checkMatrix("ormqr", "other", other);
    checkAlike("ormqr", input, other);
    if (!sameShape(batchOf(input), batchOf(other))) {
      throw new RuntimeError(
        `ormqr: batch dimensions of other should be equal to input's, got ${formatShape(batchOf(other))} and ${formatShape(batchOf(input))}`,
      );
    }
    const size = left ? rowsOf(other) : columnsOf(other);
    if (size !== rowsOf(input)) {
      throw new RuntimeError(
        `ormqr: other.shape[${left ? -2 : -1}] must be equal to input.shape[-2], got ${size} and ${rowsOf(input)}`,
      );
    }
    if (tau.shape.at(-1)! > rowsOf(input)) {
      throw new RuntimeError(`ormqr: other.shape[${left ? -2 : -1}] must be greater than or equal to tau.shape[-1]`);
    }
    // C Q = (Q^H C^H)^H
    if (left) return withReflections("ormqr", input, tau, other, transposed);
    return withReflections("ormqr", input, tau, other.mH, !transposed).mH;
  },
);
