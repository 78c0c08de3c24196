/** Where indices point: the iteration space of gathers and scatters, and index values checked and turned into positions. */

import type { View } from "../../ts/core/device.ts";
import { IndexError, RuntimeError } from "../../ts/core/errors.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { GatherParams, GatherSpec } from "../../ts/kernel/spec.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { Bindable, GpuContext, Temporary } from "../context.ts";
import { ceilDiv, collapse, workgroupSize } from "../plan.ts";
import { addressOf, coordinatesOf, declareShape, declareView, shapeParams, viewParams } from "./common.ts";
import { complain } from "./complain.ts";

/** An index tensor and the dimension of the indexed tensor that it addresses. */
export interface Index {
  readonly view: View;
  /** Strides in the space. */
  readonly strides: readonly number[];
  /** Of the dimension: what an index is below, and how far apart neighbours are. */
  readonly size: number;
  readonly stride: number;
  readonly error: (value: number) => Error;
}

/** The iteration space. Its last dim, where no index moves along it, is a row, and not part of `shape`. */
export interface Space {
  readonly shape: readonly number[];
  /** Product of `shape`. */
  readonly count: number;
  /** Strides of the indexed tensor and of the one that runs along. */
  readonly indexed: readonly number[];
  readonly other: readonly number[];
  readonly indices: readonly Index[];
  readonly row: number;
  readonly indexedStep: number;
  readonly otherStep: number;
  /** Whether negative indices count from the end. */
  readonly wrap: boolean;
}

/**
 * @param mode How indices work; a scatter's "scatter" is a "gather" here.
 * @param indexed The tensor that indices point into.
 * @param other The tensor that runs along, of the space's shape.
 */
export function makeSpace(
  mode: GatherSpec["mode"],
  indexed: View,
  other: View,
  indexViews: readonly View[],
  params: GatherParams,
): Space {
  const dims = mode === "gather" ? [params.dim] : params.dims;
  const along = mode === "gather" ? indexed.strides.map((s, d) => (d === params.dim ? 0 : s)) : params.src_strides;
  const { shape: full } = other;
  const walk = collapse([{ ...other, strides: along }, other, ...indexViews.map((view) => ({ ...view, shape: full }))]);
  const shape = [...walk.shape];
  const strides = walk.strides.map((s) => [...s]);
  const last = shape.length - 1;
  let row = 1;
  let steps: number[] = [0, 0];
  if (last >= 0 && strides.slice(2).every((s) => s[last] === 0)) {
    row = shape.pop()!;
    steps = strides.map((s) => s.pop()!);
  }
  // PyTorch's gather and scatter raise a RuntimeError, its indexing an IndexError.
  const Type = mode === "gather" ? RuntimeError : IndexError;
  const indices = indexViews.map((view, k): Index => {
    const dim = dims[k]!;
    // A 0-d tensor is indexed as if it had one element along one dimension.
    const size = indexed.shape[dim] ?? 1;
    return {
      view,
      strides: strides[2 + k]!,
      size,
      stride: indexed.strides[dim] ?? 0,
      error: (value) => new Type(`${params.name}: index ${value | 0} is out of bounds for dimension ${dim} with size ${size}`),
    };
  });
  return {
    shape,
    count: numelOf(shape),
    indexed: strides[0]!,
    other: strides[1]!,
    indices,
    row,
    indexedStep: steps[0]!,
    otherStep: steps[1]!,
    wrap: params.wrap ?? mode === "index",
  };
}

/** Index tensors in a kernel: buffers and params in the order of the space's indices. */
export class IndexReader {
  readonly #k: KernelBuilder;
  readonly #wrap: boolean;
  readonly #bound: { buffer: BufferVar; view: ReturnType<typeof declareView>; size: V; stride: V; code: V }[];
  #complaint: BufferVar | null = null;

  constructor(k: KernelBuilder, context: GpuContext, indices: readonly Index[], rank: number, wrap: boolean) {
    this.#k = k;
    this.#wrap = wrap;
    this.#bound = indices.map(({ view }, i) => ({
      buffer: k.input(`index${i}`, context.layout(view.dtype).elem),
      view: declareView(k, `index${i}`, rank),
      size: k.param(`index${i}_size`, "i32"),
      stride: k.param(`index${i}_step`, "u32"),
      code: k.param(`index${i}_code`, "u32"),
    }));
    if (indices.length > 0) this.#complaint = k.atomics("complaint", "u32");
  }

  /** How far the indices at `coords` move the position, and whether all are within bounds. What is not is complained of. */
  offset(coords: readonly V[]): { at: V; valid: V } {
    const k = this.#k;
    let at = k.u32(0);
    let valid = k.bool(true);
    for (const { buffer, view, size, stride, code } of this.#bound) {
      const given = buffer.load(addressOf(view, coords));
      const limit = size.convert(given.scalar);
      const value = this.#wrap ? given.lt(0).select(given.add(limit), given) : given;
      const fits = value.ge(0).and(value.lt(limit));
      k.if(fits.not(), () => complain(this.#complaint!, code, given));
      at = at.add(value.convert("u32").mul(stride));
      valid = valid.and(fits);
    }
    return { at, valid };
  }
}

/** What a launch binds and passes for an IndexReader. */
export function bindIndices(
  context: GpuContext,
  indices: readonly Index[],
): { buffers: Bindable[]; params: Record<string, number> } {
  const params: Record<string, number> = {};
  const buffers: Bindable[] = indices.map(({ view }) => view);
  indices.forEach(({ view, strides, size, stride, error }, i) => {
    const { buffer, code } = context.complaint(error);
    if (i === indices.length - 1) buffers.push(buffer);
    Object.assign(params, viewParams(`index${i}`, view.offset, strides), {
      [`index${i}_size`]: size,
      [`index${i}_step`]: stride,
      [`index${i}_code`]: code,
    });
  });
  return { buffers, params };
}

export const indexKey = (context: GpuContext, indices: readonly Index[], wrap: boolean): string =>
  `${indices.map(({ view }) => context.layout(view.dtype).elem).join()}${wrap}`;

/** Index tensors that fit into one kernel, beside three other buffers and the complaint. */
export const mostIndices = (context: GpuContext): number => context.caps.maxStorageBuffers - 4;

/**
 * Positions in the indexed tensor (elements from its first one) of every place of the space, as u32. Where an index is out of bounds
 * the position is 0 and `failed`, one u32 that was 0, becomes 1.
 */
export function positionsOf(context: GpuContext, space: Space, failed: Temporary): Temporary {
  const { shape, count, indices, wrap } = space;
  const rank = shape.length;
  const positions = context.temporary(count, "u32");
  const most = mostIndices(context);
  const workgroup = workgroupSize(context.caps, 64);
  for (let first = 0; first === 0 || first < indices.length; first += most) {
    const part = indices.slice(first, first + most);
    const more = first > 0;
    const program = context.program(`positions|${rank}|${indexKey(context, part, wrap)}|${more}|${workgroup}`, () => {
      const k = new KernelBuilder("positions", workgroup);
      const out = k.output("positions", "u32");
      const flag = k.atomics("failed", "u32");
      const reader = new IndexReader(k, context, part, rank, wrap);
      const sizes = declareShape(k, "size", rank);
      const indexed = declareView(k, "indexed", rank);
      const i = k.group.mul(workgroup).add(k.thread);
      k.if(i.lt(k.param("count", "u32")), () => {
        const coords = coordinatesOf(i, sizes);
        const { at, valid } = reader.offset(coords);
        const base = more ? out.load(i) : addressOf(indexed, coords);
        out.store(i, valid.select(base.add(at), k.u32(0)));
        k.if(valid.not(), () => void flag.atomic("or", 0, 1));
      });
      return k.build();
    });
    const bound = bindIndices(context, part);
    context.launch(program, {
      buffers: [positions, failed, ...bound.buffers],
      params: { ...bound.params, ...shapeParams("size", shape), ...viewParams("indexed", 0, space.indexed), count },
      groups: ceilDiv(count, workgroup),
    });
  }
  return positions;
}

/** One u32 that is 0. */
export function zeroFlag(context: GpuContext): Temporary {
  const flag = context.temporary(1, "u32");
  context.zero(flag, 0, 1);
  return flag;
}

/** Whether rows of both tensors can be walked in vectors of 4. */
export function alignedRows(space: Space, indexedOffset: number, otherOffset: number): boolean {
  const { row, indexedStep, otherStep, indexed, other, indices } = space;
  const all = [row, indexedOffset, otherOffset, ...indexed, ...other, ...indices.map(({ stride }) => stride)];
  return indexedStep === 1 && otherStep === 1 && all.every((n) => n % 4 === 0);
}
