/**
 * attention by products, for machines whose threads gain nothing from workgroup memory: the scores of some batch entries at a time lie in
 * memory, and every product has the register tiles of matmul. The triangle that causal attention never looks at is not computed.
 */

import type { View } from "../../ts/core/device.ts";
import type { AttentionParams, AttentionSpec } from "../../ts/kernel/spec.ts";
import { type BufferVar, KernelBuilder, type V } from "../builder.ts";
import type { Bindable, GpuCaps, GpuContext, Temporary } from "../context.ts";
import type { Elem } from "../ir.ts";
import { ceilDiv } from "../plan.ts";
import { type GemmShape, planGemm } from "../plan_matmul.ts";
import { roundTo } from "../scalar/convert.ts";
import { type BackwardViews, rowStatistics } from "./attention_backward.ts";
import { finishScore, Mask, maskParams, weightOf } from "./attention_tiles.ts";
import { greatest } from "./common.ts";
import { type Finish, linearSide, type Side } from "./gemm.ts";
import { type FinishBatch, PlanCache, runGemm } from "./gemm_run.ts";
import { logOf } from "./row_math.ts";

export interface ForwardViews {
  readonly q: View;
  readonly k: View;
  readonly v: View;
  readonly mask: View | undefined;
  readonly out: View;
  readonly lse: View;
}

/** Scores that are in memory at a time. */
const MOST_SCORES = 2 ** 22;
const plans = new PlanCache();

export function productsFit(caps: GpuCaps, q: View, k: View): boolean {
  const scores = q.shape[1]! * k.shape[1]!;
  return q.shape[1]! > 0 && k.shape[1]! > 0 && scores <= Math.min(2 ** 24, caps.maxBufferSize / 8);
}

/** Batch entries [first, first + count) of a view. */
function part(view: View, first: number, count: number): View {
  const step = view.shape[0] === 1 ? 0 : view.strides[0]!;
  return {
    ...view,
    shape: [count, ...view.shape.slice(1)],
    strides: [step, ...view.strides.slice(1)],
    offset: view.offset + first * step,
  };
}

/** One operand of a product: memory and how its lines and steps lie there. */
interface Factor {
  readonly memory: Bindable;
  readonly offset: number;
  readonly batch: number;
  readonly line: number;
  readonly step: number;
}
/** The rows of a view as lines, or its columns. */
function rowsOf(view: View): Factor {
  const [batch, line, step] = view.strides as [number, number, number];
  return { memory: view, offset: view.offset, batch, line, step };
}
const columnsOf = (view: View): Factor => turned(rowsOf(view));
const turned = (factor: Factor): Factor => ({ ...factor, line: factor.step, step: factor.line });
function scoresOf(memory: Temporary, rows: number, columns: number): Factor {
  return { memory, offset: 0, batch: rows * columns, line: columns, step: 1 };
}

interface Product {
  readonly name: string;
  readonly shape: GemmShape;
  readonly a: Factor;
  readonly b: Factor;
  readonly finishKey: string;
  finish(k: KernelBuilder): FinishBatch;
  readonly targets: readonly Bindable[];
  readonly params: Readonly<Record<string, number>>;
  /** Which pairs of row and column, or of row and step, causal attention leaves out. */
  readonly triangle: "columns" | "steps up" | "steps down" | "none";
}

function multiply(context: GpuContext, spec: AttentionSpec, product: Product): void {
  const { shape, a, b, triangle } = product;
  const sideParams: Record<string, number> = {};
  for (const [name, factor] of [
    ["a", a],
    ["b", b],
  ] as const) {
    for (const of of ["offset", "batch", "line", "step"] as const) sideParams[`${name}_${of}`] = factor[of];
  }
  const side = (k: KernelBuilder, name: string, buffer: BufferVar, batch: V): Side => {
    const param = (of: string): V => k.param(`${name}_${of}`, "u32");
    const base = param("offset").add(batch.mul(param("batch")));
    return linearSide(k, base, param("line"), param("step"), (at) => buffer.load(at));
  };
  const { elem, value } = context.layout(spec.dtype);
  const elemOf = (memory: Bindable): Elem => ("temporary" in memory ? (value as Elem) : elem);
  runGemm(context, {
    name: `attention_${product.name}`,
    sidesKey: triangle,
    finishKey: product.finishKey,
    dtype: spec.dtype,
    shape,
    plan: plans.find(shape, "", () => planGemm(context.caps, shape, false, false)),
    operands: [a.memory, b.memory],
    elems: [elemOf(a.memory), elemOf(b.memory)],
    lanes: [1, 1],
    sides: (k, [first, second], batch) => ({
      a: side(k, "a", first, batch),
      b: side(k, "b", second, batch),
    }),
    ...(triangle === "none"
      ? {}
      : {
          reach: (rows, columns, from, to) => {
            if (triangle === "columns") return { from, to: columns.first.le(rows.last).select(to, from) };
            if (triangle === "steps up") return { from, to: to.min(rows.last.add(1)) };
            return { from: from.max(rows.first), to };
          },
        }),
    finish: (k) => product.finish(k),
    targets: product.targets,
    params: { ...sideParams, ...product.params },
  });
}

/** Stores results in the rows of a contiguous view, times a factor per row where there is one. */
function storeRows(k: KernelBuilder, context: GpuContext, spec: AttentionSpec, factors: BufferVar | null): FinishBatch {
  const target = k.output("result", context.layout(spec.dtype).elem);
  const param = (name: string): V => k.param(name, "u32");
  return (batch) => ({
    row(row) {
      const line = batch.mul(param("m")).add(row);
      const at = param("result_offset").add(line.mul(param("n")));
      return factors === null ? [at] : [at, line];
    },
    column: (column) => [column],
    store([row, line], [column], sum) {
      target.store(row!.add(column!), roundTo(k, factors === null ? sum : sum.mul(factors.load(line!)), spec.dtype));
    },
  });
}

/** Rows and columns of the scores: [their place, the query] and [the key]. */
function scorePlaces(k: KernelBuilder, batch: V): Pick<Finish, "row" | "column"> {
  const [m, n] = [k.param("m", "u32"), k.param("n", "u32")];
  return {
    row(query) {
      const line = batch.mul(m).add(query);
      return [line.mul(n), query, line];
    },
    column: (key) => [key],
  };
}

interface Chunk {
  readonly first: number;
  readonly count: number;
}
function chunksOf(batch: number, scores: number): Chunk[] {
  const size = Math.max(1, Math.min(batch, Math.floor(MOST_SCORES / scores)));
  return Array.from({ length: ceilDiv(batch, size) }, (_, i) => ({ first: i * size, count: Math.min(size, batch - i * size) }));
}

export function productsForward(context: GpuContext, spec: AttentionSpec, views: ForwardViews, params: AttentionParams): void {
  const { q, k, v } = views;
  const [L, S] = [q.shape[1]!, k.shape[1]!];
  const { value } = context.layout(spec.dtype);
  const chunks = chunksOf(q.shape[0]!, L * S);
  const scores = context.temporary(chunks[0]!.count * L * S, value as Elem);
  const inverse = context.temporary(chunks[0]!.count * L, value as Elem);
  for (const { first, count } of chunks) {
    const at = (view: View): View => part(view, first, count);
    const mask = views.mask && at(views.mask);
    multiply(context, spec, {
      name: "scores",
      shape: { batch: count, m: L, n: S, k: q.shape[2]! },
      a: rowsOf(at(q)),
      b: rowsOf(at(k)),
      finishKey: `${spec.mask}/${params.causal}`,
      finish: (builder) => storeScores(builder, context, spec, params.causal),
      targets: mask === undefined ? [scores] : [mask, scores],
      params: { ...maskParams(mask), scale: params.scale },
      triangle: params.causal ? "columns" : "none",
    });
    softmaxRows(context, spec, { scores, inverse, lse: at(views.lse), keys: S, causal: params.causal });
    const out = at(views.out);
    multiply(context, spec, {
      name: "mix",
      shape: { batch: count, m: L, n: v.shape[2]!, k: S },
      a: scoresOf(scores, L, S),
      b: columnsOf(at(v)),
      finishKey: "",
      finish: (builder) => storeRows(builder, context, spec, builder.input("inverse", value as Elem)),
      targets: [inverse, out],
      params: { result_offset: out.offset },
      triangle: params.causal ? "steps up" : "none",
    });
  }
}

function storeScores(k: KernelBuilder, context: GpuContext, spec: AttentionSpec, causal: boolean): FinishBatch {
  const { elem, value } = context.layout(spec.dtype);
  const buffer = spec.mask ? k.input("mask", elem) : null;
  const scores = k.output("scores", value as Elem);
  return (batch) => {
    const mask = buffer === null ? null : new Mask(k, buffer, batch);
    return {
      ...scorePlaces(k, batch),
      store([at, query], [key], sum) {
        scores.store(at!.add(key!), finishScore(k, sum, { mask, causal, query: query!, key: key! }));
      },
    };
  };
}

interface SoftmaxRows {
  readonly scores: Temporary;
  readonly inverse: Temporary;
  readonly lse: View;
  readonly keys: number;
  readonly causal: boolean;
}

/** Scores become weights that still want their row's factor `inverse`; a thread per row. */
function softmaxRows(context: GpuContext, spec: AttentionSpec, { scores, inverse, lse, keys, causal }: SoftmaxRows): void {
  const threads = 32;
  const { value } = context.layout(spec.dtype);
  const program = context.program(`attention_softmax/${spec.dtype}/${lse.dtype}/${causal}`, () => {
    const k = new KernelBuilder("attention_softmax", threads);
    const x = k.output("scores", value as Elem);
    const [inverses, lses] = [k.output("inverse", value as Elem), k.output("lse", context.layout(lse.dtype).elem)];
    const [rows, L, S] = ["rows", "queries", "keys"].map((name) => k.param(name, "u32")) as [V, V, V];
    k.gridStride(rows, (row) => {
      const start = row.mul(S);
      const visible = causal ? row.rem(L).add(1).min(S) : S;
      const top = k.var(k.const(-greatest(value), value));
      k.for(0, visible, 1, (j) => top.set(top.get().max(x.load(start.add(j)))));
      const shift = top.get();
      const total = k.var(k.const(0, value));
      k.for(0, visible, 1, (j) => {
        const weight = weightOf(x.load(start.add(j)), shift);
        x.store(start.add(j), weight);
        total.set(total.get().add(weight));
      });
      if (causal) k.for(visible, S, 1, (j) => x.store(start.add(j), 0));
      const sum = total.get();
      const nothing = sum.eq(0);
      inverses.store(row, nothing.select(k.const(0, value), k.const(1, value).div(sum)));
      const result = nothing.select(k.const(-Infinity, value), shift.add(logOf(sum)));
      lses.store(k.param("lse_offset", "u32").add(row), roundTo(k, result, lse.dtype));
    });
    return k.build();
  });
  const [count, queries] = lse.shape as [number, number];
  context.launch(program, {
    buffers: [scores, inverse, lse],
    params: { rows: count * queries, queries, keys, lse_offset: lse.offset },
    groups: ceilDiv(count * queries, threads),
  });
}

export function productsBackward(context: GpuContext, spec: AttentionSpec, views: BackwardViews, params: AttentionParams): void {
  const { q, k, v, gout } = views;
  const [batch, L, E] = q.shape as [number, number, number];
  const [S, width] = [k.shape[1]!, v.shape[2]!];
  const { causal, scale } = params;
  const { value } = context.layout(spec.dtype);
  const statistics = rowStatistics(context, spec, views);
  const chunks = chunksOf(batch, L * S);
  const size = chunks[0]!.count * L * S;
  const weights = context.temporary(size, value as Elem);
  const slopes = context.temporary(size, value as Elem);
  for (const { first, count } of chunks) {
    const at = (view: View): View => part(view, first, count);
    const mask = views.mask && at(views.mask);
    const rows = { first_row: first * L, rows: batch * L };
    const [w, s] = [scoresOf(weights, L, S), scoresOf(slopes, L, S)];
    multiply(context, spec, {
      name: "weights",
      shape: { batch: count, m: L, n: S, k: E },
      a: rowsOf(at(q)),
      b: rowsOf(at(k)),
      finishKey: `${spec.mask}/${causal}`,
      finish: (builder) => storeWeights(builder, context, spec, causal),
      targets: mask === undefined ? [statistics, weights] : [statistics, mask, weights],
      params: { ...maskParams(mask), ...rows, scale },
      triangle: causal ? "columns" : "none",
    });
    multiply(context, spec, {
      name: "slopes",
      shape: { batch: count, m: L, n: S, k: width },
      a: rowsOf(at(gout)),
      b: rowsOf(at(v)),
      finishKey: "",
      finish: (builder) => storeSlopes(builder, context, spec),
      targets: [statistics, weights, slopes],
      params: { ...rows, scale },
      triangle: causal ? "columns" : "none",
    });
    const store = (name: string, target: View, shape: GemmShape, a: Factor, b: Factor, triangle: Product["triangle"]): void =>
      multiply(context, spec, {
        name,
        shape,
        a,
        b,
        finishKey: "",
        finish: (builder) => storeRows(builder, context, spec, null),
        targets: [target],
        params: { result_offset: target.offset },
        triangle: causal ? triangle : "none",
      });
    store("gv", at(views.gv), { batch: count, m: S, n: width, k: L }, turned(w), columnsOf(at(gout)), "steps down");
    store("gq", at(views.gq), { batch: count, m: L, n: E, k: S }, s, columnsOf(at(k)), "steps up");
    store("gk", at(views.gk), { batch: count, m: S, n: E, k: L }, turned(s), columnsOf(at(q)), "steps down");
  }
}

function storeWeights(k: KernelBuilder, context: GpuContext, spec: AttentionSpec, causal: boolean): FinishBatch {
  const { elem, value } = context.layout(spec.dtype);
  const statistics = k.input("statistics", value as Elem);
  const buffer = spec.mask ? k.input("mask", elem) : null;
  const weights = k.output("weights", value as Elem);
  const none = k.const(-greatest(value), value);
  return (batch) => {
    const mask = buffer === null ? null : new Mask(k, buffer, batch);
    return {
      ...scorePlaces(k, batch),
      store([at, query, line], [key], sum) {
        const lse = statistics.load(k.param("first_row", "u32").add(line!));
        const score = finishScore(k, sum, { mask, causal, query: query!, key: key! });
        weights.store(at!.add(key!), lse.lt(none).select(k.const(0, value), weightOf(score, lse)));
      },
    };
  };
}

/** The slopes of the scores from those of the weights: weight * (slope - delta), times the scale of the products behind them. */
function storeSlopes(k: KernelBuilder, context: GpuContext, spec: AttentionSpec): FinishBatch {
  const { value } = context.layout(spec.dtype);
  const [statistics, weights] = [k.input("statistics", value as Elem), k.input("weights", value as Elem)];
  const slopes = k.output("slopes", value as Elem);
  const deltas = k.param("rows", "u32").add(k.param("first_row", "u32"));
  return (batch) => ({
    ...scorePlaces(k, batch),
    store([at, , line], [key], sum) {
      const delta = statistics.load(deltas.add(line!));
      const weight = weights.load(at!.add(key!));
      const slope = weight.mul(sum.sub(delta)).mul(k.param("scale", value));
      slopes.store(at!.add(key!), weight.eq(0).select(k.const(0, value), slope));
    },
  });
}
