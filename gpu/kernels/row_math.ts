/** Scalar functions of row kernels. */

import type { V } from "../builder.ts";
import { INF_BITS, isFinite } from "../scalar/basics.ts";
import { emitOp } from "../scalar/table.ts";

export const LOG2E = 1.4426950408889634;
const MINUS_INF_BITS = 0xff800000;

/** e^x for x <= 0 up to rounding; anything else that is finite gives something finite, Inf and NaN do not. -Inf gives 0. */
export function expNonPositive(x: V): V {
  if (x.scalar !== "f32") return emitOp(x.block, "exp", x.scalar, [x], "float64");
  const y = x.lt(-87).select(x.block.f32(0), x.block.op("exp2_fast", x.mul(LOG2E)));
  // The target's own function may make anything of NaN and Inf.
  const word = x.bitcast("u32");
  return word.and(0x7fffffff).ge(INF_BITS).and(word.ne(MINUS_INF_BITS)).select(x, y);
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
