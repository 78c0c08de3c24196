/** `map` on the cpu: a program of the block machine over ranges of elements. */

import type { View } from "../../../ts/core/device.ts";
import { numelOf } from "../../../ts/core/shape.ts";
import type { MapParams } from "../../../ts/kernel/spec.ts";
import { BLOCK, TILE_COLUMNS, TILE_ROWS } from "../../assembly/block_rows.ts";
import type { Lowering } from "../context.ts";
import { compile } from "./program.ts";
import { launchWords, writeIndices, writeScalars } from "./launch.ts";
import { isPlain, isSingle, Mode, Plans, planWalk, tiled, type Walk } from "./views.ts";

/** About how many elementary steps a task is worth; with less, handing it to a thread costs more than it saves. */
const TASK_COST = 1 << 17;

export const lowerMap: Lowering<"map"> = (spec, context) => {
  const program = compile(context, spec.inputs, spec.outputs, null);
  // A function of the expression only, so that results never depend on the machine.
  const chunk = Math.max(4, Math.ceil(TASK_COST / program.cost / BLOCK)) * BLOCK;

  const free = program.indices.length === 0;
  const plans = new Plans<Walk>();
  const plan = (views: readonly View[], inputs: readonly View[], first: View): Walk => {
    const walk = planWalk(views, first, free);
    return free && numelOf(first.shape) >= BLOCK ? tiled(walk, inputs) : walk;
  };

  /** Views that lie in iteration order, or are one value: nothing to plan. */
  const runPlain = (inputs: readonly View[], outputs: readonly View[], total: number, scalars: MapParams["scalars"]): void => {
    const p = context.params(launchWords(program, inputs.length + outputs.length, 0));
    p.i32(program.ptr).i32(total).i32(chunk).i32(0).i32(0).i32(0);
    writeScalars(p, program, scalars);
    for (let i = 0; i < inputs.length; i++) {
      const view = inputs[i]!;
      p.i32(context.address(view)).i32(total > 1 && isSingle(view) ? Mode.single : Mode.direct);
    }
    for (let i = 0; i < outputs.length; i++) p.i32(context.address(outputs[i]!)).i32(Mode.direct);
    writeIndices(p, program, outputs[0]!.shape);
    context.launch("map", p.ptr, Math.ceil(total / chunk));
  };

  return (inputs: readonly View[], outputs: readonly View[], { scalars }: MapParams): void => {
    const first = outputs[0]!;
    const total = numelOf(first.shape);
    if (total === 0) return;
    const copied = clashing(inputs, outputs);
    if (!copied && isPlain(inputs) && isPlain(outputs)) {
      runPlain(inputs, outputs, total, scalars);
      return;
    }
    const views = [...inputs, ...outputs];
    const walk = plans.find(views, 0) ?? plans.add(views, 0, plan(views, inputs, first));
    const rank = walk.sizes.length;
    const taskSize = walk.tiled ? chunk / BLOCK : chunk;
    const p = context.params(launchWords(program, views.length, rank));
    p.i32(program.ptr).i32(total).i32(taskSize).i32(rank).i32(0).i32(0);
    writeScalars(p, program, scalars);
    for (let i = 0; i < views.length; i++) {
      p.i32(context.address(views[i]!)).i32(modeOf(walk.modes[i]!, rank, i < inputs.length, copied));
      p.i32s(walk.strides[i]!);
    }
    p.i32s(walk.sizes);
    writeIndices(p, program, first.shape);
    if (walk.tiled) context.launch("map_tiles", p.ptr, Math.ceil(tileCount(walk.sizes) / taskSize));
    else context.launch("map", p.ptr, Math.ceil(total / taskSize));
  };
};

function tileCount(sizes: readonly number[]): number {
  const last = sizes.length - 1;
  return sizes.reduce(
    (n, size, d) => n * (d === last ? Math.ceil(size / TILE_COLUMNS) : d === last - 1 ? Math.ceil(size / TILE_ROWS) : size),
    1,
  );
}

function modeOf(mode: Mode, rank: number, isInput: boolean, copied: boolean): Mode {
  if (isInput) return copied && rank > 0 ? Mode.strided : mode;
  return mode === Mode.single ? Mode.direct : mode; // an output of one element
}

/**
 * Whether writing outputs may spoil an input that is read where it lies, within a block: then blocks of inputs are copied first.
 * One output of the same layout is harmless, as each element is read before it is written.
 */
function clashing(inputs: readonly View[], outputs: readonly View[]): boolean {
  for (const output of outputs) {
    for (const input of inputs) {
      if (output.buffer !== input.buffer) continue;
      if (outputs.length > 1 || output.offset !== input.offset || output.dtype !== input.dtype) return true;
    }
  }
  return false;
}
