/** The backward walk: `backward()`, `torch.autograd.grad`, and the leaves' accumulators. */

import type { BatchLevels } from "../core/batch_mode.ts";
import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled, setGradEnabled } from "../core/grad_mode.ts";
import { formatShape, sameShape } from "../core/shape.ts";
import { Storage } from "../core/storage.ts";
import { gradientEdge, graph, Tensor, type Edge, type GraphNode, type TensorHook, type TensorMeta } from "../core/tensor.ts";
import { withoutAutocast } from "../engine/autocast.ts";
import { applyBatched, summedOut } from "../engine/batching.ts";
import { replaying } from "../engine/blocking.ts";
import { levelsOf, strideOf } from "../engine/hidden.ts";
import { record } from "../engine/node.ts";
import { reveal } from "../engine/reveal.ts";
import { describe } from "../engine/signature.ts";
import * as ops from "../ops/index.ts";
import { as_strided_backward } from "../ops/views.ts";

/** A leaf's end of the graph: adds what arrives to `.grad`. */
class AccumulateGrad implements GraphNode {
  readonly name = "AccumulateGrad";
  readonly edges: readonly (Edge | null)[] = [];
  readonly outputs: readonly TensorMeta[];
  /** Leaves come last. */
  readonly sequence = -1;
  hooks: Map<number, Map<number, TensorHook>> | null = null;
  /** Called with the leaf when its gradient is there. */
  readonly after = new Set<{ readonly hook: (leaf: Tensor) => void }>();

  /** What comes next was made for this leaf alone and may become its `.grad` without a copy. */
  fresh = false;

  constructor(readonly leaf: Tensor) {
    this.outputs = [{ shape: leaf.shape, dtype: leaf.dtype, device: leaf.device, levels: leaf._leafLevels ?? [] }];
  }
  apply(grads: readonly (Tensor | null)[]): readonly never[] {
    accumulate(this.leaf, grads[0]!, this.fresh && this.hooks === null);
    for (const { hook } of [...this.after]) hook(this.leaf);
    return [];
  }
  release(): void {}
}

function accumulate(t: Tensor, g: Tensor, fresh = false): void {
  if (t._grad === null) {
    // A copy unless it is fresh: the same gradient may have gone to others too, and users write to .grad in place.
    if (is_grad_enabled()) t.grad = g.clone();
    else {
      t.grad = fresh && g._isWhole() ? g.detach() : g.detach().clone();
      t._ownsGrad = true;
    }
  } else if (is_grad_enabled()) t.grad = t._grad.add(g);
  else t._grad.add_(g);
  // So that the graph's tensors can be let go.
  const storage = t._grad!._storage;
  storage.materialize();
  storage.kept = true;
}

/** @internal Calls `hook` with a leaf after each gradient that is added to it. */
export function onAccumulated(leaf: Tensor, hook: (leaf: Tensor) => void): { remove(): void } {
  const { after } = gradientEdge(leaf)!.node as AccumulateGrad;
  const entry = { hook };
  after.add(entry);
  return { remove: () => void after.delete(entry) };
}

graph.accumulator = (leaf) => new AccumulateGrad(leaf);
graph.regenerate = (t, { base }) => {
  // The base's history changed through another view: this one is now a window onto the new history.
  if (!base.requires_grad) return;
  const level = levelsOf([t]).find((l) => strideOf(base, l) === null);
  if (level !== undefined) {
    // A window with a dimension of a batch that its base shows.
    const whole = reveal(t, level);
    whole._view = { base, graphVersion: base._graphVersion };
    graph.regenerate(whole, whole._view);
    record("AddBatchDim", [whole], [t], ([g]) => [reveal(g!, level)], null);
    return;
  }
  const window = { shape: t.shape, strides: t._strides, offset: t._offset };
  const whole = { shape: base.shape, strides: base._strides, offset: base._offset };
  record("AsStrided", [base], [t], ([g]) => [as_strided_backward(g!, whole, window)], null);
};

export interface WalkOptions {
  readonly retain_graph: boolean;
  readonly create_graph: boolean;
  /** Where gradients are wanted; null: accumulate into all leaves. */
  readonly inputs: readonly Edge[] | null;
}

/** Runs the graph from `roots`. Returns the gradients that arrived at `options.inputs`. */
export function walk(roots: readonly Edge[], grads: readonly Tensor[], options: WalkOptions): (Tensor | null)[] {
  const previous = setGradEnabled(options.create_graph);
  try {
    // In the types of the forward.
    return withoutAutocast(() => walkGraph(roots, grads, options));
  } finally {
    setGradEnabled(previous);
  }
}

function walkGraph(roots: readonly Edge[], grads: readonly Tensor[], options: WalkOptions): (Tensor | null)[] {
  const { inputs } = options;
  const wanted = inputs === null ? null : nodesTowards(roots, new Set(inputs.map((i) => i.node)));
  const found: (Tensor | null)[] = inputs === null ? [] : inputs.map(() => null);
  const pending = new Map<GraphNode, (Tensor | null)[]>();
  const queue = new NodeQueue();
  /** Memory of gradients on their way that nobody but this walk has: free once the node they go to has run. */
  const owned = new Set<Storage>();

  /** `own`: nobody else has the memory of `grad`. */
  const send = (edge: Edge, grad: Tensor, from: string, own: boolean, source: BatchLevels | null): void => {
    const { node, output } = edge;
    if (wanted !== null && !wanted.has(node)) return;
    const meta = node.outputs[output]!;
    const g = conform(grad._batch !== null && source !== null ? summedOut(grad, source, meta.levels) : grad, meta, from);
    let slots = pending.get(node);
    if (slots === undefined) {
      pending.set(node, (slots = new Array<Tensor | null>(node.outputs.length).fill(null)));
      queue.push(node);
    }
    const sum = slots[output]!;
    slots[output] = sum === null ? g : sum.add(g);
    const fresh = sum !== null || own;
    if (node instanceof AccumulateGrad) node.fresh = fresh;
    else if (fresh && !options.create_graph) owned.add(slots[output]._storage);
  };

  // Where a backward formula that reads values may have all of this run again, the graph and the leaves change at the end.
  const late: (() => void)[] | null = replaying() ? [] : null;
  roots.forEach((r, i) => send(r, grads[i]!, "backward", false, null));
  for (let node = queue.pop(); node !== null; node = queue.pop()) {
    const slots = pending.get(node)!;
    pending.delete(node);
    if (node.hooks !== null) runHooks(node, slots);
    if (inputs !== null) {
      inputs.forEach((e, i) => {
        if (e.node === node) found[i] = slots[e.output]!;
      });
      if (node instanceof AccumulateGrad || !leadsOn(node, wanted!)) continue;
    }
    let results: readonly (Tensor | null | undefined)[];
    const since = Storage.nextSerial();
    try {
      const leaf = late !== null && node instanceof AccumulateGrad ? node : null;
      if (leaf === null)
        results = slots.some((g) => g !== null && g._batch !== null) ? applyBatched(node, slots) : node.apply(slots);
      else {
        late!.push(() => leaf.apply(slots));
        results = [];
      }
    } catch (error) {
      if (node.trace !== undefined && error instanceof Error) error.message += `\n${node.trace}`;
      throw error;
    }
    if (node.trace !== undefined) checkFinite(node, results);
    // What hooks and code of the user's have seen may live on.
    const seen = node.foreign === true || node.hooks !== null || inputs !== null;
    const spent: Storage[] = [];
    for (const g of slots) if (g !== null && owned.delete(g._storage) && !seen) spent.push(g._storage);
    for (let i = 0; i < node.edges.length; i++) {
      const g = results[i];
      const edge = node.edges[i]!;
      if (edge === null || g === null || g === undefined) continue;
      const made = g._storage.serial >= since || spent.includes(g._storage);
      send(edge, g, node.name, made && !seen && !sharesStorage(results, i), node.outputs[0]?.levels ?? null);
    }
    if (!options.retain_graph) {
      const done = node;
      if (late === null) done.release();
      else late.push(() => done.release());
    }
    for (const storage of spent) if (!results.some((r) => r?._storage === storage)) storage.disposeUnread();
  }
  for (const change of late ?? []) change();
  return found;
}

function sharesStorage(results: readonly (Tensor | null | undefined)[], i: number): boolean {
  for (let j = 0; j < results.length; j++) if (j !== i && results[j]?._storage === results[i]!._storage) return true;
  return false;
}

function leadsOn(node: GraphNode, wanted: ReadonlySet<GraphNode>): boolean {
  return node.edges.some((e) => e !== null && wanted.has(e.node));
}

let warned = false;
function warnUnchecked(device: string): void {
  if (!warned) {
    console.warn(
      `anomaly mode looks at gradients' values, which ${device} gives only asynchronously: they are not checked there`,
    );
  }
  warned = true;
}

/** Anomaly mode: the first NaN is blamed on the forward call that led to it. */
function checkFinite(node: GraphNode, results: readonly (Tensor | null | undefined)[]): void {
  results.forEach((g, i) => {
    if (!(g instanceof Tensor)) return;
    if (!g.device.caps.readSync) warnUnchecked(g.device.type);
    else if (ops.isnan(g).any().item_sync()) {
      throw new RuntimeError(`Function '${node.name}Backward' returned nan values in its ${i}th output.\n${node.trace}`);
    }
  });
}

function runHooks(node: GraphNode, slots: (Tensor | null)[]): void {
  for (const [output, hooks] of node.hooks!) {
    for (const hook of hooks.values()) {
      const g = slots[output]!;
      if (g === null) continue;
      const replaced = hook(g);
      if (replaced instanceof Tensor) slots[output] = conform(replaced, node.outputs[output]!, "hook");
    }
  }
}

/** Undoes broadcasting and promotion: the gradient takes the form of what it is the gradient of. */
function conform(g: Tensor, meta: TensorMeta, from: string): Tensor {
  let out = g;
  if (!sameShape(g.shape, meta.shape)) {
    if (g.ndim < meta.shape.length) {
      throw new RuntimeError(
        `Function ${from}Backward returned an invalid gradient: got ${formatShape(g.shape)} but expected shape compatible with ${formatShape(meta.shape)}`,
      );
    }
    out = out.sum_to_size(meta.shape);
  }
  // Of a complex gradient of a real input the real part counts.
  return out.dtype === meta.dtype
    ? out
    : out.dtype.is_complex && !meta.dtype.is_complex
      ? out.real.to(meta.dtype)
      : out.to(meta.dtype);
}

/** All nodes from which one of `targets` can be reached. */
function nodesTowards(roots: readonly Edge[], targets: ReadonlySet<GraphNode>): Set<GraphNode> {
  const useful = new Set<GraphNode>();
  const state = new Map<GraphNode, number>(); // index of the edge to look at next
  for (const root of roots) {
    const stack: GraphNode[] = [root.node];
    while (stack.length > 0) {
      const node = stack[stack.length - 1]!;
      const at = state.get(node) ?? 0;
      if (at === 0 && targets.has(node)) useful.add(node);
      if (at < node.edges.length) {
        state.set(node, at + 1);
        const next = node.edges[at]?.node;
        if (next !== undefined && !state.has(next)) {
          stack.push(next);
          if (next.edges.length === 0) state.set(next, 0);
        }
        continue;
      }
      stack.pop();
      if (!useful.has(node) && node.edges.some((e) => e !== null && useful.has(e.node))) useful.add(node);
    }
  }
  return useful;
}

/** Nodes by falling sequence number (a binary heap): every consumer of a tensor was made after its producer. */
class NodeQueue {
  private readonly heap: GraphNode[] = [];
  push(node: GraphNode): void {
    const h = this.heap;
    let i = h.length;
    h.push(node);
    while (i > 0) {
      const parent = (i - 1) >> 1;
      if (h[parent]!.sequence >= node.sequence) break;
      h[i] = h[parent]!;
      i = parent;
    }
    h[i] = node;
  }
  pop(): GraphNode | null {
    const h = this.heap;
    if (h.length === 0) return null;
    const top = h[0]!;
    const last = h.pop()!;
    if (h.length > 0) {
      let i = 0;
      for (;;) {
        let child = 2 * i + 1;
        if (child >= h.length) break;
        if (child + 1 < h.length && h[child + 1]!.sequence > h[child]!.sequence) child++;
        if (h[child]!.sequence <= last.sequence) break;
        h[i] = h[child]!;
        i = child;
      }
      h[i] = last;
    }
    return top;
  }
}

function rootEdge(t: Tensor, what: string): Edge {
  const edge = gradientEdge(t);
  if (edge === null) {
    throw new RuntimeError(`${what}: element 0 of tensors does not require grad and does not have a grad_fn`);
  }
  return edge;
}

function rootGrad(t: Tensor, gradient: Tensor | null | undefined): Tensor {
  if (gradient === null || gradient === undefined) {
    if (t.numel() !== 1) {
      throw new RuntimeError(`grad can be implicitly created only for scalar outputs, got shape ${formatShape(t.shape)}`);
    }
    return ops.ones_like(t);
  }
  if (!sameShape(gradient.shape, t.shape)) {
    throw new RuntimeError(
      `Mismatch in shape: grad_output has a shape of ${formatShape(gradient.shape)} and output has a shape of ${formatShape(t.shape)}.`,
    );
  }
  return gradient;
}

type MaybeTensors = Tensor | null | readonly (Tensor | null)[];
/** One tensor or several, as a list. */
function tensorList(op: string, name: string, x: MaybeTensors, nulls = false): readonly Tensor[] {
  const list = (Array.isArray(x) ? x : [x]) as readonly Tensor[];
  for (const t of list) {
    if (t instanceof Tensor || (nulls && t === null)) continue;
    throw new TypeError(`${op}: argument '${name}' must be a Tensor or a list of Tensors, not ${describe(t)}`);
  }
  return list;
}

export interface BackwardOptions {
  retain_graph?: boolean | null;
  create_graph?: boolean;
  inputs?: Tensor | readonly Tensor[] | null;
}

/** Gradients of `tensors` with respect to the graph's leaves, added to their `.grad`. */
export function backward(
  tensors: Tensor | readonly Tensor[],
  grad_tensors: Tensor | readonly (Tensor | null)[] | null = null,
  given: BackwardOptions | null = null,
): void {
  const { retain_graph = null, create_graph = false, inputs = null } = given ?? {};
  const roots = tensorList("backward", "tensors", tensors);
  const seeds = grad_tensors === null ? [] : tensorList("backward", "grad_tensors", grad_tensors, true);
  const edges = roots.map((t) => rootEdge(t, "backward"));
  const grads = roots.map((t, i) => rootGrad(t, seeds[i]));
  const options = { create_graph, retain_graph: retain_graph ?? create_graph };
  if (inputs === null) {
    walk(edges, grads, { ...options, inputs: null });
    return;
  }
  const targets = tensorList("backward", "inputs", inputs);
  const found = walk(edges, grads, { ...options, inputs: targets.map((t) => rootEdge(t, "backward: inputs")) });
  const previous = setGradEnabled(create_graph);
  found.forEach((g, i) => {
    if (g !== null) accumulate(targets[i]!, g);
  });
  setGradEnabled(previous);
}

/** @internal Within a dual level (forward_ad.ts) gradients have tangents, too: `grad` records them. */
export const dualLevel = { active: false };

export interface GradOptions {
  grad_outputs?: Tensor | readonly (Tensor | null)[] | null;
  retain_graph?: boolean | null;
  create_graph?: boolean;
  allow_unused?: boolean | null;
  materialize_grads?: boolean;
}

/** The sum of gradients of `outputs` with respect to `inputs`; `.grad` is not touched. */
export function grad(
  outputs: Tensor | readonly Tensor[],
  inputs: Tensor | readonly Tensor[],
  options: GradOptions | null = null,
): (Tensor | null)[] {
  const { grad_outputs = null, retain_graph = null, create_graph = dualLevel.active } = options ?? {};
  const { allow_unused = null, materialize_grads = false } = options ?? {};
  const roots = tensorList("grad", "outputs", outputs);
  const targets = tensorList("grad", "inputs", inputs);
  const given = grad_outputs === null ? [] : tensorList("grad", "grad_outputs", grad_outputs, true);
  const edges = roots.map((t) => rootEdge(t, "grad"));
  const grads = roots.map((t, i) => rootGrad(t, given[i]));
  const wanted = targets.map((t) => {
    const edge = gradientEdge(t);
    if (edge === null) throw new RuntimeError("grad: One of the differentiated Tensors does not require grad");
    return edge;
  });
  const found = walk(edges, grads, { create_graph, retain_graph: retain_graph ?? create_graph, inputs: wanted });
  return found.map((g, i) => {
    if (g !== null) return g;
    if (materialize_grads) return ops.zeros_like(targets[i]!);
    if (allow_unused !== true) {
      throw new RuntimeError(
        "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused: true if this is the desired behavior.",
      );
    }
    return null;
  });
}
