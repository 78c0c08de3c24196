/**
 * The IR interpreter: what a program means, and the strictest reading of it. Threads run one after the other up to where they meet, in
 * an order of choice; accesses out of bounds, races, and barriers that only some threads reach are errors; uninitialised memory is poison.
 */

import type { Elem, Program, SubgroupOp } from "../ir.ts";
import { ELEM_BYTES } from "../ir.ts";
import { Copies, multiply, readMatrices } from "./interpret_matrix.ts";
import {
  currentThread,
  finest,
  InterpretError,
  type Memory,
  MEMORY_OF,
  noteInitialised,
  noteRead,
  poison,
  REGISTER_MEMORY,
  setThread,
  startGroup,
  startInterval,
  startLaunch,
  watchBuffers,
  type Watch,
  watchShared,
} from "./interpret_memory.ts";
import { type CopySite, type Site, toJavaScript } from "./javascript.ts";
import { makeRuntime } from "./javascript_runtime.ts";

export { InterpretError, type Memory, poison, poisonBytes } from "./interpret_memory.ts";

/** In which order workgroups, and threads between two meetings, run: a number is the seed of a shuffle. */
export type Order = "forward" | "reverse" | number;

export interface InterpretOptions {
  /** Threads of a subgroup. Default 32. */
  readonly subgroupSize?: number;
  readonly order?: Order;
  /** Whether races are errors. Default true. */
  readonly races?: boolean;
  /** Whether reading workgroup memory that was not written is an error (with `races`); otherwise it gives poison. Default false. */
  readonly uninitialised?: boolean;
  /** Whether `fma` rounds once. Default false. */
  readonly fused?: boolean;
  /** What the IR leaves unspecified (min and max of NaN, NaN to integer, division by zero) gives what hurts most. Default false. */
  readonly hostile?: boolean;
}

export interface InterpretLaunch {
  /** In the order of the program's buffers: the typed array of the buffer's `elem` (f16 and bf16 as their bits). */
  readonly buffers: readonly Memory[];
  /** By name. `grid_threads` is filled in. */
  readonly params: Readonly<Record<string, number | bigint>>;
  /** Workgroups. */
  readonly groups: number;
}

/** A window of `elem` elements onto raw memory. */
export function memoryOf(
  elem: Elem,
  buffer: ArrayBufferLike,
  byteOffset = 0,
  byteLength = buffer.byteLength - byteOffset,
): Memory {
  return new MEMORY_OF[elem](buffer as ArrayBuffer, byteOffset, Math.floor(byteLength / ELEM_BYTES[elem]));
}

type Value = number | bigint | boolean;
type Slots = Value[][];
/** What threads bring to a meeting: at most the operands of `mma`. */
const SLOTS = 10;
type Thread = Generator<number, void, undefined>;

interface Compiled {
  readonly bind: (values: readonly unknown[]) => void;
  readonly thread: (group: number, thread: number) => Thread | undefined;
  readonly sites: readonly Site[];
  readonly copies: readonly CopySite[];
}

/** What the checks of the running program may name. */
let running: { program: Program; buffers: readonly Memory[] } | null = null;

function outside(buffer: number, index: number): never {
  const { program, buffers } = running!;
  const { name, lanes } = program.buffers[buffer]!;
  throw new InterpretError(
    `index ${index} of buffer ${name} is outside of its ${Math.floor(buffers[buffer]!.length / lanes)} elements`,
  );
}
function outsideShared(array: number, index: number): never {
  const { name, length } = running!.program.shared[array]!;
  throw new InterpretError(`index ${index} of workgroup array ${name} is outside of its ${length} elements`);
}

const compiledPrograms = new WeakMap<Program, Map<string, Compiled>>();

function compile(program: Program, options: InterpretOptions): Compiled {
  const { races = true, uninitialised = false, fused = false, hostile = false } = options;
  let variants = compiledPrograms.get(program);
  if (variants === undefined) compiledPrograms.set(program, (variants = new Map<string, Compiled>()));
  const key = [races, uninitialised, fused, hostile].join();
  let compiled = variants.get(key);
  if (compiled === undefined) {
    const runtime = makeRuntime(hostile, outside, outsideShared);
    const { source, sites, copies } = toJavaScript(program, Object.keys(runtime), { races, uninitialised, fused, hostile });
    // The program's text is made of numbers and names that we choose.
    const make = new Function("rt", source) as (rt: unknown) => Omit<Compiled, "sites" | "copies">;
    compiled = { ...make(runtime), sites, copies };
    variants.set(key, compiled);
  }
  return compiled;
}

/** Runs a program. Throws InterpretError, which names program, workgroup and thread, and what they did wrong. */
export function interpret(program: Program, launch: InterpretLaunch, options: InterpretOptions = {}): void {
  const { subgroupSize = 32, order = "forward" } = options;
  const { groups } = launch;
  const buffers = checkBuffers(program, launch.buffers);
  const params = program.params.map(({ name, type }) => {
    const given = name === "grid_threads" ? groups * program.workgroup : launch.params[name];
    return paramValue(program, name, type, given);
  });
  if (!Number.isInteger(groups) || groups < 0) fail(program, `${groups} workgroups`);
  if (groups === 0) return;
  const compiled = compile(program, options);

  const arrays = program.shared.map(({ type, length }) =>
    Array.from({ length: type.lanes }, () => new REGISTER_MEMORY[type.scalar](length)),
  );
  const sharedWatches = program.shared.map((array, i) => {
    const sizes = compiled.copies.filter((c) => c.array === i).map((c) => c.bytes);
    return watchShared(array, Math.min(...sizes) < 4 * array.type.lanes, sizes.length > 0);
  });
  const slots: Slots = Array.from({ length: SLOTS }, () => new Array<Value>(program.workgroup).fill(0));
  const seconds = new Array<number>(program.workgroup).fill(0);
  startLaunch();
  const watches = watchBuffers(program.buffers, buffers);
  const copies = new Copies(
    compiled.copies.map(({ buffer, array }) => ({
      buffer: program.buffers[buffer]!,
      memory: buffers[buffer]!,
      source: watches[buffer]!,
      array: program.shared[array]!,
      lanes: arrays[array]!,
      target: options.races === false ? null : finest(sharedWatches[array]!),
    })),
  );
  compiled.bind([
    slots,
    seconds,
    subgroupSize,
    copies,
    ...buffers.flatMap((b, i) => [b, Math.floor(b.length / program.buffers[i]!.lanes), watches[i]]),
    ...arrays.flatMap((lanes, i) => [...lanes, sharedWatches[i]]),
    ...params,
  ]);
  const subgroup = program.subgroups ? subgroupSize : program.workgroup;
  const state: Workgroup = { program, compiled, arrays, sharedWatches, slots, seconds, subgroup, options };
  const orders = threadOrders(order, program.workgroup);
  running = { program, buffers };
  try {
    let n = 0;
    for (const group of threadOrders(order, groups, 1)[0]!) {
      startGroup(group);
      for (const lanes of arrays) lanes.forEach(poison);
      if (compiled.sites.length === 0) {
        for (const t of orders[n++ % orders.length]!) {
          setThread(t);
          compiled.thread(group, t);
        }
      } else runMeeting(state, group, orders);
      copies.end();
    }
  } catch (error) {
    if (!(error instanceof InterpretError)) throw error;
    const { group, thread } = currentThread();
    error.message = `interpreter: ${program.name}, workgroup ${group}, thread ${thread}: ${error.message}`;
    throw error;
  } finally {
    running = null;
  }
}

function fail(program: Program, message: string): never {
  throw new InterpretError(`interpreter: ${program.name}: ${message}`);
}

function checkBuffers(program: Program, buffers: readonly Memory[]): readonly Memory[] {
  if (buffers.length !== program.buffers.length) {
    fail(program, `${buffers.length} buffers given, expected ${program.buffers.map((b) => b.name).join(", ")}`);
  }
  program.buffers.forEach(({ name, elem }, i) => {
    const wanted = MEMORY_OF[elem];
    if (!(buffers[i] instanceof wanted)) fail(program, `buffer ${name} of ${elem} is a ${buffers[i]!.constructor.name}`);
  });
  return buffers;
}

function paramValue(program: Program, name: string, type: string, given: number | bigint | undefined): Value {
  if (given === undefined) fail(program, `param ${name} is not given`);
  switch (type) {
    case "bool":
      return Number(given) !== 0;
    case "i64":
      if (typeof given === "bigint" || Number.isInteger(given)) return BigInt.asIntN(64, BigInt(given));
      break;
    case "f32":
      return Math.fround(Number(given));
    case "f64":
      return Number(given);
    default: {
      const x = Number(given);
      const least = type === "i32" ? -(2 ** 31) : 0;
      if (Number.isInteger(x) && x >= least && x < least + 2 ** 32) return x;
    }
  }
  return fail(program, `param ${name} of ${type} is ${given}`);
}

/** Permutations of 0..n-1, to be used in turn. */
function threadOrders(order: Order, n: number, count = 5): Uint32Array[] {
  const forward = Uint32Array.from({ length: n }, (_, i) => i);
  if (order === "forward") return [forward];
  if (order === "reverse") return [forward.reverse()];
  let state = (order ^ 0x9e3779b9) >>> 0;
  return Array.from({ length: count }, () => {
    const shuffled = forward.slice();
    for (let i = n - 1; i > 0; i--) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const j = Math.floor((state / 2 ** 32) * (i + 1));
      [shuffled[i], shuffled[j]] = [shuffled[j]!, shuffled[i]!];
    }
    return shuffled;
  });
}

interface Workgroup {
  readonly program: Program;
  readonly compiled: Compiled;
  readonly arrays: readonly (readonly Memory[])[];
  readonly sharedWatches: readonly Watch[];
  readonly slots: Slots;
  readonly seconds: readonly number[];
  /** Threads of a subgroup; the workgroup's size where there are none. */
  readonly subgroup: number;
  readonly options: InterpretOptions;
}

/** `waiting`: the thread's program has ended. */
const ENDED = -1;
/** It runs next. */
const READY = -2;

/** A workgroup whose threads meet. */
function runMeeting(state: Workgroup, group: number, orders: readonly Uint32Array[]): void {
  const { program, compiled, subgroup } = state;
  const threads: Thread[] = [];
  for (let t = 0; t < program.workgroup; t++) threads.push(compiled.thread(group, t)!);
  /** Per thread the site where it waits. */
  const waiting = new Int32Array(program.workgroup).fill(READY);
  for (let round = 0; ; round++) {
    for (const t of orders[round % orders.length]!) {
      if (waiting[t] !== READY) continue;
      setThread(t);
      const { done, value } = threads[t]!.next();
      waiting[t] = done === true ? ENDED : (value as number);
    }
    if (program.subgroups && meetSubgroups(state, waiting)) continue;
    const site = waiting[0]!;
    const other = waiting.findIndex((s) => s !== site);
    if (other >= 0) {
      setThread(other);
      const at = (t: number): string => `${waiting[t] === ENDED ? "has ended" : `is at ${describe(state, waiting[t]!)}`}`;
      throw new InterpretError(`not all threads reach a barrier: this one ${at(other)}, while thread 0 ${at(0)}`);
    }
    if (site === ENDED) return;
    meet(state, compiled.sites[site]!);
    waiting.fill(READY);
  }

  /** Lets subgroups go on that wait for their own operations; says whether there were any. */
  function meetSubgroups({ compiled: { sites } }: Workgroup, at: Int32Array): boolean {
    let any = false;
    for (let first = 0; first < at.length; first += subgroup) {
      const end = Math.min(first + subgroup, at.length);
      let some = -1;
      for (let t = first; t < end; t++) if (at[t]! >= 0 && ofSubgroup(sites[at[t]!]!)) some = t;
      if (some < 0) continue;
      for (let t = first; t < end; t++) {
        if (at[t] === at[some]) continue;
        setThread(t);
        throw new InterpretError(`this thread does not take part in ${describe(state, at[some]!)} of its subgroup`);
      }
      meetSubgroup(state, sites[at[some]!]!, first, end);
      at.fill(READY, first, end);
      any = true;
    }
    return any;
  }
}

function ofSubgroup({ kind }: Site): boolean {
  return kind === "subgroup" || kind === "mma" || kind === "load_matrices";
}

/** The operation of the threads first..end-1. */
function meetSubgroup({ arrays, slots, seconds, subgroup }: Workgroup, site: Site, first: number, end: number): void {
  if (site.kind === "subgroup") {
    const { op, type } = site;
    for (let l = 0; l < type.lanes; l++) subgroupValues(op, type.scalar, slots[l]!, seconds, first, end);
    return;
  }
  if (subgroup !== 32 || end - first !== 32) {
    throw new InterpretError(`${site.kind} by a subgroup of ${end - first} threads; it takes 32`);
  }
  if (site.kind === "mma") multiply(site.format, slots, slots, first);
  else if (site.kind === "load_matrices") readMatrices(arrays[site.array]!, slots, first, site.transposed);
}

function describe({ compiled, program }: Workgroup, site: number): string {
  const s = compiled.sites[site]!;
  if (s.kind === "barrier") return `${s.scope} barrier (number ${site} of the program)`;
  if (s.kind !== "load_uniform") return `subgroup operation ${s.kind === "subgroup" ? s.op : s.kind} (number ${site})`;
  return `load_uniform of ${program.shared[s.array]!.name} (number ${site})`;
}

function meet({ arrays, slots, sharedWatches, options }: Workgroup, site: Site): void {
  if (site.kind === "barrier") return startInterval(site.scope);
  if (site.kind !== "load_uniform") return;
  const indices = slots[0]!;
  const index = indices[0] as number;
  const other = indices.findIndex((i) => i !== index);
  if (other >= 0) {
    setThread(other);
    throw new InterpretError(`load_uniform of different elements: ${String(indices[other])} here, ${index} in thread 0`);
  }
  startInterval("workgroup");
  const watch = sharedWatches[site.array]!;
  if (options.uninitialised === true) noteInitialised(watch, index);
  if (options.races !== false) noteRead(watch, index);
  for (let l = 0; l < site.lanes; l++) slots[l]!.fill(arrays[site.array]![l]![index]!);
  startInterval("workgroup");
}

/** Replaces what the threads first..end-1 brought by what they get. */
function subgroupValues(
  op: SubgroupOp,
  scalar: string,
  values: Value[],
  seconds: readonly number[],
  first: number,
  end: number,
): void {
  const own = values.slice(first, end);
  const n = own.length;
  const pick = (lane: number): Value => (lane < n ? own[lane]! : scalar === "i64" ? 0x7ff8deaddeadbeefn : scalar === "bool" ? true : scalar[0] === "f" ? NaN : 0xdeadbeef | 0); // prettier-ignore
  for (let t = 0; t < n; t++) {
    switch (op) {
      case "shuffle":
        values[first + t] = pick(seconds[first + t]!);
        break;
      case "shuffle_xor":
        values[first + t] = pick((t ^ seconds[first + t]!) >>> 0);
        break;
      case "broadcast_first":
        values[first + t] = own[0]!;
        break;
      default:
        if (t === 0) values[first] = own.reduce((a, b) => combine(op, scalar, a, b));
        else values[first + t] = values[first]!;
    }
  }
}

function combine(
  op: Exclude<SubgroupOp, "shuffle" | "shuffle_xor" | "broadcast_first">,
  scalar: string,
  a: Value,
  b: Value,
): Value {
  if (typeof a === "boolean") return op === "and" ? a && b === true : op === "or" ? a || b === true : a !== b;
  if (typeof a === "bigint")
    return BigInt.asIntN(
      64,
      combineNumbers<bigint>(op, a, b as bigint, (x, y) => x * y),
    );
  const wrap = (x: number): number =>
    scalar === "f32" ? Math.fround(x) : scalar === "i32" ? x | 0 : scalar === "u32" ? x >>> 0 : x;
  const integer = scalar === "i32" || scalar === "u32";
  return wrap(combineNumbers<number>(op, a as number, b as number, (x, y) => (integer ? Math.imul(x, y) : x * y)));
}

function combineNumbers<T extends number | bigint>(op: SubgroupOp, a: T, b: T, product: (a: T, b: T) => T): T {
  // `+` and the bit operators exist for both, but TypeScript has no such generic.
  const [x, y] = [a as number, b as number];
  switch (op) {
    case "add":
      return (x + y) as T;
    case "mul":
      return product(a, b);
    case "min":
      return a < b ? a : b;
    case "max":
      return a > b ? a : b;
    case "and":
      return (x & y) as T;
    case "or":
      return (x | y) as T;
    default:
      return (x ^ y) as T;
  }
}
