/** Plans the convolution kernels (wasm/cpp/conv.cpp, depthwise.cpp): blocks of the implicit matrix products. */

import { gemm } from "./gemm.ts";
import { ceilDiv, ELEMENT_BYTES, evenBlock, type FloatKind, type Launcher } from "./launcher.ts";

type Triple = readonly [number, number, number];

/** NCDHW with contiguous tensors; 1d and 2d have leading ones (kernel 1, stride 1, padding 0). Channels are per group. */
export interface ConvShape {
  batch: number;
  groups: number;
  cin: number;
  cout: number;
  input: Triple;
  output: Triple;
  kernel: Triple;
  stride: Triple;
  padding: Triple;
  dilation: Triple;
}

export interface Conv {
  dtype: FloatKind;
  shape: ConvShape;
  /** Byte addresses: x [batch, groups*cin, ...input], w [groups*cout, cin, ...kernel], y [batch, groups*cout, ...output]. */
  x: number;
  w: number;
  y: number;
  /** One value per output channel (for the input gradient: per input channel, as a transposed convolution has it). */
  bias?: number;
}

const PARAM_WORDS = 36;
const MC = 120;
const NC = 256;
const KC = 256;
/** Multiply-adds that are worth a task of their own. */
const TASK_WORK = 1 << 18;

interface Blocks {
  partials?: number;
  mc?: number;
  nc?: number;
  kc?: number;
  perImage?: boolean;
  splits?: number;
  imagesPerTask?: number;
  cinBlock?: number;
}

const volume = (t: Triple): number => t[0] * t[1] * t[2];

function writeParams(launcher: Launcher, conv: Conv, b: Blocks): number {
  const s = conv.shape;
  const w = launcher.params(PARAM_WORDS);
  w.i32(conv.x)
    .i32(conv.w)
    .i32(conv.y)
    .i32(conv.bias ?? 0)
    .i32(b.partials ?? 0);
  w.i32(s.batch).i32(s.groups).i32(s.cin).i32(s.cout);
  w.i32s(s.input).i32s(s.output).i32s(s.kernel).i32s(s.stride).i32s(s.padding).i32s(s.dilation);
  w.i32(b.mc ?? 0)
    .i32(b.nc ?? 0)
    .i32(b.kc ?? 0)
    .i32(b.perImage ? 1 : 0);
  w.i32(b.splits ?? 1)
    .i32(b.imagesPerTask ?? 1)
    .i32(b.cinBlock ?? 1);
  return w.ptr;
}

/** A product with so few rows that summing scaled image rows is faster. */
function isDepthwise(s: ConvShape): boolean {
  return s.cin === 1 && s.cout <= 2 && s.groups > 1;
}

/** 1x1 kernels with unit steps are plain matrix products over each image. */
function isPointwise(s: ConvShape): boolean {
  return volume(s.kernel) === 1 && volume(s.stride) === 1 && s.padding.every((p) => p === 0) && volume(s.output) >= 64;
}

function depthwiseTasks(s: ConvShape): { imagesPerTask: number; tasks: number } {
  const work = s.cout * volume(s.output) * volume(s.kernel);
  const imagesPerTask = Math.max(1, Math.floor(TASK_WORK / 4 / Math.max(1, work)));
  return { imagesPerTask, tasks: ceilDiv(s.batch * s.groups, imagesPerTask) };
}

/** y = conv(x, w) + bias */
export function convForward(launcher: Launcher, conv: Conv): void {
  const s = conv.shape;
  const positions = volume(s.output);
  const taps = s.cin * volume(s.kernel);
  if (s.batch * s.groups * s.cout * positions === 0) return;
  if (isDepthwise(s)) {
    const { imagesPerTask, tasks } = depthwiseTasks(s);
    return launcher.launch(`depthwise_conv_${conv.dtype}`, writeParams(launcher, conv, { imagesPerTask }), tasks);
  }
  if (isPointwise(s) && (s.groups === 1 || !conv.bias)) {
    return gemm(launcher, {
      dtype: conv.dtype,
      m: s.cout,
      n: positions,
      k: s.cin,
      a: conv.w,
      b: conv.x,
      c: conv.y,
      aStrides: [s.cin, 1],
      bStrides: [positions, 1],
      cRow: positions,
      batch: [s.batch, s.groups],
      aBatch: [0, s.cout * s.cin],
      bBatch: [s.groups * s.cin * positions, s.cin * positions],
      cBatch: [s.groups * s.cout * positions, s.cout * positions],
      bias: conv.bias ?? 0,
      biasPer: "row",
    });
  }
  // Small images share column blocks, else each image would leave a ragged edge and fetch the weights anew.
  const perImage = positions >= 128;
  const columns = perImage ? positions : s.batch * positions;
  let mc = evenBlock(s.cout, MC, 30);
  let nc = evenBlock(columns, NC, 8);
  const work = s.batch * s.groups * s.cout * positions * taps;
  const tasksFor = (): number => s.groups * ceilDiv(s.cout, mc) * (perImage ? s.batch : 1) * ceilDiv(columns, nc);
  while (tasksFor() < 8 && work / tasksFor() >= 2 * TASK_WORK && (mc > 30 || nc >= 64)) {
    if (nc >= 64) nc = evenBlock(nc, ceilDiv(nc, 2), 8);
    else mc = evenBlock(mc, ceilDiv(mc, 2), 30);
  }
  const params = writeParams(launcher, conv, { mc, nc, kc: evenBlock(taps, KC, 1), perImage });
  launcher.launch(`conv_${conv.dtype}`, params, tasksFor());
}

/** x = the gradient of convForward with respect to x, given the gradient y; also the forward of a transposed convolution (+ bias). */
export function convInputGrad(launcher: Launcher, conv: Conv): void {
  const s = conv.shape;
  const positions = volume(s.output);
  const kernel = volume(s.kernel);
  if (s.batch * s.groups * s.cin * volume(s.input) === 0) return;
  if (isDepthwise(s)) {
    const { imagesPerTask, tasks } = depthwiseTasks(s);
    return launcher.launch(`depthwise_conv_input_grad_${conv.dtype}`, writeParams(launcher, conv, { imagesPerTask }), tasks);
  }
  if (isPointwise(s) && (s.groups === 1 || !conv.bias)) {
    return gemm(launcher, {
      dtype: conv.dtype,
      m: s.cin,
      n: positions,
      k: s.cout,
      a: conv.w,
      b: conv.y,
      c: conv.x,
      aStrides: [1, s.cin],
      bStrides: [positions, 1],
      cRow: positions,
      batch: [s.batch, s.groups],
      aBatch: [0, s.cout * s.cin],
      bBatch: [s.groups * s.cout * positions, s.cout * positions],
      cBatch: [s.groups * s.cin * positions, s.cin * positions],
      bias: conv.bias ?? 0,
      biasPer: "row",
    });
  }
  // A task owns whole channels of whole images, because patches overlap.
  let cinBlock = Math.max(1, Math.min(s.cin, Math.floor(160 / kernel)));
  cinBlock = ceilDiv(s.cin, ceilDiv(s.cin, cinBlock));
  const work = cinBlock * kernel * s.cout * positions;
  const imagesPerTask = Math.max(1, Math.min(s.batch, Math.floor(TASK_WORK / Math.max(1, work))));
  // What scratch holds: columns of the tile, beside the packed weights and the packed gradient.
  const rows = cinBlock * kernel;
  const room = (4 << 20) / ELEMENT_BYTES[conv.dtype] - 1024;
  let kc = evenBlock(Math.max(1, s.cout), KC, 1);
  while (rows * kc > room / 2 && kc > 8) kc = ceilDiv(kc, 2);
  let nc = evenBlock(imagesPerTask * positions, NC, 8);
  while (rows * nc + (nc + 8) * kc > room - rows * kc && nc > 8) nc = evenBlock(nc, ceilDiv(nc, 2), 8);
  const tasks = s.groups * ceilDiv(s.cin, cinBlock) * ceilDiv(s.batch, imagesPerTask);
  launcher.launch(`conv_input_grad_${conv.dtype}`, writeParams(launcher, conv, { nc, kc, imagesPerTask, cinBlock }), tasks);
}

/** w = the gradient of convForward with respect to w, given x and the gradient y. */
export function convWeightGrad(launcher: Launcher, conv: Conv): void {
  const s = conv.shape;
  const positions = volume(s.output);
  const taps = s.cin * volume(s.kernel);
  const count = s.groups * s.cout * taps;
  if (count === 0) return;
  if (isDepthwise(s)) {
    return launcher.launch(`depthwise_conv_weight_grad_${conv.dtype}`, writeParams(launcher, conv, {}), s.groups * s.cout);
  }
  const total = s.batch * positions;
  const mc = evenBlock(s.cout, MC, 30);
  const nc = evenBlock(taps, NC, 8);
  const kc = evenBlock(total, KC, 4);
  const blocks = s.groups * ceilDiv(s.cout, mc) * ceilDiv(taps, nc);
  // The sum over positions is cut too where there are few blocks; the parts are added in order afterwards.
  const most = Math.min(ceilDiv(total, kc), Math.floor((s.groups * s.cout * taps * total) / TASK_WORK));
  const splits = Math.max(1, Math.min(most, ceilDiv(8, blocks)));
  const partials = splits > 1 ? launcher.workspace(splits * count * ELEMENT_BYTES[conv.dtype]) : 0;
  launcher.launch(
    `conv_weight_grad_${conv.dtype}`,
    writeParams(launcher, conv, { mc, nc, kc, splits, partials }),
    blocks * splits,
  );
  if (splits > 1) sumPartials(launcher, conv.dtype, conv.w, partials, count, splits);
}

/** out[i] = sum over s of partials[s * count + i], in the order of s. */
export function sumPartials(
  launcher: Launcher,
  dtype: FloatKind,
  out: number,
  partials: number,
  count: number,
  splits: number,
): void {
  const tasks = Math.max(1, Math.min(16, Math.floor((count * splits) / 32768)));
  const w = launcher.params(5);
  w.i32(out).i32(partials).i32(count).i32(splits).i32(tasks);
  launcher.launch(`sum_partials_${dtype}`, w.ptr, tasks);
}
