/** The state of random streams: made from a seed, saved and restored in PyTorch's own format. */

import { RuntimeError } from "../core/errors.ts";
import type { GeneratorState, MersenneTwister } from "./spec.ts";

const N = 624;

/** As PyTorch seeds it, from the low 32 bits. */
export function makeTwister(seed: bigint): MersenneTwister {
  const words = new Uint32Array(N);
  words[0] = Number(BigInt.asUintN(32, seed));
  for (let i = 1; i < N; i++) {
    const previous = words[i - 1]!;
    words[i] = Math.imul(1812433253, previous ^ (previous >>> 30)) + i;
  }
  return { words, left: 1, next: 0, normal: null };
}

export function makeGenerator(seed: bigint, philox = false): GeneratorState {
  return { seed: BigInt.asUintN(64, seed), mt: null, offset: 0, philox };
}

/** The same state, unaffected by what is drawn from either. */
export function copyState(generator: GeneratorState): GeneratorState {
  const { mt } = generator;
  return { ...generator, mt: mt === null ? null : { ...mt, words: mt.words.slice() } };
}

/** Starts the stream anew: `manual_seed`. */
export function reseed(generator: GeneratorState, seed: bigint): void {
  Object.assign(generator, makeGenerator(seed, generator.philox));
}

// The bytes of `torch.get_rng_state()`: a C struct whose words are stored as 64-bit integers.
const SEED = 0;
const LEFT = 8;
const SEEDED = 12;
const NEXT = 16;
const WORDS = 24;
const NORMAL_Y = WORDS + 8 * N + 8;
const NORMAL_VALID = WORDS + 8 * N + 24;
const BYTES = 5056;

/** What `torch.get_rng_state()` returns for a CPU generator. */
export function saveState(generator: GeneratorState): Uint8Array {
  const mt = generator.mt ?? makeTwister(generator.seed);
  const bytes = new Uint8Array(BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(SEED, generator.seed, true);
  view.setInt32(LEFT, mt.left, true);
  view.setInt32(SEEDED, 1, true);
  view.setBigUint64(NEXT, BigInt(mt.next), true);
  mt.words.forEach((word, i) => view.setUint32(WORDS + 8 * i, word, true));
  if (mt.normal !== null) {
    view.setFloat64(NORMAL_Y, mt.normal, true);
    view.setInt32(NORMAL_VALID, 1, true);
  }
  return bytes;
}

const PHILOX_BYTES = 16;

/** The state of a GPU's generator, as PyTorch keeps CUDA's: its seed and its offset. */
export function savePhilox({ seed, offset }: GeneratorState): Uint8Array {
  const bytes = new Uint8Array(PHILOX_BYTES);
  const view = new DataView(bytes.buffer);
  view.setBigUint64(0, seed, true);
  view.setBigUint64(8, BigInt(offset), true);
  return bytes;
}

export function loadPhilox(generator: GeneratorState, bytes: Uint8Array): void {
  if (bytes.length !== PHILOX_BYTES) {
    throw new RuntimeError(`set_state: expected the ${PHILOX_BYTES} bytes of a GPU generator's state, got ${bytes.length}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  generator.seed = view.getBigUint64(0, true);
  generator.offset = Number(view.getBigUint64(8, true));
}

/** Restores what `saveState`, or PyTorch, saved. */
export function loadState(generator: GeneratorState, bytes: Uint8Array): void {
  if (bytes.length !== BYTES) {
    throw new RuntimeError(`set_rng_state: expected the ${BYTES} bytes of a CPU generator's state, got ${bytes.length}`);
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const left = view.getInt32(LEFT, true);
  const next = Number(view.getBigUint64(NEXT, true));
  if (left < 1 || left > N || next > N || (next !== 0 && left + next !== N + 1)) {
    throw new RuntimeError("set_rng_state: these bytes are not the state of a CPU generator");
  }
  const words = Uint32Array.from({ length: N }, (_, i) => view.getUint32(WORDS + 8 * i, true));
  const normal = view.getInt32(NORMAL_VALID, true) !== 0 ? view.getFloat64(NORMAL_Y, true) : null;
  generator.seed = view.getBigUint64(SEED, true);
  generator.mt = { words, left, next, normal };
}
