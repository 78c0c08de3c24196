/**
 * Compiles scalar expressions to programs of the block machine (wasm/assembly/block_machine.ts says what a program looks like).
 * Equal subexpressions are computed once, what depends on constants and run-time scalars only once per task, and a value that is
 * an output is computed where it is to be stored.
 */

import { bool, int64, type DType } from "../../../ts/core/dtype.ts";
import { NotImplementedError } from "../../../ts/core/errors.ts";
import { BOOL_RESULT, type Expr } from "../../../ts/kernel/expr.ts";
import { BLOCK, Lane, Row } from "../../assembly/block_rows.ts";
import type { CpuContext } from "../context.ts";
import { EXACT, LOADS, lanesOf, STORES, WRAPS } from "./rows.ts";
import { constantBits } from "./scalars.ts";

/** A scalar parameter as one dtype. */
export interface ScalarUse {
  readonly slot: number;
  readonly dtype: DType;
}

export interface Program {
  /** Address of the compiled program. */
  readonly ptr: number;
  readonly scalars: readonly ScalarUse[];
  /** Index nodes, as in Expr. */
  readonly indices: readonly (number | "linear")[];
  /** Number of the register that holds the last expression's value, in its compute type. */
  readonly result: number;
  /** About how many cheap instructions one element costs. */
  readonly cost: number;
  /** First free byte of the scratch area. */
  readonly scratchEnd: number;
}

/** Where a value lives. */
type Place = "input" | "output" | "uniform" | "temp";

interface Value {
  readonly lane: Lane;
  place: Place;
  /** Number within its place; temporaries get theirs in the end. */
  index: number;
  /** Number of the last body instruction that reads it. */
  lastUse: number;
}

interface Instruction {
  readonly row: Row;
  readonly lane: number;
  readonly d: Value;
  readonly args: readonly Value[];
}

interface Uniform {
  readonly value: Value;
  readonly slot: number;
  readonly bits: bigint;
}

const laneOf = (dtype: DType): Lane => Lane[dtype.compute];
const isWide = (lane: Lane): boolean => lane === Lane.f64 || lane === Lane.i64;

/** log2 of a power of two up to 8. */
export const log2 = (itemsize: number): number => 31 - Math.clz32(itemsize);

class Compiler {
  readonly #numbers = new Map<Expr, number>();
  readonly #keys = new Map<string, number>();
  /** One expression per number, and how often it is an argument. */
  readonly #nodes: Expr[] = [];
  readonly #uses: number[] = [];
  readonly #values: (Value | undefined)[] = [];
  readonly inputs: Value[] = [];
  readonly outputs: Value[] = [];
  readonly uniforms: Uniform[] = [];
  readonly scalars: ScalarUse[] = [];
  readonly indices: { dim: number | "linear"; value: Value }[] = [];
  readonly prologue: Instruction[] = [];
  readonly body: Instruction[] = [];

  constructor(inputs: readonly DType[]) {
    this.inputs = inputs.map((dtype, index) => ({ lane: laneOf(dtype), place: "input", index, lastUse: -1 }));
  }

  /** Structural numbering: equal expressions get equal numbers. */
  number(x: Expr): number {
    let n = this.#numbers.get(x);
    if (n !== undefined) return n;
    let key: string;
    let args: number[] = [];
    if (x.kind === "load") key = `l${x.input}`;
    else if (x.kind === "scalar") key = `s${x.slot},${x.dtype.code}`;
    else if (x.kind === "const") key = `c${Object.is(x.value, -0) ? "-0" : String(x.value)},${x.dtype.code}`;
    else if (x.kind === "index") key = `i${x.dim},${x.dtype.code}`;
    else {
      args = (x.kind === "cast" ? [x.arg] : x.args).map((a) => this.number(a));
      key = `${x.kind === "cast" ? "cast" : x.op}(${args.join()})${x.dtype.code}`;
    }
    n = this.#keys.get(key);
    if (n === undefined) {
      n = this.#nodes.length;
      this.#nodes.push(x);
      this.#uses.push(0);
      this.#keys.set(key, n);
      for (const a of args) this.#uses[a]!++;
    }
    this.#numbers.set(x, n);
    return n;
  }

  /** The value of an expression, computed on first use. */
  value(x: Expr): Value {
    const n = this.number(x);
    return (this.#values[n] ??= this.#compute(this.#nodes[n]!));
  }

  /** Adds an output: the value as it is stored. */
  output(x: Expr): void {
    const { dtype } = x;
    const d: Value = { lane: laneOf(dtype), place: "output", index: this.outputs.length, lastUse: -1 };
    this.outputs.push(d);
    if (x.kind === "load") {
      this.#instruct(Row.copy, log2(dtype.itemsize), d, [this.inputs[x.input]!]);
      return;
    }
    const v = this.value(x);
    const store = STORES[dtype.name];
    if (store !== null) this.#instruct(store, v.lane, d, [v]);
    else if (v.place === "temp" && this.body.some((i) => i.d === v)) {
      v.place = "output";
      v.index = d.index;
    } else this.#instruct(Row.copy, log2(dtype.itemsize), d, [v]);
  }

  #compute(x: Expr): Value {
    switch (x.kind) {
      case "load": {
        const raw = this.inputs[x.input]!;
        const row = LOADS[x.dtype.name];
        return row === null ? raw : this.#emit(row, Lane.i32, raw.lane, [raw]);
      }
      case "const":
        return this.#uniform(x.dtype, -1, constantBits(x.value, x.dtype));
      case "scalar":
        this.scalars.push({ slot: x.slot, dtype: x.dtype });
        return this.#uniform(x.dtype, this.scalars.length - 1, 0n);
      case "index": {
        const value: Value = { lane: Lane.i64, place: "temp", index: -1, lastUse: -1 };
        this.indices.push({ dim: x.dim, value });
        return this.#cast(value, int64, x.dtype);
      }
      case "cast":
        return this.#cast(this.value(x.arg), x.arg.dtype, x.dtype);
      case "op":
        return this.#op(x);
    }
  }

  #uniform(dtype: DType, slot: number, bits: bigint): Value {
    const value: Value = { lane: laneOf(dtype), place: "uniform", index: this.uniforms.length, lastUse: -1 };
    this.uniforms.push({ value, slot, bits });
    return value;
  }

  #cast(v: Value, from: DType, to: DType): Value {
    if (from === to) return v;
    if (to === bool) return this.#emit(Row.to_bool, v.lane, Lane.i32, [v]);
    const lane = laneOf(to);
    const moved = lane === v.lane ? v : this.#emit(Row[`to_${to.compute}`], v.lane, lane, [v]);
    const kept = from === bool || (from.compute === "i32" && to.compute === "i32" && holds(to, from));
    return kept ? moved : this.#wrap(moved, to);
  }

  /** What storing in `dtype` and loading back would leave of a value. */
  #wrap(v: Value, dtype: DType): Value {
    const row = WRAPS[dtype.name];
    return row === null ? v : this.#emit(row, v.lane, v.lane, [v]);
  }

  #op(x: Extract<Expr, { kind: "op" }>): Value {
    const { op, dtype } = x;
    const fused = this.#mulAdd(x);
    if (fused !== null) return fused;
    const args = x.args.map((a) => this.value(a));
    const operand = op === "where" ? x.args[1]! : x.args[0]!;
    if (!lanesOf(op).includes(operand.dtype.compute)) {
      throw new NotImplementedError(`${op}: not implemented for ${operand.dtype.name} on cpu; convert with .to() first`);
    }
    if (op === "bitwise_not" && dtype === bool) return this.#emit(Row.logical_not, Lane.i32, Lane.i32, args);
    const v = this.#emit(Row[op], laneOf(operand.dtype), laneOf(dtype), args);
    return BOOL_RESULT.has(op) || EXACT.has(op) ? v : this.#wrap(v, dtype);
  }

  /** a * b + c in one instruction, where the product serves nothing else. */
  #mulAdd(x: Extract<Expr, { kind: "op" }>): Value | null {
    if (x.op !== "add" || WRAPS[x.dtype.name] !== null) return null;
    for (const side of [0, 1]) {
      const n = this.number(x.args[side]!);
      const m = this.#nodes[n]!;
      if (m.kind !== "op" || m.op !== "mul" || this.#uses[n] !== 1 || this.#values[n] !== undefined) continue;
      const args = [m.args[0]!, m.args[1]!, x.args[1 - side]!].map((a) => this.value(a));
      return this.#emit(Row.mul_add, args[0]!.lane, args[0]!.lane, args);
    }
    return null;
  }

  /** A new value by one instruction. */
  #emit(row: Row, lane: Lane, result: Lane, args: readonly Value[]): Value {
    const d: Value = { lane: result, place: "temp", index: -1, lastUse: -1 };
    if (args.every((a) => a.place === "uniform")) {
      d.place = "uniform";
      d.index = this.uniforms.length;
      this.uniforms.push({ value: d, slot: -1, bits: 0n });
      this.prologue.push({ row, lane, d, args });
    } else this.#instruct(row, lane, d, args);
    return d;
  }

  #instruct(row: Row, lane: number, d: Value, args: readonly Value[]): void {
    for (const a of args) a.lastUse = this.body.length;
    this.body.push({ row, lane, d, args });
  }

  /** Marks an expression's output as wanted outside of the program too. */
  pin(x: Expr): void {
    this.#uses[this.number(x)]! += 2;
  }
}

/** Whether every value of `from` is one of `to`. Both are small integers. */
function holds(to: DType, from: DType): boolean {
  if (to.itemsize === from.itemsize) return to.is_signed === from.is_signed;
  return to.itemsize > from.itemsize && (to.is_signed || !from.is_signed);
}

/** Bytes at the start of the scratch area that belong to the machine (the odometer). */
const COORDINATES = 256;

/**
 * Compiles `outputs` over `inputs`. With `result` the last expression is not stored but left in a register, in its compute type,
 * for a reduction to fold.
 */
export function compile(context: CpuContext, inputs: readonly DType[], outputs: readonly Expr[], result: Expr | null): Program {
  const c = new Compiler(inputs);
  for (const x of outputs) c.pin(x);
  for (const x of outputs) c.output(x);
  const last = result === null ? null : c.value(result);
  if (last !== null) last.lastUse = c.body.length;

  const temps = allocate(c);
  const firstUniform = c.inputs.length + c.outputs.length;
  const firstTemp = firstUniform + c.uniforms.length;
  const registerOf = (v: Value): number => {
    if (v.place === "input") return v.index;
    if (v.place === "output") return c.inputs.length + v.index;
    return v.place === "uniform" ? firstUniform + v.index : firstTemp + v.index;
  };
  const count = firstTemp + temps.length;

  // Places in the scratch area. The odd 64 bytes keep blocks from meeting in the same cache sets.
  let at = (COORDINATES + count * 4 + 63) & ~63;
  const place = (bytes: number): number => {
    const start = at;
    at += BLOCK * bytes + 64;
    return start;
  };
  const offsets = [
    ...inputs.map((d) => place(d.itemsize)),
    ...outputs.map((x) => place(x.dtype.itemsize)),
    ...c.uniforms.map((u) => place(isWide(u.value.lane) ? 8 : 4)),
    ...temps.map(place),
  ];

  const words: number[] = [
    count,
    c.inputs.length,
    c.outputs.length,
    c.uniforms.length,
    c.scalars.length,
    c.indices.length,
    c.prologue.length,
    c.body.length,
    ...offsets,
    ...inputs.map((d) => log2(d.itemsize)),
    ...outputs.map((x) => log2(x.dtype.itemsize)),
  ];
  for (const { value, slot, bits } of c.uniforms) {
    words.push(registerOf(value), slot, Number(bits & 0xffffffffn), Number(bits >> 32n), isWide(value.lane) ? 3 : 2);
  }
  for (const { value } of c.indices) words.push(registerOf(value));
  for (const { row, lane, d, args } of [...c.prologue, ...c.body]) {
    words.push((row << 2) | lane, registerOf(d) * 4);
    for (let i = 0; i < 3; i++) words.push(i < args.length ? registerOf(args[i]!) * 4 : 0);
  }
  const ptr = context.permanent(words.length * 4);
  context.heap.u32.set(words, ptr >>> 2);
  return {
    ptr,
    scalars: c.scalars,
    indices: c.indices.map((i) => i.dim),
    result: last === null ? -1 : registerOf(last),
    cost: c.body.reduce((sum, i) => sum + (i.row >= Row.exp ? 12 : 1), 1),
    scratchEnd: at,
  };
}

/** Gives temporaries their blocks, reusing each after its value's last reader. Returns the blocks' bytes per element. */
function allocate(c: Compiler): number[] {
  const blocks: number[] = [];
  const free: { [bytes: number]: number[] } = { 4: [], 8: [] };
  const take = (v: Value): void => {
    const bytes = isWide(v.lane) ? 8 : 4;
    v.index = free[bytes]!.pop() ?? blocks.push(bytes) - 1;
  };
  // Index nodes are filled before the first instruction.
  for (const { value } of c.indices) if (value.place === "temp") take(value);
  const freed = new Set<Value>();
  c.body.forEach((instruction, at) => {
    // A source that dies here may be the destination: element i is read before it is written.
    for (const a of instruction.args) {
      if (a.place === "temp" && a.lastUse === at && !freed.has(a)) {
        freed.add(a);
        free[isWide(a.lane) ? 8 : 4]!.push(a.index);
      }
    }
    if (instruction.d.place === "temp") take(instruction.d);
  });
  return blocks;
}
