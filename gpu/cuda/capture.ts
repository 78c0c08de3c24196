/** A graph in the making: its commands are recorded in the queue, and the memory that falls free meanwhile serves only itself. */

import type { NativeDevice } from "./addon.ts";
import { guarded } from "./errors.ts";
import type { CudaMemory } from "./memory.ts";
import type { Queue } from "./queue.ts";

export class Capture {
  readonly #queue: Queue;
  /** Allocated since the capture began. */
  readonly #own = new Set<CudaMemory>();
  /** Of these, what has fallen free, by size. */
  readonly #idle = new Map<number, CudaMemory[]>();
  /** What fell free and had been there before. */
  readonly #released = new Set<CudaMemory>();

  constructor(queue: Queue) {
    this.#queue = queue;
    queue.record();
  }

  /** Memory that a command of this capture has used and will not use again. */
  take(bytes: number): CudaMemory | null {
    return this.#idle.get(bytes)?.pop() ?? null;
  }

  adopt(memory: CudaMemory): void {
    this.#own.add(memory);
  }

  release(memory: CudaMemory): void {
    if (!this.#own.has(memory)) return void this.#released.add(memory);
    const idle = this.#idle.get(memory.bytes);
    if (idle === undefined) this.#idle.set(memory.bytes, [memory]);
    else idle.push(memory);
  }

  /** Makes the graph. Its number, and the memory that must stay as long as it does. */
  end(native: NativeDevice): { readonly graph: number; readonly pinned: readonly CudaMemory[] } {
    const recording = this.#queue.stopRecording();
    this.#queue.submitNow();
    guarded(() => native.beginCapture());
    try {
      this.#queue.replay(recording);
    } catch (error) {
      native.abortCapture();
      throw error;
    }
    const graph = guarded(() => native.endCapture());
    const pinned = [...new Set([...recording.touched, ...this.#own])];
    for (const memory of pinned) memory.pins++;
    return { graph, pinned };
  }

  abort(): void {
    this.#queue.stopRecording();
  }

  /** Memory that nobody wants, graphs apart. */
  *leftovers(): Iterable<CudaMemory> {
    for (const list of this.#idle.values()) yield* list;
    yield* this.#released;
  }
}
