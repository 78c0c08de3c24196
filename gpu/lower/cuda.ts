/**
 * IR to CUDA C++. A kernel takes pointers to its bound buffers, in the program's order, then the params as gpu/launch.ts packs them.
 * Helper functions lie in a namespace of the kernel, so that many kernels can share one unit: CUDA_PRELUDE, then their texts.
 */

import {
  type AtomicOp,
  type BufferParam,
  type Elem,
  ELEM_BYTES,
  type Instr,
  type Lanes,
  type Operand,
  type OpName,
  type Program,
  type ScalarType,
  type Stmt,
  type SubgroupOp,
  type Type,
} from "../ir.ts";
import { type Dialect, paren, printBody, printFunc } from "./printer.ts";

export { CUDA_PRELUDE } from "./cuda_prelude.ts";

export interface CudaKernel {
  /** `<program>_<hash of the text>`: unique among all kernels. */
  readonly name: string;
  readonly text: string;
  /** Of a block. */
  readonly threads: number;
  /** Bytes of dynamic shared memory. */
  readonly dynamicShared: number;
}

/** Bytes of shared memory that may be declared; more is asked for at the launch. */
const STATIC_SHARED = 48 << 10;

const SCALARS: { readonly [S in ScalarType]: string } = {
  bool: "bool",
  i32: "int",
  u32: "unsigned",
  f32: "float",
  i64: "long long",
  f64: "double",
};
const ELEMS: { readonly [E in Elem]: string } = {
  i8: "signed char",
  u8: "unsigned char",
  i16: "short",
  i32: "int",
  u32: "unsigned",
  i64: "long long",
  f16: "unsigned short",
  bf16: "unsigned short",
  f32: "float",
  f64: "double",
};
/** Elements that are other than their values are in registers: as integers, or through a function of the prelude. */
const NARROW: ReadonlySet<Elem> = new Set<Elem>(["i8", "u8", "i16"]);
const HALVES: ReadonlySet<Elem> = new Set<Elem>(["f16", "bf16"]);

function vectorOf(scalar: string, lanes: Lanes): string {
  return lanes === 1 ? scalar : `kd_vec${lanes}<${scalar}>`;
}
function typeText({ scalar, lanes }: Type): string {
  return vectorOf(SCALARS[scalar], lanes);
}
function cast(type: string, value: string): string {
  // Not `type(value)`: in parentheses that can be read as the type of a function.
  return `(${type})${paren(value)}`;
}

const bytes = new DataView(new ArrayBuffer(8));

function floatText(value: number): string {
  const x = Math.fround(value);
  if (x === 0 || (Math.abs(x) >= 2 ** -126 && Number.isFinite(x))) return `${decimal(x)}f${x < 0 ? ")" : ""}`;
  bytes.setFloat32(0, x);
  return `__uint_as_float(0x${bytes.getUint32(0).toString(16)}u)`;
}
function doubleText(x: number): string {
  if (x === 0 || (Math.abs(x) >= 2 ** -1022 && Number.isFinite(x))) return `${decimal(x)}${x < 0 ? ")" : ""}`;
  bytes.setFloat64(0, x);
  return `__longlong_as_double((long long)0x${bytes.getBigUint64(0).toString(16)}ull)`;
}
/** With an opening parenthesis where there is a sign. */
function decimal(x: number): string {
  if (Object.is(x, -0)) return "-0.0";
  const text = String(x);
  return `${x < 0 ? "(" : ""}${/[.e]/.test(text) ? text : `${text}.0`}`;
}

function scalarConstant(value: number | bigint | boolean, scalar: ScalarType): string {
  switch (scalar) {
    case "bool":
      return String(value === true || value === 1);
    case "f32":
      return floatText(Number(value));
    case "f64":
      return doubleText(Number(value));
    case "u32":
      return `${BigInt.asUintN(32, BigInt(value))}u`;
    case "i32":
    case "i64": {
      const bits = scalar === "i32" ? 32 : 64;
      const suffix = bits === 32 ? "" : "ll";
      const x = BigInt.asIntN(bits, BigInt(value));
      // The least one has no literal.
      if (x === -(1n << BigInt(bits - 1))) return `(${x + 1n}${suffix} - 1)`;
      return x < 0n ? `(${x}${suffix})` : `${x}${suffix}`;
    }
  }
}

type Form = (args: readonly string[], type: Type, operands: readonly Operand[]) => string;
const call =
  (name: string): Form =>
  (args) =>
    `kd_${name}(${args.join(", ")})`;

/** C++'s operator for single values, the prelude's function for vectors. */
const infix =
  (symbol: string, name: string): Form =>
  (args, type, operands) =>
    type.lanes === 1 ? `(${args[0]!} ${symbol} ${args[1]!})` : call(name)(args, type, operands);
/** The operator where it cannot overflow. */
const wrapping =
  (symbol: string, name: string): Form =>
  (args, type, operands) =>
    (isSigned(type) ? call(name) : infix(symbol, name))(args, type, operands);
/** The operator for floats, and for integers by what is known to divide everything. */
const dividing =
  (symbol: string, name: string): Form =>
  (args, type, operands) =>
    (isFloat(type) || dividesAll(operands[1]!) ? infix(symbol, name) : call(name))(args, type, operands);
function dividesAll(by: Operand): boolean {
  if (by.kind === "const") return Number(by.value) !== 0 && Number(by.value) !== -1;
  return by.kind === "builtin" && by.name === "subgroup_size";
}
const bitwise =
  (symbol: string, truth: string, name: string): Form =>
  (args, type, operands) =>
    infix(type.scalar === "bool" ? truth : symbol, name)(args, type, operands);

function isSigned({ scalar }: Type): boolean {
  return scalar === "i32" || scalar === "i64";
}
function isFloat({ scalar }: Type): boolean {
  return scalar === "f32" || scalar === "f64";
}

const FORMS: { readonly [O in OpName]: Form } = {
  add: wrapping("+", "add"),
  sub: wrapping("-", "sub"),
  mul: wrapping("*", "mul"),
  div: dividing("/", "div"),
  rem: dividing("%", "rem"),
  neg: (args, type, operands) =>
    isFloat(type) && type.lanes === 1 ? `(-${paren(args[0]!)})` : call("neg")(args, type, operands),
  abs: call("abs"),
  min: call("min"),
  max: call("max"),
  fma: call("fma"),
  sqrt: call("sqrt"),
  rsqrt: call("rsqrt"),
  floor: call("floor"),
  ceil: call("ceil"),
  trunc: call("trunc"),
  round: call("round"),
  exp2_fast: call("exp2_fast"),
  log2_fast: call("log2_fast"),
  round_tf32: call("round_tf32"),
  and: bitwise("&", "&&", "and"),
  or: bitwise("|", "||", "or"),
  xor: bitwise("^", "!=", "xor"),
  not: (args, type, operands) =>
    type.lanes === 1 ? `(${type.scalar === "bool" ? "!" : "~"}${paren(args[0]!)})` : call("not")(args, type, operands),
  shl: wrapping("<<", "shl"),
  shr: infix(">>", "shr"),
  count_leading_zeros: call("clz"),
  count_one_bits: call("popc"),
  eq: infix("==", "eq"),
  ne: infix("!=", "ne"),
  lt: infix("<", "lt"),
  le: infix("<=", "le"),
  gt: infix(">", "gt"),
  ge: infix(">=", "ge"),
  is_nan: call("is_nan"),
  select: (args, type, operands) =>
    operands[0]!.type.lanes === 1 ? `(${args[0]!} ? ${args[1]!} : ${args[2]!})` : call("select")(args, type, operands),
};

const FOLDS: { readonly [O in SubgroupOp]: string | null } = {
  add: "add",
  mul: "mul",
  min: "min",
  max: "max",
  and: "and",
  or: "or",
  xor: "xor",
  shuffle: null,
  shuffle_xor: null,
  broadcast_first: null,
};
const ATOMIC: { readonly [O in AtomicOp]: string } = {
  add: "atomicAdd",
  min: "atomicMin",
  max: "atomicMax",
  and: "atomicAnd",
  or: "atomicOr",
  exchange: "atomicExch",
  load: "kd_atomic_load",
  store: "kd_atomic_store",
};

class Cuda implements Dialect {
  readonly #program: Program;
  readonly #names: readonly string[];
  /** How many threads a warp has: the last one may be smaller. */
  readonly #warp: string;
  /** What comes before a helper function's name. */
  readonly #scope: string;

  /** @param aliases Per buffer the one whose pointer it uses: itself, or a read_write one over the same memory. */
  constructor(program: Program, aliases: readonly number[], scope: string) {
    this.#program = program;
    this.#names = program.buffers.map((_, i) => `b_${program.buffers[aliases[i]!]!.name}`);
    this.#warp = program.workgroup % 32 === 0 ? "32u" : `kd_warp_threads(${program.workgroup}u)`;
    this.#scope = scope;
  }

  constant({ type, value }: { type: Type; value: number | bigint | boolean }): string {
    const text = scalarConstant(value, type.scalar);
    return type.lanes === 1 ? text : `${typeText(type)}{${new Array<string>(type.lanes).fill(text).join(", ")}}`;
  }
  param(index: number): string {
    const { name, type } = this.#program.params[index]!;
    return type === "bool" ? `(p_${name} != 0u)` : `p_${name}`;
  }
  builtin(name: Extract<Operand, { kind: "builtin" }>["name"]): string {
    switch (name) {
      case "group":
        return "blockIdx.x";
      case "thread":
        return "threadIdx.x";
      case "subgroup_lane":
        return "(threadIdx.x & 31u)";
      case "subgroup_size":
        return "32u";
    }
  }
  value(type: Type, instr: Exclude<Instr, { kind: "read" }>, text: (x: Operand) => string): string {
    const shared = (array: number): string => `s_${this.#program.shared[array]!.name}`;
    switch (instr.kind) {
      case "op":
        return FORMS[instr.op](instr.args.map(text), type, instr.args);
      case "math":
        return `${instr.name}(${instr.args.map(text).join(", ")})`;
      case "convert":
        return conversion(text(instr.arg), instr.arg.type, type);
      case "bitcast":
        return `kd_bitcast<${SCALARS[type.scalar]}>(${text(instr.arg)})`;
      case "vector":
        return `${typeText(type)}{${instr.parts.map(text).join(", ")}}`;
      case "extract":
        return `${text(instr.arg)}.${"xyzw"[instr.lane]!}`;
      case "load": {
        const { elem, lanes } = this.#program.buffers[instr.buffer]!;
        const element = `${this.#names[instr.buffer]!}[${text(instr.index)}]`;
        if (HALVES.has(elem)) return `kd_${elem}_to_f32(${element})`;
        return NARROW.has(elem) && lanes > 1 ? `kd_convert<int>(${element})` : element;
      }
      case "load_shared":
        return `${shared(instr.array)}[${text(instr.index)}]`;
      case "load_uniform":
        return `kd_load_uniform(&${shared(instr.array)}[${text(instr.index)}])`;
      case "call":
        return `${this.#scope}${instr.func.name}(${instr.args.map(text).join(", ")})`;
      case "subgroup": {
        const [x, by] = instr.args.map(text) as [string, string | undefined];
        const fold = FOLDS[instr.op];
        if (fold !== null) return `kd_reduce<kd_${fold}_fold>(${this.#warp}, ${x})`;
        return `kd_shuffle<${instr.op === "shuffle_xor" ? "KD_XOR" : "KD_LANE"}>(${this.#warp}, ${x}, ${by ?? "0u"})`;
      }
      case "atomic": {
        const place = "buffer" in instr.target ? this.#names[instr.target.buffer]! : shared(instr.target.array);
        const value = instr.value === null ? "" : `, ${text(instr.value)}`;
        return `${ATOMIC[instr.op]}(&${place}[${text(instr.index)}]${value})`;
      }
      case "pack":
        return `kd_pack_${instr.format}(${instr.args.map(text).join(", ")})`;
      case "load_word":
        return `((const ${SCALARS[type.scalar]}*)${shared(instr.array)})[${text(instr.index)}]`;
      case "load_matrices":
        return `kd_load_matrices<${instr.transposed}>((const unsigned*)${shared(instr.array)} + ${text(instr.index)})`;
      case "mma":
        return `kd_mma_${instr.format}(${instr.args.map(text).join(", ")})`;
    }
  }
  declareLet(name: string, type: Type, value: string, used: boolean): string {
    return used ? `const ${typeText(type)} ${name} = ${value};` : `${value};`;
  }
  declareVar(name: string, type: Type, value: string): string {
    return `${typeText(type)} ${name} = ${value};`;
  }
  store(buffer: number, index: string, value: string): string {
    const { elem, lanes } = this.#program.buffers[buffer]!;
    const narrow = lanes === 1 ? cast(ELEMS[elem], value) : `kd_convert<${ELEMS[elem]}>(${value})`;
    const stored = HALVES.has(elem) ? `kd_f32_to_${elem}(${value})` : NARROW.has(elem) ? narrow : value;
    return `${this.#names[buffer]!}[${index}] = ${stored};`;
  }
  storeShared(array: number, index: string, value: string): string {
    return `s_${this.#program.shared[array]!.name}[${index}] = ${value};`;
  }
  forHead(counter: string, type: Type, from: string, to: string, step: string): string {
    return `for (${typeText(type)} ${counter} = ${from}; ${counter} < ${to}; ${counter} += ${step})`;
  }
  readonly loopHead = "for (;;)";
  copyAsync(copy: Extract<Stmt, { kind: "copy_async" }>, to: string, index: string, elements: string | null): string {
    const { elem } = this.#program.buffers[copy.buffer]!;
    const target = `(unsigned*)s_${this.#program.shared[copy.array]!.name} + ${to}`;
    const source = `(const ${ELEMS[elem]}*)${this.#names[copy.buffer]!} + ${index}`;
    const valid = elements === null ? "" : `, ${paren(elements)} * ${ELEM_BYTES[elem]}u`;
    return `kd_copy_async<${copy.bytes}>(${target}, ${source}${valid});`;
  }
  commitCopies(): string {
    return "kd_commit_copies();";
  }
  waitCopies(pending: number): string {
    return `kd_wait_copies<${pending}>();`;
  }
  barrier(): string[] {
    return ["__syncthreads();"];
  }
}

function conversion(value: string, from: Type, to: Type): string {
  if (to.lanes > 1 || (isFloat(from) && to.scalar !== "bool" && !isFloat(to))) {
    return `kd_convert<${SCALARS[to.scalar]}>(${value})`;
  }
  return to.scalar === "bool" ? `(${value} != ${scalarConstant(0, from.scalar)})` : `(${cast(SCALARS[to.scalar], value)})`;
}

/** Whether threads see each other's stores to buffers: then nothing may be assumed of pointers that are written. */
function hasStorageBarrier(stmts: readonly Stmt[]): boolean {
  return stmts.some((s) => {
    switch (s.kind) {
      case "barrier":
        return s.scope === "storage";
      case "if":
        return hasStorageBarrier(s.then) || hasStorageBarrier(s.else);
      case "for":
        return hasStorageBarrier(s.body);
      case "while":
        return hasStorageBarrier(s.head) || hasStorageBarrier(s.body);
      default:
        return false;
    }
  });
}

function sharedBytes({ type: { scalar, lanes }, length }: Program["shared"][number]): number {
  const size = scalar === "bool" ? 1 : scalar === "i64" || scalar === "f64" ? 8 : 4;
  return Math.ceil((size * lanes * length) / 16) * 16;
}

/** Declarations of workgroup memory, and how much of it is dynamic. */
function declareShared(program: Program): { lines: string[]; dynamicShared: number } {
  const total = program.shared.reduce((n, array) => n + sharedBytes(array), 0);
  if (total <= STATIC_SHARED) {
    const lines = program.shared.map(({ name, type, length }) => `__shared__ ${typeText(type)} s_${name}[${length}];`);
    return { lines, dynamicShared: 0 };
  }
  let at = 0;
  const lines = program.shared.map((array) => {
    const type = typeText(array.type);
    const line = `${type}* const s_${array.name} = (${type}*)(kd_dynamic_shared() + ${at});`;
    at += sharedBytes(array);
    return line;
  });
  return { lines, dynamicShared: total };
}

/** 64 bits of a text, as 16 digits: two multiplicative hashes that mix at the end. */
function hashText(text: string): string {
  let a = 0xdeadbeef;
  let b = 0x41c6ce57;
  for (let i = 0; i < text.length; i++) {
    const c = text.charCodeAt(i);
    a = Math.imul(a ^ c, 0x9e3779b1);
    b = Math.imul(b ^ c, 0x5f356495);
    a ^= a >>> 15;
    b ^= b >>> 13;
  }
  const x = Math.imul(a ^ (a >>> 16), 0x85ebca6b) ^ Math.imul(b ^ (b >>> 13), 0xc2b2ae35);
  const y = Math.imul(b ^ (b >>> 16), 0x85ebca6b) ^ Math.imul(a ^ (a >>> 13), 0xc2b2ae35);
  return [x, y].map((w) => (w >>> 0).toString(16).padStart(8, "0")).join("");
}

function elementText({ elem, lanes }: BufferParam): string {
  return vectorOf(ELEMS[elem], lanes);
}

/** @param aliases See `Cuda`; by default every buffer has a pointer of its own. */
export function toCuda(program: Program, aliases: readonly number[] = program.buffers.map((_, i) => i)): CudaKernel {
  // The text has this in the place of the name until its hash is known.
  const NAME = "@NAME@";
  const lines: string[] = [];
  if (program.funcs.length > 0) {
    const dialect = new Cuda(program, aliases, "");
    lines.push(`namespace ${NAME}_ns {`);
    for (const func of program.funcs) {
      const args = func.params.map(({ id, type }) => `const ${typeText(type)} v${id}`).join(", ");
      const { lines: body, result } = printFunc(dialect, func, "  ");
      lines.push(`static __device__ ${typeText(func.result.type)} ${func.name}(${args}) {`, ...body, `  return ${result};`, "}");
    }
    lines.push("}");
  }
  const restrict = hasStorageBarrier(program.body) ? "" : " __restrict__";
  const args: string[] = [];
  program.buffers.forEach((b, i) => {
    if (aliases[i] !== i) return;
    if (b.access === "read") args.push(`const ${elementText(b)}* __restrict__ b_${b.name}`);
    else args.push(`${elementText(b)}*${b.atomic ? "" : restrict} b_${b.name}`);
  });
  for (const { name, type } of program.params) args.push(`${type === "bool" ? "unsigned" : SCALARS[type]} p_${name}`);
  const { lines: shared, dynamicShared } = declareShared(program);
  lines.push(
    `extern "C" __global__ void __launch_bounds__(${program.workgroup}) ${NAME}(${args.join(", ")}) {`,
    ...shared.map((line) => `  ${line}`),
    ...printBody(new Cuda(program, aliases, `${NAME}_ns::`), program, "  "),
    "}",
    "",
  );
  const text = lines.join("\n");
  const name = `${program.name.replace(/\W/g, "_")}_${hashText(`${program.name}\n${text}`)}`;
  return { name, text: text.replaceAll(NAME, name), threads: program.workgroup, dynamicShared };
}
