/** Timing on a device: by its own events, and by the clock on the wall. */

import * as torch from "kindling";
import type { Run } from "../measure.ts";

/** Milliseconds per call. */
export interface Sample {
  /** Between events on the device; on the cpu as `wall`. */
  readonly gpu: number;
  /** Until everything had been carried out. */
  readonly wall: number;
  /** Until everything had been asked for: what JavaScript (or Python) took. */
  readonly host: number;
  readonly calls: number;
}

export class Clock {
  readonly #cuda: boolean;
  constructor(readonly device: string) {
    this.#cuda = device.startsWith("cuda");
  }

  async synchronize(): Promise<void> {
    if (this.#cuda) await torch.cuda.synchronize(this.device);
  }

  /** Lets go of memory that nobody uses. */
  relax(): void {
    if (this.#cuda) torch.cuda.empty_cache(this.device);
  }

  /** Starts a device anew that something has broken: what comes next is to be seen, too. */
  revive(): void {
    if (this.#cuda) torch.cuda.init();
  }

  async sample(run: Run, calls: number): Promise<Sample> {
    await this.synchronize();
    const from = this.#cuda ? new torch.cuda.Event({ enable_timing: true }) : null;
    const to = this.#cuda ? new torch.cuda.Event({ enable_timing: true }) : null;
    const start = performance.now();
    from?.record(this.device);
    for (let i = 0; i < calls; i++) {
      const promise = run();
      if (promise instanceof Promise) await promise;
    }
    to?.record(this.device);
    const host = performance.now() - start;
    await to?.synchronize();
    const wall = performance.now() - start;
    const gpu = from !== null && to !== null ? from.elapsed_time(to) : wall;
    return { gpu: gpu / calls, wall: wall / calls, host: host / calls, calls };
  }

  /** One call that is not counted, then enough of them to fill `atLeast` milliseconds. */
  async fill(run: Run, atLeast: number, mostCalls: number): Promise<Sample> {
    const first = await this.sample(run, 1);
    const calls = Math.ceil(atLeast / Math.max(first.wall, 1e-3));
    if (calls <= 4 || mostCalls <= 4) return this.sample(run, Math.min(calls, mostCalls));
    // The first call alone pays for waking everything up: a few more tell better how many fit.
    const few = await this.sample(run, 4);
    return this.sample(run, Math.min(Math.ceil(atLeast / Math.max(few.wall, 1e-3)), mostCalls));
  }
}
