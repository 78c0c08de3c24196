/** torch.linalg: what decompositions must multiply up to, hard matrices, empty ones, conventions, and errors. */

import { describe, expect, test } from "vitest";
import type { Tensor } from "../../ts/core/tensor.ts";
import * as torch from "../../ts/entry.node.ts";

const { float32, float64, int32, int64, linalg } = torch;
const numbers = (t: Tensor): number[] => Array.from(t.contiguous().data_sync(), Number);
const matrix = (rows: readonly (readonly number[])[], dtype = float64): Tensor => torch.tensor(rows as number[][], { dtype });
const eye = (n: number): Tensor => torch.eye(n, { dtype: float64 });

function random(shape: readonly number[], seed = 0): Tensor {
  torch.manual_seed(seed);
  return torch.randn([...shape], { dtype: float64 });
}
function close(got: Tensor, want: Tensor, tolerance = 1e-12): void {
  expect(got.shape).toEqual(want.shape);
  if (got.numel() === 0) return;
  const scale = Number(want.abs().max().item_sync()) || 1;
  expect(Number(got.sub(want).abs().max().item_sync()) / scale).toBeLessThan(tolerance);
}
const orthonormal = (q: Tensor, tolerance = 1e-12): void =>
  close(q.mT.matmul(q), eye(q.shape.at(-1)!).expand([...q.shape.slice(0, -2), q.shape.at(-1)!, q.shape.at(-1)!]), tolerance);

const SHAPES = [
  [1, 1],
  [4, 4],
  [7, 3],
  [3, 7],
  [2, 3, 5, 4],
  [40, 40],
  [60, 33],
  [33, 60],
];
const SQUARE = [
  [1, 1],
  [5, 5],
  [2, 3, 4, 4],
  [40, 40],
  [70, 70],
];

describe("products of the factors", () => {
  test.each(SHAPES.map((s) => [s]))("lu, %j", (shape) => {
    const A = random(shape);
    const { P, L, U } = linalg.lu(A);
    close(P.matmul(L).matmul(U), A);
    expect(Math.max(...numbers(L).map(Math.abs))).toBe(1);
    const { LU, pivots } = linalg.lu_factor(A);
    expect(pivots.dtype).toBe(int32);
    const again = torch.lu_unpack(LU, pivots);
    for (const i of [0, 1, 2]) expect(numbers(again[i]!)).toEqual(numbers([P, L, U][i]!));
  });
  test.each(SHAPES.map((s) => [s]))("qr, %j", (shape) => {
    const A = random(shape);
    for (const mode of ["reduced", "complete"] as const) {
      const { Q, R } = linalg.qr(A, mode);
      close(Q.matmul(R), A);
      orthonormal(Q);
      close(R.tril(-1), R.mul(0));
    }
    const { Q, R } = linalg.qr(A, "r");
    expect(Q.shape).toEqual([0]);
    close(R, linalg.qr(A)[1]!);
    const { a, tau } = A.geqrf();
    const wide = Math.min(shape.at(-1)!, shape.at(-2)!);
    close(linalg.householder_product(a.narrow(-1, 0, wide), tau), linalg.qr(A)[0]!);
    close(torch.ormqr(a, tau, A, { transpose: true }).triu(), linalg.qr(A, "complete")[1]!);
  });
  test.each(SHAPES.map((s) => [s]))("svd, %j", (shape) => {
    const A = random(shape);
    for (const full of [true, false]) {
      const { U, S, Vh } = linalg.svd(A, full);
      const k = S.shape.at(-1)!;
      close(
        U.narrow(-1, 0, k)
          .mul(S.unsqueeze(-2))
          .matmul(Vh.narrow(-2, 0, k)),
        A,
      );
      orthonormal(U);
      orthonormal(Vh.mT);
      expect(Number(S.diff().le(0).all().item_sync())).toBe(1);
      close(linalg.svdvals(A), S);
    }
  });
  test.each(SQUARE.map((s) => [s]))("eigh, cholesky, inverses, %j", (shape) => {
    const A = random(shape);
    const S = A.add(A.mT);
    const { eigenvalues: L, eigenvectors: V } = linalg.eigh(S);
    close(V.mul(L.unsqueeze(-2)).matmul(V.mT), S);
    orthonormal(V);
    close(linalg.eigvalsh(S.tril()), L);
    close(linalg.eigvalsh(S.triu(), "U"), L);
    const positive = A.matmul(A.mT).add(eye(shape.at(-1)!));
    const C = linalg.cholesky(positive.tril());
    close(C.matmul(C.mT), positive);
    close(linalg.cholesky(positive.triu(), { upper: true }), C.mT);
    const one = eye(shape.at(-1)!).expand(shape);
    close(C.cholesky_inverse().matmul(positive), one, 1e-9);
    close(linalg.inv(A).matmul(A), one, 1e-9);
    close(linalg.pinv(A), linalg.inv(A), 1e-9);
  });
  test.each([[2], [5], [30]])("ldl of %d rows", (n) => {
    for (const seed of [1, 2, 3]) {
      const A = random([2, n, n], seed);
      // Zeros on the diagonal ask for blocks of two.
      const S = A.add(A.mT).mul(torch.ones([n, n], { dtype: float64 }).sub(eye(n)));
      const B = random([2, n, 3], seed + 9);
      const { LD, pivots } = linalg.ldl_factor(S);
      close(S.matmul(linalg.ldl_solve(LD, pivots, B)), B, 1e-9);
    }
  });
  test("lstsq: the normal equations, and the least norm", () => {
    for (const shape of [
      [8, 3],
      [3, 8],
      [2, 5, 5],
    ]) {
      const A = random(shape);
      const B = random([...shape.slice(0, -1), 2], 1);
      for (const driver of ["gels", "gelsy", "gelsd", "gelss"] as const)
        close(linalg.lstsq(A, B, { driver }).solution, linalg.pinv(A).matmul(B), 1e-9);
    }
    const { residuals, rank, singular_values } = linalg.lstsq(random([6, 2]), random([6, 1], 1), { driver: "gelsd" });
    expect([residuals.shape, rank.dtype, numbers(rank), singular_values.shape]).toEqual([[1], int64, [2], [2]]);
    const deficient = random([5, 2]).matmul(random([2, 4], 1));
    const found = linalg.lstsq(deficient, random([5], 3), { driver: "gelss" });
    expect([numbers(found.rank), found.residuals.shape]).toEqual([[2], [0]]);
    close(found.solution, linalg.pinv(deficient, { rtol: 1e-10 }).matmul(random([5], 3)), 1e-9);
  });
  test("matrix_exp", () => {
    const t = 0.7;
    close(
      matrix([
        [0, -t],
        [t, 0],
      ]).matrix_exp(),
      matrix([
        [Math.cos(t), -Math.sin(t)],
        [Math.sin(t), Math.cos(t)],
      ]),
    );
    close(
      torch.tensor([1, -3, 20], { dtype: float64 }).diag().matrix_exp(),
      torch.tensor([1, -3, 20], { dtype: float64 }).exp().diag(),
    );
    const A = random([3, 6, 6]).mul(4);
    close(A.matrix_exp().matmul(A.neg().matrix_exp()), eye(6).expand([3, 6, 6]), 1e-6);
    expect(numbers(matrix([[Infinity]]).matrix_exp())).toEqual([NaN]);
  });
});

describe("hard matrices", () => {
  test("ranks that are not full", () => {
    const A = random([30, 3]).matmul(random([3, 40], 1));
    const { U, S, Vh } = linalg.svd(A);
    orthonormal(U);
    orthonormal(Vh.mT);
    close(
      U.narrow(-1, 0, 30)
        .mul(S.unsqueeze(-2))
        .matmul(Vh.narrow(-2, 0, 30)),
      A,
    );
    expect(linalg.matrix_rank(A).item_sync()).toBe(3);
    for (const zero of [torch.zeros([5, 3], { dtype: float64 }), torch.zeros([3, 5], { dtype: float64 })]) {
      const parts = linalg.svd(zero);
      orthonormal(parts.U);
      orthonormal(parts.Vh.mT);
      expect(numbers(parts.S)).toEqual([0, 0, 0]);
      expect(linalg.matrix_rank(zero).item_sync()).toBe(0);
      expect(numbers(linalg.pinv(zero)).every((x) => x === 0)).toBe(true);
    }
  });
  test("singular values far apart, equal ones, and extreme sizes", () => {
    const graded = torch
      .tensor([1, 1e-60, 1e-120], { dtype: float64 })
      .diag()
      .matmul(
        matrix([
          [1, 0.5, 0],
          [0.5, 1, 0.5],
          [0, 0.5, 1],
        ]),
      );
    const S = numbers(linalg.svdvals(graded));
    expect(S[2]! / S[1]!).toBeGreaterThan(1e-61);
    expect(S[2]!).toBeLessThan(1e-119);
    expect(numbers(linalg.svdvals(eye(30)))).toEqual(new Array(30).fill(1));
    for (const scale of [1e200, 1e-200]) {
      const A = random([6, 4]);
      close(linalg.svdvals(A.mul(scale)).div(scale), linalg.svdvals(A));
      close(linalg.qr(A.mul(scale))[1]!.div(scale), linalg.qr(A)[1]!);
      close(linalg.eigvalsh(A.mT.matmul(A).mul(scale)).div(scale), linalg.eigvalsh(A.mT.matmul(A)), 1e-11);
    }
  });
  test("eigenvalues of multiplicity", () => {
    const V = linalg.qr(random([40, 40]))[0]!;
    const L = torch.cat([torch.zeros([20], { dtype: float64 }), torch.ones([20], { dtype: float64 })]);
    const S = V.mul(L).matmul(V.mT);
    const found = linalg.eigh(S);
    orthonormal(found.eigenvectors);
    close(found.eigenvalues, L);
    expect(numbers(linalg.eigvalsh(torch.tensor([3, 1, 2], { dtype: float64 }).diag()))).toEqual([1, 2, 3]);
  });
  test("determinants", () => {
    expect(
      linalg
        .det(
          matrix([
            [0, 1],
            [1, 0],
          ]),
        )
        .item_sync(),
    ).toBe(-1);
    expect(
      linalg
        .det(
          matrix([
            [1, 2],
            [2, 4],
          ]),
        )
        .item_sync(),
    ).toBe(0);
    const { sign, logabsdet } = linalg.slogdet(eye(400).mul(-10).narrow(0, 0, 399).narrow(1, 0, 399));
    expect(sign.item_sync()).toBe(-1);
    expect(logabsdet.item_sync()).toBeCloseTo(399 * Math.log(10), 9);
    expect(numbers(torch.logdet(matrix([[-1]])))).toEqual([NaN]);
    expect(numbers(torch.logdet(matrix([[0]])))).toEqual([-Infinity]);
    expect(numbers(linalg.slogdet(matrix([[0]]))[0]!)).toEqual([0]);
  });
  test("condition numbers of singular matrices", () => {
    const A = matrix([
      [1, 2],
      [2, 4],
    ]);
    expect(linalg.cond(A, "fro").item_sync()).toBe(Infinity);
    expect(linalg.cond(A, 1).item_sync()).toBe(Infinity);
    expect(Number(linalg.cond(A).item_sync())).toBeGreaterThan(1e15);
    expect(numbers(linalg.cond(torch.zeros([3, 0, 0])))).toEqual([0, 0, 0]);
  });
});

describe("conventions", () => {
  test("float32 is computed in float64 and rounded", () => {
    const A = random([20, 20]).to(float32);
    const X = linalg.inv(A);
    expect(X.dtype).toBe(float32);
    expect(numbers(X)).toEqual(numbers(linalg.inv(A.to(float64)).to(float32)));
  });
  test("strided inputs are not changed", () => {
    const A = random([3, 8, 8]).mT.slice(-1, 0, 8, 2).slice(-2, 0, 8, 2);
    const before = numbers(A);
    close(linalg.inv(A), linalg.inv(A.contiguous()));
    linalg.svd(A);
    linalg.qr(A);
    linalg.eigh(A);
    expect(numbers(A)).toEqual(before);
  });
  test("batches broadcast", () => {
    const [A, B] = [random([4, 1, 3, 3]), random([5, 3, 2], 1)];
    const X = linalg.solve(A, B);
    expect(X.shape).toEqual([4, 5, 3, 2]);
    close(A.matmul(X), B.expand([4, 5, 3, 2]), 1e-10);
    const { LU, pivots } = linalg.lu_factor(A);
    close(linalg.lu_solve(LU, pivots, B), X, 1e-10);
    close(linalg.solve_triangular(A.triu(), B, { upper: true }), linalg.solve(A.triu(), B), 1e-9);
  });
  test("info instead of errors", () => {
    const A = torch.stack([
      eye(2),
      matrix([
        [1, 2],
        [2, 1],
      ]),
      matrix([
        [1, 1],
        [1, 1],
      ]),
    ]);
    expect(numbers(linalg.cholesky_ex(A).info)).toEqual([0, 2, 2]);
    expect(numbers(linalg.inv_ex(A).info)).toEqual([0, 0, 2]);
    expect(numbers(linalg.lu_factor_ex(A).info)).toEqual([0, 0, 2]);
    expect(numbers(linalg.solve_ex(A, torch.ones([3, 2, 1], { dtype: float64 })).info)).toEqual([0, 0, 2]);
    expect(linalg.solve_ex(eye(2), torch.ones([2], { dtype: float64 })).info.shape).toEqual([]);
  });
  test("old names", () => {
    const A = random([4, 3]);
    const { U, S, V } = torch.svd(A);
    close(U.mul(S).matmul(V.mT), A);
    const none = A.svd(true, false);
    expect(none.map((t) => t.shape)).toEqual([[4, 4], [3], [3, 3]]);
    expect(numbers(none.U).every((x) => x === 0)).toBe(true);
    close(torch.qr(A)[0]!, linalg.qr(A)[0]!);
    expect(A.qr(false)[0]!.shape).toEqual([4, 4]);
    expect(A.lu()).toHaveLength(2);
    expect(A.lu(true, true)).toHaveLength(3);
    close(A.pinverse(), linalg.pinv(A));
    const square = random([3, 3]);
    close(square.inverse(), linalg.inv(square));
    expect(square.det().item_sync()).toBe(linalg.det(square).item_sync());
    const { solution: X, cloned_coefficient: copy } = torch.triangular_solve(A.slice(0, 0, 3), square, { upper: false });
    close(square.tril().matmul(X), A.slice(0, 0, 3), 1e-9);
    expect(copy._storage).not.toBe(square._storage);
    close(torch.chain_matmul(A, square, A.mT), A.matmul(square).matmul(A.mT));
  });
  test("ranks by tolerance", () => {
    const A = torch.tensor([10, 1, 0.1], { dtype: float64 }).diag();
    const rank = (options: object): number => Number(linalg.matrix_rank(A, options).item_sync());
    expect([rank({}), rank({ atol: 0.5 }), rank({ rtol: 0.05 }), rank({ atol: 2, rtol: 0 }), rank({ tol: 1 })]).toEqual([
      3, 2, 2, 1, 1,
    ]);
    expect(rank({ atol: torch.tensor(0.5, { dtype: float64 }) })).toBe(2);
    expect(Number(linalg.matrix_rank(A.neg(), { hermitian: true, atol: 0.5 }).item_sync())).toBe(2);
  });
});

test("complex matrices", () => {
  const random2 = (shape: readonly number[], seed: number): Tensor =>
    torch.complex(random(shape, seed), random(shape, seed + 50));
  const same = (got: Tensor, want: Tensor): void => close(torch.view_as_real(got), torch.view_as_real(want), 1e-10);
  const [A, B] = [random2([2, 4, 4], 1), random2([4, 3], 2)];
  same(A.matmul(linalg.solve(A, B)), B.expand([2, 4, 3]));
  same(linalg.solve(A, B.mT, { left: false }).matmul(A), B.mT.expand([2, 3, 4]));
  same(A.matmul(linalg.inv(A)).matmul(B), B.expand([2, 4, 3]));
  same(A.tril().matmul(linalg.solve_triangular(A, B, { upper: false })), B.expand([2, 4, 3]));
  const H = A.matmul(A.mH);
  const L = linalg.cholesky(H.tril());
  same(L.matmul(L.mH), H);
  same(linalg.cholesky(H, { upper: true }), L.mH);
  close(linalg.eigvalsh(H).sqrt().flip(-1), linalg.svdvals(A), 1e-10);
  expect(numbers(linalg.matrix_rank(A))).toEqual([4, 4]);
  same(linalg.pinv(random2([4, 2], 3)).matmul(random2([4, 2], 3)), torch.complex(eye(2), eye(2).mul(0)));
  same(A.mul(0.3).matrix_exp().matmul(A.mul(-0.3).matrix_exp()).matmul(B), B.expand([2, 4, 3]));
  expect(() => linalg.inv(A.mul(0))).toThrow("(Batch element 0): The diagonal element 1 is zero");
});

describe("errors", () => {
  const singular = matrix([
    [1, 2],
    [2, 4],
  ]);
  const batch = torch.stack([eye(2), singular]);
  test("singular and indefinite matrices", () => {
    expect(() => linalg.inv(singular)).toThrow(
      "linalg.inv: The diagonal element 2 is zero, the inversion could not be completed",
    );
    expect(() => linalg.inv(batch)).toThrow("linalg.inv: (Batch element 1): The diagonal element 2 is zero");
    expect(() => linalg.solve(batch, torch.ones([2, 2, 1], { dtype: float64 }))).toThrow(
      "torch.linalg.solve: (Batch element 1): The solver failed because the input matrix is singular.",
    );
    expect(() => linalg.cholesky(batch.sub(eye(2).mul(0.5)))).toThrow(torch.LinAlgError);
    expect(() =>
      linalg.cholesky(
        matrix([
          [1, 2],
          [2, 1],
        ]),
      ),
    ).toThrow("the input is not positive-definite (the leading minor of order 2 is not positive-definite)");
    expect(() => linalg.lu_factor(singular)).toThrow("U[2,2] is zero");
    expect(() => linalg.svd(matrix([[NaN]]))).toThrow(torch.LinAlgError);
    expect(() => linalg.eigh(matrix([[Infinity]]))).toThrow("failed to converge");
    expect(() =>
      linalg.lstsq(torch.zeros([3, 2], { dtype: float64 }), torch.ones([3, 1], { dtype: float64 }), { driver: "gels" }),
    ).toThrow("full rank");
  });
  test("shapes and types", () => {
    expect(() => linalg.inv(torch.ones([2, 3]))).toThrow("must be batches of square matrices, but they are 2 by 3 matrices");
    expect(() => linalg.det(torch.ones([3]))).toThrow("must have at least 2 dimensions");
    expect(() => linalg.qr(torch.ones([2, 2], { dtype: int64 }))).toThrow("Expected a floating point or complex tensor");
    expect(() => linalg.svd(torch.ones([2, 2], { dtype: torch.float16 }))).toThrow("Low precision dtypes not supported");
    expect(() => linalg.solve(eye(2), torch.ones([3, 1], { dtype: float64 }))).toThrow(
      "Incompatible shapes of A and B for the equation AX = B",
    );
    expect(() => linalg.solve(eye(2), torch.ones([2, 1]))).toThrow("same dtype");
    expect(() => linalg.eigh(eye(2), "X")).toThrow("Expected UPLO argument to be 'L' or 'U'");
    expect(() => linalg.lu_solve(eye(2), torch.tensor([1, 7], { dtype: int32 }), eye(2))).toThrow("pivot");
    expect(() => torch.lu_unpack(eye(2), torch.tensor([1, 2]))).toThrow("int32");
    expect(() => linalg.cond(eye(2), 3)).toThrow("invalid norm type");
    expect(() => linalg.lstsq(eye(2), eye(2), { driver: "gelsz" as never })).toThrow("driver");
    expect(() => linalg.householder_product(torch.ones([2, 3]), torch.ones([2]))).toThrow("greater than or equal");
  });
});
