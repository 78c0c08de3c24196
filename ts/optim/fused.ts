/** Whole optimiser steps in one kernel launch: the `optimizer` kernel over all parameters that are at the same step. */

import type { Device } from "../core/device.ts";
import type { DType } from "../core/dtype.ts";
import type { Tensor } from "../core/tensor.ts";
import { prepareWrite } from "../engine/inplace.ts";
import { contiguous, run } from "../engine/run.ts";
import type { OptimizerParams, OptimizerSpec } from "../kernel/spec.ts";

/** A parameter and the state that its step changes, in the kernel's order. */
export interface Slot {
  readonly param: Tensor;
  readonly state: readonly Tensor[];
  /** Counts from 1. */
  readonly step: number;
}

/** Whether the kernel can update these in place. */
export function fits({ param, state }: Slot): boolean {
  const grad = param._grad;
  return (
    param.dtype.is_floating_point &&
    grad!.dtype === param.dtype &&
    grad!.device === param.device &&
    [param, ...state].every((t) => t.is_contiguous() && t.dtype === param.dtype)
  );
}

type Settings = Omit<OptimizerParams, "step">;

/** Steps `slots`, all of which fit. */
export function fusedStep(op: OptimizerSpec["op"], slots: readonly Slot[], settings: Settings): void {
  for (const { dtype, step, members } of launches(slots)) {
    // Gradients first: one that is still pending may read the very memory that is written next.
    const grads = members.map(({ param }) => {
      const g = contiguous(param._grad!);
      g._storage.materialize();
      return g;
    });
    const outputs = members.flatMap(({ param, state }) => [param, ...state]);
    outputs.forEach(prepareWrite);
    run({ kind: "optimizer", op, dtype }, grads, outputs, { ...settings, step });
  }
}

interface Launch {
  readonly device: Device;
  readonly dtype: DType;
  readonly step: number;
  readonly members: Slot[];
}

function launches(slots: readonly Slot[]): Launch[] {
  const found: Launch[] = [];
  for (const slot of slots) {
    const { dtype, device } = slot.param;
    let launch = found.find((l) => l.dtype === dtype && l.device === device && l.step === slot.step);
    if (launch === undefined) found.push((launch = { device, dtype, step: slot.step, members: [] }));
    if (slot.param.numel() > 0) launch.members.push(slot);
  }
  return found.filter(({ members }) => members.length > 0);
}
