/**
 * Runs a KernelSpec on the cpu device and on a GPU device, and compares.
 *
 *     describe.each(devices)("$name", (target) => {
 *       it("sums rows", () => check(target, { spec, inputs: [tensor(float32, [2, 3], values)], outputs: [empty(float32, [2])], params }));
 *     });
 *
 * GPU devices are interpreters with various capabilities, each with an order of threads of its own, and Dawn's WebGPU.
 */

import type { GpuDevice } from "../../gpu/device.ts";
import { InterpreterDevice } from "../../gpu/interpreter/device.ts";
import { BF16_VALUES, F16_VALUES, toBF16, toF16 } from "../../gpu/lower/interpret_memory.ts";
import type { Device, View } from "../../ts/core/device.ts";
import { bfloat16, type DType, float16, float64 } from "../../ts/core/dtype.ts";
import { contiguousStrides, numelOf } from "../../ts/core/shape.ts";
import type { KernelKind, KernelSpec, ParamsOf } from "../../ts/kernel/spec.ts";
import { createCpuDevice } from "../../wasm/device/index.ts";
import { nodePlatform } from "../../wasm/device/platform.node.ts";
import { createWebGpuDevice } from "../../gpu/webgpu/init.ts";
import { nodeWebGpu } from "../../gpu/webgpu/platform.node.ts";
import { beforeEach, expect } from "vitest";
import { sampleOf } from "../conformance/sample.ts";
import { isFull } from "../tiers.ts";

export interface Target {
  readonly name: string;
  readonly device: GpuDevice;
  /** An interpreter: keep sizes small. */
  readonly slow: boolean;
  /** int64 and float64 in full. */
  readonly wide: boolean;
}

export const cpu = await createCpuDevice(nodePlatform(), { threads: 1 });

function interpreter(name: string, options: ConstructorParameters<typeof InterpreterDevice>[0]): Target {
  const device = new InterpreterDevice(options);
  return { name: `interpreter ${name}`, device, slow: true, wide: device.gpuCaps.wide };
}

/** Dawn, with all that the adapter has and with WebGPU's minimum. Only KINDLING_VULKAN=none lets it be missing. */
async function dawn(): Promise<Target[]> {
  if (process.env.KINDLING_VULKAN === "none") {
    console.error(`NOT RUN (KINDLING_VULKAN=none): the tests of ${expect.getState().testPath ?? "kernels"} on webgpu`);
    return [];
  }
  const platform = nodeWebGpu(nodePlatform());
  const target = async (name: string, limits: "maximal" | "minimal"): Promise<Target> => {
    const device = await createWebGpuDevice(platform, { limits });
    return { name, device, slow: false, wide: false };
  };
  return [await target("webgpu", "maximal"), await target("webgpu minimal", "minimal")];
}

export const devices: readonly Target[] = [
  interpreter("minimal", { order: "reverse", hostile: true }),
  interpreter("subgroups of 4", { caps: { subgroups: { min: 4, max: 4 } }, order: 1 }),
  interpreter("f16", { caps: { f16: true, subgroups: { min: 4, max: 64 } }, subgroupSize: 32, order: 2, fused: true }),
  interpreter("wide", {
    caps: { wide: true, f16: true, subgroups: { min: 32, max: 32 }, maxStorageBuffers: 64, maxWorkgroupStorage: 48 << 10 },
    order: "forward",
  }),
  ...(await dawn()),
];

/** The least of adapters runs what the minimal interpreter does; what is left to see is that a compiler takes it. */
const ofMinimal = sampleOf(isFull ? 1 : 3);
beforeEach(({ task, skip }) => {
  if (task.suite?.name.includes("webgpu minimal") !== true || ofMinimal(task.suite.name, task.name)) return;
  skip("one in three runs here, all in npm run test:full");
});

const likeCuda = {
  wide: true,
  f16: true,
  subgroups: { min: 32, max: 32 },
  maxStorageBuffers: 64,
  matrix: { f16: true, bf16: true, tf32: true },
} as const;
/** With matrix units: for the kinds that use them. Few processors have large tiles, many have small ones. */
export const matrixDevices: readonly Target[] = [
  interpreter("matrix units", {
    caps: { ...likeCuda, maxWorkgroupStorage: 99 << 10, asyncCopy: true, processors: 2 },
    order: "reverse",
    hostile: true,
  }),
  interpreter("matrix units, no copies", { caps: { ...likeCuda, maxWorkgroupStorage: 48 << 10, processors: 100 }, order: 3 }),
];

/** A view by its elements: `values` fills its memory, which `strides` and `offset` walk (dense by default). */
export interface Operand {
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: ArrayLike<number | bigint> | null;
  readonly strides: readonly number[];
  readonly offset: number;
  /** Elements of memory. */
  readonly size: number;
}

export function tensor(
  dtype: DType,
  shape: readonly number[],
  values: ArrayLike<number | bigint>,
  { strides = contiguousStrides(shape), offset = 0 }: { strides?: readonly number[]; offset?: number } = {},
): Operand {
  return { dtype, shape, values, strides, offset, size: values.length };
}
/** Memory that holds nothing in particular. */
export function empty(dtype: DType, shape: readonly number[]): Operand {
  return { dtype, shape, values: null, strides: contiguousStrides(shape), offset: 0, size: numelOf(shape) };
}
/** A copy with dims in another order: the same elements, strided. */
export function permuted(x: Operand, ...dims: number[]): Operand {
  return { ...x, shape: dims.map((d) => x.shape[d]!), strides: dims.map((d) => x.strides[d]!) };
}

/** Reproducible numbers in [low, high). */
export function uniform(size: number, seed: number, low = -1, high = 1): Float64Array {
  let state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  const word = (): number => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return (x ^ (x >>> 14)) >>> 0;
  };
  return Float64Array.from({ length: size }, () => low + (word() / 2 ** 32) * (high - low));
}
/** Reproducible whole numbers in [low, high). */
export function integers(size: number, seed: number, low: number, high: number): Float64Array {
  return uniform(size, seed, low, high).map(Math.floor);
}

export function encode(dtype: DType, values: ArrayLike<number | bigint>): Uint8Array {
  const numbers = (): number[] => Array.from(values, Number);
  const array = ((): { readonly buffer: ArrayBufferLike } => {
    switch (dtype.name) {
      case "bool":
        return Uint8Array.from(values, (x) => (Number(x) === 0 ? 0 : 1));
      case "uint8":
        return Uint8Array.from(numbers());
      case "int8":
        return Int8Array.from(numbers());
      case "int16":
        return Int16Array.from(numbers());
      case "int32":
        return Int32Array.from(numbers());
      case "int64":
        return BigInt64Array.from(Array.from(values, BigInt));
      case "float16":
        return Uint16Array.from(values, (x) => toF16(Number(x)));
      case "bfloat16":
        return Uint16Array.from(values, (x) => toBF16(Number(x)));
      case "float32":
        return Float32Array.from(numbers());
      case "float64":
        return Float64Array.from(numbers());
    }
  })();
  return new Uint8Array(array.buffer);
}

/** int64 as numbers: exact up to 2^53. */
export function decode(dtype: DType, bytes: Uint8Array): Float64Array {
  const { buffer } = bytes.slice();
  switch (dtype.name) {
    case "bool":
    case "uint8":
      return Float64Array.from(new Uint8Array(buffer));
    case "int8":
      return Float64Array.from(new Int8Array(buffer));
    case "int16":
      return Float64Array.from(new Int16Array(buffer));
    case "int32":
      return Float64Array.from(new Int32Array(buffer));
    case "int64":
      return Float64Array.from(new BigInt64Array(buffer), Number);
    case "float16":
      return Float64Array.from(new Uint16Array(buffer), (x) => F16_VALUES[x]!);
    case "bfloat16":
      return Float64Array.from(new Uint16Array(buffer), (x) => BF16_VALUES[x]!);
    case "float32":
      return Float64Array.from(new Float32Array(buffer));
    case "float64":
      return new Float64Array(buffer);
  }
}

/** Puts an operand on a device. What it does not say is NaN or -1. */
export function upload(device: Device, x: Operand): View {
  const { dtype, shape, strides, offset, size } = x;
  const nbytes = size * dtype.itemsize;
  const buffer = device.alloc(nbytes, dtype);
  if (nbytes > 0) {
    if (x.values !== null) device.write(buffer, 0, encode(dtype, x.values));
    else
      device.write(
        buffer,
        0,
        encode(dtype, new Array<number>(size).fill(dtype.is_floating_point ? NaN : dtype.is_signed ? -1 : 1)),
      );
  }
  return { buffer, dtype, shape, strides, offset };
}

/** The memory of a view, from its start. */
export async function download({ buffer, dtype }: View): Promise<Float64Array> {
  return decode(dtype, await buffer.device.read(buffer, 0, buffer.nbytes));
}

/** |actual - expected| <= atol + rtol * |expected| */
export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

export interface Case<K extends KernelKind = KernelKind> {
  readonly spec: Extract<KernelSpec, { kind: K }>;
  readonly inputs: readonly Operand[];
  /** What outputs hold before; a number: the view of that input, in place. */
  readonly outputs: readonly (Operand | number)[];
  readonly params: ParamsOf[K];
  /** Default: exact for integers, a few roundings for floats. */
  readonly tolerance?: Partial<Tolerance>;
}

/** Runs a case on one device; returns the outputs' memory. */
export async function evaluate<K extends KernelKind>(
  device: Device,
  { spec, inputs, outputs, params }: Case<K>,
): Promise<Float64Array[]> {
  const given = inputs.map((x) => upload(device, x));
  const results = outputs.map((x) => (typeof x === "number" ? given[x]! : upload(device, x)));
  device.run(device.prepare(spec), given, results, params);
  const out = await Promise.all(results.map(download));
  for (const { buffer } of new Set([...given, ...results])) device.free(buffer);
  return out;
}

function defaultTolerance(dtype: DType): Tolerance {
  if (!dtype.is_floating_point) return { rtol: 0, atol: 0 };
  if (dtype === float16) return { rtol: 2 ** -10, atol: 2 ** -12 };
  if (dtype === bfloat16) return { rtol: 2 ** -7, atol: 2 ** -9 };
  return dtype === float64 ? { rtol: 1e-12, atol: 1e-13 } : { rtol: 1e-5, atol: 1e-6 };
}

/** Throws where memory differs by more than the tolerance. */
export function compare(
  actual: Float64Array,
  expected: Float64Array,
  dtype: DType,
  tolerance: Partial<Tolerance> = {},
  what = "",
): void {
  const { rtol, atol } = { ...defaultTolerance(dtype), ...tolerance };
  if (actual.length !== expected.length) throw new Error(`${what}: ${actual.length} elements, expected ${expected.length}`);
  let bad = 0;
  let worst = "";
  for (let i = 0; i < actual.length; i++) {
    const [a, e] = [actual[i]!, expected[i]!];
    if (Object.is(a, e) || a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    if (Number.isFinite(e) && Math.abs(a - e) <= atol + rtol * Math.abs(e)) continue;
    if (bad++ < 5) worst += `\n  [${i}] is ${a}, expected ${e}`;
  }
  if (bad > 0) throw new Error(`${what}: ${bad} of ${actual.length} elements differ:${worst}`);
}

/** Whether a device has all dtypes of a case. */
export function supports({ wide }: Target, { inputs, outputs }: Pick<Case, "inputs" | "outputs">): boolean {
  return wide || ![...inputs, ...outputs].some((x) => typeof x !== "number" && x.dtype === float64);
}

/** Compares a GPU device with the cpu. float64 is passed over where it does not exist. */
export async function check<K extends KernelKind>(target: Target, test: Case<K>): Promise<void> {
  if (!supports(target, test)) return;
  const expected = await evaluate(cpu, test);
  const actual = await evaluate(target.device, test);
  test.outputs.forEach((x, i) => {
    const { dtype } = typeof x === "number" ? test.inputs[x]! : x;
    compare(actual[i]!, expected[i]!, dtype, test.tolerance, `${target.name}: ${test.spec.kind}, output ${i}`);
  });
}
