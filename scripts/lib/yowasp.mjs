/** Runs the npm LLVM in worker threads: its tools are WebAssembly and occupy the thread they run on. */

import { availableParallelism, totalmem } from "node:os";
import { Worker, isMainThread, parentPort } from "node:worker_threads";
import { StepError } from "./project.mjs";

/** Each worker holds a compiler of several hundred megabytes. */
const MOST_WORKERS = Math.max(1, Math.min(availableParallelism(), 4, Math.floor(totalmem() / 2 ** 30 / 2)));

export class YowaspPool {
  #idle = [];
  #all = [];
  #waiting = [];

  /** Runs one tool over a virtual file tree and returns the bytes of one output file. */
  run(job) {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ job, resolve, reject });
      this.#feed();
    });
  }

  close() {
    for (const worker of this.#all) void worker.terminate();
  }

  #feed() {
    while (this.#waiting.length > 0) {
      if (this.#idle.length === 0 && this.#all.length < MOST_WORKERS) {
        const worker = new Worker(new URL(import.meta.url));
        this.#all.push(worker);
        this.#idle.push(worker);
      }
      const worker = this.#idle.pop();
      if (!worker) return;
      const { job, resolve, reject } = this.#waiting.shift();
      const failed = (error) => reject(error);
      worker.once("error", failed);
      worker.once("message", ({ bytes, log, error }) => {
        worker.off("error", failed);
        this.#idle.push(worker);
        if (bytes) resolve(bytes);
        else reject(new StepError(`${job.what} failed:\n${(log || error).trim()}`));
        this.#feed();
      });
      worker.postMessage(job);
    }
  }
}

/** File paths with folders become the nested tree that the tools take. */
function treeOf(files) {
  const tree = {};
  for (const [path, bytes] of Object.entries(files)) {
    const folders = path.split("/");
    const name = folders.pop();
    folders.reduce((node, folder) => (node[folder] ??= {}), tree)[name] = bytes;
  }
  return tree;
}

if (!isMainThread) {
  const { commands, runLLVM } = await import("@yowasp/clang");
  // The first run loads the compiler; asked for here, it does so without a progress report of its own.
  await runLLVM(["wasm-ld", "--version"], {}, { stdout: null, fetchProgress: () => {} });
  parentPort.on("message", async ({ tool, args, files, output }) => {
    let log = "";
    const decoder = new TextDecoder();
    const listen = (bytes) => (log += bytes ? decoder.decode(bytes, { stream: true }) : "");
    try {
      const options = { stdout: listen, stderr: listen, decodeASCII: false };
      const result = await commands[tool](args.slice(1), treeOf(files), options);
      parentPort.postMessage({ bytes: result[output], log });
    } catch (error) {
      parentPort.postMessage({ log, error: String(error?.stack ?? error) });
    }
  });
}
