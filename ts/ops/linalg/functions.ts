/** The matrix exponential, and systems whose unknowns are tensors. */

import { RuntimeError } from "../../core/errors.ts";
import { formatShape, numelOf } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, type Op } from "../../engine/define.ts";
import { checkTensor, type Args } from "../../engine/signature.ts";
import { where } from "../compare.ts";
import { cat } from "../joining.ts";
import { batchOf, checkSquare, forBatch, rowsOf, tensorOf, valuesOf } from "./batches.ts";
import { exponential } from "./exponential.ts";
import { inv, solve } from "./lu.ts";
import { partOf, put } from "./numbers.ts";
import { exponentialByProducts } from "./on_device.ts";

export const matrix_exp: Op<[A: Tensor], Tensor> = defineOp("linalg.matrix_exp", "A", {
  doc: "The exponential of square matrices.",
  method: false,
  complex: true,
  forward(ctx, A: Tensor) {
    checkSquare("linalg.matrix_exp", "A", A);
    ctx.save(A);
    return A.is_cpu ? exponentialOnHost(A) : exponentialByProducts(A);
  },
  backward(ctx, g: Tensor) {
    const [A] = ctx.saved() as [Tensor];
    const n = rowsOf(A);
    // exp of [A^H g; 0 A^H] has the derivative at A^H along g in its corner.
    const Ah = A.mH;
    // The derivative is linear in g, which would otherwise tell how far to scale.
    if (n === 0) return [g];
    const largest = g.detach().abs().amax([-2, -1], true);
    const size = where(largest.gt(0), largest, 1);
    const blocks = cat([cat([Ah, g.div(size)], -1), cat([Ah.mul(0), Ah], -1)], -2);
    return [matrix_exp(blocks).narrow(-2, 0, n).narrow(-1, n, n).mul(size)];
  },
});

function exponentialOnHost(A: Tensor): Tensor {
  const n = rowsOf(A);
  const a = valuesOf(A, "linalg.matrix_exp");
  forBatch(batchOf(A), (i) => {
    put(a, i * n * n, exponential(partOf(a, i, n * n), n));
  });
  return tensorOf(a, A.shape, A);
}

export const tensorinv: Op<[A: Tensor, ...Args<[{ ind?: number }]>], Tensor> = composite(
  "linalg.tensorinv",
  "A, ind=2",
  { doc: "The inverse of A as a map from its dims after the first ind to those.", method: false },
  (A: Tensor, ind: number) => {
    const op = "linalg.tensorinv";
    checkTensor(op, "A", A);
    if (ind <= 0) throw new RuntimeError(`${op}: expected a strictly positive integer for 'ind', got ${ind}`);
    const [first, last] = [A.shape.slice(0, ind), A.shape.slice(ind)];
    const n = numelOf(first);
    if (n !== numelOf(last)) {
      throw new RuntimeError(
        `${op}: expected the product of the first ${ind} dimensions of A to equal that of the others, got shape ${formatShape(A.shape)}`,
      );
    }
    return inv(A.reshape([n, n])).reshape([...last, ...first]);
  },
);

type TensorsolveOp = Op<[A: Tensor, ...Args<[{ B: Tensor }, { dims?: readonly number[] | null }]>], Tensor>;

export const tensorsolve: TensorsolveOp = composite(
  "linalg.tensorsolve",
  "A, B, dims=None",
  { doc: "X with tensordot(A, X) = B; dims of A are moved to its end first.", method: false },
  (A: Tensor, B: Tensor, dims: readonly number[] | null) => {
    const op = "linalg.tensorsolve";
    checkTensor(op, "A", A);
    checkTensor(op, "B", B);
    const moved =
      dims === null
        ? A
        : A.movedim(
            dims,
            dims.map((_, i) => A.ndim - dims.length + i),
          );
    const shape = moved.shape.slice(B.ndim);
    if (numelOf(shape) !== B.numel()) {
      throw new RuntimeError(
        `${op}: Expected A to be ${formatShape([...B.shape, ...shape])} with the product of the last dimensions equal to B's size; got A ${formatShape(A.shape)} and B ${formatShape(B.shape)}`,
      );
    }
    const n = B.numel();
    return solve(moved.reshape([n, n]), B.reshape([n])).reshape(shape);
  },
);
