/** `update`: the step of an optimizer that is written as expressions. */

import { specKey } from "../../ts/kernel/spec_key.ts";
import type { GpuLowering } from "../context.ts";
import { ExprBuilder, inspect } from "../scalar/expr.ts";
import { stepInPlace } from "./slots.ts";

export const lowerUpdate: GpuLowering<"update"> = (spec, context) => {
  const info = inspect(context, spec.outputs);
  const key = specKey(spec);
  return (gradients, outputs, { scalars }) =>
    stepInPlace(context, gradients, outputs, {
      name: "update",
      key,
      dtype: spec.dtype,
      values: info.params(scalars),
      begin: (k) => {
        const exprs = new ExprBuilder(k, context, spec.outputs);
        return (gradient, own) =>
          exprs.stored(spec.outputs, { load: (j) => (j === 0 ? gradient : own[j - 1]!), index: () => k.u32(0) });
      },
    });
};
