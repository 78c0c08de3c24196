/** Indexed reads, and what they share with indexed writes: the block that says which addresses to visit. */

import type { View } from "../../../ts/core/device.ts";
import { IndexError, RuntimeError } from "../../../ts/core/errors.ts";
import { contiguousStrides, isContiguous, numelOf } from "../../../ts/core/shape.ts";
import type { GatherParams, GatherSpec } from "../../../ts/kernel/spec.ts";
import type { CpuContext, Lowering } from "../context.ts";
import { coalesce } from "./strides.ts";

/** Elements that one task copies. */
const GRAIN = 32768;

/** One index tensor and the dimension of the indexed tensor that it addresses. */
interface Index {
  readonly view: View;
  readonly strides: readonly number[];
  readonly size: number;
  readonly stride: number;
  readonly dim: number;
}

/** The iteration space: dims that no index moves and that come last are rows. */
export interface Space {
  readonly indices: readonly Index[];
  /** Coalesced, without the rows; strides of the indexed tensor, of the other tensor, of each index tensor. */
  readonly shape: readonly number[];
  readonly strides: readonly (readonly number[])[];
  readonly count: number;
  readonly row: number;
  readonly indexedStep: number;
  readonly otherStep: number;
}

/**
 * @param indexed The tensor that indices point into.
 * @param shape Of the iteration; the index tensors have it too.
 * @param otherStrides Of the tensor that runs along.
 */
export function makeSpace(
  mode: GatherSpec["mode"],
  indexed: View,
  indexViews: readonly View[],
  shape: readonly number[],
  otherStrides: readonly number[],
  params: GatherParams,
): Space {
  const dims = mode === "gather" ? [params.dim] : params.dims;
  const along = mode === "gather" ? indexed.strides.map((s, d) => (d === params.dim ? 0 : s)) : params.src_strides;
  const indices = indexViews.map((view, k): Index => {
    const dim = dims[k]!;
    // A 0-d tensor is indexed as if it had one element along one dimension.
    return { view, strides: view.strides, size: indexed.shape[dim] ?? 1, stride: indexed.strides[dim] ?? 0, dim };
  });
  return space(indices, shape, [along, otherStrides, ...indices.map((index) => index.strides)]);
}

function space(indices: readonly Index[], fullShape: readonly number[], all: readonly (readonly number[])[]): Space {
  const { shape, strides } = coalesce(fullShape, all);
  const last = shape.length - 1;
  let row = 1;
  let steps = [0, 0];
  if (last >= 0 && strides.slice(2).every((s) => s[last] === 0)) {
    row = shape.pop()!;
    steps = strides.map((s) => s.pop()!);
  }
  return { indices, shape, strides, count: numelOf(shape), row, indexedStep: steps[0]!, otherStep: steps[1]! };
}

/** What `Positions` of wasm/assembly/gather_positions.ts reads. Launches `kernel` and throws if it met a bad index. */
export function launchPositions(
  context: CpuContext,
  kernel: string,
  space: Space,
  indexed: View,
  other: View,
  options: { mode: GatherSpec["mode"]; wrap: boolean; name: string; grain: number; indexedOut: number; otherOut: number },
): void {
  const { shape, count, row } = space;
  const itemsize = indexed.dtype.itemsize;
  const perTask = Math.max(1, Math.floor(GRAIN / options.grain));
  const tasks = Math.ceil(count / perTask);
  const failures = context.workspace(tasks * 4);
  const bytes = (s: readonly number[]): number[] => s.map((stride) => stride * itemsize);
  const block = context
    .params(14 + shape.length * 3 + space.indices.length * (3 + shape.length))
    .i32s([count, perTask, shape.length, space.indices.length, options.wrap ? 1 : 0])
    .i32s([context.address(indexed), context.address(other)])
    .i32s([row, space.indexedStep * itemsize, space.otherStep * itemsize, itemsize])
    .i32s([failures, options.indexedOut, options.otherOut])
    .i32s(shape)
    .i32s(bytes(space.strides[0]!))
    .i32s(bytes(space.strides[1]!));
  space.indices.forEach((index, k) => {
    block.i32s([context.address(index.view), index.size, index.stride * itemsize]);
    block.i32s(space.strides[2 + k]!.map((s) => s * 8));
  });
  context.launch(kernel, block.ptr, tasks);
  const found = context.heap.i32.subarray(failures >> 2, (failures >> 2) + tasks).find((position) => position >= 0);
  if (found !== undefined) throw badIndex(context, space, found, options);
}

/** Finds out which index it was. */
function badIndex(
  context: CpuContext,
  space: Space,
  position: number,
  options: { wrap: boolean; name: string; mode: GatherSpec["mode"] },
): Error {
  const coordinates = contiguousStrides(space.shape).map((s, d) => Math.floor(position / s) % space.shape[d]!);
  for (const [k, index] of space.indices.entries()) {
    const offset = coordinates.reduce((sum, c, d) => sum + c * space.strides[2 + k]![d]!, 0);
    const value = context.heap.i64[(context.address(index.view) >>> 3) + offset]!;
    if (value >= (options.wrap ? -index.size : 0) && value < index.size) continue;
    // PyTorch's gather and scatter raise a RuntimeError, its indexing an IndexError.
    const Type = options.mode === "gather" ? RuntimeError : IndexError;
    return new Type(`${options.name}: index ${value} is out of bounds for dimension ${index.dim} with size ${index.size}`);
  }
  return new RuntimeError(`${options.name}: an index changed while it was used`);
}

/** Whether negative indices count from the end: where the caller does not say, as PyTorch's functions of either mode do. */
export function wraps(mode: GatherSpec["mode"], params: GatherParams): boolean {
  return params.wrap ?? mode === "index";
}

export const lowerGather: Lowering<"gather"> = (spec, context) => (inputs, outputs, params) => {
  const [src, ...indices] = inputs as [View, ...View[]];
  const out = outputs[0]!;
  if (numelOf(out.shape) === 0) return;
  const space = makeSpace(spec.mode, src, indices, out.shape, out.strides, params);
  launchPositions(context, "gather", space, src, out, {
    mode: spec.mode,
    wrap: wraps(spec.mode, params),
    name: params.name,
    grain: space.row,
    indexedOut: 0,
    otherOut: 0,
  });
};

/** Address of a view's elements in row-major order without gaps: its own, or that of a copy. */
export function packed(context: CpuContext, view: View): number {
  if (isContiguous(view.shape, view.strides)) return context.address(view);
  const address = context.workspace(numelOf(view.shape) * view.dtype.itemsize);
  copyTo(context, view, address, contiguousStrides(view.shape));
  return address;
}

/** Strided copy: a gather without indices. */
function copyTo(context: CpuContext, view: View, address: number, strides: readonly number[]): void {
  const { itemsize } = view.dtype;
  const target = space([], view.shape, [view.strides, strides]);
  const perTask = Math.max(1, Math.floor(GRAIN / target.row));
  const tasks = Math.ceil(target.count / perTask);
  const block = context
    .params(14 + target.shape.length * 3)
    .i32s([target.count, perTask, target.shape.length, 0, 0, context.address(view), address])
    .i32s([target.row, target.indexedStep * itemsize, target.otherStep * itemsize, itemsize, context.workspace(tasks * 4), 0, 0])
    .i32s(target.shape)
    .i32s(target.strides[0]!.map((s) => s * itemsize))
    .i32s(target.strides[1]!.map((s) => s * itemsize));
  context.launch("gather", block.ptr, tasks);
}
