/** Other geometry over the same memory. */

import { int64 } from "../core/dtype.ts";
import { RuntimeError } from "../core/errors.ts";
import { formatShape, inferShape, normalizeDim, numelOf, viewStrides, type Shape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, defineView, type Geometry, type Op } from "../engine/define.ts";
import type { Args } from "../engine/signature.ts";
import { arange } from "./creation.ts";

type ViewOp<A extends readonly unknown[]> = Op<[input: Tensor, ...A], Tensor, "method">;
/** A shape as one list or as separate numbers. */
type ShapeArgs = [shape: Shape] | number[];

export const expand: ViewOp<ShapeArgs> = defineView("expand", "input, *size", {
  doc: "Repeats size-1 dimensions without copying; -1 keeps a size.",
  geometry(input: Tensor, size: Shape) {
    const pad = size.length - input.ndim;
    if (pad < 0) {
      throw new RuntimeError(
        `expand: the number of sizes provided (${size.length}) must be greater or equal to the number of dimensions in the tensor (${input.ndim})`,
      );
    }
    const strides: number[] = [];
    const shape = size.map((n, i) => {
      const own = i < pad ? 1 : input.shape[i - pad]!;
      if ((n === -1 && i < pad) || n < -1) {
        throw new RuntimeError(`expand: the expanded size ${n} isn't allowed in a leading, non-existing dimension ${i}`);
      }
      const target = n === -1 ? own : n;
      if (own !== 1 && own !== target) {
        throw new RuntimeError(
          `expand: the expanded size of the tensor (${n}) must match the existing size (${own}) at non-singleton dimension ${i}. Target sizes: ${formatShape(size)}. Tensor sizes: ${formatShape(input.shape)}`,
        );
      }
      strides.push(i < pad || (own === 1 && target !== 1) ? 0 : input._strides[i - pad]!);
      return target;
    });
    return { shape, strides, offset: input._offset };
  },
  backward: (g, { shape }) => g.sum_to_size(shape),
});

export const view: ViewOp<ShapeArgs> = defineView("view", "input, *shape", {
  doc: "The same memory under another shape; an error where that needs a copy.",
  geometry(input: Tensor, size: Shape) {
    const shape = inferShape("view", size, input.numel());
    const strides = viewStrides(input.shape, input._strides, shape);
    if (strides === null) {
      throw new RuntimeError(
        `view: size ${formatShape(shape)} is not compatible with input tensor's size ${formatShape(input.shape)} and stride ${formatShape(input._strides)} (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead.`,
      );
    }
    return { shape, strides, offset: input._offset };
  },
  backward: (g, { shape }) => g.reshape(shape),
});

export const reshape: ViewOp<ShapeArgs> = composite(
  "reshape",
  "input, *shape",
  {
    doc: "The same elements under another shape: a view where possible, else a copy.",
  },
  (input: Tensor, size: Shape) => {
    const shape = inferShape("reshape", size, input.numel());
    const strides = viewStrides(input.shape, input._strides, shape);
    return strides === null ? input.contiguous().view(shape) : input.view(shape);
  },
);

export const unsqueeze: ViewOp<Args<[{ dim: number }]>> = defineView("unsqueeze", "input, dim", {
  doc: "A new dimension of size 1 at dim.",
  geometry(input: Tensor, dim: number) {
    const d = normalizeDim("unsqueeze", dim, input.ndim + 1);
    const stride = d < input.ndim ? input.shape[d]! * input._strides[d]! : 1;
    return {
      shape: input.shape.toSpliced(d, 0, 1),
      strides: input._strides.toSpliced(d, 0, stride),
      offset: input._offset,
    };
  },
  backward: (g, { shape }) => g.reshape(shape),
});

export const permute: ViewOp<ShapeArgs> = defineView("permute", "input, *dims", {
  doc: "Dimensions in another order.",
  geometry(input: Tensor, dims: Shape) {
    if (dims.length !== input.ndim) {
      throw new RuntimeError(
        `permute: number of dimensions in the tensor input does not match the length of the desired ordering of dimensions i.e. input.dim() = ${input.ndim} is not equal to len(dims) = ${dims.length}`,
      );
    }
    const order = dims.map((d) => normalizeDim("permute", d, input.ndim));
    if (new Set(order).size !== order.length) throw new RuntimeError("permute: duplicate dims are not allowed");
    return {
      shape: order.map((d) => input.shape[d]!),
      strides: order.map((d) => input._strides[d]!),
      offset: input._offset,
    };
  },
  backward(g, { shape }, dims: Shape) {
    const inverse = new Array<number>(shape.length);
    dims.forEach((d, i) => (inverse[normalizeDim("permute", d, shape.length)] = i));
    return g.permute(inverse);
  },
});

export const transpose: ViewOp<Args<[{ dim0: number }, { dim1: number }]>> = defineView("transpose", "input, dim0, dim1", {
  doc: "Swaps two dimensions.",
  geometry(input: Tensor, dim0: number, dim1: number) {
    const a = normalizeDim("transpose", dim0, input.ndim);
    const b = normalizeDim("transpose", dim1, input.ndim);
    return { shape: swapped(input.shape, a, b), strides: swapped(input._strides, a, b), offset: input._offset };
  },
  backward: (g, _input, dim0: number, dim1: number) => g.transpose(dim0, dim1),
});

function swapped(list: Shape, a: number, b: number): Shape {
  if (a === b) return list;
  const out = [...list];
  out[a] = list[b]!;
  out[b] = list[a]!;
  return out;
}

/** Farthest element of a geometry plus one. */
function extent(shape: Shape, strides: Shape, offset: number): number {
  return numelOf(shape) === 0 ? 0 : shape.reduce((far, n, i) => far + (n - 1) * strides[i]!, offset) + 1;
}

export const as_strided: ViewOp<Args<[{ size: Shape }, { stride: Shape }, { storage_offset?: number | null }]>> = defineView(
  "as_strided",
  "input, size, stride, storage_offset=None",
  {
    doc: "Any geometry over the input's storage.",
    geometry(input: Tensor, size: Shape, stride: Shape, storage_offset: number | null) {
      const offset = storage_offset ?? input._offset;
      if (size.length !== stride.length) {
        throw new RuntimeError(
          `as_strided: mismatch in length of strides and shape: ${formatShape(size)}, ${formatShape(stride)}`,
        );
      }
      if (stride.some((s) => s < 0))
        throw new RuntimeError(`as_strided: Negative strides are not supported, got ${formatShape(stride)}`);
      if (offset < 0 || extent(size, stride, offset) > input._capacity()) {
        throw new RuntimeError(
          `as_strided: sizes ${formatShape(size)}, strides ${formatShape(stride)}, storage offset ${offset} are out of bounds for storage of ${input._capacity()} elements`,
        );
      }
      return { shape: size, strides: stride, offset };
    },
    backward: (g, input, size: Shape, stride: Shape, offset: number | null) =>
      as_strided_backward(g, input, { shape: size, strides: stride, offset: offset ?? input.offset }),
  },
);

/**
 * Gradient of a tensor with geometry `input` of which a window of the same storage had gradient `g`; elements that the window shows
 * more than once get the sum.
 */
export function as_strided_backward(g: Tensor, input: Geometry, window: Geometry): Tensor {
  const { shape, strides } = window;
  const start = Math.min(input.offset, window.offset);
  const offset = window.offset - start;
  const span = Math.max(extent(input.shape, input.strides, input.offset - start), extent(shape, strides, offset));
  const flat = g.new_zeros([span]);
  const full = isInjective(shape, strides)
    ? flat.as_strided_scatter(g, shape, strides, offset)
    : flat.index_add(0, windowPositions(g, shape, strides, offset), g.reshape([-1]));
  return full.as_strided(input.shape, input.strides, input.offset - start);
}

/** Whether no two elements of a geometry share a place: each stride is longer than all that the shorter ones span. */
function isInjective(size: Shape, stride: Shape): boolean {
  const dims = size.map((_, d) => d).filter((d) => size[d] !== 1);
  dims.sort((a, b) => stride[a]! - stride[b]!);
  let span = 0;
  for (const d of dims) {
    if (stride[d]! <= span) return numelOf(size) === 0;
    span += (size[d]! - 1) * stride[d]!;
  }
  return true;
}

/** Storage positions of a window's elements in row-major order, as an int64 vector. */
function windowPositions(like: Tensor, size: Shape, stride: Shape, offset: number): Tensor {
  let out = like.new_full([1], offset, { dtype: int64 });
  size.forEach((n, d) => {
    const steps = arange(n, { device: like.device }).mul(stride[d]!);
    out = out.unsqueeze(-1).add(steps).flatten();
  });
  return out;
}
