/**
 * IR to WGSL. One uniform block at binding 0 (`UNIFORM_HEADER`, then the program's params, a 32-bit word each), the buffers at bindings 1
 * and up in the program's order. The grid may be folded into x and y: groups beyond `groups` do nothing.
 */

import { NotImplementedError } from "../../ts/core/errors.ts";
import type { AtomicOp, BufferParam, Elem, Instr, OpName, Program, ScalarType, SubgroupOp, Type } from "../ir.ts";
import { type Dialect, paren, printBody, printFunc } from "./printer.ts";

/**
 * Words that come before the params: the dispatch's first workgroup, which is not 0 where a launch is cut into several, and the one after
 * its last; infinity and a NaN, which WGSL has no way to write and which a compiler may assume away where it sees them.
 */
export const UNIFORM_HEADER: readonly number[] = [0, 0, 0x7f800000, 0x7fc00000];

const SCALARS: { readonly [S in ScalarType]: string | null } = {
  bool: "bool",
  i32: "i32",
  u32: "u32",
  f32: "f32",
  i64: null,
  f64: null,
};
const ELEMS: { readonly [E in Elem]: string | null } = {
  i32: "i32",
  u32: "u32",
  f32: "f32",
  f16: "f16",
  i8: null,
  u8: null,
  i16: null,
  i64: null,
  bf16: null,
  f64: null,
};

function existing(text: string | null, what: string): string {
  if (text === null) throw new NotImplementedError(`WGSL has no ${what}`);
  return text;
}

function vectorOf(scalar: string, lanes: number): string {
  return lanes === 1 ? scalar : `vec${lanes}<${scalar}>`;
}
function typeText({ scalar, lanes }: Type): string {
  return vectorOf(existing(SCALARS[scalar], scalar), lanes);
}
function elemText({ elem, lanes }: BufferParam): string {
  return vectorOf(existing(ELEMS[elem], elem), lanes);
}

function floatText(value: number): string {
  const x = Math.fround(value);
  if (Number.isNaN(x)) return "params.launch_nan";
  if (!Number.isFinite(x)) return x > 0 ? "params.launch_infinity" : "(-params.launch_infinity)";
  if (Object.is(x, -0)) return "bitcast<f32>(0x80000000u)";
  const text = String(x);
  return `${x < 0 ? "(" : ""}${/[.e]/.test(text) ? text : `${text}.0`}f${x < 0 ? ")" : ""}`;
}

function scalarConstant(value: number | bigint | boolean, scalar: ScalarType): string {
  switch (scalar) {
    case "bool":
      return String(value === true);
    case "f32":
      return floatText(Number(value));
    case "i32": {
      const x = Number(BigInt.asIntN(32, BigInt(value)));
      return x < 0 ? `i32(${x})` : `${x}i`;
    }
    case "u32":
      return `${BigInt.asUintN(32, BigInt(value))}u`;
    default:
      return existing(null, scalar);
  }
}

type Form = (args: readonly string[], type: Type, operand: Type) => string;
const infix =
  (symbol: string): Form =>
  ([a, b]) =>
    `(${a} ${symbol} ${b})`;
const call =
  (name: string): Form =>
  (args) =>
    `${name}(${args.join(", ")})`;

const FORMS: { readonly [O in OpName]: Form } = {
  add: infix("+"),
  sub: infix("-"),
  mul: infix("*"),
  div: infix("/"),
  rem: infix("%"),
  neg: ([a], { scalar, lanes }) => (scalar === "u32" ? `(${vectorOf("u32", lanes)}() - ${a!})` : `(-${paren(a!)})`),
  abs: call("abs"),
  min: call("min"),
  max: call("max"),
  fma: call("fma"),
  sqrt: call("sqrt"),
  rsqrt: call("inverseSqrt"),
  floor: call("floor"),
  ceil: call("ceil"),
  trunc: call("trunc"),
  round: call("round"),
  exp2_fast: call("exp2"),
  log2_fast: call("log2"),
  round_tf32: () => existing(null, "rounding to TF32"),
  and: infix("&"),
  or: infix("|"),
  xor: (args, type, operand) => infix(type.scalar === "bool" ? "!=" : "^")(args, type, operand),
  not: ([a], { scalar }) => (scalar === "bool" ? `(!${paren(a!)})` : `(~${paren(a!)})`),
  shl: infix("<<"),
  shr: infix(">>"),
  count_leading_zeros: call("countLeadingZeros"),
  count_one_bits: call("countOneBits"),
  eq: infix("=="),
  // Of floats, `!=` may become the comparison that is false for NaN.
  ne: ([a, b], _, { scalar }) => (scalar === "f32" ? `(!(${a} == ${b}))` : `(${a} != ${b})`),
  lt: infix("<"),
  le: infix("<="),
  gt: infix(">"),
  ge: infix(">="),
  is_nan: ([a], _, { lanes }) => {
    const word = vectorOf("u32", lanes);
    return `((bitcast<${word}>(${a!}) & ${word}(0x7fffffffu)) > ${word}(0x7f800000u))`;
  },
  select: ([condition, a, b]) => `select(${b!}, ${a!}, ${condition!})`,
};

const SUBGROUP: { readonly [O in SubgroupOp]: string } = {
  add: "subgroupAdd",
  mul: "subgroupMul",
  min: "subgroupMin",
  max: "subgroupMax",
  and: "subgroupAnd",
  or: "subgroupOr",
  xor: "subgroupXor",
  shuffle: "subgroupShuffle",
  shuffle_xor: "subgroupShuffleXor",
  broadcast_first: "subgroupBroadcastFirst",
};
const ATOMIC: { readonly [O in AtomicOp]: string } = {
  add: "atomicAdd",
  min: "atomicMin",
  max: "atomicMax",
  and: "atomicAnd",
  or: "atomicOr",
  exchange: "atomicExchange",
  load: "atomicLoad",
  store: "atomicStore",
};

/** f32 to f16, to nearest even, which WGSL's own conversion need not be. */
const ROUND_F16 = `fn round_f16(x: f32) -> f16 {
  let bits = bitcast<u32>(x);
  let size = abs(x);
  if ((bits & 0x7fffffffu) >= 0x7f800000u) { return f16(x); }
  if (size >= 65520.0f) { return f16(select(params.launch_infinity, -params.launch_infinity, x < 0.0f)); }
  if (size < 0x1p-14f) { return f16(round(x * 0x1p24f) * 0x1p-24f); }
  return f16(bitcast<f32>((bits + 0xfffu + ((bits >> 13u) & 1u)) & 0xffffe000u));
}`;

class Wgsl implements Dialect {
  readonly #program: Program;
  readonly #names: readonly string[];

  /** @param aliases Per buffer the one whose binding it uses: itself, or a read_write one over the same memory. */
  constructor(program: Program, aliases: readonly number[]) {
    this.#program = program;
    this.#names = program.buffers.map((_, i) => `b_${program.buffers[aliases[i]!]!.name}`);
  }

  constant({ type, value }: { type: Type; value: number | bigint | boolean }): string {
    const text = scalarConstant(value, type.scalar);
    return type.lanes === 1 ? text : `${typeText(type)}(${text})`;
  }
  param(index: number): string {
    const { name, type } = this.#program.params[index]!;
    return type === "bool" ? `(params.${name} != 0u)` : `params.${name}`;
  }
  builtin(name: string): string {
    return name;
  }
  value(type: Type, instr: Exclude<Instr, { kind: "read" }>, text: Parameters<Dialect["value"]>[2]): string {
    const shared = (array: number): string => `s_${this.#program.shared[array]!.name}`;
    switch (instr.kind) {
      case "op":
        // `select` has its condition first.
        return FORMS[instr.op](instr.args.map(text), type, instr.args.at(-1)!.type);
      case "math":
        return existing(null, type.scalar);
      case "convert":
        return `${typeText(type)}(${text(instr.arg)})`;
      case "bitcast":
        return `bitcast<${typeText(type)}>(${text(instr.arg)})`;
      case "vector":
        return `${typeText(type)}(${instr.parts.map(text).join(", ")})`;
      case "extract":
        return `${text(instr.arg)}.${"xyzw"[instr.lane]!}`;
      case "load": {
        const element = `${this.#names[instr.buffer]!}[${text(instr.index)}]`;
        return this.#program.buffers[instr.buffer]!.elem === "f16" ? `${typeText(type)}(${element})` : element;
      }
      case "load_shared":
        return `${shared(instr.array)}[${text(instr.index)}]`;
      case "load_uniform":
        return `workgroupUniformLoad(&${shared(instr.array)}[${text(instr.index)}])`;
      case "call":
        return `${instr.func.name}(${instr.args.map(text).join(", ")})`;
      case "subgroup":
        return `${SUBGROUP[instr.op]}(${instr.args.map(text).join(", ")})`;
      case "atomic": {
        const place = "buffer" in instr.target ? this.#names[instr.target.buffer]! : shared(instr.target.array);
        const value = instr.value === null ? "" : `, ${text(instr.value)}`;
        return `${ATOMIC[instr.op]}(&${place}[${text(instr.index)}]${value})`;
      }
      case "pack":
        return existing(null, `packed ${instr.format}`);
      case "load_word":
      case "load_matrices":
      case "mma":
        return existing(null, "matrix units");
    }
  }
  declareLet(name: string, _: Type, value: string): string {
    // A store has no value.
    return value.startsWith("atomicStore") ? `${value};` : `let ${name} = ${value};`;
  }
  declareVar(name: string, type: Type, value: string): string {
    return `var ${name}: ${typeText(type)} = ${value};`;
  }
  store(buffer: number, index: string, value: string): string {
    const { elem, lanes } = this.#program.buffers[buffer]!;
    const name = this.#names[buffer]!;
    if (elem !== "f16") return `${name}[${index}] = ${value};`;
    if (lanes === 1) return `${name}[${index}] = round_f16(${value});`;
    const parts = Array.from({ length: lanes }, (_, i) => `round_f16(h.${"xyzw"[i]!})`);
    return `{ let h = ${value}; ${name}[${index}] = ${vectorOf("f16", lanes)}(${parts.join(", ")}); }`;
  }
  storeShared(array: number, index: string, value: string): string {
    return `s_${this.#program.shared[array]!.name}[${index}] = ${value};`;
  }
  forHead(counter: string, type: Type, from: string, to: string, step: string): string {
    return `for (var ${counter}: ${typeText(type)} = ${from}; ${counter} < ${to}; ${counter} += ${step})`;
  }
  readonly loopHead = "loop";
  copyAsync(): string {
    return existing(null, "asynchronous copies");
  }
  commitCopies(): string {
    return existing(null, "asynchronous copies");
  }
  waitCopies(): string {
    return existing(null, "asynchronous copies");
  }
  barrier(scope: "workgroup" | "storage"): string[] {
    return scope === "storage" ? ["storageBarrier();", "workgroupBarrier();"] : ["workgroupBarrier();"];
  }
}

/** @param aliases See `Wgsl`; by default every buffer has a binding of its own. */
export function toWgsl(program: Program, aliases: readonly number[] = program.buffers.map((_, i) => i)): string {
  const dialect = new Wgsl(program, aliases);
  const f16 = program.buffers.some((b) => b.elem === "f16");
  const lines: string[] = [];
  if (f16) lines.push("enable f16;");
  // Uniformity across a subgroup is the kernels' care; the analysis sees only threads' numbers.
  if (program.subgroups) lines.push("enable subgroups;", "diagnostic(off, subgroup_uniformity);");
  lines.push("struct Params {", "  launch_first: u32,", "  launch_end: u32,", "  launch_infinity: f32,", "  launch_nan: f32,");
  for (const { name, type } of program.params) {
    lines.push(`  ${name}: ${type === "bool" ? "u32" : existing(SCALARS[type], type)},`);
  }
  lines.push("}", "@group(0) @binding(0) var<uniform> params: Params;");
  program.buffers.forEach((b, i) => {
    if (aliases[i] !== i) return;
    const element = b.atomic ? `atomic<${elemText(b)}>` : elemText(b);
    lines.push(`@group(0) @binding(${i + 1}) var<storage, ${b.access}> b_${b.name}: array<${element}>;`);
  });
  for (const { name, type, length, atomic } of program.shared) {
    const element = atomic ? `atomic<${typeText(type)}>` : typeText(type);
    lines.push(`var<workgroup> s_${name}: array<${element}, ${length}>;`);
  }
  if (f16) lines.push(ROUND_F16);
  for (const func of program.funcs) {
    const args = func.params.map(({ id, type }) => `v${id}: ${typeText(type)}`).join(", ");
    const { lines: body, result } = printFunc(dialect, func, "  ");
    lines.push(`fn ${func.name}(${args}) -> ${typeText(func.result.type)} {`, ...body, `  return ${result};`, "}");
  }
  lines.push(
    `@compute @workgroup_size(${program.workgroup})`,
    "fn main(",
    "  @builtin(workgroup_id) workgroup_id: vec3<u32>,",
    "  @builtin(num_workgroups) num_workgroups: vec3<u32>,",
    "  @builtin(local_invocation_index) thread: u32,",
  );
  if (program.subgroups) {
    lines.push("  @builtin(subgroup_invocation_id) subgroup_lane: u32,", "  @builtin(subgroup_size) subgroup_size: u32,");
  }
  lines.push(
    ") {",
    "  let group = params.launch_first + workgroup_id.x + workgroup_id.y * num_workgroups.x;",
    "  if (group < params.launch_end) {",
    ...printBody(dialect, program, "    "),
    "  }",
    "}",
    "",
  );
  return lines.join("\n");
}
