/** Tensors that modules own: parameters and buffers. Modules find them among their fields by `instanceof`. */

import type { Device } from "../core/device.ts";
import { get_default_dtype, type DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";
import type { Storage } from "../core/storage.ts";
import { Tensor } from "../core/tensor.ts";
import * as ops from "../ops/index.ts";

/** Where and in which dtype a layer's parameters are made. */
export interface Factory {
  device?: Device | string | null;
  dtype?: DType | null;
}

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

// What does not know its shape yet

const nothing = ({ device = null, dtype = null }: Factory): Tensor =>
  ops.empty([0], { device, dtype: dtype ?? get_default_dtype() });

/** Every use of a tensor begins with its shape: asking for it says what is wrong. */
function hideShape(t: Tensor): void {
  Object.defineProperty(t, "shape", {
    configurable: true,
    enumerable: true,
    get() {
      throw new RuntimeError(
        "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in `load_state_dict` when trying to load an uninitialized parameter into an initialized one. Call `forward` of the lazy module to initialize its parameters before accessing their attributes.",
      );
    },
  });
}

function show(t: Tensor, value: Tensor): void {
  Object.defineProperty(t, "shape", { value: value.shape, configurable: true, enumerable: true, writable: true });
  setData(t, value);
}

function materialize(t: Tensor, shape: Shape, { device, dtype }: Factory, becomes: object): void {
  show(t, ops.empty(shape, { device: device ?? t.device, dtype: dtype ?? t.dtype }));
  Object.setPrototypeOf(t, becomes);
}

/** A parameter of a lazy module, whose shape the first input decides. Converts like others; anything else needs `materialize`. */
export class UninitializedParameter extends Parameter {
  constructor({ requires_grad = true, ...factory }: { requires_grad?: boolean } & Factory = {}) {
    super(nothing(factory), requires_grad);
    hideShape(this);
  }
  /** Makes this a Parameter of that shape, its values not set. */
  materialize(shape: Shape, factory: Factory = {}): void {
    materialize(this, shape, factory, Parameter.prototype);
  }
  override toString(): string {
    return "<UninitializedParameter>";
  }
}

/** The same as a buffer. */
export class UninitializedBuffer extends Buffer {
  constructor({ persistent = true, ...factory }: { persistent?: boolean } & Factory = {}) {
    super(nothing(factory), persistent);
    hideShape(this);
  }
  materialize(shape: Shape, factory: Factory = {}): void {
    materialize(this, shape, factory, Buffer.prototype);
  }
  override toString(): string {
    return "<UninitializedBuffer>";
  }
}

export function is_lazy(t: unknown): t is UninitializedParameter | UninitializedBuffer {
  return t instanceof UninitializedParameter || t instanceof UninitializedBuffer;
}

/** Another dtype, device or memory for a tensor of a module. What has no shape yet keeps having none. */
export function convert(t: Tensor, fn: (t: Tensor) => Tensor): void {
  if (is_lazy(t)) {
    show(t, fn(nothing({ device: t.device, dtype: t.dtype })));
    hideShape(t);
  } else setData(t, fn(t));
}
