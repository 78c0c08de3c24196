/** Copies, dtype and device moves, and reading values back. */

import type { Device } from "../core/device.ts";
import { DType } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { needsGraph, Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { record } from "../engine/node.ts";
import { alias, bytesOf, contiguous as dense, copyOf, empty, moved } from "../engine/run.ts";
import { isOptions, type Args } from "../engine/signature.ts";
import { resolveDevice } from "./devices.ts";
import { bytesToArray, nested, type NestedNumbers, type TypedArray } from "./values.ts";

function recorded(name: string, input: Tensor, out: Tensor): Tensor {
  if (!needsGraph(input) || !out.dtype.differentiable) return out;
  const { device } = input;
  record(name, [input], [out], ([g]) => [g && g.device !== device ? to(g, device) : g], null);
  return out;
}

type CloneOp = Op<[input: Tensor, ...Args<[], { memory_format?: null }>], Tensor, "method">;

export const clone: CloneOp = composite(
  "clone",
  "input, *, memory_format=None",
  {
    doc: "A copy with memory of its own.",
  },
  (input: Tensor) => recorded("Clone", input, copyOf(input, input.dtype)),
);

export const contiguous: CloneOp = composite(
  "contiguous",
  "input, *, memory_format=None",
  {
    doc: "Itself when dense in row-major order, else a dense copy.",
  },
  (input: Tensor) => (input.is_contiguous() ? input : clone(input)),
);

export const detach: Op<[input: Tensor], Tensor, "method"> = composite(
  "detach",
  "input",
  {
    doc: "The same memory outside the graph.",
  },
  (input: Tensor) => alias(input, input.shape, input._strides, input._offset),
);

type ToArgs =
  | Args<[{ dtype?: DType | null }], { device?: Device | string | null; copy?: boolean; non_blocking?: boolean }>
  | Args<[{ device?: Device | string | null }, { dtype?: DType | null }], { copy?: boolean; non_blocking?: boolean }>
  | [other: Tensor];

export const to: Op<[input: Tensor, ...ToArgs], Tensor, "method"> = composite(
  "to",
  "input, target=None, dtype=None, non_blocking=False, copy=False, *, device=None, memory_format=None",
  { doc: "The tensor in another dtype or on another device; itself when nothing changes, unless copy." },
  (
    input: Tensor,
    target: DType | Device | string | Tensor | null,
    dtype: DType | null,
    _nonBlocking: boolean,
    copy: boolean,
    device: Device | string | null,
  ) => {
    let type = dtype ?? input.dtype;
    let place = device === null ? input.device : resolveDevice(device);
    if (target instanceof DType) type = target;
    else if (target instanceof Tensor) {
      type = target.dtype;
      place = target.device;
    } else if (target !== null) place = resolveDevice(target);
    let out = input;
    if (place !== out.device) out = recorded("ToCopy", out, moved(out, place));
    if (type !== out.dtype || (copy && out === input)) out = recorded("ToCopy", out, copyOf(out, type));
    return out;
  },
);

async function readBytesAsync(t: Tensor): Promise<Uint8Array> {
  if (t.numel() === 0) return new Uint8Array(0);
  const { _offset, dtype, _storage } = dense(t);
  const bytes = await t.device.read(_storage.materialize(), _offset * dtype.itemsize, t.numel() * dtype.itemsize);
  await t.device.relieve?.();
  return bytes;
}

type Item = number | bigint | boolean;

function single(t: Tensor, values: TypedArray): Item {
  const value = nested([], t.dtype, values) as Item;
  return value;
}

function checkSingle(t: Tensor): void {
  if (t.numel() !== 1) {
    throw new RuntimeError(`item: a Tensor with ${t.numel()} elements cannot be converted to Scalar`);
  }
}

declare module "../core/tensor.ts" {
  interface Tensor {
    /** The values in row-major order: a copy, as a typed array (float16 and bfloat16 as Float32Array, bool as Uint8Array). */
    data(): Promise<TypedArray>;
    /** `data` without waiting; cpu and cuda only. */
    data_sync(): TypedArray;
    /** The only element as a number, boolean, or (int64 beyond 2^53) bigint. */
    item(): Promise<Item>;
    item_sync(): Item;
    /** Nested lists of the values. */
    tolist(): Promise<NestedNumbers>;
    /**
     * `to`, from any device: like all reading of values, leaving "webgpu" takes an await. Takes a device, or a dtype and a device in
     * `{ dtype, device }`. Gradients flow back.
     */
    to_async(device: Device | string | { device?: Device | string | null; dtype?: DType | null }): Promise<Tensor>;
    tolist_sync(): NestedNumbers;
  }
}

Object.assign(Tensor.prototype, {
  async data(this: Tensor) {
    return bytesToArray(this.dtype, await readBytesAsync(this));
  },
  async to_async(this: Tensor, target: Device | string | { device?: Device | string | null; dtype?: DType | null }) {
    const options = isOptions(target)
      ? (target as { device?: Device | string | null; dtype?: DType | null })
      : { device: target };
    const device = resolveDevice(options.device ?? this.device);
    const dtype = options.dtype ?? null;
    if (device === this.device || this.device.readSync !== undefined) return this.to({ device, dtype });
    const bytes = await readBytesAsync(this);
    const out = empty(this.shape, this.dtype, device);
    if (bytes.length > 0) device.write(out._storage.buffer!, 0, bytes);
    return recorded("ToCopy", this, out).to({ dtype });
  },
  data_sync(this: Tensor) {
    return bytesToArray(this.dtype, bytesOf(this, "reading values"));
  },
  async item(this: Tensor) {
    checkSingle(this);
    return single(this, await this.data());
  },
  item_sync(this: Tensor) {
    checkSingle(this);
    return single(this, this.data_sync());
  },
  async tolist(this: Tensor) {
    return nested(this.shape, this.dtype, await this.data());
  },
  tolist_sync(this: Tensor) {
    return nested(this.shape, this.dtype, this.data_sync());
  },
});
