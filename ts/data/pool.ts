/** The loader's side of its workers. */

import { RuntimeError } from "../core/errors.ts";
import { unpackError } from "../workers/message.ts";
import { startData, type WorkerClass, type WorkerHandle } from "../workers/worker.ts";
import type { Fetched, Wish } from "./fetch.ts";
import type { WorkerAnswer, WorkerSettings, WorkerWish } from "./worker.ts";

/** Constructs a worker, in words that bundlers recognise. */
export type StartWorker = (Worker: WorkerClass) => WorkerHandle;

/** How long a worker has to come to its end, in seconds. */
const GRACE = 5;

interface Waiting {
  resolve(fetched: Fetched<unknown>): void;
  reject(error: Error): void;
}

class Lane {
  readonly #run: ReturnType<typeof startData>;
  readonly #waiting = new Map<number, Waiting>();
  /** Why it cannot answer any more. */
  #broken: Error | null = null;

  constructor(start: StartWorker, settings: WorkerSettings) {
    this.#run = startData(start, [settings]);
    void this.#listen(settings.id);
  }
  request(id: number, wish: Wish): Promise<Fetched<unknown>> {
    return new Promise((resolve, reject) => {
      if (this.#broken !== null) return reject(this.#broken);
      this.#waiting.set(id, { resolve, reject });
      this.#run.post({ id, wish } satisfies WorkerWish);
    });
  }
  begin(): void {
    this.#waiting.clear();
    this.#run.post("begin" satisfies WorkerWish);
  }
  keepAlive(keep: boolean): void {
    this.#run.keepAlive(keep);
  }
  stop(): void {
    this.#waiting.clear();
    this.#run.stop(GRACE);
  }
  async #listen(number: number): Promise<void> {
    try {
      for await (const report of this.#run) {
        const answer = report as WorkerAnswer;
        const waiting = this.#waiting.get(answer.id);
        if (waiting === undefined) continue; // of an iteration that was left
        this.#waiting.delete(answer.id);
        if ("error" in answer) waiting.reject(unpackError(answer.error));
        else waiting.resolve("end" in answer ? null : { value: answer.value });
      }
      this.#broken = new RuntimeError(`DataLoader: worker ${number} has ended`);
    } catch (error) {
      this.#broken = error as Error;
    }
    for (const { reject } of this.#waiting.values()) reject(this.#broken);
  }
}

/** Workers, each with its own dataset. */
export class WorkerPool {
  readonly #lanes: Lane[];
  #next = 0;

  constructor(start: StartWorker, settings: Omit<WorkerSettings, "id">) {
    this.#lanes = Array.from({ length: settings.num_workers }, (_, id) => new Lane(start, { ...settings, id }));
  }
  get size(): number {
    return this.#lanes.length;
  }
  request(lane: number, wish: Wish): Promise<Fetched<unknown>> {
    return this.#lanes[lane]!.request(this.#next++, wish);
  }
  /** A new iteration: streams start anew, what is still being made for the last one is dropped. */
  begin(): void {
    for (const lane of this.#lanes) lane.begin();
  }
  /** Idle workers do not keep Node from ending. */
  keepAlive(keep: boolean): void {
    for (const lane of this.#lanes) lane.keepAlive(keep);
  }
  stop(): void {
    for (const lane of this.#lanes) lane.stop();
  }
}
