/** Order-preserving keys: u32 words that compare as elements do, NaN as the greatest and zeros of both signs alike. */

import type { Block, V } from "../builder.ts";
import type { ScalarType } from "../ir.ts";

/** Bits of a key. */
export const keyBits = (type: ScalarType): 32 | 64 => (type === "i64" || type === "f64" ? 64 : 32);

/** Among two words of the same significance, negative numbers come first, the greater their size the earlier. */
function ordered(bits: V, negative: V, top: boolean): V {
  return negative.select(bits.not(), top ? bits.or(0x80000000) : bits);
}

/** One word of the key of `x` (the low one is all there is of 32-bit types). */
export function keyWord(b: Block, x: V, high = false): V {
  switch (x.scalar) {
    case "f32": {
      // Zeros by their bits: targets may not keep the sign of x + 0.
      const given = x.bitcast("u32");
      const bits = given.and(0x7fffffff).eq(0).select(b.u32(0), given);
      return x.isNan().select(b.u32(0xffffffff), ordered(bits, bits.ge(0x80000000), true));
    }
    case "i32":
      return x.bitcast("u32").xor(0x80000000);
    case "u32":
      return x;
    case "bool":
      return x.convert("u32");
    case "i64": {
      const word = (high ? x.shr(32) : x).convert("u32");
      return high ? word.xor(0x80000000) : word;
    }
    case "f64": {
      const given = x.bitcast("i64");
      const bits = x.eq(0).select(b.const(0, "i64"), given);
      const word = (high ? bits.shr(32) : bits).convert("u32");
      return x.isNan().select(b.u32(0xffffffff), ordered(word, bits.lt(0), high));
    }
  }
}

export const isFloat = (type: ScalarType): boolean => type === "f32" || type === "f64";
