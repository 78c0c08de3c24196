import * as torch from "kindling";
import { optim, type Tensor } from "kindling";
import { describe, expect, it, vi } from "vitest";

const param = (values: number[]): Tensor => torch.tensor(values, { requires_grad: true });
const close = (got: Tensor, want: number[], digits = 5): void =>
  (got.tolist_sync() as number[]).forEach((v, i) => expect(v).toBeCloseTo(want[i]!, digits));

describe("steps", () => {
  const makers: [string, (p: Tensor[], fused: boolean | null) => optim.Optimizer][] = [
    ["SGD", (p, fused) => new optim.SGD(p, { lr: 0.1, momentum: 0.9, weight_decay: 0.01, nesterov: true, fused })],
    ["SGD, dampened", (p, fused) => new optim.SGD(p, 0.1, 0.8, 0.3, { maximize: true, fused })],
    ["Adam", (p, fused) => new optim.Adam(p, { lr: 0.05, amsgrad: true, weight_decay: 0.1, fused })],
    ["AdamW", (p, fused) => new optim.AdamW(p, { lr: 0.05, betas: [0.5, 0.99], fused })],
  ];
  it.each(makers)("%s: the kernel and the ops agree, for every dtype", (_name, make) => {
    for (const [dtype, digits] of [
      [torch.float32, 5],
      [torch.float64, 12],
      [torch.bfloat16, 1],
    ] as const) {
      // prettier-ignore
      const [fused, plain] = [null, false].map((way) => {
        const params = [torch.linspace(-1, 1, 21, { dtype }), torch.ones([2, 3], { dtype })].map((p) => p.requires_grad_());
        const optimizer = make(params, way);
        for (let i = 0; i < 4; i++) {
          optimizer.zero_grad();
          for (const p of params) p.sub(0.3).pow(2).sum().backward();
          optimizer.step();
        }
        return params.flatMap((p) => p.detach().flatten().tolist_sync() as number[]);
      });
      fused!.forEach((v, i) => expect(v).toBeCloseTo(plain![i]!, digits));
    }
  });
  it("leaves parameters without a gradient alone, and empty and strided ones work", () => {
    const [a, b, none] = [param([1]), param([1]), torch.empty([0], { requires_grad: true })];
    const wide = torch.ones([2, 3]).t().detach().requires_grad_();
    const optimizer = new optim.SGD([a, b, none, wide], { lr: 1 });
    a.mul(2).backward();
    none.sum().backward();
    wide.sum().backward();
    optimizer.step();
    expect([a.item_sync(), b.item_sync()]).toEqual([-1, 1]);
    expect(wide.tolist_sync()).toEqual([[0, 0], [0, 0], [0, 0]]); // prettier-ignore
  });
  it("does not disturb what was computed from the old values, and raises the version", () => {
    const p = param([1, 2]);
    const before = torch.no_grad(() => p.mul(10)); // still pending
    const loss = p.exp().sum();
    p.grad = torch.ones([2]);
    const saved = p.mul(p);
    new optim.SGD([p], { lr: 1 }).step();
    expect(before.tolist_sync()).toEqual([10, 20]);
    expect(p.tolist_sync()).toEqual([0, 1]);
    expect(() => saved.sum().backward()).toThrow(/modified by an inplace operation/);
    expect(loss.item_sync()).toBeCloseTo(Math.E + Math.E ** 2, 4);
  });
  it("calls a closure with recording on, and hooks", () => {
    const p = param([3]);
    const optimizer = new optim.SGD([p], { lr: 0.5 });
    const calls: string[] = [];
    optimizer.register_step_pre_hook(() => void calls.push("pre"));
    const post = optimizer.register_step_post_hook(() => void calls.push("post"));
    const loss = torch.no_grad(() =>
      optimizer.step(() => {
        optimizer.zero_grad();
        const value = p.mul(p).sum();
        value.backward();
        return value;
      }),
    );
    expect([loss.item_sync(), p.item_sync(), calls]).toEqual([9, 0, ["pre", "post"]]);
    post.remove();
    optimizer.step();
    expect(calls).toEqual(["pre", "post", "pre"]);
    expect(() => optimizer.step(() => Promise.resolve(1))).toThrow(/promise/);
  });
  it("zero_grad to null or to zeros", () => {
    const p = param([1]);
    const optimizer = new optim.SGD([p]);
    p.mul(2).backward();
    optimizer.zero_grad({ set_to_none: false });
    expect(p.grad!.tolist_sync()).toEqual([0]);
    optimizer.zero_grad();
    expect(p.grad).toBe(null);
  });
});

describe("options", () => {
  it("a differentiable step belongs to the graph", () => {
    const makers: ((p: Tensor) => optim.Optimizer)[] = [
      (p) => new optim.SGD([p], { lr: 0.1, differentiable: true }),
      (p) => new optim.SGD([p], { lr: 0.1, momentum: 0.9, nesterov: true, differentiable: true }),
      (p) => new optim.Adam([p], { lr: 0.1, amsgrad: true, weight_decay: 0.1, differentiable: true }),
      (p) => new optim.AdamW([p], { lr: 0.1, differentiable: true }),
      (p) => new optim.RMSprop([p], { lr: 0.1, momentum: 0.5, centered: true, differentiable: true }),
      (p) => new optim.Adagrad([p], { lr: 0.1, differentiable: true }),
      (p) => new optim.Adadelta([p], { differentiable: true }),
      (p) => new optim.Adamax([p], { lr: 0.1, differentiable: true }),
      (p) => new optim.NAdam([p], { lr: 0.1, differentiable: true }),
      (p) => new optim.RAdam([p], { lr: 0.1, differentiable: true }),
    ];
    for (const make of makers) {
      const after = (start: Tensor): Tensor => {
        const p = start.clone();
        p.grad = start.pow(3);
        make(p).step();
        return p.sum();
      };
      const start = torch.tensor([0.7, -1.3], { dtype: torch.float64, requires_grad: true });
      expect(torch.autograd.gradcheck(after, [start])).toBe(true);
    }
  });
  it("a learning rate may be a tensor, which schedules fill", () => {
    const p = param([1]);
    const lr = torch.tensor(0.5);
    const optimizer = new optim.Adam([p], { lr });
    const scheduler = new optim.lr_scheduler.ExponentialLR(optimizer, 0.5);
    p.grad = torch.ones([1]);
    optimizer.step();
    close(p, [0.5]);
    scheduler.step();
    expect(lr.item_sync()).toBe(0.25);
    expect(scheduler.get_last_lr()).toEqual([0.25]);
    optimizer.step();
    close(p, [0.25]);
    const other = new optim.Adam([param([1])]);
    other.load_state_dict(optimizer.state_dict());
    expect((other.param_groups[0]!.lr as unknown as Tensor).item_sync()).toBe(0.25);
  });
  it("Adam with decoupled decay is AdamW", () => {
    const results = [
      (p: Tensor) => new optim.Adam([p], { lr: 0.1, weight_decay: 0.3, decoupled_weight_decay: true }),
      (p: Tensor) => new optim.AdamW([p], { lr: 0.1, weight_decay: 0.3 }),
      (p: Tensor) => new optim.Adam([p], { lr: 0.1, weight_decay: 0.3 }),
    ].map((make) => {
      const p = param([1, -2]);
      const optimizer = make(p);
      for (let i = 0; i < 3; i++) {
        p.grad = p.detach().mul(0.5);
        optimizer.step();
      }
      return p.tolist_sync();
    });
    expect(results[0]).toEqual(results[1]);
    expect(results[0]).not.toEqual(results[2]);
    expect("decoupled_weight_decay" in new optim.Adam([param([1])]).param_groups[0]!).toBe(false);
  });
  it("hooks see state dicts, and may give others", () => {
    const optimizer = new optim.SGD([param([1])], { lr: 1 });
    const calls: string[] = [];
    optimizer.register_state_dict_pre_hook(() => void calls.push("save"));
    optimizer.register_state_dict_post_hook((_, saved) => ({ ...saved, state: { 7: {} } }));
    optimizer.register_load_state_dict_pre_hook((_, given) => {
      const [group] = given.param_groups;
      return { ...given, param_groups: [{ ...group, lr: 3 }] };
    });
    const last = optimizer.register_load_state_dict_post_hook(() => void calls.push("loaded"));
    optimizer.register_load_state_dict_post_hook(() => void calls.push("first"), { prepend: true });
    const saved = optimizer.state_dict();
    expect(saved.state).toEqual({ 7: {} });
    optimizer.load_state_dict(saved);
    expect(optimizer.param_groups[0]!.lr).toBe(3);
    last.remove();
    optimizer.load_state_dict(saved);
    expect(calls).toEqual(["save", "first", "loaded", "first"]);
    const all = optim.register_optimizer_step_post_hook((which, args) => void calls.push(which.constructor.name, String(args)));
    optimizer.step();
    all.remove();
    optimizer.step();
    expect(calls.slice(4)).toEqual(["SGD", ""]);
  });
  it("prints its groups", () => {
    const text = new optim.SGD([param([1])], { lr: 0.1 }).toString();
    expect(text).toMatch(/^SGD \(\nParameter Group 0\n {4}dampening: 0\n/);
    expect(text).toContain("    foreach: None\n    fused: None\n    lr: 0.1\n");
  });
});

describe("Muon", () => {
  it("steps along orthogonal matrices", () => {
    for (const shape of [
      [4, 6],
      [6, 4],
    ]) {
      torch.manual_seed(1);
      const start = torch.randn(shape);
      const p = start.clone().requires_grad_();
      const grad = torch.randn(shape);
      p.grad = grad.clone();
      new optim.Muon([p], { lr: 0.5, weight_decay: 0.2 }).step();
      const ratio = Math.sqrt(Math.max(1, shape[0]! / shape[1]!));
      const step = start
        .mul(1 - 0.5 * 0.2)
        .sub(p.detach())
        .div(0.5 * ratio);
      const { U, S, Vh } = torch.linalg.svd(grad, { full_matrices: false });
      // The gradient's singular vectors; singular values between 0.68 and 1.2, roughly, which is what the polynomial is for.
      const values = torch.diagonal(U.mT.matmul(step).matmul(Vh.mT)).tolist_sync() as number[];
      values.forEach((v) => expect(Math.abs(v - 0.95)).toBeLessThan(0.35));
      expect(
        U.mT
          .matmul(step)
          .matmul(Vh.mT)
          .sub(torch.diag(torch.tensor(values)))
          .abs()
          .max()
          .item_sync(),
      ).toBeLessThan(0.03);
      expect(S.shape).toEqual([4]);
    }
  });
  it("matrices of one shape go together, with the numbers that each has alone", () => {
    torch.manual_seed(3);
    const shapes = [
      [6, 4],
      [6, 4],
      [4, 9],
      [6, 4],
      [4, 9],
      [700, 800],
      [700, 800],
    ];
    const starts = shapes.map((shape) => torch.randn(shape));
    const steps = Array.from({ length: 3 }, () => shapes.map((shape) => torch.randn(shape)));
    const run = (chosen: readonly number[]): unknown[] => {
      const params = chosen.map((i) => starts[i]!.clone().requires_grad_());
      const optimizer = new optim.Muon(params, { lr: 0.1 });
      for (const grads of steps) {
        params.forEach((p, j) => (p.grad = grads[chosen[j]!]!.clone()));
        optimizer.step();
      }
      return params.map((p) => [
        p.tolist_sync(),
        (optimizer.state.get(p) as { momentum_buffer: Tensor }).momentum_buffer.tolist_sync(),
      ]);
    };
    const all = shapes.map((_, i) => i);
    expect(run(all)).toEqual(all.flatMap((i) => run([i])));
  });
  it("takes matrices only, and PyTorch's rates", () => {
    expect(() => new optim.Muon([param([1])])).toThrow(/only supports 2D parameters/);
    const p = torch.ones([2, 3], { requires_grad: true });
    expect(() => new optim.Muon([p], { adjust_lr_fn: "other" as never })).toThrow(/not supported/);
    const changes = ([null, "match_rms_adamw"] as const).map((adjust_lr_fn) => {
      const q = torch.ones([2, 3], { requires_grad: true });
      q.grad = torch.eye(3).narrow(0, 0, 2).clone();
      new optim.Muon([q], { lr: 0.1, weight_decay: 0, adjust_lr_fn }).step();
      return 1 - Number(q.select(0, 0).select(0, 0).item_sync());
    });
    expect(changes[1]! / changes[0]!).toBeCloseTo(0.2 * Math.sqrt(3), 2);
  });
});

describe("groups and state", () => {
  it("groups have options of their own", () => {
    const [a, b, c] = [param([1]), param([1]), param([1])];
    const optimizer = new optim.SGD([{ params: [a] }, { params: b, lr: 0.5 }], { lr: 0.1 });
    optimizer.add_param_group({ params: [["c.weight", c]], lr: 0.25 });
    for (const p of [a, b, c]) p.grad = torch.ones([1]);
    optimizer.step();
    close(torch.cat([a, b, c]), [0.9, 0.5, 0.75]);
    expect(optimizer.param_groups[2]!.param_names).toEqual(["c.weight"]);
    expect(() => optimizer.add_param_group({ params: [a] })).toThrow(/more than one parameter group/);
  });
  it("bad arguments are typed errors", () => {
    const p = param([1]);
    expect(() => new optim.SGD([])).toThrow(/empty parameter list/);
    expect(() => new optim.SGD(p as never)).toThrow(TypeError);
    expect(() => new optim.SGD([1] as never)).toThrow(TypeError);
    expect(() => new optim.SGD([p.mul(2)])).toThrow(/non-leaf/);
    expect(() => new optim.SGD([p], { lr: -1 })).toThrow(/Invalid learning rate: -1/);
    expect(() => new optim.SGD([p], { nesterov: true })).toThrow(/Nesterov momentum requires/);
    expect(() => new optim.Adam([p], { betas: [1, 0.9] })).toThrow(/Invalid beta parameter at index 0: 1/);
    expect(() => new optim.Adam([p], { momentum: 1 } as never)).toThrow(TypeError);
    expect(() => new optim.Adam([p], { fused: true, differentiable: true })).toThrow(torch.RuntimeError);
    expect(() => new optim.SGD([p], { fused: true, foreach: true })).toThrow(/cannot be `True` together/);
    expect(() => new optim.SGD([p], { lr: torch.ones([2]) })).toThrow(/1-element/);
  });
  it("a checkpoint goes on exactly where it was", () => {
    const run = (optimizer: optim.Optimizer, p: Tensor, steps: number): void => {
      for (let i = 0; i < steps; i++) {
        optimizer.zero_grad();
        p.sub(0.3).pow(2).sum().backward();
        optimizer.step();
      }
    };
    const make = (p: Tensor): optim.Adam => new optim.Adam([p], { lr: 0.05, amsgrad: true });
    const whole = param([1, -1]);
    run(make(whole), whole, 6);
    const p = param([1, -1]);
    const first = make(p);
    run(first, p, 3);
    const saved = first.state_dict();
    expect(saved.param_groups[0]!.params).toEqual([0]);
    expect(Object.keys(saved.state[0]!)).toEqual(["step", "exp_avg", "exp_avg_sq", "max_exp_avg_sq"]);
    expect((saved.state[0]!.step as Tensor).item_sync()).toBe(3);
    const second = new optim.Adam([p], { lr: 1 });
    second.load_state_dict(saved);
    expect(second.param_groups[0]!.lr).toBe(0.05);
    run(second, p, 3);
    expect(p.tolist_sync()).toEqual(whole.tolist_sync());
    expect(() => new optim.Adam([p, param([1])]).load_state_dict(saved)).toThrow(/doesn't match the size/);
    expect(() => new optim.Adam([{ params: [p] }, { params: [param([1])] }]).load_state_dict(saved)).toThrow(
      /different number of parameter groups/,
    );
  });
});

describe("schedules", () => {
  it("save and go on, and warn when stepped before the optimiser", () => {
    const make = () => {
      const optimizer = new optim.SGD([param([1])], { lr: 1 });
      return { optimizer, scheduler: new optim.lr_scheduler.StepLR(optimizer, 2, { gamma: 0.5 }) };
    };
    const { optimizer, scheduler } = make();
    const rates: number[] = [];
    for (let i = 0; i < 5; i++) {
      rates.push(scheduler.get_last_lr()[0]!);
      optimizer.step();
      scheduler.step();
    }
    expect(rates).toEqual([1, 1, 0.5, 0.5, 0.25]);
    const other = make();
    const state = scheduler.state_dict();
    expect(state).toMatchObject({ step_size: 2, gamma: 0.5, base_lrs: [1], last_epoch: 5, _step_count: 6, _last_lr: [0.25] });
    other.scheduler.load_state_dict(state);
    other.optimizer.load_state_dict(optimizer.state_dict());
    other.optimizer.step();
    other.scheduler.step();
    expect(other.scheduler.get_last_lr()).toEqual([0.125]);
    const warn = vi.spyOn(console, "warn").mockImplementation(() => undefined);
    make().scheduler.step();
    expect(warn.mock.calls[0]![0]).toMatch(/before `optimizer.step\(\)`/);
    warn.mockRestore();
  });
  it("bad arguments are typed errors", () => {
    const optimizer = new optim.SGD([param([1])], { lr: 1 });
    const { OneCycleLR, LinearLR, LambdaLR, ReduceLROnPlateau } = optim.lr_scheduler;
    expect(() => new OneCycleLR(optimizer, 1)).toThrow(/total_steps OR/);
    expect(() => new LinearLR(optimizer, { start_factor: 0 })).toThrow(torch.ValueError);
    expect(() => new LambdaLR(optimizer, [(e) => e, (e) => e])).toThrow(/same length/);
    expect(() => new ReduceLROnPlateau(optimizer, { factor: 1 })).toThrow(/Factor should be < 1.0/);
  });
});
