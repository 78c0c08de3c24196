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

/** The layers whose running statistics cannot be told apart within vmap: what has the fields of a batch or instance norm. */
interface Tracking {
  running_mean: Tensor | null;
  running_var: Tensor | null;
  num_batches_tracked: Tensor | null;
  track_running_stats: boolean;
}

/**
 * Has all BatchNorm modules in root use the statistics of their batch only, in place, so that they can train within vmap. Returns root.
 */
export function replace_all_batch_norm_modules_<M extends Module>(root: M): M {
  for (const [, module] of root.named_modules()) {
    if (!module.constructor.name.startsWith("BatchNorm")) continue;
    const layer = module as unknown as Tracking;
    layer.running_mean = null;
    layer.running_var = null;
    layer.num_batches_tracked = null;
    layer.track_running_stats = false;
  }
  return root;
}
