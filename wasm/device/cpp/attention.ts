/** Plans attention (wasm/cpp/attention.cpp) and its gradients. */

import { ceilDiv, ELEMENT_BYTES, type FloatKind, type Launcher } from "./launcher.ts";

/** A byte address and element strides over [batch, head, row]; the innermost dimension is contiguous. */
export interface HeadsView {
  ptr: number;
  strides: readonly [number, number, number];
}

export interface Attention {
  dtype: FloatKind;
  batch: number;
  heads: number;
  /** Heads of keys and values; a divisor of `heads` (grouped queries). Default: heads. */
  kvHeads?: number;
  /** Lengths of queries and keys; widths of queries/keys and of values. */
  tq: number;
  tk: number;
  d: number;
  dv: number;
  q: HeadsView;
  k: HeadsView;
  v: HeadsView;
  out: HeadsView;
  /** batch x heads x tq log-sum-exps, contiguous: written by the forward, read by the backward. */
  lse: number;
  scale: number;
  causal?: boolean;
  /** Added to the scores: element strides over [batch, head, query, key], 0 where broadcast. */
  mask?: { ptr: number; strides: readonly [number, number, number, number] };
}

export interface AttentionGrads {
  dout: HeadsView;
  dq: HeadsView;
  dk: HeadsView;
  dv: HeadsView;
}

/** Elements of one scratch area beside the scores, and of all scores of a block. */
const AREA = 49152;
const SCORES_BYTES = 3 << 19;
const NOWHERE: HeadsView = { ptr: 0, strides: [0, 0, 0] };

function launch(
  launcher: Launcher,
  kernel: string,
  p: Attention,
  grads: AttentionGrads | undefined,
  tasks: (blocks: number) => number,
): void {
  const widest = Math.max(p.d, p.dv);
  if (widest > 4096) throw new RangeError(`attention: heads of ${widest} are too wide, at most 4096`);
  const bytes = ELEMENT_BYTES[p.dtype];
  const buffers = grads ? 2 : 1;
  const rowsThatFit = Math.floor(SCORES_BYTES / buffers / bytes / Math.max(8, (p.tk + 7) & ~7));
  if (rowsThatFit < 1) throw new RangeError(`attention: ${p.tk} keys are too many for one block`);
  const qBlock = Math.max(1, Math.min(64, p.tq, rowsThatFit, Math.floor(AREA / widest)));
  const chunk = Math.max(8, Math.min(240, Math.floor(AREA / widest / 8) * 8));
  const g = grads ?? { dout: NOWHERE, dq: NOWHERE, dk: NOWHERE, dv: NOWHERE };
  const w = launcher.params(52);
  w.i32(p.q.ptr)
    .i32(p.k.ptr)
    .i32(p.v.ptr)
    .i32(p.out.ptr)
    .i32(p.lse)
    .i32(p.mask?.ptr ?? 0);
  w.i32(g.dout.ptr).i32(g.dq.ptr).i32(g.dk.ptr).i32(g.dv.ptr);
  w.i32(p.batch)
    .i32(p.heads)
    .i32(p.heads / (p.kvHeads ?? p.heads))
    .i32(p.tq)
    .i32(p.tk)
    .i32(p.d)
    .i32(p.dv);
  for (const view of [p.q, p.k, p.v, p.out, g.dout, g.dq, g.dk, g.dv]) w.i32s(view.strides);
  w.i32s(p.mask?.strides ?? [0, 0, 0, 0]);
  w.i32(p.causal ? 1 : 0)
    .i32(qBlock)
    .i32(chunk)
    .i32(0)
    .f64(p.scale);
  launcher.launch(`${kernel}_${p.dtype}`, w.ptr, tasks(ceilDiv(p.tq, qBlock)));
}

/** out = softmax(scale q k^T + mask) v */
export function attentionForward(launcher: Launcher, p: Attention): void {
  if (p.batch * p.heads * p.tq === 0) return;
  launch(launcher, "attention", p, undefined, (blocks) => p.batch * p.heads * blocks);
}

/** All three gradients, from the forward's out and lse. */
export function attentionBackward(launcher: Launcher, p: Attention & { grads: AttentionGrads }): void {
  if (p.batch * p.heads === 0) return;
  launch(launcher, "attention_backward", p, p.grads, () => p.batch * (p.kvHeads ?? p.heads));
}
