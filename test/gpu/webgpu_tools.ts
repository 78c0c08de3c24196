/** The WebGPU device in tests: Dawn on whatever adapter there is, and programs written by hand. */

import type { DType } from "../../ts/core/dtype.ts";
import { float32 } from "../../ts/core/dtype.ts";
import type { GpuBackend } from "../../gpu/backend.ts";
import { KernelBuilder } from "../../gpu/builder.ts";
import type { Bindable, GpuContext } from "../../gpu/context.ts";
import type { GpuDevice } from "../../gpu/device.ts";
import type { GpuBuffer } from "../../gpu/memory.ts";
import { createWebGpuDevice, type WebGpuOptions } from "../../gpu/webgpu/init.ts";
import { nodeWebGpu } from "../../gpu/webgpu/platform.node.ts";
import type { WebGpuDevice } from "../../gpu/webgpu/device.ts";
import { nodePlatform } from "../../wasm/device/platform.node.ts";

export const platform = nodeWebGpu(nodePlatform());

export function webgpu(options: WebGpuOptions = {}): Promise<WebGpuDevice> {
  return createWebGpuDevice(platform, options);
}

export const bytesOf = (a: ArrayBufferView): Uint8Array => new Uint8Array(a.buffer, a.byteOffset, a.byteLength);

export function bufferOf(device: GpuDevice, values: ArrayBufferView, dtype: DType = float32): GpuBuffer {
  const buffer = device.alloc(values.byteLength, dtype);
  device.write(buffer, 0, bytesOf(values));
  return buffer;
}

export async function floats(device: GpuDevice, buffer: GpuBuffer): Promise<number[]> {
  return [...new Float32Array((await device.read(buffer, 0, buffer.nbytes)).slice().buffer)];
}

export function viewOf(buffer: GpuBuffer): Bindable {
  const size = buffer.nbytes / buffer.dtype.itemsize;
  return { buffer, dtype: buffer.dtype, shape: [size], strides: [1], offset: 0 };
}

/** What kernels get from a device: tests launch programs through it. */
export function contextOf(device: GpuDevice): GpuContext & { endRun(): void } {
  return device.context;
}
export type { GpuBackend };

/** y[i] = x[i] * a + b */
export function affine(
  context: GpuContext,
  x: Bindable,
  y: Bindable,
  n: number,
  a: number,
  b: number,
  aliasing?: "elementwise",
): void {
  const program = context.program("test/affine", () => {
    const k = new KernelBuilder("affine", 64);
    const [from, to] = [k.input("x", "f32"), k.output("y", "f32")];
    const [scale, shift] = [k.param("a", "f32"), k.param("b", "f32")];
    k.gridStride(k.param("n", "u32"), (i) => to.store(i, from.load(i).mul(scale).add(shift)));
    return k.build();
  });
  context.launch(program, {
    buffers: [x, y],
    params: { a, b, n },
    groups: Math.ceil(n / 64),
    ...(aliasing ? { aliasing } : {}),
  });
}
