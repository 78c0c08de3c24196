/**
 * The tests of kernels once more, on the CUDA device with the stand-ins. A device that only records goes first, so that the kernels of a
 * whole file are compiled in few units.
 */

import { unavailable } from "./environment.ts";
import { it, vi } from "vitest";
import type { CudaDevice } from "../../gpu/cuda/device.ts";
import type * as harness from "../gpu/harness.ts";

type Harness = typeof harness;

const targets = await vi.hoisted(async () => {
  const { unavailable: why } = await import("./environment.ts");
  if (why !== null) return null;
  const { cudaFactory } = await import("../../gpu/cuda/init.ts");
  const { nodeCuda } = await import("../../gpu/cuda/platform.node.ts");
  const { cudaRecordingDevice } = await import("../gpu/cuda_recording.ts");
  const { control } = await import("./native.ts");
  const { settings } = await import("../../ts/core/settings.ts");
  const collector = { macrotask: () => new Promise<void>((resolve) => setTimeout(resolve, 0)) };
  const device = cudaFactory(nodeCuda(collector)).open(0) as CudaDevice;
  control("order shuffle:11");
  // Our own kernels are what is tested here.
  Object.assign(settings, { blasLibrary: "kindling", cudnnEnabled: false });
  return { device, recorder: cudaRecordingDevice(device.gpuCaps) };
});

vi.mock("../gpu/harness.ts", async (original) => {
  const harness = await original<Harness>();
  if (targets === null) return harness;
  const { device, recorder } = targets;
  /** Compiles what was recorded since the last time. */
  const compile = async (): Promise<void> => {
    const { programs } = device.backend;
    const functions = [...recorder.backend.kernels.values()].map(({ program, aliases }) => programs.get(program, aliases));
    recorder.backend.kernels.clear();
    await programs.compile(functions);
  };
  const check: Harness["check"] = async (target, test) => {
    if (target.device === recorder.device) return recorder.backend.onlyRecord(() => harness.evaluate(target.device, test));
    await compile();
    return harness.check(target, test);
  };
  const target = (name: string, d: Harness["devices"][number]["device"]) => ({ name, device: d, slow: true, wide: true });
  const devices = [target("recording", recorder.device), target("cuda", device)];
  return { ...harness, devices, matrixDevices: devices, check };
});

// The first test of a file waits for all kernels of that file.
vi.setConfig({ testTimeout: 600_000 });

if (unavailable === null) await import("../gpu/kernel_tests.ts");
else it.skip(unavailable);
