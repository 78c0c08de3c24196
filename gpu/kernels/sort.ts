/** Sorting, selecting and searching rows: from their stable order everything else is read. Among equals the first comes first. */

import type { View } from "../../ts/core/device.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { SortParams, SortSpec } from "../../ts/kernel/spec.ts";
import { KernelBuilder, type V } from "../builder.ts";
import type { GpuContext, GpuLowering } from "../context.ts";
import { ceilDiv, workgroupSize } from "../plan.ts";
import { addressOf, coordinatesOf, declareShape, declareView, shapeParams, viewParams } from "./common.ts";
import { isFloat } from "./sort_keys.ts";
import { orderOf, rowReader, rowsKey, rowsOf, rowsParams } from "./sort_order.ts";

type Selection = Exclude<SortSpec["mode"], "searchsorted">;

export const lowerSort: GpuLowering<"sort"> = (spec, context) => {
  const { mode, dtype } = spec;
  context.layout(dtype);
  return (inputs, outputs, params) => {
    if (numelOf(outputs[0]!.shape) === 0) return;
    if (mode === "searchsorted") search(context, inputs, outputs[0]!, params);
    else select(context, mode, inputs[0]!, outputs, params);
  };
};

/** Writes elements and their places: the first of each row's order, or one that `placeIn` finds. */
function select(context: GpuContext, mode: Selection, x: View, outputs: readonly View[], params: SortParams): void {
  const [values, indices] = outputs as [View, View];
  const source = rowsOf(x);
  const { rows, n } = source;
  const many = mode === "sort" || mode === "topk";
  const order = orderOf(context, source, many && params.descending);
  const { elem, value: type } = context.layout(x.dtype);
  const places = context.layout(indices.dtype);
  const workgroup = workgroupSize(context.caps, 64);
  const key = `sort|${mode}|${params.ignoreNan}|${rowsKey(context, source)}|${places.elem}|${workgroup}`;
  const program = context.program(key, () => {
    const k = new KernelBuilder(`sort_${mode}`, workgroup);
    const read = rowReader(k, k.input("x", elem), source.shape.length);
    const sorted = k.input("order", "u32");
    const [out, at] = [k.output("values", elem), k.output("indices", places.elem)];
    const count = k.param("n", "u32");
    const width = k.param("width", "u32");
    const thread = k.group.mul(workgroup).add(k.thread);
    k.if(thread.lt(k.param("total", "u32")), () => {
      const row = thread.div(width);
      const orderAt = (rank: V): V => sorted.load(row.mul(count).add(rank));
      const rank = many
        ? thread.sub(row.mul(width))
        : rankOf(k, mode, {
            count,
            valueAt: (r) => read(row, orderAt(r)),
            float: isFloat(type),
            ignoreNan: params.ignoreNan,
          });
      const place = orderAt(rank);
      out.store(thread.add(k.param("values_offset", "u32")), read(row, place));
      at.store(thread.add(k.param("indices_offset", "u32")), place.convert(places.value));
    });
    return k.build();
  });
  const width = mode === "sort" ? n : mode === "topk" ? params.k : 1;
  context.launch(program, {
    buffers: [x, order, values, indices],
    params: {
      ...rowsParams(source),
      n,
      k: params.k,
      width,
      total: rows * width,
      values_offset: values.offset,
      indices_offset: indices.offset,
    },
    groups: ceilDiv(rows * width, workgroup),
  });
}

interface SortedRow {
  readonly count: V;
  /** The element of a rank. */
  readonly valueAt: (rank: V) => V;
  readonly float: boolean;
  readonly ignoreNan: boolean;
}

/** Which rank of a sorted row the result has. */
function rankOf(k: KernelBuilder, mode: Selection, row: SortedRow): V {
  if (mode === "kthvalue") return k.param("k", "u32").sub(1);
  return mode === "median" ? medianRank(k, row) : modeRank(k, row);
}

/** The lower median. The first NaN is it, unless they do not count; where there is nothing else it is a NaN anyway. */
function medianRank(k: KernelBuilder, { count, valueAt, float, ignoreNan }: SortedRow): V {
  const middle = (n: V): V => n.sub(1).div(2);
  if (!float) return middle(count);
  // NaN comes last: where does it begin?
  const [low, high] = [k.var(k.u32(0)), k.var(count)];
  k.while(
    () => low.get().lt(high.get()),
    () => {
      const between = low.get().add(high.get()).div(2);
      k.if(
        valueAt(between).isNan(),
        () => high.set(between),
        () => low.set(between.add(1)),
      );
    },
  );
  const numbers = low.get();
  if (ignoreNan) return numbers.eq(0).select(k.u32(0), middle(numbers.max(1)));
  return numbers.lt(count).select(numbers, middle(count));
}

/** The last of the longest run of equals, the least on ties. No NaN equals another. */
function modeRank(k: KernelBuilder, { count, valueAt, float }: SortedRow): V {
  const [best, length, run] = [k.var(k.u32(0)), k.var(k.u32(0)), k.var(k.u32(0))];
  k.for(0, count, 1, (i) => {
    run.set(run.get().add(1));
    const [own, next] = [valueAt(i), valueAt(i.add(1).min(count.sub(1)))];
    // Targets may take comparisons with NaN for what they like.
    const differs = float ? own.isNan().or(next.isNan()).or(own.ne(next)) : own.ne(next);
    const ends = i.add(1).eq(count).or(differs);
    k.if(ends, () => {
      k.if(run.get().gt(length.get()), () => {
        length.set(run.get());
        best.set(i);
      });
      run.set(k.u32(0));
    });
  });
  return best.get();
}

/** Where values would go in sorted sequences. */
function search(context: GpuContext, inputs: readonly View[], out: View, params: SortParams): void {
  const [sequence, values] = inputs as [View, View];
  const source = rowsOf(sequence);
  const { n } = source;
  const m = values.shape.at(-1) ?? 1;
  const total = numelOf(values.shape);
  const one = n === 0 || numelOf(sequence.shape) === n;
  const { elem } = context.layout(sequence.dtype);
  const places = context.layout(out.dtype);
  const rank = values.shape.length;
  const workgroup = workgroupSize(context.caps, 64);
  const key = `searchsorted|${params.right}|${rowsKey(context, source)}|${places.elem}|${rank}|${workgroup}`;
  const program = context.program(key, () => {
    const k = new KernelBuilder("searchsorted", workgroup);
    const read = rowReader(k, k.input("x", elem), source.shape.length);
    const given = k.input("values", elem);
    const to = k.output("out", places.elem);
    const sizes = declareShape(k, "size", rank);
    const view = declareView(k, "values", rank);
    const i = k.group.mul(workgroup).add(k.thread);
    k.if(i.lt(k.param("total", "u32")), () => {
      const value = given.load(addressOf(view, coordinatesOf(i, sizes)));
      const row = k
        .param("one_sequence", "u32")
        .ne(0)
        .select(k.u32(0), i.div(k.param("m", "u32")));
      const [low, high] = [k.var(k.u32(0)), k.var(k.param("n", "u32"))];
      k.while(
        () => low.get().lt(high.get()),
        () => {
          const middle = low.get().add(high.get()).div(2);
          const x = read(row, middle);
          // As PyTorch: not beyond, rather than before, which decides where NaN goes. NaN compares false by its bits.
          const numbers = isFloat(x.scalar) ? x.isNan().or(value.isNan()).not() : k.bool(true);
          const beyond = numbers.and(params.right ? x.gt(value) : x.ge(value));
          k.if(
            beyond,
            () => high.set(middle),
            () => low.set(middle.add(1)),
          );
        },
      );
      to.store(i.add(k.param("out_offset", "u32")), low.get().convert(places.value));
    });
    return k.build();
  });
  context.launch(program, {
    buffers: [sequence, values, out],
    params: {
      ...rowsParams(source),
      ...shapeParams("size", values.shape),
      ...viewParams("values", values.offset, values.strides),
      n,
      m,
      total,
      one_sequence: one ? 1 : 0,
      out_offset: out.offset,
    },
    groups: ceilDiv(total, workgroup),
  });
}
