/** What the cpu device needs of the system that it runs on. Everything that differs between Node and browsers is behind this. */

/** The two kernel modules, each built in two variants. */
export type WasmFile = `kernels_${"cpp" | "as"}.${"simd" | "relaxed"}`;

export interface PlatformWorker {
  postMessage(message: unknown): void;
  /** Called once when the worker cannot start or dies. */
  onError(callback: (error: Error) => void): void;
  terminate(): void;
}

export interface Platform {
  /** How many threads the machine runs at once. */
  readonly concurrency: number;
  /** Why there can be no threads (no cross-origin isolation, say), or null when there can. */
  readonly threadsUnavailable: string | null;
  /** Whether the calling thread may sleep in Atomics.wait; a browser's main thread may not. */
  readonly canBlock: boolean;
  /** A setting by the name of its environment variable. */
  setting(name: string): string | undefined;
  compile(file: WasmFile): Promise<WebAssembly.Module>;
  /** Starts a thread that runs worker.ts. Throws when it cannot. */
  createWorker(): PlatformWorker;
  /** Collects garbage now, so that every WeakRef to a dead object is empty afterwards. Absent where a program cannot ask for it. */
  collect?(): void;
  /** The same for objects that have not lived long: much cheaper, and enough most of the time. Absent where it would find nothing. */
  collectYoung?(): void;
  /** Lets go of the targets of WeakRefs made or read in the current job, which the language keeps alive until the job ends. */
  releaseKept?(): void;
  /**
   * Where there is no `collect`: collects what died in earlier jobs, or at least makes the collector do so sooner. `bytes`: how much memory
   * of ours hangs on it.
   */
  collectEarlier?(bytes: number): void;
  /** Resolves in a later macrotask, when the objects that this job kept alive may go. */
  macrotask(): Promise<void>;
}
