/** One workload: ours and PyTorch's, each in its variants, prepared, compared, and timed in turns. */

import * as torch from "kindling";
import { summarize, type Timing } from "../measure.ts";
import type { Clock, Sample } from "./clock.ts";
import type { Peer } from "./peer.ts";
import { profileOf } from "./profile.ts";
import { difference } from "./values.ts";
import type { Ceiling, Spec, Workload } from "./workload.ts";

export interface Options {
  readonly device: string;
  readonly rounds: number;
  /** Milliseconds of a sample. */
  readonly atLeast: number;
  readonly mostCalls: number;
  /** Seconds that PyTorch has to prepare something; compiling takes a while. */
  readonly patience: number;
  readonly peerVariants: readonly string[];
}

/** How one variant did. Times are milliseconds of doing the work once. */
export interface Entry {
  readonly who: "ours" | "pytorch";
  readonly variant: string;
  /** The first time, everything that is compiled or tried included. */
  first?: number;
  gpu?: Timing;
  wall?: Timing;
  /** Asking for it: JavaScript's, or Python's, own time. */
  host?: Timing;
  /** Kernels that had to be compiled before it ran. */
  compiled?: number;
  fingerprint?: readonly number[];
  losses?: readonly number[];
  /** Most bytes of the GPU's memory that preparing it and the first run took. */
  peak_bytes?: number;
  error?: string;
}

export interface Check {
  readonly variant: string;
  readonly against: string;
  /** Largest difference, relative. */
  readonly worst: number;
  readonly allowed: number;
  readonly passed: boolean;
}

export interface Row {
  readonly suite: string;
  readonly name: string;
  readonly spec: Spec;
  readonly flops?: number;
  readonly bytes?: number;
  readonly ceiling?: Ceiling;
  readonly items?: { readonly unit: string; readonly count: number };
  readonly entries: readonly Entry[];
  readonly checks: readonly Check[];
  readonly more: Readonly<Record<string, unknown>>;
}

export const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** A variant under way. */
interface Runner {
  readonly entry: Entry;
  readonly sample: () => Promise<Sample>;
  readonly repeats: number;
  readonly settle: () => Promise<void>;
  readonly close: () => Promise<void>;
}

async function prepareOurs(workload: Workload, variant: string, clock: Clock, options: Options): Promise<Runner> {
  const entry: Entry = { who: "ours", variant };
  const cuda = clock.device.startsWith("cuda");
  const before = cuda ? torch.cuda.stats(clock.device).kernels_compiled : 0;
  const held = cuda ? torch.cuda.memory_allocated(clock.device) : 0;
  if (cuda) torch.cuda.reset_peak_memory_stats(clock.device);
  const prepared = await workload.prepare(variant, clock.device);
  const start = performance.now();
  if (prepared.first === undefined) {
    const promise = prepared.run();
    if (promise instanceof Promise) await promise;
    await clock.synchronize();
  }
  entry.first = prepared.first ?? performance.now() - start;
  if (cuda) {
    entry.compiled = torch.cuda.stats(clock.device).kernels_compiled - before;
    entry.peak_bytes = torch.cuda.max_memory_allocated(clock.device) - held;
  }
  if (prepared.losses !== undefined) entry.losses = prepared.losses;
  if (prepared.fingerprint !== undefined) entry.fingerprint = await prepared.fingerprint();
  return {
    entry,
    repeats: prepared.repeats ?? 1,
    sample: () => clock.fill(prepared.run, options.atLeast, options.mostCalls),
    settle: async () => clock.relax(),
    close: async () => {
      await clock.synchronize();
      prepared.close?.();
    },
  };
}

async function prepareTheirs(spec: Spec, variant: string, peer: Peer, options: Options): Promise<Runner> {
  const entry: Entry = { who: "pytorch", variant };
  const id = variant;
  Object.assign(entry, await peer.prepare(id, spec, variant, options.patience));
  return {
    entry,
    repeats: 1,
    sample: () => peer.sample(id, options.atLeast, options.mostCalls),
    settle: () => peer.drop(null),
    close: () => peer.drop(id),
  };
}

/** Every variant of ours against PyTorch's eager one. */
function checksOf(entries: readonly Entry[], allowed: number): Check[] {
  const reference = entries.find(({ who, variant }) => who === "pytorch" && variant === "eager");
  if (reference === undefined) return [];
  const checks: Check[] = [];
  for (const { who, variant, fingerprint, losses } of entries) {
    if (who !== "ours") continue;
    let worst: number | null = null;
    if (fingerprint !== undefined && reference.fingerprint !== undefined) worst = difference(fingerprint, reference.fingerprint);
    if (losses !== undefined && reference.losses !== undefined) {
      const each = losses.map((x, i) => Math.abs(x - reference.losses![i]!) / Math.abs(reference.losses![i]!));
      worst = each.some(Number.isNaN) ? NaN : Math.max(...each);
    }
    if (worst !== null) checks.push({ variant, against: "pytorch eager", worst, allowed, passed: worst <= allowed });
  }
  return checks;
}

export async function measureWorkload(workload: Workload, peer: Peer | null, clock: Clock, options: Options): Promise<Row> {
  const { suite, name, flops, bytes, ceiling, items } = workload;
  const spec = typeof workload.spec === "function" ? await workload.spec() : workload.spec;
  const entries: Entry[] = [];
  const runners: Runner[] = [];
  /** Adds a variant; one that cannot do it leaves the others' figures. */
  const add = async (who: Entry["who"], variant: string, prepare: () => Promise<Runner>): Promise<void> => {
    try {
      const runner = await prepare();
      runners.push(runner);
      entries.push(runner.entry);
      if (workload.heavy) await runner.settle();
    } catch (error) {
      entries.push({ who, variant, error: messageOf(error) });
      clock.revive();
    }
  };
  const ours = clock.device.startsWith("cuda") ? workload.ours : workload.ours.filter((v) => v !== "graph");
  for (const variant of ours) await add("ours", variant, () => prepareOurs(workload, variant, clock, options));
  if (peer !== null) {
    const theirs = workload.peers.filter((v) => options.peerVariants.includes(v));
    for (const variant of theirs) await add("pytorch", variant, () => prepareTheirs(spec, variant, peer, options));
  }
  const checks = checksOf(entries, workload.tolerance);

  const samples = new Map<Runner, Sample[]>(runners.map((runner) => [runner, []]));
  for (let round = -1; round < options.rounds; round++) {
    // Another order each round.
    const turn = runners.map((_, i) => runners[(i + round + 1) % runners.length]!);
    for (const runner of turn) {
      if (runner.entry.error !== undefined) continue;
      try {
        const sample = await runner.sample();
        if (round >= 0) samples.get(runner)!.push(sample);
        if (workload.heavy) await runner.settle();
      } catch (error) {
        runner.entry.error = messageOf(error);
        clock.revive();
      }
    }
  }
  for (const runner of runners) {
    const { entry, repeats } = runner;
    const own = samples.get(runner)!;
    if (own.length > 0) {
      for (const what of ["gpu", "wall", "host"] as const) entry[what] = summarize(own.map((s) => s[what] / repeats));
    }
    try {
      await runner.close();
    } catch (error) {
      entry.error ??= messageOf(error);
    }
  }
  clock.revive();
  clock.relax();
  const more = await moreOf(workload, clock);
  const row = { suite, name, spec, entries, checks, more };
  return Object.assign(row, flops && { flops }, bytes && { bytes }, ceiling && { ceiling }, items && { items }) as Row;
}

/** Which kernels our eager variant runs. */
async function moreOf(workload: Workload, clock: Clock): Promise<Record<string, unknown>> {
  const { device } = clock;
  try {
    if (workload.describe !== undefined) return await workload.describe(device);
    const { run, close } = await workload.prepare("eager", device);
    await run();
    const more = await profileOf(device, run);
    close?.();
    return more;
  } catch (error) {
    clock.revive();
    return { error: messageOf(error) };
  }
}
