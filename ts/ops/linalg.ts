/** torch.linalg: norms and products of vectors and matrices. */

import { RuntimeError } from "../core/errors.ts";
import { formatShape } from "../core/shape.ts";
import type { Tensor } from "../core/tensor.ts";
import { composite, type Op } from "../engine/define.ts";

type ChainOp = Op<[tensors: readonly Tensor[]], Tensor>;
/** Best order of a chain of matrix products (dynamic programming over the sizes), then the products. */
export const multi_dot: ChainOp = composite(
  "multi_dot",
  "tensors",
  {
    doc: "Product of two or more matrices (first and last may be vectors) in the cheapest order.",
    method: false,
  },
  (tensors: readonly Tensor[]) => {
    const n = tensors.length;
    if (n < 2) throw new RuntimeError(`linalg.multi_dot: expected at least 2 tensors but got ${n}`);
    const first = tensors[0]!;
    const last = tensors[n - 1]!;
    const mats = tensors.map((t, i) => {
      const vector = t.ndim === 1 && (i === 0 || i === n - 1);
      if (t.ndim !== 2 && !vector) {
        throw new RuntimeError(
          `linalg.multi_dot: tensor ${i} must be ${i === 0 || i === n - 1 ? "1D or " : ""}2D but got ${t.ndim}D`,
        );
      }
      return vector ? t.unsqueeze(i === 0 ? 0 : -1) : t;
    });
    for (let i = 0; i + 1 < n; i++) {
      if (mats[i]!.shape[1] !== mats[i + 1]!.shape[0]) {
        throw new RuntimeError(
          `linalg.multi_dot: tensors ${i} and ${i + 1} with shapes ${formatShape(tensors[i]!.shape)} and ${formatShape(tensors[i + 1]!.shape)} cannot be multiplied`,
        );
      }
    }
    const sizes = [mats[0]!.shape[0]!, ...mats.map((m) => m.shape[1]!)];
    const cost = mats.map(() => new Array<number>(n).fill(0));
    const split = mats.map(() => new Array<number>(n).fill(0));
    for (let len = 1; len < n; len++) {
      for (let i = 0; i + len < n; i++) {
        const j = i + len;
        cost[i]![j] = Infinity;
        for (let s = i; s < j; s++) {
          const c = cost[i]![s]! + cost[s + 1]![j]! + sizes[i]! * sizes[s + 1]! * sizes[j + 1]!;
          if (c < cost[i]![j]!) {
            cost[i]![j] = c;
            split[i]![j] = s;
          }
        }
      }
    }
    const chain = (i: number, j: number): Tensor =>
      i === j ? mats[i]! : chain(i, split[i]![j]!).mm(chain(split[i]![j]! + 1, j));
    let out = chain(0, n - 1);
    if (last.ndim === 1) out = out.squeeze(-1);
    return first.ndim === 1 ? out.squeeze(0) : out;
  },
);
