/** Reductions of stretches of unequal lengths. */

import type { Scalar } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape, normalizeDim, sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { defineOp, type Op } from "../engine/define.ts";
import { checkTensor } from "../engine/signature.ts";
import { arange } from "./creation.ts";
import { cat } from "./joining.ts";
import { searchsorted } from "./sorting.ts";

type Kind = "sum" | "mean" | "max" | "min" | "prod";
type SegmentOptions = {
  lengths?: Tensor | null;
  indices?: Tensor | null;
  offsets?: Tensor | null;
  axis?: number;
  unsafe?: boolean;
  initial?: Scalar | null;
};
type SegmentOp = Op<[data: Tensor, reduce: Kind, options?: SegmentOptions], Tensor>;

const SCATTER = { sum: "sum", mean: "sum", max: "amax", min: "amin", prod: "prod" } as const;
const IDENTITY = { sum: 0, mean: 0, max: -Infinity, min: Infinity, prod: 1 } as const;

export const segment_reduce: SegmentOp = defineOp(
  "segment_reduce",
  "data, reduce, *, lengths=None, indices=None, offsets=None, axis=0, unsafe=False, initial=None",
  {
    doc: "Reduces consecutive segments along axis, given their lengths or their offsets; each starts from initial.",
    method: false,
    forward(
      ctx,
      data: Tensor,
      reduce: Kind,
      lengths: Tensor | null,
      indices: Tensor | null,
      offsets: Tensor | null,
      axis: number,
      unsafe: boolean,
      initial: Scalar | null,
    ) {
      checkTensor("segment_reduce", "data", data);
      const d = normalizeDim("segment_reduce", axis, data.ndim);
      if (!Object.hasOwn(SCATTER, reduce))
        throw new RuntimeError(`segment_reduce: unsupported reduction ${JSON.stringify(reduce)}`);
      if (indices !== null) throw new RuntimeError("segment_reduce: indices based reduction is not supported");
      if (lengths === null && offsets === null)
        throw new RuntimeError("segment_reduce: either lengths or offsets must be defined");
      const given = (lengths ?? offsets)!;
      if (given.ndim !== d + 1 || !sameShape(given.shape.slice(0, -1), data.shape.slice(0, d))) {
        throw new RuntimeError(
          `segment_reduce: expected lengths or offsets to have data's first ${d} dimensions and one more, got ${formatShape(given.shape)} for data of ${formatShape(data.shape)}`,
        );
      }
      const n = data.shape[d]!;
      // Ends of all segments; an element belongs to the first whose end lies beyond it.
      const sizes = lengths ?? offsets!.slice(-1, 1).sub(offsets!.slice(-1, 0, offsets!.shape[d]! - 1));
      const ends = lengths !== null ? lengths.cumsum(d) : offsets!.slice(-1, 1);
      if (lengths !== null && !unsafe && lengths.numel() > 0 && lengths.device.caps.readSync) checkLengths(lengths, ends, n);
      const segments = sizes.shape[d]!;
      const places = arange(n, { device: data.device, dtype: ends.dtype }).expand([...data.shape.slice(0, d), n]);
      const id = searchsorted(ends, places, { right: true });
      // What lies beyond the last segment goes to one more, which is dropped.
      const wide = (t: Tensor): Tensor => {
        let x = t;
        while (x.ndim < data.ndim) x = x.unsqueeze(-1);
        return x.expand([...t.shape, ...data.shape.slice(d + 1)]);
      };
      const at = wide(id);
      const start = initial === null ? IDENTITY[reduce] : Number(initial);
      const shape = data.shape.map((m, i) => (i === d ? segments + 1 : m));
      const all = data.new_full(shape, start).scatter_reduce(d, at, data, SCATTER[reduce]);
      let out = all.slice(d, 0, segments);
      if (reduce === "mean") {
        const count = wide(sizes);
        out = out.div(count).where(count.gt(0), initial === null ? NaN : start);
      }
      out = out.clone();
      ctx.save(data, out, at, reduce === "mean" ? sizes : null);
      ctx.state = { d, reduce, start };
      return out;
    },
    backward(ctx, g: Tensor) {
      const [data, out, at, sizes] = ctx.saved() as [Tensor, Tensor, Tensor, Tensor];
      const { d, reduce, start } = ctx.state as { d: number; reduce: Kind; start: number };
      /** A segment's value, for each of its elements. */
      const back = (t: Tensor): Tensor => cat([t, t.new_zeros(t.shape.map((m, i) => (i === d ? 1 : m)))], d).gather(d, at);
      const perSegment = (t: Tensor, from: number, how: "sum" | "prod"): Tensor =>
        t
          .new_full(
            t.shape.map((m, i) => (i === d ? out.shape[d]! + 1 : m)),
            from,
          )
          .scatter_reduce(d, at, t, how);
      const spread = back(g);
      if (reduce === "sum") return [spread];
      if (reduce === "mean") {
        let count = sizes;
        while (count.ndim < out.ndim) count = count.unsqueeze(-1);
        return [spread.div(back(count.expand(out.shape).to(g.dtype)).clamp_min(1))];
      }
      if (reduce === "prod") {
        const zero = data.eq(0);
        const zeros = perSegment(zero.to(data.dtype), 0, "sum").gather(d, at);
        const filled = data.masked_fill(zero, 1);
        const others = perSegment(filled, start, "prod").gather(d, at).div(filled);
        return [spread.mul(others).masked_fill(zeros.gt(zero), 0)];
      }
      const result = back(out);
      const mask = data.eq(result).logical_or(data.isnan().logical_and(result.isnan())).to(g.dtype);
      const shared = perSegment(mask, 0, "sum").gather(d, at);
      return [spread.mul(mask).div(shared.clamp_min(1))];
    },
  },
);

function checkLengths(lengths: Tensor, ends: Tensor, n: number): void {
  if (lengths.lt(0).any().item_sync()) throw new RuntimeError("segment_reduce: lengths contains negative value!");
  if (ends.select(-1, -1).ne(n).any().item_sync()) {
    throw new RuntimeError(
      `segment_reduce: expected all rows of lengths along axis to sum to data.size(axis), which is ${n}, when unsafe is false`,
    );
  }
}
