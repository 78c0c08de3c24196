/** Workers of Node. */

import { parentPort, Worker, type TransferListItem } from "node:worker_threads";
import { RuntimeError } from "../core/errors.ts";
import { setWorkerPlatform, type WorkerClass } from "./worker.ts";

setWorkerPlatform({
  Worker: Worker as unknown as WorkerClass,
  port: parentPort && {
    postMessage: (message, transfer = []) => parentPort!.postMessage(message, transfer as TransferListItem[]),
    listen: (listener) => parentPort!.on("message", listener),
  },
  listen(handle, onMessage, onError) {
    const worker = handle as unknown as Worker;
    worker.on("message", onMessage);
    worker.on("messageerror", onError);
    worker.on("error", onError);
    worker.on("exit", (code) => onError(new RuntimeError(`run_in_worker: the worker ended with exit code ${code}`)));
  },
  turn: () => new Promise((resolve) => setImmediate(resolve)),
  shares: true,
});
