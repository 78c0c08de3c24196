/** Eigenvalues and eigenvectors of square matrices of any kind. */

import { RuntimeError } from "../../core/errors.ts";
import { is_grad_enabled } from "../../core/grad_mode.ts";
import { numelOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { part as planeOf } from "../../engine/complex.ts";
import { composite, defineOp, named, type Op } from "../../engine/define.ts";
import { batchOf, checkInfo, checkSquare, complaints, forBatch, rowsOf, tensorOf, valuesOf } from "./batches.ts";
import { eigen } from "./hessenberg.ts";
import { solved } from "./lu.ts";
import { allFinite, partOf, put, zeros } from "./numbers.ts";
import { checkPhases, eigenPhases } from "./phases.ts";
import { identity } from "./triangular.ts";

/** Eigenvalues and eigenvectors; without vectors these are empty. */
const decompose: Op<[A: Tensor, op: string, vectors: boolean], Tensor[]> = defineOp("linalg.eig", "A, op, vectors", {
  doc: "",
  method: false,
  complex: true,
  forward(ctx, A: Tensor, op: string, vectors: boolean) {
    const n = rowsOf(A);
    const batch = batchOf(A);
    const a = valuesOf(A, op);
    if (!allFinite(a)) throw new RuntimeError(`torch.linalg.eig: input tensor should not contain infs or NaNs.`);
    const infos = new Int32Array(numelOf(batch));
    const values = zeros(infos.length * n, true);
    const columns = zeros(vectors ? A.numel() : 0, true);
    forBatch(batch, (i) => {
      const found = eigen(partOf(a, i, n * n), n, vectors);
      infos[i] = found.info;
      put(values, i * n, found.values);
      if (vectors) put(columns, i * n * n, found.vectors!);
    });
    checkInfo(op, infos, batch, complaints.eig);
    const L = tensorOf(values, A.shape.slice(0, -1), A);
    const V = tensorOf(columns, vectors ? A.shape : [0], A);
    ctx.state = A.dtype.is_complex;
    ctx.save(L, V);
    return [L, V];
  },
  backward(ctx, gL: Tensor | null, gV: Tensor | null) {
    const [L, V] = ctx.saved() as [Tensor, Tensor];
    const Vh = V.mH;
    let middle: Tensor;
    if (gV === null) middle = Vh.mul(gL!.unsqueeze(-1));
    else {
      const same = identity(planeOf(L, 0), rowsOf(V), []).ne(0);
      const along = Vh.matmul(gV);
      const turning = along.diagonal(0, -2, -1);
      checkPhases(turning, eigenPhases("linalg_eig_backward"));
      const adjoint = L.conj();
      const apart = adjoint.unsqueeze(-2).sub(adjoint.unsqueeze(-1)).masked_fill(same, 1);
      // Vectors keep their length.
      const free = along.sub(Vh.matmul(V).mul(planeOf(turning, 0).unsqueeze(-2)));
      middle = free.div(apart).masked_fill(same, 0);
      if (gL !== null) middle = middle.add(gL.diag_embed());
      middle = middle.matmul(Vh);
    }
    const gA = solved(Vh, middle);
    return [(ctx.state as boolean) ? gA : planeOf(gA, 0)];
  },
});

type EigOp = Op<[A: Tensor], Tensor[] & { readonly eigenvalues: Tensor; readonly eigenvectors: Tensor }>;

export const eig: EigOp = composite(
  "linalg.eig",
  "A",
  {
    doc: "Eigenvalues and eigenvectors (columns) of square matrices [*, n, n], complex also where A is real: [*, n] and [*, n, n]. Vectors have length 1, and their largest component is real; eigenvalues come in no order. RuntimeError for infinite values and NaN; LinAlgError where it does not converge. The gradient is that of losses that do not depend on the vectors' phases, RuntimeError for others; it is infinite where eigenvalues are equal.",
    method: false,
  },
  (A: Tensor) => {
    checkSquare("linalg.eig", "A", A);
    return named(["eigenvalues", "eigenvectors"], decompose(A, "linalg.eig", true));
  },
);

export const eigvals: Op<[A: Tensor], Tensor> = composite(
  "linalg.eigvals",
  "A",
  {
    doc: "Eigenvalues of square matrices [*, n, n], complex also where A is real: [*, n], in no order. RuntimeError for infinite values and NaN.",
    method: false,
  },
  (A: Tensor) => {
    checkSquare("linalg.eigvals", "A", A);
    return decompose(A, "linalg.eigvals", is_grad_enabled() && A.requires_grad)[0]!;
  },
);
