/** Which kernels a piece of work is made of, and what it asks of the driver. */

import * as torch from "kindling";

/** Kinds of kernels that are listed. */
const LISTED = 30;

export interface KernelShare {
  readonly name: string;
  readonly count: number;
  readonly ms: number;
}

/** Runs `fn` twice: once for the counts, once with every kernel timed (what libraries launch is not among those). */
export async function profileOf(device: string, fn: () => unknown): Promise<Record<string, unknown>> {
  if (!device.startsWith("cuda")) return {};
  await torch.cuda.synchronize(device);
  torch.cuda.reset_peak_memory_stats(device);
  const before = torch.cuda.stats(device);
  await fn();
  await torch.cuda.synchronize(device);
  const after = torch.cuda.stats(device);
  const peak = torch.cuda.max_memory_allocated(device);
  const byName = new Map<string, { count: number; ms: number }>();
  for (const { name, ms } of await torch.cuda.profile(fn, device)) {
    const entry = byName.get(name) ?? { count: 0, ms: 0 };
    byName.set(name, { count: entry.count + 1, ms: entry.ms + ms });
  }
  const kernels: KernelShare[] = [...byName].map(([name, entry]) => ({ name, ...entry })).sort((a, b) => b.ms - a.ms);
  return {
    launches: after.launches - before.launches,
    submits: after.submits - before.submits,
    copies: after.copies - before.copies,
    peak_bytes: peak,
    kernels_ms: kernels.reduce((n, { ms }) => n + ms, 0),
    kernels: kernels.slice(0, LISTED),
  };
}
