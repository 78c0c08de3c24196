/** Second names, as `absolute` for `abs`: of functions, methods and in-place forms. */

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
