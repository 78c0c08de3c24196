/** What the tables of op → nodes share. */

import * as torch from "../../torch.ts";
import type { DType } from "../../torch.ts";
import { Arg, Sym, type Dim, type Emitter, type Val } from "../emit.ts";

// eslint-disable-next-line @typescript-eslint/no-explicit-any -- arguments by the names of each op's signature
export type Args = Record<string, any>;

/** Writes an op's nodes and gives its results' values; null leaves it to the ops that it is made of. */
export type Convert = (g: Emitter, a: Args, out: readonly Arg[]) => Val | Val[] | null;
export type Table = Readonly<Record<string, Convert>>;

export const like = (x: Arg | Val): Omit<Val, "name"> => ({ dtype: x.dtype, shape: x.shape });

/** A tensor or number as a value of a dtype. */
export function operand(g: Emitter, x: unknown, dtype: DType): Val {
  if (x instanceof Arg) return g.cast(g.use(x), dtype);
  if (x instanceof Sym) return g.cast(g.int(x), dtype);
  if (x instanceof torch.FloatScalar) return g.scalar(x.value, dtype);
  if (typeof x === "number" || typeof x === "bigint" || typeof x === "boolean") return g.scalar(x, dtype);
  throw new torch.NotImplementedError(`onnx.export: expected a tensor or a number, got ${String(x)}`);
}

/** One op of ONNX with inputs in the result's dtype. */
export function simple(type: string, ...names: readonly string[]): Convert {
  const inputs = names.length === 0 ? ["input"] : names;
  return (g, a, [out]) =>
    g.op(
      type,
      inputs.map((n) => operand(g, a[n], out!.dtype)),
      {},
      like(out!),
    );
}

export function number(x: unknown, what: string): number {
  if (x instanceof torch.FloatScalar) return x.value;
  if (typeof x === "number" || typeof x === "boolean") return Number(x);
  throw new torch.NotImplementedError(`onnx.export: ${what} has to be a number that is the same for all inputs`);
}

export const isFixed = (d: Dim): d is number => typeof d === "number";

/** A list of one number for each of n dimensions. */
export function each(x: unknown, n: number, what: string): number[] {
  const list = Array.isArray(x) ? (x.length === 1 ? new Array<unknown>(n).fill(x[0]) : x) : new Array<unknown>(n).fill(x);
  return list.map((v) => number(v, what));
}

/** Dimensions, all where none is given. */
export function dims(dim: unknown, rank: number): number[] {
  if (dim === null || dim === undefined || (Array.isArray(dim) && dim.length === 0))
    return Array.from({ length: rank }, (_, d) => d);
  return (Array.isArray(dim) ? dim : [dim]).map((d) => wrap(number(d, "dim"), rank));
}
export const wrap = (d: number, rank: number): number => (d < 0 ? d + Math.max(rank, 1) : d);

/** The same elements under the result's shape. */
export function reshaped(g: Emitter, x: Val, shape: readonly Dim[]): Val {
  const varying = shape.filter((d) => !isFixed(d)).length;
  // One size may be left to be found.
  const list = varying === 1 && !shape.includes(0) ? shape.map((d) => (isFixed(d) ? d : -1)) : shape;
  return g.op("Reshape", [x, g.ints(list)], {}, { dtype: x.dtype, shape });
}
