/** attention forward on matrix units, as in FlashAttention 2 (Dao, 2023): a warp has its queries' fragments, scores and sums in registers. */

import type { AttentionParams, AttentionSpec } from "../../ts/kernel/spec.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { GpuContext } from "../context.ts";
import { ceilDiv } from "../plan.ts";
import { roundTo } from "../scalar/convert.ts";
import {
  accumulate,
  addMask,
  asFragments,
  eachSum,
  LineTile,
  type MatrixPlan,
  newSums,
  ownFragments,
  ownRows,
  Places,
  rowBytes,
  stepsAlong,
  storeRows,
  THREADS,
} from "./attention_matrix_tiles.ts";
import type { ForwardViews } from "./attention_products.ts";
import { Lines, linesParams, Mask, maskParams } from "./attention_tiles.ts";
import { FORMATS, MMA_ROWS } from "./matrix_tiles.ts";
import { LOG2E, logOf } from "./row_math.ts";

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

export function matrixForward(
  context: GpuContext,
  spec: AttentionSpec,
  plan: MatrixPlan,
  { q, k: keys, v, mask, out, lse }: ForwardViews,
  { scale, causal }: AttentionParams,
): void {
  const { format, blocks, columns } = plan;
  const [batch, queries, width] = q.shape as [number, number, number];
  const outWidth = v.shape[2]!;
  const bytes = [q, keys, v].map((view) => rowBytes(context.caps, format, view));
  const pairs = outWidth % 2 === 0 && out.offset % 2 === 0;
  const { elem } = context.layout(spec.dtype);
  const lseElem = context.layout(lse.dtype).elem;
  const masked = mask !== undefined;
  const key = `attention_matrix/${spec.dtype}/${lse.dtype}/${blocks}/${columns}/${width}/${outWidth}/${bytes.join()}/${pairs}/${masked}/${causal}`;
  const program = context.program(key, () => {
    const k = new KernelBuilder("attention_matrix", THREADS);
    const [qb, kb, vb] = ["q", "k", "v"].map((name) => k.input(name, FORMATS[format].elem)) as [BufferVar, BufferVar, BufferVar];
    const maskBuffer = masked ? k.input("mask", elem) : null;
    const [result, lses] = [k.output("out", elem, pairs ? 2 : 1), k.output("lse", lseElem)];
    const param = (name: string): V => k.param(name, "u32");
    const [L, S, parts] = [param("queries"), param("keys"), param("blocks")];
    const entry = k.group.div(parts);
    // Of causal attention the last blocks take longest: they begin.
    const part = k.group.sub(entry.mul(parts));
    const first = (causal ? parts.sub(1).sub(part) : part).mul(ownRows(plan));
    const lines = (name: string, buffer: BufferVar, count: V, w: number): Lines =>
      new Lines(k, buffer, name, entry, { count, width: k.u32(w) });
    const tile = (name: string, buffer: BufferVar, i: number, rows: number, stages: number): LineTile => {
      const [count, w] = [i === 0 ? L : S, i === 2 ? outWidth : width];
      return new LineTile(k, format, `${name}_tile`, {
        lines: lines(name, buffer, count, w),
        bytes: bytes[i]!,
        width: w,
        rows,
        stages,
      });
    };
    const queryTile = tile("q", qb, 0, ownRows(plan), 1);
    const keyTile = tile("k", kb, 1, columns, 2);
    const valueTile = tile("v", vb, 2, columns, 2);
    const masks = maskBuffer === null ? null : new Mask(k, maskBuffer, entry);
    const places = new Places(k);
    const warpRow = k.thread.div(32).mul(blocks * MMA_ROWS);
    const firstQuery = first.add(warpRow);

    const fetch = (from: V, stage: V): (() => void)[] => [keyTile, valueTile].map((t) => t.fetch(from, stage.mul(t.size)));
    const settled = [queryTile.fetch(first, 0), ...fetch(k.u32(0), k.u32(0))];
    settled.forEach((settle) => settle());
    k.commitCopies();
    k.waitCopies(0);
    k.barrier();
    const queryAt = ownFragments(plan, [queryTile], warpRow)[0]!;
    const keyAt = keyTile.tile.reader("b", "steps", k.u32(0));
    const valueAt = valueTile.tile.reader("b", "lines", k.u32(0), true);

    const factor = masked ? k.f32(1) : k.param("scale", "f32").mul(LOG2E);
    const none = k.f32(-Infinity);
    const halves = range(2 * blocks);
    const tops = halves.map(() => k.var(none));
    const totals = halves.map(() => k.var(k.f32(0)));
    const sums = newSums(k, plan, outWidth);
    const stage = k.var(k.u32(0));

    const work = (from: V, now: V): void => {
      const scores = newSums(k, plan, columns);
      accumulate(k, plan, scores, {
        a: queryAt,
        b: (pair, step) => keyAt(now.mul(keyTile.size), pair, step),
        steps: queryTile.steps,
      });
      const at = (block: number, t: number, i: number): { query: V; key: V } => ({
        query: firstQuery.add(places.rowOf(block, i)).min(L.sub(1)),
        key: from.add(places.columnOf(t, i)).min(S.sub(1)),
      });
      if (masks !== null) addMask(k, scores, masks, at);
      // Whether some query of the warp does not see all of the tile.
      const seen = causal ? S.min(firstQuery.add(1)) : S;
      k.if(from.add(columns).gt(seen), () => {
        eachSum(k, scores, (value, block, t, i) => {
          const limit = causal ? S.min(firstQuery.add(places.rowOf(block, i)).add(1)) : S;
          return from.add(places.columnOf(t, i)).lt(limit).select(value, none);
        });
      });
      const weights = halves.map((half) => {
        const [block, i] = [half >> 1, (half & 1) * 2];
        const values = scores[block]!.map((sum) => k.lanes(sum.get()).slice(i, i + 2));
        const best = values.flat().reduce((x, y) => x.max(y));
        const [top, total] = [tops[half]!, totals[half]!];
        const before = top.get();
        const now_ = before.max(places.fold(best, (x, y) => x.max(y)));
        // Where nothing has been seen yet every weight is to be 0, not NaN.
        const shift = now_.eq(none).select(k.f32(0), now_.mul(factor));
        const shrink = k.op("exp2_fast", before.mul(factor).sub(shift));
        const parts_ = values.map((line) => line.map((value) => k.op("exp2_fast", value.fma(factor, shift.neg()))));
        const added = parts_.flat().reduce((x, y) => x.add(y));
        total.set(total.get().fma(shrink, added));
        top.set(now_);
        return { shrink, parts: parts_ };
      });
      eachSum(k, sums, (value, block, _, i) => value.mul(weights[2 * block + (i >> 1)]!.shrink));
      const factors = range(blocks).map((block) =>
        range(columns / 8).map((t) => [...weights[2 * block]!.parts[t]!, ...weights[2 * block + 1]!.parts[t]!]),
      );
      accumulate(k, plan, sums, {
        a: asFragments(k, format, factors),
        b: (pair, step) => valueAt(now.mul(valueTile.size), pair, step),
        steps: stepsAlong(plan),
      });
    };

    const end = causal ? S.min(first.add(ownRows(plan))) : S;
    k.for(0, end, columns, (from) => {
      const now = stage.get();
      const next = k.u32(1).sub(now);
      const following = from.add(columns);
      const settle: (() => void)[] = [];
      for (const t of [keyTile, valueTile]) {
        const start = (): unknown => settle.push(t.fetch(following, next.mul(t.size)));
        if (t.asynchronous) k.if(following.lt(end), start);
        else start();
      }
      k.commitCopies();
      if (causal) k.if(from.lt(firstQuery.add(blocks * MMA_ROWS)), () => work(from, now));
      else work(from, now);
      settle.forEach((finish) => finish());
      k.waitCopies(0);
      k.barrier();
      stage.set(next);
    });

    const factors = halves.map((half) => {
      const total = places.fold(totals[half]!.get(), (x, y) => x.add(y));
      const nothing = total.eq(0);
      const row = firstQuery.add(places.rowOf(half >> 1, 2 * (half & 1)));
      k.if(row.lt(L).and(places.lane.rem(4).eq(0)), () => {
        const top = tops[half]!.get().mul(masked ? k.f32(1 / LOG2E) : k.param("scale", "f32"));
        const value = nothing.select(none, top.add(logOf(total)));
        lses.store(param("lse_offset").add(entry.mul(L).add(row)), roundTo(k, value, lse.dtype));
      });
      return nothing.select(k.f32(0), k.f32(1).div(total));
    });
    storeRows(k, places, sums, {
      target: result,
      firstRow: firstQuery,
      rows: L,
      start: (row) => param("out_offset").add(entry.mul(L).add(row).mul(outWidth)),
      width: outWidth,
      factor: (block, half) => factors[2 * block + half]!,
    });
    return k.build();
  });
  const parts = ceilDiv(queries, ownRows(plan));
  context.launch(program, {
    buffers: masked ? [q, keys, v, mask, out, lse] : [q, keys, v, out, lse],
    params: {
      queries,
      keys: keys.shape[1]!,
      blocks: parts,
      ...linesParams("q", q),
      ...linesParams("k", keys),
      ...linesParams("v", v),
      ...maskParams(mask),
      out_offset: out.offset,
      lse_offset: lse.offset,
      scale,
    },
    groups: batch * parts,
  });
}
