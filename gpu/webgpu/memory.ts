/** Memory of the WebGPU device. */

import type { GpuMemory } from "../backend.ts";

/** GPUBufferUsage, which does not exist where WebGPU does not. */
export const USAGE = { mapRead: 1, copySrc: 4, copyDst: 8, uniform: 64, storage: 128, queryResolve: 512 } as const;
export const MEMORY_USAGE = USAGE.storage | USAGE.copySrc | USAGE.copyDst;

let nextId = 0;

/** A GPUBuffer, owned by one allocation after another. */
export class Block {
  readonly id = nextId++;
  /** The last batch of commands that touches it. */
  batch = 0;
  /** Why it never came to be (out of memory); such blocks are not used again. */
  failure: Error | null = null;
  /** Where bind groups of it are kept. */
  readonly groups = new Map<Map<string, GPUBindGroup>, Set<string>>();

  constructor(
    readonly buffer: GPUBuffer,
    readonly size: number,
    /** Somebody else's: not to be destroyed. */
    readonly external = false,
  ) {}
}

/** One allocation. */
export class WebGpuMemory implements GpuMemory {
  /** Why its contents are not what the program thinks: a command that should have written them failed. */
  poison: Error | null = null;
  constructor(
    readonly block: Block,
    readonly bytes: number,
  ) {}
}
