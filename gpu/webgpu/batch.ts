/** Commands recorded for the queue, in order, until they are submitted together and their outcome is known. */

import type { Pipeline } from "./pipelines.ts";
import type { Block, WebGpuMemory } from "./memory.ts";

export interface DispatchCommand {
  readonly kind: "dispatch";
  readonly pipeline: Pipeline;
  /** One per binding. */
  readonly memories: readonly WebGpuMemory[];
  /** Where its uniform block lies in the batch's. */
  readonly uniform: number;
  readonly groups: number;
}
export interface CopyCommand {
  readonly kind: "copy";
  readonly from: WebGpuMemory;
  readonly fromByte: number;
  readonly to: WebGpuMemory;
  readonly toByte: number;
  readonly bytes: number;
}
export interface ZeroCommand {
  readonly kind: "zero";
  readonly memory: WebGpuMemory;
  readonly byte: number;
  readonly bytes: number;
}
/** Nothing for the GPU: `memory` is as good as new. */
export interface CleanseCommand {
  readonly kind: "cleanse";
  readonly memory: WebGpuMemory;
}
export interface DownloadCommand {
  readonly kind: "download";
  readonly memory: WebGpuMemory;
  readonly byte: number;
  readonly bytes: number;
  readonly resolve: (bytes: Uint8Array) => void;
  readonly reject: (error: Error) => void;
  /** Where it lies in the batch's staging buffer. */
  readonly staged: number;
  /** Why the bytes are worthless. */
  poison: Error | null;
}
export type Command = DispatchCommand | CopyCommand | ZeroCommand | CleanseCommand | DownloadCommand;

/** Data that goes to memory before the batch's first command. */
export interface Upload {
  readonly memory: WebGpuMemory;
  readonly byte: number;
  readonly data: Uint8Array;
}

const FIRST_WORDS = 4096;

export class Batch {
  readonly commands: Command[] = [];
  readonly uploads: Upload[] = [];
  /** Pipelines that were not ready when they were recorded. */
  readonly pending = new Set<Pipeline>();
  /** Blocks that end with this batch. */
  readonly doomed: Block[] = [];
  dispatches = 0;
  threads = 0;
  /** Multiply-adds, about. */
  work = 0;
  /** Bytes to be read back. */
  staged = 0;
  /** Bytes of `uniforms` in use. */
  uniformBytes = 0;

  constructor(
    /** Rises from batch to batch. */
    readonly serial: number,
    /** Where uniform blocks are gathered; may be that of a batch which was submitted. */
    public uniforms: Uint32Array<ArrayBuffer> = new Uint32Array(FIRST_WORDS),
  ) {}

  get empty(): boolean {
    return this.commands.length === 0 && this.uploads.length === 0 && this.doomed.length === 0;
  }
  get ready(): boolean {
    for (const pipeline of this.pending) if (!pipeline.settled) return false;
    return true;
  }

  /** Room for a uniform block. Returns its byte offset. */
  uniform(bytes: number): number {
    const at = this.uniformBytes;
    this.uniformBytes = at + bytes;
    if (this.uniformBytes > this.uniforms.byteLength) {
      const grown = new Uint32Array(Math.max(this.uniforms.length * 2, this.uniformBytes / 4));
      grown.set(this.uniforms);
      this.uniforms = grown;
    }
    return at;
  }

  /**
   * What each command's failure, or its having read what was never written, does to the memory it writes. `failure`: why none of the
   * commands was carried out, or null. Batches must settle in their order.
   */
  settle(failure: Error | null): void {
    for (const { memory } of this.uploads) if (failure !== null) memory.poison ??= failure;
    for (const c of this.commands) {
      switch (c.kind) {
        case "dispatch": {
          const { writes, error } = c.pipeline;
          let poison = failure ?? error;
          for (let i = 0; poison === null && i < writes.length; i++) if (!writes[i]) poison = c.memories[i]!.poison;
          // What is written in one launch may be read there too.
          for (let i = 0; poison === null && i < writes.length; i++) poison = c.memories[i]!.poison;
          if (poison !== null) writes.forEach((written, i) => written && (c.memories[i]!.poison ??= poison));
          break;
        }
        case "copy":
          c.to.poison ??= failure ?? c.from.poison;
          break;
        case "zero":
          if (failure !== null) c.memory.poison ??= failure;
          break;
        case "cleanse":
          c.memory.poison = null;
          break;
        case "download":
          c.poison = failure ?? c.memory.poison;
          break;
      }
    }
  }
}
