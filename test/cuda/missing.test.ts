/** Machines on which something of CUDA is missing: what is said, and that everything else goes on. */

import { standIns, unavailable } from "./environment.ts";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import type { CudaFactory } from "../../ts/core/accelerators.ts";
import { cudaFactory } from "../../gpu/cuda/init.ts";
import { nodeCuda } from "../../gpu/cuda/platform.node.ts";
import { nodePlatform } from "../../wasm/device/platform.node.ts";

const folder = mkdtempSync(join(tmpdir(), "kindling-missing-"));
afterAll(() => rmSync(folder, { recursive: true }));

// This process' own torch finds no driver.
process.env.KINDLING_CUDA_LIB_DIRS = folder;
const torch = await import("kindling");

function factoryOf(settings: Record<string, string>): CudaFactory {
  const platform = nodeCuda(nodePlatform());
  return cudaFactory({ ...platform, setting: (name) => settings[name] });
}

describe.skipIf(unavailable !== null)("without a driver", () => {
  it("torch.cuda is not available, and says why", () => {
    expect(torch.cuda.is_available()).toBe(false);
    expect(torch.cuda.device_count()).toBe(0);
    expect(torch.cuda.unavailable_reason()).toMatch(/no NVIDIA driver/);
    expect(torch.cuda.libraries()!.driver.searched.join()).toContain(folder);
  });
  it("a move there names what is missing and where it was looked for", () => {
    expect(() => torch.ones(2).to("cuda")).toThrow(torch.RuntimeError);
    expect(() => torch.ones(2).to("cuda")).toThrow(/driver.*install.*libcuda/s);
    expect(() => torch.ones(2).to("cuda:1")).toThrow(folder);
  });
  it("accelerator() moves on, and the cpu works", async () => {
    expect(["webgpu", "cpu"]).toContain(await torch.accelerator());
    expect(torch.ones(3).sum().item_sync()).toBe(3);
  });
});

describe.skipIf(unavailable !== null)("with a driver", () => {
  it("and no NVRTC: the reason names it and how to get it", () => {
    const other = join(folder, "driver");
    mkdirSync(other);
    symlinkSync(join(standIns, "libcuda.so.1"), join(other, "libcuda.so.1"));
    const factory = factoryOf({ KINDLING_CUDA_LIB_DIRS: other, KINDLING_CUDA_LIB_ONLY: "1" });
    expect(factory.why()).toMatch(/NVRTC.*pip install nvidia-cuda-nvrtc/s);
    expect(() => factory.open(0)).toThrow(/NVRTC/);
  });
  it("and a device number that does not exist", () => {
    const factory = factoryOf({ KINDLING_CUDA_LIB_DIRS: standIns, KINDLING_CUDA_LIB_ONLY: "1" });
    expect(factory.why()).toBeNull();
    expect(() => factory.open(9)).toThrow(/no device cuda:9/);
  });
  it("a bad setting is an error", () => {
    const settings = { KINDLING_CUDA_LIB_DIRS: standIns, KINDLING_CUDA_LIB_ONLY: "1", KINDLING_CUDA_MEMORY_LIMIT: "lots" };
    expect(() => factoryOf(settings).open(0)).toThrow(/KINDLING_CUDA_MEMORY_LIMIT is "lots"/);
  });
});

it("without the addon: the reason says where it was looked for", () => {
  const platform = nodeCuda(nodePlatform());
  const factory = cudaFactory({ ...platform, addon: () => ({ missing: "the addon is not installed (looked for nowhere)" }) });
  expect(factory.why()).toContain("looked for nowhere");
  expect(factory.deviceCount()).toBe(0);
  expect(factory.probe()).toBeNull();
  expect(() => factory.open(0)).toThrow(/not installed/);
});
