/** A GPU device that computes nothing: it records what is dispatched. For looking at generated code. */

import type { Dispatch, GpuBackend, GpuMemory } from "../../gpu/backend.ts";
import type { GpuCaps } from "../../gpu/context.ts";
import { GpuDevice } from "../../gpu/device.ts";
import { toWgsl } from "../../gpu/lower/wgsl.ts";

/** WebGPU's default limits, which every implementation has, and no optional feature. */
export const MINIMAL_CAPS: GpuCaps = {
  f16: false,
  subgroups: null,
  maxStorageBuffers: 8,
  maxWorkgroupStorage: 16384,
  maxWorkgroupSize: 256,
  maxBufferSize: 128 << 20,
  wide: false,
  matrix: null,
  asyncCopy: false,
  processors: null,
};

export class RecordingBackend implements GpuBackend {
  readonly copyAlignment = 4;
  readonly reservedBytes = 0;
  /** The text of every dispatched program, in order, and the work that its kernel gives. */
  readonly dispatched: { readonly name: string; readonly wgsl: string; readonly work: number | undefined }[] = [];
  constructor(readonly caps: GpuCaps = MINIMAL_CAPS) {}

  checkUsable(): void {}
  allocate(bytes: number): GpuMemory {
    return { bytes };
  }
  release(): void {}
  dispatch({ program, aliases, work }: Dispatch): void {
    this.dispatched.push({ name: program.name, wgsl: toWgsl(program, aliases), work });
  }
  copy(): void {}
  zero(): void {}
  upload(): void {}
  async download(_memory: GpuMemory, _byte: number, bytes: number): Promise<Uint8Array> {
    return new Uint8Array(bytes);
  }
  async synchronize(): Promise<void> {}
}

export function recordingDevice(caps: GpuCaps = MINIMAL_CAPS): {
  readonly device: GpuDevice;
  readonly backend: RecordingBackend;
} {
  const backend = new RecordingBackend(caps);
  const device = new GpuDevice("webgpu", backend, { macrotask: () => new Promise((resolve) => setTimeout(resolve, 0)) });
  return { device, backend };
}
