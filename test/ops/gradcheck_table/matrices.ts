/** Products of matrices, systems, factorisations, functions of matrices, Fourier transforms. */

import type { Tensor } from "../../../ts/core/tensor.ts";
import * as torch from "../../../ts/entry.node.ts";
import type { Draw, Entries } from "./check.ts";
import type { Random, Sample, Shape } from "./random.ts";

const { linalg } = torch;
const names = (list: string, draw: (name: string) => Draw): Entries =>
  Object.fromEntries(list.split(" ").map((name) => [name, draw(name)]));

const batch = (r: Random): Shape => r.pick([[], [], [2], [1, 2]]);
const size = (r: Random): number => r.int(1, 3);
const scale = (r: Random): readonly unknown[] => (r.bool() ? [] : [{ beta: r.pick([0, 1, -0.7]), alpha: r.number() }]);

/** Square and far from singular. */
function regular(r: Random, shape: Shape = batch(r), n = size(r)): Tensor {
  const t = r.constant([...shape, n, n], -1, 1);
  return t
    .add(torch.eye(n, { dtype: torch.float64 }).mul(3.3))
    .detach()
    .requires_grad_();
}
/** Singular values that are apart. */
function generic(r: Random, shape: Shape): Tensor {
  const [m, n] = shape.slice(-2) as [number, number];
  const k = Math.max(m, n);
  const steps = torch.arange(1, k + 1).to(torch.float64);
  return r
    .constant(shape, -0.4, 0.4)
    .add(torch.diag(steps).narrow(0, 0, m).narrow(1, 0, n))
    .detach()
    .requires_grad_();
}
const hermitian = (t: Tensor): Tensor => t.add(t.mH).mul(0.5);
const positive = (t: Tensor): Tensor => t.matmul(t.mH).add(torch.eye(t.shape.at(-1)!, { dtype: t.dtype }));
const sample = (inputs: readonly Tensor[], call: Sample["call"], note = ""): Sample => ({ inputs, call, note });
const rectangle = (r: Random): Shape => [...batch(r), size(r), size(r)];
const tall = (r: Random): Shape => {
  const n = size(r);
  return [...batch(r), n + r.int(0, 1), n];
};

/** Shapes that matmul takes. */
function factors(r: Random): [Shape, Shape] {
  const [m, k, n] = [size(r), r.int(0, 3), size(r)];
  return r.pick([
    [[k], [k]],
    [[m, k], [k]],
    [[k], [k, n]],
    [
      [m, k],
      [k, n],
    ],
    [
      [2, m, k],
      [k, n],
    ],
    [[2, m, k], [k]],
    [
      [m, k],
      [2, k, n],
    ],
    [
      [2, 1, m, k],
      [3, k, n],
    ],
    [
      [2, m, k],
      [2, k, n],
    ],
  ] as [Shape, Shape][]);
}

const svdParts = (U: Tensor, S: Tensor, V: Tensor): Tensor[] => {
  // Of vectors whose phase is free, the projections that they make.
  const k = S.shape.at(-1)!;
  const u = U.narrow(-1, 0, k);
  const v = V.narrow(-1, 0, k);
  return [S, u.mul(S.unsqueeze(-2)).matmul(v.mH), u.select(-1, 0).unsqueeze(-1).matmul(v.select(-1, 0).conj().unsqueeze(-2))];
};

export const matrices: Entries = {
  mm: (r) => {
    const k = r.int(0, 3);
    return [r.x([size(r), k]), r.x([k, size(r)])];
  },
  bmm: (r) => {
    const [b, k] = [size(r), r.int(0, 3)];
    return [r.x([b, size(r), k]), r.x([b, k, size(r)])];
  },
  ...names("matmul linalg.matmul", () => (r) => factors(r).map((s) => r.x(s))),
  mv: (r) => {
    const k = r.int(0, 3);
    return [r.x([size(r), k]), r.x([k])];
  },
  ...names("dot vdot inner", () => (r) => {
    const k = r.int(0, 4);
    return [r.x([k]), r.x([k])];
  }),
  ...names("outer ger", () => (r) => [r.x([size(r)]), r.x([size(r)])]),
  addmm: (r) => {
    const [m, k, n] = [size(r), r.int(0, 3), size(r)];
    return [r.x(r.narrower([m, n])), r.x([m, k]), r.x([k, n]), ...scale(r)];
  },
  addmv: (r) => {
    const [m, k] = [size(r), r.int(0, 3)];
    return [r.x(r.narrower([m])), r.x([m, k]), r.x([k]), ...scale(r)];
  },
  addr: (r) => {
    const [m, n] = [size(r), size(r)];
    return [r.x(r.narrower([m, n])), r.x([m]), r.x([n]), ...scale(r)];
  },
  ...names("baddbmm addbmm", (name) => (r) => {
    const [b, m, k, n] = [size(r), size(r), r.int(1, 3), size(r)];
    return [r.x(r.narrower(name === "addbmm" ? [m, n] : [b, m, n])), r.x([b, m, k]), r.x([b, k, n]), ...scale(r)];
  }),
  chain_matmul: (r) => {
    const [a, b, c, d] = [size(r), size(r), size(r), size(r)];
    return [r.x([a, b]), r.x([b, c]), r.x([c, d])];
  },
  "linalg.multi_dot": (r) => {
    const [a, b, c, d] = [size(r), size(r), size(r), size(r)];
    return [[r.x(r.bool() ? [b] : [a, b]), r.x([b, c]), r.x([c, d]), ...(r.bool() ? [r.x([d])] : [])]];
  },
  tensordot: (r) => {
    const [a, b, c, d] = [size(r), size(r), size(r), size(r)];
    if (r.bool())
      return [
        r.x([a, b, c]),
        r.x([b, c, d]),
        r.bool()
          ? 2
          : [
              [1, 2],
              [0, 1],
            ],
      ];
    return [r.x([a, b]), r.x([c, d]), 0];
  },
  einsum: (r) => {
    const [i, j, k] = [size(r), size(r), size(r)];
    return r.pick<() => unknown[]>([
      () => ["ij,jk->ik", r.x([i, j]), r.x([j, k])],
      () => ["ij,kj,jl->ikl", r.x([i, j]), r.x([k, j]), r.x([j, 2])],
      () => ["ii->i", r.x([i, i])],
      () => ["...ij,...jk->...ik", r.x([2, i, j]), r.x([j, k])],
      () => ["ij->", r.x([i, j])],
      () => ["i,i,i->i", r.x([i]), r.x([i]), r.x([i])],
      () => ["bij,bjk", r.x([2, i, j]), r.x([2, j, k])],
    ])();
  },
  kron: (r) => [r.x(r.shape({ rank: [0, 2], max: 2 })), r.x(r.shape({ rank: [0, 2], max: 2 }))],
  cross: (r) => {
    const shape = [3, size(r)];
    return [r.x(shape), r.x(r.bool() ? shape : [3, 1]), 0];
  },
  "linalg.cross": (r) => [r.x([2, 3]), r.x(r.bool() ? [2, 3] : [1, 3])],
  "linalg.vecdot": (r) => {
    const shape = r.shape({ rank: [1, 3] });
    return [r.x(shape), r.x(shape), { dim: r.dim(shape) }];
  },
  ...names("matrix_power linalg.matrix_power", () => (r) => [regular(r), r.int(-2, 4)]),
  ...names("matrix_exp linalg.matrix_exp", () => (r) => {
    const n = size(r);
    return [r.x([...batch(r), n, n], -1, 1)];
  }),

  ...names("inverse linalg.inv", () => (r) => [regular(r)]),
  "linalg.inv_ex": (r) => sample([regular(r)], (a) => linalg.inv_ex(a!)[0]),
  ...names("linalg.solve linalg.solve_ex", () => (r) => {
    const n = size(r);
    const shape = batch(r);
    const left = r.bool(0.7);
    const other = shape.length === 0 && left && r.bool() ? [n] : [...shape, ...(left ? [n, 2] : [2, n])];
    return [regular(r, shape, n), r.x(other), { left }];
  }),
  "linalg.solve_triangular": (r) => {
    const n = size(r);
    const left = r.bool();
    const options = { upper: r.bool(), left, unitriangular: r.bool() };
    return [regular(r, batch(r), n), r.x(left ? [n, 2] : [2, n]), options];
  },
  triangular_solve: (r) => {
    const n = size(r);
    const options = [r.bool(), r.bool(), r.bool()] as const;
    return sample([r.x([n, 2]), regular(r, batch(r), n)], (b, a) => b!.triangular_solve(a!, ...options)[0], String(options));
  },
  ...names("linalg.lu_solve lu_solve", (name) => (r) => {
    const n = size(r);
    const shape = batch(r);
    const options = { left: r.bool(), adjoint: r.bool() };
    const [left, pivots] = linalg.lu_factor(regular(r, shape, n).detach());
    const LU = left!.detach().requires_grad_();
    if (name === "lu_solve") return [r.x([...shape, n, 2]), LU, pivots];
    return [LU, pivots, r.x([...shape, ...(options.left ? [n, 2] : [2, n])]), options];
  }),
  "linalg.lstsq": (r) => {
    const shape = tall(r);
    return sample([generic(r, shape), r.x([...shape.slice(0, -1), 2])], (a, b) => linalg.lstsq(a!, b!).solution);
  },
  ...names(
    "linalg.pinv pinverse",
    (name) => (r) => sample([generic(r, rectangle(r))], (a) => (name === "pinverse" ? a!.pinverse() : linalg.pinv(a!))),
  ),
  "linalg.tensorinv": (r) => sample([regular(r, [], 4)], (a) => linalg.tensorinv(a!.reshape([4, 2, 2]), 1)),
  "linalg.tensorsolve": (r) => sample([regular(r, [], 4), r.x([2, 2])], (a, b) => linalg.tensorsolve(a!.reshape([2, 2, 4]), b!)),
  ...names("det linalg.det", () => (r) => {
    const n = size(r);
    return [r.bool() ? regular(r, batch(r), n) : r.x([n, n])];
  }),
  ...names("slogdet linalg.slogdet", () => (r) => sample([regular(r)], (a) => linalg.slogdet(a!).logabsdet)),
  logdet: (r) => sample([regular(r)], (a) => positive(a!).logdet()),

  ...names("cholesky linalg.cholesky", (name) => (r) => {
    const upper = r.bool();
    return sample([regular(r)], (a) =>
      name === "cholesky" ? positive(a!).cholesky(upper) : linalg.cholesky(positive(a!), { upper }),
    );
  }),
  "linalg.cholesky_ex": (r) => sample([regular(r)], (a) => linalg.cholesky_ex(positive(a!))[0]),
  cholesky_inverse: (r) => {
    const upper = r.bool();
    return sample([regular(r)], (a) => linalg.cholesky(positive(a!), { upper }).cholesky_inverse(upper));
  },
  cholesky_solve: (r) => {
    const n = size(r);
    const upper = r.bool();
    return sample([r.x([n, 2]), regular(r, batch(r), n)], (b, a) =>
      b!.cholesky_solve(linalg.cholesky(positive(a!), { upper }), upper),
    );
  },
  ...names("linalg.qr qr", (name) => (r) => {
    // Of tall matrices the whole of Q is free.
    const shape = tall(r);
    return sample([generic(r, shape)], (a) => (name === "qr" ? a!.qr() : linalg.qr(a!)));
  }),
  ...names("linalg.householder_product orgqr", (name) => (r) => {
    const { a, tau } = r.constant(tall(r), -1, 1).geqrf();
    const leaves = [a.detach().requires_grad_(), tau.detach().requires_grad_()];
    return sample(leaves, (x, t) => (name === "orgqr" ? x!.orgqr(t!) : linalg.householder_product(x!, t!)));
  }),
  ormqr: (r) => {
    const { a, tau } = r.constant([3, 2], -1, 1).geqrf();
    const [left, transpose] = [r.bool(), r.bool()];
    const leaves = [a.detach().requires_grad_(), tau.detach().requires_grad_(), r.x(left ? [3, 2] : [2, 3])];
    return sample(leaves, (x, t, c) => x!.ormqr(t!, c!, { left, transpose }));
  },
  "linalg.lu": (r) => sample([generic(r, rectangle(r))], (a) => linalg.lu(a!).slice(1)),
  ...names(
    "linalg.lu_factor lu",
    (name) => (r) => sample([generic(r, rectangle(r))], (a) => (name === "lu" ? torch.lu(a!)[0] : linalg.lu_factor(a!)[0])),
  ),
  "linalg.lu_factor_ex": (r) => sample([generic(r, rectangle(r))], (a) => linalg.lu_factor_ex(a!)[0]),
  lu_unpack: (r) => {
    const [LU, pivots] = linalg.lu_factor(r.constant(rectangle(r)));
    return sample([LU!.detach().requires_grad_()], (a) => torch.lu_unpack(a!, pivots!).slice(1));
  },
  "linalg.eigh": (r) => {
    const uplo = r.pick(["L", "U"]);
    return sample([generic(r, [...batch(r), ...Array<number>(2).fill(size(r))])], (a) => {
      const { eigenvalues: values, eigenvectors: vectors } = linalg.eigh(hermitian(a!), uplo as never);
      return [values, vectors.mul(values.unsqueeze(-2).sin()).matmul(vectors.mH)];
    });
  },
  "linalg.eigvalsh": (r) =>
    sample([generic(r, [...batch(r), ...Array<number>(2).fill(size(r))])], (a) => linalg.eigvalsh(hermitian(a!))),
  "linalg.eigvals": (r) => sample([generic(r, [...batch(r), ...Array<number>(2).fill(size(r))])], (a) => linalg.eigvals(a!)),
  "linalg.eig": (r) =>
    sample([generic(r, [...batch(r), ...Array<number>(2).fill(size(r))])], (a) => {
      const { eigenvalues: values, eigenvectors: vectors } = linalg.eig(a!);
      return [values, vectors.mul(values.unsqueeze(-2).sin()).matmul(linalg.inv(vectors))];
    }),
  "linalg.svd": (r) =>
    sample([generic(r, rectangle(r))], (a) => {
      const { U, S, Vh } = linalg.svd(a!, false);
      return svdParts(U, S, Vh.mH);
    }),
  svd: (r) =>
    sample([generic(r, rectangle(r))], (a) => {
      const { U, S, V } = torch.svd(a!);
      return svdParts(U, S, V);
    }),
  // Of full rank, so that the draws do not matter.
  ...names("svd_lowrank pca_lowrank", (name) => (r) => {
    const x = generic(r, [...batch(r), 3, 2]);
    return sample([x], (a) => {
      const { U, S, V } = name === "svd_lowrank" ? torch.svd_lowrank(a!, 2) : torch.pca_lowrank(a!, 2);
      return svdParts(U, S, V);
    });
  }),
  // Three rows, so that the search spans all there is.
  lobpcg: (r) =>
    sample([generic(r, [...batch(r), 3, 3])], (a) => {
      const [E, X] = torch.lobpcg(a!, { tol: 1e-14, niter: 40 }) as [Tensor, Tensor];
      return [E, X.matmul(X.mT)];
    }),
  "linalg.svdvals": (r) => [generic(r, rectangle(r))],
  "linalg.cond": (r) => [regular(r, batch(r), r.int(2, 3)), r.pick([null, -2, 1, -1, "fro", "nuc", Infinity])],

  ...names("fft.fft fft.ifft fft.rfft fft.irfft fft.hfft fft.ihfft", () => (r) => {
    const shape = r.shape({ rank: [1, 3], min: 2 });
    return [r.x(shape), r.pick([null, 2, 3, 5]), r.dim(shape), r.pick([null, "ortho", "forward", "backward"])];
  }),
  ...names("fft.fft2 fft.ifft2 fft.rfft2 fft.irfft2 fft.hfft2 fft.ihfft2", () => (r) => {
    const shape = r.shape({ rank: [2, 3], min: 2 });
    return [r.x(shape), r.pick([null, [2, 3]]), [-2, -1], r.pick([null, "ortho", "forward"])];
  }),
  ...names("fft.fftn fft.ifftn fft.rfftn fft.irfftn fft.hfftn fft.ihfftn", () => (r) => {
    const shape = r.shape({ rank: [1, 3], min: 2 });
    return [r.x(shape), null, r.bool() ? null : r.someDims(shape, 1), r.pick([null, "ortho", "forward"])];
  }),
  stft: (r) => {
    const window = r.bool() ? null : r.constant([4], 0.5, 1.5);
    const options = { hop_length: r.int(1, 3), window, center: r.bool(), normalized: r.bool(), return_complex: true };
    return sample([r.x(r.bool() ? [8] : [2, 8])], (x) => torch.stft(x!, 4, options));
  },
  istft: (r) => {
    const options = { hop_length: 2, window: torch.ones([4], { dtype: torch.float64 }), center: true };
    return sample([r.x([3, 5]), r.x([3, 5])], (re, im) => torch.istft(torch.complex(re!, im!), 4, options));
  },
};
