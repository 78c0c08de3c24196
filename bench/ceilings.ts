/** What the machine can do, measured in the same run: multiply-adds in registers, and copying memory. */

import type { CpuDevice } from "../wasm/device/index.ts";

const ITERATIONS = 200_000;
/** Operations per iteration of `peak_madd_f32` (wasm/cpp/peak.cpp). */
const FLOPS = 96;

/** Each call measures anew, so that ceilings can take turns with what they are compared with. */
export interface Ceilings {
  /** GFLOP/s of independent multiply-adds: on one thread, or on the whole GPU. */
  madd(): number | Promise<number>;
  /** GB/s read and written by a large copy. */
  copy(): number | Promise<number>;
  close(): void;
}

export function cpuCeilings(device: CpuDevice): Ceilings {
  return { madd: () => measureMadd(device), copy: measureCopy, close() {} };
}

function measureMadd(device: CpuDevice): number {
  const buffer = device.alloc(64);
  const start = performance.now();
  device.peak(buffer, ITERATIONS);
  const ms = performance.now() - start;
  device.free(buffer);
  return (ITERATIONS * FLOPS) / ms / 1e6;
}

const n = 8 << 20;
const from = new Float32Array(n).fill(1);
const to = new Float32Array(n).fill(2);

function measureCopy(): number {
  const start = performance.now();
  to.set(from);
  return (2 * 4 * n) / (performance.now() - start) / 1e6;
}
