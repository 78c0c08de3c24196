/**
 * The typed builder of IR programs. `V` is a value; its methods append instructions where they are called, so a value is what it was at
 * that point. Types are checked as the kernel is built: plain numbers take the other operand's type, nothing converts by itself.
 *
 *     const k = new KernelBuilder("scale", 256);
 *     const x = k.input("x", "f32"), y = k.output("y", "f32");
 *     const n = k.param("n", "u32"), a = k.param("a", "f32");
 *     k.gridStride(n, (i) => y.store(i, x.load(i).mul(a)));
 *     const program = k.build();
 */

import type {
  AtomicOp,
  BufferParam,
  Elem,
  Func,
  Instr,
  Lanes,
  MathName,
  MatrixFormat,
  Operand,
  OpName,
  Program,
  ScalarParam,
  ScalarType,
  SharedArray,
  Stmt,
  SubgroupOp,
  Type,
} from "./ir.ts";
import { COMPARISONS, MATH, OPS, VALUE_OF } from "./ir.ts";
import { existsFor } from "./domain.ts";
import { dropUnused, foldConstants, simplify } from "./simplify.ts";

export type Num = V | number;

const types = new Map<string, Type>();
/** One object per type, so that types compare by identity. */
export function typeOf(scalar: ScalarType, lanes: Lanes = 1): Type {
  const key = `${scalar}x${lanes}`;
  let type = types.get(key);
  if (type === undefined) types.set(key, (type = { scalar, lanes }));
  return type;
}

function typeName({ scalar, lanes }: Type): string {
  return lanes === 1 ? scalar : `vec${lanes}<${scalar}>`;
}

function fail(message: string): never {
  throw new TypeError(`kernel builder: ${message}`);
}

/** A value of a kernel under construction. */
export class V {
  constructor(
    readonly block: Block,
    readonly operand: Operand,
  ) {}

  get type(): Type {
    return this.operand.type;
  }
  get scalar(): ScalarType {
    return this.operand.type.scalar;
  }

  add(b: Num): V {
    return this.block.op("add", this, b);
  }
  sub(b: Num): V {
    return this.block.op("sub", this, b);
  }
  mul(b: Num): V {
    return this.block.op("mul", this, b);
  }
  div(b: Num): V {
    return this.block.op("div", this, b);
  }
  rem(b: Num): V {
    return this.block.op("rem", this, b);
  }
  neg(): V {
    return this.block.op("neg", this);
  }
  abs(): V {
    return this.block.op("abs", this);
  }
  min(b: Num): V {
    return this.block.op("min", this, b);
  }
  max(b: Num): V {
    return this.block.op("max", this, b);
  }
  /** this * b + c */
  fma(b: Num, c: Num): V {
    return this.block.op("fma", this, b, c);
  }
  sqrt(): V {
    return this.block.op("sqrt", this);
  }
  rsqrt(): V {
    return this.block.op("rsqrt", this);
  }
  floor(): V {
    return this.block.op("floor", this);
  }
  ceil(): V {
    return this.block.op("ceil", this);
  }
  trunc(): V {
    return this.block.op("trunc", this);
  }
  round(): V {
    return this.block.op("round", this);
  }
  and(b: Num): V {
    return this.block.op("and", this, b);
  }
  or(b: Num): V {
    return this.block.op("or", this, b);
  }
  xor(b: Num): V {
    return this.block.op("xor", this, b);
  }
  not(): V {
    return this.block.op("not", this);
  }
  shl(b: Num): V {
    return this.block.op("shl", this, typeof b === "number" ? this.block.u32(b) : b);
  }
  shr(b: Num): V {
    return this.block.op("shr", this, typeof b === "number" ? this.block.u32(b) : b);
  }
  eq(b: Num): V {
    return this.block.op("eq", this, b);
  }
  ne(b: Num): V {
    return this.block.op("ne", this, b);
  }
  lt(b: Num): V {
    return this.block.op("lt", this, b);
  }
  le(b: Num): V {
    return this.block.op("le", this, b);
  }
  gt(b: Num): V {
    return this.block.op("gt", this, b);
  }
  ge(b: Num): V {
    return this.block.op("ge", this, b);
  }
  isNan(): V {
    return this.block.op("is_nan", this);
  }
  /** this ? a : b */
  select(a: Num, b: Num): V {
    return this.block.op("select", this, a, b);
  }
  convert(scalar: ScalarType): V {
    return this.block.convert(this, scalar);
  }
  bitcast(scalar: ScalarType): V {
    return this.block.bitcast(this, scalar);
  }
  lane(i: number): V {
    return this.block.extract(this, i);
  }
}

/** A mutable local. */
export class Var {
  constructor(
    readonly block: Block,
    readonly id: number,
    readonly type: Type,
  ) {}
  get(): V {
    return this.block.emit(this.type, { kind: "read", id: this.id });
  }
  set(value: Num): void {
    this.block.push({ kind: "assign", id: this.id, value: this.block.operand(value, this.type) });
  }
}

export class BufferVar {
  constructor(
    readonly block: Block,
    readonly index: number,
    readonly param: BufferParam,
  ) {}
  get type(): Type {
    return typeOf(VALUE_OF[this.param.elem], this.param.lanes);
  }
  load(index: Num): V {
    return this.block.emit(this.type, { kind: "load", buffer: this.index, index: this.block.index(index) });
  }
  store(index: Num, value: Num): void {
    if (this.param.access === "read") fail(`buffer ${this.param.name} is read-only`);
    this.block.push({
      kind: "store",
      buffer: this.index,
      index: this.block.index(index),
      value: this.block.operand(value, this.type),
    });
  }
  atomic(op: AtomicOp, index: Num, value: Num | null = null): V {
    if (!this.param.atomic) fail(`buffer ${this.param.name} is not atomic`);
    return this.block.atomic(op, { buffer: this.index }, this.type, index, value);
  }
}

export class SharedVar {
  constructor(
    readonly block: Block,
    readonly index: number,
    readonly array: SharedArray,
  ) {}
  load(index: Num): V {
    return this.block.emit(this.array.type, { kind: "load_shared", array: this.index, index: this.block.index(index) });
  }
  /** The same element for all threads, as a uniform value. Contains a barrier. */
  loadUniform(index: Num): V {
    return this.block.emit(this.array.type, { kind: "load_uniform", array: this.index, index: this.block.index(index) });
  }
  store(index: Num, value: Num): void {
    this.block.push({
      kind: "store_shared",
      array: this.index,
      index: this.block.index(index),
      value: this.block.operand(value, this.array.type),
    });
  }
  /** One 32-bit lane; the index counts the lanes of all vectors. */
  loadWord(index: Num): V {
    this.#words("loadWord");
    const type = typeOf(this.array.type.scalar);
    return this.block.emit(type, { kind: "load_word", array: this.index, index: this.block.index(index) });
  }
  /** See ir.ts, `load_matrices`; the index counts words. */
  loadMatrices(index: Num, transposed: boolean): V {
    this.#words("loadMatrices");
    if (this.array.type.lanes !== 4) fail(`loadMatrices: workgroup array ${this.array.name} is not one of vectors of four`);
    const instr = { kind: "load_matrices", array: this.index, index: this.block.index(index), transposed } as const;
    return this.block.subgroupValue(typeOf("u32", 4), instr);
  }
  /**
   * Starts a copy of `bytes` bytes to word `to` from element `index` of a read-only buffer; of the source only the first `elements` are
   * read, then come zeros. See `commitCopies` and `waitCopies`.
   */
  copyFrom(buffer: BufferVar, to: Num, index: Num, bytes: 4 | 8 | 16, elements: V | null = null): void {
    this.#words("copyFrom");
    if (buffer.param.access !== "read") fail(`copyFrom: buffer ${buffer.param.name} is written`);
    this.block.push({
      kind: "copy_async",
      array: this.index,
      to: this.block.index(to),
      buffer: buffer.index,
      index: this.block.index(index),
      bytes,
      elements: elements === null ? null : this.block.operand(elements, typeOf("u32")),
    });
  }
  #words(what: string): void {
    const { name, type, atomic } = this.array;
    const word = type.scalar === "u32" || type.scalar === "i32" || type.scalar === "f32";
    if (!word || atomic) fail(`${what}: workgroup array ${name} does not consist of 32-bit words`);
  }
  atomic(op: AtomicOp, index: Num, value: Num | null = null): V {
    if (!this.array.atomic) fail(`workgroup array ${this.array.name} is not atomic`);
    return this.block.atomic(op, { array: this.index }, this.array.type, index, value);
  }
}

/** Statements under construction: what kernels and functions share. */
export class Block {
  protected stmts: Stmt[] = [];
  protected nextId = 0;
  protected readonly funcs: Func[] = [];
  protected usesSubgroups = false;

  push(stmt: Stmt): void {
    this.stmts.push(stmt);
  }
  emit(type: Type, instr: Instr): V {
    const id = this.nextId++;
    this.push({ kind: "let", id, type, instr });
    return new V(this, { kind: "ref", type, id });
  }

  /** The value of an instruction in which a whole subgroup takes part. */
  subgroupValue(type: Type, instr: Instr): V {
    this.usesSubgroups = true;
    return this.emit(type, instr);
  }

  const(value: number | bigint | boolean, scalar: ScalarType, lanes: Lanes = 1): V {
    return new V(this, { kind: "const", type: typeOf(scalar, lanes), value });
  }
  f32(value: number): V {
    return this.const(value, "f32");
  }
  i32(value: number): V {
    return this.const(value, "i32");
  }
  u32(value: number): V {
    return this.const(value, "u32");
  }
  bool(value: boolean): V {
    return this.const(value, "bool");
  }

  /** A number becomes a constant of `type`; a value must have it. */
  operand(x: Num, type: Type): Operand {
    if (typeof x === "number") return { kind: "const", type, value: type.scalar === "bool" ? x !== 0 : x };
    if (x.type !== type) fail(`expected ${typeName(type)}, got ${typeName(x.type)}`);
    return x.operand;
  }
  index(x: Num): Operand {
    if (typeof x === "number") return this.u32(x).operand;
    if (x.type !== typeOf("u32") && x.type !== typeOf("i32")) fail(`an index must be u32 or i32, got ${typeName(x.type)}`);
    return x.operand;
  }

  op(name: OpName, ...args: Num[]): V {
    if (args.length !== OPS[name]) fail(`${name} takes ${OPS[name]} operands, got ${args.length}`);
    const choice = name === "select";
    const shift = name === "shl" || name === "shr";
    const typed = (choice ? args.slice(1) : args).find((a): a is V => a instanceof V);
    if (typed === undefined) fail(`${name}: one operand must be a value`);
    const { type } = typed;
    const operands = args.map((a, i) => {
      if (choice && i === 0) {
        const c = a as V;
        if (c.scalar !== "bool" || (c.type.lanes !== 1 && c.type.lanes !== type.lanes)) {
          fail(`select: the condition must be bool, got ${typeName(c.type)}`);
        }
        return c.operand;
      }
      if (shift && i === 1) return this.operand(a, typeOf("u32", type.lanes));
      return this.operand(a, type);
    });
    if (!existsFor(name, type.scalar)) fail(`there is no ${name} for ${type.scalar}`);
    const result = COMPARISONS.has(name) ? typeOf("bool", type.lanes) : type;
    const known = foldConstants(name, result, operands) ?? simplify(name, operands);
    return known !== null ? new V(this, known) : this.emit(result, { kind: "op", op: name, args: operands });
  }

  /** A function of f64 numbers. */
  math(name: MathName, ...args: Num[]): V {
    if (args.length !== MATH[name]) fail(`${name} takes ${MATH[name]} operands, got ${args.length}`);
    const type = typeOf("f64");
    return this.emit(type, { kind: "math", name, args: args.map((a) => this.operand(a, type)) });
  }

  convert(x: V, scalar: ScalarType): V {
    if (x.scalar === scalar) return x;
    const { operand } = x;
    const type = typeOf(scalar, x.type.lanes);
    if (operand.kind === "const" && scalar !== "bool") {
      const value = Number(operand.value);
      const integer = scalar !== "f32" && scalar !== "f64";
      if (!integer || (Number.isInteger(value) && value >= 0 && value < 2 ** 31)) return this.const(value, scalar, type.lanes);
    }
    return this.emit(type, { kind: "convert", arg: operand });
  }
  /** The same bits: f32, i32 and u32, or f64 and i64, among each other. */
  bitcast(x: V, scalar: ScalarType): V {
    if (x.scalar === scalar) return x;
    const wide = (s: ScalarType): boolean => s === "f64" || s === "i64";
    if (x.scalar === "bool" || scalar === "bool" || wide(x.scalar) !== wide(scalar))
      fail(`no bitcast from ${x.scalar} to ${scalar}`);
    return this.emit(typeOf(scalar, x.type.lanes), { kind: "bitcast", arg: x.operand });
  }
  /** Two f32 rounded to 16 bits each, in one word; `low` comes first in memory. */
  pack(format: "f16" | "bf16", low: V, high: V): V {
    const args = [this.operand(low, typeOf("f32")), this.operand(high, typeOf("f32"))] as const;
    return this.emit(typeOf("u32"), { kind: "pack", format, args });
  }
  /** A vector of 2 or 4 values of one scalar type. */
  vector(parts: readonly V[]): V {
    const { scalar } = parts[0]!;
    if (parts.length !== 2 && parts.length !== 4) fail(`vectors have 2 or 4 lanes, got ${parts.length}`);
    const operands = parts.map((p) => this.operand(p, typeOf(scalar)));
    return this.emit(typeOf(scalar, parts.length), { kind: "vector", parts: operands });
  }
  /** One value in all lanes. */
  splat(x: V, lanes: Lanes): V {
    return lanes === 1 ? x : this.vector(Array.from({ length: lanes }, () => x));
  }
  extract(x: V, lane: number): V {
    if (x.type.lanes === 1 && lane === 0) return x;
    if (lane >= x.type.lanes) fail(`lane ${lane} of ${typeName(x.type)}`);
    return this.emit(typeOf(x.scalar), { kind: "extract", arg: x.operand, lane });
  }
  /** The lanes as single values. */
  lanes(x: V): V[] {
    return Array.from({ length: x.type.lanes }, (_, i) => this.extract(x, i));
  }

  var(init: V): Var {
    const id = this.nextId++;
    this.push({ kind: "var", id, type: init.type, init: init.operand });
    return new Var(this, id, init.type);
  }

  call(func: Func, ...args: Num[]): V {
    if (args.length !== func.params.length) fail(`${func.name} takes ${func.params.length} arguments, got ${args.length}`);
    if (!this.funcs.includes(func)) this.funcs.push(func);
    const operands = args.map((a, i) => this.operand(a, func.params[i]!.type));
    return this.emit(func.result.type, { kind: "call", func, args: operands });
  }

  if(cond: V, then: () => void, otherwise?: () => void): void {
    if (cond.type !== typeOf("bool")) fail(`if: the condition must be bool, got ${typeName(cond.type)}`);
    const { operand } = cond;
    if (operand.kind === "const") {
      if (operand.value === true) then();
      else otherwise?.();
      return;
    }
    this.push({ kind: "if", cond: operand, then: this.within(then), else: otherwise ? this.within(otherwise) : [] });
  }
  /** for (i = from; i < to; i += step), i of the type of `to` (or of `from`); u32 where both are numbers. */
  for(from: Num, to: Num, step: Num, body: (i: V) => void): void {
    const typed = [to, from, step].find((x): x is V => x instanceof V);
    const type = typed?.type ?? typeOf("u32");
    if (type !== typeOf("u32") && type !== typeOf("i32")) fail(`for: counters are u32 or i32, got ${typeName(type)}`);
    const id = this.nextId++;
    const inner = this.within(() => body(new V(this, { kind: "ref", type, id })));
    const [a, b, c] = [from, to, step].map((x) => this.operand(x, type));
    this.push({ kind: "for", id, type, from: a!, to: b!, step: c!, body: inner });
  }
  /** while (cond()) body(). */
  while(cond: () => V, body: () => void): void {
    let value: V | undefined;
    const head = this.within(() => (value = cond()));
    this.push({ kind: "while", head, cond: this.operand(value!, typeOf("bool")), body: this.within(body) });
  }
  /** The statements that `fn` appends, kept apart. */
  protected within(fn: () => void): Stmt[] {
    const outer = this.stmts;
    const inner: Stmt[] = [];
    this.stmts = inner;
    try {
      fn();
    } finally {
      this.stmts = outer;
    }
    return inner;
  }

  atomic(op: AtomicOp, target: { buffer: number } | { array: number }, type: Type, index: Num, value: Num | null): V {
    const operand = value === null ? null : this.operand(value, type);
    if ((operand === null) !== (op === "load")) fail(`atomic ${op} ${op === "load" ? "takes no" : "needs a"} value`);
    return this.emit(type, { kind: "atomic", op, target, index: this.index(index), value: operand });
  }
}

export class KernelBuilder extends Block {
  readonly #buffers: BufferParam[] = [];
  readonly #params: ScalarParam[] = [];
  readonly #shared: SharedArray[] = [];

  constructor(
    readonly name: string,
    /** Threads of a workgroup. */
    readonly workgroup: number,
  ) {
    super();
  }

  input(name: string, elem: Elem, lanes: Lanes = 1): BufferVar {
    return this.#buffer({ name, elem, lanes, access: "read", atomic: false });
  }
  /** A buffer that may also be read. */
  output(name: string, elem: Elem, lanes: Lanes = 1): BufferVar {
    return this.#buffer({ name, elem, lanes, access: "read_write", atomic: false });
  }
  atomics(name: string, elem: "i32" | "u32"): BufferVar {
    return this.#buffer({ name, elem, lanes: 1, access: "read_write", atomic: true });
  }
  #buffer(param: BufferParam): BufferVar {
    if (this.#buffers.some((b) => b.name === param.name)) fail(`two buffers called ${param.name}`);
    return new BufferVar(this, this.#buffers.push(param) - 1, param);
  }
  /** A run-time scalar; the launch gives its value under this name. */
  param(name: string, scalar: ScalarType): V {
    let index = this.#params.findIndex((p) => p.name === name);
    if (index < 0) index = this.#params.push({ name, type: scalar }) - 1;
    return new V(this, { kind: "param", type: typeOf(scalar), index });
  }
  shared(name: string, scalar: ScalarType, length: number, lanes: Lanes = 1): SharedVar {
    return this.#addShared({ name, type: typeOf(scalar, lanes), length, atomic: false });
  }
  sharedAtomics(name: string, scalar: "i32" | "u32", length: number): SharedVar {
    return this.#addShared({ name, type: typeOf(scalar), length, atomic: true });
  }
  #addShared(array: SharedArray): SharedVar {
    if (this.#shared.some((s) => s.name === array.name)) fail(`two workgroup arrays called ${array.name}`);
    return new SharedVar(this, this.#shared.push(array) - 1, array);
  }

  /** The workgroup's number: uniform, u32. */
  get group(): V {
    return new V(this, { kind: "builtin", type: typeOf("u32"), name: "group" });
  }
  /** The thread's number in its workgroup, u32. */
  get thread(): V {
    return new V(this, { kind: "builtin", type: typeOf("u32"), name: "thread" });
  }
  get subgroupLane(): V {
    this.usesSubgroups = true;
    return new V(this, { kind: "builtin", type: typeOf("u32"), name: "subgroup_lane" });
  }
  get subgroupSize(): V {
    this.usesSubgroups = true;
    return new V(this, { kind: "builtin", type: typeOf("u32"), name: "subgroup_size" });
  }
  subgroup(op: SubgroupOp, x: V, by?: Num): V {
    const args = [x.operand];
    if (by !== undefined) args.push(this.operand(by, typeOf("u32")));
    return this.subgroupValue(x.type, { kind: "subgroup", op, args });
  }
  /** a b + c on matrix units: see ir.ts, `mma`. */
  mma(format: MatrixFormat, a: V, b: V, c: V): V {
    const args = [
      this.operand(a, typeOf("u32", 4)),
      this.operand(b, typeOf("u32", 2)),
      this.operand(c, typeOf("f32", 4)),
    ] as const;
    return this.subgroupValue(typeOf("f32", 4), { kind: "mma", format, args });
  }
  /** What `copyFrom` has started since the last time becomes a group. */
  commitCopies(): void {
    this.push({ kind: "commit_copies" });
  }
  /** Waits for all groups but the latest `pending`. Other threads see what was copied after a barrier. */
  waitCopies(pending: number): void {
    this.push({ kind: "wait_copies", pending });
  }
  barrier(scope: "workgroup" | "storage" = "workgroup"): void {
    this.push({ kind: "barrier", scope });
  }
  /** All numbers below n (u32), one per thread and round. Needs a param `grid_threads`: the launch fills it in. */
  gridStride(n: V, body: (i: V) => void): void {
    const first = this.group.mul(this.workgroup).add(this.thread);
    this.for(first, n, this.param("grid_threads", "u32"), body);
  }

  build(): Program {
    return {
      name: this.name,
      workgroup: this.workgroup,
      buffers: this.#buffers,
      params: this.#params,
      shared: this.#shared,
      funcs: withCallees(this.funcs),
      subgroups: this.usesSubgroups,
      body: dropUnused(this.stmts, null),
    };
  }
}

function withCallees(funcs: readonly Func[]): Func[] {
  const found = new Set<Func>();
  const visit = (f: Func): void => {
    if (found.has(f)) return;
    for (const callee of calleesOf.get(f) ?? []) visit(callee);
    found.add(f);
  };
  funcs.forEach(visit);
  return [...found];
}

const calleesOf = new WeakMap<Func, readonly Func[]>();

class FuncBuilder extends Block {
  readonly params: { id: number; type: Type }[] = [];
  param(type: Type): V {
    const id = this.nextId++;
    this.params.push({ id, type });
    return new V(this, { kind: "ref", type, id });
  }
  finish(name: string, result: V): Func {
    const func: Func = { name, params: this.params, result: result.operand, body: dropUnused(this.stmts, result.operand) };
    calleesOf.set(func, this.funcs);
    return func;
  }
}

/** A helper function of scalars; its name must be unique among the functions of a program. */
export function defineFunc(name: string, params: readonly ScalarType[], body: (b: Block, ...args: V[]) => V): Func {
  const b = new FuncBuilder();
  const args = params.map((p) => b.param(typeOf(p)));
  return b.finish(name, body(b, ...args));
}
