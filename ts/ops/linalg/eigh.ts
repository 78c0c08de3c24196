/** Eigenvalues and eigenvectors of symmetric and Hermitian matrices. */

import { RuntimeError } from "../../core/errors.ts";
import { numelOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, named, type Op } from "../../engine/define.ts";
import type { Args } from "../../engine/signature.ts";
import { batchOf, checkInfo, checkSquare, complaints, forBatch, part, rowsOf, tensorOf, valuesOf } from "./batches.ts";
import { partOf, put, realNumbers, zeros } from "./numbers.ts";
import { checkPhases, eigenPhases } from "./phases.ts";
import { hermitianSpectrum } from "./spectrum.ts";
import { identity } from "./triangular.ts";

/** Of the lower triangle of A. */
const decompose: Op<[A: Tensor, op: string, vectors: boolean], Tensor[]> = defineOp("linalg.eigh", "A, op, vectors", {
  doc: "",
  method: false,
  complex: true,
  forward(ctx, A: Tensor, op: string, vectors: boolean) {
    const n = rowsOf(A);
    const batch = batchOf(A);
    const a = valuesOf(A, op);
    const infos = new Int32Array(numelOf(batch));
    const w = new Float64Array(infos.length * n);
    const v = zeros(vectors ? A.numel() : 0, A.dtype.is_complex);
    forBatch(batch, (i) => {
      const found = hermitianSpectrum(partOf(a, i, n * n), n, vectors);
      infos[i] = found.info;
      part(w, i, n).set(found.values);
      if (vectors) put(v, i * n * n, found.vectors!);
    });
    checkInfo(op, infos, batch, complaints.eigh);
    const L = tensorOf(realNumbers(w), A.shape.slice(0, -1), A);
    const V = tensorOf(v, vectors ? A.shape : [0], A);
    ctx.save(L, V);
    return [L, V];
  },
  backward(ctx, gL: Tensor | null, gV: Tensor | null) {
    const [L, V] = ctx.saved() as [Tensor, Tensor];
    if (gV === null) return [V.mul(gL!.unsqueeze(-2)).matmul(V.mH)];
    const n = rowsOf(V);
    const same = identity(L, n, []).ne(0);
    const apart = L.unsqueeze(-2).sub(L.unsqueeze(-1)).masked_fill(same, 1);
    // The skew part alone turns V and leaves it orthogonal.
    const turn = V.mH.matmul(gV);
    checkPhases(turn.diagonal(0, -2, -1), eigenPhases("linalg_eigh_backward"));
    let middle = turn.sub(turn.mH).mul(0.5).div(apart).masked_fill(same, 0);
    if (gL !== null) middle = middle.add(gL.diag_embed());
    return [V.matmul(middle).matmul(V.mH)];
  },
});

/** Eigenvalues, ascending, and eigenvectors of one triangle of A. */
export function eighOf(op: string, A: Tensor, UPLO: string, vectors: boolean): [Tensor, Tensor] {
  checkSquare(op, "A", A);
  const side = UPLO.toUpperCase();
  if (side !== "L" && side !== "U") throw new RuntimeError(`${op}: Expected UPLO argument to be 'L' or 'U', but got '${UPLO}'`);
  return decompose(side === "U" ? A.mH : A, op, vectors) as [Tensor, Tensor];
}

type EighOp = Op<
  [A: Tensor, ...Args<[{ UPLO?: string }]>],
  Tensor[] & { readonly eigenvalues: Tensor; readonly eigenvectors: Tensor }
>;

export const eigh: EighOp = composite(
  "linalg.eigh",
  "A, UPLO='L'",
  {
    doc: "Eigenvalues, ascending, and eigenvectors (columns) of symmetric (complex: Hermitian) matrices, of which one triangle is read.",
    method: false,
  },
  (A: Tensor, UPLO: string) => named(["eigenvalues", "eigenvectors"], eighOf("linalg.eigh", A, UPLO, true)),
);

export const eigvalsh: Op<[A: Tensor, ...Args<[{ UPLO?: string }]>], Tensor> = composite(
  "linalg.eigvalsh",
  "A, UPLO='L'",
  { doc: "Eigenvalues, ascending, of symmetric (complex: Hermitian) matrices.", method: false },
  (A: Tensor, UPLO: string) => {
    checkSquare("linalg.eigvalsh", "A", A);
    return eighOf("linalg.eigvalsh", A, UPLO, A.requires_grad)[0];
  },
);
