/** attention: softmax(scale q k^T + mask) v over a batch, and its gradients. Rows are contiguous, rows and batches may be strided. */

import type { View } from "../../../ts/core/device.ts";
import type { AttentionParams } from "../../../ts/kernel/spec.ts";
import type { ComposedLowering, ComposingContext } from "../context.ts";
import { type Attention, attentionBackward, attentionForward, type HeadsView } from "../cpp/attention.ts";
import type { FloatKind } from "../cpp/launcher.ts";
import { floatKind, inComputeDType } from "./temporary.ts";

export const lowerAttention: ComposedLowering<"attention"> = (spec, context) => {
  const kind = floatKind("attention", spec.dtype);
  const run = spec.mode === "forward" ? forward : backward;
  return (inputs, outputs, params) => {
    inComputeDType(context, inputs, outputs, (ins, outs) => run(context, kind, ins, outs, params));
  };
};

type Run = (
  context: ComposingContext,
  kind: FloatKind,
  inputs: readonly View[],
  outputs: readonly View[],
  params: AttentionParams,
) => void;

const forward: Run = (context, kind, [q, k, v, mask], [out, lse], params) => {
  attentionForward(context, problem(context, kind, { q: q!, k: k!, v: v!, out: out!, lse: lse!, mask }, params));
};

const backward: Run = (context, kind, [gout, q, k, v, out, lse, mask], [gq, gk, gv], params) => {
  const heads = (view: View | undefined): HeadsView => headsOf(context, view!);
  attentionBackward(context, {
    ...problem(context, kind, { q: q!, k: k!, v: v!, out: out!, lse: lse!, mask }, params),
    grads: { dout: heads(gout), dq: heads(gq), dk: heads(gk), dv: heads(gv) },
  });
};

interface Views {
  readonly q: View;
  readonly k: View;
  readonly v: View;
  readonly out: View;
  readonly lse: View;
  readonly mask: View | undefined;
}

/** The spec's batch counts heads as well: one batch dimension suffices for the kernels. */
function problem(context: ComposingContext, dtype: FloatKind, views: Views, { scale, causal }: AttentionParams): Attention {
  const { q, k, v, out, lse, mask } = views;
  const common: Attention = {
    dtype,
    batch: q.shape[0]!,
    heads: 1,
    tq: q.shape[1]!,
    tk: k.shape[1]!,
    d: q.shape[2]!,
    dv: v.shape[2]!,
    q: headsOf(context, q),
    k: headsOf(context, k),
    v: headsOf(context, v),
    out: headsOf(context, out),
    lse: context.address(lse),
    scale,
    causal,
  };
  if (mask === undefined) return common;
  const [batch, row, column] = mask.strides;
  return { ...common, mask: { ptr: context.address(mask), strides: [batch!, 0, row!, column!] } };
}

function headsOf(context: ComposingContext, view: View): HeadsView {
  return { ptr: context.address(view), strides: [view.strides[0]!, 0, view.strides[1]!] };
}
