/**
 * IR to JavaScript, for the interpreter. A thread is a function, or where threads meet (barriers, subgroup operations) a generator that
 * yields the number of the place where it waits. Vectors become one local per lane.
 */

import type { AtomicOp, Func, Instr, MatrixFormat, OpName, Operand, Program, ScalarType, Stmt, SubgroupOp, Type } from "../ir.ts";

/** Where threads meet. */
export type Site =
  | { readonly kind: "barrier"; readonly scope: "workgroup" | "storage" }
  | { readonly kind: "load_uniform"; readonly array: number; readonly lanes: number }
  | { readonly kind: "subgroup"; readonly op: SubgroupOp; readonly type: Type }
  | { readonly kind: "mma"; readonly format: MatrixFormat }
  | { readonly kind: "load_matrices"; readonly array: number; readonly transposed: boolean };

/** Places of a program between which it copies asynchronously. */
export interface CopySite {
  readonly buffer: number;
  readonly array: number;
  readonly bytes: number;
}

export interface Printed {
  /** The body of a function of `rt` (javascript_runtime.ts) that returns `{ bind, thread }`. */
  readonly source: string;
  readonly sites: readonly Site[];
  readonly copies: readonly CopySite[];
}

export interface PrintOptions {
  readonly races: boolean;
  readonly uninitialised: boolean;
  /** fma with one rounding. */
  readonly fused: boolean;
  /** Unspecified results are what hurts most. */
  readonly hostile: boolean;
}

const MASK: { readonly [S in ScalarType]: (x: string) => string } = {
  bool: (x) => x,
  i32: (x) => `(${x} | 0)`,
  u32: (x) => `(${x} >>> 0)`,
  f32: (x) => `fround(${x})`,
  i64: (x) => `asIntN(64, ${x})`,
  f64: (x) => `(${x})`,
};

function literal(value: number | bigint | boolean, scalar: ScalarType): string {
  switch (scalar) {
    case "bool":
      return String(value === true || value === 1);
    case "i32":
      return `(${Number(BigInt.asIntN(32, BigInt(value)))})`;
    case "u32":
      return String(Number(BigInt.asUintN(32, BigInt(value))));
    case "i64":
      return `(${BigInt.asIntN(64, BigInt(value))}n)`;
    case "f32":
    case "f64": {
      const x = scalar === "f32" ? Math.fround(Number(value)) : Number(value);
      return Object.is(x, -0) ? "(-0)" : `(${x})`;
    }
  }
}

function isFloat(scalar: ScalarType): boolean {
  return scalar === "f32" || scalar === "f64";
}

/** One lane of an operation on operands of type `scalar`. */
function operation(op: OpName, scalar: ScalarType, args: readonly string[], options: PrintOptions): string {
  const [a, b, c] = args as [string, string, string];
  const mask = MASK[scalar];
  const float = isFloat(scalar);
  const truth = scalar === "bool";
  const small = scalar === "i32" || scalar === "u32";
  switch (op) {
    case "add":
      return mask(`${a} + ${b}`);
    case "sub":
      return mask(`${a} - ${b}`);
    case "mul":
      return small ? mask(`imul(${a}, ${b})`) : mask(`${a} * ${b}`);
    case "div":
    case "rem": {
      const symbol = op === "div" ? "/" : "%";
      if (float) return mask(`${a} ${symbol} ${b}`);
      const zero = scalar === "i64" ? "0n" : "0";
      return `(${b} === ${zero} ? ${literal(options.hostile ? 0xdeadbeef : 0, scalar)} : ${mask(`${a} ${symbol} ${b}`)})`;
    }
    case "neg":
      return mask(`-${a}`);
    case "abs":
      if (scalar === "u32") return a;
      return scalar === "i64" ? mask(`(${a} < 0n ? -${a} : ${a})`) : mask(`abs(${a})`);
    case "min":
    case "max":
      if (!float) return `(${a} ${op === "min" ? "<" : ">"} ${b} ? ${a} : ${b})`;
      return options.hostile ? `${op}Ignoring(${a}, ${b})` : `${op}(${a}, ${b})`;
    case "fma":
      if (scalar === "f64") return `(${a} * ${b} + ${c})`;
      return options.fused ? `fma(${a}, ${b}, ${c})` : `fround(fround(${a} * ${b}) + ${c})`;
    case "sqrt":
      return mask(`sqrt(${a})`);
    case "rsqrt":
      return mask(`1 / sqrt(${a})`);
    case "floor":
    case "ceil":
    case "trunc":
    case "round":
      return `${op}(${a})`;
    case "exp2_fast":
      return mask(`pow(2, ${a})`);
    case "log2_fast":
      return mask(`log2(${a})`);
    case "round_tf32":
      return `roundTf32(${a})`;
    case "and":
      return truth ? `(${a} && ${b})` : mask(`(${a} & ${b})`);
    case "or":
      return truth ? `(${a} || ${b})` : mask(`(${a} | ${b})`);
    case "xor":
      return truth ? `(${a} !== ${b})` : mask(`(${a} ^ ${b})`);
    case "not":
      return truth ? `!${a}` : mask(`~${a}`);
    case "shl":
    case "shr": {
      if (scalar === "i64") return mask(`${a} ${op === "shl" ? "<<" : ">>"} BigInt(shift(${b}, 64))`);
      const symbol = op === "shl" ? "<<" : scalar === "u32" ? ">>>" : ">>";
      return mask(`(${a} ${symbol} shift(${b}, 32))`);
    }
    case "count_leading_zeros":
      return scalar === "i64" ? `clz64(${a})` : `clz32(${a})`;
    case "count_one_bits":
      return scalar === "i64" ? `ones64(${a})` : `ones32(${a})`;
    case "eq":
      return `(${a} === ${b})`;
    case "ne":
      return `(${a} !== ${b})`;
    case "lt":
      return `(${a} < ${b})`;
    case "le":
      return `(${a} <= ${b})`;
    case "gt":
      return `(${a} > ${b})`;
    case "ge":
      return `(${a} >= ${b})`;
    case "is_nan":
      return `(${a} !== ${a})`;
    case "select":
      return `(${a} ? ${b} : ${c})`;
  }
}

function conversion(x: string, from: ScalarType, to: ScalarType): string {
  if (from === to) return x;
  if (to === "bool") return from === "i64" ? `(${x} !== 0n)` : `(${x} !== 0)`;
  if (from === "bool") return to === "i64" ? `(${x} ? 1n : 0n)` : `(${x} ? 1 : 0)`;
  if (from === "i64") {
    if (to === "i32" || to === "u32") return `Number(as${to === "i32" ? "Int" : "Uint"}N(32, ${x}))`;
    return to === "f32" ? `longToSingle(${x})` : `Number(${x})`;
  }
  if (isFloat(from) && !isFloat(to)) return `saturate_${to}(${x})`;
  if (to === "i64") return `BigInt(${x})`;
  return MASK[to](x);
}

function atomicValue(op: AtomicOp, old: string, x: string): string {
  switch (op) {
    case "add":
      return `${old} + ${x}`;
    case "and":
      return `${old} & ${x}`;
    case "or":
      return `${old} | ${x}`;
    case "min":
      return `${old} < ${x} ? ${old} : ${x}`;
    case "max":
      return `${old} > ${x} ? ${old} : ${x}`;
    case "exchange":
    case "store":
    case "load":
      return x;
  }
}

const lanesOf = ({ lanes }: Type): number[] => Array.from({ length: lanes }, (_, i) => i);
const named = (prefix: string, id: number, { lanes }: Type, lane: number): string =>
  lanes === 1 ? `${prefix}${id}` : `${prefix}${id}_${lane}`;

class Printer {
  readonly sites: Site[] = [];
  readonly copies: CopySite[] = [];
  /** Arrays that copies go to. */
  readonly #copied: ReadonlySet<number>;
  readonly lines: string[] = [];

  constructor(
    readonly program: Program,
    readonly options: PrintOptions,
  ) {
    this.#copied = copiedArrays(program.body);
  }

  part(x: Operand, lane: number): string {
    switch (x.kind) {
      case "const":
        return literal(x.value, x.type.scalar);
      case "ref":
        return named("v", x.id, x.type, lane);
      case "param":
        return `p${x.index}`;
      case "builtin":
        return x.name;
    }
  }

  body(stmts: readonly Stmt[]): void {
    for (const s of stmts) this.stmt(s);
  }

  private stmt(s: Stmt): void {
    const out = this.lines;
    switch (s.kind) {
      case "let":
        this.instr(s.id, s.type, s.instr);
        break;
      case "var":
        for (const l of lanesOf(s.type)) out.push(`let ${named("m", s.id, s.type, l)} = ${this.part(s.init, l)};`);
        break;
      case "assign":
        for (const l of lanesOf(s.value.type)) out.push(`${named("m", s.id, s.value.type, l)} = ${this.part(s.value, l)};`);
        break;
      case "store": {
        const { elem, lanes } = this.program.buffers[s.buffer]!;
        const at = this.bufferIndex(s.buffer, s.index, "noteWrite");
        for (const l of lanesOf(s.value.type)) {
          const x = this.part(s.value, l);
          const bits = elem === "f16" ? `toF16(${x})` : elem === "bf16" ? `toBF16(${x})` : x;
          out.push(`b${s.buffer}[${lanes === 1 ? at : `${at} * ${lanes} + ${l}`}] = ${bits};`);
        }
        break;
      }
      case "store_shared": {
        const at = this.sharedIndex(s.array, s.index, "noteWrite");
        const { type } = this.program.shared[s.array]!;
        for (const l of lanesOf(type)) {
          const x = this.part(s.value, l);
          out.push(`${named("s", s.array, type, l)}[${at}] = ${type.scalar === "bool" ? `${x} ? 1 : 0` : x};`);
        }
        break;
      }
      case "copy_async": {
        const place = this.copies.push({ buffer: s.buffer, array: s.array, bytes: s.bytes }) - 1;
        const elements = s.elements === null ? "null" : this.part(s.elements, 0);
        out.push(`copies.start(${place}, ${this.part(s.to, 0)}, ${this.part(s.index, 0)}, ${s.bytes}, ${elements});`);
        break;
      }
      case "commit_copies":
        out.push("copies.commit();");
        break;
      case "wait_copies":
        out.push(`copies.wait(${s.pending});`);
        break;
      case "if":
        out.push(`if (${this.part(s.cond, 0)}) {`);
        this.body(s.then);
        if (s.else.length > 0) {
          out.push("} else {");
          this.body(s.else);
        }
        out.push("}");
        break;
      case "for": {
        const i = `v${s.id}`;
        const most = s.type.scalar === "i32" ? 2147483647 : 4294967295;
        out.push(`{ const to${s.id} = ${this.part(s.to, 0)}, step${s.id} = positive(${this.part(s.step, 0)});`);
        out.push(
          `for (let ${i} = ${this.part(s.from, 0)}; ${i} < to${s.id}; ${i} = next(${i} + step${s.id}, to${s.id}, ${most})) {`,
        );
        this.body(s.body);
        out.push("} }");
        break;
      }
      case "while":
        out.push("for (let rounds = 0; ; rounds++) {", "if (rounds > 100000000) endless();");
        this.body(s.head);
        out.push(`if (!${this.part(s.cond, 0)}) break;`);
        this.body(s.body);
        out.push("}");
        break;
      case "barrier":
        this.meet({ kind: "barrier", scope: s.scope });
        break;
    }
  }

  private meet(site: Site): void {
    this.lines.push(`yield ${this.sites.push(site) - 1};`);
  }

  /** Checks an index, and notes the access; returns its text. */
  private bufferIndex(buffer: number, index: Operand, note: "noteRead" | "noteWrite"): string {
    const i = this.part(index, 0);
    this.lines.push(`if (!(${i} < n${buffer}${this.negative(index)})) outside(${buffer}, ${i});`);
    if (this.options.races) this.lines.push(`${note}(w${buffer}, ${i});`);
    return i;
  }
  private sharedIndex(array: number, index: Operand, note: "noteRead" | "noteWrite" | null): string {
    const i = this.part(index, 0);
    const { length } = this.program.shared[array]!;
    this.lines.push(`if (!(${i} < ${length}${this.negative(index)})) outsideShared(${array}, ${i});`);
    if (this.options.races && note !== null) this.noteShared(array, i, note);
    return i;
  }
  private noteShared(array: number, i: string, note: "noteRead" | "noteWrite"): void {
    if (this.#copied.has(array)) this.lines.push(`noteFlight(x${array}, ${i});`);
    if (this.options.uninitialised && note === "noteRead") this.lines.push(`noteInitialised(x${array}, ${i});`);
    this.lines.push(`${note}(x${array}, ${i});`);
  }
  /** Checks an index of words, and notes the reading of the vector that it is in; returns the text of that one's place. */
  private wordIndex(array: number, index: Operand): string {
    const i = this.part(index, 0);
    const { length, type } = this.program.shared[array]!;
    this.lines.push(`if (!(${i} < ${length * type.lanes}${this.negative(index)})) outsideShared(${array}, ${i});`);
    const at = type.lanes === 1 ? i : `(${i} / ${type.lanes} | 0)`;
    if (this.options.races) this.noteShared(array, at, "noteRead");
    return at;
  }
  private negative(index: Operand): string {
    return index.type.scalar === "i32" ? ` && ${this.part(index, 0)} >= 0` : "";
  }

  private instr(id: number, type: Type, instr: Instr): void {
    const out = this.lines;
    const define = (value: (lane: number) => string): void => {
      for (const l of lanesOf(type)) out.push(`const ${named("v", id, type, l)} = ${value(l)};`);
    };
    switch (instr.kind) {
      case "op": {
        // `select` has its condition first, shifts their count last.
        const { scalar } = instr.op === "select" ? type : instr.args[0]!.type;
        define((l) =>
          operation(
            instr.op,
            scalar,
            instr.args.map((x) => this.part(x, x.type.lanes === 1 ? 0 : l)),
            this.options,
          ));
        break;
      }
      case "math":
        define(() => `math_${instr.name}(${instr.args.map((x) => this.part(x, 0)).join(", ")})`);
        break;
      case "convert":
        define((l) => conversion(this.part(instr.arg, l), instr.arg.type.scalar, type.scalar));
        break;
      case "bitcast": {
        const from = instr.arg.type.scalar;
        define((l) =>
          from === type.scalar ? this.part(instr.arg, l) : `bits_${from}_${type.scalar}(${this.part(instr.arg, l)})`);
        break;
      }
      case "vector":
        define((l) => this.part(instr.parts[l]!, 0));
        break;
      case "extract":
        define(() => this.part(instr.arg, instr.lane));
        break;
      case "read":
        define((l) => named("m", instr.id, type, l));
        break;
      case "load": {
        const { elem, lanes } = this.program.buffers[instr.buffer]!;
        const at = this.bufferIndex(instr.buffer, instr.index, "noteRead");
        define((l) => {
          const x = `b${instr.buffer}[${lanes === 1 ? at : `${at} * ${lanes} + ${l}`}]`;
          return elem === "f16" ? `F16_VALUES[${x}]` : elem === "bf16" ? `BF16_VALUES[${x}]` : x;
        });
        break;
      }
      case "load_shared": {
        const at = this.sharedIndex(instr.array, instr.index, "noteRead");
        define((l) => `${named("s", instr.array, type, l)}[${at}]${type.scalar === "bool" ? " !== 0" : ""}`);
        break;
      }
      case "pack":
        define(() => `${instr.format === "f16" ? "packF16" : "packBF16"}(${instr.args.map((x) => this.part(x, 0)).join(", ")})`);
        break;
      case "load_word": {
        const at = this.wordIndex(instr.array, instr.index);
        const shared = this.program.shared[instr.array]!.type;
        const lane = `${this.part(instr.index, 0)} % ${shared.lanes}`;
        const places = lanesOf(shared).map((l) => `${named("s", instr.array, shared, l)}[${at}]`);
        define(() => places.reduceRight((rest, place, l) => `${lane} === ${l} ? ${place} : ${rest}`));
        break;
      }
      case "load_matrices": {
        const i = this.part(instr.index, 0);
        this.lines.push(`aligned(${i}, 4);`);
        this.wordIndex(instr.array, instr.index);
        out.push(`slots[0][thread] = ${i};`);
        this.meet({ kind: "load_matrices", array: instr.array, transposed: instr.transposed });
        define((l) => `slots[${l}][thread]`);
        break;
      }
      case "mma": {
        const parts = instr.args.flatMap((x) => lanesOf(x.type).map((l) => this.part(x, l)));
        parts.forEach((x, i) => out.push(`slots[${i}][thread] = ${x};`));
        this.meet({ kind: "mma", format: instr.format });
        define((l) => `slots[${l}][thread]`);
        break;
      }
      case "load_uniform":
        this.sharedIndex(instr.array, instr.index, null);
        out.push(`slots[0][thread] = ${this.part(instr.index, 0)};`);
        this.meet({ kind: "load_uniform", array: instr.array, lanes: type.lanes });
        define((l) => `slots[${l}][thread]${type.scalar === "bool" ? " !== 0" : ""}`);
        break;
      case "subgroup": {
        const [x, by] = instr.args as [Operand, Operand | undefined];
        for (const l of lanesOf(type)) out.push(`slots[${l}][thread] = ${this.part(x, l)};`);
        if (by !== undefined) out.push(`seconds[thread] = ${this.part(by, 0)};`);
        this.meet({ kind: "subgroup", op: instr.op, type });
        define((l) => `slots[${l}][thread]`);
        break;
      }
      case "call": {
        const args = instr.args.flatMap((x) => lanesOf(x.type).map((l) => this.part(x, l)));
        const call = `f_${instr.func.name}(${args.join(", ")})`;
        if (type.lanes === 1) define(() => call);
        else out.push(`const [${lanesOf(type).map((l) => named("v", id, type, l)).join(", ")}] = ${call};`); // prettier-ignore
        break;
      }
      case "atomic": {
        const at =
          "buffer" in instr.target
            ? this.bufferIndex(instr.target.buffer, instr.index, "noteRead")
            : this.sharedIndex(instr.target.array, instr.index, null);
        const place = `${"buffer" in instr.target ? `b${instr.target.buffer}` : `s${instr.target.array}`}[${at}]`;
        define(() => place);
        if (instr.value !== null) {
          out.push(`${place} = ${atomicValue(instr.op, named("v", id, type, 0), this.part(instr.value, 0))};`);
        }
        break;
      }
    }
  }

  func(f: Func): void {
    const params = f.params.flatMap(({ id, type }) => lanesOf(type).map((l) => named("v", id, type, l)));
    this.lines.push(`function f_${f.name}(${params.join(", ")}) {`);
    this.body(f.body);
    const results = lanesOf(f.result.type).map((l) => this.part(f.result, l));
    this.lines.push(`return ${results.length === 1 ? results[0]! : `[${results.join(", ")}]`};`, "}");
  }
}

/** Arrays that copies of these statements go to. */
function copiedArrays(stmts: readonly Stmt[], found = new Set<number>()): ReadonlySet<number> {
  for (const s of stmts) {
    if (s.kind === "copy_async") found.add(s.array);
    else if (s.kind === "if") [s.then, s.else].forEach((part) => copiedArrays(part, found));
    else if (s.kind === "for") copiedArrays(s.body, found);
    else if (s.kind === "while") [s.head, s.body].forEach((part) => copiedArrays(part, found));
  }
  return found;
}

export function toJavaScript(program: Program, runtimeNames: readonly string[], options: PrintOptions): Printed {
  const printer = new Printer(program, options);
  const { lines } = printer;
  const buffers = program.buffers.map((_, i) => [`b${i}`, `n${i}`, `w${i}`]).flat();
  const shared = program.shared.flatMap(({ type }, i) => [...lanesOf(type).map((l) => named("s", i, type, l)), `x${i}`]);
  const params = program.params.map((_, i) => `p${i}`);
  lines.push('"use strict";', `const { ${runtimeNames.join(", ")} } = rt;`);
  lines.push("let slots, seconds, subgroup_size, copies;");
  const all = [...buffers, ...shared, ...params];
  if (all.length > 0) lines.push(`let ${all.map((n) => `g_${n}`).join(", ")};`);
  for (const f of program.funcs) printer.func(f);
  const start = lines.length;
  printer.body(program.body);
  const body = lines.splice(start);
  const meets = printer.sites.length > 0;
  lines.push(`function${meets ? "*" : ""} thread(group, thread) {`);
  if (all.length > 0) lines.push(`const ${all.map((n) => `${n} = g_${n}`).join(", ")};`);
  if (program.subgroups) lines.push("const subgroup_lane = thread % subgroup_size;");
  lines.push(...body, "}");
  const bound = ["slots", "seconds", "subgroup_size", "copies", ...all.map((n) => `g_${n}`)];
  lines.push(`function bind(values) { [${bound.join(", ")}] = values; }`, "return { bind, thread };");
  return { source: lines.join("\n"), sites: printer.sites, copies: printer.copies };
}
