/**
 * The tensor: a strided window onto a storage, and its place in the autograd graph. Ops are installed on the prototype by
 * ts/ops, which also declares their types; this file knows none of them.
 */

import { activeLevels, type BatchLevels, type HiddenDim } from "./batch_mode.ts";
import type { Device, View } from "./device.ts";
import type { DType } from "./dtype.ts";
import { RuntimeError } from "./errors.ts";
import { is_grad_enabled, is_inference_mode_enabled } from "./grad_mode.ts";
import { isContiguous, numelOf, normalizeDim, sameShape, type Shape } from "./shape.ts";
import type { Storage } from "./storage.ts";

/** What a gradient function knows of a tensor it made: gradients are brought to this form before it sees them. */
export interface TensorMeta {
  readonly shape: Shape;
  readonly dtype: DType;
  readonly device: Device;
  /** The levels of vmap that it was made in: gradients of one of them that go elsewhere are summed over its batch. */
  readonly levels: BatchLevels;
}

/** Where a gradient flows next: output number `output` of `node`. */
export interface Edge {
  readonly node: GraphNode;
  readonly output: number;
}

export type TensorHook = (grad: Tensor) => Tensor | null | undefined | void;

/** A node of the backward graph. */
export interface GraphNode {
  readonly name: string;
  /** One per input that may need a gradient; null where none flows. */
  edges: readonly (Edge | null)[];
  readonly outputs: readonly TensorMeta[];
  /** Gradients of the outputs → gradients of the edges. */
  apply(grads: readonly (Tensor | null)[]): readonly (Tensor | null | undefined)[];
  /** Drops what was saved; a second `apply` then throws. */
  release(): void;
  /** Creation order: later nodes run first. */
  readonly sequence: number;
  /** What it keeps for backward. */
  savedTensors?(): readonly (Tensor | null)[];
  /** Hooks on the gradients of its outputs. */
  hooks: Map<number, Map<number, TensorHook>> | null;
  /** Runs code of the user's, which may keep the gradients it sees. */
  foreign?: boolean;
  /** Where the forward op was called (anomaly mode). */
  trace?: string;
}

/** What a view remembers of the tensor whose memory it shows, for in-place ops under autograd. */
export interface ViewOf {
  readonly base: Tensor;
  /** base.graphVersion when this view's gradFn was made. */
  graphVersion: number;
}

/** @internal Thrown where code would look at the memory of one example: the op is then run for each. */
export class BatchedAccess extends RuntimeError {
  constructor(message = "internal: a kernel was given a batched tensor") {
    super(message);
  }
}

let nextHook = 0;

export class Tensor {
  /** @internal The gradient, for readers that neither keep nor hand it on: reading `grad` gives up `_ownsGrad`. */
  _grad: Tensor | null = null;
  /** @internal Nobody else has, or can come by, the memory of `_grad`. */
  _ownsGrad = false;
  /** @internal Set for leaves only; results require grad because they have a gradFn. */
  _leafRequiresGrad = false;
  /** @internal */
  _gradFn: GraphNode | null = null;
  /** @internal */
  _outputNr = 0;
  /** @internal */
  _view: ViewOf | null = null;
  /** @internal Times an in-place op on a view changed this base's history. */
  _graphVersion = 0;
  /** @internal The leaf's end of the graph, made on first use. */
  _accumulator: GraphNode | null = null;
  /** @internal */
  _retainsGrad = false;
  /** @internal Dimensions of a batch that the shape does not show (`torch.vmap`), outer ones first. */
  _batch: readonly HiddenDim[] | null = null;
  /** @internal The levels of vmap in which it became a leaf that requires grad. */
  _leafLevels: BatchLevels | null = null;
  /** @internal Made in inference mode. */
  readonly _inference: boolean = is_inference_mode_enabled();
  /** A name for state_dict and messages; null unless set. */
  name: string | null = null;

  constructor(
    readonly dtype: DType,
    readonly shape: Shape,
    /** @internal */
    readonly _strides: Shape,
    /** @internal In elements. */
    readonly _offset: number,
    /** @internal */
    _storage: Storage,
  ) {
    this._storage = _storage;
  }
  /** @internal Replaced only by `set_data`-like ops. */
  _storage: Storage;

  /** The gradient, after `backward()`; accumulates. */
  get grad(): Tensor | null {
    this._ownsGrad = false;
    return this._grad;
  }
  set grad(grad: Tensor | null) {
    this._ownsGrad = false;
    this._grad = grad;
  }
  /** @internal Clears the gradient. Memory that nobody else has seen is free at once: the next step finds it warm in the caches. */
  _dropGrad(): void {
    if (this._ownsGrad) this._grad!._storage.disposeUnread();
    this.grad = null;
  }

  get device(): Device {
    return this._storage.device;
  }
  get ndim(): number {
    return this.shape.length;
  }
  dim(): number {
    return this.shape.length;
  }
  numel(): number {
    return numelOf(this.shape);
  }
  /** The shape, or the size of one dimension. */
  size(): Shape;
  size(dim: number): number;
  size(dim?: number): Shape | number {
    return dim === undefined ? this.shape : this.shape[normalizeDim("size", dim, this.ndim)]!;
  }
  /** Elements from one index to the next, of all dimensions or one. */
  stride(): Shape;
  stride(dim: number): number;
  stride(dim?: number): Shape | number {
    return dim === undefined ? this._strides : this._strides[normalizeDim("stride", dim, this.ndim)]!;
  }
  storage_offset(): number {
    return this._offset;
  }
  is_contiguous(): boolean {
    return isContiguous(this.shape, this._strides);
  }
  element_size(): number {
    return this.dtype.itemsize;
  }
  is_floating_point(): boolean {
    return this.dtype.is_floating_point;
  }

  get is_cpu(): boolean {
    return this.device.type === "cpu";
  }
  get is_cuda(): boolean {
    return this.device.type === "cuda";
  }
  get is_webgpu(): boolean {
    return this.device.type === "webgpu";
  }
  /** Of code that asks for PyTorch's other kinds of tensors: there are only dense ones with memory. */
  get is_sparse(): false {
    return false;
  }
  get is_quantized(): false {
    return false;
  }
  get is_nested(): false {
    return false;
  }
  get is_meta(): false {
    return false;
  }
  /** Which output of `grad_fn` it is. */
  get output_nr(): number {
    return this._outputNr;
  }
  /** Whether it keeps its gradient although it is no leaf (`retain_grad`). */
  get retains_grad(): boolean {
    return this._retainsGrad;
  }

  get requires_grad(): boolean {
    return this._leafRequiresGrad || this.grad_fn !== null;
  }
  set requires_grad(value: boolean) {
    this.requires_grad_(value);
  }
  requires_grad_(requires_grad = true): this {
    if (this.grad_fn !== null) {
      if (!requires_grad) {
        throw new RuntimeError(
          "you can only change requires_grad flags of leaf variables. If you want to use a computed variable in a subgraph that doesn't require differentiation use var_no_grad = var.detach().",
        );
      }
      return this;
    }
    if (requires_grad && !this.dtype.differentiable) {
      throw new RuntimeError(`only Tensors of floating point and complex dtype can require gradients, got ${this.dtype}`);
    }
    if (requires_grad && this._inference) {
      throw new RuntimeError("Setting requires_grad=True on inference tensor outside InferenceMode is not allowed.");
    }
    this._leafRequiresGrad = requires_grad;
    if (requires_grad) this._leafLevels = activeLevels();
    return this;
  }
  get is_leaf(): boolean {
    return this.grad_fn === null;
  }
  /** The gradient function that made this tensor, or null for leaves. */
  get grad_fn(): GraphNode | null {
    const view = this._view;
    if (view !== null && view.graphVersion !== view.base._graphVersion) regenerateView(this, view);
    return this._gradFn;
  }
  /** In-place writes to this memory so far. */
  get _version(): number {
    return this._storage.version;
  }

  /** Calls `hook` with the gradient of this tensor when it is computed; what it returns, if anything, replaces it. */
  register_hook(hook: TensorHook): { remove(): void } {
    if (!this.requires_grad) {
      throw new RuntimeError("cannot register a hook on a tensor that doesn't require gradient");
    }
    const { node, output } = gradientEdge(this)!;
    const hooks = ((node.hooks ??= new Map()).get(output) ?? node.hooks.set(output, new Map()).get(output))!;
    const id = nextHook++;
    hooks.set(id, hook);
    return { remove: () => void hooks.delete(id) };
  }

  /** @internal How kernels see it; computes a pending value first. */
  _toView(): View {
    if (this._batch !== null) throw new BatchedAccess();
    return {
      buffer: this._storage.materialize(),
      dtype: this.dtype,
      shape: this.shape,
      strides: this._strides,
      offset: this._offset,
    };
  }
  /** @internal Shows all of its storage, in row-major order. */
  _isWhole(): boolean {
    return (
      this._batch === null &&
      this._offset === 0 &&
      this._storage.size === numelOf(this.shape) &&
      isContiguous(this.shape, this._strides)
    );
  }

  /** @internal How many elements of its type its storage holds. */
  _capacity(): number {
    return Math.floor(this._storage.size / (this.dtype.is_complex ? 2 : 1));
  }
}

/** @internal Late-bound: what the graph above this file provides. */
export const graph = {
  /** Makes the leaf's accumulator node. */
  accumulator: (_leaf: Tensor): GraphNode => {
    throw new RuntimeError("autograd is not installed");
  },
  /** Gives a view whose base changed its history a new gradFn. */
  regenerate: (_tensor: Tensor, _view: ViewOf): void => {
    throw new RuntimeError("autograd is not installed");
  },
};

function regenerateView(tensor: Tensor, view: ViewOf): void {
  view.graphVersion = view.base._graphVersion;
  graph.regenerate(tensor, view);
}

/** Where this tensor's gradient goes, or null when it needs none. */
export function gradientEdge(t: Tensor): Edge | null {
  const fn = t.grad_fn;
  if (fn !== null) return { node: fn, output: t._outputNr };
  if (!t._leafRequiresGrad) return null;
  return { node: (t._accumulator ??= graph.accumulator(t)), output: 0 };
}

/** Whether an op on these tensors must be recorded. */
export function needsGraph(t: Tensor): boolean {
  return is_grad_enabled() && t.requires_grad;
}

export function sameMeta(t: Tensor, m: TensorMeta): boolean {
  return t.dtype === m.dtype && sameShape(t.shape, m.shape);
}
