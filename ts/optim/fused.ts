/**
 * Whole optimiser steps in few kernel launches, over all parameters that are at the same step: the `optimizer` kernel (SGD, Adam), and the
 * `update` kernel of what others are made of.
 */

import type { Buffer, Device } from "../core/device.ts";
import type { DType } from "../core/dtype.ts";
import type { Storage } from "../core/storage.ts";
import type { Tensor } from "../core/tensor.ts";
import { prepareWrite } from "../engine/inplace.ts";
import { contiguous, run } from "../engine/run.ts";
import { formulaOf, runUpdate } from "../engine/trace.ts";
import type { OptimizerParams, OptimizerSpec } from "../kernel/spec.ts";

/** A parameter and the state that its step changes, in the kernel's order. */
export interface Slot<Step = number> {
  readonly param: Tensor;
  /** Where it is not the parameter's own. */
  readonly grad?: Tensor;
  readonly state: readonly Tensor[];
  /** Counts from 1; what is equal shares launches. */
  readonly step: Step;
}

/** Whether a group's options leave it to the kernel. */
export function usesKernel({ fused, differentiable }: { fused?: boolean | null; differentiable?: boolean }): boolean {
  return fused !== false && differentiable !== true;
}

/** Whether the kernel can update these in place. */
export function fits({ param, grad = param._grad!, state }: Slot<unknown>): boolean {
  return (
    param.dtype.is_floating_point &&
    grad.dtype === param.dtype &&
    grad.device === param.device &&
    [param, ...state].every((t) => t.is_contiguous() && t.dtype === param.dtype)
  );
}

type Settings = Omit<OptimizerParams, "step">;

/** Steps `slots`, all of which fit. */
export function fusedStep(op: OptimizerSpec["op"], slots: readonly Slot[], settings: Settings): void {
  for (const { dtype, step, members } of launches<number, Slot>(slots)) {
    const { grads, outputs } = prepared(members);
    run({ kind: "optimizer", op, dtype }, grads, outputs, { ...settings, step });
  }
}

/**
 * Steps `slots`, all of which fit. `formula` says with pointwise ops what a parameter and its state become: from stand-ins for its gradient,
 * itself and its state, for a slot that stands for all at its step. `repeats`: it does not depend on the step.
 */
export function fusedUpdate<Step extends number | string, S extends Slot<Step>>(
  slots: readonly S[],
  repeats: boolean,
  formula: (slot: S, grad: Tensor, param: Tensor, state: readonly Tensor[]) => readonly Tensor[],
): void {
  for (const { device, dtype, members } of launches<Step, S>(slots)) {
    const [first] = members;
    const traced = formulaOf(device, dtype, 2 + first!.state.length, ([grad, param, ...state]) =>
      formula(first!, grad!, param!, state),
    );
    const { grads, outputs } = prepared(members);
    runUpdate(traced, repeats, grads, outputs);
  }
}

/** What a launch reads and writes, when nothing pending will notice. */
function prepared(members: readonly Slot<unknown>[]): { grads: Tensor[]; outputs: Tensor[] } {
  // Gradients first: one that is still pending may read the very memory that is written next.
  const grads = members.map(({ param, grad = param._grad! }) => {
    const g = contiguous(grad);
    g._storage.materialize();
    return g;
  });
  const outputs = members.flatMap(({ param, state }) => [param, ...state]);
  outputs.forEach(prepareWrite);
  packTogether(members);
  return { grads, outputs };
}

/** Where buffers went: one object for those of one parameter. */
const homes = new WeakMap<Buffer, object>();
/** How often a parameter's memory has been moved. */
const moves = new WeakMap<Storage, number>();
/** Whoever gives a parameter new state again and again goes without. */
const MOST_MOVES = 4;

/**
 * Moves parameters and their state, where they do not lie together yet, into shared memory (on devices that have it), so that few launches
 * reach them all. Tensors and their views do not notice: they reach memory through their storage. Nothing pending may read the memory.
 */
function packTogether(members: readonly Slot<unknown>[]): void {
  const { device } = members[0]!.param;
  if (device.pack === undefined) return;
  const groups: Storage[][] = [];
  const taken = new Set<Storage>();
  for (const { param, state } of members) {
    const storages = [param, ...state].map((t) => t._storage);
    const home = homes.get(storages[0]!.buffer!);
    const times = moves.get(storages[0]!) ?? 0;
    const together = home !== undefined && storages.every((s) => homes.get(s.buffer!) === home);
    const unique = new Set(storages);
    if (together || times >= MOST_MOVES || unique.size < storages.length || storages.some((s) => taken.has(s))) continue;
    moves.set(storages[0]!, times + 1);
    storages.forEach((s) => taken.add(s));
    groups.push(storages);
  }
  if (groups.length === 0) return;
  const packed = device.pack(groups.map((storages) => storages.map((s) => s.buffer!)));
  packed?.forEach((buffers, i) => {
    const home = {};
    buffers.forEach((buffer, j) => {
      const storage = groups[i]![j]!;
      device.free(storage.buffer!);
      storage.buffer = buffer;
      homes.set(buffer, home);
    });
  });
}

interface Launch<Step, S extends Slot<Step>> {
  readonly device: Device;
  readonly dtype: DType;
  readonly step: Step;
  readonly members: S[];
}

function launches<Step, S extends Slot<Step>>(slots: readonly S[]): Launch<Step, S>[] {
  const found: Launch<Step, S>[] = [];
  for (const slot of slots) {
    const { dtype, device } = slot.param;
    let launch = found.find((l) => l.dtype === dtype && l.device === device && l.step === slot.step);
    if (launch === undefined) found.push((launch = { device, dtype, step: slot.step, members: [] }));
    if (slot.param.numel() > 0) launch.members.push(slot);
  }
  return found.filter(({ members }) => members.length > 0);
}
