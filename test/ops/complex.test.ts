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
});
