/**
 * The one linear memory that both kernel modules and all threads share, and typed views of it.
 *
 *     0      guard: a null pointer hits nothing
 *     4 KiB  AssemblyScript: static data
 *     1 MiB  C++: static data and the main thread's stack
 *     2 MiB  the thread pool's control words, then parameter blocks and small workspace
 *     4 MiB  the main thread's scratch
 *     8 MiB  the allocator's heap (the other threads' stacks and scratch are blocks of it)
 */

import { OutOfMemoryError } from "../../ts/core/errors.ts";
import { SCRATCH_BYTES } from "./context.ts";

export const CONTROL_BASE = 2 << 20;
export const PARAMS_BASE = CONTROL_BASE + 4096;
export const PARAMS_END = 4 << 20;
export const MAIN_SCRATCH = 4 << 20;
export const HEAP_BASE = MAIN_SCRATCH + SCRATCH_BYTES;

export const PAGE = 65536;
const INITIAL_BYTES = 16 << 20;
const MOST_PAGES = 65536;

/** Addresses reach 4 GiB: index the views with `ptr >>> 2`, never `ptr >> 2`. */
export class LinearMemory {
  readonly memory: WebAssembly.Memory;
  /** Most bytes that the memory may have. */
  readonly limit: number;
  u8!: Uint8Array;
  i32!: Int32Array;
  u32!: Uint32Array;
  i64!: BigInt64Array;
  f32!: Float32Array;
  f64!: Float64Array;

  /** @param limit Most bytes to use; less is reserved where the system does not give that much address space. */
  constructor(limit = MOST_PAGES * PAGE) {
    const initial = INITIAL_BYTES / PAGE;
    let maximum = Math.max(initial, Math.min(MOST_PAGES, Math.floor(limit / PAGE)));
    for (;;) {
      try {
        this.memory = new WebAssembly.Memory({ initial, maximum, shared: true });
        break;
      } catch (error) {
        if (!(error instanceof RangeError)) throw error;
        if (maximum === initial) throw new OutOfMemoryError(`cpu: cannot reserve ${INITIAL_BYTES >> 20} MiB of memory`);
        maximum = Math.max(initial, maximum >> 1);
      }
    }
    this.limit = maximum * PAGE;
    this.#refresh();
  }

  get bytes(): number {
    return this.u8.byteLength;
  }

  /** Grows to at least `bytes`; false when the limit or the system forbids it. */
  growTo(bytes: number): boolean {
    const pages = Math.ceil((bytes - this.bytes) / PAGE);
    if (pages <= 0) return true;
    if (bytes > this.limit) return false;
    try {
      this.memory.grow(pages);
    } catch {
      return false;
    }
    this.#refresh();
    return true;
  }

  #refresh(): void {
    const { buffer } = this.memory;
    this.u8 = new Uint8Array(buffer);
    this.i32 = new Int32Array(buffer);
    this.u32 = new Uint32Array(buffer);
    this.i64 = new BigInt64Array(buffer);
    this.f32 = new Float32Array(buffer);
    this.f64 = new Float64Array(buffer);
  }
}
