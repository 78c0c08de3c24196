/** Launches of kernels over rows: the views that they walk, and in which way. */

import { bool, type DType } from "../../ts/core/dtype.ts";
import type { View } from "../../ts/core/device.ts";
import { KernelBuilder, type BufferVar, type V } from "../builder.ts";
import type { Bindable, GpuContext } from "../context.ts";
import type { ScalarType } from "../ir.ts";
import { roundTo } from "../scalar/convert.ts";
import { planKey, planRows, rowGroups, type RowPlan, RowTeam } from "./rows.ts";

/**
 * What a view has along the rows: `row` an element for every element of every row; `column` one for every element of a row, the same in all
 * rows; `value` one per row; `channel` one per channel, see RowJob.channels.
 */
export type Along = "row" | "column" | "value" | "channel";

export interface RowView {
  readonly name: string;
  readonly view: View;
  readonly along: Along;
  readonly written?: boolean;
}

export interface RowJob {
  readonly name: string;
  /** What `body` looks at, beyond the views' names and dtypes. */
  readonly key?: string;
  readonly rows: number;
  /** Elements of a row. */
  readonly n: number;
  readonly views: readonly RowView[];
  /** Tensors of the rows' size that are held in registers. Default 1. */
  readonly arrays?: number;
  /** Rows come in groups of `groups`, which share the channels: `each` of them per row, of `size` elements one after the other. */
  readonly channels?: { readonly groups: number; readonly each: number; readonly size: number };
  /** Further run-time scalars. */
  readonly params?: Readonly<Record<string, number>>;
  /** Further buffers: u32 atomics. */
  readonly atomics?: readonly { readonly name: string; readonly buffer: Bindable }[];
}

/** What the body of a row kernel works with. */
export class RowIo {
  readonly k: KernelBuilder;
  readonly team: RowTeam;
  readonly plan: RowPlan;
  readonly #bound = new Map<string, { buffer: BufferVar; along: Along; dtype: DType; offset: V }>();
  readonly #atomics = new Map<string, BufferVar>();
  readonly #wholeChannels: boolean;

  constructor(context: GpuContext, job: RowJob, plan: RowPlan) {
    this.plan = plan;
    const k = new KernelBuilder(job.name, plan.workgroup);
    this.k = k;
    this.#wholeChannels = job.channels !== undefined && job.channels.size % plan.lanes === 0;
    for (const { name, view, along, written } of job.views) {
      const { elem } = context.layout(view.dtype);
      const lanes = along === "row" || along === "column" ? plan.lanes : 1;
      const buffer = written ? k.output(name, elem, lanes) : k.input(name, elem, lanes);
      this.#bound.set(name, { buffer, along, dtype: view.dtype, offset: k.param(`${name}_offset`, "u32") });
    }
    for (const { name } of job.atomics ?? []) this.#atomics.set(name, k.atomics(name, "u32"));
    this.team = new RowTeam(k, context.caps, plan, k.param("n", "u32"));
  }

  has(name: string): boolean {
    return this.#bound.has(name);
  }
  typeOf(name: string): ScalarType {
    return this.#of(name).buffer.type.scalar;
  }
  atomics(name: string): BufferVar {
    return this.#atomics.get(name)!;
  }

  #of(name: string): { buffer: BufferVar; along: Along; dtype: DType; offset: V } {
    return this.#bound.get(name)!;
  }

  /** The elements of one place of the row, `plan.lanes` of them; of "value" views the row's one. */
  load(name: string, at: V): V[] {
    const { buffer, along, offset } = this.#of(name);
    if (along === "value") return this.#repeat(buffer.load(this.team.row.add(offset)));
    if (along === "channel") {
      const channels = this.#channelsAt(at);
      const loaded = channels.map((c) => buffer.load(c.add(offset)));
      return loaded.length === 1 ? this.#repeat(loaded[0]!) : loaded;
    }
    return this.k.lanes(buffer.load(along === "row" ? this.team.start(offset).add(at) : at.add(offset)));
  }
  #repeat(v: V): V[] {
    return Array.from({ length: this.plan.lanes }, () => v);
  }
  #channelsAt(at: V): V[] {
    const { k } = this;
    const first = this.team.row.rem(k.param("row_groups", "u32")).mul(k.param("channels_each", "u32"));
    const size = k.param("channel_size", "u32");
    const { lanes } = this.plan;
    return Array.from({ length: this.#wholeChannels ? 1 : lanes }, (_, lane) => first.add(at.mul(lanes).add(lane).div(size)));
  }

  /** The row's element of a "value" view. */
  value(name: string): V {
    const { buffer, offset } = this.#of(name);
    return buffer.load(this.team.row.add(offset));
  }
  /** Any element of a "value" view. */
  valueAt(name: string, index: V): V {
    const { buffer, offset } = this.#of(name);
    return buffer.load(index.add(offset));
  }
  /** One element of the row. */
  element(name: string, index: V): V {
    const { buffer, offset } = this.#of(name);
    const { lanes } = this.plan;
    if (lanes === 1) return buffer.load(this.team.start(offset).add(index));
    const [a, b, c, d] = this.k.lanes(buffer.load(this.team.start(offset).add(index.div(lanes)))) as [V, V, V, V];
    const lane = index.rem(lanes);
    return lane.lt(2).select(lane.eq(0).select(a, b), lane.eq(2).select(c, d));
  }

  /** Writes `plan.lanes` elements at a place of the row. */
  store(name: string, at: V, values: readonly V[]): void {
    const { buffer, offset } = this.#of(name);
    const rounded = values.map((v) => this.#rounded(name, v));
    buffer.store(this.team.start(offset).add(at), rounded.length === 1 ? rounded[0]! : this.k.vector(rounded));
  }
  /** Writes the row's element of a "value" view. Call it in one member. */
  storeValue(name: string, value: V): void {
    const { buffer, offset } = this.#of(name);
    buffer.store(this.team.row.add(offset), this.#rounded(name, value));
  }
  #rounded(name: string, value: V): V {
    const { buffer, dtype } = this.#of(name);
    return rounded(this.k, buffer, dtype, value);
  }
}

/** What a buffer of `dtype` may be given: rounded where its elements are wider than the dtype, or hold more than its values. */
export function rounded(k: KernelBuilder, buffer: BufferVar, dtype: DType, value: V): V {
  const { elem } = buffer.param;
  return elem === "f32" || elem === "i32" || dtype === bool ? roundTo(k, value, dtype) : value;
}

/** Runs `body` for every row. */
export function launchRows(context: GpuContext, job: RowJob, body: (io: RowIo) => void): void {
  const { rows, n, views, channels } = job;
  if (rows * n === 0) return;
  const aligned = views.every(({ view, along }) => (along !== "row" && along !== "column") || view.offset % 4 === 0);
  const plan = planRows(context.caps, rows, n, aligned, job.arrays);
  const described = views.map(({ name, view, along }) => `${name}:${view.dtype.name}:${along}`).join();
  const whole = channels !== undefined && channels.size % plan.lanes === 0;
  const program = context.program(`${job.name}|${job.key ?? ""}|${described}|${planKey(plan)}|${whole}`, () => {
    const io = new RowIo(context, job, plan);
    io.team.rows(io.k.param("rows", "u32"), () => body(io));
    return io.k.build();
  });
  const params: Record<string, number> = { ...job.params, rows, n };
  if (channels) Object.assign(params, { row_groups: channels.groups, channels_each: channels.each, channel_size: channels.size });
  for (const { name, view, along } of views) {
    params[`${name}_offset`] = along === "row" || along === "column" ? view.offset / plan.lanes : view.offset;
  }
  context.launch(program, {
    buffers: [...views.map(({ view }) => view), ...(job.atomics ?? []).map(({ buffer }) => buffer)],
    params,
    groups: rowGroups(context.caps, plan, rows),
  });
}
