/** The page: every library on the same adapter, taking turns, and a reference that all must agree with. */

import { countFor, installCounters, noCounts, type Counts } from "./counters.ts";
import { jax } from "./jax.ts";
import { kindling } from "./kindling.ts";
import type { Library, Runner } from "./library.ts";
import { tfjs } from "./tfjs.ts";
import { installTrace, trace, type Traced } from "./trace.ts";
import { cases, type Case } from "./workloads.ts";
import * as torch from "kindling";

export interface Options {
  readonly libraries: readonly string[];
  readonly cases: readonly string[];
  readonly rounds: number;
  /** Also list every dispatch of one run with its time; then the other times say little. */
  readonly trace: boolean;
  /** Versions of packages, by name. */
  readonly versions: Readonly<Record<string, string>>;
}

export interface Measured {
  readonly library: string;
  /** Milliseconds of the first run, which compiles. */
  readonly first: number;
  /** Milliseconds per run, of each round. */
  readonly samples: readonly number[];
  readonly dispatches: number;
  readonly submits: number;
  readonly peakBytes: number;
  /** Largest difference to the reference, as `tolerance` counts it. */
  readonly difference: number;
  readonly error?: string;
  readonly trace?: readonly Traced[];
}

export interface Row {
  readonly name: string;
  readonly tolerance: number;
  readonly measured: readonly Measured[];
}

export interface Result {
  readonly adapter: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly rows: readonly Row[];
}

interface Contestant {
  readonly library: Library;
  readonly counts: Counts;
}

const makers: Readonly<Record<string, (options: Options) => Promise<Library>>> = {
  async kindling({ versions }) {
    const device = await torch.accelerator();
    if (device !== "webgpu") throw new Error(`Kindling's best device here is ${device}, not webgpu`);
    return kindling(device, versions.kindling ?? "");
  },
  tfjs,
  "jax-js": ({ versions }) => jax(versions["@jax-js/jax"] ?? ""),
};

function difference({ losses }: Case, values: ArrayLike<number>, reference: ArrayLike<number>): number {
  // A library that is too slow for all rounds has fewer losses.
  const length = losses ? Math.min(values.length, reference.length) : reference.length;
  if (values.length !== length || length === 0) return Infinity;
  let scale = 0;
  for (let i = 0; i < length; i++) scale = Math.max(scale, Math.abs(reference[i]!));
  let worst = 0;
  for (let i = 0; i < length; i++) {
    const d = Math.abs(values[i]! - reference[i]!) / (losses ? Math.abs(reference[i]!) : scale);
    // Not a number is further away than anything.
    if (!(d <= worst)) worst = d;
  }
  return Number.isNaN(worst) ? Infinity : worst;
}

/** Milliseconds after which a library has no further rounds of a workload. */
const PATIENCE = 45_000;

/** Milliseconds per run. */
async function sample(runner: Runner, calls: number): Promise<number> {
  const start = performance.now();
  for (let i = 0; i < calls; i++) runner.run();
  await runner.finish();
  return (performance.now() - start) / calls;
}

async function referenceValues(c: Case, runs: number): Promise<ArrayLike<number>> {
  const runner = c.prepare(kindling("cpu", ""));
  for (let i = 0; i < (c.losses ? runs : 1); i++) runner.run();
  await runner.finish();
  const values = await runner.values();
  const copy = Array.from(values);
  runner.dispose();
  return copy;
}

async function measure(c: Case, contestants: readonly Contestant[], options: Options): Promise<Row> {
  const rounds = c.rounds === undefined ? options.rounds : Math.min(c.rounds, options.rounds);
  const states = contestants.map(({ library, counts }) => ({
    library,
    counts,
    runner: null as Runner | null,
    first: NaN,
    samples: [] as number[],
    spent: 0,
    dispatches: 0,
    submits: 0,
    error: undefined as string | undefined,
  }));
  type State = (typeof states)[number];
  const attempt = async (s: State, work: (runner: Runner) => Promise<void>): Promise<void> => {
    if (s.error !== undefined) return;
    try {
      await countFor(s.counts, async () => {
        s.runner ??= c.prepare(s.library);
        await work(s.runner);
      });
    } catch (error) {
      s.error = error instanceof Error ? (error.stack ?? error.message) : String(error);
    }
  };
  for (const s of states) {
    await attempt(s, async (runner) => {
      // Inputs are uploaded before the clock starts.
      s.spent = s.first = await sample(runner, 1);
    });
    await attempt(s, async (runner) => {
      s.counts.dispatches = s.counts.submits = 0;
      s.spent += await sample(runner, 1);
      ({ dispatches: s.dispatches, submits: s.submits } = s.counts);
    });
  }
  for (let r = 0; r < rounds; r++) {
    // Whoever follows a given library differs from round to round.
    for (let i = 0; i < states.length; i++) {
      const s = states[(i + r) % states.length]!;
      if (s.samples.length > 0 && s.spent > PATIENCE) continue;
      await attempt(s, async (runner) => {
        const ms = await sample(runner, c.calls);
        s.samples.push(ms);
        s.spent += ms * c.calls;
      });
    }
  }
  const reference = await referenceValues(c, 2 + rounds * c.calls);
  const measured: Measured[] = [];
  for (const s of states) {
    let far = Infinity;
    let traced: Traced[] | undefined;
    await attempt(s, async (runner) => {
      far = difference(c, await runner.values(), reference);
      if (options.trace) traced = await trace(() => sample(runner, 1).then(() => undefined));
      runner.dispose();
    });
    const { library, first, samples, dispatches, submits, counts, error } = s;
    measured.push({
      library: library.name,
      first,
      samples,
      dispatches,
      submits,
      peakBytes: counts.peakBytes,
      difference: far,
      ...(error === undefined ? {} : { error }),
      ...(traced === undefined ? {} : { trace: traced }),
    });
  }
  return { name: c.name, tolerance: c.tolerance, measured };
}

async function bench(options: Options, report: (row: Row) => Promise<void>): Promise<Result> {
  if (options.trace) installTrace();
  installCounters();
  const adapter = await navigator.gpu.requestAdapter();
  if (adapter === null) throw new Error("this browser gives no WebGPU adapter");
  const { vendor, architecture, description } = adapter.info;
  const contestants: Contestant[] = [];
  for (const name of options.libraries) {
    const counts = noCounts();
    const library = await countFor(counts, () => makers[name]!(options));
    contestants.push({ library, counts });
  }
  const rows: Row[] = [];
  for (const c of cases) {
    if (!options.cases.some((name) => c.name.includes(name))) continue;
    const row = await measure(c, contestants, options);
    rows.push(row);
    await report(row);
  }
  return {
    adapter: [vendor, architecture, description].filter((s) => s !== "").join(" "),
    versions: Object.fromEntries(contestants.map(({ library }) => [library.name, library.version])),
    rows,
  };
}

declare global {
  interface Window {
    bench: (options: Options) => Promise<Result>;
    /** Given by Node. */
    report: (row: Row) => Promise<void>;
  }
}
window.bench = (options) => bench(options, window.report);
