import * as torch from "kindling";
import { autograd, type Tensor } from "kindling";
import { describe, expect, it } from "vitest";

const { checkpoint, checkpoint_sequential } = torch.utils.checkpoint;
const leaf = (values: number[]): Tensor => torch.tensor(values, { dtype: torch.float64, requires_grad: true });

describe("checkpoint", () => {
  it("runs the function again and gives the same gradients", () => {
    const x = leaf([0.3, -0.7]);
    const w = leaf([2, 3]);
    let runs = 0;
    const f = (t: Tensor): Tensor => {
      runs++;
      return t.mul(w).tanh().exp().mul(t);
    };
    const plain = autograd.grad(f(x).sum(), [x, w]).map((g) => g!.tolist_sync());
    runs = 0;
    const y = checkpoint(f, x);
    expect(runs).toBe(1);
    y.sum().backward();
    expect(runs).toBe(2);
    expect([x.grad!.tolist_sync(), w.grad!.tolist_sync()]).toEqual(plain);
  });
  it("can be differentiated twice", () => {
    const x = leaf([0.3, -0.7]);
    expect(autograd.gradcheck((t) => checkpoint((u: Tensor) => u.tanh().mul(u).exp(), t), x)).toBe(true);
    expect(autograd.gradgradcheck((t) => checkpoint((u: Tensor) => u.tanh().mul(u).exp(), t), x)).toBe(true);
  });
  it("draws the same random numbers again, and leaves the stream where it was", () => {
    torch.manual_seed(3);
    const x = torch.ones([64], { requires_grad: true });
    let mask: Tensor | null = null;
    const y = checkpoint((t: Tensor) => {
      mask = torch.rand([64]);
      return t.mul(mask).exp();
    }, x);
    const first = mask!.tolist_sync();
    const after = torch.get_rng_state().tolist_sync();
    y.sum().backward();
    expect(mask!.tolist_sync()).toEqual(first);
    expect(torch.get_rng_state().tolist_sync()).toEqual(after);
  });
  it("notices changed arguments and a function that does something else the second time", () => {
    const x = leaf([1]).mul(2);
    const y = checkpoint((t: Tensor) => t.exp().sin(), x);
    x.detach().mul_(2);
    expect(() => y.backward()).toThrow(/argument 0 has been modified/);
    let n = 0;
    const z = checkpoint((t: Tensor) => (n++ === 0 ? t.exp().sin() : t.exp()), leaf([1]));
    expect(() => z.backward()).toThrow(/a different number of tensors was saved/);
  });
  it("takes a sequence apart", () => {
    const x = leaf([0.1, 0.2]);
    const layers = [Math.PI, 2, 0.5, 1.5].map((k) => (t: Tensor) => t.mul(k).sin());
    const whole = autograd.grad(layers.reduce((t, f) => f(t), x as Tensor).sum(), x)[0]!;
    checkpoint_sequential(layers, 2, x).sum().backward();
    expect(x.grad!.tolist_sync()).toEqual(whole.tolist_sync());
  });
});

describe("saved_tensors_hooks", () => {
  it("packs what is saved and unpacks it in backward, double backward included", () => {
    const x = leaf([0.5, 2]);
    const packed: string[] = [];
    const f = (t: Tensor): Tensor =>
      autograd.graph.saved_tensors_hooks(
        (s) => {
          packed.push(s.shape.join());
          return s.tolist_sync() as number[];
        },
        (values) => torch.tensor(values, { dtype: torch.float64 }),
        () => t.mul(t).exp(),
      );
    const [g] = autograd.grad(f(x).sum(), x, { create_graph: true });
    expect(packed.length).toBeGreaterThan(0);
    const want = [0.5, 2].map((v) => 2 * v * Math.exp(v * v));
    (g!.tolist_sync() as number[]).forEach((v, i) => expect(v).toBeCloseTo(want[i]!, 8));
    expect(autograd.gradgradcheck(f, x)).toBe(true);
  });
});
