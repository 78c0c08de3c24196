/** Values that PyTorch's cpu kernels refuse. Other devices would have to wait for them: there results are whatever comes, as in PyTorch's CUDA. */

import { bool, type DType } from "../core/dtype.ts";
import { no_grad } from "../core/grad_mode.ts";
import { finfo, iinfo } from "../core/numeric_limits.ts";
import type { Tensor } from "../core/tensor.ts";

/** Whether `bad` is true anywhere in a tensor on the cpu; false on other devices, and for the examples of a batch. */
export function somewhere(input: Tensor, bad: (values: Tensor) => Tensor): boolean {
  if (!input.is_cpu || input._batch !== null || input.numel() === 0) return false;
  return no_grad(() => bad(input.detach()).any().item_sync() === true);
}

/** Where numbers are beyond [0, 1], or NaN. */
export const beyondUnit = (values: Tensor): Tensor => values.ge(0).logical_and(values.le(1)).logical_not();

/** The least and the greatest finite number of a real dtype. */
export function limitsOf(dtype: DType): readonly [least: number | bigint, greatest: number | bigint] {
  if (dtype === bool) return [0, 1];
  const { min, max } = dtype.is_floating_point ? finfo(dtype) : iinfo(dtype);
  return [min, max];
}
