/** What of linear algebra consists of matrix products: on accelerators, whose values the cpu then need not see. No autograd. */

import { float64 } from "../../core/dtype.ts";
import type { Tensor } from "../../core/tensor.ts";
import { where } from "../compare.ts";
import { eye } from "../creation_more.ts";
import { pad } from "../functional/padding.ts";
import { cat } from "../joining.ts";
import { batchOf, rowsOf } from "./batches.ts";

/** The inverse of a triangular matrix. Inverses of diagonal blocks give those of blocks twice as large, from single numbers up. */
export function triangularInverse(T: Tensor, upper: boolean, unit: boolean): Tensor {
  if (upper) return triangularInverse(T.mT, false, unit).mT;
  const [n, batch] = [rowsOf(T), batchOf(T)];
  const size = 2 ** Math.ceil(Math.log2(Math.max(n, 1)));
  const own = T.diagonal(0, -2, -1);
  let inverses = pad(unit ? own.mul(0).fill_(1) : own.reciprocal(), [0, size - n], "constant", 1).reshape([...batch, size, 1, 1]);
  const padded = pad(T, [0, size - n, 0, size - n]);
  for (let width = 1; width < size; width *= 2) {
    const count = size / (2 * width);
    const below = padded
      .reshape([...batch, count, 2 * width, count, 2 * width])
      .diagonal(0, -4, -2)
      .movedim(-1, -3)
      .narrow(-2, width, width)
      .narrow(-1, 0, width);
    const pairs = inverses.reshape([...batch, count, 2, width, width]);
    const [first, second] = [pairs.select(-3, 0), pairs.select(-3, 1)];
    const corner = second.matmul(below).matmul(first).neg();
    inverses = cat([pad(first, [0, width]), cat([corner, second], -1)], -2);
  }
  return inverses
    .reshape([...batch, size, size])
    .narrow(-2, 0, n)
    .narrow(-1, 0, n);
}

const DEGREE = 20;
/** Norms up to which Taylor's polynomial of that degree is exact to rounding (Al-Mohy and Higham 2011). */
const radiusOf = (A: Tensor): number => (A.dtype.real === float64 ? 1.44 : 3.55);

/** exp(A): scaling and squaring around Taylor's polynomial, which needs no division. Reads one norm. */
export function exponentialByProducts(A: Tensor): Tensor {
  if (A.numel() === 0) return A.clone();
  const norms = A.abs().sum(-2).amax(-1);
  const sound = norms.isfinite();
  const squarings = where(sound, norms, 0).div(radiusOf(A)).log2().ceil().clamp_min(0).unsqueeze(-1).unsqueeze(-1);
  const most = Number(squarings.max().item_sync());
  const powers = [eye(rowsOf(A), { dtype: A.dtype, device: A.device }), A.mul(squarings.neg().exp2())];
  powers.push(powers[1]!.matmul(powers[1]!));
  powers.push(powers[2]!.matmul(powers[1]!));
  const fourth = powers[2]!.matmul(powers[2]!);
  let factorial = 1;
  const terms = Array.from({ length: DEGREE + 1 }, (_, k) => 1 / (factorial *= Math.max(k, 1)));
  const four = (from: number): Tensor => powers.map((p, j) => p.mul(terms[from + j]!)).reduce((sum, term) => sum.add(term));
  let out = four(DEGREE - 4).add(fourth.mul(terms[DEGREE]!));
  for (let from = DEGREE - 8; from >= 0; from -= 4) out = four(from).add(fourth.matmul(out));
  for (let k = 0; k < most; k++) out = where(squarings.gt(k), out.matmul(out), out);
  return where(sound.unsqueeze(-1).unsqueeze(-1), out, NaN);
}
