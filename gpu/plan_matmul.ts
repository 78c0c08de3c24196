/** How products are cut up: tiles, work per thread, parts of k, from shapes and caps. Matmul and the convolutions share it. */

import type { GpuCaps } from "./context.ts";
import { ceilDiv, isNarrow, workgroupSize } from "./plan.ts";

/** Threads of a warp, and the rectangle that they form ("pipelined"). */
const WARP = 32;
export const WARP_ROWS = 8;
export const WARP_COLUMNS = 4;

/**
 * direct: every thread keeps rows x columns sums in registers and reads both operands from memory at each step.
 * tiled: as direct, but a workgroup shares what it reads through workgroup memory, `depth` steps at a time.
 * thin: few rows; `slices` threads share the steps of one column.
 * pipelined: as tiled, but tiles come while others are multiplied; `across` counts warps.
 * matrix: likewise, and what is said of threads is meant of warps, which multiply on matrix units.
 */
export interface GemmPlan {
  readonly form: "direct" | "tiled" | "thin" | "pipelined" | "matrix";
  /** Threads (warps) of a workgroup along columns; the others lie along rows (thin: along steps). */
  readonly across: number;
  readonly threads: number;
  /** Per thread (warp). */
  readonly rows: number;
  readonly columns: number;
  /** Steps at a time: per tile, or unrolled. */
  readonly depth: number;
  /** Parts of k that are summed apart and added in order by a second pass. */
  readonly splits: number;
  /** Tiles of each operand in workgroup memory: what is multiplied, and what is under way. */
  readonly stages: number;
}

export interface GemmShape {
  readonly batch: number;
  readonly m: number;
  readonly n: number;
  readonly k: number;
}

export function tileOf(plan: GemmPlan): { readonly m: number; readonly n: number } {
  const { form, threads, across, rows, columns } = plan;
  if (form === "thin") return { m: rows, n: across * columns };
  if (form === "direct" || form === "tiled") return { m: (threads / across) * rows, n: across * columns };
  const down = threads / WARP / across;
  if (form === "matrix") return { m: down * rows, n: across * columns };
  return { m: down * WARP_ROWS * rows, n: across * WARP_COLUMNS * columns };
}

/** Workgroups of one batch entry and one part of k. */
function groupsOf(plan: GemmPlan, { m, n }: GemmShape): number {
  const tile = tileOf(plan);
  return ceilDiv(m, tile.m) * ceilDiv(n, tile.n);
}

/** Enough parts of k to keep `wanted` workgroups busy, each with at least `least` steps. */
function withSplits(plan: GemmPlan, shape: GemmShape, wanted: number, least: number): GemmPlan {
  const groups = groupsOf(plan, shape) * shape.batch;
  const splits = Math.min(ceilDiv(wanted, groups), Math.floor(shape.k / least), 64);
  return splits <= 1 ? plan : { ...plan, splits };
}

/** Steps of one part: whole tiles. */
export function stepsOfPart(plan: GemmPlan, k: number): number {
  const steps = Math.max(1, ceilDiv(k, plan.splits));
  return ceilDiv(steps, plan.depth) * plan.depth;
}

/** Relative costs on a machine whose loads are dear: a load, a multiply-add, one round of the loop. */
const LOAD = 8;
const MADD = 0.7;
const ROUND = 25;

/** Lanes that go the same way on narrow machines: threads beyond the edge of a tile cost as much as others. */
const LANES = 4;

/** Register tiles straight from memory, with the least work where tiles overhang. */
function planDirect(caps: GpuCaps, shape: GemmShape, groups: number): GemmPlan {
  const { batch, k } = shape;
  const sizes = isNarrow(caps) ? [32, 16, 8, 4] : [workgroupSize(caps, 64)];
  const counts = [8, 6, 4, 3, 2, 1];
  let best: GemmPlan | null = null;
  let least = Infinity;
  for (const threads of sizes) {
    for (let across = Math.min(threads, 8); across >= 1; across = across === 1 ? 0 : across / 2) {
      for (const rows of counts) {
        for (const columns of counts) {
          const depth = rows * columns <= 16 && k % 4 === 0 ? 4 : 1;
          const plan: GemmPlan = { form: "direct", across, threads, rows, columns, depth, splits: 1, stages: 1 };
          const count = groupsOf(plan, shape) * batch;
          const step = (rows + columns) * LOAD + rows * columns * MADD + ROUND / depth;
          // Too few workgroups leave processors idle, unless k can be split.
          const parallel = Math.min(1, (count * Math.max(1, Math.floor(k / 64))) / groups);
          const cost = (count * Math.ceil(threads / LANES) * step) / parallel;
          if (cost < least) [best, least] = [plan, cost];
        }
      }
    }
  }
  return withSplits(best!, shape, groups, 64);
}

function planTiled(caps: GpuCaps, shape: GemmShape): GemmPlan {
  const { batch } = shape;
  const tiled = (threads: number, across: number, rows: number, columns: number, depth: number): GemmPlan => ({
    form: "tiled",
    threads,
    across,
    rows,
    columns,
    depth,
    splits: 1,
    stages: 1,
  });
  const small = tiled(64, 8, 4, 4, 16);
  if (caps.maxWorkgroupSize < 256) return withSplits(small, shape, 128, 128);
  const large = tiled(256, 16, 8, 8, 8);
  if (groupsOf(large, shape) * batch >= 128) return large;
  const medium = tiled(256, 16, 4, 4, 16);
  const enough = groupsOf(medium, shape) * batch >= 64;
  const choice = enough || Math.min(shape.m, shape.n) > 256 ? medium : small;
  return withSplits(choice, shape, 128, 128);
}

/** Lines of `n` (at most 8 rows): neighbouring threads are neighbours in memory, along k or along columns. */
function planThin(caps: GpuCaps, shape: GemmShape, alongK: boolean): GemmPlan {
  const threads = workgroupSize(caps, 128);
  const rows = [1, 2, 4, 8].find((r) => r >= shape.m)!;
  const across = alongK ? threads / 32 : threads / 4;
  const plan: GemmPlan = { form: "thin", across, threads, rows, columns: 1, depth: 4, splits: 1, stages: 1 };
  return withSplits(plan, shape, 64, 512);
}

/**
 * @param alongK Whether the steps of b lie side by side in memory.
 * @param thin Whether the kernel for few rows may be taken (m is at most 8 then).
 */
export function planGemm(caps: GpuCaps, shape: GemmShape, alongK: boolean, thin: boolean): GemmPlan {
  if (isNarrow(caps)) return planDirect(caps, shape, 16);
  if (thin && shape.m <= 8) return planThin(caps, shape, alongK);
  if (Math.max(shape.m, shape.n) <= 16 || shape.m < 4 || shape.n < 4) return planDirect(caps, shape, 64);
  return planTiled(caps, shape);
}
