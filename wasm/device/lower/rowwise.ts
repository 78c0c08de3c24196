/** rowwise: softmax, losses and normalisations over contiguous rows. One function per op. */

import type { View } from "../../../ts/core/device.ts";
import { IndexError } from "../../../ts/core/errors.ts";
import { numelOf } from "../../../ts/core/shape.ts";
import type { RowwiseParams, RowwiseSpec } from "../../../ts/kernel/spec.ts";
import type { ComposedLowering, ComposingContext } from "../context.ts";
import { type ChannelNorm, normApply, normBackward, normStatistics } from "../cpp/channelnorm.ts";
import type { FloatKind } from "../cpp/launcher.ts";
import * as planner from "../cpp/rowwise.ts";
import { floatKind, inComputeDType } from "./temporary.ts";

/** The views of one run, with what every op needs to know. Views that are not there are undefined, and their address is 0. */
interface Job {
  readonly context: ComposingContext;
  readonly kind: FloatKind;
  readonly inputs: readonly (View | undefined)[];
  readonly outputs: readonly (View | undefined)[];
  readonly params: RowwiseParams;
}

export const lowerRowwise: ComposedLowering<"rowwise"> = (spec, context) => {
  const kind = floatKind(spec.op, spec.dtype);
  const run = ops[spec.op];
  return (inputs, outputs, params) => {
    inComputeDType(context, inputs, outputs, (ins, outs) => run({ context, kind, inputs: ins, outputs: outs, params }));
  };
};

const ops: Record<RowwiseSpec["op"], (job: Job) => void> = {
  softmax: (job) => softmax(job, false),
  log_softmax: (job) => softmax(job, true),
  softmax_backward: (job) => softmaxBackward(job, false),
  log_softmax_backward: (job) => softmaxBackward(job, true),

  layer_norm(job) {
    const [x, weight, bias] = inputsOf(job);
    const [y, mean, rstd] = outputsOf(job);
    planner.layerNorm(job.context, { ...rowsOf(job, 0), x, weight, bias, y, mean, rstd, eps: job.params.eps });
  },
  layer_norm_backward(job) {
    const [dy, x, mean, rstd, weight] = inputsOf(job);
    const [dx, dweight, dbias] = outputsOf(job);
    clearWhenEmpty(job);
    const rows = rowsOf(job, 0);
    planner.layerNormBackward(job.context, { ...rows, dy, x, mean, rstd, weight, dx, dweight, dbias, eps: job.params.eps });
  },
  rms_norm(job) {
    const [x, weight] = inputsOf(job);
    const [y, rstd] = outputsOf(job);
    planner.layerNorm(job.context, { ...rowsOf(job, 0), x, weight, y, rstd, rms: true, eps: job.params.eps });
  },
  rms_norm_backward(job) {
    const [dy, x, rstd, weight] = inputsOf(job);
    const [dx, dweight] = outputsOf(job);
    clearWhenEmpty(job);
    const rows = rowsOf(job, 0);
    planner.layerNormBackward(job.context, { ...rows, dy, x, rstd, weight, dx, dweight, rms: true, eps: job.params.eps });
  },

  batch_norm_stats(job) {
    const [x] = inputsOf(job);
    const [mean, variance] = outputsOf(job);
    const channels = job.inputs[0]!.shape[1]!;
    const rstd = job.context.workspace(channels * 8); // comes along; the spec has the caller make its own
    normStatistics(job.context, { ...batchOf(job, 0), x, mean, rstd, var: variance, eps: job.params.eps });
  },
  batch_norm(job) {
    const [x, mean, rstd, weight, bias] = inputsOf(job);
    const [y] = outputsOf(job);
    normApply(job.context, { ...batchOf(job, 0), x, mean, rstd, weight, bias, y });
  },
  batch_norm_backward(job) {
    const [dy, x, mean, rstd, weight] = inputsOf(job);
    const [dx, dweight, dbias] = outputsOf(job);
    clearWhenEmpty(job);
    const constant = !job.params.flag;
    normBackward(job.context, { ...batchOf(job, 0), dy, x, mean, rstd, weight, dx, dweight, dbias, constant });
  },
  group_norm(job) {
    const [x, weight, bias] = inputsOf(job);
    const [y, mean, rstd] = outputsOf(job);
    const norm = { ...groupsOf(job, 0), x, mean, rstd, weight, bias };
    normStatistics(job.context, { ...norm, eps: job.params.eps });
    normApply(job.context, { ...norm, y });
  },
  group_norm_backward(job) {
    const [dy, x, mean, rstd, weight] = inputsOf(job);
    const [dx, dweight, dbias] = outputsOf(job);
    clearWhenEmpty(job);
    normBackward(job.context, { ...groupsOf(job, 0), dy, x, mean, rstd, weight, dx, dweight, dbias });
  },

  cross_entropy(job) {
    const { context } = job;
    const [x, target] = inputsOf(job);
    const [loss, lse] = outputsOf(job);
    const status = context.workspace(4);
    context.heap.i32[status >>> 2] = 0;
    planner.crossEntropy(context, { ...rowsOf(job, 0), x, target, loss, lse, status, ignoreIndex: job.params.ignore });
    if (context.heap.i32[status >>> 2] !== 0) throw badTarget(job, target);
  },
  cross_entropy_backward(job) {
    const [grad, x, target, lse] = inputsOf(job);
    const [dx] = outputsOf(job);
    const rows = rowsOf(job, 1);
    const gradStep = 1;
    planner.crossEntropyBackward(job.context, { ...rows, x, target, lse, dx, grad, gradStep, ignoreIndex: job.params.ignore });
  },
};

function softmax(job: Job, log: boolean): void {
  const [x] = inputsOf(job);
  const [y] = outputsOf(job);
  planner.softmax(job.context, { ...rowsOf(job, 0), x, y, log });
}

function softmaxBackward(job: Job, log: boolean): void {
  const [dy, y] = inputsOf(job);
  const [dx] = outputsOf(job);
  planner.softmaxBackward(job.context, { ...rowsOf(job, 0), dy, y, dx, log });
}

/** Addresses, with 0 for what is not there: more of them than any op has. */
type Addresses = [number, number, number, number, number];
const inputsOf = ({ context, inputs }: Job): Addresses => addresses(context, inputs);
const outputsOf = ({ context, outputs }: Job): Addresses => addresses(context, outputs);
function addresses(context: ComposingContext, views: readonly (View | undefined)[]): Addresses {
  const found: Addresses = [0, 0, 0, 0, 0];
  for (let i = 0; i < views.length; i++) found[i] = context.address(views[i]!);
  return found;
}

function rowsOf({ kind, inputs }: Job, which: number): planner.Rows {
  const [rows, cols] = inputs[which]!.shape;
  return { dtype: kind, rows: rows!, cols: cols! };
}

type Plane = Pick<ChannelNorm, "dtype" | "batch" | "channels" | "inner" | "groups">;

function batchOf({ kind, inputs }: Job, which: number): Plane {
  const [batch, channels, inner] = inputs[which]!.shape;
  return { dtype: kind, batch: batch!, channels: channels!, inner: inner! };
}

/** [N * G, C / G, S] seen as [N, C, S] with G groups. */
function groupsOf({ kind, inputs, params }: Job, which: number): Plane {
  const [rows, channels, inner] = inputs[which]!.shape;
  const { groups } = params;
  return { dtype: kind, batch: rows! / groups, channels: channels! * groups, inner: inner!, groups };
}

/** Sums over no rows are zero, and the kernels do not run for them. */
function clearWhenEmpty({ context, inputs, outputs }: Job): void {
  if (numelOf(inputs[0]!.shape) > 0) return;
  for (const view of outputs) {
    const start = context.address(view!);
    context.heap.u8.fill(0, start, start + numelOf(view!.shape) * view!.dtype.itemsize);
  }
}

function badTarget({ context, inputs, params }: Job, target: number): IndexError {
  const [rows, classes] = inputs[0]!.shape;
  const targets = context.heap.i64.subarray(target >>> 3, (target >>> 3) + rows!);
  const bad = targets.find((t) => t !== BigInt(params.ignore) && (t < 0n || t >= BigInt(classes!)));
  return new IndexError(
    `cross_entropy: target ${bad} is out of bounds (expected 0 to ${classes! - 1}, or ${params.ignore} to ignore)`,
  );
}
