/** WebGPU in Node: the package `webgpu` (Dawn), which is not installed with this one. */

import { existsSync } from "node:fs";
import { RuntimeError } from "../../ts/core/errors.ts";
import type { Collector } from "../memory.ts";
import type { WebGpuPlatform } from "./init.ts";

/** What is used of the package. */
interface DawnModule {
  create(flags: string[]): GPU;
}

const ADVICE =
  process.platform === "linux"
    ? "Dawn works through Vulkan here: install the Vulkan loader (Debian and Ubuntu: apt-get install libvulkan1) and a driver for your GPU; " +
      "without a GPU, a software driver (mesa-vulkan-drivers) serves for tests. VK_ICD_FILENAMES may name the driver's file."
    : "Install a current driver for your GPU.";

/** Dawn rounds the GPU's clock to 65 µs, as browsers must, where pages could spy on others. Programs in Node get it exact. */
const FLAGS = ["disable-dawn-features=timestamp_quantization"];

/** Packages are looked up at run time, so that bundlers leave the import alone. */
async function importDawn(): Promise<DawnModule> {
  const name = "webgpu";
  try {
    return (await import(name)) as DawnModule;
  } catch (error) {
    const { code } = error as { code?: string };
    const why = error instanceof Error ? error.message : String(error);
    throw new RuntimeError(
      code === "ERR_MODULE_NOT_FOUND"
        ? "webgpu: in Node the package `webgpu` (Dawn) is needed: npm install webgpu"
        : `webgpu: the package \`webgpu\` could not be loaded: ${why}`,
    );
  }
}

/** Whether there is something that Dawn could work through: on Linux the Vulkan loader, where distributions put it. */
function hasLoader(): boolean {
  if (process.platform !== "linux") return true;
  const own = (process.env.LD_LIBRARY_PATH ?? "").split(":").filter((folder) => folder !== "");
  const multiarch = ["x86_64-linux-gnu", "aarch64-linux-gnu"].map((name) => `/usr/lib/${name}`);
  return [...own, ...multiarch, "/usr/lib", "/usr/lib64", "/usr/local/lib", "/run/opengl-driver/lib"].some((folder) =>
    ["libvulkan.so.1", "libvulkan.so"].some((name) => existsSync(`${folder}/${name}`)),
  );
}

export function nodeWebGpu(collector: Collector): WebGpuPlatform {
  // Kept for good: Dawn's objects do not outlive it.
  let gpu: GPU | null = null;
  const sleeper = new Int32Array(new SharedArrayBuffer(4));
  return {
    gpu: async () => (gpu ??= (globalThis as { navigator?: { gpu?: GPU } }).navigator?.gpu ?? (await importDawn()).create(FLAGS)),
    plausible: hasLoader,
    adapterAdvice: ADVICE,
    setting: (name) => process.env[name],
    emulates: true,
    collector,
    rest: (ms) => void Atomics.wait(sleeper, 0, 0, ms),
  };
}
