/** What several kernels share: strided addressing and folds over the threads of a workgroup. */

import type { View } from "../../ts/core/device.ts";
import type { GpuCaps } from "../context.ts";
import type { ScalarType } from "../ir.ts";
import { type Block, type KernelBuilder, type Num, type V, typeOf } from "../builder.ts";

/** The run-time geometry of a view in a kernel: u32 params `${name}_offset`, `${name}_stride0`... */
export interface StridedView {
  readonly offset: V;
  readonly strides: readonly V[];
}

export function declareView(k: KernelBuilder, name: string, rank: number): StridedView {
  return {
    offset: k.param(`${name}_offset`, "u32"),
    strides: Array.from({ length: rank }, (_, d) => k.param(`${name}_stride${d}`, "u32")),
  };
}
export function declareShape(k: KernelBuilder, name: string, rank: number): V[] {
  return Array.from({ length: rank }, (_, d) => k.param(`${name}${d}`, "u32"));
}
export function viewParams(name: string, offset: number, strides: readonly number[]): Record<string, number> {
  const params: Record<string, number> = { [`${name}_offset`]: offset };
  strides.forEach((s, d) => (params[`${name}_stride${d}`] = s));
  return params;
}
export function shapeParams(name: string, shape: readonly number[]): Record<string, number> {
  return Object.fromEntries(shape.map((n, d) => [`${name}${d}`, n]));
}

/** Coordinates of the row-major number `index` in `shape`. */
export function coordinatesOf(index: V, shape: readonly V[]): V[] {
  const coords: V[] = [];
  let rest = index;
  for (let d = shape.length - 1; d > 0; d--) {
    const quotient = rest.div(shape[d]!);
    coords[d] = rest.sub(quotient.mul(shape[d]!));
    rest = quotient;
  }
  if (shape.length > 0) coords[0] = rest;
  return coords;
}

export function addressOf(view: StridedView, coords: readonly V[]): V {
  return coords.reduce((at, c, d) => at.add(c.mul(view.strides[d]!)), view.offset);
}

export function isDense(view: View): boolean {
  let expected = 1;
  for (let d = view.shape.length - 1; d >= 0; d--) {
    if (view.shape[d] !== 1 && view.strides[d] !== expected) return false;
    expected *= view.shape[d]!;
  }
  return true;
}

/** How two partial results become one. */
export type Combine = (b: Block, x: readonly V[], y: readonly V[]) => readonly V[];

/**
 * Folds one tuple of values per thread over the workgroup, in a fixed order (a tree, so the result does not depend on timing); every
 * thread gets the result. `combine` must be associative up to rounding; it need not commute: neighbours are combined in thread order.
 * Contains barriers: call it in uniform control flow. The workgroup's size must be a power of two.
 */
export function workgroupFold(k: KernelBuilder, name: string, values: readonly V[], combine: Combine): V[] {
  const threads = k.workgroup;
  const arrays = values.map((v, i) => k.shared(`${name}${i}`, v.scalar === "bool" ? "u32" : v.scalar, threads));
  const unpack = (v: V, i: number): V => (values[i]!.scalar === "bool" ? v.ne(0) : v);
  const pack = (v: V): V => (v.scalar === "bool" ? v.convert("u32") : v);
  const thread = k.thread;
  values.forEach((v, i) => arrays[i]!.store(thread, pack(v)));
  for (let width = 1; width < threads; width *= 2) {
    k.barrier();
    k.if(thread.rem(2 * width).eq(0), () => {
      const x = arrays.map((a, i) => unpack(a.load(thread), i));
      const y = arrays.map((a, i) => unpack(a.load(thread.add(width)), i));
      combine(k, x, y).forEach((v, i) => arrays[i]!.store(thread, pack(v)));
    });
  }
  k.barrier();
  const results = arrays.map((a, i) => unpack(a.load(0), i));
  k.barrier(); // the arrays may be used again
  return results;
}

/**
 * The same for one value and an operation that commutes (add, max, min), by subgroup operations where caps allow (a subgroup's own fold,
 * then one over the subgroups), else as `workgroupFold`.
 */
export function workgroupReduce(k: KernelBuilder, caps: GpuCaps, name: string, value: V, op: "add" | "max" | "min"): V {
  const combine: Combine = (_, [x], [y]) => [op === "add" ? x!.add(y!) : op === "max" ? x!.max(y!) : x!.min(y!)];
  if (caps.subgroups === null) return workgroupFold(k, name, [value], combine)[0]!;
  const threads = k.workgroup;
  const part = k.subgroup(op, value);
  const lane = k.subgroupLane;
  const size = k.subgroupSize;
  const count = k.u32(threads).add(size).sub(1).div(size);
  const parts = k.shared(name, value.scalar, Math.ceil(threads / caps.subgroups.min));
  k.if(lane.eq(0), () => parts.store(k.thread.div(size), part));
  k.barrier();
  const total = k.var(parts.load(0));
  k.for(1, count, 1, (i) => total.set(combine(k, [total.get()], [parts.load(i)])[0]!));
  const result = total.get();
  k.barrier();
  return result;
}

/** The greatest finite number of a type: what masks use in place of infinity, which targets need not honour. */
export const greatest = (type: ScalarType): number => (type === "f64" ? Number.MAX_VALUE : 3.4028234663852886e38);

export function zeroOf(k: Block, like: V): V {
  return k.const(like.scalar === "bool" ? false : 0, like.scalar, like.type.lanes);
}

/** An index within [0, n), for loads whose result is thrown away when it was not: keeps speculative loads inside of the buffer. */
export function clampIndex(index: V, n: Num): V {
  return index.min(typeof n === "number" ? n - 1 : n.sub(1));
}

export { typeOf };
