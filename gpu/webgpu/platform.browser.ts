/** WebGPU in browsers and their workers. */

import { RuntimeError } from "../../ts/core/errors.ts";
import type { Collector } from "../memory.ts";
import type { WebGpuPlatform } from "./init.ts";

export function browserWebGpu(collector: Collector, settings: Readonly<Record<string, string>> = {}): WebGpuPlatform {
  return {
    gpu: async () => {
      const { gpu } = navigator as { gpu?: GPU };
      if (gpu !== undefined) return gpu;
      throw new RuntimeError(
        globalThis.isSecureContext
          ? "webgpu: this browser has no WebGPU (navigator.gpu is missing); a current Chrome, Edge, Safari or Firefox has it"
          : "webgpu: browsers give WebGPU to secure pages only: serve this one over https, or from localhost",
      );
    },
    adapterAdvice:
      "The browser may have blocked the GPU or its driver (see chrome://gpu), or WebGPU may be switched off in its settings; without a GPU, Chrome takes --enable-unsafe-webgpu --use-webgpu-adapter=swiftshader for tests.",
    setting: (name) => settings[name],
    emulates: false, // only when told to
    collector,
  };
}
