/** Staging buffers for reading: several may be on their way at once, and small reads of one batch share one. */

import { USAGE } from "./memory.ts";

const MAP_READ = 1; // GPUMapMode.READ
const LEAST = 64 << 10;
/** Idle staging memory kept. */
const MOST_IDLE = 64 << 20;

export class Readback {
  readonly #device: GPUDevice;
  #idle: GPUBuffer[] = [];
  #idleBytes = 0;
  /** Bytes of all staging buffers. */
  bytes = 0;

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** A staging buffer of at least so many bytes. */
  take(bytes: number): GPUBuffer {
    let best = -1;
    this.#idle.forEach((buffer, i) => {
      if (buffer.size >= bytes && (best < 0 || buffer.size < this.#idle[best]!.size)) best = i;
    });
    if (best >= 0) {
      const [buffer] = this.#idle.splice(best, 1);
      this.#idleBytes -= buffer!.size;
      return buffer!;
    }
    const size = Math.max(LEAST, Math.ceil(bytes / LEAST) * LEAST);
    const room = Math.max(bytes, Math.min(size, this.#device.limits.maxBufferSize));
    this.bytes += room;
    return this.#device.createBuffer({ size: room, usage: USAGE.mapRead | USAGE.copyDst });
  }

  /** A copy of the first `bytes` bytes, when the GPU has got there; the buffer may then be used again. */
  async map(buffer: GPUBuffer, bytes: number): Promise<Uint8Array> {
    try {
      await buffer.mapAsync(MAP_READ, 0, bytes);
    } catch (error) {
      this.#destroy(buffer);
      throw error;
    }
    const copy = new Uint8Array(buffer.getMappedRange(0, bytes).slice(0));
    buffer.unmap();
    this.#give(buffer);
    return copy;
  }

  #give(buffer: GPUBuffer): void {
    if (this.#idleBytes + buffer.size > MOST_IDLE) return this.#destroy(buffer);
    this.#idle.push(buffer);
    this.#idleBytes += buffer.size;
  }

  #destroy(buffer: GPUBuffer): void {
    this.bytes -= buffer.size;
    buffer.destroy();
  }
}
