/** Indexed writes. All indices are checked before anything is written. */

import type { View } from "../../../ts/core/device.ts";
import { contiguousStrides, numelOf } from "../../../ts/core/shape.ts";
import type { Lowering } from "../context.ts";
import { launchPositions, makeSpace, wraps } from "./gather.ts";

const OPS = { set: 0, add: 1, mul: 2, amax: 3, amin: 4 } as const;
/** Elements that are worth a task. */
const GRAIN = 16384;
/** Most parts in which a destination is split. */
const MAX_PARTS = 16;
/** A part of a row is at least a few cache lines. */
const LEAST_COLUMNS = 64;

export const lowerScatter: Lowering<"scatter"> = (spec, context) => (inputs, outputs, params) => {
  const [value, ...indices] = inputs as [View, ...View[]];
  const dst = outputs[0]!;
  if (numelOf(value.shape) === 0) return;
  const mode = spec.mode === "scatter" ? "gather" : "index";
  const space = makeSpace(mode, dst, indices, value.shape, value.strides, params);
  const { count, row, shape } = space;
  const to = context.workspace(count * 4);
  const from = context.workspace(count * 4);
  launchPositions(context, "gather_positions", space, dst, value, {
    mode,
    wrap: wraps(mode, params),
    name: params.name,
    grain: 1,
    indexedOut: to,
    otherOut: from,
  });

  // Where two positions differ in a dim that moves the destination and that no index replaces, they cannot meet there.
  const parts = Math.min(MAX_PARTS, Math.ceil((count * row) / GRAIN));
  let dim = -1;
  const rowPerTask = Math.ceil(row / Math.max(1, Math.min(parts, Math.floor(row / LEAST_COLUMNS))));
  const rowTasks = Math.ceil(row / rowPerTask);
  if (rowTasks === 1 && parts > 1) {
    shape.forEach((size, d) => {
      if (space.strides[0]![d] !== 0 && (dim < 0 || size > shape[dim]!)) dim = d;
    });
  }
  const size = dim < 0 ? count : shape[dim]!;
  const inner = dim < 0 ? 1 : contiguousStrides(shape)[dim]!;
  const perTask = dim < 0 ? count : Math.ceil(size / parts);
  const tasks = Math.ceil(size / perTask) * rowTasks;
  const itemsize = dst.dtype.itemsize;
  const job = context
    .params(14)
    .i32s([to, from, count / (size * inner), size, inner, perTask, row, rowPerTask, rowTasks])
    .i32s([space.indexedStep * itemsize, space.otherStep * itemsize, itemsize, dst.dtype.code, OPS[spec.reduce]]);
  context.launch("scatter", job.ptr, tasks);
};
