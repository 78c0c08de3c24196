/**
 * How products are cut up for matrix units, and for f32 in full precision on GPUs with asynchronous copies. The costs are cycles of one processor of a GPU like the A100, estimated from what its parts can
 * do at best: matrix units, workgroup memory, the second-level cache.
 */

import type { GpuCaps } from "./context.ts";
import type { MatrixFormat } from "./ir.ts";
import { ceilDiv } from "./plan.ts";
import { type GemmPlan, type GemmShape, stepsOfPart, tileOf } from "./plan_matmul.ts";

/** Bytes of a row of a tile along k, and of what one instruction takes of it: two instructions a tile. */
const ROW_BYTES = 64;
const STEP_BYTES = 32;
/** Bytes per cycle that a processor gets from its workgroup memory, and its share of the second-level cache. */
const SHARED_RATE = 128;
const CACHE_RATE = 40;
/** Rows x columns that matrix units do in a cycle, for the steps of one instruction. */
const MMA_RATE = 64;
/** Threads wait for each other once a tile; others may fill the gap. */
const MEETING = 60;
/** Until the first tile has come; sums stored in a cycle. */
const START = 1000;
const STORE_RATE = 32;
/** Another launch, and bytes per cycle that it adds up. */
const FOLD = 4000;
const FOLD_RATE = 12;
/** Where it is not known how many there are. */
const PROCESSORS = 64;
const MOST_STAGES = 4;
const MOST_SPLITS = 32;

/** Whether operands come by asynchronous copies: both, in whole units or halves of them; some; none. */
export type Coming = "copied" | "mixed" | "gathered";

type Candidate = readonly [threads: number, across: number, rows: number, columns: number];
const COPIED: readonly Candidate[] = [
  [256, 4, 64, 64],
  [256, 2, 64, 64],
  [128, 2, 64, 64],
  [128, 2, 64, 32],
  [128, 2, 32, 64],
  [128, 2, 32, 32],
  [128, 4, 32, 32],
  [128, 1, 32, 32],
];
/** What goes through registers needs some for itself. */
const GATHERED: readonly Candidate[] = [
  [256, 4, 64, 32],
  [256, 4, 32, 32],
  [128, 2, 32, 32],
  [128, 4, 32, 32],
  [128, 1, 32, 32],
];

/** Workgroups that should share a processor: eight warps hide each other's waiting. */
const residents = (threads: number): number => Math.max(1, 256 / threads);

function stagesOf(caps: GpuCaps, plan: GemmPlan): number {
  const tile = tileOf(plan);
  const bytes = (tile.m + tile.n) * ROW_BYTES;
  const shared = Math.floor(caps.maxWorkgroupStorage / residents(plan.threads) / bytes);
  const alone = Math.floor(caps.maxWorkgroupStorage / bytes);
  return Math.min(MOST_STAGES, Math.max(shared, Math.min(3, alone)));
}

/** Numbers of parts of k that are worth a thought. */
function partsOf(k: number, depth: number): number[] {
  const parts = [1];
  for (let n = 2; n <= MOST_SPLITS && k / n >= 4 * depth; n *= 2) parts.push(n);
  return parts;
}
function roundsOf(plan: GemmPlan, { batch, m, n }: GemmShape, processors: number): number {
  const tile = tileOf(plan);
  return ceilDiv(ceilDiv(m, tile.m) * ceilDiv(n, tile.n) * batch * plan.splits, processors);
}
function foldCost({ splits }: GemmPlan, { batch, m, n }: GemmShape, processors: number): number {
  return splits === 1 ? 0 : FOLD + (batch * m * n * splits * 4) / (processors * FOLD_RATE);
}

function costOf(plan: GemmPlan, shape: GemmShape, processors: number, instructions: number): number {
  const tile = tileOf(plan);
  const warps = plan.threads / 32;
  const rounds = roundsOf(plan, shape, processors);
  const work = Math.max(
    (tile.m * tile.n) / MMA_RATE,
    (warps * (plan.rows + plan.columns) * STEP_BYTES) / SHARED_RATE,
    ((tile.m + tile.n) * STEP_BYTES) / CACHE_RATE,
  );
  const meeting = MEETING / 2 / Math.min(rounds, residents(plan.threads));
  return rounds * (instructions * (work + meeting) + START + (tile.m * tile.n) / STORE_RATE) + foldCost(plan, shape, processors);
}

/**
 * The plan of the least cost; null where matrix units do not pay or tiles do not fit.
 */
export function planMatrix(caps: GpuCaps, shape: GemmShape, format: MatrixFormat, coming: Coming): GemmPlan | null {
  const { m, n, k } = shape;
  if (Math.min(m, n) <= 8 || k < 16 || caps.matrix?.[format] !== true) return null;
  const elementBytes = format === "tf32" ? 4 : 2;
  const depth = ROW_BYTES / elementBytes;
  const processors = caps.processors ?? PROCESSORS;
  let best: GemmPlan | null = null;
  let least = Infinity;
  for (const [threads, across, rows, columns] of coming === "copied" ? COPIED : GATHERED) {
    if (threads > caps.maxWorkgroupSize) continue;
    const whole: GemmPlan = { form: "matrix", across, threads, rows, columns, depth, splits: 1, stages: 1 };
    const stages = Math.min(coming === "gathered" ? 2 : coming === "mixed" ? 3 : MOST_STAGES, stagesOf(caps, whole));
    if (stages < 2) continue;
    for (const splits of partsOf(k, depth)) {
      const cut = { ...whole, splits, stages };
      const steps = stepsOfPart(cut, k);
      const plan = { ...cut, splits: ceilDiv(k, steps) };
      const cost = costOf(plan, shape, processors, Math.min(steps, ceilDiv(k, depth) * depth) / (STEP_BYTES / elementBytes));
      if (cost < least) [best, least] = [plan, cost];
    }
  }
  return best;
}

/** Of threads, rows and columns each, for full precision. */
const PIPELINED: readonly Candidate[] = [
  [256, 4, 8, 8],
  [128, 2, 8, 8],
  [128, 2, 4, 8],
  [128, 4, 4, 4],
  [128, 2, 4, 4],
];
const PIPELINED_DEPTH = 16;
/** Multiply-adds that a processor does in a cycle, where a thread has many for each word that it reads. */
const FMA_RATE = 100;

/** The plan of the least cost for f32; null where there are no asynchronous copies, or too few rows or columns. */
export function planPipelined(caps: GpuCaps, shape: GemmShape): GemmPlan | null {
  const { m, n, k } = shape;
  if (!caps.asyncCopy || Math.min(m, n) < 16 || k < PIPELINED_DEPTH) return null;
  const processors = caps.processors ?? PROCESSORS;
  let best: GemmPlan | null = null;
  let least = Infinity;
  for (const [threads, across, rows, columns] of PIPELINED) {
    const whole: GemmPlan = { form: "pipelined", across, threads, rows, columns, depth: PIPELINED_DEPTH, splits: 1, stages: 1 };
    const tile = tileOf(whole);
    const stages = Math.min(3, Math.floor(caps.maxWorkgroupStorage / ((tile.m + tile.n) * PIPELINED_DEPTH * 4)));
    if (stages < 3 || threads > caps.maxWorkgroupSize) continue;
    const rate = FMA_RATE * Math.min(1, (rows * columns) / (rows + columns) / 4);
    for (const splits of partsOf(k, PIPELINED_DEPTH)) {
      const steps = stepsOfPart({ ...whole, splits }, k);
      const plan = { ...whole, splits: ceilDiv(k, steps), stages };
      const rounds = roundsOf(plan, shape, processors);
      const meeting = MEETING / Math.min(rounds, residents(threads));
      const work = steps * ((tile.m * tile.n) / rate) + (steps / PIPELINED_DEPTH) * meeting;
      const cost = rounds * (work + START + (tile.m * tile.n) / STORE_RATE) + foldCost(plan, shape, processors);
      if (cost < least) [best, least] = [plan, cost];
    }
  }
  return best;
}
