/**
 * The words in shared memory through which threads meet. Numbers are 32-bit word positions after CONTROL_BASE.
 *
 * A job is open while STATE is odd. The main thread writes the job, opens it, takes tasks as everybody does, closes the job and waits until
 * ACTIVE is 0. A worker that sees an open job adds itself to ACTIVE and looks at STATE again: if the job is still the same it may take
 * tasks, otherwise it leaves. So nobody touches a job that is over, and the main thread waits only for workers that really joined.
 */

export const enum Control {
  STATE = 0,
  /** Workers that wait asleep on STATE. */
  SLEEPERS = 1,
  KERNEL = 2,
  PARAMS = 3,
  TASKS = 4,
  /** Workers with a number below this take part. */
  PARTICIPANTS = 5,
  /** Workers that have booted. */
  READY = 6,
  /** Set by a worker whose kernel trapped. */
  FAILED = 7,
  // Counters that all threads write lie on cache lines of their own.
  NEXT = 16,
  ACTIVE = 32,
  WORDS = 64,
}

/** What a worker is told when it starts. */
export interface WorkerStart {
  readonly memory: WebAssembly.Memory;
  readonly modules: readonly WebAssembly.Module[];
  /** The kernels' names, so that a worker with other code notices. */
  readonly names: readonly string[];
  readonly index: number;
  readonly controlBase: number;
  readonly stackTop: number;
  readonly scratch: number;
}
