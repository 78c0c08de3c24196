/** Node: threads are worker_threads, kernels are read from files. */

import { readFile } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { setFlagsFromString } from "node:v8";
import { Script, createContext } from "node:vm";
import { Worker } from "node:worker_threads";
import { RuntimeError } from "../../ts/core/errors.ts";
import { wasmUrls } from "./assets.ts";
import type { Platform, PlatformWorker } from "./platform.ts";

export function nodePlatform(): Platform {
  return {
    concurrency: availableParallelism(),
    threadsUnavailable: null,
    canBlock: true,
    setting: (name) => process.env[name],
    compile: async (file) => WebAssembly.compile(await readFile(wasmUrls[file])),
    createWorker,
    ...collector(),
    macrotask: () => new Promise((resolve) => setImmediate(resolve)),
  };
}

function createWorker(): PlatformWorker {
  const worker = new Worker(new URL("../../build/worker.js", import.meta.url), {
    // Loaders and inspectors of the main thread are not for us; the heap holds hardly anything.
    execArgv: [],
    env: {},
    name: "kindling",
    resourceLimits: { maxOldGenerationSizeMb: 64, maxYoungGenerationSizeMb: 4 },
  });
  worker.unref();
  return {
    postMessage: (message) => worker.postMessage(message),
    onError(callback) {
      worker.once("error", callback);
      worker.once("exit", (code) => callback(new RuntimeError(`the worker thread ended with exit code ${code}`)));
    },
    terminate: () => void worker.terminate(),
  };
}

/**
 * A synchronous collection that also empties WeakRefs made or read in the current job. V8 keeps those targets alive until the
 * microtask checkpoint (the "kept objects" of the language), which a fully synchronous training loop never reaches; but a context with a
 * microtask queue of its own has its checkpoint after each script, and that one clears the list for the whole isolate.
 */
function collector(): Pick<Platform, "collect" | "collectYoung" | "releaseKept"> {
  try {
    setFlagsFromString("--expose-gc");
    const context = createContext({}, { microtaskMode: "afterEvaluate" });
    const gc = new Script("gc").runInContext(context) as (options?: { type: "minor" }) => void;
    const checkpoint = new Script("0");
    const releaseKept = (): void => checkpoint.runInContext(context);
    const collectYoung = (): void => {
      releaseKept();
      gc({ type: "minor" });
    };
    const collect = (): void => {
      releaseKept();
      gc();
    };
    // Older V8 (Node 20 to 24) clears WeakRefs in major collections only.
    const probe = weakRefToNothing();
    collectYoung();
    return probe.deref() === undefined ? { releaseKept, collect, collectYoung } : { releaseKept, collect };
  } catch {
    return {}; // runtimes that only resemble Node
  }
}

/** In a function of its own, so that no register of the caller's frame keeps the object alive. */
const weakRefToNothing = (): WeakRef<object> => new WeakRef({});
