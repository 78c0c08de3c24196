/** Counting and listing non-zero elements. */

import { numelOf } from "../../../ts/core/shape.ts";
import type { Lowering } from "../context.ts";
import { packed } from "./gather.ts";

/** Elements for one task. */
const PER_TASK = 65536;

export const lowerNonzero: Lowering<"nonzero"> = (spec, context) => (inputs, outputs) => {
  const x = inputs[0]!;
  const out = outputs[0]!;
  const n = numelOf(x.shape);
  if (spec.mode === "write" && numelOf(out.shape) === 0) return;
  const tasks = Math.ceil(n / PER_TASK);
  const counts = context.workspace(tasks * 4);
  const starts = context.workspace(tasks * 4);
  const from = packed(context, x);
  const job = context
    .params(9 + x.shape.length)
    .i32s([from, n, PER_TASK, x.dtype.itemsize, x.dtype.is_floating_point ? 1 : 0, counts, starts])
    .i32s([context.address(out), x.shape.length])
    .i32s(x.shape);
  context.launch("nonzero_count", job.ptr, tasks);
  const { i32, i64 } = context.heap;
  let total = 0;
  for (let task = 0; task < tasks; task++) {
    i32[(starts >>> 2) + task] = total;
    total += i32[(counts >>> 2) + task]!;
  }
  if (spec.mode === "count") i64[context.address(out) >>> 3] = BigInt(total);
  else context.launch("nonzero_write", job.ptr, tasks);
};
