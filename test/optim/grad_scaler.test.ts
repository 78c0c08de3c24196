/** torch.amp.GradScaler: PyTorch's defaults, order of calls, arithmetic of the scale. */

import * as torch from "kindling";
import { describe, expect, it, vi } from "vitest";
import { resolveDevice } from "../../ts/ops/devices.ts";

const { GradScaler } = torch.amp;

function parameter(...values: number[]): torch.nn.Parameter {
  return new torch.nn.Parameter(torch.tensor(values, { dtype: torch.float32 }));
}
const values = (t: torch.Tensor | null): number[] => t!.tolist_sync() as number[];

it("has PyTorch's defaults", () => {
  const scaler = new GradScaler();
  expect(scaler.state_dict()).toEqual({
    scale: 65536,
    growth_factor: 2,
    backoff_factor: 0.5,
    growth_interval: 2000,
    _growth_tracker: 0,
  });
  expect([scaler.is_enabled(), scaler.get_scale()]).toEqual([true, 65536]);
});

it("scales the loss, unscales the gradients, steps", async () => {
  const p = parameter(1, -2);
  const optimizer = new torch.optim.SGD([p], { lr: 0.5 });
  const scaler = new GradScaler("cpu", { init_scale: 1024 });
  const loss = p.mul(3).sum();
  const scaled = scaler.scale(loss);
  expect(scaled.item_sync()).toBe(-3 * 1024);
  scaled.backward();
  expect(values(p.grad)).toEqual([3072, 3072]);
  expect(await scaler.step(optimizer)).toBe(null);
  expect(values(p.grad)).toEqual([3, 3]);
  expect(values(p)).toEqual([-0.5, -3.5]);
  scaler.update();
  expect(scaler.get_scale()).toBe(1024);
  expect(scaler.state_dict()).toMatchObject({ _growth_tracker: 1 });
});

it("on the cpu everything has happened when step returns", () => {
  const p = parameter(1);
  const scaler = new GradScaler("cpu", { init_scale: 8 });
  scaler.scale(p.sum()).backward();
  void scaler.step(new torch.optim.SGD([p], { lr: 1 }));
  scaler.update();
  expect(values(p)).toEqual([0]);
});

it("leaves a step with gradients that are not finite out, and backs off", async () => {
  const p = parameter(1, 1);
  const q = parameter(2);
  const optimizer = new torch.optim.SGD([p, q], { lr: 1 });
  const scaler = new GradScaler("cpu", { init_scale: 16, growth_interval: 2 });
  const step = vi.spyOn(optimizer, "step");
  for (const bad of [Infinity, -Infinity, NaN]) {
    optimizer.zero_grad();
    scaler
      .scale(
        p
          .mul(torch.tensor([1, bad]))
          .sum()
          .add(q.sum()),
      )
      .backward();
    await scaler.step(optimizer);
    scaler.update();
  }
  expect(step).not.toHaveBeenCalled();
  expect([values(p), values(q)]).toEqual([[1, 1], [2]]);
  expect(scaler.get_scale()).toBe(2);
  expect(scaler.state_dict()).toMatchObject({ _growth_tracker: 0 });
});

it("grows after growth_interval good steps on end, and never to infinity", async () => {
  const p = parameter(1);
  const optimizer = new torch.optim.SGD([p], { lr: 0 });
  const scaler = new GradScaler("cpu", { init_scale: 4, growth_interval: 3, growth_factor: 1.1 });
  const scales: number[] = [];
  const run = async (factor: number): Promise<void> => {
    optimizer.zero_grad();
    scaler.scale(p.mul(factor).sum()).backward();
    await scaler.step(optimizer);
    scaler.update();
    scales.push(scaler.get_scale());
  };
  for (const factor of [1, 1, NaN, 1, 1, 1, 1]) await run(factor);
  const grown = Math.fround(2 * 1.1); // float32, as PyTorch's
  expect(scales).toEqual([4, 4, 2, 2, 2, grown, grown]);
  const large = new GradScaler("cpu", { init_scale: 3e38, growth_interval: 1 });
  const tiny = parameter(0);
  large.scale(tiny.mul(0).sum()).backward();
  await large.step(new torch.optim.SGD([tiny], { lr: 0 }));
  large.update();
  expect(large.get_scale()).toBe(Math.fround(3e38));
});

it("update takes a scale of one's own, as a number or a tensor", () => {
  const scaler = new GradScaler("cpu");
  scaler.scale(torch.ones(1));
  scaler.update(128);
  expect(scaler.get_scale()).toBe(128);
  scaler.update(torch.tensor([32], { dtype: torch.float32 }));
  expect(scaler.scale(torch.ones(1)).item_sync()).toBe(32);
  expect(() => scaler.update("8" as never)).toThrow(/new_scale should be a number or a float32 tensor.*got string/);
  expect(() => scaler.update(torch.ones(2))).toThrow(/got a tensor of torch.float32, shape \[2\]/);
  expect(scaler.get_scale()).toBe(32);
});

it("unscale_ shows the real gradients before the step, once", async () => {
  const p = parameter(3, 4);
  const optimizer = new torch.optim.SGD([p], { lr: 1 });
  const scaler = new GradScaler("cpu", { init_scale: 256 });
  scaler.scale(p.pow(2).sum().div(2)).backward();
  scaler.unscale_(optimizer);
  expect(values(p.grad)).toEqual([3, 4]);
  torch.nn.utils.clip_grad_norm_([p], 1);
  expect(() => scaler.unscale_(optimizer)).toThrow(
    "unscale_() has already been called on this optimizer since the last update().",
  );
  await scaler.step(optimizer);
  expect(values(p)[0]).toBeCloseTo(3 - 0.6, 5);
  expect(() => scaler.unscale_(optimizer)).toThrow("unscale_() is being called after step().");
  await expect(scaler.step(optimizer)).rejects.toThrow("step() has already been called since the last update().");
  scaler.update();
  scaler.unscale_(optimizer);
});

it("several optimizers share a scale: one bad gradient backs off, the others step", async () => {
  const [p, q] = [parameter(1), parameter(1)];
  const [one, two] = [new torch.optim.SGD([p], { lr: 1 }), new torch.optim.SGD([q], { lr: 1 })];
  const scaler = new GradScaler("cpu", { init_scale: 4 });
  const losses = scaler.scale([p.sum(), q.mul(Infinity).sum()] as const);
  losses.forEach((loss) => loss.backward());
  await scaler.step(one);
  await scaler.step(two);
  scaler.update();
  expect([values(p), values(q)]).toEqual([[0], [1]]);
  expect(scaler.get_scale()).toBe(2);
});

describe("what is out of order is an error", () => {
  const p = parameter(1);
  const optimizer = new torch.optim.SGD([p], { lr: 1 });
  it("a step or update before scale", async () => {
    const scaler = new GradScaler("cpu");
    await expect(scaler.step(optimizer)).rejects.toThrow("Attempted step before any scaling");
    expect(() => scaler.unscale_(optimizer)).toThrow("Attempted unscale_ before any scaling");
    expect(() => scaler.update()).toThrow("Attempted update before any scaling");
  });
  it("an update without a step, a step without gradients, a closure", async () => {
    const scaler = new GradScaler("cpu");
    scaler.scale(p.sum());
    expect(() => scaler.update()).toThrow("No inf checks were recorded prior to update.");
    await expect(scaler.step(optimizer)).rejects.toThrow("No inf checks were recorded for this optimizer.");
    await expect(scaler.step(optimizer, () => 1)).rejects.toThrow("Closure use is not currently supported");
  });
  it("gradients of float16", () => {
    const half = new torch.nn.Parameter(torch.ones(1, { dtype: torch.float16 }));
    const scaler = new GradScaler("cpu");
    scaler.scale(half.sum()).backward();
    expect(() => scaler.unscale_(new torch.optim.SGD([half], { lr: 1 }))).toThrow("Attempting to unscale FP16 gradients.");
  });
  it("factors that go the wrong way", () => {
    expect(() => new GradScaler("cpu", { growth_factor: 1 })).toThrow("growth_factor must be greater than 1, got 1");
    expect(() => new GradScaler("cpu", { backoff_factor: 1 })).toThrow("backoff_factor must be less than 1, got 1");
  });
});

it("a loss of float16 becomes float32, which has room for the scale", () => {
  const loss = torch.tensor(3, { dtype: torch.float16 });
  const scaled = new GradScaler("cpu").scale(loss);
  expect([scaled.dtype, scaled.item_sync()]).toEqual([torch.float32, 3 * 65536]);
});

it("does nothing where it is not enabled", async () => {
  const p = parameter(1);
  const optimizer = new torch.optim.SGD([p], { lr: 1 });
  const scaler = new GradScaler({ enabled: false });
  const loss = p.sum();
  expect(scaler.scale(loss)).toBe(loss);
  loss.backward();
  scaler.unscale_(optimizer);
  await scaler.step(optimizer);
  scaler.update();
  expect(values(p)).toEqual([0]);
  expect([scaler.get_scale(), scaler.state_dict(), scaler.is_enabled()]).toEqual([1, {}, false]);
});

it("goes on from a state dict", () => {
  const scaler = new GradScaler("cpu", { init_scale: 64 });
  scaler.scale(torch.ones([]));
  scaler.update(32);
  const copy = new GradScaler("cpu");
  copy.load_state_dict({ ...scaler.state_dict(), _growth_tracker: 7 } as torch.amp.GradScalerState);
  expect(copy.state_dict()).toEqual({ ...scaler.state_dict(), _growth_tracker: 7 });
  expect(copy.scale(torch.ones([])).item_sync()).toBe(32);
  expect(() => copy.load_state_dict({})).toThrow("The source state dict is empty");
});

it("where values cannot be read at once, step is awaited, and update says so", async () => {
  const device = resolveDevice("cpu");
  const readSync = vi.spyOn(device.caps, "readSync", "get").mockReturnValue(false);
  try {
    const p = parameter(1);
    const optimizer = new torch.optim.SGD([p], { lr: 1 });
    const scaler = new GradScaler("cpu", { init_scale: 8 });
    scaler.scale(p.sum()).backward();
    const stepping = scaler.step(optimizer);
    expect(() => scaler.update()).toThrow("`await scaler.step(optimizer)` first");
    await stepping;
    scaler.update();
    readSync.mockRestore();
    expect(values(p)).toEqual([0]);
  } finally {
    readSync.mockRestore();
  }
});

it("trains a float16 model of small gradients that would vanish without it", async () => {
  const train = async (enabled: boolean): Promise<number> => {
    torch.manual_seed(0);
    const p = parameter(1);
    const optimizer = new torch.optim.SGD([p], { lr: 1e7 });
    const scaler = new GradScaler("cpu", { enabled, init_scale: 32768 });
    const loss = torch.autocast("cpu", { dtype: torch.float16 }, () =>
      p
        .unsqueeze(0)
        .mm(torch.ones([1, 1]))
        .mul(1e-4)
        .mul(1e-4)
        .sum(),
    );
    scaler.scale(loss).backward();
    await scaler.step(optimizer);
    scaler.update();
    return values(p)[0]!;
  };
  expect(await train(false)).toBe(1);
  expect(await train(true)).toBeCloseTo(0.9, 2);
});
