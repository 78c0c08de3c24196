/**
 * Training in a worker, so that a page stays responsive and a Node program goes on: a function declared with `worker_main` in the
 * worker's file, started with `run_in_worker` from another thread. The same code in browsers and in Node.
 */

import { RuntimeError } from "../core/errors.ts";
import { pack, packError, unpack, unpackError, type PackedError } from "./message.ts";

/** What a worker's main function is given first: its line to the thread that started it. */
export interface WorkerTask<Progress = unknown, Message = unknown> {
  /**
   * Sends a value to the other side, which meets it in `for await (const progress of run)`. Awaiting it lets messages in: then `stopped`
   * and `messages` are up to date, and memory can be reclaimed.
   */
  report(progress: Progress): Promise<void>;
  /** Whether `run.stop()` was called: time to return what there is. */
  readonly stopped: boolean;
  /** What `run.post()` sends; ends with `run.stop()`. */
  readonly messages: AsyncIterable<Message>;
  /** The oldest message that has come and has not been taken yet, without waiting. */
  take(): Message | undefined;
}

/** A function that runs in a worker. Arguments, reports, messages and results are structured clones, which may hold tensors. */
export type WorkerMain<Args extends readonly unknown[], Result, Progress = unknown, Message = unknown> = (
  task: WorkerTask<Progress, Message>,
  ...args: Args
) => Result | Promise<Result>;

/** @internal Any main function. */
export type AnyMain = (task: never, ...args: never[]) => unknown;
type ArgsOf<M> = M extends (task: never, ...args: infer A) => unknown ? A : never;
type ResultOf<M> = M extends (...args: never[]) => infer R ? Awaited<R> : never;
type TaskOf<M> = M extends (task: infer T, ...args: never[]) => unknown ? T : never;
type ProgressOf<M> = TaskOf<M> extends WorkerTask<infer P, infer _> ? P : never;
type MessageOf<M> = TaskOf<M> extends WorkerTask<infer _, infer Q> ? Q : never;

/** A run in a worker. `for await` over it meets every report since the start, and throws the worker's error. */
export interface WorkerRun<Progress, Result, Message> extends AsyncIterable<Progress> {
  /** What the main function returns; rejects with its error, of the same class, or when the worker dies or is terminated. */
  readonly result: Promise<Result>;
  /** Sends a message to the main function. */
  post(message: Message): void;
  /** Asks the main function to end, which it should by returning what it has; ends the worker where it has not after so many seconds. */
  stop(grace_seconds?: number): void;
  /** Ends the worker at once. */
  terminate(): void;
}

/** What is needed of a Worker, a browser's or one of Node's worker_threads. */
export interface WorkerHandle {
  postMessage(message: unknown, transfer?: never[]): void;
  terminate(): unknown;
  ref?(): void;
  unref?(): void;
}

/** The platform's class of workers, as browsers spell its arguments. */
export type WorkerClass = new (url: URL, options?: { type?: "module"; name?: string }) => WorkerHandle;

type Listener = (message: unknown) => void;

/** @internal What differs between browsers and Node. */
export interface WorkerPlatform {
  readonly Worker: WorkerClass;
  /** The line to the thread that started this one; null in the main thread. */
  readonly port: { postMessage(message: unknown, transfer?: ArrayBuffer[]): void; listen(listener: Listener): void } | null;
  listen(worker: WorkerHandle, onMessage: Listener, onError: (error: Error) => void): void;
  /** Resolves when the event loop has turned. */
  turn(): Promise<void>;
  /** Whether threads can share memory. */
  readonly shares: boolean;
}

let platform: WorkerPlatform;
/** @internal The entries call it. */
export function setWorkerPlatform(value: WorkerPlatform): void {
  platform = value;
}

/** A worker's file may have a main function, and data for a loader. */
type Role = "main" | "data";
/** What each of them is declared with. */
const DECLARED_BY: Readonly<Record<Role, string>> = { main: "worker_main", data: "utils.data.worker_dataset" };

/** What goes over the line; `kindling` tells these messages from others, `role` which function of the worker's file they are for. */
type ToWorker = { role: Role } & (
  { kindling: "start"; args: unknown; flag: Int32Array | null } | { kindling: "message"; value: unknown } | { kindling: "stop" }
);
type FromWorker =
  | { kindling: "ready"; role: Role }
  | { kindling: "report"; value: unknown }
  | { kindling: "result"; value: unknown }
  | { kindling: "error"; error: PackedError };

const isOurs = (message: unknown): message is { kindling: string } =>
  typeof message === "object" && message !== null && "kindling" in message;

/** Values that come one by one and are waited for one by one. */
class Queue<T> implements AsyncIterable<T> {
  #values: T[] = [];
  #waiting: (() => void)[] = [];
  #ended = false;
  #error: Error | null = null;

  push(value: T): void {
    this.#values.push(value);
    this.#wake();
  }
  end(error: Error | null = null): void {
    this.#ended = true;
    this.#error = error;
    this.#wake();
  }
  take(): T | undefined {
    return this.#values.shift();
  }
  async *[Symbol.asyncIterator](): AsyncGenerator<T> {
    for (;;) {
      while (this.#values.length > 0) yield this.#values.shift()!;
      if (this.#error !== null) throw this.#error;
      if (this.#ended) return;
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
  }
  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }
}

/** The worker's end of the line. */
class Task implements WorkerTask {
  readonly queue = new Queue<unknown>();
  /** Memory that the other thread writes, so that also a loop that lets no messages in sees it. */
  flag: Int32Array | null = null;
  #stopped = false;
  #sending: Promise<void> | null = null;

  get messages(): AsyncIterable<unknown> {
    return this.queue;
  }
  take(): unknown {
    return this.queue.take();
  }
  get stopped(): boolean {
    return this.#stopped || (this.flag !== null && Atomics.load(this.flag, 0) !== 0);
  }
  stop(): void {
    this.#stopped = true;
    this.queue.end();
  }
  async report(progress: unknown): Promise<void> {
    await this.send("report", progress);
    await platform.turn();
  }
  /** Messages leave in the order of the calls, at once where they can. */
  send(kind: "report" | "result", value: unknown): Promise<void> | null {
    const packed = pack(value);
    const post = (): void => platform.port!.postMessage({ kindling: kind, value: packed.value }, packed.transfer);
    if (packed.ready === null && this.#sending === null) {
      post();
      return null;
    }
    const before = this.#sending;
    const sending: Promise<void> = (async () => {
      try {
        await before;
      } catch {} // its own caller hears of it
      await packed.ready;
      post();
    })().finally(() => {
      if (this.#sending === sending) this.#sending = null;
    });
    this.#sending = sending;
    return sending;
  }
}

const declared = new Set<Role>();

/**
 * Declares the function that this file, when it runs in a worker, is for; one per worker. Returns the function.
 *
 *     export const train = torch.worker_main(async (task: torch.WorkerTask<number>, steps: number) => { … });
 */
export function worker_main<M extends AnyMain>(main: M): M {
  return declareMain("main", main);
}

/** @internal */
export function declareMain<M extends AnyMain>(role: Role, main: M): M {
  const { port } = platform;
  if (port === null) return main;
  if (declared.has(role)) {
    throw new RuntimeError(`${DECLARED_BY[role]}: was called twice in one worker; a worker has one such function`);
  }
  declared.add(role);
  const task = new Task();
  const run = main as unknown as (task: WorkerTask, ...args: unknown[]) => unknown;
  port.listen((message) => {
    if (!isOurs(message)) return;
    const got = message as ToWorker;
    if (got.role !== role) return;
    if (got.kindling === "message") task.queue.push(unpack(got.value));
    else if (got.kindling === "stop") task.stop();
    else if (got.kindling === "start") {
      task.flag = got.flag;
      void (async () => {
        try {
          await task.send("result", await run(task, ...(unpack(got.args) as unknown[])));
        } catch (error) {
          port.postMessage({ kindling: "error", error: packError(error) } satisfies FromWorker);
        }
      })();
    }
  });
  port.postMessage({ kindling: "ready", role } satisfies FromWorker);
  return main;
}

/** How long to wait for a worker's file to call `worker_main` before saying that it has not. */
const PATIENCE_MS = 15_000;

/**
 * Runs the main function of a worker's file there. `start` makes the worker; written out like this, bundlers see it and bundle the file:
 *
 *     const run = torch.run_in_worker<typeof train>(
 *       (Worker) => new Worker(new URL("./train.ts", import.meta.url), { type: "module" }),
 *       1000,
 *     );
 *     for await (const loss of run) console.log(loss);
 *     const weights = await run.result;
 *
 * `Worker` is the platform's own class (browsers may leave the parameter out); `start` may also be a worker that is there already, whose
 * file has not run yet. The worker ends with the result.
 */
export function run_in_worker<M extends AnyMain>(
  start: WorkerHandle | ((Worker: WorkerClass) => WorkerHandle),
  ...args: ArgsOf<M>
): WorkerRun<ProgressOf<M>, ResultOf<M>, MessageOf<M>> {
  const worker = typeof start === "function" ? start(platform.Worker) : start;
  return new Run(worker, args, "main") as unknown as WorkerRun<ProgressOf<M>, ResultOf<M>, MessageOf<M>>;
}

/** @internal A worker whose file declares data. */
export function startData(
  start: WorkerHandle | ((Worker: WorkerClass) => WorkerHandle),
  args: readonly unknown[],
): WorkerRun<unknown, unknown, unknown> & { keepAlive(keep: boolean): void } {
  return new Run(typeof start === "function" ? start(platform.Worker) : start, args, "data");
}

class Run implements WorkerRun<unknown, unknown, unknown> {
  readonly result: Promise<unknown>;
  readonly #worker: WorkerHandle;
  readonly #reports = new Queue<unknown>();
  readonly #flag: Int32Array | null;
  #settle!: { resolve: (value: unknown) => void; reject: (error: Error) => void };
  #ended = false;
  /** What is posted before the worker can listen waits here. */
  #early: ToWorker[] | null = [];
  #sending: Promise<void> = Promise.resolve();
  #timers: ReturnType<typeof setTimeout>[] = [];

  constructor(
    worker: WorkerHandle,
    args: readonly unknown[],
    readonly role: Role,
  ) {
    this.#worker = worker;
    this.#flag = platform.shares ? new Int32Array(new SharedArrayBuffer(4)) : null;
    this.result = new Promise((resolve, reject) => (this.#settle = { resolve, reject }));
    platform.listen(
      worker,
      (message) => isOurs(message) && this.#receive(message as FromWorker),
      (error) => this.#end(error),
    );
    this.#send((value) => ({ kindling: "start", role, args: value, flag: this.#flag }), args);
    this.#timer(PATIENCE_MS, () => {
      if (this.#early === null) return;
      console.warn(`kindling: the worker's file has not called torch.${DECLARED_BY[role]} yet; does it?`);
    });
  }

  [Symbol.asyncIterator](): AsyncIterator<unknown> {
    this.result.catch(() => {}); // the loop throws it
    return this.#reports[Symbol.asyncIterator]();
  }

  post(message: unknown): void {
    this.#send((value) => ({ kindling: "message", role: this.role, value }), message);
  }

  stop(grace_seconds = 10): void {
    if (this.#ended) return;
    if (this.#flag !== null) Atomics.store(this.#flag, 0, 1);
    this.#send(() => ({ kindling: "stop", role: this.role }), null);
    this.#timer(grace_seconds * 1000, () =>
      this.#end(new RuntimeError(`run_in_worker: the worker did not end within ${grace_seconds} s of stop() and was terminated`)),
    );
  }

  terminate(): void {
    this.result.catch(() => {}); // nobody needs to be told of what they asked for
    this.#end(new RuntimeError("run_in_worker: the worker was terminated before it returned"));
  }

  /** Whether Node stays for the worker's sake. */
  keepAlive(keep: boolean): void {
    if (keep) this.#worker.ref?.();
    else this.#worker.unref?.();
  }

  #send(wrap: (value: unknown) => ToWorker, value: unknown): void {
    const { value: packed, ready } = pack(value);
    // No transfer: a start may wait a while, and the arrays in it are the caller's.
    this.#sending = this.#sending.then(async () => {
      try {
        await ready;
        const message = wrap(packed);
        if (this.#early !== null) this.#early.push(message);
        else if (!this.#ended) this.#worker.postMessage(message);
      } catch (error) {
        this.#end(error as Error);
      }
    });
  }

  #receive(message: FromWorker): void {
    if (this.#ended) return;
    if (message.kindling === "ready") {
      if (message.role !== this.role) return;
      const early = this.#early ?? [];
      this.#early = null;
      try {
        for (const waiting of early) this.#worker.postMessage(waiting);
      } catch (error) {
        this.#end(error as Error); // an argument that cannot be cloned
      }
    } else if (message.kindling === "report") this.#reports.push(unpack(message.value));
    else if (message.kindling === "error") this.#end(unpackError(message.error));
    else {
      this.#settle.resolve(unpack(message.value));
      this.#end(null);
    }
  }

  #end(error: Error | null): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const timer of this.#timers) clearTimeout(timer);
    this.#reports.end(error);
    if (error !== null) this.#settle.reject(error);
    this.#worker.terminate();
  }

  #timer(ms: number, action: () => void): void {
    const timer: ReturnType<typeof setTimeout> = setTimeout(action, ms);
    // A timer of ours keeps no Node process alive; the worker does.
    (timer as { unref?: () => void }).unref?.();
    this.#timers.push(timer);
  }
}
