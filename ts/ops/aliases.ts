/** Second names, as `absolute` for `abs`: of functions, methods and in-place forms; and what nn.functional shares with Tensor. */

import type { Tensor } from "../core/tensor.ts";
import type { Op } from "../engine/define.ts";
import type { Args } from "../engine/signature.ts";
import * as activation from "./functional/activation.ts";

type MethodOf<P extends readonly object[]> = Op<[input: Tensor, ...Args<P>], Tensor, "method">;
export const hardshrink = activation.hardshrink as unknown as MethodOf<[{ lambd?: number }]>;
export const prelu = activation.prelu as unknown as MethodOf<[{ weight: Tensor }]>;

export { abs as absolute, div as divide, mul as multiply, neg as negative, sub as subtract } from "./arithmetic.ts";
export { ge as greater_equal, gt as greater, le as less_equal, lt as less, ne as not_equal } from "./compare.ts";
export { clamp as clip } from "./extrema.ts";
export {
  acos as arccos,
  acosh as arccosh,
  asin as arcsin,
  asinh as arcsinh,
  atan as arctan,
  atanh as arctanh,
  trunc as fix,
} from "./math.ts";
export { atan2 as arctan2 } from "./math_binary.ts";
export { transpose_ as swapaxes_, transpose_ as swapdims_ } from "./view_forms.ts";
