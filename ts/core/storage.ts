/** A tensor's memory: shared by all of its views, with the version counter that autograd checks. */

import type { Buffer, Device } from "./device.ts";
import type { DType } from "./dtype.ts";
import { RuntimeError } from "./errors.ts";

/** A value that has been asked for but not computed yet (a deferred map; see engine/fusion.ts). */
export interface Pending {
  /** Computes and stores the result in its storage. */
  materialize(): void;
  /** Consumers seen so far besides the storage itself. */
  uses: number;
}

let nextSerial = 0;

/** @internal Who wants to know of every new storage (engine/memory.ts); null costs nothing. */
export const storageObserver: { created: ((storage: Storage) => void) | null } = { created: null };

export class Storage {
  /** Rises with every storage made, so that "made since then" is a comparison. */
  readonly serial = nextSerial++;
  /** In-place writes so far. */
  version = 0;
  /** Exactly one of `buffer` and `pending` is set. */
  buffer: Buffer | null;
  pending: Pending | null = null;
  /** Outlives the memory scope it was made in: gradients, parameters, optimizer state. */
  kept = false;

  constructor(
    readonly device: Device,
    readonly dtype: DType,
    /** Elements. */
    readonly size: number,
    buffer: Buffer | null,
  ) {
    this.buffer = buffer;
    if (storageObserver.created !== null) storageObserver.created(this);
  }

  /** @internal The number that the next storage will get. */
  static nextSerial(): number {
    return nextSerial;
  }

  /** The memory itself, computing it first where it is pending. */
  materialize(): Buffer {
    if (this.buffer === null) this.pending!.materialize();
    return this.buffer!;
  }

  /** Takes the memory of a storage that nobody else will use again. */
  takeOver(other: Storage): void {
    this.buffer = other.materialize();
    this.pending = null;
    other.buffer = null;
    other.pending = new Disposed();
  }

  /** Gives the memory back unless something pending still reads it. For owners that know of no other holder. */
  disposeUnread(): void {
    if (this.buffer?.readers === 0) this.dispose();
  }

  get disposed(): boolean {
    return this.pending instanceof Disposed;
  }

  /** Gives the memory back now. Any later use is an error. */
  dispose(): void {
    if (this.disposed) return;
    if (this.buffer !== null && this.buffer.readers === 0) this.device.free(this.buffer);
    this.buffer = null;
    this.pending = new Disposed();
  }
}

class Disposed implements Pending {
  uses = 0;
  materialize(): never {
    throw new RuntimeError(
      "a tensor was used after it was disposed (by dispose(), `using`, or the end of a torch.scope that did not return it)",
    );
  }
}
