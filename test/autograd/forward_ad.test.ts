/** torch.autograd.forward_ad: tangents beside derivatives known otherwise; levels and errors are PyTorch's (1.13). */

import { describe, expect, it } from "vitest";
import * as torch from "kindling";
import { nn } from "kindling";
import type { Tensor } from "kindling";

const fw = torch.autograd.forward_ad;
const { func } = torch;
const f64 = (x: unknown): Tensor => torch.tensor(x as number[], { dtype: torch.float64 });
const draw = (...shape: number[]): Tensor => torch.randn(shape, { dtype: torch.float64 });
const far = (a: Tensor | null, b: Tensor): number => a!.sub(b).abs().max().item_sync() as number;
/** The derivative along v by differences. */
function difference(f: (x: Tensor) => Tensor, x: Tensor, v: Tensor): Tensor {
  const step = (h: number): Tensor => f(x.add(v.mul(h)));
  return step(1e-6).sub(step(-1e-6)).div(2e-6);
}

class Cube extends torch.autograd.Function {
  static forward(ctx: torch.autograd.FunctionCtx, x: Tensor): Tensor {
    ctx.save_for_backward(x);
    return x.pow(3);
  }
  static backward(ctx: torch.autograd.FunctionCtx, g: Tensor): Tensor {
    return ctx.saved_tensors[0]!.pow(2).mul(3).mul(g);
  }
}

describe("tangents", () => {
  it.each<[string, (x: Tensor) => Tensor]>([
    ["elementwise, reductions, products", (x) => x.sin().matmul(x.t()).logsumexp(1).mul(x.sum())],
    ["views and writes in place", (x) => {
      const y = x.mul(2);
      y.select(0, 1).mul_(x.select(0, 0)).add_(1);
      y.t().narrow(0, 0, 2).copy_(x.t().narrow(0, 1, 2).exp());
      return y;
    }],
    ["writes into what had no tangent", (x) => {
      const y = torch.zeros([2, 3], { dtype: torch.float64 });
      y.select(0, 1).copy_(x.select(0, 0).pow(2));
      return y.add(1);
    }],
    ["decompositions", (x) => torch.linalg.svdvals(x).add(torch.linalg.det(x.narrow(1, 0, 2)))],
    ["indexing and sorting", (x) => torch.sort(x, 1).values.index_select(0, torch.tensor([1, 1, 0]))],
    ["gradients computed within", (x) => func.grad((t: Tensor) => t.pow(3).sum())(x)],
    ["gradients by autograd.grad", (x) => {
      const y = x.pow(3).sum();
      return torch.autograd.grad(y, x)[0]!;
    }],
    ["a Function of one's own", (x) => Cube.apply(x) as Tensor],
    ["a batch", (x) => torch.vmap((t: Tensor) => t.softmax(0).mul(t))(x)],
  ])("of %s", (_, f) => {
    torch.manual_seed(1);
    const [x, v] = [draw(2, 3), draw(2, 3)];
    const want = difference((t) => f(t.detach().requires_grad_()).detach(), x, v);
    fw.dual_level(() => {
      const { primal, tangent } = fw.unpack_dual(f(fw.make_dual(x, v)));
      expect(far(primal, f(x.clone().requires_grad_()).detach())).toBe(0);
      expect(far(tangent, want)).toBeLessThan(1e-7);
      expect([primal.requires_grad, tangent!.requires_grad]).toEqual([false, false]);
    });
  }); // prettier-ignore

  it("of several duals at once, one by one null or zero", () => {
    const [a, b] = [draw(3), draw(3)];
    fw.dual_level(() => {
      const [x, y] = [fw.make_dual(a, f64([1, 2, 3])), fw.make_dual(b, f64([-1, 0, 1]))];
      const product = fw.unpack_dual(x.mul(y)).tangent;
      expect(
        far(
          product,
          f64([1, 2, 3])
            .mul(b)
            .add(f64([-1, 0, 1]).mul(a)),
        ),
      ).toBeLessThan(1e-15);
      expect(fw.unpack_dual(x.sign()).tangent!.tolist_sync()).toEqual([0, 0, 0]);
      expect(fw.unpack_dual(x.gt(0)).tangent).toBe(null);
      expect(fw.unpack_dual(x.detach()).tangent).toBe(null);
      expect(fw.unpack_dual(a).tangent).toBe(null);
      expect(fw.unpack_dual(b.clone().requires_grad_().mul(2)).tangent).toBe(null);
    });
  });

  it("of a module's parameters, and of complex numbers", () => {
    torch.manual_seed(0);
    const model = new nn.Sequential(new nn.Linear(3, 4), new nn.Tanh(), new nn.Linear(4, 2)).double();
    const params = Object.fromEntries([...model.named_parameters()].map(([name, p]) => [name, p.detach()]));
    const tangents = Object.fromEntries(Object.entries(params).map(([name, p]) => [name, torch.randn_like(p)]));
    const x = draw(5, 3);
    const run = (p: unknown): Tensor => func.functional_call(model, p as typeof params, [x]) as Tensor;
    const [, want] = func.jvp(run, [params], [tangents]) as [Tensor, Tensor];
    const got = torch.no_grad(() =>
      fw.dual_level(() => {
        const duals = Object.fromEntries(Object.entries(params).map(([name, p]) => [name, fw.make_dual(p, tangents[name]!)]));
        return fw.unpack_dual(run(duals)).tangent;
      }),
    );
    expect(far(got, want)).toBeLessThan(1e-14);
    const z = torch.view_as_complex(draw(3, 2));
    const dz = torch.view_as_complex(draw(3, 2));
    fw.dual_level(() => {
      const { tangent } = fw.unpack_dual(fw.make_dual(z, dz).pow(2));
      expect(far(tangent, z.mul(dz).mul(2))).toBeLessThan(1e-14);
      const { tangent: length } = fw.unpack_dual(fw.make_dual(z, dz).abs());
      expect(far(length, z.conj().mul(dz).real.div(z.abs()))).toBeLessThan(1e-14);
    });
    const [, moved] = func.jvp((t: Tensor) => t.pow(2), [z], [dz]) as [Tensor, Tensor];
    expect(far(moved, z.mul(dz).mul(2))).toBeLessThan(1e-14);
  });

  it("can be differentiated backwards, by primals and by tangents", () => {
    const x = f64([1, 2]).requires_grad_();
    const v = f64([3, -1]).requires_grad_();
    const tangent = fw.dual_level(() => fw.unpack_dual(fw.make_dual(x, v).pow(3).sum()).tangent!);
    expect(tangent.item_sync()).toBe(3 * 3 - 3 * 4);
    tangent.backward();
    expect([x.grad!.tolist_sync(), v.grad!.tolist_sync()]).toEqual([[18, -12], [3, 12]]); // prettier-ignore
  });
});

describe("levels", () => {
  const [p, v] = [f64([1, 2, 3]), f64([4, 5, 6])];
  it("end, by themselves and by hand; what was dual is an ordinary tensor then", () => {
    expect(fw.unpack_dual(p).tangent).toBe(null);
    expect(() => fw.make_dual(p, v)).toThrow(/no level exists, make sure to enter_dual_level\(\) first/);
    const level = fw.enter_dual_level();
    expect(() => fw.enter_dual_level()).toThrow("Nested forward mode AD is not supported at the moment");
    const dual = fw.make_dual(p, v);
    const [primal, tangent] = fw.unpack_dual(dual);
    expect([tangent === v, primal.tolist_sync(), primal._storage === p._storage]).toEqual([true, [1, 2, 3], true]);
    expect(() => fw.exit_dual_level({ level: 5 })).toThrow(/not the last one that was created/);
    fw.exit_dual_level({ level });
    expect(fw.unpack_dual(dual.mul(2)).tangent).toBe(null);
    expect(() => fw.exit_dual_level()).toThrow(torch.RuntimeError);
    expect(() => fw.dual_level(() => { throw new torch.ValueError("x"); })).toThrow(torch.ValueError); // prettier-ignore
    expect(fw.dual_level(() => 7)).toBe(7);
  });
  it("may be async", async () => {
    const tangent = await fw.dual_level(async () => {
      const y = fw.make_dual(p, v).mul(p);
      await Promise.resolve();
      return fw.unpack_dual(y).tangent;
    });
    expect(tangent!.tolist_sync()).toEqual([4, 10, 18]);
    expect(() => fw.exit_dual_level()).toThrow(torch.RuntimeError);
  });
  it("refuse what cannot be dual", () => {
    fw.dual_level(() => {
      expect(() => fw.make_dual(p, f64([1, 2]))).toThrow(/has a different size than that of the original Tensor.*\[3\].*\[2\]/);
      expect(() => fw.make_dual(torch.arange(3), v)).toThrow(
        /Expected primal to be floating point or complex, but got: torch.int64/,
      );
      expect(() => fw.make_dual(p, torch.arange(3))).toThrow(torch.ValueError);
      expect(() => fw.make_dual([1] as unknown as Tensor, v)).toThrow(TypeError);
      const dual = fw.make_dual(p, v);
      expect(() => fw.make_dual(dual, v)).toThrow(/already has a forward gradient at the same level 0/);
      expect(() => fw.make_dual(dual.mul(2), v)).toThrow(torch.RuntimeError);
      expect(() => torch.no_grad(() => fw.make_dual(p, v))).toThrow(/recording is off/);
    });
  });
});
