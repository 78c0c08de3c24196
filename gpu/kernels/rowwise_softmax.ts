/** softmax, log_softmax and their gradients. */

import type { View } from "../../ts/core/device.ts";
import type { V } from "../builder.ts";
import type { GpuContext } from "../context.ts";
import { expNonPositive, logOf, overUnlessFinite } from "./row_math.ts";
import { launchRows, type RowIo } from "./row_launch.ts";
import { greatest } from "./common.ts";

const typeOfRows = (io: RowIo): "f32" | "f64" => (io.typeOf("x") === "f64" ? "f64" : "f32");

/** The row's greatest element and the sum of exp(x - greatest), both finite unless the row has NaN or +Inf, or nothing but -Inf. */
export function rowExponentials(io: RowIo): { values: ReturnType<RowIo["team"]["values"]>; top: V; total: V } {
  const { k, team } = io;
  const type = typeOfRows(io);
  const values = team.values([type], (at) => io.load("x", at));
  const top = values.greatest("top", k.const(-greatest(type), type)).min(greatest(type));
  const [total] = values.sums("total", type, 1, (xs) => [xs.map((x) => expNonPositive(x.sub(top)))]);
  return { values, top, total: total! };
}

export function softmax(context: GpuContext, [x]: readonly View[], [y]: readonly View[], log: boolean): void {
  const [rows, n] = x!.shape as [number, number];
  launchRows(
    context,
    {
      name: log ? "log_softmax" : "softmax",
      rows,
      n,
      views: [
        { name: "x", view: x!, along: "row" },
        { name: "y", view: y!, along: "row", written: true },
      ],
    },
    (io) => {
      const { values, top, total } = rowExponentials(io);
      if (log) {
        const lse = logOf(overUnlessFinite(total));
        values.each((xs, at) =>
          io.store(
            "y",
            at,
            xs.map((v) => v.sub(top).sub(lse)),
          ),
        );
        return;
      }
      const scale = io.k.const(1, total.scalar).div(overUnlessFinite(total));
      values.each((xs, at) =>
        io.store(
          "y",
          at,
          xs.map((v) => expNonPositive(v.sub(top)).mul(scale)),
        ),
      );
    },
  );
}

/** gx = y (gy - sum(gy y)), or gy - exp(y) sum(gy) for the logarithm. */
export function softmaxBackward(context: GpuContext, [gy, y]: readonly View[], [gx]: readonly View[], log: boolean): void {
  const [rows, n] = y!.shape as [number, number];
  launchRows(
    context,
    {
      name: log ? "log_softmax_backward" : "softmax_backward",
      rows,
      n,
      arrays: 2,
      views: [
        { name: "x", view: y!, along: "row" },
        { name: "gy", view: gy!, along: "row" },
        { name: "gx", view: gx!, along: "row", written: true },
      ],
    },
    (io) => {
      const { team, plan } = io;
      const type = typeOfRows(io);
      const values = team.values([type, type], (at) => [...io.load("x", at), ...io.load("gy", at)]);
      const halves = (all: readonly V[]): [readonly V[], readonly V[]] => [all.slice(0, plan.lanes), all.slice(plan.lanes)];
      const [total] = values.sums("total", type, 1, (all) => {
        const [ys, gs] = halves(all);
        return [log ? gs : gs.map((g, i) => g.mul(ys[i]!))];
      });
      values.each((all, at) => {
        const [ys, gs] = halves(all);
        io.store(
          "gx",
          at,
          gs.map((g, i) => (log ? g.sub(expNonPositive(ys[i]!).mul(total!)) : ys[i]!.mul(g.sub(total!)))),
        );
      });
    },
  );
}
