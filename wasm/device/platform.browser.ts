/** Browsers and their workers: threads are Web Workers and need cross-origin isolation; files are fetched from beside the bundle. */

import { RuntimeError } from "../../ts/core/errors.ts";
import { wasmUrls } from "./assets.ts";
import type { Platform, PlatformWorker } from "./platform.ts";

export function browserPlatform(settings: Readonly<Record<string, string>> = {}): Platform {
  const isolated = (globalThis as { crossOriginIsolated?: boolean }).crossOriginIsolated === true;
  return {
    concurrency: navigator.hardwareConcurrency ?? 1,
    threadsUnavailable: isolated
      ? null
      : "the page is not cross-origin isolated; serve it with the headers Cross-Origin-Opener-Policy: same-origin and Cross-Origin-Embedder-Policy: require-corp",
    canBlock: typeof (globalThis as { document?: unknown }).document === "undefined",
    setting: (name) => settings[name],
    compile: async (file) => {
      const response = await fetch(wasmUrls[file]);
      if (!response.ok) throw new RuntimeError(`cannot load ${response.url}: HTTP status ${response.status}`);
      return WebAssembly.compile(await response.arrayBuffer());
    },
    createWorker,
    pressure(bytes) {
      // Allocated and dropped at once: the engine counts it and collects sooner; untouched pages cost nothing.
      new ArrayBuffer(Math.min(bytes, 256 << 20));
    },
    macrotask: () => new Promise((resolve) => setTimeout(resolve, 0)),
  };
}

function createWorker(): PlatformWorker {
  const worker = new Worker(new URL("../../build/worker.js", import.meta.url), { type: "module", name: "kindling" });
  return {
    postMessage: (message) => worker.postMessage(message),
    onError(callback) {
      worker.onerror = (event) => callback(new RuntimeError(event.message || "the worker could not be loaded"));
    },
    terminate: () => worker.terminate(),
  };
}
