/**
 * attention backward, as in FlashAttention 2: the weights are computed again from lse; one kernel owns blocks of queries (gq), another blocks
 * of keys (gk and gv), so that every sum has one owner and one order.
 */

import type { View } from "../../ts/core/device.ts";
import type { AttentionParams, AttentionSpec } from "../../ts/kernel/spec.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { Bindable, GpuContext, Temporary } from "../context.ts";
import type { Elem } from "../ir.ts";
import { ceilDiv, isNarrow } from "../plan.ts";
import { roundTo } from "../scalar/convert.ts";
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
  type TilePlan,
  THREADS,
  Tiles,
  weightOf,
} from "./attention_tiles.ts";
import { greatest } from "./common.ts";
import { LOG2E } from "./row_math.ts";

export interface BackwardViews {
  readonly gout: View;
  readonly q: View;
  readonly k: View;
  readonly v: View;
  readonly out: View;
  readonly lse: View;
  readonly mask: View | undefined;
  readonly gq: View;
  readonly gk: View;
  readonly gv: View;
}

/**
 * Per query lse and delta = sum(gout * out): [2, B * L], as registers are.
 * @param base2 Whether lse is to be the logarithm for base 2, and Infinity where no key counts.
 */
export function rowStatistics(
  context: GpuContext,
  spec: AttentionSpec,
  { gout, out, lse, v }: BackwardViews,
  base2 = false,
): Temporary {
  const [batch, queries] = lse.shape as [number, number];
  const { elem, value } = context.layout(spec.dtype);
  const lanes = isNarrow(context.caps) ? 1 : 8;
  const threads = isNarrow(context.caps) ? 32 : 64;
  const statistics = context.temporary(2 * batch * queries, value as Elem);
  const program = context.program(`attention_statistics/${spec.dtype}/${lse.dtype}/${lanes}/${base2}`, () => {
    const k = new KernelBuilder("attention_statistics", threads);
    const [g, o] = [k.input("gout", elem), k.input("out", elem)];
    const lses = k.input("lse", context.layout(lse.dtype).elem);
    const result = k.output("statistics", value as Elem);
    const [count, L, width] = ["count", "queries", "out_width"].map((name) => k.param(name, "u32")) as [V, V, V];
    const lane = k.thread.rem(lanes);
    const wanted = k.group.mul(threads / lanes).add(k.thread.div(lanes));
    const line = wanted.min(count.sub(1));
    const batch_ = line.div(L);
    const row = line.sub(batch_.mul(L));
    const [gs, os] = [
      new Lines(k, g, "gout", batch_, { count: L, width }).at(row),
      new Lines(k, o, "out", batch_, { count: L, width }).at(row),
    ];
    const sum = k.var(k.const(0, value));
    k.for(lane, width, lanes, (e) => sum.set(sum.get().add(g.load(gs.add(e)).mul(o.load(os.add(e))))));
    const store = (total: V): void => {
      const sumExp = lses.load(k.param("lse_offset", "u32").add(line));
      result.store(line, base2 ? sumExp.eq(-Infinity).select(k.const(Infinity, value), sumExp.mul(LOG2E)) : sumExp);
      result.store(count.add(line), total);
    };
    if (lanes === 1) k.if(wanted.lt(count), () => store(sum.get()));
    else {
      const shared = k.shared("sums", value, threads);
      shared.store(k.thread, sum.get());
      k.barrier();
      k.if(lane.eq(0).and(wanted.lt(count)), () => {
        const parts = Array.from({ length: lanes }, (_, i) => shared.load(k.thread.add(i)));
        store(parts.reduce((x, y) => x.add(y)));
      });
    }
    return k.build();
  });
  context.launch(program, {
    buffers: [gout, out, lse, statistics],
    params: {
      count: batch * queries,
      queries,
      out_width: v.shape[2]!,
      lse_offset: lse.offset,
      ...linesParams("gout", gout),
      ...linesParams("out", out),
    },
    groups: ceilDiv(batch * queries, threads / lanes),
  });
  return statistics;
}

/** Everything that both kernels read. */
class Operands {
  readonly L: V;
  readonly S: V;
  readonly width: V;
  readonly outWidth: V;
  readonly batch: V;
  /** The block's first row. */
  readonly first: V;
  readonly gout: Lines;
  readonly q: Lines;
  readonly keys: Lines;
  readonly v: Lines;
  readonly #mask: Mask | null;
  readonly #statistics: BufferVar;

  constructor(
    readonly k: KernelBuilder,
    context: GpuContext,
    spec: AttentionSpec,
    readonly plan: TilePlan,
    readonly causal: boolean,
    lanes: readonly (1 | 4)[],
  ) {
    const { elem, value } = context.layout(spec.dtype);
    const buffers = ["gout", "q", "k", "v"].map((name, i) => k.input(name, elem, lanes[i]!));
    this.#statistics = k.input("statistics", value as Elem);
    const mask = spec.mask ? k.input("mask", elem) : null;
    const param = (name: string): V => k.param(name, "u32");
    [this.L, this.S, this.width, this.outWidth] = [param("queries"), param("keys"), param("width"), param("out_width")];
    const blocks = param("blocks");
    this.batch = k.group.div(blocks);
    this.first = k.group.sub(this.batch.mul(blocks)).mul(blockRows(plan));
    const line = (i: number, name: string, count: V, width: V): Lines =>
      new Lines(k, buffers[i]!, name, this.batch, { count, width });
    this.gout = line(0, "gout", this.L, this.outWidth);
    this.q = line(1, "q", this.L, this.width);
    this.keys = line(2, "k", this.S, this.width);
    this.v = line(3, "v", this.S, this.outWidth);
    this.#mask = mask === null ? null : new Mask(k, mask, this.batch);
  }
  /** The weight of a pair, 0 where it does not exist, and the slope that its score has from the slope of the weight. */
  pair(query: V, key: V, product: V, slope: V): { weight: V; slope: V } {
    const { k, L, S } = this;
    const [row, column] = [query.min(L.sub(1)), key.min(S.sub(1))];
    const at = this.batch.mul(L).add(row);
    const lse = this.#statistics.load(at);
    const delta = this.#statistics.load(k.param("count", "u32").add(at));
    const none = k.const(-greatest(product.scalar), product.scalar);
    const score = finishScore(k, product, { mask: this.#mask, causal: this.causal, query: row, key: column });
    const zero = k.const(0, product.scalar);
    const exists = query
      .lt(L)
      .and(key.lt(S))
      .and(score.le(none).or(lse.lt(none)).not());
    const weight = exists.select(weightOf(score, lse), zero);
    return { weight, slope: exists.select(weight.mul(slope.sub(delta)), zero) };
  }
}

export function runBackward(
  context: GpuContext,
  spec: AttentionSpec,
  views: BackwardViews,
  { scale, causal }: AttentionParams,
): void {
  const { gout, q, k: keys, v, mask, lse, gq, gk, gv } = views;
  const [batch, queries, width] = q.shape as [number, number, number];
  const [count, outWidth] = [keys.shape[1]!, v.shape[2]!];
  if (queries === 0 || count === 0) {
    // Nobody attends to anything.
    for (const view of [gq, gk, gv])
      context.zero(
        view,
        view.offset,
        view.shape.reduce((x, y) => x * y, 1),
      );
    return;
  }
  const statistics = rowStatistics(context, spec, views);
  const plan: TilePlan = { ...planTiles(context.caps, 0), rowsPerThread: 1 };
  const lanes = [gout, q, keys, v].map((view): 1 | 4 => (readsQuads(view) ? 4 : 1));
  const key = `${spec.dtype}/${lse.dtype}/${planKey(plan)}/${chunksOf(width)}/${chunksOf(outWidth)}/${lanes.join("")}/${spec.mask}/${causal}`;
  const { elem, value } = context.layout(spec.dtype);
  const size = (rows: number): { blocks: number; groups: number } => {
    const blocks = ceilDiv(rows, blockRows(plan));
    return { blocks, groups: batch * blocks };
  };
  const params = (rows: number): Record<string, number> => ({
    queries,
    keys: count,
    width,
    out_width: outWidth,
    blocks: size(rows).blocks,
    count: batch * queries,
    ...linesParams("gout", gout),
    ...linesParams("q", q),
    ...linesParams("k", keys),
    ...linesParams("v", v),
    ...maskParams(mask),
    scale,
  });
  const inputs: Bindable[] = [gout, q, keys, v, statistics];
  if (mask !== undefined) inputs.push(mask);

  const storeRows = (k: KernelBuilder, tiles: Tiles, target: BufferVar, name: string) => {
    return (operands: Operands, sums: ReturnType<Tiles["sums"]>, rows: V, elements: V, factor: V | null): void => {
      tiles.rows.forEach((line, r) => {
        const row = operands.first.add(line);
        k.if(row.lt(rows), () => {
          const at = k.param(`${name}_offset`, "u32").add(operands.batch.mul(rows).add(row).mul(elements));
          tiles.each(sums[r]!, elements, (e, sum) => {
            target.store(at.add(e), roundTo(k, factor === null ? sum : sum.mul(factor), spec.dtype));
          });
        });
      });
    };
  };

  const ofQueries = context.program(`attention_backward_queries/${key}`, () => {
    const k = new KernelBuilder("attention_backward_queries", THREADS);
    const o = new Operands(k, context, spec, plan, causal, lanes);
    const result = k.output("gq", elem);
    const tiles = new Tiles(k, value, plan);
    const slopes = tiles.weights("slopes");
    const sums = tiles.sums(chunksOf(width));
    const end = causal ? o.first.add(blockRows(plan)).min(o.S) : o.S;
    k.for(0, end, COLUMNS, (tile) => {
      const products = tiles.scores(o.q, o.first, o.keys, tile);
      const weightSlopes = tiles.scores(o.gout, o.first, o.v, tile);
      products.forEach((line, r) => {
        line.forEach((product, j) => {
          const query = o.first.add(tiles.rows[r]!);
          const { slope } = o.pair(query, tile.add(tiles.column(j)), product, weightSlopes[r]![j]!);
          slopes.store(tiles.weightAt(tiles.rows[r]!, tiles.column(j)), slope);
        });
      });
      tiles.mix(sums, slopes, o.keys, tile);
    });
    storeRows(k, tiles, result, "gq")(o, sums, o.L, o.width, k.param("scale", value));
    return k.build();
  });
  context.launch(ofQueries, {
    buffers: [...inputs, gq],
    params: { ...params(queries), gq_offset: gq.offset },
    groups: size(queries).groups,
    work: batch * queries * count * (2 * width + outWidth),
  });

  const ofKeys = context.program(`attention_backward_keys/${key}`, () => {
    const k = new KernelBuilder("attention_backward_keys", THREADS);
    const o = new Operands(k, context, spec, plan, causal, lanes);
    const [resultK, resultV] = [k.output("gk", elem), k.output("gv", elem)];
    const tiles = new Tiles(k, value, plan);
    const [weights, slopes] = [tiles.weights("weights"), tiles.weights("slopes")];
    const sumsK = tiles.sums(chunksOf(width));
    const sumsV = tiles.sums(chunksOf(outWidth));
    // Queries before the block's first key do not see it.
    const start = causal ? o.first.div(COLUMNS).mul(COLUMNS) : k.u32(0);
    k.for(start, o.L, COLUMNS, (tile) => {
      const products = tiles.scores(o.keys, o.first, o.q, tile);
      const weightSlopes = tiles.scores(o.v, o.first, o.gout, tile);
      products.forEach((line, r) => {
        line.forEach((product, j) => {
          const position = o.first.add(tiles.rows[r]!);
          const pair = o.pair(tile.add(tiles.column(j)), position, product, weightSlopes[r]![j]!);
          const at = tiles.weightAt(tiles.rows[r]!, tiles.column(j));
          weights.store(at, pair.weight);
          slopes.store(at, pair.slope);
        });
      });
      tiles.mix(sumsV, weights, o.gout, tile);
      tiles.mix(sumsK, slopes, o.q, tile);
    });
    storeRows(k, tiles, resultV, "gv")(o, sumsV, o.S, o.outWidth, null);
    storeRows(k, tiles, resultK, "gk")(o, sumsK, o.S, o.width, k.param("scale", value));
    return k.build();
  });
  context.launch(ofKeys, {
    buffers: [...inputs, gk, gv],
    params: { ...params(count), gk_offset: gk.offset, gv_offset: gv.offset },
    groups: size(count).groups,
    work: batch * queries * count * (2 * width + 2 * outWidth),
  });
}
