/** Scalar functions of row kernels. */

import type { V } from "../builder.ts";
import { INF_BITS, isFinite } from "../scalar/basics.ts";
import { expNormal } from "../scalar/math_exp.ts";
import { emitOp } from "../scalar/table.ts";

/** e^x for x <= 0 up to rounding; anything else that is finite gives something finite, Inf and NaN do not. -Inf gives 0. */
export function expNonPositive(x: V): V {
  if (x.scalar !== "f32") return emitOp(x.block, "exp", x.scalar, [x], "float64");
  return x.lt(-87).select(x.block.f32(0), expNormal(x));
}

export function logOf(x: V): V {
  return emitOp(x.block, "log", x.scalar, [x], "float64");
}

/** A sum of exponentials; NaN where it is 0, Inf or NaN: the row had NaN or +Inf, or nothing but -Inf. */
export function overUnlessFinite(total: V): V {
  const { block } = total;
  const nan = block.const(NaN, total.scalar);
  if (total.scalar !== "f32") return total.gt(0).and(total.lt(Infinity)).select(total, nan);
  return isFinite(total).and(total.bitcast("u32").ne(0)).select(total, nan);
}

export { INF_BITS };
