/** Special functions in f64. */

@final export class Erf64 {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class Erfc64 {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class Erfinv64 {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class Lgamma {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class Digamma {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class I0 {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class I0e {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class I1 {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class I1e {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class Ndtri {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class LogNdtr {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class Erfcx {
  @inline s<T>(x: f64): f64 { return NaN; }
}
@final export class Polygamma {
  @inline s<T>(a: f64, b: f64): f64 { return NaN; }
}
@final export class Zeta {
  @inline s<T>(a: f64, b: f64): f64 { return NaN; }
}
@final export class Igamma {
  @inline s<T>(a: f64, b: f64): f64 { return NaN; }
}
@final export class Igammac {
  @inline s<T>(a: f64, b: f64): f64 { return NaN; }
}
