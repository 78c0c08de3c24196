/** A tensor's memory: shared by all of its views, with the version counter that autograd checks. */

import type { Buffer, Device } from "./device.ts";
import type { DType } from "./dtype.ts";

/** A value that has been asked for but not computed yet (a deferred map; see engine/fusion.ts). */
export interface Pending {
  /** Computes and stores the result in its storage. */
  materialize(): void;
  /** Consumers seen so far besides the storage itself. */
  uses: number;
}

let nextSerial = 0;

export class Storage {
  /** Rises with every storage made, so that "made since then" is a comparison. */
  readonly serial = nextSerial++;
  /** In-place writes so far. */
  version = 0;
  /** Exactly one of `buffer` and `pending` is set. */
  buffer: Buffer | null;
  pending: Pending | null = null;

  constructor(
    readonly device: Device,
    readonly dtype: DType,
    /** Elements. */
    readonly size: number,
    buffer: Buffer | null,
  ) {
    this.buffer = buffer;
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
}
