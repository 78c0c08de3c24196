/** Plans optimizer steps (wasm/cpp/optimizer.cpp): many parameters in one launch. */

import { ELEMENT_BYTES, type FloatKind, type Launcher } from "./launcher.ts";

/** One parameter tensor: byte addresses of contiguous arrays of `count` elements; unused states are absent. */
export interface Slot {
  param: number;
  grad: number;
  /** sgd: momentum buffer; adam: exp_avg, exp_avg_sq, max_exp_avg_sq. */
  states: readonly number[];
  count: number;
}

export interface Sgd {
  dtype: FloatKind;
  slots: readonly Slot[];
  lr: number;
  momentum?: number;
  dampening?: number;
  weightDecay?: number;
  nesterov?: boolean;
  maximize?: boolean;
  /** The momentum buffers hold nothing yet: they start as copies of the gradients. */
  first?: boolean;
}

export interface Adam {
  dtype: FloatKind;
  slots: readonly Slot[];
  lr: number;
  beta1: number;
  beta2: number;
  eps: number;
  weightDecay?: number;
  amsgrad?: boolean;
  maximize?: boolean;
  /** AdamW: decay the parameters themselves, not through the gradients. */
  decoupled?: boolean;
  /** Counts from 1; the same for all slots. */
  step: number;
}

const CHUNK = 16384;
const CHUNK_WORDS = 6;

/** Writes the table of chunks and returns its address and length. */
function chunkTable(launcher: Launcher, dtype: FloatKind, slots: readonly Slot[]): [ptr: number, chunks: number] {
  let chunks = 0;
  for (const slot of slots) chunks += Math.ceil(slot.count / CHUNK);
  const w = launcher.params(chunks * CHUNK_WORDS);
  for (const slot of slots)
    for (let i = 0; i < slot.count; i += CHUNK) {
      const offset = i * ELEMENT_BYTES[dtype];
      w.i32(slot.param + offset).i32(slot.grad + offset);
      for (let s = 0; s < 3; s++) w.i32(slot.states[s] ? slot.states[s]! + offset : 0);
      w.i32(Math.min(CHUNK, slot.count - i));
    }
  return [w.ptr, chunks];
}

export function sgdStep(launcher: Launcher, p: Sgd): void {
  const [table, chunks] = chunkTable(launcher, p.dtype, p.slots);
  const w = launcher.params(12);
  w.i32(table)
    .i32(p.maximize ? 1 : 0)
    .i32(p.nesterov ? 1 : 0)
    .i32(p.first ? 1 : 0);
  w.f64(p.lr)
    .f64(p.momentum ?? 0)
    .f64(p.dampening ?? 0)
    .f64(p.weightDecay ?? 0);
  launcher.launch(`sgd_${p.dtype}`, w.ptr, chunks);
}

export function adamStep(launcher: Launcher, p: Adam): void {
  const [table, chunks] = chunkTable(launcher, p.dtype, p.slots);
  const w = launcher.params(18);
  w.i32(table)
    .i32(p.maximize ? 1 : 0)
    .i32(p.amsgrad ? 1 : 0)
    .i32(p.decoupled ? 1 : 0);
  w.f64(p.lr)
    .f64(p.beta1)
    .f64(p.beta2)
    .f64(p.eps)
    .f64(p.weightDecay ?? 0);
  w.f64(1 - p.beta1 ** p.step).f64(Math.sqrt(1 - p.beta2 ** p.step));
  launcher.launch(`adam_${p.dtype}`, w.ptr, chunks);
}
