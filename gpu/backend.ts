/** What is different between GPU targets: memory, copies, dispatches, in the order of one queue. gpu/device.ts builds a device on it. */

import type { GpuCaps } from "./context.ts";
import type { Dispatch } from "./launch.ts";
import type { GpuMemory } from "./memory.ts";

export type { Dispatch, GpuMemory };

/**
 * Everything but `download`'s and `synchronize`'s promises is a command that takes effect in the order of the calls; a backend may record and
 * send them later. Memory that was released may be handed out again at once: what is called later comes later in the queue.
 */
export interface GpuBackend {
  readonly caps: GpuCaps;
  /** Offsets and sizes of `copy`, `zero`, `upload` and `download` must be multiples of this (a power of two). */
  readonly copyAlignment: number;
  /** Bytes taken from the system, live or not. */
  readonly reservedBytes: number;
  /** Throws when the device can no longer be used (DeviceLostError). Called at the start of everything that a user asks for. */
  checkUsable(): void;
  /** Uninitialised memory of at least `bytes` (a multiple of 4, more than 0). Throws OutOfMemoryError. */
  allocate(bytes: number): GpuMemory;
  /** Takes memory back that nobody will use in later commands. */
  release(memory: GpuMemory): void;
  dispatch(dispatch: Dispatch): void;
  copy(from: GpuMemory, fromByte: number, to: GpuMemory, toByte: number, bytes: number): void;
  zero(memory: GpuMemory, byte: number, bytes: number): void;
  /** The bytes are copied, or used, before this returns. */
  upload(memory: GpuMemory, byte: number, bytes: Uint8Array): void;
  /** Bytes as they are at this place of the queue; the array is the caller's. */
  download(memory: GpuMemory, byte: number, bytes: number): Promise<Uint8Array>;
  /** The same, while everything waits. Absent where a program cannot wait. */
  downloadSync?(memory: GpuMemory, byte: number, bytes: number): Uint8Array;
  /** When all commands so far have been carried out. */
  synchronize(): Promise<void>;
  /** `memory` is about to be overwritten as a whole: whatever failed to be written to it before does not matter any more. */
  cleanse?(memory: GpuMemory): void;
}
