/**
 * attention forward, as in FlashAttention 2 (Dao, 2023): a workgroup owns a block of queries and rescales its sums as the maxima of the
 * scores grow, so that scores never lie in memory. attention_backward.ts has the gradients, attention_products.ts another way for machines
 * without use for workgroup memory.
 */

import type { View } from "../../ts/core/device.ts";
import { NotImplementedError } from "../../ts/core/errors.ts";
import type { AttentionParams, AttentionSpec } from "../../ts/kernel/spec.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { GpuContext, GpuLowering } from "../context.ts";
import { ceilDiv, isNarrow } from "../plan.ts";
import { roundTo } from "../scalar/convert.ts";
import { runBackward } from "./attention_backward.ts";
import { matrixForward } from "./attention_matrix.ts";
import { matrixBackward } from "./attention_matrix_backward.ts";
import { planMatrixAttention } from "./attention_matrix_tiles.ts";
import { type ForwardViews, productsBackward, productsFit, productsForward } from "./attention_products.ts";
import {
  blockRows,
  chunksOf,
  COLUMNS,
  finishScore,
  Lines,
  linesParams,
  Mask,
  maskParams,
  planKey,
  planTiles,
  readsQuads,
  THREADS,
  Tiles,
  weightOf,
} from "./attention_tiles.ts";
import { greatest } from "./common.ts";
import { expNonPositive, logOf } from "./row_math.ts";

export const lowerAttention: GpuLowering<"attention"> = (spec, context) => {
  if (!spec.dtype.is_floating_point) throw new NotImplementedError(`attention: no kernel for ${spec.dtype}; convert to float32`);
  const narrow = isNarrow(context.caps);
  if (spec.mode === "forward") {
    return (inputs, outputs, params) => {
      const [q, k, v, mask] = inputs as [View, View, View, View | undefined];
      const [out, lse] = outputs as [View, View];
      if (lse.shape.includes(0)) return;
      const views = { q, k, v, mask, out, lse };
      const plan = planMatrixAttention(context.caps, spec, views, params);
      if (plan !== null) matrixForward(context, spec, plan, views, params);
      else if (narrow && productsFit(context.caps, q, k)) productsForward(context, spec, views, params);
      else forward(context, spec, views, params);
    };
  }
  return (inputs, outputs, params) => {
    const [gout, q, k, v, out, lse, mask] = inputs as [View, View, View, View, View, View, View | undefined];
    const [gq, gk, gv] = outputs as [View, View, View];
    if (q.shape[0] === 0) return;
    const views = { gout, q, k, v, mask, out, lse, gq, gk, gv };
    const plan = planMatrixAttention(context.caps, spec, views, params);
    if (plan !== null) matrixBackward(context, spec, plan, views, params);
    else if (narrow && productsFit(context.caps, q, k)) productsBackward(context, spec, views, params);
    else runBackward(context, spec, views, params);
  };
};

/** The sizes that all attention kernels take. */
function sizeParams(q: View, k: View, v: View, blocks: number): Record<string, number> {
  return { queries: q.shape[1]!, keys: k.shape[1]!, width: q.shape[2]!, out_width: v.shape[2]!, blocks };
}

function forward(context: GpuContext, spec: AttentionSpec, views: ForwardViews, { scale, causal }: AttentionParams): void {
  const { q, k: keys, v, mask, out, lse } = views;
  const plan = planTiles(context.caps, q.shape[1]!);
  const chunks = chunksOf(v.shape[2]!);
  const lanes = [q, keys, v].map((view): 1 | 4 => (readsQuads(view) ? 4 : 1));
  const lseElem = context.layout(lse.dtype).elem;
  const masked = mask !== undefined;
  const key = `attention/${spec.dtype}/${lse.dtype}/${planKey(plan)}/${chunks}/${lanes.join("")}/${masked}/${causal}`;
  const program = context.program(key, () => {
    const { elem, value } = context.layout(spec.dtype);
    const k = new KernelBuilder("attention", THREADS);
    const [qb, kb, vb] = ["q", "k", "v"].map((name, i) => k.input(name, elem, lanes[i]!)) as [BufferVar, BufferVar, BufferVar];
    const maskBuffer = masked ? k.input("mask", elem) : null;
    const [result, lses] = [k.output("out", elem), k.output("lse", lseElem)];
    const param = (name: string): V => k.param(name, "u32");
    const [L, S, width, outWidth, blocks] = [
      param("queries"),
      param("keys"),
      param("width"),
      param("out_width"),
      param("blocks"),
    ];
    const batch = k.group.div(blocks);
    const first = k.group.sub(batch.mul(blocks)).mul(blockRows(plan));
    const queries = new Lines(k, qb, "q", batch, { count: L, width });
    const keyLines = new Lines(k, kb, "k", batch, { count: S, width });
    const valueLines = new Lines(k, vb, "v", batch, { count: S, width: outWidth });
    const masks = maskBuffer === null ? null : new Mask(k, maskBuffer, batch);
    const tiles = new Tiles(k, value, plan);
    const weights = tiles.weights("weights");
    const least = k.const(-greatest(value), value);
    const tops = tiles.rows.map(() => k.var(least));
    const totals = tiles.rows.map(() => k.var(k.const(0, value)));
    const sums = tiles.sums(chunks);
    const rows = tiles.rows.map((row) => first.add(row));

    const end = causal ? first.add(blockRows(plan)).min(S) : S;
    k.for(0, end, COLUMNS, (tile) => {
      const products = tiles.scores(queries, first, keyLines, tile);
      const scores = products.map((line, r) =>
        line.map((product, j) => {
          const position = tile.add(tiles.column(j));
          const at = { mask: masks, causal, query: rows[r]!.min(L.sub(1)), key: position.min(S.sub(1)) };
          return position.lt(S).select(finishScore(k, product, at), least);
        }),
      );
      const best = scores.map((line) => line.reduce((x, y) => x.max(y)));
      const folded = tiles.fold(best, weights, (x, y) => x.max(y));
      scores.forEach((line, r) => {
        const top = tops[r]!.get().max(folded[r]!);
        const shrink = expNonPositive(tops[r]!.get().sub(top));
        const parts = line.map((score) => weightOf(score, top));
        parts.forEach((part, j) => weights.store(tiles.weightAt(tiles.rows[r]!, tiles.column(j)), part));
        totals[r]!.set(
          totals[r]!.get()
            .mul(shrink)
            .add(parts.reduce((x, y) => x.add(y))),
        );
        sums[r]!.forEach((sum) => sum.set(sum.get().mul(k.splat(shrink, 4))));
        tops[r]!.set(top);
      });
      tiles.mix(sums, weights, valueLines, tile);
    });

    const all = tiles.fold(
      totals.map((total) => total.get()),
      weights,
      (x, y) => x.add(y),
    );
    rows.forEach((row, r) => {
      k.if(row.lt(L), () => {
        const total = all[r]!;
        const nothing = total.eq(0);
        const factor = nothing.select(k.const(0, value), k.const(1, value).div(total));
        const line = param("out_offset").add(batch.mul(L).add(row).mul(outWidth));
        tiles.each(sums[r]!, outWidth, (e, sum) => result.store(line.add(e), roundTo(k, sum.mul(factor), spec.dtype)));
        k.if(tiles.lane.eq(0), () => {
          const value_ = nothing.select(k.const(-Infinity, value), tops[r]!.get().add(logOf(total)));
          lses.store(param("lse_offset").add(batch.mul(L).add(row)), roundTo(k, value_, lse.dtype));
        });
      });
    });
    return k.build();
  });
  const blocks = ceilDiv(q.shape[1]!, blockRows(plan));
  context.launch(program, {
    buffers: masked ? [q, keys, v, mask, out, lse] : [q, keys, v, out, lse],
    params: {
      ...sizeParams(q, keys, v, blocks),
      ...linesParams("q", q),
      ...linesParams("k", keys),
      ...linesParams("v", v),
      ...maskParams(mask),
      out_offset: out.offset,
      lse_offset: lse.offset,
      scale,
    },
    groups: q.shape[0]! * blocks,
    work: q.shape[0]! * q.shape[1]! * keys.shape[1]! * (q.shape[2]! + v.shape[2]!),
  });
}
