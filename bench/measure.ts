/** Timing: medians after warm-up, of runs that take turns with whatever they are compared with. */

export interface Timing {
  /** Milliseconds. */
  readonly median: number;
  readonly min: number;
  readonly max: number;
  readonly runs: number;
}

export function summarize(times: readonly number[]): Timing {
  const sorted = [...times].sort((a, b) => a - b);
  const mid = sorted.length >> 1;
  const median = sorted.length % 2 === 1 ? sorted[mid]! : (sorted[mid - 1]! + sorted[mid]!) / 2;
  return { median, min: sorted[0]!, max: sorted.at(-1)!, runs: sorted.length };
}

/** Something that is timed: runs once and is done when it returns, or when its promise resolves; on a GPU it may only have been enqueued. */
export type Run = () => void | Promise<unknown>;

/** Milliseconds of one call, averaged over enough calls to fill `atLeast`; one more before them brings its data into the caches. */
export function once(run: () => void, atLeast = 20): number {
  run();
  let calls = 0;
  const start = performance.now();
  let now: number;
  do {
    run();
    calls++;
    now = performance.now();
  } while (now - start < atLeast);
  return (now - start) / calls;
}

/** The same of work that a GPU does later: calls go on while it works, and all of them have run when the clock stops. */
export async function onceOnGpu(run: Run, synchronize: () => Promise<void>, atLeast = 20): Promise<number> {
  const timed = async (calls: number): Promise<number> => {
    const start = performance.now();
    for (let i = 0; i < calls; i++) await run();
    await synchronize();
    return (performance.now() - start) / calls;
  };
  const first = await timed(1);
  return timed(Math.min(1000, Math.max(1, Math.ceil(atLeast / first))));
}

/** Samples of each runner in turn, so that a noisy moment hits all of them. Runners may be asynchronous. */
export async function inTurns(
  runners: readonly (() => number | Promise<number>)[],
  { rounds = 11, warmup = 3 }: { rounds?: number; warmup?: number } = {},
): Promise<Timing[]> {
  const samples = runners.map(() => [] as number[]);
  for (let r = -warmup; r < rounds; r++) {
    for (let i = 0; i < runners.length; i++) {
      const t = await runners[i]!();
      if (r >= 0) samples[i]!.push(t);
    }
  }
  return samples.map(summarize);
}
