/** Small certainties that builders meet all the time when they unroll: constant integer arithmetic, x + 0, x * 1. */

import { type Instr, type Operand, operandsOf, type OpName, type Stmt, type Type } from "./ir.ts";

function wrap(value: number, type: Type): number {
  return type.scalar === "u32" ? value >>> 0 : value | 0;
}

/** The result, where all operands are constant i32 or u32 (or compare such, or are bools). */
export function foldConstants(name: OpName, type: Type, args: readonly Operand[]): Operand | null {
  if (name === "is_nan" && args[0]!.kind === "const" && type.lanes === 1) {
    return { kind: "const", type, value: Number.isNaN(args[0].value) };
  }
  const values: number[] = [];
  for (const a of args) {
    if (a.kind !== "const" || a.type.lanes !== 1) return null;
    const { scalar } = a.type;
    if (scalar !== "i32" && scalar !== "u32") return null;
    values.push(Number(a.value));
  }
  const [a, b] = values as [number, number];
  const number = (value: number): Operand => ({ kind: "const", type, value: wrap(value, type) });
  const truth = (value: boolean): Operand => ({ kind: "const", type, value });
  switch (name) {
    case "add":
      return number(a + b);
    case "sub":
      return number(a - b);
    case "mul":
      return number(Math.imul(a, b));
    case "div":
      return b === 0 || (a === -(2 ** 31) && b === -1) ? null : number(Math.trunc(a / b));
    case "rem":
      return b === 0 || (a === -(2 ** 31) && b === -1) ? null : number(a % b);
    case "min":
      return number(Math.min(a, b));
    case "max":
      return number(Math.max(a, b));
    case "shl":
      return number(a << b);
    case "and":
      return number(a & b);
    case "eq":
      return truth(a === b);
    case "ne":
      return truth(a !== b);
    case "lt":
      return truth(a < b);
    case "le":
      return truth(a <= b);
    case "gt":
      return truth(a > b);
    case "ge":
      return truth(a >= b);
    default:
      return null;
  }
}

function isConstant(x: Operand, value: number): boolean {
  return x.kind === "const" && typeof x.value !== "boolean" && Number(x.value) === value;
}

/** An operand that the operation leaves as it is, for integers: floats keep their signed zeros and NaN. */
export function simplify(name: OpName, args: readonly Operand[]): Operand | null {
  const [a, b] = args as [Operand, Operand];
  if (name === "select" && args[0]!.kind === "const" && args[0].type.lanes === 1)
    return args[0].value === true ? args[1]! : args[2]!;
  const { scalar } = a.type;
  if (scalar === "bool") return simplifyTruth(name, a, b);
  if (scalar !== "i32" && scalar !== "u32" && scalar !== "i64") return null;
  switch (name) {
    case "add":
      return isConstant(a, 0) ? b : isConstant(b, 0) ? a : null;
    case "sub":
    case "shl":
    case "shr":
      return isConstant(b, 0) ? a : null;
    case "mul":
      if (isConstant(a, 0) || isConstant(b, 1)) return a;
      return isConstant(b, 0) || isConstant(a, 1) ? b : null;
    case "div":
      return isConstant(b, 1) ? a : null;
    case "rem":
      return isConstant(b, 1) ? { kind: "const", type: a.type, value: 0 } : null;
    default:
      return null;
  }
}

function simplifyTruth(name: OpName, a: Operand, b: Operand): Operand | null {
  if (name !== "and" && name !== "or") return null;
  const decides = name === "or";
  for (const [x, y] of [
    [a, b],
    [b, a],
  ] as const) {
    if (x.kind === "const") return x.value === decides ? x : y;
  }
  return null;
}

/** Instructions without any effect but their value. */
const PURE: ReadonlySet<Instr["kind"]> = new Set<Instr["kind"]>([
  "op",
  "math",
  "convert",
  "bitcast",
  "vector",
  "extract",
  "load",
  "load_shared",
  "load_word",
  "pack",
  "read",
  "call",
]);

/** The statements without values that nothing uses. `result` is used. */
export function dropUnused(stmts: readonly Stmt[], result: Operand | null): Stmt[] {
  const used = new Set<number>();
  const use = (x: Operand): unknown => x.kind === "ref" && used.add(x.id);
  // Uses come after what they use, so one walk from the end knows of all of them.
  const walk = (block: readonly Stmt[]): Stmt[] => {
    const kept: Stmt[] = [];
    for (const s of block.toReversed()) {
      switch (s.kind) {
        case "let":
          if (PURE.has(s.instr.kind) && !used.has(s.id)) continue;
          operandsOf(s.instr).forEach(use);
          kept.push(s);
          continue;
        case "var":
          use(s.init);
          break;
        case "assign":
          use(s.value);
          break;
        case "store":
        case "store_shared":
          use(s.index);
          use(s.value);
          break;
        case "copy_async":
          use(s.to);
          use(s.index);
          if (s.elements !== null) use(s.elements);
          break;
        case "if": {
          const inner = { ...s, then: walk(s.then), else: walk(s.else) };
          use(s.cond);
          kept.push(inner);
          continue;
        }
        case "for": {
          const inner = { ...s, body: walk(s.body) };
          [s.from, s.to, s.step].forEach(use);
          kept.push(inner);
          continue;
        }
        case "while": {
          const body = walk(s.body);
          use(s.cond);
          kept.push({ ...s, head: walk(s.head), body });
          continue;
        }
        case "commit_copies":
        case "wait_copies":
        case "barrier":
          break;
      }
      kept.push(s);
    }
    return kept.reverse();
  };
  if (result !== null) use(result);
  return walk(stmts);
}
