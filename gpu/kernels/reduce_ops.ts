/** What reductions do with elements: partial results as tuples of values, how elements join them, how two of them become one. */

import { bool, float32, int64, type DType } from "../../ts/core/dtype.ts";
import { cast, type Expr } from "../../ts/kernel/expr.ts";
import type { ReduceOp } from "../../ts/kernel/spec.ts";
import type { Elem, ScalarType } from "../ir.ts";
import type { Block, V } from "../builder.ts";
import type { GpuContext } from "../context.ts";
import { castTo } from "../scalar/convert.ts";

/** A partial result. */
export type Tuple = readonly V[];

export interface Fold {
  /** Types of a tuple's values, as they lie in temporary memory and workgroup memory. */
  readonly types: readonly Exclude<ScalarType, "bool">[];
  /** Of no elements. */
  identity(b: Block): Tuple;
  /** Of one element with a position within the reduced dims. */
  single(b: Block, value: V, position: V): Tuple;
  /** Of several elements (a power of two), where that is better than one by one. */
  several?(b: Block, values: readonly V[]): Tuple;
  combine(b: Block, x: Tuple, y: Tuple): Tuple;
  /** What is stored, one value per output, in the layouts' register types. */
  results(b: Block, tuple: Tuple): readonly V[];
}

const ARG: ReadonlySet<ReduceOp> = new Set<ReduceOp>(["argmax", "argmin", "max_arg", "min_arg"]);
export const isArg = (op: ReduceOp): boolean => ARG.has(op);

/** The expression in the type that it is folded in. */
export function foldedExpr(op: ReduceOp, expr: Expr): Expr {
  if (op === "any" || op === "all") return cast(expr, bool);
  return (op === "sum" || op === "prod") && !expr.dtype.is_floating_point ? cast(expr, int64) : expr;
}

/** What `expr` is once it is in a register: narrow floats are f32 there. */
function accumulated(dtype: DType): DType {
  return dtype.is_floating_point && dtype.itemsize < 4 ? float32 : dtype;
}

const isFloat = (v: V): boolean => v.scalar === "f32" || v.scalar === "f64";

/** The value that loses to every other (as another of its kind may). */
function worst(b: Block, type: ScalarType, least: boolean): V {
  switch (type) {
    case "i32":
      return b.i32(least ? 2 ** 31 - 1 : -(2 ** 31));
    case "i64":
      return b.const(least ? 2n ** 63n - 1n : -(2n ** 63n), "i64");
    default:
      return b.const(least ? Infinity : -Infinity, type);
  }
}

/** NaN wins. */
function extreme(x: V, y: V, least: boolean): V {
  const m = least ? x.min(y) : x.max(y);
  return isFloat(x) ? x.isNan().select(x, y.isNan().select(y, m)) : m;
}

/** The better of two values with positions: NaN beats all others, of equals the first counts. */
function better([x, i]: Tuple, [y, j]: Tuple, least: boolean): Tuple {
  const first = i!.lt(j!);
  let wins = (least ? x!.lt(y!) : x!.gt(y!)).or(x!.eq(y!).and(first));
  if (isFloat(x!)) wins = y!.isNan().select(x!.isNan().and(first), x!.isNan().or(wins));
  return [wins.select(x!, y!), wins.select(i!, j!)];
}

/** Merges mean, sum of squared deviations and count of two parts (Chan, Golub and LeVeque). */
function mergeMoments([mean, m2, n]: Tuple, [more, more2, m]: Tuple): Tuple {
  const count = n!.add(m!);
  const share = m!.div(count.max(1));
  const delta = more!.sub(mean!);
  return [delta.fma(share, mean!), m2!.add(more2!).add(delta.mul(delta).mul(n!).mul(share)), count];
}

const pairwise = (values: readonly V[], add: (x: V, y: V) => V): V => {
  if (values.length === 1) return values[0]!;
  const half = values.length / 2;
  return add(pairwise(values.slice(0, half), add), pairwise(values.slice(half), add));
};

/** @param dtype Of `foldedExpr`. @param output Of the first output. */
export function foldOf(op: ReduceOp, dtype: DType, output: DType, context: GpuContext): Fold {
  const type = context.layout(dtype).value;
  const position = context.layout(int64).value;
  const stored = (b: Block, v: V): V => castTo(b, v, accumulated(dtype), output, context.layout(output));
  const number = type as Exclude<ScalarType, "bool">;
  switch (op) {
    case "sum":
    case "prod": {
      const join = (x: V, y: V): V => (op === "sum" ? x.add(y) : x.mul(y));
      return {
        types: [number],
        identity: (b) => [b.const(op === "sum" ? 0 : 1, type)],
        single: (_, x) => [x],
        several: (_, values) => [pairwise(values, join)],
        combine: (_, [x], [y]) => [join(x!, y!)],
        results: (b, [x]) => [stored(b, x!)],
      };
    }
    case "max":
    case "min": {
      const least = op === "min";
      return {
        types: [number],
        identity: (b) => [worst(b, type, least)],
        single: (_, x) => [x.scalar === "bool" ? x.convert(type) : x],
        combine: (_, [x], [y]) => [extreme(x!, y!, least)],
        results: (b, [x]) => [stored(b, x!)],
      };
    }
    case "any":
    case "all":
      return {
        types: ["u32"],
        identity: (b) => [b.u32(op === "any" ? 0 : 1)],
        single: (_, x) => [x.convert("u32")],
        combine: (_, [x], [y]) => [op === "any" ? x!.or(y!) : x!.and(y!)],
        results: (_, [x]) => [x!.convert(context.layout(output).value)],
      };
    case "argmax":
    case "argmin":
    case "max_arg":
    case "min_arg": {
      const least = op === "argmin" || op === "min_arg";
      return {
        types: [number, "u32"],
        identity: (b) => [worst(b, type, least), b.u32(0xffffffff)],
        single: (_, x, at) => [x.scalar === "bool" ? x.convert(type) : x, at],
        combine: (_, x, y) => better(x, y, least),
        results: (b, [x, at]) => {
          const place = at!.eq(0xffffffff).select(b.u32(0), at!).convert(position);
          return op === "argmax" || op === "argmin" ? [place] : [stored(b, x!), place];
        },
      };
    }
    case "welford":
      return {
        types: [number, number, number],
        identity: (b) => [b.const(0, type), b.const(0, type), b.const(0, type)],
        single: (b, x) => [x, b.const(0, type), b.const(1, type)],
        several: (b, values) => {
          const add = (x: V, y: V): V => x.add(y);
          const mean = pairwise(values, add).mul(1 / values.length);
          const squares = values.map((x) => x.sub(mean)).map((d) => d.mul(d));
          return [mean, pairwise(squares, add), b.const(values.length, type)];
        },
        combine: (_, x, y) => mergeMoments(x, y),
        results: (b, [mean, m2]) => [stored(b, mean!), stored(b, m2!)],
      };
  }
}

/** How a tuple's values lie in memory. */
export const elemOf = (type: Exclude<ScalarType, "bool">): Elem => type;
