/** Modules as functions of their parameters. */

import { RuntimeError } from "../core/errors.ts";
import type { Tensor } from "../core/tensor.ts";
import type { Module } from "../nn/module.ts";
import * as ops from "../ops/index.ts";

export { functional_call, type State } from "../nn/functional_call.ts";

/** The parameters and the buffers of models of one kind, stacked, for vmap over an ensemble. */
export function stack_module_state(models: readonly Module[]): [params: Record<string, Tensor>, buffers: Record<string, Tensor>] {
  const [first] = models;
  if (first === undefined) throw new RuntimeError("stack_module_state: Expected at least one model, got 0.");
  if (models.some((m) => m.training !== first.training)) {
    throw new RuntimeError("stack_module_state: Expected all models to have the same training/eval mode.");
  }
  if (models.some((m) => m.constructor !== first.constructor)) {
    throw new RuntimeError("stack_module_state: Expected all models to be of the same class.");
  }
  const stack = (lists: Iterable<[string, Tensor]>[], leaf: boolean): Record<string, Tensor> => {
    const maps = lists.map((list) => new Map(list));
    return Object.fromEntries(
      [...maps[0]!.keys()].map((name) => {
        const all = ops.stack(maps.map((map) => map.get(name)!)).detach();
        return [name, leaf ? all.requires_grad_(maps[0]!.get(name)!.requires_grad) : all];
      }),
    );
  };
  return [
    stack(
      models.map((m) => m.named_parameters()),
      true,
    ),
    stack(
      models.map((m) => m.named_buffers()),
      false,
    ),
  ];
}
