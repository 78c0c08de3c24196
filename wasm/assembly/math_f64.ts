/**
 * Floating functions in f64, element by element: the float64 implementations, and the float32 ones of what is rare. The elementary
 * ones are AssemblyScript's (ports of musl, below one unit in the last place); f32 arguments are widened and the result rounded once.
 */

/** C's fmod, exact. */
@inline export function fmodOf<T>(a: T, b: T): T {
  if (sizeof<T>() == 4) {
    // Within 2^28 quotients, a - q * b is exact in f64; q may be one too many where a / b rounds up.
    const x = abs<f64>(<f64>a);
    const y = abs<f64>(<f64>b);
    const q = x / y;
    if (q < 268435456.0 && y < Infinity) {
      let r = x - trunc<f64>(q) * y;
      if (r < 0) r += y;
      return <T>copysign<f64>(r, <f64>a);
    }
  }
  return <T>NativeMath.mod(<f64>a, <f64>b);
}

@final export class Pow64 {
  @inline s<T>(a: f64, b: f64): f64 { return pow64(a, b); }
}
/** C99's pow: unlike JavaScript's, 1 to any power is 1, and so is -1 to an infinite one. */
export function pow64(a: f64, b: f64): f64 {
  if (a == 1 || b == 0) return 1;
  if (a == -1 && abs<f64>(b) == Infinity) return 1;
  return NativeMath.pow(a, b);
}
@final export class Exp64 {
  @inline s<T>(x: f64): f64 { return NativeMath.exp(x); }
}
@final export class Exp2of64 {
  @inline s<T>(x: f64): f64 { return NativeMath.exp2(x); }
}
@final export class Expm1of64 {
  @inline s<T>(x: f64): f64 { return NativeMath.expm1(x); }
}
@final export class Log64 {
  @inline s<T>(x: f64): f64 { return NativeMath.log(x); }
}
@final export class Log2of64 {
  @inline s<T>(x: f64): f64 { return NativeMath.log2(x); }
}
@final export class Log10of64 {
  @inline s<T>(x: f64): f64 { return NativeMath.log10(x); }
}
@final export class Log1pOf64 {
  @inline s<T>(x: f64): f64 { return NativeMath.log1p(x); }
}
@final export class Sin64 {
  @inline s<T>(x: f64): f64 { return NativeMath.sin(x); }
}
@final export class Cos64 {
  @inline s<T>(x: f64): f64 { return NativeMath.cos(x); }
}
@final export class Tan64 {
  @inline s<T>(x: f64): f64 { return NativeMath.tan(x); }
}
@final export class Asin64 {
  @inline s<T>(x: f64): f64 { return NativeMath.asin(x); }
}
@final export class Acos64 {
  @inline s<T>(x: f64): f64 { return NativeMath.acos(x); }
}
@final export class Atan64 {
  @inline s<T>(x: f64): f64 { return NativeMath.atan(x); }
}
@final export class Atan2of64 {
  @inline s<T>(y: f64, x: f64): f64 { return NativeMath.atan2(y, x); }
}
@final export class Sinh64 {
  @inline s<T>(x: f64): f64 { return NativeMath.sinh(x); }
}
@final export class Cosh64 {
  @inline s<T>(x: f64): f64 { return NativeMath.cosh(x); }
}
@final export class Tanh64 {
  @inline s<T>(x: f64): f64 { return NativeMath.tanh(x); }
}
@final export class Asinh64 {
  @inline s<T>(x: f64): f64 { return NativeMath.asinh(x); }
}
@final export class Acosh64 {
  @inline s<T>(x: f64): f64 { return NativeMath.acosh(x); }
}
@final export class Atanh64 {
  @inline s<T>(x: f64): f64 { return NativeMath.atanh(x); }
}
@final export class Sigmoid64 {
  @inline s<T>(x: f64): f64 { return 1 / (1 + NativeMath.exp(-x)); }
}
@final export class Hypot64 {
  @inline s<T>(a: f64, b: f64): f64 { return NativeMath.hypot(a, b); }
}
