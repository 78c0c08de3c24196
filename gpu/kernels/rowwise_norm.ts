/** layer_norm, rms_norm and group_norm with their gradients: a row is what shares one mean and variance. */

import type { View } from "../../ts/core/device.ts";
import type { RowwiseParams } from "../../ts/kernel/spec.ts";
import type { V } from "../builder.ts";
import type { GpuContext } from "../context.ts";
import { columnSums } from "./columns.ts";
import { planeSums } from "./rowwise_channel.ts";
import { type Along, launchRows, type RowIo, type RowView } from "./row_launch.ts";

/** Registers are f64 for float64, f32 for the rest. */
const typeOfRows = (io: RowIo): "f32" | "f64" => (io.typeOf("x") === "f64" ? "f64" : "f32");

const present = (views: readonly (RowView | null)[]): RowView[] => views.filter((v) => v !== null);
const viewOf = (name: string, view: View | undefined, along: Along, written = false): RowView | null =>
  view === undefined ? null : { name, view, along, written };

/** y = (x - mean) rstd weight + bias per row, which has n elements; rms takes no mean away. */
export function normalise(
  context: GpuContext,
  shape: { rows: number; n: number; channels?: { groups: number; each: number; size: number } },
  inputs: { x: View; weight: View | undefined; bias: View | undefined },
  outputs: { y: View; mean: View | undefined; rstd: View },
  eps: number,
): void {
  const affine: Along = shape.channels ? "channel" : "column";
  const rms = outputs.mean === undefined;
  const views = present([
    viewOf("x", inputs.x, "row"),
    viewOf("weight", inputs.weight, affine),
    viewOf("bias", inputs.bias, affine),
    viewOf("y", outputs.y, "row", true),
    viewOf("mean", outputs.mean, "value", true),
    viewOf("rstd", outputs.rstd, "value", true),
  ]);
  launchRows(context, { name: rms ? "rms_norm" : "layer_norm", ...shape, views, params: { eps } }, (io) => {
    const { k, team } = io;
    const type = typeOfRows(io);
    const values = team.values([type], (at) => io.load("x", at));
    const count = team.n.convert(type);
    const mean = rms ? null : values.sums("total", type, 1, (xs) => [xs])[0]!.div(count);
    const centered = (x: V): V => (mean === null ? x : x.sub(mean));
    const [squares] = values.sums("squares", type, 1, (xs) => [xs.map(centered).map((d) => d.mul(d))]);
    const rstd = inverseRoot(squares!.div(count).add(k.param("eps", type)));
    team.lead(() => {
      if (mean !== null) io.storeValue("mean", mean);
      io.storeValue("rstd", rstd);
    });
    values.each((xs, at) => {
      const weight = io.has("weight") ? io.load("weight", at) : null;
      const bias = io.has("bias") ? io.load("bias", at) : null;
      const ys = xs.map((x, i) => {
        const h = centered(x).mul(rstd);
        const scaled = weight === null ? h : h.mul(weight[i]!);
        return bias === null ? scaled : scaled.add(bias[i]!);
      });
      io.store("y", at, ys);
    });
  });
}

export function inverseRoot(x: V): V {
  return x.block.const(1, x.scalar).div(x.sqrt());
}

/** With h = (x - mean) rstd and g = gy weight: gx = rstd (g - mean(g) - h mean(g h)); rms has no mean(g). */
export function normaliseBackward(
  context: GpuContext,
  shape: { rows: number; n: number; channels?: { groups: number; each: number; size: number } },
  inputs: { gy: View; x: View; mean: View | undefined; rstd: View; weight: View | undefined },
  gx: View,
): void {
  const affine: Along = shape.channels ? "channel" : "column";
  const rms = inputs.mean === undefined;
  const views = present([
    viewOf("gy", inputs.gy, "row"),
    viewOf("x", inputs.x, "row"),
    viewOf("mean", inputs.mean, "value"),
    viewOf("rstd", inputs.rstd, "value"),
    viewOf("weight", inputs.weight, affine),
    viewOf("gx", gx, "row", true),
  ]);
  const name = rms ? "rms_norm_backward" : "layer_norm_backward";
  launchRows(context, { name, ...shape, views, arrays: 2 }, (io) => {
    const { k, team, plan } = io;
    const type = typeOfRows(io);
    const rstd = io.value("rstd");
    const mean = rms ? null : io.value("mean");
    // Normal values, then gradients.
    const values = team.values([type, type], (at) => {
      const hs = io.load("x", at).map((x) => (mean === null ? x : x.sub(mean)).mul(rstd));
      const weight = io.has("weight") ? io.load("weight", at) : null;
      const gs = io.load("gy", at).map((g, i) => (weight === null ? g : g.mul(weight[i]!)));
      return [...hs, ...gs];
    });
    const halves = (all: readonly V[]): [readonly V[], readonly V[]] => [all.slice(0, plan.lanes), all.slice(plan.lanes)];
    const count = team.n.convert(type);
    const totals = values.sums("total", type, rms ? 1 : 2, (all) => {
      const [hs, gs] = halves(all);
      const dots = hs.map((h, i) => h.mul(gs[i]!));
      return rms ? [dots] : [dots, gs];
    });
    const dot = totals[0]!.div(count);
    const each = rms ? k.const(0, type) : totals[1]!.div(count);
    values.each((all, at) => {
      const [hs, gs] = halves(all);
      io.store(
        "gx",
        at,
        gs.map((g, i) => (rms ? g : g.sub(each)).sub(hs[i]!.mul(dot)).mul(rstd)),
      );
    });
  });
}

const rowsOf = ({ shape }: View): { rows: number; n: number } => ({ rows: shape[0]!, n: shape[1]! });

export function layerNorm(context: GpuContext, inputs: readonly View[], outputs: readonly View[], eps: number): void {
  const [x, weight, bias] = inputs as [View, View | undefined, View | undefined];
  const [y, mean, rstd] = outputs as [View, View, View];
  normalise(context, rowsOf(x), { x, weight, bias }, { y, mean, rstd }, eps);
}

export function rmsNorm(context: GpuContext, inputs: readonly View[], outputs: readonly View[], eps: number): void {
  const [x, weight] = inputs as [View, View | undefined];
  const [y, rstd] = outputs as [View, View];
  normalise(context, rowsOf(x), { x, weight, bias: undefined }, { y, mean: undefined, rstd }, eps);
}

export function layerNormBackward(context: GpuContext, inputs: readonly View[], outputs: readonly View[]): void {
  const [gy, x, mean, rstd, weight] = inputs as [View, View, View, View, View | undefined];
  backward(context, { gy, x, mean, rstd, weight }, outputs);
}

export function rmsNormBackward(context: GpuContext, inputs: readonly View[], outputs: readonly View[]): void {
  const [gy, x, rstd, weight] = inputs as [View, View, View, View | undefined];
  backward(context, { gy, x, mean: undefined, rstd, weight }, outputs);
}

function backward(
  context: GpuContext,
  inputs: { gy: View; x: View; mean: View | undefined; rstd: View; weight: View | undefined },
  outputs: readonly View[],
): void {
  const { gy, x, mean, rstd } = inputs;
  const { rows, n } = rowsOf(x);
  const [gx, gweight, gbias] = outputs as [View, View | undefined, View | undefined];
  normaliseBackward(context, { rows, n }, inputs, gx);
  if (gweight === undefined) return;
  const sums = gbias === undefined ? [gweight] : [gweight, gbias];
  const views = present([
    viewOf("gy", gy, "row"),
    viewOf("x", x, "row"),
    viewOf("rstd", rstd, "value"),
    viewOf("mean", mean, "value"),
  ]);
  columnSums(context, { name: "norm_weight", rows, n, views, sums }, (io, row) => {
    const gs = io.load("gy", row);
    const scale = io.value("rstd", row);
    const center = mean === undefined ? null : io.value("mean", row);
    const hs = io.load("x", row).map((v) => (center === null ? v : v.sub(center)).mul(scale));
    const dots = gs.map((g, i) => g.mul(hs[i]!));
    return gbias === undefined ? [dots] : [dots, gs];
  });
}

/** x [rows, channels, S]: a row is a group. */
function groupsOf(
  { shape }: View,
  params: RowwiseParams,
): {
  rows: number;
  n: number;
  channels: { groups: number; each: number; size: number };
} {
  const [rows, each, size] = shape as [number, number, number];
  return { rows, n: each * size, channels: { groups: params.groups, each, size } };
}

export function groupNorm(context: GpuContext, inputs: readonly View[], outputs: readonly View[], params: RowwiseParams): void {
  const [x, weight, bias] = inputs as [View, View | undefined, View | undefined];
  const [y, mean, rstd] = outputs as [View, View, View];
  normalise(context, groupsOf(x, params), { x, weight, bias }, { y, mean, rstd }, params.eps);
}

export function groupNormBackward(
  context: GpuContext,
  inputs: readonly View[],
  outputs: readonly View[],
  params: RowwiseParams,
): void {
  const [gy, x, mean, rstd, weight] = inputs as [View, View, View, View, View | undefined];
  const [gx, gweight, gbias] = outputs as [View, View | undefined, View | undefined];
  const shape = groupsOf(x, params);
  normaliseBackward(context, shape, { gy, x, mean, rstd, weight }, gx);
  if (gweight === undefined) return;
  const { each, size, groups } = shape.channels;
  const batch = shape.rows / groups;
  const channels = groups * each;
  // Per plane first (a channel of one image), then over the images.
  const { dots, totals } = planeSums(context, { gy, x, mean, rstd }, { batch, channels, size, each });
  const views: RowView[] = [
    { name: "dots", view: dots, along: "row" },
    { name: "totals", view: totals, along: "row" },
  ];
  const sums = gbias === undefined ? [gweight] : [gweight, gbias];
  columnSums(context, { name: "group_norm_weight", rows: batch, n: channels, views, sums }, (io, row) =>
    gbias === undefined ? [io.load("dots", row)] : [io.load("dots", row), io.load("totals", row)],
  );
}
