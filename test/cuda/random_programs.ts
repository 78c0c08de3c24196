/**
 * Random IR programs, by seed: every type, element and number of lanes, control flow, functions, workgroup memory, subgroups, atomics. They
 * avoid what the IR leaves unspecified, and floating-point operations that may round in more than one way, so that results are exact.
 */

import { type Block, defineFunc, KernelBuilder, type V, type Var } from "../../gpu/builder.ts";
import type { Elem, Func, Lanes, OpName, ScalarType } from "../../gpu/ir.ts";
import { toBF16, toF16, type Memory, MEMORY_OF } from "../../gpu/lower/interpret_memory.ts";
import type { Run } from "./execute.ts";

const SCALARS: readonly ScalarType[] = ["bool", "i32", "u32", "f32", "i64", "f64"];
const ELEMS: readonly Elem[] = ["i8", "u8", "i16", "i32", "u32", "i64", "f16", "bf16", "f32", "f64"];
const LANES: readonly Lanes[] = [1, 1, 2, 4];

class Random {
  #state: number;
  constructor(seed: number) {
    this.#state = Math.imul(seed + 1, 0x9e3779b1) >>> 0;
  }
  word(): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(this.#state ^ (this.#state >>> 15), this.#state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return (x ^ (x >>> 14)) >>> 0;
  }
  below(n: number): number {
    return Math.floor((this.word() / 2 ** 32) * n);
  }
  pick<T>(from: readonly T[]): T {
    return from[this.below(from.length)]!;
  }
  chance(percent: number): boolean {
    return this.below(100) < percent;
  }
}

const FLOATS = [0, -0, 1, -1, 0.5, -1.5, 2.5, 1e-45, -3e-39, 65519, 65520, 2147483648, -2147483648, 4294967296, 9.3e18, -1e19, 3.4e38, 1e300, 5e-324, Infinity, -Infinity, NaN]; // prettier-ignore
const INTEGERS = [0n, 1n, -1n, 2n, 3n, -7n, 255n, 32768n, (1n << 31n) - 1n, -(1n << 31n), 1n << 31n, (1n << 32n) - 1n, 1n << 32n, (1n << 63n) - 1n, -(1n << 63n)]; // prettier-ignore

function randomFloat(r: Random): number {
  if (r.chance(25)) return r.pick(FLOATS);
  return (r.word() / 2 ** 31 - 1) * 2 ** (r.chance(80) ? r.below(12) - 4 : r.below(200) - 100);
}
function randomInteger(r: Random): bigint {
  if (r.chance(40)) return r.pick(INTEGERS);
  return r.chance(50) ? BigInt(r.below(100) - 50) : BigInt.asIntN(64, (BigInt(r.word()) << 32n) | BigInt(r.word()));
}
function randomConstant(r: Random, scalar: ScalarType): number | bigint | boolean {
  switch (scalar) {
    case "bool":
      return r.chance(50);
    case "f32":
      return Math.fround(randomFloat(r));
    case "f64":
      return randomFloat(r);
    case "i32":
      return Number(BigInt.asIntN(32, randomInteger(r)));
    case "u32":
      return Number(BigInt.asUintN(32, randomInteger(r)));
    case "i64":
      return randomInteger(r);
  }
}
export function randomMemory(r: { word(): number }, elem: Elem, length: number): Memory {
  const random = r as Random;
  const memory = new MEMORY_OF[elem](length);
  for (let i = 0; i < length; i++) {
    if (memory instanceof BigInt64Array) memory[i] = randomInteger(random);
    else if (elem === "f16") memory[i] = toF16(randomFloat(random));
    else if (elem === "bf16") memory[i] = toBF16(randomFloat(random));
    else memory[i] = elem[0] === "f" ? randomFloat(random) : Number(BigInt.asIntN(32, randomInteger(random)));
  }
  return memory;
}

const isFloat = (scalar: ScalarType): boolean => scalar === "f32" || scalar === "f64";

class Writer {
  /** Values that may be used here; inner blocks see outer ones. */
  #scopes: V[][] = [[]];
  readonly #vars: Var[] = [];
  /** Of all values, so that none goes unseen. */
  readonly #hash: Var;

  constructor(
    readonly r: Random,
    readonly b: Block,
    readonly funcs: readonly Func[],
  ) {
    this.#hash = b.var(b.u32(1));
  }

  keep(x: V): V {
    this.#scopes.at(-1)!.push(x);
    return x;
  }
  constant(scalar: ScalarType, lanes: Lanes = 1): V {
    return this.b.const(randomConstant(this.r, scalar), scalar, lanes);
  }
  /** Some value of a type that there is, or else a constant. */
  any(scalar: ScalarType, lanes: Lanes = 1): V {
    const found = this.#scopes.flat().filter((v) => v.scalar === scalar && v.type.lanes === lanes);
    if (found.length > 0 && this.r.chance(85)) return this.r.pick(found);
    if (lanes === 1) return this.constant(scalar);
    return this.r.chance(50) ? this.constant(scalar, lanes) : this.vector(scalar, lanes);
  }
  vector(scalar: ScalarType, lanes: Lanes): V {
    return this.b.vector(Array.from({ length: lanes }, () => this.any(scalar)));
  }
  number(x: V, instead = 1.25): V {
    return x.isNan().select(this.b.const(instead, x.scalar, x.type.lanes), x);
  }
  /** A u32 that shows every change of a value. */
  bits(x: V): V {
    if (x.type.lanes > 1) return this.b.lanes(x).map((l) => this.bits(l)).reduce((a, c) => a.mul(31).add(c)); // prettier-ignore
    switch (x.scalar) {
      case "f32":
        return this.number(x).bitcast("u32");
      case "f64":
        return this.bits(this.number(x).bitcast("i64"));
      case "i64":
        return x.xor(x.shr(32)).convert("u32");
      default:
        return x.convert("u32");
    }
  }
  /** Makes what the innermost block has made count. */
  #digest(): void {
    const hash = this.#hash;
    for (const x of this.#scopes.at(-1)!) hash.set(hash.get().mul(31).add(this.bits(x)));
  }
  digest(): V {
    this.#digest();
    return this.#hash.get();
  }
  /** A u32 below n. */
  below(n: number): V {
    return this.any("u32").rem(n);
  }

  /** A new value of a type, made of what there is. */
  make(scalar: ScalarType, lanes: Lanes): V {
    const { r, b } = this;
    const x = (): V => this.any(scalar, lanes);
    if (r.chance(15)) return this.converted(scalar, lanes);
    if (r.chance(8)) return this.any("bool", r.chance(50) ? 1 : lanes).select(x(), x());
    if (r.chance(6)) return lanes > 1 ? this.vector(scalar, lanes) : b.extract(this.any(scalar, r.pick([2, 4])), r.below(2));
    const fitting = this.funcs.filter((f) => f.result.type.scalar === scalar);
    if (lanes === 1 && fitting.length > 0 && r.chance(12)) {
      const func = r.pick(fitting);
      return b.call(func, ...func.params.map((p) => this.any(p.type.scalar)));
    }
    if (scalar === "bool") return this.truth(lanes);
    return isFloat(scalar) ? this.float(scalar, lanes) : this.integer(scalar, lanes);
  }

  truth(lanes: Lanes): V {
    const { r, b } = this;
    const x = (): V => this.any("bool", lanes);
    if (r.chance(30)) return r.chance(30) ? x().not() : b.op(r.pick(["and", "or", "xor", "eq", "ne"] as const), x(), x());
    const scalar = r.pick(SCALARS.filter((s) => s !== "bool"));
    const y = this.any(scalar, lanes);
    if (isFloat(scalar) && r.chance(20)) return y.isNan();
    return b.op(r.pick(["eq", "ne", "lt", "le", "gt", "ge"] as const), y, this.any(scalar, lanes));
  }

  float(scalar: ScalarType, lanes: Lanes): V {
    const { r, b } = this;
    const x = (): V => this.any(scalar, lanes);
    const unary: readonly OpName[] = ["neg", "abs", "sqrt", "floor", "ceil", "trunc", "round"];
    if (r.chance(35)) return b.op(r.pick(unary), x());
    // Of NaN, and of zeros of two signs, either may come.
    if (r.chance(20)) return b.op(r.pick(["min", "max"] as const), this.number(x()), this.number(x())).add(0);
    if (scalar === "f32" && r.chance(25)) return x().fma(x(), x());
    return b.op(r.pick(["add", "sub", "mul", "div"] as const), x(), x());
  }

  integer(scalar: ScalarType, lanes: Lanes): V {
    const { r, b } = this;
    const x = (): V => this.any(scalar, lanes);
    const unary: readonly OpName[] = ["neg", "abs", "not", "count_leading_zeros", "count_one_bits"];
    if (r.chance(25)) return b.op(r.pick(unary), x());
    if (r.chance(20)) {
      const by = x();
      const divisor = by.eq(0).select(b.const(3, scalar, lanes), by);
      return b.op(
        r.pick(["div", "rem"] as const),
        x(),
        r.chance(70) ? divisor : b.const(r.pick([1, 2, 7, -1, -3]), scalar, lanes),
      );
    }
    if (r.chance(20)) {
      const count = r.chance(40) ? b.const(r.below(32), "u32", lanes) : this.any("u32", lanes).and(scalar === "i64" ? 63 : 31);
      return b.op(r.pick(["shl", "shr"] as const), x(), count);
    }
    return b.op(r.pick(["add", "sub", "mul", "min", "max", "and", "or", "xor"] as const), x(), x());
  }

  converted(scalar: ScalarType, lanes: Lanes): V {
    const { r } = this;
    const groups: readonly (readonly ScalarType[])[] = [
      ["i32", "u32", "f32"],
      ["i64", "f64"],
    ];
    const alike = groups.find((g) => g.includes(scalar));
    if (alike !== undefined && r.chance(30)) {
      const from = this.any(r.pick(alike), lanes);
      // Which NaN it is nobody knows.
      return (isFloat(from.scalar) && !isFloat(scalar) ? this.number(from) : from).bitcast(scalar);
    }
    const from = this.any(r.pick(SCALARS), lanes);
    return (isFloat(from.scalar) && !isFloat(scalar) && scalar !== "bool" ? this.number(from) : from).convert(scalar);
  }

  /** Statements without barriers. */
  statements(n: number, depth: number): void {
    const { r, b } = this;
    for (let i = 0; i < n; i++) {
      if (depth > 0 && r.chance(14)) this.control(depth);
      else if (r.chance(12)) this.#vars.push(b.var(this.make(r.pick(SCALARS), r.pick(LANES))));
      else if (this.#vars.length > 0 && r.chance(20)) {
        const v = r.pick(this.#vars);
        if (r.chance(50)) this.keep(v.get());
        else v.set(this.any(v.type.scalar, v.type.lanes));
      } else this.keep(this.make(r.pick(SCALARS), r.pick(LANES)));
    }
  }

  /** Runs `fn` where what it makes is not seen afterwards. */
  inner(fn: () => void): void {
    const vars = this.#vars.length;
    this.#scopes.push([]);
    fn();
    this.#digest();
    this.#scopes.pop();
    this.#vars.length = vars;
  }

  control(depth: number): void {
    const { r, b } = this;
    const block = (): void => this.inner(() => this.statements(2 + r.below(4), depth - 1));
    switch (r.below(4)) {
      case 0:
        b.if(this.any("bool"), block, r.chance(50) ? block : undefined);
        break;
      case 1: {
        // Bounds that are constant, or known at run time only; counters of either type.
        const signed = r.chance(50);
        const count = r.chance(50) ? b.u32(r.below(12)) : this.below(6);
        const [from, to] = signed ? [b.i32(-2), count.convert("i32").sub(1)] : [b.u32(r.below(3)), count];
        b.for(from, to, 1 + r.below(3), (i) =>
          this.inner(() => {
            this.keep(i);
            this.statements(2 + r.below(3), depth - 1);
          }),
        );
        break;
      }
      default: {
        const n = b.var(this.below(5));
        b.while(
          () => n.get().ne(0),
          () => {
            n.set(n.get().sub(1));
            block();
          },
        );
      }
    }
  }
}

/** Scalar functions, which may call those before them. */
function randomFuncs(r: Random): Func[] {
  const funcs: Func[] = [];
  for (let i = r.below(3); i > 0; i--) {
    const params = Array.from({ length: 1 + r.below(3) }, () => r.pick(SCALARS));
    funcs.push(
      defineFunc(`f${funcs.length}`, params, (b, ...args) => {
        const w = new Writer(r, b, [...funcs]);
        args.forEach((x) => w.keep(x));
        w.statements(4 + r.below(5), 1);
        const result = w.make(r.pick(SCALARS), 1);
        return result.scalar === "u32" ? result.add(w.digest()) : result;
      }),
    );
  }
  return funcs;
}

/** What needs all threads of a workgroup; `name` is of its arrays. */
function meeting(w: Writer, k: KernelBuilder, name: string, partial: boolean): void {
  const { r } = w;
  const threads = k.workgroup;
  const scalar = r.pick(SCALARS);
  const lanes = r.pick(LANES);
  switch (r.below(5)) {
    case 0: {
      // Past each other through workgroup memory.
      const s = k.shared(name, scalar, threads + r.below(3), lanes);
      s.store(r.chance(50) ? k.thread : k.thread.mul(-1).add(threads - 1), w.any(scalar, lanes));
      k.barrier();
      w.keep(s.load(k.thread.add(r.below(threads)).rem(threads)));
      if (r.chance(50)) {
        const one = w.keep(s.loadUniform(r.below(threads)));
        if (one.scalar === "bool" && one.type.lanes === 1) k.if(one, () => k.barrier());
      } else k.barrier();
      break;
    }
    case 1: {
      // Atomics in any order give the same.
      const type = r.pick(["i32", "u32"] as const);
      const s = k.sharedAtomics(name, type, 4);
      k.if(k.thread.lt(4), () => s.atomic("store", k.thread, w.constant(type)));
      k.barrier();
      s.atomic(r.pick(["add", "min", "max", "and", "or"] as const), w.below(4), w.any(type));
      k.barrier();
      w.keep(s.atomic("load", r.below(4)));
      k.barrier();
      k.if(k.thread.eq(r.below(threads)), () => w.inner(() => s.atomic("exchange", 1, w.any(type))));
      break;
    }
    case 2: {
      const x = w.any(scalar, lanes);
      const lane = w.below(partial ? 8 : 32);
      w.keep(
        r.chance(50)
          ? k.subgroup("shuffle", x, lane)
          : k.subgroup(r.pick(["shuffle_xor"] as const), x, r.below(partial ? 8 : 32)),
      );
      w.keep(k.subgroup("broadcast_first", x));
      break;
    }
    case 3: {
      // Sums of floats depend on the order.
      const numbers = isFloat(scalar) ? w.number(w.any(scalar, lanes)) : w.any(scalar, lanes);
      const ops =
        scalar === "bool" ? (["and", "or", "xor"] as const)
        : isFloat(scalar) ? (["min", "max"] as const)
        : (["add", "mul", "min", "max", "and", "or", "xor"] as const); // prettier-ignore
      const folded = k.subgroup(r.pick(ops), numbers);
      w.keep(isFloat(scalar) ? folded.add(0) : folded);
      w.keep(k.subgroupLane.add(k.subgroupSize));
      break;
    }
    default: {
      const y = k.output(name, "i32");
      const base = k.group.mul(threads);
      y.store(base.add(k.thread), w.any("i32"));
      k.barrier("storage");
      w.keep(y.load(base.add(k.thread.add(1 + r.below(threads - 1)).rem(threads))));
      k.barrier("storage");
      y.store(base.add(k.thread), w.any("i32"));
      k.barrier("storage");
    }
  }
}

export function randomRun(seed: number): Run {
  const r = new Random(seed);
  const threads = r.pick([32, 64, 96, 40, 8, 128]);
  const groups = 1 + r.below(3);
  const total = threads * groups;
  const k = new KernelBuilder(`random_${seed}`, threads);
  const w = new Writer(r, k, randomFuncs(r));
  const params: Record<string, number | bigint> = {};
  for (let i = r.below(7); i > 0; i--) {
    const scalar = r.pick(SCALARS);
    const value = randomConstant(r, scalar);
    params[`q${i}`] = typeof value === "boolean" ? Number(value) : value;
    w.keep(k.param(`q${i}`, scalar));
  }
  const i = w.keep(k.group.mul(threads).add(k.thread));
  w.keep(k.thread);
  for (let n = 2 + r.below(4); n > 0; n--) {
    const input = k.input(`x${n}`, r.pick(ELEMS), r.pick(LANES));
    w.keep(input.load(i));
    if (r.chance(40)) w.keep(input.load(w.below(total)));
  }
  const rounds = 2 + r.below(4);
  for (let n = 0; n < rounds; n++) {
    w.statements(5 + r.below(8), 2);
    if (r.chance(70)) meeting(w, k, `m${n}`, threads % 32 !== 0);
  }
  if (r.chance(40)) {
    const type = r.pick(["i32", "u32"] as const);
    k.atomics("counts", type).atomic(r.pick(["add", "min", "max", "and", "or"] as const), w.below(5), w.any(type));
  }
  for (let n = 3 + r.below(4); n > 0; n--) {
    const output = k.output(`y${n}`, r.pick(ELEMS), r.pick(LANES));
    output.store(i, w.make(output.type.scalar, output.type.lanes));
  }
  k.output("hash", "u32").store(i, w.digest());
  const program = k.build();
  const buffers = program.buffers.map(({ elem, lanes, atomic }) => randomMemory(r, elem, atomic ? 5 : total * lanes));
  return { program, buffers, params, groups };
}
