/** Memory of the CUDA device: an address. */

import type { GpuMemory } from "../backend.ts";

export class CudaMemory implements GpuMemory {
  /** The address as two words, for commands. */
  readonly low: number;
  readonly high: number;
  /** Graphs that touch this memory: it must stay as long as they do. */
  pins = 0;
  /** Whether nobody but graphs wants it any more. */
  released = false;

  constructor(
    readonly address: number,
    readonly bytes: number,
  ) {
    this.low = address >>> 0;
    this.high = Math.floor(address / 2 ** 32);
  }
}
