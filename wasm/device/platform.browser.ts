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
    compile: (file) => compile(wasmUrls[file]),
    createWorker,
    collectEarlier: earlierCollector(),
    macrotask: macrotasks(),
  };
}

/** More than any machine gives, and not more than an ArrayBuffer may have in V8. */
const IMPOSSIBLE_BYTES = 2 ** 34;

/**
 * Pages cannot call the garbage collector, and it hardly ever runs by itself: a training step makes little garbage of JavaScript's own,
 * whatever the memory that hangs on it. But V8 collects everything before it lets an allocation fail, so we ask for the impossible
 * (12 ms in Chromium 156). Other engines get a hint: an allocation, dropped at once, that counts; its pages are never touched.
 */
function earlierCollector(): (bytes: number) => void {
  let canary: WeakRef<object> | null = null;
  return (bytes) => {
    try {
      new ArrayBuffer(IMPOSSIBLE_BYTES);
    } catch {}
    if (canary?.deref() !== undefined) {
      try {
        new ArrayBuffer(Math.min(bytes, 256 << 20));
      } catch {}
    }
    canary = new WeakRef({}); // this job's end lets go of it
  };
}

/** Through a channel: timers that follow each other are held back by 4 ms each. */
function macrotasks(): () => Promise<void> {
  const { port1, port2 } = new MessageChannel();
  let waiting: (() => void)[] = [];
  port1.onmessage = () => {
    const ready = waiting;
    waiting = [];
    for (const resolve of ready) resolve();
  };
  return () =>
    new Promise((resolve) => {
      waiting.push(resolve);
      port2.postMessage(null);
    });
}

/** What to do where a file that the library loads is not where it looks. */
const REMEDY =
  "the library loads its kernels (*.wasm) and worker.js from beside its bundle; where a bundler leaves them behind, copy them there from " +
  'node_modules/kindling/dist (for Vite\'s development server: optimizeDeps: { exclude: ["kindling"] })';

async function compile(url: URL): Promise<WebAssembly.Module> {
  const response = await fetch(url).catch((error: unknown) => {
    throw new RuntimeError(`cannot load ${url.href}: ${String(error)}; ${REMEDY}`);
  });
  if (!response.ok) throw new RuntimeError(`cannot load ${url.href}: HTTP status ${response.status}; ${REMEDY}`);
  const type = response.headers.get("content-type") ?? "";
  // Servers of single pages answer with the page where there is no such file.
  if (type.startsWith("text/html")) throw new RuntimeError(`cannot load ${url.href}: it is a page; ${REMEDY}`);
  return type === "application/wasm" ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}

function createWorker(): PlatformWorker {
  const worker = new Worker(new URL("../../build/worker.js", import.meta.url), { type: "module", name: "kindling" });
  return {
    postMessage: (message) => worker.postMessage(message),
    onError(callback) {
      worker.onerror = (event) => callback(new RuntimeError(event.message || `a worker could not be loaded: ${REMEDY}`));
    },
    terminate: () => worker.terminate(),
  };
}
