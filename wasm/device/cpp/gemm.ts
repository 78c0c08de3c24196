/** Plans `gemm_*` (wasm/cpp/gemm.cpp): which route a product takes and how it is cut into tasks. */

import { ceilDiv, ELEMENT_BYTES, evenBlock, roundUp, type Launcher } from "./launcher.ts";

export interface Gemm {
  dtype: "f32" | "f64" | "i32" | "i64";
  m: number;
  n: number;
  k: number;
  /** Byte addresses. */
  a: number;
  b: number;
  c: number;
  /** Strides in elements, any sign: [row, column]. */
  aStrides: readonly [number, number];
  bStrides: readonly [number, number];
  /** Row stride of C, whose columns are contiguous. */
  cRow: number;
  /** Up to three batch dimensions, outermost first, with element strides (0 where broadcast). */
  batch?: readonly number[];
  aBatch?: readonly number[];
  bBatch?: readonly number[];
  cBatch?: readonly number[];
  /** C = alpha A B + beta C + bias; with beta 0 (the default) C is not read. */
  alpha?: number;
  beta?: number;
  /** Byte address of a contiguous vector, one value per column of C or per row. */
  bias?: number;
  biasPer?: "column" | "row";
}

const Route = {
  Packed: 0,
  Rows: 1,
  Dots: 2,
  Scalar: 3,
} as const;

/** Steps of k per block: a panel of B (8 floats wide) then takes a quarter of a 32 KiB first-level cache. */
const KC = 256;
/** Rows of the micro-kernel: 5, or 6 with fused multiply-add. */
const MR = 30;
/** Rows per block: a block of A takes 120 KiB of the second-level cache. */
const MC = 120;
const NC = 256;
/** Multiply-adds that are worth a task of their own: about 20 us. */
const TASK_WORK = 1 << 18;
const PARAM_WORDS = 40;

const KERNELS = { f32: "gemm_f32", f64: "gemm_f64", i32: "gemm_i32", i64: "gemm_i64" } as const;
const PACK_KERNELS = { f32: "gemm_pack_b_f32", f64: "gemm_pack_b_f64", i32: "", i64: "" } as const;

interface Blocks {
  route: number;
  mc: number;
  nc: number;
  kc: number;
}

export function gemm(launcher: Launcher, problem: Gemm): void {
  const p = asRowVector(problem);
  const batch = pad(p.batch, 1);
  const batches = batch[0]! * batch[1]! * batch[2]!;
  if (p.m === 0 || p.n === 0 || batches === 0) return;
  const bBatch = pad(p.bBatch, 0);
  const blocks = choose(p, batches);
  const rowBlocks = ceilDiv(p.m, blocks.mc);
  const columnBlocks = ceilDiv(p.n, blocks.nc);
  const work = p.m * p.n * Math.max(1, p.k);
  const batchesPerTask = rowBlocks * columnBlocks > 1 ? 1 : Math.min(batches, Math.max(1, Math.floor(TASK_WORK / 2 / work)));

  // Packing B beforehand pays when several row blocks would otherwise each pack it again.
  let packBatch = ZEROS;
  let packed = 0;
  let distinct = 1;
  const nr = ELEMENT_BYTES[p.dtype] === 4 ? 8 : 4;
  if (blocks.route === Route.Packed && rowBlocks > 1) {
    const size = roundUp(p.n, nr) * p.k;
    const steps = [0, 0, 0];
    for (let d = 2; d >= 0; d--) {
      if (bBatch[d] === 0 || batch[d] === 1) continue;
      steps[d] = size * distinct;
      distinct *= batch[d]!;
    }
    packBatch = steps;
    packed = launcher.workspace(size * distinct * ELEMENT_BYTES[p.dtype]);
  }
  const panels = ceilDiv(p.n, nr);
  const panelsPerTask = Math.max(1, Math.min(panels, Math.floor(TASK_WORK / 4 / (nr * p.k))));

  const w = launcher.params(PARAM_WORDS);
  w.i32(p.a)
    .i32(p.b)
    .i32(p.c)
    .i32(p.bias ?? 0)
    .i32(packed);
  w.i32(p.m).i32(p.n).i32(p.k);
  w.i32(p.aStrides[0]).i32(p.aStrides[1]).i32(p.bStrides[0]).i32(p.bStrides[1]).i32(p.cRow);
  w.i32s(batch).i32s(pad(p.aBatch, 0)).i32s(bBatch).i32s(pad(p.cBatch, 0)).i32s(packBatch);
  w.i32(blocks.route).i32(p.bias ? (p.biasPer === "row" ? 2 : 1) : 0);
  w.i32(blocks.mc).i32(blocks.nc).i32(blocks.kc);
  w.i32(batchesPerTask).i32(panelsPerTask);
  w.f64(p.alpha ?? 1).f64(p.beta ?? 0);
  if (packed) launcher.launch(PACK_KERNELS[p.dtype], w.ptr, distinct * ceilDiv(panels, panelsPerTask));
  launcher.launch(KERNELS[p.dtype], w.ptr, ceilDiv(batches, batchesPerTask) * rowBlocks * columnBlocks);
}

/** A column vector is a row vector of the transposed problem, whose B then has long contiguous lines. */
function asRowVector(p: Gemm): Gemm {
  if (p.n !== 1 || p.m === 1 || p.cRow !== 1) return p;
  return {
    ...p,
    m: 1,
    n: p.m,
    a: p.b,
    b: p.a,
    aStrides: [p.bStrides[1], p.bStrides[0]],
    bStrides: [p.aStrides[1], p.aStrides[0]],
    cRow: p.m,
    aBatch: p.bBatch,
    bBatch: p.aBatch,
    biasPer: p.biasPer === "row" ? "column" : "row",
  };
}

function choose(p: Gemm, batches: number): Blocks {
  const { m, n, k } = p;
  const float = p.dtype === "f32" || p.dtype === "f64";
  const work = m * n * k;
  const fewRows = m <= 4;
  const rowsOfB = p.bStrides[1] === 1 || n === 1;
  const dots = float && (k <= 1 || (p.aStrides[1] === 1 && p.bStrides[0] === 1));
  if (rowsOfB && (fewRows || work <= 8192 || !float)) {
    const mc = fewRows ? m : evenBlock(m, 64, 4);
    return { route: Route.Rows, mc, nc: sharedColumns(n, mc * k), kc: KC };
  }
  if (dots && (fewRows || work <= 4096)) {
    const mc = fewRows ? m : evenBlock(m, 64, 4);
    return { route: Route.Dots, mc, nc: sharedColumns(n, mc * k), kc: 1 << 16 };
  }
  if (work <= 512 || !float) {
    const mc = evenBlock(m, 64, 4);
    return { route: Route.Scalar, mc, nc: sharedColumns(n, mc * k), kc: 1 << 16 };
  }
  let mc = evenBlock(m, MC, MR);
  let nc = evenBlock(n, work >= 1 << 29 ? 2 * NC : NC, 8);
  // Smaller blocks where a large product has few of them, so that there is something for every thread.
  for (;;) {
    const tasks = batches * ceilDiv(m, mc) * ceilDiv(n, nc);
    if (tasks >= 8 || (batches * work) / tasks < 2 * TASK_WORK) break;
    if (nc >= 2 * mc && nc >= 64) nc = roundUp(ceilDiv(nc, 2), 8);
    else if (mc >= 2 * MR) mc = roundUp(ceilDiv(mc, 2), MR);
    else break;
  }
  return { route: Route.Packed, mc, nc, kc: evenBlock(k, KC, 1) };
}

/** Columns of a task when each takes `perColumn` multiply-adds. */
function sharedColumns(n: number, perColumn: number): number {
  return evenBlock(n, Math.max(32, roundUp(Math.ceil(TASK_WORK / 2 / Math.max(1, perColumn)), 32)), 32);
}

const ONES: readonly number[] = [1, 1, 1];
const ZEROS: readonly number[] = [0, 0, 0];

function pad(values: readonly number[] | undefined, fill: 0 | 1): readonly number[] {
  if (values === undefined || values.length === 0) return fill ? ONES : ZEROS;
  if (values.length === 3) return values;
  if (values.length > 3) throw new RangeError("gemm: at most 3 batch dimensions");
  return values.length === 2 ? [fill, values[0]!, values[1]!] : [fill, fill, values[0]!];
}
