/** torch.cuda on the stand-ins: devices, moves, values read at once, memory, events, graphs, errors. */

import { unavailable } from "./environment.ts";
import { afterEach, describe, expect, it } from "vitest";

process.env.KINDLING_STAND_IN_DEVICES = "2";
const torch = await import("kindling");
const { nn, optim } = torch;
const F = nn.functional;

const opts = { device: "cuda" } as const;

describe.skipIf(unavailable !== null)("torch.cuda", () => {
  afterEach(() => torch.cuda.set_device(0));

  it("tells what is there", () => {
    expect(torch.cuda.is_available()).toBe(true);
    expect(torch.cuda.unavailable_reason()).toBeNull();
    expect(torch.cuda.device_count()).toBe(2);
    expect(torch.cuda.get_device_name(1)).toMatch(/stand-in/i);
    expect(torch.cuda.get_device_capability()).toEqual([9, 0]);
    expect(torch.cuda.get_device_properties().total_memory).toBeGreaterThan(0);
    expect(torch.cuda.libraries()!.driver.path).toContain("libcuda");
  });

  it("is what accelerator() chooses", async () => {
    expect(await torch.accelerator()).toBe("cuda");
  });

  it("moves tensors there and back, at once", () => {
    const x = torch.tensor([[1.5, -2], [3, 4]]); // prettier-ignore
    const y = x.to("cuda").mul(2).t();
    expect(y.device.type).toBe("cuda");
    expect(y.to("cpu").tolist_sync()).toEqual([
      [3, 6],
      [-4, 8],
    ]);
    expect(y.sum().item_sync()).toBe(13);
  });

  it("keeps float64 and int64 in full", () => {
    const big = 2n ** 53n + 1n;
    expect(
      torch
        .tensor([big], { ...opts, dtype: torch.int64 })
        .add(1)
        .item_sync(),
    ).toBe(2n ** 53n + 2n);
    expect(
      torch
        .tensor(0.1, { ...opts, dtype: torch.float64 })
        .add(0.2)
        .item_sync(),
    ).toBe(0.1 + 0.2);
  });

  it("has several devices, which do not mix", () => {
    const a = torch.ones(3, { device: "cuda:0" });
    const b = torch.ones(3, { device: "cuda:1" });
    expect(b.device.index).toBe(1);
    expect(() => a.add(b)).toThrow(/cuda:0.*cuda:1/);
    expect(a.to("cuda:1").add(b).sum().item_sync()).toBe(6);
    torch.cuda.set_device(1);
    expect(torch.ones(1, opts).device.index).toBe(1);
    expect(() => torch.ones(1, { device: "cuda:7" })).toThrow(/no device cuda:7.*has 2/);
  });

  it("tells of bad indices where values are asked for", async () => {
    const bad = torch.ones(4, opts).index_select(0, torch.tensor([9], { ...opts, dtype: torch.int64 }));
    expect(() => bad.sum().item_sync()).toThrow(/index/);
    const worse = torch.ones(4, opts).index_select(0, torch.tensor([9], { ...opts, dtype: torch.int64 }));
    await expect(worse.data()).rejects.toThrow(/index/);
    expect(torch.ones(4, opts).sum().item_sync()).toBe(4);
  });

  it("counts memory, and gives it back", () => {
    const before = torch.cuda.memory_allocated();
    const x = torch.empty(1 << 20, opts);
    expect(torch.cuda.memory_allocated() - before).toBeGreaterThanOrEqual(4 << 20);
    expect(torch.cuda.max_memory_allocated()).toBeGreaterThanOrEqual(torch.cuda.memory_allocated());
    x.dispose();
    expect(torch.cuda.memory_allocated()).toBe(before);
    const reserved = torch.cuda.memory_reserved();
    torch.cuda.empty_cache();
    expect(torch.cuda.memory_reserved()).toBeLessThan(reserved);
    const [free, total] = torch.cuda.mem_get_info();
    expect(free).toBeLessThanOrEqual(total);
    expect(torch.cuda.memory_stats()["allocated_bytes.all.current"]).toBeGreaterThanOrEqual(0);
  });

  it("out of memory is an error that can be caught, and the program goes on", () => {
    const [free] = torch.cuda.mem_get_info();
    const half = torch.empty(Math.floor(free / 8), opts);
    expect(() => torch.empty(Math.floor(free / 5), opts)).toThrow(torch.OutOfMemoryError);
    half.dispose();
    expect(torch.ones(8, opts).sum().item_sync()).toBe(8);
  });

  it("trains as the cpu does", async () => {
    const losses: number[][] = [];
    for (const device of ["cpu", "cuda"]) {
      torch.manual_seed(3);
      const model = new nn.Sequential(new nn.Linear(6, 16), new nn.GELU(), new nn.LayerNorm(16), new nn.Linear(16, 3));
      const x = torch.randn(32, 6);
      const y = torch.randint(0, 3, [32]);
      model.to(device);
      const opt = new optim.AdamW(model.parameters(), { lr: 1e-2 });
      const own: number[] = [];
      for (let step = 0; step < 20; step++) {
        opt.zero_grad();
        const loss = F.cross_entropy(model(x.to(device)), y.to(device));
        loss.backward();
        opt.step();
        own.push(Number(loss.item_sync()));
      }
      losses.push(own);
    }
    losses[1]!.forEach((loss, i) => expect(Math.abs(loss / losses[0]![i]! - 1)).toBeLessThan(1e-4));
  });
});

describe.skipIf(unavailable !== null)("torch.cuda.Event", () => {
  it("marks places of the stream", async () => {
    const [start, end] = [new torch.cuda.Event({ enable_timing: true }), new torch.cuda.Event({ enable_timing: true })];
    expect(start.query()).toBe(true);
    expect(() => start.elapsed_time(end)).toThrow(/recorded/);
    start.record();
    torch.randn(64, 64, opts).matmul(torch.randn(64, 64, opts));
    end.record();
    await end.synchronize();
    expect(end.query()).toBe(true);
    expect(start.elapsed_time(end)).toBeGreaterThanOrEqual(0);
    expect(() => new torch.cuda.Event().elapsed_time(end)).toThrow(/enable_timing/);
  });

  it("lets a device wait for another", () => {
    const x = torch.full([1000], 2, { device: "cuda:1" });
    const done = new torch.cuda.Event();
    done.record("cuda:1");
    done.wait("cuda:0");
    expect(torch.ones(2, { device: "cuda:0" }).sum().item_sync()).toBe(2);
    expect(x.sum().item_sync()).toBe(2000);
  });

  it("profiles kernels by name", async () => {
    const times = await torch.cuda.profile(() => void torch.ones(1000, opts).add(1).sum().item_sync());
    expect(times.length).toBeGreaterThan(0);
    for (const { name, ms } of times) {
      expect(name).not.toBe("");
      expect(ms).toBeGreaterThanOrEqual(0);
    }
  });
});

describe.skipIf(unavailable !== null)("torch.cuda.CUDAGraph", () => {
  it("replays what was captured on new inputs", () => {
    const x = torch.tensor([1, 2, 3], { ...opts, dtype: torch.float32 });
    x.mul(2).exp().sum().item_sync(); // its kernels exist
    const g = new torch.cuda.CUDAGraph();
    const y = torch.cuda.graph(g, () => x.mul(2).exp().sum());
    g.replay();
    const sum = (...values: number[]): number => values.reduce((n, v) => n + Math.exp(2 * v), 0);
    expect(y.item_sync()).toBeCloseTo(sum(1, 2, 3), 2);
    x.copy_(torch.tensor([0, -1, 0.5]));
    g.replay();
    expect(y.item_sync()).toBeCloseTo(sum(0, -1, 0.5), 4);
    g.reset();
    expect(() => g.replay()).toThrow(/captured/);
  });

  it("captures forward and backward of a training step", () => {
    torch.manual_seed(0);
    const model = new nn.Linear(4, 2).to("cuda");
    const x = torch.randn(8, 4).to("cuda");
    const step = (): InstanceType<typeof torch.Tensor> => {
      for (const p of model.parameters()) p.grad?.zero_();
      const loss = model(x).pow(2).mean();
      loss.backward();
      return loss;
    };
    step().item_sync();
    const g = new torch.cuda.CUDAGraph();
    const loss = torch.cuda.graph(g, step);
    const opt = new optim.SGD(model.parameters(), { lr: 0.1 });
    const losses: number[] = [];
    for (let i = 0; i < 5; i++) {
      g.replay();
      losses.push(Number(loss.item_sync()));
      opt.step();
    }
    for (let i = 1; i < losses.length; i++) expect(losses[i]).toBeLessThan(losses[i - 1]!);
  });

  it("refuses what a replay would get wrong, and the device goes on", () => {
    const x = torch.ones(4, opts);
    for (const wrong of [(): unknown => x.sum().item_sync(), () => torch.rand(4, opts)]) {
      const g = new torch.cuda.CUDAGraph();
      expect(() => torch.cuda.graph(g, wrong)).toThrow(torch.RuntimeError);
      expect(torch.cuda.is_current_stream_capturing()).toBe(false);
      expect(x.add(1).sum().item_sync()).toBe(8);
    }
  });

  it("repeats steps of optimizers that do not count them, and refuses the others", () => {
    const steps = (
      make: (p: InstanceType<typeof torch.Tensor>[]) => InstanceType<typeof optim.Optimizer>,
      replays: boolean,
    ): number[] => {
      const p = torch.full([3], 2, { ...opts, dtype: torch.float32 }).requires_grad_();
      const opt = make([p]);
      p.grad = torch.ones_like(p);
      opt.step(); // state and kernels exist
      p.detach().sum().item_sync();
      if (replays) {
        const g = new torch.cuda.CUDAGraph();
        torch.cuda.graph(g, () => opt.step());
        for (let i = 0; i < 3; i++) g.replay();
      } else for (let i = 0; i < 3; i++) opt.step();
      return p.tolist_sync() as number[];
    };
    for (const make of [
      (p: InstanceType<typeof torch.Tensor>[]) => new optim.RMSprop(p, { lr: 0.1, momentum: 0.9 }),
      (p: InstanceType<typeof torch.Tensor>[]) => new optim.Adagrad(p, { lr: 0.1 }),
      (p: InstanceType<typeof torch.Tensor>[]) => new optim.Rprop(p),
    ]) {
      expect(steps(make, true)).toEqual(steps(make, false));
    }
    expect(() => steps((p) => new optim.RAdam(p), true)).toThrow(/step number would not rise/);
    expect(() => steps((p) => new optim.Adagrad(p, { lr_decay: 0.1 }), true)).toThrow(/step number would not rise/);
  });

  it("keeps memory that it reads, and lets it go", () => {
    let x: InstanceType<typeof torch.Tensor> | null = torch.full([1 << 16], 3, opts);
    x.add(1).sum().item_sync();
    const g = new torch.cuda.CUDAGraph();
    const y = torch.cuda.graph(g, () => x!.add(1).sum());
    x.dispose();
    x = null;
    torch
      .zeros(1 << 16, opts)
      .sum()
      .item_sync(); // would take the memory
    g.replay();
    expect(y.item_sync()).toBe(4 * 65536);
    g.reset();
  });
});
