/** cross_entropy and its gradient, over logits [rows, n] and targets [rows]. */

import type { View } from "../../ts/core/device.ts";
import { IndexError } from "../../ts/core/errors.ts";
import type { RowwiseParams } from "../../ts/kernel/spec.ts";
import type { V } from "../builder.ts";
import type { GpuContext } from "../context.ts";
import { expNonPositive, logOf, overUnlessFinite } from "./row_math.ts";
import { launchRows, type RowIo } from "./row_launch.ts";
import { rowExponentials } from "./rowwise_softmax.ts";
import { complain } from "./complain.ts";

/** The row's target as u32 (what is negative is beyond n), and whether it counts. */
function targetOf(io: RowIo): { target: V; counts: V } {
  const target = io.value("target");
  const ignored = target.eq(io.k.param("ignore", "i32").convert(target.scalar));
  const fits = target.ge(0).and(target.lt(io.team.n.convert(target.scalar)));
  return { target: target.convert("u32"), counts: fits.and(ignored.not()) };
}

export function crossEntropy(
  context: GpuContext,
  inputs: readonly View[],
  outputs: readonly View[],
  { ignore }: RowwiseParams,
): void {
  const [x, target] = inputs as [View, View];
  const [loss, lse] = outputs as [View, View];
  const [rows, n] = x.shape as [number, number];
  const { buffer, code } = context.complaint(
    (value) =>
      new IndexError(`cross_entropy: target ${value | 0} is out of bounds (expected 0 to ${n - 1}, or ${ignore} to ignore)`),
  );
  launchRows(
    context,
    {
      name: "cross_entropy",
      rows,
      n,
      views: [
        { name: "x", view: x, along: "row" },
        { name: "target", view: target, along: "value" },
        { name: "loss", view: loss, along: "value", written: true },
        { name: "lse", view: lse, along: "value", written: true },
      ],
      params: { ignore, code },
      atomics: [{ name: "complaint", buffer }],
    },
    (io) => {
      const { k, team } = io;
      const { top, total } = rowExponentials(io);
      const logarithm = logOf(overUnlessFinite(total));
      team.lead(() => {
        io.storeValue("lse", top.add(logarithm));
        const { target: at, counts } = targetOf(io);
        const result = k.var(k.const(0, total.scalar));
        k.if(
          counts,
          () => result.set(logarithm.sub(io.element("x", at).sub(top))),
          () => {
            const value = io.value("target");
            k.if(value.ne(k.param("ignore", "i32").convert(value.scalar)), () => {
              result.set(k.const(NaN, total.scalar));
              complain(io.atomics("complaint"), k.param("code", "u32"), value);
            });
          },
        );
        io.storeValue("loss", result.get());
      });
    },
  );
}

/** glogits = gloss (softmax(logits) - onehot(target)); 0 in rows that do not count. */
export function crossEntropyBackward(
  context: GpuContext,
  inputs: readonly View[],
  outputs: readonly View[],
  { ignore }: RowwiseParams,
): void {
  const [gloss, x, target, lse] = inputs as [View, View, View, View];
  const gx = outputs[0]!;
  const [rows, n] = x.shape as [number, number];
  launchRows(
    context,
    {
      name: "cross_entropy_backward",
      rows,
      n,
      views: [
        { name: "x", view: x, along: "row" },
        { name: "gloss", view: gloss, along: "value" },
        { name: "target", view: target, along: "value" },
        { name: "lse", view: lse, along: "value" },
        { name: "gx", view: gx, along: "row", written: true },
      ],
      params: { ignore },
    },
    (io) => {
      const { k, team, plan } = io;
      const { target: at, counts } = targetOf(io);
      const zero = k.const(0, io.typeOf("x"));
      // A row that does not count may have any logits, NaN too.
      const scale = io.value("gloss");
      const shift = io.value("lse");
      team.each((place) => {
        const ys = io.load("x", place).map((v, lane) => {
          const y = expNonPositive(v.sub(shift)).mul(scale);
          const own = place.mul(plan.lanes).add(lane).eq(at);
          return counts.select(own.select(y.sub(scale), y), zero);
        });
        io.store("gx", place, ys);
      });
    },
  );
}
