/** Complex tensors: pairs in memory, arithmetic, gradients in PyTorch's convention, text. */

import * as torch from "kindling";
import { describe, expect, it } from "vitest";

const { Complex } = torch;
const z = (...pairs: [number, number][]): torch.Tensor => torch.tensor(pairs.map(([re, im]) => new Complex(re, im)));
const listed = (t: torch.Tensor): unknown => t.tolist_sync();

describe("complex tensors", () => {
  it("are pairs of reals in memory", () => {
    const x = torch.arange(6, { dtype: torch.float32 }).view(3, 2);
    const c = torch.view_as_complex(x);
    expect(c.dtype).toBe(torch.complex64);
    expect(listed(c)).toEqual([new Complex(0, 1), new Complex(2, 3), new Complex(4, 5)]);
    x.mul_(2);
    expect(listed(c.imag)).toEqual([2, 6, 10]);
    c.mul_(new Complex(0, 1));
    expect(listed(x)).toEqual([[-2, 0], [-6, 4], [-10, 8]]); // prettier-ignore
    expect(listed(torch.view_as_real(c.flip(0)))).toEqual([[-10, 8], [-6, 4], [-2, 0]]); // prettier-ignore
    expect([...c.data_sync()]).toEqual([-2, 0, -6, 4, -10, 8]);
  });

  it("promote as PyTorch's do", () => {
    const c = z([1, 1]);
    expect(c.add(torch.ones(1, { dtype: torch.float64 })).dtype).toBe(torch.complex128);
    expect(c.mul(torch.ones(1, { dtype: torch.int64 })).dtype).toBe(torch.complex64);
    expect(torch.ones(2).mul(new Complex(0, 1)).dtype).toBe(torch.complex64);
    expect(c.abs().dtype).toBe(torch.float32);
    expect(torch.zeros(2, { dtype: torch.complex128 }).element_size()).toBe(16);
    expect(c.to(torch.float64).dtype).toBe(torch.float64);
  });

  it("are made as real ones are", () => {
    const i = new Complex(0, 1);
    expect(listed(torch.full([2], 3, { dtype: torch.complex64 }))).toEqual([new Complex(3, 0), new Complex(3, 0)]);
    expect(torch.ones(2, { dtype: torch.complex128, requires_grad: true }).requires_grad).toBe(true);
    expect(torch.zeros_like(z([1, 1])).dtype).toBe(torch.complex64);
    expect(torch.zeros_like(z([1, 1]), { dtype: torch.float64 }).dtype).toBe(torch.float64);
    const draws = torch.randn_like(z([1, 1], [2, 2]), { requires_grad: true });
    expect([draws.dtype, draws.requires_grad]).toEqual([torch.complex64, true]);
    expect(listed(torch.ones(2).eq(new Complex(1, 0)))).toEqual([true, true]);
    expect(listed(torch.zeros(2).eq(i))).toEqual([false, false]);
    expect(listed(z([0, 1], [1, 0]).eq(i))).toEqual([true, false]);
  });

  it("print as PyTorch's do", () => {
    expect(String(z([1, 2], [3.5, -4]))).toBe("tensor([1.0000+2.j, 3.5000-4.j])");
    expect(String(z([1, 2]).to(torch.complex128))).toBe("tensor([1.+2.j], dtype=torch.complex128)");
  });

  it("have no order, and say so", () => {
    expect(() => z([1, 1]).lt(z([2, 0]))).toThrow(/no order/);
    expect(() => z([1, 1]).max()).toThrow(/no order/);
    expect(() => torch.view_as_complex(torch.ones(3))).toThrow(/last dimension of size 2/);
    expect(() => torch.imag(torch.ones(3))).toThrow(/non-complex/);
    expect(() => z([1, 1]).erf()).toThrow(torch.NotImplementedError);
  });

  it("have the gradient of their (re, im) form", () => {
    const c = z([3, 4]).requires_grad_();
    c.abs().pow(2).sum().backward();
    expect(listed(c.grad!)).toEqual([new Complex(6, 8)]);
    const real = torch.tensor([2]).to(torch.float32).requires_grad_();
    real
      .mul(z([0, 1]))
      .imag.sum()
      .backward();
    expect(listed(real.grad!)).toEqual([1]);
  });

  const functions =
    "exp log sqrt sin cos tan sinh cosh tanh asin acos atan asinh acosh atanh reciprocal sigmoid square expm1 log1p".split(" ");
  it.each(functions)("%s: first and second derivatives by finite differences", (name) => {
    torch.manual_seed(1);
    const x = torch.rand(4, 2, { dtype: torch.float64 }).mul(0.8).add(0.1).requires_grad_();
    const f = (pairs: torch.Tensor): torch.Tensor => {
      const value = torch.view_as_complex(pairs) as unknown as Record<string, () => torch.Tensor>;
      return torch.view_as_real(value[name]!());
    };
    expect(torch.autograd.gradcheck(f, [x])).toBe(true);
    expect(torch.autograd.gradgradcheck(f, [x])).toBe(true);
  });

  it("products, sums, norms", () => {
    const [a, b] = [torch.randn(3, 4, { dtype: torch.complex128 }), torch.randn(4, 2, { dtype: torch.complex128 })];
    const want = a.unsqueeze(-1).mul(b).sum(1);
    for (const got of [a.matmul(b), torch.mm(a, b), torch.einsum("ik,kj->ij", a, b)]) {
      expect(Number(got.sub(want).abs().max().item_sync())).toBeLessThan(1e-12);
    }
    expect(torch.linalg.vector_norm(z([3, 4])).item_sync()).toBe(5);
    expect(listed(a.mH)).toEqual(listed(a.conj().transpose(0, 1)));
  });

  // What PyTorch gives for these.
  const c128 = (...pairs: [number, number][]): torch.Tensor =>
    torch.view_as_complex(torch.tensor(pairs, { dtype: torch.float64 })).detach();
  const expectClose = (got: torch.Tensor, want: [number, number][]): void => {
    expect(Number(got.detach().reshape([-1]).sub(c128(...want)).abs().max().item_sync())).toBeLessThan(1e-12); // prettier-ignore
  };
  const rows = (): torch.Tensor => c128([1, 2], [3, -1], [-2, 0.5], [0.5, -1], [2, 2], [1, 0]).view(2, 3);
  /** f's gradient at z. */
  const slope = (z: torch.Tensor, f: (z: torch.Tensor) => torch.Tensor): torch.Tensor => {
    const leaf = z.detach().requires_grad_();
    return torch.autograd.grad(f(leaf), [leaf])[0]!;
  };
  const size = (z: torch.Tensor): torch.Tensor => z.square().mul(new Complex(1, 2)).sum().abs();

  it("covariances are of conjugates", () => {
    const a = -7 / 6;
    expectClose(torch.cov(rows()), [[103 / 12, 0], [a, -79 / 24], [a, 79 / 24], [35 / 12, 0]]); // prettier-ignore
    const weights = { fweights: torch.tensor([1, 2, 3]), aweights: torch.tensor([0.5, 1, 2], { dtype: torch.float64 }) };
    const [re, im] = [0.1551724137931034, 2.44396551724138];
    expectClose(torch.cov(rows(), weights), [[6.443965517241379, 0], [re, -im], [re, im], [1.293103448275862, 0]]); // prettier-ignore
    const [r, i] = [-0.2331714648897564, 0.6578766330818129];
    expectClose(torch.corrcoef(rows()), [[1, 0], [r, -i], [r, i], [1, 0]]); // prettier-ignore
    expectClose(torch.corrcoef(rows().select(0, 0)), [[1, 0]]);
    const other = c128([1, 2], [3, -1], [0.5, -1], [2, 0], [0, 1], [4, -1]).view(2, 3);
    expectClose(
      slope(other, (z) => torch.view_as_real(torch.cov(z)).square().sum()),
      [[-4.75, 19], [26.75, -9.5], [-22, -9.5], [-2.5, -11.25], [-25, 18.75], [27.5, -7.5]], // prettier-ignore
    );
  });

  it("differences take what is to stand before and after", () => {
    const got = torch.diff(rows(), 1, -1, rows().narrow(1, 0, 1), torch.ones(2, 1));
    expectClose(got, [[0, 0], [2, -3], [-5, 1.5], [3, -0.5], [0, 0], [1.5, 3], [-1, -2], [0, 0]]); // prettier-ignore
  });

  it("windows count complex numbers, within their memory", () => {
    const x = c128([1, 1], [2, -1], [3, 0], [-1, 2], [0.5, 0.5]);
    expect(() => x.as_strided([6], [1])).toThrow(/out of bounds for storage of 5 elements/);
    expect(() => torch.as_strided_scatter(x, x.narrow(0, 0, 3), [3], [3])).toThrow(/out of bounds/);
    const put = c128([9, 9], [8, -8]);
    const want: [number, number][] = [[2, -1], [9, 9], [-1, 2], [8, -8]]; // prettier-ignore
    expectClose(torch.as_strided_scatter(x.slice(0, 1).clone(), put, [2], [2], 1), want);
    expectClose(torch.as_strided_scatter(x.slice(0, 1), put, [2], [2], 2), want);
    expectClose(
      slope(c128([1, 2], [3, -1], [0.5, -1]), (z) => size(z.as_strided([2, 2], [1, 1], 0))),
      [[-1.691679585937265, -9.855872370243192], [26.91977080230603, -8.679051788721619], [4.449852823878456, 2.28008987669805]], // prettier-ignore
    );
    const grown = c128([1, 2], [3, 4]).resize_(3);
    expectClose(grown.narrow(0, 0, 2), [[1, 2], [3, 4]]); // prettier-ignore
    expect(grown.imag.fill_(7).tolist_sync()).toEqual([7, 7, 7]);
  });

  it("writes in place have their gradients, of single numbers, too", () => {
    const filled = (z: torch.Tensor): torch.Tensor => z.clone().fill_diagonal_(3);
    expectClose(
      slope(c128([1, 1]).view(1, 1), (z) => torch.view_as_real(filled(z)).sum()),
      [[0, 0]],
    );
    expectClose(
      slope(c128([1, 2], [3, -1], [0.5, -1], [2, 2]).view(2, 2), (z) => size(filled(z))),
      [[0, 0], [14.123520380811604, 0.7253771796791453], [3.3495358002831144, 3.712224390122687], [0, 0]], // prettier-ignore
    );
    const zero = torch.tensor([0]);
    expectClose(
      slope(c128([1, 1]), (z) => torch.view_as_real(z.clone().index_put_([zero], c128([2, 2]), true)).sum()),
      [[1, 1]],
    );
  });

  it("R of a QR decomposition has its gradient where columns' phases do not count", () => {
    const weights = torch.tensor([[1, 2], [3, 4]], { dtype: torch.float64 }); // prettier-ignore
    expectClose(
      slope(c128([1, 2], [3, -1], [0.5, -1], [2, 2], [1, 0], [0, 1]).view(3, 2), (z) =>
        torch.linalg.qr(z)[1]!.abs().mul(weights).sum(),
      ),
      [
        [0.5765695780838116, 1.5031502238241854],
        [3.547606701937557, -1.2992059231980404],
        [-0.5867428800994975, 0.4734636248858715],
        [1.5483786434263955, 1.723384177254676],
        [-0.12345255722931064, 0],
        [0, 0.5991837878849172],
      ],
    );
  });

  it("may have no dimensions", () => {
    const one = torch.tensor(new Complex(2, 1));
    expect(listed(one.prod(-1))).toEqual(new Complex(2, 1));
    expect(() => one.prod(1)).toThrow(torch.IndexError);
    expect(listed(torch.lerp(one, torch.tensor(new Complex(4, 3)), 0.5))).toEqual(new Complex(3, 2));
  });

  it.each(["hermite_polynomial_h", "hermite_polynomial_he", "laguerre_polynomial_l", "legendre_polynomial_p"] as const)(
    "%s takes none",
    (name) => {
      const polynomial = torch.special[name];
      expect(() => polynomial(z([1, 1]), 2)).toThrow(torch.NotImplementedError);
      expect(() => polynomial(torch.ones(1), z([1, 1]))).toThrow(torch.NotImplementedError);
    },
  );
  it.each<[string, () => unknown]>([
    ["cosine_embedding_loss", () => torch.nn.functional.cosine_embedding_loss(rows(), rows(), torch.ones(2))],
    ["cross_entropy", () => torch.nn.functional.cross_entropy(rows(), rows())],
    ["random_", () => rows().random_()],
    ["geometric_", () => rows().geometric_(0.5)],
    ["bernoulli_", () => rows().bernoulli_()],
  ])("%s takes none", (_, call) => {
    expect(call).toThrow(torch.NotImplementedError);
  });
  it("masked.norm with ord -inf takes none", () => {
    expect(() => torch.masked.norm(rows(), -Infinity)).toThrow(/masked.norm: with ord -inf expected a floating-point input/);
    expect(listed(torch.masked.norm(z([3, 4]), 2))).toBe(5);
  });
});
