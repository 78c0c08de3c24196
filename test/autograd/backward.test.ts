import * as torch from "kindling";
import { autograd, type Tensor } from "kindling";
import { describe, expect, it } from "vitest";

const f64 = (values: number[] | number[][]): Tensor => torch.tensor(values, { dtype: torch.float64 });
const leaf = (values: number[] | number[][]): Tensor => f64(values).requires_grad_();
const gradOf = (t: Tensor): unknown => t.grad!.tolist_sync();

describe("backward", () => {
  it("accumulates into leaves and leaves other tensors without a gradient", () => {
    const x = leaf([1, 2]);
    const y = x.mul(3);
    y.sum().backward();
    y.mul(x).sum().backward();
    expect(gradOf(x)).toEqual([3 + 6, 3 + 12]);
    expect(y.grad).toBe(null);
  });
  it("keeps the gradient object that it accumulates into, and does not share it with the caller's", () => {
    const x = leaf([1, 2]);
    const seed = f64([1, 1]);
    x.mul(1).backward(seed);
    const first = x.grad!;
    x.mul(1).backward(seed);
    expect(x.grad).toBe(first);
    expect(seed.tolist_sync()).toEqual([1, 1]);
    const y = leaf([1]);
    const z = leaf([1]);
    y.add(z).backward();
    y.grad!.mul_(5);
    expect(gradOf(z)).toEqual([1]);
  });
  it("fails the second time unless the graph is retained", () => {
    const x = leaf([2]);
    const y = x.exp();
    y.backward({ retain_graph: true });
    y.backward();
    expect(gradOf(x)).toEqual([2 * Math.exp(2)]);
    expect(() => y.backward()).toThrow(torch.RuntimeError);
    expect(() => y.backward()).toThrow(/Trying to backward through the graph a second time.*retain_graph/);
    expect(gradOf(x)).toEqual([2 * Math.exp(2)]);
  });
  it("says what is wrong with its roots", () => {
    expect(() => f64([1]).backward()).toThrow(/does not require grad and does not have a grad_fn/);
    expect(() => leaf([1, 2]).mul(2).backward()).toThrow(/grad can be implicitly created only for scalar outputs/);
    expect(() =>
      leaf([1, 2])
        .mul(2)
        .backward(f64([1])),
    ).toThrow(/Mismatch in shape/);
    const x = leaf([1]);
    expect(() => autograd.grad(x.mul(2), leaf([1]))).toThrow(/appears to not have been used in the graph/);
    expect(autograd.grad(x.mul(2), [leaf([1])], { allow_unused: true })).toEqual([null]);
    expect(autograd.grad(x.mul(2), leaf([1, 2]), { materialize_grads: true })[0]!.tolist_sync()).toEqual([0, 0]);
  });
  it("differentiates twice and three times with create_graph", () => {
    const x = leaf([2]);
    const [g] = autograd.grad(x.pow(4), x, { create_graph: true });
    const [gg] = autograd.grad(g!, x, { create_graph: true });
    const [ggg] = autograd.grad(gg!, x);
    expect([g, gg, ggg].map((t) => t!.item_sync())).toEqual([32, 48, 48]);
    expect(x.grad).toBe(null);
    x.pow(3).backward({ create_graph: true });
    expect(x.grad!.requires_grad).toBe(true);
  });
  it("goes only to the inputs that are named", () => {
    const [x, y] = [leaf([1]), leaf([2])];
    const z = x.mul(y);
    z.backward({ inputs: [x], retain_graph: true });
    expect([gradOf(x), y.grad]).toEqual([[2], null]);
    autograd.backward([z, z.mul(1)], [f64([1]), f64([10])]);
    expect([gradOf(x), gradOf(y)]).toEqual([[24], [11]]);
  });
  it("walks 10,000 nodes deep and a wide graph of shared nodes", () => {
    const x = leaf([1]);
    let y: Tensor = x;
    for (let i = 0; i < 10_000; i++) y = y.add(1);
    y.backward();
    expect(gradOf(x)).toEqual([1]);
    const z = leaf([1]);
    let w: Tensor = z;
    for (let i = 0; i < 40; i++) w = w.add(w); // 2^40 paths
    w.backward();
    expect(gradOf(z)).toEqual([2 ** 40]);
    expect(autograd.grad(w.mul(1).add(z), z, { retain_graph: true })[0]!.item_sync()).toBe(2 ** 40 + 1);
  });
  it("follows control flow that changes from one iteration to the next", () => {
    const w = leaf([1.5]);
    const slopes: number[] = [];
    for (let i = 0; i < 5; i++) {
      w.grad = null;
      let y: Tensor = w;
      for (let k = 0; k < i; k++) y = y.mul(w); // another depth every time
      if (i % 2 === 1)
        y = y.neg(); // another op every other time
      else if (Number(y.item_sync()) > 3) y = y.mul(10); // and by the value itself
      y.backward();
      slopes.push(w.grad!.item_sync() as number);
    }
    const want = [1, -3, 30 * 0.225, -4 * 1.5 ** 3, 10 * 5 * 1.5 ** 4];
    want[2] = 10 * 3 * 1.5 ** 2; // 1.5³ > 3
    slopes.forEach((s, i) => expect(s).toBeCloseTo(want[i]!, 9));
  });
});

describe("gradients take the form of what they belong to", () => {
  it("broadcasting is summed over", () => {
    const [a, b, c] = [leaf([[1], [2]]), leaf([10, 20, 30]), torch.tensor(5, { dtype: torch.float64, requires_grad: true })];
    a.mul(b).add(c).sum().backward();
    expect(gradOf(a)).toEqual([[60], [60]]);
    expect(gradOf(b)).toEqual([3, 3, 3]);
    expect(gradOf(c)).toBe(6);
  });
  it("promotion is undone", () => {
    const a = torch.tensor([1, 2], { dtype: torch.float32, requires_grad: true });
    const h = torch.tensor([1, 2], { dtype: torch.float16, requires_grad: true });
    a.mul(f64([0.5, 0.25]))
      .add(h)
      .sum()
      .backward();
    expect(a.grad!.dtype).toBe(torch.float32);
    expect(h.grad!.dtype).toBe(torch.float16);
    expect(gradOf(a)).toEqual([0.5, 0.25]);
  });
  it("integers have none", () => {
    expect(() => torch.tensor([1, 2]).requires_grad_()).toThrow(/floating point/);
    expect(leaf([1.5]).to(torch.int64).requires_grad).toBe(false);
  });
});

describe("in-place operations", () => {
  it("are refused on leaves that require grad, and views of them", () => {
    const x = leaf([1, 2]);
    expect(() => x.add_(1)).toThrow(/a leaf Variable that requires grad is being used in an in-place operation/);
    expect(() => x.select(0, 0).zero_()).toThrow(/view of a leaf Variable that requires grad/);
    torch.no_grad(() => x.add_(1));
    expect(x.tolist_sync()).toEqual([2, 3]);
  });
  it("on what backward needs are noticed", () => {
    const x = leaf([1, 2]);
    const y = x.mul(1);
    const z = y.mul(y);
    y.add_(1);
    expect(() => z.sum().backward()).toThrow(/modified by an inplace operation: .*is at version 1; expected version 0/);
    const w = x.mul(1);
    const ok = w.add(1); // needs no values
    w.mul_(7);
    ok.sum().backward();
    expect(gradOf(x)).toEqual([1, 1]);
  });
  it("become part of the graph", () => {
    const x = leaf([1, 2]);
    const y = x.mul(2);
    y.mul_(3).add_(1);
    y.sum().backward();
    expect(gradOf(x)).toEqual([6, 6]);
  });
  it("on a view change the base's history, and the base's change the view's", () => {
    const x = leaf([1, 2, 3]);
    const y = x.mul(2);
    const first = y.narrow(0, 0, 2);
    first.mul_(10);
    expect(y.tolist_sync()).toEqual([20, 40, 6]);
    y.sum().backward({ retain_graph: true });
    expect(gradOf(x)).toEqual([20, 20, 2]);
    x.grad = null;
    y.mul_(3);
    first.sum().backward();
    expect(gradOf(x)).toEqual([60, 60, 0]);
  });
  it("write one tensor into a view of another", () => {
    const base = torch.zeros([2, 2], { dtype: torch.float64 });
    const x = leaf([1, 2]);
    base.select(0, 1).copy_(x.mul(5));
    expect(base.requires_grad).toBe(true);
    base.mul(f64([[1, 2], [3, 4]])).sum().backward(); // prettier-ignore
    expect(gradOf(x)).toEqual([15, 20]);
  });
});

describe("hooks and modes", () => {
  it("tensor hooks see gradients and may replace them; removed ones do not", () => {
    const x = leaf([1, 2]);
    const y = x.mul(3);
    const seen: unknown[] = [];
    const handle = y.register_hook((g) => void seen.push(g.tolist_sync()));
    x.register_hook((g) => g.mul(100));
    y.mul(2).sum().backward();
    expect(seen).toEqual([[2, 2]]);
    expect(gradOf(x)).toEqual([600, 600]);
    handle.remove();
    x.grad = null;
    y.sum().backward();
    expect(seen.length).toBe(1);
    expect(() => f64([1]).register_hook(() => null)).toThrow(/doesn't require gradient/);
  });
  it("retain_grad keeps the gradient of a result", () => {
    const x = leaf([1, 2]);
    const y = x.mul(3);
    y.retain_grad();
    y.pow(2).sum().backward();
    expect(gradOf(y)).toEqual([6, 12]);
  });
  it("no_grad, enable_grad and inference_mode, also with promises and errors", async () => {
    const x = leaf([1]);
    expect(torch.no_grad(() => x.mul(2)).requires_grad).toBe(false);
    expect(torch.no_grad(() => torch.enable_grad(() => x.mul(2))).requires_grad).toBe(true);
    expect(() => torch.no_grad(() => { throw new Error("out"); })).toThrow("out"); // prettier-ignore
    expect(torch.is_grad_enabled()).toBe(true);
    await torch.no_grad(async () => {
      await Promise.resolve();
      expect(torch.is_grad_enabled()).toBe(false);
    });
    expect(torch.is_grad_enabled()).toBe(true);
    const t = torch.inference_mode(() => x.mul(2));
    expect(() => t.requires_grad_()).toThrow(/inference tensor/);
    expect(() => t.add_(1)).toThrow(/Inplace update to inference tensor/);
  });
  it("detach cuts the graph and shares the memory", () => {
    const x = leaf([1, 2]);
    const y = x.mul(2);
    const cut = y.detach();
    expect([cut.requires_grad, cut.is_leaf]).toEqual([false, true]);
    y.mul(cut).sum().backward();
    expect(gradOf(x)).toEqual([4, 8]);
  });
});

it("gradients that somebody has seen outlive zero_grad and the walk", () => {
  const w = torch.ones([40, 40]).requires_grad_();
  const optimizer = new torch.optim.SGD([w], { lr: 0 });
  const seen: Tensor[] = [];
  for (let i = 0; i < 3; i++) {
    optimizer.zero_grad();
    const y = w.mm(w);
    if (i === 1) y.register_hook((g) => void seen.push(g));
    y.relu().mul(2).sum().backward();
    optimizer.step();
    if (i === 0) seen.push(w.grad!);
  }
  optimizer.zero_grad();
  expect(w.grad).toBeNull();
  expect(seen.map((g) => g.sum().item_sync())).toEqual([2 * 2 * 40 ** 3, 2 * 40 ** 2]);
});

it("gradients that nobody has seen are free at zero_grad", () => {
  const w = torch.ones([400, 400]).requires_grad_();
  w.mm(w).sum().backward();
  const storage = w._grad!._storage;
  new torch.optim.SGD([w]).zero_grad();
  expect(storage.buffer).toBeNull();
});

describe("register_post_accumulate_grad_hook", () => {
  it("is called with the leaf after each gradient that is added, until it is removed", () => {
    const x = leaf([1, 2]);
    const seen: unknown[] = [];
    x.register_hook((g) => g.mul(10));
    const handle = x.register_post_accumulate_grad_hook((p) => void seen.push(p === x, gradOf(p)));
    x.mul(x).sum().backward();
    x.sum().backward();
    autograd.grad(x.sum(), [x]);
    expect(seen).toEqual([true, [20, 40], true, [30, 50]]);
    handle.remove();
    x.sum().backward();
    expect(seen).toHaveLength(4);
  });
  it("can step and let go of the gradient within backward", () => {
    const model = new torch.nn.Linear(3, 2);
    const plain = new torch.nn.Linear(3, 2);
    plain.load_state_dict(model.state_dict());
    for (const p of model.parameters()) {
      const optimizer = new torch.optim.SGD([p], { lr: 0.1 });
      p.register_post_accumulate_grad_hook(() => {
        optimizer.step();
        optimizer.zero_grad();
      });
    }
    const usual = new torch.optim.SGD(plain.parameters(), { lr: 0.1 });
    const x = torch.ones([4, 3]);
    model.forward(x).square().sum().backward();
    plain.forward(x).square().sum().backward();
    usual.step();
    const [own, want] = [[...model.parameters()], [...plain.parameters()]];
    own.forEach((p, i) => expect(p.tolist_sync()).toEqual(want[i]!.tolist_sync()));
    expect(own.map((p) => p.grad)).toEqual([null, null]);
  });
  it("is for leaves that require grad", () => {
    expect(() => f64([1]).register_post_accumulate_grad_hook(() => {})).toThrow(/doesn't require gradient/);
    expect(() =>
      leaf([1])
        .mul(2)
        .register_post_accumulate_grad_hook(() => {}),
    ).toThrow(/non-leaf tensors/);
  });
});
