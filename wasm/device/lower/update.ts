/** update: a map in place for each group of tensors. */

import type { View } from "../../../ts/core/device.ts";
import { numelOf } from "../../../ts/core/shape.ts";
import type { ComposedLowering } from "../context.ts";

export const lowerUpdate: ComposedLowering<"update"> = ({ dtype, scalars, outputs: exprs }, context) => {
  const each = exprs.length;
  const step = context.lower<"map">({
    kind: "map",
    inputs: Array.from({ length: each + 1 }, () => dtype),
    scalars,
    outputs: exprs,
  });
  return (gradients, outputs, params) =>
    gradients.forEach((gradient, i) => {
      const own = outputs.slice(i * each, (i + 1) * each).map(flat);
      step([flat(gradient), ...own], own, params);
    });
};

function flat(view: View): View {
  return { ...view, shape: [numelOf(view.shape)], strides: [1] };
}
