/**
 * Writes a kernel's parameter block field by field, laid out as a C struct: 4-byte fields aligned to 4, 8-byte fields to 8.
 * Every method returns the writer, so that a block reads like the struct it fills.
 */

/** What the writer needs of the linear memory; its views are replaced when memory grows. */
export interface ParamHeap {
  readonly i32: Int32Array;
  readonly u32: Uint32Array;
  readonly i64: BigInt64Array;
  readonly f32: Float32Array;
  readonly f64: Float64Array;
}

export class ParamWriter {
  /** Byte address of the block: what a launch passes on. */
  ptr = 0;
  #at = 0;
  #end = 0;
  readonly #heap: ParamHeap;

  constructor(heap: ParamHeap) {
    this.#heap = heap;
  }

  /** @internal Points the writer at a fresh block (the device reuses writers from run to run). */
  reset(ptr: number, words: number): this {
    this.ptr = ptr;
    this.#at = ptr;
    this.#end = ptr + words * 4;
    return this;
  }

  /** Address of the next field, for what is filled in later. */
  get position(): number {
    return this.#at;
  }

  /** An integer, a flag or an address (taken modulo 2^32). */
  i32(value: number): this {
    this.#heap.i32[this.#take(4) >>> 2] = value;
    return this;
  }
  f32(value: number): this {
    this.#heap.f32[this.#take(4) >>> 2] = value;
    return this;
  }
  f64(value: number): this {
    this.#heap.f64[this.#take(8) >>> 3] = value;
    return this;
  }
  i64(value: bigint): this {
    this.#heap.i64[this.#take(8) >>> 3] = value;
    return this;
  }
  /** Several 32-bit integers in a row, for shapes and strides. */
  i32s(values: readonly number[]): this {
    for (let i = 0; i < values.length; i++) this.i32(values[i]!);
    return this;
  }
  /** Leaves out `words` 32-bit words. */
  skip(words: number): this {
    this.#take(words * 4);
    return this;
  }

  #take(bytes: number): number {
    const at = bytes === 8 ? (this.#at + 7) & ~7 : this.#at;
    if (at + bytes > this.#end) throw new RangeError("parameter block overflow: ask params() for more words");
    this.#at = at + bytes;
    return at;
  }
}
