/**
 * `torch.autograd.forward_ad`. Within a dual level the graph is recorded as for backward, and a tangent is found when it is asked for: the gradient
 * is linear in its cotangent u, and the derivative of that, by u, is the map forwards. So every op that can be differentiated twice has
 * a tangent, in-place writes and views included, and no op needs a rule for it. Other than in PyTorch, dual tensors require grad, what runs
 * in `no_grad` within a level has no tangent, and what backward needs must not be overwritten.
 */

import { RuntimeError, ValueError } from "../core/errors.ts";
import { enable_grad, is_grad_enabled, withMode } from "../core/grad_mode.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { type GraphNode, Tensor } from "../core/tensor.ts";
import { record } from "../engine/node.ts";
import { alias } from "../engine/run.ts";
import { describe } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import { dualLevel, grad } from "./backward.ts";
import { reachesOut, watched } from "./reach.ts";

interface Seed {
  /** Where the dual tensor begins in the graph, and the node that it is made by. */
  readonly at: Tensor;
  readonly node: GraphNode;
  readonly tangent: Tensor;
}

let seeds: Seed[] | null = null;

type LevelOption = { level?: number | null };
export type UnpackedDualTensor = [primal: Tensor, tangent: Tensor | null] & {
  readonly primal: Tensor;
  readonly tangent: Tensor | null;
};

/** Begins a level of forward differentiation and returns its number; prefer `dual_level`. Throws RuntimeError within another level. */
export function enter_dual_level(): number {
  if (seeds !== null) throw new RuntimeError("Nested forward mode AD is not supported at the moment");
  seeds = [];
  dualLevel.active = true;
  return 0;
}

/** Ends the level: its dual tensors are ordinary ones from then on. Throws RuntimeError where `level` is not the one entered last. */
export function exit_dual_level({ level = null }: LevelOption = {}): void {
  if (seeds === null || (level !== null && level !== 0)) {
    throw new RuntimeError(
      "Trying to exit a forward AD level that was not the last one that was created. This is not supported.",
    );
  }
  seeds = null;
  dualLevel.active = false;
}

/** Runs `fn` (which may be async) in a dual level of its own, as PyTorch's `with dual_level():`, recording gradients within `no_grad`, too. */
export function dual_level<T>(fn: () => T): T {
  return withMode(
    () => {
      const level = enter_dual_level();
      return () => exit_dual_level({ level });
    },
    () => enable_grad(fn),
  );
}

/**
 * A view of `tensor` with `tangent` (of the same shape) attached, which what is computed from it takes along. It requires grad within the level.
 *
 * Throws RuntimeError outside of dual levels, where recording is off (`no_grad`), for a tensor that has a tangent and for shapes that
 * differ; ValueError for types that are neither floating point nor complex.
 */
export function make_dual(tensor: Tensor, tangent: Tensor, { level = null }: LevelOption = {}): Tensor {
  if (seeds === null || (level !== null && level < 0)) {
    throw new RuntimeError(
      "Trying to create a dual Tensor for forward AD but no level exists, make sure to enter_dual_level() first.",
    );
  }
  for (const [what, t] of [
    ["primal", tensor],
    ["tangent", tangent],
  ] as const) {
    if (!(t instanceof Tensor)) throw new TypeError(`make_dual: expected ${what} to be a tensor, got ${describe(t)}`);
    if (!t.dtype.differentiable) throw new ValueError(`Expected ${what} to be floating point or complex, but got: ${t.dtype}`);
  }
  if (!is_grad_enabled()) {
    throw new RuntimeError(
      "make_dual: recording is off here, and tangents are found from what is recorded. Call it outside of no_grad, or in dual_level(() => ...), which records",
    );
  }
  if (!sameShape(tensor.shape, tangent.shape)) {
    throw new RuntimeError(
      `Trying to set a forward gradient that has a different size than that of the original Tensor, this is not supported. Tensor is of size ${formatShape(tensor.shape)} while the given forward gradient is of size ${formatShape(tangent.shape)}.`,
    );
  }
  if (tangentOf(tensor, seeds) !== null) {
    throw new RuntimeError(
      "Making a dual Tensor based on a Tensor that already has a forward gradient at the same level 0 is not supported.",
    );
  }
  const at = watched(tensor, true);
  const dual = alias(tensor, tensor.shape, tensor._strides, tensor._offset);
  record("MakeDual", [at], [dual], ([g]) => [g], null);
  seeds.push({ at, node: dual._gradFn!, tangent });
  return dual;
}

/**
 * `{ primal, tangent }` of a tensor, also as a pair: itself without its tangent, and that, null where it depends on no dual tensor of the
 * level (or was computed with recording off).
 */
export function unpack_dual(tensor: Tensor, { level = null }: LevelOption = {}): UnpackedDualTensor {
  const known = level !== null && level !== 0 ? null : seeds;
  const tangent = known === null ? null : tangentOf(tensor, known);
  const own = known?.map(({ at }) => at) ?? [];
  const primal = tangent === null || reachesOut([tensor], own) ? tensor.view_as(tensor) : tensor.detach();
  return Object.defineProperties([primal, tangent], {
    primal: { value: primal },
    tangent: { value: tangent },
  }) as UnpackedDualTensor;
}

function tangentOf(t: Tensor, known: readonly Seed[]): Tensor | null {
  if (known.length === 0 || !t.requires_grad) return null;
  const itself = known.find(({ node }) => node === t.grad_fn);
  if (itself !== undefined) return itself.tangent;
  const own = known.map(({ at }) => at);
  return enable_grad(() => {
    const u = ops.zeros_like(t.detach()).requires_grad_();
    const back = grad(t, own, { grad_outputs: u, create_graph: true, allow_unused: true });
    const used = known.flatMap(({ at, tangent }, i) =>
      back[i] === null ? [] : [{ g: back[i]!, tangent: tangent.to(at.dtype) }],
    );
    if (used.length === 0) return null;
    // What does not hang on u has no part in it: its derivative is zero.
    const live = used.filter(({ g }) => g.requires_grad);
    const outputs = live.map(({ g }) => g);
    const directions = live.map(({ tangent }) => tangent);
    const [sum] =
      live.length === 0 ? [null] : grad(outputs, u, { grad_outputs: directions, create_graph: true, allow_unused: true });
    const out = sum ?? ops.zeros_like(t.detach());
    return reachesOut([t, ...directions], own) ? out : out.detach();
  });
}
