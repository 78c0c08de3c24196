/** From random bits to numbers, as gpu/scalar/philox.ts makes them; computed in float64, which the caller rounds. */

/** 32 random bits, for a number of float32; or 64, for one of float64. */
export interface Bits {
  readonly high: number;
  readonly low: number | null;
}

/** [0, 1) in steps of 2^-bits (at most 24). */
export function uniform(word: number, bits = 24): number {
  return (word >>> (32 - bits)) * 2 ** -bits;
}
/** [0, 1) in steps of 2^-53. */
export function uniformDouble(high: number, low: number): number {
  return ((high >>> 5) * 2 ** 26 + (low >>> 6)) * 2 ** -53;
}
export const uniformOf = ({ high, low }: Bits): number => (low === null ? uniform(high) : uniformDouble(high, low));

/** (0, 1), symmetrical, in steps of 2^-23, or of 2^-52. */
export function openUniform({ high, low }: Bits): number {
  return low === null ? ((high >>> 9) + 0.5) * 2 ** -23 : ((high >>> 6) * 2 ** 26 + (low >>> 6) + 0.5) * 2 ** -52;
}

/** From whichever end of (0, 1) is nearer, so that the number keeps all bits that matter. Never 0. */
export function exponential({ high, low }: Bits): number {
  const upper = high >= 0x80000000;
  const nearer = (word: number): number => (upper ? ~word >>> 0 : word);
  const near =
    low === null
      ? Math.fround(Math.fround(nearer(high)) + 0.5) * 2 ** -32
      : (nearer(high) * 2 ** 32 + nearer(low) + 0.5) * 2 ** -64;
  return -(upper ? Math.log1p(-near) : Math.log(near));
}

/** Two standard normals (Box and Muller). */
export function normals(first: Bits, second: Bits): [number, number] {
  const radius = Math.sqrt(2 * exponential(first));
  const angle = 2 * Math.PI * uniformOf(second);
  return [radius * Math.cos(angle), radius * Math.sin(angle)];
}
