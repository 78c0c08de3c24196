/** Running kernels on tensors: allocation of results, kernel lookup, reductions with fused prologues. */

import type { Device, View } from "../core/device.ts";
import type { DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { contiguousStrides, isContiguous, numelOf, type Shape } from "../core/shape.ts";
import { Storage } from "../core/storage.ts";
import { BatchedAccess, Tensor } from "../core/tensor.ts";
import { load } from "../kernel/expr.ts";
import type { KernelKind, KernelSpec, ParamsOf, ReduceOp, ReduceSpec } from "../kernel/spec.ts";
import { readNow } from "./blocking.ts";
import { exampleOf, levelsOf, onWhole, wholeOf } from "./hidden.ts";
import { complexOf, paired, pairsOf, partOf } from "./pairs.ts";
import { cachedKernel, collect, expressions, fusible, makeTemplate, deferMap, type Dag, type Template } from "./fusion.ts";

/** A new contiguous tensor with uninitialised memory. */
export function empty(shape: Shape, dtype: DType, device: Device): Tensor {
  // Complex elements are pairs in memory of their parts' type.
  const { real } = dtype;
  const size = numelOf(shape) * (dtype.itemsize / real.itemsize);
  const buffer = device.alloc(size * real.itemsize, real);
  return new Tensor(dtype, shape, contiguousStrides(shape), 0, new Storage(device, real, size, buffer));
}

/** The same memory under another geometry; no autograd. */
export function alias(t: Tensor, shape: Shape, strides: Shape, offset: number): Tensor {
  const out = new Tensor(t.dtype, shape, strides, offset, t._storage);
  out._batch = t._batch;
  return out;
}

const specs = new Map<string, KernelSpec>();

/** One object per structure, so that kernels are found by identity. */
export function intern<S extends KernelSpec>(spec: S): S {
  const key = Object.values(spec).join("|");
  let known = specs.get(key);
  if (known === undefined) specs.set(key, (known = spec));
  return known as S;
}

/** Runs a kernel of any kind but map and reduce: `outputs` are written, `inputs` read through their strides. */
export function run<K extends Exclude<KernelKind, "map" | "reduce">>(
  spec: Extract<KernelSpec, { kind: K }>,
  inputs: readonly Tensor[],
  outputs: readonly Tensor[],
  params: ParamsOf[K],
): void {
  const device = outputs[0]!.device;
  const key = Object.values(spec).join("|");
  const kernel = cachedKernel(device, key, () => device.prepare(spec));
  device.run(kernel, inputs.map(toView), outputs.map(toView), params);
}

function toView(t: Tensor): View {
  return t._toView();
}

/** Dense row-major; a copy only where needed. No autograd. */
export function contiguous(t: Tensor): Tensor {
  return isContiguous(t.shape, t._strides) ? t : copyOf(t, t.dtype);
}

const casts = new Map<number, Template>();

/** A deferred copy in `dtype`. */
export function copyOf(t: Tensor, dtype: DType): Tensor {
  if (t.dtype.is_complex || dtype.is_complex) return complexCopy(t, dtype);
  return deferMap(castTemplate(t.dtype, dtype), [t], [], t.shape, t.device);
}

/** From or to complex numbers; their imaginary parts are lost where the result is real. */
function complexCopy(t: Tensor, dtype: DType): Tensor {
  if (!t.dtype.is_complex) return paired(copyOf(t, dtype.real), null);
  return dtype.is_complex ? complexOf(copyOf(pairsOf(t), dtype.real)) : copyOf(partOf(t, 0), dtype);
}

export function castTemplate(from: DType, to: DType): Template {
  const key = from.code * 32 + to.code;
  let template = casts.get(key);
  if (template === undefined) {
    const x = load(0, from);
    template = makeTemplate(from === to ? x : { kind: "cast", arg: x, dtype: to }, 1, 0);
    casts.set(key, template);
  }
  return template;
}

/**
 * Whether a reduction may compute `dag` itself: nothing else wants its parts, there is an input to tell the shape, and where the
 * dimensions change places no expression asks for its position.
 */
function foldable({ nodes, views, outputs }: Dag, order: readonly number[]): boolean {
  const inPlace = order.every((d, i) => d === i);
  return (
    views.length > 0 && nodes.every((n) => (n === outputs[0] || n.uses <= n.internal) && (inPlace || !n.template.positional))
  );
}

/**
 * Folds `x` over `dims`. The result has the kept dims only (`keepdim` is a view on top of it). A pending `x` that nothing else
 * wants is computed inside the reduction and never stored.
 */
export function reduce(op: ReduceOp, x: Tensor, dims: readonly number[], dtypes: readonly DType[]): Tensor[] {
  const levels = levelsOf([x]);
  if (levels.length > 0) {
    const inner = dims.map((d) => d + levels.length);
    return reduce(op, wholeOf(x, levels, x.ndim), inner, dtypes).map((t) => exampleOf(t, levels));
  }
  const kept: number[] = [];
  for (let d = 0; d < x.ndim; d++) if (!dims.includes(d)) kept.push(d);
  const order = [...kept, ...dims];
  const shape = kept.map((d) => x.shape[d]!);
  const outputs = dtypes.map((d) => empty(shape, d, x.device));
  if (outputs[0]!.numel() === 0) return outputs;

  const node = fusible(x);
  const dag = node === null ? null : collect(node);
  let key = `${op}|${dtypes[0]!.code}|`;
  let views: readonly View[];
  let scalars: readonly (number | bigint)[] = [];
  let spec: () => ReduceSpec;
  if (dag !== null && foldable(dag, order)) {
    key += dag.key;
    views = dag.views;
    scalars = dag.scalars;
    spec = () => ({
      kind: "reduce",
      op,
      inputs: dag.views.map((v) => v.dtype),
      scalars: scalars.length,
      expr: expressions(dag)[node!.slot]!,
      dtype: dtypes[0]!,
    });
  } else {
    key += x.dtype.code;
    views = [x._toView()];
    spec = () => ({ kind: "reduce", op, inputs: [x.dtype], scalars: 0, expr: load(0, x.dtype), dtype: dtypes[0]! });
  }
  const device = x.device;
  const kernel = cachedKernel(device, key, () => device.prepare(spec()));
  const permuted = views.map((v) => ({
    ...v,
    shape: order.map((d) => v.shape[d]!),
    strides: order.map((d) => v.strides[d]!),
  }));
  device.run(kernel, permuted, outputs.map(toView), { reduced: dims.length, scalars });
  return outputs;
}

/** A copy of the bytes on another device. No autograd. */
export function moved(t: Tensor, device: Device): Tensor {
  if (t._batch !== null) return onWhole([t], ([whole]) => moved(whole!, device));
  const out = empty(t.shape, t.dtype, device);
  if (t.numel() > 0) device.write(out._storage.buffer!, 0, bytesOf(t, `to("${device.type}")`));
  return out;
}

/** @internal */
export const NO_VALUES =
  "vmap: It looks like you're calling .item(), .tolist() or .data() on a Tensor, or use it in data-dependent control flow. That is not possible within vmap, where it stands for all examples at once; compute with tensors (torch.where, masks) instead, or take the value out of vmap.";

/** The values' bytes in row-major order, read now; `what` wants them. */
export function bytesOf(t: Tensor, what: string): Uint8Array {
  if (t._batch !== null) throw new BatchedAccess(NO_VALUES);
  if (t.numel() === 0) return new Uint8Array(0);
  const { _offset, dtype, _storage, device } = contiguous(t);
  return readNow(what, device, _storage.materialize(), _offset * dtype.itemsize, t.numel() * dtype.itemsize);
}

/** All tensors on one device, or an error that names the two. 0-d cpu tensors may join any device as scalars. */
export function commonDevice(op: string, tensors: readonly Tensor[]): Device {
  let device: Device | null = null;
  for (const t of tensors) {
    if (device === null || t.device === device) device = t.device;
    else if (joins(t)) continue;
    else if (tensors.every((other) => other.device === t.device || joins(other))) device = t.device;
    else {
      throw new RuntimeError(
        `${op}: expected all tensors to be on the same device, but found at least two devices, ${device.type}:${device.index} and ${t.device.type}:${t.device.index}. Move them with .to(device).`,
      );
    }
  }
  return device!;
}

const joins = (t: Tensor): boolean => t.ndim === 0 && t.device.type === "cpu";
