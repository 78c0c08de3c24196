/** Conversions between dtypes in registers: PyTorch's rules on the CPU, see `cast` in ts/kernel/expr.ts. */

import type { DType } from "../../ts/core/dtype.ts";
import type { DTypeLayout } from "../context.ts";
import type { Block, V } from "../builder.ts";

type Value = Pick<DTypeLayout, "value">;

const isFloat = (v: V): boolean => v.scalar === "f32" || v.scalar === "f64";

/** Whether v is not zero (NaN is not). */
export function truth(v: V): V {
  if (v.scalar === "bool") return v;
  // By the bits: targets may flush subnormals and assume away NaN.
  if (v.scalar === "f32") return v.bitcast("u32").shl(1).ne(0);
  if (v.scalar === "f64") return v.bitcast("i64").shl(1).ne(0);
  return v.ne(0);
}

/** The nearest float16, ties to even, as f32. */
function roundHalf(b: Block, v: V): V {
  const word = v.bitcast("u32");
  const size = word.and(0x7fffffff);
  // Normal results: the 13 bits that go are rounded away; the carry may run into the exponent.
  let r = size.add(size.shr(13).and(1).add(0xfff)).and(0xffffe000);
  r = r.ge(0x47800000).select(b.u32(0x7f800000), r);
  // Subnormal ones are multiples of 2^-24.
  const small = size.bitcast("f32").mul(16777216).round().mul(5.9604644775390625e-8).bitcast("u32");
  r = size.lt(0x38800000).select(small, r);
  r = size.gt(0x7f800000).select(b.u32(0x7fc00000), r);
  return r.or(word.and(0x80000000)).bitcast("f32");
}

/** The nearest bfloat16, ties to even, as f32. */
function roundBrain(b: Block, v: V): V {
  const word = v.bitcast("u32");
  const r = word.add(word.shr(16).and(1).add(0x7fff)).and(0xffff0000);
  return v.isNan().select(b.u32(0x7fc00000), r).bitcast("f32");
}

/** What storing `v` in `dtype` and loading it back leaves; v has the layout's register type (for bool also bool: it stays one). */
export function roundTo(b: Block, v: V, dtype: DType): V {
  switch (dtype.name) {
    case "bool":
      return v.scalar === "bool" ? v : truth(v).convert(v.scalar);
    case "uint8":
      return v.and(0xff);
    case "int8":
      return v.shl(24).shr(24);
    case "int16":
      return v.shl(16).shr(16);
    case "float16":
      return roundHalf(b, v);
    case "bfloat16":
      return roundBrain(b, v);
    default:
      return v;
  }
}

/** Truncates; what does not fit, and NaN, is the least integer. */
function truncated(b: Block, v: V, to: "i32" | "i64"): V {
  if (v.scalar === "f32" && to === "i32") {
    const fits = v.bitcast("u32").and(0x7fffffff).lt(0x4f000000);
    return fits.select(v.convert("i32"), b.i32(-(2 ** 31)));
  }
  const fits = v.abs().lt(to === "i32" ? 2 ** 31 : 2 ** 63);
  return fits.select(v.convert(to), b.const(to === "i32" ? -(2 ** 31) : -(2n ** 63n), to));
}

/** Whether every value of `from` is one of `to`; both are integers or bool. */
function holds(to: DType, from: DType): boolean {
  if (from.name === "bool") return true;
  if (to.itemsize === from.itemsize) return to.is_signed === from.is_signed;
  return to.itemsize > from.itemsize && (to.is_signed || !from.is_signed);
}

/**
 * `v`, a value of `from`, as a value of `to` in `layout`'s register type. A bool may come as bool or as 0 and 1, and goes as 0 and 1.
 * @param layout Of `to`.
 */
export function castTo(b: Block, v: V, from: DType, to: DType, layout: Value): V {
  const type = layout.value;
  if (to.name === "bool") return truth(v).convert(type);
  if (from === to) return v.convert(type);
  if (isFloat(v)) {
    if (type === "i32" || type === "i64") return roundTo(b, truncated(b, v, type), to);
    const moved = v.convert(type);
    const exact = from.itemsize < to.itemsize && to.itemsize >= 4;
    return exact ? moved : roundTo(b, moved, to);
  }
  const moved = v.convert(type);
  return !to.is_floating_point && holds(to, from) ? moved : roundTo(b, moved, to);
}
