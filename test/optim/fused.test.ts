import * as torch from "kindling";
import { optim, type Tensor } from "kindling";
import { describe, expect, it } from "vitest";
import { ELEMENTWISE, type Make } from "./makers.ts";

/** More steps than RAdam takes to trust its squares. */
const STEPS = 8;

interface Result {
  readonly values: unknown[];
  readonly kernels: number;
}

/** What steps leave of parameters and state, and how many kernels the last one ran. */
function steps(make: Make, way: object, params: readonly Tensor[]): Result {
  const optimizer = make([...params], way);
  const device = params[0]!.device;
  let kernels = 0;
  for (let i = 0; i < STEPS; i++) {
    for (const p of params) {
      p.grad = torch.randn(p.shape, { dtype: p.dtype });
      p.grad._storage.materialize();
    }
    const { run } = device;
    kernels = 0;
    device.run = (...args) => (kernels++, run.apply(device, args));
    optimizer.step();
    device.run = run;
  }
  const state = params.map((p) =>
    Object.entries(optimizer.state.get(p)!).map(([name, x]) => [name, x instanceof torch.Tensor ? x.tolist_sync() : x]),
  );
  return { values: [...params.map((p) => p.tolist_sync()), state], kernels };
}

const leaf = (t: Tensor): Tensor => t.detach().requires_grad_();
const start = (dtype: torch.DType): Tensor[] =>
  [[37], [3, 0], [9, 130], [1], [2, 1300]].map((shape) => leaf(torch.randn(shape, { dtype })));

describe("one kernel for all parameters", () => {
  it.each(Object.entries(ELEMENTWISE))("%s: the numbers of ops one by one, bit for bit", (_name, make) => {
    for (const dtype of [torch.float32, torch.float64, torch.bfloat16, torch.float16]) {
      const [together, apart] = [{}, { foreach: false }].map((way) => {
        torch.manual_seed(1);
        return steps(make, way, start(dtype));
      });
      expect(together!.values).toEqual(apart!.values);
      expect(together!.kernels).toBe(1);
      expect(apart!.kernels).toBeGreaterThan(4);
    }
  });
  it.each(Object.entries(ELEMENTWISE))("%s: what it cannot take goes one by one", (_name, make) => {
    const mixed = (): Tensor[] => {
      torch.manual_seed(2);
      const strided = leaf(torch.randn([4, 6]).t());
      const wide = leaf(torch.randn([5], { dtype: torch.float64 }));
      return [leaf(torch.randn([7])), strided, wide, leaf(torch.randn([2, 3]))];
    };
    const [together, apart] = [{}, { foreach: false }].map((way) => steps(make, way, mixed()));
    expect(together!.values).toEqual(apart!.values);
    // Two groups by dtype, and the strided one by ops.
    expect(together!.kernels).toBeLessThan(apart!.kernels);
    expect(together!.kernels).toBeGreaterThan(2);
  });
});

describe("complex parameters", () => {
  const complex = (...parts: number[]): Tensor => torch.view_as_complex(torch.tensor(parts).reshape([-1, 2]));
  // PyTorch 1.13 after seven steps of these gradients.
  it.each<[string, (p: Tensor) => optim.Optimizer, number[]]>([
    [
      "Adagrad",
      (p) => new optim.Adagrad([p], { lr: 0.1, initial_accumulator_value: 0.2 }),
      [0.53798193, 2.23795152, -0.35673764, 0.24059023],
    ],
    [
      "RMSprop",
      (p) => new optim.RMSprop([p], { lr: 0.1, centered: true, momentum: 0.9 }),
      [-18.0897045, 17.2404289, 14.7404232, -3.093281],
    ],
    ["Adadelta", (p) => new optim.Adadelta([p]), [0.96052671, 2.02328253, -0.47672665, 0.29671717]],
    ["Adamax", (p) => new optim.Adamax([p]), [0.98996353, 2.01400065, -0.48599997, 0.29693711]],
    ["ASGD", (p) => new optim.ASGD([p]), [0.91599333, 2.01398563, -0.49299655, 0.29499796]],
    ["Rprop", (p) => new optim.Rprop([p]), [0.87084097, 2.12915921, -0.37084094, 0.28125003]],
  ])("%s treats their parts one by one", (_name, make, want) => {
    const p = complex(1, 2, -0.5, 0.3).requires_grad_();
    const optimizer = make(p);
    for (let i = 0; i < 7; i++) {
      p.grad = complex(0.3 * (i + 1), -0.2, -0.1, 0.5 * (-1) ** i);
      optimizer.step();
    }
    const got = torch.view_as_real(p.detach()).flatten().tolist_sync() as number[];
    got.forEach((v, i) => expect(Math.abs(v - want[i]!)).toBeLessThan(2e-6 * (1 + Math.abs(want[i]!)) * 4));
  });
  it("so do Adam, NAdam and RAdam", () => {
    for (const make of [
      (p: Tensor) => new optim.Adam([p], { lr: 0.1, amsgrad: true, weight_decay: 0.1 }),
      (p: Tensor) => new optim.NAdam([p], { lr: 0.1, decoupled_weight_decay: true }),
      (p: Tensor) => new optim.RAdam([p], { lr: 0.1 }),
    ]) {
      const p = complex(1, 2, -0.5, 0.3).requires_grad_();
      const pairs = leaf(torch.view_as_real(p.detach()).clone());
      const optimizers = [make(p), make(pairs)];
      for (let i = 0; i < 7; i++) {
        p.grad = complex(0.3 * (i + 1), -0.2, -0.1, 0.5 * (-1) ** i);
        pairs.grad = torch.view_as_real(p.grad).clone();
        for (const optimizer of optimizers) optimizer.step();
      }
      const [got, want] = [torch.view_as_real(p.detach()), pairs].map((t) => t.detach().flatten().tolist_sync() as number[]);
      got!.forEach((v, i) => expect(v).toBeCloseTo(want![i]!, 6));
      expect(optimizers[0]!.state.get(p)!.exp_avg).toMatchObject({ dtype: torch.complex64 });
    }
  });
});

describe("GradScaler", () => {
  it.each(Object.entries(ELEMENTWISE))("%s: a step with infinite gradients changes nothing", async (_name, make) => {
    const p = leaf(torch.tensor([1, -2, 3], { dtype: torch.float32 }));
    const optimizer = make([p], {});
    const scaler = new torch.amp.GradScaler("cpu", { init_scale: 4 });
    const all = (): unknown => [
      p.tolist_sync(),
      Object.entries(optimizer.state.get(p) ?? {}).map(([name, x]) => [name, x instanceof torch.Tensor ? x.tolist_sync() : x]),
    ];
    const step = async (factor: number): Promise<void> => {
      optimizer.zero_grad();
      scaler.scale(p.mul(factor).sum()).backward();
      await scaler.step(optimizer);
      scaler.update();
    };
    await step(2);
    const before = all();
    await step(Infinity);
    expect(all()).toEqual(before);
    await step(3);
    expect(optimizer.state.get(p)).toMatchObject({ step: 2 });
    expect(p.tolist_sync()).not.toEqual((before as unknown[])[0]);
  });
});
