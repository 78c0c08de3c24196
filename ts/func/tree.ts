/** Nested arguments and results: tensors in arrays and plain objects. */

import { Tensor } from "../core/tensor.ts";
import { isOptions } from "../engine/signature.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- functions of the user's, of any arguments
export type Func = (...args: any[]) => any;

/** Applies `fn` to what is neither an array nor a plain object. */
export function mapTree(tree: unknown, fn: (leaf: unknown) => unknown): unknown {
  if (Array.isArray(tree)) return tree.map((part) => mapTree(part, fn));
  if (isOptions(tree)) return Object.fromEntries(Object.entries(tree).map(([key, part]) => [key, mapTree(part, fn)]));
  return fn(tree);
}

export function leavesOf(tree: unknown): unknown[] {
  const leaves: unknown[] = [];
  mapTree(tree, (leaf) => leaves.push(leaf));
  return leaves;
}

export function tensorsOf(tree: unknown): Tensor[] {
  return leavesOf(tree).filter((leaf) => leaf instanceof Tensor);
}

/** A tree of the form of `model`, whose tensors are `values` in order. */
export function fillTree(model: unknown, values: readonly unknown[]): unknown {
  let i = 0;
  return mapTree(model, (leaf) => (leaf instanceof Tensor ? values[i++] : leaf));
}

/** A value per leaf of `tree`, where `prefix` may stop at any level and then holds for all below. */
export function spread(prefix: unknown, tree: unknown, complain: () => Error): unknown[] {
  if (Array.isArray(prefix)) {
    if (!Array.isArray(tree) || tree.length !== prefix.length) throw complain();
    return tree.flatMap((part, i) => spread(prefix[i], part, complain));
  }
  if (isOptions(prefix)) {
    if (!isOptions(tree)) throw complain();
    return Object.entries(tree).flatMap(([key, part]) => spread(prefix[key], part, complain));
  }
  return leavesOf(tree).map(() => prefix);
}
