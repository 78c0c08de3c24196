/** Distance between floating values in units in the last place. */

import * as dtypes from "../../ts/core/dtype.ts";
import type { DType } from "../../ts/core/dtype.ts";
import type { Value } from "./context.ts";

/** How far `actual` is from `expected`, both values of `dtype`. Zeros are equal, so are NaNs, and integers must be. */
export function ulpsApart(dtype: DType, actual: Value, expected: Value): number {
  if (typeof actual === "bigint" || typeof expected === "bigint" || !dtype.is_floating_point)
    return actual === expected ? 0 : Infinity;
  if (actual === expected || (Number.isNaN(actual) && Number.isNaN(expected))) return 0;
  if (!Number.isFinite(actual) || !Number.isFinite(expected)) return Infinity;
  return Math.abs(actual - expected) / ulp(dtype, expected);
}

const BITS = new Map([
  [dtypes.float16, [10, -14]],
  [dtypes.bfloat16, [7, -126]],
  [dtypes.float32, [23, -126]],
  [dtypes.float64, [52, -1022]],
]);

export function ulp(dtype: DType, x: number): number {
  const [mantissa, least] = BITS.get(dtype) as [number, number];
  const a = Math.abs(x);
  let exponent = a === 0 ? least : Math.floor(Math.log2(a));
  if (2 ** exponent > a) exponent--;
  return 2 ** (Math.max(exponent, least) - mantissa);
}
