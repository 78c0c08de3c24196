/** Plans batch and group normalisation of contiguous [batch, channels, inner] (wasm/cpp/channelnorm.cpp). */

import { ceilDiv, type FloatKind, type Launcher } from "./launcher.ts";

export interface ChannelNorm {
  dtype: FloatKind;
  batch: number;
  channels: number;
  inner: number;
  /** Absent: batch norm (a statistic per channel). Present: group norm (one per image and group). */
  groups?: number;
  x: number;
  /** Per channel, or 0. */
  weight?: number;
  bias?: number;
  /** Per statistic. */
  mean: number;
  rstd: number;
}

const TASK_ELEMENTS = 16384;
const PARAM_WORDS = 22;

interface Extra {
  y?: number;
  dy?: number;
  dx?: number;
  var?: number;
  dweight?: number;
  dbias?: number;
  sums?: number;
  coefficients?: number;
  eps?: number;
}

const columnwise = (p: ChannelNorm): boolean => p.inner === 1 && !p.groups;
const empty = (p: ChannelNorm): boolean => p.batch * p.channels * p.inner === 0;

/** Planes (rows of the batch when inner is 1) that one task of the pointwise phases takes, and how many tasks. */
function pointwise(p: ChannelNorm): [each: number, tasks: number] {
  const [count, size] = columnwise(p) ? [p.batch, p.channels] : [p.batch * p.channels, p.inner];
  const each = Math.max(1, Math.floor(TASK_ELEMENTS / size));
  return [each, ceilDiv(count, each)];
}

/** The same for the reducing phases, which take whole columns when inner is 1. */
function reducing(p: ChannelNorm): [each: number, tasks: number] {
  if (!columnwise(p)) return pointwise(p);
  const each = Math.max(64, Math.floor(TASK_ELEMENTS / p.batch));
  return [each, ceilDiv(p.channels, each)];
}

function params(launcher: Launcher, p: ChannelNorm, e: Extra, planesPerTask: number): number {
  const w = launcher.params(PARAM_WORDS);
  w.i32(p.x)
    .i32(e.y ?? 0)
    .i32(e.dy ?? 0)
    .i32(e.dx ?? 0)
    .i32(p.weight ?? 0)
    .i32(p.bias ?? 0);
  w.i32(p.mean)
    .i32(p.rstd)
    .i32(e.var ?? 0)
    .i32(e.dweight ?? 0)
    .i32(e.dbias ?? 0)
    .i32(e.sums ?? 0)
    .i32(e.coefficients ?? 0);
  w.i32(p.batch)
    .i32(p.channels)
    .i32(p.inner)
    .i32(p.groups ?? 0)
    .i32(columnwise(p) ? 1 : p.batch);
  w.i32(planesPerTask)
    .i32(0)
    .f64(e.eps ?? 0);
  return w.ptr;
}

function sumsBytes(p: ChannelNorm): number {
  return (columnwise(p) ? 1 : p.batch) * p.channels * 16;
}

/** Writes mean and rstd = 1 / sqrt(var + eps) of the data, and the biased variance where `var` is given. */
export function normStatistics(launcher: Launcher, p: ChannelNorm & { var?: number; eps: number }): void {
  if (empty(p)) return;
  const [each, tasks] = reducing(p);
  const ptr = params(launcher, p, { var: p.var ?? 0, eps: p.eps, sums: launcher.workspace(sumsBytes(p)) }, each);
  launcher.launch(`norm_sums_${p.dtype}`, ptr, tasks);
  launcher.launch(`norm_stats_${p.dtype}`, ptr, 1);
}

/** y = (x - mean) rstd weight + bias */
export function normApply(launcher: Launcher, p: ChannelNorm & { y: number }): void {
  if (empty(p)) return;
  const [each, tasks] = pointwise(p);
  launcher.launch(`norm_apply_${p.dtype}`, params(launcher, p, { y: p.y }, each), tasks);
}

/**
 * Gradients; each of dx, dweight and dbias may be 0. `constant` says that mean and rstd did not come from x
 * (running statistics).
 */
export function normBackward(
  launcher: Launcher,
  p: ChannelNorm & { dy: number; dx?: number; dweight?: number; dbias?: number; constant?: boolean },
): void {
  if (empty(p)) return;
  const stats = p.groups ? p.batch * p.groups : p.channels;
  const coefficients = p.constant ? 0 : launcher.workspace(stats * 16);
  if (!p.constant || p.dweight || p.dbias) {
    const [each, tasks] = reducing(p);
    const sums = launcher.workspace(sumsBytes(p));
    const outs = { dy: p.dy, dweight: p.dweight ?? 0, dbias: p.dbias ?? 0, sums, coefficients };
    const ptr = params(launcher, p, outs, each);
    launcher.launch(`norm_dots_${p.dtype}`, ptr, tasks);
    launcher.launch(`norm_coefficients_${p.dtype}`, ptr, 1);
  }
  if (!p.dx) return;
  const [each, tasks] = pointwise(p);
  launcher.launch(`norm_backward_apply_${p.dtype}`, params(launcher, p, { dy: p.dy, dx: p.dx, coefficients }, each), tasks);
}
