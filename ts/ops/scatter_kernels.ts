/** What gathering and scattering ops share: kernels that write into a tensor, and folds with their gradients. Not public. */

import type { Complex, Scalar } from "../core/dtype.ts";
import { type Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { defineOp, type Op } from "../engine/define.ts";
import { alias, copyOf, run } from "../engine/run.ts";
import type { ScatterSpec } from "../kernel/spec.ts";
import { filled } from "./creation.ts";
import { extreme } from "./limits.ts";

export type Combine = ScatterSpec["reduce"];

/** A 0-d tensor as a vector of one element; no autograd. */
export const asVector = (t: Tensor): Tensor => (t.ndim === 0 ? alias(t, [1], [1], t._offset) : t);

/** A dense copy to write into. */
export function writable(t: Tensor): Tensor {
  const out = copyOf(t, t.dtype);
  out._storage.materialize();
  return out;
}

/** `out[..., index, ...] = combine(out, src)` for a src of the index's shape. */
export function scatterInto(op: string, out: Tensor, dim: number, index: Tensor, src: Tensor, reduce: Combine): void {
  if (index.numel() === 0) return;
  const spec = { kind: "scatter", mode: "scatter", reduce, dtype: out.dtype, indices: 1 } as const;
  run(spec, [asVector(src), asVector(index)], [asVector(out)], { name: op, dim, dims: [], src_strides: [] });
}

/** One element shown in a whole shape. */
export function constantLike(shape: Shape, value: Scalar | Complex, like: Tensor): Tensor {
  const one = filled([], value, like.dtype, like.device);
  return alias(
    one,
    shape,
    shape.map(() => 0),
    0,
  );
}

/** The first value of a fold. */
function identityOf(reduce: string, { dtype, device }: Tensor): Scalar {
  if (reduce === "prod") return 1;
  if (reduce !== "amax" && reduce !== "amin") return 0;
  return extreme(dtype, device, reduce === "amin");
}

/** How each reduction combines. */
export const COMBINE: Readonly<Record<string, Combine>> = { sum: "add", prod: "mul", mean: "add", amax: "amax", amin: "amin" };

type FoldPrimitive = Op<
  [input: Tensor, dim: number, index: Tensor, src: Tensor, reduce: string, include_self: boolean, name: string],
  Tensor
>;

interface FoldState {
  readonly dim: number;
  readonly reduce: string;
  readonly include_self: boolean;
}

export const fold_primitive: FoldPrimitive = defineOp("scatter_reduce", "input, dim, index, src, reduce, include_self, name", {
  doc: "",
  method: false,
  forward(ctx, input: Tensor, dim: number, index: Tensor, src: Tensor, reduce: string, include_self: boolean, name: string) {
    let out = writable(input);
    if (!include_self) {
      scatterInto(name, out, dim, index, constantLike(index.shape, identityOf(reduce, input), input), "set");
    }
    scatterInto(name, out, dim, index, src, COMBINE[reduce]!);
    if (reduce === "mean") {
      const counts = countsOf(input, dim, index, include_self);
      out = input.dtype.is_floating_point ? out.div(counts) : out.div(counts, { rounding_mode: "floor" });
    }
    ctx.state = { dim, reduce, include_self } satisfies FoldState;
    ctx.save(index, input, src, out);
    return out;
  },
  backward(ctx, g: Tensor) {
    const [index, input, src, out] = ctx.saved() as [Tensor, Tensor, Tensor, Tensor];
    const state = ctx.state as FoldState;
    const { dim, include_self } = state;
    const [self, other] = foldGrads(state, g, index, input, src, out);
    return [include_self ? self : self.scatter(dim, index, 0), null, null, other];
  },
});

/** How many values meet at each place; at least 1. */
function countsOf(input: Tensor, dim: number, index: Tensor, include_self: boolean): Tensor {
  const start = filled(input.shape, include_self ? 1 : 0, input.dtype, input.device);
  const counts = start.scatter_add(dim, index, filled(index.shape, 1, input.dtype, input.device));
  return include_self ? counts : counts.masked_fill(counts.eq(0), 1);
}

function foldGrads(
  { dim, reduce, include_self }: FoldState,
  g: Tensor,
  index: Tensor,
  input: Tensor,
  src: Tensor,
  out: Tensor,
): [self: Tensor, src: Tensor] {
  const zeros = filled(input.shape, 0, g.dtype, g.device);
  if (reduce === "sum") return [g, g.gather(dim, index)];
  if (reduce === "mean") {
    const counts = countsOf(input, dim, index, include_self);
    return [g.div(counts), g.gather(dim, index).div(counts.gather(dim, index))];
  }
  if (reduce === "prod") {
    const filledSelf = input.masked_fill(input.eq(0), 1);
    const others = fold_primitive(filledSelf, dim, index, src, "prod", include_self, "scatter_reduce");
    const self = g.mul(others).div(filledSelf);
    const isZero = src.eq(0);
    const zerosThere = zeros.scatter_add(dim, index, isZero.to(g.dtype)).gather(dim, index);
    // Where exactly one factor is zero, its derivative is the product of the rest.
    const single = isZero.logical_and(zerosThere.eq(1));
    const rest = fold_primitive(input, dim, index, src.masked_fill(single, 1), "prod", include_self, "scatter_reduce");
    const atZero = g.mul(rest).gather(dim, index);
    const elsewhere = g.mul(out).gather(dim, index).div(src.masked_fill(isZero, 1));
    return [self, elsewhere.masked_fill(single, 0).add(atZero.masked_fill(single.logical_not(), 0))];
  }
  // Extrema: shared equally among all that reach them.
  const selfHits = input.eq(out).to(g.dtype);
  const srcHits = src.eq(out.gather(dim, index)).to(g.dtype);
  const hits = selfHits.scatter_add(dim, index, srcHits);
  const share = g.div(hits);
  return [selfHits.mul(share), srcHits.mul(share.gather(dim, index))];
}
