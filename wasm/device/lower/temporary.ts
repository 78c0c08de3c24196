/** Temporary tensors in workspace, and the conversions with which kernels of few dtypes serve the others. */

import * as dtypes from "../../../ts/core/dtype.ts";
import type { Buffer, Device, View } from "../../../ts/core/device.ts";
import { NotImplementedError } from "../../../ts/core/errors.ts";
import { contiguousStrides, isContiguous, numelOf } from "../../../ts/core/shape.ts";
import { cast, load, op, scalar } from "../../../ts/kernel/expr.ts";
import type { MapSpec } from "../../../ts/kernel/spec.ts";
import type { ComposingContext } from "../context.ts";
import type { FloatKind } from "../cpp/launcher.ts";

/** What a cpu buffer is to `ComposingContext.address`, without an owner. */
class Workspace implements Buffer {
  readers = 0;
  constructor(
    readonly device: Device,
    readonly nbytes: number,
    readonly ptr: number,
  ) {}
}

const NO_SCALARS = { scalars: [] };

/** One spec object per pair of dtypes, so that preparing it again is one look-up. */
const copySpecs: (MapSpec | undefined)[] = [];
function copySpec(from: dtypes.DType, to: dtypes.DType): MapSpec {
  return (copySpecs[from.code * dtypes.DTYPES.length + to.code] ??= {
    kind: "map",
    inputs: [from],
    scalars: 0,
    outputs: [cast(load(0, from), to)],
  });
}

export function temporary(context: ComposingContext, device: Device, dtype: dtypes.DType, shape: readonly number[]): View {
  const nbytes = numelOf(shape) * dtype.itemsize;
  const buffer = new Workspace(device, nbytes, context.workspace(nbytes));
  return { buffer, dtype, shape, strides: contiguousStrides(shape), offset: 0 };
}

/** Writes `from` to `to` (same shape), converting as needed. */
export function copy(context: ComposingContext, from: View, to: View): void {
  context.lower<"map">(copySpec(from.dtype, to.dtype))([from], [to], NO_SCALARS);
}

const scaledSums: (MapSpec | undefined)[] = [];
/** out = factor * out + addend. */
export function scaleAndAdd(context: ComposingContext, out: View, factor: number, addend: View): void {
  const { dtype } = out;
  const spec = (scaledSums[dtype.code] ??= {
    kind: "map",
    inputs: [dtype, dtype],
    scalars: 1,
    outputs: [op("add", dtype, op("mul", dtype, scalar(0, dtype), load(0, dtype)), load(1, dtype))],
  });
  const value = dtype === dtypes.int64 ? BigInt(Math.trunc(factor)) : factor;
  context.lower<"map">(spec)([out, addend], [out], { scalars: [value] });
}

/** The view itself where it has that dtype and no gaps, otherwise a converted copy. */
export function contiguous(context: ComposingContext, view: View, dtype: dtypes.DType): View {
  if (view.dtype === dtype && isContiguous(view.shape, view.strides)) return view;
  return converted(context, view, dtype);
}

/** The view itself where it has that dtype, otherwise a converted copy without gaps. */
export function withDType(context: ComposingContext, view: View, dtype: dtypes.DType): View {
  return view.dtype === dtype ? view : converted(context, view, dtype);
}

function converted(context: ComposingContext, view: View, dtype: dtypes.DType): View {
  const copied = temporary(context, view.buffer.device, dtype, view.shape);
  copy(context, view, copied);
  return copied;
}

/** Which of the C++ kernels serve a floating dtype. */
export function floatKind(what: string, dtype: dtypes.DType): FloatKind {
  if (!dtype.is_floating_point) {
    throw new NotImplementedError(`${what}: no cpu kernel for ${dtype}; convert to a floating dtype`);
  }
  return dtype === dtypes.float64 ? "f64" : "f32";
}

/**
 * Runs `body` with inputs and outputs in the dtypes that its kernel takes: narrow floats are widened on the way in, and narrowed on the
 * way out. Other dtypes (int64 indices, say) stay as they are.
 */
export function inComputeDType(
  context: ComposingContext,
  inputs: readonly View[],
  outputs: readonly View[],
  body: (inputs: readonly View[], outputs: readonly View[]) => void,
): void {
  if (!outputs.some(isHalfView) && !inputs.some(isHalfView)) return body(inputs, outputs);
  const targets = outputs.map((view) =>
    isHalf(view.dtype) ? temporary(context, view.buffer.device, dtypes.float32, view.shape) : view,
  );
  body(
    inputs.map((view) => (isHalf(view.dtype) ? contiguous(context, view, dtypes.float32) : view)),
    targets,
  );
  targets.forEach((target, i) => {
    if (target !== outputs[i]) copy(context, target, outputs[i]!);
  });
}

const isHalfView = (view: View): boolean => isHalf(view.dtype);

export function isHalf(dtype: dtypes.DType): boolean {
  return dtype === dtypes.float16 || dtype === dtypes.bfloat16;
}
