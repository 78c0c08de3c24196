/** The addon itself on the stand-ins, for tests of it: loaded, with what makes the stand-ins fail, and a packer of commands of its own. */

import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import type { Addon, AddonError, NativeDevice } from "../../gpu/cuda/addon.ts";
import { standIns, unavailable } from "./environment.ts";

export { standIns, unavailable };

const require = createRequire(import.meta.url);
const folder = process.env.KINDLING_NATIVE_DIR ?? fileURLToPath(new URL("../../build/native", import.meta.url));
/** KINDLING_NATIVE_DIR names another, built with a sanitizer, say. */
export const addonPath = `${folder}/kindling_cuda.node`;

/** Undefined where it is not built; the tests don't run then. */
export const addon = (unavailable === null ? require(addonPath) : undefined) as Addon;

/** test/cuda/stand_in/stand_in.h says what it understands. */
export const control = (
  unavailable === null ? (require(`${standIns}/control.node`) as { control: (command: string) => string }).control : () => ""
) as (command: string) => string;

/** Calls of a driver's function since `control("reset counts")`. */
export const calls = (name: string): number => (JSON.parse(control("counts")) as Record<string, number>)[name] ?? 0;
export const objects = (): Record<string, number> => JSON.parse(control("objects")) as Record<string, number>;

/** Has the addon look among the stand-ins. */
export const useStandIns = (): void => void addon.probe({ directories: [standIns], only: true });

export type Argument = { address: number } | { f32: number } | { u32: number } | { f64: number };

/** Commands as `submit` takes them. */
export class Commands {
  readonly words: number[] = [];

  launch(fn: number, groups: number, ...args: Argument[]): this {
    const bytes = new DataView(new ArrayBuffer(args.length * 8));
    let at = 0;
    for (const arg of args) {
      const size = "address" in arg || "f64" in arg ? 8 : 4;
      at = Math.ceil(at / size) * size;
      if ("address" in arg) bytes.setBigUint64(at, BigInt(arg.address), true);
      else if ("f64" in arg) bytes.setFloat64(at, arg.f64, true);
      else if ("f32" in arg) bytes.setFloat32(at, arg.f32, true);
      else bytes.setUint32(at, arg.u32, true);
      at += size;
    }
    const words = Array.from({ length: at / 4 }, (_, i) => bytes.getUint32(i * 4, true));
    return this.raw(1, fn, groups, at, ...words);
  }
  copy(to: number, from: number, bytes: number): this {
    return this.raw(2, ...long(to), ...long(from), ...long(bytes));
  }
  zero(address: number, bytes: number): this {
    return this.raw(3, ...long(address), ...long(bytes));
  }
  upload(address: number, bytes: Uint8Array): this {
    const padded = new Uint8Array(Math.ceil(bytes.length / 4) * 4);
    padded.set(bytes);
    return this.raw(4, ...long(address), bytes.length, ...new Uint32Array(padded.buffer));
  }
  record(event: number): this {
    return this.raw(5, event);
  }
  raw(op: number, ...fields: number[]): this {
    this.words.push((op | ((fields.length + 1) << 8)) >>> 0, ...fields);
    return this;
  }
  submit(device: NativeDevice): void {
    device.submit(Uint32Array.from(this.words), this.words.length);
  }
}

export const long = (value: number): [number, number] => [value >>> 0, Math.floor(value / 2 ** 32)];

export const KERNELS = `
extern "C" __global__ void __launch_bounds__(64) add(const float* __restrict__ b_x, float* __restrict__ b_y, unsigned p_n, float p_s) {
  unsigned i = blockIdx.x * 64u + threadIdx.x;
  if (i < p_n) b_y[i] = b_x[i] + p_s;
}
extern "C" __global__ void __launch_bounds__(64) scale(float* __restrict__ b_y, unsigned p_n, double p_s) {
  unsigned i = blockIdx.x * 64u + threadIdx.x;
  if (i < p_n) b_y[i] = float(b_y[i] * p_s);
}
extern "C" __global__ void __launch_bounds__(64) shared(float* __restrict__ b_y, unsigned p_n) {
  extern __shared__ unsigned char pool[];
  float* values = reinterpret_cast<float*>(pool);
  for (unsigned i = threadIdx.x; i < p_n; i += 64u) values[i] = float(i);
  __syncthreads();
  float sum = 0.0f;
  for (unsigned i = threadIdx.x; i < p_n; i += 64u) sum += values[p_n - 1u - i];
  b_y[threadIdx.x] = sum;
}
extern "C" __global__ void __launch_bounds__(64) stray(float* __restrict__ b_y) { b_y[1ull << 28] = 1.0f; }
`;

export const ARCH = "--gpu-architecture=sm_90";

/** The functions of KERNELS. */
export function loadKernels(device: NativeDevice): { add: number; scale: number; stray: number } {
  const module = device.loadModule(device.compileSync(KERNELS, [ARCH]).cubin);
  const get = (name: string): number => device.getFunction(module, name, 64, 0);
  return { add: get("add"), scale: get("scale"), stray: get("stray") };
}

export const bytesOf = (values: ArrayLike<number>): Uint8Array => new Uint8Array(Float32Array.from(values).buffer);
export const floatsOf = (bytes: Uint8Array): number[] => [...new Float32Array(bytes.slice().buffer)];

/** What `fn` throws. */
export function failure(fn: () => unknown): AddonError {
  try {
    fn();
  } catch (error) {
    return error as AddonError;
  }
  throw new Error("it did not throw");
}
export async function rejection(promise: Promise<unknown>): Promise<AddonError> {
  const error = await promise.then(
    () => null,
    (reason: unknown) => reason,
  );
  if (error === null) throw new Error("it was not rejected");
  return error as AddonError;
}
