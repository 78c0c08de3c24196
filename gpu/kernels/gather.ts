/** Indexed reads. A thread writes one element, or four neighbours of a row. */

import type { View } from "../../ts/core/device.ts";
import { numelOf } from "../../ts/core/shape.ts";
import { KernelBuilder } from "../builder.ts";
import type { GpuContext, GpuLowering, Temporary } from "../context.ts";
import type { Lanes } from "../ir.ts";
import { ceilDiv, workgroupSize } from "../plan.ts";
import { addressOf, coordinatesOf, declareShape, declareView, shapeParams, viewParams } from "./common.ts";
import {
  alignedRows,
  bindIndices,
  indexKey,
  IndexReader,
  makeSpace,
  mostIndices,
  positionsOf,
  type Space,
  zeroFlag,
} from "./positions.ts";

export const lowerGather: GpuLowering<"gather"> = (spec, context) => {
  context.layout(spec.dtype);
  return (inputs, outputs, params) => {
    const [src, ...indices] = inputs as [View, ...View[]];
    const out = outputs[0]!;
    if (numelOf(out.shape) === 0) return;
    const space = makeSpace(spec.mode, src, out, indices, params);
    // More index tensors than a kernel has room for become positions first.
    const positions = indices.length > mostIndices(context) ? positionsOf(context, space, zeroFlag(context)) : null;
    launch(context, space, src, out, positions);
  };
};

function launch(context: GpuContext, space: Space, src: View, out: View, positions: Temporary | null): void {
  const { shape, count, row, wrap } = space;
  const rank = shape.length;
  const lanes: Lanes = alignedRows(space, src.offset, out.offset) ? 4 : 1;
  const indices = positions === null ? space.indices : [];
  const { elem } = context.layout(src.dtype);
  const workgroup = workgroupSize(context.caps, 64);
  const key = `gather|${elem}x${lanes}|${rank}|${indexKey(context, indices, wrap)}|${positions !== null}|${workgroup}`;
  const program = context.program(key, () => {
    const k = new KernelBuilder("gather", workgroup);
    const x = k.input("src", elem, lanes);
    const y = k.output("out", elem, lanes);
    const given = positions === null ? null : k.input("positions", "u32");
    const reader = new IndexReader(k, context, indices, rank, wrap);
    const sizes = declareShape(k, "size", rank);
    const [from, to] = [declareView(k, "src", rank), declareView(k, "out", rank)];
    const columns = k.param("columns", "u32");
    const thread = k.group.mul(workgroup).add(k.thread);
    k.if(thread.lt(k.param("threads", "u32")), () => {
      const i = thread.div(columns);
      const column = thread.sub(i.mul(columns));
      const coords = coordinatesOf(i, sizes);
      const { at, valid } = reader.offset(coords);
      const start = given === null ? addressOf(from, coords).add(at) : given.load(i).add(from.offset);
      k.if(valid, () => {
        const value = x.load(start.div(lanes).add(column.mul(k.param("src_step", "u32"))));
        y.store(
          addressOf(to, coords)
            .div(lanes)
            .add(column.mul(k.param("out_step", "u32"))),
          value,
        );
      });
    });
    return k.build();
  });
  const bound = bindIndices(context, indices);
  const columns = row / lanes;
  context.launch(program, {
    buffers: [src, out, ...(positions === null ? [] : [positions]), ...bound.buffers],
    params: {
      ...bound.params,
      ...shapeParams("size", shape),
      ...viewParams("src", src.offset, space.indexed),
      ...viewParams("out", out.offset, space.other),
      src_step: space.indexedStep,
      out_step: space.otherStep,
      columns,
      threads: count * columns,
    },
    groups: ceilDiv(count * columns, workgroup),
  });
}
