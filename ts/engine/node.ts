/** Recording: nodes of the backward graph and what they save. */

import { RuntimeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import { gradientEdge, type Edge, type GraphNode, type Tensor, type TensorHook, type TensorMeta } from "../core/tensor.ts";
import { keep } from "./fusion.ts";

let sequence = 0;

/** @internal Where anomaly mode is on, nodes remember the call that made them. */
export const anomaly = { enabled: false };

/** What an op's forward hands to its backward. */
export class Context {
  /** By argument position: whether a gradient is wanted (for lists: of any member). */
  needs: readonly boolean[] = [];
  /** Whatever else backward needs: shapes, numbers; never tensors. */
  // eslint-disable-next-line @typescript-eslint/no-explicit-any -- each op's own record
  state: any = null;
  private tensors: (Tensor | null)[] = [];
  private versions: number[] = [];
  private freed = false;
  /** Op's name, for messages. */
  constructor(readonly name: string) {}

  /** Keeps tensors for backward, which checks that nobody has overwritten them since. */
  save(...tensors: (Tensor | null)[]): void {
    for (const t of tensors) {
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
    for (let i = 0; i < this.tensors.length; i++) {
      const t = this.tensors[i]!;
      if (t !== null && t._storage.version !== this.versions[i]) {
        throw new RuntimeError(
          `one of the variables needed for gradient computation has been modified by an inplace operation: [${t.dtype} ${formatShape(t.shape)}], saved by ${this.name}, is at version ${t._storage.version}; expected version ${this.versions[i]} instead`,
        );
      }
    }
    return this.tensors as Tensor[];
  }

  /** What is saved, unchecked. */
  peek(): readonly (Tensor | null)[] {
    return this.tensors;
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

/** Gives `outputs` their place in the graph: `backward` maps their gradients to those of `inputs`. */
export function record(
  name: string,
  inputs: readonly (Tensor | null)[],
  outputs: readonly Tensor[],
  backward: Backward,
  context: Context | null,
): void {
  const node = new OpNode(name, inputs, outputs.map(metaOf), backward, context);
  for (let i = 0; i < outputs.length; i++) {
    const t = outputs[i]!;
    if (t.dtype.is_floating_point) {
      t._gradFn = node;
      t._outputNr = i;
    }
  }
}

function metaOf(t: Tensor): TensorMeta {
  return { shape: t.shape, dtype: t.dtype, device: t._storage.device };
}
