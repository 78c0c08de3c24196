/** Web Workers. */

import { RuntimeError } from "../core/errors.ts";
import { setWorkerPlatform, type WorkerClass, type WorkerPlatform } from "./worker.ts";

/** A dedicated worker's global scope. */
interface Scope {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}

const scope = (globalThis as { DedicatedWorkerGlobalScope?: unknown }).DedicatedWorkerGlobalScope
  ? (globalThis as unknown as Scope)
  : null;

const { port1, port2 } = new MessageChannel();
const turning: (() => void)[] = [];
port1.onmessage = () => {
  for (const resolve of turning.splice(0)) resolve();
};

const platform: WorkerPlatform = {
  Worker: globalThis.Worker as unknown as WorkerClass,
  port: scope && {
    postMessage: (message, transfer = []) => scope.postMessage(message, transfer),
    listen: (listener) => scope.addEventListener("message", (event) => listener(event.data)),
  },
  listen(handle, onMessage, onError) {
    const worker = handle as unknown as Worker;
    worker.addEventListener("message", (event) => onMessage(event.data));
    worker.addEventListener("messageerror", () => onError(new RuntimeError("run_in_worker: a message could not be decoded")));
    worker.addEventListener("error", (event) => {
      event.preventDefault(); // it is reported here
      const where = event.filename ? ` (${event.filename}:${event.lineno})` : "";
      onError(new RuntimeError(`run_in_worker: ${event.message || "the worker's file could not be loaded"}${where}`));
    });
  },
  // Timers that follow each other are held back by 4 ms each; a channel is not.
  turn: () =>
    new Promise((resolve) => {
      turning.push(resolve);
      port2.postMessage(null);
    }),
  shares: globalThis.crossOriginIsolated === true,
};
setWorkerPlatform(platform);

/**
 * @internal Tells the thread that started this worker, if it is one, of an error that ends its file: browsers themselves do not tell it
 * of what happens after a module's first `await`.
 */
export function announce(error: unknown): never {
  if (scope !== null) reportError(error);
  throw error;
}
