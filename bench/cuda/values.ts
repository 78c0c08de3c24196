/**
 * Numbers that this library and PyTorch make alike, bit for bit and on the device: a hash of each element's place, in integers (pytorch.py has
 * its twin). So both compute on the same inputs, and what they computed can be compared.
 */

import * as torch from "kindling";
import type { DType, Tensor } from "kindling";

const MASK = 0x7fffffff;

/** Int64 in [0, 2^31). */
function hashed(size: number, seed: number, device: string): Tensor {
  let h = torch.arange(size, { dtype: torch.int64, device });
  h = h
    .add(seed * 7919)
    .mul(747796405)
    .add(1403630843)
    .bitwise_and(MASK);
  h = h.bitwise_xor(h.bitwise_right_shift(15)).mul(739982445).bitwise_and(MASK);
  return h.bitwise_xor(h.bitwise_right_shift(12)).mul(277803737).bitwise_and(MASK);
}

/** Computes what is pending, as a consumer would. */
export function force(...tensors: readonly Tensor[]): void {
  for (const t of tensors) t._storage.materialize();
}

/** Spread evenly over [-1, 1). */
export function values(shape: readonly number[], seed: number, device: string, dtype: DType = torch.float32): Tensor {
  return torch.scope(() => {
    const size = shape.reduce((n, s) => n * s, 1);
    const x = hashed(size, seed, device)
      .to(torch.float32)
      .mul(2 ** -30)
      .sub(1)
      .to(dtype)
      .view(...shape);
    force(x);
    return x;
  });
}

/** Int64 in [0, below). */
export function whole(shape: readonly number[], below: number, seed: number, device: string): Tensor {
  return torch.scope(() => {
    const size = shape.reduce((n, s) => n * s, 1);
    const x = hashed(size, seed, device)
      .remainder(below)
      .view(...shape);
    force(x);
    return x;
  });
}

/** Fills weights in the order of their names: each within 1 / sqrt(what comes in), biases with zeros. */
export function fill(module: torch.nn.Module, device: string): void {
  torch.no_grad(() => {
    module.named_parameters().forEach(([, p], i) => {
      if (p.ndim < 2) return void p.zero_();
      const scale = 1 / Math.sqrt(p.numel() / p.size(0));
      p.copy_(values(p.shape, 100 + i, device).mul(scale));
    });
  });
}

/** Elements of a fingerprint beside the mean. */
const PLACES = 8;

/** What is compared of a result: the mean of its absolute values, and elements at places spread over it. */
export async function fingerprint(t: Tensor): Promise<number[]> {
  const flat = t.detach().to(torch.float32).flatten();
  const last = flat.numel() - 1;
  const places = Array.from({ length: PLACES }, (_, i) => Math.floor((i * last) / (PLACES - 1)));
  const mean = Number(await flat.abs().mean().item());
  const some = (await flat.index(torch.tensor(places, { device: t.device, dtype: torch.int64 })).tolist()) as number[];
  return [mean, ...some];
}

/** The largest difference, in units of the result's own mean magnitude. NaN where either has one. */
export function difference(ours: readonly number[], theirs: readonly number[]): number {
  const scale = Math.abs(theirs[0]!) || 1;
  return ours.reduce((most, x, i) => {
    const d = Math.abs(x - theirs[i]!) / Math.max(scale, Math.abs(theirs[i]!));
    return Number.isNaN(d) || Number.isNaN(most) ? NaN : Math.max(most, d);
  }, 0);
}
