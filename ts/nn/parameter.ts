/** Tensors that modules own: parameters and buffers. Modules find them among their fields by `instanceof`. */

import type { DType } from "../core/dtype.ts";
import type { Shape } from "../core/shape.ts";
import type { Storage } from "../core/storage.ts";
import { Tensor } from "../core/tensor.ts";

/** A tensor that is learned: a leaf of the graph that shares the memory of `data`. */
export class Parameter extends Tensor {
  constructor(data: Tensor, requires_grad: boolean | { requires_grad?: boolean } = true) {
    super(data.dtype, data.shape, data._strides, data._offset, data._storage);
    data._storage.kept = true;
    const wanted = typeof requires_grad === "boolean" ? requires_grad : (requires_grad.requires_grad ?? true);
    if (wanted) this.requires_grad_(true);
  }
  /** @internal Tells the type apart from Tensor. */
  get _isParameter(): true {
    return true;
  }
}

/** A tensor that belongs to a module's state but is not learned. */
export class Buffer extends Tensor {
  readonly persistent: boolean;

  constructor(data: Tensor, persistent: boolean | { persistent?: boolean } = true) {
    super(data.dtype, data.shape, data._strides, data._offset, data._storage);
    data._storage.kept = true;
    this.persistent = typeof persistent === "boolean" ? persistent : (persistent.persistent ?? true);
  }
}

interface Replaceable {
  dtype: DType;
  shape: Shape;
  _strides: Shape;
  _offset: number;
  _storage: Storage;
}

/** Gives `t` the memory, dtype and device of `value` and keeps its identity, which optimizers and users hold on to. */
export function setData(t: Tensor, value: Tensor): void {
  if (t === value) return;
  const target = t as Replaceable;
  target.dtype = value.dtype;
  target.shape = value.shape;
  target._strides = value._strides;
  target._offset = value._offset;
  target._storage = value._storage;
  value._storage.kept = true;
  t._accumulator = null; // it knew the old dtype
}
