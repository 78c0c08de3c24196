/** `torch.webgpu`: starting the WebGPU device, and doors between tensors and a program's own WebGPU code. */

import type { AcceleratorFactory, KernelTime, WebGpuDeviceLike, WebGpuOptions, WebGpuStats } from "./core/accelerators.ts";
import type { DType } from "./core/dtype.ts";
import { float32 } from "./core/dtype.ts";
import { RuntimeError, ValueError } from "./core/errors.ts";
import { contiguousStrides, formatShape, numelOf, type Shape } from "./core/shape.ts";
import { Storage } from "./core/storage.ts";
import { Tensor } from "./core/tensor.ts";
import { registerDevice, registerStarter, resolveDevice } from "./ops/devices.ts";

export type { KernelTime, WebGpuOptions, WebGpuStats };

let factory: AcceleratorFactory<WebGpuDeviceLike, WebGpuOptions> | null = null;
let current: WebGpuDeviceLike | null = null;
let starting: Promise<void> = Promise.resolve();

/** @internal */
export function _registerWebGpu(own: AcceleratorFactory<WebGpuDeviceLike, WebGpuOptions>): void {
  factory = own;
  registerStarter("webgpu", async () => {
    if (!own.plausible())
      throw new RuntimeError(
        "webgpu: no driver was found; `await torch.webgpu.init()` looks more closely and says what is missing",
      );
    await init();
    return current!;
  });
}

/**
 * Makes the device "webgpu" ready. Without options one that is ready already stays; with options, or when it was lost, there is a new one,
 * and tensors of the earlier one cannot meet the new one's. Throws a RuntimeError that says what is missing and what to do.
 */
export async function init(options: WebGpuOptions = {}): Promise<void> {
  const before = starting;
  const started = (async () => {
    await before.catch(() => undefined);
    // A device that has just been lost may not have said so yet.
    if (current !== null && !current.lost) await Promise.race([current.gpu.lost, new Promise((r) => setTimeout(r, 10))]);
    if (current !== null && !current.lost && Object.keys(options).length === 0) return;
    if (factory === null) throw new RuntimeError("webgpu: this build has no WebGPU");
    current = await factory.create(options);
    registerDevice(current);
  })();
  starting = started;
  await started;
}

/** Whether this machine has a WebGPU adapter; `init` would then work. */
export async function is_available(): Promise<boolean> {
  return factory !== null && (await factory.available());
}

function ready(what: string): WebGpuDeviceLike {
  if (current === null) throw new RuntimeError(`${what}: call \`await torch.webgpu.init()\` first`);
  return current;
}

/** The GPUDevice that the tensors live on. */
export function device(): GPUDevice {
  return ready("webgpu.device").gpu;
}
/** The adapter, in words. */
export function get_device_name(): string {
  return ready("webgpu.get_device_name").description;
}
/** Resolves when everything that was asked for so far has been carried out. */
export async function synchronize(): Promise<void> {
  await ready("webgpu.synchronize").synchronize();
}
/** What has been sent to the GPU so far. */
export function stats(): WebGpuStats {
  return ready("webgpu.stats").stats();
}
/**
 * Runs `fn` and returns the GPU time of every kernel that it launched, in order. Needs the device's feature timestamp-query. Kernels that
 * others would run beside run alone, so the sum is more than a step takes.
 */
export async function profile(fn: () => unknown): Promise<KernelTime[]> {
  return ready("webgpu.profile").profile(fn);
}

/** Part of a GPUBuffer, in bytes: what `createBindGroup` takes as a resource. */
export interface GPUBufferPart {
  readonly buffer: GPUBuffer;
  readonly offset: number;
  readonly size: number;
}

declare module "./core/tensor.ts" {
  interface Tensor {
    /**
     * Where the elements of this contiguous tensor of device "webgpu" lie: float32 as f32, integers and bool as i32, float16 as f16 if the
     * device has it, else as f32, as bfloat16. Everything asked for so far has been submitted: what you submit now comes after it. Keep
     * the tensor as long as you use the buffer, whose memory is used again afterwards; and ask anew after an optimizer's step, which may move
     * its parameters.
     */
    gpu_buffer(): Promise<GPUBufferPart>;
  }
}

Object.assign(Tensor.prototype, {
  async gpu_buffer(this: Tensor): Promise<GPUBufferPart> {
    const { device } = this;
    if (device.type !== "webgpu" || !("nativeBuffer" in device)) {
      throw new RuntimeError(
        `gpu_buffer: expected a tensor of device webgpu, got one of ${device.type}; move it with .to("webgpu")`,
      );
    }
    if (!this.is_contiguous()) {
      throw new RuntimeError(
        `gpu_buffer: expected a contiguous tensor, got shape ${formatShape(this.shape)} with strides ${formatShape(this.stride())}; call .contiguous() first`,
      );
    }
    const { buffer, first, elementBytes } = await (device as WebGpuDeviceLike).nativeBuffer(this._storage.materialize());
    return { buffer, offset: (first + this._offset) * elementBytes, size: this.numel() * elementBytes };
  },
});

/**
 * A tensor over a GPUBuffer of your own on `torch.webgpu.device()`: no copy, and what either side writes the other sees, in the order of the
 * submissions (`await t.gpu_buffer()` submits the tensors' side). Usage must include STORAGE, COPY_SRC and COPY_DST; elements lie as
 * `gpu_buffer` says. `offset` counts bytes. The buffer stays yours to destroy, when no tensor uses it any more.
 */
export function from_gpu_buffer(
  buffer: GPUBuffer,
  { shape, dtype = float32, offset = 0 }: { shape?: Shape; dtype?: DType; offset?: number } = {},
): Tensor {
  const own = ready("from_gpu_buffer");
  const { buffer: adopted, elementBytes } = own.adoptNative(buffer, dtype);
  const size = Math.floor(buffer.size / elementBytes);
  const first = offset / elementBytes;
  if (!Number.isInteger(first) || first < 0 || first > size) {
    throw new ValueError(
      `from_gpu_buffer: expected an offset from 0 to ${buffer.size} that is a multiple of ${elementBytes} bytes, got ${offset}`,
    );
  }
  const dims = shape ?? [size - first];
  if (numelOf(dims) > size - first) {
    throw new ValueError(
      `from_gpu_buffer: shape ${formatShape(dims)} of ${dtype} takes ${numelOf(dims) * elementBytes} bytes; the buffer has ${(size - first) * elementBytes} from byte ${offset} on`,
    );
  }
  return new Tensor(dtype, dims, contiguousStrides(dims), first, new Storage(own, dtype, size, adopted));
}

/** Ends the device "webgpu" at once: its tensors are lost, and `init` makes a new one. */
export function destroy(): void {
  (resolveDevice("webgpu") as WebGpuDeviceLike).destroy();
}
