/** Transforms over several dimensions, of complex numbers, real ones, and halves of Hermitian spectra. */

import type { Tensor } from "../../core/tensor.ts";
import { joined } from "../../engine/complex.ts";
import { checkPoints, lastOf, type Norm, type Plan, realOf, partsOf, resized, scaleOf } from "./arguments.ts";
import { type Sign, weightsOfHalf } from "./tables.ts";
import { type Parts, transform } from "./transform.ts";

const times = ({ re, im }: Parts, by: number): Parts => (by === 1 ? { re, im } : { re: re.mul(by), im: im?.mul(by) ?? null });

/** One dimension after the other, each first brought to its size; unscaled. `points` are all that enter one number of the result. */
function over(op: string, x: Parts, { dims, sizes }: Plan, sign: Sign): { x: Parts; points: number } {
  let points = 1;
  let y = x;
  dims.forEach((d, i) => {
    const n = checkPoints(op, sizes[i] === -1 ? x.re.shape[d]! : sizes[i]!);
    y = resized(y, d, n);
    points *= n;
  });
  for (const d of dims) y = transform(y, d, sign);
  return { x: y, points };
}

const butLast = ({ dims, sizes }: Plan): Plan => ({ dims: dims.slice(0, -1), sizes: sizes.slice(0, -1) });

/** Complex to complex. */
export function complexToComplex(op: string, input: Tensor, plan: Plan, norm: Norm, sign: Sign): Tensor {
  const { x, points } = over(op, partsOf(op, input), plan, sign);
  const { re, im } = times(x, scaleOf(op, norm, points, sign === -1));
  return joined(re, im);
}

/** Real to the half of the spectrum that determines it. */
export function realToHalf(op: string, input: Tensor, plan: Plan, norm: Norm, sign: Sign): Tensor {
  const real = realOf(op, input);
  const dim = lastOf(op, plan, input);
  const size = plan.sizes.at(-1)!;
  const n = checkPoints(op, size === -1 ? input.shape[dim]! : size);
  const full = transform(resized(real, dim, n), dim, sign);
  const cut = (t: Tensor): Tensor => t.narrow(dim, 0, Math.floor(n / 2) + 1);
  const { x, points } = over(op, { re: cut(full.re), im: cut(full.im) }, butLast(plan), sign);
  const { re, im } = times(x, scaleOf(op, norm, n * points, sign === -1));
  return joined(re, im);
}

/** Half of a Hermitian spectrum to the real numbers that it determines. */
export function halfToReal(op: string, input: Tensor, plan: Plan, norm: Norm, sign: Sign): Tensor {
  const parts = partsOf(op, input);
  const dim = lastOf(op, plan, input);
  const size = plan.sizes.at(-1)!;
  const n = checkPoints(op, size === -1 ? 2 * (input.shape[dim]! - 1) : size);
  const { x, points } = over(op, parts, butLast(plan), sign);
  const half = resized(x, dim, Math.floor(n / 2) + 1);
  const by = weightsOfHalf(n, x.re.dtype, x.re.device).view(...x.re.shape.map((_, d) => (d === dim ? -1 : 1)));
  const weighted = { re: half.re.mul(by), im: half.im?.mul(by) ?? null };
  const { re } = transform(resized(weighted, dim, n), dim, sign);
  return times({ re, im: null }, scaleOf(op, norm, n * points, sign === -1)).re;
}
