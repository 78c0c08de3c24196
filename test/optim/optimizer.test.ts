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
    expect(() => new optim.Adam([p], { differentiable: true })).toThrow(torch.NotImplementedError);
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
