/** The stable order of rows: by ranks where rows are short (each element counts those before it), else by radix sort. */

import type { View } from "../../ts/core/device.ts";
import { numelOf } from "../../ts/core/shape.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { GpuContext, Temporary } from "../context.ts";
import { ceilDiv, collapse, workgroupSize } from "../plan.ts";
import { addressOf, coordinatesOf, declareShape, declareView, shapeParams, viewParams } from "./common.ts";
import { radixSort } from "./radix.ts";
import { keyBits, keyWord } from "./sort_keys.ts";

/** Rows of a view of any strides: the last dim, and the others merged where they can be. */
export interface RowsOf {
  readonly view: View;
  readonly rows: number;
  readonly n: number;
  /** Shape and strides of the other dims. */
  readonly shape: readonly number[];
  readonly strides: readonly number[];
  readonly step: number;
}

export function rowsOf(view: View): RowsOf {
  const { shape, strides } = view;
  const last = shape.length - 1;
  const n = shape[last] ?? 1;
  const outer = collapse([{ ...view, shape: shape.slice(0, Math.max(0, last)), strides: strides.slice(0, Math.max(0, last)) }]);
  return { view, rows: numelOf(outer.shape), n, shape: outer.shape, strides: outer.strides[0]!, step: strides[last] ?? 1 };
}

export const rowsKey = (context: GpuContext, { view, shape }: RowsOf): string =>
  `${context.layout(view.dtype).elem}r${shape.length}`;

export function rowsParams({ view, shape, strides, step }: RowsOf): Record<string, number> {
  return { ...shapeParams("outer", shape), ...viewParams("x", view.offset, strides), x_step: step };
}

/** Reads elements of rows, in kernels that are given `rowsParams`. */
export function rowReader(k: KernelBuilder, x: BufferVar, rank: number): (row: V, place: V) => V {
  const outer = declareShape(k, "outer", rank);
  const view = declareView(k, "x", rank);
  const step = k.param("x_step", "u32");
  return (row, place) => x.load(addressOf(view, coordinatesOf(row, outer)).add(place.mul(step)));
}

const SHORT = 64;
const MEDIUM = 1024;
const MOST_COMPARISONS = 1 << 24;

/** Per row the places of its elements in order: u32 [rows, n]. */
export function orderOf(context: GpuContext, x: RowsOf, descending: boolean): Temporary {
  const { rows, n } = x;
  if (n <= SHORT || (n <= MEDIUM && rows * n * n <= MOST_COMPARISONS)) return orderByRank(context, x, descending);
  const { elem, value } = context.layout(x.view.dtype);
  return radixSort(context, {
    key: `${rowsKey(context, x)}${descending}`,
    source: x.view,
    elem,
    rows,
    n,
    bits: keyBits(value),
    word: (k, source, row, place, high) => {
      const word = keyWord(k, rowReader(k, source, x.shape.length)(row, place), high);
      return descending ? word.not() : word;
    },
    params: rowsParams(x),
  });
}

function orderByRank(context: GpuContext, x: RowsOf, descending: boolean): Temporary {
  const { rows, n } = x;
  const order = context.temporary(rows * n, "u32");
  const { elem, value } = context.layout(x.view.dtype);
  const workgroup = workgroupSize(context.caps, 64);
  const program = context.program(`sort_rank|${rowsKey(context, x)}|${descending}|${workgroup}`, () => {
    const k = new KernelBuilder("sort_rank", workgroup);
    const read = rowReader(k, k.input("x", elem), x.shape.length);
    const out = k.output("order", "u32");
    const count = k.param("n", "u32");
    const thread = k.group.mul(workgroup).add(k.thread);
    const wide = keyBits(value) === 64;
    const keysAt = (row: V, place: V): V[] => {
      const v = read(row, place);
      return (wide ? [keyWord(k, v, true), keyWord(k, v)] : [keyWord(k, v)]).map((word) => (descending ? word.not() : word));
    };
    k.if(thread.lt(k.param("total", "u32")), () => {
      const row = thread.div(count);
      const place = thread.sub(row.mul(count));
      const own = keysAt(row, place);
      const rank = k.var(k.u32(0));
      k.for(0, count, 1, (i) => {
        const other = keysAt(row, i);
        const less = other.reduceRight((after, word, w) => word.lt(own[w]!).or(word.eq(own[w]!).and(after)), i.lt(place));
        rank.set(rank.get().add(less.convert("u32")));
      });
      out.store(row.mul(count).add(rank.get()), place);
    });
    return k.build();
  });
  context.launch(program, {
    buffers: [x.view, order],
    params: { ...rowsParams(x), n, total: rows * n },
    groups: ceilDiv(rows * n, workgroup),
  });
  return order;
}
