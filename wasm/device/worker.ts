/** A thread of the pool: boots once, then takes tasks from shared memory for ever. The same code in Node and in browsers. */

import { Control, type WorkerStart } from "./control.ts";
import { instantiate } from "./modules.ts";

/** How long a worker looks for the next job before it sleeps: launches of one training step follow each other closely. */
const SPIN_MS = 0.05;

function serve(start: WorkerStart): never {
  const { memory, controlBase, index, scratch } = start;
  const kernels = instantiate(start.modules, memory, start.stackTop);
  if (kernels.names.join() !== start.names.join()) throw new Error("the worker's kernels are not the main thread's");
  const { functions } = kernels;
  const control = new Int32Array(memory.buffer, controlBase, Control.WORDS);
  let seen = 0;
  Atomics.add(control, Control.READY, 1);
  for (;;) {
    const state = nextJob(control, index, seen);
    seen = state;
    Atomics.add(control, Control.ACTIVE, 1);
    if (Atomics.load(control, Control.STATE) === state) {
      try {
        const kernel = functions[control[Control.KERNEL]!]!;
        const params = control[Control.PARAMS]!;
        const tasks = control[Control.TASKS]!;
        for (;;) {
          const task = Atomics.add(control, Control.NEXT, 1);
          if (task >= tasks) break;
          kernel(params, task, scratch);
        }
      } catch {
        kernels.resetStack();
        Atomics.store(control, Control.FAILED, 1);
      }
    }
    if (Atomics.sub(control, Control.ACTIVE, 1) === 1) Atomics.notify(control, Control.ACTIVE);
  }
}

/** Waits for an open job other than `seen` that this worker may join; returns its STATE. */
function nextJob(control: Int32Array, index: number, seen: number): number {
  const until = performance.now() + SPIN_MS;
  for (;;) {
    const state = Atomics.load(control, Control.STATE);
    const mine = index < Atomics.load(control, Control.PARTICIPANTS);
    if ((state & 1) === 1 && state !== seen && mine) return state;
    if (!mine || performance.now() > until) {
      Atomics.add(control, Control.SLEEPERS, 1);
      Atomics.wait(control, Control.STATE, state);
      Atomics.sub(control, Control.SLEEPERS, 1);
    }
  }
}

interface Port {
  once(event: "message", listener: (start: WorkerStart) => void): void;
}
interface NodeProcess {
  getBuiltinModule?(name: string): { parentPort: Port | null };
}

const port = (globalThis as { process?: NodeProcess }).process?.getBuiltinModule?.("node:worker_threads").parentPort;
if (port) port.once("message", serve);
else globalThis.onmessage = (event: MessageEvent) => serve(event.data as WorkerStart);
