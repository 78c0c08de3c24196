/** Every scalar op as IR: one row each, by the type that it is computed in. A forgotten row is a compile error. */

import { NotImplementedError } from "../../ts/core/errors.ts";
import type { ScalarOp } from "../../ts/kernel/expr.ts";
import type { ScalarType } from "../ir.ts";
import type { Block, V } from "../builder.ts";
import { isInf as isInfF32, isNegative, withSign, type Emit } from "./basics.ts";
import { truth } from "./convert.ts";
import * as bessel from "./math_bessel.ts";
import * as circle from "./math_circle.ts";
import * as erfs from "./math_erf.ts";
import * as exps from "./math_exp.ts";
import * as gammas from "./math_gamma.ts";
import * as integers from "./integers.ts";
import * as logs from "./math_log.ts";
import * as pows from "./math_pow.ts";

/** How an op is computed on arguments of a type (of `where`: its choices); null: there is no such thing. */
interface Row {
  readonly f32: Emit | null;
  /** "missing": not written yet. */
  readonly f64: Emit | "missing" | null;
  /** i32 and i64. */
  readonly integer: Emit | null;
}

/** One algorithm for all types. */
const all = (emit: Emit): Row => ({ f32: emit, f64: emit, integer: emit });
const arithmetic = (float: Emit, integer: Emit): Row => ({ f32: float, f64: float, integer });
const floats = (emit: Emit): Row => ({ f32: emit, f64: emit, integer: null });
const wholes = (emit: Emit): Row => ({ f32: null, f64: null, integer: emit });
/** An approximation that is good for f32 only. */
const single = (f32: Emit, integer: Emit | null = null): Row => ({ f32, f64: "missing", integer });

const plain1 = (op: "neg" | "abs" | "sqrt" | "floor" | "ceil" | "round" | "trunc"): Emit => {
  return (_, x) => x![op]();
};
const plain2 = (op: "add" | "sub" | "mul" | "div" | "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "and" | "or" | "xor"): Emit => {
  return (_, x, y) => x![op](y!);
};
const identity: Emit = (_, x) => x!;

const one = (b: Block, like: V): V => b.const(1, like.scalar);
const zero = (b: Block, like: V): V => b.const(0, like.scalar);

/** The sign bit of a float. */
const negative = (x: V): V => (x.scalar === "f64" ? x.bitcast("i64").lt(0) : isNegative(x));
const infinite = (x: V): V => (x.scalar === "f64" ? x.abs().eq(Infinity) : isInfF32(x));

function extreme(op: "max" | "min", nan: "wins" | "loses"): Row {
  return arithmetic(
    (_, x, y) => {
      const m = x![op](y!);
      return nan === "wins" ? x!.isNan().select(x!, y!.isNan().select(y!, m)) : x!.isNan().select(y!, y!.isNan().select(x!, m));
    },
    (_, x, y) => x![op](y!),
  );
}

function copysign(b: Block, x: V, y: V): V {
  if (x.scalar === "f32") return pows.copysign(b, x, y);
  return x
    .abs()
    .bitcast("i64")
    .or(y.bitcast("i64").and(b.const(-(2n ** 63n), "i64")))
    .bitcast("f64");
}

function signOfFloat(b: Block, x: V): V {
  const unit = x.scalar === "f32" ? withSign(one(b, x), x) : copysign(b, one(b, x), x);
  return x.isNan().select(x, truth(x).select(unit, zero(b, x)));
}

const never: Emit = (b) => b.bool(false);

const ROWS: { readonly [K in ScalarOp]: Row } = {
  neg: all(plain1("neg")),
  abs: all(plain1("abs")),
  sign: arithmetic(
    (b, x) => signOfFloat(b, x!),
    (b, x) => x!.gt(0).select(one(b, x!), x!.lt(0).select(one(b, x!).neg(), zero(b, x!))),
  ),
  add: all(plain2("add")),
  sub: all(plain2("sub")),
  mul: all(plain2("mul")),
  div: arithmetic(plain2("div"), (b, x, y) => integers.divide(b, x!, y!)),
  floor_divide: single(pows.floorDivide, (b, x, y) => integers.floorDivide(b, x!, y!)),
  remainder: single(pows.remainder, (b, x, y) => integers.remainder(b, x!, y!)),
  fmod: single(pows.fmod, (b, x, y) => integers.rest(b, x!, y!)),
  madd: arithmetic(
    (_, x, y, z) => x!.fma(y!, z!),
    (_, x, y, z) => x!.mul(y!).add(z!),
  ),
  pow: single(pows.pow, integers.pow),
  reciprocal: floats((b, x) => one(b, x!).div(x!)),
  sqrt: floats(plain1("sqrt")),
  rsqrt: floats((b, x) => one(b, x!).div(x!.sqrt())),
  // Rounding leaves integers as they are.
  floor: arithmetic(plain1("floor"), identity),
  ceil: arithmetic(plain1("ceil"), identity),
  round: arithmetic(plain1("round"), identity),
  trunc: arithmetic(plain1("trunc"), identity),
  maximum: extreme("max", "wins"),
  minimum: extreme("min", "wins"),
  fmax: extreme("max", "loses"),
  fmin: extreme("min", "loses"),
  eq: all(plain2("eq")),
  ne: all(plain2("ne")),
  lt: all(plain2("lt")),
  le: all(plain2("le")),
  gt: all(plain2("gt")),
  ge: all(plain2("ge")),
  isnan: arithmetic((_, x) => x!.isNan(), never),
  isinf: arithmetic((_, x) => infinite(x!), never),
  signbit: arithmetic(
    (_, x) => negative(x!),
    (_, x) => x!.lt(0),
  ),
  bitwise_and: wholes(plain2("and")),
  bitwise_or: wholes(plain2("or")),
  bitwise_xor: wholes(plain2("xor")),
  bitwise_not: wholes((_, x) => x!.not()),
  shift_left: wholes((b, x, y) => integers.shiftLeft(b, x!, y!)),
  shift_right: wholes((b, x, y) => integers.shiftRight(b, x!, y!)),
  gcd: wholes(integers.gcd),
  where: all((_, condition, x, y) => condition!.select(x!, y!)),
  exp: single(exps.exp),
  exp2: single(exps.exp2),
  expm1: single(exps.expm1),
  log: single(logs.log),
  log2: single(logs.log2),
  log10: single(logs.log10),
  log1p: single(logs.log1p),
  sin: single(circle.sin),
  cos: single(circle.cos),
  tan: single(circle.tan),
  asin: single(circle.asin),
  acos: single(circle.acos),
  atan: single(circle.atan),
  atan2: single(circle.atan2),
  sinh: single(exps.sinh),
  cosh: single(exps.cosh),
  tanh: single(exps.tanh),
  asinh: single(logs.asinh),
  acosh: single(logs.acosh),
  atanh: single(logs.atanh),
  sigmoid: single(exps.sigmoid),
  erf: single(erfs.erf),
  erfc: single(erfs.erfc),
  erfinv: single(erfs.erfinv),
  hypot: single(pows.hypot),
  copysign: floats((b, x, y) => copysign(b, x!, y!)),
  nextafter: single(pows.nextafter),
  lgamma: single(gammas.lgamma),
  digamma: single(gammas.digamma),
  polygamma: single(gammas.polygamma),
  zeta: single(gammas.zeta),
  igamma: single(gammas.igamma),
  igammac: single(gammas.igammac),
  i0: single(bessel.i0),
  i0e: single(bessel.i0e),
  i1: single(bessel.i1),
  i1e: single(bessel.i1e),
  ndtri: single(erfs.ndtri),
  log_ndtr: single(erfs.logNdtr),
  erfcx: single(erfs.erfcx),
  gelu: single(erfs.gelu),
  gelu_slope: single(erfs.geluSlope),
};
/**
 * The op on arguments of one type; of `where` the first is a bool. Comparisons and predicates give a bool. Throws NotImplementedError for types
 * that the op is not there for.
 * @param type The arguments' type (of `where`: its choices').
 */
export function emitOp(b: Block, op: ScalarOp, type: ScalarType, args: readonly V[], dtype: string): V {
  const row = ROWS[op];
  const emit = type === "f32" ? row.f32 : type === "f64" ? row.f64 : row.integer;
  if (emit === null) {
    throw new NotImplementedError(`${op}: not implemented for ${dtype} on GPU devices; convert with .to() first`);
  }
  if (emit === "missing") {
    throw new NotImplementedError(`${op}: not implemented for float64 on GPU devices; use float32 there, or the cpu`);
  }
  return emit(b, ...args);
}
