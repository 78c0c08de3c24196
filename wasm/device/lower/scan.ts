/** Scans along the last dim: which lines go together, so that memory is walked in its own order. */

import { Category } from "../../../ts/core/dtype.ts";
import { numelOf } from "../../../ts/core/shape.ts";
import type { ScanSpec } from "../../../ts/kernel/spec.ts";
import type { Lowering } from "../context.ts";
import { coalesce } from "./strides.ts";

/** `Op` of wasm/assembly/scan.ts. */
const OPS: { readonly [O in ScanSpec["op"]]: number } = { cumsum: 0, cumprod: 1, cummax: 2, cummin: 3, logcumsumexp: 4 };
/** Elements that are worth a task. */
const GRAIN = 32768;
/** Lines that advance together: their totals stay in the first-level cache. */
const TOGETHER = 256;

export const lowerScan: Lowering<"scan"> = (spec, context) => (inputs, outputs) => {
  const x = inputs[0]!;
  const y = outputs[0]!;
  const positions = outputs[1];
  if (numelOf(x.shape) === 0) return;
  const views = positions ? [x, y, positions] : [x, y, y];
  const last = x.shape.length - 1;
  const n = last < 0 ? 1 : x.shape[last]!;
  const step = views.map((v) => (last < 0 ? 0 : v.strides[last]!));
  const { shape, strides } = coalesce(
    x.shape.slice(0, Math.max(last, 0)),
    views.map((v) => v.strides),
  );

  // A dim that lies denser than the scanned one.
  let dim = -1;
  for (let d = 0; d < shape.length; d++) {
    const s = strides[1]![d]!;
    if (s !== 0 && s < step[1]! && (dim < 0 || s < strides[1]![dim]!)) dim = d;
  }
  if (n === 1) dim = -1;
  const width = dim < 0 ? 1 : shape[dim]!;
  const wide = strides.map((s) => (dim < 0 ? 0 : s[dim]!));
  const rest = shape.filter((_, d) => d !== dim);
  const together = Math.min(width, TOGETHER);
  const units = numelOf(rest) * Math.ceil(width / together);
  const perTask = Math.max(1, Math.floor(GRAIN / (n * together)));

  const bytes = views.map((v) => v.dtype.itemsize);
  const job = context
    .params(19 + 4 * rest.length)
    .i32s([OPS[spec.op], y.dtype.category === Category.floating ? 1 : 0, x.dtype.code, y.dtype.code])
    .i32s([context.address(x), context.address(y), positions ? context.address(positions) : 0, n])
    .i32s(step.map((s, k) => s * bytes[k]!))
    .i32(width)
    .i32s(wide.map((s, k) => s * bytes[k]!))
    .i32s([together, units, perTask, rest.length])
    .i32s(rest);
  strides.forEach((s, k) => job.i32s(s.filter((_, d) => d !== dim).map((stride) => stride * bytes[k]!)));
  context.launch("scan", job.ptr, Math.ceil(units / perTask));
};
