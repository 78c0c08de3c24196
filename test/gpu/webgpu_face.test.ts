/** `torch.webgpu`, moving between devices, and a program's own WebGPU code beside tensors. */

import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import * as torch from "kindling";
import { webgpu } from "./webgpu_tools.ts";

const { nn } = torch;

beforeAll(() => torch.webgpu.init());
afterAll(() => torch.webgpu.destroy());
beforeEach(() => torch.manual_seed(0));

describe("torch.webgpu", () => {
  it("is there, and says what it is", async () => {
    expect(await torch.webgpu.is_available()).toBe(true);
    expect(torch.webgpu.get_device_name()).not.toBe("");
    expect(torch.webgpu.device().queue).toBeDefined();
    const { dispatches } = torch.webgpu.stats();
    await torch.ones(3, { device: "webgpu" }).data();
    expect(torch.webgpu.stats().dispatches).toBe(dispatches + 1);
  });
  it("init again keeps the device; with options there is another, and the two do not mix", async () => {
    const old = torch.ones(2, { device: "webgpu" }).add(1);
    await old.data();
    const device = torch.webgpu.device();
    await torch.webgpu.init();
    expect(torch.webgpu.device()).toBe(device);
    await torch.webgpu.init({ limits: "minimal" });
    expect(torch.webgpu.device()).not.toBe(device);
    expect(torch.webgpu.device().limits.maxStorageBuffersPerShaderStage).toBe(8);
    await expect((async () => old.add(torch.ones(2, { device: "webgpu" })).data())()).rejects.toThrow(torch.RuntimeError);
    expect([...(await old.data())]).toEqual([2, 2]);
    await torch.webgpu.init({ limits: "maximal" });
  });
  it("works on a GPUDevice of one's own", async () => {
    const before = torch.webgpu.device();
    const own = await webgpu();
    await torch.webgpu.init({ device: own.gpu });
    expect(torch.webgpu.device()).toBe(own.gpu);
    expect([...(await torch.arange(3, { device: "webgpu", dtype: torch.float32 }).mul(2).data())]).toEqual([0, 2, 4]);
    await torch.webgpu.init({ device: before });
    own.destroy();
  });
  it("profiles kernels by name", async () => {
    const x = torch.randn(64, 64, { device: "webgpu" });
    await x.data();
    const times = await torch.webgpu.profile(async () => {
      const y = x.matmul(x).add(1);
      await y.softmax(1).data();
    });
    expect(times.map(({ name }) => name.replace(/\W.*|_.*/, ""))).toEqual(["matmul", "map", "softmax"]);
    // Whatever the clock shows: what is made of it, webgpu_profile.test.ts looks at.
    for (const { ms } of times) expect(ms).toSatisfy((t: number) => Number.isFinite(t) && t >= 0);
    await expect(torch.webgpu.profile(() => torch.webgpu.profile(() => null))).rejects.toThrow(/going on already/);
    expect(await torch.webgpu.profile(() => null)).toEqual([]);
  });
});

describe("moving", () => {
  it("to the device synchronously, from it with an await", async () => {
    const x = torch.tensor([[1, 2], [3, 4]], { dtype: torch.float32 }); // prettier-ignore
    const y = x.to("webgpu").add(1).t();
    expect(y.device.type).toBe("webgpu");
    expect(() => y.to("cpu")).toThrow(/await x\.to_async\(device\)/);
    const z = await y.to_async("cpu");
    expect(z.device.type).toBe("cpu");
    expect(z.tolist_sync()).toEqual([
      [2, 4],
      [3, 5],
    ]);
    expect((await y.to_async({ device: "cpu", dtype: torch.float64 })).dtype).toBe(torch.float64);
    expect((await z.to_async("webgpu")).device.type).toBe("webgpu");
    expect((await torch.ones(0, { device: "webgpu" }).to_async("cpu")).shape).toEqual([0]);
  });
  it("gradients flow back through to_async", async () => {
    const x = torch.ones(3, { device: "webgpu", requires_grad: true });
    const y = await x.mul(2).to_async("cpu");
    y.mul(torch.tensor([1, 10, 100], { dtype: torch.float32 }))
      .sum()
      .backward();
    expect(x.grad!.device.type).toBe("webgpu");
    expect(await x.grad!.tolist()).toEqual([2, 20, 200]);
  });
  it("modules with their gradients; state_dicts are saved from any device", async () => {
    const model = new nn.Sequential(new nn.Linear(3, 2), new nn.BatchNorm1d(2));
    const expected = await torch.io.save(model.state_dict());
    model.to("webgpu");
    expect(await torch.io.save(model.state_dict())).toEqual(expected);
    for (const p of model.parameters()) p.grad = p.detach().mul(2);
    const weight = [...model.parameters()][0]!;
    expect(() => model.to("cpu")).toThrow(torch.RuntimeError);
    expect(await model.to_async("cpu")).toBe(model);
    expect([...model.parameters()][0]).toBe(weight);
    for (const p of model.parameters()) expect(p.grad!.data_sync()).toEqual(p.mul(2).data_sync());
    expect(await torch.io.save(model.state_dict())).toEqual(expected);
    const loaded = await torch.io.load(expected, { device: "webgpu" });
    model.to("webgpu");
    model.load_state_dict(loaded);
    expect(await torch.io.save(model.state_dict())).toEqual(expected);
  });
  it("integers: what fits 32 bits; else an error that says so", async () => {
    const big = torch.tensor([1n, 2n ** 40n]);
    expect(() => big.to("webgpu")).toThrow(/1099511627776 does not fit/);
    expect(() => torch.ones(2, { dtype: torch.float64 }).to("webgpu")).toThrow(torch.NotImplementedError);
    const x = torch.tensor([-5, 2147483647]).to("webgpu");
    expect(x.dtype).toBe(torch.int64);
    expect(await x.tolist()).toEqual([-5, 2147483647]);
  });
});

describe("GPUBuffers", () => {
  const WGSL = `
    @group(0) @binding(0) var<storage, read> x: array<f32>;
    @group(0) @binding(1) var<storage, read_write> y: array<f32>;
    @compute @workgroup_size(4) fn main(@builtin(global_invocation_id) id: vec3u) { y[id.x] = x[id.x] * 10.0; }`;

  it("a tensor's memory as input, a buffer of one's own as a tensor, in the order of the submissions", async () => {
    const device = torch.webgpu.device();
    const x = torch.arange(8, { device: "webgpu", dtype: torch.float32 }).view(2, 4).add(1);
    const row = x.select(0, 1);
    await expect(x.t().gpu_buffer()).rejects.toThrow(/contiguous/);
    await expect(torch.ones(1).gpu_buffer()).rejects.toThrow(/webgpu/);
    const part = await x.gpu_buffer();
    expect((await row.gpu_buffer()).offset).toBe(part.offset + 16);
    expect(part.size).toBe(32);

    const result = device.createBuffer({ size: 32, usage: 0x80 | 4 | 8 });
    const y = torch.from_gpu_buffer(result, { shape: [2, 4] });
    const pipeline = device.createComputePipeline({
      layout: "auto",
      compute: { module: device.createShaderModule({ code: WGSL }), entryPoint: "main" },
    });
    const group = device.createBindGroup({
      layout: pipeline.getBindGroupLayout(0),
      entries: [
        { binding: 0, resource: part },
        { binding: 1, resource: { buffer: result } },
      ],
    });
    const encoder = device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, group);
    pass.dispatchWorkgroups(2);
    pass.end();
    device.queue.submit([encoder.finish()]);
    expect(await y.add(0.5).tolist()).toEqual([
      [10.5, 20.5, 30.5, 40.5],
      [50.5, 60.5, 70.5, 80.5],
    ]);
    y.mul_(2); // into the buffer itself
    expect([...(await torch.from_gpu_buffer(result, { offset: 16 }).data())]).toEqual([100, 120, 140, 160]);
    result.destroy();
  });
  it("what does not fit is refused", () => {
    const device = torch.webgpu.device();
    const small = device.createBuffer({ size: 16, usage: 0x80 | 4 | 8 });
    expect(() => torch.from_gpu_buffer(small, { shape: [5] })).toThrow(/takes 20 bytes; the buffer has 16/);
    expect(() => torch.from_gpu_buffer(small, { offset: 2 })).toThrow(/multiple of 4/);
    const unreadable = device.createBuffer({ size: 16, usage: 8 });
    expect(() => torch.from_gpu_buffer(unreadable)).toThrow(/STORAGE, COPY_SRC and COPY_DST/);
    small.destroy();
    unreadable.destroy();
  });
});

describe("memory", () => {
  /** A small network's training step, with views, in-place updates and a fresh batch. */
  function trainer(): { step: () => torch.Tensor } {
    const model = new nn.Sequential(new nn.Linear(16, 32), new nn.Tanh(), new nn.Linear(32, 4)).to("webgpu");
    return {
      step() {
        const x = torch.randn(8, 16).to("webgpu");
        model.zero_grad();
        const loss = model.forward(x).pow(2).mean();
        loss.backward();
        torch.no_grad(() => [...model.parameters()].forEach((p) => p.sub_(p.grad!.mul(0.1))));
        return loss;
      },
    };
  }

  it.each([
    [200, 1],
    [500, 25],
    [1000, 1000],
  ])("is flat over %i training steps without annotation, with a value read every %i steps", async (steps, every) => {
    const { step } = trainer();
    const reserved: number[] = [];
    for (let i = 1; i <= steps; i++) {
      const loss = step();
      if (i % every === 0) expect(Number.isFinite(await loss.item())).toBe(true);
      if (i % (steps / 5) === 0) reserved.push(torch.memory_stats("webgpu").reserved_bytes);
    }
    expect(Math.max(...reserved)).toBeLessThan(reserved[0]! * 1.25 + (1 << 20));
    expect(torch.memory_stats("webgpu").allocated_bytes).toBeLessThan(1 << 20);
  });
});
