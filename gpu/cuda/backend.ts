/** The CUDA backend: memory from the addon's caching allocator, and the queue. */

import type { Dispatch, GpuBackend, GpuMemory } from "../backend.ts";
import type { GpuCaps } from "../context.ts";
import type { NativeDevice } from "./addon.ts";
import { translate } from "./errors.ts";
import { CudaMemory } from "./memory.ts";
import type { Programs } from "./programs.ts";
import { Queue } from "./queue.ts";

export class CudaBackend implements GpuBackend {
  readonly copyAlignment = 1;
  readonly queue: Queue;
  readonly #native: NativeDevice;
  /** The capture that is going on; 0: none. */
  #capture = 0;
  #captures = 0;

  constructor(
    native: NativeDevice,
    readonly programs: Programs,
    readonly caps: GpuCaps,
    turn: () => Promise<void>,
  ) {
    this.#native = native;
    this.queue = new Queue(native, programs, turn);
  }

  get lost(): Error | null {
    return this.queue.failure;
  }
  get capturing(): boolean {
    return this.#capture !== 0;
  }
  get reservedBytes(): number {
    return this.lost !== null ? 0 : this.#native.memoryStats().reservedBytes;
  }

  checkUsable(): void {
    if (this.queue.failure !== null) throw this.queue.failure;
  }

  allocate(bytes: number): CudaMemory {
    try {
      return new CudaMemory(this.#native.allocate(bytes), bytes, this.#capture);
    } catch (error) {
      throw translate(error);
    }
  }

  release(memory: GpuMemory): void {
    const own = memory as CudaMemory;
    // What a capture touches it may touch again at every replay; only the end of the capture tells.
    if (own.pins > 0 || (this.queue.touched?.has(own) === true && own.capture !== this.#capture)) own.released = true;
    else if (this.queue.failure === null) this.#native.free(own.address);
  }

  dispatch(dispatch: Dispatch): void {
    this.queue.dispatch(dispatch);
  }
  copy(from: GpuMemory, fromByte: number, to: GpuMemory, toByte: number, bytes: number): void {
    const [source, target] = [from as CudaMemory, to as CudaMemory];
    this.queue.command((c) => c.copy(target.address + toByte, source.address + fromByte, bytes), source, target);
  }
  zero(memory: GpuMemory, byte: number, bytes: number): void {
    const own = memory as CudaMemory;
    this.queue.command((c) => c.zero(own.address + byte, bytes), own);
  }
  upload(memory: GpuMemory, byte: number, bytes: Uint8Array): void {
    this.queue.upload(memory as CudaMemory, byte, bytes);
  }
  download(memory: GpuMemory, byte: number, bytes: number): Promise<Uint8Array> {
    return this.queue.download(memory as CudaMemory, byte, bytes);
  }
  downloadSync(memory: GpuMemory, byte: number, bytes: number): Uint8Array {
    return this.queue.downloadSync(memory as CudaMemory, byte, bytes);
  }
  synchronize(): Promise<void> {
    return this.queue.synchronize();
  }
  synchronizeSync(): void {
    this.queue.synchronizeSync();
  }

  beginCapture(): void {
    this.queue.submitNow();
    this.#native.beginCapture();
    this.#capture = ++this.#captures;
    this.queue.touched = new Set();
  }

  /** The graph's number, and the memory that must stay as long as it does. */
  endCapture(): { readonly graph: number; readonly pinned: readonly CudaMemory[] } {
    try {
      this.queue.submitNow();
      const graph = this.#native.endCapture();
      const pinned = [...this.queue.touched!].filter(({ capture }) => capture !== this.#capture);
      for (const memory of pinned) memory.pins++;
      return { graph, pinned };
    } catch (error) {
      this.#native.abortCapture();
      throw translate(error);
    } finally {
      this.#leaveCapture();
    }
  }

  abortCapture(): void {
    this.queue.submitNow();
    this.#native.abortCapture();
    this.#leaveCapture();
  }

  destroyGraph(graph: number, pinned: readonly CudaMemory[]): void {
    if (this.queue.failure !== null) return;
    this.#native.destroyGraph(graph);
    for (const memory of pinned) {
      memory.pins--;
      this.#settle(memory);
    }
  }

  #leaveCapture(): void {
    const touched = this.queue.touched!;
    this.queue.touched = null;
    this.#capture = 0;
    for (const memory of touched) this.#settle(memory);
  }

  /** Frees what was released while a graph held it. */
  #settle(memory: CudaMemory): void {
    if (!memory.released || memory.pins > 0) return;
    memory.released = false;
    this.#native.free(memory.address);
  }
}
