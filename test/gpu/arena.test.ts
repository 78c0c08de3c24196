import { describe, expect, it } from "vitest";
import * as torch from "kindling";
import { nn, optim } from "kindling";
import { float32 } from "../../ts/core/dtype.ts";
import { devices, download, empty, tensor, uniform, upload } from "./harness.ts";

describe.each(devices)("buffers in shared memory on $name", ({ device }) => {
  const place = (n: number, seed: number) => upload(device, tensor(float32, [n], uniform(n, seed)));

  it("keep their contents, and are read and written apart", async () => {
    const views = [place(5, 1), place(300, 2), place(7, 3)];
    const values = await Promise.all(views.map(download));
    const moved = device.pack(views.map((v) => [v.buffer]))!.flat();
    views.forEach((v) => device.free(v.buffer));
    const now = views.map((v, i) => ({ ...v, buffer: moved[i]! }));
    expect(await Promise.all(now.map(download))).toEqual(values);
    device.write(moved[1]!, 4, new Uint8Array(new Float32Array([10, 20]).buffer));
    values[1]!.set([10, 20], 1);
    expect(await Promise.all(now.map(download))).toEqual(values);
    moved.forEach((b) => device.free(b));
  });
  it("a step in shared memory is a step apart", async () => {
    const sizes = [3, 700, 0, 1, 64, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5];
    const params = { lr: 0.1, momentum: 0, dampening: 0, nesterov: false, beta1: 0.9, beta2: 0.99, eps: 1e-8, weight_decay: 0.1, maximize: false, step: 2 }; // prettier-ignore
    const step = async (packed: boolean): Promise<Float64Array[]> => {
      let groups = sizes.map((n, i) => [
        place(n, i),
        place(n, i + 100),
        upload(device, tensor(float32, [n], uniform(n, i, 0, 1))),
      ]);
      if (packed) {
        const moved = device.pack(groups.map((g) => g.map((v) => v.buffer)))!;
        groups = groups.map((g, i) => g.map((v, j) => ({ ...v, buffer: moved[i]![j]! })));
      }
      const kernel = device.prepare({ kind: "optimizer", op: "adamw", dtype: float32 });
      const gradients = sizes.map((n, i) => place(n, i + 200));
      device.run(kernel, gradients, groups.flat(), params);
      return Promise.all(groups.flat().map(download));
    };
    expect(await step(true)).toEqual(await step(false));
  });
  it("the memory goes when its last buffer does", () => {
    const before = device.memoryStats().allocated_bytes;
    const views = [place(1000, 1), place(1000, 2)];
    const moved = device.pack([views.map((v) => v.buffer)])!.flat();
    views.forEach((v) => device.free(v.buffer));
    device.free(moved[0]!);
    expect(device.memoryStats().allocated_bytes).toBe(before + 4096);
    device.free(moved[1]!);
    expect(device.memoryStats().allocated_bytes).toBe(before);
    expect(() => device.free(moved[1]!)).toThrow(/freed twice/);
  });
  it("kernels between buffers of one memory see each other's old values", async () => {
    const views = [place(64, 1), place(64, 2)];
    const [x, y] = device.pack([views.map((v) => v.buffer)])!.flat();
    const spec = { kind: "scan", op: "cumsum", input: float32, dtype: float32 } as const;
    const [a, b] = [
      { ...views[0]!, buffer: x! },
      { ...views[1]!, buffer: y! },
    ];
    device.run(device.prepare(spec), [a], [b], null);
    const out = upload(device, empty(float32, [64]));
    device.run(device.prepare(spec), [views[0]!], [out], null);
    expect(await download(b)).toEqual(await download(out));
  });
});

const web = devices.some((d) => d.name === "webgpu") ? await torch.webgpu.init().then(() => "webgpu" as const) : null;

describe.runIf(web !== null)("optimizers on webgpu", () => {
  const model = () => {
    torch.manual_seed(3);
    return new nn.Sequential(new nn.Linear(6, 12), new nn.Tanh(), new nn.Linear(12, 12), new nn.Tanh(), new nn.Linear(12, 3));
  };
  type Make = (params: Iterable<torch.Tensor>) => optim.Optimizer;
  const losses = async (
    place: "cpu" | "webgpu",
    make: Make,
    between: (net: nn.Sequential, opt: optim.Optimizer, i: number) => unknown = () => {},
  ) => {
    const net = model().to(place);
    torch.manual_seed(5);
    const x = torch.randn([16, 6], { device: "cpu" }).to(place);
    const y = torch.randn([16, 3], { device: "cpu" }).to(place);
    const opt = make(net.parameters());
    const seen: number[] = [];
    for (let i = 0; i < 8; i++) {
      opt.zero_grad();
      const loss = net(x).sub(y).pow(2).mean();
      loss.backward();
      opt.step();
      seen.push((await loss.item()) as number);
      await between(net, opt, i);
    }
    return seen;
  };
  const makers: [string, Make][] = [
    ["SGD", (p) => new optim.SGD(p, { lr: 0.1 })],
    ["SGD with momentum", (p) => new optim.SGD(p, { lr: 0.1, momentum: 0.9 })],
    ["AdamW", (p) => new optim.AdamW(p, { lr: 0.05 })],
    ["Adam, amsgrad", (p) => new optim.Adam(p, { lr: 0.05, amsgrad: true, weight_decay: 0.1 })],
  ];
  const close = (a: number[], b: number[]): void => a.forEach((v, i) => expect(v).toBeCloseTo(b[i]!, 4));

  it.each(makers)("%s learns as on the cpu", async (_, make) => {
    close(await losses("webgpu", make), await losses("cpu", make));
  });
  it("parameters may be written, kept pending, saved and loaded between steps", async () => {
    const [, make] = makers[2]!;
    const kept: torch.Tensor[] = [];
    const meddle = async (net: nn.Sequential, opt: optim.Optimizer, i: number): Promise<void> => {
      const [w, b] = [...net.parameters()];
      torch.no_grad(() => {
        if (i === 1) w!.mul_(0.5);
        if (i === 2) kept.push(w!.mul(2), w!.t()); // computed only after the next step
        if (i === 3) b!.copy_(torch.ones([12], { device: b!.device }));
      });
      if (i === 4) opt.load_state_dict(opt.state_dict());
      if (i === 5) net.load_state_dict(net.state_dict());
    };
    const onGpu = await losses("webgpu", make, meddle);
    const [late, view] = kept.splice(0);
    const onCpu = await losses("cpu", make, meddle);
    close(onGpu, onCpu);
    const [lateCpu, viewCpu] = kept;
    for (const [a, b] of [[late!, lateCpu!], [view!, viewCpu!]] as const) {
      close([...(await a.data())].map(Number), [...(await b.data())].map(Number));
    } // prettier-ignore
  });
  it("a step takes a launch for as many gradients as there are bindings", async () => {
    const bindings = torch.webgpu.device().limits.maxStorageBuffersPerShaderStage;
    const params = Array.from({ length: 40 }, (_, i) => new nn.Parameter(torch.ones([i + 1], { device: "webgpu" })));
    const opt = new optim.AdamW(params, { lr: 0.1 });
    for (let i = 0; i < 3; i++) {
      for (const p of params) p.grad = torch.ones_like(p);
      await torch.webgpu.synchronize();
      const before = torch.webgpu.stats().dispatches;
      for (const p of params) p.grad!._storage.materialize();
      const mid = params.length; // a fill per gradient
      opt.step();
      await torch.webgpu.synchronize();
      const launches = torch.webgpu.stats().dispatches - before - mid;
      if (i > 0) expect(launches).toBe(Math.ceil(40 / (bindings - 1)));
    }
  });
});
