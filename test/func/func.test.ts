/** torch.func beyond the corpus: structures, nesting, modules, what must fail. */

import { describe, expect, it } from "vitest";
import * as torch from "kindling";
import type { Tensor } from "kindling";

const { func } = torch;
const f64 = (x: unknown): Tensor => torch.tensor(x as number[], { dtype: torch.float64 });

describe("grad", () => {
  it("has the form of its arguments, and leaves nothing behind", () => {
    const p = { w: f64([1, 2]), list: [f64(3)] };
    const g = func.grad<typeof p>((q: typeof p) => q.w.pow(2).sum().mul(q.list[0]!))(p);
    expect(g.w.tolist_sync()).toEqual([6, 12]);
    expect(g.list[0]!.item_sync()).toBe(5);
    expect([g.w.requires_grad, p.w.requires_grad, p.w.grad]).toEqual([false, false, null]);
  });

  it("nests in plain autograd, and sees what a function closes over", () => {
    const x = f64(2).requires_grad_();
    const k = f64(3).requires_grad_();
    const g = func.grad((y: Tensor) => y.pow(3).mul(k))(x);
    expect(g.item_sync()).toBe(36);
    g.backward();
    expect([x.grad!.item_sync(), k.grad!.item_sync()]).toEqual([36, 12]);
    // An inner function of the outer's variable.
    const mixed = func.grad((a: Tensor) => func.grad((b: Tensor) => a.pow(2).mul(b.pow(3)))(f64(2)))(f64(5));
    expect(mixed.item_sync()).toBe(120);
    expect(torch.no_grad(() => func.grad((y: Tensor) => y.mul(y))(x)).requires_grad).toBe(false);
  });

  it("takes aux along, and values", () => {
    const f = (x: Tensor): [Tensor, { seen: Tensor }] => [x.mul(x).sum(), { seen: x.mul(2) }];
    const [g, aux] = func.grad<[Tensor, { seen: Tensor }]>(f, { has_aux: true })(f64([1, 2]));
    expect([g.tolist_sync(), aux.seen.tolist_sync(), aux.seen.requires_grad]).toEqual([[2, 4], [2, 4], false]);
    const [gradient, value] = func.grad_and_value((x: Tensor) => x.exp())(f64(0));
    expect([gradient.item_sync(), value.item_sync()]).toEqual([1, 1]);
    expect(
      func
        .grad((x: Tensor, y: Tensor) => x.mul(y), -1)(f64(2), f64(7))
        .item_sync(),
    ).toBe(2);
    expect(
      func
        .grad((_x: Tensor) => f64(1))(f64([1, 2]))
        .tolist_sync(),
    ).toEqual([0, 0]);
  });

  it("refuses what has no gradient", () => {
    const x = f64([1, 2]);
    expect(() => func.grad((y: Tensor) => y.mul(2))(x)).toThrow(/scalar tensor, got tensor with 1 dims/);
    expect(() => func.grad((y: Tensor) => y.sum(), 1)(x)).toThrow(/Got argnum=1, but only 1 positional inputs/);
    expect(() => func.grad((y: Tensor) => [y.sum()])(x)).toThrow(torch.RuntimeError);
    expect(() => func.grad((y: Tensor) => y.sum(), { has_aux: true })(x)).toThrow(/has_aux/);
  });
});

describe("jacobians", () => {
  const f = (x: Tensor): Tensor => x.sin().mul(x.sum());
  it("are the same by rows, by columns and by directions", () => {
    const x = f64([0.3, -1, 2]);
    const [rows, columns] = [func.jacrev(f)(x), func.jacfwd(f)(x)];
    expect(rows.sub(columns).abs().max().item_sync()).toBeLessThan(1e-14);
    const v = f64([1, 0.5, -2]);
    const [, moved] = func.jvp(f, [x], [v]) as [Tensor, Tensor];
    expect(moved.sub(rows.matmul(v)).abs().max().item_sync()).toBeLessThan(1e-14);
    const [, pullback] = func.vjp(f, x);
    expect((pullback(v)[0] as Tensor).sub(v.matmul(rows)).abs().max().item_sync()).toBeLessThan(1e-14);
    const [, linear] = func.linearize(f, x);
    for (const t of [v, v.mul(2)]) expect((linear(t) as Tensor).sub(rows.matmul(t)).abs().max().item_sync()).toBeLessThan(1e-13);
    expect(() => func.jvp(f, [x], [f64([1])])).toThrow(/has shape/);
  });

  it("of third order", () => {
    const third = func.jacfwd(func.hessian((x: Tensor) => x.pow(3).sum()))(f64([2, 5]));
    expect(third.tolist_sync()).toEqual([
      [
        [6, 0],
        [0, 0],
      ],
      [
        [0, 0],
        [0, 6],
      ],
    ]);
  });

  it("have the form of the outputs, then of the inputs", () => {
    const J = func.jacrev<{ a: [Tensor, Tensor] }>((x: Tensor, y: Tensor) => ({ a: x.mul(y) }), [0, 1])(f64([1, 2]), f64(3));
    expect(J.a[0].tolist_sync()).toEqual([
      [3, 0],
      [0, 3],
    ]);
    expect(J.a[1].shape).toEqual([2]);
    expect(func.jacrev((x: Tensor) => x.mul(2))(torch.zeros([0])).shape).toEqual([0, 0]);
  });
});

describe("vmap", () => {
  it("maps any dimension, nested arguments, and none", () => {
    const x = torch.arange(6, { dtype: torch.float64 }).view([2, 3]);
    const sums = torch.vmap((t: Tensor) => t.sum(), 1)(x);
    expect(sums.tolist_sync()).toEqual([3, 5, 7]);
    const dot = torch.vmap(({ a, b }: { a: Tensor; b: Tensor }) => a.dot(b), { in_dims: [{ a: 0, b: null }] });
    expect(dot({ a: x, b: f64([1, 1, 1]) }).tolist_sync()).toEqual([3, 12]);
    expect(torch.vmap((t: Tensor) => t.outer(t), { out_dims: -1 })(x).shape).toEqual([3, 3, 2]);
    const pair = torch.vmap<[Tensor, Tensor]>((t: Tensor) => [t, t.sum()], { out_dims: [1, 0] })(x);
    expect(pair.map((t) => t.shape)).toEqual([[3, 2], [2]]);
    expect(torch.vmap((t: Tensor) => t.mul(2))(torch.zeros([0, 4])).shape).toEqual([0, 4]);
  });

  it("of gradients gives each example its own", () => {
    const w = f64([1, -2]);
    const loss = (v: Tensor, x: Tensor): Tensor => v.dot(x).pow(2);
    const g = torch.vmap(func.grad(loss), [null, 0])(
      w,
      f64([
        [1, 0],
        [0, 1],
        [1, 1],
      ]),
    );
    expect(g.tolist_sync()).toEqual([
      [2, 0],
      [0, -4],
      [-2, -2],
    ]);
    const x = f64([1, 2, 3]).requires_grad_();
    torch
      .vmap((t: Tensor) => t.pow(2))(x)
      .sum()
      .backward();
    expect(x.grad!.tolist_sync()).toEqual([2, 4, 6]);
  });

  it("says how chance is to be taken", () => {
    const draw = (t: Tensor): Tensor => t.add(torch.rand([1]));
    const x = torch.zeros([4, 1]);
    expect(() => torch.vmap(draw)(x)).toThrow(/randomness/);
    torch.manual_seed(0);
    expect(new Set(torch.vmap(draw, { randomness: "same" })(x).view([-1]).tolist_sync() as number[]).size).toBe(1);
    expect(new Set(torch.vmap(draw, { randomness: "different" })(x).view([-1]).tolist_sync() as number[]).size).toBe(4);
  });

  it("refuses dimensions that are not there", () => {
    const f = (a: Tensor, b: Tensor): Tensor => a.add(b);
    expect(() => torch.vmap(f)(torch.zeros([2]), torch.zeros([3]))).toThrow(
      /same size in the mapped dimension, got sizes \[2, 3\]/,
    );
    expect(() => torch.vmap(f, [null, null])(torch.zeros([2]), torch.zeros([3]))).toThrow(torch.ValueError);
    expect(() => torch.vmap(f, [1, 0])(torch.zeros([2]), torch.zeros([3]))).toThrow(/dimensionality 1/);
    expect(() => torch.vmap(f)(torch.zeros([2]), 3)).toThrow(/non-Tensor/);
    expect(() => torch.vmap(() => 1)(torch.zeros([2]))).toThrow(/only return Tensors/);
  });
});

describe("functional_call", () => {
  it("uses other parameters and puts the module's back", () => {
    const net = new torch.nn.Sequential(new torch.nn.Linear(3, 2), new torch.nn.BatchNorm1d(2));
    const [x, weight] = [torch.randn([5, 3]), torch.zeros([2, 3])];
    const before = Object.fromEntries(net.named_parameters());
    net.eval();
    const out = func.functional_call(net, { "0.weight": weight, "0.bias": torch.ones([2]) }, x) as Tensor;
    const norm = net.get_submodule("1") as torch.nn.BatchNorm1d;
    expect(
      out
        .sub(norm(torch.ones([5, 2])))
        .abs()
        .max()
        .item_sync(),
    ).toBe(0);
    for (const [name, p] of net.named_parameters()) expect(p).toBe(before[name]);
    expect(() => func.functional_call(net, { nope: weight }, x)).toThrow(/Unexpected key/);
    expect(() => func.functional_call(net, { "0.weight": weight }, x, null, { strict: true })).toThrow(/Missing key/);
    expect(() => func.functional_call(net, { "0.weight": torch.zeros([7, 9]) }, x)).toThrow(torch.RuntimeError);
    expect(net.named_parameters()[0]![1]).toBe(before["0.weight"]);
  });

  it("gives per-sample gradients and ensembles", () => {
    const net = new torch.nn.Linear(3, 1);
    const params = Object.fromEntries(net.named_parameters());
    const loss = (p: Record<string, Tensor>, x: Tensor): Tensor => (func.functional_call(net, p, x) as Tensor).sum();
    const x = torch.randn([4, 3]);
    const each = torch.vmap<Record<string, Tensor>>(func.grad(loss), [null, 0])(params, x);
    expect(each.weight!.view([4, 3]).sub(x).abs().max().item_sync()).toBe(0);
    const models = [0, 1, 2].map(() => new torch.nn.Linear(3, 1));
    const [stacked] = func.stack_module_state(models);
    const out = torch.vmap((p: Record<string, Tensor>) => func.functional_call(models[0]!, p, x) as Tensor)(stacked);
    models.forEach((m, i) => expect(out.select(0, i).sub(m(x)).abs().max().item_sync()).toBe(0));
  });
});
