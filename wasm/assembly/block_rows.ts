/**
 * The rows of the block machine's function table: one per operation. Shared, as plain TypeScript, by the AssemblyScript
 * kernels (block_table.ts lists the functions in this order) and by the compiler of expressions (wasm/device/lower).
 */

/** The type that a block's elements are computed in; with a row it selects a function's loop. */
export enum Lane {
  f32,
  f64,
  i32,
  i64,
}

export enum Row {
  // moves and conversions (lane: the source type; for copy log2 of the element size)
  copy,
  to_f32,
  to_f64,
  to_i32,
  to_i64,
  /** != 0, as 0 or 1. */
  to_bool,
  // stored → computed
  load_bool,
  load_u8,
  load_i8,
  load_i16,
  load_f16,
  load_bf16,
  // computed → stored
  store_8,
  store_16,
  store_f16,
  store_bf16,
  // what storing and loading back would do to a value
  wrap_u8,
  wrap_i8,
  wrap_i16,
  round_f16,
  round_bf16,
  // superinstructions
  /** a * b + c with both roundings, so that fusing changes no result. */
  mul_add,
  /** 1 - a for bools. */
  logical_not,
  // the scalar ops of ts/kernel/expr.ts
  neg,
  abs,
  sign,
  add,
  sub,
  mul,
  div,
  floor_divide,
  remainder,
  fmod,
  madd,
  fma,
  pow,
  reciprocal,
  sqrt,
  rsqrt,
  floor,
  ceil,
  round,
  trunc,
  maximum,
  minimum,
  fmax,
  fmin,
  eq,
  ne,
  lt,
  le,
  gt,
  ge,
  isnan,
  isinf,
  signbit,
  bitwise_and,
  bitwise_or,
  bitwise_xor,
  bitwise_not,
  shift_left,
  shift_right,
  gcd,
  where,
  exp,
  exp2,
  expm1,
  log,
  log2,
  log10,
  log1p,
  sin,
  cos,
  tan,
  asin,
  acos,
  atan,
  atan2,
  sinh,
  cosh,
  tanh,
  asinh,
  acosh,
  atanh,
  sigmoid,
  erf,
  erfc,
  erfinv,
  hypot,
  copysign,
  nextafter,
  lgamma,
  digamma,
  polygamma,
  zeta,
  igamma,
  igammac,
  i0,
  i0e,
  i1,
  i1e,
  ndtri,
  log_ndtr,
  erfcx,
  gelu,
  gelu_slope,
}

/** Reductions, in the order in which wasm/assembly/reduce.ts tells those of one-word states (up to `all`) from the rest. */
export enum Fold {
  sum,
  prod,
  max,
  min,
  any,
  all,
  argmax,
  argmin,
  max_arg,
  min_arg,
  welford,
}

/** Elements that one instruction works on at a time: small enough that a handful of temporaries stay in the first-level cache. */
export const BLOCK = 1024;

/** A block as a tile of the last two dims, for views that disagree about which of them lies closer together. */
export const TILE_ROWS = 16;
export const TILE_COLUMNS = 64;
