/**
 * Indexed writes. Positions come first (and whether an index is out of bounds: then nothing is written), then places that go to the same
 * position are linked in row-major order, then the first of each chain folds it, one thread per column: the order never changes.
 */

import type { View } from "../../ts/core/device.ts";
import type { DType } from "../../ts/core/dtype.ts";
import { numelOf } from "../../ts/core/shape.ts";
import type { ScatterSpec } from "../../ts/kernel/spec.ts";
import { KernelBuilder, type V } from "../builder.ts";
import type { GpuContext, GpuLowering, Temporary } from "../context.ts";
import type { Lanes } from "../ir.ts";
import { ceilDiv, workgroupSize } from "../plan.ts";
import { addressOf, coordinatesOf, declareShape, declareView, shapeParams, viewParams } from "./common.ts";
import { alignedRows, makeSpace, positionsOf, type Space, zeroFlag } from "./positions.ts";
import { radixSort } from "./radix.ts";
import { rounded } from "./row_launch.ts";

/** The end of a chain. */
const NONE = 0xffffffff;
/** Searching for the next equal position is fine for so many places, and for so many steps in all. */
const MOST_SEARCHED = 1 << 15;
const MOST_STEPS = 1 << 24;

export const lowerScatter: GpuLowering<"scatter"> = (spec, context) => {
  context.layout(spec.dtype);
  return (inputs, outputs, params) => {
    const [value, ...indices] = inputs as [View, ...View[]];
    const dst = outputs[0]!;
    if (numelOf(value.shape) === 0) return;
    const space = makeSpace(spec.mode === "scatter" ? "gather" : "index", dst, value, indices, params);
    const failed = zeroFlag(context);
    const positions = positionsOf(context, space, failed);
    const { count, row } = space;
    // Equal positions are about as far apart as there are positions.
    const apart = Math.min(count, Math.ceil(numelOf(dst.shape) / row));
    const search = count <= MOST_SEARCHED && count * apart <= MOST_STEPS;
    const chains = search ? searchChains(context, positions, count) : sortChains(context, positions, count, dst);
    fold(context, spec, space, dst, value, positions, chains, failed);
  };
};

/** Per place the next one of the same position (or NONE), and whether there is one before. */
interface Chains {
  readonly next: Temporary;
  readonly linked: Temporary;
}

function emptyChains(context: GpuContext, count: number): Chains {
  const linked = context.temporary(count, "u32");
  context.zero(linked, 0, count);
  return { next: context.temporary(count, "u32"), linked };
}

/** Every place looks for the next of its kind. */
function searchChains(context: GpuContext, positions: Temporary, count: number): Chains {
  const chains = emptyChains(context, count);
  const workgroup = workgroupSize(context.caps, 64);
  const program = context.program(`scatter_search|${workgroup}`, () => {
    const k = new KernelBuilder("scatter_search", workgroup);
    const keys = k.input("positions", "u32");
    const [next, linked] = [k.output("next", "u32"), k.output("linked", "u32")];
    const n = k.param("count", "u32");
    const i = k.group.mul(workgroup).add(k.thread);
    k.if(i.lt(n), () => {
      const own = keys.load(i);
      const j = k.var(i.add(1));
      const looking = k.var(k.bool(true));
      k.while(
        () => looking.get().and(j.get().lt(n)),
        () =>
          k.if(
            keys.load(j.get()).eq(own),
            () => looking.set(k.bool(false)),
            () => j.set(j.get().add(1)),
          ),
      );
      const found = j.get().lt(n);
      next.store(i, found.select(j.get(), k.u32(NONE)));
      k.if(found, () => linked.store(j.get(), 1));
    });
    return k.build();
  });
  const buffers = [positions, chains.next, chains.linked];
  context.launch(program, { buffers, params: { count }, groups: ceilDiv(count, workgroup) });
  return chains;
}

/** Places are sorted by position; neighbours are then linked. */
function sortChains(context: GpuContext, positions: Temporary, count: number, dst: View): Chains {
  const last = dst.shape.reduce((at, n, d) => at + (n - 1) * dst.strides[d]!, 0);
  const bits = Math.max(1, 32 - Math.clz32(last));
  const order = radixSort(context, {
    key: "positions",
    source: positions,
    elem: "u32",
    rows: 1,
    n: count,
    bits,
    word: (_k, x, _row, place) => x.load(place),
  });
  const chains = emptyChains(context, count);
  const workgroup = workgroupSize(context.caps, 64);
  const program = context.program(`scatter_link|${workgroup}`, () => {
    const k = new KernelBuilder("scatter_link", workgroup);
    const [keys, places] = [k.input("positions", "u32"), k.input("order", "u32")];
    const [next, linked] = [k.output("next", "u32"), k.output("linked", "u32")];
    const n = k.param("count", "u32");
    const i = k.group.mul(workgroup).add(k.thread);
    k.if(i.lt(n), () => {
      const place = places.load(i);
      // The last one is its own neighbour, and not linked.
      const after = places.load(i.add(1).min(n.sub(1)));
      const same = keys.load(after).eq(keys.load(place)).and(after.ne(place));
      next.store(place, same.select(after, k.u32(NONE)));
      k.if(same, () => linked.store(after, 1));
    });
    return k.build();
  });
  const buffers = [positions, order, chains.next, chains.linked];
  context.launch(program, { buffers, params: { count }, groups: ceilDiv(count, workgroup) });
  return chains;
}

/** How a value meets what is there. A NaN on either side stays. */
function combine(reduce: ScatterSpec["reduce"], x: V, y: V): V {
  const float = x.scalar === "f32" || x.scalar === "f64";
  switch (reduce) {
    case "set":
      return y;
    case "add":
      return x.add(y);
    case "mul":
      return x.mul(y);
    case "amax":
      return (float ? x.isNan().or(x.gt(y)) : x.gt(y)).select(x, y);
    case "amin":
      return (float ? x.isNan().or(x.lt(y)) : x.lt(y)).select(x, y);
  }
}

function fold(
  context: GpuContext,
  { reduce, dtype }: ScatterSpec,
  space: Space,
  dst: View,
  value: View,
  positions: Temporary,
  { next, linked }: Chains,
  failed: Temporary,
): void {
  const { shape, count, row } = space;
  const rank = shape.length;
  const lanes: Lanes = alignedRows(space, dst.offset, value.offset) ? 4 : 1;
  const { elem } = context.layout(dtype);
  const workgroup = workgroupSize(context.caps, 64);
  const program = context.program(`scatter|${reduce}|${dtype.name}x${lanes}|${rank}|${workgroup}`, () => {
    const k = new KernelBuilder(`scatter_${reduce}`, workgroup);
    const x = k.input("value", elem, lanes);
    const [keys, after, before] = [k.input("positions", "u32"), k.input("next", "u32"), k.input("linked", "u32")];
    const flag = k.input("failed", "u32");
    const y = k.output("dst", elem, lanes);
    const sizes = declareShape(k, "size", rank);
    const from = declareView(k, "value", rank);
    const columns = k.param("columns", "u32");
    const thread = k.group.mul(workgroup).add(k.thread);
    k.if(thread.lt(k.param("threads", "u32")).and(flag.load(0).eq(0)), () => {
      const i = thread.div(columns);
      const column = thread.sub(i.mul(columns));
      const valueAt = (place: V): V[] => {
        const start = addressOf(from, coordinatesOf(place, sizes)).div(lanes);
        return k.lanes(x.load(start.add(column.mul(k.param("value_step", "u32")))));
      };
      const to = keys
        .load(i)
        .add(k.param("dst_offset", "u32"))
        .div(lanes)
        .add(column.mul(k.param("dst_step", "u32")));
      const write = (values: readonly V[]): void => {
        const out = values.map((v) => rounded(k, y, dtype as DType, v));
        y.store(to, lanes === 1 ? out[0]! : k.vector(out));
      };
      if (reduce === "set") {
        k.if(after.load(i).eq(NONE), () => write(valueAt(i)));
        return;
      }
      k.if(before.load(i).eq(0), () => {
        const totals = k.lanes(y.load(to)).map((v) => k.var(v));
        const place = k.var(i);
        k.while(
          () => place.get().ne(NONE),
          () => {
            const at = place.get();
            valueAt(at).forEach((v, l) => totals[l]!.set(combine(reduce, totals[l]!.get(), v)));
            place.set(after.load(at));
          },
        );
        write(totals.map((t) => t.get()));
      });
    });
    return k.build();
  });
  const columns = row / lanes;
  context.launch(program, {
    buffers: [value, positions, next, linked, failed, dst],
    params: {
      ...shapeParams("size", shape),
      ...viewParams("value", value.offset, space.other),
      value_step: space.otherStep,
      dst_step: space.indexedStep,
      dst_offset: dst.offset,
      columns,
      threads: count * columns,
    },
    groups: ceilDiv(count * columns, workgroup),
  });
}
