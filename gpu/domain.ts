/** Which operations exist for which types. */

import type { OpName, ScalarType } from "./ir.ts";

const FLOATS: ReadonlySet<OpName> = new Set([
  "fma",
  "sqrt",
  "rsqrt",
  "floor",
  "ceil",
  "trunc",
  "round",
  "exp2_fast",
  "log2_fast",
  "is_nan",
]);
const INTEGERS: ReadonlySet<OpName> = new Set(["shl", "shr", "rem", "count_leading_zeros", "count_one_bits"]);
const BITS: ReadonlySet<OpName> = new Set(["and", "or", "xor", "not"]);
const ALL: ReadonlySet<OpName> = new Set(["eq", "ne", "select"]);

export function existsFor(name: OpName, scalar: ScalarType): boolean {
  const float = scalar === "f32" || scalar === "f64";
  if (name === "round_tf32") return scalar === "f32";
  if (FLOATS.has(name)) return float;
  if (INTEGERS.has(name)) return !float && scalar !== "bool";
  return BITS.has(name) ? !float : ALL.has(name) || scalar !== "bool";
}
