/** Where a graph leads. */

import type { GraphNode, Tensor } from "../core/tensor.ts";

/** @internal Whether the graph of `tensors` leads to leaves other than `own`. */
export function reachesOut(tensors: readonly Tensor[], own: readonly Tensor[]): boolean {
  const inside = new Set<Tensor>(own);
  const accumulators = new Set<GraphNode | null>(own.map((t) => t._accumulator));
  const stack: GraphNode[] = [];
  for (const t of tensors) {
    const fn = t.grad_fn;
    if (fn !== null) stack.push(fn);
    else if (t._leafRequiresGrad && !inside.has(t)) return true;
  }
  const seen = new Set<GraphNode>(stack);
  for (let node = stack.pop(); node !== undefined; node = stack.pop()) {
    if (node.sequence < 0 && !accumulators.has(node)) return true;
    for (const edge of node.edges) {
      if (edge === null || seen.has(edge.node)) continue;
      seen.add(edge.node);
      stack.push(edge.node);
    }
  }
  return false;
}

/** @internal What a function of t is given instead: part of the caller's graph where that wants gradients, too, else a leaf. */
export function watched(t: Tensor, tracked: boolean): Tensor {
  if (!t.dtype.differentiable) return t;
  return tracked && t.requires_grad ? t.view_as(t) : t.detach().requires_grad_();
}
