/** batch_norm over [N, C, S]: a statistic per channel. A plane is one channel of one image; where S is 1 planes are columns of a matrix. */

import { type DType, float32, float64 } from "../../ts/core/dtype.ts";
import type { View } from "../../ts/core/device.ts";
import type { RowwiseParams } from "../../ts/kernel/spec.ts";
import type { V } from "../builder.ts";
import type { GpuContext } from "../context.ts";
import { columnSums } from "./columns.ts";
import { launchRows, type RowIo, type RowView } from "./row_launch.ts";

interface Planes {
  readonly batch: number;
  readonly channels: number;
  /** Elements of a plane. */
  readonly size: number;
}

function planesOf({ shape }: View): Planes {
  const [batch, channels, size] = shape as [number, number, number];
  return { batch, channels, size };
}

/** What sums of a dtype are kept in. */
const wideOf = (dtype: DType): DType => (dtype === float64 ? float64 : float32);

function temporaryView(context: GpuContext, dtype: DType, shape: readonly number[]): View {
  const { elem } = context.layout(dtype);
  return context.view(
    context.temporary(
      shape.reduce((a, b) => a * b, 1),
      elem,
    ),
    dtype,
    shape,
  );
}

/** A plane's number in row-major order, as the number of the statistic that it belongs to. */
function statisticOf(io: RowIo): V {
  return io.team.row.div(io.k.param("stat_each", "u32")).rem(io.k.param("stat_period", "u32"));
}

/**
 * Per plane the sums of gy (x - mean) rstd and of gy: [batch, channels].
 * @param planes `each`: so many planes one after the other share a statistic (group_norm); otherwise those of the same channel do.
 */
export function planeSums(
  context: GpuContext,
  { gy, x, mean, rstd }: { gy: View; x: View; mean: View; rstd: View },
  { batch, channels, size, each }: Planes & { each?: number },
): { dots: View; totals: View } {
  const wide = wideOf(x.dtype);
  const dots = temporaryView(context, wide, [batch, channels]);
  const totals = temporaryView(context, wide, [batch, channels]);
  const views: RowView[] = [
    { name: "gy", view: gy, along: "row" },
    { name: "x", view: x, along: "row" },
    { name: "mean", view: mean, along: "value" },
    { name: "rstd", view: rstd, along: "value" },
    { name: "dots", view: dots, along: "value", written: true },
    { name: "totals", view: totals, along: "value", written: true },
  ];
  const params = { stat_each: each ?? 1, stat_period: each === undefined ? channels : 0x7fffffff };
  const job = { name: "norm_planes", rows: batch * channels, n: size, views, params, arrays: 2 };
  launchRows(context, job, (io) => {
    const { team, plan } = io;
    const type = io.typeOf("x");
    const stat = statisticOf(io);
    const [center, scale] = [io.valueAt("mean", stat), io.valueAt("rstd", stat)];
    const values = team.values([type, type], (at) => [...io.load("x", at).map((v) => v.sub(center)), ...io.load("gy", at)]);
    const [dot, total] = values.sums("total", type, 2, (all) => {
      const gs = all.slice(plan.lanes);
      return [gs.map((g, i) => g.mul(all[i]!)), gs];
    });
    team.lead(() => {
      io.storeValue("dots", dot!.mul(scale));
      io.storeValue("totals", total!);
    });
  });
  return { dots, totals };
}

export function batchNormStats(context: GpuContext, inputs: readonly View[], outputs: readonly View[]): void {
  const x = inputs[0]!;
  const [mean, variance] = outputs as [View, View];
  const { batch, channels, size } = planesOf(x);
  if (batch * size === 0) return;
  const sums = [mean, variance];
  // Distances from the first image's value keep what is squared small.
  const body = ([first, square]: readonly V[], shift: V, count: V, each: V | number): readonly V[] => {
    const off = first!.div(count);
    const spread = square!.sub(first!.mul(off)).div(count);
    return [shift.add(off), (typeof each === "number" ? spread : spread.div(each)).max(0)];
  };
  if (size === 1) {
    const views: RowView[] = [
      { name: "x", view: x, along: "row" },
      { name: "origin", view: x, along: "column" },
    ];
    const finish = { shift: x, body: (totals: readonly V[], shift: V, rows: V) => body(totals, shift, rows, 1) };
    const job = { name: "batch_norm_columns", rows: batch, n: channels, views, sums, finish };
    columnSums(context, job, (io, row) => {
      const origin = io.load("origin", row);
      const ds = io.load("x", row).map((v, i) => v.sub(origin[i]!));
      return [ds, ds.map((d) => d.mul(d))];
    });
    return;
  }
  const wide = wideOf(x.dtype);
  const means = temporaryView(context, wide, [batch, channels]);
  const squares = temporaryView(context, wide, [batch, channels]);
  const views: RowView[] = [
    { name: "x", view: x, along: "row" },
    { name: "mean", view: means, along: "value", written: true },
    { name: "squares", view: squares, along: "value", written: true },
  ];
  launchRows(context, { name: "batch_norm_planes", rows: batch * channels, n: size, views }, (io) => {
    const { team } = io;
    const type = io.typeOf("x");
    const values = team.values([type], (at) => io.load("x", at));
    const count = team.n.convert(type);
    const center = values.sums("total", type, 1, (xs) => [xs])[0]!.div(count);
    const [square] = values.sums("squares", type, 1, (xs) => [xs.map((v) => v.sub(center)).map((d) => d.mul(d))]);
    team.lead(() => {
      io.storeValue("mean", center);
      io.storeValue("squares", square!.div(count));
    });
  });
  const planes: RowView[] = [
    { name: "mean", view: means, along: "row" },
    { name: "origin", view: means, along: "column" },
    { name: "squares", view: squares, along: "row" },
  ];
  const finish = { shift: means, body: (totals: readonly V[], shift: V, rows: V) => body(totals, shift, rows, 1) };
  const job = { name: "batch_norm_merge", rows: batch, n: channels, views: planes, sums, finish };
  columnSums(context, job, (io, row) => {
    const origin = io.load("origin", row);
    const own = io.load("squares", row);
    const ds = io.load("mean", row).map((v, i) => v.sub(origin[i]!));
    return [ds, ds.map((d, i) => d.fma(d, own[i]!))];
  });
}

/** Runs `body` over x and what has its shape; statistics and parameters [C] are read through `at`, which gives one value per lane. */
function overPlanes(
  context: GpuContext,
  name: string,
  shape: Planes,
  full: readonly RowView[],
  perChannel: readonly (RowView | null)[],
  params: Readonly<Record<string, number>>,
  body: (io: RowIo, read: (name: string, at: V) => V[]) => void,
): void {
  const { batch, channels, size } = shape;
  const along = size === 1 ? "column" : "value";
  const views = [...full, ...perChannel.filter((v) => v !== null).map((v) => ({ ...v, along }) as const)];
  const sizes = size === 1 ? { rows: batch, n: channels } : { rows: batch * channels, n: size };
  const job = { name, key: along, ...sizes, views, params: { ...params, stat_each: 1, stat_period: channels } };
  launchRows(context, job, (io) => {
    if (size === 1) return body(io, (of, at) => io.load(of, at));
    const channel = statisticOf(io);
    const known = new Map(perChannel.flatMap((v) => (v === null ? [] : [[v.name, io.valueAt(v.name, channel)] as const])));
    body(io, (of) => Array.from({ length: io.plan.lanes }, () => known.get(of)!));
  });
}

const rowView = (name: string, view: View, written = false): RowView => ({ name, view, along: "row", written });
const channelView = (name: string, view: View | undefined): RowView | null =>
  view === undefined ? null : { name, view, along: "value" };

/** y = (x - mean) rstd weight + bias */
export function batchNorm(context: GpuContext, inputs: readonly View[], outputs: readonly View[]): void {
  const [x, mean, rstd, weight, bias] = inputs as [View, View, View, View | undefined, View | undefined];
  const full = [rowView("x", x), rowView("y", outputs[0]!, true)];
  const perChannel = [
    channelView("mean", mean),
    channelView("rstd", rstd),
    channelView("weight", weight),
    channelView("bias", bias),
  ];
  overPlanes(context, "batch_norm", planesOf(x), full, perChannel, {}, (io, read) => {
    io.team.each((at) => {
      const [centers, scales] = [read("mean", at), read("rstd", at)];
      const ws = weight ? read("weight", at) : null;
      const bs = bias ? read("bias", at) : null;
      const ys = io.load("x", at).map((v, i) => {
        const h = v.sub(centers[i]!).mul(ws ? scales[i]!.mul(ws[i]!) : scales[i]!);
        return bs ? h.add(bs[i]!) : h;
      });
      io.store("y", at, ys);
    });
  });
}

/**
 * gx = rstd weight (gy - mean(gy) - h mean(gy h)) with h = (x - mean) rstd where the statistics came from this batch (params.flag), else
 * rstd weight gy; gweight = sum of gy h; gbias = sum of gy.
 */
export function batchNormBackward(
  context: GpuContext,
  inputs: readonly View[],
  outputs: readonly View[],
  { flag }: RowwiseParams,
): void {
  const [gy, x, mean, rstd, weight] = inputs as [View, View, View, View, View | undefined];
  const [gx, gweight, gbias] = outputs as [View, View | undefined, View | undefined];
  const shape = planesOf(x);
  const { batch, channels, size } = shape;
  let dots: View | undefined;
  let totals: View | undefined;
  if (flag || gweight !== undefined) {
    const planes = size === 1 ? null : planeSums(context, { gy, x, mean, rstd }, shape);
    const sumUp = (sums: readonly View[]): void => {
      if (planes === null) {
        const views: RowView[] = [
          rowView("gy", gy),
          rowView("x", x),
          { name: "mean", view: mean, along: "column" },
          { name: "rstd", view: rstd, along: "column" },
        ];
        columnSums(context, { name: "batch_norm_dots", rows: batch, n: channels, views, sums }, (io, row) => {
          const [centers, scales, gs] = [io.load("mean", row), io.load("rstd", row), io.load("gy", row)];
          const hs = io.load("x", row).map((v, i) => v.sub(centers[i]!).mul(scales[i]!));
          const ds = gs.map((g, i) => g.mul(hs[i]!));
          return sums.length === 1 ? [ds] : [ds, gs];
        });
        return;
      }
      const views = [rowView("dots", planes.dots), rowView("totals", planes.totals)];
      columnSums(context, { name: "batch_norm_merge_dots", rows: batch, n: channels, views, sums }, (io, row) =>
        sums.length === 1 ? [io.load("dots", row)] : [io.load("dots", row), io.load("totals", row)],
      );
    };
    const wide = wideOf(x.dtype);
    if (flag) {
      // The results serve as what gx is made of, unless they are rounded.
      const reuse = (view: View | undefined): View => (view?.dtype === wide ? view : temporaryView(context, wide, [channels]));
      [dots, totals] = [reuse(gweight), reuse(gbias)];
      sumUp([dots, totals]);
    }
    if (gweight !== undefined && gweight !== dots) sumUp(gbias === undefined ? [gweight] : [gweight, gbias]);
  }
  const full = [rowView("gy", gy), ...(flag ? [rowView("x", x)] : []), rowView("gx", gx, true)];
  const perChannel = [
    channelView("rstd", rstd),
    channelView("weight", weight),
    ...(flag ? [channelView("mean", mean), channelView("dots", dots), channelView("totals", totals)] : []),
  ];
  const params = { each: batch * size };
  overPlanes(context, "batch_norm_backward", shape, full, perChannel, params, (io, read) => {
    const type = io.typeOf("gy");
    const count = io.k.param("each", "u32").convert(type);
    io.team.each((at) => {
      const scales = read("rstd", at);
      const ws = weight ? read("weight", at) : null;
      let gs: readonly V[] = io.load("gy", at);
      if (flag) {
        const xs = io.load("x", at);
        const [centers, ds, ts] = [read("mean", at), read("dots", at), read("totals", at)];
        gs = gs.map((g, i) => {
          const h = xs[i]!.sub(centers[i]!).mul(scales[i]!);
          return g.sub(ts[i]!.div(count)).sub(h.mul(ds[i]!.div(count)));
        });
      }
      io.store(
        "gx",
        at,
        gs.map((g, i) => g.mul(ws ? scales[i]!.mul(ws[i]!) : scales[i]!)),
      );
    });
  });
}
