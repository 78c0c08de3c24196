/**
 * attention backward on matrix units: the weights are computed again; one kernel owns blocks of queries (gq), another blocks of keys (gk and
 * gv), so that every sum has one owner and one order.
 */

import type { View } from "../../ts/core/device.ts";
import type { AttentionParams, AttentionSpec } from "../../ts/kernel/spec.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { Bindable, GpuContext } from "../context.ts";
import { ceilDiv } from "../plan.ts";
import { type BackwardViews, rowStatistics } from "./attention_backward.ts";
import {
  accumulate,
  addMask,
  asFragments,
  eachSum,
  type Fragments,
  LineTile,
  type MatrixPlan,
  newSums,
  ownFragments,
  ownRows,
  Places,
  rowBytes,
  stepsAlong,
  storeRows,
  type Sums,
  THREADS,
} from "./attention_matrix_tiles.ts";
import { Lines, linesParams, Mask, maskParams } from "./attention_tiles.ts";
import { FORMATS, MMA_COLUMNS, MMA_ROWS } from "./matrix_tiles.ts";
import { LOG2E } from "./row_math.ts";

const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

type Name = "gout" | "q" | "k" | "v";
const NAMES: readonly Name[] = ["gout", "q", "k", "v"];

/** What a program is built for. */
interface Structure {
  readonly plan: MatrixPlan;
  readonly widths: { readonly q: number; readonly v: number };
  readonly bytes: { readonly [N in Name]: 0 | 4 | 8 | 16 };
  readonly masked: boolean;
  readonly causal: boolean;
  readonly asyncCopy: boolean;
}

/** What both kernels have: operands, where a warp is, and the walk over the tiles of the others' rows. */
class Kernel {
  readonly k: KernelBuilder;
  readonly L: V;
  readonly S: V;
  readonly entry: V;
  /** The first row of the workgroup, of the warp within it, and of the warp. */
  readonly first: V;
  readonly warpRow: V;
  readonly firstOfWarp: V;
  readonly places: Places;
  readonly statistics: BufferVar;
  readonly masks: Mask | null;
  readonly #buffers: { readonly [N in Name]: BufferVar };

  constructor(
    name: string,
    context: GpuContext,
    spec: AttentionSpec,
    readonly structure: Structure,
    /** Whether the last blocks begin: they take longest where queries own the rows. */
    backwards: boolean,
  ) {
    const { plan, masked } = structure;
    const k = new KernelBuilder(name, THREADS);
    this.k = k;
    const input = (of: Name): BufferVar => k.input(of, FORMATS[plan.format].elem);
    this.#buffers = { gout: input("gout"), q: input("q"), k: input("k"), v: input("v") };
    this.statistics = k.input("statistics", "f32");
    const mask = masked ? k.input("mask", context.layout(spec.dtype).elem) : null;
    const parts = this.param("blocks");
    [this.L, this.S] = [this.param("queries"), this.param("keys")];
    this.entry = k.group.div(parts);
    const part = k.group.sub(this.entry.mul(parts));
    this.first = (backwards ? parts.sub(1).sub(part) : part).mul(ownRows(plan));
    this.warpRow = k.thread.div(32).mul(plan.blocks * MMA_ROWS);
    this.firstOfWarp = this.first.add(this.warpRow);
    this.places = new Places(k);
    this.masks = mask === null ? null : new Mask(k, mask, this.entry);
  }
  param(name: string): V {
    return this.k.param(name, "u32");
  }
  get factor(): V {
    const { k } = this;
    return this.structure.masked ? k.f32(1) : k.param("scale", "f32").mul(LOG2E);
  }

  tile(name: Name, rows: number, stages: number): LineTile {
    const { plan, widths, bytes } = this.structure;
    const width = name === "q" || name === "k" ? widths.q : widths.v;
    const count = name === "k" || name === "v" ? this.S : this.L;
    const lines = new Lines(this.k, this.#buffers[name], name, this.entry, { count, width: this.k.u32(width) });
    return new LineTile(this.k, plan.format, `${name}_tile`, { lines, bytes: bytes[name], width, rows, stages });
  }

  /** `work(first column, stage)` for all tiles of columns; `fetch` starts to bring one, and may return what ends that. */
  walk(
    { from, to }: { from: V; to: V },
    own: readonly LineTile[],
    others: readonly Fetching[],
    prepare: () => (first: V, stage: V) => void,
  ): void {
    const { k } = this;
    const { columns } = this.structure.plan;
    const ends = [...own.map((tile) => tile.fetch(this.first, 0)), ...others.map((tile) => tile.fetch(from, k.u32(0)))];
    ends.forEach((end) => end());
    const meet = (): void => {
      k.commitCopies();
      k.waitCopies(0);
      k.barrier();
    };
    meet();
    const work = prepare();
    const stage = k.var(k.u32(0));
    k.for(from, to, columns, (first) => {
      const now = stage.get();
      const next = k.u32(1).sub(now);
      const following = first.add(columns);
      const settle: (() => void)[] = [];
      for (const tile of others) {
        const start = (): unknown => settle.push(tile.fetch(following, next));
        if (tile.asynchronous) k.if(following.lt(to), start);
        else start();
      }
      work(first, now);
      settle.forEach((end) => end());
      meet();
      stage.set(next);
    });
  }
}

interface Fetching {
  readonly asynchronous: boolean;
  fetch(first: V, stage: V): () => void;
}
const staged = (tile: LineTile): Fetching => ({
  asynchronous: tile.asynchronous,
  fetch: (first, stage) => tile.fetch(first, stage.mul(tile.size)),
});

type Values = readonly (readonly (readonly V[])[])[];
const valuesOf = (k: KernelBuilder, sums: Sums): Values => sums.map((row) => row.map((sum) => k.lanes(sum.get())));
const mapValues = (values: Values, change: (x: V, block: number, tile: number, i: number) => V): Values =>
  values.map((row, block) => row.map((four, tile) => four.map((x, i) => change(x, block, tile, i))));

/** e^(score - lse) of all pairs, 0 where there is none or it does not count. */
function weightsOf(
  kernel: Kernel,
  scores: Sums,
  at: (block: number, tile: number, i: number) => { query: V; key: V },
  whole: V,
  shift: (block: number, tile: number, i: number) => V,
): Values {
  const { k, L, S, masks } = kernel;
  const { causal } = kernel.structure;
  const within = (block: number, tile: number, i: number): { query: V; key: V } => {
    const { query, key } = at(block, tile, i);
    return { query: query.min(L.sub(1)), key: key.min(S.sub(1)) };
  };
  if (masks !== null) addMask(k, scores, masks, within);
  k.if(whole.not(), () => {
    eachSum(k, scores, (value, block, tile, i) => {
      const { query, key } = at(block, tile, i);
      const exists = query.lt(L).and(key.lt(S));
      return (causal ? exists.and(key.le(query)) : exists).select(value, k.f32(-Infinity));
    });
  });
  return mapValues(valuesOf(k, scores), (score, block, tile, i) =>
    k.op("exp2_fast", score.fma(kernel.factor, shift(block, tile, i).neg())),
  );
}

function queriesProgram(kernel: Kernel, target: BufferVar): void {
  const { k, L, S, first, firstOfWarp, warpRow, places, entry } = kernel;
  const { plan, widths, causal } = kernel.structure;
  const { blocks, columns, format } = plan;
  const [queryTile, goutTile] = [kernel.tile("q", ownRows(plan), 1), kernel.tile("gout", ownRows(plan), 1)];
  const [keyTile, valueTile] = [kernel.tile("k", columns, 2), kernel.tile("v", columns, 2)];
  const sums = newSums(k, plan, widths.q);
  const to = causal ? S.min(first.add(ownRows(plan))) : S;
  kernel.walk({ from: k.u32(0), to }, [queryTile, goutTile], [keyTile, valueTile].map(staged), () => {
    const [queryAt, goutAt] = ownFragments(plan, [queryTile, goutTile], warpRow) as [Fragments, Fragments];
    const zero = k.u32(0);
    const keySteps = keyTile.tile.reader("b", "steps", zero);
    const keyLines = keyTile.tile.reader("b", "lines", zero, true);
    const valueSteps = valueTile.tile.reader("b", "steps", zero);
    // Beyond the last query every weight is 0.
    const rows = range(2 * blocks).map((half) => {
      const row = firstOfWarp.add(places.rowOf(half >> 1, 2 * (half & 1)));
      const at = entry.mul(L).add(row.min(L.sub(1)));
      const shift = row.lt(L).select(kernel.statistics.load(at), k.f32(Infinity));
      return { shift, delta: kernel.statistics.load(kernel.param("count").add(at)) };
    });
    const rowAt = (block: number, i: number) => rows[2 * block + (i >> 1)]!;
    return (from, stage) => {
      const scores = newSums(k, plan, columns);
      accumulate(k, plan, scores, {
        a: queryAt,
        b: (pair, step) => keySteps(stage.mul(keyTile.size), pair, step),
        steps: queryTile.steps,
      });
      const at = (block: number, tile: number, i: number): { query: V; key: V } => ({
        query: firstOfWarp.add(places.rowOf(block, i)),
        key: from.add(places.columnOf(tile, i)),
      });
      const whole = from.add(columns).le(causal ? S.min(firstOfWarp.add(1)) : S);
      const weights = weightsOf(kernel, scores, at, whole, (block, _, i) => rowAt(block, i).shift);
      const slopes = newSums(k, plan, columns);
      accumulate(k, plan, slopes, {
        a: goutAt,
        b: (pair, step) => valueSteps(stage.mul(valueTile.size), pair, step),
        steps: goutTile.steps,
      });
      const factors = mapValues(valuesOf(k, slopes), (slope, block, tile, i) =>
        weights[block]![tile]![i]!.mul(slope.sub(rowAt(block, i).delta)),
      );
      accumulate(k, plan, sums, {
        a: asFragments(k, format, factors),
        b: (pair, step) => keyLines(stage.mul(keyTile.size), pair, step),
        steps: stepsAlong(plan),
      });
    };
  });
  storeRows(k, places, sums, {
    target,
    firstRow: firstOfWarp,
    rows: L,
    start: (row) => kernel.param("gq_offset").add(entry.mul(L).add(row).mul(widths.q)),
    width: widths.q,
    factor: () => k.param("scale", "f32"),
  });
}

/** lse and delta of a tile of queries in workgroup memory, two queries a vector. */
class Statistics implements Fetching {
  readonly #kernel: Kernel;
  readonly #columns: number;
  readonly #shared;
  constructor(kernel: Kernel) {
    this.#kernel = kernel;
    this.#columns = kernel.structure.plan.columns;
    this.#shared = kernel.k.shared("statistics_tile", "f32", 2 * this.#columns, 2);
  }
  get asynchronous(): boolean {
    return this.#kernel.structure.asyncCopy;
  }
  fetch(first: V, stage: V): () => void {
    const { k, L, entry, statistics } = this.#kernel;
    const columns = this.#columns;
    const base = stage.mul(columns);
    const place = (which: V, query: V): V => which.mul(this.#kernel.param("count")).add(entry.mul(L)).add(query);
    if (this.asynchronous) {
      k.if(k.thread.lt(2 * columns), () => {
        const [which, query] = [k.thread.div(columns), first.add(k.thread.rem(columns))];
        const there = query.lt(L).select(k.u32(1), k.u32(0));
        this.#shared.copyFrom(statistics, base.mul(2).add(k.thread), place(which, query), 4, there);
      });
      return () => undefined;
    }
    const [which, query] = [k.thread.div(columns / 2).min(1), first.add(k.thread.rem(columns / 2).mul(2))];
    const values = [0, 1].map((i) => statistics.load(place(which, query.add(i).min(L.sub(1)))));
    return () => k.if(k.thread.lt(columns), () => this.#shared.store(base.add(k.thread), k.vector(values)));
  }
  /** Per tile of eight columns the thread's two. */
  read(stage: V, which: 0 | 1): V[][] {
    const { k, places } = this.#kernel;
    const columns = this.#columns;
    return range(columns / MMA_COLUMNS).map((tile) => {
      const at = stage.mul(columns).add((which * columns) / 2 + tile * 4);
      return k.lanes(this.#shared.load(at.add(places.lane.rem(4))));
    });
  }
}

function keysProgram(kernel: Kernel, targetK: BufferVar, targetV: BufferVar): void {
  const { k, L, S, first, firstOfWarp, warpRow, places, entry } = kernel;
  const { plan, widths, causal } = kernel.structure;
  const { blocks, columns, format } = plan;
  const [keyTile, valueTile] = [kernel.tile("k", ownRows(plan), 1), kernel.tile("v", ownRows(plan), 1)];
  const [queryTile, goutTile] = [kernel.tile("q", columns, 2), kernel.tile("gout", columns, 2)];
  const statistics = new Statistics(kernel);
  const [sumsK, sumsV] = [newSums(k, plan, widths.q), newSums(k, plan, widths.v)];
  // Queries before the block's first key do not see it.
  const from_ = causal ? first.div(columns).mul(columns) : k.u32(0);
  const others = [staged(queryTile), staged(goutTile), statistics];
  kernel.walk({ from: from_, to: L }, [keyTile, valueTile], others, () => {
    const [keyAt, valueAt] = ownFragments(plan, [keyTile, valueTile], warpRow) as [Fragments, Fragments];
    const zero = k.u32(0);
    const [querySteps, goutSteps] = [queryTile, goutTile].map((t) => t.tile.reader("b", "steps", zero));
    const [queryLines, goutLines] = [queryTile, goutTile].map((t) => t.tile.reader("b", "lines", zero, true));
    const work = (from: V, stage: V): void => {
      const query = stage.mul(queryTile.size);
      const gout = stage.mul(goutTile.size);
      const scores = newSums(k, plan, columns);
      accumulate(k, plan, scores, { a: keyAt, b: (pair, step) => querySteps!(query, pair, step), steps: keyTile.steps });
      const at = (block: number, tile: number, i: number): { query: V; key: V } => ({
        query: from.add(places.columnOf(tile, i)),
        key: firstOfWarp.add(places.rowOf(block, i)),
      });
      const inside = from.add(columns).le(L).and(firstOfWarp.add(blocks * MMA_ROWS).le(S)); // prettier-ignore
      const whole = causal ? inside.and(from.add(1).ge(firstOfWarp.add(blocks * MMA_ROWS))) : inside;
      const shifts = statistics.read(stage, 0);
      const weights = weightsOf(kernel, scores, at, whole, (_, tile, i) => shifts[tile]![i & 1]!);
      const steps = stepsAlong(plan);
      accumulate(k, plan, sumsV, { a: asFragments(k, format, weights), b: (pair, step) => goutLines!(gout, pair, step), steps });
      const slopes = newSums(k, plan, columns);
      accumulate(k, plan, slopes, { a: valueAt, b: (pair, step) => goutSteps!(gout, pair, step), steps: valueTile.steps });
      const deltas = statistics.read(stage, 1);
      const factors = mapValues(valuesOf(k, slopes), (slope, block, tile, i) =>
        weights[block]![tile]![i]!.mul(slope.sub(deltas[tile]![i & 1]!)),
      );
      accumulate(k, plan, sumsK, {
        a: asFragments(k, format, factors),
        b: (pair, step) => queryLines!(query, pair, step),
        steps,
      });
    };
    if (!causal) return work;
    return (from, stage) => k.if(from.add(columns).gt(firstOfWarp), () => work(from, stage));
  });
  const store = (sums: Sums, target: BufferVar, offset: string, width: number, factor: V | null): void =>
    storeRows(k, places, sums, {
      target,
      firstRow: firstOfWarp,
      rows: S,
      start: (row) => kernel.param(offset).add(entry.mul(S).add(row).mul(width)),
      width,
      factor: () => factor,
    });
  store(sumsV, targetV, "gv_offset", widths.v, null);
  store(sumsK, targetK, "gk_offset", widths.q, k.param("scale", "f32"));
}

export function matrixBackward(
  context: GpuContext,
  spec: AttentionSpec,
  plan: MatrixPlan,
  views: BackwardViews,
  { scale, causal }: AttentionParams,
): void {
  const { q, k: keys, v, mask, lse, gq, gk, gv } = views;
  const [batch, queries, width] = q.shape as [number, number, number];
  const [count, outWidth] = [keys.shape[1]!, v.shape[2]!];
  const { caps } = context;
  const statistics = rowStatistics(context, spec, views, true);
  const [gb, qb, kb, vb] = NAMES.map((name) => rowBytes(caps, plan.format, views[name])) as [0 | 4, 0 | 4, 0 | 4, 0 | 4];
  const bytes = { gout: gb, q: qb, k: kb, v: vb };
  const structure: Structure = {
    plan,
    widths: { q: width, v: outWidth },
    bytes,
    masked: mask !== undefined,
    causal,
    asyncCopy: caps.asyncCopy,
  };
  const key = `${spec.dtype}/${plan.blocks}/${plan.columns}/${width}/${outWidth}/${Object.values(bytes).join()}/${mask !== undefined}/${causal}`;
  const { elem } = context.layout(spec.dtype);
  const pairs = (view: View): 1 | 2 => (view.shape[2]! % 2 === 0 && view.offset % 2 === 0 ? 2 : 1);
  const inputs: Bindable[] = [...NAMES.map((name) => views[name]), statistics];
  if (mask !== undefined) inputs.push(mask);
  const launch = (rows: number): { params: Record<string, number>; groups: number } => {
    const blocks = ceilDiv(rows, ownRows(plan));
    const params = {
      queries,
      keys: count,
      blocks,
      count: lse.shape[0]! * queries,
      ...linesParams("gout", views.gout),
      ...linesParams("q", q),
      ...linesParams("k", keys),
      ...linesParams("v", v),
      ...maskParams(mask),
      gq_offset: gq.offset,
      gk_offset: gk.offset,
      gv_offset: gv.offset,
      scale,
    };
    return { params, groups: batch * blocks };
  };
  const ofQueries = context.program(`attention_matrix_queries/${key}/${pairs(gq)}`, () => {
    // With a mask there are too few registers for long tiles.
    const own: Structure = mask === undefined ? structure : { ...structure, plan: { ...plan, columns: 32 } };
    const kernel = new Kernel("attention_matrix_queries", context, spec, own, causal);
    queriesProgram(kernel, kernel.k.output("gq", elem, pairs(gq)));
    return kernel.k.build();
  });
  context.launch(ofQueries, { buffers: [...inputs, gq], ...launch(queries) });
  const ofKeys = context.program(`attention_matrix_keys/${key}/${pairs(gk)}${pairs(gv)}`, () => {
    const kernel = new Kernel("attention_matrix_keys", context, spec, structure, false);
    keysProgram(kernel, kernel.k.output("gk", elem, pairs(gk)), kernel.k.output("gv", elem, pairs(gv)));
    return kernel.k.build();
  });
  context.launch(ofKeys, { buffers: [...inputs, gk, gv], ...launch(count) });
}
