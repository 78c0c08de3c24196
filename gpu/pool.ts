/**
 * Blocks of device memory, kept when they fall free and handed out again. A block may be reused at once: whoever gets it writes to it later
 * in the same queue than whoever had it.
 */

/** Blocks are handed out in sizes of which there are four per power of two, so that they fit again. */
export function sizeClass(bytes: number, least: number): number {
  if (bytes <= least) return least;
  const step = 2 ** Math.max(Math.floor(Math.log2(bytes - 1)) - 2, 8);
  return Math.ceil(bytes / step) * step;
}

export interface PoolOptions<B> {
  /** Smallest block. */
  readonly least: number;
  /** Largest block. */
  readonly most: number;
  /** Bytes that lie idle at most. */
  readonly idle: number;
  create(bytes: number): B;
  destroy(block: B): void;
}

export interface PoolBlock {
  readonly size: number;
  /** Rises from block to block. */
  readonly id: number;
}

export class BlockPool<B extends PoolBlock> {
  readonly #options: PoolOptions<B>;
  /**
   * By size; the oldest block is the last of its list and is taken first, so that a program that repeats itself gets the same blocks
   * again, whatever the order in which they fell free (and finds what was cached for them). Sizes in the order of their last use,
   * longest ago first.
   */
  readonly #idle = new Map<number, B[]>();
  #idleBytes = 0;
  /** Bytes of all blocks. */
  #bytes = 0;

  constructor(options: PoolOptions<B>) {
    this.#options = options;
  }

  take(bytes: number): B {
    const size = Math.min(sizeClass(bytes, this.#options.least), Math.max(bytes, this.#options.most));
    const list = this.#idle.get(size);
    const block = list?.pop();
    if (block !== undefined) {
      this.#idleBytes -= size;
      return block;
    }
    const made = this.#options.create(size);
    this.#bytes += size;
    return made;
  }

  give(block: B): void {
    const { size } = block;
    let list = this.#idle.get(size);
    if (list === undefined) list = [];
    else this.#idle.delete(size);
    this.#idle.set(size, list);
    insert(list, block);
    this.#idleBytes += size;
    if (this.#idleBytes > this.#options.idle) this.trim(this.#options.idle);
  }

  /** Destroys a block instead of keeping it. */
  drop(block: B): void {
    this.#bytes -= block.size;
    this.#options.destroy(block);
  }

  /** Destroys idle blocks, those of sizes long out of use first, until no more than so many bytes lie idle. */
  trim(idle: number): void {
    for (const [size, list] of this.#idle) {
      while (this.#idleBytes > idle) {
        const block = list.shift();
        if (block === undefined) break;
        this.#idleBytes -= size;
        this.drop(block);
      }
      if (list.length === 0) this.#idle.delete(size);
      if (this.#idleBytes <= idle) return;
    }
  }

  get bytes(): number {
    return this.#bytes;
  }
  get idleBytes(): number {
    return this.#idleBytes;
  }
}

/** Keeps falling ids. */
function insert<B extends PoolBlock>(list: B[], block: B): void {
  let [low, high] = [0, list.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (list[middle]!.id > block.id) low = middle + 1;
    else high = middle;
  }
  list.splice(low, 0, block);
}
