/** torch.linalg of complex matrices, eigenvalues of any, and what works with a few vectors: products, conventions, gradients, PyTorch's own results. */

import { execFileSync } from "node:child_process";
import { describe, expect, test } from "vitest";
import type { Tensor } from "../../ts/core/tensor.ts";
import * as torch from "../../ts/entry.node.ts";
import { pythonWith } from "../io/python.ts";

const { complex128, complex64, float64, linalg } = torch;
const { gradcheck, gradgradcheck } = torch.autograd;

function random(shape: readonly number[], dtype = complex128, seed = 0): Tensor {
  torch.manual_seed(seed);
  return torch.randn([...shape], { dtype });
}
const largest = (t: Tensor): number => (t.numel() === 0 ? 0 : Number(t.abs().max().item_sync()));
function close(got: Tensor, want: Tensor, tolerance = 1e-12): void {
  expect(got.shape).toEqual(want.shape);
  expect(largest(got.sub(want))).toBeLessThan(tolerance * (largest(want) || 1));
}
function orthonormal(q: Tensor): void {
  const n = q.shape.at(-1)!;
  close(q.mH.matmul(q), torch.eye(n, { dtype: q.dtype }).expand([...q.shape.slice(0, -2), n, n]));
}
const SHAPES = [
  [1, 1],
  [5, 5],
  [7, 3],
  [3, 7],
  [2, 3, 4, 5],
  [40, 37],
  [0, 3],
  [2, 0, 0],
].map((s) => [s] as const);
const SQUARE = [
  [1, 1],
  [5, 5],
  [2, 3, 4, 4],
  [45, 45],
  [0, 0],
  [2, 0, 0],
].map((s) => [s] as const);

describe("products of the factors", () => {
  test.each(SHAPES)("qr, svd, lu and pinv, %j", (shape) => {
    const A = random(shape);
    for (const mode of ["reduced", "complete"] as const) {
      const { Q, R } = linalg.qr(A, mode);
      close(Q.matmul(R), A);
      orthonormal(Q);
      expect(largest(R.diagonal(0, -2, -1).imag)).toBe(0);
    }
    const { U, S, Vh } = linalg.svd(A, true);
    const k = S.shape.at(-1)!;
    orthonormal(U);
    orthonormal(Vh.mH);
    expect(S.dtype).toBe(float64);
    close(
      U.narrow(-1, 0, k)
        .mul(S.unsqueeze(-2))
        .matmul(Vh.narrow(-2, 0, k)),
      A,
    );
    close(linalg.svdvals(A), S);
    const { P, L, U: upper } = linalg.lu(A);
    close(P.matmul(L).matmul(upper), A);
    close(A.matmul(linalg.pinv(A)).matmul(A), A);
  });
  test.each(SQUARE)("eigh, cholesky and LDL, %j", (shape) => {
    const A = random(shape);
    const H = A.add(A.mH);
    for (const UPLO of ["L", "U"]) {
      const { eigenvalues, eigenvectors } = linalg.eigh(UPLO === "L" ? H.tril() : H.triu(), UPLO);
      orthonormal(eigenvectors);
      close(eigenvectors.mul(eigenvalues.unsqueeze(-2)).matmul(eigenvectors.mH), H);
    }
    const n = shape.at(-1)!;
    const definite = A.matmul(A.mH).add(torch.eye(n, { dtype: complex128 }));
    const L = linalg.cholesky(definite.tril());
    close(L.matmul(L.mH), definite);
    close(linalg.cholesky(definite.triu(), { upper: true }), L.mH);
    const B = random([...shape.slice(0, -1), 2], complex128, 1);
    for (const [hermitian, matrix] of [
      [true, H],
      [false, A.add(A.mT)],
    ] as const) {
      const { LD, pivots } = linalg.ldl_factor(matrix, { hermitian });
      close(matrix.matmul(linalg.ldl_solve(LD, pivots, B, { hermitian })), B, 1e-9);
    }
    const X = linalg.solve(A, B);
    close(A.matmul(X), B, 1e-10);
    const { LU, pivots } = linalg.lu_factor(A);
    close(A.mH.matmul(linalg.lu_solve(LU, pivots, B, { adjoint: true })), B, 1e-10);
  });
  test("reflections", () => {
    const A = random([2, 6, 4]);
    const { a, tau } = A.geqrf();
    const { Q, R } = linalg.qr(A, "complete");
    close(linalg.householder_product(a, tau), Q.narrow(-1, 0, 4));
    close(torch.ormqr(a, tau, A, { transpose: true }).triu(), R);
    close(torch.ormqr(a, tau, A.mH, { left: false }), A.mH.matmul(Q));
  });
  test.each([-3, -1, 0, 1, 5])("matrix_power, %d", (n) => {
    const A = random([2, 3, 3]);
    let want = torch.eye(3, { dtype: complex128 }).expand([2, 3, 3]);
    const base = n < 0 ? linalg.inv(A) : A;
    for (let i = 0; i < Math.abs(n); i++) want = want.matmul(base);
    close(linalg.matrix_power(A, n), want, 1e-10);
  });
  test("exponentials, determinants", () => {
    const A = random([3, 3]);
    const { eigenvalues: L, eigenvectors: V } = linalg.eig(A);
    close(linalg.matrix_exp(A), V.mul(L.exp().unsqueeze(-2)).matmul(linalg.inv(V)), 1e-10);
    close(linalg.det(A), L.prod());
    const { sign, logabsdet } = linalg.slogdet(A);
    close(sign.mul(logabsdet.exp()), linalg.det(A));
    close(torch.logdet(A).exp(), linalg.det(A));
  });
});

describe("eigenvalues of any matrix", () => {
  test.each([
    ...SQUARE,
    ...[
      [6, 6],
      [20, 20],
    ].map((s) => [s] as const),
  ])("A V = V L, %j", (shape) => {
    for (const dtype of [float64, complex128]) {
      const A = random(shape, dtype);
      const { eigenvalues: L, eigenvectors: V } = linalg.eig(A);
      expect([L.dtype, V.dtype]).toEqual([complex128, complex128]);
      close(A.to(complex128).matmul(V), V.mul(L.unsqueeze(-2)), 1e-11);
      if (V.numel() === 0) continue;
      close(V.abs().square().sum(-2), torch.ones(L.shape, { dtype: float64 }));
      const at = V.abs().argmax(-2, true);
      expect(largest(V.imag.gather(-2, at))).toBe(0);
      close(linalg.eigvals(A), L, 1e-9);
    }
  });
  test("conjugate pairs are exact, defective and triangular matrices", () => {
    const A = torch.tensor(
      [
        [0, 1, 0],
        [-1, 0, 0],
        [0, 0, 2],
      ],
      { dtype: float64 },
    );
    const { eigenvalues: L, eigenvectors: V } = linalg.eig(A);
    expect(L.imag.tolist_sync()).toEqual([1, -1, 0]);
    expect(largest(V.select(1, 0).sub(V.select(1, 1).conj()))).toBe(0);
    const jordan = torch.tensor(
      [
        [3, 1],
        [0, 3],
      ],
      { dtype: float64 },
    );
    expect(linalg.eigvals(jordan).real.tolist_sync()).toEqual([3, 3]);
    const triangle = random([6, 6], float64).triu();
    expect(linalg.eigvals(triangle).real.tolist_sync()).toEqual(triangle.diagonal().tolist_sync());
    expect(linalg.eig(torch.zeros([3, 3])).eigenvectors.real.tolist_sync()).toEqual(torch.eye(3).tolist_sync());
  });
  test("far from each other in size", () => {
    const D = torch.tensor([1, 1e6, 1e-6, 1e3], { dtype: float64 });
    const A = D.unsqueeze(-1)
      .mul(random([4, 4], float64))
      .div(D);
    close(linalg.eigvals(A).real.sort()[0]!, linalg.eigvals(random([4, 4], float64)).real.sort()[0]!, 1e-12);
  });
});

describe("gradients", () => {
  const check = (f: (...x: Tensor[]) => Tensor | Tensor[], ...inputs: Tensor[]): void => {
    const own = inputs.map((t) => t.detach().clone().requires_grad_());
    expect(gradcheck(f, own)).toBe(true);
    expect(gradgradcheck(f, own)).toBe(true);
  };
  const A = random([3, 3]);
  const H = (x: Tensor): Tensor => x.add(x.mH);
  const cases: [string, (x: Tensor) => Tensor | Tensor[], Tensor][] = [
    ["det", (x) => linalg.det(x), A],
    [
      "det of a singular matrix",
      (x) => linalg.det(x),
      A.narrow(1, 0, 1)
        .matmul(A.narrow(0, 0, 1))
        .add(
          torch.tensor([
            [1, 0, 0],
            [0, 0, 0],
            [0, 0, 0],
          ]),
        ),
    ],
    ["slogdet", (x) => [...linalg.slogdet(x)], A],
    ["qr, tall", (x) => [...linalg.qr(x)], random([4, 2])],
    ["qr, wide", (x) => [...linalg.qr(x)], random([2, 4])],
    [
      "svd",
      (x) => {
        const { U, S, Vh } = linalg.svd(x, false);
        return [U.mul(S.unsqueeze(-2)).matmul(Vh.mul(2)), S, U.abs()];
      },
      random([3, 2]),
    ],
    [
      "eigh",
      (x) => {
        const { eigenvalues, eigenvectors } = linalg.eigh(H(x));
        return [eigenvalues, eigenvectors.abs()];
      },
      A,
    ],
    [
      "eig",
      (x) => {
        const { eigenvalues, eigenvectors } = linalg.eig(x);
        return [eigenvalues, eigenvectors.abs()];
      },
      A,
    ],
    [
      "eig of a real matrix",
      (x) => {
        const { eigenvalues, eigenvectors } = linalg.eig(x);
        return [eigenvalues, eigenvectors.abs()];
      },
      random([3, 3], float64),
    ],
    ["eigvals", (x) => linalg.eigvals(x), random([2, 3, 3], float64)],
    ["cholesky", (x) => linalg.cholesky(H(x).add(torch.eye(3).mul(9))), A],
    ["lu_factor", (x) => linalg.lu_factor(x)[0]!, A],
    ["pinv", (x) => linalg.pinv(x), random([3, 2])],
    ["matrix_exp", (x) => linalg.matrix_exp(x), random([2, 2])],
    ["inv", (x) => linalg.inv(x), A],
  ];
  test.each(cases)("%s", (_, f, x) => check(f, x));
  test("solve and lstsq", () => {
    check((a, b) => linalg.solve(a, b), A, random([3, 2], complex128, 1));
    check((a, b) => linalg.lstsq(a, b)[0]!, random([4, 2]), random([4, 1], complex128, 1));
  });
  test("losses that depend on phases have none", () => {
    const x = random([3, 3]).requires_grad_();
    expect(() => linalg.eig(x).eigenvectors.real.sum().backward()).toThrow(
      "linalg_eig_backward: The eigenvectors in the complex case",
    );
    expect(() => linalg.eigh(x).eigenvectors.real.sum().backward()).toThrow(
      "linalg_eigh_backward: The eigenvectors in the complex case",
    );
    expect(() => linalg.svd(x).U.real.sum().backward()).toThrow("svd_backward: The singular vectors in the complex case");
  });
});

describe("a few vectors", () => {
  test("lobpcg finds what eigh finds", () => {
    const M = random([2, 21, 21], float64);
    const A = M.matmul(M.mT);
    const all = linalg.eigvalsh(A);
    const [E, X] = torch.lobpcg(A, 3) as [Tensor, Tensor];
    close(E, all.flip(-1).narrow(-1, 0, 3), 1e-7);
    close(A.matmul(X), X.mul(E.unsqueeze(-2)), 1e-6);
    let steps = 0;
    const [low] = torch.lobpcg(A, { k: 2, largest: false, iK: linalg.inv(A), tracker: () => steps++ }) as [Tensor];
    close(low.div(all.narrow(-1, 0, 2)), torch.ones([2, 2], { dtype: float64 }), 1e-6);
    expect(steps).toBeGreaterThan(0);
    const B = torch.eye(21, { dtype: float64 }).mul(4).expand([2, 21, 21]);
    close((torch.lobpcg(A, { k: 1, B }) as [Tensor])[0], all.narrow(-1, 20, 1).div(4), 1e-7);
  });
  test("lobpcg's gradient is eigh's", () => {
    const M = random([12, 12], float64);
    const [a, b] = [0, 1].map(() => M.add(M.mT).requires_grad_()) as [Tensor, Tensor];
    const loss = (E: Tensor, X: Tensor): Tensor => E.sum().add(X.square().mul(torch.arange(12).unsqueeze(-1)).sum());
    const [E, X] = torch.lobpcg(a, { k: 2, tol: 1e-14, niter: 60 }) as [Tensor, Tensor];
    loss(E, X).backward();
    const { eigenvalues, eigenvectors } = linalg.eigh(b);
    loss(eigenvalues.narrow(0, 10, 2), eigenvectors.narrow(1, 10, 2)).backward();
    close(a.grad!, b.grad!.add(b.grad!.mT).div(2), 1e-6);
  });
  test("svd_lowrank and pca_lowrank", () => {
    const A = random([9, 3]).matmul(random([3, 6]));
    for (const x of [A, A.mH]) {
      const { U, S, V } = torch.svd_lowrank(x, 3);
      close(U.mul(S).matmul(V.mH), x, 1e-10);
    }
    const data = random([30, 4], float64);
    close(torch.pca_lowrank(data)[1]!, linalg.svdvals(data.sub(data.mean(0))), 1e-10);
    const M = random([4], float64);
    close(torch.svd_lowrank(data, { q: 4, M })[1]!, linalg.svdvals(data.sub(M)), 1e-10);
  });
  test("what they refuse", () => {
    const A = torch.eye(8);
    expect(() => torch.lobpcg(A, 3)).toThrow("smaller than 3 x the number of requested eigenpairs");
    expect(() => torch.pca_lowrank(A, 9)).toThrow("q(=9) must be non-negative integer");
    expect(() => torch.svd_lowrank(torch.ones([3]))).toThrow("at least 2 dimensions");
  });
});

describe("errors", () => {
  test("say which matrix", () => {
    const singular = torch.stack([torch.eye(2), torch.zeros([2, 2])]).to(complex64);
    expect(() => linalg.inv(singular)).toThrow(linalg.LinAlgError);
    expect(() => linalg.inv(singular)).toThrow("linalg.inv: (Batch element 1): The diagonal element 1 is zero");
    expect(() => linalg.cholesky(singular.sub(torch.eye(2)))).toThrow(
      "(Batch element 0): The factorization could not be completed",
    );
    expect(() => linalg.eig(torch.full([2, 2], NaN))).toThrow("torch.linalg.eig: input tensor should not contain infs or NaNs");
    expect(() => linalg.eigvals(torch.ones([2, 3]))).toThrow("must be batches of square matrices");
  });
});

const PYTHON = pythonWith("torch");
const PROGRAM = `
import torch, json, sys
torch.set_num_threads(1)
def parts(t): return torch.view_as_real(t.resolve_conj()).tolist() if t.is_complex() else t.tolist()
out = []
for op, dtype, kwargs, data in json.load(sys.stdin):
    A = torch.tensor(data, dtype=torch.float64)
    if dtype == 'complex128': A = torch.view_as_complex(A)
    A.requires_grad_()
    r = getattr(torch.linalg, op)(A, **kwargs)
    r = r if isinstance(r, tuple) else (r,)
    r = [t.abs() if t.is_complex() or t.ndim == A.ndim else t for t in r if t.is_floating_point() or t.is_complex()]
    g, = torch.autograd.grad(sum((t * torch.arange(1, t.numel() + 1).reshape(t.shape)).sum() for t in r), A)
    out.append([[parts(t) for t in r], parts(g)])
print(json.dumps(out))
`;

describe.skipIf(PYTHON === null)("beside the PyTorch that is installed", () => {
  test("absolute values of results, and their gradients", () => {
    const calls = (["float64", "complex128"] as const).flatMap((dtype) =>
      (
        [
          ["svd", { full_matrices: false }, [2, 4, 3]],
          ["qr", {}, [5, 3]],
          ["eigh", { UPLO: "U" }, [2, 4, 4]],
          ["det", {}, [3, 2, 2]],
          ["inv", {}, [4, 4]],
          ["lu_factor", {}, [4, 4]],
          ["pinv", {}, [3, 5]],
          ["matrix_exp", {}, [3, 3]],
          ["matrix_norm", { ord: "nuc" }, [3, 4]],
        ] as const
      ).map(([op, kwargs, shape], i) => ({ op, kwargs, A: random(shape, dtype === "float64" ? float64 : complex128, i), dtype })),
    );
    const plain = (t: Tensor): unknown => (t.dtype.is_complex ? torch.view_as_real(t) : t).tolist_sync();
    const input = JSON.stringify(calls.map(({ op, kwargs, A, dtype }) => [op, dtype, kwargs, plain(A)]));
    const want = JSON.parse(execFileSync(PYTHON!, ["-c", PROGRAM], { input, encoding: "utf8" })) as [unknown[], unknown][];
    calls.forEach(({ op, kwargs, A }, i) => {
      const x = A.detach().requires_grad_();
      const call = (linalg as unknown as Record<string, (...args: unknown[]) => Tensor | Tensor[]>)[op]!;
      const result = call(x, kwargs);
      const parts = (Array.isArray(result) ? result : [result])
        .filter((t) => t.dtype.is_complex || t.dtype.is_floating_point)
        .map((t) => (t.dtype.is_complex || t.ndim === A.ndim ? t.abs() : t));
      const loss = parts.map((t) => t.mul(torch.arange(1, t.numel() + 1).reshape(t.shape)).sum()).reduce((a, b) => a.add(b));
      loss.backward();
      parts.forEach((t, p) => close(t.detach(), torch.tensor(want[i]![0][p] as number[], { dtype: float64 }), 1e-9));
      const gradient = x.grad!.dtype.is_complex ? torch.view_as_real(x.grad!) : x.grad!;
      close(gradient, torch.tensor(want[i]![1] as number[], { dtype: float64 }), 1e-8);
    });
  });
});
