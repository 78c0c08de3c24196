/**
 * Scalar expressions: what a `map` computes for one element. Every device lowers the same DAG.
 * Each node carries the dtype of its value. Values of narrow types are computed in `dtype.compute` (f32 for float16 and bfloat16,
 * i32 for bool and the small integers); every node's value is as if it had been stored in its dtype and loaded back (rounded or
 * wrapped), so that fusing ops never changes a result.
 */

import type { DType } from "../core/dtype.ts";

/**
 * Scalar ops and how many arguments they take. Arguments have the node's dtype unless noted.
 * Adding one is a row here and one per lowering (a forgotten row is a compile error there).
 */
export const SCALAR_OPS = {
  // arithmetic; integers wrap
  neg: 1,
  abs: 1,
  /** -1, 0, 1; NaN stays NaN. */
  sign: 1,
  add: 2,
  sub: 2,
  mul: 2,
  /** Floating types: IEEE. Integer types: truncating; x/0 gives 0 on every device (ops check before). */
  div: 2,
  /** Rounds towards minus infinity; floating types follow Python's `//` (as torch.floor_divide). */
  floor_divide: 2,
  /** Python's `%`: the sign of the divisor. */
  remainder: 2,
  /** C's fmod: the sign of the dividend. */
  fmod: 2,
  /** a * b + c, each step rounded or fused as the device likes. */
  madd: 3,
  /** a * b + c, rounded once (but for rare ties) on every device. Floating types only. */
  fma: 3,
  pow: 2,
  reciprocal: 1,
  sqrt: 1,
  rsqrt: 1,
  // rounding; round is half to even
  floor: 1,
  ceil: 1,
  round: 1,
  trunc: 1,
  // order. maximum and minimum propagate NaN, fmax and fmin ignore it
  maximum: 2,
  minimum: 2,
  fmax: 2,
  fmin: 2,
  // comparisons: arguments share a dtype of their own, the node is bool
  eq: 2,
  ne: 2,
  lt: 2,
  le: 2,
  gt: 2,
  ge: 2,
  /** Arguments of any one dtype, the node is bool. */
  isnan: 1,
  isinf: 1,
  signbit: 1,
  // bits: integer and bool types
  bitwise_and: 2,
  bitwise_or: 2,
  bitwise_xor: 2,
  bitwise_not: 1,
  /** Shift counts outside [0, bits) give 0, or the sign for right shifts, as PyTorch. */
  shift_left: 2,
  shift_right: 2,
  gcd: 2,
  // choice: where(bool, a, b)
  where: 3,
  // transcendental: floating types only
  exp: 1,
  exp2: 1,
  expm1: 1,
  log: 1,
  log2: 1,
  log10: 1,
  log1p: 1,
  sin: 1,
  cos: 1,
  tan: 1,
  asin: 1,
  acos: 1,
  atan: 1,
  atan2: 2,
  sinh: 1,
  cosh: 1,
  tanh: 1,
  asinh: 1,
  acosh: 1,
  atanh: 1,
  sigmoid: 1,
  erf: 1,
  erfc: 1,
  erfinv: 1,
  hypot: 2,
  copysign: 2,
  nextafter: 2,
  /** ln|gamma(x)| */
  lgamma: 1,
  digamma: 1,
  /** polygamma(n, x): n-th derivative of digamma; n is the first argument, a whole number. */
  polygamma: 2,
  /** Hurwitz zeta(x, q) */
  zeta: 2,
  igamma: 2,
  igammac: 2,
  i0: 1,
  i0e: 1,
  i1: 1,
  i1e: 1,
  ndtri: 1,
  log_ndtr: 1,
  erfcx: 1,
  /** x * cdf(x) of the normal distribution, with an absolute error of a few roundings of x. */
  gelu: 1,
  /** Its derivative. */
  gelu_slope: 1,
} as const;

export type ScalarOp = keyof typeof SCALAR_OPS;

/** Ops whose node is bool whatever the arguments' dtype. */
export const BOOL_RESULT: ReadonlySet<ScalarOp> = new Set(["eq", "ne", "lt", "le", "gt", "ge", "isnan", "isinf", "signbit"]);

export type Expr =
  /** The element of input number `input`, read through its strides. */
  | { readonly kind: "load"; readonly input: number; readonly dtype: DType }
  /** A run-time scalar: slot of the `scalars` parameter (float64 numbers, or bigint for int64). */
  | { readonly kind: "scalar"; readonly slot: number; readonly dtype: DType }
  | { readonly kind: "const"; readonly value: number | bigint; readonly dtype: DType }
  /** The output element's index along dimension `dim` counted from the last (0 = last); `dim: "linear"`: its row-major number. */
  | { readonly kind: "index"; readonly dim: number | "linear"; readonly dtype: DType }
  | { readonly kind: "cast"; readonly arg: Expr; readonly dtype: DType }
  | { readonly kind: "op"; readonly op: ScalarOp; readonly args: readonly Expr[]; readonly dtype: DType };

/**
 * `cast` follows PyTorch on CPU: float → integer truncates towards zero (what does not fit int32, for int64 int64, gives the low bits of its least value),
 * anything → bool is `!= 0` (NaN is true), float64 → float32 → float16 round to nearest even, integers wrap.
 */
export const load = (input: number, dtype: DType): Expr => ({ kind: "load", input, dtype });
export const scalar = (slot: number, dtype: DType): Expr => ({ kind: "scalar", slot, dtype });
export const constant = (value: number | bigint, dtype: DType): Expr => ({ kind: "const", value, dtype });
export const index = (dim: number | "linear", dtype: DType): Expr => ({ kind: "index", dim, dtype });
export const cast = (arg: Expr, dtype: DType): Expr => (arg.dtype === dtype ? arg : { kind: "cast", arg, dtype });
export const op = (name: ScalarOp, dtype: DType, ...args: Expr[]): Expr => ({ kind: "op", op: name, args, dtype });
