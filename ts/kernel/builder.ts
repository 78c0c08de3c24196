/**
 * A typed builder of scalar expressions: `add(x, y)`, `where(c, a, 0)`. Plain numbers become constants of the other argument's dtype.
 */

import { bool, type DType } from "../core/dtype.ts";
import { BOOL_RESULT, cast, constant, op, SCALAR_OPS, type Expr, type ScalarOp } from "./expr.ts";

export type ExprArg = Expr | number;

type Arity = typeof SCALAR_OPS;
type Fn<N extends number> = N extends 1
  ? (a: Expr) => Expr
  : N extends 2
    ? (a: ExprArg, b: ExprArg) => Expr
    : (a: ExprArg, b: ExprArg, c: ExprArg) => Expr;
type Builder = { readonly [K in ScalarOp]: Fn<Arity[K]> };

function build(name: ScalarOp): (...args: ExprArg[]) => Expr {
  return (...args) => {
    // `where` takes its dtype from its choices, not from its condition.
    const typed = (name === "where" ? args.slice(1) : args).find((a): a is Expr => typeof a !== "number");
    const dtype = typed!.dtype;
    const exprs = args.map((a) => (typeof a === "number" ? constant(a, dtype) : a));
    return op(name, BOOL_RESULT.has(name) ? bool : dtype, ...exprs);
  };
}

const fns = Object.fromEntries((Object.keys(SCALAR_OPS) as ScalarOp[]).map((n) => [n, build(n)])) as unknown as Builder;

/** All scalar ops as functions, and helpers made of them. */
export const e = {
  ...fns,
  cast: (a: Expr, dtype: DType): Expr => cast(a, dtype),
  /** a != 0, as bool. */
  truth: (a: Expr): Expr => cast(a, bool),
  not: (a: Expr): Expr => op("bitwise_not", bool, cast(a, bool)),
  and: (a: Expr, b: Expr): Expr => op("bitwise_and", bool, cast(a, bool), cast(b, bool)),
  or: (a: Expr, b: Expr): Expr => op("bitwise_or", bool, cast(a, bool), cast(b, bool)),
  square: (a: Expr): Expr => fns.mul(a, a),
  constant,
};
