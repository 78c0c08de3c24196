/**
 * Scalar expressions as IR. Every node is computed once per element, nodes of constants and run-time scalars once per thread; every value
 * is as if it had been stored in its dtype and loaded back. Bools are IR bools until they are stored.
 */

import { bool, type DType } from "../../ts/core/dtype.ts";
import { BOOL_RESULT, type Expr, type ScalarOp } from "../../ts/kernel/expr.ts";
import type { GpuContext } from "../context.ts";
import type { ScalarType } from "../ir.ts";
import type { KernelBuilder, V } from "../builder.ts";
import { castTo, roundTo, truth } from "./convert.ts";
import { hostValue } from "./host.ts";
import { polygammaOfSingle } from "./math_gamma.ts";
import { emitOp } from "./table.ts";

/** Where an element's inputs come from. */
export interface ElementSource {
  /** The element of input number `input`, in its layout's register type. */
  load(input: number): V;
  /** What an index node asks for, as u32. */
  index(dim: number | "linear"): V;
}

/** Ops whose result is a value of the dtype whenever the arguments are: nothing to round or wrap. */
const EXACT: ReadonlySet<ScalarOp> = new Set<ScalarOp>([
  "sign",
  "floor",
  "ceil",
  "round",
  "trunc",
  "maximum",
  "minimum",
  "fmax",
  "fmin",
  "where",
  "copysign",
  "fmod",
  "bitwise_and",
  "bitwise_or",
  "bitwise_xor",
  "shift_right",
]);

/** What is only there within expressions: devices without 64-bit types compute float64 in f32 and int64 in i32. */
function registerType(context: GpuContext, dtype: DType): ScalarType {
  return dtype.name === "float64" && !context.caps.wide ? "f32" : context.layout(dtype).value;
}

const paramName = (slot: number, dtype: DType): string => `scalar${slot}_${dtype.name}`;

/** All nodes, arguments first. */
function nodesOf(roots: readonly Expr[]): Expr[] {
  const seen = new Set<Expr>();
  const visit = (x: Expr): void => {
    if (seen.has(x)) return;
    if (x.kind === "cast") visit(x.arg);
    else if (x.kind === "op") x.args.forEach(visit);
    seen.add(x);
  };
  roots.forEach(visit);
  return [...seen];
}

/** What a kernel must know of its expressions before it is built. */
export interface ExprInfo {
  readonly roots: readonly Expr[];
  /** Index nodes, each dim once. */
  readonly indices: readonly (number | "linear")[];
  /** The kernel's params for scalar slots. */
  params(scalars: readonly (number | bigint)[]): Record<string, number | bigint>;
  /** About how many cheap instructions one element costs. */
  readonly cost: number;
}

export function inspect(context: GpuContext, roots: readonly Expr[]): ExprInfo {
  const nodes = nodesOf(roots);
  const indices = new Set<number | "linear">();
  const slots = new Map<string, { slot: number; dtype: DType; value: ScalarType }>();
  let cost = 1;
  for (const x of nodes) {
    if (x.kind === "index") indices.add(x.dim);
    else if (x.kind === "scalar") {
      slots.set(paramName(x.slot, x.dtype), { slot: x.slot, dtype: x.dtype, value: registerType(context, x.dtype) });
    } else if (x.kind === "op") cost += FEW.has(x.op) ? 1 : 12;
  }
  return {
    roots,
    indices: [...indices],
    cost,
    params: (scalars) => {
      const params: Record<string, number | bigint> = {};
      for (const [name, { slot, dtype, value }] of slots) params[name] = hostValue(scalars[slot]!, dtype, { value });
      return params;
    },
  };
}

/** Ops of a few instructions. */
const FEW: ReadonlySet<ScalarOp> = new Set<ScalarOp>([
  ...EXACT,
  ...BOOL_RESULT,
  "neg",
  "abs",
  "add",
  "sub",
  "mul",
  "div",
  "madd",
  "reciprocal",
  "sqrt",
  "rsqrt",
  "bitwise_not",
  "shift_left",
]);

/** The builder of one kernel's expressions. Made where the kernel begins: what is the same for all elements is computed there. */
export class ExprBuilder {
  readonly #k: KernelBuilder;
  readonly #context: GpuContext;
  readonly #uniform = new Map<Expr, V>();

  constructor(k: KernelBuilder, context: GpuContext, roots: readonly Expr[]) {
    this.#k = k;
    this.#context = context;
    for (const x of nodesOf(roots)) {
      const args = x.kind === "cast" ? [x.arg] : x.kind === "op" ? x.args : [];
      const uniform = x.kind === "const" || x.kind === "scalar" || (args.length > 0 && args.every((a) => this.#uniform.has(a)));
      if (uniform) this.#uniform.set(x, this.#compute(x, this.#uniform, null));
    }
  }

  /** Values of one element; nodes that `roots` share are computed once. */
  values(roots: readonly Expr[], source: ElementSource): V[] {
    const values = new Map(this.#uniform);
    for (const x of nodesOf(roots)) if (!values.has(x)) values.set(x, this.#compute(x, values, source));
    return roots.map((x) => values.get(x)!);
  }
  /** The same, in the register types of the dtypes' layouts: ready to be stored. */
  stored(roots: readonly Expr[], source: ElementSource): V[] {
    return this.values(roots, source).map((v, i) => v.convert(this.#context.layout(roots[i]!.dtype).value));
  }

  #compute(x: Expr, values: ReadonlyMap<Expr, V>, source: ElementSource | null): V {
    const k = this.#k;
    const value = registerType(this.#context, x.dtype);
    const asBool = (v: V): V => (x.dtype === bool ? truth(v) : v);
    switch (x.kind) {
      case "load":
        return asBool(source!.load(x.input));
      case "scalar":
        return asBool(k.param(paramName(x.slot, x.dtype), value));
      case "const": {
        const known = hostValue(x.value, x.dtype, { value });
        return x.dtype === bool ? k.bool(Number(known) !== 0) : k.const(known, value);
      }
      case "index": {
        const i = source!.index(x.dim);
        return x.dtype === bool ? truth(i) : roundTo(k, i.convert(value), x.dtype);
      }
      case "cast": {
        const v = values.get(x.arg)!;
        return x.dtype === bool ? truth(v) : castTo(k, v, x.arg.dtype, x.dtype, { value });
      }
      case "op":
        return this.#op(
          x,
          x.args.map((a) => values.get(a)!),
        );
    }
  }

  #op(x: Extract<Expr, { kind: "op" }>, args: readonly V[]): V {
    const k = this.#k;
    const { op, dtype } = x;
    const logic = LOGIC[op];
    if (dtype === bool && logic !== undefined && args.every((a) => a.scalar === "bool")) return logic(args);
    const operand = x.args[op === "where" ? 1 : 0]!.dtype;
    const type = registerType(this.#context, operand);
    // Other ops take bools as 0 and 1.
    const numbers = args.map((a, i) => (op === "where" && i === 0 ? truth(a) : a.convert(a.scalar === "bool" ? type : a.scalar)));
    const doubled = op === "polygamma" && type === "f32" && this.#context.caps.wide;
    const v = doubled ? polygammaOfSingle(k, ...numbers) : emitOp(k, op, type, numbers, operand.name);
    if (BOOL_RESULT.has(op)) return v;
    if (dtype === bool) return truth(v);
    return EXACT.has(op) ? v : roundTo(k, v, dtype);
  }
}

/** Ops of bools among themselves. */
const LOGIC: { readonly [K in ScalarOp]?: (args: readonly V[]) => V } = {
  bitwise_and: ([a, b]) => a!.and(b!),
  bitwise_or: ([a, b]) => a!.or(b!),
  bitwise_xor: ([a, b]) => a!.xor(b!),
  bitwise_not: ([a]) => a!.not(),
  mul: ([a, b]) => a!.and(b!),
  maximum: ([a, b]) => a!.or(b!),
  minimum: ([a, b]) => a!.and(b!),
  eq: ([a, b]) => a!.eq(b!),
  ne: ([a, b]) => a!.ne(b!),
  where: ([c, a, b]) => c!.select(a!, b!),
};
