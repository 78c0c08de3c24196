/** What several families of torch.nn.functional need. Internal. */

import { float32, float64, type DType } from "../../core/dtype.ts";
import { RuntimeError, ValueError } from "../../core/errors.ts";
import { contiguousStrides, formatShape, isContiguous, type Shape } from "../../core/shape.ts";
import type { Tensor } from "../../core/tensor.ts";
import { alias, contiguous } from "../../engine/run.ts";
import type { Triple } from "../../kernel/spec.ts";

/** A number for all dimensions, or one per dimension. */
export type Sizes = number | readonly number[];

/** One number per spatial dimension. */
export function sizesOf(op: string, name: string, value: Sizes, n: number): number[] {
  const list = typeof value === "number" ? [value] : [...value];
  if (list.length === 1) return Array.from({ length: n }, () => list[0]!);
  if (list.length !== n) {
    throw new RuntimeError(`${op}: ${name} must be a number or ${n} numbers, got ${formatShape(list)}`);
  }
  return list;
}

/** Numbers of up to three dimensions as the kernels want them. */
export function triple(values: readonly number[], missing: number): Triple {
  const [a, b, c] = [...Array.from({ length: 3 - values.length }, () => missing), ...values];
  return [a!, b!, c!];
}

/** Where integers go to be averaged or convolved: exact up to 2^53, or 2^24 on devices without float64. */
export const widest = (t: Tensor): DType => (t.device.caps.float64 ? float64 : float32);

/** [N, C, spatial...] as a contiguous [N, C, D, H, W]; no autograd. */
export function asVolume(t: Tensor): Tensor {
  const dense = contiguous(t);
  if (t.ndim === 5) return dense;
  const shape = [t.shape[0]!, t.shape[1]!, ...triple(t.shape.slice(2), 1)];
  return alias(dense, shape, contiguousStrides(shape), dense._offset);
}

/** The same contiguous memory in another shape; no autograd. */
export function shaped(t: Tensor, shape: Shape): Tensor {
  if (!isContiguous(t.shape, t._strides)) throw new RuntimeError("internal: a contiguous tensor was expected");
  return alias(t, shape, contiguousStrides(shape), t._offset);
}

export type Reduction = "none" | "mean" | "sum";

export function checkReduction(reduction: string): void {
  if (reduction !== "none" && reduction !== "mean" && reduction !== "sum") {
    throw new ValueError(`${String(reduction)} is not a valid value for reduction: expected 'none', 'mean' or 'sum'`);
  }
}

/** The mean of all elements; narrow types are summed in float32. */
export function meanOf(t: Tensor): Tensor {
  if (t.dtype.is_floating_point && t.dtype.itemsize === 2) return t.to(float32).sum().div(t.numel()).to(t.dtype);
  return t.sum().div(t.numel());
}

/** A loss per element → what the caller asked for. */
export function reduced(loss: Tensor, reduction: string): Tensor {
  if (reduction === "none") return loss;
  if (reduction === "sum") return loss.sum();
  checkReduction(reduction);
  return meanOf(loss);
}

export function checkFloating(op: string, dtype: DType): void {
  if (!dtype.is_floating_point) throw new RuntimeError(`${op}: not implemented for ${dtype}; expected a floating-point dtype`);
}

/** Shape that lines a vector over channels (dim 1) up with `ndim` dimensions. */
export function channelShape(channels: number, ndim: number): number[] {
  return Array.from({ length: ndim }, (_, d) => (d === 1 ? channels : 1));
}

/** PyTorch's old two switches, which win over `reduction` where given. */
export function legacyReduction(size_average: boolean | null, reduce: boolean | null, reduction: string): string {
  if (size_average === null && reduce === null) return reduction;
  if (reduce === false) return "none";
  return size_average === false ? "sum" : "mean";
}
