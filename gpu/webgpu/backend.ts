/** The WebGPU backend: memory from a pool of GPUBuffers, and the queue. */

import { DeviceLostError, OutOfMemoryError } from "../../ts/core/errors.ts";
import type { Dispatch, GpuBackend, GpuMemory } from "../backend.ts";
import type { GpuCaps } from "../context.ts";
import { BlockPool } from "../pool.ts";
import { Block, MEMORY_USAGE, WebGpuMemory } from "./memory.ts";
import { Pipelines } from "./pipelines.ts";
import { Queue } from "./queue.ts";

/** Small buffers are all of this size: many, alike and soon reused. */
const LEAST_BYTES = 256;
/** Idle memory that the pool keeps. */
const MOST_IDLE = 512 << 20;

export interface BackendOptions {
  /** Most bytes that buffers take from the device. Default: no limit but the device's own. */
  readonly memoryLimit: number;
  /** Resolves when the event loop has turned. */
  readonly turn: () => Promise<void>;
  readonly rest: ((ms: number) => void) | null;
  /** Called where memory is short, to give back what dead tensors hold. */
  readonly reclaim: () => void;
}

const mib = (bytes: number): string => `${(bytes / (1 << 20)).toFixed(1)} MiB`;

export class WebGpuBackend implements GpuBackend {
  readonly caps: GpuCaps;
  readonly copyAlignment = 4;
  readonly pipelines: Pipelines;
  readonly queue: Queue;
  readonly #device: GPUDevice;
  readonly #options: BackendOptions;
  readonly #pool: BlockPool<Block>;
  readonly #most: number;
  #lost: DeviceLostError | null = null;

  constructor(device: GPUDevice, caps: GpuCaps, options: BackendOptions) {
    this.#device = device;
    this.#options = options;
    this.caps = caps;
    this.#most = caps.maxBufferSize;
    this.pipelines = new Pipelines(device);
    this.queue = new Queue(device, this.pipelines, options.turn, options.rest);
    this.#pool = new BlockPool<Block>({
      least: LEAST_BYTES,
      most: this.#most,
      idle: Math.min(MOST_IDLE, options.memoryLimit / 2),
      create: (bytes) => this.#create(bytes),
      destroy: (block) => this.queue.destroy(block),
    });
    void device.lost.then(({ message, reason }) => this.#lose(reason === "destroyed" ? "it was destroyed" : message));
  }

  get lost(): DeviceLostError | null {
    return this.#lost;
  }
  get reservedBytes(): number {
    return this.#lost !== null ? 0 : this.#pool.bytes + this.queue.bytes;
  }

  checkUsable(): void {
    if (this.#lost !== null) throw this.#lost;
  }

  destroy(): void {
    this.#lose("it was destroyed"); // at once; the device itself tells later
    this.#device.destroy();
  }

  allocate(bytes: number): WebGpuMemory {
    if (!(bytes <= this.#most)) {
      throw new OutOfMemoryError(
        `webgpu: tried to allocate ${mib(bytes)} in one buffer; this device's limit is ${mib(this.#most)} (maxBufferSize and maxStorageBufferBindingSize). Split the tensor, or keep it on the cpu`,
      );
    }
    const block = this.#pool.take(bytes);
    const memory = new WebGpuMemory(block, bytes);
    memory.poison = block.failure;
    return memory;
  }

  release(memory: GpuMemory): void {
    const { block } = memory as WebGpuMemory;
    if (block.external || this.#lost !== null) return;
    if (block.failure !== null) this.#pool.drop(block);
    else this.#pool.give(block);
  }

  dispatch(dispatch: Dispatch): void {
    this.queue.dispatch(dispatch);
  }
  copy(from: GpuMemory, fromByte: number, to: GpuMemory, toByte: number, bytes: number): void {
    this.queue.copy(from as WebGpuMemory, fromByte, to as WebGpuMemory, toByte, bytes);
  }
  zero(memory: GpuMemory, byte: number, bytes: number): void {
    this.queue.zero(memory as WebGpuMemory, byte, bytes);
  }
  upload(memory: GpuMemory, byte: number, bytes: Uint8Array): void {
    this.queue.upload(memory as WebGpuMemory, byte, bytes);
  }
  download(memory: GpuMemory, byte: number, bytes: number): Promise<Uint8Array> {
    return this.queue.download(memory as WebGpuMemory, byte, bytes);
  }
  cleanse(memory: GpuMemory): void {
    this.queue.cleanse(memory as WebGpuMemory);
  }
  async synchronize(): Promise<void> {
    await this.queue.finished();
  }

  #create(bytes: number): Block {
    const { memoryLimit } = this.#options;
    if (this.#pool.bytes + bytes > memoryLimit) {
      this.#options.reclaim();
      this.#pool.trim(Math.max(0, this.#pool.idleBytes - (this.#pool.bytes + bytes - memoryLimit)));
      if (this.#pool.bytes + bytes > memoryLimit) throw this.#outOfMemory(bytes, `the limit set for it is ${mib(memoryLimit)}`);
    }
    const device = this.#device;
    device.pushErrorScope("out-of-memory");
    const block = new Block(device.createBuffer({ size: bytes, usage: MEMORY_USAGE }), bytes);
    // The device says later whether there was room.
    device.popErrorScope().then(
      (error) => {
        if (error !== null) block.failure = this.#outOfMemory(bytes, error.message);
      },
      () => undefined,
    );
    return block;
  }

  #outOfMemory(bytes: number, why: string): OutOfMemoryError {
    const used = this.#pool.bytes - this.#pool.idleBytes;
    return new OutOfMemoryError(`webgpu: out of memory: tried to allocate ${mib(bytes)} with ${mib(used)} in use: ${why}`);
  }

  #lose(why: string): void {
    if (this.#lost !== null) return;
    this.#lost = new DeviceLostError(
      `webgpu: the device was lost (${why}); its tensors are gone. Call \`await torch.webgpu.init()\` for a new one, and move the model there again from tensors on the cpu`,
    );
    this.queue.lose(this.#lost);
  }
}
