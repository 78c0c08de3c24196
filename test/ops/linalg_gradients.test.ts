/** torch.linalg: first and second derivatives against central differences, for single matrices, batches, wide and tall ones. */

import { describe, expect, test } from "vitest";
import type { Tensor } from "../../ts/core/tensor.ts";
import * as torch from "../../ts/entry.node.ts";

const { float64, linalg } = torch;
const { gradcheck, gradgradcheck } = torch.autograd;

type Fn = (...args: Tensor[]) => Tensor | readonly Tensor[];

/** Values of a kind that no symmetry makes special. */
function random(shape: readonly number[], seed: number): Tensor {
  const n = shape.reduce((a, b) => a * b, 1);
  const values = Array.from(
    { length: n },
    (_, i) => Math.sin(12.9898 * (i + 1) + 78.233 * seed) * 1.3 + 0.2 * Math.cos(i * i + seed),
  );
  return torch.tensor(values, { dtype: float64 }).reshape([...shape]);
}
const leaf = (shape: readonly number[], seed = 1): Tensor => random(shape, seed).requires_grad_();
/** Square, far from singular. */
const regular = (shape: readonly number[], seed = 1): Tensor =>
  random(shape, seed)
    .add(torch.eye(shape.at(-1)!, { dtype: float64 }).mul(3))
    .requires_grad_();
const symmetric = (a: Tensor): Tensor => a.add(a.mT).mul(0.5);
const positive = (a: Tensor): Tensor => a.matmul(a.mT).add(torch.eye(a.shape.at(-1)!, { dtype: a.dtype }));

function check(f: Fn, ...inputs: Tensor[]): void {
  expect(gradcheck(f as never, inputs)).toBe(true);
  expect(gradgradcheck(f as never, inputs)).toBe(true);
}

describe("systems", () => {
  test.each([[[3, 3]], [[2, 3, 3]]])("solve, %j", (shape) => {
    check((a, b) => linalg.solve(a!, b!), regular(shape), leaf([3, 2], 2));
    check((a, b) => linalg.solve(a!, b!, { left: false }), regular(shape), leaf([...shape.slice(0, -2), 2, 3], 2));
  });
  test("solve of vectors", () => {
    check((a, b) => linalg.solve(a!, b!), regular([3, 3]), leaf([3], 2));
    check((a, b) => linalg.solve_ex(a!, b!)[0]!, regular([2, 3, 3]), leaf([2, 3], 2));
  });
  test("inverses", () => {
    check((a) => linalg.inv(a!), regular([2, 3, 3]));
    check(
      (a) => linalg.tensorinv(a!, 1),
      torch
        .eye(6, { dtype: float64 })
        .mul(3)
        .add(random([6, 6], 4))
        .reshape([6, 2, 3])
        .detach()
        .requires_grad_(),
    );
    check((a) => linalg.matrix_power(a!, -2), regular([3, 3]));
  });
  test.each([
    [true, true, true],
    [true, false, false],
    [false, true, false],
    [false, false, true],
  ])("solve_triangular, upper %j, left %j, unitriangular %j", (upper, left, unitriangular) => {
    const b = left ? [2, 3, 2] : [2, 2, 3];
    check((x, y) => linalg.solve_triangular(x!, y!, { upper, left, unitriangular }), regular([3, 3]), leaf(b, 2));
  });
  test("triangular_solve of a transpose", () => {
    check((b, a) => b!.triangular_solve(a!, true, true)[0]!, leaf([3, 2], 2), regular([3, 3]));
  });
  test.each([
    [true, true],
    [true, false],
    [false, true],
    [false, false],
  ])("lu_solve, left %j, adjoint %j", (left, adjoint) => {
    const { LU, pivots } = linalg.lu_factor(random([2, 3, 3], 5));
    check(
      (x, y) => linalg.lu_solve(x!, pivots, y!, { left, adjoint }),
      LU.requires_grad_(),
      leaf(left ? [2, 3, 2] : [2, 2, 3], 2),
    );
  });
  test("cholesky_solve and cholesky_inverse, by the factor's whole product", () => {
    for (const upper of [false, true]) {
      const factor = (a: Tensor): Tensor => linalg.cholesky(positive(a), { upper });
      check((b, a) => b!.cholesky_solve(factor(a!), upper), leaf([3, 2], 2), leaf([2, 3, 3]));
      check((a) => factor(a!).cholesky_inverse(upper), leaf([3, 3]));
    }
  });
  test.each([[[4, 2]], [[2, 4]], [[2, 3, 3]]])("lstsq and pinv, %j", (shape) => {
    const b = [...shape.slice(0, -1), 2];
    for (const driver of ["gels", "gelsd"] as const) {
      check((x, y) => linalg.lstsq(x!, y!, { driver }).solution, leaf(shape), leaf(b, 2));
    }
    check((x) => linalg.pinv(x!), leaf(shape));
  });
  test("pinv of symmetric matrices, and of ones without full rank", () => {
    check((x) => linalg.pinv(symmetric(x!), { hermitian: true }), leaf([3, 3]));
    check((x, y) => linalg.pinv(x!.matmul(y!), { rtol: 1e-8 }), leaf([4, 2]), leaf([2, 3], 2));
  });
});

describe("factorisations", () => {
  test.each([[[3, 3]], [[2, 4]], [[4, 2]], [[2, 3, 5]], [[2, 5, 3]]])("lu, %j", (shape) => {
    check((a) => linalg.lu_factor(a!).LU, leaf(shape));
    check((a) => linalg.lu(a!).slice(1), leaf(shape));
    check((a) => linalg.lu_factor_ex(a!, { pivot: false }).LU, leaf(shape, 3));
  });
  test("cholesky", () => {
    check((a) => linalg.cholesky(positive(a!)), leaf([2, 3, 3]));
    check((a) => linalg.cholesky(positive(a!), { upper: true }), leaf([3, 3]));
  });
  test.each([[[3, 3]], [[2, 4]], [[4, 2]], [[2, 3, 5]], [[2, 5, 3]]])("qr, %j", (shape) => {
    check((a) => linalg.qr(a!), leaf(shape));
    check((a) => linalg.qr(a!)[0]!, leaf(shape));
    check((a) => linalg.qr(a!)[1]!, leaf(shape));
    if (shape.at(-2)! <= shape.at(-1)!) check((a) => linalg.qr(a!, "complete"), leaf(shape));
  });
  test("reflections", () => {
    const { a, tau } = random([2, 4, 3], 1).geqrf();
    check((x, t) => linalg.householder_product(x!, t!), a.requires_grad_(), tau.requires_grad_());
    for (const left of [true, false]) {
      for (const transpose of [true, false]) {
        const other = leaf(left ? [2, 4, 2] : [2, 2, 4], 2);
        check((x, t, c) => x!.ormqr(t!, c!, { left, transpose }), a, tau, other);
      }
    }
  });
});

describe("spectra", () => {
  test.each([[[3, 3]], [[2, 4, 4]]])("eigh, %j", (shape) => {
    check((a) => linalg.eigh(symmetric(a!)), leaf(shape));
    check((a) => linalg.eigh(symmetric(a!), "U")[1]!, leaf(shape));
    check((a) => linalg.eigvalsh(symmetric(a!)), leaf(shape));
  });
  test.each([[[3, 3]], [[2, 4]], [[4, 2]], [[2, 3, 4]]])("svd, %j", (shape) => {
    // Signs of single vectors are free: of what hangs on them, products are looked at.
    check((a) => linalg.svd(a!, false), leaf(shape));
    check((a) => linalg.svd(a!, false)[0]!, leaf(shape));
    check((a) => linalg.svd(a!, false)[2]!, leaf(shape));
    check((a) => linalg.svdvals(a!), leaf(shape));
    const k = Math.min(shape.at(-1)!, shape.at(-2)!);
    check((a) => linalg.svd(a!).U.narrow(-1, 0, k), leaf(shape));
  });
  test("norms and condition numbers", () => {
    for (const ord of [2, -2, "nuc"] as const) check((a) => linalg.matrix_norm(a!, ord), leaf([2, 3, 4]));
    for (const p of [null, -2, 1, "fro", "nuc", Infinity] as const) check((a) => linalg.cond(a!, p), regular([3, 3]));
  });
});

describe("functions of matrices", () => {
  test("determinants", () => {
    check((a) => linalg.det(a!), regular([2, 3, 3]));
    check((a) => linalg.slogdet(a!).logabsdet, regular([2, 3, 3]));
    check((a) => positive(a!).logdet(), leaf([3, 3]));
  });
  test("determinants of singular matrices", () => {
    const once = torch.tensor([1, 2, 3, 4, 5, 6, 7, 8, 9], { dtype: float64 }).reshape([3, 3]).requires_grad_();
    check((a) => linalg.det(a!), once);
    check((a) => linalg.det(a!), torch.tensor([1, 2, 2, 4], { dtype: float64 }).reshape([2, 2]).requires_grad_());
    check((a) => linalg.det(a!), torch.ones([3, 3], { dtype: float64 }).requires_grad_());
    check((a) => linalg.det(a!), torch.zeros([2, 3, 3], { dtype: float64 }).requires_grad_());
    check((a) => linalg.det(a!), torch.stack([random([3, 3], 1), torch.eye(3, { dtype: float64 }).mul(0)]).requires_grad_());
  });
  test("matrix_exp", () => {
    check((a) => a!.matrix_exp(), leaf([2, 3, 3]));
  });
  test("tensorsolve", () => {
    const a = torch
      .eye(6, { dtype: float64 })
      .mul(3)
      .add(random([6, 6], 4))
      .reshape([2, 3, 6])
      .requires_grad_();
    check((x, b) => linalg.tensorsolve(x!, b!), a, leaf([2, 3], 2));
  });
});
