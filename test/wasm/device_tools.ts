/** Runs kernel specs on the cpu device with plain numbers in and out. */

import { type DType, float16, bfloat16, float32, float64 } from "../../ts/core/dtype.ts";
import type { View } from "../../ts/core/device.ts";
import { contiguousStrides, numelOf } from "../../ts/core/shape.ts";
import { cast, load } from "../../ts/kernel/expr.ts";
import type { KernelSpec } from "../../ts/kernel/spec.ts";
import { createCpuDevice } from "../../wasm/device/index.ts";
import { nodePlatform } from "../../wasm/device/platform.node.ts";

export const device = await createCpuDevice(nodePlatform(), { threads: 1 });

export function empty(dtype: DType, shape: readonly number[]): View {
  return { buffer: device.alloc(numelOf(shape) * dtype.itemsize), dtype, shape, strides: contiguousStrides(shape), offset: 0 };
}
export function run(spec: KernelSpec, inputs: readonly View[], outputs: readonly View[], params: unknown): void {
  device.run(device.prepare(spec), inputs, outputs, params);
}
export function convert(view: View, dtype: DType): View {
  if (view.dtype === dtype) return view;
  const out = empty(dtype, view.shape);
  const expr = cast(load(0, view.dtype), dtype);
  run({ kind: "map", inputs: [view.dtype], scalars: 0, outputs: [expr] }, [view], [out], { scalars: [] });
  return out;
}
export function from(dtype: DType, shape: readonly number[], values: ArrayLike<number>): View {
  const wide = empty(float64, shape);
  device.write(wide.buffer, 0, new Uint8Array(Float64Array.from(values).buffer));
  return convert(wide, dtype);
}
export function values(view: View): Float64Array {
  const wide = convert(view, float64);
  return new Float64Array(device.readSync(wide.buffer, 0, numelOf(view.shape) * 8).buffer);
}

/** Small whole numbers and halves: exact in every floating dtype, so that results can be compared exactly. */
export function exact(shape: readonly number[], seed: number): Float64Array {
  let state = seed;
  return Float64Array.from({ length: numelOf(shape) }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return ((state >>> 16) % 9) - 4;
  });
}

export const FLOATS = [float16, bfloat16, float32, float64];
