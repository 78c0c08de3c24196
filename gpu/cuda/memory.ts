/** Memory of the CUDA device: an address. */

import type { GpuMemory } from "../backend.ts";

export class CudaMemory implements GpuMemory {
  /** The address as two words, for commands. */
  readonly low: number;
  readonly high: number;
  /** Graphs that touch this memory and did not allocate it themselves: it must stay as long as they do. */
  pins = 0;
  /** Whether nobody but graphs wants it any more. */
  released = false;

  constructor(
    readonly address: number,
    readonly bytes: number,
    /** The capture that it was allocated in: then the graph keeps it anyway. */
    readonly capture: number,
  ) {
    this.low = address >>> 0;
    this.high = Math.floor(address / 2 ** 32);
  }
}
