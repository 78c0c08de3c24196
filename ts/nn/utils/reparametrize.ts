/** Tensors of modules that a hook computes anew before each forward: what weight_norm, spectral_norm and pruning have in common. */

import type { Tensor } from "../../core/tensor.ts";
import type { Module } from "../module.ts";
import { Parameter } from "../parameter.ts";

type Fields = Record<string, unknown>;
export const fieldsOf = (module: Module): Fields => module as unknown as Fields;

/** What the hook knows. It goes with the hook into copies of the module. */
interface Recipe {
  readonly name: string;
  compute(module: Module): Tensor;
}
type RecipeHook = ((module: Module) => void) & { recipe?: Recipe };

/** Has `module[recipe.name]` computed before each forward, and, unless it is given, now. */
export function attach(module: Module, recipe: Recipe, value: Tensor | null = null): void {
  const hook: RecipeHook = (self) => void (fieldsOf(self)[recipe.name] = recipe.compute(self));
  hook.recipe = recipe;
  fieldsOf(module)[recipe.name] = value ?? recipe.compute(module);
  module.register_forward_pre_hook(hook);
}

/** Recipes of one class on a module. */
export function recipesOf<R extends Recipe>(module: Module, kind: abstract new (...args: never[]) => R): R[] {
  const hooks = module._hooks?.lists.forwardPre ?? [];
  return [...hooks].map((e) => (e.call as RecipeHook).recipe).filter((r): r is R => r instanceof kind);
}

export function detach(module: Module, recipe: Recipe): void {
  const hooks = module._hooks!.lists.forwardPre;
  for (const entry of hooks) if ((entry.call as RecipeHook).recipe === recipe) hooks.delete(entry);
}

/** Takes fields away and makes a parameter of that name. */
export function settle(module: Module, name: string, value: Tensor, ...gone: string[]): void {
  for (const field of [name, ...gone]) delete fieldsOf(module)[field];
  module.register_parameter(name, value instanceof Parameter ? value : new Parameter(value.detach()));
}
