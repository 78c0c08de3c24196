/** Determinants and their logarithms. */

import { is_grad_enabled } from "../../core/grad_mode.ts";
import type { Tensor } from "../../core/tensor.ts";
import { composite, defineOp, named, type Op } from "../../engine/define.ts";
import { batchOf, checkSquare, forBatch, part, rowsOf, tensorOf, valuesOf } from "./batches.ts";
import { factorLU, solveLU } from "./elimination.ts";
import { factorAll, solveAll, solved, type Factors } from "./lu.ts";
import { singularValues } from "./spectrum.ts";
import { svdOf } from "./svd.ts";
import { identity } from "./triangular.ts";

/** Sign and logarithm of the absolute value, and the product itself, from a matrix's LU. */
function fromLU(lu: Float64Array, n: number, pivots: Int32Array): { sign: number; log: number; value: number } {
  let [sign, log, value] = [1, 0, 1];
  for (let i = 0; i < n; i++) {
    const x = lu[i * n + i];
    if (pivots[i] !== i + 1) sign = -sign;
    sign *= Number.isNaN(x) ? NaN : Math.sign(x);
    log += Math.log(Math.abs(x));
    value *= x;
  }
  return { sign, log, value };
}

/** Below this ratio of U's diagonal elements, the inverse is no way to the cofactors. */
const SINGULAR = 1e-4;

function nearlySingular(lu: Float64Array, n: number): boolean {
  let [least, largest] = [Infinity, 0];
  for (let i = 0; i < n; i++) {
    const x = Math.abs(lu[i * n + i]);
    least = Math.min(least, x);
    largest = Math.max(largest, x);
  }
  return n > 0 && least <= SINGULAR * largest;
}

/** The cofactors of `a` by its singular values: exact also where the determinant is zero. */
function cofactorsOf(a: Float64Array, n: number): Float64Array {
  const { values, left, right } = singularValues(a, n, n, true, true);
  if (left === null || right === null) return new Float64Array(n * n).fill(NaN);
  const pivots = new Int32Array(n);
  const signOf = (q: Float64Array): number => {
    const copy = q.slice();
    factorLU(copy, n, n, pivots, true);
    return fromLU(copy, n, pivots).sign;
  };
  const sign = signOf(left) * signOf(right);
  const out = new Float64Array(n * n);
  for (let k = 0; k < n; k++) {
    let others = sign;
    for (let i = 0; i < n; i++) if (i !== k) others *= values[i];
    for (let i = 0; i < n; i++) for (let j = 0; j < n; j++) out[i * n + j] += others * left[k * n + i] * right[k * n + j];
  }
  return out;
}

/** What a determinant's forward pass leaves to its backward pass. */
class Known {
  constructor(
    readonly factors: Factors,
    readonly values: Float64Array,
    readonly singular: readonly boolean[],
  ) {}
}

/** The cofactors of A, which are the gradient of its determinant. */
const cofactors: Op<[A: Tensor, known: Known], Tensor> = defineOp("linalg.det_backward", "A, known", {
  doc: "",
  method: false,
  forward(ctx, A: Tensor, { factors, values, singular }: Known) {
    const n = rowsOf(A);
    const a = singular.includes(true) ? valuesOf(A, "linalg.det") : null;
    const out = new Float64Array(A.numel());
    forBatch(batchOf(A), (i) => {
      const own = part(out, i, n * n);
      if (singular[i]) {
        own.set(cofactorsOf(part(a!, i, n * n), n));
        return;
      }
      for (let d = 0; d < n; d++) own[d * n + d] = values[i];
      solveLU(part(factors.lu, i, n * n), n, part(factors.pivots, i, n), own, n, true);
    });
    ctx.state = singular.includes(true);
    ctx.save(A);
    return tensorOf(out, A.shape, A);
  },
  backward(ctx, g: Tensor) {
    const [A] = ctx.saved() as [Tensor];
    if (ctx.state as boolean) return [singularSecond(g, A)];
    const inverse = solved(A.mH, diagonals(g.new_ones(batchOf(A)), A));
    const along = inverse.mul(g).sum([-2, -1], true);
    const across = inverse.matmul(g.mH).matmul(inverse);
    return [inverse.mul(along).sub(across).mul(det(A).unsqueeze(-1).unsqueeze(-1))];
  },
});

/** A factor of each matrix as a diagonal matrix. */
function diagonals(x: Tensor, A: Tensor): Tensor {
  return identity(A, rowsOf(A), batchOf(A)).mul(x.unsqueeze(-1).unsqueeze(-1));
}

/** The cofactors' derivative, for singular matrices too: by products of all singular values but two. */
function singularSecond(g: Tensor, A: Tensor): Tensor {
  const n = rowsOf(A);
  const { U, S, Vh } = svdOf("linalg.det", A, true);
  const sign = det(U.detach()).mul(det(Vh.detach())).unsqueeze(-1).unsqueeze(-1);
  const K = U.mH.matmul(g).matmul(Vh.mH);
  const same = identity(A, n, []).ne(0);
  const left = same.unsqueeze(0).logical_or(same.unsqueeze(1));
  const others = S.unsqueeze(-2)
    .unsqueeze(-2)
    .expand([...S.shape, n, n])
    .masked_fill(left, 1)
    .prod(-1)
    .masked_fill(same, 0);
  const straight = others
    .matmul(K.diagonal(0, -2, -1).unsqueeze(-1))
    .squeeze(-1)
    .diag_embed();
  return U.matmul(straight.sub(K.mT.mul(others)))
    .matmul(Vh)
    .mul(sign);
}

export const det: Op<[A: Tensor], Tensor> = defineOp("linalg.det", "A", {
  doc: "Determinants of square matrices.",
  method: false,
  forward(ctx, A: Tensor) {
    checkSquare("linalg.det", "A", A);
    const n = rowsOf(A);
    const factors = factorAll("linalg.det", A, true);
    const values = Float64Array.from(factors.infos, (_, i) => {
      const { sign, value } = fromLU(part(factors.lu, i, n * n), n, part(factors.pivots, i, n));
      return sign === 0 ? 0 : Math.abs(value) * sign;
    });
    const singular = Array.from(values, (_, i) => nearlySingular(part(factors.lu, i, n * n), n));
    ctx.state = new Known(factors, values, singular);
    ctx.save(A);
    return tensorOf(values, batchOf(A), A);
  },
  backward(ctx, g: Tensor) {
    const [A] = ctx.saved() as [Tensor];
    if (A.numel() === 0) return [null];
    return [cofactors(A, ctx.state as Known).mul(g.unsqueeze(-1).unsqueeze(-1))];
  },
});

/** Filled by the forward pass. (A class: a plain object would be taken for options.) */
class Found {
  sign: Tensor | null = null;
}
type SlogOp = Op<[A: Tensor, found: Found], Tensor>;

const logAbsDet: SlogOp = defineOp("linalg.slogdet", "A, found", {
  doc: "",
  method: false,
  forward(ctx, A: Tensor, found: Found) {
    const n = rowsOf(A);
    const factors = factorAll("linalg.slogdet", A, true);
    const all = Array.from(factors.infos, (_, i) => fromLU(part(factors.lu, i, n * n), n, part(factors.pivots, i, n)));
    found.sign = tensorOf(
      Float64Array.from(all, ({ sign }) => sign),
      batchOf(A),
      A,
    );
    ctx.state = factors;
    ctx.save(A);
    return tensorOf(
      Float64Array.from(all, ({ log }) => log),
      batchOf(A),
      A,
    );
  },
  backward(ctx, g: Tensor) {
    const [A] = ctx.saved() as [Tensor];
    const right = diagonals(g, A);
    if (is_grad_enabled()) return [solved(A.mH, right)];
    const b = valuesOf(right, "linalg.slogdet");
    solveAll(ctx.state as Factors, batchOf(A), rowsOf(A), b, rowsOf(A), true);
    return [tensorOf(b, A.shape, A)];
  },
});

type Slogdet = Tensor[] & { readonly sign: Tensor; readonly logabsdet: Tensor };

export const slogdet: Op<[A: Tensor], Slogdet> = composite(
  "linalg.slogdet",
  "A",
  { doc: "Sign, and logarithm of the absolute value, of determinants.", method: false },
  (A: Tensor) => {
    checkSquare("linalg.slogdet", "A", A);
    const found = new Found();
    const logabsdet = logAbsDet(A, found);
    return named(["sign", "logabsdet"], [found.sign!, logabsdet]);
  },
);

export const logdet: Op<[input: Tensor], Tensor, "method"> = composite(
  "logdet",
  "input",
  { doc: "Logarithm of determinants: NaN where one is negative, -inf where it is zero." },
  (input: Tensor) => {
    const { sign, logabsdet } = slogdet(input);
    return logabsdet.masked_fill(sign.lt(0), NaN);
  },
);
