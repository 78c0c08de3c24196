/** Determinants and their logarithms. */

import { is_grad_enabled } from "../../core/grad_mode.ts";
import type { Tensor } from "../../core/tensor.ts";
import { joined, part as planeOf } from "../../engine/complex.ts";
import { composite, defineOp, named, type Op } from "../../engine/define.ts";
import { batchOf, checkSquare, forBatch, part, rowsOf, tensorOf, valuesOf } from "./batches.ts";
import { factorLU, solveLU } from "./elimination.ts";
import { copyOf, multiply, partOf, put, scaleRow, sizeAt, zeros, type Numbers } from "./numbers.ts";
import { factorAll, solveAll, solved, type Factors } from "./lu.ts";
import { singularValues } from "./singular.ts";
import { svdOf } from "./svd.ts";
import { identity } from "./triangular.ts";

type Z = readonly [re: number, im: number];
const times = ([a, b]: Z, [c, d]: Z): Z => [a * c - b * d, a * d + b * c];
const numbersOf = (all: readonly Z[], complex: boolean): Numbers => ({
  re: Float64Array.from(all, ([x]) => x),
  im: complex ? Float64Array.from(all, ([, y]) => y) : null,
});

/** Sign (of complex numbers: z / |z|) and logarithm of the absolute value, and the product itself, from a matrix's LU. */
function fromLU({ re, im }: Numbers, n: number, pivots: Int32Array): { sign: Z; log: number; value: Z } {
  let sign: Z = [1, 0];
  let value: Z = [1, 0];
  let log = 0;
  for (let i = 0; i < n; i++) {
    const x = re[i * n + i];
    const y = im === null ? 0 : im[i * n + i];
    const size = im === null ? Math.abs(x) : Math.hypot(x, y);
    if (pivots[i] !== i + 1) {
      sign = [-sign[0], -sign[1]];
      value = [-value[0], -value[1]];
    }
    // Real ones by hand: an infinite factor is not to meet the zero of an imaginary part.
    if (im === null) {
      sign = [sign[0] * (size === 0 ? 0 : x < 0 ? -1 : x > 0 ? 1 : NaN), 0];
      value = [value[0] * x, 0];
    } else {
      sign = size === 0 ? [0, 0] : times(sign, [x / size, y / size]);
      value = times(value, [x, y]);
    }
    log += Math.log(size);
  }
  // A zero without a sign.
  return { sign, log, value: [value[0] + 0, value[1] + 0] };
}

/** Below this ratio of U's diagonal elements, the inverse is no way to the cofactors. */
const SINGULAR = 1e-4;

function nearlySingular(lu: Numbers, n: number): boolean {
  let [least, largest] = [Infinity, 0];
  for (let i = 0; i < n; i++) {
    const x = sizeAt(lu, i * n + i);
    least = Math.min(least, x);
    largest = Math.max(largest, x);
  }
  return n > 0 && least <= SINGULAR * largest;
}

/** The conjugate cofactors of `a` by its singular values: exact also where the determinant is zero. */
function cofactorsOf(a: Numbers, n: number): Numbers {
  const { values, U, Vh } = singularValues(a, n, n, true, true);
  if (U === null || Vh === null) {
    const none = zeros(n * n, a.im !== null);
    none.re.fill(NaN);
    none.im?.fill(NaN);
    return none;
  }
  const pivots = new Int32Array(n);
  const signOf = (q: Numbers): Z => {
    const copy = copyOf(q);
    factorLU(copy, n, n, pivots, true);
    return fromLU(copy, n, pivots).sign;
  };
  const [x, y] = times(signOf(U), signOf(Vh));
  for (let k = 0; k < n; k++) {
    let others = 1;
    for (let i = 0; i < n; i++) if (i !== k) others *= values[i];
    scaleRow(U, k, n, n, others * x, -others * y);
  }
  return multiply(U, Vh, n, n, n);
}

/** What a determinant's forward pass leaves to its backward pass. */
class Known {
  constructor(
    readonly factors: Factors,
    readonly values: readonly Z[],
    readonly singular: readonly boolean[],
  ) {}
}

/** The conjugate cofactors of A, which are the gradient of its determinant. */
const cofactors: Op<[A: Tensor, known: Known], Tensor> = defineOp("linalg.det_backward", "A, known", {
  doc: "",
  method: false,
  complex: true,
  forward(ctx, A: Tensor, { factors, values, singular }: Known) {
    const n = rowsOf(A);
    const complex = A.dtype.is_complex;
    const a = singular.includes(true) ? valuesOf(A, "linalg.det") : null;
    const out = zeros(A.numel(), complex);
    forBatch(batchOf(A), (i) => {
      const own = partOf(out, i, n * n);
      if (singular[i]) {
        put(own, 0, cofactorsOf(partOf(a!, i, n * n), n));
        return;
      }
      for (let d = 0; d < n; d++) {
        own.re[d * n + d] = values[i][0];
        if (own.im !== null) own.im[d * n + d] = -values[i][1];
      }
      solveLU(partOf(factors.lu, i, n * n), n, part(factors.pivots, i, n), own, n, "H");
    });
    ctx.state = singular.includes(true);
    ctx.save(A);
    return tensorOf(out, A.shape, A);
  },
  backward(ctx, g: Tensor) {
    const [A] = ctx.saved() as [Tensor];
    if (ctx.state as boolean) return [singularSecond(g, A)];
    const inverse = solved(A.mH, diagonals(g.new_ones(batchOf(A)), A));
    const along = inverse.mul(g.conj()).sum([-2, -1], true);
    const across = inverse.matmul(g.mH).matmul(inverse);
    return [inverse.mul(along).sub(across).mul(det(A).conj().unsqueeze(-1).unsqueeze(-1))];
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
  const sign = det(U.detach()).mul(det(Vh.detach())).conj().unsqueeze(-1).unsqueeze(-1);
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
    .matmul(K.conj().diagonal(0, -2, -1).unsqueeze(-1))
    .squeeze(-1)
    .diag_embed();
  return U.matmul(straight.sub(K.mH.mul(others)))
    .matmul(Vh)
    .mul(sign);
}

export const det: Op<[A: Tensor], Tensor> = defineOp("linalg.det", "A", {
  doc: "Determinants of square matrices.",
  method: false,
  complex: true,
  forward(ctx, A: Tensor) {
    checkSquare("linalg.det", "A", A);
    const n = rowsOf(A);
    const factors = factorAll("linalg.det", A, true);
    const values = Array.from(factors.infos, (_, i) => fromLU(partOf(factors.lu, i, n * n), n, part(factors.pivots, i, n)).value);
    const singular = Array.from(values, (_, i) => nearlySingular(partOf(factors.lu, i, n * n), n));
    ctx.state = new Known(factors, values, singular);
    ctx.save(A);
    return tensorOf(numbersOf(values, A.dtype.is_complex), batchOf(A), A);
  },
  backward(ctx, g: Tensor) {
    const [A] = ctx.saved() as [Tensor];
    if (A.numel() === 0) return [null];
    return [cofactors(A, ctx.state as Known).mul(g.unsqueeze(-1).unsqueeze(-1))];
  },
});

const decompose: Op<[A: Tensor], Tensor[]> = defineOp("linalg.slogdet", "A", {
  doc: "",
  method: false,
  complex: true,
  forward(ctx, A: Tensor) {
    const n = rowsOf(A);
    const complex = A.dtype.is_complex;
    const factors = factorAll("linalg.slogdet", A, true);
    const all = Array.from(factors.infos, (_, i) => fromLU(partOf(factors.lu, i, n * n), n, part(factors.pivots, i, n)));
    const sign = tensorOf(
      numbersOf(
        all.map((x) => x.sign),
        complex,
      ),
      batchOf(A),
      A,
    );
    const log = tensorOf(
      numbersOf(
        all.map((x) => [x.log, 0]),
        false,
      ),
      batchOf(A),
      A,
    );
    ctx.state = factors;
    ctx.save(A, sign);
    return [sign, log];
  },
  backward(ctx, gSign: Tensor | null, gLog: Tensor | null) {
    const [A, sign] = ctx.saved() as [Tensor, Tensor];
    // Of a complex sign, e^it, only t varies: by the imaginary part of what the logarithm varies by.
    const turning = gSign === null || !sign.dtype.is_complex ? null : joined(null, planeOf(gSign.mul(sign.conj()), 1));
    const along = turning === null ? (gLog ?? gSign!.mul(0)) : gLog === null ? turning : turning.add(gLog);
    const right = diagonals(along, A);
    if (is_grad_enabled()) return [solved(A.mH, right)];
    const b = valuesOf(right, "linalg.slogdet");
    solveAll(ctx.state as Factors, batchOf(A), rowsOf(A), b, rowsOf(A), "H");
    return [tensorOf(b, A.shape, A)];
  },
});

type Slogdet = Tensor[] & { readonly sign: Tensor; readonly logabsdet: Tensor };

export const slogdet: Op<[A: Tensor], Slogdet> = composite(
  "linalg.slogdet",
  "A",
  { doc: "Sign (of complex ones: z / |z|), and logarithm of the absolute value, of determinants.", method: false },
  (A: Tensor) => {
    checkSquare("linalg.slogdet", "A", A);
    return named(["sign", "logabsdet"], decompose(A));
  },
);

export const logdet: Op<[input: Tensor], Tensor, "method"> = composite(
  "logdet",
  "input",
  { doc: "Logarithm of determinants: NaN where one is negative, -inf where it is zero." },
  (input: Tensor) => {
    const { sign, logabsdet } = slogdet(input);
    if (input.dtype.is_complex) return sign.log().add(logabsdet);
    return logabsdet.masked_fill(sign.lt(0), NaN);
  },
);
