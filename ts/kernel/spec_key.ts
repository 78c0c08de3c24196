/** A spec's structure as a string, so that equal specs share one prepared kernel. */

import { DType } from "../core/dtype.ts";
import type { Expr } from "./expr.ts";
import type { KernelSpec } from "./spec.ts";

/** Shared subexpressions are written once and referred to by number afterwards: a DAG must not grow into a tree. */
export function specKey(spec: KernelSpec): string {
  const numbers = new Map<Expr, number>();
  const writeExpr = (expr: Expr): string => {
    const known = numbers.get(expr);
    if (known !== undefined) return `#${known}`;
    const type = expr.dtype.code;
    let text: string;
    switch (expr.kind) {
      case "load":
        text = `l${type},${expr.input}`;
        break;
      case "scalar":
        text = `s${type},${expr.slot}`;
        break;
      case "const":
        text = `c${type},${Object.is(expr.value, -0) ? "-0" : expr.value}`;
        break;
      case "index":
        text = `i${type},${expr.dim}`;
        break;
      case "cast":
        text = `t${type}(${writeExpr(expr.arg)})`;
        break;
      case "op":
        text = `${expr.op}${type}(${expr.args.map(writeExpr).join(" ")})`;
        break;
    }
    numbers.set(expr, numbers.size);
    return text;
  };
  const write = (value: unknown): string => {
    if (value instanceof DType) return value.name;
    if (Array.isArray(value)) return `[${value.map(write).join()}]`;
    if (typeof value === "object" && value !== null) return writeExpr(value as Expr);
    return String(value);
  };
  const fields = spec as unknown as Record<string, unknown>;
  return Object.keys(fields)
    .sort()
    .map((name) => `${name}=${write(fields[name])}`)
    .join(";");
}
