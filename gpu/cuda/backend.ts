/** The CUDA backend: memory from the addon's caching allocator, and the queue. */

import type { Dispatch, GpuBackend, GpuMemory } from "../backend.ts";
import type { GpuCaps } from "../context.ts";
import type { NativeDevice } from "./addon.ts";
import { Capture } from "./capture.ts";
import { guarded } from "./errors.ts";
import { CudaMemory } from "./memory.ts";
import type { Programs } from "./programs.ts";
import { Queue } from "./queue.ts";

export class CudaBackend implements GpuBackend {
  readonly copyAlignment = 1;
  readonly queue: Queue;
  readonly #native: NativeDevice;
  #capture: Capture | null = null;

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
  get reservedBytes(): number {
    return this.lost !== null ? 0 : this.#native.memoryStats().reservedBytes;
  }

  checkUsable(): void {
    if (this.queue.failure !== null) throw this.queue.failure;
  }

  allocate(bytes: number): CudaMemory {
    const used = this.#capture?.take(bytes) ?? null;
    if (used !== null) return used;
    const memory = guarded(() => new CudaMemory(this.#native.allocate(bytes), bytes));
    this.#capture?.adopt(memory);
    return memory;
  }

  release(memory: GpuMemory): void {
    const own = memory as CudaMemory;
    if (this.#capture !== null) this.#capture.release(own);
    else if (own.pins > 0) own.released = true;
    else this.#free(own);
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

  get capturing(): boolean {
    return this.#capture !== null;
  }

  beginCapture(): void {
    this.checkUsable();
    this.#capture = new Capture(this.queue);
  }

  /** The graph's number, and the memory that stays as long as it does. */
  endCapture(): { readonly graph: number; readonly pinned: readonly CudaMemory[] } {
    const capture = this.#capture!;
    this.#capture = null;
    try {
      return capture.end(this.#native);
    } finally {
      for (const memory of capture.leftovers()) this.release(memory);
    }
  }

  abortCapture(): void {
    const capture = this.#capture!;
    this.#capture = null;
    capture.abort();
    for (const memory of capture.leftovers()) this.release(memory);
  }

  destroyGraph(graph: number, pinned: readonly CudaMemory[]): void {
    if (this.queue.failure !== null) return;
    guarded(() => this.#native.destroyGraph(graph));
    for (const memory of pinned) {
      memory.pins--;
      if (memory.released && memory.pins === 0) this.#free(memory);
    }
  }

  #free(memory: CudaMemory): void {
    memory.released = false;
    if (this.queue.failure === null) this.#native.free(memory.address);
  }
}
