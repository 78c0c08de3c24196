/**
 * The operations of the block machine that are plain arithmetic, one class each, no state, methods inlined into the loops of
 * block_loops.ts: `v<T>` on a vector of lanes T, `s<T>` on one element.
 */

import { fmodOf } from "./math_f64";

@final export class Neg {
  @inline v<T>(x: v128): v128 { return v128.neg<T>(x); }
}
@final export class Abs {
  @inline v<T>(x: v128): v128 { return v128.abs<T>(x); }
}
@final export class Sign {
  @inline v<T>(x: v128): v128 {
    const zero = v128.splat<T>(<T>0);
    const one = v128.splat<T>(<T>1);
    if (isFloat<T>()) {
      const unit = v128.or(v128.and(x, v128.splat<T>(<T>-0.0)), one);
      // Zeros give a zero, and NaN (equal to nothing) itself.
      const nonzero = v128.and(unit, v128.ne<T>(x, zero));
      return v128.bitselect(nonzero, x, v128.eq<T>(x, x));
    }
    return v128.sub<T>(v128.and(v128.gt<T>(x, zero), one), v128.and(v128.gt<T>(zero, x), one));
  }
}
@final export class Add {
  @inline v<T>(a: v128, b: v128): v128 { return v128.add<T>(a, b); }
}
@final export class Sub {
  @inline v<T>(a: v128, b: v128): v128 { return v128.sub<T>(a, b); }
}
@final export class Mul {
  @inline v<T>(a: v128, b: v128): v128 { return v128.mul<T>(a, b); }
}
@final export class MulAdd {
  @inline v<T>(a: v128, b: v128, c: v128): v128 { return v128.add<T>(v128.mul<T>(a, b), c); }
}
/** Rounded once where the machine can. */
@final export class Madd {
  @inline v<T>(a: v128, b: v128, c: v128): v128 {
    if (isFloat<T>() && KINDLING_RELAXED) return v128.relaxed_madd<T>(a, b, c);
    return v128.add<T>(v128.mul<T>(a, b), c);
  }
}

/** Upper half of the digits of f64 numbers, by Veltkamp's trick. */
@inline function upperHalf(x: v128): v128 {
  const t = f64x2.mul(x, f64x2.splat(134217729));
  return f64x2.sub(t, f64x2.sub(t, x));
}
/** Rounded once but for rare ties: of f32 numbers in f64, of f64 numbers as sums of two. */
@final export class Fma {
  @inline v<T>(a: v128, b: v128, c: v128): v128 {
    if (sizeof<T>() == 4) {
      const low = f64x2.add(f64x2.mul(f64x2.promote_low_f32x4(a), f64x2.promote_low_f32x4(b)), f64x2.promote_low_f32x4(c));
      const x = f64x2.promote_low_f32x4(v128.shuffle<i64>(a, a, 1, 1));
      const y = f64x2.promote_low_f32x4(v128.shuffle<i64>(b, b, 1, 1));
      const high = f64x2.add(f64x2.mul(x, y), f64x2.promote_low_f32x4(v128.shuffle<i64>(c, c, 1, 1)));
      return v128.shuffle<i64>(f32x4.demote_f64x2_zero(low), f32x4.demote_f64x2_zero(high), 0, 2);
    }
    const p = f64x2.mul(a, b);
    const ah = upperHalf(a);
    const bh = upperHalf(b);
    const al = f64x2.sub(a, ah);
    const bl = f64x2.sub(b, bh);
    let rest = f64x2.sub(f64x2.mul(ah, bh), p);
    rest = f64x2.add(f64x2.add(rest, f64x2.mul(ah, bl)), f64x2.mul(al, bh));
    rest = f64x2.add(rest, f64x2.mul(al, bl));
    const sum = f64x2.add(p, c);
    const added = f64x2.sub(sum, p);
    const lost = f64x2.add(f64x2.sub(c, added), f64x2.sub(p, f64x2.sub(sum, added)));
    rest = f64x2.add(lost, rest);
    // (Halves of the greatest numbers overflow.)
    return f64x2.add(sum, v128.and(rest, f64x2.eq(rest, rest)));
  }
}

/** Division truncates, x / 0 is 0, and the one quotient that does not fit wraps (the machine instruction would trap). */
@inline function quotient<T>(a: T, b: T): T {
  if (b == 0) return <T>0;
  if (b == <T>-1) return <T>(0 - a);
  return <T>(a / b);
}
@inline function rest<T>(a: T, b: T): T {
  return b == 0 || b == <T>-1 ? <T>0 : <T>(a % b);
}

@final export class Div {
  @inline v<T>(a: v128, b: v128): v128 { return v128.div<T>(a, b); }
  @inline s<T>(a: T, b: T): T { return quotient<T>(a, b); }
}
@final export class FloorDivide {
  @inline s<T>(a: T, b: T): T {
    if (isInteger<T>()) {
      const q = quotient<T>(a, b);
      return rest<T>(a, b) != 0 && (a < 0) != (b < 0) ? <T>(q - 1) : q;
    }
    // Python's `//`: exact even where a / b rounds up to the next whole number.
    if (b == 0) return <T>(a / b);
    const mod = fmodOf<T>(a, b);
    let div = <T>((a - mod) / b);
    if (mod != 0 && (b < 0) != (mod < 0)) div = <T>(div - 1);
    if (div == 0) return copysign<T>(<T>0, <T>(a / b));
    const whole = floor<T>(div);
    return div - whole > <T>0.5 ? <T>(whole + 1) : whole;
  }
}
@final export class Remainder {
  @inline s<T>(a: T, b: T): T {
    const mod = isInteger<T>() ? rest<T>(a, b) : fmodOf<T>(a, b);
    return mod != 0 && (b < 0) != (mod < 0) ? <T>(mod + b) : mod;
  }
}
@final export class Fmod {
  @inline s<T>(a: T, b: T): T { return isInteger<T>() ? rest<T>(a, b) : fmodOf<T>(a, b); }
}
/** Integer powers wrap; a negative exponent leaves 1 / base, which is 0 unless base is 1 or -1. */
@final export class IntegerPow {
  @inline s<T>(a: T, b: T): T {
    if (b < 0) return a == 1 ? <T>1 : a == <T>-1 ? (b & 1 ? <T>-1 : <T>1) : <T>0;
    let base = a;
    let result = <T>1;
    for (let e = b; e != 0; e >>= 1) {
      if (e & 1) result = <T>(result * base);
      base = <T>(base * base);
    }
    return result;
  }
}
@final export class Reciprocal {
  @inline v<T>(x: v128): v128 { return v128.div<T>(v128.splat<T>(<T>1), x); }
}
@final export class Sqrt {
  @inline v<T>(x: v128): v128 { return v128.sqrt<T>(x); }
}
@final export class Rsqrt {
  @inline v<T>(x: v128): v128 { return v128.div<T>(v128.splat<T>(<T>1), v128.sqrt<T>(x)); }
}

// Rounding leaves integers as they are.
@final export class Floor {
  @inline v<T>(x: v128): v128 { return isFloat<T>() ? v128.floor<T>(x) : x; }
}
@final export class Ceil {
  @inline v<T>(x: v128): v128 { return isFloat<T>() ? v128.ceil<T>(x) : x; }
}
@final export class Round {
  @inline v<T>(x: v128): v128 { return isFloat<T>() ? v128.nearest<T>(x) : x; }
}
@final export class Trunc {
  @inline v<T>(x: v128): v128 { return isFloat<T>() ? v128.trunc<T>(x) : x; }
}

/** NaN wins, as the machine instruction has it. */
@final export class Maximum {
  @inline v<T>(a: v128, b: v128): v128 {
    return sizeof<T>() == 8 && isInteger<T>() ? v128.bitselect(a, b, v128.gt<T>(a, b)) : v128.max<T>(a, b);
  }
}
@final export class Minimum {
  @inline v<T>(a: v128, b: v128): v128 {
    return sizeof<T>() == 8 && isInteger<T>() ? v128.bitselect(b, a, v128.gt<T>(a, b)) : v128.min<T>(a, b);
  }
}
/** NaN loses. */
@final export class Fmax {
  @inline v<T>(a: v128, b: v128): v128 {
    const m = changetype<Maximum>(0).v<T>(a, b);
    if (!isFloat<T>()) return m;
    return v128.bitselect(v128.bitselect(m, a, v128.eq<T>(b, b)), b, v128.eq<T>(a, a));
  }
}
@final export class Fmin {
  @inline v<T>(a: v128, b: v128): v128 {
    const m = changetype<Minimum>(0).v<T>(a, b);
    if (!isFloat<T>()) return m;
    return v128.bitselect(v128.bitselect(m, a, v128.eq<T>(b, b)), b, v128.eq<T>(a, a));
  }
}

/** A comparison's mask as 0 or 1 in i32 lanes. */
@inline function bit(mask: v128): v128 {
  return v128.and(mask, i32x4.splat(1));
}
@final export class Eq {
  @inline v<T>(a: v128, b: v128): v128 { return bit(v128.eq<T>(a, b)); }
  @inline s<T>(a: T, b: T): i32 { return i32(a == b); }
}
@final export class Ne {
  @inline v<T>(a: v128, b: v128): v128 { return bit(v128.ne<T>(a, b)); }
  @inline s<T>(a: T, b: T): i32 { return i32(a != b); }
}
@final export class Lt {
  @inline v<T>(a: v128, b: v128): v128 { return bit(v128.lt<T>(a, b)); }
  @inline s<T>(a: T, b: T): i32 { return i32(a < b); }
}
@final export class Le {
  @inline v<T>(a: v128, b: v128): v128 { return bit(v128.le<T>(a, b)); }
  @inline s<T>(a: T, b: T): i32 { return i32(a <= b); }
}
@final export class Gt {
  @inline v<T>(a: v128, b: v128): v128 { return bit(v128.gt<T>(a, b)); }
  @inline s<T>(a: T, b: T): i32 { return i32(a > b); }
}
@final export class Ge {
  @inline v<T>(a: v128, b: v128): v128 { return bit(v128.ge<T>(a, b)); }
  @inline s<T>(a: T, b: T): i32 { return i32(a >= b); }
}
@final export class IsNan {
  @inline v<T>(x: v128): v128 { return isFloat<T>() ? bit(v128.ne<T>(x, x)) : i32x4.splat(0); }
  @inline s<T>(x: T): i32 { return i32(x != x); }
}
@final export class IsInf {
  @inline v<T>(x: v128): v128 {
    return isFloat<T>() ? bit(v128.eq<T>(v128.abs<T>(x), v128.splat<T>(<T>Infinity))) : i32x4.splat(0);
  }
  @inline s<T>(x: T): i32 { return isFloat<T>() ? i32(abs<T>(x) == <T>Infinity) : 0; }
}
@final export class Signbit {
  @inline v<T>(x: v128): v128 { return i32x4.shr_u(x, 31); }
  @inline s<T>(x: T): i32 {
    if (isFloat<T>()) return i32(reinterpret<u64>(<f64>x) >> 63);
    return i32(x < 0);
  }
}

@final export class And {
  @inline v<T>(a: v128, b: v128): v128 { return v128.and(a, b); }
}
@final export class Or {
  @inline v<T>(a: v128, b: v128): v128 { return v128.or(a, b); }
}
@final export class Xor {
  @inline v<T>(a: v128, b: v128): v128 { return v128.xor(a, b); }
}
@final export class Not {
  @inline v<T>(x: v128): v128 { return v128.not(x); }
}
@final export class LogicalNot {
  @inline v<T>(x: v128): v128 { return v128.xor(x, i32x4.splat(1)); }
}
@final export class ShiftLeft {
  @inline s<T>(a: T, b: T): T { return b < 0 || b >= <T>(sizeof<T>() * 8) ? <T>0 : <T>(a << b); }
}
@final export class ShiftRight {
  @inline s<T>(a: T, b: T): T {
    const last = <T>(sizeof<T>() * 8 - 1);
    return <T>(a >> (b < 0 || b > last ? last : b));
  }
}
@final export class Gcd {
  @inline s<T>(a: T, b: T): T {
    let x = a < 0 ? <T>(0 - a) : a;
    let y = b < 0 ? <T>(0 - b) : b;
    while (y != 0) {
      const r = rest<T>(x, y);
      x = y;
      y = r;
    }
    return x < 0 ? <T>(0 - x) : x;
  }
}
/** Choices of 32 bits: the condition's lanes are as wide. */
@final export class Where {
  @inline v<T>(condition: v128, a: v128, b: v128): v128 {
    return v128.bitselect(a, b, i32x4.ne(condition, i32x4.splat(0)));
  }
}
@final export class CopySign {
  @inline v<T>(a: v128, b: v128): v128 { return v128.bitselect(b, a, v128.splat<T>(<T>-0.0)); }
}
@final export class NextAfter {
  @inline s<T>(a: T, b: T): T {
    if (a != a || b != b) return <T>(a + b);
    if (a == b) return b;
    if (sizeof<T>() == 4) {
      if (a == 0) return <T>reinterpret<f32>(reinterpret<u32>(<f32>b) & 0x80000000 | 1);
      const bits = reinterpret<u32>(<f32>a);
      return <T>reinterpret<f32>((a < b) == (a > 0) ? bits + 1 : bits - 1);
    }
    if (a == 0) return <T>reinterpret<f64>(reinterpret<u64>(<f64>b) & 0x8000000000000000 | 1);
    const bits = reinterpret<u64>(<f64>a);
    return <T>reinterpret<f64>((a < b) == (a > 0) ? bits + 1 : bits - 1);
  }
}
