/**
 * The statement IR of GPU kernels: structured control flow over single-assignment values, storage buffers, workgroup memory, barriers and
 * subgroup operations. It has no undefined corners: what a target leaves open is either defined here (and every lowering makes it so)
 * or listed as "unspecified" and never relied on.
 *
 * A program runs on `groups` workgroups of `workgroup` threads, both one-dimensional; kernels make tiles of them by arithmetic.
 */

/** Types of values in registers. */
export type ScalarType = "bool" | "i32" | "u32" | "f32" | "i64" | "f64";
export type Lanes = 1 | 2 | 4;
export interface Type {
  readonly scalar: ScalarType;
  readonly lanes: Lanes;
}

/**
 * How elements lie in a buffer. Loads widen to `VALUE_OF[elem]`, stores round (f16, bf16: to nearest even) or wrap. On a target without
 * sub-word stores (WGSL) only the 32-bit ones, and f16 where caps allow, occur.
 */
export type Elem = "i8" | "u8" | "i16" | "i32" | "u32" | "i64" | "f16" | "bf16" | "f32" | "f64";
export const VALUE_OF: { readonly [E in Elem]: ScalarType } = {
  i8: "i32",
  u8: "i32",
  i16: "i32",
  i32: "i32",
  u32: "u32",
  i64: "i64",
  f16: "f32",
  bf16: "f32",
  f32: "f32",
  f64: "f64",
};
export const ELEM_BYTES: { readonly [E in Elem]: number } = {
  i8: 1,
  u8: 1,
  i16: 2,
  i32: 4,
  u32: 4,
  i64: 8,
  f16: 2,
  bf16: 2,
  f32: 4,
  f64: 8,
};

/** A storage buffer that a program reads, or reads and writes. With lanes 2 or 4 it is an array of vectors, indexed by vector. */
export interface BufferParam {
  readonly name: string;
  readonly elem: Elem;
  readonly lanes: Lanes;
  readonly access: "read" | "read_write";
  /** Elements are atomics (i32 or u32): touched by `atomic` only. */
  readonly atomic: boolean;
}

/** A run-time scalar, the same for all threads. */
export interface ScalarParam {
  readonly name: string;
  readonly type: ScalarType;
}

/** Workgroup memory: uninitialised, shared by the threads of one workgroup. */
export interface SharedArray {
  readonly name: string;
  readonly type: Type;
  readonly length: number;
  readonly atomic: boolean;
}

/**
 * What every thread knows of itself, as u32: its workgroup's number, its own number in the workgroup, and its place in its subgroup (only
 * in programs that use subgroups). Threads of a subgroup have consecutive numbers, starting at a multiple of the subgroup's size.
 */
export type Builtin = "group" | "thread" | "subgroup_lane" | "subgroup_size";

/** What instructions take. */
export type Operand =
  /** A constant; floats may be infinite or NaN. i64 and u32 beyond 2^31 are fine as numbers or bigints. */
  | { readonly kind: "const"; readonly type: Type; readonly value: number | bigint | boolean }
  /** The result of an earlier `let`, a loop counter, or a function's parameter. */
  | { readonly kind: "ref"; readonly type: Type; readonly id: number }
  | { readonly kind: "param"; readonly type: Type; readonly index: number }
  | { readonly kind: "builtin"; readonly type: Type; readonly name: Builtin };

/**
 * Scalar and lane-wise operations, and how many operands they take. All operands have the result's type unless noted.
 * Integers wrap. Floats are IEEE single (double) without contraction guarantees; denormals may be flushed; results of NaN in `min` and
 * `max` are unspecified.
 */
export const OPS = {
  add: 2,
  sub: 2,
  mul: 2,
  /** Integers truncate; a zero divisor, or the least integer by -1, gives an unspecified value but does not trap. */
  div: 2,
  rem: 2,
  neg: 1,
  /** Integers wrap. */
  abs: 1,
  min: 2,
  max: 2,
  /** a * b + c, with one rounding or two. */
  fma: 3,
  sqrt: 1,
  /** Within 2 ulp. */
  rsqrt: 1,
  floor: 1,
  ceil: 1,
  trunc: 1,
  /** Half to even. */
  round: 1,
  /** The target's own fast forms: relative error about 2^-20 within [-126, 126]; for softmax and the like, where that is enough. */
  exp2_fast: 1,
  log2_fast: 1,
  /** f32 to the nearest with 10 bits of fraction (half away from zero), for matrix units; NaN stays NaN. */
  round_tf32: 1,
  and: 2,
  or: 2,
  xor: 2,
  not: 1,
  /** The second operand is u32 and below 32 (64). */
  shl: 2,
  /** Arithmetic on signed types. */
  shr: 2,
  count_leading_zeros: 1,
  count_one_bits: 1,
  // Operands share a type of their own, the result is bool. Comparisons with NaN are false, ne is true.
  eq: 2,
  ne: 2,
  lt: 2,
  le: 2,
  gt: 2,
  ge: 2,
  /** By the bits, whatever the target assumes of floats. */
  is_nan: 1,
  /** select(condition, then, else): the condition is bool with one lane or as many as the others. Both are evaluated. */
  select: 3,
} as const;
export type OpName = keyof typeof OPS;
export const COMPARISONS: ReadonlySet<OpName> = new Set(["eq", "ne", "lt", "le", "gt", "ge", "is_nan"]);

/**
 * Functions of f64 numbers, under the names of C's library, and how many they take: targets with 64-bit types have them built in, to a few ulp.
 * (Those of f32 are made of `OPS`, in gpu/scalar: targets differ too much there.)
 */
export const MATH = {
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
  pow: 2,
  /** Exact. */
  fmod: 2,
  hypot: 2,
} as const;
export type MathName = keyof typeof MATH;

/** Operations across a subgroup; every thread of the subgroup must take part. `shuffle*` take a second operand, a u32. */
export type SubgroupOp = "add" | "mul" | "min" | "max" | "and" | "or" | "xor" | "shuffle" | "shuffle_xor" | "broadcast_first";
export type AtomicOp = "add" | "min" | "max" | "and" | "or" | "exchange" | "load" | "store";

/**
 * How matrix units take their factors: two f16 or bf16 a word (the first in the low half), or an f32 of which only the upper 19 bits count
 * (`round_tf32` rounds to them).
 */
export type MatrixFormat = "f16" | "bf16" | "tf32";

/** How a value comes about. */
export type Instr =
  | { readonly kind: "op"; readonly op: OpName; readonly args: readonly Operand[] }
  /** Of single f64 values. */
  | { readonly kind: "math"; readonly name: MathName; readonly args: readonly Operand[] }
  /**
   * Numeric conversion. Float to integer truncates and saturates (NaN: unspecified, no trap); integers wrap; bool is 0 and 1; to bool is != 0.
   */
  | { readonly kind: "convert"; readonly arg: Operand }
  | { readonly kind: "bitcast"; readonly arg: Operand }
  | { readonly kind: "vector"; readonly parts: readonly Operand[] }
  | { readonly kind: "extract"; readonly arg: Operand; readonly lane: number }
  /** Indices count elements (vectors where lanes > 1) and must be within the buffer. */
  | { readonly kind: "load"; readonly buffer: number; readonly index: Operand }
  | { readonly kind: "load_shared"; readonly array: number; readonly index: Operand }
  /** As load_shared, for one index that is the same in all threads; acts as a barrier, and the result counts as uniform. */
  | { readonly kind: "load_uniform"; readonly array: number; readonly index: Operand }
  | { readonly kind: "read"; readonly id: number }
  | { readonly kind: "call"; readonly func: Func; readonly args: readonly Operand[] }
  | { readonly kind: "subgroup"; readonly op: SubgroupOp; readonly args: readonly Operand[] }
  /** Returns the old value (`store`: unspecified). */
  | {
      readonly kind: "atomic";
      readonly op: AtomicOp;
      readonly target: { readonly buffer: number } | { readonly array: number };
      readonly index: Operand;
      readonly value: Operand | null;
    }
  /** Two f32 in one u32, the first in the low half, rounded to nearest even. */
  | { readonly kind: "pack"; readonly format: "f16" | "bf16"; readonly args: readonly [Operand, Operand] }
  /** One 32-bit lane of a workgroup array of vectors: the index counts lanes of all vectors. */
  | { readonly kind: "load_word"; readonly array: number; readonly index: Operand }
  /**
   * Four matrices of 8 rows of 16 bytes from workgroup memory (PTX's ldmatrix.x4), as u32x4, by a subgroup of 32 threads that all take part.
   * Thread 8 i + r says where row r of matrix i begins: the index counts words and is a multiple of 4. Lane i of the result has, of
   * matrix i, word `thread % 4` of row `thread / 4`; transposed, seen as 8 x 8 elements of 16 bits, it has elements (2 c, r) and
   * (2 c + 1, r), where c = thread % 4 and r = thread / 4.
   */
  | { readonly kind: "load_matrices"; readonly array: number; readonly index: Operand; readonly transposed: boolean }
  /**
   * a b + c by a subgroup of 32 threads that all take part, in PTX's layouts. With g = thread / 4 and t = thread % 4, f16 and bf16
   * (mma.m16n8k16; pairs along k, the first at an even k):
   *   a (16 x 16), u32x4: rows g and g + 8 at k = 2 t, then both at k = 2 t + 8;  b (16 x 8), u32x2: column g at k = 2 t, then 2 t + 8
   * tf32 (mma.m16n8k8):
   *   a (16 x 8), u32x4: rows g and g + 8 at k = t, then both at k = t + 4;  b (8 x 8), u32x2: column g at k = t, then t + 4
   * c and the result (16 x 8), f32x4: row g at columns 2 t and 2 t + 1, then row g + 8. Products are exact, the order and rounding of
   * sums are unspecified (no worse than truncation to f32).
   */
  | { readonly kind: "mma"; readonly format: MatrixFormat; readonly args: readonly [a: Operand, b: Operand, c: Operand] };

/** What an instruction takes, in order. */
export function operandsOf(instr: Instr): readonly Operand[] {
  switch (instr.kind) {
    case "op":
    case "math":
    case "call":
    case "subgroup":
    case "pack":
    case "mma":
      return instr.args;
    case "convert":
    case "bitcast":
    case "extract":
      return [instr.arg];
    case "vector":
      return instr.parts;
    case "load":
    case "load_shared":
    case "load_uniform":
    case "load_word":
    case "load_matrices":
      return [instr.index];
    case "atomic":
      return instr.value === null ? [instr.index] : [instr.index, instr.value];
    case "read":
      return [];
  }
}

export type Stmt =
  | { readonly kind: "let"; readonly id: number; readonly type: Type; readonly instr: Instr }
  | { readonly kind: "var"; readonly id: number; readonly type: Type; readonly init: Operand }
  | { readonly kind: "assign"; readonly id: number; readonly value: Operand }
  | { readonly kind: "store"; readonly buffer: number; readonly index: Operand; readonly value: Operand }
  | { readonly kind: "store_shared"; readonly array: number; readonly index: Operand; readonly value: Operand }
  | { readonly kind: "if"; readonly cond: Operand; readonly then: readonly Stmt[]; readonly else: readonly Stmt[] }
  /** Counter `id` (u32 or i32) from `from` while < `to`, by `step` > 0. */
  | {
      readonly kind: "for";
      readonly id: number;
      readonly type: Type;
      readonly from: Operand;
      readonly to: Operand;
      readonly step: Operand;
      readonly body: readonly Stmt[];
    }
  /** `head` is run, then `cond` looked at, then `body`, and again. */
  | { readonly kind: "while"; readonly head: readonly Stmt[]; readonly cond: Operand; readonly body: readonly Stmt[] }
  /**
   * Starts a copy of 4, 8 or 16 bytes from a read-only buffer to workgroup memory, each place a multiple of that. `index` and `elements`
   * count lanes of the buffer's vectors, `to` words of the array. Only the first `elements` are read, zeros follow; null: all of
   * them. Until the thread has waited for the copy nobody may touch its target; then it is as if the thread had stored it just there.
   */
  | {
      readonly kind: "copy_async";
      readonly array: number;
      readonly to: Operand;
      readonly buffer: number;
      readonly index: Operand;
      readonly bytes: 4 | 8 | 16;
      readonly elements: Operand | null;
    }
  /** The copies that this thread has started since the last commit become a group. */
  | { readonly kind: "commit_copies" }
  /** Waits until all groups of this thread but the latest `pending` have been copied. */
  | { readonly kind: "wait_copies"; readonly pending: number }
  /** All threads of the workgroup get here together; what they wrote to workgroup memory (and to buffers) before is seen by all after. */
  | { readonly kind: "barrier"; readonly scope: "workgroup" | "storage" };

/** A pure helper function: no buffers, no barriers. */
export interface Func {
  readonly name: string;
  readonly params: readonly { readonly id: number; readonly type: Type }[];
  readonly result: Operand;
  readonly body: readonly Stmt[];
}

export interface Program {
  readonly name: string;
  /** Threads of a workgroup. */
  readonly workgroup: number;
  readonly buffers: readonly BufferParam[];
  readonly params: readonly ScalarParam[];
  readonly shared: readonly SharedArray[];
  /** Used functions, callees first. */
  readonly funcs: readonly Func[];
  readonly subgroups: boolean;
  readonly body: readonly Stmt[];
}
