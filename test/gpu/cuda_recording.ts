/** GPU devices with CUDA's capabilities that record the kernels of what is dispatched, and interpret it or do nothing. */

import type { Dispatch } from "../../gpu/backend.ts";
import type { GpuCaps } from "../../gpu/context.ts";
import { GpuDevice } from "../../gpu/device.ts";
import { InterpreterBackend } from "../../gpu/interpreter/backend.ts";
import type { Program } from "../../gpu/ir.ts";
import { type CudaKernel, toCuda } from "../../gpu/lower/cuda.ts";

/** As gpu/cuda has them: of Turing (7.5), and of what came later. */
const TURING: GpuCaps = {
  f16: true,
  subgroups: { min: 32, max: 32 },
  maxStorageBuffers: 64,
  maxWorkgroupStorage: 64 << 10,
  maxWorkgroupSize: 1024,
  maxBufferSize: 2 ** 40,
  wide: true,
  matrix: null,
  asyncCopy: false,
  processors: 40,
};
const HOPPER: GpuCaps = {
  ...TURING,
  maxWorkgroupStorage: 227 << 10,
  matrix: { f16: true, bf16: true, tf32: true },
  asyncCopy: true,
  processors: 132,
};
export const CUDA_CAPS = { sm_75: TURING, sm_90: HOPPER } as const;
export type Architecture = keyof typeof CUDA_CAPS;

export interface Recorded extends CudaKernel {
  readonly program: Program;
  readonly aliases: readonly number[];
}

export class CudaRecordingBackend extends InterpreterBackend {
  /** In the order of their first dispatches. */
  readonly kernels = new Map<string, Recorded>();
  computes = true;
  override dispatch(dispatch: Dispatch): void {
    const { program, aliases } = dispatch;
    const kernel = toCuda(program, aliases);
    if (!this.kernels.has(kernel.name)) this.kernels.set(kernel.name, { ...kernel, program, aliases: [...aliases] });
    if (this.computes) super.dispatch(dispatch);
  }
  /** What `fn` dispatches is only recorded. */
  async onlyRecord(fn: () => Promise<unknown>): Promise<void> {
    this.computes = false;
    try {
      await fn();
    } finally {
      this.computes = true;
    }
  }
}

export function cudaRecordingDevice(caps: GpuCaps): { readonly device: GpuDevice; readonly backend: CudaRecordingBackend } {
  const backend = new CudaRecordingBackend(caps, { races: false });
  const device = new GpuDevice("cuda", backend, { macrotask: () => new Promise((resolve) => setTimeout(resolve, 0)) });
  return { device, backend };
}
