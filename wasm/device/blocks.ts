/**
 * Blocks of linear memory, found in constant time: two-level segregated fit (Masmano et al., "TLSF", 2004). Sizes are rounded up to one
 * of 32 classes per power of two (at most 3% waste), so any block of a class fits any request of it. Free neighbours merge at
 * once; within a class the block freed last is used first, while it is still in the caches. No clock, no randomness: the same
 * calls give the same addresses.
 */

const GRANULE_BITS = 6;
export const GRANULE = 1 << GRANULE_BITS;
const SUBCLASS_BITS = 5;
const SUBCLASSES = 1 << SUBCLASS_BITS;
/** Rests smaller than this stay part of the block: nothing that small is asked for here. */
const LEAST_REST = 4096;

export class Block {
  free = false;
  /** Neighbours by address. */
  prev: Block | null = null;
  next: Block | null = null;
  /** Neighbours in the free list of its class. */
  prevFree: Block | null = null;
  nextFree: Block | null = null;
  /** Whose death frees the block; null: only an explicit call does. */
  owner: WeakRef<object> | null = null;
  constructor(
    public ptr: number,
    public size: number,
  ) {}
}

/** Bytes that a block of `nbytes` really takes. */
export function roundToClass(nbytes: number): number {
  const granules = Math.max(1, Math.ceil(nbytes / GRANULE));
  if (granules < SUBCLASSES) return granules * GRANULE;
  const step = 2 ** (31 - Math.clz32(granules) - SUBCLASS_BITS);
  return Math.ceil(granules / step) * step * GRANULE;
}

function classOf(size: number): number {
  const granules = size / GRANULE;
  if (granules < SUBCLASSES) return granules;
  const level = 31 - Math.clz32(granules) - SUBCLASS_BITS + 1;
  return level * SUBCLASSES + (granules >>> (level - 1)) - SUBCLASSES;
}

const lowestBit = (x: number): number => 31 - Math.clz32(x & -x);

export class BlockAllocator {
  #first: Block | null = null;
  #last: Block | null = null;
  #end: number;
  readonly #heads: (Block | null)[] = new Array<Block | null>(SUBCLASSES * SUBCLASSES).fill(null);
  /** Which levels have a free block, and which classes within each level. */
  #levels = 0;
  readonly #classes = new Int32Array(SUBCLASSES);

  constructor(base: number) {
    this.#end = base;
  }

  /** First address beyond what `extend` has given. */
  get end(): number {
    return this.#end;
  }
  /** Size of the free block at the end, which growth would extend. */
  get freeAtEnd(): number {
    return this.#last?.free ? this.#last.size : 0;
  }

  /** Takes over memory up to `end`. */
  extend(end: number): void {
    const size = end - this.#end;
    if (size < GRANULE) return;
    const block = new Block(this.#end, size);
    block.prev = this.#last;
    if (this.#last) this.#last.next = block;
    else this.#first = block;
    this.#last = block;
    this.#end = end;
    this.free(block);
  }

  /** A block of at least `nbytes`, or null when no free block is large enough. */
  alloc(nbytes: number): Block | null {
    const size = roundToClass(nbytes);
    const index = classOf(size);
    let level = index >>> SUBCLASS_BITS;
    let found = this.#classes[level]! & (-1 << (index & (SUBCLASSES - 1)));
    if (found === 0) {
      const levels = level === 31 ? 0 : this.#levels & (-1 << (level + 1));
      if (levels === 0) return null;
      level = lowestBit(levels);
      found = this.#classes[level]!;
    }
    const block = this.#heads[level * SUBCLASSES + lowestBit(found)]!;
    this.#unlink(block);
    block.free = false;
    if (block.size - size >= LEAST_REST) this.#split(block, size);
    return block;
  }

  free(block: Block): void {
    block.owner = null;
    block.free = true;
    const { prev, next } = block;
    if (next?.free) {
      this.#unlink(next);
      this.#absorb(block, next);
    }
    if (prev?.free) {
      this.#unlink(prev);
      this.#absorb(prev, block);
      block = prev;
    }
    this.#link(block);
  }

  largestFree(): number {
    let most = 0;
    for (const block of this.blocks()) if (block.free && block.size > most) most = block.size;
    return most;
  }

  /** All blocks by address. Do not free while iterating. */
  *blocks(): Generator<Block> {
    for (let block = this.#first; block; block = block.next) yield block;
  }

  #split(block: Block, size: number): void {
    const rest = new Block(block.ptr + size, block.size - size);
    block.size = size;
    rest.prev = block;
    rest.next = block.next;
    if (block.next) block.next.prev = rest;
    else this.#last = rest;
    block.next = rest;
    rest.free = true;
    this.#link(rest);
  }

  /** Makes `b`, the right neighbour of `a`, part of it. */
  #absorb(a: Block, b: Block): void {
    a.size += b.size;
    a.next = b.next;
    if (b.next) b.next.prev = a;
    else this.#last = a;
  }

  #link(block: Block): void {
    const index = classOf(block.size);
    const head = this.#heads[index]!;
    block.prevFree = null;
    block.nextFree = head;
    if (head) head.prevFree = block;
    this.#heads[index] = block;
    this.#classes[index >>> SUBCLASS_BITS]! |= 1 << (index & (SUBCLASSES - 1));
    this.#levels |= 1 << (index >>> SUBCLASS_BITS);
  }

  #unlink(block: Block): void {
    const { prevFree, nextFree } = block;
    if (nextFree) nextFree.prevFree = prevFree;
    if (prevFree) prevFree.nextFree = nextFree;
    else {
      const index = classOf(block.size);
      this.#heads[index] = nextFree;
      if (!nextFree) {
        const level = index >>> SUBCLASS_BITS;
        this.#classes[level]! &= ~(1 << (index & (SUBCLASSES - 1)));
        if (this.#classes[level] === 0) this.#levels &= ~(1 << level);
      }
    }
    block.prevFree = block.nextFree = null;
  }
}
