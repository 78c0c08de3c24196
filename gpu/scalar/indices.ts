/** Index nodes of expressions: positions along a dim, from an element's row-major number. */

import { numelOf } from "../../ts/core/shape.ts";
import type { KernelBuilder, V } from "../builder.ts";
import type { ElementSource, ExprInfo } from "./expr.ts";

/** Params of a kernel with index nodes over a space of this shape: the number is divided by `step`, modulo `size`. */
export function indexParams(info: ExprInfo, shape: readonly number[]): Record<string, number> {
  const params: Record<string, number> = {};
  for (const dim of info.indices) {
    if (dim === "linear") continue;
    const d = shape.length - 1 - dim;
    params[`index${dim}_step`] = d < 0 ? 1 : numelOf(shape.slice(d + 1));
    params[`index${dim}_size`] = d < 0 ? 1 : shape[d]!;
  }
  return params;
}

/** What index nodes ask for. */
export function indexOf(k: KernelBuilder, linear: V): ElementSource["index"] {
  return (dim) => {
    if (dim === "linear") return linear;
    return linear.div(k.param(`index${dim}_step`, "u32")).rem(k.param(`index${dim}_size`, "u32"));
  };
}
