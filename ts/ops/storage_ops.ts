/** What a tensor is made of: counts, and ops that give it other memory. */

import { RuntimeError } from "../core/errors.ts";
import { contiguousStrides, formatShape, numelOf, type Shape } from "../core/shape.ts";
import { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";
import { alias, copyOf, empty } from "../engine/run.ts";
import { writeInto } from "../engine/inplace.ts";
import { checkTensor, type Args } from "../engine/signature.ts";
import { checkSize } from "./creation.ts";

export const numel: Op<[input: Tensor], number> = composite(
  "numel",
  "input",
  {
    doc: "The number of elements.",
    method: false,
  },
  (input: Tensor) => {
    checkTensor("numel", "input", input);
    return input.numel();
  },
);

type CountOp = Op<[self: Tensor], number, "method">;
export const ndimension: CountOp = composite(
  "ndimension",
  "self",
  { doc: "The number of dimensions." },
  (self: Tensor) => self.ndim,
);
export const nelement: CountOp = composite("nelement", "self", { doc: "The number of elements." }, (self: Tensor) =>
  self.numel(),
);

declare module "../core/tensor.ts" {
  interface Tensor {
    /** Bytes per element. */
    readonly itemsize: number;
    /** Bytes of all elements. */
    readonly nbytes: number;
  }
}

Object.defineProperties(Tensor.prototype, {
  itemsize: {
    get(this: Tensor) {
      return this.dtype.itemsize;
    },
    configurable: true,
  },
  nbytes: {
    get(this: Tensor) {
      return this.dtype.itemsize * this.numel();
    },
    configurable: true,
  },
});

type Mutable = { -readonly [K in "shape" | "_strides" | "_offset" | "_storage"]: Tensor[K] };

function become(self: Tensor, source: Tensor): Tensor {
  const target = self as Mutable;
  target._storage = source._storage;
  target.shape = source.shape;
  target._strides = source._strides;
  target._offset = source._offset;
  return self;
}

function resized(name: string, self: Tensor, size: Shape): Tensor {
  checkSize(name, size);
  if (self.requires_grad) throw new RuntimeError(`${name}: cannot resize variables that require grad`);
  const n = numelOf(size);
  const room = self._capacity() - self._offset;
  if (n <= room) return become(self, alias(self, size, contiguousStrides(size), self._offset));
  const out = empty([n], self.dtype, self.device);
  if (room > 0) writeInto(alias(out, [room], [1], 0), copyOf(alias(self, [room], [1], self._offset), self.dtype));
  return become(self, alias(out, size, contiguousStrides(size), 0));
}

type ResizeOp<A extends readonly unknown[]> = Op<[self: Tensor, ...A], Tensor, "method">;

export const resize_: ResizeOp<[sizes: Shape] | number[]> = composite(
  "resize_",
  "self, *sizes",
  {
    doc: "Another shape over the same memory, or larger memory that begins with it; views keep the old one.",
  },
  (self: Tensor, sizes: Shape) => resized("resize_", self, sizes),
);

export const resize_as_: ResizeOp<Args<[{ other: Tensor }], { memory_format?: null }>> = composite(
  "resize_as_",
  "self, other, *, memory_format=None",
  { doc: "resize_ to other's shape." },
  (self: Tensor, other: Tensor) => {
    checkTensor("resize_as_", "other", other);
    return resized("resize_as_", self, other.shape);
  },
);

export const set_: ResizeOp<Args<[{ source: Tensor }]>> = composite(
  "set_",
  "self, source",
  {
    doc: "Makes self show source's memory.",
  },
  (self: Tensor, source: Tensor) => {
    checkTensor("set_", "source", source);
    if (source.dtype !== self.dtype) {
      throw new RuntimeError(`set_: could not set tensor of type ${self.dtype} to a tensor of type ${source.dtype}`);
    }
    if (source.device !== self.device) {
      throw new RuntimeError(
        `set_: expected source ${formatShape(source.shape)} to be on ${self.device.type}, but it is on ${source.device.type}`,
      );
    }
    return become(self, source);
  },
);
