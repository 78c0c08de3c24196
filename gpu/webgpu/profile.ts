/** Times of kernels on the GPU, by timestamp queries: while it goes on, each dispatch has a pass of its own. */

import type { KernelTime } from "../../ts/core/accelerators.ts";
import { USAGE } from "./memory.ts";

/** Queries of one set, at most: two per dispatch. */
const MOST_QUERIES = 4096;
const MAP_READ = 1;

interface Round {
  readonly names: string[];
  readonly set: GPUQuerySet;
  readonly result: GPUBuffer;
}

export class Profile {
  readonly #device: GPUDevice;
  #round: Round | null = null;
  readonly #rounds: Round[] = [];
  readonly #times: Promise<KernelTime[]>[] = [];

  constructor(device: GPUDevice) {
    this.#device = device;
  }

  /** How to begin the pass of a dispatch. Queues keep batches within half of `MOST_QUERIES`. */
  pass(name: string): GPUComputePassDescriptor {
    let round = this.#round;
    if (round === null) {
      const set = this.#device.createQuerySet({ type: "timestamp", count: MOST_QUERIES });
      const result = this.#device.createBuffer({ size: MOST_QUERIES * 8, usage: USAGE.mapRead | USAGE.copyDst });
      this.#round = round = { names: [], set, result };
    }
    const at = round.names.length * 2;
    round.names.push(name);
    return { timestampWrites: { querySet: round.set, beginningOfPassWriteIndex: at, endOfPassWriteIndex: at + 1 } };
  }

  endBatch(encoder: GPUCommandEncoder): void {
    const round = this.#round;
    if (round === null) return;
    const bytes = round.names.length * 16;
    const resolved = this.#device.createBuffer({ size: bytes, usage: USAGE.queryResolve | USAGE.copySrc });
    encoder.resolveQuerySet(round.set, 0, round.names.length * 2, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, round.result, 0, bytes);
    this.#rounds.push(round);
    this.#round = null;
  }

  submitted(): void {
    for (const round of this.#rounds.splice(0)) this.#times.push(read(round));
  }

  /** Of all dispatches so far, in order. */
  async times(): Promise<KernelTime[]> {
    return (await Promise.all(this.#times)).flat();
  }
}

async function read({ names, set, result }: Round): Promise<KernelTime[]> {
  await result.mapAsync(MAP_READ, 0, names.length * 16);
  const stamps = new BigUint64Array(result.getMappedRange(0, names.length * 16));
  // Clocks may stand still between two stamps, and GPUs may set them back.
  const times = names.map((name, i) => ({ name, ms: Math.max(0, Number(stamps[2 * i + 1]! - stamps[2 * i]!) / 1e6) }));
  result.destroy();
  set.destroy();
  return times;
}
