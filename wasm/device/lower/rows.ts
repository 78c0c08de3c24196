/** What the compiler of expressions knows about each scalar op and each dtype. */

import type { ComputeType, DTypeName } from "../../../ts/core/dtype.ts";
import type { ScalarOp } from "../../../ts/kernel/expr.ts";
import { Row } from "../../assembly/block_rows.ts";

type ByDType = { readonly [D in DTypeName]: Row | null };

/** How a stored element becomes a computed one; null: it is one already. */
export const LOADS: ByDType = {
  bool: Row.load_bool,
  uint8: Row.load_u8,
  int8: Row.load_i8,
  int16: Row.load_i16,
  int32: null,
  int64: null,
  float16: Row.load_f16,
  bfloat16: Row.load_bf16,
  float32: null,
  float64: null,
};

export const STORES: ByDType = {
  bool: Row.store_8,
  uint8: Row.store_8,
  int8: Row.store_8,
  int16: Row.store_16,
  int32: null,
  int64: null,
  float16: Row.store_f16,
  bfloat16: Row.store_bf16,
  float32: null,
  float64: null,
};

/** What an op's result needs in order to be a value of its dtype. */
export const WRAPS: ByDType = {
  bool: Row.to_bool,
  uint8: Row.wrap_u8,
  int8: Row.wrap_i8,
  int16: Row.wrap_i16,
  int32: null,
  int64: null,
  float16: Row.round_f16,
  bfloat16: Row.round_bf16,
  float32: null,
  float64: null,
};

/** Ops whose result is a value of the dtype whenever the arguments are: nothing to round or wrap. */
export const EXACT: ReadonlySet<ScalarOp> = new Set<ScalarOp>([
  "sign",
  "floor",
  "ceil",
  "round",
  "trunc",
  "maximum",
  "minimum",
  "fmax",
  "fmin",
  "where",
  "copysign",
  "fmod",
  "bitwise_and",
  "bitwise_or",
  "bitwise_xor",
  "shift_right",
]);

const ALL = ["f32", "f64", "i32", "i64"] as const;
const FLOATS = ["f32", "f64"] as const;
const INTEGERS = ["i32", "i64"] as const;

/** Compute types that an op is there for, by the type of its arguments (of `where`: its choices). */
const LANES: { readonly [K in ScalarOp]: readonly ComputeType[] } = {
  neg: ALL,
  abs: ALL,
  sign: ALL,
  add: ALL,
  sub: ALL,
  mul: ALL,
  div: ALL,
  floor_divide: ALL,
  remainder: ALL,
  fmod: ALL,
  madd: ALL,
  fma: FLOATS,
  pow: ALL,
  reciprocal: FLOATS,
  sqrt: FLOATS,
  rsqrt: FLOATS,
  floor: ALL,
  ceil: ALL,
  round: ALL,
  trunc: ALL,
  maximum: ALL,
  minimum: ALL,
  fmax: ALL,
  fmin: ALL,
  eq: ALL,
  ne: ALL,
  lt: ALL,
  le: ALL,
  gt: ALL,
  ge: ALL,
  isnan: ALL,
  isinf: ALL,
  signbit: ALL,
  bitwise_and: INTEGERS,
  bitwise_or: INTEGERS,
  bitwise_xor: INTEGERS,
  bitwise_not: INTEGERS,
  shift_left: INTEGERS,
  shift_right: INTEGERS,
  gcd: INTEGERS,
  where: ALL,
  exp: FLOATS,
  exp2: FLOATS,
  expm1: FLOATS,
  log: FLOATS,
  log2: FLOATS,
  log10: FLOATS,
  log1p: FLOATS,
  sin: FLOATS,
  cos: FLOATS,
  tan: FLOATS,
  asin: FLOATS,
  acos: FLOATS,
  atan: FLOATS,
  atan2: FLOATS,
  sinh: FLOATS,
  cosh: FLOATS,
  tanh: FLOATS,
  asinh: FLOATS,
  acosh: FLOATS,
  atanh: FLOATS,
  sigmoid: FLOATS,
  erf: FLOATS,
  erfc: FLOATS,
  erfinv: FLOATS,
  hypot: FLOATS,
  copysign: FLOATS,
  nextafter: FLOATS,
  lgamma: FLOATS,
  digamma: FLOATS,
  polygamma: FLOATS,
  zeta: FLOATS,
  igamma: FLOATS,
  igammac: FLOATS,
  i0: FLOATS,
  i0e: FLOATS,
  i1: FLOATS,
  i1e: FLOATS,
  ndtri: FLOATS,
  log_ndtr: FLOATS,
  erfcx: FLOATS,
  gelu: FLOATS,
  gelu_slope: FLOATS,
};

export const lanesOf = (op: ScalarOp): readonly ComputeType[] => LANES[op];
