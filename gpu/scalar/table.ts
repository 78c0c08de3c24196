/** Every scalar op as IR: one row each, by the type that it is computed in. A forgotten row is a compile error. */

import { NotImplementedError } from "../../ts/core/errors.ts";
import type { ScalarOp } from "../../ts/kernel/expr.ts";
import type { ScalarType } from "../ir.ts";
import type { Block, V } from "../builder.ts";
import { isInf, isNegative, productPlus, withSign, type Emit } from "./basics.ts";
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
  /** f32 and f64. */
  readonly float: Emit | null;
  /** i32 and i64. */
  readonly integer: Emit | null;
}

/** One algorithm for all types. */
const all = (emit: Emit): Row => ({ float: emit, integer: emit });
const arithmetic = (float: Emit, integer: Emit): Row => ({ float, integer });
const floats = (emit: Emit): Row => ({ float: emit, integer: null });
const wholes = (emit: Emit): Row => ({ float: null, integer: emit });

const plain1 = (op: "neg" | "abs" | "sqrt" | "floor" | "ceil" | "round" | "trunc"): Emit => {
  return (_, x) => x![op]();
};
const plain2 = (op: "add" | "sub" | "mul" | "div" | "eq" | "ne" | "lt" | "le" | "gt" | "ge" | "and" | "or" | "xor"): Emit => {
  return (_, x, y) => x![op](y!);
};
const identity: Emit = (_, x) => x!;

const one = (b: Block, like: V): V => b.const(1, like.scalar);
const zero = (b: Block, like: V): V => b.const(0, like.scalar);

function extreme(op: "max" | "min", nan: "wins" | "loses"): Row {
  return arithmetic(
    (_, x, y) => {
      const m = x![op](y!);
      return nan === "wins" ? x!.isNan().select(x!, y!.isNan().select(y!, m)) : x!.isNan().select(y!, y!.isNan().select(x!, m));
    },
    (_, x, y) => x![op](y!),
  );
}

function signOfFloat(b: Block, x: V): V {
  return x.isNan().select(x, truth(x).select(withSign(one(b, x), x), zero(b, x)));
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
  floor_divide: arithmetic(pows.floorDivide, (b, x, y) => integers.floorDivide(b, x!, y!)),
  remainder: arithmetic(pows.remainder, (b, x, y) => integers.remainder(b, x!, y!)),
  fmod: arithmetic(pows.fmod, (b, x, y) => integers.rest(b, x!, y!)),
  madd: arithmetic(
    (_, x, y, z) => x!.fma(y!, z!),
    (_, x, y, z) => x!.mul(y!).add(z!),
  ),
  fma: floats((_, x, y, z) => productPlus(x!, y!, z!)),
  pow: arithmetic(pows.pow, integers.pow),
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
  isinf: arithmetic((_, x) => isInf(x!), never),
  signbit: arithmetic(
    (_, x) => isNegative(x!),
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
  exp: floats(exps.exp),
  exp2: floats(exps.exp2),
  expm1: floats(exps.expm1),
  log: floats(logs.log),
  log2: floats(logs.log2),
  log10: floats(logs.log10),
  log1p: floats(logs.log1p),
  sin: floats(circle.sin),
  cos: floats(circle.cos),
  tan: floats(circle.tan),
  asin: floats(circle.asin),
  acos: floats(circle.acos),
  atan: floats(circle.atan),
  atan2: floats(circle.atan2),
  sinh: floats(exps.sinh),
  cosh: floats(exps.cosh),
  tanh: floats(exps.tanh),
  asinh: floats(logs.asinh),
  acosh: floats(logs.acosh),
  atanh: floats(logs.atanh),
  sigmoid: floats(exps.sigmoid),
  erf: floats(erfs.erf),
  erfc: floats(erfs.erfc),
  erfinv: floats(erfs.erfinv),
  hypot: floats(pows.hypot),
  copysign: floats((b, x, y) => pows.copysign(b, x!, y!)),
  nextafter: floats(pows.nextafter),
  lgamma: floats(gammas.lgamma),
  digamma: floats(gammas.digamma),
  polygamma: floats(gammas.polygamma),
  zeta: floats(gammas.zeta),
  igamma: floats(gammas.igamma),
  igammac: floats(gammas.igammac),
  i0: floats(bessel.i0),
  i0e: floats(bessel.i0e),
  i1: floats(bessel.i1),
  i1e: floats(bessel.i1e),
  ndtri: floats(erfs.ndtri),
  log_ndtr: floats(erfs.logNdtr),
  erfcx: floats(erfs.erfcx),
  gelu: floats(erfs.gelu),
  gelu_slope: floats(erfs.geluSlope),
};
/**
 * The op on arguments of one type; of `where` the first is a bool. Comparisons and predicates give a bool. Throws NotImplementedError for types
 * that the op is not there for.
 * @param type The arguments' type (of `where`: its choices').
 */
export function emitOp(b: Block, op: ScalarOp, type: ScalarType, args: readonly V[], dtype: string): V {
  const row = ROWS[op];
  const emit = type === "f32" || type === "f64" ? row.float : row.integer;
  if (emit === null) {
    throw new NotImplementedError(`${op}: not implemented for ${dtype} on GPU devices; convert with .to() first`);
  }
  return emit(b, ...args);
}
