/**
 * Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011): the random numbers of all GPU devices.
 *
 * The layout, which is the same on every device and never changes: the key is the generator's seed (low word, high word). The counter's
 * first two words number blocks, from the generator's offset on; the third is a round; the fourth is 0. Word r of element i of a draw is
 * word i % 4 of the block at (offset + floor(i / 4), round r), and the draw advances the offset by ceil(n / 4). Where an element takes an
 * unknown number of words (rejection), element i has the blocks at (offset + i, rounds 0, 1, ...), and the draw advances the offset by n.
 *
 * Numbers of f64 have the same words, and below them 32 bits more from another round; so they are those of f32, with more digits.
 */

import { type Block, defineFunc, type V } from "../builder.ts";
import { cos, sin } from "./math_circle.ts";
import { log, log1p } from "./math_log.ts";
import { horner } from "./basics.ts";

/** The high word of a product, from products of 16-bit halves. */
const mulhi = defineFunc("mulhi", ["u32", "u32"], (_, a, b) => {
  const [al, ah, bl, bh] = [a!.and(0xffff), a!.shr(16), b!.and(0xffff), b!.shr(16)];
  const low = al.mul(bl);
  const middle = ah.mul(bl).add(low.shr(16));
  const other = al.mul(bh).add(middle.and(0xffff));
  return ah.mul(bh).add(middle.shr(16)).add(other.shr(16));
});

export function multiplyHigh(b: Block, x: V, y: V): V {
  return b.call(mulhi, x, y);
}

const philoxFunc = defineFunc("philox", ["u32", "u32", "u32", "u32", "u32"], (b, low, high, round, key0, key1) => {
  const state = [low!, high!, round!, b.u32(0)].map((v) => b.var(v));
  const keys = [b.var(key0!), b.var(key1!)] as const;
  b.for(0, 10, 1, () => {
    const [x, y, z, w] = state.map((v) => v.get()) as [V, V, V, V];
    const [k0, k1] = [keys[0].get(), keys[1].get()];
    const [m0, m1] = [b.u32(0xd2511f53), b.u32(0xcd9e8d57)];
    state[0]!.set(b.call(mulhi, m1, z).xor(y).xor(k0));
    state[1]!.set(z.mul(m1));
    state[2]!.set(b.call(mulhi, m0, x).xor(w).xor(k1));
    state[3]!.set(x.mul(m0));
    keys[0].set(k0.add(0x9e3779b9));
    keys[1].set(k1.add(0xbb67ae85));
  });
  return b.vector(state.map((v) => v.get()));
});

export interface Stream {
  readonly key: readonly [low: V, high: V];
  readonly offset: readonly [low: V, high: V];
}

/** The four words of a block. */
export function philox(b: Block, { key, offset }: Stream, block: V, round: V | number): V[] {
  const low = offset[0].add(block);
  const high = offset[1].add(low.lt(block).convert("u32"));
  return b.lanes(b.call(philoxFunc, low, high, typeof round === "number" ? b.u32(round) : round, key[0], key[1]));
}

/** 32 random bits, for a number of f32; or 64, for one of f64. */
export interface Bits {
  readonly high: V;
  readonly low: V | null;
}

/** [0, 1) in steps of 2^-bits (at most 24). */
export function uniform(word: V, bits = 24): V {
  return word.shr(32 - bits).convert("f32").mul(2 ** -bits); // prettier-ignore
}

/** [0, 1) in steps of 2^-53. */
export function uniformDouble(high: V, low: V): V {
  return high.shr(5).convert("f64").mul(2 ** 26).add(low.shr(6).convert("f64")).mul(2 ** -53); // prettier-ignore
}

/** [0, 1) in steps of 2^-24, or of 2^-53. */
export const uniformOf = ({ high, low }: Bits): V => (low === null ? uniform(high) : uniformDouble(high, low));

/** (0, 1), symmetrical, in steps of 2^-23, or of 2^-52. */
export function openUniform({ high, low }: Bits): V {
  if (low === null) return high.shr(9).convert("f32").add(0.5).mul(2 ** -23); // prettier-ignore
  return high.shr(6).convert("f64").mul(2 ** 26).add(low.shr(6).convert("f64")).add(0.5).mul(2 ** -52); // prettier-ignore
}

/** An exponentially distributed number: fine near 0, and up to 22.9 (f64: 45). Never 0. */
export function exponential(b: Block, { high, low }: Bits): V {
  // From whichever end of (0, 1) is nearer, so that the number keeps all bits that matter.
  const upper = high.ge(0x80000000);
  const nearer = (word: V): V => upper.select(word.not(), word);
  const near =
    low === null
      ? nearer(high).convert("f32").add(0.5).mul(2 ** -32)
      : nearer(high).convert("f64").mul(2 ** 32).add(nearer(low).convert("f64")).add(0.5).mul(2 ** -64); // prettier-ignore
  return upper.select(log1p(b, near.neg()), log(b, near)).neg();
}

/** Sine and cosine of 2 pi u, for 0 <= u <= 1: what is left of the quarter turn is exact. */
export function circle(u: V): { readonly sin: V; readonly cos: V } {
  const turns = u.mul(4);
  const quarter = turns.add(0.5).floor();
  const x = turns.sub(quarter).mul(Math.PI / 2);
  const xx = x.mul(x);
  const single = u.scalar === "f32";
  const s = single ? x.mul(horner(xx, 1 / 362880, -1 / 5040, 1 / 120, -1 / 6, 1)) : sin(u.block, x);
  const c = single ? horner(xx, 1 / 40320, -1 / 720, 1 / 24, -1 / 2, 1) : cos(u.block, x);
  const q = quarter.convert("u32");
  const odd = q.and(1).ne(0);
  const flip = (v: V, negative: V): V => negative.select(v.neg(), v);
  return {
    sin: flip(odd.select(c, s), q.and(2).ne(0)),
    cos: flip(odd.select(s, c), q.add(1).and(2).ne(0)),
  };
}

/** Two standard normals (Box and Muller). */
export function normals(b: Block, first: Bits, second: Bits): [V, V] {
  const radius = exponential(b, first).mul(2).sqrt();
  const at = circle(uniformOf(second));
  return [radius.mul(at.cos), radius.mul(at.sin)];
}
