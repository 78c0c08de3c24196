/** The thread pool, seen from the thread that launches kernels. The protocol is described in control.ts. */

import { RuntimeError } from "../../ts/core/errors.ts";
import { SCRATCH_BYTES } from "./context.ts";
import { Control, type WorkerStart } from "./control.ts";
import { CONTROL_BASE, type LinearMemory } from "./memory.ts";
import type { KernelFunction, Kernels, Modules } from "./modules.ts";
import type { Platform, PlatformWorker } from "./platform.ts";

/** As large as the stack that the linker gives the main thread. */
const STACK_BYTES = 64 << 10;
/** How long the main thread looks for the others to finish before it sleeps. */
const SPIN_MS = 0.1;

export interface PoolOptions {
  readonly platform: Platform;
  readonly memory: LinearMemory;
  readonly modules: Modules;
  readonly kernels: Kernels;
  readonly threads: number;
  /** Memory for a worker's stack and scratch. */
  readonly permanent: (nbytes: number) => number;
}

export class Pool {
  readonly #options: PoolOptions;
  readonly #control: Int32Array;
  readonly #workers: PlatformWorker[] = [];
  #threads: number;
  #broken = false;

  constructor(options: PoolOptions) {
    this.#options = options;
    this.#control = new Int32Array(options.memory.memory.buffer, CONTROL_BASE, Control.WORDS);
    this.#threads = options.threads;
  }

  get threads(): number {
    return this.#broken || this.#options.platform.threadsUnavailable !== null ? 1 : this.#threads;
  }
  set threads(n: number) {
    this.#threads = n;
    Atomics.store(this.#control, Control.PARTICIPANTS, n - 1);
  }
  /** Workers that have booted. */
  get ready(): number {
    return Atomics.load(this.#control, Control.READY);
  }

  /** Runs all tasks of a kernel, with whatever workers are there, and returns when all are done. */
  run(id: number, kernel: KernelFunction, params: number, tasks: number, scratch: number): void {
    if (this.#threads > 1 && this.#workers.length < this.#threads - 1 && !this.#broken) this.#start();
    const control = this.#control;
    if (this.#threads === 1 || this.#broken || Atomics.load(control, Control.READY) === 0) {
      for (let task = 0; task < tasks; task++) kernel(params, task, scratch);
      return;
    }
    control[Control.KERNEL] = id;
    control[Control.PARAMS] = params;
    control[Control.TASKS] = tasks;
    Atomics.store(control, Control.NEXT, 0);
    Atomics.add(control, Control.STATE, 1);
    // Notifying is a system call: only when somebody sleeps. All are woken, as some sleepers may not be among the participants.
    if (Atomics.load(control, Control.SLEEPERS) > 0) Atomics.notify(control, Control.STATE);
    let failed: boolean;
    try {
      for (;;) {
        const task = Atomics.add(control, Control.NEXT, 1);
        if (task >= tasks) break;
        kernel(params, task, scratch);
      }
    } finally {
      // Also after a trap: the memory of the job must not be reused under a worker's hands.
      Atomics.add(control, Control.STATE, 1);
      this.#wait();
      failed = Atomics.exchange(control, Control.FAILED, 0) !== 0;
    }
    if (failed) {
      throw new RuntimeError(`cpu: kernel ${this.#options.kernels.names[id]} failed in a worker thread`);
    }
  }

  /** Ends all workers; from then on everything runs on the calling thread. */
  terminate(): void {
    this.#broken = true;
    for (const worker of this.#workers) worker.terminate();
  }

  #wait(): void {
    const control = this.#control;
    if (Atomics.load(control, Control.ACTIVE) === 0) return;
    const until = performance.now() + SPIN_MS;
    for (;;) {
      for (let i = 0; i < 100; i++) if (Atomics.load(control, Control.ACTIVE) === 0) return;
      if (this.#options.platform.canBlock && performance.now() > until) {
        const active = Atomics.load(control, Control.ACTIVE);
        if (active !== 0) Atomics.wait(control, Control.ACTIVE, active, 10);
      }
    }
  }

  /** Starts the missing workers. They join once they have booted; nobody waits for that. */
  #start(): void {
    const { platform, memory, modules, kernels, permanent } = this.#options;
    if (platform.threadsUnavailable !== null) {
      this.#giveUp(platform.threadsUnavailable);
      return;
    }
    Atomics.store(this.#control, Control.PARTICIPANTS, this.#threads - 1);
    try {
      while (this.#workers.length < this.#threads - 1) {
        const worker = platform.createWorker();
        worker.onError((error) => this.#giveUp(error.message));
        const own = permanent(STACK_BYTES + SCRATCH_BYTES);
        const start: WorkerStart = {
          memory: memory.memory,
          modules,
          names: kernels.names,
          index: this.#workers.length,
          controlBase: CONTROL_BASE,
          stackTop: own + STACK_BYTES,
          scratch: own + STACK_BYTES,
        };
        this.#workers.push(worker);
        worker.postMessage(start);
      }
    } catch (error) {
      this.#giveUp((error as Error).message);
    }
  }

  #giveUp(reason: string): void {
    if (this.#broken) return;
    this.terminate();
    console.warn(`kindling: the cpu device runs on one thread: ${reason}`);
  }
}
