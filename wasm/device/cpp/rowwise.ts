/** Plans softmax, cross entropy (wasm/cpp/softmax.cpp) and layer and rms norm (layernorm.cpp) over contiguous rows. */

import { sumPartials } from "./conv.ts";
import { ceilDiv, ELEMENT_BYTES, type FloatKind, type Launcher } from "./launcher.ts";

export interface Rows {
  dtype: FloatKind;
  rows: number;
  cols: number;
}

/** Elements that are worth a task of their own. */
const TASK_ELEMENTS = 16384;

function rowsPerTask(r: Rows): number {
  return Math.max(1, Math.floor(TASK_ELEMENTS / Math.max(1, r.cols)));
}

/** y = softmax(x) or log_softmax(x) */
export function softmax(launcher: Launcher, p: Rows & { x: number; y: number; log?: boolean }): void {
  if (p.rows * p.cols === 0) return;
  const each = rowsPerTask(p);
  const w = launcher.params(6);
  w.i32(p.x)
    .i32(p.y)
    .i32(p.rows)
    .i32(p.cols)
    .i32(each)
    .i32(p.log ? 1 : 0);
  launcher.launch(`softmax_${p.dtype}`, w.ptr, ceilDiv(p.rows, each));
}

/** dx from the gradient dy and the forward's result y */
export function softmaxBackward(launcher: Launcher, p: Rows & { dy: number; y: number; dx: number; log?: boolean }): void {
  if (p.rows * p.cols === 0) return;
  const each = rowsPerTask(p);
  const w = launcher.params(7);
  w.i32(p.dy)
    .i32(p.y)
    .i32(p.dx)
    .i32(p.rows)
    .i32(p.cols)
    .i32(each)
    .i32(p.log ? 1 : 0);
  launcher.launch(`softmax_backward_${p.dtype}`, w.ptr, ceilDiv(p.rows, each));
}

export interface CrossEntropy extends Rows {
  /** Logits, rows x cols, and i64 class indices. */
  x: number;
  target: number;
  /** Per class, or 0. */
  weight?: number;
  /** Per row: log(sum(exp(x))), written by the forward and read by the backward. */
  lse: number;
  /** A u32 that becomes 1 when a target is out of range; clear it first. */
  status?: number;
  ignoreIndex?: number;
}

/** loss[r] = weight[t] (lse[r] - x[r, t]): the reduction is left to the caller. */
export function crossEntropy(launcher: Launcher, p: CrossEntropy & { loss: number }): void {
  launchCrossEntropy(launcher, `cross_entropy_${p.dtype}`, p, p.loss, 0, 0, 0);
}

/** dx = grad[r] weight[t] (softmax(x) - onehot(t)); `gradStep` 0 takes one gradient for all rows. */
export function crossEntropyBackward(launcher: Launcher, p: CrossEntropy & { dx: number; grad: number; gradStep: 0 | 1 }): void {
  launchCrossEntropy(launcher, `cross_entropy_backward_${p.dtype}`, p, 0, p.dx, p.grad, p.gradStep);
}

function launchCrossEntropy(
  launcher: Launcher,
  kernel: string,
  p: CrossEntropy,
  loss: number,
  dx: number,
  grad: number,
  step: number,
): void {
  if (p.rows === 0) return;
  const each = rowsPerTask(p);
  const w = launcher.params(13);
  w.i32(p.x)
    .i32(p.target)
    .i32(p.weight ?? 0)
    .i32(loss)
    .i32(p.lse)
    .i32(dx)
    .i32(grad)
    .i32(step)
    .i32(p.status ?? 0);
  w.i32(p.rows)
    .i32(p.cols)
    .i32(each)
    .i32(p.ignoreIndex ?? -100);
  launcher.launch(kernel, w.ptr, ceilDiv(p.rows, each));
}

export interface LayerNorm extends Rows {
  x: number;
  /** cols elements each, or 0. */
  weight?: number;
  bias?: number;
  /** One per row: written by the forward, read by the backward. Mean is unused for rms. */
  mean?: number;
  rstd: number;
  rms?: boolean;
  eps: number;
}

/** y = (x - mean) rstd weight + bias; with `rms` nothing is taken away. */
export function layerNorm(launcher: Launcher, p: LayerNorm & { y: number }): void {
  if (p.rows * p.cols === 0) return;
  const each = rowsPerTask(p);
  const params = layerNormParams(launcher, p, { y: p.y }, each);
  launcher.launch(`layer_norm_${p.dtype}`, params, ceilDiv(p.rows, each));
}

/** Gradients; each of dx, dweight and dbias may be 0 when it is not wanted. */
export function layerNormBackward(
  launcher: Launcher,
  p: LayerNorm & { dy: number; dx?: number; dweight?: number; dbias?: number },
): void {
  if (p.rows * p.cols === 0) return;
  // At most 16 parts of the sums over rows: each costs a row of memory to add up again.
  const each = Math.max(rowsPerTask(p), ceilDiv(p.rows, 16));
  const tasks = ceilDiv(p.rows, each);
  const partial = (wanted?: number): number =>
    wanted ? (tasks === 1 ? wanted : launcher.workspace(tasks * p.cols * ELEMENT_BYTES[p.dtype])) : 0;
  const dweight = partial(p.dweight);
  const dbias = partial(p.dbias);
  const params = layerNormParams(launcher, p, { dy: p.dy, dx: p.dx ?? 0, dweight, dbias }, each);
  launcher.launch(`layer_norm_backward_${p.dtype}`, params, tasks);
  if (tasks === 1) return;
  if (p.dweight) sumPartials(launcher, p.dtype, p.dweight, dweight, p.cols, tasks);
  if (p.dbias) sumPartials(launcher, p.dtype, p.dbias, dbias, p.cols, tasks);
}

interface LayerNormOuts {
  y?: number;
  dy?: number;
  dx?: number;
  dweight?: number;
  dbias?: number;
}

function layerNormParams(launcher: Launcher, p: LayerNorm, o: LayerNormOuts, each: number): number {
  const w = launcher.params(16);
  w.i32(p.x)
    .i32(o.y ?? 0)
    .i32(p.weight ?? 0)
    .i32(p.bias ?? 0)
    .i32(p.mean ?? 0)
    .i32(p.rstd);
  w.i32(o.dy ?? 0)
    .i32(o.dx ?? 0)
    .i32(o.dweight ?? 0)
    .i32(o.dbias ?? 0);
  w.i32(p.rows)
    .i32(p.cols)
    .i32(each)
    .i32(p.rms ? 1 : 0)
    .f64(p.eps);
  return w.ptr;
}
