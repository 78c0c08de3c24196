/** Sorting, selecting and searching rows. Rows are made dense first; a task takes several of them. */

import type { View } from "../../../ts/core/device.ts";
import { numelOf } from "../../../ts/core/shape.ts";
import type { SortParams, SortSpec } from "../../../ts/kernel/spec.ts";
import { SCRATCH_BYTES, type CpuContext, type Lowering } from "../context.ts";
import { packed } from "./gather.ts";

/** `Mode` of wasm/assembly/sort_select.ts. */
const MODES = { sort: 0, topk: 1, kthvalue: 2, median: 3, mode: 4 } as const;
/** Elements that are worth a task. */
const GRAIN = 16384;
/** Tasks at once that need memory of their own. */
const MAX_LARGE_TASKS = 4;
/** Bytes of scratch for histograms (`HISTOGRAMS` of wasm/assembly/sort_items.ts). */
const RESERVED = 16384;

export const lowerSort: Lowering<"sort"> = (spec, context) => (inputs, outputs, params) => {
  if (numelOf(outputs[0]!.shape) === 0) return;
  if (spec.mode === "searchsorted") search(context, inputs, outputs[0]!, params);
  else rows(context, spec.mode, inputs[0]!, outputs, params);
};

function rows(
  context: CpuContext,
  mode: Exclude<SortSpec["mode"], "searchsorted">,
  x: View,
  outputs: readonly View[],
  params: SortParams,
): void {
  const { dtype } = x;
  const n = x.shape.at(-1) ?? 1;
  const count = numelOf(x.shape) / n;
  const keyBytes = dtype.itemsize === 8 ? 8 : 4;
  const k = mode === "topk" ? params.k : 0;
  // Two arrays of items (a key and a place), and a piece of keys.
  const need = 4 * n * keyBytes + 8192;
  const fits = need + RESERVED <= SCRATCH_BYTES;
  const tasks = fits ? Math.ceil(count / Math.max(1, Math.floor(GRAIN / n))) : Math.min(count, MAX_LARGE_TASKS);
  const rowsPerTask = Math.ceil(count / tasks);
  const workBytes = (need + 63) & ~63;
  const job = context
    .params(15)
    .i32s([MODES[mode], dtype.code, dtype.itemsize, packed(context, x)])
    .i32s([context.address(outputs[0]!), context.address(outputs[1]!), count, n, rowsPerTask])
    .i32s([mode === "kthvalue" ? params.k : k, (mode === "sort" || mode === "topk") && params.descending ? 1 : 0])
    .i32s([params.ignoreNan ? 1 : 0, params.sorted ? 1 : 0, fits ? 0 : context.workspace(workBytes * tasks), workBytes]);
  context.launch(mode === "sort" ? "sort_rows" : "select_rows", job.ptr, Math.ceil(count / rowsPerTask));
}

function search(context: CpuContext, inputs: readonly View[], out: View, params: SortParams): void {
  const [sequence, values] = inputs as [View, View];
  const { dtype } = sequence;
  const n = sequence.shape.at(-1) ?? 1;
  const m = values.shape.at(-1) ?? 1;
  const count = numelOf(values.shape);
  const shared = n === 0 || numelOf(sequence.shape) === n;
  const perTask = Math.max(1, GRAIN >> 2);
  const job = context
    .params(10)
    .i32s([dtype.code, packed(context, sequence), packed(context, values), context.address(out)])
    .i32s([n, shared ? 0 : n * dtype.itemsize, m, count, perTask, params.right ? 1 : 0]);
  context.launch("sort_search", job.ptr, Math.ceil(count / perTask));
}
