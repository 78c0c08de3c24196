/** Times of kernels on the GPU: an event before and after each launch. */

import type { KernelTime } from "../../ts/core/accelerators.ts";
import type { NativeDevice } from "./addon.ts";
import type { CommandBuffer } from "./commands.ts";
import type { Observer } from "./queue.ts";

export class Profile implements Observer {
  readonly #native: NativeDevice;
  readonly #marks: { readonly name: string; readonly start: number; readonly end: number }[] = [];
  #start = 0;

  constructor(native: NativeDevice) {
    this.#native = native;
  }

  before(commands: CommandBuffer): void {
    this.#start = this.#native.createEvent(true);
    commands.record(this.#start);
  }

  after(commands: CommandBuffer, name: string): void {
    const end = this.#native.createEvent(true);
    commands.record(end);
    this.#marks.push({ name, start: this.#start, end });
  }

  /** Of all launches so far, in order; the stream must have been synchronized. */
  times(): KernelTime[] {
    return this.#marks.splice(0).map(({ name, start, end }) => {
      const ms = this.#native.elapsed(start, end);
      this.#native.destroyEvent(start);
      this.#native.destroyEvent(end);
      return { name, ms };
    });
  }
}
