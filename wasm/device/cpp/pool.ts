/** Plans pooling over contiguous planes (wasm/cpp/pool.cpp), plain and adaptive, in up to three dimensions. */

import { ceilDiv, type FloatKind, type Launcher } from "./launcher.ts";

type Triple = readonly [number, number, number];

export interface Pool {
  dtype: FloatKind;
  /** batch * channels */
  planes: number;
  /** Leading ones for 1d and 2d. */
  input: Triple;
  output: Triple;
  /** Absent: adaptive pooling, whose windows follow from input and output sizes. */
  window?: { kernel: Triple; stride: Triple; padding: Triple; dilation?: Triple };
  /** Byte addresses: x is planes of `input`, y planes of `output`. */
  x: number;
  y: number;
  /** max: i64 positions within the input plane, one for each output; the forward may go without (0). */
  indices?: number;
  /** avg */
  countIncludePad?: boolean;
  divisorOverride?: number;
}

const ONES: Triple = [1, 1, 1];
const ZEROS: Triple = [0, 0, 0];
/** Window elements that are worth a task of their own. */
const TASK_ELEMENTS = 16384;

/** Adaptive windows that divide the input evenly are plain ones, which have a faster path. */
function evenly(p: Pool): Pool["window"] {
  const each = p.input.map((n, d) => n / p.output[d]!) as unknown as Triple;
  return p.window ?? (each.every(Number.isInteger) ? { kernel: each, stride: each, padding: ZEROS } : undefined);
}

function launch(launcher: Launcher, kernel: string, p: Pool): void {
  const window = evenly(p);
  const inputs = p.input[0] * p.input[1] * p.input[2];
  const outputs = p.output[0] * p.output[1] * p.output[2];
  if (p.planes === 0 || inputs === 0) return;
  const each = Math.max(1, Math.floor(TASK_ELEMENTS / Math.max(inputs, outputs)));
  const w = launcher.params(26);
  w.i32(p.x)
    .i32(p.y)
    .i32(p.indices ?? 0)
    .i32(p.planes)
    .i32(each)
    .i32s(p.input)
    .i32s(p.output);
  w.i32s(window?.kernel ?? ONES)
    .i32s(window?.stride ?? ONES)
    .i32s(window?.padding ?? ZEROS)
    .i32s(window?.dilation ?? ONES);
  w.i32(window ? 0 : 1)
    .i32((p.countIncludePad ?? true) ? 1 : 0)
    .i32(p.divisorOverride ?? 0);
  launcher.launch(`${kernel}_${p.dtype}`, w.ptr, ceilDiv(p.planes, each));
}

/** y and indices = the largest of each window */
export function maxPool(launcher: Launcher, p: Pool): void {
  launch(launcher, "max_pool", p);
}

/** x = the gradient of the input, given y, the gradient of the output, and the forward's indices */
export function maxPoolBackward(launcher: Launcher, p: Pool & { indices: number }): void {
  launch(launcher, "max_pool_backward", p);
}

/** y = the mean of each window */
export function avgPool(launcher: Launcher, p: Pool): void {
  launch(launcher, "avg_pool", p);
}

/** x = the gradient of the input, given y, the gradient of the output */
export function avgPoolBackward(launcher: Launcher, p: Pool): void {
  launch(launcher, "avg_pool_backward", p);
}
