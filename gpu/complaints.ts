/** Bad data that kernels meet (an index out of range): they leave a note in device memory, which becomes an error at the next await. */

import { IndexError } from "../ts/core/errors.ts";
import type { GpuBackend, GpuMemory } from "./backend.ts";

/** The note: the code of the complaint, then the value that was bad. */
const BYTES = 8;
const FIRST_CODE = 0xffffffff;

export class Complaints {
  readonly #backend: GpuBackend;
  #memory: GpuMemory | null = null;
  /** Codes fall, and kernels keep the greatest: the first to complain is heard. */
  #next = FIRST_CODE;
  readonly #errors = new Map<number, (value: number) => Error>();
  /** Whether kernels may have complained since the last check. */
  #open = false;

  constructor(backend: GpuBackend) {
    this.#backend = backend;
  }

  /** Memory of the note: two u32. */
  get memory(): GpuMemory {
    if (this.#memory === null) {
      this.#memory = this.#backend.allocate(BYTES);
      this.#backend.zero(this.#memory, 0, BYTES);
    }
    return this.#memory;
  }

  /** A code for a kernel to complain with. */
  add(error: (value: number) => Error): number {
    this.#open = true;
    const code = this.#next--;
    this.#errors.set(code, error);
    return code;
  }

  /** The complaint of the commands so far, if there is one; every complaint is told once. */
  async check(): Promise<Error | null> {
    if (!this.#open) return null;
    this.#open = false;
    const lowest = this.#next;
    const note = this.#backend.download(this.memory, 0, BYTES);
    this.#backend.zero(this.memory, 0, BYTES);
    return this.#errorOf(await note, lowest);
  }

  /** The same, where the device can wait. */
  checkSync(): Error | null {
    if (!this.#open) return null;
    this.#open = false;
    const note = this.#backend.downloadSync!(this.memory, 0, BYTES);
    this.#backend.zero(this.memory, 0, BYTES);
    return this.#errorOf(note, this.#next);
  }

  #errorOf(note: Uint8Array, lowest: number): Error | null {
    const [code, value] = new Uint32Array(note.slice().buffer) as unknown as [number, number];
    // A launch that is repeated (a captured graph) complains with a code that may have been told and forgotten.
    const error = code === 0 ? null : (this.#errors.get(code)?.(value) ?? new IndexError(`an index is out of range: ${value}`));
    for (const known of this.#errors.keys()) if (known > lowest) this.#errors.delete(known);
    if (this.#errors.size === 0) this.#next = FIRST_CODE;
    return error;
  }
}
