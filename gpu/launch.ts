/** From a kernel's launch to what a backend dispatches: parameters as words, and which bindings share memory. */

import { RuntimeError } from "../ts/core/errors.ts";
import type { Program, ScalarType } from "./ir.ts";
import type { GpuMemory } from "./memory.ts";

/** What a backend runs. The arrays are good only during the call. */
export interface Dispatch {
  readonly program: Program;
  /** One per buffer of the program. */
  readonly memories: readonly GpuMemory[];
  /** Per buffer the one whose binding it uses: itself, or a read_write one over the same memory with the same elements. */
  readonly aliases: readonly number[];
  /** The program's params in order, as 32-bit words: i64 and f64 take two, low word first, at an even place; bools are 0 and 1. */
  readonly words: Uint32Array;
  /** More than 0. */
  readonly groups: number;
  /** See `Launch`. */
  readonly work?: number | undefined;
}

interface Field {
  readonly name: string;
  readonly type: ScalarType;
  readonly at: number;
}

/** What is known of a program from its parameter list. */
export class Packing {
  readonly fields: readonly Field[];
  readonly words: Uint32Array;
  readonly identity: readonly number[];
  readonly #floats: Float32Array;
  readonly #view: DataView;

  constructor(readonly program: Program) {
    let at = 0;
    this.fields = program.params.map(({ name, type }) => {
      const wide = type === "i64" || type === "f64";
      if (wide) at += at % 2;
      const field = { name, type, at };
      at += wide ? 2 : 1;
      return field;
    });
    this.words = new Uint32Array(at);
    this.#floats = new Float32Array(this.words.buffer);
    this.#view = new DataView(this.words.buffer);
    this.identity = program.buffers.map((_, i) => i);
  }

  pack(params: Readonly<Record<string, number | bigint>>, groups: number): Uint32Array {
    const { words } = this;
    for (const { name, type, at } of this.fields) {
      const value = name === "grid_threads" ? groups * this.program.workgroup : params[name];
      if (value === undefined) throw new RuntimeError(`${this.program.name}: the launch gives no value for the param ${name}`);
      switch (type) {
        case "f32":
          this.#floats[at] = Number(value);
          break;
        case "u32":
        case "i32": {
          const n = Number(value);
          if (!Number.isInteger(n) || n < -0x80000000 || n > 0xffffffff) {
            throw new RuntimeError(`${this.program.name}: the param ${name} (${type}) cannot be ${value}`);
          }
          words[at] = n;
          break;
        }
        case "bool":
          words[at] = value ? 1 : 0;
          break;
        case "i64":
          this.#view.setBigInt64(at * 4, BigInt(value), true);
          break;
        case "f64":
          this.#view.setFloat64(at * 4, Number(value), true);
          break;
      }
    }
    return words;
  }
}

/**
 * Which buffers of a launch share a binding. Memory that is written and bound twice takes one binding where every use sees the same elements;
 * a read that must not see the writes ("copy", or other elements) gets a snapshot, put in the place of the memory in `memories`.
 */
export function resolveAliases(
  { program, identity }: Packing,
  memories: GpuMemory[],
  elementwise: boolean,
  snapshot: (memory: GpuMemory) => GpuMemory,
): readonly number[] {
  const { buffers } = program;
  let aliases: number[] | null = null;
  const copies = new Map<GpuMemory, GpuMemory>();
  for (let w = 0; w < buffers.length; w++) {
    const written = buffers[w]!;
    if (written.access !== "read_write" || (aliases !== null && aliases[w] !== w)) continue;
    const memory = memories[w]!;
    for (let i = 0; i < buffers.length; i++) {
      if (i === w || memories[i] !== memory) continue;
      const other = buffers[i]!;
      const same = other.elem === written.elem && other.lanes === written.lanes && other.atomic === written.atomic;
      if (other.access === "read_write" ? same : same && elementwise) (aliases ??= [...identity])[i] = w;
      else if (other.access === "read") {
        let copy = copies.get(memory);
        if (copy === undefined) copies.set(memory, (copy = snapshot(memory)));
        memories[i] = copy;
      } else {
        throw new RuntimeError(
          `${program.name}: ${written.name} and ${other.name} are written in one launch and lie in the same memory, but see different elements`,
        );
      }
    }
  }
  return aliases ?? identity;
}
