/** The ends of number ranges. */

import type { Device } from "../core/device.ts";
import { bool, type DType, type Scalar } from "../core/dtype.ts";

/** The least or greatest value of a dtype on a device: integers of 64 bits end at 32 where the device keeps them so. */
export function extreme(dtype: DType, device: Device, greatest: boolean): Scalar {
  if (dtype.is_floating_point) return greatest ? Infinity : -Infinity;
  if (dtype === bool) return greatest;
  const bits = BigInt(Math.min(dtype.itemsize * 8, device.caps.int64 ? 64 : 32));
  const [least, most] = dtype.is_signed ? [-(1n << (bits - 1n)), (1n << (bits - 1n)) - 1n] : [0n, (1n << bits) - 1n];
  const value = greatest ? most : least;
  return bits === 64n ? value : Number(value);
}
