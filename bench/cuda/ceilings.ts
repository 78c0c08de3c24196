/** What this machine can do at most, measured in the same run: a large copy on the device, and PyTorch's products of 8192. */

import type { Clock } from "./clock.ts";
import { messageOf } from "./measure.ts";
import type { Peer } from "./peer.ts";
import { force, values } from "./values.ts";
import type { Ceiling } from "./workload.ts";

export interface Measured {
  /** GB/s read and written, or TFLOP/s: of each time that it was measured. */
  readonly rates: number[];
  readonly by: "PyTorch" | "Kindling";
}
export type Ceilings = Partial<Record<Ceiling, Measured>>;

const PRODUCTS: readonly Ceiling[] = ["bfloat16", "tf32", "float32"];

/** Adds to `found`. */
export async function measureCeilings(found: Ceilings, peer: Peer | null, clock: Clock, smoke: boolean): Promise<void> {
  const shape = smoke ? [64, 64] : [1 << 14, 1 << 14];
  const bytes = 2 * 4 * shape[0]! * shape[1]!;
  const n = smoke ? 64 : 8192;
  const add = (name: Ceiling, by: Measured["by"], rate: number): void => {
    (found[name] ??= { rates: [], by }).rates.push(rate);
  };
  try {
    if (peer === null) {
      const [x, y] = [1, 2].map((seed) => values(shape, seed, clock.device));
      const { gpu } = await clock.fill(() => force(y!.copy_(x!)), smoke ? 1 : 100, 100);
      return add("copy", "Kindling", bytes / gpu / 1e6);
    }
    const copy = { kind: "elementwise", op: "copy", shape, precision: "float32" };
    add("copy", "PyTorch", bytes / (await timeOf(peer, copy, smoke)) / 1e6);
    for (const precision of PRODUCTS) {
      add(precision, "PyTorch", (2 * n ** 3) / (await timeOf(peer, { kind: "matmul", n, precision }, smoke)) / 1e9);
    }
  } catch (error) {
    console.log(`a ceiling could not be measured: ${messageOf(error)}`);
  }
}

async function timeOf(peer: Peer, spec: object, smoke: boolean): Promise<number> {
  await peer.prepare("ceiling", spec, "eager", 120);
  const { gpu } = await peer.sample("ceiling", smoke ? 1 : 200, 200);
  await peer.drop("ceiling");
  return gpu;
}

/** The best that was seen. */
export function ceilingOf(ceilings: Ceilings, name: Ceiling | undefined): number | null {
  const rates = name === undefined ? undefined : ceilings[name]?.rates;
  return rates === undefined ? null : Math.max(...rates);
}
