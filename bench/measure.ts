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

/** Something that is timed: runs once and is done when it returns. */
export type Run = () => void;

/** Milliseconds of one call, averaged over enough calls to fill `atLeast`; one more before them brings its data into the caches. */
export function once(run: Run, atLeast = 20): number {
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
