/** PyTorch's CPU generator: mt19937, its words in order, and the second half of the last pair of normals. */

const N: i32 = 624;
const M: i32 = 397;
const MATRIX: u32 = 0x9908b0df;

/** Followed by the 624 state words. */
@unmanaged
export class Engine {
  /** 1 + words left before the next twist. */
  left: i32;
  next: i32;
  hasNormal: i32;
  private pad: i32;
  normal: f64;
  private pad2: f64;
}

@inline function wordsOf(e: Engine): usize {
  return changetype<usize>(e) + offsetof<Engine>();
}

@inline function twistOf(u: u32, v: u32): u32 {
  return (((u & 0x80000000) | (v & 0x7fffffff)) >> 1) ^ (v & 1 ? MATRIX : 0);
}

@inline function twist4(u: v128, v: v128): v128 {
  const mixed = v128.or(v128.and(u, i32x4.splat(0x80000000)), v128.and(v, i32x4.splat(0x7fffffff)));
  const odd = i32x4.neg(v128.and(v, i32x4.splat(1)));
  return v128.xor(i32x4.shr_u(mixed, 1), v128.and(odd, i32x4.splat(MATRIX)));
}

/** The next 624 words. Each depends on words 1 and 397 ahead, so four at a time never read what they write. */
function twist(e: Engine): void {
  const words = wordsOf(e);
  const ahead = words + (M << 2);
  const behind = words - ((N - M) << 2);
  let p = words;
  for (let i = 0; i < 56; i++, p += 16) {
    v128.store(p, v128.xor(v128.load(p + (M << 2)), twist4(v128.load(p), v128.load(p, 4))));
  }
  for (let i = 224; i < 227; i++, p += 4) {
    store<u32>(p, load<u32>(ahead + (i << 2)) ^ twistOf(load<u32>(p), load<u32>(p, 4)));
  }
  for (let i = 0; i < 99; i++, p += 16) {
    v128.store(p, v128.xor(v128.load(p - ((N - M) << 2)), twist4(v128.load(p), v128.load(p, 4))));
  }
  store<u32>(p, load<u32>(behind + ((N - 1) << 2)) ^ twistOf(load<u32>(p), load<u32>(words)));
  e.left = N + 1;
  e.next = 0;
}

/** PyTorch's `random()`. */
export function next32(e: Engine): u32 {
  if (e.left <= 1) twist(e);
  let y = load<u32>(wordsOf(e) + (<usize>e.next << 2));
  e.left -= 1;
  e.next += 1;
  y ^= y >> 11;
  y ^= (y << 7) & 0x9d2c5680;
  y ^= (y << 15) & 0xefc60000;
  return y ^ (y >> 18);
}

/** PyTorch's `random64()`: the first draw is the high half. */
@inline export function next64(e: Engine): u64 {
  const high = <u64>next32(e);
  return (high << 32) | next32(e);
}

/** A double of 53 random bits in [0, 1). */
@inline export function nextDouble(e: Engine): f64 {
  return toDouble(next64(e));
}

@inline export function toDouble(bits: u64): f64 {
  return <f64>(<i64>(bits & 0x1fffffffffffff)) * 1.1102230246251565e-16; // 2^-53
}

/** One value of the standard normal distribution; they come in pairs, and the second waits for the next call. */
export function nextNormal(e: Engine): f64 {
  if (e.hasNormal) {
    e.hasNormal = 0;
    return e.normal;
  }
  const u1 = nextDouble(e);
  const u2 = nextDouble(e);
  const r = Math.sqrt(-2.0 * Math.log1p(-u2));
  const theta = 2.0 * Math.PI * u1;
  e.hasNormal = 1;
  e.normal = r * Math.sin(theta);
  return r * Math.cos(theta);
}

/** Writes `n` draws, as `next32` would give them, to the array `to` (which has room for three more). */
export function words(e: Engine, to: usize, n: i32): void {
  while (n > 0) {
    if (e.left <= 1) twist(e);
    const m = min(n, e.left - 1);
    let from = wordsOf(e) + (<usize>e.next << 2);
    const end = to + (<usize>m << 2);
    // The last step may temper words beyond the end; what follows overwrites them.
    for (let p = to; p < end; p += 16, from += 16) {
      let y = v128.load(from);
      y = v128.xor(y, i32x4.shr_u(y, 11));
      y = v128.xor(y, v128.and(i32x4.shl(y, 7), i32x4.splat(0x9d2c5680)));
      y = v128.xor(y, v128.and(i32x4.shl(y, 15), i32x4.splat(0xefc60000)));
      v128.store(p, v128.xor(y, i32x4.shr_u(y, 18)));
    }
    e.next += m;
    e.left -= m;
    to = end;
    n -= m;
  }
}
