/** Conversions and questions that are methods only: `x.float()`. (As functions their names would be those of dtypes.) */

import type { Device } from "../core/device.ts";
import {
  bfloat16 as BFLOAT16,
  bool as BOOL,
  complex128,
  complex64,
  float16,
  float32,
  float64,
  int16,
  int32,
  int64,
  int8,
  uint8,
  type DType,
} from "../core/dtype.ts";
import { sameShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import type { Args } from "../engine/signature.ts";

type CastOp = Op<[self: Tensor, options?: { memory_format?: unknown }], Tensor, "method">;

function castTo(name: string, dtype: DType): CastOp {
  return composite(name, "self, *, memory_format=None", { doc: `self as ${dtype}.` }, (self: Tensor) => self.to(dtype));
}

export const float: CastOp = castTo("float", float32);
export const double: CastOp = castTo("double", float64);
export const half: CastOp = castTo("half", float16);
export const bfloat16: CastOp = castTo("bfloat16", BFLOAT16);
export const long: CastOp = castTo("long", int64);
export const int: CastOp = castTo("int", int32);
export const short: CastOp = castTo("short", int16);
export const char: CastOp = castTo("char", int8);
export const byte: CastOp = castTo("byte", uint8);
export const cfloat: CastOp = castTo("cfloat", complex64);
export const cdouble: CastOp = castTo("cdouble", complex128);
export const bool: CastOp = castTo("bool", BOOL);

export const type_as: Op<[self: Tensor, ...Args<[{ other: Tensor }]>], Tensor, "method"> = composite(
  "type_as",
  "self, other",
  { doc: "self in other's dtype." },
  (self: Tensor, other: Tensor) => self.to(other.dtype),
);

type MoveOp<A extends readonly unknown[]> = Op<[self: Tensor, ...A], Tensor, "method">;

export const cpu: MoveOp<[options?: { memory_format?: null }]> = composite(
  "cpu",
  "self, memory_format=None",
  { doc: "self in the cpu's memory. From a device that is read asynchronously (webgpu): await to_async." },
  (self: Tensor) => self.to("cpu"),
);

type CudaOp = MoveOp<Args<[{ device?: Device | string | number | null }, { non_blocking?: boolean }], { memory_format?: null }>>;
export const cuda: CudaOp = composite(
  "cuda",
  "self, device=None, non_blocking=False, memory_format=None",
  { doc: "self on a CUDA device: the current one, or that of this number or name." },
  (self: Tensor, device: Device | string | number | null) => {
    if (typeof device === "number") return self.to(`cuda:${device}`);
    return device === null && self.device.type === "cuda" ? self : self.to(device ?? "cuda");
  },
);

export const is_set_to: Op<[self: Tensor, ...Args<[{ tensor: Tensor }]>], boolean, "method"> = composite(
  "is_set_to",
  "self, tensor",
  { doc: "Whether both show the same memory with the same shape, strides and dtype." },
  (self: Tensor, tensor: Tensor) =>
    self._storage === tensor._storage &&
    self._offset === tensor._offset &&
    self.dtype === tensor.dtype &&
    sameShape(self.shape, tensor.shape) &&
    sameShape(self._strides, tensor._strides),
);
