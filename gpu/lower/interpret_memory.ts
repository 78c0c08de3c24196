/** Memory as the interpreter sees it: typed arrays, storage formats, poison, and shadows that find races. */

import { RuntimeError } from "../../ts/core/errors.ts";
import type { BufferParam, Elem, ScalarType, SharedArray } from "../ir.ts";

/** What an interpreted program did wrong. */
export class InterpretError extends RuntimeError {
  override name = "InterpretError";
}

/** Elements of a buffer; f16 and bf16 as their bits. */
export type Memory =
  Int8Array | Uint8Array | Int16Array | Uint16Array | Int32Array | Uint32Array | BigInt64Array | Float32Array | Float64Array;

export const MEMORY_OF = {
  i8: Int8Array,
  u8: Uint8Array,
  i16: Int16Array,
  i32: Int32Array,
  u32: Uint32Array,
  i64: BigInt64Array,
  f16: Uint16Array,
  bf16: Uint16Array,
  f32: Float32Array,
  f64: Float64Array,
} as const satisfies { readonly [E in Elem]: unknown };

/** Workgroup memory of one lane each; bools as 0 and 1. */
export const REGISTER_MEMORY = {
  bool: Uint8Array,
  i32: Int32Array,
  u32: Uint32Array,
  f32: Float32Array,
  i64: BigInt64Array,
  f64: Float64Array,
} as const satisfies { readonly [S in ScalarType]: unknown };

/** A word that is a NaN as f32 and a wild number as an integer. */
export const POISON_WORD = 0xffc0dead;

export function poison(memory: Memory): void {
  if (memory instanceof Float32Array || memory instanceof Float64Array) memory.fill(NaN);
  else if (memory instanceof BigInt64Array) memory.fill(0x7ff8deaddeadbeefn);
  else if (memory instanceof Uint8Array) memory.fill(1);
  else memory.fill(POISON_WORD | 0);
}
/** Fills raw bytes: NaN in every floating type, wild integers. */
export function poisonBytes(bytes: Uint8Array): void {
  bytes.fill(0xff);
}

// Half floats: bits to value by table, value to bits to nearest even.
const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

function halfValue(bits: number): number {
  const sign = bits & 0x8000 ? -1 : 1;
  const exponent = (bits >>> 10) & 31;
  const fraction = bits & 1023;
  if (exponent === 31) return fraction ? NaN : sign * Infinity;
  return exponent === 0 ? sign * fraction * 2 ** -24 : sign * (1024 + fraction) * 2 ** (exponent - 25);
}
export const F16_VALUES: Float32Array = Float32Array.from({ length: 65536 }, (_, bits) => halfValue(bits));
export const BF16_VALUES: Float32Array = new Float32Array(Uint32Array.from({ length: 65536 }, (_, bits) => bits << 16).buffer);

export function toF16(x: number): number {
  single[0] = x;
  const bits = word[0]!;
  const sign = (bits >>> 16) & 0x8000;
  const size = bits & 0x7fffffff;
  if (size >= 0x7f800000) return size > 0x7f800000 ? sign | 0x7e00 : sign | 0x7c00;
  if (size >= 0x477ff000) return sign | 0x7c00; // 65520 and more round to infinity
  if (size >= 0x38800000) return sign | ((size - 0x38000000 + 0xfff + ((size >>> 13) & 1)) >>> 13);
  return sign | roundEven(Math.abs(single[0]) * 2 ** 24);
}
export function toBF16(x: number): number {
  single[0] = x;
  const bits = word[0]!;
  if ((bits & 0x7fffffff) > 0x7f800000) return (bits >>> 16) | 0x40;
  return (bits + 0x7fff + ((bits >>> 16) & 1)) >>> 16;
}
export function roundEven(x: number): number {
  if (!(Math.abs(x) < 2 ** 52)) return x;
  const floor = Math.floor(x);
  const rest = x - floor;
  const rounded = rest > 0.5 || (rest === 0.5 && floor % 2 !== 0) ? floor + 1 : floor;
  return rounded === 0 && (x < 0 || Object.is(x, -0)) ? -0 : rounded;
}

/**
 * Who touched an element last, and when. Times are numbers of barrier intervals, which only ever rise, so that a shadow serves many
 * launches without being cleared.
 */
class Shadow {
  readonly writeAt: Int32Array;
  readonly writer: Int32Array;
  readonly readAt: Int32Array;
  /** MANY: several threads of one interval; FOREIGN: threads of several workgroups. */
  readonly reader: Int32Array;
  /** Copies that go on; null where there are none in the program. */
  flights: Uint8Array | null = null;
  constructor(elements: number) {
    this.writeAt = new Int32Array(elements);
    this.writer = new Int32Array(elements);
    this.readAt = new Int32Array(elements);
    this.reader = new Int32Array(elements);
  }
}
const MANY = -1;
const FOREIGN = -2;

/** A buffer's or workgroup array's shadow in one launch; null: nobody writes to it. */
export interface Watch {
  readonly shadow: Shadow;
  readonly name: string;
  /** Shadow elements per indexed element, and where index 0 is. */
  readonly units: number;
  readonly base: number;
  readonly shared: boolean;
  /** Words of a shadow element (workgroup memory). */
  readonly words: number;
}

const clock = { now: 0, thread: 0, group: 0, launchStart: 0, groupStart: 0, storage: 0, shared: 0 };
let shadows = new WeakMap<ArrayBufferLike, Map<number, Shadow>>();

export function startLaunch(): void {
  if (clock.now > 2 ** 30) {
    clock.now = 0;
    shadows = new WeakMap();
  }
  clock.launchStart = clock.now + 1;
}
export function startGroup(group: number): void {
  clock.group = group;
  clock.groupStart = clock.storage = clock.shared = ++clock.now;
}
export function startInterval(scope: "workgroup" | "storage"): void {
  clock.shared = ++clock.now;
  if (scope === "storage") clock.storage = clock.now;
}
export function setThread(thread: number): void {
  clock.thread = thread;
}
export function currentThread(): { group: number; thread: number } {
  return clock;
}

/** Watches for the buffers of a launch; several may be windows onto the same memory. */
export function watchBuffers(params: readonly BufferParam[], buffers: readonly Memory[]): (Watch | null)[] {
  const written = new Set<ArrayBufferLike>();
  const granule = new Map<ArrayBufferLike, number>();
  params.forEach((p, i) => {
    const memory = buffers[i]!;
    if (p.access === "read_write" && !p.atomic) written.add(memory.buffer);
    const bytes = memory.BYTES_PER_ELEMENT * p.lanes;
    granule.set(memory.buffer, Math.min(bytes, granule.get(memory.buffer) ?? bytes));
  });
  return params.map((p, i) => {
    const memory = buffers[i]!;
    if (p.atomic || !written.has(memory.buffer)) return null;
    const grain = granule.get(memory.buffer)!;
    let byGrain = shadows.get(memory.buffer);
    if (byGrain === undefined) shadows.set(memory.buffer, (byGrain = new Map<number, Shadow>()));
    let shadow = byGrain.get(grain);
    if (shadow === undefined) byGrain.set(grain, (shadow = new Shadow(Math.ceil(memory.buffer.byteLength / grain))));
    const units = (memory.BYTES_PER_ELEMENT * p.lanes) / grain;
    return { shadow, name: p.name, units, base: Math.floor(memory.byteOffset / grain), shared: false, words: 0 };
  });
}
/** @param fine Whether lanes of vectors are watched each. */
export function watchShared({ name, length, type: { lanes } }: SharedArray, fine: boolean, copied: boolean): Watch {
  const units = fine ? lanes : 1;
  const shadow = new Shadow(length * units);
  if (copied) shadow.flights = new Uint8Array(length * units);
  return { shadow, name, units, base: 0, shared: true, words: fine ? 1 : lanes };
}
/** The same by its smallest pieces. */
export function finest(watch: Watch): Watch {
  return watch.units === 1 ? watch : { ...watch, units: 1 };
}

export function startFlight({ shadow }: Watch, piece: number): void {
  shadow.flights![piece]!++;
}
export function landFlight({ shadow }: Watch, piece: number): void {
  shadow.flights![piece]!--;
}
/** Throws where a copy to the element goes on. */
export function noteFlight({ shadow, name, units }: Watch, index: number): void {
  for (let i = index * units; i < (index + 1) * units; i++) {
    if (shadow.flights![i]! > 0)
      throw new InterpretError(`workgroup array ${name}[${index}] is touched while a copy to it goes on`);
  }
}

function race(watch: Watch, at: number, what: string, other: string): never {
  const where = watch.shared ? "workgroup array" : "buffer";
  throw new InterpretError(
    `race on ${where} ${watch.name}[${Math.floor((at - watch.base) / watch.units)}]: ${what} here, ${other}, with no barrier between`,
  );
}

/** Records a read by the current thread; throws where another thread's write is not ordered before it. */
export function noteRead(watch: Watch | null, index: number): void {
  if (watch === null) return;
  const { shadow, units, shared } = watch;
  const { thread, groupStart } = clock;
  const now = shared ? clock.shared : clock.storage;
  const since = shared ? groupStart : clock.launchStart;
  const first = watch.base + index * units;
  for (let i = first; i < first + units; i++) {
    const wrote = shadow.writeAt[i]!;
    if (wrote >= since) {
      if (wrote < groupStart) race(watch, i, "read", "written by another workgroup");
      if (wrote === now && shadow.writer[i] !== thread) race(watch, i, "read", `written by thread ${shadow.writer[i]!}`);
    }
    const read = shadow.readAt[i]!;
    if (read < since) shadow.reader[i] = thread;
    else if (read < groupStart) shadow.reader[i] = FOREIGN;
    else if (shadow.reader[i] !== FOREIGN) {
      if (read < now) shadow.reader[i] = thread;
      else if (shadow.reader[i] !== thread) shadow.reader[i] = MANY;
    }
    shadow.readAt[i] = now;
  }
}
/** Records a write by the current thread; throws where another thread's access is not ordered before it. */
export function noteWrite(watch: Watch | null, index: number): void {
  if (watch === null) return;
  const { shadow, units, shared } = watch;
  const { thread, groupStart } = clock;
  const now = shared ? clock.shared : clock.storage;
  const since = shared ? groupStart : clock.launchStart;
  const first = watch.base + index * units;
  for (let i = first; i < first + units; i++) {
    const wrote = shadow.writeAt[i]!;
    if (wrote >= since) {
      if (wrote < groupStart) race(watch, i, "written", "written by another workgroup");
      if (wrote === now && shadow.writer[i] !== thread) race(watch, i, "written", `written by thread ${shadow.writer[i]!}`);
    }
    const read = shadow.readAt[i]!;
    if (read >= since) {
      const reader = shadow.reader[i]!;
      if (read < groupStart || reader === FOREIGN) race(watch, i, "written", "read by another workgroup");
      if (read === now && reader !== thread)
        race(watch, i, "written", reader === MANY ? "read by several threads" : `read by thread ${reader}`);
    }
    shadow.writeAt[i] = now;
    shadow.writer[i] = thread;
  }
}
/** Throws where the current workgroup has not written the element. */
export function noteInitialised(watch: Watch, index: number): void {
  if (watch.shadow.writeAt[index]! < clock.groupStart) {
    throw new InterpretError(`workgroup array ${watch.name}[${index}] is read before it was written`);
  }
}
