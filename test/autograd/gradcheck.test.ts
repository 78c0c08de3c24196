/** autograd.gradcheck and gradgradcheck: that each option finds what it is there for. */

import * as torch from "kindling";
import { afterEach, describe, expect, it, vi } from "vitest";

const { gradcheck, gradgradcheck, GradcheckError } = torch.autograd;
type Tensor = torch.Tensor;

const leaf = (values: unknown, dtype = torch.float64): Tensor => torch.tensor(values as number[], { dtype }).requires_grad_();
const x = (): Tensor => leaf([0.3, -0.7, 1.1]);

/** The identity with a backward of one's own. */
function withBackward(backward: (g: Tensor) => Tensor): (t: Tensor) => Tensor {
  class Own extends torch.autograd.Function {
    static forward(_ctx: unknown, t: Tensor): Tensor {
      return t.clone();
    }
    static backward(_ctx: unknown, g: Tensor): Tensor[] {
      return [backward(g)];
    }
  }
  return (t) => Own.apply(t) as Tensor;
}

afterEach(() => vi.restoreAllMocks());

it("names the element that is off", () => {
  const off = withBackward((g) => g.mul(torch.tensor([1, 1, 1.5], { dtype: torch.float64 })));
  expect(() => gradcheck(off, x())).toThrow(
    /output 0 with respect to input 0, at output element 2 and input element 2: numerical (1|0\.99)\S*, analytical 1\.5/,
  );
  expect(() => gradcheck(off, x(), { fast_mode: true })).toThrow(/at output element 2 and input element 2/);
  expect(gradcheck(off, x(), { raise_exception: false })).toBe(false);
});

it("tolerances and the step are the caller's", () => {
  const off = withBackward((g) => g.mul(1.01));
  expect(gradcheck(off, x(), { raise_exception: false })).toBe(false);
  expect(gradcheck(off, x(), { atol: 0.02 })).toBe(true);
  expect(gradcheck(off, x(), { rtol: 0.02 })).toBe(true);
  // A cubic has a third difference, which a wide step meets.
  expect(gradcheck((t) => t.pow(3), x())).toBe(true);
  expect(gradcheck((t) => t.pow(3), x(), { eps: 0.3, raise_exception: false })).toBe(false);
});

it("backward must give the same twice", () => {
  let runs = 0;
  const unsteady = withBackward((g) => g.mul(1 + 1e-7 * runs++));
  expect(() => gradcheck(unsteady, x())).toThrow(/not reentrant.*tolerance for nondeterminism was 0/);
  expect(gradcheck(unsteady, x(), { nondet_tol: 1e-3 })).toBe(true);
});

it("gradients of zeros must be zeros", () => {
  // Right at the differences' tolerance, but not linear.
  const affine = withBackward((g) => g.add(1e-7));
  expect(() => gradcheck(affine, x())).toThrow(/Expected gradients of zeros to give zeros/);
  expect(gradcheck(affine, x(), { check_undefined_grad: false })).toBe(true);
});

it("from the right and from the left", () => {
  const off = withBackward((g) => g.mul(2));
  expect(() => gradcheck(off, x(), { check_forward_ad: true, check_backward_ad: false })).toThrow(/from the right/);
  expect(gradcheck(off, x(), { check_backward_ad: false })).toBe(true);
  expect(gradcheck((t) => t.sin(), x(), { check_forward_ad: true })).toBe(true);
});

describe("inputs", () => {
  it("complex numbers, several tensors, several outputs, some of integers", () => {
    const z = leaf([new torch.Complex(0.5, -1), new torch.Complex(2, 0.25)] as unknown, torch.complex128);
    const both = (a: Tensor, b: Tensor): Tensor[] => [a.mul(b.sum()), a.abs(), b.argmax()];
    expect(gradcheck(both as never, [z, x()])).toBe(true);
    expect(gradcheck(both as never, [z, x()], { fast_mode: true })).toBe(true);
    expect(gradgradcheck(both as never, [z, x()])).toBe(true);
  });

  it("of single precision are warned of, of shared memory refused", () => {
    const warn = vi.spyOn(console, "warn").mockImplementation(() => {});
    expect(gradcheck((t) => t.mul(2), leaf([1, 2], torch.float32), { atol: 1, rtol: 1 })).toBe(true);
    expect(warn.mock.calls.flat().join()).toContain("Input #0 requires gradient and is of torch.float32");
    const wide = torch.ones(1, { dtype: torch.float64 }).expand(3).detach().requires_grad_();
    expect(() => gradcheck((t) => t.mul(2), wide)).toThrow(/share memory/);
  });

  it("may be empty, and in any order of memory", () => {
    expect(gradcheck((t) => t.mul(2), torch.zeros([0, 3], { dtype: torch.float64 }).requires_grad_())).toBe(true);
    const turned = leaf([[1, 2, 3], [4, 5, 6]]).detach().t().requires_grad_(); // prettier-ignore
    expect(gradcheck((t) => (t.is_contiguous() ? t.detach() : t.square()), turned)).toBe(true);
  });

  it("what hides a gradient is found", () => {
    expect(() => gradcheck((t) => t.detach().mul(2), x())).toThrow(/expected to be zero, as no output requires grad/);
    expect(() => gradcheck((t) => t.detach().mul(2), x(), { fast_mode: true })).toThrow(GradcheckError);
    expect(gradcheck((t) => t.detach().sign(), x())).toBe(true);
  });
});

describe("gradgradcheck", () => {
  /** Its gradient is right, that gradient's own is not. */
  const once = (t: Tensor): Tensor => {
    class Square extends torch.autograd.Function {
      static forward(ctx: torch.autograd.FunctionCtx, t: Tensor): Tensor {
        ctx.save_for_backward(t);
        return t.mul(t);
      }
      static backward(ctx: torch.autograd.FunctionCtx, g: Tensor): Tensor[] {
        const [t] = ctx.saved_tensors as [Tensor];
        return [g.mul(t.detach()).mul(2)];
      }
    }
    return Square.apply(t) as Tensor;
  };

  it("finds second derivatives that are lost", () => {
    expect(gradcheck(once, x())).toBe(true);
    expect(gradgradcheck(once, x(), null, { raise_exception: false })).toBe(false);
    expect(gradgradcheck((t) => t.mul(t), x())).toBe(true);
  });

  it("at the gradients that it is given, also with gaps between them, and from the right", () => {
    const f = (t: Tensor): Tensor => t.exp().mul(t);
    expect(gradgradcheck(f, x(), [leaf([1, 2, 3])])).toBe(true);
    expect(gradgradcheck(f, x(), null, { gen_non_contig_grad_outputs: true })).toBe(true);
    expect(gradgradcheck(f, x(), null, { check_fwd_over_rev: true })).toBe(true);
    expect(gradgradcheck(once, x(), null, { check_fwd_over_rev: true, check_rev_over_rev: false, raise_exception: false })).toBe(false); // prettier-ignore
  });
});
