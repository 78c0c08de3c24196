import * as torch from "kindling";
import { autograd, type Tensor } from "kindling";
import { describe, expect, it } from "vitest";

const { functional, gradcheck, gradgradcheck } = autograd;
const { jacobian, hessian, vjp, jvp, hvp, vhp } = functional;
const f64 = (values: number[] | number[][]): Tensor => torch.tensor(values, { dtype: torch.float64 });

describe("functional", () => {
  const x = f64([1, 2]);
  const f = (t: Tensor): Tensor => torch.stack([t.prod(), t.pow(2).sum(), t.select(0, 0).mul(3)]);

  it("jacobian, also of several inputs and outputs", () => {
    const J = jacobian(f, x) as Tensor;
    expect(J.tolist_sync()).toEqual([
      [2, 1],
      [2, 4],
      [3, 0],
    ]);
    expect(J.requires_grad).toBe(false);
    const both = jacobian((a, b) => [a!.mul(b!), b!.sum()], [f64([1, 2]), f64([3, 4])]) as Tensor[][];
    expect(both[0]![0]!.tolist_sync()).toEqual([
      [3, 0],
      [0, 4],
    ]);
    expect(both[1]![0]!.tolist_sync()).toEqual([0, 0]);
    expect(both[1]![1]!.tolist_sync()).toEqual([1, 1]);
    expect(() => jacobian((a, b) => [a!.mul(b!), b!.sum()], [x, x], { strict: true })).toThrow(/independent of input 0/);
  });
  it("vjp and jvp", () => {
    const [out, back] = vjp(f, x, f64([1, 10, 100]));
    expect((out as Tensor).tolist_sync()).toEqual([2, 5, 3]);
    expect((back as Tensor).tolist_sync()).toEqual([322, 41]);
    const [, forward] = jvp(f, x, f64([1, -1]));
    expect((forward as Tensor).tolist_sync()).toEqual([1, -2, 3]);
    expect(() => vjp(f, x, f64([1]))).toThrow(/invalid size/);
    expect(() => vjp(f, x)).toThrow(torch.RuntimeError);
  });
  it("hessian and products with it", () => {
    const g = (t: Tensor): Tensor => t.pow(3).sum().add(t.prod());
    expect((hessian(g, x) as Tensor).tolist_sync()).toEqual([
      [6, 1],
      [1, 12],
    ]);
    for (const product of [hvp, vhp]) {
      expect((product(g, x, f64([1, 2]))[1] as Tensor).tolist_sync()).toEqual([8, 25]);
    }
    const H = hessian((a, b) => a!.mul(b!).sum(), [x, x]) as Tensor[][];
    expect(H[0]![0]!.tolist_sync()).toEqual([
      [0, 0],
      [0, 0],
    ]);
    expect(H[0]![1]!.tolist_sync()).toEqual([
      [1, 0],
      [0, 1],
    ]);
    expect(() => hessian(f, x)).toThrow(/single element/);
  });
  it("makes a graph where asked", () => {
    const y = f64([1, 2]).requires_grad_();
    const J = jacobian((t) => t.pow(3), y, { create_graph: true }) as Tensor;
    J.sum().backward();
    expect(y.grad!.tolist_sync()).toEqual([6, 12]);
  });
});

describe("gradcheck", () => {
  const x = (): Tensor => f64([0.4, -1.3]).requires_grad_();
  it("accepts right gradients and names wrong ones", () => {
    expect(gradcheck((a, b) => a!.mul(b!.sin()).exp(), [x(), x()])).toBe(true);
    class Off extends autograd.Function {
      static forward(ctx: autograd.FunctionCtx, t: Tensor): Tensor {
        ctx.save_for_backward(t);
        return t.pow(2);
      }
      static backward(ctx: autograd.FunctionCtx, grad: Tensor): Tensor {
        return grad.mul(ctx.saved_tensors[0]!);
      }
    }
    expect(() => gradcheck((t) => Off.apply(t), x())).toThrow(autograd.GradcheckError);
    expect(gradcheck((t) => Off.apply(t), x(), { raise_exception: false })).toBe(false);
    expect(gradgradcheck((t) => Off.apply(t), x(), null, { raise_exception: false })).toBe(true); // its gradient's gradient is right
    expect(() => gradcheck((t) => t.exp(), f64([1]))).toThrow(torch.ValueError);
  });
});

describe("anomaly mode", () => {
  it("points at the forward call whose gradient became NaN", () => {
    const run = (): void => {
      const x = f64([0]).requires_grad_();
      x.sqrt().mul(0).sum().backward();
    };
    expect(run).not.toThrow();
    expect(() => autograd.detect_anomaly(run)).toThrow(/Function '[Ss]qrtBackward' returned nan values in its 0th output/);
    expect(autograd.is_anomaly_enabled()).toBe(false);
    autograd.set_detect_anomaly(true);
    try {
      expect(run).toThrow(/functional\.test\.ts/);
    } finally {
      autograd.set_detect_anomaly(false);
    }
  });
});
