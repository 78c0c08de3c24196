import * as torch from "kindling";
import { autograd, type Tensor } from "kindling";
import { describe, expect, it } from "vitest";

type Ctx = autograd.FunctionCtx;
const leaf = (values: number[]): Tensor => torch.tensor(values, { dtype: torch.float64, requires_grad: true });

class Exp extends autograd.Function {
  static forward(ctx: Ctx, x: Tensor): Tensor {
    const y = x.exp();
    ctx.save_for_backward(y);
    return y;
  }
  static backward(ctx: Ctx, grad: Tensor): Tensor {
    return grad.mul(ctx.saved_tensors[0]!);
  }
}

class Split extends autograd.Function {
  static forward(ctx: Ctx, x: Tensor, scale: number): Tensor[] {
    ctx.scale = scale;
    const order = x.argsort();
    const parts = [x.mul(scale), x.neg(), order];
    ctx.mark_non_differentiable(order);
    return parts;
  }
  static backward(ctx: Ctx, a: Tensor, b: Tensor): (Tensor | null)[] {
    expect(ctx.needs_input_grad).toEqual([true, false]);
    return [a.mul(ctx.scale).sub(b), null];
  }
}

class Double_ extends autograd.Function {
  static forward(ctx: Ctx, x: Tensor): Tensor {
    ctx.mark_dirty(x);
    return x.mul_(2);
  }
  static backward(_ctx: Ctx, grad: Tensor): Tensor {
    return grad.mul(2);
  }
}

class Wrong extends autograd.Function {
  static forward(_ctx: Ctx, x: Tensor, _n: number): Tensor {
    return x.clone();
  }
  static backward(_ctx: Ctx, grad: Tensor): Tensor[] {
    return [grad];
  }
}

class Same extends autograd.Function {
  static forward(_ctx: Ctx, x: Tensor): Tensor {
    return x;
  }
  static backward(_ctx: Ctx, grad: Tensor): Tensor {
    return grad.mul(10);
  }
}

describe("autograd.Function", () => {
  it("uses the user's gradient, twice over", () => {
    const x = leaf([0.5, -1]);
    expect(autograd.gradcheck((t) => Exp.apply(t), x)).toBe(true);
    expect(autograd.gradgradcheck((t) => Exp.apply(t), x)).toBe(true);
  });
  it("has several outputs, some without gradients; missing ones are zeros", () => {
    const x = leaf([3, 1, 2]);
    const [a, , order] = Split.apply(x, 4);
    expect(order!.requires_grad).toBe(false);
    expect(order!.tolist_sync()).toEqual([1, 2, 0]);
    a!.sum().backward();
    expect(x.grad!.tolist_sync()).toEqual([4, 4, 4]);
  });
  it("changes its argument in place when it says so", () => {
    const x = leaf([1, 2]);
    const y = x.mul(3);
    const z = Double_.apply(y);
    expect(z).toBe(y);
    z.sum().backward();
    expect(y.tolist_sync()).toEqual([6, 12]);
    expect(x.grad!.tolist_sync()).toEqual([6, 6]);
    expect(() => Double_.apply(leaf([1]))).toThrow(/leaf Variable/);
  });
  it("gives an argument that comes back a history of its own", () => {
    const x = leaf([1]);
    const y = Same.apply(x);
    expect(y).not.toBe(x);
    y.backward();
    expect(x.grad!.tolist_sync()).toEqual([10]);
  });
  it("refuses a wrong number of gradients", () => {
    const y = Wrong.apply(leaf([1]), 2);
    expect(() => y.backward()).toThrow(torch.RuntimeError);
    expect(() => Wrong.apply(leaf([1]), 2).backward()).toThrow(/incorrect number of gradients \(expected 2, got 1\)/);
  });
  it("records nothing under no_grad", () => {
    expect(torch.no_grad(() => Exp.apply(leaf([1]))).requires_grad).toBe(false);
  });
  it("notices that a saved tensor was modified, and a second backward", () => {
    const y = Exp.apply(leaf([1]).mul(1));
    y.detach().add_(1);
    expect(() => y.backward()).toThrow(/modified by an inplace operation/);
    const z = Exp.apply(leaf([1]));
    z.backward();
    expect(() => z.backward()).toThrow(/backward through the graph a second time/);
  });
});
