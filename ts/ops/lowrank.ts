/** The greatest singular values, principal components and extreme eigenvalues of matrices, by products with a few vectors. */

import { ValueError } from "../core/errors.ts";
import { setGradEnabled } from "../core/grad_mode.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, defineOp, named, type Op } from "../engine/define.ts";
import type { Args } from "../engine/signature.ts";
import { cat } from "./joining.ts";
import { broadcastBatches, checkMatrix, checkSquare, columnsOf, epsilonOf, rowsOf } from "./linalg/batches.ts";
import { eighOf } from "./linalg/eigh.ts";
import { solved } from "./linalg/lu.ts";
import { qrOf } from "./linalg/qr.ts";
import { svdOf } from "./linalg/svd.ts";
import { identity } from "./linalg/triangular.ts";
import { randn } from "./random.ts";

type LowRank = Tensor[] & { readonly U: Tensor; readonly S: Tensor; readonly V: Tensor };

/** Halko, Martinsson and Tropp (2009), algorithm 5.1 over 4.4, with PyTorch's draws. */
function lowRank(op: string, A: Tensor, q: number, niter: number, M: Tensor | null): LowRank {
  checkMatrix(op, "A", A);
  const [m, n] = [rowsOf(A), columnsOf(A)];
  if (!(Number.isInteger(q) && q >= 0 && q <= Math.min(m, n))) {
    throw new ValueError(`q(=${q}) must be non-negative integer and not greater than min(m, n)=${Math.min(m, n)}`);
  }
  const wide = m < n;
  const less = M === null ? null : M.expand(A.shape);
  const [a, mean] = wide ? [A.mH, less?.mH ?? null] : [A, less];
  const times = (x: Tensor, y: Tensor | null, by: Tensor): Tensor => (y === null ? x.matmul(by) : x.matmul(by).sub(y.matmul(by)));
  const basis = (x: Tensor): Tensor => qrOf(x, "reduced").Q;
  let Q = basis(times(a, mean, randn([columnsOf(a), q], { dtype: A.dtype, device: A.device })));
  for (let i = 0; i < niter; i++) {
    Q = basis(times(a.mH, mean?.mH ?? null, Q));
    Q = basis(times(a, mean, Q));
  }
  const B = mean === null ? Q.mH.matmul(a) : Q.mH.matmul(a).sub(Q.mH.matmul(mean));
  const { U, S, Vh } = svdOf(op, B, false);
  const [left, right] = [Q.matmul(U), Vh.mH];
  return named(["U", "S", "V"], wide ? [right, S, left] : [left, S, right]);
}

type SVDLowRankOp = Op<[A: Tensor, ...Args<[{ q?: number | null }, { niter?: number }, { M?: Tensor | null }]>], LowRank>;

export const svd_lowrank: SVDLowRankOp = composite(
  "svd_lowrank",
  "A, q=6, niter=2, M=None",
  {
    doc: "U [*, m, q], S [*, q], V [*, n, q] with A - M about U diag(S) V^H, [*, m, n] floating or complex: a randomised SVD of rank q, better with more iterations. ValueError where q exceeds m or n.",
    method: false,
  },
  (A: Tensor, q: number | null, niter: number, M: Tensor | null) => lowRank("svd_lowrank", A, q ?? 6, niter, M),
);

type PCAOp = Op<[A: Tensor, ...Args<[{ q?: number | null }, { center?: boolean }, { niter?: number }]>], LowRank>;

export const pca_lowrank: PCAOp = composite(
  "pca_lowrank",
  "A, q=None, center=True, niter=2",
  {
    doc: "Principal components of the rows of A [*, m, n]: svd_lowrank of A less its columns' means; q is by default min(6, m, n). ValueError where q or niter is out of range.",
    method: false,
  },
  (A: Tensor, q: number | null, center: boolean, niter: number) => {
    checkMatrix("pca_lowrank", "A", A);
    if (!(niter >= 0)) throw new ValueError(`niter(=${niter}) must be non-negative integer`);
    const most = q ?? Math.min(6, rowsOf(A), columnsOf(A));
    return lowRank("pca_lowrank", center ? A.sub(A.mean(-2, true)) : A, most, niter, null);
  },
);

/** What a tracker of lobpcg is shown after each iteration. */
export interface LobpcgState {
  readonly istep: number;
  /** Eigenpairs that have converged, from the first on. */
  readonly converged_count: number;
  /** Relative residuals, [*, n]. */
  readonly rerr: Tensor;
  readonly E: Tensor;
  readonly X: Tensor;
}

interface Search {
  readonly A: Tensor;
  readonly B: Tensor | null;
  readonly iK: Tensor | null;
  readonly n: number;
  readonly niter: number;
  readonly tol: number;
  readonly largest: boolean;
  readonly tracker: ((state: LobpcgState) => void) | null;
}

/** Columns of S made orthonormal with respect to B, what depends on the others being dropped (Stathopoulos and Wu 2002); S is [m, n]. */
function orthonormal(S: Tensor, B: Tensor | null): Tensor {
  let out = S;
  for (let pass = 0; pass < 2; pass++) {
    const gram = out.mH.matmul(B === null ? out : B.matmul(out));
    const scale = gram.diagonal().clamp(0).sqrt();
    const by = scale.reciprocal().masked_fill(scale.eq(0), 0);
    const [L, V] = eighOf("lobpcg", gram.mul(by.unsqueeze(-1)).mul(by), "L", true);
    const kept = L.gt(L.max().mul(epsilonOf(S.dtype) * 10));
    const first = columnsOf(V) - Number(kept.sum().item_sync());
    const [values, vectors] = [L.narrow(0, first, columnsOf(V) - first), V.narrow(1, first, columnsOf(V) - first)];
    out = out.matmul(by.unsqueeze(-1).mul(vectors)).mul(values.rsqrt());
  }
  return out;
}

/** Of one pair of matrices: Rayleigh and Ritz's method over what there is, residuals and the last steps (Knyazev 2001). */
function search({ A, B, iK, n, niter, tol, largest, tracker }: Search, start: Tensor): [E: Tensor, X: Tensor] {
  const norm = (x: Tensor): number => Number(x.norm().item_sync());
  const probe = randn([rowsOf(A), n], { dtype: A.dtype, device: A.device });
  const sizeA = norm(A.matmul(probe)) / norm(probe);
  const sizeB = B === null ? 1 : norm(B.matmul(probe)) / norm(probe);
  const ritz = (S: Tensor, count: number): [Tensor, Tensor] => {
    const [L, V] = eighOf("lobpcg", S.mH.matmul(A.matmul(S)), "L", true);
    const size = L.numel();
    if (!largest) return [L.narrow(0, 0, count), V.narrow(1, 0, count)];
    return [L.narrow(0, size - count, count).flip(0), V.narrow(1, size - count, count).flip(1)];
  };
  let basis = orthonormal(start, B);
  let [E, turn] = ritz(basis, Math.min(n, columnsOf(basis)));
  let X = basis.matmul(turn);
  let P: Tensor | null = null;
  for (let step = 1; niter < 0 || step <= niter; step++) {
    const BX = B === null ? X : B.matmul(X);
    const R = A.matmul(X).sub(BX.mul(E));
    const rerr = R.norm(2, 0).div(X.norm(2, 0).mul(E.abs().mul(sizeB).add(sizeA)));
    const wrong = (rerr.lt(tol).tolist_sync() as boolean[]).indexOf(false);
    tracker?.({ istep: step, converged_count: wrong < 0 ? n : wrong, rerr, E, X });
    if (wrong < 0) break;
    const W = iK === null ? R : iK.matmul(R);
    // What lies in X already is taken out first: the residuals are small beside it.
    const beyond = (Y: Tensor): Tensor => Y.sub(X.matmul(BX.mH.matmul(Y)));
    const fresh = beyond(beyond(P === null ? W : cat([W, P], 1)));
    const added = orthonormal(fresh, B);
    basis = orthonormal(cat([X, added], 1), B);
    [E, turn] = ritz(basis, n);
    const next = basis.matmul(turn);
    P = next.sub(X.matmul(BX.mH.matmul(next)));
    X = next;
  }
  return [E, X];
}

/** Eigenvalues E and eigenvectors X that were found for the symmetric A, with the gradient that they have there. */
const attached: Op<[A: Tensor, E: Tensor, X: Tensor], Tensor[]> = defineOp("lobpcg", "A, E, X", {
  doc: "",
  method: false,
  forward(ctx, A: Tensor, E: Tensor, X: Tensor) {
    const out = [E.clone(), X.clone()] as const;
    ctx.save(A, ...out);
    return out;
  },
  backward(ctx, gE: Tensor | null, gX: Tensor | null) {
    const [A, E, X] = ctx.saved() as [Tensor, Tensor, Tensor];
    let out = gE === null ? null : X.mul(gE.unsqueeze(-2)).matmul(X.mT);
    if (gX !== null) {
      // x varies by (E - A)^+ dA x: one system for each, x itself being taken out.
      const x = X.mT.unsqueeze(-1);
      const along = x.matmul(x.mT);
      const g = gX.mT.unsqueeze(-1);
      const system = identity(A, rowsOf(A), []).mul(E.unsqueeze(-1).unsqueeze(-1)).sub(A.unsqueeze(-3)).add(along);
      const y = solved(system, g.sub(along.matmul(g)));
      const through = y.matmul(x.mT).sum(-3);
      out = out === null ? through : out.add(through);
    }
    return [out, null, null];
  },
});

type LobpcgArgs = [
  { k?: number | null },
  { B?: Tensor | null },
  { X?: Tensor | null },
  { n?: number | null },
  { iK?: Tensor | null },
  { niter?: number | null },
  { tol?: number | null },
  { largest?: boolean | null },
  { method?: "basic" | "ortho" | null },
  { tracker?: ((state: LobpcgState) => void) | null },
  { ortho_iparams?: object | null },
  { ortho_fparams?: object | null },
  { ortho_bparams?: object | null },
];

export const lobpcg: Op<[A: Tensor, ...Args<LobpcgArgs>], Tensor[]> = composite(
  "lobpcg",
  "A, k=None, B=None, X=None, n=None, iK=None, niter=None, tol=None, largest=None, method=None, tracker=None, ortho_iparams=None, ortho_fparams=None, ortho_bparams=None",
  {
    doc: "The k largest (largest false: least) eigenvalues [*, k] and eigenvectors [*, m, k] of A X = B X diag(E) for symmetric A and positive-definite B [*, m, m], from n (by default k) vectors X [*, m, n], preconditioned by iK. At most niter iterations (1000; -1: without end) until relative residuals are below tol (the root of the type's epsilon). `method` and the ortho_ parameters are PyTorch's and change nothing here: bases are always orthogonal. ValueError where 3 n exceeds m. Gradients for A where B is not given.",
    method: false,
  },
  (
    A: Tensor,
    k: number | null,
    B: Tensor | null,
    X: Tensor | null,
    vectors: number | null,
    iK: Tensor | null,
    niter: number | null,
    tol: number | null,
    largest: boolean | null,
    method: string | null,
    tracker: Search["tracker"],
  ) => {
    checkSquare("lobpcg", "A", A);
    if (A.dtype.is_complex) throw new ValueError("lobpcg: complex matrices are not supported; use torch.linalg.eigh");
    if (method !== null && method !== "basic" && method !== "ortho") {
      throw new ValueError(`lobpcg: method must be 'basic' or 'ortho', got '${method}'`);
    }
    if (B !== null && !sameShape(B.shape, A.shape)) {
      throw new ValueError(`lobpcg: A and B must have the same shape, got ${formatShape(A.shape)} and ${formatShape(B.shape)}`);
    }
    const m = rowsOf(A);
    const count = k ?? (X === null ? 1 : columnsOf(X));
    const n = vectors ?? (X === null ? count : columnsOf(X));
    if (m < 3 * n) {
      throw new ValueError(
        `LOBPCG algorithm is not applicable when the number of A rows (=${m}) is smaller than 3 x the number of requested eigenpairs (=${n})`,
      );
    }
    if (!(Number.isInteger(count) && count > 0 && count <= n)) {
      throw new ValueError(`lobpcg: k must be from 1 to the number of vectors, ${n}, got ${count}`);
    }
    if (X !== null && !sameShape(X.shape, [...A.shape.slice(0, -1), n])) {
      throw new ValueError(`lobpcg: X must have shape ${formatShape([...A.shape.slice(0, -1), n])}, got ${formatShape(X.shape)}`);
    }
    if (B !== null && [A, B].some((t) => t.requires_grad)) {
      throw new ValueError("lobpcg: gradients are not supported where B is given; transform A by B's Cholesky factor");
    }
    const symmetric = A.requires_grad ? A.add(A.mT).div(2) : A;
    const previous = setGradEnabled(false);
    let found: [Tensor, Tensor][];
    try {
      const flat = (t: Tensor): Tensor => t.reshape([-1, ...t.shape.slice(-2)]);
      const a = flat(symmetric);
      const start = X ?? randn([...A.shape.slice(0, -1), n], { dtype: A.dtype, device: A.device });
      const [b, preconditioner] = [B, iK].map((t) => (t === null ? null : flat(broadcastBatches("lobpcg", t, A)[0])));
      const limit = tol ?? Math.sqrt(epsilonOf(A.dtype));
      found = Array.from({ length: a.shape[0]! }, (_, i) => {
        const own = (t: Tensor | null | undefined): Tensor | null => t?.select(0, i) ?? null;
        const options = { niter: niter ?? 1000, tol: limit, largest: largest ?? true, tracker, n };
        const pair = { A: a.select(0, i), B: own(b), iK: own(preconditioner) };
        return search({ ...pair, ...options }, flat(start).select(0, i));
      });
    } finally {
      setGradEnabled(previous);
    }
    const all = (which: 0 | 1, dim: number, size: readonly number[]): Tensor =>
      cat(
        found.map((pair) => pair[which].narrow(dim, 0, count).unsqueeze(0)),
        0,
      ).reshape([...A.shape.slice(0, -2), ...size]);
    return attached(symmetric, all(0, 0, [count]), all(1, 1, [m, count]));
  },
);
