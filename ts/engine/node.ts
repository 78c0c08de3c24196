/** Recording: nodes of the backward graph and what they save. */

import { activeLevels, joinLevels, type BatchLevel, type BatchLevels } from "../core/batch_mode.ts";
import type { DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { is_grad_enabled, setGradEnabled } from "../core/grad_mode.ts";
import { formatShape } from "../core/shape.ts";
import { gradientEdge, type Edge, type GraphNode, type Tensor, type TensorHook, type TensorMeta } from "../core/tensor.ts";
import { keep } from "./fusion.ts";
import { levelsOf } from "./hidden.ts";
import { alias, copyOf } from "./run.ts";

let sequence = 0;

/** @internal Where anomaly mode is on, nodes remember the call that made them. */
export const anomaly = { enabled: false };

/** How saved tensors are stored instead of as they are: `pack` when they are saved, `unpack` when backward wants them. */
export interface SavedTensorsHooks {
  readonly pack: (tensor: Tensor) => unknown;
  readonly unpack: (packed: never) => Tensor;
}

/** @internal The innermost comes last. */
export const savedTensorsHooks: SavedTensorsHooks[] = [];

/** A saved tensor in its packed form, with the place in the graph that it had. */
class Packed {
  private readonly value: unknown;
  private node: GraphNode | null;
  private readonly output: number;

  constructor(
    t: Tensor,
    private readonly hooks: SavedTensorsHooks,
  ) {
    const edge = gradientEdge(t);
    this.node = edge?.node ?? null;
    this.output = edge?.output ?? 0;
    const previous = setGradEnabled(false);
    try {
      this.value = hooks.pack(t);
    } finally {
      setGradEnabled(previous);
    }
  }
  /** It was an output of the very op that saved it, whose node has only now been made. */
  settle(node: GraphNode, output: number): Packed {
    return Object.assign(Object.create(Packed.prototype) as Packed, this, { node, output });
  }
  unpack(): Tensor {
    const t = this.hooks.unpack(this.value as never);
    const out = alias(t, t.shape, t._strides, t._offset);
    out._gradFn = this.node;
    out._outputNr = this.output;
    return out;
  }
}

/** What an op's forward hands to its backward. */
export class Context {
  /** By argument position: whether a gradient is wanted (for lists: of any member). */
  needs: readonly boolean[] = [];
  /** Whatever else backward needs: shapes, numbers; never tensors. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each op's own record
  state: any = null;
  private tensors: (Tensor | Packed | null)[] = [];
  private versions: number[] = [];
  private freed = false;
  /** Packed tensors until `record`, by when those that are outputs have a node. */
  private unsettled: [tensor: Tensor, index: number][] | null = null;
  /** Op's name, for messages. */
  constructor(readonly name: string) {}

  /** Keeps tensors for backward, which checks that nobody has overwritten them since. */
  save(...tensors: (Tensor | null)[]): void {
    const hooks = savedTensorsHooks.at(-1);
    for (const t of tensors) {
      if (hooks !== undefined && t !== null) {
        (this.unsettled ??= []).push([t, this.tensors.length]);
        this.tensors.push(new Packed(t, hooks));
        this.versions.push(0);
        continue;
      }
      if (t !== null) keep(t);
      this.tensors.push(t);
      this.versions.push(t === null ? 0 : t._storage.version);
    }
  }

  /** What was saved, in order. */
  saved(): Tensor[] {
    if (this.freed) {
      throw new RuntimeError(
        `Trying to backward through the graph a second time (at ${this.name}): its saved tensors have already been freed. Specify retain_graph: true if you need to backward through the graph a second time.`,
      );
    }
    let packed = false;
    for (let i = 0; i < this.tensors.length; i++) {
      const t = this.tensors[i]!;
      if (t instanceof Packed) packed = true;
      else if (t !== null && t._storage.version !== this.versions[i]) {
        throw new RuntimeError(
          `one of the variables needed for gradient computation has been modified by an inplace operation: [${t.dtype} ${formatShape(t.shape)}], saved by ${this.name}, is at version ${t._storage.version}; expected version ${this.versions[i]} instead`,
        );
      }
    }
    if (!packed) return this.tensors as Tensor[];
    return this.tensors.map((t) => (t instanceof Packed ? t.unpack() : t)) as Tensor[];
  }

  /** @internal The node has been made: packed outputs learn their place. */
  settle(node: GraphNode): void {
    if (this.unsettled === null) return;
    for (const [t, i] of this.unsettled) {
      if (t._gradFn === node) this.tensors[i] = (this.tensors[i] as Packed).settle(node, t._outputNr);
    }
    this.unsettled = null;
  }

  /** What is saved, unchecked. */
  peek(): readonly (Tensor | null)[] {
    return this.tensors.map((t) => (t instanceof Packed ? null : t));
  }

  release(): void {
    // A node that saved nothing can run again, as in PyTorch.
    this.freed = this.tensors.length > 0 || this.freed;
    this.tensors = [];
  }
}

/** @internal For forwards that nobody will differentiate. */
export class NoContext extends Context {
  override save(): void {}
}

export type Backward = (grads: readonly (Tensor | null)[]) => readonly (Tensor | null | undefined)[];

/** The graph node of one op call. */
export class OpNode implements GraphNode {
  readonly sequence = sequence++;
  edges: readonly (Edge | null)[];
  hooks: Map<number, Map<number, TensorHook>> | null = null;
  trace?: string;
  foreign?: boolean;

  constructor(
    readonly name: string,
    inputs: readonly (Tensor | null)[],
    readonly outputs: readonly TensorMeta[],
    private backward: Backward,
    private readonly context: Context | null,
  ) {
    const edges = new Array<Edge | null>(inputs.length);
    for (let i = 0; i < inputs.length; i++) edges[i] = inputs[i] === null ? null : gradientEdge(inputs[i]!);
    this.edges = edges;
    if (anomaly.enabled) this.trace = new Error(`forward call of ${name}`).stack;
  }

  apply(grads: readonly (Tensor | null)[]): readonly (Tensor | null | undefined)[] {
    return this.backward(grads);
  }
  savedTensors(): readonly (Tensor | null)[] {
    return this.context?.peek() ?? [];
  }
  release(): void {
    this.context?.release();
  }
}

/** Gives `outputs` their place in the graph: `backward` maps their gradients to those of `inputs`. `level`: one of vmap that it belongs to. */
export function record(
  name: string,
  inputs: readonly (Tensor | null)[],
  outputs: readonly Tensor[],
  backward: Backward,
  context: Context | null,
  level: BatchLevel | null = null,
): void {
  const metas = outputs.map((t) => metaOf(t, level));
  const node = new OpNode(name, inputs, metas, backward, context);
  for (let i = 0; i < outputs.length; i++) {
    const t = outputs[i]!;
    if (t.dtype.differentiable) {
      t._gradFn = node;
      t._outputNr = i;
    }
  }
  context?.settle(node);
}

/** `t` in another type, with its place in the graph. */
export function recordedCast(t: Tensor, dtype: DType): Tensor {
  const out = copyOf(t, dtype);
  if (is_grad_enabled() && t.requires_grad && dtype.differentiable) record("ToCopy", [t], [out], ([g]) => [g], null);
  return out;
}

/** The levels of vmap that what is made now belongs to. */
function madeIn(t: Tensor): BatchLevels {
  const levels = activeLevels();
  return t._batch === null ? levels : joinLevels(levels, levelsOf([t]));
}

function metaOf(t: Tensor, level: BatchLevel | null): TensorMeta {
  const levels = level === null ? madeIn(t) : joinLevels(madeIn(t), [level]);
  return { shape: t.shape, dtype: t.dtype, device: t._storage.device, levels };
}
