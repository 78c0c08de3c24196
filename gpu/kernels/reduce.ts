/**
 * `reduce`: every result by `lanes` threads that take turns along the reduced dims and then meet in workgroup memory. Where the reduced dims
 * are closest together the lanes of a result are neighbours (rows), else the results are (columns). Few long results are cut into segments, which a
 * second launch folds. The order of folding depends on shapes only.
 */

import type { View } from "../../ts/core/device.ts";
import { RuntimeError } from "../../ts/core/errors.ts";
import { numelOf } from "../../ts/core/shape.ts";
import { specKey } from "../../ts/kernel/spec_key.ts";
import type { GpuCaps, GpuLowering, Temporary } from "../context.ts";
import { isNarrow, ceilDiv, collapse, type Walk, workgroupSize } from "../plan.ts";
import { inspect } from "../scalar/expr.ts";
import { indexParams } from "../scalar/indices.ts";
import { shapeParams, viewParams } from "./common.ts";
import { finishProgram, foldProgram, type FoldShape } from "./reduce_kernel.ts";
import { elemOf, foldedExpr, foldOf, isArg } from "./reduce_ops.ts";

/** Elements that a lane should have before another one shares its row. */
const PER_LANE = 16;
/** Longest run that a lane folds in one accumulator: longer ones lose precision. */
const LONG_RUN = 128;
/** Expressions longer than this are not unrolled. */
const MOST_UNROLLED = 64;

interface Plan {
  readonly walk: Walk;
  /** Trailing dims of the walk that are reduced. */
  readonly fixed: number;
  readonly rows: number;
  readonly size: number;
  readonly columns: boolean;
  /** Per input: read by vectors of 4 along the innermost reduced dim (rows only). */
  readonly vectors: readonly boolean[];
}

export const lowerReduce: GpuLowering<"reduce"> = (spec, context) => {
  const { op } = spec;
  const { caps } = context;
  const outputCount = op === "max_arg" || op === "min_arg" || op === "welford" ? 2 : 1;
  const expr = foldedExpr(op, spec.expr);
  const fold = foldOf(op, expr.dtype, spec.dtype, context);
  if (spec.inputs.length + Math.max(outputCount, fold.types.length) > caps.maxStorageBuffers) {
    throw new RuntimeError(
      `reduce: ${spec.inputs.length} inputs are more than a kernel on this device can bind with its results (${caps.maxStorageBuffers} buffers in all); compute the expression first`,
    );
  }
  const info = inspect(context, [expr]);
  const base = specKey(spec);

  return (inputs, outputs, { reduced, scalars }) => {
    const rows = numelOf(outputs[0]!.shape);
    if (rows === 0) return;
    const plan = planReduce(inputs, outputs[0]!, reduced, isArg(op), info.indices.length > 0, info.cost <= MOST_UNROLLED);
    const { walk, fixed } = plan;
    const kept = walk.shape.length - fixed;
    const vector = plan.vectors.some(Boolean);
    const steps = vector ? plan.size / 4 : plan.size;
    const grid = plan.columns ? columnGrid(caps, rows, steps) : rowGrid(caps, rows, steps);
    const { lanes, perGroup, segments, length } = grid;
    const perLane = ceilDiv(Math.min(length, steps), lanes);

    const shape: FoldShape = {
      workgroup: lanes * perGroup,
      lanes,
      columns: plan.columns,
      keptRank: kept,
      reducedRank: fixed,
      vectors: plan.vectors,
      split: segments > 1,
      longRuns: op === "sum" && perLane > LONG_RUN,
      subgroups: !plan.columns && lanes > 1 && lanes <= (caps.subgroups?.min ?? 1),
      unrolled: perLane >= 8 && info.cost <= MOST_UNROLLED / 2 ? 4 : 1,
    };
    const params: Record<string, number | bigint> = {
      ...info.params(scalars),
      ...indexParams(info, inputs[0]?.shape ?? []),
      ...shapeParams(
        "size",
        walk.shape.map((n, d) => (vector && d === walk.shape.length - 1 ? n / 4 : n)),
      ),
      rows,
      reduced: plan.size,
      steps,
      segments,
      length,
    };
    // The outputs are walked along the kept dims only.
    Object.assign(params, viewParams("out", outputs[0]!.offset, walk.strides[0]!.slice(0, kept)));
    if (outputCount > 1) params.out1_offset = outputs[1]!.offset;
    inputs.forEach((v, i) => {
      const unit = plan.vectors[i] === true ? 4 : 1;
      const strides = walk.strides[i + 1]!;
      Object.assign(
        params,
        viewParams(
          `in${i}`,
          v.offset / unit,
          strides.map((s, d) => (d === strides.length - 1 ? s : s / unit)),
        ),
      );
    });
    const { columns, vectors, split, longRuns, subgroups, unrolled } = shape;
    const key = `${base}|${lanes}x${perGroup},${kept},${fixed},${[columns, split, longRuns, subgroups, unrolled, ...vectors].map(Number).join("")}`;
    const program = context.program(key, () => foldProgram(spec, expr, fold, context, shape));
    const groups = plan.columns ? ceilDiv(rows, perGroup) * segments : ceilDiv(rows * segments, perGroup);
    const results = outputs.slice(0, outputCount);
    if (segments === 1) {
      context.launch(program, { buffers: [...results, ...inputs], params, groups });
      return;
    }
    const parts: Temporary[] = fold.types.map((type) => context.temporary(rows * segments, elemOf(type)));
    context.launch(program, { buffers: [...parts, ...inputs], params, groups });

    const last = rowGrid(caps, rows, segments);
    const finish = context.program(`${base}|finish${last.lanes}x${last.perGroup},${kept}`, () =>
      finishProgram(
        spec,
        fold,
        context,
        {
          ...shape,
          workgroup: last.lanes * last.perGroup,
          lanes: last.lanes,
          subgroups: last.lanes > 1 && last.lanes <= (caps.subgroups?.min ?? 1),
        },
        outputCount,
      ),
    );
    context.launch(finish, {
      buffers: [...results, ...parts],
      params: { ...params, steps: segments },
      groups: ceilDiv(rows, last.perGroup),
    });
  };
};

interface Grid {
  /** Threads per result. */
  readonly lanes: number;
  /** Results per workgroup. */
  readonly perGroup: number;
  /** Parts that results are cut into, and the steps of one. */
  readonly segments: number;
  readonly length: number;
}

/** Threads that keep a device busy. */
function enoughThreads(caps: GpuCaps): number {
  return isNarrow(caps) ? 1024 : 16384;
}

function rowGrid(caps: GpuCaps, rows: number, steps: number): Grid {
  const together = caps.subgroups?.min ?? 1; // lanes that need no barrier
  const most = together > 1 ? Math.min(together, 64) : 64;
  let lanes = 1;
  while (lanes * 2 <= most && lanes * PER_LANE < steps && (lanes < 4 || rows * lanes < enoughThreads(caps))) lanes *= 2;
  // (Neighbouring lanes read neighbouring elements.)
  const cuts = rows * lanes < enoughThreads(caps) ? cut(steps, lanes, rows, enoughThreads(caps)) : whole(steps);
  if (cuts.segments > 1) return { lanes, perGroup: Math.max(1, 64 / lanes), ...cuts };
  let threads = 64;
  const limit = lanes <= together ? workgroupSize(caps) : 64;
  while (threads < limit && threads < rows * lanes) threads *= 2;
  return { lanes, perGroup: threads / lanes, ...cuts };
}

function columnGrid(caps: GpuCaps, rows: number, steps: number): Grid {
  const threads = 64;
  const cuts = rows < enoughThreads(caps) ? cut(steps, 1, rows, enoughThreads(caps)) : whole(steps);
  return { lanes: 1, perGroup: threads, ...cuts };
}

const whole = (steps: number): Pick<Grid, "segments" | "length"> => ({ segments: 1, length: steps });

/** As many segments as make enough threads, none of them too short. */
function cut(steps: number, lanes: number, rows: number, threads: number): Pick<Grid, "segments" | "length"> {
  const wanted = Math.min(ceilDiv(threads, rows * lanes), Math.floor(steps / (lanes * PER_LANE)));
  if (wanted <= 1) return whole(steps);
  const length = ceilDiv(ceilDiv(steps, wanted), lanes) * lanes;
  return { segments: ceilDiv(steps, length), length };
}

/** The input with most elements of its own: its layout decides. */
function mainInput(inputs: readonly View[]): number {
  let best = 0;
  let most = -1;
  inputs.forEach((v, i) => {
    const own = v.shape.reduce((n, size, d) => (v.strides[d] === 0 ? n : n * size), 1);
    if (own > most) {
      most = own;
      best = i;
    }
  });
  return best;
}

function planReduce(
  inputs: readonly View[],
  output: View,
  reduced: number,
  ordered: boolean,
  indexed: boolean,
  unrolled: boolean,
): Plan {
  const rows = numelOf(output.shape);
  const extended = (v: View, n: number): View => ({
    ...v,
    shape: [...v.shape, ...Array.from({ length: n }, () => 1)],
    strides: [...v.strides, ...Array.from({ length: n }, () => 0)],
  });
  if (inputs.length === 0) {
    const walk = collapse([extended(output, 0)]);
    return { walk, fixed: 0, rows, size: 1, columns: true, vectors: [] };
  }
  const { shape } = inputs[0]!;
  const split = shape.length - reduced;
  const main = mainInput(inputs);
  // Outer dims first, by how far apart the main input's elements are; what is constant along a dim does not mind.
  const far = (d: number): number => (inputs[main]!.strides[d] === 0 ? Infinity : inputs[main]!.strides[d]!);
  const dims = shape.map((_, d) => d);
  const byStride = (ds: number[]): number[] => ds.sort((a, b) => (far(a) === far(b) ? a - b : far(b) - far(a)));
  const keptDims = indexed ? dims.slice(0, split) : byStride(dims.slice(0, split));
  const foldedDims = indexed || ordered ? dims.slice(split) : byStride(dims.slice(split));
  const order = [...keptDims, ...foldedDims];
  const target = { ...extended(output, reduced), shape };
  const views = [target, ...inputs].map((v) => ({
    ...v,
    shape: order.map((d) => shape[d]!),
    strides: order.map((d) => v.strides[d]!),
  }));
  const { fixed, ...walk } = collapse(views, reduced);
  const size = numelOf(shape.slice(split));
  const kept = walk.shape.length - fixed;
  const inner = walk.shape.length - 1;

  const strides = walk.strides[main + 1]!;
  const nearest = Math.min(...strides.slice(kept).map((s) => (s === 0 ? Infinity : s)));
  const across = kept > 0 ? strides[kept - 1]! : 0;
  const columns = kept > 0 && (fixed === 0 || (across !== 0 && across < nearest && walk.shape[kept - 1]! >= 4));

  const step = (i: number): number => walk.strides[i + 1]![inner]!;
  const dense = inputs.map((_, i) => step(i) === 1);
  const vectors =
    !columns &&
    unrolled &&
    fixed > 0 &&
    size > 0 &&
    walk.shape[inner]! % 4 === 0 &&
    inputs.every(
      (v, i) =>
        step(i) === 0 || (dense[i]! && v.offset % 4 === 0 && walk.strides[i + 1]!.every((s, d) => d === inner || s % 4 === 0)),
    );
  return { walk, fixed, rows, size, columns, vectors: inputs.map((_, i) => vectors && dense[i]!) };
}
