/** Commands as the addon takes them (see addon.ts, `submit`): words in one growing array. */

import type { CudaMemory } from "./memory.ts";

const OP = { launch: 1, copy: 2, zero: 3, upload: 4, record: 5, matmul: 6, conv: 7 } as const;

const FIRST_WORDS = 4096;

export class CommandBuffer {
  words = new Uint32Array(FIRST_WORDS);
  count = 0;
  #floats = new DataView(this.words.buffer);

  clear(): void {
    this.count = 0;
  }

  /** Returns where the function's number stands. `bound`: which of the memories are arguments. */
  launch(fn: number, groups: number, memories: readonly CudaMemory[], bound: readonly number[], params: Uint32Array): number {
    const length = 4 + bound.length * 2 + params.length;
    let at = this.#begin(OP.launch, length);
    const { words } = this;
    const place = at;
    words[at++] = fn;
    words[at++] = groups;
    words[at++] = (length - 4) * 4;
    for (let i = 0; i < bound.length; i++) {
      const { low, high } = memories[bound[i]!]!;
      words[at++] = low;
      words[at++] = high;
    }
    for (let i = 0; i < params.length; i++) words[at++] = params[i]!;
    return place;
  }

  copy(to: number, from: number, bytes: number): void {
    const at = this.#begin(OP.copy, 7);
    this.#long(at, to);
    this.#long(at + 2, from);
    this.#long(at + 4, bytes);
  }

  zero(address: number, bytes: number): void {
    const at = this.#begin(OP.zero, 5);
    this.#long(at, address);
    this.#long(at + 2, bytes);
  }

  upload(address: number, bytes: Uint8Array): void {
    const at = this.#begin(OP.upload, 4 + Math.ceil(bytes.length / 4));
    this.#long(at, address);
    this.words[at + 2] = bytes.length;
    new Uint8Array(this.words.buffer).set(bytes, (at + 3) * 4);
  }

  record(event: number): void {
    this.words[this.#begin(OP.record, 2)] = event;
  }

  /** Addresses may be 0 where there is no such operand. */
  matmul(
    plan: number,
    addresses: readonly [a: number, b: number, c: number, d: number, bias: number, workspace: number],
    alpha: number,
    beta: number,
  ): void {
    let at = this.#begin(OP.matmul, 2 + 2 * addresses.length + 4);
    this.words[at++] = plan;
    for (const address of addresses) {
      this.#long(at, address);
      at += 2;
    }
    this.#floats.setFloat64(at * 4, alpha, true);
    this.#floats.setFloat64(at * 4 + 8, beta, true);
  }

  conv(plan: number, addresses: readonly [first: number, second: number, result: number, workspace: number]): void {
    let at = this.#begin(OP.conv, 2 + 2 * addresses.length);
    this.words[at++] = plan;
    for (const address of addresses) {
      this.#long(at, address);
      at += 2;
    }
  }

  #begin(op: number, length: number): number {
    const at = this.count;
    this.count = at + length;
    if (this.count > this.words.length) {
      const grown = new Uint32Array(Math.max(this.words.length * 2, this.count));
      grown.set(this.words);
      this.words = grown;
      this.#floats = new DataView(grown.buffer);
    }
    this.words[at] = (op | (length << 8)) >>> 0;
    return at + 1;
  }

  #long(at: number, value: number): void {
    this.words[at] = value >>> 0;
    this.words[at + 1] = Math.floor(value / 2 ** 32);
  }
}
