/** Loading a state_dict into a module's parameters and buffers. */

import { RuntimeError } from "../core/errors.ts";
import { no_grad } from "../core/grad_mode.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { describe } from "../engine/signature.ts";
import { setData } from "./parameter.ts";

export type StateDict = Record<string, Tensor>;

export interface IncompatibleKeys {
  readonly missing_keys: string[];
  readonly unexpected_keys: string[];
}

interface Entry {
  readonly key: string;
  readonly tensor: Tensor;
  /** Old checkpoints may lack it. */
  readonly optional: boolean;
}

export function loadState(
  module: string,
  entries: readonly Entry[],
  given: StateDict | ReadonlyMap<string, Tensor>,
  options: { strict?: boolean; assign?: boolean },
): IncompatibleKeys {
  if (typeof given !== "object" || given === null) {
    throw new TypeError(`Expected state_dict to be dict-like, got ${describe(given)}.`);
  }
  const state: ReadonlyMap<string, Tensor> = given instanceof Map ? given : new Map(Object.entries(given));
  const missing: string[] = [];
  const problems: string[] = [];
  const copies: [Tensor, Tensor][] = [];
  for (const { key, tensor, optional } of entries) {
    const value = state.get(key);
    if (value === undefined) {
      if (!optional) missing.push(key);
    } else if (!(value instanceof Tensor)) {
      problems.push(
        `While copying the parameter named "${key}", expected torch.Tensor from checkpoint but received ${describe(value)}.`,
      );
    } else if (!sameShape(value.shape, tensor.shape)) {
      problems.push(
        `size mismatch for ${key}: copying a param with shape ${formatShape(value.shape)} from checkpoint, the shape in current model is ${formatShape(tensor.shape)}.`,
      );
    } else copies.push([tensor, value]);
  }
  const known = new Set(entries.map((e) => e.key));
  const unexpected = [...state.keys()].filter((key) => !known.has(key));
  if (options.strict !== false) {
    const list = (keys: readonly string[]): string => keys.map((k) => `"${k}"`).join(", ");
    if (unexpected.length > 0) problems.unshift(`Unexpected key(s) in state_dict: ${list(unexpected)}.`);
    if (missing.length > 0) problems.unshift(`Missing key(s) in state_dict: ${list(missing)}.`);
  }
  if (problems.length > 0) {
    throw new RuntimeError(`Error(s) in loading state_dict for ${module}:\n\t${problems.join("\n\t")}`);
  }
  no_grad(() => {
    for (const [tensor, value] of copies) {
      if (options.assign === true) setData(tensor, value.detach());
      else tensor.copy_(value);
    }
  });
  return { missing_keys: missing, unexpected_keys: unexpected };
}
