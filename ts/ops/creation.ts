/** New tensors from values, constants and ranges. */

import type { Device } from "../core/device.ts";
import {
  Category,
  Complex,
  float32,
  float64,
  FloatScalar,
  get_default_dtype,
  int16,
  int32,
  int64,
  int8,
  isScalar,
  scalarDType,
  uint8,
  type DType,
  type Scalar,
} from "../core/dtype.ts";
import { RuntimeError, ValueError } from "../core/errors.ts";
import type { Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { deferMap, makeTemplate, type Template } from "../engine/fusion.ts";
import { paired } from "../engine/pairs.ts";
import { empty as allocate } from "../engine/run.ts";
import { describe, type Args } from "../engine/signature.ts";
import { e } from "../kernel/builder.ts";
import { cast, index, scalar } from "../kernel/expr.ts";
import { get_default_device, resolveDevice } from "./devices.ts";
import { encode, type NestedData, type TypedArray } from "./values.ts";

export interface TensorOptions {
  dtype?: DType | null;
  device?: Device | string | null;
  requires_grad?: boolean;
}

/** @internal */
export const place = (device: Device | string | null | undefined): Device =>
  device === null || device === undefined ? get_default_device() : resolveDevice(device);

function arrayDType(a: TypedArray): DType {
  if (a instanceof Float32Array) return float32;
  if (a instanceof Float64Array) return float64;
  if (a instanceof Int32Array) return int32;
  if (a instanceof Int16Array) return int16;
  if (a instanceof Int8Array) return int8;
  if (a instanceof BigInt64Array) return int64;
  return uint8;
}

const isTyped = (x: unknown): x is TypedArray => ArrayBuffer.isView(x) && !(x instanceof DataView);

/** A tensor of bytes in the dtype's own layout. */
export function fromBytes(bytes: Uint8Array, shape: Shape, dtype: DType, device: Device): Tensor {
  const out = allocate(shape, dtype, device);
  device.write(out._storage.buffer!, 0, bytes);
  return out;
}

/** Walks nested lists: their common shape, values in order, and the dtype that holds all. */
function flatten(data: NestedData): { shape: number[]; values: Scalar[]; dtype: DType } {
  const shape: number[] = [];
  const values: Scalar[] = [];
  let dtype: DType | null = null;
  if (typeof data === "string") throw new TypeError(`tensor: expected numbers, booleans or nested lists of them, got a string`);
  for (let x: unknown = data; Array.isArray(x) || isTyped(x); x = x[0]) {
    shape.push(x.length);
    if (x.length === 0) break;
  }
  const walk = (x: unknown, d: number): void => {
    if (x instanceof Tensor && x.ndim === 0) x = x.item_sync();
    if (d === shape.length) {
      if (x instanceof Complex) {
        dtype = get_default_dtype().complex;
        values.push(x as unknown as Scalar);
        return;
      }
      if (!isScalar(x)) {
        if (Array.isArray(x) || isTyped(x)) throw new ValueError(`tensor: lists are nested to different depths (at dim ${d})`);
        throw new TypeError(`tensor: expected numbers, booleans or nested lists of them, got ${describe(x)}`);
      }
      const own = scalarDType(x);
      if (dtype === null || own.category > dtype.category) dtype = own;
      values.push(x);
      return;
    }
    if (!(Array.isArray(x) || isTyped(x)) || x.length !== shape[d]) {
      const got = Array.isArray(x) || isTyped(x) ? `length ${x.length}` : describe(x);
      throw new ValueError(`tensor: expected sequence of length ${shape[d]} at dim ${d} (got ${got})`);
    }
    for (let i = 0; i < x.length; i++) walk(x[i], d + 1);
  };
  walk(data, 0);
  return { shape, values, dtype: dtype ?? get_default_dtype() };
}

type TensorFn = Op<[data: NestedData | Tensor, options?: TensorOptions], Tensor>;

export const tensor: TensorFn = composite(
  "tensor",
  "data, *, dtype=None, device=None, requires_grad=False",
  {
    doc: "A tensor of numbers in nested lists or a typed array, copied. The dtype is inferred: bool, int64, the default float, or the typed array's.",
  },
  (data: NestedData | Tensor, dtype: DType | null, device: Device | string | null, requires_grad: boolean) => {
    let out: Tensor;
    if (data instanceof Tensor) out = data.detach().to(place(device ?? data.device), { dtype, copy: true });
    else if (isTyped(data)) {
      const type = dtype ?? arrayDType(data);
      const bytes =
        type === arrayDType(data)
          ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
          : encode(type, data as ArrayLike<Scalar>);
      out = fromBytes(bytes, [data.length], type, place(device));
    } else {
      const { shape, values, dtype: inferred } = flatten(data);
      // JavaScript cannot write 2.0: whole numbers that are to require grad are meant as floats.
      const type = dtype ?? (requires_grad && inferred === int64 ? get_default_dtype() : inferred);
      out = fromBytes(encode(type, values), shape, type, place(device));
    }
    return requires_grad ? out.requires_grad_() : out;
  },
);

const fills = new Map<number, Template>();

/** A deferred constant: costs nothing until its bytes are needed, and fuses into what reads it. */
export function filled(shape: Shape, value: Scalar | Complex, dtype: DType, device: Device): Tensor {
  if (dtype.is_complex) {
    const [re, im] = value instanceof Complex ? [value.re, value.im] : [value, 0];
    return paired(filled(shape, re, dtype.real, device), filled(shape, im, dtype.real, device));
  }
  if (value instanceof Complex) throw new RuntimeError(`value cannot be converted to type ${dtype} without overflow: ${value}`);
  let template = fills.get(dtype.code);
  if (template === undefined) fills.set(dtype.code, (template = makeTemplate(scalar(0, dtype), 0, 1)));
  const v = value instanceof FloatScalar ? value.value : typeof value === "boolean" ? Number(value) : value;
  const slot = typeof v === "bigint" && dtype.compute !== "i64" ? Number(v) : v;
  return deferMap(template, [], [slot], shape, device);
}

/** @internal */
export function checkSize(op: string, size: Shape): Shape {
  if (typeof size === "number") return checkSize(op, [size]); // `x.new_zeros(3)`
  if (!Array.isArray(size)) throw new TypeError(`${op}: the size must be whole numbers, got ${describe(size)}`);
  for (const n of size) {
    if (!Number.isInteger(n)) throw new TypeError(`${op}: sizes must be whole numbers, got ${String(n)}`);
    if (n < 0) throw new RuntimeError(`${op}: Trying to create tensor with negative dimension ${n}: [${size.join(", ")}]`);
  }
  return size;
}

/** @internal */
export const finish = (t: Tensor, requires_grad: boolean): Tensor => (requires_grad ? t.requires_grad_() : t);

type SizeArgs = [size: Shape, options?: TensorOptions] | number[] | [...number[], TensorOptions];
type CreateOp = Op<SizeArgs, Tensor>;
const CREATE = "*size, dtype=None, device=None, requires_grad=False";

function constantOp(name: string, value: number): CreateOp {
  return composite(
    name,
    CREATE,
    { doc: `A tensor of ${value}s.` },
    (size: Shape, dtype: DType | null, device: string | null, rg: boolean) =>
      finish(filled(checkSize(name, size), value, dtype ?? get_default_dtype(), place(device)), rg),
  );
}
export const zeros: CreateOp = constantOp("zeros", 0);
export const ones: CreateOp = constantOp("ones", 1);

export const empty: CreateOp = composite(
  "empty",
  CREATE,
  {
    doc: "A tensor whose values are whatever was in its memory.",
  },
  (size: Shape, dtype: DType | null, device: string | null, rg: boolean) =>
    finish(allocate(checkSize("empty", size), dtype ?? get_default_dtype(), place(device)), rg),
);

type FullOp = Op<[...Args<[{ size: Shape }, { fill_value: Scalar }], TensorOptions>], Tensor>;
export const full: FullOp = composite(
  "full",
  "size, fill_value, *, dtype=None, device=None, requires_grad=False",
  {
    doc: "A tensor of one value; its dtype is the value's unless given.",
  },
  (size: Shape, value: Scalar, dtype: DType | null, device: string | null, rg: boolean) =>
    finish(filled(checkSize("full", size), value, dtype ?? scalarDType(value), place(device)), rg),
);

type LikeOp = Op<[input: Tensor, options?: TensorOptions], Tensor>;
const LIKE = "input, *, dtype=None, device=None, requires_grad=False, memory_format=None";

function likeOp(name: string, value: number): LikeOp {
  return composite(
    name,
    LIKE,
    { doc: `A tensor of ${value}s with input's shape.`, method: false },
    (input: Tensor, dtype: DType | null, device: string | null, rg: boolean) =>
      finish(filled(input.shape, value, dtype ?? input.dtype, device === null ? input.device : place(device)), rg),
  );
}
export const zeros_like: LikeOp = likeOp("zeros_like", 0);
export const ones_like: LikeOp = likeOp("ones_like", 1);

export const empty_like: LikeOp = composite(
  "empty_like",
  LIKE,
  {
    doc: "An uninitialised tensor with input's shape.",
    method: false,
  },
  (input: Tensor, dtype: DType | null, device: string | null, rg: boolean) =>
    finish(allocate(input.shape, dtype ?? input.dtype, device === null ? input.device : place(device)), rg),
);

type FullLikeOp = Op<[input: Tensor, ...Args<[{ fill_value: Scalar }], TensorOptions>], Tensor>;
export const full_like: FullLikeOp = composite(
  "full_like",
  LIKE.replace("input", "input, fill_value"),
  { doc: "A tensor of one value with input's shape.", method: false },
  (input: Tensor, value: Scalar, dtype: DType | null, device: string | null, rg: boolean) =>
    finish(filled(input.shape, value, dtype ?? input.dtype, device === null ? input.device : place(device)), rg),
);

type NewOp = Op<[input: Tensor, size: Shape, options?: TensorOptions], Tensor, "method">;
export const new_zeros: NewOp = composite(
  "new_zeros",
  "input, size, *, dtype=None, device=None, requires_grad=False",
  {
    doc: "Zeros with input's dtype and device.",
  },
  (input: Tensor, size: Shape, dtype: DType | null, device: string | null, rg: boolean) =>
    finish(filled(checkSize("new_zeros", size), 0, dtype ?? input.dtype, device === null ? input.device : place(device)), rg),
);

type NewFullOp = Op<[input: Tensor, size: Shape, fill_value: Scalar, options?: TensorOptions], Tensor, "method">;
export const new_full: NewFullOp = composite(
  "new_full",
  "input, size, fill_value, *, dtype=None, device=None, requires_grad=False",
  {
    doc: "One value with input's dtype and device.",
  },
  (input: Tensor, size: Shape, value: Scalar, dtype: DType | null, device: string | null, rg: boolean) =>
    finish(filled(checkSize("new_full", size), value, dtype ?? input.dtype, device === null ? input.device : place(device)), rg),
);

const ranges = new Map<number, Template>();

/** start + step * i for i in [0, n), computed in float64 (or int64) as PyTorch does. */
export function ramp(n: number, start: number | bigint, step: number | bigint, dtype: DType, device: Device): Tensor {
  let template = ranges.get(dtype.code);
  if (template === undefined) {
    const type = dtype.is_floating_point ? float64 : int64;
    const x = e.add(e.mul(index("linear", type), scalar(1, type)), scalar(0, type));
    ranges.set(dtype.code, (template = makeTemplate(cast(x, dtype), 0, 2)));
  }
  return deferMap(template, [], [start, step], [n], device);
}

type ArangeOp = Op<
  | [end: Scalar, options?: TensorOptions]
  | [start: Scalar, end: Scalar, options?: TensorOptions]
  | [start: Scalar, end: Scalar, step: Scalar, options?: TensorOptions],
  Tensor
>;
export const arange: ArangeOp = composite(
  "arange",
  "start, end=None, step=1, *, dtype=None, device=None, requires_grad=False",
  {
    doc: "Values from start (0) up to but not including end, step apart.",
  },
  (a: Scalar, b: Scalar | null, step: Scalar, dtype: DType | null, device: string | null, rg: boolean) => {
    const [start, end] = b === null ? [0, a] : [a, b];
    const all = [start, end, step];
    const [from, to, by] = all.map(Number) as [number, number, number];
    if (by === 0 || Number.isNaN(by)) throw new RuntimeError("arange: step must be nonzero");
    if (!Number.isFinite(from) || !Number.isFinite(to)) throw new RuntimeError(`arange: unsupported range: ${from} -> ${to}`);
    if (by > 0 ? to < from : to > from) {
      throw new RuntimeError(
        `arange: upper bound and larger bound inconsistent with step sign (start ${from}, end ${to}, step ${by})`,
      );
    }
    const whole = all.every((x) => scalarDType(x).category < Category.floating);
    const type = dtype ?? (whole ? int64 : get_default_dtype());
    const n = Math.ceil((to - from) / by);
    return finish(ramp(n, from, by, type, place(device)), rg);
  },
);
