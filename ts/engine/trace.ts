/** Formulas of pointwise ops as expressions, found by running them once on stand-ins; and such formulas as steps in place of many tensors. */

import type { Buffer, Device } from "../core/device.ts";
import type { DType } from "../core/dtype.ts";
import { Storage, storageObserver } from "../core/storage.ts";
import { Tensor } from "../core/tensor.ts";
import { cast, load, type Expr } from "../kernel/expr.ts";
import { cachedKernel, collectAll, expressions, MapNode, whileTracing } from "./fusion.ts";
import { observing } from "./observe.ts";

export interface Formula {
  readonly dtype: DType;
  /** Equal for equal expressions. */
  readonly key: string;
  /** The numbers that were met, as run-time scalars. */
  readonly scalars: readonly (number | bigint)[];
  /** Load i is stand-in number i. */
  readonly outputs: () => Expr[];
}

/** What stand-ins look like; nothing is computed of them. */
const SHAPE = [2];
const STRIDES = [1];

/** What `compute`, of pointwise ops only, makes of as many tensors of `dtype`. */
export function formulaOf(
  device: Device,
  dtype: DType,
  inputs: number,
  compute: (standIns: readonly Tensor[]) => readonly Tensor[],
): Formula {
  // Stand-ins are nobody's memory: no scope frees them, no observer learns of them.
  const { created } = storageObserver;
  const { by } = observing;
  storageObserver.created = null;
  observing.by = null;
  try {
    return whileTracing(() => {
      const standIns = Array.from({ length: inputs }, () => {
        const buffer: Buffer = { device, nbytes: 2 * dtype.itemsize, readers: 0 };
        return new Tensor(dtype, SHAPE, STRIDES, 0, new Storage(device, dtype, 2, buffer));
      });
      return described(dtype, standIns, compute(standIns));
    });
  } finally {
    storageObserver.created = created;
    observing.by = by;
  }
}

function described(dtype: DType, standIns: readonly Tensor[], results: readonly Tensor[]): Formula {
  const roots = results.map((t) => t._storage.pending).filter((p) => p instanceof MapNode);
  const dag = collectAll(
    [...new Set(roots)],
    standIns.map((t) => t._toView()),
  );
  const places = results.map((t) => {
    const { pending } = t._storage;
    return pending instanceof MapNode ? pending.slot : -1 - standIns.indexOf(t);
  });
  return {
    dtype,
    key: `${standIns.length}|${dtype.code}|${dag.key}>${places.join()}`,
    scalars: dag.scalars,
    outputs: () => {
      const exprs = expressions(dag);
      return places.map((at) => (at < 0 ? load(-1 - at, dtype) : cast(exprs[at]!, dtype)));
    },
  };
}

/**
 * A formula whose first stand-in is a gradient, and which gives new values for the others, as a step in place: for every gradient, `outputs` has a
 * group of as many tensors. `repeats`: see UpdateSpec.
 */
export function runUpdate(formula: Formula, repeats: boolean, grads: readonly Tensor[], outputs: readonly Tensor[]): void {
  const { device } = outputs[0]!;
  const { dtype, key, scalars } = formula;
  const kernel = cachedKernel(device, `update|${repeats}|${key}`, () =>
    device.prepare({ kind: "update", dtype, scalars: scalars.length, outputs: formula.outputs(), repeats }),
  );
  device.run(
    kernel,
    grads.map((t) => t._toView()),
    outputs.map((t) => t._toView()),
    { scalars },
  );
}
