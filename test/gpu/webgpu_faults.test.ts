/** What goes wrong on the WebGPU device is a typed error, and the program goes on. */

import { spawnSync } from "node:child_process";
import { afterEach, describe, expect, it } from "vitest";
import * as torch from "kindling";
import { KernelBuilder } from "../../gpu/builder.ts";
import { createWebGpuDevice } from "../../gpu/webgpu/init.ts";
import { nodeWebGpu } from "../../gpu/webgpu/platform.node.ts";
import { bundleTool } from "../../scripts/lib/bundle.mjs";
import { nodePlatform } from "../../wasm/device/platform.node.ts";
import { affine, bufferOf, contextOf, floats, platform, viewOf, webgpu } from "./webgpu_tools.ts";

const { nn } = torch;
const programs = await bundleTool("test/gpu/fault_programs/main.ts");

describe("a device that is lost", () => {
  it("in mid-training: typed errors, cpu tensors intact, and the program goes on with a new device", async () => {
    await torch.webgpu.init({ limits: "maximal" });
    torch.manual_seed(0);
    const model = new nn.Linear(4, 1);
    const x = torch.randn(8, 4);
    const y = x.sum(1, true).detach();
    const start = await torch.io.save(model.state_dict());
    const train = async (steps: number): Promise<number> => {
      const step = (p: torch.Tensor): unknown => p.sub_(p.grad!.mul(0.1));
      const [gx, gy] = [x.to("webgpu"), y.to("webgpu")];
      let last = NaN;
      for (let i = 0; i < steps; i++) {
        model.zero_grad();
        const loss = model.forward(gx).sub(gy).pow(2).mean();
        loss.backward();
        torch.no_grad(() => [...model.parameters()].forEach(step));
        if (i === 3 && steps > 5) torch.webgpu.destroy();
        last = (await loss.item()) as number;
      }
      return last;
    };
    model.to("webgpu");
    const error = await train(10).then(
      () => null,
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(torch.DeviceLostError);
    expect(String(error)).toMatch(/await torch\.webgpu\.init\(\)/);
    // Everything on the lost device throws, at once.
    expect(() => model.forward(x.to("webgpu"))).toThrow(torch.DeviceLostError);
    await expect(model.weight.data()).rejects.toThrow(torch.DeviceLostError);
    await expect(torch.webgpu.synchronize()).rejects.toThrow(torch.DeviceLostError);
    expect(await x.sum().item()).toBeCloseTo((await y.sum().item()) as number, 4);

    await torch.webgpu.init();
    const stale = model.weight;
    await expect((async () => stale.add(torch.ones(1, 4, { device: "webgpu" })).data())()).rejects.toThrow(torch.RuntimeError);
    const fresh = new nn.Linear(4, 1);
    fresh.load_state_dict(await torch.io.load(start));
    Object.assign(model, { weight: fresh.weight, bias: fresh.bias });
    model.to("webgpu");
    expect(await train(5)).toBeLessThan(10);
    await model.to_async("cpu");
    expect(model.weight.device.type).toBe("cpu");
    expect(Number.isFinite(await model.weight.sum().item())).toBe(true);
  });

  it("destroyed behind our back, it is replaced by init", async () => {
    await torch.webgpu.init();
    const x = torch.ones(2, { device: "webgpu" }).add(1);
    await x.data();
    torch.webgpu.device().destroy();
    await torch.webgpu.init();
    await expect(x.data()).rejects.toThrow(torch.DeviceLostError);
    expect(await torch.ones(2, { device: "webgpu" }).add(2).tolist()).toEqual([3, 3]);
    torch.webgpu.destroy();
    await torch.webgpu.init();
    expect(await torch.ones(1, { device: "webgpu" }).tolist()).toEqual([1]);
  });

  it("ends reads that are on their way, and what was recorded but not sent", async () => {
    const device = await webgpu();
    const x = bufferOf(device, Float32Array.of(1, 2, 3));
    const reads = [floats(device, x), device.read(x, 0, 4), device.synchronize()];
    device.destroy();
    const after = floats(device, x).catch((e: unknown) => e);
    for (const outcome of await Promise.allSettled(reads)) {
      if (outcome.status === "rejected") expect(outcome.reason).toBeInstanceOf(torch.DeviceLostError);
    }
    expect(await after).toBeInstanceOf(torch.DeviceLostError);
    await expect(floats(device, x)).rejects.toThrow(torch.DeviceLostError);
    expect(() => device.alloc(4, torch.float32)).toThrow(torch.DeviceLostError);
    expect(device.lost).toBe(true);
    device.free(x);
    expect(device.memoryStats().reserved_bytes).toBe(0);
  });
});

describe("memory", () => {
  it("a buffer over the device's limit is refused at once", async () => {
    const device = await webgpu({ limits: "minimal" });
    expect(() => device.alloc(256 << 20, torch.float32)).toThrow(torch.OutOfMemoryError);
    expect(() => device.alloc(256 << 20, torch.float32)).toThrow(/256\.0 MiB.*limit is 128\.0 MiB/);
    const x = bufferOf(device, Float32Array.of(1));
    expect(await floats(device, x)).toEqual([1]);
    device.destroy();
  });

  it("a limit set for all memory holds, after what is dead has been given back", async () => {
    const device = await webgpu({ memory_limit: 8 << 20 });
    const keep = device.alloc(4 << 20, torch.float32);
    for (let i = 0; i < 20; i++) device.alloc(3 << 20, torch.float32); // all dead at once
    expect(() => [device.alloc(3 << 20, torch.float32), device.alloc(3 << 20, torch.float32)]).toThrow(torch.OutOfMemoryError);
    const again = device.alloc(3 << 20, torch.float32);
    expect(device.memoryStats().reserved_bytes).toBeLessThan(16 << 20);
    device.free(keep);
    device.free(again);
    device.destroy();
  });

  it("where the driver has none left, whoever waits for the values learns it, and others do not", async () => {
    const device = await webgpu();
    const context = contextOf(device);
    const good = bufferOf(device, Float32Array.of(1, 2));
    affine(context, viewOf(good), viewOf(good), 2, 1, 0, "elementwise"); // the kernel is compiled
    expect(await floats(device, good)).toEqual([1, 2]);
    // The next buffer that is made fails as a driver's would: it is invalid, and the scope says out of memory.
    const { gpu } = device;
    const { createBuffer, popErrorScope } = gpu;
    const error = Object.assign(Object.create({ constructor: { name: "GPUOutOfMemoryError" } }) as object, {
      message: "no more",
    });
    gpu.createBuffer = (descriptor) => createBuffer.call(gpu, { ...descriptor, size: 2 ** 40, usage: 0x80 });
    gpu.popErrorScope = async () => {
      gpu.popErrorScope = popErrorScope;
      await popErrorScope.call(gpu);
      return error as GPUError;
    };
    gpu.pushErrorScope("validation");
    const bad = device.alloc(100_000, torch.float32);
    await gpu.popErrorScope();
    gpu.createBuffer = createBuffer;
    affine(context, viewOf(good), viewOf(bad), 2, 1, 0);
    const poisoned = device.alloc(8, torch.float32);
    affine(context, viewOf(bad), viewOf(poisoned), 2, 1, 0);
    await expect(floats(device, bad)).rejects.toThrow(torch.OutOfMemoryError);
    await expect(floats(device, bad)).rejects.toThrow(/tried to allocate .* MiB/);
    await expect(floats(device, poisoned)).rejects.toThrow(torch.OutOfMemoryError);
    affine(context, viewOf(poisoned), viewOf(poisoned), 2, 1, 0, "elementwise");
    await expect(floats(device, poisoned)).rejects.toThrow(torch.OutOfMemoryError);
    // What had nothing to do with it, and what is written anew, is fine.
    expect(await floats(device, good)).toEqual([1, 2]);
    device.write(poisoned, 0, new Uint8Array(8));
    expect(await floats(device, poisoned)).toEqual([0, 0]);
    device.free(bad);
    expect(await floats(device, bufferOf(device, new Float32Array(25_000)))).toHaveLength(25_000);
    device.destroy();
  });
});

describe("kernels", () => {
  it("that cannot be compiled poison what they should have written", async () => {
    const device = await webgpu();
    const context = contextOf(device);
    const k = new KernelBuilder("wrong", 1);
    const to = k.output("y", "f32");
    to.store(0, k.param("9nonsense", "f32")); // no name in WGSL
    const program = k.build();
    const x = bufferOf(device, Float32Array.of(1));
    const y = bufferOf(device, Float32Array.of(2));
    context.launch(program, { buffers: [viewOf(x)], params: { "9nonsense": 1 }, groups: 1 });
    affine(context, viewOf(y), viewOf(y), 1, 2, 0, "elementwise");
    await expect(floats(device, x)).rejects.toThrow(/the kernel wrong could not be compiled/);
    expect(await floats(device, y)).toEqual([4]);
    expect(() => context.launch(program, { buffers: [viewOf(y)], params: { "9nonsense": 1 }, groups: 1 })).toThrow(
      torch.RuntimeError,
    );
    expect(await floats(device, y)).toEqual([4]);
    device.destroy();
  });
  it("that need more storage buffers than the device has say so", async () => {
    const device = await webgpu({ limits: "minimal" });
    const context = contextOf(device);
    const k = new KernelBuilder("wide", 1);
    for (let i = 0; i < 9; i++) k.output(`b${i}`, "f32").store(0, i);
    const program = k.build();
    const buffers = Array.from({ length: 9 }, () => viewOf(bufferOf(device, Float32Array.of(1))));
    expect(() => context.launch(program, { buffers, params: {}, groups: 1 })).toThrow(
      "the kernel wide needs 9 storage buffers; this device's limit is 8",
    );
    device.destroy();
  });
});

describe("where WebGPU is missing", () => {
  it("no adapter: an error that says what was tried and what to install", async () => {
    const none = { ...platform, gpu: async () => ({ requestAdapter: async () => null }) as unknown as GPU };
    await expect(createWebGpuDevice(none)).rejects.toThrow(torch.RuntimeError);
    await expect(createWebGpuDevice(none)).rejects.toThrow(/no adapter \(asked for powerPreference "high-performance".*nstall/s);
  });
  it("the adapter gives no device: an error that names the adapter", async () => {
    const { gpu } = nodeWebGpu(nodePlatform());
    const real = (await (await gpu()).requestAdapter())!;
    const adapter = {
      info: real.info,
      limits: real.limits,
      features: real.features,
      requestDevice: () => Promise.reject(new TypeError("limits exceeded")),
    };
    const failing = { ...platform, gpu: async () => ({ requestAdapter: async () => adapter }) as unknown as GPU };
    await expect(createWebGpuDevice(failing)).rejects.toThrow(/gives no device: limits exceeded/);
  });
  it("a device that is not ready: the error says which await is missing", () => {
    const { stdout, status } = runProgram("missing", { VK_ICD_FILENAMES: "/nonexistent", VK_DRIVER_FILES: "/nonexistent" });
    const lines = stdout.trim().split("\n");
    expect(lines[0]).toMatch(/^RuntimeError: .*await torch\.webgpu\.init\(\)/);
    expect(lines[1]).toBe("false cpu");
    expect(lines[2]).toMatch(/^RuntimeError: webgpu: there is no adapter/);
    expect(lines[3]).toMatch(/^RuntimeError: Device 'webgpu' is not available: webgpu: there is no adapter/);
    expect(lines[4]).toBe("1");
    expect(status).toBe(0);
  });
});

it("a plain script ends by itself", () => {
  const { stdout, status, signal } = runProgram("plain", {});
  expect(stdout).toContain("[ 4, 4, 4, 4 ]");
  expect({ status, signal }).toEqual({ status: 0, signal: null });
});

afterEach(() => {
  expect(torch.ones(2).add(1).data_sync()).toEqual(Float32Array.of(2, 2));
});

function runProgram(
  name: string,
  env: Readonly<Record<string, string>>,
): { stdout: string; status: number | null; signal: string | null } {
  const { stdout, stderr, status, signal } = spawnSync(process.execPath, [programs, name], {
    env: { ...process.env, ...env },
    encoding: "utf8",
    timeout: 120_000,
  });
  if (status !== 0) console.error(stderr);
  return { stdout, status, signal };
}
