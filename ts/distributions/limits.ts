/** What numbers can be, for clamping and tolerances. */

import { type DType, float32 } from "../core/dtype.ts";
import { finfo } from "../core/numeric_limits.ts";

/** The machine epsilon and the smallest normal number; those of float32 for whole numbers. */
export const limits = (dtype: DType): { readonly eps: number; readonly tiny: number } =>
  finfo(dtype.is_floating_point ? dtype : float32);
