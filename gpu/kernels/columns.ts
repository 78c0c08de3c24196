/** Sums over rows, one per column: blocks of rows first, then over the blocks, so that the order is fixed and many threads work. */

import type { View } from "../../ts/core/device.ts";
import { type BufferVar, KernelBuilder, type V, type Var } from "../builder.ts";
import type { Bindable, GpuContext } from "../context.ts";
import type { ScalarType } from "../ir.ts";
import { ceilDiv, isNarrow, workgroupSize } from "../plan.ts";
import { rounded, type RowView } from "./row_launch.ts";

export interface ColumnJob {
  readonly name: string;
  readonly key?: string;
  readonly rows: number;
  readonly n: number;
  /** "row", "column" or "value" views; none is written. */
  readonly views: readonly RowView[];
  /** One output [n] per sum. */
  readonly sums: readonly View[];
  /** What becomes of the sums (named by the job's name and key) before they are written; `shift` [n] is read at the column. */
  readonly finish?: { readonly shift: View; readonly body: (totals: readonly V[], shift: V, rows: V) => readonly V[] };
}

/** What terms are computed from. */
export interface ColumnIo {
  readonly lanes: 1 | 4;
  /** Elements of a "row" view in a row, at the thread's columns. */
  load(name: string, row: V): V[];
  /** The element of a "value" view. */
  value(name: string, row: V): V;
}

interface Plan {
  readonly lanes: 1 | 4;
  readonly workgroup: number;
  readonly blocks: number;
  readonly each: number;
}

function planColumns(context: GpuContext, { rows, n, views }: ColumnJob): Plan {
  const lanes = n % 4 === 0 && views.every(({ view, along }) => along === "value" || view.offset % 4 === 0) ? 4 : 1;
  const strips = n / lanes;
  const narrow = isNarrow(context.caps);
  const threads = narrow ? 256 : 32768;
  const least = narrow ? 64 : 16;
  const blocks = Math.max(1, Math.min(ceilDiv(threads, strips), ceilDiv(rows, least), 512));
  const each = ceilDiv(rows, blocks);
  return { lanes, workgroup: workgroupSize(context.caps, narrow ? 16 : 64), blocks: ceilDiv(rows, each), each };
}

/** Sums what `terms` gives for each row and the thread's columns, one list of lanes per sum. Empty sums are 0. */
export function columnSums(
  context: GpuContext,
  job: ColumnJob,
  terms: (io: ColumnIo, row: V) => readonly (readonly V[])[],
): void {
  const { rows, n, views, sums } = job;
  if (n === 0) return;
  if (rows === 0) return sums.forEach((view) => context.zero(view, view.offset, n));
  const plan = planColumns(context, job);
  const { lanes, workgroup, blocks, each } = plan;
  const type: ScalarType = views.some(({ view }) => context.layout(view.dtype).value === "f64") ? "f64" : "f32";
  // With one block the sums are the result.
  const direct = blocks === 1 && job.finish === undefined;
  const partials: readonly Bindable[] = direct ? sums : sums.map(() => context.temporary(blocks * n, type));
  const described = views.map(({ name, view, along }) => `${name}:${view.dtype.name}:${along}`).join();
  const key = `${job.name}|${job.key ?? ""}|${described}|${lanes}x${workgroup}|${sums.length}${direct ? sums[0]!.dtype.name : ""}`;
  const program = context.program(key, () => {
    const k = new KernelBuilder(job.name, workgroup);
    const bound = new Map<string, { buffer: BufferVar; along: string; offset: V }>();
    for (const { name, view, along } of views) {
      const buffer = k.input(name, context.layout(view.dtype).elem, along === "value" ? 1 : lanes);
      bound.set(name, { buffer, along, offset: k.param(`${name}_offset`, "u32") });
    }
    const elem = direct ? context.layout(sums[0]!.dtype).elem : type;
    const outs = sums.map((_, i) => ({ buffer: k.output(`sum${i}`, elem), offset: k.param(`sum${i}_offset`, "u32") }));
    const [strips, count, rowsEach] = [k.param("strips", "u32"), k.param("rows", "u32"), k.param("each", "u32")];
    const perBlock = k.param("groups_per_block", "u32");
    const block = k.group.div(perBlock);
    const strip = k.group.sub(block.mul(perBlock)).mul(workgroup).add(k.thread);
    const io: ColumnIo = {
      lanes,
      load(name, row) {
        const { buffer, along, offset } = bound.get(name)!;
        return k.lanes(buffer.load((along === "row" ? row.mul(strips) : k.u32(0)).add(strip).add(offset)));
      },
      value(name, row) {
        const { buffer, offset } = bound.get(name)!;
        return buffer.load(row.add(offset));
      },
    };
    k.if(strip.lt(strips), () => {
      const totals: Var[][] = sums.map(() => Array.from({ length: lanes }, () => k.var(k.const(0, type))));
      const first = block.mul(rowsEach);
      k.for(first, first.add(rowsEach).min(count), 1, (row) => {
        terms(io, row).forEach((parts, i) => parts.forEach((v, l) => totals[i]![l]!.set(totals[i]![l]!.get().add(v))));
      });
      const to = block.mul(strips).add(strip).mul(lanes);
      outs.forEach(({ buffer, offset }, i) =>
        totals[i]!.forEach((total, l) => {
          const value = direct ? rounded(k, buffer, sums[i]!.dtype, total.get()) : total.get();
          buffer.store(to.add(l).add(offset), value);
        }),
      );
    });
    return k.build();
  });
  const perBlock = ceilDiv(n / lanes, workgroup);
  const params: Record<string, number> = { strips: n / lanes, rows, each, groups_per_block: perBlock };
  for (const { name, view, along } of views) params[`${name}_offset`] = along === "value" ? view.offset : view.offset / lanes;
  sums.forEach((view, i) => (params[`sum${i}_offset`] = direct ? view.offset : 0));
  context.launch(program, { buffers: [...views.map(({ view }) => view), ...partials], params, groups: perBlock * blocks });
  if (!direct) foldBlocks(context, job, partials, type, blocks);
}

/** sums[i][c] = sum over b of partials[i][b][c] */
function foldBlocks(
  context: GpuContext,
  { name, key, rows, n, sums, finish }: ColumnJob,
  partials: readonly Bindable[],
  type: ScalarType,
  blocks: number,
): void {
  const workgroup = workgroupSize(context.caps, isNarrow(context.caps) ? 16 : 64);
  const { dtype } = sums[0]!;
  const finished = finish ? `${name}|${key ?? ""}|${finish.shift.dtype.name}` : "";
  const program = context.program(`fold_blocks|${type}|${dtype.name}|${sums.length}x${workgroup}|${finished}`, () => {
    const k = new KernelBuilder("fold_blocks", workgroup);
    const ins = sums.map((_, i) => k.input(`part${i}`, type as "f32" | "f64"));
    const shift = finish ? k.input("shift", context.layout(finish.shift.dtype).elem) : null;
    const outs = sums.map((_, i) => k.output(`sum${i}`, context.layout(dtype).elem));
    const offsets = sums.map((_, i) => k.param(`sum${i}_offset`, "u32"));
    const [count, times] = [k.param("n", "u32"), k.param("blocks", "u32")];
    const column = k.group.mul(workgroup).add(k.thread);
    k.if(column.lt(count), () => {
      const totals = sums.map(() => k.var(k.const(0, type)));
      k.for(0, times, 1, (b) => totals.forEach((t, i) => t.set(t.get().add(ins[i]!.load(b.mul(count).add(column))))));
      let results: readonly V[] = totals.map((t) => t.get());
      if (finish) {
        const at = shift!.load(column.add(k.param("shift_offset", "u32")));
        results = finish.body(results, at, k.param("rows", "u32").convert(type));
      }
      outs.forEach((out, i) => out.store(column.add(offsets[i]!), rounded(k, out, dtype, results[i]!)));
    });
    return k.build();
  });
  const params: Record<string, number> = { n, blocks, rows };
  sums.forEach((view, i) => (params[`sum${i}_offset`] = view.offset));
  if (finish) params.shift_offset = finish.shift.offset;
  const buffers = [...partials, ...(finish ? [finish.shift] : []), ...sums];
  context.launch(program, { buffers, params, groups: ceilDiv(n, workgroup) });
}
