/** `reduce` on the cpu: a program of the block machine, folded by wasm/assembly/reduce.ts (which describes the parameters). */

import type { View } from "../../../ts/core/device.ts";
import { bool, int64 } from "../../../ts/core/dtype.ts";
import { numelOf } from "../../../ts/core/shape.ts";
import { cast, type Expr } from "../../../ts/kernel/expr.ts";
import type { ReduceOp, ReduceParams } from "../../../ts/kernel/spec.ts";
import { BLOCK, Fold, Lane } from "../../assembly/block_rows.ts";
import type { Lowering } from "../context.ts";
import { launchWords, writeIndices, writeScalars } from "./launch.ts";
import { compile } from "./program.ts";
import { Mode, Plans, planWalk, type Walk } from "./views.ts";

/** About how many elementary steps a task is worth. */
const TASK_COST = 1 << 17;
/** Most tasks that long folds are cut into: each leaves a state per result behind. */
const MOST_TASKS = 64;

/** Where each result's elements lie. */
interface Plan {
  readonly walk: Walk;
  readonly kept: number;
  readonly reduced: number;
  /** Results that lie side by side; 0: results are rows. */
  readonly inner: number;
}

const ARG: ReadonlySet<ReduceOp> = new Set<ReduceOp>(["argmax", "argmin", "max_arg", "min_arg"]);

/** The expression in the type that it is folded in. */
function folded(op: ReduceOp, expr: Expr): Expr {
  if (op === "any" || op === "all") return cast(expr, bool);
  // Blocks are summed in the elements' type: integers need the room.
  const whole = expr.dtype.compute === "i32" && (op === "sum" || op === "prod");
  return whole ? cast(expr, int64) : expr;
}

export const lowerReduce: Lowering<"reduce"> = (spec, context) => {
  const { op } = spec;
  const expr = folded(op, spec.expr);
  const program = compile(context, spec.inputs, [], expr);
  const lane = Lane[expr.dtype.compute];
  const fold = Fold[op];
  const perTask = Math.max(16 * BLOCK, Math.ceil(TASK_COST / (program.cost + 1)));
  const indexed = program.indices.length > 0;
  const plans = new Plans<Plan>();

  return (inputs: readonly View[], outputs: readonly View[], params: ReduceParams): void => {
    const first = outputs[0]!;
    if (numelOf(first.shape) === 0) return;
    const plan =
      plans.find(inputs, params.reduced) ??
      plans.add(inputs, params.reduced, planFold(inputs, first, params.reduced, !ARG.has(op) && !indexed, indexed));
    const { walk, kept, reduced, inner } = plan;

    // The cut depends on shapes only.
    const strips = inner === 0 ? 0 : Math.ceil(inner / BLOCK);
    const units = inner === 0 ? kept : (kept / inner) * strips;
    const width = inner === 0 ? 1 : Math.min(inner, BLOCK);
    const work = Math.max(reduced * width, 1);
    let segments = Math.min(Math.floor(work / perTask), Math.floor(MOST_TASKS / units));
    let length = reduced;
    if (segments > 1) {
      const step = inner === 0 ? BLOCK : Math.max(1, Math.floor(BLOCK / width));
      length = Math.ceil(reduced / segments / step) * step;
      segments = Math.ceil(reduced / length);
    }
    segments = Math.max(segments, 1);
    const unitsPerTask = segments > 1 ? 1 : Math.max(1, Math.floor(perTask / work));

    const states = segments > 1 ? context.workspace(segments * kept * (fold <= Fold.all ? 8 : 16)) : 0;
    const second = outputs.length > 1 ? outputs[1]! : first;
    const fields = context.params(17);
    fields.i32(fold).i32(lane).i32(program.result).i32(kept).i32(reduced).i32(inner).i32(segments).i32(length);
    fields
      .i32(units)
      .i32(unitsPerTask)
      .i32(states)
      .i32(states + segments * kept * 8);
    fields.i32(context.address(first)).i32(first.dtype.code).i32(context.address(second)).i32(second.dtype.code);
    fields.i32(program.scratchEnd);

    const rank = walk.sizes.length;
    const p = context.params(launchWords(program, inputs.length, rank));
    p.i32(program.ptr)
      .i32(kept * reduced)
      .i32(0)
      .i32(rank)
      .i32(fields.ptr)
      .i32(0);
    writeScalars(p, program, params.scalars);
    for (let i = 0; i < inputs.length; i++) p.i32(context.address(inputs[i]!)).i32(walk.modes[i]!).i32s(walk.strides[i]!);
    p.i32s(walk.sizes);
    if (indexed) writeIndices(p, program, inputs.length > 0 ? inputs[0]!.shape : first.shape);

    context.launch(
      inner === 0 ? "reduce_rows" : "reduce_columns",
      p.ptr,
      segments > 1 ? units * segments : Math.ceil(units / unitsPerTask),
    );
    if (segments > 1) context.launch("reduce_finish", p.ptr, Math.ceil(kept / BLOCK));
  };
};

/**
 * Chooses between rows and columns by which dims lie closest together.
 * @param reorder Whether the reduced dims may be walked in any order.
 * @param rowMajor Whether elements must keep their row-major numbers.
 */
function planFold(inputs: readonly View[], output: View, reducedDims: number, reorder: boolean, rowMajor: boolean): Plan {
  const main = mainView(inputs);
  if (main === null) return { walk: emptyWalk(inputs), kept: numelOf(output.shape), reduced: 1, inner: 0 };
  const { shape, strides } = main;
  const split = shape.length - reducedDims;
  const kept = numelOf(shape.slice(0, split));
  const reduced = numelOf(shape.slice(split));
  if (kept * reduced === 0) return { walk: emptyWalk(inputs), kept, reduced, inner: 0 };
  const step = (d: number): number => Math.abs(strides[d]!);
  const matters = (d: number): boolean => shape[d] !== 1 && strides[d] !== 0;

  const all = shape.map((_, d) => d);
  const outer = all.slice(0, split);
  const folding = all.slice(split);
  if (reorder) folding.sort((a, b) => step(b) - step(a));
  const closest = Math.min(...folding.filter(matters).map(step));
  let inner: number[] = [];
  if (!rowMajor && kept > 1) {
    // Trailing kept dims that lie closer together than anything that is folded.
    while (outer.length > 0 && (!matters(outer.at(-1)!) || step(outer.at(-1)!) < closest)) inner.unshift(outer.pop()!);
    if (!inner.some(matters)) {
      outer.push(...inner);
      inner = [];
    }
  }
  const order = [...outer, ...folding, ...inner];
  const views = inputs.map((v) => ({ ...v, shape: order.map((d) => v.shape[d]!), strides: order.map((d) => v.strides[d]!) }));
  const walk = planWalk(views, views[0]!, false);
  return { walk, kept, reduced, inner: inner.reduce((n, d) => n * shape[d]!, inner.length > 0 ? 1 : 0) };
}

function emptyWalk(inputs: readonly View[]): Walk {
  return { tiled: false, sizes: [], modes: inputs.map(() => Mode.direct), strides: inputs.map(() => []) };
}

/** The input with most elements of its own: its layout decides. */
function mainView(inputs: readonly View[]): View | null {
  let best: View | null = null;
  let most = -1;
  for (const v of inputs) {
    let own: number = v.dtype.itemsize;
    for (let d = 0; d < v.shape.length; d++) if (v.strides[d] !== 0) own *= v.shape[d]!;
    if (own > most) {
      most = own;
      best = v;
    }
  }
  return best;
}
