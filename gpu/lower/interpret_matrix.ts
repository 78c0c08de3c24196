/** Matrix units and asynchronous copies, as the interpreter does them. */

import type { BufferParam, MatrixFormat, SharedArray } from "../ir.ts";
import { ELEM_BYTES } from "../ir.ts";
import {
  BF16_VALUES,
  currentThread,
  F16_VALUES,
  InterpretError,
  landFlight,
  type Memory,
  noteRead,
  noteWrite,
  POISON_WORD,
  startFlight,
  type Watch,
} from "./interpret_memory.ts";

const word = new Uint32Array(1);
const single = new Float32Array(word.buffer);

/** To 10 bits of fraction, half away from zero. */
export function roundTf32(x: number): number {
  if (x !== x) return x;
  single[0] = x;
  word[0] = (word[0]! + 0x1000) & 0xffffe000;
  return single[0];
}
function singleOf(bits: number): number {
  word[0] = bits & 0xffffe000;
  return single[0]!;
}

const factorA = new Float64Array(16 * 16);
const factorB = new Float64Array(16 * 8);

/** The lanes' operands (slots 0-3: a, 4-5: b, 6-9: c) of threads first..first+31 become their results (slots 0-3). */
export function multiply(
  format: MatrixFormat,
  slots: readonly (readonly unknown[])[],
  results: unknown[][],
  first: number,
): void {
  const depth = format === "tf32" ? 8 : 16;
  const values = format === "f16" ? F16_VALUES : BF16_VALUES;
  for (let lane = 0; lane < 32; lane++) {
    const [g, t] = [lane >> 2, lane & 3];
    const get = (slot: number): number => slots[slot]![first + lane] as number;
    for (let i = 0; i < 4; i++) {
      const row = g + 8 * (i & 1);
      const bits = get(i);
      if (depth === 8) factorA[row * 8 + t + 4 * (i >> 1)] = singleOf(bits);
      else {
        const at = row * 16 + 2 * t + 8 * (i >> 1);
        factorA[at] = values[bits & 0xffff]!;
        factorA[at + 1] = values[bits >>> 16]!;
      }
    }
    for (let i = 0; i < 2; i++) {
      const bits = get(4 + i);
      if (depth === 8) factorB[g * 8 + t + 4 * i] = singleOf(bits);
      else {
        const at = g * 16 + 2 * t + 8 * i;
        factorB[at] = values[bits & 0xffff]!;
        factorB[at + 1] = values[bits >>> 16]!;
      }
    }
  }
  for (let lane = 0; lane < 32; lane++) {
    for (let i = 0; i < 4; i++) {
      const row = ((lane >> 2) + 8 * (i >> 1)) * depth;
      const column = (2 * (lane & 3) + (i & 1)) * depth;
      let sum = slots[6 + i]![first + lane] as number;
      for (let k = 0; k < depth; k++) sum += factorA[row + k]! * factorB[column + k]!;
      results[i]![first + lane] = Math.fround(sum);
    }
  }
}

/** Rows begin at the words that slot 0 of threads first..first+31 says; the matrices go to slots 0-3. */
export function readMatrices(arrays: readonly Memory[], slots: unknown[][], first: number, transposed: boolean): void {
  const words = new Uint32Array(128);
  for (let row = 0; row < 32; row++) {
    const at = (slots[0]![first + row] as number) >>> 2;
    for (let c = 0; c < 4; c++) words[row * 4 + c] = bitsOf(arrays[c]!, at);
  }
  const half = (matrix: number, row: number, column: number): number =>
    (words[(matrix * 8 + row) * 4 + (column >> 1)]! >>> (16 * (column & 1))) & 0xffff;
  for (let lane = 0; lane < 32; lane++) {
    const [r, c] = [lane >> 2, lane & 3];
    for (let i = 0; i < 4; i++) {
      slots[i]![first + lane] = transposed
        ? (half(i, 2 * c, r) | (half(i, 2 * c + 1, r) << 16)) >>> 0
        : words[(i * 8 + r) * 4 + c]!;
    }
  }
}

function bitsOf(memory: Memory, at: number): number {
  if (!(memory instanceof Float32Array)) return (memory[at] as number) >>> 0;
  single[0] = memory[at]!;
  return word[0]!;
}

/** What a copy is to write when somebody waits for it. */
interface Copy {
  readonly lanes: readonly Memory[];
  readonly watch: Watch | null;
  /** First word. */
  readonly to: number;
  readonly words: Uint32Array;
}

function setWord(lanes: readonly Memory[], at: number, bits: number): void {
  const memory = lanes[at % lanes.length]!;
  const place = Math.floor(at / lanes.length);
  if (memory instanceof Float32Array) {
    word[0] = bits;
    memory[place] = single[0]!;
  } else memory[place] = bits;
}

/** Where a copy of some statement goes from and to. */
export interface CopyPlace {
  readonly buffer: BufferParam;
  readonly memory: Memory;
  readonly source: Watch | null;
  readonly array: SharedArray;
  readonly lanes: readonly Memory[];
  /** By words; null where races are not looked for. */
  readonly target: Watch | null;
}

/** The copies of a workgroup's threads that nobody has waited for. */
export class Copies {
  readonly #places: readonly CopyPlace[];
  readonly #open = new Map<number, Copy[]>();
  readonly #groups = new Map<number, Copy[][]>();

  constructor(places: readonly CopyPlace[]) {
    this.#places = places;
  }

  start(place: number, to: number, index: number, bytes: number, elements: number | null): void {
    const { buffer, memory, source, array, lanes, target } = this.#places[place]!;
    const width = ELEM_BYTES[buffer.elem];
    const count = elements ?? bytes / width;
    const words = bytes / 4;
    const what = `a copy of ${bytes} bytes from ${buffer.name}[${index}] to word ${to} of ${array.name}`;
    if (count * width > bytes) throw new InterpretError(`${what} is to read ${count} elements`);
    if ((index * width) % bytes !== 0 || to % words !== 0) throw new InterpretError(`${what} is not aligned`);
    if (count > 0 && index + count > memory.length) {
      throw new InterpretError(`${what} reads outside of the buffer's ${memory.length} elements`);
    }
    if (to + words > array.length * lanes.length) {
      throw new InterpretError(`${what} is outside of its ${array.length * lanes.length} words`);
    }
    const data = new Uint32Array(words);
    if (count > 0) {
      for (let i = 0; i < count; i++) noteRead(source, Math.floor((index + i) / buffer.lanes));
      new Uint8Array(data.buffer).set(new Uint8Array(memory.buffer, memory.byteOffset + index * width, count * width));
    }
    if (target !== null) {
      for (let i = to; i < to + words; i += target.words) {
        noteWrite(target, i / target.words);
        startFlight(target, i / target.words);
      }
    }
    for (let i = 0; i < words; i++) setWord(lanes, to + i, POISON_WORD);
    const { thread } = currentThread();
    let open = this.#open.get(thread);
    if (open === undefined) this.#open.set(thread, (open = []));
    open.push({ lanes, watch: target, to, words: data });
  }

  commit(): void {
    const { thread } = currentThread();
    let groups = this.#groups.get(thread);
    if (groups === undefined) this.#groups.set(thread, (groups = []));
    groups.push(this.#open.get(thread) ?? []);
    this.#open.delete(thread);
  }

  wait(pending: number): void {
    const groups = this.#groups.get(currentThread().thread) ?? [];
    for (const { lanes, watch, to, words } of groups.splice(0, Math.max(0, groups.length - pending)).flat()) {
      if (watch !== null) {
        for (let i = to; i < to + words.length; i += watch.words) {
          landFlight(watch, i / watch.words);
          noteWrite(watch, i / watch.words);
        }
      }
      words.forEach((bits, i) => setWord(lanes, to + i, bits));
    }
  }

  /** At the end of a workgroup. */
  end(): void {
    const left = (copies: readonly (Copy | readonly Copy[])[]): boolean => copies.flat().length > 0;
    for (const [thread, copies] of [...this.#open, ...this.#groups]) {
      if (left(copies)) throw new InterpretError(`thread ${thread} ends with copies that it has not waited for`);
    }
    this.#open.clear();
    this.#groups.clear();
  }
}
