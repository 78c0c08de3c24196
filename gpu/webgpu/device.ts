/** The WebGPU device. */

import type { KernelTime, WebGpuDeviceLike, WebGpuStats } from "../../ts/core/accelerators.ts";
import type { DType } from "../../ts/core/dtype.ts";
import type { Buffer } from "../../ts/core/device.ts";
import { NotImplementedError, RuntimeError, ValueError } from "../../ts/core/errors.ts";
import { GpuDevice } from "../device.ts";
import { ELEM_BYTES } from "../ir.ts";
import { type Collector, GpuBuffer } from "../memory.ts";
import type { WebGpuBackend } from "./backend.ts";
import { Block, MEMORY_USAGE, WebGpuMemory } from "./memory.ts";
import { Profile } from "./profile.ts";

export class WebGpuDevice extends GpuDevice implements WebGpuDeviceLike {
  readonly #backend: WebGpuBackend;

  constructor(
    backend: WebGpuBackend,
    /** The browser's (or Dawn's) own device. */
    readonly gpu: GPUDevice,
    collector: Collector,
    readonly description: string,
    readonly emulated: boolean,
  ) {
    super("webgpu", backend, collector);
    this.#backend = backend;
  }

  /** Whether it can no longer be used. */
  get lost(): boolean {
    return this.#backend.lost !== null;
  }

  stats(): WebGpuStats {
    return { ...this.#backend.queue.stats, pipelines: this.#backend.pipelines.made };
  }

  override async relieve(): Promise<void> {
    await super.relieve();
    await this.#backend.queue.backlog();
  }

  /** Submits what has been recorded; resolves when that is done (not when it has been carried out). */
  async flush(): Promise<void> {
    this.#backend.checkUsable();
    await this.#backend.queue.submitted();
  }

  /** The GPUBuffer that holds a buffer's elements from element `first` on, as they lie here, after everything so far has been submitted. */
  async nativeBuffer(buffer: Buffer): Promise<{ buffer: GPUBuffer; first: number; elementBytes: number }> {
    const own = this.checkLive(buffer);
    await this.flush();
    const { memory, elem, range } = own;
    return { buffer: (memory as WebGpuMemory).block.buffer, first: range?.first ?? 0, elementBytes: ELEM_BYTES[elem] };
  }

  /** A buffer over somebody else's GPUBuffer, which is neither copied nor ever destroyed. */
  adoptNative(buffer: GPUBuffer, dtype: DType): { buffer: GpuBuffer; elementBytes: number } {
    this.#backend.checkUsable();
    const { elem } = this.layout(dtype);
    if ((buffer.usage & MEMORY_USAGE) !== MEMORY_USAGE) {
      throw new ValueError(
        "from_gpu_buffer: the buffer's usage must include STORAGE, COPY_SRC and COPY_DST (GPUBufferUsage); create it with all three",
      );
    }
    const most = this.gpuCaps.maxBufferSize;
    if (buffer.size > most || buffer.size % 4 !== 0) {
      throw new ValueError(`from_gpu_buffer: the buffer has ${buffer.size} bytes; expected a multiple of 4, at most ${most}`);
    }
    const size = Math.floor(buffer.size / ELEM_BYTES[elem]);
    const memory = new WebGpuMemory(new Block(buffer, buffer.size, true), buffer.size);
    const adopted = this.adopt(new GpuBuffer(this, size * dtype.itemsize, dtype, elem, memory));
    adopted.foreign = true;
    return { buffer: adopted, elementBytes: ELEM_BYTES[elem] };
  }

  /** Runs `fn` and returns the GPU time of every kernel that it launched, in order. */
  async profile(fn: () => unknown): Promise<KernelTime[]> {
    if (!this.gpu.features.has("timestamp-query")) {
      throw new NotImplementedError(
        "webgpu: this device has no timestamp-query, so kernels cannot be timed on it; measure whole steps by the clock, with `await torch.webgpu.synchronize()` around them",
      );
    }
    const { queue } = this.#backend;
    if (queue.profile !== null) throw new RuntimeError("webgpu: profiling is going on already");
    await this.synchronize();
    const profile = (queue.profile = new Profile(this.gpu));
    try {
      await fn();
      await this.synchronize();
    } finally {
      queue.profile = null;
    }
    return profile.times();
  }

  /** Ends the device at once; its tensors are lost. */
  destroy(): void {
    this.#backend.destroy();
  }
}
